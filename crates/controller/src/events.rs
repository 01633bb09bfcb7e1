//! Kubernetes events, as well as can be: they queue up to a bound, one task sends a few at a time and tries
//! again what the API server does not take just now, and what does not fit is counted and dropped. Nothing
//! ever waits for an event.
//!
//! kube's `Recorder` would make each reconcile wait for the request, under a lock, with a scan of
//! all events of the last minutes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::core::response::StatusDetails;
use tektite_api::TaskRun;
use tektite_core::lifecycle::Severity;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{cache::Key, cluster::Cluster, error::Error, metrics::Metrics};

/// How many events can wait.
const CAPACITY: usize = 1024;
/// How many are sent at the same time.
const SENDERS: usize = 8;
/// How many are on their way, most of which can only be those that wait for another try.
const UNDER_WAY: usize = 256;
/// The waits between the tries, where the API server asks for none that is longer.
const WAITS: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(4),
];
/// No event is waited for longer, whatever the API server asks for: others may have to wait with it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
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
    untold: Arc<Mutex<Untold>>,
}

/// What only the replica that works tells: all of them see it.
#[derive(Debug, Default)]
struct Untold {
    leads: bool,
    /// What to tell of objects that are broken now, should we come to lead.
    notes: HashMap<(&'static str, Key), Note>,
}

/// An emitter, and where its events come out.
pub fn channel(metrics: Metrics) -> (Emitter, mpsc::Receiver<Waiting>) {
    let (notes, receiver) = mpsc::channel(CAPACITY);
    let emitter = Emitter {
        notes,
        metrics,
        untold: Arc::default(),
    };
    (emitter, receiver)
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

    /// The `kind` called `key` is broken, as `note` says. One replica tells it: at once, or when it comes to lead
    /// and [`Self::mended`] was not called before.
    pub fn broken(&self, kind: &'static str, key: Key, note: Note) {
        let mut untold = self.untold();
        if untold.leads {
            drop(untold);
            self.emit(note);
        } else {
            untold.notes.insert((kind, key), note);
        }
    }

    /// It is not broken any more, or not there.
    pub fn mended(&self, kind: &'static str, key: Key) {
        self.untold().notes.remove(&(kind, key));
    }

    /// This replica works from now on.
    pub fn lead(&self) {
        let mut untold = self.untold();
        untold.leads = true;
        let notes = std::mem::take(&mut untold.notes);
        drop(untold);
        for note in notes.into_values() {
            self.emit(note);
        }
    }

    fn untold(&self) -> MutexGuard<'_, Untold> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends events until `stop`, then those that still wait, without pauses between their tries.
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
    let sender = Sender {
        cluster,
        metrics,
        stop: stop.clone(),
        turns: Semaphore::new(SENDERS),
    };
    waiting
        .for_each_concurrent(UNDER_WAY, |Waiting { at, note }| sender.deliver(event(note, at)))
        .await;
}

struct Sender {
    cluster: Cluster,
    metrics: Metrics,
    stop: CancellationToken,
    /// One for each request; who waits for another try has none.
    turns: Semaphore,
}

impl Sender {
    async fn deliver(&self, event: Event) {
        let mut waits = WAITS.into_iter();
        let error = loop {
            let Err(error) = self.attempt(&event).await else {
                return self.metrics.event("sent");
            };
            match waits.next() {
                Some(wait) if error.retry_helps() => {
                    let wait = asked_for(&error).map_or(wait, |asked| wait.max(asked));
                    tokio::select! {
                        () = tokio::time::sleep(wait.min(LONGEST_WAIT)) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
                _ => break error,
            }
        };
        self.metrics.event("failed");
        let about = &event.involved_object;
        let (kind, namespace, name) = (&about.kind, &about.namespace, &about.name);
        let reason = &event.reason;
        if is_of_a_namespace_that_goes(&error) {
            tracing::debug!(kind, namespace, name, reason, %error, "event lost");
        } else {
            tracing::warn!(kind, namespace, name, reason, %error, "event lost");
        }
    }

    async fn attempt(&self, event: &Event) -> Result<(), Error> {
        let _turn = self.turns.acquire().await;
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        match self.cluster.create_event(namespace, event).await {
            // No other event has its name: an earlier try arrived, and its answer did not.
            Err(error) if error.is_already_exists() => Ok(()),
            answer => answer,
        }
    }
}

fn details(error: &Error) -> Option<&StatusDetails> {
    let Error::Api { source, .. } = error else {
        return None;
    };
    match &**source {
        kube::Error::Api(status) => status.details.as_ref(),
        _ => None,
    }
}

/// How long the API server wants to be left alone. Only what stands in the body of its answer comes through
/// kube.
fn asked_for(error: &Error) -> Option<Duration> {
    details(error).map(|details| Duration::from_secs(details.retry_after_seconds.into()))
}

/// Nobody is there to miss the event.
fn is_of_a_namespace_that_goes(error: &Error) -> bool {
    let mut causes = details(error).into_iter().flat_map(|details| &details.causes);
    error.is_not_found() || causes.any(|cause| cause.reason == "NamespaceTerminating")
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
    use crate::{
        metrics::OutcomeLabels,
        testing::{Script, TestContext, context, metrics, run},
    };
    use std::collections::BTreeSet;
    use tokio::time::Instant;

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

    /// Tells of a run called so each, and says what the API server sees of it, by `server`.
    async fn sent<T>(names: &[&str], server: impl AsyncFnOnce(&mut Script) -> T) -> (T, Metrics) {
        let TestContext {
            context,
            server: mut script,
            notes,
            ..
        } = context();
        for name in names {
            context.events.emit(Note {
                about: task_run(&run(name)),
                ..note(Severity::Warning, "m")
            });
        }
        let stop = CancellationToken::new();
        let (cluster, metrics) = (context.cluster.clone(), context.metrics.clone());
        let sending = tokio::spawn(send(notes, cluster, metrics.clone(), stop.clone()));
        let seen = server(&mut script).await;
        // What comes of the last answer.
        tokio::time::sleep(Duration::from_millis(1)).await;
        stop.cancel();
        sending.await.unwrap();
        (seen, metrics)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_taken_is_sent_again_a_few_times() {
        const BUSY: (u16, &str) = (429, "TooManyRequests");
        const BROKEN: (u16, &str) = (500, "InternalError");
        const AWAY: (u16, &str) = (503, "ServiceUnavailable");
        const THERE: (u16, &str) = (409, "AlreadyExists");
        const FORBIDDEN: (u16, &str) = (403, "Forbidden");
        for (answers, outcome, milliseconds) in [
            (&[][..], "sent", 0),
            (&[(BROKEN, 0)], "sent", 250),
            (&[(BROKEN, 0), (AWAY, 0)], "sent", 1250),
            (&[(BUSY, 3)], "sent", 3000),
            (&[(BUSY, 3600)], "sent", 5000),
            (&[(BROKEN, 0), (THERE, 0)], "sent", 250),
            (
                &[(BROKEN, 0), (BROKEN, 0), (BROKEN, 0), (AWAY, 1)],
                "failed",
                5250,
            ),
            (&[(FORBIDDEN, 0)], "failed", 0),
        ] {
            let begun = Instant::now();
            let (names, metrics) = sent(&["r"], async |server| {
                let mut names = BTreeSet::new();
                for ((code, reason), seconds) in answers {
                    let (_, _, asked) = server.next().await;
                    let event = asked.refuse_for(*seconds, *code, reason);
                    names.insert(event["metadata"]["name"].to_string());
                }
                if outcome == "sent" && answers.last().is_none_or(|(last, _)| *last != THERE) {
                    let (_, _, asked) = server.next().await;
                    let event = asked.body.clone();
                    names.insert(asked.with(&event)["metadata"]["name"].to_string());
                }
                names
            })
            .await;
            assert_eq!(names.len(), 1, "one event: {names:?}");
            let took = begun.elapsed().as_millis();
            assert!(
                (milliseconds..milliseconds + 100).contains(&took),
                "{answers:?}: {took} ms"
            );
            let number = metrics.events.get_or_create(&OutcomeLabels { outcome }).get();
            assert_eq!(number, 1, "{answers:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_another_try_holds_nobody_up() {
        let names = ["away"; SENDERS * 2];
        let names = [&names[..], &["other"]].concat();
        let begun = Instant::now();
        let (took, metrics) = sent(&names, async |server| {
            loop {
                let (_, _, asked) = server.next().await;
                let event = asked.body.clone();
                if event["involvedObject"]["name"] == "other" {
                    asked.with(&event);
                    return begun.elapsed();
                }
                asked.refuse(503, "ServiceUnavailable");
            }
        })
        .await;
        assert!(took < WAITS[0], "{took:?}");
        drop(metrics);
    }
}
