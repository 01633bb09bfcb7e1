//! Every field of the types is in the schemas, and nothing else but what a status of upstream's may
//! have.
//!
//! A derived `Deserialize` hands the names of its fields to the deserializer: one that only notes
//! them says what a type has, and a field that is new in crates/api fails here until the schema has
//! it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodSpec, Probe, SecurityContext, Volume};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tektite_api::param::PropertySpec;
use tektite_api::status::{Provenance, RefSource, ResultValue, SidecarState, StepState};
use tektite_api::step_action::StepActionSpec;
use tektite_api::task::{StepOutputConfig, StepRef, WhenExpression};
use tektite_api::task_run::{ContainerSpec, TaskBreakpoints, TaskRunDebug};
use tektite_api::{
    Condition, Param, ParamSpec, PodTemplate, Sidecar, Step, StepAction, StepTemplate, Task, TaskRef,
    TaskResult, TaskRun, TaskRunSpec, TaskRunStatus, TaskSpec, WorkspaceBinding, WorkspaceDeclaration,
    WorkspaceUsage,
};

use crate::crds::{Conversion, Crd, Version, stepaction, task, taskrun};

fn fields_of<T: DeserializeOwned>() -> BTreeSet<&'static str> {
    tektite_api::decode::fields_of::<T>().iter().copied().collect()
}

/// The fields at a path through objects and, without saying so, lists and maps.
fn declared(schema: &Value, path: &str) -> BTreeSet<String> {
    let mut at = schema;
    for field in path.split('.').filter(|field| !field.is_empty()) {
        at = inner(&at["properties"][field]);
    }
    let Value::Object(fields) = &at["properties"] else {
        return BTreeSet::new();
    };
    fields.keys().cloned().collect()
}

fn inner(schema: &Value) -> &Value {
    ["items", "additionalProperties"]
        .iter()
        .find_map(|key| schema.get(key))
        .map_or(schema, inner)
}

/// That the schema has at `path` what the type has, and beyond it `more`.
#[track_caller]
fn same<T: DeserializeOwned>(crd: &Crd, path: &str, more: &[&str]) {
    // A version that is converted has other names, which nobody types.
    let converted = |version: &&Version| crd.conversion == Conversion::None || version.stored;
    for version in crd.versions.iter().filter(converted) {
        let mut expected = fields_of::<T>();
        expected.extend(more);
        let declared = declared(&version.schema, path);
        let declared: BTreeSet<&str> = declared.iter().map(String::as_str).collect();
        assert_eq!(declared, expected, "{} {path}", crd.kind);
    }
}

fn param_specs(crd: &Crd, path: &str) {
    same::<ParamSpec>(crd, path, &[]);
    same::<PropertySpec>(crd, &format!("{path}.properties"), &[]);
}

fn task_spec(crd: &Crd, path: &str) {
    let at = |field: &str| format!("{path}.{field}");
    same::<TaskSpec>(crd, path, &[]);
    param_specs(crd, &at("params"));
    same::<Step>(crd, &at("steps"), &[]);
    same::<StepRef>(crd, &at("steps.ref"), &[]);
    same::<Param>(crd, &at("steps.ref.params"), &[]);
    same::<Param>(crd, &at("steps.params"), &[]);
    same::<WhenExpression>(crd, &at("steps.when"), &[]);
    same::<WorkspaceUsage>(crd, &at("steps.workspaces"), &[]);
    same::<StepOutputConfig>(crd, &at("steps.stdoutConfig"), &[]);
    same::<StepOutputConfig>(crd, &at("steps.stderrConfig"), &[]);
    same::<SecurityContext>(crd, &at("steps.securityContext"), &[]);
    same::<StepTemplate>(crd, &at("stepTemplate"), &[]);
    same::<Sidecar>(crd, &at("sidecars"), &[]);
    same::<WorkspaceUsage>(crd, &at("sidecars.workspaces"), &[]);
    same::<Probe>(crd, &at("sidecars.readinessProbe"), &[]);
    same::<Volume>(crd, &at("volumes"), &[]);
    same::<WorkspaceDeclaration>(crd, &at("workspaces"), &[]);
    same::<TaskResult>(crd, &at("results"), &[]);
    same::<PropertySpec>(crd, &at("results.properties"), &[]);
    // The value of a result is a Task's alone.
    let results = declared(&crd.versions[0].schema, &at("steps.results"));
    let mut expected = fields_of::<TaskResult>();
    assert!(expected.remove("value"));
    assert!(results.iter().map(String::as_str).eq(expected));
}

#[test]
fn a_task_has_the_fields_of_its_types() {
    let crd = task::crd();
    same::<Task>(&crd, "", &["status"]);
    task_spec(&crd, "spec");
}

#[test]
fn a_task_run_has_the_fields_of_its_types() {
    let crd = taskrun::crd();
    same::<TaskRun>(&crd, "", &[]);
    same::<TaskRunSpec>(&crd, "spec", &[]);
    task_spec(&crd, "spec.taskSpec");
    same::<TaskRef>(&crd, "spec.taskRef", &[]);
    same::<Param>(&crd, "spec.taskRef.params", &[]);
    same::<Param>(&crd, "spec.params", &[]);
    same::<WorkspaceBinding>(&crd, "spec.workspaces", &[]);
    same::<PersistentVolumeClaim>(&crd, "spec.workspaces.volumeClaimTemplate", &[]);
    same::<ContainerSpec>(&crd, "spec.stepSpecs", &[]);
    same::<ContainerSpec>(&crd, "spec.sidecarSpecs", &[]);
    same::<TaskRunDebug>(&crd, "spec.debug", &[]);
    same::<TaskBreakpoints>(&crd, "spec.debug.breakpoints", &[]);
}

#[test]
fn a_pod_template_has_the_fields_of_a_pod_but_the_engines_own() {
    let declared = declared(&taskrun::crd().versions[0].schema, "spec.podTemplate");
    let mut expected = fields_of::<PodSpec>();
    for reserved in PodTemplate::RESERVED {
        assert!(expected.remove(reserved), "{reserved}");
    }
    expected.insert("env");
    assert!(declared.iter().map(String::as_str).eq(expected), "{declared:?}");
}

/// Upstream's status has fields that Tektite does not write; somebody else may.
#[test]
fn a_status_has_the_fields_of_its_types() {
    let crd = taskrun::crd();
    same::<TaskRunStatus>(&crd, "status", &["observedGeneration", "annotations"]);
    same::<Condition>(&crd, "status.conditions", &["severity"]);
    same::<StepState>(&crd, "status.steps", &["inputs", "outputs"]);
    same::<SidecarState>(&crd, "status.sidecars", &[]);
    same::<ResultValue>(&crd, "status.results", &[]);
    same::<ResultValue>(&crd, "status.steps.results", &[]);
    same::<Provenance>(&crd, "status.provenance", &[]);
    same::<RefSource>(&crd, "status.steps.provenance.refSource", &[]);
}

#[test]
fn a_step_action_has_the_fields_of_its_types() {
    let crd = stepaction::crd();
    same::<StepAction>(&crd, "", &["status"]);
    same::<StepActionSpec>(&crd, "spec", &[]);
    param_specs(&crd, "spec.params");
}
