//! What each row of api.md appendix D asks for, and what no object may do.

mod round_trips;
mod rows;

use serde_json::{Value, json};

use super::{ConvertError, convert};

const V1: &str = "tekton.dev/v1";
const BETA: &str = "tekton.dev/v1beta1";

fn to(desired: &str, object: &Value) -> Value {
    let mut object = object.clone();
    convert(&mut object, desired).unwrap();
    assert_eq!(object["apiVersion"], desired);
    object
}

/// There, and back again.
fn returns(object: &Value, by_way_of: &str) -> Value {
    let there = to(by_way_of, object);
    assert_eq!(
        &to(object["apiVersion"].as_str().unwrap(), &there),
        object,
        "by way of {there}"
    );
    there
}

/// The JSON in an annotation.
fn carried(object: &Value, annotation: &str) -> Value {
    let text = object["metadata"]["annotations"][annotation].as_str();
    serde_json::from_str(text.unwrap_or_else(|| panic!("no {annotation} in {object}"))).unwrap()
}

#[test]
fn the_same_version_changes_nothing() {
    let object = json!({"apiVersion": BETA, "kind": "Task", "metadata": {"annotations": {}},
        "spec": {"resources": 1, "steps": [{"resources": {}, "tty": true}]}});
    assert_eq!(to(BETA, &object), object);
}

#[test]
fn a_step_action_changes_its_version_only() {
    let object = json!({"apiVersion": "tekton.dev/v1alpha1", "kind": "StepAction",
        "metadata": {"name": "a"}, "spec": {"image": "i", "resources": {}, "steps": [{"tty": true}]}});
    for version in ["v1alpha1", "v1beta1", "v1"] {
        let mut expected = object.clone();
        let desired = format!("tekton.dev/{version}");
        expected["apiVersion"] = json!(desired);
        assert_eq!(to(&desired, &object), expected);
    }
}

#[test]
fn what_is_not_known_is_refused_and_stays() {
    let run = |version: &str| {
        json!({"apiVersion": version, "kind": "TaskRun",
        "metadata": {"namespace": "ns", "name": "r"}, "spec": {"resources": 1}})
    };
    let pipeline = json!({"apiVersion": BETA, "kind": "Pipeline", "metadata": {"generateName": "p-"}});
    for (object, desired, message) in [
        (
            run(V1),
            "tekton.dev/v2",
            "cannot convert TaskRun ns/r from tekton.dev/v1 to tekton.dev/v2: \
             no version \"tekton.dev/v2\" of this kind is known, only v1, v1beta1",
        ),
        (
            run("tekton.dev/v1alpha1"),
            V1,
            "cannot convert TaskRun ns/r from tekton.dev/v1alpha1 to tekton.dev/v1: \
             no version \"tekton.dev/v1alpha1\" of this kind is known, only v1, v1beta1",
        ),
        (
            run(V1),
            "v1",
            "cannot convert TaskRun ns/r from tekton.dev/v1 to v1: \
             no version \"v1\" of this kind is known, only v1, v1beta1",
        ),
        (
            run("batch/v1"),
            V1,
            "cannot convert TaskRun ns/r to tekton.dev/v1: no kind \"TaskRun\" of \"batch/v1\" is known",
        ),
        (
            pipeline,
            V1,
            "cannot convert Pipeline p-(name to come) to tekton.dev/v1: \
             no kind \"Pipeline\" of \"tekton.dev/v1beta1\" is known",
        ),
        (
            json!({}),
            V1,
            "cannot convert an object without kind to tekton.dev/v1: no kind \"\" of \"\" is known",
        ),
        (
            json!([1]),
            V1,
            "cannot convert to tekton.dev/v1: what is given is no object",
        ),
    ] {
        let mut copy = object.clone();
        let error = convert(&mut copy, desired).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(copy, object);
    }
    let error = convert(&mut json!(null), V1).unwrap_err();
    assert_eq!(error, ConvertError::NoObject { desired: V1.into() });
}

#[test]
fn shapes_that_do_not_fit_pass_as_they_are() {
    let shapes = [
        json!(null),
        json!(5),
        json!("x"),
        json!([]),
        json!([[1], null, {}]),
        json!({"a": 1}),
    ];
    for kind in ["Task", "TaskRun"] {
        for (here, there) in [(BETA, V1), (V1, BETA)] {
            for shape in &shapes {
                for spec in [
                    shape.clone(),
                    json!({"steps": shape, "stepTemplate": shape, "sidecars": shape}),
                    json!({"taskSpec": shape}),
                    json!({"taskSpec": {"steps": shape, "stepTemplate": shape}}),
                ] {
                    let object = json!({"apiVersion": here, "kind": kind, "metadata": {"name": "n"},
                        "spec": spec, "status": spec});
                    let mut expected = object.clone();
                    expected["apiVersion"] = json!(there);
                    assert_eq!(returns(&object, there), expected);
                }
                let metadata = json!({"apiVersion": here, "kind": kind, "metadata": shape, "spec": {}});
                returns(&metadata, there);
            }
        }
    }
}

#[test]
fn without_a_place_for_annotations_fields_stay() {
    for metadata in [json!(7), json!({"annotations": 7}), json!({"annotations": "x"})] {
        let object = json!({"apiVersion": BETA, "kind": "Task", "metadata": metadata,
            "spec": {"resources": {"inputs": []}, "steps": [{"tty": true}]}});
        let there = returns(&object, V1);
        assert_eq!(there["spec"], object["spec"]);
    }
}

#[test]
fn what_does_not_fit_back_stays_in_its_annotation() {
    for (annotation, value) in [
        ("tekton.dev/v1beta1Resources", "{"),
        ("tekton.dev/v1beta1.task-deprecations", "no json"),
        ("tekton.dev/v1beta1.task-deprecations", "[1]"),
        ("tekton.dev/v1beta1.task-deprecations", r#"{"t":5}"#),
        (
            "tekton.dev/v1beta1.task-deprecations",
            r#"{"t":{"deprecatedSteps":5}}"#,
        ),
        (
            "tekton.dev/v1beta1.task-deprecations",
            r#"{"another":{"deprecatedSteps":[{"tty":true}]}}"#,
        ),
        // The step has the field: nobody may write v1 so, but it is not overwritten.
        (
            "tekton.dev/v1beta1.task-deprecations",
            r#"{"t":{"deprecatedSteps":[{"stdin":true}]}}"#,
        ),
        (
            "tekton.dev/v1beta1.task-deprecations",
            r#"{"t":{"deprecatedSteps":[{"tty":true},{"name":"a","tty":true}]}}"#,
        ),
        (
            "tekton.dev/v1beta1.task-deprecations",
            r#"{"t":{"deprecatedStepTemplate":7}}"#,
        ),
    ] {
        let steps = if value.contains("stdin") {
            json!([{"name": "a", "stdin": false}])
        } else {
            json!([{"name": "a"}])
        };
        let object = json!({"apiVersion": V1, "kind": "Task",
            "metadata": {"name": "t", "annotations": {annotation: value, "mine": "x"}},
            "spec": {"steps": steps, "stepTemplate": {}}});
        let there = returns(&object, BETA);
        assert_eq!(there["metadata"], object["metadata"], "{value}");
        assert_eq!(there["spec"], object["spec"], "{value}");
    }
}
