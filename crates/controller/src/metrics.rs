//! What is counted and measured. No I/O but that of [`process`]. Never labelled by an object's name, but for what the operator asks of
//! [`runs`].

mod process;
mod runs;

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

pub use runs::{Ongoing, RunMetrics};

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

/// Why something is done.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WhyLabels {
    /// One word.
    pub why: &'static str,
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
    /// CloudEvents by what became of them: `sent`, `failed`, `dropped`.
    pub cloud_events: Family<OutcomeLabels, Counter>,
    /// Objects that did not fit their type.
    pub undecodable: Family<KindLabels, Counter>,
    /// Interruptions of watches.
    pub watch_errors: Family<KindLabels, Counter>,
    /// Images of steps without a command: `hit`, `stale` and `held` were known, `found`, `passing` and
    /// `lasting` had to be asked.
    pub image_look_ups: Family<OutcomeLabels, Counter>,
    /// From the news of a TaskRun to its Pod.
    pub create_to_pod: Histogram,
    /// From a Pod to its first step, in whole seconds as the kubelet tells them.
    pub pod_to_first_step: Histogram,
    /// From a step's end to the start of the next one's command.
    pub hand_over: Histogram,
    /// Requests for one run, events aside: `read`, `write`.
    requests_per_run: Family<KindLabels, Histogram, fn() -> Histogram>,
    /// How many TaskRuns waited when one was taken.
    pub queue_length: Histogram,
    /// The series that users of Tekton know.
    pub runs: RunMetrics,
    /// Finished TaskRuns that were removed: `age`, `number`.
    pub runs_removed: Family<WhyLabels, Counter>,
    /// 1 where the ConfigMap in the cluster is the one in force.
    pub config_valid: Family<ConfigLabels, Gauge>,
}

fn reconcile_histogram() -> Histogram {
    Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0])
}

fn requests_histogram() -> Histogram {
    Histogram::new([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 20.0, 50.0])
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
            cloud_events: Family::default(),
            undecodable: Family::default(),
            watch_errors: Family::default(),
            image_look_ups: Family::default(),
            create_to_pod: Histogram::new([
                0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
            ]),
            pod_to_first_step: Histogram::new([1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0, 300.0]),
            hand_over: Histogram::new([0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0]),
            requests_per_run: Family::new_with_constructor(requests_histogram as fn() -> Histogram),
            queue_length: Histogram::new([0.0, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0]),
            runs: RunMetrics::register(registry),
            runs_removed: Family::default(),
            config_valid: Family::default(),
        };
        registry.register_collector(Box::new(process::Process));
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
            "cloud_events",
            "CloudEvents by what became of them",
            metrics.cloud_events.clone(),
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
            "create_to_pod_seconds",
            "From the news of a TaskRun to its Pod",
            metrics.create_to_pod.clone(),
        );
        ours.register(
            "pod_to_first_step_seconds",
            "From a Pod to its first step, in whole seconds",
            metrics.pod_to_first_step.clone(),
        );
        ours.register(
            "hand_over_seconds",
            "From a step's end to the start of the next one's command",
            metrics.hand_over.clone(),
        );
        ours.register(
            "requests_per_run",
            "Requests to the API server for one TaskRun, events aside",
            metrics.requests_per_run.clone(),
        );
        ours.register(
            "queue_length",
            "TaskRuns waiting for a look when one was taken",
            metrics.queue_length.clone(),
        );
        ours.register(
            "runs_removed",
            "Finished TaskRuns that were removed",
            metrics.runs_removed.clone(),
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

    /// A run is over that took so many requests.
    pub fn requests_of_run(&self, reads: u32, writes: u32) {
        for (kind, number) in [("read", reads), ("write", writes)] {
            self.requests_per_run
                .get_or_create(&KindLabels { kind })
                .observe(number.into());
        }
    }

    /// A finished TaskRun was removed.
    pub fn removed(&self, why: &'static str) {
        self.runs_removed.get_or_create(&WhyLabels { why }).inc();
    }

    /// Something became of a CloudEvent.
    pub fn cloud_event(&self, outcome: &'static str) {
        self.cloud_events.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Something became of an event.
    pub fn event(&self, outcome: &'static str) {
        self.events.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}
