//! A Pod whose containers cannot all be made: what it waits for, and when to stop waiting
//! (runtime.md 5.5, 5.10, departures.md).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateWaiting, ContainerStatus, PodCondition};
use tektite_api::{GoDuration, TaskRunStatus};

use super::{Subject, sidecars::steps_have_begun};
use crate::{
    pod_view::{Phase, PodView},
    reason::Reason,
};

/// How long results that do not come are waited for.
pub const GRACE: Duration = Duration::from_mins(2);

/// How long a Pod may wait without a word before others are asked.
const SILENCE: Duration = Duration::from_secs(10);
/// How often they are asked again.
const NEWS_EVERY: Duration = Duration::from_mins(1);

/// How long a Pod that waits without a word may still do so; nothing of a Pod that says something.
pub fn silence(pod: &PodView, now: Timestamp) -> Option<Duration> {
    let conditions = pod.status.conditions.as_deref().unwrap_or_default();
    let is_scheduled =
        |condition: &PodCondition| condition.type_ == "PodScheduled" && condition.status == "True";
    let scheduled = conditions.iter().find(|condition| is_scheduled(condition))?;
    let mut all = pod.init_containers().iter().chain(pod.containers());
    let quiet = |container: &ContainerStatus| {
        waiting(container).is_some_and(|waiting| waiting.message.as_deref().unwrap_or_default().is_empty())
    };
    if pod.phase() != Phase::Pending || !all.all(quiet) {
        return None;
    }
    let since = scheduled.last_transition_time.as_ref()?.0;
    let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    Some(SILENCE.saturating_sub(waited))
}

/// What to make of a Pod that is not complete.
pub(super) enum Verdict {
    /// It may still come.
    Wait {
        /// Why it waits.
        reason: Reason,
        /// In a sentence.
        message: String,
        /// When the waiting has to be looked at again, in seconds.
        again_in: Option<u64>,
    },
    /// It will not come.
    GiveUp {
        /// Why.
        reason: Reason,
        /// In a sentence.
        message: String,
    },
}

/// What a waiting container's reason means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// The image could not be pulled, and is tried again at once.
    ImageRetried,
    /// The image cannot be pulled now.
    ImageNow,
    /// The kubelet was too slow, or could not ask; it tries again.
    Slow,
    /// The configuration names something that does not exist.
    Config,
    /// The runtime refuses the container.
    Create,
    /// The image cannot be pulled, and never will.
    ImageNever,
}

/// Parts of what registries and runtimes say of an image that no time brings: it is not there, not for
/// this kind of processor, or not for us.
const NEVER: [&str; 12] = [
    "code = NotFound",
    ": not found",
    "manifest unknown",
    "name unknown",
    "no match for platform",
    "no matching manifest",
    "pull access denied",
    "insufficient_scope",
    "401 Unauthorized",
    "403 Forbidden",
    "no basic auth credentials",
    "unauthorized:",
];

fn trouble(waiting: &ContainerStateWaiting) -> Option<Trouble> {
    let message = waiting.message.as_deref().unwrap_or_default();
    match waiting.reason.as_deref()? {
        "ErrImagePull" | "ImagePullBackOff" if NEVER.iter().any(|part| message.contains(part)) => {
            Some(Trouble::ImageNever)
        }
        "InvalidImageName" | "ErrImageNeverPull" => Some(Trouble::ImageNever),
        "ErrImagePull" => Some(Trouble::ImageRetried),
        "ImagePullBackOff" | "ImageInspectError" | "RegistryUnavailable" => Some(Trouble::ImageNow),
        "CreateContainerConfigError" if message.contains("failed to create subPath directory") => None,
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError"
            if ["context deadline exceeded", "timed out waiting", "failed to sync"]
                .iter()
                .any(|slow| message.contains(slow)) =>
        {
            Some(Trouble::Slow)
        }
        "CreateContainerConfigError" => Some(Trouble::Config),
        "CreateContainerError" | "RunContainerError" => Some(Trouble::Create),
        _ => None,
    }
}

fn waiting(container: &ContainerStatus) -> Option<&ContainerStateWaiting> {
    container.state.as_ref()?.waiting.as_ref()
}

/// Judges the Pod.
pub(super) fn judge(subject: Subject<'_>, pod: &PodView, status: &TaskRunStatus) -> Verdict {
    let begun = steps_have_begun(pod);
    let containers = pod.init_containers().iter().chain(pod.containers());
    // A sidecar that cannot be started again does not end steps that run.
    let containers = containers.filter(|container| !begun || container.name.starts_with("step-"));
    let troubled = containers.filter_map(|container| {
        let waiting = waiting(container)?;
        Some((container, waiting, trouble(waiting)?))
    });
    // The worst counts: what never comes makes all waiting vain.
    let worst = troubled.reduce(|worst, other| if other.2 > worst.2 { other } else { worst });
    let Some((container, waiting, trouble)) = worst else {
        let mut message = waiting_message(pod);
        if let Some(news) = subject.news {
            message = format!("{message}\n{news}");
        }
        return Verdict::Wait {
            reason: node_reason(pod),
            message,
            again_in: silence(pod, subject.now).map(|left| match left {
                Duration::ZERO => NEWS_EVERY.as_secs(),
                left => left.as_secs() + 1,
            }),
        };
    };
    let message = waiting.message.clone().unwrap_or_default();
    let what = described(&container.name);
    let run = subject.run_name;
    let gives_up = |reason: Reason, sentence: String| Verdict::GiveUp {
        reason,
        message: sentence,
    };
    let pull_failed = || {
        format!(
            "{what} in TaskRun \"{run}\" failed to pull the image \"{}\". The pod errored with the message: \"{message}.\"",
            container.image_id
        )
    };
    let start_failed = || {
        format!(
            "{what} in TaskRun \"{run}\" failed to start. The pod errored with the message: \"{message}.\""
        )
    };
    let left = |grace| grace_left(grace, pod, subject.now, status);
    let image_left = left(subject.settings.image_grace);
    let create_left = left(subject.settings.create_grace);
    match trouble {
        Trouble::ImageNever => gives_up(Reason::TaskRunImagePullFailed, pull_failed()),
        Trouble::Config => gives_up(Reason::CreateContainerConfigError, start_failed()),
        Trouble::Create => gives_up(Reason::PodCreationFailed, start_failed()),
        Trouble::Slow if create_left == 0 => gives_up(Reason::PodCreationFailed, start_failed()),
        Trouble::Slow => Verdict::Wait {
            reason: Reason::Pending,
            message: waiting_message(pod),
            again_in: Some(create_left),
        },
        Trouble::ImageRetried => Verdict::Wait {
            reason: Reason::PullImageFailed,
            message: waiting_message(pod),
            again_in: None,
        },
        Trouble::ImageNow if image_left == 0 => gives_up(Reason::TaskRunImagePullFailed, pull_failed()),
        Trouble::ImageNow => Verdict::Wait {
            reason: Reason::PullImageFailed,
            message: waiting_message(pod),
            again_in: Some(image_left),
        },
    }
}

/// `the step "build"`, `the sidecar "db"` or `the init container "prepare"`.
fn described(container: &str) -> String {
    match (
        container.strip_prefix("step-"),
        container.strip_prefix("sidecar-"),
    ) {
        (Some(step), _) => format!("the step \"{step}\""),
        (None, Some(sidecar)) => format!("the sidecar \"{sidecar}\""),
        (None, None) => format!("the init container \"{container}\""),
    }
}

/// Seconds of `grace` that are left, counted from when the Pod could have started containers.
fn grace_left(grace: GoDuration, pod: &PodView, now: Timestamp, status: &TaskRunStatus) -> u64 {
    let conditions = pod.status.conditions.as_deref().unwrap_or_default();
    let since = conditions
        .iter()
        .filter(|condition| {
            matches!(
                condition.type_.as_str(),
                "Initialized" | "PodReadyToStartContainers"
            )
        })
        .filter_map(|condition| condition.last_transition_time.as_ref())
        .chain(status.start_time.as_ref())
        .map(|time| time.0)
        .max();
    let waited = since.map_or(0, |since| now.as_second().saturating_sub(since.as_second()));
    let grace = grace.to_std().as_millis().div_ceil(1_000);
    u64::try_from(grace)
        .unwrap_or(u64::MAX)
        .saturating_sub(u64::try_from(waited).unwrap_or(0))
}

/// That no node has room, in the scheduler's words.
fn no_room(pod: &PodView) -> Option<&PodCondition> {
    let conditions = pod.status.conditions.as_deref().unwrap_or_default();
    conditions.iter().find(|condition| {
        condition.reason.as_deref() == Some("Unschedulable")
            && condition
                .message
                .as_deref()
                .is_some_and(|message| message.contains("Insufficient"))
    })
}

fn node_reason(pod: &PodView) -> Reason {
    match no_room(pod) {
        Some(_) => Reason::ExceededNodeResources,
        None => Reason::Pending,
    }
}

/// What the Pod waits for, in upstream's words.
fn waiting_message(pod: &PodView) -> String {
    if let Some(condition) = no_room(pod) {
        let counted = condition.message.as_deref().unwrap_or_default();
        return format!("TaskRun Pod exceeded available resources\n{counted}");
    }
    for container in pod.containers() {
        let waiting = waiting(container);
        let subpath = waiting.and_then(|waiting| waiting.message.as_deref());
        if subpath.is_some_and(|message| message.contains("failed to create subPath directory")) {
            return "Waiting for subPath directory creation to complete".to_owned();
        }
        if let Some(message) = waiting
            .and_then(|waiting| waiting.message.as_deref())
            .filter(|text| !text.is_empty())
        {
            return format!(
                "build step {} is pending with reason {}",
                quoted(&container.name),
                quoted(message)
            );
        }
    }
    // Upstream never looks at init containers; native sidecars are among them.
    let init = pod.init_containers().iter().find_map(|container| {
        let message = waiting(container)?.message.as_deref()?;
        (!message.is_empty()).then(|| format!("\n{} waits: {message}", described(&container.name)))
    });
    let init = init.unwrap_or_default();
    let conditions = pod.status.conditions.as_deref().unwrap_or_default();
    if let Some(condition) = conditions.iter().find(|condition| condition.status != "True") {
        return format!(
            "pod status {}:{}; message: {}{init}",
            quoted(&condition.type_),
            quoted(&condition.status),
            quoted(condition.message.as_deref().unwrap_or_default())
        );
    }
    let message = pod.status.message.as_deref().unwrap_or_default();
    if message.is_empty() {
        format!("Pending{init}")
    } else {
        format!("{message}{init}")
    }
}

/// In quotes, with quotes and line ends escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
