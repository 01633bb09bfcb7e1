//! The program's life: listeners, watches, the certificate's renewal, and an orderly end.

use std::{sync::Arc, time::Duration};

use axum_server::{Handle, tls_rustls::RustlsConfig};
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    admin,
    args::Args,
    certs::CertError,
    config_watch,
    known::Known,
    limits::Limits,
    listen,
    references::{Mode, References},
    router,
    state::{Gate, State},
    trust::{self, Keeper},
};

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

/// How long an answer may be silent: longer than a watch lasts, so that only what died without a word is
/// asked for again.
const SILENCE: Duration = Duration::from_mins(5);

async fn client() -> Result<Client, kube::Error> {
    let mut config = Config::infer().await.map_err(kube::Error::InferConfig)?;
    config.read_timeout = Some(SILENCE);
    Client::try_from(config)
}

/// Runs until SIGTERM or SIGINT, or until a listener fails.
///
/// # Errors
/// See [`RunError`].
pub async fn run(args: Args) -> Result<(), RunError> {
    let client = client().await.map_err(Box::new)?;
    let known: Arc<Known> = Arc::default();
    let references = References::new(client.clone(), Arc::clone(&known), args.references);
    let state = Arc::new(State::new(
        args.system_namespace.clone(),
        args.config_prefix.clone(),
        references,
    ));
    if args.references != Mode::Ignore {
        tokio::spawn(known.follow(client.clone()));
    }
    let mut term = signal(SignalKind::terminate()).map_err(io("listen for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("listen for SIGINT"))?;
    let port = |port: u16| listen::bind(listen::everywhere(port)).map_err(io("listen"));

    let probes = axum_server::from_tcp(port(args.admin_port)?)
        .map_err(io("listen"))?
        .serve(admin::router(Arc::clone(&state)).into_make_service());
    let mut probes = tokio::spawn(probes);
    tokio::spawn({
        let (client, state) = (client.clone(), Arc::clone(&state));
        config_watch::follow(client, state)
    });
    let first = tokio::select! {
        bundle = trust::first(&client, &args) => bundle,
        _ = term.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let tls = RustlsConfig::from_config(first.server_config()?);
    state.open(Gate::Certificate);
    let handle = Handle::new();
    let limits = Limits::default();
    let routes = router::router(Arc::clone(&state), limits);
    let server = listen::serve(port(args.port)?, routes, tls.clone(), limits, handle.clone());
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
    let keeper = Keeper::new(client, args, Arc::clone(&state), tls, first);
    tokio::select! {
        () = keeper.run() => {}
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
