//! How a TaskRun goes: its conditions, steps and results (api.md 1.13).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting},
    apimachinery::pkg::apis::meta::v1::Time,
};
use serde::{Deserialize, Serialize};
pub use tektite_protocol::artifact::{Artifact, ArtifactValue};

use crate::{ParamType, ParamValue, TaskSpec};

/// The condition type that tells how a TaskRun goes.
pub const SUCCEEDED: &str = "Succeeded";

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not, and will not.
    False,
    /// Nobody knows yet.
    #[default]
    Unknown,
}

/// One thing that is known about the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about; mostly [`SUCCEEDED`].
    #[serde(rename = "type")]
    pub condition_type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// How much it matters; other engines' conditions have it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub severity: String,
    /// When any part of it last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// One word for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A result with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultValue {
    /// The result's name.
    pub name: String,
    /// The type of its value.
    #[serde(rename = "type", default)]
    pub result_type: ParamType,
    /// Its value.
    pub value: ParamValue,
}

/// Where something came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Provenance {
    /// The remote source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_source: Option<RefSource>,
    /// The feature flags in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_flags: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A remote source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RefSource {
    /// Its address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// Its content, by algorithm.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    /// The file in it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub entry_point: String,
}

/// How one step goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepState {
    /// It cannot run yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<ContainerStateWaiting>,
    /// Its container runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<ContainerStateRunning>,
    /// It is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<ContainerStateTerminated>,
    /// The step's name, `unnamed-<i>` where it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The container's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// The image that really runs.
    #[serde(rename = "imageID", skip_serializing_if = "String::is_empty")]
    pub image_id: String,
    /// The step's own results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ResultValue>,
    /// Where its StepAction came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// Why it ended, in one word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub termination_reason: String,
    /// What it used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Artifact>,
    /// What it made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Artifact>,
}

/// How one sidecar goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarState {
    /// It cannot run yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<ContainerStateWaiting>,
    /// It runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<ContainerStateRunning>,
    /// It is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<ContainerStateTerminated>,
    /// The sidecar's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The container's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// The image that really runs.
    #[serde(rename = "imageID", skip_serializing_if = "String::is_empty")]
    pub image_id: String,
}

/// How a TaskRun goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskRunStatus {
    /// Of which generation of the spec this is; nobody sets it, and it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// For other programs; nobody here sets them, and they are kept.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Sorted by type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The Pod of the present attempt. Always written, also when empty.
    pub pod_name: String,
    /// When the present attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// In the Task's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepState>,
    /// Earlier attempts, without their own earlier attempts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retries_status: Vec<TaskRunStatus>,
    /// What the Task handed back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ResultValue>,
    /// What the Task used and made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<serde_json::Map<String, serde_json::Value>>,
    /// Containers beside the steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<SidecarState>,
    /// What ran, with its variables replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_spec: Option<TaskSpec>,
    /// Where it came from, and under which flags it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// Trace context.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub span_context: BTreeMap<String, String>,
}

impl TaskRunStatus {
    /// The condition that tells how the run goes.
    pub fn succeeded(&self) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.condition_type == SUCCEEDED)
    }

    /// Whether the run has ended, either way.
    pub fn is_done(&self) -> bool {
        self.succeeded()
            .is_some_and(|condition| condition.status != ConditionStatus::Unknown)
    }
}
