//! What the repository generates and commits.
//!
//! `cargo xtask crds` writes the CustomResourceDefinitions, `cargo xtask check` fails when a
//! committed file is not what would be written now.

mod crds;
mod generated;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::generated::State;

#[derive(Parser)]
#[command(about = "Generates what is committed")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write config/crds and the chart's copies of it.
    Crds,
    /// Fail when a committed file is stale; names each one.
    Check,
}

fn main() -> Result<ExitCode> {
    let root = root()?;
    let files = crds::files()?;
    let mut out = std::io::stdout().lock();
    match Cli::parse().command {
        Command::Crds => {
            for file in &files {
                let state = file.write(&root)?;
                writeln!(out, "{:9} {}", state.as_str(), file.path)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Check => {
            let mut wrong = 0_u32;
            for file in &files {
                let state = file.state(&root)?;
                if state != State::Unchanged {
                    wrong += 1;
                    writeln!(out, "{:9} {}", state.as_str(), file.path)?;
                }
            }
            if wrong == 0 {
                writeln!(out, "{} generated files are as they should be", files.len())?;
                return Ok(ExitCode::SUCCESS);
            }
            writeln!(
                out,
                "{wrong} of {} generated files are stale: run `cargo xtask crds`",
                files.len()
            )?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The workspace's root, wherever the command is called from.
fn root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("crates/xtask has no workspace above it")
}
