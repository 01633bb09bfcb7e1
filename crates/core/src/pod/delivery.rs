//! Scripts and the init container: what gets the entrypoint, links and scripts to the steps, in
//! either form of [`Delivery`](crate::delivery::Delivery).

use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSpec, SeccompProfile, SecurityContext, VolumeMount,
};
use tektite_api::{TaskRun, TaskSpec};
use tektite_protocol::{
    flags::{InitFlags, Script},
    paths,
};

use super::{BuildError, MAX_SCRIPT_BYTES, volumes};
use crate::{lifecycle::DeliverySettings, names};

/// The user of our own images; also of the init container where the Pod would make it root.
const OUR_USER: i64 = 65_532;

/// The scripts of a Pod, one place per step and per sidecar.
pub(super) struct Scripts {
    steps: Vec<Option<Script>>,
    sidecars: Vec<Option<Script>>,
}

impl Scripts {
    /// Takes them out of the spec, with shebang and file name.
    pub(super) fn collect(spec: &TaskSpec, run: &TaskRun, attempt: usize) -> Result<Self, BuildError> {
        let mut sizes = Vec::new();
        let mut place = |text: &str, field: &str, file: &str, index: usize| -> Result<_, BuildError> {
            if text.is_empty() {
                return Ok(None);
            }
            let path = format!("{field}[{index}]");
            let whole = with_shebang(text, &path)?;
            sizes.push((path, text.len()));
            let suffix = names::script_suffix(run.uid(), attempt, index);
            let file = format!("{}/{file}-{index}-{suffix}", paths::SCRIPTS_DIR);
            Ok(Some(Script::new(file, &whole)))
        };
        let each = spec.steps.iter().enumerate();
        let steps = each
            .map(|(index, step)| place(&step.script, "steps", "script", index))
            .collect::<Result<Vec<_>, _>>()?;
        let each = spec.sidecars.iter().enumerate();
        let sidecars = each
            .map(|(index, sidecar)| place(&sidecar.script, "sidecars", "sidecar-script", index))
            .collect::<Result<Vec<_>, _>>()?;
        let bytes: usize = sizes.iter().map(|(_, size)| size).sum();
        if bytes > MAX_SCRIPT_BYTES {
            let sizes = sizes
                .iter()
                .map(|(path, size)| format!("{path}: {size}"))
                .collect::<Vec<_>>();
            return Err(BuildError::ScriptsTooLarge {
                bytes,
                sizes: sizes.join(", "),
                limit: MAX_SCRIPT_BYTES,
            });
        }
        Ok(Self { steps, sidecars })
    }

    /// The script of step `index`.
    pub(super) fn of(&self, index: usize) -> Option<&Script> {
        self.steps.get(index)?.as_ref()
    }

    /// The script of sidecar `index`.
    pub(super) fn of_sidecar(&self, index: usize) -> Option<&Script> {
        self.sidecars.get(index)?.as_ref()
    }

    /// All of them.
    fn all(&self) -> impl Iterator<Item = &Script> {
        self.steps.iter().chain(&self.sidecars).flatten()
    }

    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        self.all().next().is_some()
    }
}

/// The script as a file that the kernel can run.
fn with_shebang(script: &str, path: &str) -> Result<String, BuildError> {
    if script.contains('\0') {
        return Err(BuildError::NulInScript(path.to_owned()));
    }
    let trimmed = script.trim_start();
    if trimmed.starts_with("#!win") {
        return Err(BuildError::NotSupported {
            path: format!("{path}.script with #!win"),
        });
    }
    if trimmed.starts_with("#!") {
        return Ok(trimmed.to_owned());
    }
    Ok(format!("#!/bin/sh\nset -e\n{script}"))
}

/// The one init container of the form without an image volume.
pub(super) fn init_container(
    spec: &TaskSpec,
    scripts: &Scripts,
    settings: DeliverySettings<'_>,
    template: &PodSpec,
) -> Container {
    let flags = InitFlags {
        steps: spec
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| names::step_base(step, index))
            .collect(),
        scripts: scripts.all().cloned().collect(),
    };
    let mount = |name: &str, path: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    };
    let mut mounts = vec![
        mount(volumes::BIN, paths::BIN_DIR),
        mount(volumes::STEPS, paths::STEPS_DIR),
    ];
    if scripts.any() {
        mounts.push(mount(volumes::SCRIPTS, paths::SCRIPTS_DIR));
    }
    Container {
        name: names::PREPARE.to_owned(),
        args: Some(flags.to_args()),
        volume_mounts: Some(mounts),
        ..own_container(settings, template)
    }
}

/// A container of ours that runs from the entrypoint's own image.
pub(super) fn own_container(settings: DeliverySettings<'_>, template: &PodSpec) -> Container {
    let pod_user = template
        .security_context
        .as_ref()
        .and_then(|context| context.run_as_user);
    Container {
        image: Some(settings.image.to_owned()),
        image_pull_policy: Some(settings.pull_policy.to_owned()),
        command: Some(vec![paths::ENTRYPOINT_IN_IMAGE.to_owned()]),
        working_dir: Some("/".to_owned()),
        security_context: Some(SecurityContext {
            // A Pod that runs as root must not make our container root as well.
            run_as_user: (pod_user == Some(0)).then_some(OUR_USER),
            ..restricted()
        }),
        ..Container::default()
    }
}

/// What the `restricted` Pod security level asks of a container.
fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..SecurityContext::default()
    }
}
