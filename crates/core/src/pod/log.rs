//! What the entrypoint of a container is told about its log: how much to say, and where the
//! container's secrets are, so that no line has them (docs/entrypoint-log.md).

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, Volume, VolumeMount};
use tektite_api::{TaskRun, labels};
use tektite_protocol::log::{LogFlags, LogLevel, SecretPlaces};

use super::{BuildError, debug::Breakpoints};
use crate::config::Config;

/// Level and form for all containers of the run's Pod: the run's own word, else everything where it
/// has breakpoints, else the operator's.
pub(super) fn of(
    run: &TaskRun,
    config: &Config,
    breakpoints: Breakpoints<'_>,
) -> Result<LogFlags, BuildError> {
    let level = match run.annotation(labels::ENTRYPOINT_LOG) {
        Some(word) => LogLevel::from_word(word).ok_or_else(|| BuildError::Annotation {
            key: labels::ENTRYPOINT_LOG,
            value: word.to_owned(),
            allowed: LogLevel::ALLOWED,
        })?,
        None if breakpoints.any() => LogLevel::Debug,
        None => config.defaults.entrypoint_log,
    };
    Ok(LogFlags {
        level,
        format: config.defaults.entrypoint_log_format,
        secrets: SecretPlaces::default(),
    })
}

/// `flags` for a container with these variables and mounts; `volumes` are those that are not the
/// engine's own.
pub(super) fn with_secrets(
    flags: &LogFlags,
    env: &[EnvVar],
    env_from: &[EnvFromSource],
    mounts: &[VolumeMount],
    volumes: &[Volume],
) -> LogFlags {
    let from_secret = |variable: &&EnvVar| {
        let source = variable.value_from.as_ref();
        source.is_some_and(|source| source.secret_key_ref.is_some())
    };
    let names = env.iter().filter(from_secret);
    let whole = env_from.iter().filter(|source| source.secret_ref.is_some());
    let paths = mounts.iter().filter(|mount| {
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        volume.is_some_and(holds_secrets)
    });
    LogFlags {
        secrets: SecretPlaces {
            env: names.map(|variable| variable.name.clone()).collect(),
            env_prefixes: whole
                .map(|source| source.prefix.clone().unwrap_or_default())
                .collect(),
            paths: paths.map(|mount| mount.mount_path.clone()).collect(),
        },
        ..flags.clone()
    }
}

/// Whether some of what a volume holds is a secret. What a driver puts there may be one.
fn holds_secrets(volume: &Volume) -> bool {
    let projected = volume
        .projected
        .iter()
        .flat_map(|projected| projected.sources.iter().flatten());
    let mut projected =
        projected.filter(|source| source.secret.is_some() || source.service_account_token.is_some());
    volume.secret.is_some() || volume.csi.is_some() || projected.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_comes_from_secrets_is_named() {
        let env: Vec<EnvVar> = serde_json::from_value(json!([
            {"name": "PLAIN", "value": "v"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "MAP", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        ]))
        .unwrap();
        let env_from: Vec<EnvFromSource> = serde_json::from_value(json!([
            {"prefix": "DB_", "secretRef": {"name": "s"}},
            {"secretRef": {"name": "t"}},
            {"configMapRef": {"name": "c"}},
        ]))
        .unwrap();
        let names = ["plain", "secret", "mixed", "token", "driver", "map"];
        let mounts = names.map(|name| VolumeMount {
            name: name.to_owned(),
            mount_path: format!("/{name}"),
            ..VolumeMount::default()
        });
        let volumes: Vec<Volume> = serde_json::from_value(json!([
            {"name": "plain", "emptyDir": {}},
            {"name": "secret", "secret": {"secretName": "s"}},
            {"name": "mixed", "projected": {"sources": [{"configMap": {}}, {"secret": {"name": "s"}}]}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {"name": "driver", "csi": {"driver": "d"}},
            {"name": "map", "projected": {"sources": [{"configMap": {}}]}},
        ]))
        .unwrap();
        let places = with_secrets(&LogFlags::default(), &env, &env_from, &mounts, &volumes).secrets;
        assert_eq!(places.env, ["TOKEN"]);
        assert_eq!(places.env_prefixes, ["DB_", ""]);
        assert_eq!(places.paths, ["/secret", "/mixed", "/token", "/driver"]);
    }
}
