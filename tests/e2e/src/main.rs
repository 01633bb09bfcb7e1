//! Runs the cases under `tests/cases` on a real cluster, and the benchmarks beside bare Pods.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Parser as _;

mod attempt;
mod bench;
mod case;
mod check;
mod cli;
mod cluster;
mod config;
mod corpus;
mod exec;
mod load;
mod matcher;
mod report;
mod run;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<bool> {
    let provider = rustls::crypto::ring::default_provider();
    provider
        .install_default()
        .map_err(|_| anyhow!("a TLS provider is installed already"))?;
    cli::Arguments::parse().execute().await
}
