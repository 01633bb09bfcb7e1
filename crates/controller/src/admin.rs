//! The port for the kubelet and for Prometheus: `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    context::Context,
    error::Error,
    known::KnownRun,
    metrics::{KindLabels, Ongoing},
};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Admin {
    context: Arc<Context>,
    registry: Arc<Registry>,
}

/// What the port answers.
pub fn router(context: Arc<Context>, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Admin { context, registry })
}

/// Takes the port.
///
/// # Errors
/// It cannot be had.
pub async fn listen(port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind(("::", port))
        .await
        .map_err(|source| Error::Listen { port, source })
}

/// Answers until `stop`.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = server.await {
        tracing::error!(%error, "admin port failed");
    }
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let missing = admin.context.readiness.missing();
    if missing.is_empty() {
        return "ok\n".into_response();
    }
    let lines: String = missing.iter().flat_map(|gate| [gate.as_str(), "\n"]).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let context = &admin.context;
    let size = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    context.metrics.queue_depth.set(size(context.queue.depth()));
    for (kind, known) in [("TaskRun", context.runs.len()), ("Pod", context.pods.len())] {
        let gauge = context.metrics.known.get_or_create_owned(&KindLabels { kind });
        gauge.set(size(known));
    }
    let mut ongoing = Ongoing::default();
    context.runs.for_each(|run| {
        if let KnownRun::Live(run) = run {
            ongoing.count(run);
        }
    });
    context.metrics.runs.set_ongoing(ongoing);
    let mut text = String::new();
    match encode(&mut text, &admin.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{readiness::Gate, testing};
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    async fn get_path(router: &Router, path: &str) -> (StatusCode, String) {
        let request = axum::http::Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn says_what_is_missing_and_what_was_counted() {
        let test = testing::context();
        let router = router(Arc::clone(&test.context), Arc::new(test.registry));
        assert_eq!(get_path(&router, "/livez").await.0, StatusCode::OK);
        for gate in [
            Gate::Config,
            Gate::Nodes,
            Gate::TaskRuns,
            Gate::LimitRanges,
            Gate::Quotas,
        ] {
            test.context.readiness.open(gate);
        }
        let (status, body) = get_path(&router, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, "Pods have not been listed\n");
        test.context.readiness.open(Gate::Pods);
        assert_eq!(get_path(&router, "/readyz").await.0, StatusCode::OK);

        test.context.metrics.request("create", "Pod", "ok");
        let (_, body) = get_path(&router, "/metrics").await;
        let line = r#"tektite_controller_api_requests_total{verb="create",kind="Pod",outcome="ok"} 1"#;
        assert!(body.contains(line), "{body}");
        assert!(body.contains("tektite_controller_queue_depth 0"), "{body}");
    }
}
