//! What steps hand to the StepActions that they name. No I/O.

use std::collections::{HashMap, HashSet};

use tektite_api::{ParamSpec, ParamType, ParamValue, Step, StepAction, TaskSpec};

use super::{Actions, MOST_NOTES, of_type};
use crate::{
    defaults,
    field_error::FieldError,
    validate::{Rules, text, variables},
};

/// What steps hand to StepActions that exist. `volumes` are all that there are, where they are known.
pub(super) fn step_actions(
    rules: &mut Rules<'_>,
    spec: &TaskSpec,
    path: &str,
    actions: Actions<'_>,
    volumes: &[&str],
) {
    let of_task: HashMap<&str, &ParamSpec> = spec
        .params
        .iter()
        .rev()
        .map(|param| (param.name.as_str(), param))
        .collect();
    for (index, step) in spec.steps.iter().enumerate() {
        let Some(step_ref) = step
            .step_ref
            .as_ref()
            .filter(|step_ref| step_ref.resolver.is_empty())
        else {
            continue;
        };
        if let Some(mut action) = actions(&step_ref.name) {
            defaults::step_action(&mut action);
            let at = format!("{path}.steps[{index}]");
            one_action(rules, step, index, &action, &at, &of_task);
            mounted_by(rules, step, &action, &at, volumes);
        }
    }
}

/// The volumes that a StepAction is told to mount.
fn mounted_by(rules: &mut Rules<'_>, step: &Step, action: &StepAction, at: &str, volumes: &[&str]) {
    let there: HashSet<&str> = volumes.iter().copied().collect();
    let given: HashMap<&str, &ParamValue> = step
        .params
        .iter()
        .rev()
        .map(|param| (param.name.as_str(), &param.value))
        .collect();
    let defaults: HashMap<&str, &ParamSpec> = action
        .spec
        .params
        .iter()
        .rev()
        .map(|param| (param.name.as_str(), param))
        .collect();
    for mount in &action.spec.volume_mounts {
        let Some(used) = variables::params(&mount.name).next() else {
            continue;
        };
        let default = defaults.get(used.name);
        let value = given
            .get(used.name)
            .copied()
            .or_else(|| default.and_then(|param| param.default.as_ref()));
        let Some(ParamValue::String(name)) = value else {
            continue;
        };
        if volumes.is_empty()
            || name.contains("$(")
            || there.contains(name.as_str())
            || name.starts_with("ws-")
        {
            continue;
        }
        rules.push_with(|| {
            let at = format!("{at}.params[{}]", used.name);
            let note = format!(
                "{at}: {}",
                text::suggestion(name, volumes.iter().copied(), "volumes")
            );
            FieldError::own(format!("undefined volume \"{name}\""), at).with_note(note)
        });
    }
}

fn one_action(
    rules: &mut Rules<'_>,
    step: &Step,
    index: usize,
    action: &StepAction,
    at: &str,
    of_task: &HashMap<&str, &ParamSpec>,
) {
    let name = action.metadata.name.as_deref().unwrap_or_default();
    let declared = &action.spec.params;
    let known = || declared.iter().map(|param| param.name.as_str());
    let by_name: HashMap<&str, &ParamSpec> = declared
        .iter()
        .rev()
        .map(|param| (param.name.as_str(), param))
        .collect();
    let given: HashSet<&str> = step.params.iter().map(|param| param.name.as_str()).collect();
    let preface = format!(
        "failed to resolve step ref for step \"{}\" (index {index})",
        step.name
    );
    let extra: Vec<&str> = step
        .params
        .iter()
        .map(|param| param.name.as_str())
        .filter(|given| !by_name.contains_key(given))
        .collect();
    let at_params = format!("{at}.params");
    if !extra.is_empty() {
        let notes: Vec<String> = extra
            .iter()
            .take(MOST_NOTES)
            .map(|given| {
                format!(
                    "{at_params}[{given}]: StepAction \"{name}\": {}",
                    text::suggestion(given, known(), "declared params")
                )
            })
            .collect();
        rules.push(
            FieldError::own(
                format!(
                    "{preface}: extra params passed by Step to StepAction: [{}]",
                    extra.join(" ")
                ),
                at_params.clone(),
            )
            .with_note(notes.join("\n- ")),
        );
    }
    let missing: Vec<&str> = declared
        .iter()
        .filter(|param| param.default.is_none() && !given.contains(param.name.as_str()))
        .map(|param| param.name.as_str())
        .collect();
    if !missing.is_empty() {
        rules.push(
            FieldError::own(
                format!("{preface}: non-existent params in Step: [{}]", missing.join(" ")),
                at_params.clone(),
            )
            .with_note(format!(
                "{at_params}: StepAction \"{name}\" needs a value for {}",
                missing.join(", ")
            )),
        );
    }
    for given in &step.params {
        let Some(param) = by_name.get(given.name.as_str()) else {
            continue;
        };
        let wanted = param.param_type.clone().unwrap_or_default();
        // A text that is one variable takes the variable's type.
        let is = match &given.value {
            ParamValue::String(text) if text.contains("$(") && wanted != ParamType::String => continue,
            ParamValue::String(text) if text.starts_with("$(params.") && text.ends_with(')') => {
                let whole = variables::params(text)
                    .next()
                    .filter(|used| used.inner.len() + 3 == text.len() && used.is_whole());
                whole
                    .and_then(|used| of_task.get(used.name))
                    .and_then(|param| param.param_type.clone())
                    .unwrap_or_default()
            }
            value => value.param_type(),
        };
        if is != wanted {
            let at = format!("{at_params}[{}]", given.name);
            rules.push(
                FieldError::own(
                    format!(
                        "{preface}: param types don't match the user-specified type: [{}]",
                        given.name
                    ),
                    at_params.clone(),
                )
                .with_note(format!(
                    "{at}: StepAction \"{name}\" wants {}, {} is given",
                    of_type(Some(&wanted)),
                    of_type(Some(&is))
                )),
            );
        }
        if let (ParamValue::Object(map), Some(keys)) = (&given.value, &param.properties) {
            let below = match &param.default {
                Some(ParamValue::Object(map)) => map.clone(),
                _ => std::collections::BTreeMap::new(),
            };
            let missing: Vec<&str> = keys
                .keys()
                .filter(|key| !map.contains_key(*key) && !below.contains_key(*key))
                .map(String::as_str)
                .collect();
            if !missing.is_empty() {
                rules.push(FieldError::own(
                    format!(
                        "{preface}: missing keys for these params which are required in ParamSpec's properties map[{}:[{}]]",
                        given.name,
                        missing.join(" ")
                    ),
                    at_params.clone(),
                ));
            }
        }
    }
}
