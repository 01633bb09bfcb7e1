//! How registries are asked: keys of `config-defaults`. No I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use tektite_api::GoDuration;

use crate::config::ConfigError;

/// Where to ask instead of a registry, first to last.
const MIRRORS: &str = "image-look-up-mirrors";
/// Which registries may be asked without TLS.
const INSECURE: &str = "image-look-up-insecure-registries";
/// How long what a tag means is taken for known.
const TTL: &str = "image-look-up-ttl";

/// The keys, for those who know them all.
pub const KEYS: [&str; 3] = [MIRRORS, INSECURE, TTL];

/// How registries are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookUpSettings {
    /// By registry, as people write it: where its images are as well.
    pub mirrors: BTreeMap<String, Vec<Endpoint>>,
    /// Hosts, with their port, that may be asked without TLS.
    pub insecure: Vec<String>,
    /// How long it is taken for known which image has a tag.
    pub ttl: Duration,
}

impl Default for LookUpSettings {
    fn default() -> Self {
        Self {
            mirrors: BTreeMap::new(),
            insecure: Vec::new(),
            ttl: Duration::from_secs(30),
        }
    }
}

/// How an endpoint is spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// TLS only.
    Https,
    /// TLS, and without it where there is none.
    Either,
    /// Never TLS.
    Http,
}

/// A place that answers for a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Its host, with its port.
    pub host: String,
    /// What lies before `/v2`: empty, or with a slash at its beginning and none at its end.
    pub path: String,
    /// How it is spoken with.
    pub scheme: Scheme,
}

impl Endpoint {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(_) => return None,
            None => (Scheme::Https, text),
        };
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let path = path.trim_end_matches('/');
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"?#@\"<>\\^`{|}".contains(&byte))
        };
        (!host.is_empty() && plain(host) && plain(path)).then(|| Self {
            host: host.to_owned(),
            path: path.to_owned(),
            scheme,
        })
    }
}

impl LookUpSettings {
    /// Reads the keys.
    ///
    /// # Errors
    /// The first key whose value cannot be read.
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        let get = |key: &str| {
            data.get(key)
                .map(|value| value.trim())
                .filter(|value| !value.is_empty())
        };
        let bad = |key: &'static str, allowed: String| ConfigError::Default {
            key,
            value: get(key).unwrap_or_default().to_owned(),
            allowed,
        };
        if let Some(value) = get(TTL) {
            let ttl = value.parse::<GoDuration>().ok().filter(|ttl| !ttl.is_negative());
            let ttl = ttl.ok_or_else(|| {
                bad(
                    TTL,
                    "write a duration such as \"30s\", or \"0s\" to ask for every Pod".to_owned(),
                )
            })?;
            settings.ttl = ttl.to_std();
        }
        if let Some(value) = get(INSECURE) {
            let hosts = value.split(',').map(str::trim).filter(|host| !host.is_empty());
            settings.insecure = hosts.map(str::to_ascii_lowercase).collect();
        }
        if let Some(value) = get(MIRRORS) {
            let form =
                "write one line for each registry, such as \"docker.io: [https://mirror.example.com]\"";
            let tree = crate::yaml::read(value).map_err(|error| bad(MIRRORS, format!("{form} ({error})")))?;
            let mirrors: BTreeMap<String, Vec<String>> = tektite_api::decode::read_lenient(&tree)
                .map_err(|misfit| bad(MIRRORS, format!("{form} ({misfit})")))?;
            for (registry, endpoints) in mirrors {
                let parsed: Option<Vec<Endpoint>> =
                    endpoints.iter().map(|text| Endpoint::parse(text)).collect();
                let parsed = parsed.ok_or_else(|| bad(MIRRORS, form.to_owned()))?;
                let registry = if registry == "index.docker.io" {
                    "docker.io".to_owned()
                } else {
                    registry
                };
                settings.mirrors.insert(registry, parsed);
            }
        }
        Ok(settings)
    }

    /// Where images of the registry called `name` are asked for: its mirrors, then itself.
    pub fn endpoints(&self, name: &str) -> Vec<Endpoint> {
        let mut endpoints = self.mirrors.get(name).cloned().unwrap_or_default();
        // The host that speaks the protocol for the name that everybody writes.
        let host = if name == "docker.io" {
            "registry-1.docker.io"
        } else {
            name
        };
        endpoints.push(Endpoint {
            host: host.to_owned(),
            path: String::new(),
            scheme: self.scheme(name),
        });
        endpoints
    }

    /// The hosts, with their port, that the operator has named.
    pub fn named(&self) -> BTreeSet<String> {
        let mirrors = self.mirrors.values().flatten();
        let mirrors = mirrors.map(|endpoint| endpoint.host.to_ascii_lowercase());
        mirrors.chain(self.insecure.iter().cloned()).collect()
    }

    fn scheme(&self, name: &str) -> Scheme {
        if self.insecure.contains(&name.to_ascii_lowercase()) || is_local(name) {
            Scheme::Either
        } else {
            Scheme::Https
        }
    }
}

/// Whether a registry's name says that it is near: then clients have always done without TLS, too.
fn is_local(name: &str) -> bool {
    let host = match name.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => name,
    };
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return match address {
            IpAddr::V4(address) => address.is_loopback() || address.is_private(),
            IpAddr::V6(address) => address.is_loopback(),
        };
    }
    let last = host.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    matches!(last.as_str(), "localhost" | "local")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<LookUpSettings, ConfigError> {
        let data = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        LookUpSettings::parse(&data.collect())
    }

    fn written(endpoints: &[Endpoint]) -> Vec<String> {
        let each = |endpoint: &Endpoint| format!("{:?} {}{}", endpoint.scheme, endpoint.host, endpoint.path);
        endpoints.iter().map(each).collect()
    }

    #[test]
    fn endpoints_in_order() {
        let mirrors =
            "docker.io: [https://mirror.example.com/hub/, \"http://registry.local:5000\"]\nquay.io: [q]\n";
        let settings = parse(&[
            (MIRRORS, mirrors),
            (INSECURE, "old.example.com:5000, , b"),
            (TTL, "2m"),
        ])
        .unwrap();
        assert_eq!(settings.ttl, Duration::from_mins(2));
        let named: Vec<String> = settings.named().into_iter().collect();
        let expected = [
            "b",
            "mirror.example.com",
            "old.example.com:5000",
            "q",
            "registry.local:5000",
        ];
        assert_eq!(named, expected);
        for (registry, expected) in [
            (
                "docker.io",
                &[
                    "Https mirror.example.com/hub",
                    "Http registry.local:5000",
                    "Https registry-1.docker.io",
                ][..],
            ),
            ("quay.io", &["Https q", "Https quay.io"]),
            ("gcr.io", &["Https gcr.io"]),
            ("old.example.com:5000", &["Either old.example.com:5000"]),
            ("registry.local:5000", &["Either registry.local:5000"]),
            ("localhost", &["Either localhost"]),
            ("127.0.0.1:5000", &["Either 127.0.0.1:5000"]),
            ("10.1.2.3:5000", &["Either 10.1.2.3:5000"]),
            ("192.0.2.1:5000", &["Https 192.0.2.1:5000"]),
            ("[::1]:5000", &["Either [::1]:5000"]),
        ] {
            assert_eq!(written(&settings.endpoints(registry)), expected, "{registry}");
        }
    }

    #[test]
    fn what_is_not_there_is_default_and_what_is_wrong_is_told() {
        assert_eq!(parse(&[]).unwrap(), LookUpSettings::default());
        assert_eq!(
            parse(&[(TTL, " "), (MIRRORS, "")]).unwrap(),
            LookUpSettings::default()
        );
        assert_eq!(parse(&[(TTL, "0s")]).unwrap().ttl, Duration::ZERO);
        for (key, value, part) in [
            (TTL, "30", "write a duration"),
            (TTL, "-1s", "write a duration"),
            (MIRRORS, "docker.io", "write one line for each registry"),
            (
                MIRRORS,
                "docker.io: [ftp://x]",
                "write one line for each registry",
            ),
            (
                MIRRORS,
                "docker.io: ['https://']",
                "write one line for each registry",
            ),
            (
                MIRRORS,
                "docker.io: ['https://a b']",
                "write one line for each registry",
            ),
        ] {
            let error = parse(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(key), "{error}");
        }
    }
}
