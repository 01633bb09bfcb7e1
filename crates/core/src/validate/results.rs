//! Results that Tasks and steps declare (api.md 3.5, T24 to T26 and T55 to T62).

use std::collections::{BTreeMap, HashMap, HashSet};

use tektite_api::{ParamType, ParamValue, PropertySpec, Step, TaskResult, TaskSpec};

use super::{Rules, text};
use crate::field_error::FieldError;

const NAMES: &str = "Name must consist of alphanumeric characters, '-', '_', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my-name',  or 'my_name', regex used for validation is '^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$')";
const STEP_NAMES: &str = "Task step name must be a valid DNS Label, For more info refer to https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#names";

/// T24 to T26. `path` is the list's; an element's index goes behind it.
pub(super) fn step(rules: &mut Rules<'_>, results: &[TaskResult], path: &str) {
    for (index, result) in results.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if !text::is_name_part(&result.name) {
            rules.push(
                FieldError::invalid_key(&result.name, format!("{at}.name"))
                    .with_details(NAMES)
                    .with_note(format!("{at}.name: \"{}\" is given", result.name)),
            );
        }
        match &result.result_type {
            Some(ParamType::Other(word)) => {
                rules.push(
                    FieldError::invalid(word, format!("{at}.type"))
                        .with_details(format!("invalid type {word}"))
                        .with_note(type_note(&format!("{at}.type"), word)),
                );
            }
            Some(ParamType::Object) => properties(
                rules,
                result,
                &at,
                "the value type specified for these keys [",
                "] is invalid, the type must be string",
            ),
            _ => {}
        }
    }
}

fn type_note(path: &str, word: &str) -> String {
    format!(
        "{path}: {}",
        text::suggestion(word, ["string", "array", "object"], "types")
    )
}

fn properties(rules: &mut Rules<'_>, result: &TaskResult, at: &str, before: &str, behind: &str) {
    let path = format!("{at}.{}.properties", result.name);
    let Some(properties) = &result.properties else {
        let note = format!("{at}: an object result says its keys in properties");
        rules.push(FieldError::missing(path).with_note(note));
        return;
    };
    let wrong = not_strings(properties);
    if !wrong.is_empty() {
        rules.push(FieldError::new(
            format!("{before}{}{behind}", wrong.join(" ")),
            path,
        ));
    }
}

/// The keys whose type is not `string`; a missing type is none either.
pub(super) fn not_strings(properties: &BTreeMap<String, PropertySpec>) -> Vec<&str> {
    properties
        .iter()
        .filter(|(_, property)| property.param_type != Some(ParamType::String))
        .map(|(key, _)| key.as_str())
        .collect()
}

/// T55 to T62.
pub(super) fn task(rules: &mut Rules<'_>, spec: &TaskSpec, path: &str) {
    let steps = StepsResults::of(spec);
    for (index, result) in spec.results.iter().enumerate() {
        let at = format!("{path}.results[{index}]");
        if !text::is_name_part(&result.name) {
            rules.push(
                FieldError::invalid_key(&result.name, format!("{at}.name"))
                    .with_details(NAMES)
                    .with_note(format!("{at}.name: \"{}\" is given", result.name)),
            );
            continue;
        }
        match &result.result_type {
            Some(ParamType::Other(word)) => {
                rules.push(
                    FieldError::invalid(word, format!("{at}.type"))
                        .with_details("type must be string")
                        .with_note(type_note(&format!("{at}.type"), word)),
                );
            }
            Some(ParamType::Object) => properties(
                rules,
                result,
                &at,
                "The value type specified for these keys [",
                "] is invalid, the type must be string",
            ),
            _ => {}
        }
        match &result.value {
            Some(ParamValue::String(value)) => from_step(rules, &steps, result, value, &at),
            Some(other) => rules.push(
                FieldError::new(
                    format!("Invalid Type. Wanted string but got: \"{}\"", other.param_type()),
                    format!("{at}.{}.type", result.name),
                )
                .with_note(format!(
                    "{at}.value: write $(steps.<step>.results.<result>) to hand on what a step yields"
                )),
            ),
            None => {}
        }
    }
}

/// Steps by name, and their results.
struct StepsResults<'a> {
    spec: &'a TaskSpec,
    steps: HashMap<&'a str, &'a Step>,
    results: HashSet<(&'a str, &'a str)>,
}

impl<'a> StepsResults<'a> {
    fn of(spec: &'a TaskSpec) -> Self {
        let mut steps = HashMap::new();
        let mut results = HashSet::new();
        for step in &spec.steps {
            // Of equal names the first counts; that there are two is told elsewhere.
            if let std::collections::hash_map::Entry::Vacant(place) = steps.entry(step.name.as_str()) {
                place.insert(step);
                results.extend(
                    step.results
                        .iter()
                        .map(|result| (step.name.as_str(), result.name.as_str())),
                );
            }
        }
        Self { spec, steps, results }
    }
}

/// A step's result that stands for the Task's.
fn from_step(rules: &mut Rules<'_>, known: &StepsResults<'_>, result: &TaskResult, value: &str, at: &str) {
    let path = format!("{at}.{}.value", result.name);
    let parts = super::variables::inner(value).find_map(|inner| {
        let rest = inner.strip_prefix("steps.")?;
        rest.split_once(".results.")
    });
    let Some((step, name)) = parts else {
        rules.push(FieldError::new(
            format!(
                "Could not extract step name and result name. Expected value to look like $(steps.<stepName>.results.<resultName>) but got \"{value}\""
            ),
            path,
        ).with_note(format!("{at}.value: leave it out where a step writes the result to $(results.{}.path)", result.name)));
        return;
    };
    if value.len() != step.len() + name.len() + "$(steps..results.)".len() {
        let at = format!("{at}.value");
        let note = format!("{at}: \"{value}\" is given; write one reference and nothing else");
        rules.push(FieldError::own("a result's value is one reference", at).with_note(note));
    }
    if !text::is_dns_label(step) {
        rules.push(
            FieldError::new(format!("invalid extracted step name \"{step}\""), path.clone())
                .with_details(STEP_NAMES)
                .with_note(format!("{at}.value: \"{step}\" is no step's name")),
        );
    }
    if !text::is_name_part(name) {
        rules.push(
            FieldError::new(format!("invalid extracted result name \"{name}\""), path)
                .with_details(NAMES)
                .with_note(format!("{at}.value: \"{name}\" is no result's name")),
        );
        return;
    }
    match known.steps.get(step) {
        None => rules.push_with(|| {
            let names = known.spec.steps.iter().map(|step| step.name.as_str());
            FieldError::own(
                format!("undefined step \"{step}\" in \"{value}\""),
                format!("{at}.value"),
            )
            .with_note(format!("{at}.value: {}", text::suggestion(step, names, "steps")))
        }),
        Some(found) if found.step_ref.is_none() => {
            if !known.results.contains(&(step, name)) {
                rules.push_with(|| {
                    let declared = found.results.iter().map(|result| result.name.as_str());
                    FieldError::own(
                        format!("undefined result \"{name}\" of step \"{step}\" in \"{value}\""),
                        format!("{at}.value"),
                    )
                    .with_note(format!(
                        "{at}.value: {}",
                        text::suggestion(name, declared, "declared results of that step")
                    ))
                });
            }
        }
        Some(_) => {}
    }
}
