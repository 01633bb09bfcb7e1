use serde_json::json;

use super::*;
use crate::review::GroupVersionKind;

fn request(kind: &str, operation: Operation, object: Value, old_object: Value) -> Request {
    Request {
        kind: GroupVersionKind {
            group: "tekton.dev".into(),
            version: "v1".into(),
            kind: kind.into(),
        },
        operation,
        object,
        old_object,
        ..Request::default()
    }
}

fn defaulted(kind: &str, object: Value) -> Value {
    let mut changed = object.clone();
    match default(
        &mut request(kind, Operation::Create, object, Value::Null),
        &Config::default(),
    ) {
        Verdict::Allow {
            patch: Some(patch), ..
        } => json_patch::patch(&mut changed, &patch).unwrap(),
        Verdict::Allow { patch: None, .. } => {}
        Verdict::Deny(message) => panic!("{message}"),
    }
    changed
}

fn denied(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deny(message) => message,
        Verdict::Allow { .. } => String::new(),
    }
}

fn refused(kind: &str, operation: Operation, object: Value, old: Value) -> String {
    let mut request = request(kind, operation, object, old);
    denied(judge(&mut request, &Config::default()).into_verdict("decoding request failed"))
}

fn refused_before_the_schema(kind: &str, operation: Operation, object: Value, old: Value) -> String {
    denied(default(
        &mut request(kind, operation, object, old),
        &Config::default(),
    ))
}

#[test]
fn a_new_run_is_filled_in_and_brought_into_its_stored_form() {
    let run = json!({"apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {"name": "r", "annotations": {"chains.tekton.dev/signed": "x"}, "some": "thing"},
        "spec": {"timeout": "90s", "retries": null, "params": [{"name": "n", "value": 5}],
            "taskSpec": {"params": [{"name": "p", "type": "", "default": null}], "steps": [{"image": "i", "env": null}]}}});
    let changed = defaulted("TaskRun", run);
    assert_eq!(changed["spec"]["timeout"], "1m30s");
    assert_eq!(changed["spec"]["serviceAccountName"], "default");
    assert_eq!(changed["spec"]["params"], json!([{"name": "n", "value": "5"}]));
    assert_eq!(
        changed["spec"]["taskSpec"],
        json!({"params": [{"name": "p", "type": "string"}], "steps": [{"image": "i", "name": "", "computeResources": {}}]})
    );
    assert_eq!(changed["spec"].get("retries"), None);
    assert_eq!(
        changed["metadata"],
        json!({"name": "r", "annotations": {"pipeline.tekton.dev/release": tektite_core::REVISION}, "some": "thing",
            "labels": {"app.kubernetes.io/managed-by": "tekton-pipelines"}})
    );
    assert_eq!(defaulted("TaskRun", changed.clone()), changed);
}

#[test]
fn a_patch_is_what_the_difference_of_the_whole_objects_is() {
    let spec = json!({"timeout": "90s", "retries": null, "taskRef": {"name": "t"}});
    for metadata in [
        json!(null),
        json!({"name": "r"}),
        json!({"name": "r", "labels": null, "annotations": {"chains.tekton.dev/signed": "x", "a/b": "c"}}),
        json!({"name": "r", "labels": {"app.kubernetes.io/managed-by": "me"}}),
    ] {
        let mut nameless = json!({"spec": spec});
        let named = json!({"metadata": metadata, "spec": spec});
        let objects = if metadata.is_null() {
            vec![named, std::mem::take(&mut nameless)]
        } else {
            vec![named]
        };
        for object in objects {
            let changed = defaulted("TaskRun", object.clone());
            let mut create = request("TaskRun", Operation::Create, object.clone(), Value::Null);
            let Verdict::Allow {
                patch: Some(patch), ..
            } = default(&mut create, &Config::default())
            else {
                panic!("{object}");
            };
            let sorted = |patch: json_patch::Patch| {
                let mut operations: Vec<String> = patch.0.iter().map(ToString::to_string).collect();
                operations.sort();
                operations
            };
            assert_eq!(
                sorted(patch),
                sorted(json_patch::diff(&object, &changed)),
                "{object}"
            );
        }
    }
}

#[test]
fn tasks_and_step_actions_get_their_types() {
    let spec = json!({"image": "i", "params": [{"name": "p", "default": ["a"]}], "results": [{"name": "r"}]});
    let action = defaulted("StepAction", json!({"metadata": {}, "spec": spec}));
    assert_eq!(action["spec"]["params"][0]["type"], "array");
    assert_eq!(action["spec"]["results"][0]["type"], "string");
    let task = json!({"metadata": {}, "spec": {"steps": [{"image": "i"}], "params": [{"name": "p", "properties": {"url": null}}]}});
    assert_eq!(
        defaulted("Task", task)["spec"]["params"],
        json!([{"name": "p", "type": "object", "properties": {"url": {"type": "string"}}}])
    );
}

#[test]
fn what_the_schema_would_refuse_is_refused_before_it() {
    let run = |spec: Value| json!({"metadata": {"name": "r"}, "spec": spec});
    for (operation, new, old, begins, holds) in [
        (
            Operation::Create,
            json!({"timeout": "-1m"}),
            Value::Null,
            "validation failed: expected exactly one, got neither",
            "invalid value: -1m0s should be >= 0: spec.timeout",
        ),
        (
            Operation::Create,
            json!({"taskRef": {"name": "t"}, "retries": -1}),
            Value::Null,
            "validation failed: invalid value: -1 should be >= 0: spec.retries",
            "",
        ),
        (
            Operation::Create,
            json!({"taskRef": {"name": "t"}, "status": "Cancelled"}),
            Value::Null,
            "validation failed: invalid value: Cancelled should be",
            "did you mean \"TaskRunCancelled\"?",
        ),
        (
            Operation::Create,
            json!({"taskRef": {"name": "t"}, "retries": "many", "timeout": "-1m", "imagee": 1}),
            Value::Null,
            "mutation failed: cannot decode incoming new object: json: unknown field \"imagee\"\n",
            "invalid value: -1m0s should be >= 0: spec.timeout",
        ),
        (
            Operation::Update,
            json!({"taskRef": {"name": "u"}}),
            json!({"taskRef": {"name": "t"}}),
            "validation failed: invalid value: Once the TaskRun has started, only status and statusMessage updates are allowed: spec",
            "changed here: spec.taskRef",
        ),
    ] {
        let old = if old.is_null() { old } else { run(old) };
        let message = refused_before_the_schema("TaskRun", operation, run(new), old);
        assert!(
            message.starts_with(begins) && message.contains(holds),
            "{message}"
        );
    }
}

#[test]
fn a_stored_object_is_never_changed() {
    for kind in ["TaskRun", "Task", "StepAction"] {
        let object = json!({"spec": {"taskRef": {"name": "t"}}});
        let mut update = request(kind, Operation::Update, object.clone(), object);
        let verdict = default(&mut update, &Config::default());
        assert!(
            matches!(verdict, Verdict::Allow { patch: None, .. }),
            "{verdict:?}"
        );
    }
}

#[test]
fn a_stored_run_sent_again_stays_as_it_is_stored() {
    let file = json!({"metadata": {"name": "r"}, "spec": {"taskRef": {"name": "t"}, "timeout": "90s", "podTemplate": null,
        "params": [{"name": "n", "value": 5}]}});
    let stored = defaulted("TaskRun", file.clone());
    let mut asked = file.clone();
    asked["spec"]["status"] = json!("TaskRunCancelled");
    for (new, status) in [(file, Value::Null), (asked, json!("TaskRunCancelled"))] {
        let mut update = request("TaskRun", Operation::Update, new.clone(), stored.clone());
        let Verdict::Allow {
            patch: Some(patch), ..
        } = default(&mut update, &Config::default())
        else {
            panic!("{new}")
        };
        let mut sent = new;
        json_patch::patch(&mut sent, &patch).unwrap();
        let mut expected = stored["spec"].clone();
        if !status.is_null() {
            expected["status"] = status;
        }
        assert_eq!(sent["spec"], expected);
    }
}

#[test]
fn a_stored_run_can_be_labelled_and_cancelled_whatever_it_is() {
    let run = |status: &str, label: &str| {
        json!({"metadata": {"name": "r", "labels": {"a": label}},
            "spec": {"retries": "many", "typo": 1, "debug": {}, "status": status}})
    };
    for new in [run("", "x"), run("TaskRunCancelled", "x")] {
        assert_eq!(
            refused("TaskRun", Operation::Update, new.clone(), run("", "")),
            ""
        );
        assert_eq!(
            refused_before_the_schema("TaskRun", Operation::Update, new, run("", "")),
            ""
        );
    }
    let message = refused("TaskRun", Operation::Update, run("Stop", ""), run("", ""));
    assert!(
        message.starts_with("validation failed: invalid value: Stop should be"),
        "{message}"
    );
    // A finalizer can be taken off whatever else is wrong.
    let leaving = json!({"metadata": {"name": "r", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}});
    assert_eq!(refused("TaskRun", Operation::Update, leaving, run("", "")), "");
}

#[test]
fn refusals_begin_with_the_known_texts() {
    let named = |spec: Value| json!({"metadata": {"name": "r"}, "spec": spec});
    for (kind, operation, object, old, text) in [
        (
            "TaskRun",
            Operation::Create,
            named(json!({})),
            Value::Null,
            "validation failed: expected exactly one, got neither: spec.taskRef, spec.taskSpec",
        ),
        (
            "Task",
            Operation::Create,
            named(json!({})),
            Value::Null,
            "validation failed: missing field(s): spec.steps",
        ),
        (
            "TaskRun",
            Operation::Create,
            named(json!({"timeout": "soon", "taskRef": {"name": "t"}})),
            Value::Null,
            "decoding request failed: cannot decode incoming new object: json: spec.timeout: \"soon\" is not a duration",
        ),
        (
            "StepAction",
            Operation::Update,
            named(json!({"image": ""})),
            named(json!({"image": "i"})),
            "validation failed: missing field(s): spec.Image",
        ),
        ("TaskRun", Operation::Other, named(json!({})), Value::Null, ""),
        ("Pipeline", Operation::Create, json!({}), Value::Null, ""),
        (
            "StepAction",
            Operation::Create,
            named(json!({"image": "i", "command": ["c"]})),
            Value::Null,
            "",
        ),
    ] {
        let message = refused(kind, operation, object, old);
        assert!(
            message.starts_with(text) && message.is_empty() == text.is_empty(),
            "{message}"
        );
    }
}

#[test]
fn who_writes_v1beta1_reads_its_names() {
    let object = json!({"metadata": {"name": "r"}, "spec": {"stepSpecs": [{}],
        "taskSpec": {"steps": [{"image": "i", "computeResources": {"limits": {"cpus": "1"}}}]}}});
    let mut request = request("TaskRun", Operation::Create, object, Value::Null);
    request.request_kind = GroupVersionKind {
        version: "v1beta1".into(),
        ..request.kind.clone()
    };
    let message = denied(judge(&mut request, &Config::default()).into_verdict(""));
    assert!(
        message.contains("missing field(s): spec.stepOverrides[0].name"),
        "{message}"
    );
    assert!(
        message.contains("spec.taskSpec.steps[0].resources.limits[cpus]"),
        "{message}"
    );
}

#[test]
fn settings_that_cannot_be_read_are_refused() {
    let of_prefixed = |prefix: &str, namespace: &str, name: &str, data: Value| {
        let object = json!({"metadata": {"name": name}, "data": data});
        denied(config(
            &Request {
                object,
                namespace: namespace.into(),
                ..Request::default()
            },
            "ours",
            prefix,
        ))
    };
    let of = |namespace: &str, name: &str, data: Value| of_prefixed("", namespace, name, data);
    let bad = json!({"enable-api-fields": "gamma"});
    let message = of("ours", "feature-flags", bad.clone());
    assert!(
        message.starts_with("validation failed: invalid value for feature flag"),
        "{message}"
    );
    assert_eq!(
        of("ours", "feature-flags", json!({"enable-api-fields": "alpha"})),
        ""
    );
    let message = of("ours", "feature-flags", json!({"enable-api-field": "alpha"}));
    assert!(
        message.ends_with("did you mean \"enable-api-fields\"?"),
        "{message}"
    );
    assert_eq!(
        of("ours", "feature-flags", json!({"of-another-engine": "alpha"})),
        ""
    );
    assert_eq!(of("ours", "other", bad.clone()), "");
    assert_eq!(of("theirs", "feature-flags", bad), "");
    assert_eq!(of("ours", "config-defaults", Value::Null), "");
    let bad = json!({"enable-api-fields": "gamma"});
    let message = of_prefixed("tektite-", "ours", "tektite-feature-flags", bad.clone());
    assert!(message.contains("gamma"), "{message}");
    assert_eq!(
        of_prefixed("tektite-", "ours", "feature-flags", bad),
        "",
        "Tekton's own"
    );
}
