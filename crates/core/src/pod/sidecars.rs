//! Sidecar containers (runtime.md 1.8, departures.md).
//!
//! Where a sidecar says what it runs, our entrypoint runs it: it puts the script in place where no init
//! container has, keeps a native sidecar that has ended well from being started again, and stops an
//! ordinary one when the steps are over. One that leaves its command to the image is run as it is: then
//! a native one follows the kubelet's rules alone, and an ordinary one is stopped with its Pod.

use k8s_openapi::api::core::v1::{Container, Probe, ResourceRequirements, Volume, VolumeMount};
use tektite_api::{Sidecar, TaskRun, TaskSpec};
use tektite_protocol::{
    log::LogFlags,
    paths,
    sidecar::{SidecarFlags, Start},
};

use super::{delivery::Scripts, log, volumes};
use crate::{
    delivery::Delivery,
    names, resources,
    sidecars::{Form, Readiness, ends_with_steps},
};

/// What sidecar containers are made from.
pub(super) struct Input<'a> {
    /// The spec, workspaces mounted.
    pub(super) spec: &'a TaskSpec,
    /// Scripts by sidecar.
    pub(super) scripts: &'a Scripts,
    /// How the entrypoint gets in.
    pub(super) delivery: Delivery,
    /// How they run.
    pub(super) form: Form,
    /// Whether the first step waits for them.
    pub(super) readiness: Readiness,
    /// How much the entrypoint says.
    pub(super) log: &'a LogFlags,
    /// Volumes that are not the engine's own.
    pub(super) volumes: &'a [Volume],
}

/// How often a readiness probe may fail before the steps begin: a startup probe that has failed as often
/// as it may ends its container, and a readiness probe never does.
const EVERY_FAILURE: i32 = 1_000_000;

/// Gives the sidecars what the run overrides.
pub(super) fn override_resources(sidecars: &mut [Sidecar], run: &TaskRun) {
    for wanted in &run.spec.sidecar_specs {
        if let Some(sidecar) = sidecars.iter_mut().find(|sidecar| sidecar.name == wanted.name) {
            resources::overlay(&mut sidecar.compute_resources, &wanted.compute_resources);
        }
    }
}

/// One container per sidecar, in order.
pub(super) fn containers(input: &Input<'_>) -> Vec<Container> {
    let each = input.spec.sidecars.iter().enumerate();
    each.map(|(index, sidecar)| container(input, sidecar, index))
        .collect()
}

fn container(input: &Input<'_>, sidecar: &Sidecar, index: usize) -> Container {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let mut container = Container {
        name: names::container(&format!("sidecar-{}", sidecar.name)),
        image: text(&sidecar.image),
        image_pull_policy: text(&sidecar.image_pull_policy),
        command: list(&sidecar.command),
        args: list(&sidecar.args),
        working_dir: volumes::absolute(&sidecar.working_dir),
        ports: list(&sidecar.ports),
        env: list(&sidecar.env),
        env_from: list(&sidecar.env_from),
        resources: Some(sidecar.compute_resources.clone())
            .filter(|resources| *resources != ResourceRequirements::default()),
        volume_mounts: list(&sidecar.volume_mounts),
        volume_devices: list(&sidecar.volume_devices),
        liveness_probe: sidecar.liveness_probe.clone(),
        readiness_probe: sidecar.readiness_probe.clone(),
        startup_probe: sidecar.startup_probe.clone(),
        lifecycle: sidecar.lifecycle.clone(),
        termination_message_path: text(&sidecar.termination_message_path),
        termination_message_policy: text(&sidecar.termination_message_policy),
        security_context: sidecar.security_context.clone(),
        stdin: sidecar.stdin.then_some(true),
        stdin_once: sidecar.stdin_once.then_some(true),
        tty: sidecar.tty.then_some(true),
        restart_policy: text(&sidecar.restart_policy),
        ..Container::default()
    };
    if let Some(flags) = flags(input, sidecar, index) {
        container.command = Some(vec![paths::ENTRYPOINT.to_owned()]);
        container.args = Some(flags.to_args());
        container.volume_mounts = Some(mounts(input, sidecar, &flags));
    }
    if input.form == Form::Native {
        container.restart_policy = Some("Always".to_owned());
        if container.startup_probe.is_none() && input.readiness == Readiness::Awaited {
            container.startup_probe = container.readiness_probe.as_ref().map(as_startup);
        }
    }
    container
}

fn list<T: Clone>(items: &[T]) -> Option<Vec<T>> {
    (!items.is_empty()).then(|| items.to_vec())
}

/// What the entrypoint is told; `None` where it has no part.
fn flags(input: &Input<'_>, sidecar: &Sidecar, index: usize) -> Option<SidecarFlags> {
    let script = input.scripts.of_sidecar(index);
    let (entrypoint, args) = match (script, sidecar.command.split_first()) {
        (Some(script), _) => (script.path.clone(), sidecar.args.clone()),
        (None, Some((program, first))) if !program.is_empty() => {
            (program.clone(), [first, sidecar.args.as_slice()].concat())
        }
        (None, _) => return None,
    };
    let start = if sidecar.stdin || sidecar.tty {
        Start::InPlace
    } else {
        Start::Child
    };
    if start == Start::InPlace && script.is_none() {
        return None;
    }
    let last = input.spec.steps.len().saturating_sub(1);
    Some(SidecarFlags {
        stop_file: (input.form == Form::Classic && ends_with_steps(sidecar)).then(|| paths::post_file(last)),
        start,
        log: log::with_secrets(
            input.log,
            &sidecar.env,
            &sidecar.env_from,
            &sidecar.volume_mounts,
            input.volumes,
        ),
        script: script
            .filter(|_| input.delivery == Delivery::ImageVolume)
            .cloned(),
        entrypoint,
        args,
    })
}

/// Its own mounts, and what the entrypoint needs.
fn mounts(input: &Input<'_>, sidecar: &Sidecar, flags: &SidecarFlags) -> Vec<VolumeMount> {
    let mut mounts = sidecar.volume_mounts.clone();
    let mut engine = |name: &str, path: &str, writable: bool| {
        mounts.push(VolumeMount {
            name: name.to_owned(),
            mount_path: path.to_owned(),
            read_only: (!writable).then_some(true),
            ..VolumeMount::default()
        });
    };
    if !sidecar.script.is_empty() {
        engine(volumes::SCRIPTS, paths::SCRIPTS_DIR, flags.script.is_some());
    }
    if flags.stop_file.is_some() {
        let last = input.spec.steps.len().saturating_sub(1);
        engine(&volumes::run_volume(last), &paths::run_dir(last), false);
    }
    engine(volumes::BIN, paths::BIN_DIR, false);
    mounts
}

/// A readiness probe that holds back the first step. Its usual ten seconds between two looks would often
/// be longer than all that the steps do.
fn as_startup(readiness: &Probe) -> Probe {
    Probe {
        period_seconds: readiness.period_seconds.or(Some(1)),
        failure_threshold: Some(EVERY_FAILURE),
        success_threshold: None,
        ..readiness.clone()
    }
}
