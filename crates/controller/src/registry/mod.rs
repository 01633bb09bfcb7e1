//! Registries: asked what images run, for steps that have no command (runtime.md section 2).
//!
//! A look at a TaskRun never waits for a registry: [`Registries::ask`] answers at once with what is known,
//! starts what has to be asked, and has the run looked at again when the answer is there.
//!
//! ```text
//! ask → slots ─→ fetch* → session* → auth*, http_client*
//!         ↑________│  then the queue gets everybody who waits
//! ```
//!
//! The requests are our own, on the HTTP stack that is here anyway; one crate more, for the grammar of
//! WWW-Authenticate. The client crate that was tried for it (oci-client 0.18, 62 crates more) drops the headers
//! of refusals, so Retry-After cannot be honoured; it reads manifests of any size into memory, and the registry
//! is named by whoever may write a TaskRun; it keeps one user for each registry, where every run has its own.

mod auth;
mod failure;
mod fetch;
mod http_client;
mod reach;
mod session;
mod slots;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use tektite_core::image::{Answer, Answers, Image, Reference, keyring::Keyring, settings::LookUpSettings};
use tokio::{sync::Semaphore, time::Instant};

use self::{
    failure::Failure,
    fetch::{Job, fetch},
    http_client::HttpClient,
    slots::{Id, Next, Slots, Source},
};
use crate::{cache::Key, metrics::Metrics, queue::Queue};

/// How long one look-up may take, with all its requests.
const LIMIT: Duration = Duration::from_secs(30);
/// How many look-ups one registry has to bear at the same time: one that does not answer holds up its own.
const AT_ONCE: usize = 8;
/// The most registries to remember that limit for.
const MOST_GATES: usize = 1024;
/// How long nobody need know that a look-up is under way.
pub const QUIET: Duration = Duration::from_secs(1);

/// What was asked, and what is known of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// All that is known.
    pub answers: Answers,
    /// Where an answer is being waited for, and has been for less than [`QUIET`]: how much of that is left.
    pub quiet: Option<Duration>,
}

/// What is known of images, and the way to know more.
pub struct Registries {
    shared: Arc<Shared>,
}

struct Shared {
    slots: Mutex<Slots>,
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
    client: HttpClient,
    queue: Arc<Queue>,
    metrics: Metrics,
}

impl Registries {
    /// Registries that nothing is known of; those who wait for answers come into `queue`. The file
    /// `authorities` holds more CAs.
    pub fn new(authorities: PathBuf, queue: Arc<Queue>, metrics: Metrics) -> Self {
        Self {
            shared: Arc::new(Shared {
                slots: Mutex::default(),
                gates: Mutex::default(),
                client: HttpClient::new(authorities),
                queue,
                metrics,
            }),
        }
    }

    /// What is known of `images` to a run with these secrets. What is not known is asked; `asker` comes into
    /// the queue when it is there.
    pub fn ask(
        &self,
        asker: &Key,
        images: &[Reference],
        keyring: &Keyring,
        settings: &LookUpSettings,
    ) -> Asked {
        let now = Instant::now();
        let mut answers = Answers::new();
        let mut quiet: Option<Duration> = None;
        for reference in images {
            let job = Job::new(reference.clone(), keyring, settings);
            let id = (reference.clone(), job.fingerprint());
            let next = self.shared.slots().ask(&id, asker, settings.ttl, now);
            let since = match next {
                Next::Known(answer, source) => {
                    self.shared.metrics.looked_up(match source {
                        Source::Hit => "hit",
                        Source::Stale => "stale",
                        Source::Failure => "held",
                    });
                    answers.insert(reference.clone(), answer);
                    continue;
                }
                Next::UnderWay(since) => since,
                Next::Ask(before) => {
                    let shared = Arc::clone(&self.shared);
                    tokio::spawn(shared.look_up(id, Job { before, ..job }));
                    now
                }
            };
            let left = QUIET.saturating_sub(now.duration_since(since));
            if !left.is_zero() {
                quiet = Some(quiet.map_or(left, |quiet| quiet.min(left)));
            }
            let answer = Answer::NotYet {
                why: format!("image \"{reference}\" is being looked up"),
                again_in: LIMIT,
            };
            answers.insert(reference.clone(), answer);
        }
        // A failure that lasts need not wait for the rest.
        let hopeless = answers.values().any(|answer| matches!(answer, Answer::Never(_)));
        Asked {
            answers,
            quiet: quiet.filter(|_| !hopeless),
        }
    }
}

impl Shared {
    async fn look_up(self: Arc<Self>, id: Id, job: Job) {
        let answer = answer(&job.reference, self.through_the_gate(&job)).await;
        let word = match &answer {
            Ok(image) => {
                tracing::debug!(image = %job.reference, digest = %image.digest, "looked up");
                "found"
            }
            Err(failure) => {
                tracing::warn!(%failure, "not looked up");
                match failure {
                    Failure::Passing { .. } => "passing",
                    Failure::Denied(_) | Failure::Missing(_) | Failure::Unusable(_) | Failure::Lasting(_) => {
                        "lasting"
                    }
                }
            }
        };
        self.metrics.looked_up(word);
        let waiting = self.slots().answered(&id, answer, Instant::now());
        for key in waiting {
            self.queue.add(key);
        }
    }

    async fn through_the_gate(&self, job: &Job) -> Result<Arc<Image>, Failure> {
        let gate = self.gate(job.reference.registry());
        // It is never closed.
        let _permit = gate.acquire().await;
        fetch(&self.client, job).await
    }

    fn gate(&self, registry: &str) -> Arc<Semaphore> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= MOST_GATES {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let gate = gates.entry(registry.to_owned());
        Arc::clone(gate.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What comes of a look-up. Whatever happens, those who wait get an answer.
async fn answer(
    reference: &Reference,
    look_up: impl Future<Output = Result<Arc<Image>, Failure>>,
) -> Result<Arc<Image>, Failure> {
    let limited = AssertUnwindSafe(tokio::time::timeout(LIMIT, look_up));
    let why = match limited.catch_unwind().await {
        Ok(Ok(answer)) => return answer,
        Ok(Err(_elapsed)) => format!("the look-up has not ended within {LIMIT:?}"),
        Err(_panic) => "the look-up panicked, which is a bug of the controller".to_owned(),
    };
    Err(Failure::passing(why).about(&reference.to_string()))
}
