//! Forms of texts in Kubernetes' own fields. No I/O.

use std::net::IpAddr;

use crate::validate::text::{is_dns_label, is_dns_subdomain, is_name_part, qualified_name_problems};

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A DNS label.
    Label,
    /// An object's name.
    Subdomain,
    /// A label's key.
    QualifiedName,
    /// A label's value.
    LabelValue,
    /// A key of a ConfigMap or Secret.
    ConfigKey,
    /// A path inside a volume.
    InsidePath,
    /// A path without `..`.
    NoParent,
    /// A path that begins with `/`.
    AbsolutePath,
    /// An address.
    Ip,
    /// A port's name.
    PortName,
    /// A port's number or name.
    Port,
    /// An HTTP header's name.
    Header,
    /// What is put before environment variables' names.
    EnvPrefix,
    /// A field of a Pod that an environment variable can take.
    EnvField,
    /// A field of a Pod that a file can take.
    FileField,
    /// A resource of a container.
    ResourceField,
    /// A medium of an emptyDir.
    Medium,
    /// A signal.
    Signal,
    /// A Linux capability.
    Capability,
    /// A kernel parameter.
    Sysctl,
    /// An image.
    Image,
}

/// What Linux has, without `CAP_`.
const CAPABILITIES: [&str; 42] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];
const FIELDS: [&str; 3] = ["metadata.name", "metadata.namespace", "metadata.uid"];
const ENV_FIELDS: [&str; 6] = [
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// `metadata.labels['<key>']` or the same of annotations.
fn is_subscript(text: &str) -> bool {
    ["metadata.labels['", "metadata.annotations['"]
        .iter()
        .any(|start| {
            let key = text.strip_prefix(start).and_then(|rest| rest.strip_suffix("']"));
            key.is_some_and(|key| qualified_name_problems(&key.to_ascii_lowercase()).is_empty())
        })
}

impl Form {
    /// Whether `text` has it.
    pub(super) fn fits(self, text: &str) -> bool {
        match self {
            Self::Label => is_dns_label(text),
            Self::Subdomain => is_dns_subdomain(text.trim_end_matches('.')) && !text.starts_with('.'),
            Self::QualifiedName => qualified_name_problems(text).is_empty(),
            Self::LabelValue => text.len() <= 63 && is_name_part(text),
            Self::ConfigKey => {
                text.len() <= 253
                    && text
                        .bytes()
                        .all(|c| c.is_ascii_alphanumeric() || b"-._".contains(&c))
                    && !matches!(text, "." | "..")
                    && !text.starts_with("..")
            }
            Self::InsidePath => !text.starts_with('/') && Self::NoParent.fits(text),
            Self::NoParent => text.split('/').all(|part| part != ".."),
            Self::AbsolutePath => text.starts_with('/') && Self::NoParent.fits(text),
            Self::Ip => text.parse::<IpAddr>().is_ok(),
            Self::PortName => is_port_name(text),
            Self::Port => text
                .parse::<i64>()
                .map_or_else(|_| is_port_name(text), |port| (1..=65_535).contains(&port)),
            Self::Header => text
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c)),
            Self::EnvPrefix => text
                .bytes()
                .all(|c| (c.is_ascii_graphic() || c == b' ') && c != b'='),
            Self::EnvField => FIELDS.contains(&text) || ENV_FIELDS.contains(&text) || is_subscript(text),
            Self::FileField => {
                FIELDS.contains(&text)
                    || matches!(text, "metadata.labels" | "metadata.annotations")
                    || is_subscript(text)
            }
            Self::ResourceField => text.split_once('.').is_some_and(|(list, name)| {
                matches!(list, "limits" | "requests")
                    && (matches!(name, "cpu" | "memory" | "ephemeral-storage")
                        || name.starts_with("hugepages-"))
            }),
            Self::Medium => matches!(text, "Memory" | "HugePages") || text.starts_with("HugePages-"),
            Self::Signal => text.strip_prefix("SIG").is_some_and(|name| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'+' || c == b'-')
            }),
            Self::Capability => CAPABILITIES.contains(&text.to_ascii_uppercase().as_str()),
            Self::Sysctl => {
                !text.is_empty()
                    && text
                        .bytes()
                        .all(|c| c.is_ascii_alphanumeric() || b"._-/*".contains(&c))
            }
            Self::Image => image_problem(text).is_none(),
        }
    }

    /// What it looks like, in words.
    pub(super) const fn wanted(self) -> &'static str {
        match self {
            Self::Label => "lower-case letters, digits and \"-\", at most 63",
            Self::Subdomain => "a name has lower-case letters, digits, \"-\" and \".\"",
            Self::QualifiedName => {
                "a key has letters, digits, \"-\", \"_\" and \".\", at most 63, and a domain with \"/\" before it where there is one"
            }
            Self::LabelValue => "a value has letters, digits, \"-\", \"_\" and \".\", at most 63",
            Self::ConfigKey => "a key has letters, digits, \"-\", \"_\" and \".\"",
            Self::InsidePath => "a path inside the volume, without \"..\" and not beginning with \"/\"",
            Self::NoParent => "a path without \"..\"",
            Self::AbsolutePath => "a path that begins with \"/\", without \"..\"",
            Self::Ip => "an address such as 10.0.0.1 or fd00::1",
            Self::PortName => {
                "lower-case letters, digits and single \"-\" between them, at most 15, with a letter among them"
            }
            Self::Port => "a number from 1 to 65535, or the name of one of the container's ports",
            Self::Header => "a header's name has no blanks",
            Self::EnvPrefix => "printable ASCII without \"=\"",
            Self::EnvField => {
                "allowed are metadata.name, metadata.namespace, metadata.uid, metadata.labels['<key>'], metadata.annotations['<key>'], spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, status.podIPs"
            }
            Self::FileField => {
                "allowed are metadata.name, metadata.namespace, metadata.uid, metadata.labels, metadata.annotations, metadata.labels['<key>'], metadata.annotations['<key>']"
            }
            Self::ResourceField => {
                "allowed are limits and requests of cpu, memory, ephemeral-storage and hugepages-<size>, such as limits.cpu"
            }
            Self::Medium => "allowed are Memory, HugePages and HugePages-<size>, or nothing",
            Self::Signal => "a signal such as SIGTERM",
            Self::Capability => "a capability of Linux, written without CAP_, such as NET_ADMIN",
            Self::Sysctl => "a kernel parameter such as net.core.somaxconn",
            Self::Image => "an image reference, such as registry.example/team/image:tag",
        }
    }
}

fn is_port_name(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && text
            .bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        && text.bytes().any(|c| c.is_ascii_lowercase())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// What is wrong with an image reference that no container runtime could read.
pub(super) fn image_problem(image: &str) -> Option<&'static str> {
    let (rest, digest) = image
        .split_once('@')
        .map_or((image, None), |(rest, digest)| (rest, Some(digest)));
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest[slash..].find(':') {
        Some(colon) => (&rest[..slash + colon], Some(&rest[slash + colon + 1..])),
        None => (rest, None),
    };
    let (host, path) = match name.split_once('/') {
        // A first part with a dot, a port or `localhost` is a host, which may have upper case.
        Some((host, path))
            if host.contains(['.', ':', '['])
                || host == "localhost"
                || host.bytes().any(|c| c.is_ascii_uppercase()) =>
        {
            (Some(host), path)
        }
        _ => (None, name),
    };
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c))
            && !part.starts_with(['.', '_', '-'])
            && !part.ends_with(['.', '_', '-'])
    };
    let host_fits = |host: &str| match host.rsplit_once(':') {
        Some((address, digits)) if !host.ends_with(']') => {
            !address.is_empty() && !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())
        }
        _ => true,
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
            let length = match kind {
                "sha256" => hex.len() == 64,
                "sha512" => hex.len() == 128,
                _ => hex.len() >= 32,
            };
            !kind.is_empty() && length && hex.bytes().all(|c| c.is_ascii_hexdigit())
        })
    };
    if image.contains(char::is_whitespace) {
        Some("white space is in it")
    } else if host.is_some_and(|host| !host_fits(host)) {
        Some("a registry's port is a number")
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_fit_what_kubernetes_takes() {
        for (form, good, bad) in [
            (
                Form::EnvField,
                "metadata.labels['app.kubernetes.io/name']",
                "metadata.labels",
            ),
            (Form::EnvField, "status.podIP", "status.podIp"),
            (Form::FileField, "metadata.labels", "status.podIP"),
            (Form::ResourceField, "limits.hugepages-2Mi", "limits.gpu"),
            (Form::Port, "8080", "0"),
            (Form::Port, "http", "HTTP"),
            (Form::PortName, "a-1", "80"),
            (Form::Capability, "NET_ADMIN", "CAP_NET_ADMIN"),
            (Form::Medium, "HugePages-2Mi", "memory"),
            (Form::Signal, "SIGRTMIN+3", "TERM"),
            (Form::Ip, "fd00::1", "1.2.3"),
            (Form::InsidePath, "a/b..c", "a/../b"),
            (Form::ConfigKey, "a.b_c-D", "a/b"),
            (Form::LabelValue, "A.b_c", "a b"),
            (Form::Subdomain, "svc.cluster.local.", "A"),
        ] {
            assert!(form.fits(good), "{form:?} {good}");
            assert!(!form.fits(bad), "{form:?} {bad}");
        }
    }

    #[test]
    fn images_that_runtimes_read() {
        let hex = "a".repeat(64);
        for image in [
            "busybox",
            "a--b",
            "a__b/c",
            "localhost/x",
            "localhost:5000/x:1",
            "Host.example:443/a/b:v1.2-3_4",
            "registry.io:5000",
            "[fd00::1]:5000/x",
            "REGISTRY/x",
        ] {
            assert_eq!(image_problem(image), None, "{image}");
        }
        assert_eq!(image_problem(&format!("a/b:t@sha256:{hex}")), None);
        for image in [
            "Busybox",
            "a b",
            "alpine:latest/foo",
            "localhost:port/x",
            "a//b",
            "a/",
            "a:",
            "a:-x",
            "a@sha256:abc",
            "a_",
            "$(IMAGE)",
        ] {
            assert!(image_problem(image).is_some(), "{image}");
        }
    }
}
