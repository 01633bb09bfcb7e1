//! Starts the webhook: crypto, settings, logs, then [`tektite_webhook::run`]; or lints files.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tektite_webhook::{
    args::{Args, Command},
    lint, logging, run,
};

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(Command::Lint(args)) = &args.command {
        return Ok(lint::run(args, &mut std::io::stdout().lock())?);
    }
    let ring = rustls::crypto::ring::default_provider();
    if ring.install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    logging::install(args.log_format).context("installing the logger")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the async runtime")?;
    runtime.block_on(run::run(args)).context("running the webhook")?;
    Ok(ExitCode::SUCCESS)
}
