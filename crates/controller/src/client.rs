//! The way to the API server, with its limits set on purpose.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Either, Full};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use tower::{BoxError, Layer, Service, limit::ConcurrencyLimitLayer};

use crate::error::Error;

/// Requests beside those of reconciles: lists, starts of watches, events, Nodes.
const OTHER_REQUESTS: usize = 16;
/// How long an answer may take of whose time nobody else sees to: a list, with all that is in it, and a
/// watch until it begins. Long enough for a page of the largest objects from a server under load.
const ANSWER: Duration = Duration::from_mins(1);

/// A client from the kubeconfig or the service account, with at most one request in flight for each
/// of `concurrency` workers and a few besides.
///
/// kube speaks HTTP/1.1 only, so a request in flight is a connection: the limit is what bounds
/// them. A watch counts until its answer begins. There is no limit per second; the API server's own
/// fairness does that better. kube's retries are off: up to fifteen times, up to 1000 s apart, they
/// would hide a struggling API server from the queue, whose back-off is the only one.
///
/// # Errors
/// No configuration is found, or it cannot be used.
pub async fn connect(concurrency: u16) -> Result<Client, Error> {
    let limit = ConcurrencyLimitLayer::new(usize::from(concurrency) + OTHER_REQUESTS);
    let builder = ClientBuilder::try_from(config().await?).map_err(failed)?;
    Ok(builder.with_layer(&InTime).with_layer(&limit).build())
}

/// A client for the lease alone: its renewals must not wait behind the work of reconciles.
///
/// # Errors
/// As those of [`connect`].
pub async fn connect_for_lease() -> Result<Client, Error> {
    let builder = ClientBuilder::try_from(config().await?).map_err(failed)?;
    Ok(builder.with_layer(&InTime).build())
}

async fn config() -> Result<Config, Error> {
    let mut config = Config::infer().await?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    // Nothing for reading: it would end quiet watches. See `InTime`.
    config.read_timeout = None;
    config.write_timeout = Some(Duration::from_secs(10));
    Ok(config)
}

fn failed(error: kube::Error) -> Error {
    Error::Client(Box::new(error))
}

/// Gives up what has no answer in time. kube-runtime's watcher waits for its lists and for the starts of its
/// watches as long as they take: over a connection that died without a word, for ever. What it takes from
/// a failure is another try, and only once a watch runs does it see to its silence itself.
#[derive(Clone, Copy, Debug)]
pub struct InTime;

/// What [`InTime`] makes of a service.
#[derive(Clone, Debug)]
pub struct Bounded<S>(S);

impl<S> Layer<S> for InTime {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded(inner)
    }
}

impl<S, B> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>,
    B: BodyExt<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Either<B, Full<Bytes>>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let is_watch = is_watch(&request);
        let answer = self.0.call(request);
        let whole = async move {
            let (head, body) = answer.await.map_err(Into::into)?.into_parts();
            let body = if is_watch {
                Either::Left(body)
            } else {
                // kube reads the whole of it before it looks at any, so this costs nothing.
                let read = body.collect().await.map_err(Into::into)?;
                Either::Right(Full::new(read.to_bytes()))
            };
            Ok(Response::from_parts(head, body))
        };
        Box::pin(async move {
            match tokio::time::timeout(ANSWER, whole).await {
                Ok(answer) => answer,
                Err(_elapsed) => Err(format!("no answer within {ANSWER:?}").into()),
            }
        })
    }
}

fn is_watch(request: &Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair == "watch=true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt as _, StreamExt as _, stream};
    use http_body_util::{BodyStream, StreamBody};
    use tokio::time::Instant;

    /// How far an answer gets.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Gets {
        Nowhere,
        Begun,
        Done,
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_stop_half_way() {
        const LIST: &str = "/api/v1/pods?limit=500";
        const WATCH: &str = "/api/v1/pods?watch=true&timeoutSeconds=120";
        for (uri, gets, is_given_up) in [
            (LIST, Gets::Nowhere, true),
            (LIST, Gets::Begun, true),
            (LIST, Gets::Done, false),
            (WATCH, Gets::Nowhere, true),
            (WATCH, Gets::Begun, false),
            (WATCH, Gets::Done, false),
        ] {
            let server = tower::service_fn(move |_request: Request<Body>| async move {
                if gets == Gets::Nowhere {
                    std::future::pending::<()>().await;
                }
                let text = BodyStream::new(Full::new(Bytes::from_static(b"{}")));
                let never = stream::once(std::future::pending()).take(usize::from(gets == Gets::Begun));
                Ok::<_, BoxError>(Response::new(StreamBody::new(text.chain(never))))
            });
            let request = Request::get(uri).body(Body::empty()).unwrap();
            let begun = Instant::now();
            let answer = InTime.layer(server).call(request).await;
            assert_eq!(answer.is_err(), is_given_up, "{uri} {gets:?}");
            assert_eq!(begun.elapsed() >= ANSWER, is_given_up, "{uri} {gets:?}");
            match answer {
                Ok(answer) => {
                    let text = answer.into_body().collect().now_or_never();
                    assert_eq!(text.is_some(), gets == Gets::Done, "{uri} {gets:?}");
                }
                Err(error) => assert_eq!(error.to_string(), "no answer within 60s"),
            }
        }
    }
}
