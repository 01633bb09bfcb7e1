//! What the controller has to fetch before a run can be decided. No I/O.

use std::time::Duration;

use jiff::Timestamp;
use tektite_api::{TaskRun, TaskRunStatus, task_run::RequestedStatus};

use super::{Fetched, Wanted};
use crate::{observe, pod_view::PodView, resolve};

/// What the controller has to fetch.
pub fn wanted(run: &TaskRun) -> Wanted {
    let status = run.status.as_ref();
    let resolved = status.is_some_and(|status| status.task_spec.is_some());
    let needs_no_spec = run.spec.status == RequestedStatus::Cancelled || is_held(run, status);
    match &run.spec.task_ref {
        Some(task_ref) if !task_ref.name.is_empty() && task_ref.resolver.is_empty() => {
            if resolved || needs_no_spec || run.is_done() {
                Wanted::Nothing
            } else {
                Wanted::Task(task_ref.name.clone())
            }
        }
        _ => Wanted::Nothing,
    }
}

/// The StepActions that the controller has to fetch, once it has the Task. From then on they are in the copy
/// that the status holds.
pub fn wanted_actions(run: &TaskRun, fetched: &Fetched) -> Vec<String> {
    let status = run.status.as_ref();
    let needs_no_spec =
        run.is_done() || run.spec.status == RequestedStatus::Cancelled || is_held(run, status);
    let spec = match (&run.spec.task_spec, fetched) {
        _ if needs_no_spec || resolve::kept_inline(run).is_some() => return Vec::new(),
        (Some(spec), _) => spec,
        (None, Fetched::Task(task)) => &task.spec,
        (None, _) => return Vec::new(),
    };
    let refs = spec.steps.iter().filter_map(|step| step.step_ref.as_ref());
    let local = refs.filter(|step_ref| step_ref.resolver.is_empty() && !step_ref.name.is_empty());
    let mut names: Vec<String> = local.map(|step_ref| step_ref.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The container of the run's Pod whose log the controller has to fetch: the results are in it.
pub fn wanted_log(run: &TaskRun, pod: Option<&PodView>) -> Option<&'static str> {
    let spec = run.status.as_ref()?.task_spec.as_ref()?;
    let needed = !run.is_done() && run.spec.status != RequestedStatus::Cancelled;
    pod.filter(|_| needed)
        .and_then(|pod| observe::log_wanted(spec, pod))
}

/// Whether the controller has to ask what the cluster says of the run's Pod: it waits, and does not say for
/// what. A volume that cannot be mounted is told in events alone.
pub fn wants_news(run: &TaskRun, pod: Option<&PodView>, now: Timestamp) -> bool {
    let live = !run.is_done() && run.spec.status != RequestedStatus::Cancelled;
    live && pod.is_some_and(|pod| observe::silence(pod, now) == Some(Duration::ZERO))
}

/// The name of the Pod of the attempt before the present one.
pub fn earlier_pod(run: &TaskRun) -> Option<&str> {
    let last = run.status.as_ref()?.retries_status.last()?;
    Some(last.pod_name.as_str()).filter(|name| !name.is_empty())
}

/// Whether the user holds a run that has not begun.
pub(super) fn is_held(run: &TaskRun, status: Option<&TaskRunStatus>) -> bool {
    let begun = status.is_some_and(|status| status.start_time.is_some());
    run.spec.status == RequestedStatus::Pending && !begun
}
