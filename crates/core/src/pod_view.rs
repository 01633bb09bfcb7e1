//! A Pod as the controller keeps it: what tells how a run goes, and no spec.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ContainerStatus, PodCondition, PodStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Deserialize, Serialize};
use tektite_api::labels;

use crate::names;

/// Metadata and status of a Pod. Read only: written back, it would lose the spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodView {
    /// Name, owner, labels, annotations.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// How it goes.
    #[serde(default)]
    pub status: PodStatus,
}

impl k8s_openapi::Resource for PodView {
    const API_VERSION: &'static str = "v1";
    const GROUP: &'static str = "";
    const KIND: &'static str = "Pod";
    const VERSION: &'static str = "v1";
    const URL_PATH_SEGMENT: &'static str = "pods";
    type Scope = k8s_openapi::NamespaceResourceScope;
}

impl k8s_openapi::Metadata for PodView {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The phase of a Pod's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers have been made.
    Pending,
    /// At least one runs.
    Running,
    /// All ended well.
    Succeeded,
    /// All ended, not all well.
    Failed,
    /// The node cannot be asked.
    Unknown,
}

impl PodView {
    /// The name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The UID.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Whether the object with `uid` controls it.
    pub fn is_controlled_by(&self, uid: &str) -> bool {
        let owners = self.metadata.owner_references.as_deref().unwrap_or_default();
        owners
            .iter()
            .any(|owner| owner.controller == Some(true) && owner.uid == uid)
    }

    /// Whether somebody has asked for its deletion.
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// The phase; a Pod that nobody has reported on is pending.
    pub fn phase(&self) -> Phase {
        match self.status.phase.as_deref() {
            None | Some("" | "Pending") => Phase::Pending,
            Some("Running") => Phase::Running,
            Some("Succeeded") => Phase::Succeeded,
            Some("Failed") => Phase::Failed,
            Some(_) => Phase::Unknown,
        }
    }

    /// Statuses of ordinary containers.
    pub fn containers(&self) -> &[ContainerStatus] {
        self.status.container_statuses.as_deref().unwrap_or_default()
    }

    /// Whether any step's container has begun, so that there are logs. The kubelet calls a Pod pending
    /// as long as one container waits, so the phase does not tell.
    pub fn has_run(&self) -> bool {
        self.steps()
            .filter_map(|container| container.state.as_ref())
            .any(|state| state.running.is_some() || state.terminated.is_some())
    }

    /// Whether no step runs in it any more, nor ever will.
    pub fn is_over(&self) -> bool {
        let ended = |container: &ContainerStatus| {
            container
                .state
                .as_ref()
                .is_some_and(|state| state.terminated.is_some())
        };
        let mut steps = self.steps().peekable();
        matches!(self.phase(), Phase::Succeeded | Phase::Failed)
            || (steps.peek().is_some() && steps.all(ended))
    }

    fn steps(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.containers()
            .iter()
            .filter(|container| container.name.starts_with("step-"))
    }

    /// When it was given its node.
    pub fn scheduled(&self) -> Option<Timestamp> {
        let conditions = self.status.conditions.as_deref().unwrap_or_default();
        let is_it =
            |condition: &&PodCondition| condition.type_ == "PodScheduled" && condition.status == "True";
        let condition = conditions.iter().find(is_it)?;
        condition.last_transition_time.as_ref().map(|time| time.0)
    }

    /// Statuses of init containers.
    pub fn init_containers(&self) -> &[ContainerStatus] {
        self.status.init_container_statuses.as_deref().unwrap_or_default()
    }

    /// Whether any init container has begun.
    pub fn init_has_run(&self) -> bool {
        let states = self
            .init_containers()
            .iter()
            .filter_map(|container| container.state.as_ref());
        states
            .into_iter()
            .any(|state| state.running.is_some() || state.terminated.is_some())
    }

    /// Whether anything has run in it that may have told something: steps, sidecars, init containers of
    /// others. Ours tells nothing that a run's end depends on.
    pub fn has_logs(&self) -> bool {
        let all = self.containers().iter().chain(self.init_containers());
        all.filter(|container| container.name != names::PREPARE)
            .filter_map(|container| container.state.as_ref())
            .any(|state| state.running.is_some() || state.terminated.is_some())
    }

    /// The value of annotation `key`.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// The name of the TaskRun that it belongs to.
    pub fn task_run(&self) -> Option<&str> {
        self.metadata
            .labels
            .as_ref()?
            .get(labels::TASK_RUN)
            .map(String::as_str)
    }
}
