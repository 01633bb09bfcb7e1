//! How a run ends before its steps have: by its user, by its clock, or because a container cannot be made
//! (runtime.md 5.14, departures.md). What its Pod still does is ended once that is written.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ContainerStateTerminated;
use serde_json::Value;
use tektite_api::{TaskRun, TaskRunStatus, labels};

use super::{
    Effect, Gathered, Plan,
    decide::{own_pod, start},
    room,
};
use crate::{
    condition,
    config::{KEEP_POD, PodAfterStop},
    observe,
    pod_view::PodView,
    reason::Reason,
};

/// How long steps have to end once they are told: the entrypoint gives a command ten seconds, and has
/// to hear of it before that.
pub(super) const STEPS_STOP: Duration = Duration::from_mins(1);

/// How long steps have to notice by themselves that one before them is gone.
const NOTICE: Duration = Duration::from_secs(5);

/// What the run waited for when it was ended, on a line of its own.
pub(super) fn previous(run: &TaskRun) -> String {
    let known = run.status.as_ref().and_then(TaskRunStatus::succeeded);
    let no_news = [Reason::Started, Reason::Running, Reason::TaskRunPending].map(Reason::as_str);
    match known {
        Some(known) if !known.message.is_empty() && !no_news.contains(&known.reason.as_str()) => {
            format!("\nPrevious status: [{}] {}", known.reason, known.message)
        }
        _ => String::new(),
    }
}

/// The user wants no more of it.
pub(super) fn cancel(gathered: &Gathered<'_>, plan: &mut Plan) {
    let Gathered { run, now, .. } = *gathered;
    if plan.status.start_time.is_none() {
        start(run, plan, now);
    }
    let message = format!(
        "TaskRun \"{}\" was cancelled. {}{}",
        run.name(),
        run.spec.status_message,
        previous(run)
    );
    if let Some(pod) = own_pod(gathered) {
        pod.name().clone_into(&mut plan.status.pod_name);
    }
    condition::failed(&mut plan.status, Reason::TaskRunCancelled, message, now);
}

/// Where the run has just ended before its steps: what they have left is kept, those that have not ended
/// end with the run, and the Pod is ended.
pub(super) fn close(gathered: &Gathered<'_>, plan: &mut Plan) {
    let Some(end) = Forced::of(&plan.status).filter(|_| !plan.status.pod_name.is_empty()) else {
        return;
    };
    let pod = own_pod(gathered);
    // A step that has ended has ended, whatever became of the run.
    if let (Some(spec), Some(pod)) = (plan.status.task_spec.clone(), pod)
        && !matches!(end, Forced::Left(_))
    {
        observe::keep_what_is_left(&spec, pod, &mut plan.status);
        room::for_results(gathered.run, &mut plan.status, gathered.now);
    }
    steps_ended_with_the_run(gathered.run, &mut plan.status, gathered.now);
    if let Some(pod) = pod {
        let status = plan.status.clone();
        end.stop(gathered, &status, pod, plan);
    }
}

/// Why a run can end while its steps go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forced {
    /// Somebody did not want to wait for them, at this time.
    Stopped(Timestamp),
    /// Containers that will never be made.
    Stuck,
    /// One of them ended so that the others may not have noticed, at this time.
    Left(Timestamp),
}

impl Forced {
    /// Whether the attempt with this status ended so.
    pub(super) fn of(status: &TaskRunStatus) -> Option<Self> {
        let known = status.succeeded().filter(|_| status.is_done())?;
        let at = || Some(status.completion_time.as_ref()?.0);
        match Reason::from_word(&known.reason)? {
            Reason::Succeeded => None,
            Reason::TaskRunCancelled | Reason::TaskRunTimeout => at().map(Self::Stopped),
            Reason::TaskRunImagePullFailed
            | Reason::CreateContainerConfigError
            | Reason::PodCreationFailed => Some(Self::Stuck),
            _ => at().map(Self::Left),
        }
    }

    /// Ends what still goes on in the attempt's Pod: through its entrypoint where a step has run, so that
    /// the logs stay; a Pod in which nothing has run has no logs, and goes. To be called at every look,
    /// since a look can be the last one of a controller.
    pub(super) fn stop(
        self,
        gathered: &Gathered<'_>,
        status: &TaskRunStatus,
        pod: &PodView,
        plan: &mut Plan,
    ) {
        if pod.is_over() || pod.is_deleting() {
            return;
        }
        let name = pod.name().to_owned();
        let effect = match self {
            _ if !pod.has_logs() => delete(pod),
            Self::Stuck => Effect::EndPod { name },
            Self::Stopped(_) if pod_after_stop(gathered, status) == PodAfterStop::Deleted => delete(pod),
            // An entrypoint that waits for its turn hears nothing before its container runs.
            Self::Stopped(_) if !pod.has_run() => Effect::EndPod { name },
            Self::Stopped(at) | Self::Left(at) => {
                let since = Duration::try_from(gathered.now.duration_since(at)).unwrap_or_default();
                // Most notice by themselves.
                if matches!(self, Self::Left(_)) && since < NOTICE {
                    return plan.look_in(NOTICE.saturating_sub(since));
                }
                let left = STEPS_STOP.saturating_sub(since);
                if !left.is_zero() {
                    plan.look_in(left);
                }
                match (pod.annotation(labels::CANCEL), left.is_zero()) {
                    (Some(labels::CANCEL_VALUE), false) => return,
                    // A container that cannot even begin hears nothing.
                    (Some(labels::CANCEL_VALUE), true) => Effect::EndPod { name },
                    _ => Effect::AnnotatePod {
                        name,
                        entries: vec![(labels::CANCEL, labels::CANCEL_VALUE.to_owned())],
                    },
                }
            }
        };
        plan.afterwards.push(effect);
    }
}

/// What holds for the attempt: the flag as it was when the attempt began, where its status has kept that.
fn pod_after_stop(gathered: &Gathered<'_>, status: &TaskRunStatus) -> PodAfterStop {
    let kept = status
        .provenance
        .as_ref()
        .and_then(|provenance| provenance.feature_flags.as_ref());
    match kept {
        Some(flags) if flags.get(KEEP_POD).and_then(Value::as_bool) == Some(true) => PodAfterStop::Kept,
        Some(_) => PodAfterStop::Deleted,
        None => gathered.config.flags.pod_after_stop,
    }
}

/// Removes a Pod.
pub(super) fn delete(pod: &PodView) -> Effect {
    Effect::DeletePod {
        name: pod.name().to_owned(),
        uid: pod.uid().to_owned(),
    }
}

/// Steps that still run or wait end with the run, for its reason.
fn steps_ended_with_the_run(run: &TaskRun, status: &mut TaskRunStatus, now: Timestamp) {
    let reason = status
        .succeeded()
        .map(|condition| condition.reason.clone())
        .unwrap_or_default();
    let pod = status.pod_name.clone();
    for step in status.steps.iter_mut().filter(|step| step.terminated.is_none()) {
        let started = step.running.take().and_then(|running| running.started_at);
        step.waiting = None;
        step.terminated = Some(ContainerStateTerminated {
            exit_code: 1,
            reason: Some(reason.clone()),
            started_at: started.or_else(|| run.created().cloned()),
            finished_at: Some(condition::time(now)),
            message: Some(format!(
                "Step {} terminated as pod {pod} is terminated",
                step.name
            )),
            ..ContainerStateTerminated::default()
        });
        step.termination_reason.clone_from(&reason);
    }
}
