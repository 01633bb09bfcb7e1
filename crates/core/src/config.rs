//! The settings that cluster operators keep in ConfigMaps (api.md section 7, departures.md).
//!
//! Values are read once into types; an unknown key is no error, since the ConfigMaps are shared
//! with engines that know more keys.

mod events;
mod lifecycle;
mod log;
mod observability;
mod recorded;
mod source;

use std::collections::BTreeMap;

use tektite_api::{GoDuration, PodTemplate, WorkspaceBinding};
use tektite_protocol::log::{LogFormat, LogLevel};

pub use events::{Events, Sink};
pub use observability::{DurationType, Level, Observability};
pub use source::{Source, problem};

use tektite_protocol::{
    flags::{ResultsFrom, SIDECAR_LOGS},
    log_results::MAX_TOTAL_BYTES,
};

pub use lifecycle::{Clock, LifecycleSettings};
pub use recorded::{KEEP_POD, Recorded};

use crate::{
    container_defaults::ContainerResources,
    image::settings::{self, LookUpSettings},
    retention,
    sidecars::{self, Form, Injected, Readiness},
};

/// Everything from the ConfigMaps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `config-defaults`.
    pub defaults: Defaults,
    /// `feature-flags`.
    pub flags: FeatureFlags,
    /// `config-observability`.
    pub observability: Observability,
    /// `config-events`.
    pub events: Events,
}

impl Config {
    /// Where CloudEvents go: what `config-events` says, else the older key of `config-defaults`.
    pub fn sink(&self) -> Option<&Sink> {
        self.events
            .sink
            .as_ref()
            .or(self.defaults.cloud_events_sink.as_ref())
    }
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
    /// `default-cloud-events-sink`.
    pub cloud_events_sink: Option<Sink>,
    /// `default-task-run-workspace-binding`: what lies behind a workspace that a run leaves unbound.
    pub workspace_binding: Option<WorkspaceBinding>,
    /// `default-container-resource-requirements`.
    pub container_resources: ContainerResources,
    /// How long runs may wait and run.
    pub lifecycle: LifecycleSettings,
    /// How registries are asked what images run.
    pub image_look_up: LookUpSettings,
    /// How long finished runs stay.
    pub retention: retention::Settings,
    /// `entrypoint-log`: how much the entrypoint says where a run says nothing about it.
    pub entrypoint_log: LogLevel,
    /// `entrypoint-log-format`: in which form.
    pub entrypoint_log_format: LogFormat,
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
            cloud_events_sink: None,
            workspace_binding: None,
            container_resources: ContainerResources::default(),
            lifecycle: LifecycleSettings::default(),
            image_look_up: LookUpSettings::default(),
            retention: retention::Settings::default(),
            entrypoint_log: LogLevel::default(),
            entrypoint_log_format: LogFormat::default(),
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

impl ApiFields {
    /// The setting's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Beta => "beta",
            Self::Alpha => "alpha",
        }
    }
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

/// What the user's containers get that say nothing of their rights: `step-security-context`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepSecurity {
    /// They are as their author wrote them.
    #[default]
    AsWritten,
    /// What the `restricted` level of Pod security asks for.
    Restricted,
}

/// What becomes of the Pod of a run that is cancelled or out of time: `keep-pod-on-cancel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodAfterStop {
    /// Its steps are stopped, and it stays with its logs.
    #[default]
    Kept,
    /// It goes at once.
    Deleted,
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
    /// `disable-creds-init`: nobody gets credentials from Secrets of the account.
    pub creds_init_disabled: bool,
    /// `require-git-ssh-secret-known-hosts`: no SSH key without the keys of its hosts.
    pub ssh_known_hosts_required: bool,
    /// `enable-param-enum`: a parameter may list its values.
    pub param_enum: bool,
    /// `enable-cel-in-whenexpression`: a step's condition may be a CEL expression.
    pub cel: bool,
    /// `enable-artifacts`: steps may name artifacts.
    pub artifacts: bool,
    /// `enable-concise-resolver-syntax`: a reference may be an address.
    pub concise_resolver_syntax: bool,
    /// `results-from` and `max-result-size`: how results travel.
    pub results_from: ResultsFrom,
    /// `step-security-context`.
    pub step_security: StepSecurity,
    /// How sidecars run, and who waits for them.
    pub sidecars: sidecars::Settings,
    /// `keep-pod-on-cancel`.
    pub pod_after_stop: PodAfterStop,
    /// All of them, as the status of a run keeps them.
    pub recorded: Recorded,
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
    /// In another ConfigMap.
    #[error("failed parsing {map} \"{key}\": \"{value}\" is not allowed; {allowed}")]
    Other {
        /// The ConfigMap's name.
        map: &'static str,
        /// Its key.
        key: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        allowed: String,
    },
}

type Data = BTreeMap<String, String>;

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
        let sink = "default-cloud-events-sink";
        defaults.cloud_events_sink =
            events::sink(data, sink).map_err(|value| bad(sink, &value, Sink::ALLOWED))?;
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
        let template = "default-pod-template";
        defaults.pod_template = yaml(template, get(template))?;
        if let Some(reserved) = defaults.pod_template.as_ref().and_then(PodTemplate::reserved) {
            let allowed = format!("{reserved} is the engine's own, leave it out");
            return Err(bad(template, get(template).unwrap_or_default(), &allowed));
        }
        (defaults.entrypoint_log, defaults.entrypoint_log_format) = log::read(data)?;
        yaml::<PodTemplate>(
            "default-affinity-assistant-pod-template",
            get("default-affinity-assistant-pod-template"),
        )?;
        let binding = "default-task-run-workspace-binding";
        defaults.workspace_binding = yaml(binding, get(binding))?;
        let resources = "default-container-resource-requirements";
        defaults.container_resources =
            ContainerResources::new(yaml(resources, get(resources))?.unwrap_or_default())
                .map_err(|error| bad(resources, get(resources).unwrap_or_default(), &error.to_string()))?;
        for key in [
            "default-maximum-resolution-timeout",
            "default-sidecar-log-polling-interval",
        ] {
            if let Some(value) = get(key) {
                let fits = value
                    .parse::<GoDuration>()
                    .is_ok_and(|duration| !duration.is_negative());
                if !fits {
                    return Err(bad(key, value, "write a duration such as \"30s\" or \"5m\""));
                }
            }
        }
        for key in [
            "default-max-matrix-combinations-count",
            "default-step-ref-concurrency-limit",
        ] {
            if let Some(value) = get(key).filter(|value| value.parse::<u32>().is_err()) {
                return Err(bad(key, value, "write a whole number, 0 or more"));
            }
        }
        defaults.lifecycle = LifecycleSettings::read(data)?;
        defaults.image_look_up = LookUpSettings::parse(data)?;
        defaults.retention = retention::Settings::parse(data)?;
        Ok(defaults)
    }
}

/// A setting that is written in YAML; nothing where it is empty.
fn yaml<T: serde::de::DeserializeOwned + Default>(
    key: &'static str,
    value: Option<&str>,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = value.filter(|value| !value.trim().is_empty()) else {
        return Ok(None);
    };
    let bad = |allowed: String| ConfigError::Default {
        key,
        value: value.to_owned(),
        allowed,
    };
    let tree = crate::yaml::read(value).map_err(|error| bad(error.to_string()))?;
    tektite_api::decode::read_lenient(&tree)
        .map(Some)
        .map_err(|misfit| bad(misfit.to_string()))
}

impl FeatureFlags {
    /// Reads the data of `feature-flags`.
    ///
    /// # Errors
    /// The first key whose value cannot be read.
    pub fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut flags = Self {
            recorded: Recorded::of(data),
            ..Self::default()
        };
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
        if let Some(value) = get("results-from") {
            flags.results_from = match value {
                "termination-message" => ResultsFrom::Message,
                SIDECAR_LOGS => ResultsFrom::Log {
                    most: MAX_TOTAL_BYTES,
                },
                _ => {
                    return Err(bad(
                        "results-from",
                        value,
                        "write termination-message or sidecar-logs",
                    ));
                }
            };
        }
        if let Some(value) = get("step-security-context") {
            flags.step_security = match value {
                "none" => StepSecurity::AsWritten,
                "restricted" => StepSecurity::Restricted,
                _ => return Err(bad("step-security-context", value, "write none or restricted")),
            };
        }
        if let Some(value) = get("max-result-size") {
            let bytes = value.parse::<usize>().ok();
            let bytes = bytes
                .filter(|bytes| (1..1_572_864).contains(bytes))
                .ok_or_else(|| {
                    let allowed = "write a number of bytes, more than 0 and less than 1572864";
                    bad("max-result-size", value, allowed)
                })?;
            if let ResultsFrom::Log { most } = &mut flags.results_from {
                *most = bytes.min(MAX_TOTAL_BYTES);
            }
        }
        for (key, words) in WORDS {
            if let Some(value) = get(key).filter(|value| !words.contains(value)) {
                return Err(bad(
                    key,
                    value,
                    match words.len() {
                        1 => "write none; SPIRE is not supported",
                        _ => "write ignore, warn or fail",
                    },
                ));
            }
        }
        if let Some(value) =
            get("running-in-environment-with-injected-sidecars").filter(|value| *value != "auto")
        {
            let allowed = "write true, false or auto";
            let always = boolean(value)
                .ok_or_else(|| bad("running-in-environment-with-injected-sidecars", value, allowed))?;
            flags.sidecars.injected = if always { Injected::Always } else { Injected::Never };
        }
        for key in SWITCHES {
            let Some(value) = get(key) else { continue };
            let value = boolean(value).ok_or_else(|| bad(key, value, "write true or false"))?;
            match key {
                "disable-creds-init" => flags.creds_init_disabled = value,
                "require-git-ssh-secret-known-hosts" => flags.ssh_known_hosts_required = value,
                "enable-param-enum" => flags.param_enum = value,
                "enable-cel-in-whenexpression" => flags.cel = value,
                "enable-artifacts" => flags.artifacts = value,
                "enable-concise-resolver-syntax" => flags.concise_resolver_syntax = value,
                "keep-pod-on-cancel" if !value => flags.pod_after_stop = PodAfterStop::Deleted,
                "enable-kubernetes-sidecar" if !value => flags.sidecars.form = Form::Classic,
                "await-sidecar-readiness" if !value => flags.sidecars.readiness = Readiness::Ignored,
                _ => {}
            }
        }
        Ok(flags)
    }
}

/// The flags that take one of a few words, beside those that are read above.
const WORDS: [(&str, &[&str]); 2] = [
    // SPIRE is nothing that this engine speaks.
    ("enforce-nonfalsifiability", &["none"]),
    (
        "trusted-resources-verification-no-match-policy",
        &["ignore", "warn", "fail"],
    ),
];

/// The flags that are on or off.
const SWITCHES: [&str; 18] = [
    "disable-creds-init",
    "await-sidecar-readiness",
    "require-git-ssh-secret-known-hosts",
    "enable-tekton-oci-bundles",
    "send-cloudevents-for-runs",
    "enable-provenance-in-status",
    "set-security-context",
    "set-security-context-read-only-root-filesystem",
    "keep-pod-on-cancel",
    "enable-cel-in-whenexpression",
    "enable-artifacts",
    "enable-param-enum",
    "enable-concise-resolver-syntax",
    "enable-kubernetes-sidecar",
    "enable-step-actions",
    "enable-wait-exponential-backoff",
    "enable-termination-message-compression",
    "enable-informer-cache-transforms",
];

/// The keys beside the switches that mean something here, or in engines that share the ConfigMaps.
const OTHERS: [&str; 26] = [
    "default-timeout-minutes",
    "default-service-account",
    "default-managed-by-label-value",
    "default-pod-template",
    "default-affinity-assistant-pod-template",
    "default-cloud-events-sink",
    "default-task-run-workspace-binding",
    "default-max-matrix-combinations-count",
    "default-forbidden-env",
    "default-resolver-type",
    "default-container-resource-requirements",
    "default-maximum-resolution-timeout",
    "default-sidecar-log-polling-interval",
    "default-step-ref-concurrency-limit",
    "entrypoint-log",
    "entrypoint-log-format",
    "enable-api-fields",
    "coschedule",
    "disable-inline-spec",
    "results-from",
    "max-result-size",
    "running-in-environment-with-injected-sidecars",
    "step-security-context",
    "enforce-nonfalsifiability",
    "trusted-resources-verification-no-match-policy",
    "disable-affinity-assistant",
];

/// Every key that means something.
pub fn keys() -> impl Iterator<Item = &'static str> + Clone {
    let own = lifecycle::KEYS.into_iter().chain(settings::KEYS);
    let own = own.chain(retention::KEYS);
    OTHERS.into_iter().chain(SWITCHES).chain(own)
}

/// A switch as the ConfigMaps have always been read.
fn boolean(word: &str) -> Option<bool> {
    match word {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
