//! All cases, side by side.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::attempt;
use crate::case::Case;
use crate::cluster::Cluster;
use crate::config::{Config, Settings};
use crate::corpus;
use crate::load;
use crate::report::Reporter;

/// How long a change of our ConfigMaps takes to reach the controller, at most.
const TAKEN_UP: Duration = Duration::from_secs(3);

/// Which cases to run, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only cases whose `area/name` contains this.
    #[arg(long, default_value = "")]
    filter: String,
    /// How many cases at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Where the cases are.
    #[arg(long, default_value = "tests/cases")]
    cases: PathBuf,
    /// Keep the namespaces of failed cases.
    #[arg(long)]
    keep: bool,
}

/// Runs the cases; whether all passed.
pub(crate) async fn run(options: Options) -> Result<bool> {
    let cases = load::load(&options.cases, &options.filter)?;
    let entries = corpus::load(&options.cases, &options.filter)?;
    ensure!(
        !cases.is_empty() || !entries.is_empty(),
        "no case found in {} (filter {:?})",
        options.cases.display(),
        options.filter
    );
    let cluster = Cluster::connect().await?;
    let cases_pass = cases.is_empty() || run_cases(&cluster, &cases, &options).await?;
    let manner = corpus::Manner {
        jobs: options.jobs,
        ..corpus::Manner::default()
    };
    let corpus_passes = entries.is_empty() || corpus::run_entries(&cluster, &entries, manner).await?;
    Ok(cases_pass && corpus_passes)
}

async fn run_cases(cluster: &Cluster, cases: &[Case], options: &Options) -> Result<bool> {
    // Those that need nothing special come first.
    let mut groups = BTreeMap::<Settings, Vec<&Case>>::new();
    for case in cases {
        groups.entry(case.header.settings()).or_default().push(case);
    }
    let mut config = Config::read(cluster).await?;
    let mut reporter = Reporter::default();
    let result = until_signal(cluster, async {
        for (settings, cases) in groups {
            if config.set(cluster, &settings).await? {
                sleep(TAKEN_UP).await;
            }
            run_group(cluster, &cases, options, &mut reporter).await;
        }
        Ok(())
    })
    .await;
    let restored = config.set(cluster, &Settings::default()).await;
    result?;
    restored?;
    Ok(reporter.end())
}

async fn run_group(cluster: &Cluster, cases: &[&Case], options: &Options, reporter: &mut Reporter) {
    let one = async |case: &'_ Case| {
        let start = Instant::now();
        let outcome = attempt::run(cluster, case, options.keep).await;
        (outcome, start.elapsed())
    };
    let mut outcomes = stream::iter(cases.iter().copied())
        .map(|case| async move { (case, one(case).await) })
        .buffer_unordered(options.jobs.into());
    while let Some((case, (outcome, took))) = outcomes.next().await {
        reporter.case(case, took, &outcome);
    }
}

/// Does the work unless a signal comes; then nothing is left on the cluster.
pub(crate) async fn until_signal<T>(cluster: &Cluster, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let result = tokio::select! {
        result = work => result,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
    };
    cluster.delete_namespaces().await;
    result
}
