//! What has to be done about containers beside the steps: let the first step go when they are ready, and
//! see them end when the steps have (runtime.md 1.8.2, 5.13, departures.md).

use std::time::Duration;

use tektite_api::{TaskRun, labels};

use super::{Effect, Event, Gathered, Plan, Refusal, Severity, decide::own_pod};
use crate::{
    observe::{self, Left},
    pod_view::PodView,
};

/// How long the run's own ordinary sidecars have to stop by themselves: the entrypoint notices the last
/// step's end within a second and gives the command ten.
const OWN_STOP: Duration = Duration::from_secs(15);

/// Tells the first step that the Pod's other containers are ready.
pub(super) fn release_first_step(pod: &PodView, plan: &mut Plan) {
    if observe::awaits_readiness(pod) && observe::is_ready(pod) {
        plan.effects.push(Effect::AnnotatePod {
            name: pod.name().to_owned(),
            key: labels::READY,
            value: labels::READY_VALUE,
        });
    }
}

/// A run that is over just now gets another look at once where something keeps its Pod: nothing may change
/// about that Pod by itself any more.
pub(super) fn look_again(pod: &PodView, plan: &mut Plan) {
    if observe::left_running(plan.status.task_spec.as_ref(), pod) != Left::Nothing {
        plan.requeue = Some(Duration::ZERO);
    }
}

/// The run is over: its status follows the sidecars to their end, and whoever does not stop is stopped.
/// What comes of that changes nothing about the run.
pub(super) fn after_the_end(gathered: &Gathered<'_>, plan: &mut Plan) {
    let Some(pod) = own_pod(gathered) else {
        return;
    };
    let sidecars = observe::sidecar_states(pod);
    if !sidecars.is_empty() && !plan.status.sidecars.is_empty() {
        plan.status.sidecars = sidecars;
    }
    let left = match observe::left_running(plan.status.task_spec.as_ref(), pod) {
        Left::Nothing => return,
        Left::Untold => Duration::ZERO,
        Left::Stopping => {
            let ended = plan.status.completion_time.as_ref();
            let since = ended.map_or(OWN_STOP, |ended| {
                Duration::try_from(gathered.now.duration_since(ended.0)).unwrap_or_default()
            });
            OWN_STOP.saturating_sub(since)
        }
    };
    if left.is_zero() {
        plan.effects.push(end(pod));
    } else {
        plan.requeue = Some(left);
    }
}

/// An attempt that failed is looked at no more: what its steps leave behind goes now.
pub(super) fn end_attempt(gathered: &Gathered<'_>, plan: &mut Plan) {
    let spec = plan.status.task_spec.as_ref();
    let left = |pod: &&PodView| observe::left_running(spec, pod) != Left::Nothing;
    if let Some(pod) = own_pod(gathered).filter(left) {
        plan.effects.push(end(pod));
    }
}

/// Somebody should know that containers still run; the run has nothing to do with it.
pub(super) fn not_stopped(run: &TaskRun, refusal: &Refusal) -> Plan {
    Plan {
        status: run.status.clone().unwrap_or_default(),
        events: vec![Event {
            severity: Severity::Warning,
            reason: "TaskRunStopSidecarFailed",
            message: format!("containers beside the steps still run: {}", refusal.text()),
        }],
        ..Plan::default()
    }
}

fn end(pod: &PodView) -> Effect {
    Effect::EndPod {
        name: pod.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tektite_api::TaskRun;

    use super::*;
    use crate::{
        config::Config,
        lifecycle::{
            after_failure, plan,
            testing::{self, gathered},
        },
    };

    fn at(second: i64) -> String {
        testing::at(second).to_string()
    }

    fn run(condition: &str) -> TaskRun {
        serde_json::from_value(json!({
            "metadata": {"name": "tr", "namespace": "ns", "uid": "u"},
            "spec": {"taskSpec": {"steps": [{"name": "a", "image": "i", "command": ["c"]}]}},
            "status": {
                "podName": "tr-pod", "startTime": at(-60), "completionTime": at(-5),
                "taskSpec": {"steps": [{"name": "a", "image": "i", "command": ["c"]}]},
                "conditions": [{"type": "Succeeded", "status": condition, "reason": "x"}],
                "sidecars": [{"name": "s", "container": "sidecar-s", "running": {}}],
            },
        }))
        .unwrap()
    }

    fn pod(ready: Option<&str>, containers: &[(&str, Value)]) -> PodView {
        let containers: Vec<Value> = containers
            .iter()
            .map(|(name, state)| {
                json!({"name": name, "image": "i", "imageID": "", "ready": state.get("running").is_some(),
                    "restartCount": 0, "state": state})
            })
            .collect();
        let mut pod: PodView = serde_json::from_value(json!({
            "metadata": {"name": "tr-pod", "ownerReferences":
                [{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "tr", "uid": "u", "controller": true}]},
            "status": {"phase": "Running", "containerStatuses": containers},
        }))
        .unwrap();
        if let Some(ready) = ready {
            pod.metadata.annotations = Some([(labels::READY.to_owned(), ready.to_owned())].into());
        }
        pod
    }

    fn decided(run: &TaskRun, pod: &PodView, refusal: Option<&Refusal>) -> Plan {
        let config = Config::default();
        let gathered = gathered(run, Some(pod), &config);
        match refusal {
            None => plan(&gathered),
            Some(refusal) => after_failure(&gathered, &end(pod), refusal),
        }
    }

    #[test]
    fn the_first_step_is_let_go_once() {
        let running = || json!({"running": {}});
        let ready = Effect::AnnotatePod {
            name: "tr-pod".to_owned(),
            key: labels::READY,
            value: labels::READY_VALUE,
        };
        for (told, beside, effects) in [
            (None, running(), vec![ready]),
            (None, json!({"waiting": {}}), vec![]),
            (Some("READY"), running(), vec![]),
        ] {
            let pod = pod(told, &[("step-a", running()), ("proxy", beside)]);
            assert_eq!(decided(&run("Unknown"), &pod, None).effects, effects);
        }
    }

    #[test]
    fn whoever_is_left_gets_a_look_after_the_end() {
        for (beside, requeue) in [
            (json!({"running": {}}), Some(Duration::ZERO)),
            (json!({"terminated": {"exitCode": 0}}), None),
        ] {
            let ended = json!({"terminated": {"exitCode": 0}});
            let pod = pod(Some("READY"), &[("step-a", ended), ("proxy", beside)]);
            let mut run = run("Unknown");
            let status = run.status.as_mut().unwrap();
            status.task_spec = run.spec.task_spec.clone();
            let plan = decided(&run, &pod, None);
            assert!(plan.status.is_done());
            assert_eq!((plan.requeue, plan.effects), (requeue, vec![]));
        }
    }

    #[test]
    fn after_the_end_the_rest_is_stopped_and_the_status_follows() {
        let ended = || json!({"terminated": {"exitCode": 143}});
        let running = || json!({"running": {}});
        for (beside, effects, requeue, is_terminated) in [
            (("sidecar-s", ended()), 0, None, true),
            (("sidecar-s", running()), 0, Some(10), false),
            (("proxy", running()), 1, None, false),
        ] {
            let pod = pod(
                Some("READY"),
                &[("step-a", json!({"terminated": {"exitCode": 0}})), beside],
            );
            let plan = decided(&run("True"), &pod, None);
            assert_eq!(plan.effects.len(), effects);
            assert_eq!(plan.requeue, requeue.map(Duration::from_secs));
            assert_eq!(plan.status.sidecars[0].terminated.is_some(), is_terminated);
        }
    }

    #[test]
    fn what_cannot_be_stopped_changes_nothing_about_the_run() {
        let pod = pod(None, &[("proxy", json!({"running": {}}))]);
        let run = run("True");
        for (refusal, again, events) in [
            (Refusal::Forbidden("no".to_owned()), None, 1),
            (
                Refusal::Transient("wait".to_owned()),
                Some(Duration::from_secs(1)),
                0,
            ),
        ] {
            let plan = decided(&run, &pod, Some(&refusal));
            assert_eq!(Some(plan.status), run.status);
            assert_eq!((plan.requeue, plan.events.len()), (again, events));
        }
    }
}
