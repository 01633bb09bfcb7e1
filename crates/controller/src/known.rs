//! A TaskRun as it is remembered: whole while it goes on, and what little is needed of it afterwards. No I/O.
//!
//! Most TaskRuns of a cluster have ended long ago. What would still have to be written to one of them is
//! read from the API server when its time comes.

use std::sync::Arc;

use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use tektite_api::{TaskRun, TaskRunStatus};
use tektite_core::{
    lifecycle,
    retention::{Finished, Unreadable},
};

use crate::cache::{Cached, Key};

/// A TaskRun as it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub enum KnownRun {
    /// It goes on.
    Live(Arc<TaskRun>),
    /// It has ended.
    Over(Box<Over>),
}

/// What is remembered of a TaskRun that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Over {
    /// Which one.
    pub key: Key,
    /// Its UID.
    pub uid: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// `spec.managedBy`.
    pub managed_by: Option<Box<str>>,
    /// The name of its last Pod; empty where it had none.
    pub pod: Box<str>,
    /// The name of the Pod of the attempt before, where there was one.
    pub earlier_pod: Option<Box<str>>,
    /// Whether its status says of a sidecar that it has not ended.
    pub has_open_sidecars: bool,
    /// Whether it is on its way out.
    pub is_deleting: bool,
    /// What says how long it stays.
    pub finished: Result<Option<Finished>, Unreadable>,
}

impl Over {
    /// Where it is, for requests that are only about this very state of it.
    pub fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            namespace: Some(self.key.namespace.clone()),
            name: Some(self.key.name.clone()),
            uid: Some(self.uid.to_string()),
            resource_version: Some(self.version.to_string()),
            ..ObjectMeta::default()
        }
    }

    /// Whether `other`, which is the same run, differs from it in more than its version.
    pub fn differs(&self, other: &Self) -> bool {
        let version = other.version.clone();
        *other
            != Self {
                version,
                ..self.clone()
            }
    }
}

impl From<TaskRun> for KnownRun {
    fn from(run: TaskRun) -> Self {
        if !run.is_done() {
            return Self::Live(Arc::new(run));
        }
        let finished = Finished::read(&run);
        let earlier_pod = lifecycle::earlier_pod(&run).map(Into::into);
        let key = Key::of(&run.metadata);
        let status = run.status.unwrap_or_default();
        Self::Over(Box::new(Over {
            key,
            uid: run.metadata.uid.unwrap_or_default().into(),
            version: run.metadata.resource_version.unwrap_or_default().into(),
            managed_by: run.spec.managed_by.map(Into::into),
            has_open_sidecars: has_open_sidecars(&status),
            pod: status.pod_name.into(),
            earlier_pod,
            is_deleting: run.metadata.deletion_timestamp.is_some(),
            finished,
        }))
    }
}

fn has_open_sidecars(status: &TaskRunStatus) -> bool {
    status.sidecars.iter().any(|sidecar| sidecar.terminated.is_none())
}

impl KnownRun {
    /// `spec.managedBy`.
    pub fn managed_by(&self) -> Option<&str> {
        match self {
            Self::Live(run) => run.spec.managed_by.as_deref(),
            Self::Over(over) => over.managed_by.as_deref(),
        }
    }

    /// Whether it has ended.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Over(_))
    }

    /// How events refer to it.
    pub fn reference(&self) -> ObjectReference {
        match self {
            Self::Live(run) => crate::events::task_run(run),
            Self::Over(over) => crate::events::reference::<TaskRun>(&over.metadata()),
        }
    }
}

impl Cached for KnownRun {
    fn key(&self) -> Key {
        match self {
            Self::Live(run) => run.key(),
            Self::Over(over) => over.key.clone(),
        }
    }

    fn uid(&self) -> Option<&str> {
        match self {
            Self::Live(run) => run.metadata.uid.as_deref(),
            Self::Over(over) => Some(&over.uid),
        }
    }

    fn version(&self) -> Option<&str> {
        match self {
            Self::Live(run) => run.metadata.resource_version.as_deref(),
            Self::Over(over) => Some(&*over.version).filter(|version| !version.is_empty()),
        }
    }
}
