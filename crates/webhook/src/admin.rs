//! The probes: `/livez` and `/readyz`, plain HTTP.

use std::sync::Arc;

use axum::{Router, extract::State as Shared, http::StatusCode, routing::get};

use crate::state::State;

/// The routes.
pub fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(ready))
        .with_state(state)
}

async fn ready(Shared(state): Shared<Arc<State>>) -> (StatusCode, String) {
    let missing = state.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ok".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n"))
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
