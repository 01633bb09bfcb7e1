//! Credentials: the Secrets of the run's account that say where they may be used, as flags, volumes
//! and mounts (runtime.md 1.13).
//!
//! What can be wrong with a Secret is said here, once, instead of by every step (W-28). Messages name
//! Secrets, keys and URLs, never what a Secret holds.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, EnvVar, SecretVolumeSource, Volume, VolumeMount};
use serde_json::value::RawValue;
use tektite_api::{Step, TaskSpec};
use tektite_protocol::{
    credentials::{Credential, CredentialKind},
    paths,
};

use crate::{
    account::{Account, Secret, SecretType},
    config::FeatureFlags,
    names::VolumeNames,
};

/// Why no Pod can be made with these credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The run's account is not there.
    #[error("serviceaccounts \"{0}\" not found")]
    NoAccount(String),
    /// A key without the host keys that the operator asks for.
    #[error(
        "TaskRun validation failed. Secret \"{0}\" of type kubernetes.io/ssh-auth has no key known_hosts, which feature flag \
         require-git-ssh-secret-known-hosts asks for: add one"
    )]
    NoKnownHosts(String),
    /// A Secret without what its type promises.
    #[error(
        "secret \"{secret}\" of type {secret_type} has no key {key}: add it, or take its annotation \"{annotation}\" away"
    )]
    NoKey {
        /// The Secret.
        secret: String,
        /// Its type.
        secret_type: &'static str,
        /// What it lacks.
        key: &'static str,
        /// Why it is looked at.
        annotation: String,
    },
    /// A docker configuration that is none.
    #[error("secret \"{secret}\": {key} is not a JSON object, as docker's configuration has to be")]
    NotJson {
        /// The Secret.
        secret: String,
        /// Its key.
        key: &'static str,
    },
    /// Two users for one place.
    #[error(
        "secrets \"{first}\" and \"{second}\" both have an annotation {prefix}* with the value \"{url}\": take one of them away"
    )]
    UrlTwice {
        /// The Secret that comes first.
        first: String,
        /// The other.
        second: String,
        /// What the annotations' keys begin with.
        prefix: &'static str,
        /// The place.
        url: String,
    },
}

const DOCKER: &str = "tekton.dev/docker-";
const GIT: &str = "tekton.dev/git-";

/// A way in which Secrets become flags; they are tried in this order.
struct Rule {
    secret_type: SecretType,
    word: &'static str,
    /// What an annotation's key must begin with; a docker configuration needs none.
    prefix: Option<&'static str>,
    kind: CredentialKind,
    /// What the Secret must hold.
    keys: &'static [&'static str],
}

const RULES: [Rule; 5] = [
    Rule {
        secret_type: SecretType::BasicAuth,
        word: "kubernetes.io/basic-auth",
        prefix: Some(DOCKER),
        kind: CredentialKind::BasicDocker,
        keys: &["username", "password"],
    },
    Rule {
        secret_type: SecretType::DockerConfigJson,
        word: "kubernetes.io/dockerconfigjson",
        prefix: None,
        kind: CredentialKind::DockerConfig,
        keys: &[".dockerconfigjson"],
    },
    Rule {
        secret_type: SecretType::DockerCfg,
        word: "kubernetes.io/dockercfg",
        prefix: None,
        kind: CredentialKind::DockerCfg,
        keys: &[".dockercfg"],
    },
    Rule {
        secret_type: SecretType::BasicAuth,
        word: "kubernetes.io/basic-auth",
        prefix: Some(GIT),
        kind: CredentialKind::BasicGit,
        keys: &["username", "password"],
    },
    Rule {
        secret_type: SecretType::SshAuth,
        word: "kubernetes.io/ssh-auth",
        prefix: Some(GIT),
        kind: CredentialKind::SshGit,
        keys: &["ssh-privatekey"],
    },
];

/// The credentials of one Pod.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// What every step is told.
    pub(super) flags: Vec<Credential>,
    /// Volumes and the Secrets in them.
    secrets: Vec<(String, String)>,
    /// The steps that have a directory for credentials.
    homes: Vec<usize>,
}

impl Credentials {
    /// Those of `account`, for the steps of `spec`, in which `$(credentials.path)` is replaced.
    pub(super) fn of(
        account: &Account,
        spec: &TaskSpec,
        env: &[EnvVar],
        switches: &FeatureFlags,
    ) -> Result<Self, CredentialError> {
        let mut credentials = Self::default();
        if switches.creds_init_disabled {
            return Ok(credentials);
        }
        match account {
            Account::NotRead => {}
            Account::Missing(name) => return Err(CredentialError::NoAccount(name.clone())),
            Account::Found { secrets, .. } => {
                credentials.take(&secrets.found, switches.ssh_known_hosts_required)?;
            }
        }
        let steps = spec.steps.iter().enumerate();
        let homes = steps.filter(|(_, step)| !credentials.flags.is_empty() || speaks_of_it(step, env));
        credentials.homes = homes.map(|(index, _)| index).collect();
        Ok(credentials)
    }

    fn take(&mut self, secrets: &[Secret], known_hosts_required: bool) -> Result<(), CredentialError> {
        let mut volumes = VolumeNames::credentials();
        let mut users: BTreeMap<(&'static str, String), String> = BTreeMap::new();
        for secret in secrets {
            if known_hosts_required
                && secret.secret_type == SecretType::SshAuth
                && !secret.values.has("known_hosts")
            {
                return Err(CredentialError::NoKnownHosts(secret.name.clone()));
            }
            let before = self.flags.len();
            for rule in RULES.iter().filter(|rule| rule.secret_type == secret.secret_type) {
                for url in rule.urls(secret)? {
                    // Several keys may open one SSH server; there is one user for a URL.
                    if rule.keys.contains(&"username") {
                        let place = (rule.prefix.unwrap_or_default(), url.clone());
                        if let Some(first) = users.insert(place, secret.name.clone()) {
                            return Err(CredentialError::UrlTwice {
                                first,
                                second: secret.name.clone(),
                                prefix: rule.prefix.unwrap_or_default(),
                                url,
                            });
                        }
                    }
                    self.flags.push(Credential {
                        kind: rule.kind,
                        secret: secret.name.clone(),
                        url,
                    });
                }
            }
            if self.flags.len() > before {
                self.secrets
                    .push((volumes.next(&secret.name), secret.name.clone()));
            }
        }
        Ok(())
    }

    /// The volumes with Secrets.
    pub(super) fn secret_volumes(&self) -> impl Iterator<Item = Volume> {
        self.secrets.iter().map(|(volume, secret)| Volume {
            name: volume.clone(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(secret.clone()),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        })
    }

    /// Where step `index` has its credentials: in memory, seen by no other step.
    pub(super) fn home_volume(&self, index: usize) -> Option<Volume> {
        self.homes.contains(&index).then(|| Volume {
            name: home(index),
            empty_dir: Some(EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        })
    }

    /// Its mount.
    pub(super) fn home_mount(&self, index: usize) -> Option<VolumeMount> {
        self.homes
            .contains(&index)
            .then(|| mount(home(index), paths::CREDENTIALS_DIR.to_owned()))
    }

    /// The mounts of the Secrets, the same in every step.
    pub(super) fn secret_mounts(&self) -> impl Iterator<Item = VolumeMount> {
        self.secrets.iter().map(|(volume, secret)| {
            mount(
                volume.clone(),
                format!("{}/{secret}", paths::CREDENTIAL_SECRETS_DIR),
            )
        })
    }
}

impl Rule {
    /// The places where the Secret may be used by this rule, sorted, each once; one empty text for
    /// kinds without a URL.
    fn urls(&self, secret: &Secret) -> Result<Vec<String>, CredentialError> {
        let Some(prefix) = self.prefix else {
            for key in self.keys {
                let text = secret.values.get(key).unwrap_or_default();
                if serde_json::from_slice::<BTreeMap<String, &RawValue>>(text).is_err() {
                    return Err(CredentialError::NotJson {
                        secret: secret.name.clone(),
                        key,
                    });
                }
            }
            return Ok(vec![String::new()]);
        };
        let mut annotations = secret.annotations.iter();
        let Some((annotation, _)) = annotations.find(|(key, _)| key.starts_with(prefix)) else {
            return Ok(Vec::new());
        };
        if let Some(key) = self.keys.iter().find(|key| !secret.values.has(key)) {
            return Err(CredentialError::NoKey {
                secret: secret.name.clone(),
                secret_type: self.word,
                key,
                annotation: annotation.clone(),
            });
        }
        let annotations = secret.annotations.iter();
        let of_ours = annotations.filter(|(key, _)| key.starts_with(prefix));
        let mut urls: Vec<String> = of_ours.map(|(_, url)| url.clone()).collect();
        urls.sort_unstable();
        urls.dedup();
        Ok(urls)
    }
}

fn home(index: usize) -> String {
    format!("tekton-creds-init-home-{index}")
}

fn mount(name: String, path: String) -> VolumeMount {
    VolumeMount {
        name,
        mount_path: path,
        ..VolumeMount::default()
    }
}

/// Whether a step names the directory: then it finds one, also without credentials.
fn speaks_of_it(step: &Step, env: &[EnvVar]) -> bool {
    let texts = [&step.script, &step.working_dir].into_iter();
    let texts = texts.chain(&step.command).chain(&step.args);
    let values = step.env.iter().chain(env);
    texts
        .chain(values.filter_map(|env| env.value.as_ref()))
        .any(|text| text.contains(paths::CREDENTIALS_DIR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Secrets, ServiceAccount};
    use serde_json::{Value, json};

    fn secret(name: &str, secret_type: &str, annotations: Value, keys: &[&str]) -> Secret {
        let data: serde_json::Map<String, Value> = keys
            .iter()
            .map(|key| ((*key).to_owned(), json!("e30=")))
            .collect();
        let wire: k8s_openapi::api::core::v1::Secret = serde_json::from_value(json!({
            "metadata": {"name": name, "annotations": annotations},
            "type": secret_type,
            "data": data,
        }))
        .unwrap();
        wire.into()
    }

    fn basic(name: &str, annotations: Value) -> Secret {
        secret(
            name,
            "kubernetes.io/basic-auth",
            annotations,
            &["username", "password"],
        )
    }

    fn taken(secrets: Vec<Secret>, switches: &FeatureFlags) -> Result<Credentials, CredentialError> {
        let account = Account::Found {
            account: ServiceAccount::default(),
            secrets: Secrets {
                found: secrets,
                missing: Vec::new(),
            },
        };
        let mut spec = TaskSpec::default();
        spec.steps.resize_with(2, Step::default);
        Credentials::of(&account, &spec, &[], switches)
    }

    fn flags(credentials: &Credentials) -> Vec<String> {
        let flags = credentials.flags.iter();
        flags
            .map(|flag| format!("{} {} {}", flag.kind.flag(), flag.secret, flag.url))
            .collect()
    }

    #[test]
    fn types_and_annotations_say_what_a_secret_is_for() {
        let git = json!({"tekton.dev/git-1": "https://a", "tekton.dev/git-0": "https://b", "other": "x"});
        for (secret, expected) in [
            (
                basic("s", git.clone()),
                vec!["basic-git s https://a", "basic-git s https://b"],
            ),
            (
                basic(
                    "s",
                    json!({"tekton.dev/git-0": "https://a", "tekton.dev/docker-0": "https://r"}),
                ),
                vec!["basic-docker s https://r", "basic-git s https://a"],
            ),
            // The same twice in one Secret is no contradiction.
            (
                basic(
                    "s",
                    json!({"tekton.dev/git-0": "https://a", "tekton.dev/git-1": "https://a"}),
                ),
                vec!["basic-git s https://a"],
            ),
            (basic("s", json!({})), vec![]),
            (
                secret(
                    "s",
                    "kubernetes.io/ssh-auth",
                    json!({"tekton.dev/git-0": "h"}),
                    &["ssh-privatekey"],
                ),
                vec!["ssh-git s h"],
            ),
            (
                secret(
                    "s",
                    "kubernetes.io/ssh-auth",
                    json!({"tekton.dev/docker-0": "h"}),
                    &["ssh-privatekey"],
                ),
                vec![],
            ),
            (
                secret(
                    "s",
                    "kubernetes.io/dockerconfigjson",
                    json!({}),
                    &[".dockerconfigjson"],
                ),
                vec!["docker-config s "],
            ),
            (
                secret("s", "kubernetes.io/dockercfg", json!({}), &[".dockercfg"]),
                vec!["docker-cfg s "],
            ),
            (secret("s", "Opaque", git, &["username", "password"]), vec![]),
        ] {
            let credentials = taken(vec![secret.clone()], &FeatureFlags::default()).unwrap();
            assert_eq!(flags(&credentials), expected, "{secret:?}");
            let any = usize::from(!expected.is_empty());
            assert_eq!(credentials.secret_volumes().count(), any, "{secret:?}");
            assert_eq!(credentials.homes.len(), any * 2, "{secret:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_by_name() {
        let git = json!({"tekton.dev/git-0": "https://a"});
        let strict = FeatureFlags {
            ssh_known_hosts_required: true,
            ..FeatureFlags::default()
        };
        for (secrets, error) in [
            (
                vec![basic("a", git.clone()), basic("b", git.clone())],
                "secrets \"a\" and \"b\" both have an annotation tekton.dev/git-* with the value \"https://a\"",
            ),
            (
                vec![secret(
                    "a",
                    "kubernetes.io/basic-auth",
                    git.clone(),
                    &["password"],
                )],
                "secret \"a\" of type kubernetes.io/basic-auth has no key username: add it, or take its annotation \
                 \"tekton.dev/git-0\" away",
            ),
            (
                vec![secret("a", "kubernetes.io/dockercfg", json!({}), &[])],
                "secret \"a\": .dockercfg is not a JSON object",
            ),
            (
                // Also where no annotation makes use of it.
                vec![secret(
                    "a",
                    "kubernetes.io/ssh-auth",
                    json!({}),
                    &["ssh-privatekey"],
                )],
                "TaskRun validation failed. Secret \"a\"",
            ),
        ] {
            let found = taken(secrets, &strict).unwrap_err().to_string();
            assert!(found.starts_with(error), "{found}");
        }
        let ssh = secret(
            "a",
            "kubernetes.io/ssh-auth",
            git,
            &["ssh-privatekey", "known_hosts"],
        );
        let other = Secret {
            name: "b".to_owned(),
            ..ssh.clone()
        };
        let both = taken(vec![ssh, other], &strict).unwrap();
        assert_eq!(flags(&both), ["ssh-git a https://a", "ssh-git b https://a"]);
    }

    #[test]
    fn a_step_that_names_the_directory_has_one() {
        let spec: TaskSpec = serde_json::from_value(json!({"steps": [
            {"image": "i", "script": "ls /tekton/creds"},
            {"image": "i", "command": ["ls"]},
            {"image": "i", "env": [{"name": "X", "value": "/tekton/creds/.docker"}]},
        ]}))
        .unwrap();
        let homes = |account: &Account, env: &[EnvVar], switches: &FeatureFlags| {
            Credentials::of(account, &spec, env, switches).unwrap().homes
        };
        let normal = FeatureFlags::default();
        assert_eq!(homes(&Account::NotRead, &[], &normal), [0, 2]);
        let env: EnvVar = serde_json::from_value(json!({"name": "X", "value": "/tekton/creds"})).unwrap();
        assert_eq!(homes(&Account::NotRead, &[env], &normal), [0, 1, 2]);
        let disabled = FeatureFlags {
            creds_init_disabled: true,
            ..FeatureFlags::default()
        };
        let missing = Account::Missing("x".to_owned());
        assert!(homes(&missing, &[], &disabled).is_empty());
        let error = Credentials::of(&missing, &spec, &[], &normal).unwrap_err();
        assert_eq!(error.to_string(), "serviceaccounts \"x\" not found");
    }
}
