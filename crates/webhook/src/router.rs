//! The HTTP surface for the API server: four paths, one answer per review.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use axum::{
    Router,
    extract::State as Shared,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use tektite_core::{
    config::Config,
    field_error::{LONGEST_TEXT, clipped},
};

use crate::{
    admit,
    body::{Bounded, MAX_BODY, MAX_CONVERSION},
    convert::{self, ReviewError},
    limits::{Judged, Limits, guard},
    review::{self, Operation, Request, Review, Verdict},
    state::State,
};

/// The routes, within `limits`.
pub fn router(state: Arc<State>, limits: Limits) -> Router {
    let metrics = state.metrics.clone();
    let routes = Router::new()
        .route("/defaulting", post(defaulting))
        .route("/resource-validation", post(resource_validation))
        .route("/config-validation", post(config_validation))
        .route("/resource-conversion", post(resource_conversion))
        .with_state(state);
    guard(routes, limits, metrics)
}

async fn defaulting(Shared(state): Shared<Arc<State>>, Bounded { bytes, .. }: Bounded<MAX_BODY>) -> Response {
    judge(&state, &bytes, admit::default)
}

async fn resource_validation(
    Shared(state): Shared<Arc<State>>,
    Bounded { bytes, .. }: Bounded<MAX_BODY>,
) -> Response {
    let config = state.config.load_full();
    let looked_at = question(&bytes).and_then(|mut request| {
        let judgement = guarded(|| admit::judge(&mut request, &config))?;
        Ok((request, judgement))
    });
    let (request, mut judgement) = match looked_at {
        Ok(looked_at) => looked_at,
        Err(answer) => return *answer,
    };
    if let Some(references) = &state.references {
        references
            .follow(&mut judgement, &request.namespace, &config)
            .await;
    }
    answer(&request, judgement.into_verdict("decoding request failed"))
}

async fn config_validation(
    Shared(state): Shared<Arc<State>>,
    Bounded { bytes, .. }: Bounded<MAX_BODY>,
) -> Response {
    judge(&state, &bytes, |request, _| {
        admit::config(request, &state.namespace, &state.config_prefix)
    })
}

async fn resource_conversion(body: Bounded<MAX_CONVERSION>) -> Response {
    // A long list takes a while, and the other paths are waited for as well.
    let converted = tokio::task::spawn_blocking(move || {
        // With the room that it takes: a request that is given up is still converted.
        let body = body;
        convert::answer(&body.bytes)
    });
    match converted.await {
        Ok(Ok(answer)) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        Ok(Err(error @ ReviewError::Answer(_))) => failed(&error),
        Ok(Err(error)) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        Err(error) => failed(&error),
    }
}

fn judge(state: &State, body: &[u8], admit: impl FnOnce(&mut Request, &Config) -> Verdict) -> Response {
    let judged = question(body).and_then(|mut request| {
        let verdict = guarded(|| admit(&mut request, &state.config.load()))?;
        Ok(answer(&request, verdict))
    });
    judged.unwrap_or_else(|answer| *answer)
}

/// A panic costs its own request and no other.
fn guarded<T>(judge: impl FnOnce() -> T) -> Result<T, Box<Response>> {
    catch_unwind(AssertUnwindSafe(judge)).map_err(|_| {
        tracing::error!("judging an object panicked");
        Box::new((StatusCode::INTERNAL_SERVER_ERROR, "judging the object failed").into_response())
    })
}

/// What is asked; or the answer, where nobody can say.
fn question(body: &[u8]) -> Result<Request, Box<Response>> {
    read(body).map_err(|Unread { uid, message }| {
        if uid.is_empty() {
            let message = clipped(message, LONGEST_TEXT);
            return Box::new((StatusCode::BAD_REQUEST, message).into_response());
        }
        // Who asks can be told what is wrong.
        let request = Request {
            uid,
            ..Request::default()
        };
        Box::new(answer(&request, Verdict::Deny(message)))
    })
}

fn answer(request: &Request, verdict: Verdict) -> Response {
    let verdict = verdict.clipped();
    let mut judged = Judged {
        kind: kind(&request.kind.kind),
        operation: operation(request.operation),
        outcome: "allowed",
    };
    if let Verdict::Deny(message) = &verdict {
        judged.outcome = "denied";
        tracing::info!(
            kind = request.kind.kind,
            namespace = request.namespace,
            name = request.name,
            message,
            "refused"
        );
    }
    match review::answer(&request.uid, verdict) {
        Ok(answer) => (axum::Extension(judged), axum::Json(answer.into_review())).into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "an answer cannot be written");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Who asks, whatever is asked.
#[derive(serde::Deserialize)]
struct Asker {
    request: Uid,
}

#[derive(serde::Deserialize)]
struct Uid {
    uid: String,
}

/// What is no review, and the question's uid, if it has one.
struct Unread {
    uid: String,
    message: String,
}

fn read(body: &[u8]) -> Result<Request, Unread> {
    let message = match serde_json::from_slice::<Review>(body) {
        Ok(Review {
            request: Some(request),
        }) if !request.uid.is_empty() => return Ok(request),
        Ok(Review { request: Some(_) }) => "the AdmissionReview's request has no uid".to_owned(),
        Ok(Review { request: None }) => "the AdmissionReview has no request".to_owned(),
        Err(error) => {
            let error = error.to_string();
            if error.starts_with("recursion limit exceeded") {
                format!("the object is nested too deep, a hundred levels are allowed: {error}")
            } else {
                format!("the body is no AdmissionReview: {error}")
            }
        }
    };
    // What is passed over may be nested as deep as it likes.
    let uid = serde_json::from_slice::<Asker>(body).map_or_else(|_| String::new(), |asker| asker.request.uid);
    Err(Unread { uid, message })
}

/// Clients may name any kind; metrics have few.
fn kind(kind: &str) -> &'static str {
    ["Task", "TaskRun", "StepAction", "ConfigMap"]
        .into_iter()
        .find(|known| *known == kind)
        .unwrap_or("other")
}

fn operation(operation: Operation) -> &'static str {
    if operation == Operation::Create {
        "CREATE"
    } else if operation == Operation::Update {
        "UPDATE"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    async fn ask(path: &str, body: String) -> (StatusCode, String) {
        let request = http::Request::post(path).body(Body::from(body)).unwrap();
        let response = router(Arc::default(), Limits::default())
            .oneshot(request)
            .await
            .unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn review(object: Value) -> String {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u-1", "kind": {"group": "tekton.dev", "version": "v1", "kind": "TaskRun"},
            "resource": {"group": "tekton.dev", "version": "v1", "resource": "taskruns"},
            "operation": "CREATE", "userInfo": {}, "object": object, "oldObject": null, "dryRun": false}})
        .to_string()
    }

    #[tokio::test]
    async fn a_review_is_answered() {
        let good = json!({"metadata": {"name": "r"}, "spec": {"taskRef": {"name": "t"}}});
        let (status, body) = ask("/defaulting", review(good)).await;
        assert_eq!(status, StatusCode::OK);
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["response"]["uid"], "u-1");
        assert_eq!(answer["response"]["allowed"], true);
        assert_eq!(answer["response"]["patchType"], "JSONPatch");
        assert_eq!(answer["kind"], "AdmissionReview");

        let (_, body) = ask("/resource-validation", review(json!({"spec": {}}))).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["response"]["allowed"], false);
        assert_eq!(answer["response"]["status"]["code"], 400);
        assert_eq!(answer["response"]["status"]["reason"], "BadRequest");
        let message = answer["response"]["status"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("validation failed: expected exactly one, got neither"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn what_is_no_review_is_refused() {
        assert_eq!(ask("/defaulting", "{".into()).await.0, StatusCode::BAD_REQUEST);
        let (status, body) = ask("/resource-validation", "{}".into()).await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::BAD_REQUEST, "the AdmissionReview has no request")
        );
        assert_eq!(ask("/other", review(json!({}))).await.0, StatusCode::NOT_FOUND);
        let large = "x".repeat(MAX_BODY + 1);
        assert_eq!(ask("/defaulting", large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_conversion_is_answered() {
        let review = |objects: &[Value]| {
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
                "request": {"uid": "u-1", "desiredAPIVersion": "tekton.dev/v1", "objects": objects}})
            .to_string()
        };
        let task = json!({"apiVersion": "tekton.dev/v1beta1", "kind": "Task", "metadata": {"name": "t"},
            "spec": {"steps": [], "description": "x".repeat(64 * 1024)}});
        // A list may be longer than what admission takes.
        let tasks = vec![task; MAX_BODY / (64 * 1024) + 1];
        let (status, body) = ask("/resource-conversion", review(&tasks)).await;
        assert_eq!(status, StatusCode::OK);
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["response"]["result"]["status"], "Success");
        let converted = answer["response"]["convertedObjects"].as_array().unwrap();
        assert_eq!(converted.len(), tasks.len());
        assert!(converted.iter().all(|task| task["apiVersion"] == "tekton.dev/v1"));

        let (status, body) = ask("/resource-conversion", "{}".into()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body.starts_with("the body is no ConversionReview"), "{body}");
    }

    #[tokio::test]
    async fn objects_of_any_shape_get_an_answer() {
        for object in [
            json!(null),
            json!([]),
            json!("x"),
            json!({"spec": []}),
            json!({"spec": {"steps": {}}}),
        ] {
            for path in ["/defaulting", "/resource-validation", "/config-validation"] {
                let (status, body) = ask(path, review(object.clone())).await;
                assert_eq!(status, StatusCode::OK, "{path} {object}");
                assert!(body.contains("\"uid\":\"u-1\""), "{body}");
            }
        }
    }

    #[tokio::test]
    async fn who_can_be_told_what_is_wrong_is_told() {
        let wrong = json!({"request": {"uid": "u-2", "operation": "CREATE", "name": 5}});
        let (status, body) = ask("/defaulting", wrong.to_string()).await;
        assert_eq!(status, StatusCode::OK);
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["response"]["uid"], "u-2");
        assert_eq!(answer["response"]["allowed"], false);
        let message = answer["response"]["status"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("the body is no AdmissionReview: invalid type: integer `5`"),
            "{message}"
        );
        for nameless in [
            json!({"request": {"name": "n"}}),
            json!({"request": {"uid": 5}}),
            json!([]),
        ] {
            let (status, body) = ask("/defaulting", nameless.to_string()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        }
    }

    #[tokio::test]
    async fn a_panic_costs_one_request() {
        let state: Arc<State> = Arc::default();
        let body = review(json!({}));
        let status =
            |admit: fn(&mut Request, &Config) -> Verdict| judge(&state, body.as_bytes(), admit).status();
        assert_eq!(
            status(|_, _| panic!("not now")),
            StatusCode::INTERNAL_SERVER_ERROR
        );
        assert_eq!(status(|_, _| Verdict::allow()), StatusCode::OK);
    }

    #[tokio::test]
    async fn what_came_of_it_is_counted() {
        let state: Arc<State> = Arc::default();
        let router = router(Arc::clone(&state), Limits::default());
        let good = json!({"metadata": {"name": "r"}, "spec": {"taskRef": {"name": "t"}}});
        for (path, body) in [
            ("/resource-validation", review(good)),
            ("/resource-validation", review(json!({"spec": {}}))),
            ("/defaulting", "{".to_owned()),
            ("/anything", "{".to_owned()),
        ] {
            let request = http::Request::post(path).body(Body::from(body)).unwrap();
            router.clone().oneshot(request).await.unwrap();
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &state.registry).unwrap();
        for line in [
            r#"tektite_webhook_reviews_total{kind="TaskRun",operation="CREATE",path="/resource-validation",outcome="allowed"} 1"#,
            r#"tektite_webhook_reviews_total{kind="TaskRun",operation="CREATE",path="/resource-validation",outcome="denied"} 1"#,
            r#"tektite_webhook_reviews_total{kind="unknown",operation="unknown",path="/defaulting",outcome="error"} 1"#,
            r#"tektite_webhook_reviews_total{kind="unknown",operation="unknown",path="other",outcome="error"} 1"#,
            r#"tektite_webhook_request_seconds_count{path="/resource-validation"} 2"#,
            "tektite_webhook_requests_in_flight 0",
            "tektite_webhook_certificate_expiry_timestamp_seconds 0",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in {text}");
        }
    }
}
