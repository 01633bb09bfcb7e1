//! The operator's settings, followed live: those that decide what is admitted.
//!
//! A missing ConfigMap means defaults; one that cannot be read leaves the last good one in force.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher::watch_object},
};
use tektite_core::config::Source;

use crate::state::{Gate, State};

/// Follows them for as long as it is polled.
pub async fn follow(client: Client, state: Arc<State>) {
    let watch = |source: Source| {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &state.namespace);
        let name = format!("{}{}", state.config_prefix, source.name());
        watch_object(maps, &name)
            .default_backoff()
            .map_ok(move |map| (source, map))
            .boxed()
    };
    let mut changes = futures::stream::select_all(Source::OF_ADMISSION.map(watch));
    let mut unread = Source::OF_ADMISSION.to_vec();
    while let Some(change) = changes.next().await {
        match change {
            Ok((source, map)) => {
                let data = map.and_then(|map| map.data).unwrap_or_default();
                match source.read(&state.config.load(), &data) {
                    Ok(config) => state.config.store(Arc::new(config)),
                    Err(error) => {
                        tracing::error!(config = source.name(), %error, "settings not taken; the last good ones stay in force");
                    }
                }
                unread.retain(|other| *other != source);
                if unread.is_empty() {
                    state.open(Gate::Config);
                }
            }
            Err(error) => tracing::warn!(%error, "watching the settings was interrupted"),
        }
    }
}
