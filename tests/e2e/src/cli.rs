//! The command line.

use anyhow::Result;
use clap::Parser;

use crate::{bench, corpus, run};

/// Runs the cases under tests/cases on a real cluster, and benchmarks beside bare Pods.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Options,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run the cases (the default).
    Run(run::Options),
    /// Run only the corpus of objects that admission refuses or lets pass.
    Corpus(corpus::Options),
    /// Measure TaskRuns beside bare Pods.
    Bench(bench::Options),
}

impl Arguments {
    /// Does what they ask; whether all is well.
    pub(crate) async fn execute(self) -> Result<bool> {
        match self.command.unwrap_or(Command::Run(self.run)) {
            Command::Run(options) => Box::pin(run::run(options)).await,
            Command::Corpus(options) => Box::pin(corpus::run(options)).await,
            Command::Bench(options) => Box::pin(bench::run(options)).await,
        }
    }
}
