//! TaskRun: one execution of a Task (api.md 1.1).

use k8s_openapi::{
    api::core::v1::ResourceRequirements,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use serde::{Deserialize, Serialize};

use crate::{
    GoDuration, Param, PodTemplate, TaskRunStatus, TaskSpec, WorkspaceBinding,
    kind::{ApiVersion, Kind, object_kind},
};

/// One execution of a Task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRun {
    /// Always `tekton.dev/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `TaskRun`.
    #[serde(default)]
    pub kind: Kind<Self>,
    /// Name, namespace, labels, annotations.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What to run and with what.
    #[serde(default)]
    pub spec: TaskRunSpec,
    /// How it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TaskRunStatus>,
    /// What its reader had against it, in words: it was stored while nobody looked. Not on the wire.
    #[serde(skip)]
    pub misread: Option<String>,
}
object_kind!(TaskRun, task_run_v1, "v1", "taskruns");

impl TaskRun {
    /// The name, empty for an object that has none yet.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The namespace, empty for an object that has none.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The UID, empty before the object is stored.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The value of annotation `key`.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// When it was stored.
    pub fn created(&self) -> Option<&Time> {
        self.metadata.creation_timestamp.as_ref()
    }

    /// Whether its Succeeded condition is True or False.
    pub fn is_done(&self) -> bool {
        self.status.as_ref().is_some_and(TaskRunStatus::is_done)
    }
}

/// A reference to a Task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskRef {
    /// The Task's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `Task`; recorded, not used.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Recorded, not used.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// The resolver that fetches it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resolver: String,
    /// The resolver's parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
}

/// Resources for one step or sidecar of the Task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerSpec {
    /// The step's or sidecar's name.
    pub name: String,
    /// Overrides, key by key.
    pub compute_resources: ResourceRequirements,
}

/// Where to halt for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskBreakpoints {
    /// `enabled`: a failing step waits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub on_failure: String,
    /// Steps that wait before they start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before_steps: Vec<String>,
}

/// Debugging of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskRunDebug {
    /// Where to halt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breakpoints: Option<TaskBreakpoints>,
}

/// What the user asks of a run that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RequestedStatus {
    /// To go on.
    #[default]
    None,
    /// To end: `TaskRunCancelled`.
    Cancelled,
    /// Not to start yet: `TaskRunPending`.
    Pending,
    /// A word that means nothing; admission refuses it.
    Other(String),
}

impl RequestedStatus {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "",
            Self::Cancelled => "TaskRunCancelled",
            Self::Pending => "TaskRunPending",
            Self::Other(word) => word,
        }
    }

    /// Whether nothing is asked.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl Serialize for RequestedStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RequestedStatus {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ok(match word.as_str() {
            "" => Self::None,
            "TaskRunCancelled" => Self::Cancelled,
            "TaskRunPending" => Self::Pending,
            _ => Self::Other(word),
        })
    }
}

/// What to run and with what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskRunSpec {
    /// See [`crate::task_run::TaskRunDebug`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<TaskRunDebug>,
    /// Values for the Task's parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// The Pod's account. Always written, also when empty.
    pub service_account_name: String,
    /// The Task to run; this or `task_spec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_ref: Option<TaskRef>,
    /// An inline Task; this or `task_ref`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_spec: Option<TaskSpec>,
    /// Cancel, or hold.
    #[serde(skip_serializing_if = "RequestedStatus::is_none")]
    pub status: RequestedStatus,
    /// Why, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status_message: String,
    /// More attempts after a failure.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
    /// The longest that one attempt may take; zero is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
    /// What the Pod shall have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// What lies behind the Task's workspaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<WorkspaceBinding>,
    /// Resources of single steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub step_specs: Vec<ContainerSpec>,
    /// Resources of single sidecars.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sidecar_specs: Vec<ContainerSpec>,
    /// Resources of all steps together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_resources: Option<ResourceRequirements>,
    /// The controller that shall run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde calls")]
const fn is_zero(value: &i64) -> bool {
    *value == 0
}
