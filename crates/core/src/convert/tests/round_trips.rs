//! Whatever an object holds, a round trip gives it back.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::{BETA, V1, to};
use crate::convert::convert;

/// Any JSON, with names that mean something in one version or the other.
fn junk() -> BoxedStrategy<Value> {
    junk_with(&[
        "name",
        "steps",
        "stepTemplate",
        "sidecars",
        "resources",
        "computeResources",
        "ports",
        "tty",
        "taskSpec",
        "retriesStatus",
        "cloudEvents",
        "results",
        "taskResults",
        "x",
    ])
}

/// Any JSON without names that only v1beta1 has.
fn plain_junk() -> BoxedStrategy<Value> {
    junk_with(&["steps", "computeResources", "retriesStatus", "results", "x"])
}

fn junk_of(beta: bool) -> BoxedStrategy<Value> {
    if beta { junk() } else { plain_junk() }
}

fn junk_with(names: &'static [&'static str]) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        "[a-z\"\\\\é]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let name = select(names);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name, inner), 0..4).prop_map(object),
        ]
    })
    .boxed()
}

fn object(fields: Vec<(&'static str, Value)>) -> Value {
    let fields = fields.into_iter().map(|(field, value)| (field.to_owned(), value));
    Value::Object(fields.collect())
}

/// Some of these fields, each with its kind of value.
fn some_of(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(field, value)| option::of(value).prop_map(move |value| Some((field, value?))))
        .collect();
    fields
        .prop_map(|fields| object(fields.into_iter().flatten().collect()))
        .boxed()
}

/// Mostly what belongs there, sometimes anything.
fn mostly(beta: bool, value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![9 => value, 1 => junk_of(beta)].boxed()
}

fn list(beta: bool, item: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    mostly(beta, vec(mostly(beta, item), 0..4).prop_map(Value::from).boxed())
}

fn name() -> BoxedStrategy<Value> {
    "[ab]{0,1}".prop_map(Value::from).boxed()
}

fn container(beta: bool) -> BoxedStrategy<Value> {
    let any = || junk();
    let mut fields = vec![("name", name()), ("image", any()), ("computeResources", any())];
    if beta {
        fields.extend([
            ("resources", any()),
            ("ports", any()),
            ("tty", any()),
            ("lifecycle", any()),
        ]);
    }
    some_of(fields)
}

fn task_spec(beta: bool) -> BoxedStrategy<Value> {
    let mut fields = vec![
        ("steps", list(beta, container(beta))),
        ("sidecars", list(beta, container(beta))),
        ("stepTemplate", mostly(beta, template(beta))),
        ("params", junk()),
    ];
    if beta {
        fields.push(("resources", junk()));
    }
    some_of(fields)
}

fn template(beta: bool) -> BoxedStrategy<Value> {
    if beta {
        return container(true);
    }
    // In v1 it has no name.
    some_of(vec![("image", junk()), ("computeResources", junk())])
}

fn status(beta: bool, depth: usize) -> BoxedStrategy<Value> {
    let mut fields = vec![
        ("taskSpec", task_spec(beta)),
        ("results", junk()),
        ("artifacts", junk()),
    ];
    if beta {
        fields.extend([
            ("taskResults", junk()),
            ("cloudEvents", junk()),
            ("resourcesResult", junk()),
        ]);
    }
    if depth > 0 {
        fields.push(("retriesStatus", list(beta, status(beta, depth - 1))));
    }
    some_of(fields)
}

fn run_spec(beta: bool) -> BoxedStrategy<Value> {
    let entry = || some_of(vec![("name", name()), ("computeResources", junk())]);
    let mut fields = vec![
        ("taskSpec", task_spec(beta)),
        ("stepSpecs", list(beta, entry())),
        ("sidecarSpecs", list(beta, entry())),
        ("managedBy", junk()),
        ("taskRef", junk()),
    ];
    if beta {
        let entry = || some_of(vec![("name", name()), ("resources", junk())]);
        fields.extend([
            ("stepOverrides", list(beta, entry())),
            ("sidecarOverrides", list(beta, entry())),
            ("resources", junk()),
        ]);
    }
    some_of(fields)
}

fn metadata() -> BoxedStrategy<Value> {
    let annotations = prop_oneof![Just(json!({"a": "b", "n": 1})), junk(),];
    some_of(vec![
        ("name", name()),
        ("generateName", Just(json!("g-")).boxed()),
        ("annotations", annotations.boxed()),
    ])
}

fn any_object(beta: bool) -> impl Strategy<Value = Value> {
    let version = if beta { BETA } else { V1 };
    let task = (metadata(), task_spec(beta)).prop_map(move |(metadata, spec)| {
        with_annotations(json!({"apiVersion": version, "kind": "Task", "metadata": metadata, "spec": spec}))
    });
    let run = (metadata(), run_spec(beta), status(beta, 2)).prop_map(move |(metadata, spec, status)| {
        with_annotations(
            json!({"apiVersion": version, "kind": "TaskRun", "metadata": metadata,
            "spec": spec, "status": status}),
        )
    });
    prop_oneof![task, run]
}

/// Empty annotations are none: that difference a round trip may make.
fn with_annotations(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        let empty = |value: &Value| value.is_null() || value == &json!({});
        metadata.retain(|field, value| field != "annotations" || !empty(value));
    }
    object
}

/// What carries fields may hold anything when a user writes it.
fn any_carrier() -> impl Strategy<Value = Map<String, Value>> {
    let annotation = select(vec![
        "tekton.dev/v1beta1Resources",
        "tekton.dev/v1beta1.task-deprecations",
        "tekton.dev/v1beta1.retries-status",
    ]);
    let key = select(vec!["", "a", "b", "g-", "a/status", "0", "0/1"]);
    let steps = list(true, container(true)).prop_map(|steps| json!({"deprecatedSteps": steps}));
    let part = prop_oneof![steps, junk()];
    let text = prop_oneof![
        (key, part).prop_map(|(key, part)| json!({key: part}).to_string()),
        junk().prop_map(|junk| junk.to_string()),
        ".{0,4}".prop_map(|text| text),
    ];
    vec((annotation, text), 0..3).prop_map(|pairs| {
        let pairs = pairs.into_iter();
        pairs
            .map(|(annotation, text)| (annotation.to_owned(), Value::from(text)))
            .collect()
    })
}

proptest! {
    #[test]
    fn from_v1beta1_and_back(object in any_object(true)) {
        let there = to(V1, &object);
        let back = to(BETA, &there);
        prop_assert_eq!(&back, &object);
        // What was carried once is carried the same way ever after.
        prop_assert_eq!(&to(V1, &back), &there);
    }

    #[test]
    fn from_v1_and_back(object in any_object(false)) {
        let there = to(BETA, &object);
        prop_assert_eq!(&to(V1, &there), &object, "by way of {}", there);
    }

    #[test]
    fn only_some_places_change(object in any_object(true), carrier in any_carrier()) {
        let mut object = object;
        object["metadata"]["annotations"] = Value::Object(carrier);
        object["metadata"]["labels"] = json!({"l": "x"});
        object["more"] = json!({"resources": 1});
        for (here, desired) in [(BETA, V1), (V1, BETA)] {
            object["apiVersion"] = json!(here);
            let mut there = to(desired, &object);
            for part in [&mut there, &mut object] {
                part["metadata"].as_object_mut().unwrap().remove("annotations");
                for field in ["apiVersion", "spec", "status"] {
                    part.as_object_mut().unwrap().remove(field);
                }
            }
            prop_assert_eq!(&there, &object);
        }
    }

    #[test]
    fn nothing_panics(spec in junk(), status in junk(), carrier in any_carrier(), meta in junk()) {
        for version in [V1, BETA] {
            for kind in ["Task", "TaskRun", "StepAction"] {
                for metadata in [json!({"name": "a", "annotations": carrier}), meta.clone()] {
                    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": metadata,
                        "spec": spec, "status": status});
                    for desired in [BETA, V1, BETA] {
                        prop_assert!(convert(&mut object, desired).is_ok());
                    }
                }
            }
        }
    }
}
