//! The program's life: listeners, watches, the certificate's renewal, and an orderly end.

use std::{
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum_server::{
    Handle,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use jiff::Timestamp;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    admin,
    args::Args,
    bundle::{self, BundleError},
    cert_store::{self, StoreError},
    certs::{Bundle, CertError},
    config_watch, router,
    state::{Gate, State},
};

/// How often the certificate's Secret is looked at; other replicas take up a new one within this.
const CERT_CHECK: Duration = Duration::from_mins(1);
/// Between tries of what the start waits for.
const RETRY: Duration = Duration::from_secs(1);
/// A client that does not finish its handshake is dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests still come after the Pod is no endpoint any more.
const LINGER: Duration = Duration::from_secs(3);
/// How long running requests may take to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Why the program cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No API server is known.
    #[error("failed to find the API server: {0}")]
    Kube(#[from] Box<kube::Error>),
    /// A port or a signal.
    #[error("failed to {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What came back.
        source: std::io::Error,
    },
    /// The certificate.
    #[error(transparent)]
    Cert(#[from] CertError),
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> RunError {
    move |source| RunError::Io { what, source }
}

/// What may go wrong with the certificate on the way.
#[derive(Debug, thiserror::Error)]
enum TrustError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Cert(#[from] CertError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// Runs until SIGTERM or SIGINT, or until a listener fails.
///
/// # Errors
/// See [`RunError`].
pub async fn run(args: Args) -> Result<(), RunError> {
    let client = Client::try_default().await.map_err(Box::new)?;
    let state = Arc::new(State::new(args.system_namespace.clone()));
    let mut term = signal(SignalKind::terminate()).map_err(io("listen for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("listen for SIGINT"))?;
    let any = |port: u16| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));

    let probes =
        axum_server::bind(any(args.admin_port)).serve(admin::router(Arc::clone(&state)).into_make_service());
    let mut probes = tokio::spawn(probes);
    tokio::spawn({
        let (client, state, namespace) = (client.clone(), Arc::clone(&state), args.system_namespace.clone());
        async move { config_watch::follow(client, &namespace, state).await }
    });
    let first = tokio::select! {
        bundle = first_bundle(&client, &args) => bundle,
        _ = term.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let tls = RustlsConfig::from_config(first.server_config()?);
    state.open(Gate::Certificate);
    let handle = Handle::new();
    let acceptor = RustlsAcceptor::new(tls.clone()).handshake_timeout(HANDSHAKE);
    let server = axum_server::bind(any(args.port))
        .acceptor(acceptor)
        .handle(handle.clone())
        .serve(router::router(Arc::clone(&state)).into_make_service());
    let mut server = tokio::spawn(server);
    tokio::spawn({
        let (handle, state) = (handle.clone(), Arc::clone(&state));
        async move {
            if let Some(address) = handle.listening().await {
                tracing::info!(%address, "listening");
                state.open(Gate::Listener);
            }
        }
    });
    let trust = keep_trust(&client, &args, &tls, first, &state);
    tokio::select! {
        () = trust => {}
        ended = &mut server => return flatten(ended).map_err(io("serve admission")),
        ended = &mut probes => return flatten(ended).map_err(io("serve probes")),
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("shutting down");
    state.shut(Gate::Shutdown);
    // The API server goes on calling until it has heard that this Pod is no endpoint any more.
    tokio::time::sleep(LINGER).await;
    handle.graceful_shutdown(Some(DRAIN));
    flatten(server.await).map_err(io("serve admission"))
}

fn flatten(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> std::io::Result<()> {
    ended.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)))
}

/// The certificate to begin with, however long it takes.
async fn first_bundle(client: &Client, args: &Args) -> Bundle {
    loop {
        match cert_store::current(client, args, Timestamp::now()).await {
            Ok(bundle) => return bundle,
            Err(error) => tracing::warn!(%error, "no certificate yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Keeps certificate and CA in force: renews the one, writes the other. Never ends.
async fn keep_trust(client: &Client, args: &Args, tls: &RustlsConfig, first: Bundle, state: &State) {
    let mut served = first;
    loop {
        match refresh(client, args, tls, &mut served).await {
            Ok(()) => {
                state.open(Gate::Bundle);
                tokio::time::sleep(CERT_CHECK).await;
            }
            Err(error) => {
                tracing::warn!(%error, "certificate and CA are not in force everywhere yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn refresh(
    client: &Client,
    args: &Args,
    tls: &RustlsConfig,
    served: &mut Bundle,
) -> Result<(), TrustError> {
    let current = cert_store::current(client, args, Timestamp::now()).await?;
    // Clients trust the new CA before anybody serves its certificate.
    bundle::write(client, &args.admission_controller_name, current.ca()).await?;
    if current != *served {
        tls.reload_from_config(current.server_config()?);
        *served = current;
        tracing::info!("took up a new certificate");
    }
    Ok(())
}
