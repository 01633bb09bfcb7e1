use http::{Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::testing::{failure, reply, scripted, silent};

fn run(spec: Value) -> Object {
    Object::TaskRun(Box::new(
        serde_json::from_value(json!({"metadata": {"name": "r", "namespace": "ns"}, "spec": spec})).unwrap(),
    ))
}

fn task(params: Value) -> Response<Body> {
    let task = json!({"apiVersion": "tekton.dev/v1", "kind": "Task", "metadata": {"name": "t", "namespace": "ns"},
        "spec": {"params": params, "steps": [{"image": "i"}]}});
    reply(StatusCode::OK, task)
}

fn not_found() -> Response<Body> {
    reply(StatusCode::NOT_FOUND, failure(404, "NotFound"))
}

/// What comes of `object` where the API server answers so; and what it was asked.
async fn followed(object: Object, mode: Mode, script: Vec<Response<Body>>) -> (Judgement, Vec<String>) {
    let (client, server) = scripted(script);
    let references = References::new(client, Arc::default(), mode);
    let mut judgement = Judgement::of(object);
    references.follow(&mut judgement, "ns", &Config::default()).await;
    drop(references);
    let asked = server.await.unwrap().into_iter().map(|(line, _)| line).collect();
    (judgement, asked)
}

const GET: &str = "GET /apis/tekton.dev/v1/namespaces/ns/tasks/t";

#[tokio::test]
async fn a_contradiction_is_read_twice_and_refused() {
    let script = vec![task(json!([{"name": "p"}])), task(json!([{"name": "p"}]))];
    let (judgement, asked) = followed(run(json!({"taskRef": {"name": "t"}})), Mode::Reject, script).await;
    assert_eq!(asked, [GET, GET]);
    let text = judgement.errors.to_string();
    assert!(
        text.starts_with("invalid input params for task t: missing values for these params which have no default values: [p]: spec.params\n"),
        "{text}"
    );
}

#[tokio::test]
async fn what_has_changed_meanwhile_counts() {
    let script = vec![task(json!([{"name": "p"}])), task(json!([]))];
    let (judgement, asked) = followed(run(json!({"taskRef": {"name": "t"}})), Mode::Reject, script).await;
    assert_eq!(asked.len(), 2);
    assert!(judgement.errors.is_empty());
}

#[tokio::test]
async fn modes_say_what_is_done() {
    let (judgement, _) = followed(
        run(json!({"taskRef": {"name": "t"}})),
        Mode::Warn,
        vec![task(json!([{"name": "p"}])), task(json!([{"name": "p"}]))],
    )
    .await;
    assert!(judgement.errors.is_empty());
    assert!(
        judgement.warnings[0].contains("missing values"),
        "{:?}",
        judgement.warnings
    );
    let (judgement, asked) = followed(run(json!({"taskRef": {"name": "t"}})), Mode::Ignore, vec![]).await;
    assert!(judgement.errors.is_empty() && judgement.warnings.is_empty() && asked.is_empty());
}

#[tokio::test]
async fn what_does_not_exist_yet_is_a_warning() {
    let (judgement, _) = followed(
        run(json!({"taskRef": {"name": "t"}})),
        Mode::Reject,
        vec![not_found()],
    )
    .await;
    assert_eq!(
        judgement.warnings,
        ["spec.taskRef.name: there is no Task \"t\" in namespace \"ns\" yet"]
    );
    let inline = run(json!({"taskSpec": {"steps": [{"ref": {"name": "a"}}]}}));
    let (judgement, asked) = followed(inline, Mode::Reject, vec![not_found()]).await;
    assert_eq!(
        asked,
        ["GET /apis/tekton.dev/v1beta1/namespaces/ns/stepactions/a"]
    );
    assert_eq!(
        judgement.warnings,
        ["there is no StepAction \"a\" in namespace \"ns\" yet"]
    );
    assert!(judgement.errors.is_empty());
}

#[tokio::test]
async fn remote_objects_are_nobodys_here() {
    let (judgement, asked) =
        followed(run(json!({"taskRef": {"resolver": "git"}})), Mode::Reject, vec![]).await;
    assert!(judgement.errors.is_empty() && judgement.warnings.is_empty() && asked.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_refuses_nothing() {
    let (client, _handle) = silent();
    let references = References::new(client, Arc::default(), Mode::Reject);
    let mut judgement = Judgement::of(run(json!({"taskRef": {"name": "t"}})));
    references.follow(&mut judgement, "ns", &Config::default()).await;
    assert!(judgement.errors.is_empty());
    assert_eq!(
        judgement.warnings,
        ["not compared with what it refers to: Task \"t\" could not be read in time"]
    );
}
