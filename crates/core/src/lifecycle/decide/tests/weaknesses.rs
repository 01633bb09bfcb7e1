//! Weaknesses of the original that are none here (runtime.md 7.5), each under its number.

use super::*;

fn going_on(spec: &Value, pod_name: &str) -> Value {
    json!({"podName": pod_name, "startTime": at(-9).to_string(), "taskSpec": spec["taskSpec"]})
}

#[test]
fn w37_logs_are_read_only_where_results_are_in_one() {
    let run = run(inline(), going_on(&inline(), "tr-pod"));
    let over = pod("Succeeded", json!({"terminated": {"exitCode": 0}}));
    assert_eq!(crate::lifecycle::wanted_log(&run, Some(&over)), None);
}

#[test]
fn w47_a_claim_that_cannot_be_made_now_is_made_later() {
    let run = run(inline(), json!({}));
    let config = Config::default();
    let claim = Effect::CreateClaim(Box::default());
    for (refusal, expected) in [
        (
            Refusal::Transient("etcd".into()),
            (ConditionStatus::Unknown, "Pending"),
        ),
        (
            Refusal::QuotaConflict("q".into()),
            (ConditionStatus::Unknown, "Pending"),
        ),
        (
            Refusal::Forbidden("exceeded quota: q".into()),
            (ConditionStatus::Unknown, "ExceededResourceQuota"),
        ),
        (
            Refusal::Invalid("no such class".into()),
            (ConditionStatus::False, "CouldntCreateWorkspacePVC"),
        ),
    ] {
        let plan = after_failure(&gathered(&run, None, &config), &claim, &refusal);
        assert_eq!((said(&plan).0, said(&plan).1), expected, "{refusal:?}");
        let again = expected.0 == ConditionStatus::Unknown;
        assert_eq!(plan.requeue.is_some(), again, "{refusal:?}");
    }
}

#[test]
fn w55_steps_without_names_are_announced_once() {
    let spec = json!({"taskSpec": {"steps": [{"image": "i", "command": ["c"]}, {"name": "b", "image": "i", "command": ["c"]}]}});
    let mut run = run(spec, json!({}));
    let names = |plan: &Plan| -> Vec<String> {
        let steps = plan.status.steps.iter();
        steps.map(|step| step.name.clone()).collect()
    };
    let config = Config::default();
    let wait = Refusal::Forbidden("exceeded quota: q".into());
    for _ in 0..3 {
        let plan = after_failure(
            &gathered(&run, None, &config),
            &Effect::CreatePod(Box::default()),
            &wait,
        );
        assert_eq!(names(&plan), ["unnamed-0", "b"]);
        assert!(plan.status.steps.iter().all(|step| step.provenance.is_some()));
        run.status = Some(plan.status);
    }
}

#[test]
fn w56_what_step_actions_said_first_is_what_the_run_does() {
    let refers = json!({"retries": 1, "taskSpec": {"steps": [{"name": "a", "ref": {"name": "act"}}]}});
    let kept = json!({"taskSpec": {"steps": [{"name": "a", "image": "kept", "command": ["c"]}]}});
    let mut new = run(refers.clone(), json!({}));
    let nothing = Fetched::Nothing;
    assert_eq!(crate::lifecycle::wanted_actions(&new, &nothing), ["act"]);
    // Another attempt, and one that waits for room: the StepAction is not asked for again.
    new.status = Some(serde_json::from_value(going_on(&kept, "")).unwrap());
    assert!(crate::lifecycle::wanted_actions(&new, &nothing).is_empty());
    let plan = decided(&new, None);
    let made = plan.new_pod().unwrap();
    assert_eq!(
        made.spec.as_ref().unwrap().containers[0].image.as_deref(),
        Some("kept")
    );
}

#[test]
fn w63_an_attempt_ends_under_the_flags_that_it_began_with() {
    let mut config = Config::default();
    let first = plan(&gathered(&run(inline(), json!({})), None, &config));
    let flags = first.status.provenance.clone().unwrap().feature_flags.unwrap();
    assert_eq!(flags["enableKeepPodOnCancel"], true);
    let mut cancelled = run(with(json!({"status": "TaskRunCancelled"})), json!({}));
    cancelled.status = Some(first.status);
    config.flags = crate::config::FeatureFlags::parse(&BTreeMap::from([(
        "keep-pod-on-cancel".to_owned(),
        "false".to_owned(),
    )]))
    .unwrap();
    let running = pod("Running", json!({"running": {"startedAt": at(-5).to_string()}}));
    let plan = plan(&gathered(&cancelled, Some(&running), &config));
    assert!(matches!(plan.afterwards[..], [Effect::AnnotatePod { .. }]));
}

#[test]
fn the_trace_of_whoever_made_the_run_goes_with_it() {
    let mut run = run(inline(), json!({}));
    for (annotation, expected) in [
        ("{\"traceparent\": \"00-1\"}", json!({"traceparent": "00-1"})),
        ("no object", json!({})),
    ] {
        run.metadata.annotations = Some([(labels::SPAN_CONTEXT.to_owned(), annotation.to_owned())].into());
        let plan = decided(&run, None);
        assert_eq!(json!(plan.status.span_context), expected, "{annotation}");
    }
}

#[test]
fn steps_that_nobody_tells_end_with_their_run() {
    let started = at(-50).to_string();
    let two = |first: Value| {
        let mut pod = pod("Running", first);
        let other = json!({"name": "step-b", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"running": {"startedAt": started}}});
        let statuses = pod.status.container_statuses.as_mut().unwrap();
        statuses.push(serde_json::from_value(other).unwrap());
        pod
    };
    let oom = two(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
    let spec = json!({"steps": [{"name": "a", "image": "i", "command": ["c"]}, {"name": "b", "image": "i", "command": ["c"]}]});
    let going = json!({"podName": "tr-pod", "startTime": started, "taskSpec": spec});
    let over = decided(&run(json!({"taskSpec": spec}), going), Some(&oom));
    assert_eq!(said(&over).1, "StepOOM");
    let ends: Vec<_> = over
        .status
        .steps
        .iter()
        .map(|step| step.terminated.is_some())
        .collect();
    assert_eq!(ends, [true, true]);
    // Most notice by themselves; the others are told, and at last ended.
    assert_eq!(
        (over.afterwards, over.requeue),
        (vec![], Some(Duration::from_secs(5)))
    );
    for (since, annotated, expected) in [
        (-4, false, ""),
        (-5, false, "tell"),
        (-20, true, ""),
        (-60, true, "end"),
    ] {
        let status = json!({"podName": "tr-pod", "startTime": started, "completionTime": at(since).to_string(),
            "taskSpec": spec, "conditions": [{"type": "Succeeded", "status": "False", "reason": "StepOOM", "message": "m"}]});
        let mut pod = oom.clone();
        if annotated {
            let annotations = pod.metadata.annotations.get_or_insert_default();
            annotations.insert(labels::CANCEL.to_owned(), labels::CANCEL_VALUE.to_owned());
        }
        let plan = decided(&run(json!({"taskSpec": spec}), status), Some(&pod));
        let done = match plan.afterwards.as_slice() {
            [] => "",
            [Effect::AnnotatePod { .. }] => "tell",
            [Effect::EndPod { .. }] => "end",
            other => panic!("{other:?}"),
        };
        assert_eq!(done, expected, "{since}");
        // What was done at last is not done again by the clock.
        assert_eq!(plan.requeue.is_some(), since > -60, "{since}");
    }
}

#[test]
fn a_stopped_pod_whose_sidecar_has_logs_is_kept() {
    for (init, expected) in [
        ("sidecar-db", "end"),
        ("istio-init", "end"),
        ("prepare", "delete"),
    ] {
        let mut pod = pod("Pending", json!({"waiting": {"reason": "PodInitializing"}}));
        let status = json!([{"name": init, "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"running": {"startedAt": at(-50).to_string()}}}]);
        pod.status.init_container_statuses = serde_json::from_value(status).unwrap();
        let going =
            json!({"podName": "tr-pod", "startTime": at(-100).to_string(), "taskSpec": inline()["taskSpec"]});
        let plan = decided(
            &run(with(json!({"status": "TaskRunCancelled"})), going),
            Some(&pod),
        );
        let done = match plan.afterwards.as_slice() {
            [Effect::DeletePod { .. }] => "delete",
            [Effect::EndPod { .. }] => "end",
            other => panic!("{other:?}"),
        };
        assert_eq!(done, expected, "{init}");
    }
}

#[test]
fn what_is_refused_does_not_stop_the_clocks() {
    let config = Config::default();
    let tell = Effect::AnnotatePod {
        name: "tr-pod".to_owned(),
        entries: vec![],
    };
    let waits = pod("Running", json!({"running": {"startedAt": at(-50).to_string()}}));
    for (started, refusal, state, reason, again) in [
        (
            -50,
            Refusal::Forbidden("no".into()),
            ConditionStatus::Unknown,
            "Running",
            Some(10),
        ),
        (
            -50,
            Refusal::Transient("no".into()),
            ConditionStatus::Unknown,
            "Running",
            Some(1),
        ),
        (
            -36_000,
            Refusal::Forbidden("no".into()),
            ConditionStatus::False,
            "TaskRunTimeout",
            None,
        ),
    ] {
        let status = json!({"podName": "tr-pod", "startTime": at(started).to_string(), "taskSpec": inline()["taskSpec"],
            "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running", "message": "m"}]});
        let run = run(inline(), status);
        let mut pod = waits.clone();
        pod.status.container_statuses.as_mut().unwrap()[0].state =
            serde_json::from_value(json!({"running": {"startedAt": at(started).to_string()}})).unwrap();
        let plan = after_failure(&gathered(&run, Some(&pod), &config), &tell, &refusal);
        assert_eq!((said(&plan).0, said(&plan).1), (state, reason));
        if let Some(again) = again {
            assert_eq!(plan.requeue, Some(Duration::from_secs(again)));
            let message = "Pod \"tr-pod\" has to be annotated before its first step can begin, and the API server does not let that happen: no";
            assert_eq!(said(&plan).2, message);
        }
    }
}

#[test]
fn claims_that_are_refused_are_told_as_claims() {
    let run = run(inline(), json!({}));
    let config = Config::default();
    let mut claim = k8s_openapi::api::core::v1::PersistentVolumeClaim::default();
    claim.metadata.name = Some("pvc-1".to_owned());
    let create = Effect::CreateClaim(Box::new(claim));
    let quota = "exceeded quota: q, requested: requests.storage=2Gi, used: requests.storage=0, limited: requests.storage=1Gi";
    for (refusal, state, reason, message) in [
        (
            Refusal::Transient("busy".into()),
            ConditionStatus::Unknown,
            "Pending",
            "the API server does not take PersistentVolumeClaim \"pvc-1\" yet: busy".to_owned(),
        ),
        (
            Refusal::QuotaConflict("x".into()),
            ConditionStatus::Unknown,
            "Pending",
            "tried to create PersistentVolumeClaim \"pvc-1\", but the quota was being counted".to_owned(),
        ),
        (
            Refusal::Forbidden(quota.into()),
            ConditionStatus::False,
            "ExceededResourceQuota",
            format!(
                "TaskRun's PersistentVolumeClaim \"pvc-1\" exceeded available resources: {quota}\nno waiting helps: it asks for requests.storage of 2Gi, and quota \"q\" allows 1Gi in all"
            ),
        ),
        (
            Refusal::Invalid("no".into()),
            ConditionStatus::False,
            "CouldntCreateWorkspacePVC",
            "failed to create PVC for TaskRun ns/tr workspaces correctly: PVC creation error for pvc-1: no"
                .to_owned(),
        ),
    ] {
        let plan = after_failure(&gathered(&run, None, &config), &create, &refusal);
        assert_eq!(said(&plan), (state, reason, message.as_str()));
    }
}

#[test]
fn a_run_of_which_nothing_can_be_read_has_a_status_and_its_clocks() {
    let config = Config::default();
    let why = "failed to get Task: tasks.tekton.dev \"t\" is forbidden";
    let spec = || json!({"taskRef": {"name": "t"}});
    let stored = |started: i64| {
        json!({"startTime": at(started).to_string(),
            "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Pending", "message": why}]})
    };
    let (mut with_pod, mut for_room) = (stored(-36_000), stored(-60));
    with_pod["podName"] = json!("tr-pod");
    for_room["conditions"][0]["reason"] = json!("ExceededResourceQuota");
    let mut cancelled = spec();
    cancelled["status"] = json!("TaskRunCancelled");
    let mut held = spec();
    held["status"] = json!("TaskRunPending");
    for (name, spec, status, expected) in [
        (
            "new",
            spec(),
            json!({}),
            Some((ConditionStatus::Unknown, "Pending")),
        ),
        (
            "later",
            spec(),
            stored(-60),
            Some((ConditionStatus::Unknown, "Pending")),
        ),
        (
            "out of patience",
            spec(),
            stored(-3600),
            Some((ConditionStatus::False, "TaskRunTimeout")),
        ),
        (
            "has a Pod, which may run all the same",
            spec(),
            with_pod,
            Some((ConditionStatus::Unknown, "Pending")),
        ),
        (
            "waits for room",
            spec(),
            for_room,
            Some((ConditionStatus::Unknown, "ExceededResourceQuota")),
        ),
        (
            "cancelled",
            cancelled,
            stored(-60),
            Some((ConditionStatus::False, "TaskRunCancelled")),
        ),
        ("held", held, json!({}), None),
        (
            "over",
            spec(),
            done_with("StepFailed"),
            Some((ConditionStatus::False, "StepFailed")),
        ),
    ] {
        let run = run(spec, status);
        let plan = not_gathered(&gathered(&run, None, &config), why);
        let known = plan.status.succeeded();
        assert_eq!(
            known.map(|known| (known.status, known.reason.as_str())),
            expected,
            "{name}"
        );
        if expected == Some((ConditionStatus::Unknown, "Pending")) {
            assert_eq!(known.unwrap().message, why);
            assert!(plan.status.start_time.is_some());
        }
    }
}

fn done_with(reason: &str) -> Value {
    json!({"podName": "tr-pod", "startTime": at(-100).to_string(), "completionTime": at(-50).to_string(),
        "conditions": [{"type": "Succeeded", "status": "False", "reason": reason, "message": "m"}]})
}

#[test]
fn infra_retries_cover_pods_that_never_began_and_come_from_the_operator_too() {
    let mut config = Config::default();
    config.defaults.lifecycle.infra_retries = 1;
    for (name, image_id, annotation, is_retried, told) in [
        ("the operator's setting", "", None, true, false),
        ("the run's own", "", Some("0"), false, false),
        ("one that is no number", "", Some("many"), true, true),
        ("a step had begun", "sha256:1", None, false, false),
    ] {
        let mut pod = pod("Failed", json!({"waiting": {"reason": "PodInitializing"}}));
        pod.status.container_statuses.as_mut().unwrap()[0].image_id = image_id.to_owned();
        let init = json!([{"name": "init", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]);
        pod.status.init_container_statuses = serde_json::from_value(init).unwrap();
        let going =
            json!({"podName": "tr-pod", "startTime": at(-100).to_string(), "taskSpec": inline()["taskSpec"]});
        let mut run = run(inline(), going);
        run.metadata.annotations =
            annotation.map(|value| BTreeMap::from([(labels::INFRA_RETRIES.to_owned(), value.to_owned())]));
        let plan = plan(&gathered(&run, Some(&pod), &config));
        assert_eq!(
            said(&plan).1 == "ToBeRetried",
            is_retried,
            "{name}: {:?}",
            said(&plan)
        );
        let warned = plan
            .events
            .iter()
            .any(|event| event.reason == "InvalidAnnotation");
        assert_eq!(warned, told, "{name}");
    }
}
