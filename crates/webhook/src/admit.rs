//! What is said to an object at admission: defaults for it, or what is wrong with it. No I/O.
//!
//! Spec: api.md 2.1, 2.2 and 3.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tektite_api::{StepAction, Task, TaskRun};
use tektite_core::{
    config::{Config, Source},
    defaults,
    field_error::FieldErrors,
    validate,
};

use crate::{
    graft::graft,
    review::{Operation, Request, Verdict},
};

/// The kinds that are judged here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Task,
    TaskRun,
    StepAction,
}

fn kind(request: &Request) -> Option<Kind> {
    match (request.kind.group.as_str(), request.kind.kind.as_str()) {
        ("tekton.dev", "Task") => Some(Kind::Task),
        ("tekton.dev", "TaskRun") => Some(Kind::TaskRun),
        ("tekton.dev", "StepAction") => Some(Kind::StepAction),
        _ => None,
    }
}

/// Fills in a new object. A stored one stays as it is: its spec is immutable, and that rule is
/// checked after this.
pub fn default(request: &Request, config: &Config) -> Verdict {
    if request.operation != Operation::Create {
        return Verdict::Allow(None);
    }
    let cleaned = without_nulls(&request.object);
    if breaks_schema_rule(request, &cleaned) {
        let request = Request {
            object: cleaned,
            ..request.clone()
        };
        return validate(&request, config);
    }
    let changed = match kind(request) {
        Some(Kind::TaskRun) => change(&cleaned, |run: &mut TaskRun| {
            defaults::drop_reserved_annotations(run);
            defaults::task_run(run, config);
        }),
        Some(Kind::Task) => change(&cleaned, |task: &mut Task| {
            defaults::task_spec(&mut task.spec, config);
        }),
        Some(Kind::StepAction) => Ok(cleaned),
        None => return Verdict::Allow(None),
    };
    match changed {
        Ok(changed) if changed == request.object => Verdict::Allow(None),
        Ok(changed) => Verdict::Allow(Some(json_patch::diff(&request.object, &changed))),
        Err(error) => Verdict::Deny(format!(
            "mutation failed: cannot decode incoming new object: {error}"
        )),
    }
}

/// Whether the schema itself would refuse the object, between the mutating and the validating call:
/// then its terse text would be all that a user sees, so the whole truth is told before.
fn breaks_schema_rule(request: &Request, object: &Value) -> bool {
    let has = |field: &str| object.pointer(field).is_some();
    kind(request) == Some(Kind::TaskRun) && has("/spec/taskRef") == has("/spec/taskSpec")
}

/// The object without what only says that nothing is said: `env:` with nothing behind it, as templates
/// leave it, and an empty `type`. A parameter's value keeps its nulls, which mean empty texts there.
fn without_nulls(object: &Value) -> Value {
    fn clean(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|key, value| {
                    let is_value = matches!(key.as_str(), "value" | "default");
                    is_value || !(value.is_null() || (key == "type" && value == ""))
                });
                for (key, value) in fields {
                    if !matches!(key.as_str(), "value" | "default") {
                        clean(value);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(clean),
            _ => {}
        }
    }
    let mut cleaned = object.clone();
    if let Some(spec) = cleaned.get_mut("spec") {
        clean(spec);
    }
    cleaned
}

/// The object with a change made to its typed form; fields that the type does not know stay.
fn change<T: Serialize + DeserializeOwned + Clone>(
    object: &Value,
    change: impl FnOnce(&mut T),
) -> Result<Value, serde_json::Error> {
    let mut typed: T = serde_json::from_value(object.clone())?;
    let before = serde_json::to_value(&typed)?;
    change(&mut typed);
    let after = serde_json::to_value(&typed)?;
    let mut changed = object.clone();
    graft(&mut changed, &before, &after);
    Ok(changed)
}

/// Refuses an object that cannot run.
pub fn validate(request: &Request, config: &Config) -> Verdict {
    if request.operation == Operation::Other {
        return Verdict::Allow(None);
    }
    let checked = match kind(request) {
        Some(Kind::TaskRun) => check_task_run(request, config),
        Some(Kind::Task) => decode(&request.object).map(|task: Task| {
            let mut errors = FieldErrors::default();
            validate::task_spec(&task.spec, "spec", &mut errors);
            errors.into_result()
        }),
        Some(Kind::StepAction) => decode(&request.object).map(|_: StepAction| Ok(())),
        None => return Verdict::Allow(None),
    };
    match checked {
        Ok(Ok(())) => Verdict::Allow(None),
        Ok(Err(errors)) => Verdict::Deny(format!("validation failed: {errors}")),
        Err(error) => Verdict::Deny(format!("decoding request failed: {error}")),
    }
}

fn check_task_run(request: &Request, config: &Config) -> Result<Result<(), FieldErrors>, String> {
    let run: TaskRun = decode(&request.object)?;
    let old = match request.operation {
        Operation::Update => Some(
            serde_json::from_value::<TaskRun>(request.old_object.clone())
                .map_err(|error| format!("cannot decode incoming old object: {error}"))?,
        ),
        Operation::Create | Operation::Other => None,
    };
    Ok(validate::task_run(&run, old.as_ref(), config))
}

fn decode<T: DeserializeOwned>(object: &Value) -> Result<T, String> {
    serde_json::from_value(object.clone())
        .map_err(|error| format!("cannot decode incoming new object: {error}"))
}

/// Refuses settings that could not be put in force.
pub fn config(request: &Request) -> Verdict {
    let data = request.object.get("data").cloned().unwrap_or(Value::Null);
    let Ok(data) = serde_json::from_value::<Option<std::collections::BTreeMap<String, String>>>(data) else {
        return Verdict::Allow(None);
    };
    let data = data.unwrap_or_default();
    let name = request
        .object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or(&request.name);
    match Source::from_name(name).map(|source| source.read(&Config::default(), &data)) {
        Some(Err(error)) => Verdict::Deny(format!("validation failed: {error}")),
        Some(Ok(_)) | None => Verdict::Allow(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::GroupVersionKind;
    use serde_json::json;

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
            &request(kind, Operation::Create, object, Value::Null),
            &Config::default(),
        ) {
            Verdict::Allow(Some(patch)) => json_patch::patch(&mut changed, &patch).unwrap(),
            Verdict::Allow(None) => {}
            Verdict::Deny(message) => panic!("{message}"),
        }
        changed
    }

    fn refused(kind: &str, operation: Operation, object: Value, old: Value) -> String {
        match validate(&request(kind, operation, object, old), &Config::default()) {
            Verdict::Deny(message) => message,
            Verdict::Allow(_) => String::new(),
        }
    }

    #[test]
    fn a_new_run_is_filled_in_and_keeps_what_nobody_knows() {
        let run = json!({"metadata": {"name": "r", "annotations": {"chains.tekton.dev/signed": "x"}}, "typo": 1,
            "spec": {"taskSpec": {"params": [{"name": "p", "tpye": "string"}], "steps": [{"image": "i"}]}}});
        let changed = defaulted("TaskRun", run);
        assert_eq!(changed["spec"]["timeout"], "1h0m0s");
        assert_eq!(changed["spec"]["serviceAccountName"], "default");
        assert_eq!(
            changed["spec"]["taskSpec"]["params"],
            json!([{"name": "p", "tpye": "string", "type": "string"}])
        );
        assert_eq!(changed["typo"], 1);
        assert_eq!(
            changed["metadata"]["labels"]["app.kubernetes.io/managed-by"],
            "tekton-pipelines"
        );
        assert_eq!(changed["metadata"]["annotations"], json!({}));
        assert_eq!(defaulted("TaskRun", changed.clone()), changed);
    }

    #[test]
    fn what_the_schema_would_refuse_is_refused_before_it() {
        let run = json!({"metadata": {"name": "r"}, "spec": {"timeout": "-1m"}});
        let Verdict::Deny(message) = default(
            &request("TaskRun", Operation::Create, run, Value::Null),
            &Config::default(),
        ) else {
            panic!("accepted")
        };
        assert!(
            message.starts_with("validation failed: expected exactly one, got neither"),
            "{message}"
        );
        assert!(
            message.contains("invalid value: -1m0s should be >= 0: spec.timeout"),
            "{message}"
        );
    }

    #[test]
    fn fields_with_nothing_behind_them_are_left_out() {
        let run = json!({"metadata": {"name": "r"}, "spec": {"taskRef": null, "retries": null, "taskSpec": {
            "params": [{"name": "p", "type": "", "default": null}],
            "steps": [{"image": "i", "env": null, "script": null}]}}});
        let changed = defaulted("TaskRun", run);
        assert_eq!(changed["spec"]["taskSpec"]["steps"], json!([{"image": "i"}]));
        assert_eq!(
            changed["spec"]["taskSpec"]["params"],
            json!([{"name": "p", "type": "string", "default": null}])
        );
        assert!(changed["spec"].get("taskRef").is_none());
        let action = json!({"spec": {"image": "i", "env": null}});
        assert_eq!(defaulted("StepAction", action), json!({"spec": {"image": "i"}}));
    }

    #[test]
    fn a_stored_run_is_never_changed() {
        let object = json!({"spec": {"taskRef": {"name": "t"}}});
        let update = request("TaskRun", Operation::Update, object.clone(), object);
        assert_eq!(default(&update, &Config::default()), Verdict::Allow(None));
    }

    #[test]
    fn refusals_begin_with_the_known_texts() {
        let run = |spec: Value| json!({"metadata": {"name": "r"}, "spec": spec});
        for (kind, operation, object, old, text) in [
            (
                "TaskRun",
                Operation::Create,
                run(json!({})),
                Value::Null,
                "validation failed: expected exactly one, got neither: spec.taskRef, spec.taskSpec",
            ),
            (
                "Task",
                Operation::Create,
                json!({"spec": {}}),
                Value::Null,
                "validation failed: missing field(s): spec.steps",
            ),
            (
                "TaskRun",
                Operation::Create,
                run(json!({"timeout": "soon", "taskRef": {"name": "t"}})),
                Value::Null,
                "decoding request failed: cannot decode incoming new object: \"soon\" is not a duration",
            ),
            (
                "TaskRun",
                Operation::Update,
                run(json!({"taskRef": {"name": "u"}})),
                run(json!({"taskRef": {"name": "t"}})),
                "validation failed: invalid value: Once the TaskRun has started, only status and statusMessage updates are allowed: spec",
            ),
            ("TaskRun", Operation::Other, run(json!({})), Value::Null, ""),
            ("Pipeline", Operation::Create, json!({}), Value::Null, ""),
            (
                "StepAction",
                Operation::Create,
                json!({"spec": {"image": "i"}}),
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
    fn settings_that_cannot_be_read_are_refused() {
        let of = |name: &str, data: Value| {
            let object = json!({"metadata": {"name": name}, "data": data});
            config(&Request {
                object,
                ..Request::default()
            })
        };
        let Verdict::Deny(message) = of("feature-flags", json!({"enable-api-fields": "gamma"})) else {
            panic!("accepted")
        };
        assert!(
            message.starts_with("validation failed: invalid value for feature flag"),
            "{message}"
        );
        assert_eq!(
            of("feature-flags", json!({"enable-api-fields": "alpha"})),
            Verdict::Allow(None)
        );
        assert_eq!(
            of("other", json!({"enable-api-fields": "gamma"})),
            Verdict::Allow(None)
        );
        assert_eq!(of("config-defaults", Value::Null), Verdict::Allow(None));
    }
}
