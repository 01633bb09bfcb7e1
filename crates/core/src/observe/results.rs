//! Results: from the steps' messages to typed values (runtime.md 5.12, api.md 5.7).

use std::collections::BTreeMap;

use tektite_api::{ParamType, ParamValue, TaskResult, TaskSpec, status::ResultValue};
use tektite_protocol::termination::{Entry, Kind};

use super::steps::StepView;

/// Results that are not of their declared type, or lack keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResultError {
    /// Of another type.
    #[error(
        "Provided results don't match declared results; may be invalid JSON or missing result declaration: {}",
        .0.join(",")
    )]
    WrongType(Vec<String>),
    /// Without keys that the declaration names.
    #[error(
        "missing keys for these results which are required in TaskResult's properties map[{}]",
        .0.iter().map(|(name, keys)| format!("{name}:[{}]", keys.join(" "))).collect::<Vec<_>>().join(" ")
    )]
    MissingKeys(BTreeMap<String, Vec<String>>),
}

/// A value as its declaration wants it: a declared string stays text, all else is read as JSON.
fn typed(declared: Option<&TaskResult>, name: &str, text: &str) -> ResultValue {
    let is_text = declared.is_some_and(|result| result.result_type == Some(ParamType::String));
    let value = if is_text {
        text.into()
    } else {
        ParamValue::from_json_text(text)
    };
    ResultValue {
        name: name.to_owned(),
        result_type: value.param_type(),
        value,
    }
}

/// The Task's results, those from the log before those of all steps: the place of the first, the value of the last.
pub(super) fn task_results(spec: &TaskSpec, logged: &[Entry], steps: &[StepView<'_>]) -> Vec<ResultValue> {
    let mut results: Vec<ResultValue> = Vec::new();
    let mut put = |result: ResultValue| match results.iter_mut().find(|known| known.name == result.name) {
        Some(known) => *known = result,
        None => results.push(result),
    };
    let as_declared = |entry: &Entry| {
        let declared = spec.results.iter().find(|result| result.name == entry.key);
        typed(declared, &entry.key, &entry.value)
    };
    logged.iter().map(as_declared).for_each(&mut put);
    for view in steps {
        let told = view.entries.iter().filter(|entry| entry.kind == Kind::TaskResult);
        told.map(as_declared).for_each(&mut put);
        let own = step_results(view);
        for result in &spec.results {
            let Some(ParamValue::String(reference)) = &result.value else {
                continue;
            };
            if let Some(value) = lifted(reference, view, &own) {
                put(ResultValue {
                    name: result.name.clone(),
                    result_type: value.param_type(),
                    value,
                });
            }
        }
    }
    results
}

/// What `reference` means among the results of a step: one of them, or a part of one.
fn lifted(reference: &str, view: &StepView<'_>, own: &[ResultValue]) -> Option<ParamValue> {
    let inner = reference.strip_prefix("$(steps.")?.strip_suffix(')')?;
    let rest = inner.strip_prefix(view.name())?.strip_prefix(".results.")?;
    // A name may have dots, so a longer one comes first.
    if let Some(whole) = own.iter().find(|result| result.name == rest) {
        return Some(whole.value.clone());
    }
    own.iter().find_map(|result| {
        let part = rest.strip_prefix(result.name.as_str())?;
        match &result.value {
            ParamValue::Array(_) | ParamValue::Object(_) if part == "[*]" => Some(result.value.clone()),
            ParamValue::Array(items) => {
                let index: usize = part.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
                items.get(index).map(|item| item.as_str().into())
            }
            ParamValue::Object(map) => map
                .get(part.strip_prefix('.')?)
                .map(|value| value.as_str().into()),
            ParamValue::String(_) => None,
        }
    })
}

/// A step's own results.
pub(super) fn step_results(view: &StepView<'_>) -> Vec<ResultValue> {
    let of_step = view.entries.iter().filter(|entry| entry.kind == Kind::StepResult);
    of_step
        .map(|entry| {
            let declared = view.step.results.iter().find(|result| result.name == entry.key);
            typed(declared, &entry.key, &entry.value)
        })
        .collect()
}

/// Takes out results of another type than declared, and says so.
pub(super) fn check_types(spec: &TaskSpec, results: &mut Vec<ResultValue>) -> Result<(), ResultError> {
    let mut wrong = Vec::new();
    let mut missing = BTreeMap::new();
    for declared in &spec.results {
        let Some(index) = results.iter().position(|result| result.name == declared.name) else {
            continue;
        };
        let wanted = declared.result_type.clone().unwrap_or_default();
        let is = &results[index].result_type;
        if *is != wanted {
            wrong.push(format!(
                " \"{}\": task result is expected to be \"{}\" type but was initialized to a different type \"{}\"",
                declared.name,
                wanted.as_str(),
                is.as_str()
            ));
            results.remove(index);
            continue;
        }
        if let (ParamValue::Object(map), Some(properties)) = (&results[index].value, &declared.properties) {
            let keys: Vec<String> = properties
                .keys()
                .filter(|key| !map.contains_key(*key))
                .cloned()
                .collect();
            if !map.is_empty() && !keys.is_empty() {
                missing.insert(declared.name.clone(), keys);
            }
        }
    }
    wrong.sort();
    match (wrong.is_empty(), missing.is_empty()) {
        (false, _) => Err(ResultError::WrongType(wrong)),
        (true, false) => Err(ResultError::MissingKeys(missing)),
        (true, true) => Ok(()),
    }
}
