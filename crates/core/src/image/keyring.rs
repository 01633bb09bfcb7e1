//! Which credentials a registry is asked with: those of the run's pull secrets, matched as the kubelet
//! does, so that who may pull an image may also have it looked up. No I/O.
//!
//! A key of a pull secret is a host, with a port where the image has one, and maybe the beginning of a
//! repository; a `*` stands for a part of one label. Longer keys come first. What a secret holds is
//! never printed.

use std::{collections::BTreeMap, fmt};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Reference;
use crate::account::{Secret, SecretType, Secrets};

/// Padding at the end or not: both are found.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").finish_non_exhaustive()
    }
}

/// What tells credentials apart without holding them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of `credentials`, in their order.
    pub fn of(credentials: &[Credential]) -> Self {
        let mut hash = Sha256::new();
        for part in credentials
            .iter()
            .flat_map(|each| [&each.username, &each.password])
        {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// The credentials of a run.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    entries: Vec<Entry>,
    problems: Vec<String>,
}

#[derive(Clone, Debug)]
struct Entry {
    host: String,
    path: String,
    credential: Credential,
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, DockerEntry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DockerEntry {
    username: String,
    password: String,
    auth: String,
}

impl Keyring {
    /// The credentials in `secrets`, which are in the order in which they count.
    pub fn new(secrets: &Secrets) -> Self {
        let mut keyring = Self::default();
        for secret in &secrets.found {
            if let Err(why) = keyring.add(secret) {
                keyring.problems.push(format!("Secret \"{}\" {why}", secret.name));
            }
        }
        // Where a host is named twice, the longer path wins; the sort keeps the order of the rest.
        keyring
            .entries
            .sort_by_key(|entry| std::cmp::Reverse(entry.host.len() + entry.path.len()));
        for name in &secrets.missing {
            keyring.problems.push(format!("Secret \"{name}\" does not exist"));
        }
        keyring
    }

    /// What is wrong with the secrets, a phrase each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The credentials for `image`, the best first.
    pub fn matching(&self, image: &Reference) -> Vec<Credential> {
        if image.is_default_registry() {
            self.of(&[image.registry(), image.registry_name()], image.repository())
        } else {
            self.at(image.registry(), image.repository())
        }
    }

    /// The credentials for a repository at `host`, the best first.
    pub fn at(&self, host: &str, repository: &str) -> Vec<Credential> {
        self.of(&[host], repository)
    }

    fn of(&self, hosts: &[&str], repository: &str) -> Vec<Credential> {
        let path = format!("/{repository}");
        let fits = |entry: &&Entry| {
            path.starts_with(&entry.path) && hosts.iter().any(|host| host_matches(&entry.host, host))
        };
        let mut found: Vec<Credential> = Vec::new();
        for entry in self.entries.iter().filter(fits) {
            if !found.contains(&entry.credential) {
                found.push(entry.credential.clone());
            }
        }
        found
    }

    fn add(&mut self, secret: &Secret) -> Result<(), String> {
        let entries = match secret.secret_type {
            SecretType::DockerConfigJson => {
                let config: DockerConfig = content(secret, ".dockerconfigjson")?;
                config.auths
            }
            SecretType::DockerCfg => content(secret, ".dockercfg")?,
            _ => {
                return Err(
                    "is no pull secret: its type is neither kubernetes.io/dockerconfigjson nor \
                            kubernetes.io/dockercfg"
                        .to_owned(),
                );
            }
        };
        // An entry that names nobody is for tools that keep the password elsewhere.
        for (key, entry) in entries.into_iter().filter(|(_, entry)| !entry.is_empty()) {
            let credential = entry.credential().ok_or_else(|| {
                format!("has an entry for \"{key}\" whose auth is not user:password in base64")
            })?;
            let (host, path) = split_key(&key);
            self.entries.push(Entry {
                host,
                path,
                credential,
            });
        }
        Ok(())
    }
}

impl DockerEntry {
    fn is_empty(&self) -> bool {
        self.auth.is_empty() && self.username.is_empty() && self.password.is_empty()
    }

    fn credential(self) -> Option<Credential> {
        if self.auth.is_empty() {
            return Some(Credential {
                username: self.username,
                password: self.password,
            });
        }
        let decoded = BASE64.decode(self.auth.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (username, password) = text.split_once(':')?;
        Some(Credential {
            username: username.to_owned(),
            // Some tools end it with a NUL.
            password: password.trim_end_matches('\0').to_owned(),
        })
    }
}

fn content<'a, T: Deserialize<'a>>(secret: &'a Secret, key: &str) -> Result<T, String> {
    let bytes = secret
        .values
        .get(key)
        .ok_or_else(|| format!("has no key {key}"))?;
    // The parser's own words quote what it has read.
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("cannot be read: {key} is not what it should be at line {line} column {column}")
    })
}

/// Host and path of a key, which may be an address. The version of the API that old clients write says nothing.
fn split_key(key: &str) -> (String, String) {
    let rest = key.split_once("://").map_or(key, |(_scheme, rest)| rest);
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let path = path
        .strip_prefix("/v1/")
        .or_else(|| path.strip_prefix("/v2/"))
        .map_or(path, |rest| {
            // With its slash, as before.
            if rest.is_empty() { "" } else { &path[3..] }
        });
    let path = if matches!(path, "/" | "/v1" | "/v2") {
        ""
    } else {
        path
    };
    (host.to_ascii_lowercase(), path.to_owned())
}

fn host_matches(pattern: &str, host: &str) -> bool {
    let port = |text: &str| text.rsplit_once(':').map(|(_, port)| port.to_owned());
    let name = |text: &str| {
        text.rsplit_once(':')
            .map_or(text, |(name, _)| name)
            .to_ascii_lowercase()
    };
    let (patterns, labels) = (name(pattern), name(host));
    let mut pairs = patterns.split('.').zip(labels.split('.'));
    port(pattern) == port(host)
        && patterns.split('.').count() == labels.split('.').count()
        && pairs.all(|(pattern, label)| label_matches(pattern, label))
}

/// Whether `label` is what `pattern` says, with `*` for anything.
fn label_matches(pattern: &str, label: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == label;
    };
    let Some(mut left) = label.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match left.find(piece) {
            Some(at) => left = &left[at + piece.len()..],
            None => return false,
        }
    }
    left.len() >= last.len() && left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn secret(name: &str, secret_type: SecretType, key: &str, content: &Value) -> Secret {
        Secret {
            name: name.to_owned(),
            secret_type,
            values: [(key.to_owned(), content.to_string().into_bytes())]
                .into_iter()
                .collect(),
            ..Secret::default()
        }
    }

    fn config(name: &str, auths: Value) -> Secret {
        secret(
            name,
            SecretType::DockerConfigJson,
            ".dockerconfigjson",
            &json!({"auths": auths}),
        )
    }

    fn keyring(found: Vec<Secret>) -> Keyring {
        let missing = vec!["gone".to_owned()];
        Keyring::new(&Secrets { found, missing })
    }

    fn users(keyring: &Keyring, image: &str) -> Vec<String> {
        let found = keyring.matching(&Reference::parse(image).unwrap());
        found.into_iter().map(|credential| credential.username).collect()
    }

    #[test]
    fn an_entry_that_names_nobody_is_none() {
        let auths =
            json!({"registry.example.com": {}, "https://registry.example.com/v1/": {"username": "u"}});
        let keyring = keyring(vec![config("s", auths)]);
        assert_eq!(users(&keyring, "registry.example.com/tool"), ["u"]);
    }

    #[test]
    fn keys_match_as_they_do_for_the_kubelet() {
        let image = "registry.example.com/team/tool";
        for (key, image, matches) in [
            ("registry.example.com", image, true),
            ("https://registry.example.com", image, true),
            ("https://registry.example.com/v1/", image, true),
            ("https://registry.example.com/v2", image, true),
            ("registry.example.com/team", image, true),
            ("registry.example.com/team/tool", image, true),
            ("registry.example.com/v2/team", image, true),
            ("registry.example.com/other", image, false),
            ("*.example.com", image, true),
            ("reg*ry.*.com", image, true),
            ("*.com", image, false),
            ("*", image, false),
            ("registry.example.com:443", image, false),
            ("registry.local:5000", "registry.local:5000/a", true),
            ("registry.local", "registry.local:5000/a", false),
            ("*.local:5000", "registry.local:5000/a", true),
            ("https://index.docker.io/v1/", "busybox", true),
            ("index.docker.io", "docker.io/org/tool", true),
            ("docker.io", "busybox", true),
            ("docker.io/library", "busybox", true),
            ("docker.io/other", "busybox", false),
            ("quay.io", "busybox", false),
        ] {
            let keyring = keyring(vec![config(
                "s",
                json!({key: {"username": "u", "password": "p"}}),
            )]);
            let expected: &[&str] = if matches { &["u"] } else { &[] };
            assert_eq!(users(&keyring, image), expected, "{key} {image}");
        }
    }

    #[test]
    fn longer_keys_come_first_then_earlier_secrets() {
        let entry = |user: &str| json!({"username": user, "password": "p"});
        let keyring = keyring(vec![
            config("a", json!({"r.io": entry("first"), "other.io": entry("x")})),
            config("b", json!({"r.io": entry("second"), "r.io/team": entry("long")})),
            secret(
                "c",
                SecretType::DockerCfg,
                ".dockercfg",
                &json!({"r.io": entry("old"), "q.io": entry("first")}),
            ),
        ]);
        assert_eq!(
            users(&keyring, "r.io/team/tool"),
            ["long", "first", "second", "old"]
        );
        assert_eq!(users(&keyring, "r.io/tool"), ["first", "second", "old"]);
        assert_eq!(keyring.problems(), ["Secret \"gone\" does not exist"]);
    }

    #[test]
    fn auth_is_user_and_password() {
        for (auth, expected) in [
            ("dTpwOnE=", Some(("u", "p:q"))),
            ("dTpwOnE", Some(("u", "p:q"))),
            ("dTpwAA==", Some(("u", "p"))),
            ("dXA=", None),
            ("!", None),
        ] {
            let keyring = keyring(vec![config(
                "s",
                json!({"r.io": {"auth": auth, "username": "no"}}),
            )]);
            let found = keyring.matching(&Reference::parse("r.io/a").unwrap());
            let found = found
                .first()
                .map(|each| (each.username.as_str(), each.password.as_str()));
            assert_eq!(found, expected, "{auth}");
        }
    }

    #[test]
    fn problems_are_told_and_nothing_is_printed() {
        let broken = secret(
            "broken",
            SecretType::DockerConfigJson,
            ".dockerconfigjson",
            &json!({"auths": "hunter2"}),
        );
        let keyring = keyring(vec![
            broken,
            secret("opaque", SecretType::Other, "x", &json!({})),
            config("auth", json!({"r.io": {"auth": "hunter2"}})),
            config(
                "good",
                json!({"r.io": {"username": "someone", "password": "hunter2"}}),
            ),
            secret("empty", SecretType::DockerCfg, ".dockerconfigjson", &json!({})),
        ]);
        let problems = keyring.problems().join("\n");
        for part in [
            "Secret \"broken\" cannot be read: .dockerconfigjson is not what it should be at line 1 column",
            "Secret \"opaque\" is no pull secret",
            "Secret \"auth\" has an entry for \"r.io\" whose auth",
            "Secret \"empty\" has no key .dockercfg",
        ] {
            assert!(problems.contains(part), "{problems}");
        }
        let printed = format!(
            "{keyring:?} {:?}",
            keyring.matching(&Reference::parse("r.io/a").unwrap())
        );
        assert!(
            !printed.contains("hunter2") && !printed.contains("someone"),
            "{printed}"
        );
    }

    #[test]
    fn fingerprints_tell_credentials_apart() {
        let credential = |username: &str, password: &str| Credential {
            username: username.to_owned(),
            password: password.to_owned(),
        };
        let all = [
            vec![],
            vec![credential("a", "bc")],
            vec![credential("ab", "c")],
            vec![credential("a", "bc"), credential("", "")],
        ];
        for (first, one) in all.iter().enumerate() {
            for (second, other) in all.iter().enumerate() {
                assert_eq!(Fingerprint::of(one) == Fingerprint::of(other), first == second);
            }
        }
    }
}
