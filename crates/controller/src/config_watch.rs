//! The operator's settings, followed live from their ConfigMaps.
//!
//! A ConfigMap that is missing means defaults. One that cannot be read leaves the last good one in
//! force (or defaults where there was none yet: a typing error must not stop every run), with an
//! error in the log, a Warning event on it by the replica that works, and the metric `config_valid` at 0.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{Resource as _, api::core::v1::ConfigMap};
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use tektite_core::{config::Source, lifecycle::Severity};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::Key,
    context::Context,
    error::explain_watch,
    events::{self, Note},
    metrics::{ConfigLabels, KindLabels},
    readiness::Gate,
};

/// Follows the ConfigMaps until `stop`.
pub async fn follow(context: Arc<Context>, stop: CancellationToken) {
    let watch = |source: Source| {
        let maps: Api<ConfigMap> =
            Api::namespaced(context.cluster.client(), &context.settings.system_namespace);
        // By name, not by label, so that the role can name them, and a label lost in an edit
        // does not silently turn settings back into defaults.
        let name = format!("{}{}", context.settings.config_prefix, source.name());
        watch_object(maps, &name)
            .default_backoff()
            .map_ok(move |map| (source, map))
            .map_err(move |error| (source, error))
            .boxed()
    };
    let mut changes = futures::stream::select_all(Source::ALL.map(watch));
    let mut unread = Source::ALL.to_vec();
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = stop.cancelled() => return,
        };
        match change {
            Some(Ok((source, map))) => {
                take(&context, source, map);
                unread.retain(|other| *other != source);
                if unread.is_empty() {
                    context.readiness.open(Gate::Config);
                }
            }
            Some(Err((source, error))) => {
                let kind = KindLabels { kind: "ConfigMap" };
                context.metrics.watch_errors.get_or_create(&kind).inc();
                tracing::warn!(
                    config = source.name(),
                    error = explain_watch(&error),
                    "watch interrupted"
                );
            }
            None => return,
        }
    }
}

/// Puts the new state of a ConfigMap in force.
pub fn take(context: &Context, source: Source, map: Option<ConfigMap>) {
    let map = map.unwrap_or_default();
    let data = map.data.unwrap_or_default();
    let before = context.config.load_full();
    let read = source.read(&before, &data);
    let labels = ConfigLabels {
        config: source.name(),
    };
    let valid = context.metrics.config_valid.get_or_create_owned(&labels);
    let key = Key::new(context.settings.system_namespace.as_str(), source.name());
    match read {
        Ok(config) => {
            valid.set(1);
            context.events.mended(ConfigMap::KIND, key);
            if *before != config {
                tracing::info!(config = source.name(), "settings changed");
                context.metrics.runs.set(&config.observability);
                let for_finished = before.defaults.retention != config.defaults.retention;
                context.config.store(Arc::new(config));
                if for_finished {
                    // They rest, and only a look tells whether they may.
                    context.queue_all();
                }
            }
        }
        Err(error) => {
            valid.set(0);
            tracing::error!(config = source.name(), %error, "settings not taken; the last good ones stay in force");
            let note = Note {
                about: events::reference::<ConfigMap>(&map.metadata),
                severity: Severity::Warning,
                reason: "InvalidConfig",
                message: format!("{error}. The last good settings stay in force."),
            };
            context.events.broken(ConfigMap::KIND, key, note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, TestContext};
    use tektite_core::config::ApiFields;

    fn map(source: Source, pairs: &[(&str, &str)]) -> ConfigMap {
        ConfigMap {
            metadata: testing::metadata(source.name()),
            data: Some(
                pairs
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
            ..ConfigMap::default()
        }
    }

    #[tokio::test]
    async fn broken_keeps_the_last_good_and_missing_is_default() {
        let TestContext {
            context, mut notes, ..
        } = testing::context();
        let fields = || context.config.load().flags.api_fields;
        let flags = |value| Some(map(Source::Flags, &[("enable-api-fields", value)]));

        take(&context, Source::Flags, flags("alpha"));
        assert_eq!(fields(), ApiFields::Alpha);
        take(
            &context,
            Source::Defaults,
            Some(map(Source::Defaults, &[("default-service-account", "builder")])),
        );
        assert_eq!(fields(), ApiFields::Alpha, "the other part stays");
        assert_eq!(context.config.load().defaults.service_account, "builder");
        assert!(notes.try_recv().is_err());

        take(&context, Source::Flags, flags("gamma"));
        assert_eq!(fields(), ApiFields::Alpha);
        let note = notes.try_recv().unwrap().note;
        assert_eq!(note.about.name.as_deref(), Some("feature-flags"));
        assert!(
            note.message.contains("invalid value for feature flag"),
            "{}",
            note.message
        );

        take(&context, Source::Flags, None);
        assert_eq!(fields(), ApiFields::Beta);
        assert_eq!(context.config.load().defaults.service_account, "builder");
    }

    #[tokio::test]
    async fn a_replica_that_comes_to_lead_tells_what_is_broken_then() {
        let TestContext {
            context, mut notes, ..
        } = testing::standby();
        let set = |source, key, value| take(&context, source, Some(map(source, &[(key, value)])));
        let broken = |value| set(Source::Flags, "enable-api-fields", value);
        broken("gamma");
        set(Source::Defaults, "keep-last-runs", "all");
        set(Source::Events, "formats", "none");
        take(&context, Source::Defaults, None);
        set(Source::Events, "formats", "tektonv1");
        assert!(notes.try_recv().is_err(), "the one that works tells it");
        context.events.lead();
        assert_eq!(
            notes.try_recv().unwrap().note.about.name.as_deref(),
            Some("feature-flags")
        );
        assert!(notes.try_recv().is_err(), "the others are mended");
        broken("delta");
        assert!(notes.try_recv().unwrap().note.message.contains("delta"));
    }
}
