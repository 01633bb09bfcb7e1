//! The controller's program: reads its arguments, then runs until it is told to stop.

use clap::Parser as _;
use tektite_controller::{args::Args, logging, run};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Chosen here, once: with no choice made, rustls panics at the first connection.
    let provider = rustls::crypto::ring::default_provider();
    if provider.install_default().is_err() {
        anyhow::bail!("a TLS provider was installed before main");
    }
    let args = Args::parse();
    let _logger = logging::install(args.log_format)?;

    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    run::run(args, shutdown).await?;
    Ok(())
}
