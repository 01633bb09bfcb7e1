//! What all parts of the controller share. No I/O of its own.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};
use prometheus_client::registry::Registry;
use tektite_core::{
    config::Config,
    delivery::{Delivery, DeliveryMode},
    lifecycle::{DeliverySettings, Fallback},
    pod_view::PodView,
    sidecars::Kubernetes,
};
use tokio::sync::mpsc;

use crate::{
    args::Args,
    cache::{Cache, Cached},
    cloud_events::{self, CloudEvents, Lanes},
    cluster::Cluster,
    events::{self, Emitter, Waiting},
    injected::Injected,
    known::KnownRun,
    log_reads::LogReads,
    measure::Measure,
    metrics::Metrics,
    news::News,
    pace::Pace,
    queue::{Queue, Urgency},
    readiness::Readiness,
    registry::Registries,
    retention::Retention,
    room::Room,
    trigger::ManagedBy,
};

/// What was set at the start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the ConfigMaps are.
    pub system_namespace: String,
    /// The only namespace to look at.
    pub watch_namespace: Option<String>,
    /// Whose runs are ours.
    pub managed_by: ManagedBy,
    /// What the names of our ConfigMaps begin with.
    pub config_prefix: String,
    /// The image with the entrypoint.
    pub image: String,
    /// When nodes pull it.
    pub pull_policy: String,
    /// How it reaches the steps.
    pub delivery_mode: DeliveryMode,
    /// How many TaskRuns are worked on at the same time.
    pub concurrency: u16,
    /// The file with more CAs of registries.
    pub registry_authorities: PathBuf,
    /// What this build calls itself.
    pub revision: &'static str,
}

impl From<&Args> for Settings {
    fn from(args: &Args) -> Self {
        Self {
            system_namespace: args.system_namespace.clone(),
            watch_namespace: args.namespace().map(str::to_owned),
            managed_by: ManagedBy::from(args.managed_by.as_str()),
            config_prefix: args.config_prefix.clone(),
            image: args.entrypoint_image.clone(),
            pull_policy: args.entrypoint_image_pull_policy.clone(),
            delivery_mode: args.entrypoint_delivery,
            concurrency: args.concurrency,
            registry_authorities: args.registry_authorities.clone(),
            revision: tektite_core::REVISION,
        }
    }
}

/// What all parts share.
pub struct Context {
    /// Set at the start.
    pub settings: Settings,
    /// The API server.
    pub cluster: Cluster,
    /// TaskRuns.
    pub runs: Cache<KnownRun>,
    /// Their Pods.
    pub pods: Cache<PodView>,
    /// LimitRanges, which a new Pod's resources depend on.
    pub limit_ranges: Cache<LimitRange>,
    /// ResourceQuotas, which new Pods may have to wait for.
    pub quotas: Cache<ResourceQuota>,
    /// The operator's settings in force.
    pub config: ArcSwap<Config>,
    /// How the entrypoint reaches new Pods.
    pub delivery: ArcSwap<Delivery>,
    /// What the API server's version means for sidecars.
    pub kubernetes: ArcSwap<Kubernetes>,
    /// What others add to Pods.
    pub injected: Injected,
    /// TaskRuns that want a look.
    pub queue: Arc<Queue>,
    /// What images run.
    pub registries: Registries,
    /// What is said of Pods that wait in silence.
    pub news: News,
    /// Runs that wait for room in a quota.
    pub room: Room,
    /// Status changes that wait a moment.
    pub pace: Pace,
    /// Since when logs are being read.
    pub log_reads: LogReads,
    /// Finished runs of each Task.
    pub retention: Retention,
    /// What is measured of single runs.
    pub measure: Measure,
    /// Where events go.
    pub events: Emitter,
    /// Where CloudEvents go.
    pub cloud_events: CloudEvents,
    /// What is counted.
    pub metrics: Metrics,
    /// What is still missing.
    pub readiness: Readiness,
}

impl Context {
    /// A context that knows nothing yet, and where its events and CloudEvents come out.
    pub fn new(
        settings: Settings,
        client: kube::Client,
        limit: Duration,
        registry: &mut Registry,
    ) -> (Arc<Self>, mpsc::Receiver<Waiting>, Lanes) {
        let metrics = Metrics::register(registry);
        let queue = Arc::new(Queue::closed());
        let (events, notes) = events::channel(metrics.clone());
        let (cloud_events, lanes) = cloud_events::channel(events.clone(), metrics.clone());
        let context = Self {
            cluster: Cluster::new(client, metrics.clone(), limit),
            runs: Cache::default(),
            pods: Cache::default(),
            limit_ranges: Cache::default(),
            quotas: Cache::default(),
            config: ArcSwap::default(),
            // What is right for a cluster of which nothing is known.
            delivery: ArcSwap::from_pointee(settings.delivery_mode.choose(&[])),
            kubernetes: ArcSwap::default(),
            injected: Injected::default(),
            registries: Registries::new(
                settings.registry_authorities.clone(),
                Arc::clone(&queue),
                metrics.clone(),
            ),
            retention: Retention::new(Arc::clone(&queue)),
            queue,
            news: News::default(),
            room: Room::default(),
            pace: Pace::default(),
            log_reads: LogReads::default(),
            measure: Measure::new(metrics.clone()),
            events,
            cloud_events,
            metrics,
            readiness: Readiness::default(),
            settings,
        };
        (Arc::new(context), notes, lanes)
    }

    /// All runs want a look; those that go on come first.
    pub fn queue_all(&self) {
        let mut keys = Vec::new();
        self.runs.for_each(|run| {
            let urgency = if run.is_over() {
                Urgency::Later
            } else {
                Urgency::Now
            };
            keys.push((run.key(), urgency));
        });
        for (key, urgency) in keys {
            self.queue.add_with(key, urgency);
        }
    }

    /// How the entrypoint reaches a Pod made now.
    pub fn delivery_settings(&self) -> DeliverySettings<'_> {
        DeliverySettings {
            form: **self.delivery.load(),
            fallback: match self.settings.delivery_mode {
                DeliveryMode::Auto => Fallback::Once,
                DeliveryMode::Always(_) => Fallback::Never,
            },
            image: &self.settings.image,
            pull_policy: &self.settings.pull_policy,
        }
    }
}
