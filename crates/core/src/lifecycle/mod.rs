//! Decide: from everything that is known about a run to what has to be done next.
//!
//! [`wanted`] says what the controller still has to fetch, [`plan`] puts resolve, validate,
//! substitute, build and observe in order, and [`after_failure`] reads a refused write. Pure: the
//! time is a parameter, and what must be written is a value.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use tektite_api::{StepAction, Task, TaskRun, TaskRunStatus};

use crate::{
    account::Account,
    config::Config,
    delivery::Delivery,
    image::{Answers, Question},
    limit_range::Limits,
    observe::ResultsLog,
    pod_view::PodView,
    sidecars::Surroundings,
};

mod accounts;
mod attempts;
mod beside;
mod clock;
mod decide;
mod ending;
mod images;
mod prepare;
pub mod quota;
mod refused;
mod room;
#[cfg(test)]
mod testing;
mod wanted;

pub use accounts::wanted_account;
pub use beside::not_ended;
pub use clock::awaits_quota;
pub use decide::{holder, not_gathered, plan, pod_name};
pub use refused::after_failure;
pub use wanted::{earlier_pod, wanted, wanted_actions, wanted_log, wants_news};

/// What the controller has to fetch before [`plan`] can decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing more.
    Nothing,
    /// The Task with this name, in the run's namespace.
    Task(String),
}

/// The Task that was asked for.
#[derive(Clone, Debug, Default)]
pub enum Fetched {
    /// Nobody asked for one.
    #[default]
    Nothing,
    /// Here it is.
    Task(Box<Task>),
    /// The API server says that it does not exist.
    TaskMissing,
}

/// Everything that a decision rests on.
#[derive(Clone, Debug)]
pub struct Gathered<'a> {
    /// The run as it is stored.
    pub run: &'a TaskRun,
    /// Its Pod of the present attempt, where the API server has one.
    pub pod: Option<&'a PodView>,
    /// The Pod of the attempt before, where it is still there.
    pub earlier: Option<&'a PodView>,
    /// What [`wanted`] asked for.
    pub fetched: Fetched,
    /// The StepActions of its steps that exist, by name.
    pub actions: &'a BTreeMap<String, StepAction>,
    /// What the cluster says of a Pod that waits in silence, if [`wants_news`] asked for that.
    pub news: Option<&'a str>,
    /// What [`wanted_log`] asked for.
    pub log: &'a ResultsLog,
    /// What is known of the images that [`Plan::look_up`] asked about.
    pub images: &'a Answers,
    /// The account that [`wanted_account`] asked for.
    pub account: &'a Account,
    /// The operator's settings.
    pub config: &'a Config,
    /// How the entrypoint shall reach the steps of a new Pod.
    pub delivery: DeliverySettings<'a>,
    /// What the cluster does to a new Pod.
    pub around: Surroundings,
    /// What the namespace's LimitRanges say.
    pub limits: &'a Limits,
    /// What this build calls itself in the release annotation.
    pub revision: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// How the entrypoint reaches new Pods.
#[derive(Clone, Copy, Debug)]
pub struct DeliverySettings<'a> {
    /// The form that the cluster's nodes allow.
    pub form: Delivery,
    /// Whether a Pod that cannot run the entrypoint may be replaced by one in the other form.
    pub fallback: Fallback,
    /// The image with the entrypoint.
    pub image: &'a str,
    /// When nodes pull it: `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: &'a str,
}

/// Whether another form may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// `auto`: once per run.
    Once,
    /// The operator has fixed the form.
    Never,
}

/// What has to be done for a run: the effects in order, then the metadata, then the status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Writes to other objects.
    pub effects: Vec<Effect>,
    /// Labels that the run shall have besides its own.
    pub labels: BTreeMap<String, String>,
    /// Annotations that the run shall have besides its own.
    pub annotations: BTreeMap<String, String>,
    /// The status that the run shall have; equal to the stored one where nothing changed.
    pub status: TaskRunStatus,
    /// Writes that end what is needed no more, once the status is written. A refusal changes nothing about
    /// the run: each look asks for them again as long as they are needed.
    pub afterwards: Vec<Effect>,
    /// When to look again without being asked.
    pub requeue: Option<Duration>,
    /// What to tell people who describe the run.
    pub events: Vec<Event>,
    /// What the registries have to be asked first: then nothing else of this plan is to be done, and
    /// [`plan`] decides anew with the answers in [`Gathered::images`].
    pub look_up: Option<Question>,
}

impl Plan {
    /// Has the run looked at again after `wait`, if not before.
    fn look_in(&mut self, wait: Duration) {
        self.requeue = Some(self.requeue.map_or(wait, |known| known.min(wait)));
    }

    /// The Pod that it makes, if it makes one.
    pub fn new_pod(&self) -> Option<&Pod> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::CreatePod(pod) => Some(&**pod),
            _ => None,
        })
    }
}

/// A write to an object other than the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A claim for a workspace; that it exists already is no error.
    CreateClaim(Box<PersistentVolumeClaim>),
    /// The run's Pod. Where one with the same name exists and the run controls it, that one is it.
    CreatePod(Box<Pod>),
    /// Ends a Pod; that it is gone is no error.
    DeletePod {
        /// Its name.
        name: String,
        /// Its UID, so that a later Pod of the same name is left alone.
        uid: String,
    },
    /// Adds annotations to a Pod; that it is gone is no error.
    AnnotatePod {
        /// Its name.
        name: String,
        /// The annotations, by key.
        entries: Vec<(&'static str, String)>,
    },
    /// Has the kubelet stop what still runs in a Pod, which stays with its logs; that it is gone is no
    /// error.
    EndPod {
        /// Its name.
        name: String,
    },
}

/// A Kubernetes event about the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether somebody should look.
    pub severity: Severity,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// How bad an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// Not as it should be.
    Warning,
}

/// How the API server answered an [`Effect`] that it did not carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 409 because of a quota's bookkeeping.
    QuotaConflict(String),
    /// 403.
    Forbidden(String),
    /// 409, and the object that has the name belongs to somebody else.
    NameTaken(String),
    /// 400, 404, 422: the object is not acceptable.
    Invalid(String),
    /// A time-out, a broken connection, 429 or 5xx: another try can help.
    Transient(String),
}

impl Refusal {
    /// What the API server said.
    pub fn text(&self) -> &str {
        match self {
            Self::QuotaConflict(text)
            | Self::Forbidden(text)
            | Self::NameTaken(text)
            | Self::Invalid(text)
            | Self::Transient(text) => text,
        }
    }
}
