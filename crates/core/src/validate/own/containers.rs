//! What the kubelet or the API server would refuse of a container, told about the step or sidecar
//! that it is made from. Values that hold variables are not judged. No I/O.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, EnvFromSource, EnvVar, ResourceRequirements, SeccompProfile, SecurityContext,
    VolumeMount,
};
use tektite_api::{Sidecar, Step, StepTemplate};

use super::{amounts, env, forms::image_problem};
use crate::{
    field_error::FieldError,
    validate::{Rules, lookup::repeated, text},
};

/// What steps, templates and sidecars have in common.
pub(super) struct Container<'a> {
    image: &'a str,
    env: &'a [EnvVar],
    env_from: &'a [EnvFromSource],
    mounts: &'a [VolumeMount],
    resources: &'a ResourceRequirements,
    security: Option<&'a SecurityContext>,
}

macro_rules! container {
    ($name:ident, $type:ty) => {
        pub(super) fn $name(from: &'a $type) -> Self {
            Self {
                image: &from.image,
                env: &from.env,
                env_from: &from.env_from,
                mounts: &from.volume_mounts,
                resources: &from.compute_resources,
                security: from.security_context.as_ref(),
            }
        }
    };
}

impl<'a> Container<'a> {
    container!(of_step, Step);
    container!(of_template, StepTemplate);
    container!(of_sidecar, Sidecar);
}

/// What is wrong with one entry by itself, beyond what the tables say.
pub(super) fn entries(rules: &mut Rules<'_>, container: &Container<'_>, at: &str) {
    image(rules, container.image, &format!("{at}.image"));
    env::list(rules, container.env, &format!("{at}.env"));
    env::sources(rules, container.env_from, &format!("{at}.envFrom"));
    for (index, mount) in container.mounts.iter().enumerate() {
        self::mount(rules, mount, &format!("{at}.volumeMounts[{index}]"));
    }
    if let Some(security) = container.security {
        self::security(rules, security, &format!("{at}.securityContext"));
    }
}

/// What is wrong with the container as a whole, the template's values among its own.
pub(super) fn whole(rules: &mut Rules<'_>, container: &Container<'_>, at: &str) {
    let privileged = container
        .security
        .is_some_and(|security| security.privileged == Some(true));
    let again = repeated(
        container
            .mounts
            .iter()
            .map(|mount| text::clean_path(&mount.mount_path)),
    );
    for ((index, mount), again) in container.mounts.iter().enumerate().zip(again) {
        let path = format!("{at}.volumeMounts[{index}]");
        if !mount.mount_path.is_empty() && again {
            rules.push(
                FieldError::own(
                    format!("mount path \"{}\" must be unique", mount.mount_path),
                    format!("{path}.mountPath"),
                )
                .with_note(format!(
                    "{path}: another volume is mounted there in the same container"
                )),
            );
        }
        if mount.mount_propagation.as_deref() == Some("Bidirectional") && !privileged {
            rules.push(
                FieldError::own("invalid value: Bidirectional", format!("{path}.mountPropagation"))
                    .with_note(format!(
                        "{path}.mountPropagation: only a privileged container can have it"
                    )),
            );
        }
    }
    amounts::resources(rules, container.resources, &format!("{at}.computeResources"));
}

/// Refuses a word that is none of `allowed`; nothing and variables pass.
pub(super) fn one_of(rules: &mut Rules<'_>, value: &str, allowed: &[&str], at: &str) {
    if !value.is_empty() && !value.contains("$(") && !allowed.contains(&value) {
        let hint = text::nearest(value, allowed.iter().copied())
            .map_or_else(String::new, |nearest| format!("; did you mean \"{nearest}\"?"));
        rules.push(
            FieldError::own(format!("invalid value: {value}"), at)
                .with_note(format!("{at}: allowed are {}{hint}", allowed.join(", "))),
        );
    }
}

/// An image that no container runtime can read: it would wait as `InvalidImageName`.
fn image(rules: &mut Rules<'_>, image: &str, at: &str) {
    if image.is_empty() || image.contains("$(") {
        return;
    }
    if let Some(problem) = image_problem(image) {
        rules.push(
            FieldError::own(format!("invalid value: {image}"), at)
                .with_note(format!("{at}: \"{image}\" is no image reference: {problem}")),
        );
    }
}

fn mount(rules: &mut Rules<'_>, mount: &VolumeMount, at: &str) {
    // T16 tells of those below /tekton.
    if !text::clean_path(&mount.mount_path).starts_with("/tekton/") {
        mount_path(rules, &mount.mount_path, &format!("{at}.mountPath"));
    }
    let set = |path: &Option<String>| path.as_ref().is_some_and(|path| !path.is_empty());
    if set(&mount.sub_path) && set(&mount.sub_path_expr) {
        rules.push(
            FieldError::own("expected exactly one, got both", format!("{at}.subPath"))
                .with_note(format!("{at}: keep subPath or subPathExpr")),
        );
    }
    if mount.recursive_read_only.as_deref() == Some("Enabled") && mount.read_only != Some(true) {
        rules.push(
            FieldError::own("invalid value: Enabled", format!("{at}.recursiveReadOnly")).with_note(format!(
                "{at}.recursiveReadOnly: the mount has to be readOnly: true"
            )),
        );
    }
}

/// A place in a container where something can be mounted.
pub(super) fn mount_path(rules: &mut Rules<'_>, path: &str, at: &str) {
    if path.is_empty() || path.contains("$(") {
        return;
    }
    let problem = match text::clean_path(path).as_str() {
        "/" | "." => "the container's root cannot be mounted over",
        "/tekton" => "the engine keeps its own files below /tekton",
        below if below.starts_with("/tekton/") && !below.starts_with("/tekton/home") => {
            "the engine keeps its own files below /tekton"
        }
        _ => return,
    };
    rules.push(FieldError::own(format!("invalid value: {path}"), at).with_note(format!("{at}: {problem}")));
}

/// A seccomp or AppArmor profile: a file is named where one is meant, and only there.
fn profile(rules: &mut Rules<'_>, kind: &str, file: Option<&String>, at: &str) {
    let local = kind == "Localhost";
    let named = file.is_some_and(|file| !file.is_empty());
    if local && !named {
        rules.push(FieldError::own(
            "missing field(s)",
            format!("{at}.localhostProfile"),
        ));
    } else if named && !local && !kind.is_empty() {
        rules.push(
            FieldError::own("must not set the field(s)", format!("{at}.localhostProfile")).with_note(
                format!("{at}.localhostProfile: only with type Localhost, given is {kind}"),
            ),
        );
    }
}

fn security(rules: &mut Rules<'_>, context: &SecurityContext, at: &str) {
    let escalation = context.allow_privilege_escalation == Some(false);
    let admin = context
        .capabilities
        .as_ref()
        .and_then(|capabilities| capabilities.add.as_ref())
        .is_some_and(|add| {
            add.iter()
                .any(|name| matches!(name.as_str(), "SYS_ADMIN" | "CAP_SYS_ADMIN"))
        });
    if escalation && (context.privileged == Some(true) || admin) {
        rules.push(
            FieldError::own("invalid value: false", format!("{at}.allowPrivilegeEscalation")).with_note(
                format!("{at}: a privileged container, or one with SYS_ADMIN, cannot do without"),
            ),
        );
    }
    identity(
        rules,
        (context.run_as_non_root, context.run_as_user),
        context.seccomp_profile.as_ref(),
        context.app_armor_profile.as_ref(),
        at,
    );
}

/// What the security contexts of containers and Pods have in common.
pub(super) fn identity(
    rules: &mut Rules<'_>,
    user: (Option<bool>, Option<i64>),
    seccomp: Option<&SeccompProfile>,
    apparmor: Option<&AppArmorProfile>,
    at: &str,
) {
    if user == (Some(true), Some(0)) {
        let note = format!("{at}: runAsNonRoot is true, and user 0 is root");
        rules.push(FieldError::own("invalid value: 0", format!("{at}.runAsUser")).with_note(note));
    }
    let seccomp = seccomp.map(|profile| ("seccompProfile", &profile.type_, &profile.localhost_profile));
    let apparmor = apparmor.map(|profile| ("appArmorProfile", &profile.type_, &profile.localhost_profile));
    for (field, kind, file) in seccomp.into_iter().chain(apparmor) {
        profile(rules, kind, file.as_ref(), &format!("{at}.{field}"));
    }
}
