//! Weaknesses of the original that are none here (runtime.md 7.5), each under its number.

use super::*;

fn waiting(name: &str, reason: &str, message: &str) -> Value {
    container(name, json!({"waiting": {"reason": reason, "message": message}}))
}

fn since(mut pod: Value, second: i64) -> Value {
    pod["status"]["conditions"] =
        json!([{"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": at(second)}]);
    pod
}

#[test]
fn w45_an_init_container_without_image_ends_the_run() {
    let quiet = |name: &str| container(name, json!({"waiting": {"reason": "PodInitializing"}}));
    let with_init = |second: i64| {
        let mut pod = since(
            pod("Pending", quiet("step-build"), quiet("step-unnamed-1")),
            second,
        );
        pod["status"]["initContainerStatuses"] = json!([waiting(
            "prepare",
            "ImagePullBackOff",
            "Back-off pulling image \"x\""
        )]);
        pod
    };
    let (outcome, status) = look(with_init(-10));
    assert_eq!(outcome, Outcome::Ongoing(Some(110)));
    assert_eq!(
        condition(&status),
        (
            "Unknown",
            "PullImageFailed",
            "Pending\nthe init container \"prepare\" waits: Back-off pulling image \"x\""
        )
    );
    let (outcome, status) = look(with_init(-120));
    assert_eq!(outcome, Outcome::Stuck);
    assert_eq!(
        condition(&status).2,
        "the init container \"prepare\" in TaskRun \"tr\" failed to pull the image \"\". The pod errored with the message: \"Back-off pulling image \"x\".\""
    );
}

#[test]
fn w46_image_pull_grace_has_a_timer() {
    let pods = |second: i64| {
        let build = waiting("step-build", "ImagePullBackOff", "Back-off pulling image \"x\"");
        since(
            pod("Pending", build, container("step-unnamed-1", json!({}))),
            second,
        )
    };
    for (waited, outcome) in [
        (0, Outcome::Ongoing(Some(120))),
        (119, Outcome::Ongoing(Some(1))),
        (120, Outcome::Stuck),
    ] {
        assert_eq!(look(pods(-waited)).0, outcome, "{waited}");
    }
}

#[test]
fn w57_results_of_steps_are_lifted_as_often_and_in_such_parts_as_one_likes() {
    let value =
        |reference: &str| json!({"name": reference, "value": format!("$(steps.build.results.{reference})")});
    let mut twice = value("text");
    twice["name"] = json!("again");
    let spec: TaskSpec = serde_json::from_value(json!({
        "steps": [{"name": "build", "results": [{"name": "text"}, {"name": "list", "type": "array"},
            {"name": "map", "type": "object", "properties": {"k": {}}}]}],
        "results": [value("text"), twice, value("list[*]"), value("list[1]"), value("list[9]"), value("map.k"), value("map.no")],
    }))
    .unwrap();
    let message = r#"[{"key":"text","value":"v","type":4},{"key":"list","value":"[\"a\",\"b\"]","type":4},
        {"key":"map","value":"{\"k\":\"w\"}","type":4}]"#;
    let pod: PodView = serde_json::from_value(
        json!({"metadata": {"name": "tr-pod"}, "status": {"phase": "Succeeded",
        "containerStatuses": [ended("step-build", 0, "Completed", message)]}}),
    )
    .unwrap();
    let steps = steps::read(&spec, &pod);
    let lifted = results::task_results(&spec, &[], &steps);
    assert_eq!(
        json!(lifted),
        json!([
            {"name": "text", "type": "string", "value": "v"},
            {"name": "again", "type": "string", "value": "v"},
            {"name": "list[*]", "type": "array", "value": ["a", "b"]},
            {"name": "list[1]", "type": "string", "value": "b"},
            {"name": "map.k", "type": "string", "value": "w"},
        ])
    );
}

#[test]
fn a_pod_that_waits_in_silence_is_asked_about() {
    let quiet = |name: &str| container(name, json!({"waiting": {"reason": "ContainerCreating"}}));
    let scheduled = |second: i64| {
        let mut pod = pod("Pending", quiet("step-build"), quiet("step-unnamed-1"));
        pod["status"]["conditions"] =
            json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": at(second)}]);
        pod
    };
    let now = Timestamp::from_second(NOW).unwrap();
    let silent = |pod: &Value| silence(&serde_json::from_value(pod.clone()).unwrap(), now);
    let speaks = pod(
        "Pending",
        waiting("step-build", "x", "y"),
        quiet("step-unnamed-1"),
    );
    assert_eq!(silent(&speaks), None);
    assert_eq!(silent(&scheduled(-4)), Some(std::time::Duration::from_secs(6)));
    assert_eq!(look(scheduled(-4)).0, Outcome::Ongoing(Some(7)));
    assert_eq!(look(scheduled(-11)).0, Outcome::Ongoing(Some(60)));
    let spec = spec();
    let subject = Subject {
        run_name: "tr",
        spec: &spec,
        log: &ResultsLog::NotRead,
        news: Some("FailedMount: secret \"s\" not found"),
        settings: LifecycleSettings::default(),
        now,
    };
    let mut status = TaskRunStatus::default();
    observe(
        subject,
        &serde_json::from_value(scheduled(-11)).unwrap(),
        &mut status,
    );
    assert_eq!(
        status.succeeded().unwrap().message,
        "Pending\nFailedMount: secret \"s\" not found"
    );
}
