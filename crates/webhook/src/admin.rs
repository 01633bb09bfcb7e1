//! The port for the kubelet and for Prometheus: `/livez`, `/readyz`, `/metrics`, plain HTTP.

use std::sync::Arc;

use axum::{
    Router,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use prometheus_client::encoding::text::encode;

use crate::state::State;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes.
pub fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(state)
}

async fn ready(Shared(state): Shared<Arc<State>>) -> (StatusCode, String) {
    let missing = state.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ok".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n"))
}

async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &state.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Gate;
    use axum::body::Body;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn ready_only_when_nothing_is_missing() {
        let state: Arc<State> = Arc::default();
        let ask = async || {
            let request = http::Request::get("/readyz").body(Body::empty()).unwrap();
            router(Arc::clone(&state))
                .oneshot(request)
                .await
                .unwrap()
                .status()
        };
        assert_eq!(ask().await, StatusCode::SERVICE_UNAVAILABLE);
        for gate in [Gate::Config, Gate::Certificate, Gate::Bundle, Gate::Listener] {
            state.open(gate);
        }
        assert_eq!(ask().await, StatusCode::OK);
        state.shut(Gate::Shutdown);
        assert_eq!(ask().await, StatusCode::SERVICE_UNAVAILABLE);
    }
}
