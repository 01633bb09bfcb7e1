//! The clocks of an attempt: how long it may wait for its first step, and how long its steps may run
//! (departures.md, runtime.md 5.3).

use std::time::Duration;

use jiff::Timestamp;
use tektite_api::{GoDuration, TaskRun, TaskRunStatus};

use super::{Effect, Gathered, Plan, decide::own_pod};
use crate::{
    condition,
    config::Clock,
    observe::{self, Stage},
    reason::Reason,
};

/// What can be used up.
enum Limit {
    /// What a run may wait for its first step.
    Patience,
    /// What its steps may take.
    Time,
}

/// Ends a run that is out of time, and has the others looked at when they will be.
pub(super) fn enforce(gathered: &Gathered<'_>, plan: &mut Plan) {
    let Gathered { run, config, now, .. } = *gathered;
    let settings = config.defaults.lifecycle;
    let Some(start) = plan.status.start_time.as_ref().map(|start| start.0) else {
        return;
    };
    if plan.status.is_done() || plan.look_up.is_some() {
        return;
    }
    let stage = stage(gathered, plan);
    let gets_pod = plan.new_pod().is_some();
    let waits_for_room =
        awaits_quota(&plan.status) || (gets_pod && run.status.as_ref().is_some_and(awaits_quota));
    let timeout = run.spec.timeout.unwrap_or(config.defaults.timeout);
    let (kind, limit, since) = match (stage, settings.clock) {
        (Stage::Over, _) => return,
        // A run that has no Pod for want of room does not spend its time, only its patience.
        (Stage::Waiting, Clock::Start) if !waits_for_room => (Limit::Time, timeout, start),
        (Stage::Running(_), Clock::Start) => (Limit::Time, timeout, start),
        (Stage::Waiting, _) => (Limit::Patience, settings.pending_timeout, start),
        (Stage::Running(since), Clock::FirstStep) => (Limit::Time, timeout, since),
    };
    let left = left(limit, since, now);
    if left != Some(Duration::ZERO) {
        if gets_pod && waits_for_room && settings.clock == Clock::Start {
            plan.status.start_time = Some(condition::time(now));
        }
        return left.into_iter().for_each(|left| plan.look_in(left));
    }
    let message = match kind {
        Limit::Patience => never_began(gathered, plan, limit),
        Limit::Time => too_slow(gathered, plan, limit),
    };
    // What would only begin now, must not.
    plan.effects
        .retain(|effect| !matches!(effect, Effect::CreateClaim(_) | Effect::CreatePod(_)));
    if own_pod(gathered).is_none() {
        plan.status.pod_name.clear();
    }
    plan.requeue = None;
    condition::failed(&mut plan.status, Reason::TaskRunTimeout, message, now);
}

/// What is left of `limit`; nothing is left of a limit that there is not.
fn left(limit: GoDuration, since: Timestamp, now: Timestamp) -> Option<Duration> {
    let spent = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    (!limit.is_zero()).then(|| limit.to_std().saturating_sub(spent))
}

fn stage(gathered: &Gathered<'_>, plan: &Plan) -> Stage {
    match (own_pod(gathered), &plan.status.task_spec) {
        (Some(pod), Some(spec)) if !plan.status.pod_name.is_empty() => observe::stage(spec, pod),
        _ => Stage::Waiting,
    }
}

/// Whether the namespace's quota is what the run waits for, or has waited for to its end.
pub fn awaits_quota(status: &TaskRunStatus) -> bool {
    let known = status.succeeded();
    known.is_some_and(|known| known.reason == Reason::ExceededResourceQuota.as_str())
}

/// Why a run has no Pod where something passing keeps it from one: the namespace's quota, if that did before,
/// since that time is not the run's.
pub(super) fn waits_for(run: &TaskRun) -> Reason {
    if run.status.as_ref().is_some_and(awaits_quota) {
        Reason::ExceededResourceQuota
    } else {
        Reason::Pending
    }
}

/// What the run waited for to its end. A Pod that would only be made now says nothing about it.
fn never_began(gathered: &Gathered<'_>, plan: &Plan, limit: GoDuration) -> String {
    let known = match (plan.new_pod(), &gathered.run.status) {
        (Some(_), Some(stored)) => stored.succeeded(),
        _ => plan.status.succeeded(),
    };
    let why = known
        .map(|known| known.message.as_str())
        .filter(|why| !why.is_empty() && *why != "Pending")
        .unwrap_or("nothing says what it waits for");
    format!(
        "TaskRun \"{}\" failed to begin its first step within \"{limit}\": {why}",
        gathered.run.name()
    )
}

/// Upstream's sentence, what the run waited for, and the step that was still running.
fn too_slow(gathered: &Gathered<'_>, plan: &Plan, limit: GoDuration) -> String {
    let run = gathered.run;
    let message = format!(
        "TaskRun \"{}\" failed to finish within \"{limit}\"{}",
        run.name(),
        super::ending::previous(run)
    );
    match running(&plan.status) {
        Some((step, since)) => {
            let seconds = gathered.now.duration_since(since).as_secs().max(0);
            format!("{message}\nstep \"{step}\" was still running, for {seconds}s")
        }
        None => message,
    }
}

/// The step that runs, and since when. Those behind it run as containers, too, and wait.
fn running(status: &TaskRunStatus) -> Option<(&str, Timestamp)> {
    let step = status.steps.iter().find(|step| step.terminated.is_none())?;
    let began = step.running.as_ref()?.started_at.as_ref()?.0;
    let ended = status
        .steps
        .iter()
        .filter_map(|step| step.terminated.as_ref()?.finished_at.as_ref());
    let since = ended.map(|ended| ended.0).fold(began, Timestamp::max);
    Some((&step.name, since))
}
