//! The container fields of steps and step templates that v1 dropped (api.md appendix D row 2). No I/O.
//!
//! What travels is `{deprecatedSteps: [..], deprecatedStepTemplate: {..}}`. The list goes along with
//! the steps, each entry has the name of its step, so that it finds the step again when a client of v1
//! put others before it. A step or template that such a client removed takes its fields with it.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{Object, child, items, text};

/// Fields of Step and `StepTemplate` that only v1beta1 has.
const FIELDS: [&str; 10] = [
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
];

const STEPS: &str = "deprecatedSteps";
const TEMPLATE: &str = "deprecatedStepTemplate";

/// A template's name is one of them too.
fn template_fields() -> impl Iterator<Item = &'static str> {
    FIELDS.into_iter().chain(["name"])
}

/// A copy of all such fields of a Task's spec.
pub(super) fn copy(spec: &Object) -> Option<Value> {
    let mut found = Object::new();
    if let Some(Value::Array(steps)) = spec.get("steps") {
        let entries: Vec<Object> = steps.iter().map(step_entry).collect();
        if let Some(last) = entries.iter().rposition(has_fields) {
            let entries = entries.into_iter().take(last + 1).map(Value::Object);
            found.insert(STEPS.to_owned(), entries.collect());
        }
    }
    if let Some(Value::Object(template)) = spec.get("stepTemplate") {
        let entry = select(template, template_fields());
        if !entry.is_empty() {
            found.insert(TEMPLATE.to_owned(), Value::Object(entry));
        }
    }
    (!found.is_empty()).then_some(Value::Object(found))
}

fn step_entry(step: &Value) -> Object {
    let Value::Object(step) = step else {
        return Object::new();
    };
    let mut entry = select(step, FIELDS.into_iter());
    let name = text(step, "name");
    if !name.is_empty() {
        entry.insert("name".to_owned(), Value::from(name));
    }
    entry
}

fn has_fields(entry: &Object) -> bool {
    FIELDS.iter().any(|field| entry.contains_key(*field))
}

fn select<'a>(object: &Object, fields: impl Iterator<Item = &'a str>) -> Object {
    fields
        .filter_map(|field| Some((field.to_owned(), object.get(field)?.clone())))
        .collect()
}

/// Takes all such fields out of a Task's spec.
pub(super) fn strip(spec: &mut Object) {
    for (_, step) in items(spec, "steps") {
        for field in FIELDS {
            step.remove(field);
        }
    }
    if let Some(template) = child(spec, "stepTemplate") {
        for field in template_fields() {
            template.remove(field);
        }
    }
}

/// Puts the fields back into a Task's spec, all or none; says whether they had a place.
pub(super) fn restore(spec: &mut Object, found: &Value) -> bool {
    let Some((mut steps, template)) = plan(spec, found) else {
        return false;
    };
    for (at, step) in items(spec, "steps") {
        step.extend(steps.remove(&at).unwrap_or_default());
    }
    if let Some(object) = child(spec, "stepTemplate") {
        object.extend(template);
    }
    true
}

/// What goes to which step, and what to the template. Nothing where something does not fit.
fn plan(spec: &Object, found: &Value) -> Option<(BTreeMap<usize, Object>, Object)> {
    let found = found.as_object()?;
    let template = match (found.get(TEMPLATE), spec.get("stepTemplate")) {
        (None, _) | (_, None) => Object::new(),
        (Some(entry), Some(template)) => {
            let entry = select(entry.as_object()?, template_fields());
            free(template.as_object()?, &entry).then_some(entry)?
        }
    };
    let mut steps = BTreeMap::new();
    if let (Some(entries), Some(present)) = (found.get(STEPS), spec.get("steps")) {
        let present = present.as_array()?;
        let named = first_of_each_name(present);
        for (at, entry) in entries.as_array()?.iter().enumerate() {
            let Some(entry) = entry.as_object().filter(|entry| has_fields(entry)) else {
                continue;
            };
            let Some((at, step)) = target(present, &named, at, text(entry, "name")) else {
                continue;
            };
            let entry = select(entry, FIELDS.into_iter());
            if !free(step, &entry) || steps.insert(at, entry).is_some() {
                return None;
            }
        }
    }
    Some((steps, template))
}

/// The step that an entry belongs to: the one at its place if it has the name, else the first that has.
fn target<'a>(
    steps: &'a [Value],
    named: &HashMap<&str, (usize, &'a Object)>,
    at: usize,
    name: &str,
) -> Option<(usize, &'a Object)> {
    let here = steps.get(at).and_then(Value::as_object);
    if let Some(step) = here.filter(|step| name.is_empty() || text(step, "name") == name) {
        return Some((at, step));
    }
    named.get(name).filter(|_| !name.is_empty()).copied()
}

fn first_of_each_name(steps: &[Value]) -> HashMap<&str, (usize, &Object)> {
    let objects = steps
        .iter()
        .enumerate()
        .rev()
        .filter_map(|(at, step)| Some((at, step.as_object()?)));
    objects
        .map(|(at, step)| (text(step, "name"), (at, step)))
        .collect()
}

/// Whether none of the fields is there.
fn free(object: &Object, fields: &Object) -> bool {
    fields.keys().all(|field| !object.contains_key(field))
}
