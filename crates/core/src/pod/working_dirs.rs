//! Working directories that do not exist yet (W-6 of runtime.md).
//!
//! The kubelet makes a missing `subPath` of a mount, with the permissions of the volume's root, so that any
//! user can work there; a directory that the container runtime makes belongs to root. So each such
//! directory is mounted once more, out of the way: at its own place the mount could not be removed or
//! renamed by a step that cleans up. The first step mounts those of all steps, so that they are there before
//! anything runs, and no container that starts later fails because a step has removed one; but for volumes
//! that the first step does not see, where each step mounts its own.

use k8s_openapi::api::core::v1::{Container, Volume, VolumeMount};

use super::volumes;

/// Where the mounts are that nobody looks at.
const OUT_OF_THE_WAY: &str = "/tekton/dirs";

/// Adds the mounts that make the working directories of `steps`. `others` are the volumes that are not the
/// engine's own.
pub(super) fn make(steps: &mut [Container], others: &[Volume]) {
    let made: Vec<Option<VolumeMount>> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| missing(step, index, others))
        .collect();
    let Some(first) = steps.first_mut() else { return };
    let sees = |made: &VolumeMount| {
        first
            .volume_mounts
            .iter()
            .flatten()
            .any(|mount| shows(mount, made))
    };
    let mut early: Vec<VolumeMount> = Vec::new();
    let mut late: Vec<(usize, VolumeMount)> = Vec::new();
    for (index, mount) in made.into_iter().enumerate() {
        let Some(mount) = mount else { continue };
        let same = |known: &VolumeMount| known.name == mount.name && known.sub_path == mount.sub_path;
        if !sees(&mount) {
            late.push((index, mount));
        } else if !early.iter().any(same) {
            early.push(mount);
        }
    }
    first.volume_mounts.get_or_insert_default().extend(early);
    for (index, mount) in late {
        steps[index].volume_mounts.get_or_insert_default().push(mount);
    }
}

/// Whether who has `mount` can write where `made` is.
fn shows(mount: &VolumeMount, made: &VolumeMount) -> bool {
    let part = mount
        .sub_path
        .as_deref()
        .unwrap_or_default()
        .trim_end_matches('/');
    let below = made.sub_path.as_deref().and_then(|path| path.strip_prefix(part));
    let below = below.is_some_and(|below| part.is_empty() || below.starts_with('/'));
    mount.name == made.name && mount.read_only != Some(true) && mount.sub_path_expr.is_none() && below
}

/// The mount that makes the working directory of a step, from the volume that covers it.
fn missing(step: &Container, index: usize, others: &[Volume]) -> Option<VolumeMount> {
    let directory = volumes::clean(step.working_dir.as_deref()?);
    let mounts = step.volume_mounts.as_deref().unwrap_or_default();
    let covering = mounts.iter().filter_map(|mount| {
        let at = volumes::clean(&mount.mount_path);
        let below = directory.strip_prefix(at.as_str())?.strip_prefix('/')?.to_owned();
        Some((at.len(), mount, below))
    });
    let (_, mount, below) = covering.max_by_key(|(depth, ..)| *depth)?;
    let is_mounted = mounts
        .iter()
        .any(|known| volumes::clean(&known.mount_path) == directory);
    let writable = mount.read_only != Some(true) && mount.sub_path_expr.is_none();
    if is_mounted || !writable || !volumes::can_hold_directories(mount, others) {
        return None;
    }
    let sub_path = match mount.sub_path.as_deref() {
        Some(own) if !own.is_empty() => format!("{}/{below}", own.trim_end_matches('/')),
        _ => below,
    };
    Some(VolumeMount {
        name: mount.name.clone(),
        mount_path: format!("{OUT_OF_THE_WAY}/{index}"),
        sub_path: Some(sub_path),
        ..VolumeMount::default()
    })
}
