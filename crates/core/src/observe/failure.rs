//! Why a finished Pod failed: the reason and the sentence (runtime.md 5.11).

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus};
use tektite_protocol::termination::{key, reason};

use super::{loss, sidecars::is_beside, steps::StepView};
use crate::{pod_view::PodView, reason::Reason};

fn ended(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.state.as_ref()?.terminated.as_ref()
}

fn is_out_of_memory(container: &ContainerStatus) -> bool {
    ended(container).is_some_and(|end| end.reason.as_deref() == Some("OOMKilled"))
}

fn exited_badly(container: &ContainerStatus) -> bool {
    ended(container).is_some_and(|end| end.exit_code != 0)
}

/// `"<container>" exited with code <n>: <reason>`.
fn exit_sentence(container: &ContainerStatus) -> Option<String> {
    let end = ended(container).filter(|end| end.exit_code != 0)?;
    let behind = end.reason.as_deref().filter(|reason| !reason.is_empty());
    let behind = behind.map(|reason| format!(": {reason}")).unwrap_or_default();
    Some(format!(
        "\"{}\" exited with code {}{behind}",
        container.name, end.exit_code
    ))
}

/// The reason and the message of a Pod that has failed.
pub(super) fn explain(run: &str, pod: &PodView, steps: &[StepView<'_>]) -> (Reason, String) {
    let pod_message = pod.status.message.clone().unwrap_or_default();
    if let Some(loss) = loss::of(pod).filter(|loss| !loss.came_after(steps)) {
        return (loss.reason, loss.message);
    }
    // The kubelet has kept the time, since nobody else did.
    if pod.status.reason.as_deref() == Some("DeadlineExceeded") {
        let message =
            format!("TaskRun \"{run}\" failed to finish within the deadline of its Pod: {pod_message}");
        return (Reason::TaskRunTimeout, message);
    }
    // Where a step has run, the init containers have done what they should; a native sidecar's end
    // comes after the steps and says nothing about them.
    let init: &[ContainerStatus] = if pod.has_run() { &[] } else { pod.init_containers() };
    for (hit, reason) in [
        (
            is_out_of_memory as fn(&ContainerStatus) -> bool,
            Reason::InitContainerOom,
        ),
        (exited_badly, Reason::InitContainerFailed),
    ] {
        if let Some(container) = init
            .iter()
            .find(|container| !is_beside(container) && hit(container))
        {
            let sentence = exit_sentence(container)
                .map(|sentence| format!("init container failed, {sentence}"))
                .unwrap_or_default();
            return (reason, or_else(sentence, pod_message));
        }
    }
    if let Some(step) = steps.iter().find(|step| step.is_out_of_memory()) {
        return (Reason::StepOom, or_else(step_sentence(step), "OOMKilled".into()));
    }
    if let Some(step) = steps.iter().find(|step| step.failed()) {
        return (Reason::StepFailed, or_else(step_sentence(step), pod_message));
    }
    // No step says why: a sidecar may.
    let beside = || {
        let all = pod.containers().iter().chain(pod.init_containers());
        all.filter(|container| is_beside(container))
    };
    for (hit, reason) in [
        (
            is_out_of_memory as fn(&ContainerStatus) -> bool,
            Reason::SidecarOom,
        ),
        (exited_badly, Reason::SidecarFailed),
    ] {
        if let Some(container) = beside().find(|container| hit(container)) {
            let sentence = exit_sentence(container).unwrap_or_default();
            return (reason, or_else(sentence, pod_message));
        }
    }
    (
        Reason::Failed,
        or_else(pod_message, "build failed for unspecified reasons.".to_owned()),
    )
}

fn or_else(text: String, other: String) -> String {
    if text.is_empty() { other } else { text }
}

/// What a failing step's container says, behind it the entrypoint's own sentence, and how long it ran.
fn step_sentence(step: &StepView<'_>) -> String {
    let name = &step.container.name;
    if step.internal(key::REASON) == Some(reason::TIMEOUT_EXCEEDED) {
        return format!("\"{name}\" exited because the step exceeded the specified timeout limit");
    }
    let mut sentence = exit_sentence(step.container).unwrap_or_default();
    // Of a container that was never started, the runtime alone can tell.
    let runtime = ended(step.container)
        .filter(|_| step.never_started())
        .and_then(|end| end.message.as_deref());
    for own in [step.internal(key::MESSAGE), runtime].into_iter().flatten() {
        sentence = format!("{sentence}\n{own}");
    }
    match step.internal(key::RAN) {
        // The entrypoint's sentence often says it as well.
        Some("0s") => format!("{sentence}\nit ran for less than 1ms"),
        Some(ran) if !sentence.contains(ran) => format!("{sentence}\nit ran for {ran}"),
        _ => sentence,
    }
}
