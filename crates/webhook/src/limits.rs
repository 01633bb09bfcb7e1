//! What one request, and all together, may take: time, places, memory. And what came of them.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State as Shared},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::FutureExt as _;
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    body::Budget,
    metrics::{Metrics, ReviewLabels},
};

/// How much is enough.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A client that does not finish its handshake within this is dropped.
    pub handshake: Duration,
    /// A request that is not answered within this, body and all, is given up.
    pub request: Duration,
    /// How many requests are read and judged at the same time.
    pub running: usize,
    /// How many more may wait for that; beyond, the API server is told to come again.
    pub waiting: usize,
    /// How many bytes of bodies are in memory; a request waits until there is room for its.
    pub bytes: usize,
    /// How many of them are judged at the same time: what is made of a body takes up to sixty times as
    /// much as the body.
    pub judged: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            request: Duration::from_secs(10),
            running: 64,
            waiting: 256,
            bytes: 32 * 1024 * 1024,
            judged: 1024 * 1024,
        }
    }
}

/// What was judged; an answer carries it to the metrics.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The object's kind.
    pub kind: &'static str,
    /// What is done to it.
    pub operation: &'static str,
    /// `allowed` or `denied`.
    pub outcome: &'static str,
}

#[derive(Clone)]
struct Guard {
    time: Duration,
    /// Whoever is here, running or waiting.
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
    budget: Budget,
    metrics: Metrics,
}

/// Puts `limits` around all `routes`, and counts.
pub fn guard(routes: Router, limits: Limits, metrics: Metrics) -> Router {
    let guard = Guard {
        time: limits.request,
        places: Arc::new(Semaphore::new(limits.running + limits.waiting)),
        running: Arc::new(Semaphore::new(limits.running)),
        budget: Budget::new(limits.bytes, limits.judged),
        metrics,
    };
    routes.layer(middleware::from_fn_with_state(guard, pass))
}

async fn pass(Shared(guard): Shared<Guard>, mut request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let path = path(request.uri().path());
    request.extensions_mut().insert(guard.budget.clone());
    let _counted = Counted::new(&guard.metrics);
    let response = match guard.places.try_acquire() {
        Err(_) => (StatusCode::TOO_MANY_REQUESTS, "too many requests").into_response(),
        Ok(_place) => {
            let answer = async {
                let _turn = guard.running.acquire().await;
                // Whatever a handler waits for: its panic costs its own request and no other, not
                // even on the same connection.
                let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
                answer.unwrap_or_else(|_| {
                    tracing::error!(path, "answering a request panicked");
                    (StatusCode::INTERNAL_SERVER_ERROR, "answering failed").into_response()
                })
            };
            let late = || (StatusCode::SERVICE_UNAVAILABLE, "the request takes too long").into_response();
            let answer = tokio::time::timeout(guard.time, answer).await;
            answer.unwrap_or_else(|_| late())
        }
    };
    let judged = response.extensions().get::<Judged>().copied();
    let judged = judged.unwrap_or(Judged {
        kind: "unknown",
        operation: "unknown",
        // A conversion is no question of yes or no.
        outcome: if response.status().is_success() {
            "answered"
        } else {
            "error"
        },
    });
    let labels = ReviewLabels {
        kind: judged.kind,
        operation: judged.operation,
        path,
        outcome: judged.outcome,
    };
    guard.metrics.reviewed(labels, begin.elapsed());
    response
}

/// Clients may ask for any path; metrics have few.
fn path(path: &str) -> &'static str {
    [
        "/defaulting",
        "/resource-validation",
        "/config-validation",
        "/resource-conversion",
    ]
    .into_iter()
    .find(|known| *known == path)
    .unwrap_or("other")
}

/// A request that is under way, until dropped: clients hang up, too.
struct Counted(Metrics);

impl Counted {
    fn new(metrics: &Metrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Bounded, MAX_BODY};
    use axum::{
        body::{Body, Bytes},
        routing::post,
    };
    use futures::{StreamExt as _, stream};
    use prometheus_client::registry::Registry;
    use tower::ServiceExt as _;

    fn limits() -> Limits {
        Limits {
            running: 2,
            waiting: 3,
            bytes: 2 * MAX_BODY,
            ..Limits::default()
        }
    }

    fn guarded(routes: Router) -> (Router, Metrics) {
        let metrics = Metrics::register(&mut Registry::default());
        (guard(routes, limits(), metrics.clone()), metrics)
    }

    fn reading() -> Router {
        Router::new().route(
            "/",
            post(async |Bounded { bytes, .. }: Bounded<MAX_BODY>| bytes.len().to_string()),
        )
    }

    async fn ask(router: Router, body: Body) -> StatusCode {
        let request = http::Request::post("/").body(body).unwrap();
        router.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn some_run_some_wait_and_the_rest_is_sent_away() {
        let gate = Arc::new(Semaphore::new(0));
        let peak = Arc::new(std::sync::Mutex::new((0, 0)));
        let handler = {
            let (gate, peak) = (Arc::clone(&gate), Arc::clone(&peak));
            async move || {
                {
                    let mut peak = peak.lock().unwrap();
                    peak.0 += 1;
                    peak.1 = peak.1.max(peak.0);
                }
                drop(gate.acquire().await);
                peak.lock().unwrap().0 -= 1;
            }
        };
        let (router, metrics) = guarded(Router::new().route("/", post(handler)));
        let mut answers: stream::FuturesUnordered<_> =
            (0..8).map(|_| ask(router.clone(), Body::empty())).collect();
        for _ in 0..3 {
            assert_eq!(answers.next().await, Some(StatusCode::TOO_MANY_REQUESTS));
        }
        assert_eq!(metrics.in_flight.get(), 5);
        gate.add_permits(1);
        let rest: Vec<_> = answers.collect().await;
        assert_eq!(rest, [StatusCode::OK; 5]);
        assert_eq!((peak.lock().unwrap().1, metrics.in_flight.get()), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_given_up() {
        let (router, metrics) = guarded(reading());
        for _ in 0..4 {
            let slow =
                stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]).chain(stream::pending());
            let status = ask(router.clone(), Body::from_stream(slow)).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!(
            ask(router, Body::from("{}")).await,
            StatusCode::OK,
            "no place is lost"
        );
        assert_eq!(metrics.in_flight.get(), 0);
    }

    #[tokio::test]
    async fn what_is_large_is_judged_alone() {
        let gate = Arc::new(Semaphore::new(0));
        let judged = Arc::new(std::sync::Mutex::new((Vec::new(), Vec::new())));
        let handler = {
            let (gate, judged) = (Arc::clone(&gate), Arc::clone(&judged));
            async move |Bounded { bytes, .. }: Bounded<MAX_BODY>| {
                {
                    let mut judged = judged.lock().unwrap();
                    judged.0.push(bytes.len());
                    let together = judged.0.clone();
                    judged.1.push(together);
                }
                drop(gate.acquire().await);
                judged.lock().unwrap().0.retain(|size| *size != bytes.len());
            }
        };
        let limits = Limits {
            running: 4,
            judged: 1000,
            ..limits()
        };
        let metrics = Metrics::register(&mut Registry::default());
        let router = guard(Router::new().route("/", post(handler)), limits, metrics);
        let mut asked: Vec<_> = [400, 600, 2000, 300]
            .into_iter()
            .map(|size| Box::pin(ask(router.clone(), Body::from(vec![b'x'; size]))))
            .collect();
        for asked in &mut asked {
            assert!(futures::poll!(asked).is_pending());
        }
        gate.add_permits(1);
        for asked in asked {
            assert_eq!(asked.await, StatusCode::OK);
        }
        let together = judged.lock().unwrap().1.clone();
        assert_eq!(together, [vec![400], vec![400, 600], vec![2000], vec![300]]);
    }

    #[tokio::test]
    async fn a_panic_costs_one_request() {
        let handler = async |Bounded { bytes, .. }: Bounded<MAX_BODY>| assert!(bytes.is_empty());
        let (router, metrics) = guarded(Router::new().route("/", post(handler)));
        for _ in 0..10 {
            let status = ask(router.clone(), Body::from("x")).await;
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        }
        assert_eq!(ask(router, Body::empty()).await, StatusCode::OK);
        assert_eq!(metrics.in_flight.get(), 0);
    }

    #[tokio::test]
    async fn bodies_have_a_limit_alone_and_together() {
        let more = Limits {
            running: 3,
            ..limits()
        };
        let router = guard(reading(), more, Metrics::register(&mut Registry::default()));
        let of = |size: usize| Body::from(vec![b'x'; size]);
        assert_eq!(ask(router.clone(), of(MAX_BODY)).await, StatusCode::OK);
        assert_eq!(
            ask(router.clone(), of(MAX_BODY + 1)).await,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        let parts = stream::iter((0..=8).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1 << 20]))));
        let unannounced = Body::from_stream(parts);
        assert_eq!(
            ask(router.clone(), unannounced).await,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        // Two bodies of which the last byte does not come hold all the memory that there is.
        let mut held: Vec<_> = (0..2)
            .map(|_| {
                let part = Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; MAX_BODY]));
                let slow = Body::from_stream(stream::iter([part]).chain(stream::pending()));
                Box::pin(ask(router.clone(), slow))
            })
            .collect();
        for held in &mut held {
            assert!(futures::poll!(held).is_pending());
        }
        let mut waiting = Box::pin(ask(router, of(MAX_BODY)));
        assert!(futures::poll!(&mut waiting).is_pending());
        held.pop();
        assert_eq!(waiting.await, StatusCode::OK);
    }
}
