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
