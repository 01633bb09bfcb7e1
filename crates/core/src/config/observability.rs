//! What is measured, and how finely: ConfigMap `config-observability` (api.md 7.3). No I/O.
//!
//! `/metrics` is always there, and there is nothing but it: the keys for other ways out are read for their
//! typing errors only (docs/configuration.md).

use super::{ConfigError, Data};

/// The ConfigMap's name.
pub(super) const NAME: &str = "config-observability";

/// Which names the series of finished runs carry: `metrics.taskrun.level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// The namespace's.
    Namespace,
    /// And the Task's.
    #[default]
    Task,
    /// And the run's own: one series each, for ever.
    TaskRun,
}

/// What is kept of how long runs take: `metrics.taskrun.duration-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DurationType {
    /// How many took how long.
    #[default]
    Histogram,
    /// How long the last one took.
    LastValue,
}

/// ConfigMap `config-observability`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observability {
    /// `metrics.taskrun.level`.
    pub level: Level,
    /// `metrics.taskrun.duration-type`.
    pub duration_type: DurationType,
    /// `metrics.count.enable-reason`: the series of finished runs carry the reason.
    pub with_reason: bool,
    /// `metrics.taskrun.throttle.enable-namespace`: the series of runs that wait for room carry the
    /// namespace.
    pub throttled_by_namespace: bool,
}

/// The keys with the words that they take; `true` and `false` stand for the rule that anything but
/// `false` is `true`.
const WORDS: [(&str, &[&str]); 9] = [
    ("metrics.taskrun.level", &["namespace", "task", "taskrun"]),
    ("metrics.taskrun.duration-type", &["histogram", "lastvalue"]),
    (
        "metrics-protocol",
        &["prometheus", "none", "grpc", "http/protobuf"],
    ),
    ("tracing-protocol", &["none", "grpc", "http/protobuf", "stdout"]),
    ("runtime-profiling", &["disabled", "enabled"]),
    (
        "metrics.pipelinerun.level",
        &["namespace", "pipeline", "pipelinerun"],
    ),
    ("metrics.pipelinerun.duration-type", &["histogram", "lastvalue"]),
    (
        "metrics.running-pipelinerun.level",
        &["", "namespace", "pipeline", "pipelinerun"],
    ),
    ("metrics.count.enable-reason", &[]),
];

/// The keys that take any text.
const OTHERS: [&str; 7] = [
    "metrics-endpoint",
    "metrics-export-interval",
    "tracing-endpoint",
    "tracing-sampling-rate",
    "runtime-export-interval",
    "metrics.taskrun.throttle.enable-namespace",
    "metrics.pipelinerun.throttle.enable-namespace",
];

/// Every key that means something.
pub(super) fn keys() -> impl Iterator<Item = &'static str> + Clone {
    WORDS.into_iter().map(|(key, _)| key).chain(OTHERS)
}

impl Observability {
    /// Reads the ConfigMap's data.
    ///
    /// # Errors
    /// The first key whose value cannot be read.
    pub fn parse(data: &Data) -> Result<Self, ConfigError> {
        let get = |key: &str| data.get(key).map(String::as_str);
        for (key, words) in WORDS {
            if let Some(value) = get(key).filter(|value| !words.is_empty() && !words.contains(value)) {
                return Err(ConfigError::Other {
                    map: NAME,
                    key,
                    value: value.to_owned(),
                    allowed: format!("write one of {}", words.join(", ").trim_start_matches(", ")),
                });
            }
        }
        let is_on = |key: &str| get(key).is_some_and(|value| value != "false");
        Ok(Self {
            level: match get("metrics.taskrun.level") {
                Some("namespace") => Level::Namespace,
                Some("taskrun") => Level::TaskRun,
                _ => Level::Task,
            },
            duration_type: match get("metrics.taskrun.duration-type") {
                Some("lastvalue") => DurationType::LastValue,
                _ => DurationType::Histogram,
            },
            with_reason: is_on("metrics.count.enable-reason"),
            throttled_by_namespace: is_on("metrics.taskrun.throttle.enable-namespace"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let read = |pairs: &[(&str, &str)]| {
            let data = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Observability::parse(&data.collect()).map_err(|error| error.to_string())
        };
        assert_eq!(read(&[]), Ok(Observability::default()));
        let all = read(&[
            ("metrics.taskrun.level", "namespace"),
            ("metrics.taskrun.duration-type", "lastvalue"),
            ("metrics.count.enable-reason", "yes"),
            ("metrics.taskrun.throttle.enable-namespace", "false"),
            ("metrics-protocol", "grpc"),
            ("metrics.running-pipelinerun.level", ""),
        ]);
        let expected = Observability {
            level: Level::Namespace,
            duration_type: DurationType::LastValue,
            with_reason: true,
            throttled_by_namespace: false,
        };
        assert_eq!(all, Ok(expected));
        assert_eq!(
            read(&[("metrics.taskrun.level", "step")]).unwrap_err(),
            "failed parsing config-observability \"metrics.taskrun.level\": \"step\" is not allowed; write one of \
             namespace, task, taskrun"
        );
    }
}
