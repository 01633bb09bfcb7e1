//! TaskRun (api.md 1.1).

use k8s_openapi::api::core::v1::ResourceRequirements;
use serde_json::{Value, json};

use super::core_types::core;
use super::param::params;
use super::pod_template::pod_template;
use super::schema::{column, integer, list, object, resource, string, strings};
use super::status::task_run_status;
use super::task::{task_spec, v1beta1};
use super::{Conversion, Crd, Version, rules, workspace};

pub(super) fn crd() -> Crd {
    Crd {
        kind: "TaskRun",
        singular: "taskrun",
        plural: "taskruns",
        short_names: &["tr", "trs"],
        versions: vec![
            Version {
                name: "v1",
                stored: true,
                schema: resource(
                    "One run of a Task, named or written inline, with its values and volumes.",
                    &spec(),
                    &task_run_status(),
                ),
                columns: columns(),
            },
            v1beta1("One run of a Task, in an older spelling.", columns()),
        ],
        conversion: Conversion::Webhook,
    }
}

fn spec() -> Value {
    let mut spec = object(
        "What to run, and with what; fixed once stored, but for status and statusMessage.",
        json!({
            "taskRef": task_ref(),
            "taskSpec": task_spec("The Task to run, written inline, instead of taskRef."),
            "params": params("Values for the Task's parameters; what the Task does not declare is ignored."),
            "serviceAccountName": string("The ServiceAccount of the Pod, and whose credentials fetch images."),
            "status": string("TaskRunCancelled ends the run; TaskRunPending holds it back until this is empty again."),
            "statusMessage": string("Why the run was cancelled or held, added to what its condition says."),
            "retries": integer("How many more attempts to make after one that failed."),
            "timeout": string("The longest that one attempt may take, such as 90s or 1h30m; 0 means no limit."),
            "podTemplate": pod_template(),
            "workspaces": workspace::bindings(),
            "stepSpecs": container_specs("Resources for single steps instead of what the Task says."),
            "sidecarSpecs": container_specs("Resources for single sidecars instead of what the Task says."),
            "computeResources": core::<ResourceRequirements>(
                "Resources for all steps together, shared out among them; not together with stepSpecs."),
            "debug": debug(),
            "managedBy": string("The controller that runs it: tekton.dev/pipeline, which is the default, or another."),
        }),
    );
    rules::add(&mut spec);
    spec
}

fn task_ref() -> Value {
    object(
        "The Task to run, by name in this namespace or through a resolver.",
        json!({
            "name": string("The Task's name in this namespace."),
            "kind": string("Always Task; for a resolver, the kind to fetch."),
            "apiVersion": string("Kept as written, without effect."),
            "resolver": string("Fetches the Task from elsewhere: git, bundles, hub, http, cluster or one of your own."),
            "params": params("Tells the resolver what to fetch."),
        }),
    )
}

fn container_specs(description: &str) -> Value {
    list(
        description,
        object(
            "One container's resources.",
            json!({
                "name": string("The step or sidecar as the Task names it."),
                "computeResources": core::<ResourceRequirements>(
                    "Requests and limits; a resource that is left out keeps what the Task says."),
            }),
        ),
    )
}

fn debug() -> Value {
    object(
        "Makes the run wait for a person at certain points, behind the alpha fields' gate.",
        json!({
            "breakpoints": object("Where to wait.", json!({
                "onFailure": string("enabled makes a step that failed wait in its container."),
                "beforeSteps": strings("Steps that wait before they start."),
            })),
        }),
    )
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
