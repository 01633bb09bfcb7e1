//! Which credentials a step gets, as flags of the form `-<kind>=<secret>[=<url>]` (runtime.md 1.13).
//!
//! What the Secrets hold never travels here: the step reads it from files.

/// What a Secret is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// User and password for a registry.
    BasicDocker,
    /// Docker's `config.json`.
    DockerConfig,
    /// Docker's older `.dockercfg`.
    DockerCfg,
    /// User and password for git.
    BasicGit,
    /// A key for git over SSH.
    SshGit,
}

impl CredentialKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::BasicDocker,
        Self::DockerConfig,
        Self::DockerCfg,
        Self::BasicGit,
        Self::SshGit,
    ];

    /// The flag's name, without dashes.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::BasicDocker => "basic-docker",
            Self::DockerConfig => "docker-config",
            Self::DockerCfg => "docker-cfg",
            Self::BasicGit => "basic-git",
            Self::SshGit => "ssh-git",
        }
    }

    /// The kind whose flag is called `name`.
    pub fn from_flag(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.flag() == name)
    }

    /// Whether it is for one URL; the others name their servers themselves.
    pub const fn has_url(self) -> bool {
        !matches!(self, Self::DockerConfig | Self::DockerCfg)
    }
}

/// One use of one Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// What for.
    pub kind: CredentialKind,
    /// The Secret's name; its files are below [`crate::paths::CREDENTIAL_SECRETS_DIR`].
    pub secret: String,
    /// Where it is to be used; empty for kinds without a URL.
    pub url: String,
}

impl Credential {
    /// The flag, one argument.
    pub(crate) fn to_arg(&self) -> String {
        let (flag, secret) = (self.kind.flag(), &self.secret);
        if self.kind.has_url() {
            // The kubelet folds `$$` and replaces `$(NAME)`.
            format!("-{flag}={secret}={}", self.url.replace('$', "$$"))
        } else {
            format!("-{flag}={secret}")
        }
    }

    /// Reads what stands behind the flag's name. A URL may have `=` in it, a Secret's name not.
    pub(crate) fn parse(kind: CredentialKind, value: &str) -> Option<Self> {
        let (secret, url) = if kind.has_url() {
            value.split_once('=')?
        } else {
            (value, "")
        };
        // The name becomes a path.
        let is_name = !secret.is_empty() && !secret.starts_with('.') && !secret.contains('/');
        is_name.then(|| Self {
            kind,
            secret: secret.to_owned(),
            url: url.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_read_back() {
        for (kind, value, secret, url) in [
            (CredentialKind::BasicGit, "s=https://a", "s", "https://a"),
            (
                CredentialKind::BasicGit,
                "s=https://a/?q=1",
                "s",
                "https://a/?q=1",
            ),
            (CredentialKind::SshGit, "s=", "s", ""),
            (CredentialKind::DockerConfig, "s.t", "s.t", ""),
        ] {
            let read = Credential::parse(kind, value).unwrap();
            assert_eq!((read.secret.as_str(), read.url.as_str()), (secret, url));
            assert_eq!(read.to_arg(), format!("-{}={value}", kind.flag()));
        }
        for (kind, value) in [
            (CredentialKind::BasicDocker, "s"),
            (CredentialKind::BasicDocker, "=https://a"),
            (CredentialKind::DockerCfg, "../s"),
            (CredentialKind::DockerCfg, "a/b"),
        ] {
            assert_eq!(Credential::parse(kind, value), None, "{value}");
        }
    }
}
