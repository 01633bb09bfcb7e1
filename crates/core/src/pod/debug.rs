//! Breakpoints: which step pauses where, and what a paused step needs in its container
//! (runtime.md 1.7.5, 6).

use k8s_openapi::api::core::v1::{Volume, VolumeMount};
use tektite_api::{TaskRun, task_run::TaskBreakpoints};
use tektite_protocol::breakpoint::{Breakpoint, INFO_DIR, SCRIPTS_DIR};

use super::volumes::empty_dir;
use crate::config::{ApiFields, Config};

const SCRIPTS: &str = "tekton-internal-debug-scripts";
const INFO: &str = "tekton-internal-debug-info";

/// The run's breakpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Breakpoints<'a>(Option<&'a TaskBreakpoints>);

impl<'a> Breakpoints<'a> {
    /// Those that are in force: none where the operator does not let users go that far, since a run may
    /// be stored that was let in before.
    pub(super) fn of(run: &'a TaskRun, config: &Config) -> Self {
        let points = run
            .spec
            .debug
            .as_ref()
            .and_then(|debug| debug.breakpoints.as_ref());
        let set =
            |points: &&TaskBreakpoints| points.on_failure == "enabled" || !points.before_steps.is_empty();
        Self(
            points
                .filter(set)
                .filter(|_| config.flags.api_fields == ApiFields::Alpha),
        )
    }

    /// Whether there is any.
    pub(super) fn any(self) -> bool {
        self.0.is_some()
    }

    /// Those of the step called `name`.
    pub(super) fn of_step(self, name: &str) -> Vec<Breakpoint> {
        let Some(points) = self.0 else { return Vec::new() };
        let on_failure = (points.on_failure == "enabled").then_some(Breakpoint::OnFailure);
        let before = points.before_steps.iter().any(|step| step == name);
        let before = before.then_some(Breakpoint::BeforeStep);
        on_failure.into_iter().chain(before).collect()
    }

    /// What they need of the Pod.
    pub(super) fn volumes(self) -> impl Iterator<Item = Volume> {
        let names = self.0.map(|_| [SCRIPTS, INFO]);
        names.into_iter().flatten().map(empty_dir)
    }

    /// What they need of step `index`. Each step puts the programs in place itself.
    pub(super) fn mounts(self, index: usize) -> impl Iterator<Item = VolumeMount> {
        let places = [
            (SCRIPTS, SCRIPTS_DIR.to_owned()),
            (INFO, format!("{INFO_DIR}/{index}")),
        ];
        let mount = |(name, path): (&str, String)| VolumeMount {
            name: name.to_owned(),
            mount_path: path,
            ..VolumeMount::default()
        };
        self.0.map(|_| places).into_iter().flatten().map(mount)
    }
}
