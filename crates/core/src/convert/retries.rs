//! The statuses of earlier attempts inside of a `TaskRun`'s status (api.md appendix D). No I/O.
//!
//! They convert as the status itself does. What has no place in v1 is one part for each attempt, under
//! its number (`2`, and `2/0` for an attempt inside of that one).

use serde_json::Value;

use super::{
    Direction, Object,
    carried::{self, Carried},
    child, items,
    swap::swap,
    task,
};

const CLOUD_EVENTS: &str = "cloudEvents";
const RESOURCES_RESULT: &str = "resourcesResult";
/// In the part; in the status it is `taskSpec.resources`.
const TASK_RESOURCES: &str = "taskSpecResources";

/// Converts `retriesStatus` of a status. `within` is the number of the attempt that it belongs to.
pub(super) fn convert(direction: Direction, status: &mut Object, carried: &mut Carried, within: &str) {
    for (at, attempt) in items(status, "retriesStatus") {
        let place = match within {
            "" => at.to_string(),
            within => format!("{within}/{at}"),
        };
        convert_one(direction, attempt, carried, &place);
        convert(direction, attempt, carried, &place);
    }
}

fn convert_one(direction: Direction, attempt: &mut Object, carried: &mut Carried, place: &str) {
    swap(attempt, "taskResults", "results");
    if let Some(task) = child(attempt, "taskSpec") {
        task::convert_spec(direction, task, carried, &format!("/status/retries/{place}"));
    }
    match direction {
        Direction::ToV1 => {
            let part = copy(attempt);
            if !part.is_empty()
                && carried.add_part(carried::RETRIES_STATUS, place.to_owned(), Value::Object(part))
            {
                strip(attempt);
            }
        }
        Direction::ToV1beta1 => {
            if let Some(Value::Object(part)) = carried.part(carried::RETRIES_STATUS, place)
                && restore(attempt, part)
            {
                carried.remove_part(carried::RETRIES_STATUS, place);
            }
        }
    }
}

fn copy(attempt: &Object) -> Object {
    let resources = attempt.get("taskSpec").and_then(|task| task.get("resources"));
    [
        (CLOUD_EVENTS, attempt.get(CLOUD_EVENTS)),
        (RESOURCES_RESULT, attempt.get(RESOURCES_RESULT)),
        (TASK_RESOURCES, resources),
    ]
    .into_iter()
    .filter_map(|(field, value)| Some((field.to_owned(), value?.clone())))
    .collect()
}

fn strip(attempt: &mut Object) {
    attempt.remove(CLOUD_EVENTS);
    attempt.remove(RESOURCES_RESULT);
    if let Some(task) = child(attempt, "taskSpec") {
        task.remove("resources");
    }
}

/// Puts a part back, all or nothing; says whether it had a place.
fn restore(attempt: &mut Object, mut part: Object) -> bool {
    let known = |field: &String| [CLOUD_EVENTS, RESOURCES_RESULT, TASK_RESOURCES].contains(&field.as_str());
    let resources = part.remove(TASK_RESOURCES);
    if !part.keys().all(known) || part.keys().any(|field| attempt.contains_key(field)) {
        return false;
    }
    if let Some(resources) = resources {
        match child(attempt, "taskSpec") {
            Some(task) if !task.contains_key("resources") => {
                task.insert("resources".to_owned(), resources);
            }
            _ => return false,
        }
    }
    attempt.extend(part);
    true
}
