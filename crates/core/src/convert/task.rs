//! Task, and the Task specs inside of a `TaskRun` (api.md appendix D rows 1 to 3). No I/O.

use super::{
    Direction, Object,
    carried::{self, Carried},
    child, deprecated, items, swap,
};

/// Converts a Task.
pub(super) fn convert(direction: Direction, task: &mut Object, carried: &mut Carried) {
    if let Some(spec) = child(task, "spec") {
        convert_spec(direction, spec, carried, "");
        carried.field(direction, spec, "resources", carried::RESOURCES);
    }
}

/// Converts a Task's spec, except `resources`. `place` tells the specs of one object apart.
pub(super) fn convert_spec(direction: Direction, spec: &mut Object, carried: &mut Carried, place: &str) {
    for list in ["steps", "sidecars"] {
        items(spec, list).for_each(|(_, container)| swap::compute_resources(container));
    }
    if let Some(template) = child(spec, "stepTemplate") {
        swap::compute_resources(template);
    }
    match direction {
        Direction::ToV1 => {
            if let Some(found) = deprecated::copy(spec)
                && carried.add_part(carried::DEPRECATIONS, carried.key(place), found)
            {
                deprecated::strip(spec);
            }
        }
        Direction::ToV1beta1 => {
            if let Some((key, found)) = carried.own_part(carried::DEPRECATIONS, place)
                && deprecated::restore(spec, &found)
            {
                carried.remove_part(carried::DEPRECATIONS, &key);
            }
        }
    }
}
