//! StepAction.

use serde_json::Value;

use super::schema::{open_object, resource};
use super::{Crd, Version};

pub(super) fn crd() -> Crd {
    Crd {
        kind: "StepAction",
        singular: "stepaction",
        plural: "stepactions",
        short_names: &[],
        // v1beta1 is what clusters hold today. v1 is served too, since YAML with it is about.
        versions: vec![
            version("v1beta1", true),
            version("v1", false),
            version("v1alpha1", false),
        ],
    }
}

fn version(name: &'static str, stored: bool) -> Version {
    Version {
        name,
        stored,
        schema: schema(),
        columns: Vec::new(),
    }
}

/// One schema for every version, so that no version needs converting.
fn schema() -> Value {
    resource(
        "A step that many Tasks use: a Task's step refers to it by name and passes its parameters.",
        &open_object("What the step runs, takes and yields."),
        &open_object("Not written by Tektite."),
    )
}
