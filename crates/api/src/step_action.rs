//! StepAction: a step that Tasks share (api.md 1.11).

use k8s_openapi::{
    api::core::v1::{EnvVar, SecurityContext, VolumeMount},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Deserialize, Serialize};

use crate::{
    ParamSpec, TaskResult,
    kind::{ApiVersion, Kind, object_kind},
};

/// A reusable step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepAction {
    /// Always `tekton.dev/v1beta1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `StepAction`.
    #[serde(default)]
    pub kind: Kind<Self>,
    /// Name, namespace, labels, annotations.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it does.
    #[serde(default)]
    pub spec: StepActionSpec,
}
object_kind!(StepAction, step_action_v1beta1, "v1beta1", "stepactions");

/// What a StepAction does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepActionSpec {
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The program.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// A program text instead of a command.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub script: String,
    /// Where it runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// The parameters that it takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ParamSpec>,
    /// What it hands to later steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<TaskResult>,
    /// Security context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// Mounts whose volume a parameter names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
}
