//! Workspaces: what a Task declares, what a TaskRun binds, what a step uses (api.md 1.5).

use k8s_openapi::api::core::v1::{
    CSIVolumeSource, ConfigMapVolumeSource, EmptyDirVolumeSource, PersistentVolumeClaim,
    PersistentVolumeClaimVolumeSource, ProjectedVolumeSource, SecretVolumeSource,
};
use serde::{Deserialize, Serialize};

/// A directory that a Task wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkspaceDeclaration {
    /// Its name.
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it is mounted; `/workspace/<name>` where empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mount_path: String,
    /// Whether steps may only read.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Whether a TaskRun may leave it unbound.
    #[serde(skip_serializing_if = "is_false")]
    pub optional: bool,
}

impl WorkspaceDeclaration {
    /// Where it is mounted in steps that say nothing else.
    pub fn path(&self) -> String {
        if self.mount_path.is_empty() {
            format!("/workspace/{}", self.name)
        } else {
            self.mount_path.clone()
        }
    }
}

/// What a TaskRun puts behind a workspace: exactly one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkspaceBinding {
    /// The workspace's name.
    pub name: String,
    /// A directory inside the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub_path: String,
    /// A claim to make for this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_claim_template: Option<PersistentVolumeClaim>,
    /// A claim that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// A scratch directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// A ConfigMap's keys as files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// A Secret's keys as files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// Several sources in one directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projected: Option<ProjectedVolumeSource>,
    /// A volume from a CSI driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csi: Option<CSIVolumeSource>,
}

/// A workspace that only the steps that list it shall see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkspaceUsage {
    /// The workspace's name.
    pub name: String,
    /// Where this step wants it.
    pub mount_path: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde calls")]
pub(crate) const fn is_false(value: &bool) -> bool {
    !*value
}
