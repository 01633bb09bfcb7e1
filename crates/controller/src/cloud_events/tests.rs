//! Against a sink that answers as the test wants it to.

use axum::{Router, extract::State, http::HeaderMap, response::IntoResponse, routing::post};
use http::StatusCode;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;
use tektite_core::config::Source;
use tokio::net::TcpListener;

use super::*;
use crate::{
    config_watch,
    events::Waiting,
    testing::{self, TestContext, going_on, metadata, run},
};

/// What the sink has got: each event's type, and the run in it.
type Got = Arc<Mutex<Vec<(String, Value)>>>;

/// A sink that answers with each of `answers` in turn, then that all is well.
async fn sink(answers: Vec<StatusCode>) -> (String, Got) {
    let got = Got::default();
    let answers = Arc::new(Mutex::new(answers.into_iter()));
    let take = async |State((got, answers)): State<(Got, Arc<Mutex<std::vec::IntoIter<StatusCode>>>)>,
                      headers: HeaderMap,
                      body: axum::body::Bytes| {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(text("content-type"), "application/json");
        assert_eq!(text("ce-specversion"), "1.0");
        let tree: Value = serde_json::from_slice(&body).unwrap();
        got.lock()
            .unwrap()
            .push((text("ce-type"), tree["taskRun"].clone()));
        let answer = answers.lock().unwrap().next();
        answer.unwrap_or(StatusCode::ACCEPTED).into_response()
    };
    let router = Router::new()
        .route("/events", post(take))
        .with_state((Arc::clone(&got), answers));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/events"), got)
}

fn to_sink(context: &Context, address: &str) {
    let map = ConfigMap {
        metadata: metadata("config-events"),
        data: Some([("sink".to_owned(), address.to_owned())].into()),
        ..ConfigMap::default()
    };
    config_watch::take(context, Source::Events, Some(map));
}

/// Sends all that `context` has to send.
async fn sent(context: &Context, lanes: Lanes) {
    let stop = CancellationToken::new();
    let send = send(
        lanes,
        context.events.clone(),
        context.metrics.clone(),
        stop.clone(),
    );
    let wait = async {
        while context
            .cloud_events
            .lanes
            .iter()
            .any(|lane| lane.capacity() < CAPACITY)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let both = async { tokio::join!(send, wait) };
    tokio::time::timeout(Duration::from_mins(2), both).await.unwrap();
}

fn told(notes: &mut mpsc::Receiver<Waiting>) -> Vec<(&'static str, String)> {
    std::iter::from_fn(|| notes.try_recv().ok())
        .map(|waiting| (waiting.note.reason, waiting.note.message))
        .collect()
}

fn short(kind: &str) -> &str {
    kind.trim_start_matches("dev.tekton.event.taskrun.")
        .trim_end_matches(".v1")
}

#[tokio::test]
async fn a_run_is_told_from_its_coming_to_its_end_in_order_and_once() {
    let TestContext {
        context,
        mut notes,
        lanes,
        ..
    } = testing::context();
    let (address, got) = sink(Vec::new()).await;
    to_sink(&context, &address);
    let new = run("r");
    context.cloud_events.queued(&context, &new);
    context.cloud_events.queued(&context, &new);
    let pending = going_on();
    context.cloud_events.written(&context, &new, &pending);
    let mut over = going_on();
    over.conditions[0].status = ConditionStatus::True;
    "Succeeded".clone_into(&mut over.conditions[0].reason);
    let mut known = new.clone();
    known.status = Some(pending.clone());
    context.cloud_events.written(&context, &known, &pending);
    context.cloud_events.written(&context, &known, &over);
    sent(&context, lanes).await;
    let got = got.lock().unwrap();
    let kinds: Vec<_> = got.iter().map(|(kind, _)| short(kind)).collect();
    assert_eq!(kinds, ["queued", "started", "unknown", "successful"]);
    let reasons: Vec<_> = got
        .iter()
        .map(|(_, run)| run["status"]["conditions"][0]["reason"].as_str())
        .collect();
    assert_eq!(
        reasons,
        [None, Some("Started"), Some("Pending"), Some("Succeeded")]
    );
    let told = told(&mut notes);
    assert_eq!(told.len(), 4);
    let last = (
        "CloudEventSent",
        "Sent dev.tekton.event.taskrun.successful.v1".to_owned(),
    );
    assert_eq!(told.last(), Some(&last));
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_lasts_is_not() {
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    for (answers, tries, reason, part) in [
        (vec![busy, busy], 3, "CloudEventSent", "Sent"),
        (
            vec![StatusCode::FORBIDDEN],
            1,
            "CloudEventFailed",
            "it answers 403 Forbidden",
        ),
        (
            vec![busy; 20],
            10,
            "CloudEventFailed",
            "it answers 503 Service Unavailable (10 attempts)",
        ),
    ] {
        let TestContext {
            context,
            mut notes,
            lanes,
            ..
        } = testing::context();
        let (address, got) = sink(answers).await;
        to_sink(&context, &address);
        context.cloud_events.queued(&context, &run("r"));
        let stop = CancellationToken::new();
        let sending = tokio::spawn(send(
            lanes,
            context.events.clone(),
            context.metrics.clone(),
            stop.clone(),
        ));
        let note = tokio::time::timeout(Duration::from_mins(2), notes.recv()).await;
        let note = note.unwrap().unwrap().note;
        stop.cancel();
        sending.await.unwrap();
        assert_eq!(got.lock().unwrap().len(), tries);
        assert_eq!(note.reason, reason);
        assert!(note.message.contains(part), "{}", note.message);
    }
}

#[tokio::test]
async fn a_sink_that_is_away_holds_nobody_up() {
    let TestContext {
        context,
        mut notes,
        lanes,
        ..
    } = testing::context();
    to_sink(&context, "http://127.0.0.1:1/");
    // Nobody takes any out: each is told or dropped, and none waits.
    for number in 0..LANES * CAPACITY * 4 {
        let mut run = run("r");
        run.metadata.uid = Some(number.to_string());
        context.cloud_events.queued(&context, &run);
    }
    let told = told(&mut notes);
    assert!(told.iter().all(|(reason, _)| *reason == "CloudEventFailed"));
    assert!(told[0].1.contains("too many events wait"), "{told:?}");
    drop(lanes);
}

#[tokio::test]
async fn without_a_sink_nothing_is_made() {
    let TestContext { context, lanes, .. } = testing::context();
    context.cloud_events.queued(&context, &run("r"));
    assert!(
        context
            .cloud_events
            .lanes
            .iter()
            .all(|lane| lane.capacity() == CAPACITY)
    );
    drop(lanes);
}
