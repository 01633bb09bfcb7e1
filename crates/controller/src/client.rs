//! The way to the API server, with its limits set on purpose.

use std::time::Duration;

use kube::{Client, Config, client::ClientBuilder};
use tower::limit::ConcurrencyLimitLayer;

use crate::error::Error;

/// Requests beside those of reconciles: lists, starts of watches, events, Nodes.
const OTHER_REQUESTS: usize = 16;

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
    Ok(builder.with_layer(&limit).build())
}

/// A client for the lease alone: its renewals must not wait behind the work of reconciles.
///
/// # Errors
/// As those of [`connect`].
pub async fn connect_for_lease() -> Result<Client, Error> {
    Client::try_from(config().await?).map_err(failed)
}

async fn config() -> Result<Config, Error> {
    let mut config = Config::infer().await?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    // Nothing for reading: it would end quiet watches. Every other request has its own time limit.
    config.read_timeout = None;
    config.write_timeout = Some(Duration::from_secs(10));
    Ok(config)
}

fn failed(error: kube::Error) -> Error {
    Error::Client(Box::new(error))
}
