//! What is counted and measured. No I/O. Never labelled by an object's name.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// A request to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `get`, `create` and so on.
    pub verb: &'static str,
    /// The object's kind.
    pub kind: &'static str,
    /// `ok`, `conflict`, `refused`, `timeout`, `error`.
    pub outcome: &'static str,
}

/// What came of something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// One word.
    pub outcome: &'static str,
}

/// The kind of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabels {
    /// The kind.
    pub kind: &'static str,
}

/// A ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConfigLabels {
    /// Its name; there are only the few that we watch.
    pub config: &'static str,
}

/// All metrics. Clones count into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Requests of reconciles, events and look-ups; watches are not among them.
    pub requests: Family<RequestLabels, Counter>,
    /// Looks at TaskRuns, with what came of them and how long they took.
    pub reconciles: Family<OutcomeLabels, Histogram, fn() -> Histogram>,
    /// Looks that are being taken.
    pub working: Gauge,
    /// TaskRuns that wait for one.
    pub queue_depth: Gauge,
    /// 1 where this replica holds the lease.
    pub leading: Gauge,
    /// Objects that are known.
    pub known: Family<KindLabels, Gauge>,
    /// Kubernetes events by what became of them: `sent`, `failed`, `dropped`.
    pub events: Family<OutcomeLabels, Counter>,
    /// Objects that did not fit their type.
    pub undecodable: Family<KindLabels, Counter>,
    /// Interruptions of watches.
    pub watch_errors: Family<KindLabels, Counter>,
    /// Images of steps without a command: `hit`, `stale` and `held` were known, `found`, `passing` and
    /// `lasting` had to be asked.
    pub image_look_ups: Family<OutcomeLabels, Counter>,
    /// 1 where the ConfigMap in the cluster is the one in force.
    pub config_valid: Family<ConfigLabels, Gauge>,
}

fn reconcile_histogram() -> Histogram {
    Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0])
}

impl Metrics {
    /// Metrics that `registry` prints.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            reconciles: Family::new_with_constructor(reconcile_histogram as fn() -> Histogram),
            working: Gauge::default(),
            queue_depth: Gauge::default(),
            leading: Gauge::default(),
            known: Family::default(),
            events: Family::default(),
            undecodable: Family::default(),
            watch_errors: Family::default(),
            image_look_ups: Family::default(),
            config_valid: Family::default(),
        };
        let ours = registry.sub_registry_with_prefix("tektite_controller");
        ours.register(
            "api_requests",
            "Requests to the API server",
            metrics.requests.clone(),
        );
        ours.register(
            "reconcile_seconds",
            "How long looks at TaskRuns took",
            metrics.reconciles.clone(),
        );
        ours.register(
            "reconciles_running",
            "Looks at TaskRuns under way",
            metrics.working.clone(),
        );
        ours.register(
            "queue_depth",
            "TaskRuns waiting for a look",
            metrics.queue_depth.clone(),
        );
        ours.register(
            "leading",
            "Whether this replica is the one that works",
            metrics.leading.clone(),
        );
        ours.register("known_objects", "Objects in memory", metrics.known.clone());
        ours.register(
            "events",
            "Kubernetes events by what became of them",
            metrics.events.clone(),
        );
        ours.register(
            "undecodable_objects",
            "Objects that did not fit their type",
            metrics.undecodable.clone(),
        );
        ours.register(
            "watch_errors",
            "Interruptions of watches",
            metrics.watch_errors.clone(),
        );
        ours.register(
            "image_look_ups",
            "Look-ups of images by what came of them",
            metrics.image_look_ups.clone(),
        );
        ours.register(
            "config_valid",
            "Whether the ConfigMap is in force",
            metrics.config_valid.clone(),
        );
        metrics
    }

    /// A request to the API server is over.
    pub fn request(&self, verb: &'static str, kind: &'static str, outcome: &'static str) {
        let labels = RequestLabels { verb, kind, outcome };
        self.requests.get_or_create(&labels).inc();
    }

    /// A look at a TaskRun is over.
    pub fn reconciled(&self, outcome: &'static str, took: Duration) {
        self.reconciles
            .get_or_create(&OutcomeLabels { outcome })
            .observe(took.as_secs_f64());
    }

    /// Something became of a look-up.
    pub fn looked_up(&self, outcome: &'static str) {
        self.image_look_ups
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }

    /// Something became of an event.
    pub fn event(&self, outcome: &'static str) {
        self.events.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}
