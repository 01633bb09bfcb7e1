//! The settings that cluster operators keep in ConfigMaps (api.md section 7, departures.md).
//!
//! Values are read once into types; an unknown key is no error, since the ConfigMaps are shared
//! with engines that know more keys.

use std::collections::BTreeMap;

use tektite_api::{GoDuration, PodTemplate};

/// Everything from the ConfigMaps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `config-defaults`.
    pub defaults: Defaults,
    /// `feature-flags`.
    pub flags: FeatureFlags,
}

/// What objects get where they say nothing: ConfigMap `config-defaults`.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// `default-timeout-minutes`; zero is no timeout.
    pub timeout: GoDuration,
    /// `default-service-account`.
    pub service_account: String,
    /// `default-managed-by-label-value`.
    pub managed_by: String,
    /// `default-pod-template`.
    pub pod_template: Option<PodTemplate>,
    /// `default-forbidden-env`.
    pub forbidden_env: Vec<String>,
    /// `default-resolver-type`.
    pub resolver_type: String,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            timeout: GoDuration::from_secs(60 * 60),
            service_account: "default".to_owned(),
            managed_by: "tekton-pipelines".to_owned(),
            pod_template: None,
            forbidden_env: Vec::new(),
            resolver_type: String::new(),
        }
    }
}

/// How far a user may go: `enable-api-fields`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApiFields {
    /// Only what never changes.
    Stable,
    /// And what hardly will.
    #[default]
    Beta,
    /// Everything.
    Alpha,
}

/// Which volumes of a run must lie on one node: `coschedule`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coschedule {
    /// A run binds one claim at most.
    #[default]
    Workspaces,
    /// No rule for single runs.
    Other,
}

/// Switches: ConfigMap `feature-flags`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureFlags {
    /// `enable-api-fields`.
    pub api_fields: ApiFields,
    /// `coschedule`.
    pub coschedule: Coschedule,
    /// `disable-inline-spec` holds `taskrun`.
    pub inline_spec_disabled: bool,
}

/// A setting that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// In `config-defaults`.
    #[error("failed parsing default config \"{key}\": \"{value}\" is not allowed; {allowed}")]
    Default {
        /// The ConfigMap's key.
        key: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        allowed: String,
    },
    /// In `feature-flags`.
    #[error("invalid value for feature flag \"{key}\": \"{value}\"; {allowed}")]
    Flag {
        /// The ConfigMap's key.
        key: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        allowed: &'static str,
    },
}

type Data = BTreeMap<String, String>;

/// One of the ConfigMaps that settings come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `config-defaults`.
    Defaults,
    /// `feature-flags`.
    Flags,
}

impl Source {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Defaults, Self::Flags];

    /// The ConfigMap's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Defaults => "config-defaults",
            Self::Flags => "feature-flags",
        }
    }

    /// The source that is called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }

    /// `config` with this source's part read from `data`.
    ///
    /// # Errors
    /// The first key that cannot be read.
    pub fn read(self, config: &Config, data: &Data) -> Result<Config, ConfigError> {
        let mut config = config.clone();
        match self {
            Self::Defaults => config.defaults = Defaults::parse(data)?,
            Self::Flags => config.flags = FeatureFlags::parse(data)?,
        }
        Ok(config)
    }
}

impl Defaults {
    /// Reads the data of `config-defaults`.
    ///
    /// # Errors
    /// The first key whose value cannot be read.
    pub fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut defaults = Self::default();
        let get = |key: &str| data.get(key).map(String::as_str);
        let bad = |key: &'static str, value: &str, allowed: &str| ConfigError::Default {
            key,
            value: value.to_owned(),
            allowed: allowed.to_owned(),
        };
        if let Some(value) = get("default-timeout-minutes") {
            let minutes: i64 = value
                .parse()
                .ok()
                .filter(|minutes| *minutes >= 0)
                .ok_or_else(|| {
                    bad(
                        "default-timeout-minutes",
                        value,
                        "write whole minutes, 0 for no timeout",
                    )
                })?;
            defaults.timeout = GoDuration::from_secs(minutes.saturating_mul(60));
        }
        if let Some(value) = get("default-service-account") {
            value.clone_into(&mut defaults.service_account);
        }
        if let Some(value) = get("default-managed-by-label-value") {
            value.clone_into(&mut defaults.managed_by);
        }
        if let Some(value) = get("default-resolver-type") {
            value.clone_into(&mut defaults.resolver_type);
        }
        if let Some(value) = get("default-forbidden-env") {
            defaults.forbidden_env = value
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect();
            defaults.forbidden_env.sort();
            defaults.forbidden_env.dedup();
        }
        if let Some(value) = get("default-pod-template").filter(|value| !value.trim().is_empty()) {
            let template = serde_saphyr::from_str::<serde_json::Value>(value)
                .map_err(|error| error.to_string())
                .and_then(|tree| serde_json::from_value(tree).map_err(|error| error.to_string()))
                .map_err(|error| bad("default-pod-template", value, &error))?;
            defaults.pod_template = Some(template);
        }
        Ok(defaults)
    }
}

impl FeatureFlags {
    /// Reads the data of `feature-flags`.
    ///
    /// # Errors
    /// The first key whose value cannot be read.
    pub fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut flags = Self::default();
        let get = |key: &str| data.get(key).map(String::as_str);
        let bad = |key: &'static str, value: &str, allowed: &'static str| ConfigError::Flag {
            key,
            value: value.to_owned(),
            allowed,
        };
        if let Some(value) = get("enable-api-fields") {
            flags.api_fields = match value.to_ascii_lowercase().as_str() {
                "stable" => ApiFields::Stable,
                "beta" => ApiFields::Beta,
                "alpha" => ApiFields::Alpha,
                _ => return Err(bad("enable-api-fields", value, "write stable, beta or alpha")),
            };
        }
        if let Some(value) = get("coschedule") {
            flags.coschedule = match value {
                "workspaces" => Coschedule::Workspaces,
                "pipelineruns" | "isolate-pipelinerun" | "disabled" => Coschedule::Other,
                _ => {
                    let allowed = "write workspaces, pipelineruns, isolate-pipelinerun or disabled";
                    return Err(bad("coschedule", value, allowed));
                }
            };
        }
        if let Some(value) = get("disable-inline-spec") {
            flags.inline_spec_disabled = value.split(',').any(|kind| kind == "taskrun");
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> Data {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn defaults_are_read() {
        let read = Defaults::parse(&data(&[
            ("_example", "anything"),
            ("default-timeout-minutes", "0"),
            ("default-forbidden-env", "B, A ,B,"),
            ("default-pod-template", "nodeSelector:\n  disktype: ssd\n"),
        ]))
        .unwrap();
        assert_eq!(read.timeout, GoDuration::ZERO);
        assert_eq!(read.forbidden_env, ["A", "B"]);
        assert_eq!(read.service_account, "default");
        assert!(
            read.pod_template
                .unwrap()
                .pod
                .node_selector
                .unwrap()
                .contains_key("disktype")
        );
    }

    #[test]
    fn errors_name_key_and_value() {
        let error = Defaults::parse(&data(&[("default-timeout-minutes", "1h")]))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("failed parsing default config \"default-timeout-minutes\": \"1h\""),
            "{error}"
        );
        let error = FeatureFlags::parse(&data(&[("enable-api-fields", "gamma")]))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("invalid value for feature flag \"enable-api-fields\": \"gamma\""),
            "{error}"
        );
        let error = FeatureFlags::parse(&data(&[("coschedule", "x")]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("isolate-pipelinerun"), "{error}");
    }

    #[test]
    fn flags_are_read() {
        let flags = FeatureFlags::parse(&data(&[
            ("enable-api-fields", "ALPHA"),
            ("coschedule", "disabled"),
            ("disable-inline-spec", "pipeline,taskrun"),
        ]))
        .unwrap();
        assert_eq!(
            flags,
            FeatureFlags {
                api_fields: ApiFields::Alpha,
                coschedule: Coschedule::Other,
                inline_spec_disabled: true
            }
        );
    }
}
