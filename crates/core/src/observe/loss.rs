//! Pods that were taken from their run: by whom, and since when (runtime.md 5.19, departures.md).

use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use k8s_openapi::api::core::v1::PodCondition;

use super::steps::StepView;
use crate::{
    pod_view::{Phase, PodView},
    reason::Reason,
};

/// How a Pod was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// By whom.
    pub(super) reason: Reason,
    /// In a sentence.
    pub(super) message: String,
    /// Since when, where that is known. What a step did before, it did by itself.
    since: Option<Timestamp>,
}

impl Loss {
    /// Whether the first step that failed did so before anybody took the Pod away.
    pub(super) fn came_after(&self, steps: &[StepView<'_>]) -> bool {
        let failed = steps.iter().find(|step| step.failed());
        let ended = failed
            .and_then(|step| step.terminated()?.finished_at.as_ref())
            .map(|at| at.0);
        ended.zip(self.since).is_some_and(|(ended, since)| ended < since)
    }
}

/// Whether the Pod was taken away, or is being taken away.
pub(super) fn of(pod: &PodView) -> Option<Loss> {
    let name = pod.name();
    let said = pod.status.message.clone().unwrap_or_default();
    let because = |text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!(": {text}")
        }
    };
    let word = pod.status.reason.as_deref().unwrap_or_default();
    if word == "Evicted" {
        return Some(Loss {
            reason: Reason::PodEvicted,
            message: said,
            since: None,
        });
    }
    if let Some(disruption) = disruption(pod) {
        let (reason, what) = match disruption.reason.as_deref().unwrap_or_default() {
            "PreemptionByScheduler" => (Reason::PodPreempted, format!("Pod \"{name}\" was preempted")),
            "DeletionByTaintManager" | "DeletionByPodGC" => {
                (Reason::NodeLost, format!("the node of Pod \"{name}\" was lost"))
            }
            _ => (Reason::PodEvicted, format!("Pod \"{name}\" was evicted")),
        };
        let why = disruption.message.as_deref().unwrap_or(&said);
        return Some(Loss {
            reason,
            message: format!("{what}{}", because(why)),
            since: disruption.last_transition_time.as_ref().map(|time| time.0),
        });
    }
    if word == "NodeLost" {
        return Some(Loss {
            reason: Reason::NodeLost,
            message: format!("the node of Pod \"{name}\" was lost{}", because(&said)),
            since: None,
        });
    }
    // By the kubelet, for a Pod without which the node cannot do.
    if word == "Preempting" {
        return Some(Loss {
            reason: Reason::PodPreempted,
            message: format!("Pod \"{name}\" was preempted{}", because(&said)),
            since: None,
        });
    }
    if word == "NodeShutdown" || word == "Terminated" {
        return Some(Loss {
            reason: Reason::PodEvicted,
            message: format!("Pod \"{name}\" was evicted{}", because(&said)),
            since: None,
        });
    }
    let is_refused = pod.phase() == Phase::Failed && !word.is_empty() && word != "DeadlineExceeded";
    if is_refused && !pod.has_run() && !pod.init_has_run() {
        return Some(Loss {
            reason: Reason::PodRejected,
            message: format!("the node did not take Pod \"{name}\" ({word}){}", because(&said)),
            since: None,
        });
    }
    pod.is_deleting().then(|| Loss {
        reason: Reason::PodDeleted,
        message: format!("Pod \"{name}\" was deleted before its steps had ended"),
        since: deleted_at(pod),
    })
}

/// How long after its grace a Pod that was taken away may still be there.
const UNCONFIRMED: Duration = Duration::from_mins(2);

/// What is left until nobody waits any more for the word of its node that a Pod on its way out has ended.
pub(super) fn unconfirmed(pod: &PodView, now: Timestamp) -> Option<Duration> {
    let due = pod.metadata.deletion_timestamp.as_ref()?.0;
    // A time to come is none that was waited.
    let waited = Duration::try_from(now.duration_since(due)).unwrap_or_default();
    let ahead = Duration::try_from(due.duration_since(now)).unwrap_or_default();
    Some((UNCONFIRMED + ahead).saturating_sub(waited))
}

fn disruption(pod: &PodView) -> Option<&PodCondition> {
    let conditions = pod.status.conditions.as_deref().unwrap_or_default();
    conditions
        .iter()
        .find(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True")
}

/// When somebody asked for the deletion: the time that is noted is when the grace is over.
///
/// A grace of nothing is the kubelet's, once the containers have ended: the API server then notes
/// the time of that, and when the deletion was asked for is told nowhere any more.
fn deleted_at(pod: &PodView) -> Option<Timestamp> {
    let due = pod.metadata.deletion_timestamp.as_ref()?.0;
    let grace = pod
        .metadata
        .deletion_grace_period_seconds
        .filter(|grace| *grace > 0)?;
    due.checked_sub(grace.seconds()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(more: Value) -> PodView {
        let mut pod = json!({"metadata": {"name": "p"}, "status": {"phase": "Running"}});
        for (part, fields) in more.as_object().unwrap() {
            let fields = fields.as_object().unwrap().clone();
            pod[part].as_object_mut().unwrap().extend(fields);
        }
        serde_json::from_value(pod).unwrap()
    }

    fn disrupted(reason: &str, message: &str) -> PodView {
        pod(
            json!({"status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason,
            "message": message, "lastTransitionTime": "2026-01-01T00:00:10Z"}]}}),
        )
    }

    #[test]
    fn who_took_it() {
        let began = json!([{"name": "step-a", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0}}}]);
        for (pod, expected) in [
            (pod(json!({})), None),
            (
                pod(
                    json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}}),
                ),
                Some((Reason::PodEvicted, "The node was low on resource: memory.")),
            ),
            (
                disrupted("PreemptionByScheduler", "default-scheduler: preempting"),
                Some((
                    Reason::PodPreempted,
                    "Pod \"p\" was preempted: default-scheduler: preempting",
                )),
            ),
            (
                disrupted("DeletionByTaintManager", "Taint manager: deleting"),
                Some((
                    Reason::NodeLost,
                    "the node of Pod \"p\" was lost: Taint manager: deleting",
                )),
            ),
            (
                disrupted("DeletionByPodGC", "PodGC: node no longer exists"),
                Some((
                    Reason::NodeLost,
                    "the node of Pod \"p\" was lost: PodGC: node no longer exists",
                )),
            ),
            (
                disrupted("EvictionByEvictionAPI", "Eviction API: evicting"),
                Some((
                    Reason::PodEvicted,
                    "Pod \"p\" was evicted: Eviction API: evicting",
                )),
            ),
            (
                pod(
                    json!({"status": {"phase": "Failed", "reason": "NodeShutdown", "message": "node is shutting down"}}),
                ),
                Some((Reason::PodEvicted, "Pod \"p\" was evicted: node is shutting down")),
            ),
            (
                pod(json!({"status": {"phase": "Unknown", "reason": "NodeLost"}})),
                Some((Reason::NodeLost, "the node of Pod \"p\" was lost")),
            ),
            (
                pod(
                    json!({"status": {"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected: no cpu"}}),
                ),
                Some((
                    Reason::PodRejected,
                    "the node did not take Pod \"p\" (OutOfcpu): Pod was rejected: no cpu",
                )),
            ),
            (
                pod(json!({"status": {"phase": "Failed", "reason": "OutOfcpu", "containerStatuses": began}})),
                None,
            ),
            (
                pod(
                    json!({"status": {"phase": "Failed", "reason": "Preempting", "message": "a critical Pod came"}}),
                ),
                Some((
                    Reason::PodPreempted,
                    "Pod \"p\" was preempted: a critical Pod came",
                )),
            ),
            (
                pod(json!({"status": {"phase": "Failed", "reason": "DeadlineExceeded"}})),
                None,
            ),
            (
                pod(
                    json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:40Z", "deletionGracePeriodSeconds": 30}}),
                ),
                Some((
                    Reason::PodDeleted,
                    "Pod \"p\" was deleted before its steps had ended",
                )),
            ),
        ] {
            let loss = of(&pod);
            assert_eq!(
                loss.as_ref().map(|loss| (loss.reason, loss.message.as_str())),
                expected
            );
        }
    }

    #[test]
    fn the_time_of_a_deletion_is_when_it_was_asked_for() {
        for (grace, asked) in [(30, Some("2026-01-01T00:00:10Z")), (0, None)] {
            let pod = pod(
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:40Z", "deletionGracePeriodSeconds": grace}}),
            );
            let asked: Option<Timestamp> = asked.map(|time| time.parse().unwrap());
            assert_eq!(of(&pod).unwrap().since, asked, "{grace} s");
        }
    }
}
