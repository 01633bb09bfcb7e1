//! What is counted and measured. No I/O. Never labelled by an object's name, nor by any other text
//! that a client chooses.

use std::{sync::atomic::AtomicI64, time::Duration};

use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// A review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReviewLabels {
    /// The object's kind.
    pub kind: &'static str,
    /// What is done to it.
    pub operation: &'static str,
    /// Where the API server called.
    pub path: &'static str,
    /// `allowed`, `denied`, `error`; `answered` for a conversion.
    pub outcome: &'static str,
}

/// Where the API server called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PathLabels {
    /// The path.
    pub path: &'static str,
}

/// All metrics. Clones count into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Reviews with what came of them.
    pub reviews: Family<ReviewLabels, Counter>,
    /// How long requests took, from their head to the answer.
    pub durations: Family<PathLabels, Histogram, fn() -> Histogram>,
    /// Requests under way, also those that wait.
    pub in_flight: Gauge,
    /// When the served certificate ends.
    pub certificate_expiry: Gauge<i64, AtomicI64>,
}

fn histogram() -> Histogram {
    Histogram::new([0.0005, 0.002, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0])
}

impl Metrics {
    /// Metrics that `registry` prints.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reviews: Family::default(),
            durations: Family::new_with_constructor(histogram as fn() -> Histogram),
            in_flight: Gauge::default(),
            certificate_expiry: Gauge::default(),
        };
        let ours = registry.sub_registry_with_prefix("tektite_webhook");
        ours.register("reviews", "Reviews by what came of them", metrics.reviews.clone());
        ours.register(
            "request_seconds",
            "How long requests took",
            metrics.durations.clone(),
        );
        ours.register(
            "requests_in_flight",
            "Requests under way, also those that wait",
            metrics.in_flight.clone(),
        );
        ours.register_with_unit(
            "certificate_expiry_timestamp",
            "When the served certificate ends",
            Unit::Seconds,
            metrics.certificate_expiry.clone(),
        );
        metrics
    }

    /// A request is over.
    pub fn reviewed(&self, labels: ReviewLabels, took: Duration) {
        self.reviews.get_or_create(&labels).inc();
        self.durations
            .get_or_create(&PathLabels { path: labels.path })
            .observe(took.as_secs_f64());
    }

    /// A certificate is served.
    pub fn certificate(&self, until: Timestamp) {
        self.certificate_expiry.set(until.as_second());
    }
}
