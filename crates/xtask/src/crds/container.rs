//! Containers of a Task: steps, what they have in common, and sidecars (api.md 1.6, 1.8).

use k8s_openapi::api::core::v1::{
    ContainerPort, EnvFromSource, EnvVar, Lifecycle, Probe, ResourceRequirements, SecurityContext,
    VolumeDevice, VolumeMount,
};
use serde_json::{Map, Value, json};

use super::core_types::{core, core_list};
use super::param::{params, step_results};
use super::schema::{boolean, list, object, string, strings};
use super::workspace;

/// A Task's steps.
pub(super) fn steps() -> Value {
    let own = json!({
        "name": string("Names the step and its container step-NAME; a step without one goes by its number."),
        "displayName": string("A name for people, which has no effect."),
        "script": string("A program to run instead of command: by sh unless it begins with #! and another."),
        "timeout": string("The longest that the step may take, such as 90s or 1h30m, before it is killed and fails."),
        "onError": string("continue lets the Task go on after this step failed; stopAndFail, the default, does not."),
        "stdoutConfig": stream("A file to copy the step's standard output to."),
        "stderrConfig": stream("A file to copy the step's standard error to."),
        "ref": step_ref(),
        "params": params("Values for the parameters of the StepAction that ref names."),
        "results": step_results(
            "What the step hands to later steps: it writes each one to the file $(step.results.name.path)."),
        "when": when(),
        "workspaces": workspace::usages(),
    });
    list(
        "What the Task does: containers of one Pod that take turns, in this order, until one fails.",
        object(
            "One step: an image with a command or script, or a reference to a StepAction.",
            merged([common(), own]),
        ),
    )
}

/// What every step has unless it says otherwise.
pub(super) fn step_template() -> Value {
    object(
        "Defaults for every step; what a step says itself wins, variable by variable and mount by mount.",
        common(),
    )
}

/// A Task's sidecars.
pub(super) fn sidecars() -> Value {
    let own = json!({
        "name": string("Names the sidecar and its container, sidecar-NAME."),
        "script": string("A program to run instead of command: by sh unless it begins with #! and another."),
        "ports": core_list::<ContainerPort>("Ports that the sidecar serves, as documentation."),
        "livenessProbe": core::<Probe>("Restarts the sidecar where it fails."),
        "readinessProbe": core::<Probe>("Must succeed before the first step starts."),
        "startupProbe": core::<Probe>("Holds the other probes back until it succeeds."),
        "lifecycle": core::<Lifecycle>("What to run after the sidecar's start and before its end."),
        "terminationMessagePath": string("The file whose text becomes the sidecar's termination message."),
        "terminationMessagePolicy": string("File, or FallbackToLogsOnError to use the log where it failed."),
        "stdin": boolean("Whether standard input stays open."),
        "stdinOnce": boolean("Whether standard input closes after the first who attached has left."),
        "tty": boolean("Whether the sidecar gets a terminal; needs stdin."),
        "workspaces": workspace::usages(),
        "restartPolicy": string("Always makes it an init container that runs on beside the steps."),
    });
    list(
        "Containers that run beside the steps, such as a database for tests, and end after the last step.",
        object("One container beside the steps.", merged([common(), own])),
    )
}

/// What steps, their template and sidecars have in common.
fn common() -> Value {
    json!({
        "image": string("The container's image."),
        "command": strings("The program to run and its first arguments, instead of the image's entrypoint."),
        "args": strings("Arguments for the command or, in a step, for the script."),
        "workingDir": string("The directory to run in, which is made where it lies in a workspace."),
        "envFrom": core_list::<EnvFromSource>("ConfigMaps and Secrets whose keys become environment variables."),
        "env": env("Environment variables of the container."),
        "computeResources": core::<ResourceRequirements>("CPU, memory and other resources, as requests and limits."),
        "volumeMounts": core_list::<VolumeMount>("Where in the container the Task's volumes appear."),
        "volumeDevices": core_list::<VolumeDevice>("Volumes that appear as block devices."),
        "imagePullPolicy": string("Always, IfNotPresent or Never; the image's tag decides where it is left out."),
        "securityContext": security_context(),
    })
}

pub(super) fn env(description: &str) -> Value {
    core_list::<EnvVar>(description)
}

pub(super) fn security_context() -> Value {
    core::<SecurityContext>("User, capabilities and other privileges; they win over those of the Pod.")
}

fn step_ref() -> Value {
    object(
        "A StepAction to run as this step, from the same namespace or through a resolver.",
        json!({
            "name": string("The StepAction's name in this namespace."),
            "resolver": string("Fetches it from elsewhere: git, bundles, hub, http, cluster or one of your own."),
            "params": params("Tells the resolver what to fetch."),
        }),
    )
}

fn stream(description: &str) -> Value {
    object(
        description,
        json!({"path": string("The file's path in the container.")}),
    )
}

fn when() -> Value {
    list(
        "Conditions that must all hold, or the step is skipped and the Task goes on.",
        object(
            "One condition: input, operator and values, or a CEL expression.",
            json!({
                "input": string("The text to look for, usually a variable."),
                "operator": string("in or notin."),
                "values": strings("The texts to compare the input with."),
                "cel": string("An expression in CEL that yields true or false, behind a feature flag."),
            }),
        ),
    )
}

/// Fields of several objects in one.
fn merged<const N: usize>(parts: [Value; N]) -> Value {
    let mut fields = Map::new();
    for part in parts {
        if let Value::Object(part) = part {
            fields.extend(part);
        }
    }
    Value::Object(fields)
}
