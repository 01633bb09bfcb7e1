//! Task, and the TaskSpec that a TaskRun holds too (api.md 1.2).

use serde_json::{Value, json};

use super::core_types::volumes;
use super::schema::{object, open_object, resource, string};
use super::{Conversion, Crd, Version, container, param, workspace};

pub(super) fn crd() -> Crd {
    Crd {
        kind: "Task",
        singular: "task",
        plural: "tasks",
        short_names: &[],
        versions: vec![
            Version {
                name: "v1",
                stored: true,
                schema: resource(
                    "A list of steps that run one after another in one Pod, with the parameters, \
                 workspaces and results they work with. A TaskRun runs it.",
                    &task_spec("What the Task takes, does and yields."),
                    &open_object("Not written by Tektite."),
                ),
                columns: Vec::new(),
            },
            v1beta1(
                "A list of steps that run one after another in one Pod, in an older spelling.",
                Vec::new(),
            ),
        ],
        conversion: Conversion::Webhook,
    }
}

/// The older version of a kind: what it says is converted, and then judged as v1.
pub(super) fn v1beta1(description: &str, columns: Vec<Value>) -> Version {
    Version {
        name: "v1beta1",
        stored: false,
        schema: resource(
            description,
            &open_object("As in v1, but for the names of some fields."),
            &open_object("As in v1, but for the names of some fields."),
        ),
        columns,
    }
}

pub(super) fn task_spec(description: &str) -> Value {
    object(
        description,
        json!({
            "params": param::param_specs("What a TaskRun can or must say to this Task."),
            "displayName": string("A name for people, which has no effect."),
            "description": string("What the Task is for, for people."),
            "steps": container::steps(),
            "stepTemplate": container::step_template(),
            "sidecars": container::sidecars(),
            "volumes": volumes("Volumes of the Pod, for steps and sidecars to mount."),
            "workspaces": workspace::declarations(),
            "results": param::task_results(),
        }),
    )
}
