//! TaskRun.

use serde_json::{Value, json};

use super::schema::{column, open_object, resource};
use super::{Crd, Version};

pub(super) fn crd() -> Crd {
    Crd {
        kind: "TaskRun",
        singular: "taskrun",
        plural: "taskruns",
        short_names: &["tr", "trs"],
        versions: vec![Version {
            name: "v1",
            stored: true,
            schema: resource(
                "One run of a Task, named or written inline, with its values and volumes.",
                &spec(),
                &open_object("How the run goes and what came of it."),
            ),
            columns: columns(),
        }],
    }
}

fn spec() -> Value {
    let mut spec = open_object("What to run, and with what.");
    // Declared because CEL sees declared fields only.
    spec["properties"] = json!({
        "taskRef": open_object("The Task to run, by name or through a resolver."),
        "taskSpec": open_object("The Task to run, written inline."),
    });
    // Holds even while the webhook is away.
    spec["x-kubernetes-validations"] = json!([{
        "rule": "has(self.taskRef) != has(self.taskSpec)",
        "message": "expected exactly one of spec.taskRef and spec.taskSpec",
    }]);
    spec
}

fn columns() -> Vec<Value> {
    const SUCCEEDED: &str = r#".status.conditions[?(@.type=="Succeeded")]"#;
    vec![
        column("Succeeded", "string", &format!("{SUCCEEDED}.status")),
        column("Reason", "string", &format!("{SUCCEEDED}.reason")),
        column("StartTime", "date", ".status.startTime"),
        column("CompletionTime", "date", ".status.completionTime"),
    ]
}
