//! Comparing a TaskRun with what a case expects.

use super::*;

fn expectation(value: Value) -> Expectation {
    serde_json::from_value(value).unwrap()
}

fn run() -> Value {
    json!({"status": {
        "conditions": [{"type": "Succeeded", "status": "False", "reason": "StepFailed", "message": "\"step-b\" exited with code 3: Error"}],
        "steps": [
            {"name": "a", "container": "step-a", "terminationReason": "Completed", "terminated": {"exitCode": 0, "reason": "Completed"}},
            {"name": "b", "container": "step-b", "terminationReason": "Error", "terminated": {"exitCode": 3, "reason": "Error", "message": "m"},
             "results": [{"name": "r", "type": "string", "value": "v"}]},
        ],
        "results": [{"name": "o", "type": "object", "value": {"k": "v"}}],
    }})
}

fn paths(found: &[Mismatch]) -> Vec<&str> {
    found.iter().map(|mismatch| mismatch.path.as_str()).collect()
}

#[test]
fn all_as_expected() {
    let expected = expectation(json!({
        "taskRun": "r",
        "condition": {"status": "False", "reason": "StepFailed", "message": {"contains": "\"step-b\" exited"}},
        "steps": [
            {"name": "a", "state": "terminated", "exitCode": 0},
            {"container": "step-b", "exitCode": 3, "reason": "Error", "terminationReason": "Error", "message": "m",
             "results": [{"name": "r", "type": "string", "value": "v"}]},
        ],
        "results": [{"name": "o", "type": "object", "value": {"k": "v"}}],
    }));
    assert_eq!(check_run(&expected, &run()), []);
}

#[test]
fn each_difference_has_its_path() {
    let expected = expectation(json!({
        "condition": {"status": "True", "reason": "StepFailed"},
        "steps": [{"name": "x", "state": "running"}, {"exitCode": 1, "results": []}],
        "results": [{"name": "o", "type": "string", "value": {}}],
    }));
    assert_eq!(
        paths(&check_run(&expected, &run())),
        [
            "condition Succeeded.status",
            "condition Succeeded.message",
            "steps[0].name",
            "steps[0].state",
            "steps[1].exitCode",
            "steps[1].results",
            "results.o.type",
            "results.o.value.k",
        ]
    );
}

#[test]
fn lists_are_complete() {
    let expected = expectation(json!({"steps": [{}], "results": []}));
    assert_eq!(paths(&check_run(&expected, &run())), ["steps", "results"]);
    let empty = expectation(json!({"steps": [], "results": []}));
    assert_eq!(check_run(&empty, &json!({})), []);
    let nothing = expectation(json!({"condition": {"status": "True"}}));
    assert_eq!(paths(&check_run(&nothing, &json!({}))), ["condition Succeeded"]);
}

#[test]
fn logs_by_step() {
    let expected =
        expectation(json!({"logs": {"a": ["^one$", "two"], "b": ["x"]}, "logsNot": {"a": ["three"]}}));
    let log = |text: &str| {
        [
            ("a".to_owned(), Ok(text.to_owned())),
            ("b".to_owned(), Err("no log".to_owned())),
        ]
        .into()
    };
    assert_eq!(paths(&check_logs(&expected, &log("one\ntwo\n"))), ["logs b"]);
    assert_eq!(
        paths(&check_logs(&expected, &log("two\none\nthree"))),
        ["logs a", "logs b", "logsNot a"]
    );
}

#[test]
fn containers_by_step_or_by_their_own_name() {
    let pod =
        json!({"spec": {"containers": [{"name": "step-a"}], "initContainers": [{"name": "sidecar-x"}]}});
    assert_eq!(container_name(&pod, "a"), "step-a");
    assert_eq!(container_name(&pod, "step-a"), "step-a");
    assert_eq!(container_name(&pod, "sidecar-x"), "sidecar-x");
}

#[test]
fn done_is_true_or_false() {
    assert!(is_done(&run()));
    assert!(!is_done(&json!({})));
    assert!(!is_done(
        &json!({"status": {"conditions": [{"type": "Succeeded", "status": "Unknown"}]}})
    ));
}
