//! The HTTP surface for the API server: four paths, one answer per review.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State as Shared},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use tektite_core::config::Config;

use crate::{
    admit,
    convert::{self, ReviewError},
    review::{self, Request, Review, Verdict},
    state::State,
};

/// An update carries the object twice, and an object may have a megabyte and a half.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// A conversion may be asked for a whole list of objects at once.
const MAX_CONVERSION: usize = 64 * 1024 * 1024;

/// The routes.
pub fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/defaulting", post(defaulting))
        .route("/resource-validation", post(resource_validation))
        .route("/config-validation", post(config_validation))
        .route(
            "/resource-conversion",
            post(resource_conversion).layer(DefaultBodyLimit::max(MAX_CONVERSION)),
        )
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}

async fn defaulting(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response {
    judge(&state, &body, admit::default)
}

async fn resource_validation(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response {
    judge(&state, &body, |request, config| {
        admit::judge(request, config).into_verdict("decoding request failed")
    })
}

async fn config_validation(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response {
    judge(&state, &body, |request, _| {
        admit::config(request, &state.namespace)
    })
}

async fn resource_conversion(body: Bytes) -> Response {
    // A long list takes a while, and the other paths are waited for as well.
    match tokio::task::spawn_blocking(move || convert::answer(&body)).await {
        Ok(Ok(answer)) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        Ok(Err(error @ ReviewError::Answer(_))) => failed(&error),
        Ok(Err(error)) => bad(&error.to_string()),
        Err(error) => failed(&error),
    }
}

fn judge(state: &State, body: &[u8], admit: impl FnOnce(&Request, &Config) -> Verdict) -> Response {
    let request = match serde_json::from_slice::<Review>(body) {
        Ok(Review {
            request: Some(request),
        }) => request,
        Ok(Review { request: None }) => return bad("the AdmissionReview has no request"),
        Err(error) => return bad(&format!("the body is no AdmissionReview: {error}")),
    };
    let verdict = admit(&request, &state.config.load());
    if let Verdict::Deny(message) = &verdict {
        tracing::info!(
            kind = request.kind.kind,
            namespace = request.namespace,
            name = request.name,
            message,
            "refused"
        );
    }
    match review::answer(&request.uid, verdict) {
        Ok(answer) => axum::Json(answer.into_review()).into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "an answer cannot be written");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

fn bad(message: &str) -> Response {
    (StatusCode::BAD_REQUEST, message.to_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    async fn ask(path: &str, body: String) -> (StatusCode, String) {
        let request = http::Request::post(path).body(Body::from(body)).unwrap();
        let response = router(Arc::default()).oneshot(request).await.unwrap();
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
}
