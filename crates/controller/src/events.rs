//! Kubernetes events, as well as can be: they queue up to a bound, one task sends a few at a time,
//! and what does not fit is counted and dropped. Nothing ever waits for an event.
//!
//! kube's `Recorder` would make each reconcile wait for the request, under a lock, with a scan of
//! all events of the last minutes.

use std::sync::atomic::{AtomicI64, Ordering};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use tektite_api::TaskRun;
use tektite_core::lifecycle::Severity;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{cluster::Cluster, metrics::Metrics};

/// How many events can wait.
const CAPACITY: usize = 1024;
/// How many are sent at the same time.
const SENDERS: usize = 8;
/// Below this much room only warnings are taken.
const RESERVED: usize = CAPACITY / 4;
/// The API server takes no longer message.
const LONGEST_MESSAGE: usize = 1024;
/// Who speaks.
const COMPONENT: &str = "TaskRun";

/// Something to tell about an object.
#[derive(Clone, Debug)]
pub struct Note {
    /// The object.
    pub about: ObjectReference,
    /// Whether somebody should look.
    pub severity: Severity,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// A note that waits to be sent.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    pub note: Note,
}

/// Takes events.
#[derive(Clone, Debug)]
pub struct Emitter {
    notes: mpsc::Sender<Waiting>,
    metrics: Metrics,
}

/// An emitter, and where its events come out.
pub fn channel(metrics: Metrics) -> (Emitter, mpsc::Receiver<Waiting>) {
    let (notes, receiver) = mpsc::channel(CAPACITY);
    (Emitter { notes, metrics }, receiver)
}

impl Emitter {
    /// Takes `note`, or drops it.
    pub fn emit(&self, note: Note) {
        let is_full = self.notes.capacity() < RESERVED && note.severity == Severity::Normal;
        let at = Timestamp::now();
        if is_full || self.notes.try_send(Waiting { at, note }).is_err() {
            self.metrics.event("dropped");
        }
    }
}

/// Sends events until `stop`, then those that still wait.
pub async fn send(
    mut notes: mpsc::Receiver<Waiting>,
    cluster: Cluster,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let next = async || {
        tokio::select! {
            biased;
            note = notes.recv() => note,
            () = stop.cancelled() => None,
        }
    };
    let waiting = futures::stream::unfold(next, async |mut next| {
        let note = next().await?;
        Some((note, next))
    });
    waiting
        .for_each_concurrent(SENDERS, |Waiting { at, note }| {
            send_one(&cluster, &metrics, event(note, at))
        })
        .await;
}

async fn send_one(cluster: &Cluster, metrics: &Metrics, event: Event) {
    let namespace = event.metadata.namespace.clone().unwrap_or_default();
    match cluster.create_event(&namespace, &event).await {
        Ok(()) => metrics.event("sent"),
        Err(error) => {
            metrics.event("failed");
            tracing::debug!(%error, "event lost");
        }
    }
}

/// How events refer to a TaskRun.
pub fn task_run(run: &TaskRun) -> ObjectReference {
    reference::<TaskRun>(&run.metadata)
}

/// How events refer to an object of type `T`.
pub fn reference<T: k8s_openapi::Resource>(metadata: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(T::API_VERSION.to_owned()),
        kind: Some(T::KIND.to_owned()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}

fn event(note: Note, now: Timestamp) -> Event {
    let Note {
        about,
        severity,
        reason,
        message,
    } = note;
    let object = about.name.as_deref().unwrap_or_default();
    // A name of 253 characters at most; those of objects can be that long themselves.
    let stem = cut(object, 200).trim_end_matches(['.', '-']);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{stem}.{:x}", unique(now))),
            namespace: about.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: about,
        reason: Some(reason.to_owned()),
        message: Some(cut(&message, LONGEST_MESSAGE).to_owned()),
        source: Some(EventSource {
            component: Some(COMPONENT.to_owned()),
            host: None,
        }),
        reporting_component: Some(COMPONENT.to_owned()),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        type_: Some(
            match severity {
                Severity::Normal => "Normal",
                Severity::Warning => "Warning",
            }
            .to_owned(),
        ),
        ..Event::default()
    }
}

/// The first `limit` bytes of `text`, without half a character.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// The time in nanoseconds, or a number after the last one.
fn unique(now: Timestamp) -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    let nanos = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX - 1);
    let later = |last: i64| Some(nanos.max(last.saturating_add(1)));
    match LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later) {
        Ok(last) | Err(last) => nanos.max(last.saturating_add(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{metrics, run};

    fn note(severity: Severity, message: &str) -> Note {
        Note {
            about: task_run(&run("r")),
            severity,
            reason: "Failed",
            message: message.to_owned(),
        }
    }

    #[test]
    fn form() {
        let long = "ä".repeat(1000);
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let first = event(note(Severity::Warning, &long), now);
        let second = event(note(Severity::Normal, "short"), now);
        assert_ne!(first.metadata.name, second.metadata.name);
        assert!(first.metadata.name.unwrap().starts_with("r."));
        assert_eq!(first.message.unwrap().len(), 1024);
        assert_eq!(first.type_.as_deref(), Some("Warning"));
        assert_eq!(first.involved_object.kind.as_deref(), Some("TaskRun"));
        assert_eq!(
            first.involved_object.api_version.as_deref(),
            Some("tekton.dev/v1")
        );
        assert_eq!(cut("aä", 2), "a");
    }

    #[test]
    fn warnings_have_the_last_room() {
        let (emitter, mut receiver) = channel(metrics());
        for _ in 0..CAPACITY * 2 {
            emitter.emit(note(Severity::Normal, "n"));
        }
        emitter.emit(note(Severity::Warning, "w"));
        let mut taken = Vec::new();
        while let Ok(waiting) = receiver.try_recv() {
            taken.push(waiting.note.severity);
        }
        assert_eq!(taken.last(), Some(&Severity::Warning));
        assert!(taken.len() < CAPACITY);
    }
}
