//! Whatever is sent, the webhook answers: to the one who asked, the same each time, and what it lets
//! pass can be read.
//!
//! More cases: `PROPTEST_CASES=5000 cargo test -p tektite-webhook --test fuzz`.
#![allow(clippy::unwrap_used, reason = "what cannot be asked cannot be tested")]

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    body::{Body, to_bytes},
};
use http::StatusCode;
use proptest::{collection, prelude::*, sample::select, test_runner::Config as Cases};
use serde_json::{Map, Value, json};
use tektite_api::{StepAction, Task, TaskRun, decode::plain_from_str};
use tektite_webhook::{limits::Limits, router, state::State};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

const PATHS: [&str; 4] = [
    "/defaulting",
    "/resource-validation",
    "/config-validation",
    "/resource-conversion",
];

/// Few enough for every build; `PROPTEST_CASES` says another number.
fn cases(usual: u32) -> Cases {
    Cases {
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(usual),
        failure_persistence: None,
        ..Cases::default()
    }
}

fn ask(path: &str, body: impl Into<Body>) -> (StatusCode, Vec<u8>) {
    static RUNTIME: LazyLock<(Runtime, Router)> = LazyLock::new(|| {
        // Judging a large object takes its time where nothing is optimised.
        let limits = Limits {
            request: std::time::Duration::from_mins(10),
            ..Limits::default()
        };
        let state: Arc<State> = Arc::default();
        (Runtime::new().unwrap(), router::router(state, limits))
    });
    let (runtime, router) = &*RUNTIME;
    runtime.block_on(async {
        let request = http::Request::post(path).body(body.into()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (
            status,
            to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec(),
        )
    })
}

/// The answer to a review, which has to be for who asked.
fn answer(path: &str, body: String) -> Value {
    let (status, answer) = ask(path, body);
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    let answer = plain_from_str(&text).unwrap();
    assert_eq!(answer["response"]["uid"], "u-1", "{path}: {text}");
    answer["response"].clone()
}

fn review(kind: &str, operation: &str, object: &Value, old: &Value) -> String {
    let version = if kind == "StepAction" { "v1beta1" } else { "v1" };
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "kind": {"group": "tekton.dev", "version": version, "kind": kind},
        "operation": operation, "name": "n", "namespace": "ns", "object": object, "oldObject": old}})
    .to_string()
}

fn conversion(objects: &[&Value]) -> String {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
        "request": {"uid": "u-1", "desiredAPIVersion": "tekton.dev/v1", "objects": objects}})
    .to_string()
}

/// Words that mean something somewhere, and such that do not.
fn word() -> BoxedStrategy<String> {
    let words = [
        "a",
        "A",
        "name",
        "Name",
        "nam",
        "spec",
        "steps",
        "params",
        "value",
        "type",
        "array",
        "image",
        "script",
        "$(params.a)",
        "$(params.a[*])",
        "$(params.o.k)",
        "$(steps.s.results.r)",
        "$(workspaces.w.path)",
        "$(params.a",
        "$(",
        "",
        "\u{0}",
        "\u{feff}",
        "é\u{1f980}",
        "\u{202e}",
        "90s",
        "-1m",
        "1e999",
        "1Gi",
        "/tekton/x",
        "tekton-internal-x",
        "json: unknown field",
        "~0~1/",
        "..",
        "$serde_json::private::RawValue",
        "$serde_json::private::Number",
    ];
    prop_oneof![
        4 => select(words.map(str::to_owned).to_vec()),
        1 => collection::vec(any::<char>(), 0..8).prop_map(String::from_iter),
    ]
    .boxed()
}

fn leaf() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
    ]
    .boxed()
}

/// Any JSON: deep, wide, with keys that are nearly fields.
fn tree() -> BoxedStrategy<Value> {
    leaf()
        .prop_recursive(6, 48, 6, |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                collection::vec((word(), inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
            ]
        })
        .boxed()
}

/// Objects that are let pass.
fn good() -> Vec<(&'static str, Value)> {
    let spec = json!({
        "params": [{"name": "a", "type": "array", "default": ["x", "y"]}, {"name": "s", "default": "v"},
            {"name": "o", "type": "object", "properties": {"k": {"type": "string"}}, "default": {"k": "1"}}],
        "workspaces": [{"name": "w", "optional": true}],
        "results": [{"name": "r"}, {"name": "q", "value": "$(steps.s.results.r)"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "stepTemplate": {"env": [{"name": "T", "value": "t"}]},
        "sidecars": [{"name": "d", "image": "docker", "readinessProbe": {"exec": {"command": ["true"]}}}],
        "steps": [
            {"name": "s", "image": "busybox", "results": [{"name": "r"}], "timeout": "90s",
                "script": "echo $(params.s) > $(step.results.r.path)", "onError": "continue",
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "computeResources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}},
            {"image": "busybox", "command": ["echo"], "args": ["$(params.a[*])", "$(params.o.k)"],
                "env": [{"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "when": [{"input": "$(steps.s.results.r)", "operator": "in", "values": ["v"]}]}],
    });
    let metadata = json!({"name": "n", "labels": {"a": "b"}});
    vec![
        ("Task", json!({"metadata": metadata, "spec": spec})),
        (
            "TaskRun",
            json!({"metadata": metadata, "spec": {"taskSpec": spec, "retries": 1, "timeout": "1h30m",
                "params": [{"name": "s", "value": 5}, {"name": "a", "value": ["z"]}],
                "workspaces": [{"name": "w", "emptyDir": {}}],
                "podTemplate": {"nodeSelector": {"disk": "$(params.s)"}, "env": [{"name": "P", "value": "p"}]}}}),
        ),
        (
            "TaskRun",
            json!({"metadata": metadata, "spec": {"taskRef": {"name": "t"}, "status": "TaskRunPending",
                "statusMessage": "not yet", "workspaces": [{"name": "c", "volumeClaimTemplate": {"spec":
                {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}]}}),
        ),
        (
            "StepAction",
            json!({"metadata": metadata, "spec": {"image": "busybox", "command": ["echo"],
                "args": ["$(params.p)"], "params": [{"name": "p", "default": "x"}],
                "results": [{"name": "r"}], "env": [{"name": "E", "value": "$(params.p)"}]}}),
        ),
    ]
}

/// What is done to an object at one place.
#[derive(Clone, Debug)]
enum Change {
    Put(Value),
    Remove,
    Twice,
    Rename(String),
}

fn change() -> BoxedStrategy<(prop::sample::Index, Change)> {
    let change = prop_oneof![
        3 => leaf().prop_map(Change::Put),
        1 => tree().prop_map(Change::Put),
        2 => Just(Change::Remove),
        2 => Just(Change::Twice),
        1 => word().prop_map(Change::Rename),
    ];
    (any::<prop::sample::Index>(), change).boxed()
}

/// The pointers of everything in `tree` but itself.
fn places(tree: &Value, at: &str, places: &mut Vec<(String, String)>) {
    let children: Vec<(String, &Value)> = match tree {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (key, value) in children {
        places.push((at.to_owned(), key.clone()));
        self::places(value, &format!("{at}/{key}"), places);
    }
}

fn changed(object: &Value, changes: &[(prop::sample::Index, Change)]) -> Value {
    let mut object = object.clone();
    for (index, change) in changes {
        let mut all = Vec::new();
        places(&object, "", &mut all);
        if all.is_empty() {
            break;
        }
        let (above, key) = index.get(&all);
        match object.pointer_mut(above) {
            Some(Value::Object(fields)) => {
                let key = key.replace("~1", "/").replace("~0", "~");
                match change {
                    Change::Put(value) => drop(fields.insert(key, value.clone())),
                    Change::Remove => drop(fields.remove(&key)),
                    Change::Twice => {
                        let value = fields.get(&key).cloned().unwrap_or_default();
                        fields.insert(key.to_uppercase(), value);
                    }
                    Change::Rename(name) => {
                        let value = fields.remove(&key).unwrap_or_default();
                        fields.insert(name.clone(), value);
                    }
                }
            }
            Some(Value::Array(items)) => {
                let place: usize = key.parse().unwrap();
                match change {
                    Change::Put(value) => items[place] = value.clone(),
                    Change::Remove => drop(items.remove(place)),
                    Change::Twice => items.push(items[place].clone()),
                    Change::Rename(name) => items[place] = name.clone().into(),
                }
            }
            _ => {}
        }
    }
    object
}

/// Defaults and judges a new object as the API server would, and checks what has to hold for any.
fn admit(kind: &str, object: &Value) -> Result<(), TestCaseError> {
    let defaulting = || answer("/defaulting", review(kind, "CREATE", object, &Value::Null));
    let defaulted = defaulting();
    prop_assert_eq!(&defaulting(), &defaulted, "the same each time");
    let mut filled = object.clone();
    if defaulted["allowed"] == true {
        apply(&mut filled, &defaulted)?;
        let again = answer("/defaulting", review(kind, "CREATE", &filled, &Value::Null));
        prop_assert_eq!(&again["allowed"], &json!(true));
        let mut twice = filled.clone();
        apply(&mut twice, &again)?;
        prop_assert_eq!(&twice, &filled, "defaults are filled in once");
    }
    let judging = || {
        answer(
            "/resource-validation",
            review(kind, "CREATE", &filled, &Value::Null),
        )
    };
    let judged = judging();
    prop_assert_eq!(&judging(), &judged, "the same each time");
    if judged["allowed"] == true {
        prop_assert_eq!(
            &defaulted["allowed"],
            &json!(true),
            "what is valid has been filled in"
        );
        let read = match kind {
            "Task" => serde_json::from_value::<Task>(filled.clone()).map(drop),
            "TaskRun" => serde_json::from_value::<TaskRun>(filled.clone()).map(drop),
            _ => serde_json::from_value::<StepAction>(filled.clone()).map(drop),
        };
        prop_assert!(read.is_ok(), "{:?} {}", read, filled);
    } else {
        let message = judged["status"]["message"].as_str().unwrap_or_default();
        prop_assert!(!message.is_empty() && message.len() <= 64 * 1024, "{message}");
    }
    Ok(())
}

fn apply(object: &mut Value, response: &Value) -> Result<(), TestCaseError> {
    // Bytes, one by one: the API server takes that as well as a text that is encoded.
    let Some(patch) = response["patch"].as_array() else {
        return Ok(());
    };
    let byte = |byte: &Value| u8::try_from(byte.as_u64().unwrap()).unwrap();
    let patch: Vec<u8> = patch.iter().map(byte).collect();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    json_patch::patch(object, &patch).map_err(|error| TestCaseError::fail(error.to_string()))
}

#[test]
fn what_is_good_is_let_pass() {
    for (kind, object) in good() {
        let judged = answer(
            "/resource-validation",
            review(kind, "CREATE", &object, &Value::Null),
        );
        assert_eq!(judged["allowed"], true, "{judged}");
        admit(kind, &object).unwrap();
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn any_body_gets_an_answer(tree in tree(), bytes in collection::vec(any::<u8>(), 0..64)) {
        for path in PATHS {
            for body in [tree.to_string().into_bytes(), bytes.clone(), json!({"request": tree}).to_string().into()] {
                let (status, answer) = ask(path, body);
                let text = String::from_utf8_lossy(&answer);
                prop_assert!(status == StatusCode::OK || status == StatusCode::BAD_REQUEST, "{path} {status} {text}");
            }
        }
    }

    #[test]
    fn any_object_is_judged(
        kind in select(vec!["Task", "TaskRun", "StepAction", "ConfigMap", "\u{0}"]),
        operation in select(vec!["CREATE", "UPDATE", "DELETE", ""]),
        trees in collection::vec(tree(), 2),
    ) {
        for object in [trees[0].clone(), json!({"spec": trees[0]}), json!({"metadata": trees[1], "spec": trees[0]})] {
            for path in &PATHS[..3] {
                answer(path, review(kind, operation, &object, &trees[1]));
            }
            answer(PATHS[3], conversion(&[&object, &trees[1]]));
        }
    }

    #[test]
    fn what_was_good_is_judged(
        good in select(good()),
        changes in collection::vec(change(), 1..4),
    ) {
        let (kind, object) = good;
        let new = changed(&object, &changes);
        admit(kind, &new)?;
        for path in &PATHS[..3] {
            answer(path, review(kind, "UPDATE", &new, &object));
            answer(path, review(kind, "UPDATE", &object, &new));
        }
        let versioned = |version: &str| {
            let mut new = new.clone();
            if let Some(fields) = new.as_object_mut() {
                fields.insert("apiVersion".to_owned(), format!("tekton.dev/{version}").into());
                fields.insert("kind".to_owned(), kind.into());
            }
            new
        };
        answer(PATHS[3], conversion(&[&versioned("v1beta1"), &versioned("v1")]));
    }
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    for depth in [100, 127, 128, 1_000, 10_000, 1_000_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for place in [
                deep.clone(),
                format!("{{\"spec\":{deep}}}"),
                format!("{{\"spec\":{{\"params\":[{{\"name\":\"p\",\"value\":{deep}}}]}}}}"),
            ] {
                for path in &PATHS[..2] {
                    let body = review("TaskRun", "CREATE", &json!("here"), &Value::Null);
                    let (status, answer) = ask(path, body.replacen("\"here\"", &place, 1));
                    let text = String::from_utf8_lossy(&answer);
                    assert_eq!(status, StatusCode::OK, "{path} {depth} {text}");
                    assert!(text.contains("\"uid\":\"u-1\""), "{path} {depth} {text}");
                    if depth >= 127 {
                        assert!(text.contains("nested too deep"), "{path} {depth} {text}");
                    }
                }
                let body = conversion(&[&json!("here")]).replacen("\"here\"", &place, 1);
                let (status, answer) = ask(PATHS[3], body);
                assert_ne!(
                    status,
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "{}",
                    String::from_utf8_lossy(&answer)
                );
            }
        }
    }
}

#[test]
fn what_is_large_is_judged_and_the_answer_is_not() {
    let many = |count: usize, part: Value| Value::Array(vec![part; count]);
    let numbered = |count: usize, name: &str| -> Vec<Value> {
        (0..count)
            .map(|index| json!({"name": format!("{name}{index}")}))
            .collect()
    };
    let step = |field: &str, value: Value| json!({"steps": [{"image": "i", "command": ["c"], field: value}]});
    for (what, spec, text) in [
        ("steps", json!({"steps": many(100_000, json!({}))}), "too many"),
        ("params", json!({"params": numbered(100_000, "p")}), "too many"),
        ("nulls", json!({"steps": many(100_000, Value::Null)}), "too many"),
        (
            "some steps",
            json!({"steps": many(2_000, json!({}))}),
            "missing field(s): spec.steps[0].Image",
        ),
        (
            "some params",
            json!({"params": numbered(2_000, "é")}),
            "The format of following",
        ),
        (
            "a script",
            json!({"steps": [{"image": "i", "script": "x".repeat(7 << 20)}]}),
            "scripts of 7340032 bytes are too large",
        ),
        ("openings", step("args", json!(["$(".repeat(2_500_000)])), ""),
        (
            "a bomb",
            json!({"steps": [{"image": "i", "script": "$(params.q)".repeat(50_000)}]}),
            "non-existent variable",
        ),
    ] {
        let object = json!({"metadata": {"name": "n"}, "spec": spec});
        let judged = answer(
            "/resource-validation",
            review("Task", "CREATE", &object, &Value::Null),
        );
        let message = judged["status"]["message"].as_str().unwrap_or_default();
        assert_eq!(judged["allowed"], text.is_empty(), "{what}");
        assert!(message.contains(text) && message.len() <= 64 * 1024, "{what}");
        answer("/defaulting", review("Task", "CREATE", &object, &Value::Null));
    }
}

/// Each default twice in the next one: thirty of them would be a gigabyte.
#[test]
fn defaults_that_double_are_refused() {
    let params: Vec<Value> = (0..40)
        .map(|index| {
            let before = format!("$(params.p{})", index - 1);
            let default = if index == 0 {
                "x".repeat(64)
            } else {
                before.repeat(2)
            };
            json!({"name": format!("p{index}"), "default": default})
        })
        .collect();
    let spec =
        json!({"taskSpec": {"params": params, "steps": [{"image": "i", "command": ["$(params.p39)"]}]}});
    let object = json!({"metadata": {"name": "n"}, "spec": spec});
    let judged = answer(
        "/resource-validation",
        review("TaskRun", "CREATE", &object, &Value::Null),
    );
    let message = judged["status"]["message"].as_str().unwrap();
    assert!(message.contains("bytes are too large"), "{message}");
}
