//! What an image is called: registry, repository, and a tag or a digest. No I/O.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The registry of a name that gives none, as clients call it.
const DEFAULT_REGISTRY: &str = "index.docker.io";
/// Its other name, which people write.
const DEFAULT_ALIAS: &str = "docker.io";
/// Where the default registry keeps images without a namespace.
const DEFAULT_NAMESPACE: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// The most that a repository's name may have, by the distribution specification's advice.
const LONGEST_REPOSITORY: usize = 255;
const LONGEST_TAG: usize = 128;

/// Why a name is no image's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// A registry that is no host.
    #[error("\"{image}\" is no image's name: \"{given}\" is no registry; write host or host:port")]
    Registry {
        /// The whole name.
        image: String,
        /// The part that is wrong.
        given: String,
    },
    /// A repository with other characters.
    #[error(
        "\"{image}\" is no image's name: \"{given}\" is no repository; write small letters, digits and \
         single . _ - / between them, at most 255 of them"
    )]
    Repository {
        /// The whole name.
        image: String,
        /// The part that is wrong.
        given: String,
    },
    /// A tag with other characters.
    #[error(
        "\"{image}\" is no image's name: \"{given}\" is no tag; write letters, digits, . _ and -, at most 128 of them"
    )]
    Tag {
        /// The whole name.
        image: String,
        /// The part that is wrong.
        given: String,
    },
    /// A digest of another form.
    #[error(
        "\"{image}\" is no image's name: \"{given}\" is no digest; write sha256: and 64 digits of 0-9a-f"
    )]
    Digest {
        /// The whole name.
        image: String,
        /// The part that is wrong.
        given: String,
    },
}

/// The fingerprint of a manifest or a blob: `sha256:` and 64 digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// The digest that is written `text`, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?;
        let fits = digits.len() == 64
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(format!("sha256:{:x}", Sha256::digest(content)))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of a repository's images.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The one that has this tag at the moment.
    Tag(String),
    /// This very one.
    Digest(Digest),
}

/// An image's whole name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    version: Version,
}

impl Reference {
    /// Reads a name as everybody writes it. Where it has a tag and a digest, the digest counts.
    ///
    /// # Errors
    /// The first part that cannot be right.
    pub fn parse(image: &str) -> Result<Self, ReferenceError> {
        let (image_and_tag, digest) = match image.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (image, None),
        };
        let (name, tag) = match image_and_tag.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (image_and_tag, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((host, rest)) if is_host(host) => (host, rest),
            _ => (DEFAULT_REGISTRY, name),
        };
        if !is_registry(registry) {
            return Err(ReferenceError::Registry {
                image: image.to_owned(),
                given: registry.to_owned(),
            });
        }
        if !is_repository(repository) {
            return Err(ReferenceError::Repository {
                image: image.to_owned(),
                given: repository.to_owned(),
            });
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag {
                image: image.to_owned(),
                given: tag.to_owned(),
            });
        }
        let version = match digest {
            Some(digest) => Version::Digest(Digest::parse(digest).ok_or_else(|| ReferenceError::Digest {
                image: image.to_owned(),
                given: digest.to_owned(),
            })?),
            None => Version::Tag(tag.unwrap_or(DEFAULT_TAG).to_owned()),
        };
        let registry = if registry == DEFAULT_ALIAS {
            DEFAULT_REGISTRY
        } else {
            registry
        };
        let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
            format!("{DEFAULT_NAMESPACE}{repository}")
        } else {
            repository.to_owned()
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            version,
        })
    }

    /// Host and port of its registry, by name: not where it is asked.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Its registry as people and settings write it.
    pub fn registry_name(&self) -> &str {
        if self.is_default_registry() {
            DEFAULT_ALIAS
        } else {
            &self.registry
        }
    }

    /// Whether it lies in the registry of names that give none.
    pub fn is_default_registry(&self) -> bool {
        self.registry == DEFAULT_REGISTRY
    }

    /// Its repository, without the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Which of the repository's images.
    pub const fn version(&self) -> &Version {
        &self.version
    }

    /// The same image, whatever becomes of its tag.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> Self {
        Self {
            version: Version::Digest(digest.clone()),
            ..self.clone()
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            registry,
            repository,
            version,
        } = self;
        match version {
            Version::Tag(tag) => write!(f, "{registry}/{repository}:{tag}"),
            Version::Digest(digest) => write!(f, "{registry}/{repository}@{digest}"),
        }
    }
}

/// Whether the first part of a name is a registry: a dot, a port, a capital, or this one word.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let has_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let label = |label: &str| {
                !label.is_empty()
                    && label
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            host.len() <= 253 && host.split('.').all(label)
        }
    };
    has_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_repository(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let component = |part: &str| {
        let bytes = part.as_bytes();
        let ends = bytes.first().zip(bytes.last());
        ends.is_some_and(|(first, last)| alphanumeric(*first) && alphanumeric(*last))
            && bytes
                .iter()
                .all(|byte| alphanumeric(*byte) || matches!(byte, b'.' | b'_' | b'-'))
            && !part.contains("..")
    };
    text.len() <= LONGEST_REPOSITORY && text.split('/').all(component)
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= LONGEST_TAG
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let hub = "index.docker.io/library";
        for (given, expected) in [
            ("ubuntu", format!("{hub}/ubuntu:latest")),
            ("ubuntu:24.04", format!("{hub}/ubuntu:24.04")),
            ("docker.io/ubuntu", format!("{hub}/ubuntu:latest")),
            ("index.docker.io/ubuntu", format!("{hub}/ubuntu:latest")),
            ("docker.io/org/tool", "index.docker.io/org/tool:latest".to_owned()),
            ("org/tool:1", "index.docker.io/org/tool:1".to_owned()),
            ("REGISTRY/tool", "REGISTRY/tool:latest".to_owned()),
            ("localhost/tool", "localhost/tool:latest".to_owned()),
            ("localhost:5000/a/b/c:x", "localhost:5000/a/b/c:x".to_owned()),
            (
                "registry.local:5000/tool",
                "registry.local:5000/tool:latest".to_owned(),
            ),
            ("[::1]:5000/tool:1", "[::1]:5000/tool:1".to_owned()),
            ("gcr.io/p/a__b-c.d", "gcr.io/p/a__b-c.d:latest".to_owned()),
            (&format!("tool:1@{digest}"), format!("{hub}/tool@{digest}")),
            (&format!("gcr.io/tool@{digest}"), format!("gcr.io/tool@{digest}")),
        ] {
            let reference = Reference::parse(given).unwrap();
            assert_eq!(reference.to_string(), expected, "{given}");
            assert_eq!(Reference::parse(&expected).unwrap(), reference, "{given}");
        }
        let hub = Reference::parse("busybox").unwrap();
        assert_eq!(
            (hub.registry_name(), hub.registry()),
            ("docker.io", "index.docker.io")
        );
        let pinned = hub.pinned(&Digest::of(b"x"));
        assert_eq!(
            pinned.to_string(),
            "index.docker.io/library/busybox@sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
        );
    }

    #[test]
    fn what_is_no_name() {
        for (given, part) in [
            ("", "\"\" is no repository"),
            ("Busybox", "\"Busybox\" is no repository"),
            ("busybox:", "\"\" is no tag"),
            ("busybox:a b", "\"a b\" is no tag"),
            ("busybox:-a", "\"-a\" is no tag"),
            ("busybox@sha256:0", "\"sha256:0\" is no digest"),
            ("busybox@md5:0", "\"md5:0\" is no digest"),
            ("host:99999/a", "\"host:99999\" is no registry"),
            ("a..b/c", "\"a..b\" is no registry"),
            ("us er.io/c", "\"us er.io\" is no registry"),
            ("[x]:1/c", "\"[x]:1\" is no registry"),
            ("gcr.io//c", "\"/c\" is no repository"),
            ("gcr.io/a/../c", "\"a/../c\" is no repository"),
            ("gcr.io/", "\"\" is no repository"),
        ] {
            let error = Reference::parse(given).unwrap_err().to_string();
            assert!(error.contains(part), "{given}: {error}");
            assert!(error.starts_with(&format!("\"{given}\"")), "{given}: {error}");
        }
        let long = Reference::parse(&"a".repeat(256)).unwrap_err();
        assert!(matches!(long, ReferenceError::Repository { .. }));
    }
}
