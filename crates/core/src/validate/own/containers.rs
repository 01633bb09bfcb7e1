//! What the kubelet or the API server would refuse of a container, told about the step or sidecar
//! that it is made from. Values that hold variables are not judged. No I/O.

use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, ResourceRequirements, SecurityContext, VolumeDevice, VolumeMount,
};
use tektite_api::{Sidecar, Step, StepTemplate};

use super::{amounts, env};
use crate::{
    field_error::FieldError,
    validate::{Rules, text},
};

/// What steps, templates and sidecars have in common.
pub(super) struct Container<'a> {
    image: &'a str,
    pull_policy: &'a str,
    working_dir: &'a str,
    env: &'a [EnvVar],
    env_from: &'a [EnvFromSource],
    mounts: &'a [VolumeMount],
    devices: &'a [VolumeDevice],
    resources: &'a ResourceRequirements,
    security: Option<&'a SecurityContext>,
}

macro_rules! container {
    ($name:ident, $type:ty) => {
        pub(super) fn $name(from: &'a $type) -> Self {
            Self {
                image: &from.image,
                pull_policy: &from.image_pull_policy,
                working_dir: &from.working_dir,
                env: &from.env,
                env_from: &from.env_from,
                mounts: &from.volume_mounts,
                devices: &from.volume_devices,
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

/// What is wrong with one entry by itself.
pub(super) fn entries(rules: &mut Rules<'_>, container: &Container<'_>, at: &str) {
    image(rules, container.image, &format!("{at}.image"));
    one_of(
        rules,
        container.pull_policy,
        &["Always", "IfNotPresent", "Never"],
        &format!("{at}.imagePullPolicy"),
    );
    if container.working_dir.contains('\0') {
        rules.push(FieldError::own(
            "invalid value: it holds a zero byte",
            format!("{at}.workingDir"),
        ));
    }
    env::list(rules, container.env, &format!("{at}.env"));
    env::sources(rules, container.env_from, &format!("{at}.envFrom"));
    for (index, mount) in container.mounts.iter().enumerate() {
        self::mount(rules, mount, &format!("{at}.volumeMounts[{index}]"));
    }
    for (index, device) in container.devices.iter().enumerate() {
        for (value, field) in [(&device.name, "name"), (&device.device_path, "devicePath")] {
            if value.is_empty() {
                rules.push(FieldError::own(
                    "missing field(s)",
                    format!("{at}.volumeDevices[{index}].{field}"),
                ));
            }
        }
    }
    if let Some(security) = container.security {
        self::security(rules, security, &format!("{at}.securityContext"));
    }
}

/// What is wrong with the container as a whole, the template's values among its own.
pub(super) fn whole(rules: &mut Rules<'_>, container: &Container<'_>, at: &str) {
    for (index, mount) in container.mounts.iter().enumerate() {
        let same =
            |other: &VolumeMount| text::clean_path(&other.mount_path) == text::clean_path(&mount.mount_path);
        if !mount.mount_path.is_empty() && container.mounts[..index].iter().any(same) {
            rules.push(
                FieldError::own(
                    format!("mount path \"{}\" must be unique", mount.mount_path),
                    format!("{at}.volumeMounts[{index}].mountPath"),
                )
                .with_note(format!(
                    "{at}.volumeMounts[{index}]: another volume is mounted there in the same container"
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
    let (rest, digest) = image
        .split_once('@')
        .map_or((image, None), |(rest, digest)| (rest, Some(digest)));
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest[slash..].find(':') {
        Some(colon) => (&rest[..slash + colon], Some(&rest[slash + colon + 1..])),
        None => (rest, None),
    };
    let path = match name.split_once('/') {
        // A first part with a dot, a port or `localhost` is a host, which may have upper case.
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => name,
    };
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c))
            && !part.starts_with(['.', '_', '-'])
            && !part.ends_with(['.', '_', '-'])
    };
    let tag_fits = |tag: &str| {
        (1..=128).contains(&tag.len())
            && tag
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
            && !tag.starts_with(['.', '-'])
    };
    let digest_fits = |digest: &str| {
        digest.split_once(':').is_some_and(|(kind, hex)| {
            !kind.is_empty() && hex.len() >= 32 && hex.bytes().all(|c| c.is_ascii_hexdigit())
        })
    };
    let problem = if image.contains(char::is_whitespace) {
        Some("white space is in it")
    } else if !path.split('/').all(part) {
        Some(
            "a repository's name has lower-case letters, digits, and \".\", \"_\", \"-\", \"/\" between them",
        )
    } else if tag.is_some_and(|tag| !tag_fits(tag)) {
        Some("a tag has letters, digits, \"_\", \".\" and \"-\", at most 128")
    } else if digest.is_some_and(|digest| !digest_fits(digest)) {
        Some("a digest looks like sha256:<64 hexadecimal digits>")
    } else {
        None
    };
    if let Some(problem) = problem {
        rules.push(
            FieldError::own(format!("invalid value: {image}"), at)
                .with_note(format!("{at}: \"{image}\" is no image reference: {problem}")),
        );
    }
}

fn mount(rules: &mut Rules<'_>, mount: &VolumeMount, at: &str) {
    for (value, field) in [(&mount.name, "name"), (&mount.mount_path, "mountPath")] {
        if value.is_empty() {
            rules.push(FieldError::own("missing field(s)", format!("{at}.{field}")));
        }
    }
    if mount.mount_path.contains(':') && !mount.mount_path.contains("$(") {
        rules.push(
            FieldError::own(
                format!("invalid value: {}", mount.mount_path),
                format!("{at}.mountPath"),
            )
            .with_note(format!("{at}.mountPath: a path without \":\"")),
        );
    }
    for (path, field) in [
        (&mount.sub_path, "subPath"),
        (&mount.sub_path_expr, "subPathExpr"),
    ] {
        if let Some(path) = path {
            sub_path(rules, path, &format!("{at}.{field}"));
        }
    }
    let set = |path: &Option<String>| path.as_ref().is_some_and(|path| !path.is_empty());
    if set(&mount.sub_path) && set(&mount.sub_path_expr) {
        rules.push(
            FieldError::own("expected exactly one, got both", format!("{at}.subPath"))
                .with_note(format!("{at}: keep subPath or subPathExpr")),
        );
    }
    let propagation = mount.mount_propagation.as_deref().unwrap_or_default();
    one_of(
        rules,
        propagation,
        &["None", "HostToContainer", "Bidirectional"],
        &format!("{at}.mountPropagation"),
    );
}

/// A path inside a volume.
pub(super) fn sub_path(rules: &mut Rules<'_>, path: &str, at: &str) {
    if path.contains("$(") {
        return;
    }
    let problem = if path.starts_with('/') {
        "a path inside the volume does not begin with \"/\""
    } else if path.split('/').any(|part| part == "..") {
        "a path inside the volume has no \"..\""
    } else {
        return;
    };
    rules.push(FieldError::own(format!("invalid value: {path}"), at).with_note(format!("{at}: {problem}")));
}

fn security(rules: &mut Rules<'_>, context: &SecurityContext, at: &str) {
    for (id, field) in [
        (context.run_as_user, "runAsUser"),
        (context.run_as_group, "runAsGroup"),
    ] {
        if let Some(id) = id.filter(|id| !(0..=i64::from(u32::MAX >> 1)).contains(id)) {
            rules.push(
                FieldError::own(format!("invalid value: {id}"), format!("{at}.{field}"))
                    .with_note(format!("{at}.{field}: allowed are 0 to 2147483647")),
            );
        }
    }
    if context.run_as_non_root == Some(true) && context.run_as_user == Some(0) {
        rules.push(
            FieldError::own("invalid value: 0", format!("{at}.runAsUser"))
                .with_note(format!("{at}: runAsNonRoot is true, and user 0 is root")),
        );
    }
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
    let mount = context.proc_mount.as_deref().unwrap_or_default();
    one_of(rules, mount, &["Default", "Unmasked"], &format!("{at}.procMount"));
    if let Some(profile) = &context.seccomp_profile {
        one_of(
            rules,
            &profile.type_,
            &["Unconfined", "RuntimeDefault", "Localhost"],
            &format!("{at}.seccompProfile.type"),
        );
    }
}
