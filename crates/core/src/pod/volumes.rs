//! The Pod's volumes, and where a step's container mounts them (runtime.md 1.4).

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource, ImageVolumeSource,
    ObjectFieldSelector, Volume, VolumeMount,
};
use tektite_api::{Step, TaskSpec, labels};
use tektite_protocol::paths;

use super::{BuildError, credentials::Credentials, debug::Breakpoints, delivery::Scripts, steps};
use crate::{delivery::Delivery, lifecycle::DeliverySettings};

pub(super) const BIN: &str = "tekton-internal-bin";
pub(super) const STEPS: &str = "tekton-internal-steps";
pub(super) const SCRIPTS: &str = "tekton-internal-scripts";
const WORKSPACE: &str = "tekton-internal-workspace";
const HOME: &str = "tekton-internal-home";
pub(super) const RESULTS: &str = "tekton-internal-results";
pub(super) const ARTIFACTS: &str = "tekton-internal-artifacts";
const DOWNWARD: &str = "tekton-internal-downward";

pub(super) fn run_volume(index: usize) -> String {
    format!("tekton-internal-run-{index}")
}

pub(super) fn empty_dir(name: impl Into<String>) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

/// Files that follow the Pod's annotations: how a running step hears that it shall stop.
fn downward() -> Volume {
    let file = |path: &str, annotation: &str| DownwardAPIVolumeFile {
        path: path.to_owned(),
        field_ref: Some(ObjectFieldSelector {
            field_path: format!("metadata.annotations['{annotation}']"),
            ..ObjectFieldSelector::default()
        }),
        ..DownwardAPIVolumeFile::default()
    };
    Volume {
        name: DOWNWARD.to_owned(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![file("ready", labels::READY), file("cancel", labels::CANCEL)]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// All volumes in their order: ours, then the Task's, the workspaces' and the podTemplate's.
pub(super) fn all(
    spec: &TaskSpec,
    scripts: &Scripts,
    credentials: &Credentials,
    breakpoints: Breakpoints<'_>,
    settings: DeliverySettings<'_>,
    others: Vec<Volume>,
) -> Result<Vec<Volume>, BuildError> {
    let mut volumes: Vec<Volume> = [WORKSPACE, HOME, RESULTS, STEPS, ARTIFACTS].map(empty_dir).into();
    volumes.extend(credentials.secret_volumes());
    if scripts.any() {
        volumes.push(empty_dir(SCRIPTS));
    }
    volumes.extend(breakpoints.volumes());
    volumes.push(match settings.form {
        Delivery::InitContainer => empty_dir(BIN),
        Delivery::ImageVolume => Volume {
            name: BIN.to_owned(),
            image: Some(ImageVolumeSource {
                reference: Some(settings.image.to_owned()),
                pull_policy: Some(settings.pull_policy.to_owned()),
            }),
            ..Volume::default()
        },
    });
    volumes.push(downward());
    for index in 0..spec.steps.len() {
        volumes.extend(credentials.home_volume(index));
        volumes.push(empty_dir(run_volume(index)));
    }
    volumes.extend(others);
    for (index, volume) in volumes.iter().enumerate() {
        if volumes[..index].iter().any(|known| known.name == volume.name) {
            return Err(BuildError::VolumeTwice {
                name: volume.name.clone(),
                index,
            });
        }
    }
    Ok(volumes)
}

/// A path without doubled, trailing or `.` parts, `..` followed; always absolute.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The mounts of step `index`: its own, and the engine's where the step has nothing at that path.
pub(super) fn mounts(input: &steps::Input<'_>, step: &Step, index: usize) -> Vec<VolumeMount> {
    let mut mounts = step.volume_mounts.clone();
    let read_only = |yes: bool| yes.then_some(true);
    let engine = |name: &str, path: &str, writable: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only(!writable),
        ..VolumeMount::default()
    };
    // Without an init container a step puts its own script in place.
    let by_itself = input.form == Delivery::ImageVolume;
    if input.scripts.of(index).is_some() {
        mounts.push(engine(SCRIPTS, paths::SCRIPTS_DIR, by_itself));
    }
    mounts.push(engine(DOWNWARD, paths::DOWNWARD_DIR, false));
    mounts.extend(input.credentials.home_mount(index));
    for other in 0..input.spec.steps.len() {
        mounts.push(engine(&run_volume(other), &paths::run_dir(other), other == index));
    }
    let mut implicit = vec![
        engine(BIN, paths::BIN_DIR, false),
        engine(WORKSPACE, paths::WORKSPACE_DIR, true),
        engine(HOME, paths::HOME_DIR, true),
        engine(RESULTS, paths::RESULTS_DIR, true),
        engine(STEPS, paths::STEPS_DIR, false),
        engine(ARTIFACTS, paths::ARTIFACTS_DIR, true),
    ];
    if by_itself {
        implicit.push(engine(STEPS, paths::STEP_LINKS_DIR, true));
    }
    implicit.extend(input.credentials.secret_mounts());
    let taken: HashSet<String> = mounts.iter().map(|known| clean(&known.mount_path)).collect();
    mounts.extend(
        implicit
            .into_iter()
            .filter(|mount| !taken.contains(&mount.mount_path)),
    );
    mounts
}

/// Where a step works.
pub(super) fn working_dir(step: &Step) -> Option<String> {
    absolute(&step.working_dir)
}

/// A working directory as the container runtime takes it: relative ones lie below `/workspace`.
pub(super) fn absolute(directory: &str) -> Option<String> {
    match directory {
        "" => None,
        absolute if absolute.starts_with('/') => Some(absolute.to_owned()),
        relative => Some(clean(&format!("{}/{relative}", paths::WORKSPACE_DIR))),
    }
}

/// Whether the kubelet can make a directory in the mount's volume.
pub(super) fn can_hold_directories(mount: &VolumeMount, others: &[Volume]) -> bool {
    match others.iter().find(|volume| volume.name == mount.name) {
        // One of ours; only the scratch directories are mounted writable.
        None => mount.name == WORKSPACE || mount.name == HOME,
        Some(volume) => {
            volume.empty_dir.is_some()
                || volume.ephemeral.is_some()
                || volume.host_path.is_some()
                || volume.csi.as_ref().is_some_and(|csi| csi.read_only != Some(true))
                || volume.nfs.as_ref().is_some_and(|nfs| nfs.read_only != Some(true))
                || volume
                    .persistent_volume_claim
                    .as_ref()
                    .is_some_and(|claim| claim.read_only != Some(true))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, cleaned) in [
            ("/a//b/", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/", "/"),
            ("/../x", "/x"),
        ] {
            assert_eq!(clean(path), cleaned);
        }
    }
}
