//! What the tests of this crate share: objects, and an API server that answers by a script.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Client,
    client::Body,
    core::{Status, response::StatusDetails},
};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tektite_api::{Condition, ConditionStatus, TaskRun, TaskRunStatus, labels, status::SUCCEEDED};
use tektite_core::{
    condition,
    delivery::{Delivery, DeliveryMode},
    pod_view::PodView,
};
use tokio::sync::mpsc;
use tower::Layer as _;
use tower_test::mock::{Handle, SendResponse, pair};

use crate::{
    client::InTime,
    cloud_events::Lanes,
    context::{Context, Settings},
    error::Error,
    events::Waiting,
    metrics::Metrics,
    trigger::ManagedBy,
};

/// How long a scripted API server is waited for.
pub(crate) const LIMIT: Duration = Duration::from_millis(200);

pub(crate) fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some("n".to_owned()),
        uid: Some(format!("uid-of-{name}")),
        resource_version: Some("1".to_owned()),
        generation: Some(1),
        ..ObjectMeta::default()
    }
}

pub(crate) fn run(name: &str) -> TaskRun {
    TaskRun {
        metadata: metadata(name),
        ..TaskRun::default()
    }
}

pub(crate) fn going_on() -> TaskRunStatus {
    TaskRunStatus {
        pod_name: "r-pod".to_owned(),
        conditions: vec![Condition {
            condition_type: SUCCEEDED.to_owned(),
            status: ConditionStatus::Unknown,
            severity: String::new(),
            last_transition_time: None,
            reason: "Pending".to_owned(),
            message: String::new(),
        }],
        ..TaskRunStatus::default()
    }
}

/// The end of a run, a moment ago.
pub(crate) fn over() -> TaskRunStatus {
    let mut status = going_on();
    status.conditions[0].status = ConditionStatus::True;
    "Succeeded".clone_into(&mut status.conditions[0].reason);
    status.completion_time = Some(condition::time(Timestamp::now()));
    status
}

pub(crate) fn pod_of(run: &TaskRun) -> PodView {
    let mut pod = PodView {
        metadata: metadata(&format!("{}-pod", run.name())),
        ..PodView::default()
    };
    pod.metadata.labels = Some([(labels::TASK_RUN.to_owned(), run.name().to_owned())].into());
    pod.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "tekton.dev/v1".to_owned(),
        kind: "TaskRun".to_owned(),
        name: run.name().to_owned(),
        uid: run.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }]);
    pod
}

pub(crate) fn failure(code: u16, reason: &str, message: &str, about: &str) -> Status {
    let mut status = Status::failure(message, reason).with_code(code);
    if !about.is_empty() {
        status.details = Some(StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: about.to_owned(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 0,
        });
    }
    status
}

pub(crate) fn api_error(code: u16, reason: &str, message: &str) -> Error {
    api_error_about(code, reason, message, "")
}

pub(crate) fn api_error_about(code: u16, reason: &str, message: &str, about: &str) -> Error {
    Error::Api {
        verb: "create",
        kind: "Pod",
        source: Box::new(kube::Error::Api(failure(code, reason, message, about).boxed())),
    }
}

pub(crate) fn metrics() -> Metrics {
    Metrics::register(&mut Registry::default())
}

/// A context whose API server is [`Script`].
pub(crate) struct TestContext {
    pub(crate) context: Arc<Context>,
    pub(crate) server: Script,
    pub(crate) notes: mpsc::Receiver<Waiting>,
    pub(crate) lanes: Lanes,
    pub(crate) registry: Registry,
}

/// A client, and the server that it talks to.
pub(crate) fn scripted() -> (Client, Script) {
    let (service, handle) = pair::<Request<Body>, Response<Body>>();
    (Client::new(InTime.layer(service), "default"), Script(handle))
}

/// The context of a replica that works.
pub(crate) fn context() -> TestContext {
    let test = standby();
    test.context.events.lead();
    test.context.queue.open();
    test
}

/// The context of a replica that waits for the lease.
pub(crate) fn standby() -> TestContext {
    let (client, server) = scripted();
    let settings = Settings {
        system_namespace: "system".to_owned(),
        watch_namespace: None,
        managed_by: ManagedBy::Tekton,
        config_prefix: String::new(),
        image: "entrypoint:1".to_owned(),
        pull_policy: "IfNotPresent".to_owned(),
        delivery_mode: DeliveryMode::Always(Delivery::InitContainer),
        concurrency: 4,
        registry_authorities: "/nonexistent".into(),
        revision: "0123abc",
    };
    let mut registry = Registry::default();
    let (context, notes, lanes) = Context::new(settings, client, LIMIT, &mut registry);
    TestContext {
        context,
        server,
        notes,
        lanes,
        registry,
    }
}

/// An API server that answers as the test tells it to.
pub(crate) struct Script(Handle<Request<Body>, Response<Body>>);

/// A request that waits for its answer.
pub(crate) struct Asked {
    pub(crate) body: Value,
    pub(crate) query: String,
    send: SendResponse<Response<Body>>,
}

impl Script {
    /// Waits for the next request, which must be this one.
    pub(crate) async fn expect(&mut self, method: Method, path: &str) -> Asked {
        let next = tokio::time::timeout(Duration::from_secs(5), self.next());
        let (was, at, asked) = next.await.expect("a request in time");
        assert_eq!((&was, at.as_str()), (&method, path));
        asked
    }

    /// Waits for the next request: its method, its path, and the rest.
    pub(crate) async fn next(&mut self) -> (Method, String, Asked) {
        let (request, send) = self.0.next_request().await.expect("a request");
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let bytes = request.into_body().collect_bytes().await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        (method, path, Asked { body, query, send })
    }

    /// Answers look-ups of what is not there, until nothing more comes; writes fail the test.
    pub(crate) async fn deny_writes(&mut self) {
        let wait = Duration::from_millis(50);
        while let Ok(Some((request, send))) = tokio::time::timeout(wait, self.0.next_request()).await {
            assert_eq!(request.method(), Method::GET, "{}", request.uri());
            let asked = Asked {
                body: Value::Null,
                query: String::new(),
                send,
            };
            asked.refuse(404, "NotFound");
        }
    }

    /// Nothing was asked.
    pub(crate) async fn expect_nothing(&mut self) {
        let next = tokio::time::timeout(Duration::from_millis(20), self.0.next_request());
        if let Ok(Some((request, _))) = next.await {
            panic!("{} {}", request.method(), request.uri());
        }
    }
}

impl Asked {
    /// Answers with `object`.
    pub(crate) fn with(self, object: &impl serde::Serialize) -> Value {
        self.answer(StatusCode::OK, &json!(object))
    }

    /// Answers with a refusal.
    pub(crate) fn refuse(self, code: u16, reason: &str) -> Value {
        let status = failure(code, reason, "because", "");
        self.answer(StatusCode::from_u16(code).unwrap(), &json!(status))
    }

    /// Answers with a refusal that asks to be left alone for a while.
    pub(crate) fn refuse_for(self, seconds: u32, code: u16, reason: &str) -> Value {
        let mut status = failure(code, reason, "because", "Event");
        status.details = status.details.map(|details| StatusDetails {
            retry_after_seconds: seconds,
            ..details
        });
        self.answer(StatusCode::from_u16(code).unwrap(), &json!(status))
    }

    /// Answers a watch with `events`, and ends it. As the API server does, and has to for the
    /// decoding, it writes the type first.
    pub(crate) fn with_events(self, events: &[(&str, Value)]) {
        let mut text = String::new();
        for (kind, object) in events {
            text.push_str(&[r#"{"type":""#, kind, r#"","object":"#, &object.to_string(), "}\n"].concat());
        }
        self.send(StatusCode::OK, text.into_bytes());
    }

    /// Answers with a text, such as a log.
    pub(crate) fn with_text(self, text: &str) {
        self.send(StatusCode::OK, text.as_bytes().to_vec());
    }

    fn answer(self, code: StatusCode, object: &Value) -> Value {
        let sent = self.body.clone();
        self.send(code, serde_json::to_vec(object).unwrap());
        sent
    }

    fn send(self, code: StatusCode, body: Vec<u8>) {
        let response = Response::builder().status(code).body(Body::from(body));
        self.send.send_response(response.unwrap());
    }
}
