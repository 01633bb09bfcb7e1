//! Default: what an object gets where its author said nothing (api.md section 2.2).
//!
//! Runs in the webhook on creation, and in the controller before a run is used, so that a cluster
//! whose webhook was down behaves the same.

use serde_json::{Map, Value};
use tektite_api::{ParamSpec, ParamType, PodTemplate, StepAction, TaskResult, TaskRun, TaskSpec, labels};

use crate::{REVISION, config::Config};

/// Fills in a TaskRun. What is set stays.
pub fn task_run(run: &mut TaskRun, config: &Config) {
    let defaults = &config.defaults;
    if let Some(task_ref) = &mut run.spec.task_ref {
        if task_ref.name.is_empty() && task_ref.resolver.is_empty() {
            task_ref.resolver.clone_from(&defaults.resolver_type);
        }
        if task_ref.kind.is_empty() && task_ref.resolver.is_empty() {
            "Task".clone_into(&mut task_ref.kind);
        }
    }
    run.spec.timeout.get_or_insert(defaults.timeout);
    if run.spec.service_account_name.is_empty() {
        run.spec
            .service_account_name
            .clone_from(&defaults.service_account);
    }
    if let Some(template) = &defaults.pod_template {
        run.spec.pod_template = Some(match run.spec.pod_template.take() {
            Some(own) => merge_pod_templates(own, template),
            None => template.clone(),
        });
    }
    if let Some(spec) = &mut run.spec.task_spec {
        task_spec(spec, config);
    }
    run.metadata
        .labels
        .get_or_insert_default()
        .entry(labels::MANAGED_BY.to_owned())
        .or_insert_with(|| defaults.managed_by.clone());
}

/// Drops the annotations that only the signing controller may set. On creation only.
pub fn drop_reserved_annotations(run: &mut TaskRun) {
    if let Some(annotations) = &mut run.metadata.annotations {
        annotations.retain(|key, _| !key.contains("chains.tekton.dev/"));
    }
}

/// Says whose release the run is made under, as the controller does: told here, it costs no write of its own.
/// Not of runs that are another controller's. On creation only.
pub fn tell_release(run: &mut TaskRun) {
    let ours = [labels::MANAGED_BY_TEKTON, labels::MANAGED_BY_US];
    if run
        .spec
        .managed_by
        .as_deref()
        .is_some_and(|name| !ours.contains(&name))
    {
        return;
    }
    let annotations = run.metadata.annotations.get_or_insert_default();
    annotations.insert(labels::RELEASE.to_owned(), REVISION.to_owned());
}

/// Fills in a Task's spec, stored, inline or fetched.
pub fn task_spec(spec: &mut TaskSpec, config: &Config) {
    for step_ref in spec.steps.iter_mut().filter_map(|step| step.step_ref.as_mut()) {
        if step_ref.name.is_empty() && step_ref.resolver.is_empty() {
            step_ref.resolver.clone_from(&config.defaults.resolver_type);
        }
    }
    for param in &mut spec.params {
        param_spec(param);
    }
    for result in &mut spec.results {
        task_result(result);
    }
}

/// Fills in a StepAction.
pub fn step_action(action: &mut StepAction) {
    for param in &mut action.spec.params {
        param_spec(param);
    }
    for result in &mut action.spec.results {
        task_result(result);
    }
}

fn param_spec(param: &mut ParamSpec) {
    let declared = param.param_type.is_some() || param.properties.is_some();
    if param.param_type.is_none() {
        param.param_type = Some(match (&param.properties, &param.default) {
            (Some(_), _) => ParamType::Object,
            (None, None) => ParamType::String,
            (None, Some(default)) => default.param_type(),
        });
    }
    if declared {
        for property in param
            .properties
            .iter_mut()
            .flat_map(std::collections::BTreeMap::values_mut)
        {
            property.param_type.get_or_insert(ParamType::String);
        }
    }
}

fn task_result(result: &mut TaskResult) {
    let inferred = if result.properties.is_some() {
        ParamType::Object
    } else {
        ParamType::String
    };
    result.result_type.get_or_insert(inferred);
    for property in result
        .properties
        .iter_mut()
        .flat_map(std::collections::BTreeMap::values_mut)
    {
        property.param_type.get_or_insert(ParamType::String);
    }
}

/// The TaskRun's template over the default one: field by field, lists of named things by name.
fn merge_pod_templates(own: PodTemplate, default: &PodTemplate) -> PodTemplate {
    let (Ok(Value::Object(mut merged)), Ok(Value::Object(below))) =
        (serde_json::to_value(&own), serde_json::to_value(default))
    else {
        return own;
    };
    for (field, value) in below {
        match field.as_str() {
            "env" | "volumes" => merge_named(&mut merged, &field, value),
            // A run cannot turn off what the operator turned on.
            "hostNetwork" if value == Value::Bool(true) => {
                merged.insert(field, value);
            }
            _ => match merged.get(&field) {
                Some(own) if says_something(&field, own) => {}
                _ => {
                    merged.insert(field, value);
                }
            },
        }
    }
    serde_json::from_value(Value::Object(merged)).unwrap_or(own)
}

/// An empty text, list or map is no choice; an empty object is one.
fn says_something(field: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty() || !matches!(field, "nodeSelector" | "overhead"),
        _ => true,
    }
}

fn merge_named(merged: &mut Map<String, Value>, field: &str, below: Value) {
    let Some(Value::Array(items)) = merged
        .get_mut(field)
        .filter(|items| **items != Value::Array(Vec::new()))
    else {
        merged.insert(field.to_owned(), below);
        return;
    };
    if let Value::Array(below) = below {
        for item in below {
            let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
            let known = items
                .iter()
                .any(|own| own.get("name").and_then(Value::as_str) == Some(name));
            if !name.is_empty() && !known {
                items.push(item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tektite_api::GoDuration;

    fn run(value: Value) -> TaskRun {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_bare_run_gets_everything() {
        let mut run = run(json!({"spec": {"taskRef": {"name": "t"}}}));
        task_run(&mut run, &Config::default());
        assert_eq!(
            serde_json::to_value(&run.spec).unwrap(),
            json!({"taskRef": {"name": "t", "kind": "Task"}, "timeout": "1h0m0s", "serviceAccountName": "default"})
        );
        assert_eq!(
            run.metadata.labels.unwrap()[labels::MANAGED_BY],
            "tekton-pipelines"
        );
    }

    #[test]
    fn what_is_set_stays() {
        let mut run = run(json!({
            "metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}},
            "spec": {"timeout": "0s", "serviceAccountName": "own", "taskRef": {"resolver": "git"}},
        }));
        task_run(&mut run, &Config::default());
        assert_eq!(run.spec.timeout, Some(GoDuration::ZERO));
        assert_eq!(run.spec.service_account_name, "own");
        assert_eq!(run.spec.task_ref.unwrap().kind, "");
        assert_eq!(run.metadata.labels.unwrap()[labels::MANAGED_BY], "me");
    }

    #[test]
    fn types_are_inferred() {
        let mut spec: TaskSpec = serde_json::from_value(json!({
            "params": [
                {"name": "plain"},
                {"name": "list", "default": ["a"]},
                {"name": "map", "properties": {"k": {}}},
                {"name": "set", "type": "array"},
            ],
            "results": [{"name": "r"}, {"name": "o", "properties": {"k": {}}}],
        }))
        .unwrap();
        task_spec(&mut spec, &Config::default());
        let types: Vec<_> = spec
            .params
            .iter()
            .map(|param| param.param_type.as_ref().unwrap().as_str())
            .collect();
        assert_eq!(types, ["string", "array", "object", "array"]);
        let types: Vec<_> = spec
            .results
            .iter()
            .map(|result| result.result_type.as_ref().unwrap().as_str())
            .collect();
        assert_eq!(types, ["string", "object"]);
        assert_eq!(
            spec.params[2].properties.as_ref().unwrap()["k"].param_type,
            Some(ParamType::String)
        );
    }

    #[test]
    fn pod_templates_merge_by_field_and_name() {
        let template = |value| serde_json::from_value::<PodTemplate>(value).unwrap();
        let own = template(json!({
            "nodeSelector": {"a": "own"},
            "env": [{"name": "B", "value": "own"}, {"name": "A", "value": "own"}],
        }));
        let default = template(json!({
            "nodeSelector": {"b": "default"},
            "hostNetwork": true,
            "schedulerName": "s",
            "env": [{"name": "A", "value": "default"}, {"name": "C", "value": "default"}],
        }));
        assert_eq!(
            serde_json::to_value(merge_pod_templates(own, &default)).unwrap(),
            json!({
                "nodeSelector": {"a": "own"},
                "hostNetwork": true,
                "schedulerName": "s",
                "env": [
                    {"name": "B", "value": "own"},
                    {"name": "A", "value": "own"},
                    {"name": "C", "value": "default"},
                ],
            })
        );
    }

    #[test]
    fn signing_annotations_are_dropped() {
        let mut run = run(json!({"metadata": {"annotations": {"chains.tekton.dev/signed": "x", "a": "b"}}}));
        drop_reserved_annotations(&mut run);
        assert_eq!(
            run.metadata.annotations.unwrap().keys().collect::<Vec<_>>(),
            ["a"]
        );
    }
}
