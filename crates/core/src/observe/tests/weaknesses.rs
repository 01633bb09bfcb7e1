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

#[test]
fn w19_a_step_that_never_started_ends_the_run_while_others_wait() {
    let runs = || container("step-unnamed-1", json!({"running": {"startedAt": at(-5)}}));
    let why = "failed to create containerd task: mkdir /x: read-only file system";
    let (outcome, status) = look(pod(
        "Running",
        ended("step-build", 128, "StartError", why),
        runs(),
    ));
    assert_eq!(outcome, Outcome::Over);
    let message = format!("\"step-build\" exited with code 128: StartError\n{why}");
    assert_eq!(condition(&status), ("False", "StepFailed", message.as_str()));
    assert_eq!(status["steps"][0]["terminated"]["message"], why);
}

#[test]
fn w19_an_entrypoint_killed_before_its_first_word_is_noticed() {
    let silent = |second: i64| {
        container(
            "step-build",
            json!({"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": at(second)}}),
        )
    };
    let runs = || container("step-unnamed-1", json!({"running": {"startedAt": at(-5)}}));
    for (name, pod, outcome, reason) in [
        (
            "the others may notice",
            pod("Running", silent(-4), runs()),
            Outcome::Ongoing(Some(7)),
            "Running",
        ),
        (
            "they did not",
            pod("Running", silent(-10), runs()),
            Outcome::Over,
            "StepFailed",
        ),
        (
            "one that spoke releases them",
            pod(
                "Running",
                ended(
                    "step-build",
                    1,
                    "Error",
                    r#"[{"key":"Reason","value":"x","type":3}]"#,
                ),
                runs(),
            ),
            Outcome::Ongoing(None),
            "Running",
        ),
    ] {
        let (got, status) = look(pod);
        assert_eq!((got, condition(&status).1), (outcome, reason), "{name}");
    }
}

#[test]
fn w38_what_is_left_behind_does_not_hide_why_a_run_failed() {
    let entries = [
        Entry::new(Kind::TaskResult, "list", "no list"),
        Entry::new(Kind::TaskArtifacts, "provenance.json", "no artifacts"),
        Entry::internal("Ran", "1.204s"),
    ];
    let message = termination::encode(&entries, 4096).unwrap();
    let both = |code: i32| {
        let build = ended("step-build", code, "Error", &message);
        look(pod(
            "Failed",
            build,
            ended("step-unnamed-1", code, "Error", SKIPPED),
        ))
        .1
    };
    assert_eq!(
        condition(&both(3)),
        (
            "False",
            "StepFailed",
            "\"step-build\" exited with code 3: Error\nit ran for 1.204s"
        )
    );
    assert_eq!(both(3)["results"], Value::Null, "of another type than declared");
    let good = both(0);
    assert_eq!(condition(&good).1, "TaskRunValidationFailed");
}

#[test]
fn a_pod_that_does_not_go_is_given_up() {
    for (due, outcome, state) in [
        (20, Outcome::Ongoing(Some(141)), "Unknown"),
        (-119, Outcome::Ongoing(Some(2)), "Unknown"),
        (-120, Outcome::Over, "False"),
    ] {
        let running = |name: &str| container(name, json!({"running": {"startedAt": at(-500)}}));
        let mut pod = pod("Running", running("step-build"), running("step-unnamed-1"));
        pod["metadata"]["deletionTimestamp"] = json!(at(due));
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        pod["status"]["conditions"] = json!([{"type": "DisruptionTarget", "status": "True",
            "reason": "DeletionByTaintManager", "message": "the node is silent"}]);
        let (got, status) = look(pod);
        assert_eq!((got, condition(&status).0), (outcome, state), "{due}");
        assert_eq!(condition(&status).1, "NodeLost");
        let ends = condition(&status)
            .2
            .ends_with("\nits node has not confirmed that it ended");
        assert_eq!(ends, state == "False", "{due}");
    }
}

#[test]
fn w19_results_in_a_log_that_nobody_will_end_are_not_waited_for() {
    let log = || container(tektite_protocol::log_results::CONTAINER, json!({"running": {}}));
    let runs = || container("step-unnamed-1", json!({"running": {"startedAt": at(-5)}}));
    let silent = container(
        "step-build",
        json!({"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": at(-10)}}),
    );
    for build in [silent, ended("step-build", 128, "StartError", "no")] {
        let mut pod = pod("Running", build, runs());
        pod["status"]["initContainerStatuses"] = json!([log()]);
        let (outcome, status) = look(pod);
        assert_eq!((outcome, condition(&status).1), (Outcome::Over, "StepFailed"));
    }
}
