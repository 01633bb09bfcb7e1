//! An API server for tests that answers by the book.

use http::{Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower_test::mock::{Handle, pair};

/// An answer.
pub(crate) fn reply(status: StatusCode, body: Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::from(body.to_string().into_bytes()))
        .unwrap()
}

/// The body of an answer that says no.
pub(crate) fn failure(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

/// Answers each request in turn with what `script` says; the task returns what was asked.
pub(crate) fn scripted(script: Vec<Response<Body>>) -> (Client, JoinHandle<Vec<(String, Value)>>) {
    let (service, mut handle) = pair::<Request<Body>, Response<Body>>();
    let server = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in script {
            let Some((request, send)) = handle.next_request().await else {
                return asked;
            };
            let line = format!("{} {}", request.method(), request.uri().path());
            let body = request.into_body().collect_bytes().await.unwrap();
            asked.push((line, serde_json::from_slice(&body).unwrap_or_default()));
            send.send_response(answer);
        }
        asked
    });
    (Client::new(service, "ns"), server)
}

/// An API server that takes requests and never answers.
pub(crate) fn silent() -> (Client, Handle<Request<Body>, Response<Body>>) {
    let (service, mut handle) = pair();
    handle.allow(100);
    (Client::new(service, "ns"), handle)
}
