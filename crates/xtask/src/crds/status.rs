//! A TaskRun's status (api.md 1.13).

use k8s_openapi::api::core::v1::{ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting};
use serde_json::{Value, json};

use super::core_types::core;
use super::param::result_values;
use super::schema::{boolean, integer, list, object, open_object, string, string_map, time};

pub(super) fn task_run_status() -> Value {
    let mut status = object(
        "How the run goes and what came of it.",
        json!({
            "observedGeneration": integer("Not written by Tektite."),
            "annotations": string_map("Not written by Tektite."),
            "conditions": conditions(),
            "podName": string("The Pod of the present attempt, in the run's namespace."),
            "startTime": time("When the present attempt began."),
            "completionTime": time("When the run ended."),
            "steps": steps(),
            "sidecars": list("How each sidecar goes.", object("One sidecar's state.", container("sidecar"))),
            "results": result_values("What the Task handed back, once the run has ended."),
            "artifacts": object("What the Task used and made, once the run has ended.", json!({
                "inputs": artifacts("What the Task used."),
                "outputs": artifacts("What the Task made."),
            })),
            "taskSpec": open_object("The Task as it ran: fetched, with its variables replaced."),
            "retriesStatus": list(
                "Attempts that failed before the present one.",
                open_object("The status in which that attempt ended."),
            ),
            "provenance": provenance("Where the Task came from, and the flags in force when it ran."),
            "spanContext": string_map("Where in a trace the run stands, in the fields of W3C trace context."),
        }),
    );
    // One program writes it. Who wrote which field of it would cost the API server a fifth of each write,
    // and a third of the object's size.
    status["x-kubernetes-map-type"] = json!("atomic");
    status
}

fn conditions() -> Value {
    list(
        "What is known of the run; the one of type Succeeded tells how it goes.",
        object(
            "One fact about the run.",
            json!({
                "type": string("What it is about: Succeeded, or TrustedResourcesVerified."),
                "status": string("True, False, or Unknown while the run goes on."),
                "severity": string("Not written by Tektite."),
                "lastTransitionTime": time("When any part of this condition last changed."),
                "reason": string("One word for programs."),
                "message": string("A sentence for people."),
            }),
        ),
    )
}

fn steps() -> Value {
    let mut fields = container("step");
    fields["results"] = result_values("What the step wrote for later steps.");
    fields["provenance"] = provenance("Where the step's StepAction came from.");
    fields["terminationReason"] =
        string("Why the step ended, in one word: Completed, Error, Skipped, TimeoutExceeded and others.");
    fields["inputs"] = artifacts("What the step used.");
    fields["outputs"] = artifacts("What the step made.");
    list(
        "How each step goes, in the Task's order.",
        object("One step's state.", fields),
    )
}

/// What a step's and a sidecar's state have in common.
fn container(what: &str) -> Value {
    json!({
        "name": string(&format!("The {what}'s name.")),
        "container": string("Its container in the Pod."),
        "imageID": string("The image that runs, by digest."),
        "waiting": core::<ContainerStateWaiting>("Set until the container starts."),
        "running": core::<ContainerStateRunning>("Set while the container runs."),
        "terminated": core::<ContainerStateTerminated>("Set once it has ended, with exit code and times."),
    })
}

fn artifacts(description: &str) -> Value {
    list(
        description,
        object(
            "One artifact.",
            json!({
                "name": string("What the step calls it."),
                "buildOutput": boolean("Whether it is what the build was for."),
                "values": list("Where it is to be found.", object("One place.", json!({
                    "digest": string_map("Its content's digest, by algorithm."),
                    "uri": string("Its address."),
                }))),
            }),
        ),
    )
}

fn provenance(description: &str) -> Value {
    object(
        description,
        json!({
            "refSource": object("The remote source.", json!({
                "uri": string("Its address."),
                "digest": string_map("What was fetched, by digest algorithm: a commit or an image's digest."),
                "entryPoint": string("The file or object in it."),
            })),
            "featureFlags": open_object("The feature flags in force."),
        }),
    )
}
