//! Starts the webhook: crypto, settings, logs, then [`tektite_webhook::run`].

use anyhow::Context as _;
use clap::Parser as _;
use tektite_webhook::{args::Args, logging, run};

fn main() -> anyhow::Result<()> {
    let ring = rustls::crypto::ring::default_provider();
    if ring.install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    let args = Args::parse();
    logging::install(args.log_format).context("installing the logger")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the async runtime")?;
    runtime.block_on(run::run(args)).context("running the webhook")
}
