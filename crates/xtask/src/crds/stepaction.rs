//! StepAction (api.md 1.11).

use k8s_openapi::api::core::v1::VolumeMount;
use serde_json::{Value, json};

use super::core_types::core_list;
use super::schema::{object, open_object, resource, string, strings};
use super::{Conversion, Crd, Version, container, param};

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
        conversion: Conversion::None,
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
        &spec(),
        &open_object("Not written by Tektite."),
    )
}

fn spec() -> Value {
    object(
        "What the step runs, takes and yields; all else stays with the step that refers to it.",
        json!({
            "description": string("What the step is for, for people."),
            "image": string("The container's image."),
            "command": strings("The program to run and its first arguments, instead of the image's entrypoint."),
            "args": strings("Arguments for the command or the script."),
            "env": container::env("Environment variables of the container; a way to hand parameters to a script."),
            "script": string("A program to run instead of command; parameters come through env or args only."),
            "workingDir": string("The directory to run in."),
            "params": param::param_specs("What a step can or must say to this StepAction."),
            "results": param::step_results(
                "What it hands to later steps: it writes each one to the file $(step.results.name.path)."),
            "securityContext": container::security_context(),
            "volumeMounts": core_list::<VolumeMount>(
                "Where volumes appear; each volume's name is a parameter, as $(params.name)."),
        }),
    )
}
