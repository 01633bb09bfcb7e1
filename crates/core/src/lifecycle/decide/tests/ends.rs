//! How runs end before their steps, how their Pods are ended, and how Pods are lost.

use super::*;
use crate::config::PodAfterStop;

fn looked_at(run: &TaskRun, pod: Option<&PodView>) -> Plan {
    plan(&gathered(run, pod, &Config::default()))
}

fn done(reason: &str, ended: i64) -> Value {
    json!({"podName": "tr-pod", "startTime": at(-100).to_string(), "completionTime": at(ended).to_string(),
        "conditions": [{"type": "Succeeded", "status": "False", "reason": reason, "message": "m"}],
        "taskSpec": inline()["taskSpec"]})
}

fn running() -> PodView {
    pod("Running", json!({"running": {"startedAt": at(-50).to_string()}}))
}

fn told(pod: &PodView) -> PodView {
    let mut pod = pod.clone();
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(labels::CANCEL.to_owned(), labels::CANCEL_VALUE.to_owned());
    pod
}

fn waiting() -> PodView {
    pod("Pending", json!({"waiting": {"reason": "ContainerCreating"}}))
}

fn kind(effects: &[Effect]) -> Vec<&'static str> {
    let one = |effect: &Effect| match effect {
        Effect::CreateClaim(_) => "claim",
        Effect::CreatePod(_) => "create",
        Effect::DeletePod { .. } => "delete",
        Effect::AnnotatePod { .. } => "tell",
        Effect::EndPod { .. } => "end",
    };
    effects.iter().map(one).collect()
}

#[test]
fn w42_a_pod_is_ended_at_every_look_until_it_has_ended() {
    let ended = pod("Running", json!({"terminated": {"exitCode": 9}}));
    let mut going = running();
    going.metadata.deletion_timestamp = Some(condition::time(at(0)));
    for (name, reason, since, pod, expected) in [
        ("not told yet", "TaskRunCancelled", -1, running(), vec!["tell"]),
        ("told", "TaskRunCancelled", -1, told(&running()), vec![]),
        (
            "told, and nothing came of it",
            "TaskRunTimeout",
            -60,
            told(&running()),
            vec!["end"],
        ),
        ("it has ended", "TaskRunTimeout", -60, ended, vec![]),
        ("it goes", "TaskRunTimeout", -60, going, vec![]),
        (
            "nothing has run",
            "TaskRunCancelled",
            -1,
            waiting(),
            vec!["delete"],
        ),
        (
            "stuck before any step",
            "CreateContainerConfigError",
            -1,
            waiting(),
            vec!["delete"],
        ),
        (
            "stuck beside a step that runs",
            "TaskRunImagePullFailed",
            -1,
            running(),
            vec!["end"],
        ),
        ("its steps end by themselves", "StepOOM", -1, running(), vec![]),
    ] {
        let plan = looked_at(&run(inline(), done(reason, since)), Some(&pod));
        assert_eq!(kind(&plan.afterwards), expected, "{name}");
        assert!(plan.effects.is_empty(), "{name}");
    }
}

#[test]
fn w42_a_pod_that_was_made_and_not_recorded_goes_with_its_run() {
    let mut status = done("TaskRunCancelled", -1);
    status["podName"] = json!("");
    let plan = looked_at(
        &run(with(json!({"status": "TaskRunCancelled"})), status),
        Some(&waiting()),
    );
    assert_eq!(kind(&plan.afterwards), ["delete"]);
}

#[test]
fn w60_the_pod_of_a_stopped_run_stays_unless_it_is_not_wanted() {
    let mut config = Config::default();
    config.flags.pod_after_stop = PodAfterStop::Deleted;
    let cancelled = run(
        with(json!({"status": "TaskRunCancelled"})),
        json!({"podName": "tr-pod", "startTime": at(-9).to_string()}),
    );
    let pod = running();
    assert_eq!(kind(&looked_at(&cancelled, Some(&pod)).afterwards), ["tell"]);
    let unwanted = plan(&gathered(&cancelled, Some(&pod), &config));
    assert_eq!(kind(&unwanted.afterwards), ["delete"]);
}

#[test]
fn w44_a_container_that_cannot_be_made_ends_the_run_and_its_pod() {
    let config = "CreateContainerConfigError";
    let stuck = pod(
        "Pending",
        json!({"waiting": {"reason": config, "message": "configmap \"c\" not found"}}),
    );
    let live = run(
        inline(),
        json!({"podName": "tr-pod", "startTime": at(-9).to_string(),
        "taskSpec": inline()["taskSpec"]}),
    );
    let plan = looked_at(&live, Some(&stuck));
    assert_eq!((said(&plan).0, said(&plan).1), (ConditionStatus::False, config));
    assert!(plan.status.completion_time.is_some());
    assert_eq!(kind(&plan.afterwards), ["delete"]);
    let step = &plan.status.steps[0];
    assert_eq!(
        (step.termination_reason.as_str(), step.waiting.is_none()),
        (config, true)
    );
}

#[test]
fn w39_what_a_failed_attempt_leaves_behind_is_ended_before_the_next_one_begins() {
    let again = |reason: &str, ended: i64| {
        let status = json!({"podName": "", "retriesStatus": [done(reason, ended)],
            "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "ToBeRetried"}]});
        run(with(json!({"retries": 1})), status)
    };
    let with_sidecar = |steps: &PodView| {
        let mut pod = steps.clone();
        let sidecar = json!({"name": "sidecar-s", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {}}});
        let containers = pod.status.container_statuses.get_or_insert_default();
        containers.push(serde_json::from_value(sidecar).unwrap());
        pod
    };
    let steps_ended = pod("Running", json!({"terminated": {"exitCode": 1}}));
    let config = Config::default();
    for (name, (reason, ended), earlier, ends, made) in [
        (
            "nothing is left",
            ("StepFailed", -1),
            pod("Failed", json!({"terminated": {"exitCode": 1}})),
            vec![],
            true,
        ),
        (
            "a sidecar has its time",
            ("StepFailed", -1),
            with_sidecar(&steps_ended),
            vec![],
            true,
        ),
        (
            "and no more",
            ("StepFailed", -20),
            with_sidecar(&steps_ended),
            vec!["end"],
            true,
        ),
        (
            "steps are stopped first",
            ("TaskRunTimeout", -1),
            running(),
            vec!["tell"],
            false,
        ),
        (
            "and waited for",
            ("TaskRunTimeout", -1),
            told(&running()),
            vec![],
            false,
        ),
        (
            "but not for ever",
            ("TaskRunTimeout", -120),
            told(&running()),
            vec!["end"],
            true,
        ),
    ] {
        let run = again(reason, ended);
        let plan = plan(&Gathered {
            earlier: Some(&earlier),
            ..gathered(&run, None, &config)
        });
        assert_eq!(kind(&plan.afterwards), ends, "{name}");
        assert_eq!(plan.new_pod().is_some(), made, "{name}");
        if made {
            assert_eq!(plan.status.pod_name, "tr-pod-retry1", "{name}");
            assert_eq!(events(&plan)[0], "Started", "each attempt says so");
        } else {
            let message = "waiting until the steps of Pod \"tr-pod\", of the attempt before, have ended";
            assert_eq!(said(&plan).2, message, "{name}");
        }
    }
}

#[test]
fn a_stopped_run_keeps_what_its_ended_steps_left() {
    let spec = json!({"steps": [{"name": "a", "image": "i", "results": [{"name": "own"}]}, {"name": "b", "image": "i"}],
        "results": [{"name": "r", "type": "string"}]});
    let message = r#"[{"key":"r","value":"kept","type":1},{"key":"own","value":"too","type":4}]"#;
    let mut pod = pod(
        "Running",
        json!({"terminated": {"exitCode": 0, "message": message}}),
    );
    let second = json!({"name": "step-b", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"running": {"startedAt": at(-50).to_string()}}});
    let containers = pod.status.container_statuses.get_or_insert_default();
    containers.push(serde_json::from_value(second).unwrap());
    let cancelled = run(
        json!({"taskSpec": spec, "status": "TaskRunCancelled"}),
        json!({"podName": "tr-pod", "startTime": at(-60).to_string(), "taskSpec": spec}),
    );
    let plan = looked_at(&cancelled, Some(&pod));
    let status = serde_json::to_value(&plan.status).unwrap();
    assert_eq!(
        status["results"],
        json!([{"name": "r", "type": "string", "value": "kept"}])
    );
    assert_eq!(status["steps"][0]["results"][0]["value"], "too");
    assert_eq!(status["steps"][1]["terminated"]["reason"], "TaskRunCancelled");
    assert_eq!(status["artifacts"], json!({}));
}

#[test]
fn w43_a_lost_pod_is_not_run_again_unasked() {
    let status = |reason: &str| {
        json!({"podName": "tr-pod", "startTime": at(-9).to_string(), "conditions":
            [{"type": "Succeeded", "status": "Unknown", "reason": reason, "message": "said before"}]})
    };
    let is_gone = "Pod \"tr-pod\" of TaskRun \"tr\" is gone: it was deleted, or its node was lost, before its steps had ended";
    for (before, reason, message) in [
        ("Running", "PodDeleted", is_gone),
        ("PodPreempted", "PodPreempted", "said before"),
        ("NodeLost", "NodeLost", "said before"),
    ] {
        let unasked = looked_at(&run(inline(), status(before)), None);
        assert_eq!(said(&unasked), (ConditionStatus::False, reason, message));
        assert!(unasked.effects.is_empty());
        let mut asked = run(inline(), status(before));
        asked.metadata.annotations = Some([(labels::INFRA_RETRIES.to_owned(), "1".to_owned())].into());
        let again = looked_at(&asked, None);
        assert_eq!(said(&again).1, "ToBeRetried");
        assert!(
            said(&again).2.ends_with("infra retry 1 of 1 follows"),
            "{:?}",
            said(&again)
        );
        assert_eq!(again.status.retries_status[0].succeeded().unwrap().reason, reason);
    }
}

#[test]
fn who_takes_a_pod_away_is_told_before_it_is_gone() {
    let live = run(
        inline(),
        json!({"podName": "tr-pod", "startTime": at(-9).to_string(),
        "taskSpec": inline()["taskSpec"]}),
    );
    let taken = |state: Value, phase: &str| {
        let mut pod = pod(phase, state);
        pod.metadata.deletion_timestamp = Some(condition::time(at(20)));
        pod.metadata.deletion_grace_period_seconds = Some(30);
        pod
    };
    let ended = |code: i64, at_second: i64| json!({"terminated": {"exitCode": code, "finishedAt": at(at_second).to_string()}});
    for (name, pod, expected) in [
        (
            "it still runs",
            taken(json!({"running": {"startedAt": at(-50).to_string()}}), "Running"),
            (ConditionStatus::Unknown, "PodDeleted"),
        ),
        (
            "its step was stopped",
            taken(ended(143, -9), "Failed"),
            (ConditionStatus::False, "PodDeleted"),
        ),
        (
            "its step had failed before",
            taken(ended(1, -11), "Failed"),
            (ConditionStatus::False, "StepFailed"),
        ),
        (
            "its step ended well",
            taken(ended(0, -5), "Succeeded"),
            (ConditionStatus::True, "Succeeded"),
        ),
    ] {
        let plan = looked_at(&live, Some(&pod));
        assert_eq!((said(&plan).0, said(&plan).1), expected, "{name}");
    }
}

#[test]
fn a_pod_that_the_kubelet_ended_was_out_of_time() {
    let mut pod = pod("Failed", json!({"terminated": {"exitCode": 143}}));
    pod.status.reason = Some("DeadlineExceeded".to_owned());
    pod.status.message = Some("Pod was active on the node longer than the specified deadline".to_owned());
    let live = run(
        inline(),
        json!({"podName": "tr-pod", "startTime": at(-9).to_string(),
        "taskSpec": inline()["taskSpec"]}),
    );
    let plan = looked_at(&live, Some(&pod));
    let message = "TaskRun \"tr\" failed to finish within the deadline of its Pod: Pod was active on the node longer than the specified deadline";
    assert_eq!(said(&plan), (ConditionStatus::False, "TaskRunTimeout", message));
}

#[test]
fn a_quota_that_is_too_small_ends_the_run_with_the_arithmetic() {
    let run = run(inline(), json!({}));
    let config = Config::default();
    let text = "pods \"tr-pod\" is forbidden: exceeded quota: q, requested: requests.cpu=4, used: requests.cpu=0, limited: requests.cpu=2";
    let plan = after_failure(
        &gathered(&run, None, &config),
        &Effect::CreatePod(Box::default()),
        &Refusal::Forbidden(text.to_owned()),
    );
    let message = format!(
        "TaskRun Pod exceeded available resources: {text}\nno waiting helps: it asks for requests.cpu of 4, and quota \"q\" allows 2 in all"
    );
    assert_eq!(
        said(&plan),
        (ConditionStatus::False, "ExceededResourceQuota", message.as_str())
    );
}
