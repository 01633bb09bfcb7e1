//! CloudEvents to the operator's sink (api.md 8.2): HTTP POSTs of their own, which nothing waits for.
//!
//! Each run has its lane, so that its events arrive in their order; a lane has a bound, and what does not
//! fit is counted and told as an event of the run. A sink that is away costs its events and nothing else.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use tektite_api::{ConditionStatus, TaskRun, TaskRunStatus};
use tektite_core::{
    cloud_event::{CloudEvent, Told},
    condition,
    config::Sink,
    lifecycle::Severity,
    reason::Reason,
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    context::Context,
    events::{self, Emitter, Note},
    metrics::Metrics,
};

/// How many are sent at the same time.
const LANES: usize = 8;
/// How many can wait in a lane.
const CAPACITY: usize = 128;
/// How often one is sent that does not arrive.
const ATTEMPTS: u32 = 10;
/// The pause after the first time; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// How long a sink may take.
const ANSWER: Duration = Duration::from_secs(5);

/// An event on its way.
#[derive(Debug)]
struct Outgoing {
    event: CloudEvent,
    about: ObjectReference,
    sink: Sink,
}

/// Takes events.
#[derive(Debug)]
pub struct CloudEvents {
    told: Mutex<Told>,
    lanes: Vec<mpsc::Sender<Outgoing>>,
    events: Emitter,
    metrics: Metrics,
}

/// Where events come out.
#[derive(Debug)]
pub struct Lanes(Vec<mpsc::Receiver<Outgoing>>);

/// Takes events, and where they come out.
pub fn channel(events: Emitter, metrics: Metrics) -> (CloudEvents, Lanes) {
    let (lanes, ends) = (0..LANES).map(|_| mpsc::channel(CAPACITY)).unzip();
    let cloud_events = CloudEvents {
        told: Mutex::default(),
        lanes,
        events,
        metrics,
    };
    (cloud_events, Lanes(ends))
}

impl CloudEvents {
    /// `run` is there, and nobody has looked after it yet.
    pub fn queued(&self, context: &Context, run: &TaskRun) {
        if run.status.as_ref().and_then(TaskRunStatus::succeeded).is_none() {
            self.tell(context, run);
        }
    }

    /// `run` has another status now.
    pub fn written(&self, context: &Context, run: &TaskRun, status: &TaskRunStatus) {
        let before = run.status.as_ref().and_then(TaskRunStatus::succeeded);
        if before == status.succeeded() {
            return;
        }
        let with = |status: TaskRunStatus| TaskRun {
            status: Some(status),
            ..run.clone()
        };
        if before.is_none() {
            // The first status that is written is further on already.
            let mut started = status.clone();
            let now = status
                .start_time
                .as_ref()
                .map_or_else(Timestamp::now, |time| time.0);
            condition::set(&mut started, ConditionStatus::Unknown, Reason::Started, "", now);
            started.completion_time = None;
            self.tell(context, &with(started));
        }
        self.tell(context, &with(status.clone()));
    }

    fn tell(&self, context: &Context, run: &TaskRun) {
        let config = context.config.load();
        let Some(sink) = config.sink() else { return };
        let condition = run.status.as_ref().and_then(TaskRunStatus::succeeded);
        let now = Timestamp::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.is_news(run.uid(), condition, now);
        drop(told);
        if !is_news {
            return;
        }
        let outgoing = Outgoing {
            event: CloudEvent::new(run, now),
            about: events::task_run(run),
            sink: sink.clone(),
        };
        let mut hasher = DefaultHasher::new();
        run.uid().hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % LANES as u64).unwrap_or_default();
        if let Err(error) = self.lanes[lane].try_send(outgoing) {
            self.metrics.cloud_event("dropped");
            let (mpsc::error::TrySendError::Full(lost) | mpsc::error::TrySendError::Closed(lost)) = error;
            failed(&self.events, &lost, "too many events wait for the sink");
        }
    }
}

/// Sends events until `stop`, then tries those once that still wait.
pub async fn send(lanes: Lanes, events: Emitter, metrics: Metrics, stop: CancellationToken) {
    let client = client();
    let mut senders = JoinSet::new();
    for lane in lanes.0 {
        let sender = Sender {
            client: client.clone(),
            events: events.clone(),
            metrics: metrics.clone(),
            stop: stop.clone(),
        };
        senders.spawn(sender.follow(lane));
    }
    while senders.join_next().await.is_some() {}
}

pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client for addresses that the operator has named.
pub(crate) fn client() -> Arc<HttpClient> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .build();
    Arc::new(Client::builder(TokioExecutor::new()).build(connector))
}

/// Why an event did not arrive.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// It may the next time.
    Passing(String),
    /// It never will.
    Lasting(String),
}

struct Sender {
    client: Arc<HttpClient>,
    events: Emitter,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Sender {
    async fn follow(self, mut lane: mpsc::Receiver<Outgoing>) {
        loop {
            let next = tokio::select! {
                biased;
                next = lane.recv() => next,
                () = self.stop.cancelled() => None,
            };
            let Some(outgoing) = next else { return };
            match self.deliver(&outgoing).await {
                Ok(()) => {
                    self.metrics.cloud_event("sent");
                    self.events.emit(Note {
                        about: outgoing.about,
                        severity: Severity::Normal,
                        reason: "CloudEventSent",
                        message: format!("Sent {}", outgoing.event.kind.as_str()),
                    });
                }
                Err(why) => {
                    self.metrics.cloud_event("failed");
                    tracing::warn!(
                        taskrun = outgoing.about.name,
                        namespace = outgoing.about.namespace,
                        why,
                        "CloudEvent not delivered"
                    );
                    failed(&self.events, &outgoing, &why);
                }
            }
        }
    }

    async fn deliver(&self, outgoing: &Outgoing) -> Result<(), String> {
        let body = Bytes::from(outgoing.event.data.to_string());
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let why = match self.attempt(outgoing, body.clone()).await {
                Ok(()) => return Ok(()),
                Err(Failure::Lasting(why)) => return Err(why),
                Err(Failure::Passing(why)) => why,
            };
            if attempt == ATTEMPTS || self.stop.is_cancelled() {
                return Err(format!("{why} ({attempt} attempts)"));
            }
            attempt += 1;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => {}
            }
            pause *= 2;
        }
    }

    async fn attempt(&self, outgoing: &Outgoing, body: Bytes) -> Result<(), Failure> {
        let sink = outgoing.sink.as_str();
        let lasting = |why: String| Failure::Lasting(format!("sink {sink}: {why}"));
        let uri: Uri = sink.parse().map_err(|error| lasting(format!("{error}")))?;
        let mut request = Request::post(uri)
            .body(Full::new(body))
            .map_err(|error| lasting(error.to_string()))?;
        for (name, value) in outgoing.event.headers() {
            let value = HeaderValue::try_from(value).map_err(|error| lasting(error.to_string()))?;
            request.headers_mut().insert(name, value);
        }
        let passing = |why: String| Failure::Passing(format!("sink {sink}: {why}"));
        let answer = match tokio::time::timeout(ANSWER, self.client.request(request)).await {
            Ok(answer) => answer.map_err(|error| passing(causes(&error)))?,
            Err(_elapsed) => return Err(passing(format!("no answer within {ANSWER:?}"))),
        };
        match answer.status() {
            status if status.is_success() => Ok(()),
            status if status.is_server_error() || matches!(status.as_u16(), 404 | 408 | 425 | 429) => {
                Err(passing(format!("it answers {status}")))
            }
            status => Err(lasting(format!("it answers {status}"))),
        }
    }
}

fn failed(events: &Emitter, outgoing: &Outgoing, why: &str) {
    events.emit(Note {
        about: outgoing.about.clone(),
        severity: Severity::Warning,
        reason: "CloudEventFailed",
        message: format!("{} not delivered: {why}", outgoing.event.kind.as_str()),
    });
}

/// What an error says, with what it says of its causes.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
