//! The benchmarks and what they measure.

use serde_json::{Value, json};

/// The image of every container; it is on the node from the start.
const IMAGE: &str = "busybox";

/// Subjects that are measured in turn.
#[derive(Debug)]
pub(crate) struct Benchmark {
    /// Part of object names: `a-z`, `0-9` and `-`.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) about: &'static str,
    /// The first is what the others are divided by.
    pub(crate) subjects: Vec<Subject>,
}

/// Something to measure.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Its row in the table.
    pub(crate) label: String,
    /// What is measured of it.
    pub(crate) metric: Metric,
    /// The object to create; it gets a name of its own for each sample.
    pub(crate) object: Value,
}

/// A quantity.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Metric {
    /// Seconds from the request to create the object to the event that says that it succeeded.
    CreateToEnd,
    /// Seconds from the request to create a Pod to the event that says that its containers ended.
    /// The kubelet reports the Pod's end only after that, when it has cleaned up; a TaskRun need
    /// not wait for it.
    CreateToContainersEnded,
}

impl Metric {
    /// Its unit.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::CreateToEnd | Self::CreateToContainersEnded => "s",
        }
    }
}

fn container(name: &str, command: &[&str]) -> Value {
    json!({"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": command})
}

/// A bare Pod that runs one command.
fn pod(label: &str, metric: Metric, command: &[&str]) -> Subject {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {},
        "spec": {"restartPolicy": "Never", "containers": [container("main", command)]},
    });
    Subject {
        label: label.to_owned(),
        metric,
        object,
    }
}

/// A TaskRun of steps that each run the command.
fn task_run(label: &str, steps: usize, command: &[&str]) -> Subject {
    let steps: Vec<_> = (0..steps)
        .map(|index| container(&format!("s{index}"), command))
        .collect();
    let object = json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {},
        "spec": {"taskSpec": {"steps": steps}},
    });
    Subject {
        label: label.to_owned(),
        metric: Metric::CreateToEnd,
        object,
    }
}

/// All benchmarks.
pub(crate) fn all() -> Vec<Benchmark> {
    vec![
        Benchmark {
            name: "one-step",
            about: "what a TaskRun costs over its Pod",
            subjects: vec![
                pod("bare Pod: true", Metric::CreateToEnd, &["true"]),
                pod(
                    "bare Pod: true, its container ended",
                    Metric::CreateToContainersEnded,
                    &["true"],
                ),
                task_run("TaskRun, one step: true", 1, &["true"]),
            ],
        },
        Benchmark {
            name: "ten-steps",
            about: "what handing over between steps costs",
            subjects: vec![
                pod("bare Pod: sleep 3", Metric::CreateToEnd, &["sleep", "3"]),
                pod(
                    "bare Pod: sleep 3, its container ended",
                    Metric::CreateToContainersEnded,
                    &["sleep", "3"],
                ),
                task_run("TaskRun, ten steps: sleep 0.3", 10, &["sleep", "0.3"]),
            ],
        },
    ]
}
