//! Merge a StepAction into the step that refers to it (api.md 4.7). No I/O.

use std::collections::BTreeMap;

use tektite_api::{ParamValue, Step, StepAction};

use crate::{
    defaults,
    substitute::{self, Variables},
};

/// Why a step and its StepAction do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepActionError {
    /// Values for what the StepAction does not take.
    #[error("extra params passed by Step to StepAction: [{}]", .0.join(" "))]
    Extra(Vec<String>),
    /// What it takes and nobody gave.
    #[error("non-existent params in Step: [{}]", .0.join(" "))]
    Missing(Vec<String>),
    /// A default that refers to nothing.
    #[error("parameter \"{param}\" references non-existent parameter \"{reference}\"")]
    NoSuchParam {
        /// Whose default.
        param: String,
        /// What it refers to.
        reference: String,
    },
    /// Defaults that refer to each other.
    #[error("circular dependency detected in parameter references")]
    Circular,
    /// A value of another type than the default.
    #[error(
        "invalid parameter substitution: {0}. Please check the types of the default value and the passed value"
    )]
    WrongType(String),
    /// What the values make is more than a Pod can hold.
    #[error("the values of params are too large")]
    TooLarge,
}

/// The step as it runs: the StepAction's container with the step's values, and the step's own fields.
/// `table` holds the Task's params.
///
/// # Errors
/// See [`StepActionError`]; no further try helps.
pub fn merge(
    step: &Step,
    action: &StepAction,
    table: &BTreeMap<String, ParamValue>,
) -> Result<Step, StepActionError> {
    let mut action = action.clone();
    defaults::step_action(&mut action);
    let declared = &action.spec.params;
    let names = |wanted: &dyn Fn(&str) -> bool, all: Vec<&str>| -> Vec<String> {
        all.into_iter()
            .filter(|name| wanted(name))
            .map(str::to_owned)
            .collect()
    };
    let given: Vec<&str> = step.params.iter().map(|param| param.name.as_str()).collect();
    let extra = names(
        &|name| declared.iter().all(|param| param.name != name),
        given.clone(),
    );
    if !extra.is_empty() {
        return Err(StepActionError::Extra(extra));
    }
    let needed = declared.iter().filter(|param| param.default.is_none());
    let missing = names(
        &|name| !given.contains(&name),
        needed.map(|param| param.name.as_str()).collect(),
    );
    if !missing.is_empty() {
        return Err(StepActionError::Missing(missing));
    }
    let values = values(step, &action, table)?;
    let mut merged = Step {
        image: action.spec.image,
        command: action.spec.command,
        args: action.spec.args,
        env: action.spec.env,
        script: action.spec.script,
        working_dir: action.spec.working_dir,
        volume_mounts: action.spec.volume_mounts,
        ..Step::default()
    };
    let mut variables = Variables::default();
    for (name, value) in &values {
        match value {
            // What an earlier step yields is known when it has run: the reference takes the param's place.
            ParamValue::String(text) if is_step_result(text) => refer(&mut merged, name, text),
            value => variables.set_param(name, value),
        }
    }
    substitute::step(&mut merged, &variables);
    if variables.is_exhausted() {
        return Err(StepActionError::TooLarge);
    }
    Ok(Step {
        image: merged.image,
        working_dir: merged.working_dir,
        security_context: action.spec.security_context,
        command: or(merged.command, &step.command),
        args: or(merged.args, &step.args),
        script: if merged.script.is_empty() {
            step.script.clone()
        } else {
            merged.script
        },
        env: or(merged.env, &step.env),
        volume_mounts: or(merged.volume_mounts, &step.volume_mounts),
        results: or(action.spec.results, &step.results),
        step_ref: None,
        params: Vec::new(),
        ..step.clone()
    })
}

fn or<T: Clone>(own: Vec<T>, other: &[T]) -> Vec<T> {
    if own.is_empty() { other.to_vec() } else { own }
}

/// What each param of the StepAction is: what the step gives, else the default, which may refer to others.
fn values(
    step: &Step,
    action: &StepAction,
    table: &BTreeMap<String, ParamValue>,
) -> Result<BTreeMap<String, ParamValue>, StepActionError> {
    let mut with_values = Step {
        params: step.params.clone(),
        ..Step::default()
    };
    substitute::step(&mut with_values, &substitute::binding_variables(table));
    let mut values: BTreeMap<String, ParamValue> = BTreeMap::new();
    let mut open = Vec::new();
    for param in &action.spec.params {
        let given = with_values.params.iter().find(|given| given.name == param.name);
        match (given.map(|given| &given.value), &param.default) {
            (Some(value), default) => {
                let wanted = param.param_type.clone().unwrap_or_default();
                let reference = matches!(value, ParamValue::String(text) if is_step_result(text));
                if !reference && value.param_type() != wanted {
                    return Err(StepActionError::WrongType(param.name.clone()));
                }
                let value = match (value, default) {
                    (ParamValue::Object(own), Some(ParamValue::Object(below))) => {
                        let mut together = below.clone();
                        together.extend(own.clone());
                        ParamValue::Object(together)
                    }
                    (value, _) => value.clone(),
                };
                values.insert(param.name.clone(), value);
            }
            (None, Some(ParamValue::String(text))) if text.contains("$(params") => {
                open.push((param.name.as_str(), text.as_str()));
            }
            (None, Some(default)) => {
                values.insert(param.name.clone(), default.clone());
            }
            (None, None) => {}
        }
    }
    while !open.is_empty() {
        let before = open.len();
        let mut left = Vec::new();
        for (name, text) in open {
            let mut waits = false;
            for reference in crate::validate::param_names(text) {
                if action.spec.params.iter().all(|param| param.name != reference) {
                    return Err(StepActionError::NoSuchParam {
                        param: name.to_owned(),
                        reference: reference.to_owned(),
                    });
                }
                waits |= !values.contains_key(reference);
            }
            if waits {
                left.push((name, text));
                continue;
            }
            let mut resolved = text.to_owned();
            substitute::binding_variables(&values).apply(&mut resolved);
            values.insert(name.to_owned(), ParamValue::String(resolved));
        }
        if left.len() == before {
            return Err(StepActionError::Circular);
        }
        open = left;
    }
    Ok(values)
}

fn is_step_result(text: &str) -> bool {
    text.starts_with("$(steps.") && text.ends_with(')')
}

/// Puts a reference to a step's result where the param stands: whole, by index, or by key.
fn refer(step: &mut Step, name: &str, reference: &str) {
    let inner = reference.trim_start_matches("$(").trim_end_matches(')');
    let replace = |text: &mut String| {
        for form in [
            format!("params.{name}"),
            format!("params[\"{name}\"]"),
            format!("params['{name}']"),
        ] {
            for close in [")", "[", "."] {
                let (from, to) = (format!("$({form}{close}"), format!("$({inner}{close}"));
                if text.contains(&from) {
                    *text = text.replace(&from, &to);
                }
            }
        }
    };
    step.command.iter_mut().chain(&mut step.args).for_each(&replace);
    for text in step.env.iter_mut().filter_map(|env| env.value.as_mut()) {
        replace(text);
    }
    for text in [&mut step.image, &mut step.working_dir] {
        replace(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn merged(step: Value, action: Value, table: &[(&str, ParamValue)]) -> Result<Value, String> {
        let step: Step = serde_json::from_value(step).unwrap();
        let action: StepAction =
            serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": action})).unwrap();
        let table = table
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        merge(&step, &action, &table)
            .map(|step| serde_json::to_value(step).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_action_is_the_container_and_the_step_keeps_the_rest() {
        let step = json!({"name": "s", "ref": {"name": "a"}, "onError": "continue", "timeout": "1m0s",
            "params": [{"name": "text", "value": "$(params.t)"}, {"name": "list", "value": ["$(params.l[*])", "z"]},
                {"name": "object", "value": {"k": "own"}}, {"name": "result", "value": "$(steps.x.results.r)"}]});
        let action = json!({"image": "i", "workingDir": "/w", "securityContext": {"runAsUser": 5},
            "params": [{"name": "text"}, {"name": "list", "type": "array"}, {"name": "result", "type": "array"},
                {"name": "object", "default": {"k": "below", "other": "o"}},
                {"name": "made", "default": "$(params.text)-$(params.last)"}, {"name": "last", "default": "end"}],
            "command": ["c", "$(params.list[*])", "$(params.list[1])"],
            "args": ["$(params.result[*])", "$(params.result[0])", "$(params.made)"],
            "env": [{"name": "E", "value": "$(params.object.k) $(params.object.other)"}],
            "results": [{"name": "out"}]});
        let table = [
            ("t", ParamValue::from("text")),
            ("l", ParamValue::Array(vec!["x".into(), "y".into()])),
        ];
        assert_eq!(
            merged(step, action, &table).unwrap(),
            json!({"name": "s", "image": "i", "workingDir": "/w", "securityContext": {"runAsUser": 5},
                "onError": "continue", "timeout": "1m0s", "computeResources": {},
                "command": ["c", "x", "y", "z", "y"],
                "args": ["$(steps.x.results.r[*])", "$(steps.x.results.r[0])", "text-end"],
                "env": [{"name": "E", "value": "own o"}],
                "results": [{"name": "out", "type": "string"}]})
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        for (params, declared, text) in [
            (
                json!([{"name": "x", "value": "1"}]),
                json!([]),
                "extra params passed by Step to StepAction: [x]",
            ),
            (
                json!([]),
                json!([{"name": "b"}]),
                "non-existent params in Step: [b]",
            ),
            (
                json!([]),
                json!([{"name": "a", "default": "$(params.b)"}]),
                "parameter \"a\" references non-existent parameter \"b\"",
            ),
            (
                json!([]),
                json!([{"name": "a", "default": "$(params.b)"}, {"name": "b", "default": "$(params.a)"}]),
                "circular dependency detected in parameter references",
            ),
            (
                json!([{"name": "a", "value": ["x"]}]),
                json!([{"name": "a", "default": "text"}]),
                "invalid parameter substitution: a. Please check the types of the default value and the passed value",
            ),
        ] {
            let step = json!({"ref": {"name": "a"}, "params": params});
            let action = json!({"image": "i", "params": declared});
            assert_eq!(merged(step, action, &[]), Err(text.to_owned()));
        }
    }

    #[test]
    fn types_without_a_word_are_inferred() {
        let step = json!({"ref": {"name": "a"}, "params": [{"name": "l", "value": ["x"]}]});
        let action =
            json!({"image": "i", "params": [{"name": "l", "default": ["y"]}], "args": ["$(params.l)"]});
        assert_eq!(merged(step, action, &[]).unwrap()["args"], json!(["x"]));
    }
}
