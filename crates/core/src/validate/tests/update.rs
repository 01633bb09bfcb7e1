//! R2 to R4.

use serde_json::{Value, json};
use tektite_api::TaskRun;

use super::{config, known_part};

fn run(spec: Value, status: Value) -> TaskRun {
    serde_json::from_value(json!({"metadata": {"name": "r"}, "spec": spec, "status": status})).unwrap()
}

fn change(new: Value, old: Value, status: &Value) -> String {
    let new = run(new, status.clone());
    known_part(crate::validate::task_run(
        &new,
        Some(&run(old, status.clone())),
        &config(),
    ))
}

const STARTED: &str =
    "invalid value: Once the TaskRun has started, only status and statusMessage updates are allowed: spec";

#[test]
fn r2_managed_by_is_fixed() {
    assert_eq!(
        change(
            json!({"taskRef": {"name": "t"}, "managedBy": "other"}),
            json!({"taskRef": {"name": "t"}}),
            &json!({})
        ),
        "invalid value: managedBy is immutable: spec.spec.managedBy"
    );
}

#[test]
fn r3_a_run_that_is_done_is_fixed() {
    let done = json!({"conditions": [{"type": "Succeeded", "status": "True"}]});
    let old = json!({"taskRef": {"name": "t"}});
    let text = "invalid value: Once the TaskRun is complete, no updates are allowed: spec";
    for (new, text) in [
        (
            json!({"taskRef": {"name": "t"}, "status": "TaskRunCancelled"}),
            text,
        ),
        (json!({"taskRef": {"name": "t"}, "retries": 1}), text),
        (
            json!({"taskRef": {"name": "t"}, "status": "TaskRunCancelled", "statusMessage": "x"}),
            text,
        ),
        (old.clone(), ""),
        // What the defaults of today explain.
        (
            json!({"taskRef": {"name": "t", "kind": "Task"}, "timeout": "1h", "serviceAccountName": "default"}),
            "",
        ),
    ] {
        assert_eq!(change(new.clone(), old.clone(), &done), text, "{new}");
    }
}

#[test]
fn r4_a_run_that_is_stored_can_be_cancelled_and_held_only() {
    let old = json!({"taskRef": {"name": "t"}, "computeResources": {"limits": {"cpu": "1000m"}}});
    let with = |field: &str, value: Value| {
        let mut spec = old.clone();
        spec[field] = value;
        spec
    };
    for (new, text) in [
        (with("status", json!("TaskRunCancelled")), ""),
        (with("params", json!([])), ""),
        (
            with("computeResources", json!({"limits": {"cpu": 1}, "requests": {}})),
            "",
        ),
        (with("timeout", json!("60m")), ""),
        (with("taskRef", json!({"name": "t", "kind": "Task"})), ""),
        (with("computeResources", json!({"limits": {"cpu": 2}})), STARTED),
        (with("params", json!([{"name": "a", "value": "b"}])), STARTED),
        (with("timeout", json!("5m")), STARTED),
        (with("taskRef", json!({"name": "u"})), STARTED),
    ] {
        assert_eq!(change(new.clone(), old.clone(), &json!({})), text, "{new}");
    }
}
