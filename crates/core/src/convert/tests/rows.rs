//! One test for each row of api.md appendix D.

use serde_json::{Value, json};

use super::{BETA, V1, carried, returns, to};
use crate::convert::is_carrier;

fn task(version: &str, spec: &Value) -> Value {
    json!({"apiVersion": version, "kind": "Task", "metadata": {"name": "t"}, "spec": spec})
}

fn run(version: &str, spec: &Value, status: &Value) -> Value {
    json!({"apiVersion": version, "kind": "TaskRun", "metadata": {"name": "r"}, "spec": spec, "status": status})
}

#[test]
fn container_resources() {
    let spec = |field: &str| {
        json!({
            "steps": [{"name": "a", field: {"requests": {"cpu": 1}}}, {"name": "b"}],
            "stepTemplate": {field: {"limits": {"cpu": "2"}}},
            "sidecars": [{"name": "s", "ports": [], field: {}}],
        })
    };
    let (beta, v1) = (spec("resources"), spec("computeResources"));
    assert_eq!(returns(&task(BETA, &beta), V1), task(V1, &v1));
    assert_eq!(returns(&task(V1, &v1), BETA), task(BETA, &beta));

    let wrap = |task: &Value| {
        (
            json!({"taskSpec": task}),
            json!({"taskSpec": task, "retriesStatus": [{"taskSpec": task}]}),
        )
    };
    let ((beta_spec, beta_status), (v1_spec, v1_status)) = (wrap(&beta), wrap(&v1));
    assert_eq!(
        returns(&run(BETA, &beta_spec, &beta_status), V1),
        run(V1, &v1_spec, &v1_status)
    );
    assert_eq!(
        returns(&run(V1, &v1_spec, &v1_status), BETA),
        run(BETA, &beta_spec, &beta_status)
    );
}

#[test]
fn both_names_at_once() {
    let mistake = task(
        BETA,
        &json!({"steps": [{"resources": {"r": 1}, "computeResources": {"c": 1}}]}),
    );
    let there = returns(&mistake, V1);
    // The name that v1beta1 knows is the one converted; the other has a name that v1 refuses.
    assert_eq!(there["spec"]["steps"][0]["computeResources"], json!({"r": 1}));
    assert_eq!(there["spec"]["steps"][0]["resources"], json!({"c": 1}));
}

#[test]
fn deprecated_fields_of_steps_and_template() {
    let probe = json!({"exec": {"command": ["true"]}});
    let spec = json!({
        "steps": [
            {"name": "a", "image": "i"},
            {"name": "b", "image": "i", "ports": [{"containerPort": 80}], "livenessProbe": probe,
             "readinessProbe": probe, "startupProbe": probe, "lifecycle": {}, "terminationMessagePath": "/m",
             "terminationMessagePolicy": "File", "stdin": true, "stdinOnce": false, "tty": null},
            {"image": "i", "tty": true},
            {"name": "d", "image": "i"},
        ],
        "stepTemplate": {"name": "tmpl", "image": "i", "tty": false, "ports": []},
        "sidecars": [{"name": "s", "tty": true, "ports": []}],
    });
    let there = returns(&task(BETA, &spec), V1);
    assert_eq!(there["spec"]["steps"][1], json!({"name": "b", "image": "i"}));
    assert_eq!(there["spec"]["steps"][2], json!({"image": "i"}));
    assert_eq!(there["spec"]["stepTemplate"], json!({"image": "i"}));
    assert_eq!(there["spec"]["sidecars"], spec["sidecars"]);
    let found = carried(&there, "tekton.dev/v1beta1.task-deprecations");
    let mut entry = spec["steps"][1].clone();
    entry.as_object_mut().unwrap().remove("image");
    assert_eq!(
        found,
        json!({"t": {
            "deprecatedSteps": [{"name": "a"}, entry, {"tty": true}],
            "deprecatedStepTemplate": {"name": "tmpl", "tty": false, "ports": []},
        }})
    );
    assert_eq!(returns(&there, BETA), task(BETA, &spec));
}

#[test]
fn deprecated_fields_in_each_spec_of_a_run() {
    let task = |tty: bool| json!({"steps": [{"tty": tty}]});
    let object = run(
        BETA,
        &json!({"taskSpec": task(true)}),
        &json!({"taskSpec": task(false), "retriesStatus": [{}, {"taskSpec": task(true)}]}),
    );
    let there = returns(&object, V1);
    assert_eq!(
        carried(&there, "tekton.dev/v1beta1.task-deprecations"),
        json!({
            "r": {"deprecatedSteps": [{"tty": true}]},
            "r/status": {"deprecatedSteps": [{"tty": false}]},
            "r/status/retries/1": {"deprecatedSteps": [{"tty": true}]},
        })
    );
    assert!(!there["spec"].to_string().contains("tty"));
    assert!(!there["status"].to_string().contains("tty"));
}

#[test]
fn deprecated_fields_find_their_steps_after_a_change() {
    let spec = json!({"steps": [{"name": "a", "tty": true}, {"name": "b", "stdin": true}, {"stdinOnce": true}],
        "stepTemplate": {"tty": true}});
    let mut there = to(V1, &task(BETA, &spec));
    there["spec"] = json!({"steps": [{"name": "new"}, {"name": "a"}, {}]});
    let back = to(BETA, &there);
    // `b` and the template are gone, and their fields with them.
    let steps = json!([{"name": "new"}, {"name": "a", "tty": true}, {"stdinOnce": true}]);
    assert_eq!(back, task(BETA, &json!({"steps": steps})));
}

#[test]
fn deprecated_fields_of_an_object_that_gets_its_name_later() {
    let spec = json!({"steps": [{"tty": true}]});
    for (before, key) in [
        (json!({"generateName": "t-"}), "t-"),
        (json!({}), ""),
        (json!({"name": "", "generateName": "t-"}), "t-"),
    ] {
        let mut object = task(BETA, &spec);
        object["metadata"] = before;
        let mut there = returns(&object, V1);
        let found = carried(&there, "tekton.dev/v1beta1.task-deprecations");
        assert_eq!(found, json!({key: {"deprecatedSteps": [{"tty": true}]}}));
        there["metadata"]["name"] = json!("t-x7k2p");
        let back = to(BETA, &there);
        assert_eq!(back["spec"], spec);
        assert!(back["metadata"].get("annotations").is_none());
    }
}

#[test]
fn what_another_object_left_stays() {
    let foreign = r#"{"other":{"deprecatedSteps":[{"tty":false}]}}"#;
    let mut object = task(BETA, &json!({"steps": [{"tty": true}]}));
    object["metadata"]["annotations"] = json!({"tekton.dev/v1beta1.task-deprecations": foreign});
    let there = returns(&object, V1);
    let found = carried(&there, "tekton.dev/v1beta1.task-deprecations");
    assert_eq!(found["t"], json!({"deprecatedSteps": [{"tty": true}]}));
    assert_eq!(found["other"], json!({"deprecatedSteps": [{"tty": false}]}));
}

#[test]
fn spec_resources() {
    let resources = json!({"inputs": [{"name": "source", "type": "git"}]});
    for object in [
        task(BETA, &json!({"resources": resources})),
        run(BETA, &json!({"resources": resources}), &json!({})),
    ] {
        let there = returns(&object, V1);
        assert_eq!(carried(&there, "tekton.dev/v1beta1Resources"), resources);
        assert_eq!(there["spec"], json!({}));
        returns(&there, BETA);
    }
    let inline = run(
        BETA,
        &json!({"resources": [1], "taskSpec": {"resources": [2]}}),
        &json!({}),
    );
    let there = returns(&inline, V1);
    assert_eq!(carried(&there, "tekton.dev/v1beta1Resources"), json!([1]));
    assert_eq!(
        carried(&there, "tekton.dev/v1beta1.task-spec-resources"),
        json!([2])
    );
    assert_eq!(there["spec"], json!({"taskSpec": {}}));
}

#[test]
fn overrides() {
    let beta = json!({"stepOverrides": [{"name": "a", "resources": {"limits": {}}}],
        "sidecarOverrides": [{"name": "s", "resources": {}}, 3]});
    let v1 = json!({"stepSpecs": [{"name": "a", "computeResources": {"limits": {}}}],
        "sidecarSpecs": [{"name": "s", "computeResources": {}}, 3]});
    let none = json!({});
    assert_eq!(returns(&run(BETA, &beta, &none), V1), run(V1, &v1, &none));
    assert_eq!(returns(&run(V1, &v1, &none), BETA), run(BETA, &beta, &none));
    // In the wrong version the list is not looked into.
    assert_eq!(
        returns(&run(BETA, &v1, &none), V1)["spec"]["stepOverrides"],
        v1["stepSpecs"]
    );
}

#[test]
fn status_results() {
    let results = json!([{"name": "x", "type": "string", "value": "1"}]);
    let status = |field: &str| json!({field: results, "retriesStatus": [{field: results}]});
    let (spec, beta, v1) = (json!({}), status("taskResults"), status("results"));
    assert_eq!(returns(&run(BETA, &spec, &beta), V1), run(V1, &spec, &v1));
    assert_eq!(returns(&run(V1, &spec, &v1), BETA), run(BETA, &spec, &beta));
}

#[test]
fn status_fields_that_v1_has_no_place_for() {
    let status = json!({"cloudEvents": [{"target": "http://x"}], "resourcesResult": [{"key": "k"}],
        "taskSpec": {"resources": {"inputs": []}}});
    let mut all = status.clone();
    all["retriesStatus"] = json!([{"podName": "p"}, status, {"retriesStatus": [{"cloudEvents": []}]}]);
    let there = returns(&run(BETA, &json!({}), &all), V1);
    assert_eq!(
        carried(&there, "tekton.dev/v1beta1CloudEvents"),
        status["cloudEvents"]
    );
    assert_eq!(
        carried(&there, "tekton.dev/v1beta1ResourcesResult"),
        status["resourcesResult"]
    );
    assert_eq!(
        carried(&there, "tekton.dev/v1beta1ResourcesStatus"),
        json!({"inputs": []})
    );
    assert_eq!(
        carried(&there, "tekton.dev/v1beta1.retries-status"),
        json!({
            "1": {"cloudEvents": [{"target": "http://x"}], "resourcesResult": [{"key": "k"}],
                  "taskSpecResources": {"inputs": []}},
            "2/0": {"cloudEvents": []},
        })
    );
    assert_eq!(
        there["status"],
        json!({"taskSpec": {}, "retriesStatus": [{"podName": "p"}, {"taskSpec": {}}, {"retriesStatus": [{}]}]})
    );
    returns(&there, BETA);
    let annotations = there["metadata"]["annotations"].as_object().unwrap();
    assert!(annotations.keys().all(|annotation| is_carrier(annotation)));
}

#[test]
fn fields_with_one_name_stay() {
    let spec = json!({"taskRef": {"name": "t", "bundle": "b"}, "managedBy": "m", "computeResources": {},
        "unknown": {"resources": {}}});
    let status = json!({"spanContext": {"a": "b"}, "artifacts": {"inputs": []},
        "steps": [{"terminationReason": "Completed", "results": []}]});
    for (here, there) in [(BETA, V1), (V1, BETA)] {
        assert_eq!(
            returns(&run(here, &spec, &status), there),
            run(there, &spec, &status)
        );
    }
}

#[test]
fn an_annotation_is_not_overwritten() {
    let mut object = task(BETA, &json!({"resources": {"new": 1}}));
    object["metadata"]["annotations"] = json!({"tekton.dev/v1beta1Resources": r#"{"old":1}"#});
    let there = returns(&object, V1);
    assert_eq!(there["metadata"], object["metadata"]);
    assert_eq!(there["spec"], object["spec"]);
}
