//! Steps as the Pod shows them, and as the status tells them (runtime.md 5.12).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus};
use tektite_api::{
    Step, TaskRunStatus, TaskSpec, labels,
    status::{Provenance, StepState},
};
use tektite_protocol::termination::{self, Entry, Kind, MessageError, key};

use super::sidecars::awaits_readiness;
use crate::{condition, names, pod_view::PodView};

const PREFIX: &str = "step-";

/// A step with its container, and what it said when it ended.
pub struct StepView<'a> {
    /// Its declaration.
    pub(super) step: &'a Step,
    /// Its container.
    pub(super) container: &'a ContainerStatus,
    /// Its termination message; empty when there is none or it cannot be read.
    pub(super) entries: Vec<Entry>,
    /// Why its message cannot be read, if that is so.
    pub(super) unreadable: Option<MessageError>,
}

impl StepView<'_> {
    /// Its name, `unnamed-<i>` where its author gave none.
    pub(super) fn name(&self) -> &str {
        let container = &self.container.name;
        if self.step.name.is_empty() {
            container.strip_prefix(PREFIX).unwrap_or(container)
        } else {
            &self.step.name
        }
    }

    fn state(&self) -> Option<&ContainerState> {
        self.container.state.as_ref()
    }

    /// How it ended.
    pub(super) fn terminated(&self) -> Option<&ContainerStateTerminated> {
        self.state()?.terminated.as_ref()
    }

    /// The value of an entry that is not a result.
    pub(super) fn internal(&self, key: &str) -> Option<&str> {
        let found = self
            .entries
            .iter()
            .find(|entry| entry.kind == Kind::Internal && entry.key == key);
        found.map(|entry| entry.value.as_str())
    }

    /// Whether the kernel ended it for its memory.
    pub(super) fn is_out_of_memory(&self) -> bool {
        self.terminated()
            .is_some_and(|end| end.reason.as_deref() == Some("OOMKilled"))
    }

    /// Whether its container could not even be started, so that its entrypoint never ran.
    pub(super) fn never_started(&self) -> bool {
        let reason = self.terminated().and_then(|end| end.reason.as_deref());
        matches!(reason, Some("StartError" | "ContainerCannotRun"))
    }

    /// When its container ended, if its entrypoint was killed before it could say a word.
    pub(super) fn fell_silent(&self) -> Option<Timestamp> {
        let end = self.terminated().filter(|_| self.failed())?;
        let said_nothing = self.entries.is_empty() && self.unreadable.is_none();
        end.finished_at.as_ref().filter(|_| said_nothing).map(|at| at.0)
    }

    /// Whether its container ended with an error.
    pub(super) fn failed(&self) -> bool {
        self.terminated().is_some_and(|end| end.exit_code != 0) || self.is_out_of_memory()
    }
}

fn container_of<'a>(step: &Step, index: usize, pod: &'a PodView) -> Option<&'a ContainerStatus> {
    let name = names::container(&names::step_base(step, index));
    pod.containers().iter().find(|container| container.name == name)
}

/// The steps in the Task's order; those that no container stands for yet are left out.
pub(super) fn read<'a>(spec: &'a TaskSpec, pod: &'a PodView) -> Vec<StepView<'a>> {
    let each = spec.steps.iter().enumerate().filter_map(|(index, step)| {
        let container = container_of(step, index, pod)?;
        let message = container
            .state
            .as_ref()
            .and_then(|state| state.terminated.as_ref())
            .and_then(|end| end.message.as_deref())
            .unwrap_or_default();
        let (entries, unreadable) = match termination::decode(message) {
            Ok(entries) => (entries, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Some(StepView {
            step,
            container,
            entries,
            unreadable,
        })
    });
    each.collect()
}

/// How long after the step before it each step was started, of those that have ended and say so.
pub fn hand_overs(spec: &TaskSpec, pod: &PodView) -> Vec<Duration> {
    let views = read(spec, pod);
    let micros = views
        .iter()
        .filter_map(|view| view.internal(key::HAND_OVER)?.parse().ok());
    micros.map(Duration::from_micros).collect()
}

/// When the first step began, as far as the Pod tells: the timeout's clock starts here. A step that waits
/// for the Pod's other containers has not begun.
pub fn first_step_began(spec: &TaskSpec, pod: &PodView) -> Option<Timestamp> {
    if awaits_readiness(pod) {
        return None;
    }
    let state = container_of(spec.steps.first()?, 0, pod)?.state.as_ref()?;
    let running = state
        .running
        .as_ref()
        .and_then(|running| running.started_at.as_ref());
    let ended = state
        .terminated
        .as_ref()
        .and_then(|ended| ended.started_at.as_ref());
    // A container that could not be started ends with the beginning of time as its start.
    let began = running.or(ended).map(|time| time.0);
    let let_go = pod
        .annotation(labels::READY_AT)
        .and_then(|text| text.parse().ok());
    began
        .filter(|began| began.as_second() > 0)
        .map(|began| let_go.map_or(began, |let_go| began.max(let_go)))
}

/// What the status shows of steps that have no container yet.
pub fn announced(spec: &TaskSpec) -> Vec<StepState> {
    let each = spec.steps.iter().enumerate().map(|(index, step)| {
        let base = names::step_base(step, index);
        StepState {
            name: base.strip_prefix(PREFIX).unwrap_or(&base).to_owned(),
            provenance: Some(Provenance::default()),
            ..StepState::default()
        }
    });
    each.collect()
}

/// The states that the status shows.
pub(super) fn states(steps: &[StepView<'_>], before: &TaskRunStatus) -> Vec<StepState> {
    let each = steps.iter().map(|view| {
        let container = view.container;
        let state = container.state.clone().unwrap_or_default();
        let name = container
            .name
            .strip_prefix(PREFIX)
            .unwrap_or(&container.name)
            .to_owned();
        let known = before.steps.iter().find(|known| known.name == name);
        StepState {
            waiting: state.waiting,
            running: state.running,
            termination_reason: termination_reason(view),
            terminated: state.terminated.map(|end| told(view, end)),
            provenance: Some(
                known
                    .and_then(|known| known.provenance.clone())
                    .unwrap_or_default(),
            ),
            name,
            container: container.name.clone(),
            image_id: container.image_id.clone(),
            results: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    });
    each.collect()
}

/// The container's end as the step tells it: its real start and exit code, and a message with
/// nothing but results. A long one stays compressed: every step tells all results of the Task, and
/// what they are stands in the run's results once more.
fn told(view: &StepView<'_>, mut end: ContainerStateTerminated) -> ContainerStateTerminated {
    if let Some(started) = view
        .internal(key::STARTED_AT)
        .and_then(|text| text.parse::<Timestamp>().ok())
    {
        // As it is stored: with what is not stored of it, the status would differ for ever.
        end.started_at = Some(condition::time(started));
    }
    if let Some(code) = view.internal(key::EXIT_CODE).and_then(|text| text.parse().ok()) {
        end.exit_code = code;
    }
    if view.unreadable.is_none() {
        let results = view.entries.iter().filter(|entry| entry.kind != Kind::Internal);
        let rest: Vec<Entry> = results.cloned().collect();
        end.message = if rest.is_empty() {
            None
        } else {
            termination::encode(&rest, termination::MAX_BYTES).ok()
        };
    }
    end
}

fn termination_reason(view: &StepView<'_>) -> String {
    let Some(end) = view.terminated() else {
        return String::new();
    };
    if view.entries.is_empty() {
        return if view.is_out_of_memory() {
            "OOMKilled".to_owned()
        } else {
            String::new()
        };
    }
    match (view.internal(key::REASON), view.internal(key::EXIT_CODE)) {
        (Some(reason), _) => reason.to_owned(),
        (None, Some(_)) => "Continued".to_owned(),
        (None, None) => end.reason.clone().unwrap_or_default(),
    }
}
