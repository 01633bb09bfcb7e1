//! Pods in every condition, and what their runs say (api.md E.6, runtime.md 5.10 to 5.12).

mod weaknesses;

use serde_json::{Value, json};
use tektite_protocol::termination::{self, Entry, Kind};

use super::*;

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> String {
    Timestamp::from_second(NOW + second).unwrap().to_string()
}

fn spec() -> TaskSpec {
    serde_json::from_value(json!({
        "steps": [{"name": "build", "results": [{"name": "sr"}]}, {}],
        "results": [
            {"name": "text", "type": "string"},
            {"name": "list", "type": "array"},
            {"name": "map", "type": "object", "properties": {"k": {}}},
            {"name": "lifted", "type": "string", "value": "$(steps.build.results.sr)"},
        ],
    }))
    .unwrap()
}

fn look(pod: Value) -> (Outcome, Value) {
    let spec = spec();
    let subject = Subject {
        run_name: "tr",
        spec: &spec,
        log: &ResultsLog::NotRead,
        news: None,
        settings: LifecycleSettings::default(),
        now: Timestamp::from_second(NOW).unwrap(),
    };
    let mut status = TaskRunStatus::default();
    let pod: PodView = serde_json::from_value(pod).unwrap();
    let outcome = observe(subject, &pod, &mut status);
    (outcome, serde_json::to_value(status).unwrap())
}

fn condition(status: &Value) -> (&str, &str, &str) {
    let condition = &status["conditions"][0];
    let text = |key: &str| condition[key].as_str().unwrap_or_default();
    (text("status"), text("reason"), text("message"))
}

fn container(name: &str, state: Value) -> Value {
    json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn ended(name: &str, code: i32, reason: &str, message: &str) -> Value {
    container(
        name,
        json!({"terminated": {"exitCode": code, "reason": reason, "message": message}}),
    )
}

fn pod(phase: &str, build: Value, second: Value) -> Value {
    json!({"metadata": {"name": "tr-pod"}, "status": {"phase": phase, "containerStatuses": [second, build]}})
}

const STARTED: &str = r#"[{"key":"StartedAt","value":"2026-01-01T00:00:00.123Z","type":3}]"#;
const SKIPPED: &str = r#"[{"key":"Reason","value":"Skipped","type":3}]"#;

#[test]
fn finished_pods() {
    let good = || ended("step-unnamed-1", 0, "Completed", STARTED);
    for (name, pod, expected) in [
        (
            "all well",
            pod("Succeeded", ended("step-build", 0, "Completed", STARTED), good()),
            ("True", "Succeeded", "All Steps have completed executing"),
        ),
        (
            "all steps ended while the Pod still runs",
            pod("Running", ended("step-build", 0, "Completed", STARTED), good()),
            ("True", "Succeeded", "All Steps have completed executing"),
        ),
        (
            "a step fails",
            pod(
                "Failed",
                ended("step-build", 3, "Error", STARTED),
                ended("step-unnamed-1", 1, "Error", SKIPPED),
            ),
            ("False", "StepFailed", "\"step-build\" exited with code 3: Error"),
        ),
        (
            "the unnamed one fails",
            pod(
                "Failed",
                ended("step-build", 0, "Completed", STARTED),
                ended("step-unnamed-1", 1, "Error", ""),
            ),
            (
                "False",
                "StepFailed",
                "\"step-unnamed-1\" exited with code 1: Error",
            ),
        ),
        (
            "out of memory ends the run at once",
            pod(
                "Running",
                ended("step-build", 137, "OOMKilled", ""),
                container("step-unnamed-1", json!({"running": {}})),
            ),
            (
                "False",
                "StepOOM",
                "\"step-build\" exited with code 137: OOMKilled",
            ),
        ),
        (
            "a step's timeout",
            pod(
                "Failed",
                ended(
                    "step-build",
                    1,
                    "Error",
                    r#"[{"key":"Reason","value":"TimeoutExceeded","type":3}]"#,
                ),
                ended("step-unnamed-1", 1, "Error", SKIPPED),
            ),
            (
                "False",
                "StepFailed",
                "\"step-build\" exited because the step exceeded the specified timeout limit",
            ),
        ),
        (
            "the entrypoint's own sentence",
            pod(
                "Failed",
                ended(
                    "step-build",
                    1,
                    "Error",
                    r#"[{"key":"Message","value":"no such program","type":3}]"#,
                ),
                good(),
            ),
            (
                "False",
                "StepFailed",
                "\"step-build\" exited with code 1: Error\nno such program",
            ),
        ),
        (
            "evicted",
            json!({"metadata": {"name": "tr-pod"}, "status":
                {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}}),
            ("False", "PodEvicted", "The node was low on resource: memory."),
        ),
        (
            "the init container failed",
            json!({"metadata": {"name": "tr-pod"}, "status":
                {"phase": "Failed", "initContainerStatuses": [ended("prepare", 1, "Error", "")]}}),
            (
                "False",
                "InitContainerFailed",
                "init container failed, \"prepare\" exited with code 1: Error",
            ),
        ),
        (
            "nothing is known",
            json!({"metadata": {"name": "tr-pod"}, "status": {"phase": "Failed"}}),
            ("False", "Failed", "build failed for unspecified reasons."),
        ),
    ] {
        let (outcome, status) = look(pod);
        assert_eq!(condition(&status), expected, "{name}");
        assert_eq!(outcome, Outcome::Over, "{name}");
        assert!(status["completionTime"].is_string(), "{name}");
        assert_eq!(status["podName"], "tr-pod", "{name}");
    }
}

#[test]
fn unfinished_pods() {
    let waiting = |reason: &str, message: &str| {
        container(
            "step-build",
            json!({"waiting": {"reason": reason, "message": message}}),
        )
    };
    let starting = || {
        container(
            "step-unnamed-1",
            json!({"waiting": {"reason": "ContainerCreating"}}),
        )
    };
    let conditions = |pod: Value, conditions: Value| {
        let mut pod = pod;
        pod["status"]["conditions"] = conditions;
        pod
    };
    let pulled = |since: i64| {
        conditions(
            pod(
                "Pending",
                waiting("ImagePullBackOff", "Back-off pulling image \"x\""),
                starting(),
            ),
            json!([{"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": at(since)}]),
        )
    };
    let pull_message = "the step \"build\" in TaskRun \"tr\" failed to pull the image \"\". The pod errored with the message: \"Back-off pulling image \"x\".\"";
    for (name, pod, outcome, expected) in [
        (
            "steps run",
            pod(
                "Running",
                container("step-build", json!({"running": {}})),
                starting(),
            ),
            Outcome::Ongoing(None),
            (
                "Unknown",
                "Running",
                "Not all Steps in the Task have finished executing",
            ),
        ),
        (
            "nothing said",
            json!({"metadata": {"name": "tr-pod"}}),
            Outcome::Ongoing(None),
            ("Unknown", "Pending", "Pending"),
        ),
        (
            "not scheduled",
            json!({"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                "message": "0/1 nodes: taint \"t\""}]}}),
            Outcome::Ongoing(None),
            (
                "Unknown",
                "Pending",
                "pod status \"PodScheduled\":\"False\"; message: \"0/1 nodes: taint \\\"t\\\"\"",
            ),
        ),
        (
            "no room",
            json!({"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]}}),
            Outcome::Ongoing(None),
            (
                "Unknown",
                "ExceededNodeResources",
                "TaskRun Pod exceeded available resources\n0/1 nodes are available: 1 Insufficient cpu.",
            ),
        ),
        (
            "an image that may still come",
            pulled(-30),
            Outcome::Ongoing(Some(90)),
            (
                "Unknown",
                "PullImageFailed",
                "build step \"step-build\" is pending with reason \"Back-off pulling image \\\"x\\\"\"",
            ),
        ),
        (
            "an image that did not come",
            pulled(-120),
            Outcome::Stuck,
            ("False", "TaskRunImagePullFailed", pull_message),
        ),
        (
            "an image that never comes",
            pod(
                "Pending",
                waiting("ErrImagePull", "rpc error: code = NotFound desc = no"),
                starting(),
            ),
            Outcome::Stuck,
            (
                "False",
                "TaskRunImagePullFailed",
                "the step \"build\" in TaskRun \"tr\" failed to pull the image \"\". The pod errored with the message: \"rpc error: code = NotFound desc = no.\"",
            ),
        ),
        (
            "no image name",
            pod("Pending", waiting("InvalidImageName", "bad"), starting()),
            Outcome::Stuck,
            (
                "False",
                "TaskRunImagePullFailed",
                "the step \"build\" in TaskRun \"tr\" failed to pull the image \"\". The pod errored with the message: \"bad.\"",
            ),
        ),
        (
            "a missing ConfigMap",
            pod(
                "Pending",
                waiting("CreateContainerConfigError", "configmap \"c\" not found"),
                starting(),
            ),
            Outcome::Stuck,
            (
                "False",
                "CreateContainerConfigError",
                "the step \"build\" in TaskRun \"tr\" failed to start. The pod errored with the message: \"configmap \"c\" not found.\"",
            ),
        ),
        (
            "a directory that is still made",
            pod(
                "Pending",
                waiting(
                    "CreateContainerConfigError",
                    "failed to create subPath directory x",
                ),
                starting(),
            ),
            Outcome::Ongoing(None),
            (
                "Unknown",
                "Pending",
                "Waiting for subPath directory creation to complete",
            ),
        ),
    ] {
        let (seen, status) = look(pod);
        assert_eq!(condition(&status), expected, "{name}");
        assert_eq!(seen, outcome, "{name}");
    }
}

#[test]
fn steps_tell_what_happened() {
    let continued = r#"[{"key":"ExitCode","value":"7","type":3},{"key":"StartedAt","value":"2026-01-01T00:00:01.000Z","type":3},
        {"key":"sr","value":"\"x\"","type":4},{"key":"text","value":"[\"raw\"]","type":1}]"#;
    let (_, status) = look(pod(
        "Succeeded",
        ended("step-build", 0, "Completed", continued),
        ended(
            "step-unnamed-1",
            0,
            "Completed",
            r#"[{"key":"list","value":"[\"a\"]\n","type":1},{"key":"text","value":"late","type":1}]"#,
        ),
    ));
    let steps = &status["steps"];
    assert_eq!(steps[0]["name"], "build");
    assert_eq!(steps[0]["terminated"]["exitCode"], 7);
    assert_eq!(steps[0]["terminated"]["startedAt"], "2026-01-01T00:00:01Z");
    assert_eq!(
        steps[0]["terminated"]["message"],
        r#"[{"key":"sr","value":"\"x\"","type":4},{"key":"text","value":"[\"raw\"]","type":1}]"#
    );
    assert_eq!(steps[0]["terminationReason"], "Continued");
    assert_eq!(
        steps[0]["results"],
        json!([{"name": "sr", "type": "string", "value": "x"}])
    );
    assert_eq!(steps[1]["name"], "unnamed-1");
    assert_eq!(steps[1]["terminationReason"], "Completed");
    assert_eq!(
        status["results"],
        json!([
            {"name": "text", "type": "string", "value": "late"},
            {"name": "lifted", "type": "string", "value": "x"},
            {"name": "list", "type": "array", "value": ["a"]},
        ])
    );
}

#[test]
fn results_of_another_type_fail_the_run() {
    let (_, status) = look(pod(
        "Succeeded",
        ended(
            "step-build",
            0,
            "Completed",
            r#"[{"key":"list","value":"text","type":1},{"key":"text","value":"t","type":1}]"#,
        ),
        ended("step-unnamed-1", 0, "Completed", ""),
    ));
    assert_eq!(
        condition(&status),
        (
            "False",
            "TaskRunValidationFailed",
            "[User error] Provided results don't match declared results; may be invalid JSON or missing result declaration:  \"list\": task result is expected to be \"array\" type but was initialized to a different type \"string\""
        )
    );
    assert_eq!(
        status["results"],
        json!([{"name": "text", "type": "string", "value": "t"}])
    );
    let (_, status) = look(pod(
        "Succeeded",
        ended(
            "step-build",
            0,
            "Completed",
            r#"[{"key":"map","value":"{\"x\":\"y\"}","type":1}]"#,
        ),
        ended("step-unnamed-1", 0, "Completed", ""),
    ));
    let message = "[User error] missing keys for these results which are required in TaskResult's properties map[map:[k]]";
    assert_eq!(condition(&status).2, message);
}

#[test]
fn compressed_messages() {
    let value = "0123456789\n".repeat(6000);
    let entries = [Entry::new(Kind::StepResult, "sr", &value)];
    let message = termination::encode(&entries, termination::MAX_BYTES).unwrap();
    let (_, status) = look(pod(
        "Succeeded",
        ended("step-build", 0, "Completed", &message),
        ended("step-unnamed-1", 0, "Completed", STARTED),
    ));
    assert_eq!(condition(&status).1, "Succeeded");
    assert_eq!(
        status["results"],
        json!([{"name": "lifted", "type": "string", "value": value}])
    );
    assert_eq!(status["steps"][0]["terminated"]["message"], message);
}

#[test]
fn w61_artifacts_by_step_and_of_the_run() {
    let file = |kind: Kind, text: &str| Entry::new(kind, format!("{kind:?}"), text);
    let message = |entries: &[Entry]| termination::encode(entries, termination::MAX_BYTES).unwrap();
    let build = message(&[
        file(
            Kind::TaskArtifacts,
            r#"{"outputs": [{"name": "image", "values": [{"uri": "a"}, {"uri": "a"}]}]}"#,
        ),
        file(
            Kind::StepArtifacts,
            r#"{"inputs": [{"name": "source", "values": [{"uri": "git", "digest": {"sha1": "1"}}]}]}"#,
        ),
    ]);
    let second = message(&[file(
        Kind::StepArtifacts,
        r#"{"outputs": [{"name": "image", "buildOutput": true, "values": [{"uri": "b"}, {"uri": "a"}]}]}"#,
    )]);
    let (_, status) = look(pod(
        "Succeeded",
        ended("step-build", 0, "Completed", &build),
        ended("step-unnamed-1", 0, "Completed", &second),
    ));
    let source = json!([{"name": "source", "values": [{"digest": {"sha1": "1"}, "uri": "git"}]}]);
    assert_eq!(status["steps"][0]["inputs"], source);
    assert_eq!(status["steps"][0]["outputs"], Value::Null);
    assert_eq!(
        status["steps"][1]["outputs"],
        json!([{"name": "image", "buildOutput": true, "values": [{"uri": "b"}, {"uri": "a"}]}])
    );
    assert_eq!(
        status["artifacts"],
        json!({"inputs": source,
            "outputs": [{"name": "image", "buildOutput": true, "values": [{"uri": "a"}, {"uri": "b"}]}]})
    );

    let none = || ended("step-build", 0, "Completed", STARTED);
    let good = ended("step-unnamed-1", 0, "Completed", STARTED);
    assert_eq!(look(pod("Succeeded", none(), good)).1["artifacts"], json!({}));
    let broken = message(&[file(Kind::StepArtifacts, "{\"outputs\": 1}")]);
    let (_, status) = look(pod(
        "Succeeded",
        none(),
        ended("step-unnamed-1", 0, "Completed", &broken),
    ));
    let (state, reason, text) = condition(&status);
    assert_eq!((state, reason), ("False", "TaskRunValidationFailed"), "{text}");
    assert!(
        text.starts_with("the artifacts of this run: invalid type"),
        "{text}"
    );
}

#[test]
fn messages_that_were_cut() {
    for (message, part) in [
        ("[{\"key\":\"text\",\"val", "EOF while parsing"),
        ("tknz:i46NHhY", "cannot be decompressed"),
    ] {
        let (_, status) = look(pod(
            "Succeeded",
            ended("step-build", 0, "Completed", message),
            ended("step-unnamed-1", 0, "Completed", STARTED),
        ));
        let (state, reason, text) = condition(&status);
        assert_eq!((state, reason), ("False", "TaskRunValidationFailed"), "{text}");
        assert!(
            text.starts_with("the results of step \"step-build\" cannot be read"),
            "{text}"
        );
        assert!(text.contains(part), "{text}");
        assert_eq!(status["steps"][0]["terminated"]["message"], message);
    }
}

#[test]
fn an_entrypoint_that_cannot_run() {
    let of = |build: Value, second: Value| {
        let pod: PodView = serde_json::from_value(pod("Failed", build, second)).unwrap();
        cannot_run_entrypoint(&pod)
    };
    let broken = "exec: \"/tekton/bin/entrypoint\": permission denied";
    let start_error = |name: &str| ended(name, 128, "StartError", broken);
    assert_eq!(
        of(start_error("step-build"), start_error("step-unnamed-1")).as_deref(),
        Some(broken)
    );
    let waiting = container(
        "step-unnamed-1",
        json!({"waiting": {"reason": "ContainerCreating"}}),
    );
    assert!(of(start_error("step-build"), waiting).is_some());
    assert_eq!(
        of(
            start_error("step-build"),
            container("step-unnamed-1", json!({"running": {}}))
        ),
        None
    );
    assert_eq!(
        of(start_error("step-build"), ended("step-unnamed-1", 1, "Error", "")),
        None
    );
    assert_eq!(
        of(ended("step-build", 128, "StartError", "other"), start_error("x")),
        None
    );
}

#[test]
fn w52_w62_a_sidecars_end_is_not_the_runs() {
    let killed = |reason: &str| ended("sidecar-s", 143, reason, "");
    let with = |phase: &str, build: Value, init: Value| {
        let mut pod = pod(phase, build, ended("step-unnamed-1", 0, "Completed", STARTED));
        pod["status"]["initContainerStatuses"] = json!([init]);
        pod
    };
    let good = || ended("step-build", 0, "Completed", STARTED);
    let bad = || ended("step-build", 3, "Error", STARTED);
    for (pod, expected) in [
        (with("Running", good(), killed("Error")), ("True", "Succeeded")),
        (with("Failed", good(), killed("OOMKilled")), ("True", "Succeeded")),
        (
            with("Failed", bad(), killed("OOMKilled")),
            ("False", "StepFailed"),
        ),
        (
            with(
                "Running",
                good(),
                container("sidecar-s", json!({"waiting": {"reason": "CrashLoopBackOff"}})),
            ),
            ("True", "Succeeded"),
        ),
    ] {
        let (outcome, status) = look(pod);
        let (condition, reason, _) = condition(&status);
        assert_eq!((condition, reason), expected);
        assert_eq!(outcome, Outcome::Over);
        assert_eq!(status["sidecars"][0]["name"], "s");
    }
}

#[test]
fn a_sidecar_that_cannot_be_made_ends_only_what_has_not_begun() {
    for (ready, outcome) in [("READY", Outcome::Ongoing(None)), ("", Outcome::Stuck)] {
        let mut pod = pod(
            "Running",
            container("step-build", json!({"running": {}})),
            container("step-unnamed-1", json!({"running": {}})),
        );
        pod["metadata"]["annotations"] = json!({"tekton.dev/ready": ready});
        let stuck = json!({"waiting": {"reason": "CreateContainerError", "message": "no"}});
        pod["status"]["containerStatuses"]
            .as_array_mut()
            .unwrap()
            .push(container("sidecar-s", stuck));
        assert_eq!(look(pod).0, outcome);
    }
}
