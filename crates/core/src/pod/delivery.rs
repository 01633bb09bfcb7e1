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

/// The scripts of a Pod, one place per step.
pub(super) struct Scripts {
    steps: Vec<Option<Script>>,
}

impl Scripts {
    /// Takes them out of the spec, with shebang and file name.
    pub(super) fn collect(spec: &TaskSpec, run: &TaskRun, attempt: usize) -> Result<Self, BuildError> {
        let mut steps = Vec::with_capacity(spec.steps.len());
        let mut sizes = Vec::new();
        for (index, step) in spec.steps.iter().enumerate() {
            if step.script.is_empty() {
                steps.push(None);
                continue;
            }
            let path = format!("steps[{index}]");
            let text = with_shebang(&step.script, &path)?;
            sizes.push((path, step.script.len()));
            let suffix = names::script_suffix(run.uid(), attempt, index);
            let file = format!("{}/script-{index}-{suffix}", paths::SCRIPTS_DIR);
            steps.push(Some(Script::new(file, &text)));
        }
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
        Ok(Self { steps })
    }

    /// The script of step `index`.
    pub(super) fn of(&self, index: usize) -> Option<&Script> {
        self.steps.get(index)?.as_ref()
    }

    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        self.steps.iter().any(Option::is_some)
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
        scripts: scripts.steps.iter().flatten().cloned().collect(),
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
    let pod_user = template
        .security_context
        .as_ref()
        .and_then(|context| context.run_as_user);
    Container {
        name: "prepare".to_owned(),
        image: Some(settings.image.to_owned()),
        image_pull_policy: Some(settings.pull_policy.to_owned()),
        command: Some(vec![paths::ENTRYPOINT_IN_IMAGE.to_owned()]),
        args: Some(flags.to_args()),
        working_dir: Some("/".to_owned()),
        volume_mounts: Some(mounts),
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
