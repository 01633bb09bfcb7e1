//! A run's life, decision by decision.

mod clocks;
mod ends;
mod images;
mod weaknesses;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use k8s_openapi::api::core::v1::Pod;
use tektite_api::ConditionStatus;

use super::*;
use crate::{
    config::Config,
    image::Answers,
    lifecycle::{
        Fetched, Refusal, Wanted, after_failure,
        testing::{at, gathered},
        wanted,
    },
};

const UID: &str = "11111111-2222-3333-4444-555555555555";

fn run(spec: Value, status: Value) -> TaskRun {
    let mut run: TaskRun = serde_json::from_value(json!({"spec": spec, "status": status})).unwrap();
    run.metadata = serde_json::from_value(
        json!({"name": "tr", "namespace": "ns", "uid": UID, "creationTimestamp": at(-1).to_string()}),
    )
    .unwrap();
    run
}

fn inline() -> Value {
    json!({"taskSpec": {"steps": [{"name": "a", "image": "i", "command": ["c"]}]}})
}

/// `inline` with more fields.
fn with(more: Value) -> Value {
    let mut spec = inline();
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    spec
}

fn pod(phase: &str, state: Value) -> PodView {
    serde_json::from_value(json!({
        "metadata": {"name": "tr-pod", "uid": "pod-uid", "annotations": {"tektite.dev/delivery": "image-volume", "tekton.dev/ready": "READY"},
            "ownerReferences": [{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "tr", "uid": UID, "controller": true}]},
        "status": {"phase": phase, "containerStatuses": [
            {"name": "step-a", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state}]},
    }))
    .unwrap()
}

fn decided(run: &TaskRun, pod: Option<&PodView>) -> Plan {
    plan(&gathered(run, pod, &Config::default()))
}

fn said(plan: &Plan) -> (ConditionStatus, &str, &str) {
    let condition = plan.status.succeeded().unwrap();
    (
        condition.status,
        condition.reason.as_str(),
        condition.message.as_str(),
    )
}

fn events(plan: &Plan) -> Vec<&str> {
    plan.events.iter().map(|event| event.reason).collect()
}

#[test]
fn a_new_run_gets_claims_then_its_pod() {
    let run = run(
        with(
            json!({"workspaces": [{"name": "w", "volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}]}),
        ),
        json!({}),
    );
    let plan = decided(&run, None);
    assert!(
        matches!(plan.effects[..], [Effect::CreateClaim(_), Effect::CreatePod(_)]),
        "{:?}",
        plan.effects
    );
    assert_eq!(said(&plan), (ConditionStatus::Unknown, "Pending", "Pending"));
    assert_eq!(plan.status.pod_name, "tr-pod");
    assert_eq!(plan.status.start_time, Some(condition::time(at(0))));
    assert!(plan.status.task_spec.is_some());
    assert_eq!(plan.annotations[labels::RELEASE], "abc1234");
    assert_eq!(events(&plan), ["Started", "Pending"]);
}

#[test]
fn a_named_task_is_wanted_until_its_copy_is_stored() {
    let spec = || json!({"taskRef": {"name": "t"}});
    assert_eq!(wanted(&run(spec(), json!({}))), Wanted::Task("t".into()));
    assert_eq!(wanted(&run(spec(), json!({"taskSpec": {}}))), Wanted::Nothing);
    assert_eq!(wanted(&run(inline(), json!({}))), Wanted::Nothing);
    let run = run(spec(), json!({}));
    let config = Config::default();
    let missing = plan(&Gathered {
        fetched: Fetched::TaskMissing,
        ..gathered(&run, None, &config)
    });
    assert_eq!(
        said(&missing),
        (
            ConditionStatus::False,
            "TaskRunResolutionFailed",
            "error when listing tasks for taskRun tr: tasks.tekton.dev \"t\" not found"
        )
    );
}

#[test]
fn runs_that_do_not_fit_fail_with_upstreams_text() {
    for (spec, reason, message) in [
        (
            json!({"taskSpec": {"params": [{"name": "p"}], "steps": [{"image": "i", "command": ["c"]}]}}),
            "TaskRunValidationFailed",
            "[User error] invalid input params for task tr: missing values for these params which have no default values: [p]",
        ),
        (
            json!({"taskSpec": {"workspaces": [{"name": "w"}], "steps": [{"image": "i", "command": ["c"]}]}}),
            "TaskRunValidationFailed",
            "[User error] declared workspace \"w\" is required but has not been bound",
        ),
        (
            with(json!({"stepSpecs": [{"name": "x"}]})),
            "TaskRunValidationFailed",
            "[User error] invalid StepOverride: No Step named x",
        ),
    ] {
        let plan = decided(&run(spec, json!({})), None);
        assert_eq!(said(&plan), (ConditionStatus::False, reason, message));
        assert!(plan.effects.is_empty());
        assert!(plan.status.completion_time.is_some());
    }
}

#[test]
fn held_and_cancelled_runs() {
    let held = decided(&run(with(json!({"status": "TaskRunPending"})), json!({})), None);
    assert_eq!(
        said(&held),
        (
            ConditionStatus::Unknown,
            "TaskRunPending",
            "TaskRun \"tr\" is pending"
        )
    );
    assert_eq!(held.status.start_time, None);
    assert!(held.effects.is_empty());

    let cancelled = run(
        with(json!({"status": "TaskRunCancelled", "statusMessage": "enough"})),
        json!({}),
    );
    let before = decided(&cancelled, None);
    assert_eq!(
        said(&before),
        (
            ConditionStatus::False,
            "TaskRunCancelled",
            "TaskRun \"tr\" was cancelled. enough"
        )
    );
    assert!(before.effects.is_empty());

    let running = pod("Running", json!({"running": {"startedAt": at(-5).to_string()}}));
    let mut cancelled = cancelled;
    cancelled.status = Some(decided(&run(inline(), json!({})), Some(&running)).status);
    let during = decided(&cancelled, Some(&running));
    assert!(during.effects.is_empty());
    assert_eq!(
        during.afterwards,
        [Effect::AnnotatePod {
            name: "tr-pod".into(),
            entries: vec![("tekton.dev/cancel", "CANCEL".to_owned())],
        }]
    );
    let step = &during.status.steps[0];
    assert_eq!(step.termination_reason, "TaskRunCancelled");
    assert_eq!(step.terminated.as_ref().unwrap().exit_code, 1);

    let waiting = pod("Pending", json!({"waiting": {"reason": "ContainerCreating"}}));
    let early = decided(&cancelled, Some(&waiting));
    assert_eq!(
        early.afterwards,
        [Effect::DeletePod {
            name: "tr-pod".into(),
            uid: "pod-uid".into()
        }]
    );
}

#[test]
fn the_timeout_counts_from_the_first_step() {
    let spec = with(json!({"timeout": "10s"}));
    let running = |since: i64| {
        pod(
            "Running",
            json!({"running": {"startedAt": at(since).to_string()}}),
        )
    };
    let status = json!({"podName": "tr-pod", "startTime": at(-100).to_string()});
    let run = run(spec, status);
    let in_time = running(-4);
    assert_eq!(
        decided(&run, Some(&in_time)).requeue,
        Some(Duration::from_secs(6))
    );
    let never = pod(
        "Pending",
        json!({"terminated": {"exitCode": 128, "reason": "StartError",
        "startedAt": "1970-01-01T00:00:00Z", "message": "exec: \"/tekton/bin/entrypoint\": not found"}}),
    );
    let plan = decided(&run, Some(&never));
    assert_eq!(
        (said(&plan).1, plan.requeue),
        ("Pending", Some(Duration::from_secs(1)))
    );
    let mut foreign = never.clone();
    foreign.metadata.annotations = None;
    assert_ne!(said(&decided(&run, Some(&foreign))).1, "TaskRunTimeout");
    let late = running(-10);
    let plan = decided(&run, Some(&late));
    assert_eq!(
        said(&plan),
        (
            ConditionStatus::False,
            "TaskRunTimeout",
            "TaskRun \"tr\" failed to finish within \"10s\"\nstep \"a\" was still running, for 10s"
        )
    );
    assert_eq!(plan.afterwards.len(), 1);
}

#[test]
fn a_failure_is_retried_while_attempts_are_left() {
    let failed = pod(
        "Failed",
        json!({"terminated": {"exitCode": 3, "reason": "Error"}}),
    );
    let status = json!({"podName": "tr-pod", "startTime": at(-9).to_string()});
    let again = decided(&run(with(json!({"retries": 1})), status.clone()), Some(&failed));
    assert_eq!(
        said(&again),
        (
            ConditionStatus::Unknown,
            "ToBeRetried",
            "\"step-a\" exited with code 3: Error\nattempt 1 failed; retry 1 of 1 follows"
        )
    );
    assert_eq!(again.status.retries_status.len(), 1);
    assert_eq!(
        (again.status.pod_name.as_str(), again.status.steps.len()),
        ("", 0)
    );
    let mut next = run(with(json!({"retries": 1})), json!({}));
    next.status = Some(again.status);
    assert_eq!(pod_name(&next), "tr-pod-retry1");
    assert_eq!(decided(&next, None).status.pod_name, "tr-pod-retry1");

    let over = decided(&run(inline(), status), Some(&failed));
    assert_eq!(said(&over).0, ConditionStatus::False);
    assert_eq!(events(&over), ["Failed"]);
}

#[test]
fn a_pod_of_an_earlier_run_has_to_go_first() {
    let mut foreign = pod("Running", json!({}));
    foreign.metadata.owner_references = None;
    let plan = decided(&run(inline(), json!({})), Some(&foreign));
    assert_eq!(
        said(&plan),
        (
            ConditionStatus::Unknown,
            "Pending",
            "tried to create pod, but it already exists\nPod \"tr-pod\" belongs to nobody: remove it, or give this TaskRun another name"
        )
    );
    assert_eq!(
        (plan.effects.len(), plan.requeue),
        (0, Some(Duration::from_secs(10)))
    );
    let mut going = pod("Running", json!({}));
    going.metadata.owner_references.as_mut().unwrap()[0].uid = "another".to_owned();
    assert_eq!(
        holder(&going),
        "Pod \"tr-pod\" belongs to TaskRun \"tr\" with the UID another"
    );
    going.metadata.deletion_timestamp = Some(condition::time(at(0)));
    let plan = decided(&run(inline(), json!({})), Some(&going));
    assert!(
        said(&plan)
            .2
            .ends_with("\nPod \"tr-pod\" is there still, and on its way out")
    );
    assert_eq!(plan.requeue, Some(Duration::from_secs(1)));
}

#[test]
fn a_pod_that_cannot_run_the_entrypoint_is_replaced_once() {
    let broken = pod(
        "Failed",
        json!({"terminated": {"exitCode": 128, "reason": "StartError",
            "message": "exec: \"/tekton/bin/entrypoint\": permission denied"}}),
    );
    let status = json!({"podName": "tr-pod", "startTime": at(-9).to_string()});
    let mut run = run(inline(), status);
    let first = decided(&run, Some(&broken));
    assert_eq!(
        first.effects,
        [Effect::DeletePod {
            name: "tr-pod".into(),
            uid: "pod-uid".into()
        }]
    );
    assert_eq!(first.annotations[labels::DELIVERY], "init-container");
    assert_eq!(said(&first).0, ConditionStatus::Unknown);
    assert_eq!(first.status.pod_name, "");
    assert_eq!(first.status.retries_status.len(), 0);

    run.metadata.annotations = Some(first.annotations);
    run.status = Some(first.status);
    let second = decided(&run, None);
    let Effect::CreatePod(made) = &second.effects[0] else {
        panic!("{:?}", second.effects)
    };
    assert_eq!(
        made.metadata.annotations.as_ref().unwrap()[labels::DELIVERY],
        "init-container"
    );
    assert!(made.spec.as_ref().unwrap().init_containers.is_some());
    // The Pod that goes is still there for a while, and says nothing about the run any more.
    let mut going = broken.clone();
    going.metadata.deletion_timestamp = Some(condition::time(at(0)));
    let meanwhile = decided(&run, Some(&going));
    assert_eq!(said(&meanwhile).0, ConditionStatus::Unknown);
    assert!(meanwhile.effects.is_empty());
    assert_eq!(said(&decided(&run, Some(&broken))).0, ConditionStatus::False);
}

#[test]
fn refusals() {
    let run = run(json!({"taskRef": {"name": "t"}}), json!({}));
    let config = Config::default();
    let gathered = gathered(&run, None, &config);
    let pod = |form: &str| {
        let mut pod = Pod::default();
        pod.metadata.annotations = Some(BTreeMap::from([(labels::DELIVERY.to_owned(), form.to_owned())]));
        Effect::CreatePod(Box::new(pod))
    };
    let create = pod("init-container");
    for (refusal, status, reason, message, again) in [
        (
            Refusal::QuotaConflict("x".into()),
            ConditionStatus::Unknown,
            "Pending",
            "tried to create pod, but it failed with ResourceQuotaConflictError",
            Some(1),
        ),
        (
            Refusal::Forbidden("pods \"tr-pod\" is forbidden: exceeded quota: q".into()),
            ConditionStatus::Unknown,
            "ExceededResourceQuota",
            "TaskRun Pod exceeded available resources: pods \"tr-pod\" is forbidden: exceeded quota: q",
            Some(60),
        ),
        (
            Refusal::Forbidden("pods \"tr-pod\" is forbidden: violates PodSecurity \"restricted\"".into()),
            ConditionStatus::False,
            "PodAdmissionFailed",
            "pods \"tr-pod\" is forbidden: violates PodSecurity \"restricted\"",
            None,
        ),
        (
            Refusal::Invalid("spec.x: Invalid value".into()),
            ConditionStatus::False,
            "PodCreationFailed",
            "failed to create task run pod \"tr\": spec.x: Invalid value. Maybe missing or invalid Task ns/t",
            None,
        ),
        (
            Refusal::NameTaken("x".into()),
            ConditionStatus::Unknown,
            "Pending",
            "tried to create pod, but it already exists\nx",
            Some(10),
        ),
    ] {
        let plan = after_failure(&gathered, &create, &refusal);
        assert_eq!(said(&plan), (status, reason, message));
        assert_eq!(plan.requeue, again.map(Duration::from_secs), "{message}");
        assert_eq!(plan.status.pod_name, "");
    }
    let transient = after_failure(&gathered, &create, &Refusal::Transient("timeout".into()));
    assert_eq!(
        said(&transient),
        (
            ConditionStatus::Unknown,
            "Pending",
            "the API server does not take the Pod yet: timeout"
        )
    );
    let dropped = Refusal::Invalid("spec.volumes[5]: Required value: must specify a volume type".into());
    let other = after_failure(&gathered, &pod("image-volume"), &dropped);
    assert_eq!(other.annotations[labels::DELIVERY], "init-container");
    assert_eq!(other.requeue, Some(Duration::ZERO));
}

#[test]
fn w50_done_runs_are_left_alone() {
    let status = json!({"conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}]});
    let run = run(inline(), status);
    let plan = decided(&run, None);
    assert_eq!(Some(&plan.status), run.status.as_ref());
    assert_eq!(
        plan,
        Plan {
            status: plan.status.clone(),
            ..Plan::default()
        }
    );
}

#[test]
fn what_a_pod_was_made_from_stays_what_it_runs() {
    let running = pod("Running", json!({"running": {"startedAt": at(-5).to_string()}}));
    let spec = json!({"steps": [{"name": "a", "image": "i", "script": "echo $(params.q)"}], "params": [{"name": "q"}]});
    let status = json!({"podName": "tr-pod", "startTime": at(-9).to_string(), "taskSpec": spec});
    let params = json!([{"name": "q", "value": "; rm"}]);
    for source in [
        json!({"taskRef": {"name": "t"}, "params": params}),
        json!({"taskSpec": spec, "params": params}),
    ] {
        let run = run(source, status.clone());
        let plan = decided(&run, Some(&running));
        assert_eq!(said(&plan).1, "Running");
        assert_eq!(plan.status.task_spec, run.status.unwrap().task_spec);
    }
    // Another attempt of a named Task starts from the same copy, which has its values already.
    let mut again = run(
        json!({"taskRef": {"name": "t"}, "params": params}),
        json!({"taskSpec": spec}),
    );
    again.spec.retries = 1;
    let plan = decided(&again, None);
    assert_eq!(plan.status.task_spec.unwrap().steps[0].script, "echo $(params.q)");
}

#[test]
fn a_tasks_annotations_never_replace_the_runs_own() {
    let task = json!({"metadata": {"name": "t", "annotations": {"a": "task", "b": "task"}, "labels": {"l": "task"}},
        "spec": {"steps": [{"image": "i", "command": ["c"]}]}});
    let mut run = run(json!({"taskRef": {"name": "t"}}), json!({}));
    run.metadata.annotations = Some(BTreeMap::from([("a".to_owned(), "run".to_owned())]));
    let config = Config::default();
    let fetched = Fetched::Task(Box::new(serde_json::from_value(task).unwrap()));
    let plan = plan(&Gathered {
        fetched,
        ..gathered(&run, None, &config)
    });
    assert_eq!(plan.annotations.get("a"), None);
    assert_eq!(plan.annotations["b"], "task");
    assert_eq!(plan.labels["l"], "task");
}

#[test]
fn a_run_that_waits_keeps_what_it_took_over() {
    let task = json!({"metadata": {"name": "t"}, "spec": {"steps": [{"image": "i", "command": ["c"]}]}});
    let run = run(json!({"taskRef": {"name": "t"}}), json!({}));
    let config = Config::default();
    let fetched = Fetched::Task(Box::new(serde_json::from_value(task).unwrap()));
    let gathered = Gathered {
        fetched,
        ..gathered(&run, None, &config)
    };
    let effect = Effect::CreatePod(Box::default());
    let plan = after_failure(
        &gathered,
        &effect,
        &Refusal::Forbidden("exceeded quota: q".into()),
    );
    assert!(plan.status.task_spec.is_some());
    assert_eq!(plan.labels["tekton.dev/task"], "t");
    assert_eq!(plan.annotations[labels::RELEASE], "abc1234");
}

#[test]
fn a_held_run_that_has_begun_goes_on() {
    let spec = json!({"taskRef": {"name": "t"}, "status": "TaskRunPending"});
    assert_eq!(wanted(&run(spec.clone(), json!({}))), Wanted::Nothing);
    assert_eq!(
        wanted(&run(spec, json!({"startTime": at(-9).to_string()}))),
        Wanted::Task("t".into())
    );
}

#[test]
fn a_pod_in_which_a_step_has_run_keeps_its_logs() {
    let mut half = pod("Pending", json!({"running": {"startedAt": at(-5).to_string()}}));
    let cancelled = run(
        with(json!({"status": "TaskRunCancelled"})),
        json!({"podName": "tr-pod"}),
    );
    assert!(matches!(
        decided(&cancelled, Some(&half)).afterwards[..],
        [Effect::AnnotatePod { .. }]
    ));
    half.status.container_statuses = None;
    assert!(matches!(
        decided(&cancelled, Some(&half)).afterwards[..],
        [Effect::DeletePod { .. }]
    ));
}

#[test]
fn the_end_says_what_was_waited_for() {
    let status = json!({"podName": "", "conditions": [{"type": "Succeeded", "status": "Unknown",
        "reason": "Pending", "message": "no room"}]});
    let plan = decided(&run(with(json!({"status": "TaskRunCancelled"})), status), None);
    assert_eq!(
        said(&plan).2,
        "TaskRun \"tr\" was cancelled. \nPrevious status: [Pending] no room"
    );
}
