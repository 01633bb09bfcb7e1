//! Observe: what a Pod says about its run (runtime.md 5.9 to 5.12, api.md 5.5 to 5.7).

mod artifacts;
mod delivery;
mod failure;
mod loss;
mod pending;
mod results;
mod results_log;
mod sidecars;
mod steps;

use std::time::Duration;

use jiff::Timestamp;
use tektite_api::{ConditionStatus, TaskRunStatus, TaskSpec};
use tektite_protocol::{artifact::ArtifactError, log_results::Logged};

pub use delivery::cannot_run_entrypoint;
pub use pending::{GRACE, silence};
pub use results_log::{ResultsLog, log_wanted};
pub use sidecars::{Left, awaits_readiness, is_quiet, is_ready, left_running, states as sidecar_states};
pub use steps::{StepView, announced, first_step_began, hand_overs};

use self::results_log::Found;
use crate::{
    condition,
    config::LifecycleSettings,
    pod_view::{Phase, PodView},
    reason::Reason,
};

/// What the run must know besides the Pod.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The run's name.
    pub run_name: &'a str,
    /// What it runs, variables replaced.
    pub spec: &'a TaskSpec,
    /// The log with results, where there is one.
    pub log: &'a ResultsLog,
    /// What the cluster says of a Pod that waits in silence.
    pub news: Option<&'a str>,
    /// How long what may heal by itself is waited for.
    pub settings: LifecycleSettings,
    /// Now.
    pub now: Timestamp,
}

/// What follows from a look at the Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on; look again when the Pod changes, or after this many seconds.
    Ongoing(Option<u64>),
    /// The steps are over, their results are still to come; look again after this time.
    Reading(Duration),
    /// It is over, the Pod may stay.
    Over,
    /// It is over, and the Pod would wait for ever.
    Stuck,
}

/// How far an attempt with a Pod has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its first step has not begun.
    Waiting,
    /// Its steps run, since then.
    Running(Timestamp),
    /// Its steps are over.
    Over,
}

/// How far the Pod has got.
pub fn stage(spec: &TaskSpec, pod: &PodView) -> Stage {
    if is_complete(spec, &steps::read(spec, pod), pod) {
        return Stage::Over;
    }
    steps::first_step_began(spec, pod).map_or(Stage::Waiting, Stage::Running)
}

/// Reads the Pod into the status.
pub fn observe(subject: Subject<'_>, pod: &PodView, status: &mut TaskRunStatus) -> Outcome {
    pod.name().clone_into(&mut status.pod_name);
    let steps = steps_of(subject.spec, pod, status);
    let patience = patience(&steps, subject.now);
    if patience == Some(Duration::ZERO) || steps.iter().any(StepView::never_started) {
        // The steps behind it may never hear of that; and whoever writes results to a log waits for a marker
        // that it never writes.
        complete(subject, pod, steps, Ok(Logged::default()), status);
        return Outcome::Over;
    }
    if is_complete(subject.spec, &steps, pod) {
        let logged = match results_log::find(subject.log, pod, subject.now) {
            Found::All(logged) => Ok(logged),
            Found::Lost(why) => Err(why),
            Found::Later { why, again_in } => {
                let message = format!("All Steps have ended, their results are still to come: {why}");
                condition::ongoing(status, Reason::Running, message, subject.now);
                return Outcome::Reading(again_in);
            }
        };
        complete(subject, pod, steps, logged, status);
        return Outcome::Over;
    }
    // Whoever takes the Pod away leaves it a grace, in which its steps may yet end well.
    if let Some(loss) = loss::of(pod) {
        let left = loss::unconfirmed(pod, subject.now);
        if left == Some(Duration::ZERO) {
            let message = format!("{}\nits node has not confirmed that it ended", loss.message);
            condition::failed(status, loss.reason, message, subject.now);
            keep_what_is_left(subject.spec, pod, status);
            return Outcome::Over;
        }
        condition::ongoing(status, loss.reason, loss.message, subject.now);
        return Outcome::Ongoing(left.map(|left| left.as_secs() + 1));
    }
    match pod.phase() {
        Phase::Pending => match pending::judge(subject, pod, status) {
            pending::Verdict::Wait {
                reason,
                message,
                again_in,
            } => {
                condition::ongoing(status, reason, message, subject.now);
                Outcome::Ongoing(again_in)
            }
            pending::Verdict::GiveUp { reason, message } => {
                condition::failed(status, reason, message, subject.now);
                Outcome::Stuck
            }
        },
        // A container can fail to be made while others already run.
        Phase::Running => match pending::judge(subject, pod, status) {
            pending::Verdict::GiveUp { reason, message } => {
                condition::failed(status, reason, message, subject.now);
                Outcome::Stuck
            }
            pending::Verdict::Wait { again_in, .. } => {
                running(subject, pod, status);
                let patience = patience.map(|left| left.as_secs() + 1);
                Outcome::Ongoing(again_in.into_iter().chain(patience).min())
            }
        },
        Phase::Succeeded | Phase::Failed | Phase::Unknown => {
            if status.succeeded().is_none() {
                running(subject, pod, status);
            }
            Outcome::Ongoing(None)
        }
    }
}

/// Reads what there is of a Pod whose run ends before it: how the steps go, and what those that have ended
/// have left.
pub fn keep_what_is_left(spec: &TaskSpec, pod: &PodView, status: &mut TaskRunStatus) {
    let mut steps = steps_of(spec, pod, status);
    steps.retain(|step| step.terminated().is_some());
    status.results = results::task_results(spec, &[], &steps);
    // The run has failed for another reason: what is of another type than declared is left out, as ever.
    let _mismatch = results::check_types(spec, &mut status.results);
    for step in &steps {
        let state = status
            .steps
            .iter_mut()
            .find(|state| state.container == step.container.name);
        let Some(state) = state else { continue };
        state.results = results::step_results(step);
        if let Ok(artifacts) = artifacts::of_step(step) {
            (state.inputs, state.outputs) = (artifacts.inputs, artifacts.outputs);
        }
    }
    status.artifacts = Some(artifacts::of_run(&steps).unwrap_or_default());
}

/// Reads the steps and sidecars alone into the status.
fn steps_of<'a>(spec: &'a TaskSpec, pod: &'a PodView, status: &mut TaskRunStatus) -> Vec<StepView<'a>> {
    let steps = steps::read(spec, pod);
    if !steps.is_empty() {
        status.steps = steps::states(&steps, status);
    }
    let sidecars = sidecars::states(pod);
    if !sidecars.is_empty() {
        status.sidecars = sidecars;
    }
    steps
}

fn running(subject: Subject<'_>, pod: &PodView, status: &mut TaskRunStatus) {
    let mut message = "Not all Steps in the Task have finished executing".to_owned();
    if let Some(others) = sidecars::awaited(pod) {
        message = format!("{message}\nthe first step waits until these are ready: {others}");
    }
    condition::ongoing(status, Reason::Running, message, subject.now);
}

/// How long the steps behind one whose entrypoint was killed have to notice it; most do within
/// milliseconds.
const NOTICE: Duration = Duration::from_secs(10);

/// What is left of that time where a step ended without a word while others go on.
fn patience(steps: &[StepView<'_>], now: Timestamp) -> Option<Duration> {
    let silent = steps.iter().filter_map(StepView::fell_silent).min()?;
    let waited = Duration::try_from(now.duration_since(silent)).unwrap_or_default();
    let others_go_on = steps.iter().any(|step| step.terminated().is_none());
    others_go_on.then(|| NOTICE.saturating_sub(waited))
}

/// Whether nothing more can come: all steps have ended, or the Pod has, or a step ran out of memory.
fn is_complete(spec: &TaskSpec, steps: &[StepView<'_>], pod: &PodView) -> bool {
    let phase = pod.phase();
    let started = matches!(phase, Phase::Running | Phase::Succeeded);
    let all_ended = all_ended(spec, steps);
    matches!(phase, Phase::Succeeded | Phase::Failed)
        || (started && all_ended)
        || steps.iter().any(StepView::is_out_of_memory)
}

fn all_ended(spec: &TaskSpec, steps: &[StepView<'_>]) -> bool {
    !steps.is_empty()
        && steps.len() == spec.steps.len()
        && steps.iter().all(|step| step.terminated().is_some())
}

fn complete(
    subject: Subject<'_>,
    pod: &PodView,
    mut steps: Vec<StepView<'_>>,
    logged: Result<Logged, String>,
    status: &mut TaskRunStatus,
) {
    let (logged, lost) = match logged {
        Ok(logged) => (logged, None),
        Err(why) => (Logged::default(), Some(why)),
    };
    for (container, entry) in logged.steps {
        let of = steps.iter_mut().find(|step| step.container.name == container);
        if let Some(step) = of {
            step.entries.push(entry);
        }
    }
    let steps = steps.as_slice();
    // Where all steps have told their end, what else is in the Pod does not count.
    let told = all_ended(subject.spec, steps);
    let step_failed = steps.iter().any(StepView::failed);
    if step_failed || (pod.phase() == Phase::Failed && !told) {
        let (reason, message) = failure::explain(subject.run_name, pod, steps);
        condition::failed(status, reason, message, subject.now);
    } else if let Some(why) = lost {
        let message = format!("All Steps have ended well, but their results are lost: {why}");
        condition::failed(status, Reason::TaskRunResultsNotRead, message, subject.now);
    } else if !logged.left_out.is_empty() {
        // Spaces and quotes are upstream's.
        let why = format!(
            " TaskRun \"\"{}\"\" failed: {}",
            subject.run_name,
            logged.left_out.join("; ")
        );
        let reason = Reason::TaskRunResultLargerThanAllowedLimit;
        condition::user_error(status, reason, why, subject.now);
    } else {
        let message = "All Steps have completed executing";
        condition::set(
            status,
            ConditionStatus::True,
            Reason::Succeeded,
            message,
            subject.now,
        );
        status.completion_time = Some(condition::time(subject.now));
    }
    status.results = results::task_results(subject.spec, &logged.task, steps);
    for (state, step) in status.steps.iter_mut().zip(steps) {
        state.results = results::step_results(step);
    }
    let artifacts = tell_artifacts(steps, status);
    let types = results::check_types(subject.spec, &mut status.results);
    // Why a run has failed is not what its steps left unfinished.
    if status
        .succeeded()
        .is_some_and(|known| known.status == ConditionStatus::False)
    {
        return;
    }
    let reason = Reason::TaskRunValidationFailed;
    if let Err(mismatch) = types {
        condition::user_error(status, reason, mismatch, subject.now);
    } else if let Some((step, why)) = steps
        .iter()
        .find_map(|step| Some((step, step.unreadable.as_ref()?)))
    {
        let message = format!(
            "the results of step \"{}\" cannot be read from its termination message: {why}",
            step.container.name
        );
        condition::failed(status, reason, message, subject.now);
    } else if let Err(error) = artifacts {
        let message = format!("the artifacts of this run: {error}");
        condition::failed(status, reason, message, subject.now);
    }
}

fn tell_artifacts(steps: &[StepView<'_>], status: &mut TaskRunStatus) -> Result<(), ArtifactError> {
    for (state, step) in status.steps.iter_mut().zip(steps) {
        let artifacts = artifacts::of_step(step)?;
        (state.inputs, state.outputs) = (artifacts.inputs, artifacts.outputs);
    }
    status.artifacts = Some(artifacts::of_run(steps)?);
    Ok(())
}

#[cfg(test)]
mod tests;
