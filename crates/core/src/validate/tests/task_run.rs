//! R1 to R27, M1 and M2.

use serde_json::{Value, json};
use tektite_api::TaskRun;

use super::{ApiFields, at, config, known_part, rules};

/// A run of Task `t` with these fields.
fn of(fields: Value) -> Value {
    let mut spec = json!({"taskRef": {"name": "t"}});
    for (key, value) in fields.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

fn bound(binding: Value) -> Value {
    of(json!({"workspaces": [binding]}))
}

const SOURCES: &str = "spec.workspaces[0].configmap, spec.workspaces[0].emptydir, spec.workspaces[0].persistentvolumeclaim, spec.workspaces[0].secret, spec.workspaces[0].volumeclaimtemplate";

#[test]
fn m1_m2_names() {
    for (name, text) in [
        (
            "",
            "invalid resource name \"\": must be a valid DNS label: metadata.name",
        ),
        (
            "A",
            "invalid resource name \"A\": must be a valid DNS label: metadata.name",
        ),
        (
            &"a".repeat(64),
            "Invalid resource name: length must be no more than 63 characters: metadata.name",
        ),
        (&"a".repeat(63), ""),
        ("a.b", ""),
    ] {
        let run: TaskRun =
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"taskRef": {"name": "t"}}}))
                .unwrap();
        assert_eq!(known_part(crate::validate::task_run(&run, None, &config())), text);
    }
}

#[test]
fn r1_pending_after_start() {
    let run: TaskRun = serde_json::from_value(json!({"metadata": {"name": "r"},
        "spec": {"taskRef": {"name": "t"}, "status": "TaskRunPending"},
        "status": {"startTime": "2026-01-01T00:00:00Z"}}))
    .unwrap();
    assert_eq!(
        known_part(crate::validate::task_run(&run, None, &config())),
        "invalid value: TaskRun cannot be Pending after it is started: spec.status"
    );
}

fn no_inline() -> crate::config::Config {
    let mut config = config();
    config.flags.inline_spec_disabled = true;
    config
}

fn forbidden() -> crate::config::Config {
    let mut config = config();
    config.defaults.forbidden_env = vec!["HTTP_PROXY".into()];
    config
}

rules! {
    r5_neither: run_with(config()), json!({}) => "expected exactly one, got neither: spec.taskRef, spec.taskSpec";
    r5_both: run_with(config()), json!({"taskRef": {"name": "t"}, "taskSpec": {"steps": [{"image": "i"}]}})
        => "expected exactly one, got both: spec.taskRef, spec.taskSpec";
    r6_reference: run_with(config()), json!({"taskRef": {}}) => "missing field(s): spec.taskRef.name";
    r7_inline_forbidden: run_with(no_inline()), json!({"taskSpec": {"steps": [{"image": "i"}]}})
        => "must not set the field(s): spec.taskSpec";
    r8_inline_spec: run_with(config()), json!({"taskSpec": {"steps": [{}, {}]}})
        => "missing field(s): spec.taskSpec.steps[0].Image, spec.taskSpec.steps[1].Image";
    r9_params_twice: run_with(config()), of(json!({"params": [{"name": "Foo", "value": "a"}, {"name": "foo", "value": "b"}]}))
        => "expected exactly one, got both: spec.params[foo].name";
    r10_undeclared_variable: run_with(config()), json!({"taskSpec": {"steps": [{"image": "i", "script": "echo $(params.x)"}]}})
        => "non-existent variable in \"echo $(params.x)\": spec.steps[0].script";
    r10_array_as_text: run_with(config()), json!({"params": [{"name": "x", "value": ["a"]}],
            "taskSpec": {"params": [{"name": "x", "type": "array"}], "steps": [{"image": "$(params.x[*])"}]}})
        => "variable type invalid in \"$(params.x[*])\": spec.steps[0].image, spec.taskSpec.steps[0].image";
    r10_array_from_the_run_as_text: run_with(config()), json!({"params": [{"name": "x", "value": ["a"]}],
            "taskSpec": {"steps": [{"image": "$(params.x[*])"}]}})
        => "variable type invalid in \"$(params.x[*])\": spec.steps[0].image";
    r10_object_without_properties: run_with(config()), json!({"params": [{"name": "o", "value": {"k": "v"}}],
            "taskSpec": {"params": [{"name": "o", "type": "object"}], "steps": [{"image": "i"}]}})
        => "missing field(s): spec.o.properties";
    r11_empty_binding: run_with(config()), bound(json!({})) => "missing field(s): spec.workspaces[0]";
    r12_two_sources: run_with(config()), bound(json!({"name": "w", "emptyDir": {}, "persistentVolumeClaim": {"claimName": "c"}}))
        => format!("expected exactly one, got both: {SOURCES}");
    r13_no_source: run_with(config()), bound(json!({"name": "w"})) => format!("expected exactly one, got neither: {SOURCES}");
    r14_claim_without_name: run_with(config()), bound(json!({"name": "w", "persistentVolumeClaim": {}}))
        => "missing field(s): spec.workspaces[0].persistentvolumeclaim.claimname";
    r14_config_map_without_name: run_with(config()), bound(json!({"name": "w", "configMap": {}}))
        => "missing field(s): spec.workspaces[0].configmap.name";
    r14_secret_without_name: run_with(config()), bound(json!({"name": "w", "secret": {}}))
        => "missing field(s): spec.workspaces[0].secret.secretName";
    r14_projected_without_sources: run_with(config()), bound(json!({"name": "w", "projected": {}}))
        => "missing field(s): spec.workspaces[0].projected.sources";
    r14_csi_without_driver: run_with(config()), bound(json!({"name": "w", "csi": {}}))
        => "missing field(s): spec.workspaces[0].csi.driver";
    r15_workspace_twice: run_with(config()), of(json!({"workspaces": [{"name": "w", "emptyDir": {}}, {"name": "W", "emptyDir": {}}]}))
        => "expected exactly one, got both: spec.workspaces[1].name";
    r16_debug_at_beta: run_with(at(ApiFields::Beta)), of(json!({"debug": {"breakpoints": {"onFailure": "enabled"}}}))
        => "debug requires \"enable-api-fields\" feature gate to be \"alpha\" but it is \"beta\": ";
    r17_empty_breakpoint: run_with(config()), of(json!({"debug": {"breakpoints": {}}}))
        => "invalid value: onFailure breakpoint is empty, it is only allowed to be set as enabled: spec.debug.breakpoints.onFailure";
    w64_r17_before_steps_alone_is_legal_here: run_with(config()), json!({"taskSpec": {"steps": [{"image": "i", "name": "a"}]},
            "debug": {"breakpoints": {"beforeSteps": ["a"]}}}) => "";
    r18_unknown_breakpoint: run_with(config()), of(json!({"debug": {"breakpoints": {"onFailure": "on"}}}))
        => "invalid value: on is not a valid onFailure breakpoint value, onFailure breakpoint is only allowed to be set as enabled: spec.debug.breakpoints.onFailure";
    r19_breakpoint_twice: run_with(config()), of(json!({"debug": {"breakpoints": {"onFailure": "enabled", "beforeSteps": ["a", "a"]}}}))
        => "before step must be unique, the same step: a is defined multiple times at: spec.debug.breakpoints.beforeSteps[1]";
    r20_step_specs_at_stable: run_with(at(ApiFields::Stable)), of(json!({"stepSpecs": [{"name": "a"}]}))
        => "stepSpecs requires \"enable-api-fields\" feature gate to be \"alpha\" or \"beta\" but it is \"stable\": ";
    r20_step_spec_without_name: run_with(config()), of(json!({"stepSpecs": [{"computeResources": {}}]}))
        => "missing field(s): spec.stepSpecs[0].name";
    r20_step_spec_twice: run_with(config()), of(json!({"stepSpecs": [{}, {"name": "a"}, {"name": "A"}]}))
        => "expected exactly one, got both: spec.stepSpecs[1].name\nmissing field(s): spec.stepSpecs[0].name";
    r21_sidecar_specs: run_with(at(ApiFields::Stable)), of(json!({"sidecarSpecs": [{"name": "a"}, {"name": "a"}]}))
        => "expected exactly one, got both: spec.sidecarSpecs[1].name\n\
            sidecarSpecs requires \"enable-api-fields\" feature gate to be \"alpha\" or \"beta\" but it is \"stable\": ";
    r22_compute_resources_at_stable: run_with(at(ApiFields::Stable)), of(json!({"computeResources": {"limits": {"cpu": "1"}}}))
        => "computeResources requires \"enable-api-fields\" feature gate to be \"alpha\" or \"beta\" but it is \"stable\": ";
    r22_both_kinds_of_resources: run_with(config()), of(json!({"computeResources": {"limits": {"cpu": "1"}},
            "stepSpecs": [{"name": "a", "computeResources": {"limits": {"cpu": "1"}}}]}))
        => "expected exactly one, got both: spec.computeResources, spec.stepSpecs.resources";
    r23_unknown_status: run_with(config()), of(json!({"status": "Stop"}))
        => "invalid value: Stop should be TaskRunCancelled or TaskRunPending: spec.status";
    r24_message_without_status: run_with(config()), of(json!({"statusMessage": "why"}))
        => "invalid value: statusMessage should not be set if status is not set, but it is currently set to why: spec.statusMessage";
    r25_negative_retries: run_with(config()), of(json!({"retries": -3})) => "invalid value: -3 should be >= 0: spec.retries";
    r26_forbidden_env: run_with(forbidden()), of(json!({"podTemplate": {"env": [{"name": "HTTP_PROXY", "value": "x"}]}}))
        => "invalid value: PodTemplate cannot update a forbidden env: HTTP_PROXY: spec.PodTemplate.Env";
    r27_negative_timeout: run_with(config()), of(json!({"timeout": "-48h"})) => "invalid value: -48h0m0s should be >= 0: spec.timeout";
    e3_two_errors_of_one_object: run_with(at(ApiFields::Beta)), of(json!({"debug": {"breakpoints": {}}}))
        => "debug requires \"enable-api-fields\" feature gate to be \"alpha\" but it is \"beta\": \n\
            invalid value: onFailure breakpoint is empty, it is only allowed to be set as enabled: spec.debug.breakpoints.onFailure";
    reserved_pod_fields: run_with(config()), of(json!({"podTemplate": {"restartPolicy": "Always"}}))
        => "must not set the field(s): spec.podTemplate.restartPolicy";
}
