//! Task.

use super::schema::{open_object, resource};
use super::{Crd, Version};

pub(super) fn crd() -> Crd {
    Crd {
        kind: "Task",
        singular: "task",
        plural: "tasks",
        short_names: &[],
        versions: vec![Version {
            name: "v1",
            stored: true,
            schema: resource(
                "A list of steps that run one after another in one Pod, with the parameters, \
                 workspaces and results they work with. A TaskRun runs it.",
                &open_object("What the Task takes, does and yields."),
                &open_object("Not written by Tektite."),
            ),
            columns: Vec::new(),
        }],
    }
}
