//! What has to be done about containers beside the steps: let the first step go when they are ready, and
//! see them end when the steps have (runtime.md 1.8.2, 5.13, departures.md).

use std::time::Duration;

use jiff::Timestamp;
use tektite_api::{TaskRunStatus, labels};

use super::{
    Effect, Event, Gathered, Plan, Refusal, Severity,
    decide::own_pod,
    ending::{self, Forced},
};
use crate::{
    condition,
    observe::{self, Left},
    pod_view::PodView,
};

/// How long the run's own ordinary sidecars have to stop by themselves: the entrypoint notices the last
/// step's end within a second and gives the command ten.
const OWN_STOP: Duration = Duration::from_secs(15);

/// Tells the first step that the Pod's other containers are ready, and when that was.
pub(super) fn release_first_step(pod: &PodView, plan: &mut Plan, now: Timestamp) {
    if observe::awaits_readiness(pod) && observe::is_ready(pod) {
        plan.effects.push(Effect::AnnotatePod {
            name: pod.name().to_owned(),
            entries: vec![
                (labels::READY, labels::READY_VALUE.to_owned()),
                (labels::READY_AT, condition::time(now).0.to_string()),
            ],
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
    let (Some(pod), Some(status)) = (own_pod(gathered), &gathered.run.status) else {
        return;
    };
    let sidecars = observe::sidecar_states(pod);
    if !sidecars.is_empty() && !plan.status.sidecars.is_empty() {
        plan.status.sidecars = sidecars;
    }
    finish(gathered, status, pod, plan);
}

/// The same for the Pod of the attempt before.
pub(super) fn finish_earlier(gathered: &Gathered<'_>, plan: &mut Plan) {
    if let Some((pod, status)) = earlier(gathered) {
        finish(gathered, status, pod, plan);
    }
}

fn earlier<'a>(gathered: &Gathered<'a>) -> Option<(&'a PodView, &'a TaskRunStatus)> {
    let pod = gathered
        .earlier
        .filter(|pod| pod.is_controlled_by(gathered.run.uid()))?;
    let status = gathered.run.status.as_ref()?.retries_status.last()?;
    (status.pod_name == pod.name()).then_some((pod, status))
}

/// Why the next attempt cannot begin yet: the steps of the one before still run, and may work on the same
/// workspaces.
pub(super) fn earlier_stops(gathered: &Gathered<'_>, plan: &mut Plan) -> Option<String> {
    let (pod, status) = earlier(gathered)?;
    let since = gathered.now.duration_since(status.completion_time.as_ref()?.0);
    let left = (ending::STEPS_STOP * 2).saturating_sub(Duration::try_from(since).unwrap_or_default());
    if pod.is_over() || left.is_zero() {
        return None;
    }
    plan.look_in(left);
    let name = pod.name();
    Some(format!(
        "waiting until the steps of Pod \"{name}\", of the attempt before, have ended"
    ))
}

/// Ends what goes on in the Pod of an attempt that is over, `status` of which is how it ended.
fn finish(gathered: &Gathered<'_>, status: &TaskRunStatus, pod: &PodView, plan: &mut Plan) {
    if let Some(end) = Forced::of(status) {
        end.stop(gathered, status, pod, plan);
    }
    let left = match observe::left_running(status.task_spec.as_ref(), pod) {
        Left::Nothing => return,
        Left::Untold => Duration::ZERO,
        Left::Stopping => {
            let ended = status.completion_time.as_ref();
            let since = ended.map_or(OWN_STOP, |ended| {
                Duration::try_from(gathered.now.duration_since(ended.0)).unwrap_or_default()
            });
            OWN_STOP.saturating_sub(since)
        }
    };
    if left.is_zero() {
        plan.afterwards.push(end(pod));
    } else {
        plan.look_in(left);
    }
}

/// What people are told where `effect`, which ends what is needed no more, is refused: the run has
/// nothing to do with it. Nothing where another try can help.
pub fn not_ended(effect: &Effect, refusal: &Refusal) -> Option<Event> {
    let (reason, what) = match (effect, refusal) {
        (_, Refusal::Transient(_)) => return None,
        (Effect::EndPod { .. }, _) => (
            "TaskRunStopSidecarFailed",
            "containers beside the steps still run",
        ),
        _ => ("TaskRunStopFailed", "the Pod of this run still runs"),
    };
    Some(Event {
        severity: Severity::Warning,
        reason,
        message: format!("{what}: {}", refusal.text()),
    })
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
            plan,
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

    fn decided(run: &TaskRun, pod: &PodView) -> Plan {
        plan(&gathered(run, Some(pod), &Config::default()))
    }

    #[test]
    fn the_first_step_is_let_go_once() {
        let running = || json!({"running": {}});
        let ready = Effect::AnnotatePod {
            name: "tr-pod".to_owned(),
            entries: vec![
                (labels::READY, labels::READY_VALUE.to_owned()),
                (labels::READY_AT, at(0)),
            ],
        };
        for (told, beside, effects) in [
            (None, running(), vec![ready]),
            (None, json!({"waiting": {}}), vec![]),
            (Some("READY"), running(), vec![]),
        ] {
            let pod = pod(told, &[("step-a", running()), ("proxy", beside)]);
            assert_eq!(decided(&run("Unknown"), &pod).effects, effects);
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
            let plan = decided(&run, &pod);
            assert!(plan.status.is_done());
            assert_eq!((plan.requeue, plan.afterwards), (requeue, vec![]));
        }
    }

    #[test]
    fn w38_after_the_end_the_rest_is_stopped_and_the_status_follows() {
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
            let plan = decided(&run("True"), &pod);
            assert_eq!(plan.afterwards.len(), effects);
            assert_eq!(plan.requeue, requeue.map(Duration::from_secs));
            assert_eq!(plan.status.sidecars[0].terminated.is_some(), is_terminated);
        }
    }

    #[test]
    fn w49_what_cannot_be_stopped_changes_nothing_about_the_run() {
        let pod = pod(None, &[("proxy", json!({"running": {}}))]);
        let told = |refusal: Refusal| not_ended(&end(&pod), &refusal);
        let event = told(Refusal::Forbidden("no".to_owned())).unwrap();
        assert_eq!(event.reason, "TaskRunStopSidecarFailed");
        assert_eq!(event.message, "containers beside the steps still run: no");
        assert_eq!(told(Refusal::Transient("wait".to_owned())), None);
        let run = run("True");
        assert_eq!(Some(decided(&run, &pod).status), run.status);
    }
}
