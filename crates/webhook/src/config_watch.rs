//! The operator's settings, followed live from two ConfigMaps.
//!
//! A missing ConfigMap means defaults; one that cannot be read leaves the last good one in force.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher::watch_object},
};
use tektite_core::config::{Config, ConfigError, Defaults, FeatureFlags};

use crate::state::{Gate, State};

const DEFAULTS: &str = "config-defaults";
const FLAGS: &str = "feature-flags";

/// Follows both ConfigMaps of `namespace` for as long as it is polled.
pub async fn follow(client: Client, namespace: &str, state: Arc<State>) {
    let watch = |name: &'static str| {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        watch_object(maps, name)
            .default_backoff()
            .map_ok(move |map| (name, map))
            .boxed()
    };
    let mut changes = futures::stream::select(watch(DEFAULTS), watch(FLAGS));
    let mut unread = vec![DEFAULTS, FLAGS];
    while let Some(change) = changes.next().await {
        match change {
            Ok((name, map)) => {
                let data = map.and_then(|map| map.data).unwrap_or_default();
                match read(&state.config.load(), name, &data) {
                    Ok(config) => state.config.store(Arc::new(config)),
                    Err(error) => {
                        tracing::error!(config = name, %error, "settings not taken; the last good ones stay in force");
                    }
                }
                unread.retain(|other| *other != name);
                if unread.is_empty() {
                    state.open(Gate::Config);
                }
            }
            Err(error) => tracing::warn!(%error, "watching the settings was interrupted"),
        }
    }
}

fn read(
    config: &Config,
    name: &str,
    data: &std::collections::BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut config = config.clone();
    if name == DEFAULTS {
        config.defaults = Defaults::parse(data)?;
    } else {
        config.flags = FeatureFlags::parse(data)?;
    }
    Ok(config)
}
