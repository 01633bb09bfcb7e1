//! A run's ServiceAccount and Secrets, as far as a Pod is made from them (runtime.md 1.13, 2.2).
//!
//! The controller reads them, see `tektite_controller::account`. No I/O. What a Secret holds is never
//! printed: its [`Values`] show their keys only.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::api::core::v1 as wire;

/// A ServiceAccount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its name.
    pub name: String,
    /// The names in its `secrets`, in order, each once.
    pub secrets: Vec<String>,
    /// The names in its `imagePullSecrets`, in order, each once.
    pub image_pull_secrets: Vec<String>,
}

impl From<wire::ServiceAccount> for ServiceAccount {
    fn from(account: wire::ServiceAccount) -> Self {
        let secrets = account.secrets.unwrap_or_default();
        let pull = account.image_pull_secrets.unwrap_or_default();
        Self {
            name: account.metadata.name.unwrap_or_default(),
            secrets: each_once(secrets.into_iter().filter_map(|secret| secret.name)),
            image_pull_secrets: each_once(pull.into_iter().map(|secret| secret.name)),
        }
    }
}

/// The names in order, without those that are empty or were there before.
pub fn each_once(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut once = Vec::new();
    for name in names {
        if !name.is_empty() && !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// What a Secret says that it is: its `type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretType {
    /// `kubernetes.io/basic-auth`.
    BasicAuth,
    /// `kubernetes.io/ssh-auth`.
    SshAuth,
    /// `kubernetes.io/dockercfg`.
    DockerCfg,
    /// `kubernetes.io/dockerconfigjson`.
    DockerConfigJson,
    /// `Opaque`, and every other type.
    #[default]
    Other,
}

impl SecretType {
    /// The type that is called `word`.
    pub fn from_word(word: &str) -> Self {
        match word {
            "kubernetes.io/basic-auth" => Self::BasicAuth,
            "kubernetes.io/ssh-auth" => Self::SshAuth,
            "kubernetes.io/dockercfg" => Self::DockerCfg,
            "kubernetes.io/dockerconfigjson" => Self::DockerConfigJson,
            _ => Self::Other,
        }
    }
}

/// What a Secret holds, by key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, Vec<u8>>);

impl Values {
    /// The bytes under `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// Whether there is something under `key`, be it empty.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

impl FromIterator<(String, Vec<u8>)> for Values {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Its type.
    pub secret_type: SecretType,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// What it holds.
    pub values: Values,
}

impl From<wire::Secret> for Secret {
    fn from(secret: wire::Secret) -> Self {
        let data = secret.data.unwrap_or_default();
        Self {
            name: secret.metadata.name.unwrap_or_default(),
            secret_type: SecretType::from_word(secret.type_.as_deref().unwrap_or_default()),
            annotations: secret.metadata.annotations.unwrap_or_default(),
            values: data.into_iter().map(|(key, value)| (key, value.0)).collect(),
        }
    }
}

/// Secrets that were asked for by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Those that exist, in the order of the question.
    pub found: Vec<Secret>,
    /// The names of those that do not.
    pub missing: Vec<String>,
}

/// The account of a run that is about to get its Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// Nobody asked.
    #[default]
    NotRead,
    /// There is none of this name.
    Missing(String),
    /// Here it is, with what its `secrets` name.
    Found {
        /// Itself.
        account: ServiceAccount,
        /// Its `secrets`.
        secrets: Secrets,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_come_in_order_and_once() {
        let account: wire::ServiceAccount = serde_json::from_value(json!({
            "metadata": {"name": "builder"},
            "secrets": [{"name": "b"}, {"name": ""}, {}, {"name": "a"}, {"name": "b"}],
            "imagePullSecrets": [{"name": "p"}, {"name": "p"}],
        }))
        .unwrap();
        let expected = ServiceAccount {
            name: "builder".to_owned(),
            secrets: vec!["b".to_owned(), "a".to_owned()],
            image_pull_secrets: vec!["p".to_owned()],
        };
        assert_eq!(ServiceAccount::from(account), expected);
        let bare = ServiceAccount::from(wire::ServiceAccount::default());
        assert_eq!(bare, ServiceAccount::default());
    }

    #[test]
    fn a_secret_keeps_what_it_holds_and_prints_the_keys_only() {
        let secret: wire::Secret = serde_json::from_value(json!({
            "metadata": {"name": "s", "annotations": {"tekton.dev/git-0": "https://example.com"}},
            "type": "kubernetes.io/basic-auth",
            "data": {"password": "aHVudGVyMg==", "username": ""},
        }))
        .unwrap();
        let secret = Secret::from(secret);
        assert_eq!(secret.secret_type, SecretType::BasicAuth);
        assert_eq!(secret.values.get("password"), Some(&b"hunter2"[..]));
        assert!(secret.values.has("username") && !secret.values.has("token"));
        let printed = format!("{secret:?}");
        assert!(printed.contains(r#"{"password", "username"}"#), "{printed}");
        assert!(
            !printed.contains("hunter2") && !printed.contains("104, 117"),
            "{printed}"
        );
    }
}
