//! `TaskRun` (api.md appendix D rows 1 to 7). No I/O.

use super::{
    Direction, Object,
    carried::{self, Carried},
    child, items, retries,
    swap::{compute_resources, swap},
    task,
};

/// Each list of overrides: its name in v1beta1, and in v1.
const OVERRIDES: [(&str, &str); 2] = [
    ("stepOverrides", "stepSpecs"),
    ("sidecarOverrides", "sidecarSpecs"),
];

/// Converts a `TaskRun`.
pub(super) fn convert(direction: Direction, run: &mut Object, carried: &mut Carried) {
    if let Some(spec) = child(run, "spec") {
        convert_spec(direction, spec, carried);
    }
    if let Some(status) = child(run, "status") {
        convert_status(direction, status, carried);
    }
}

fn convert_spec(direction: Direction, spec: &mut Object, carried: &mut Carried) {
    for (beta, v1) in OVERRIDES {
        swap(spec, beta, v1);
        // Only the list that now has the name it is known by here: the other one is a mistake, kept.
        let list = match direction {
            Direction::ToV1 => v1,
            Direction::ToV1beta1 => beta,
        };
        items(spec, list).for_each(|(_, entry)| compute_resources(entry));
    }
    carried.field(direction, spec, "resources", carried::RESOURCES);
    if let Some(task) = child(spec, "taskSpec") {
        task::convert_spec(direction, task, carried, "");
        carried.field(direction, task, "resources", carried::TASK_SPEC_RESOURCES);
    }
}

fn convert_status(direction: Direction, status: &mut Object, carried: &mut Carried) {
    swap(status, "taskResults", "results");
    carried.field(direction, status, "cloudEvents", carried::CLOUD_EVENTS);
    carried.field(direction, status, "resourcesResult", carried::RESOURCES_RESULT);
    // No name has a slash, so this is the key of no other object.
    if let Some(task) = child(status, "taskSpec") {
        task::convert_spec(direction, task, carried, "/status");
        carried.field(direction, task, "resources", carried::RESOURCES_STATUS);
    }
    retries::convert(direction, status, carried, "");
}
