//! Benchmarks: TaskRuns beside bare Pods of the same containers, interleaved in one run. What admission
//! alone costs is measured in [`admission`], in the same manner.
//!
//! A benchmark is a row of [`subjects::all`]: subjects that are measured in turn, the first of
//! which the others are divided by. What is measured of a subject is its [`subjects::Metric`];
//! a benchmark of another quantity adds a metric and an arm in [`measure::sample`].

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::case::NamespaceMeta;
use crate::cluster::{Cluster, random};
use crate::report::line;
use crate::run::until_signal;

mod admission;
mod floor;
mod hand_over;
mod measure;
mod scale;
mod start;
mod stats;
mod subjects;

use stats::Summary;
use subjects::{Benchmark, Subject};

/// What to measure, and how often.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    /// How many samples of each subject.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Rounds before that are not counted (images, caches).
    #[arg(long, default_value_t = 1)]
    warmup: u16,
    /// Only benchmarks whose name contains this.
    #[arg(long, default_value = "")]
    filter: String,
    /// Where the figures go; `target/bench/<time>.json` unless given.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Benchmarks of another form.
#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Measure the creation of TaskRuns beside that of ConfigMaps of the same size.
    Admission(admission::Options),
    /// Measure what lies between two steps, and what waiting costs.
    HandOver(hand_over::Options),
    /// Measure many TaskRuns beside as many bare Pods, on nodes without a kubelet.
    Scale(scale::Options),
    /// Measure a start of the controller among many TaskRuns that have ended.
    Start(start::Options),
}

/// One subject with its samples.
struct Measured {
    subject: Subject,
    samples: Vec<f64>,
}

/// Runs the benchmarks, prints the table, writes the figures.
pub(crate) async fn run(options: Options) -> Result<bool> {
    match &options.other {
        Some(Other::Admission(options)) => return admission::run(options).await.map(|()| true),
        Some(Other::HandOver(options)) => return hand_over::run(options).await.map(|()| true),
        Some(Other::Scale(options)) => return scale::run(options).await.map(|()| true),
        Some(Other::Start(options)) => return start::run(options).await.map(|()| true),
        None => {}
    }
    let wanted = |benchmark: &Benchmark| benchmark.name.contains(&options.filter);
    let benchmarks: Vec<_> = subjects::all().into_iter().filter(wanted).collect();
    ensure!(
        !benchmarks.is_empty(),
        "no benchmark is named like {:?}",
        options.filter
    );
    let cluster = Cluster::connect().await?;
    let namespace = namespace();
    let work = rounds(&cluster, &namespace, benchmarks, &options);
    let measured = in_namespace(&cluster, &namespace, work).await?;
    report(&cluster, &measured, &options)?;
    Ok(true)
}

/// A name that no other namespace has.
fn namespace() -> String {
    format!("e2e-bench-{}", random())
}

/// Does `work` once `namespace` is there, and removes that whatever comes.
async fn in_namespace<T>(
    cluster: &Cluster,
    namespace: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let whole = async {
        let deadline = Instant::now() + Duration::from_mins(1);
        cluster
            .create_namespace(namespace, &NamespaceMeta::default(), deadline)
            .await?;
        work.await
    };
    until_signal(cluster, Box::pin(whole)).await
}

async fn rounds(
    cluster: &Cluster,
    namespace: &str,
    benchmarks: Vec<Benchmark>,
    options: &Options,
) -> Result<Vec<(Benchmark, Vec<Measured>)>> {
    let mut all: Vec<_> = benchmarks
        .into_iter()
        .map(|mut benchmark| {
            let subjects = std::mem::take(&mut benchmark.subjects);
            let measured = subjects
                .into_iter()
                .map(|subject| Measured {
                    subject,
                    samples: Vec::new(),
                })
                .collect();
            (benchmark, measured)
        })
        .collect::<Vec<(Benchmark, Vec<Measured>)>>();
    let warmup = u32::from(options.warmup);
    for round in 0..warmup + u32::from(options.rounds) {
        let counts = round >= warmup;
        for (benchmark, measured) in &mut all {
            for (index, Measured { subject, samples }) in measured.iter_mut().enumerate() {
                let name = format!("{}-{index}-{round}", benchmark.name);
                let seconds = measure::sample(cluster, namespace, subject, &name)
                    .await
                    .with_context(|| format!("{}, {}", benchmark.name, subject.label))?;
                if counts {
                    samples.push(seconds);
                }
            }
        }
        let title = if counts {
            format!("round {} of {}", round - warmup + 1, options.rounds)
        } else {
            "warm-up".to_owned()
        };
        line(&format!("{title} done"));
    }
    Ok(all)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    label: &'a str,
    unit: &'a str,
    #[serde(flatten)]
    summary: Summary,
    ratio: f64,
    samples: &'a [f64],
}

fn report(cluster: &Cluster, all: &[(Benchmark, Vec<Measured>)], options: &Options) -> Result<()> {
    let mut figures = Vec::new();
    line(&format!(
        "\n{:<44} {:>9} {:>19} {:>7}",
        "", "median", "min - max", "ratio"
    ));
    for (benchmark, measured) in all {
        let summaries: Vec<_> = measured
            .iter()
            .filter_map(|one| Summary::of(&one.samples))
            .collect();
        let base = summaries.first().map_or(f64::NAN, |summary| summary.median);
        line(&format!("{} ({})", benchmark.name, benchmark.about));
        let mut rows = Vec::new();
        for (Measured { subject, samples }, summary) in measured.iter().zip(summaries) {
            let unit = subject.metric.unit();
            let ratio = summary.median / base;
            line(&format!(
                "  {:<42} {:>7.3} {unit} {:>8.3} - {:>6.3} {unit} {ratio:>6.2}x",
                subject.label, summary.median, summary.min, summary.max,
            ));
            rows.push(Row {
                label: &subject.label,
                unit,
                summary,
                ratio,
                samples,
            });
        }
        figures.push(json!({"name": benchmark.name, "about": benchmark.about, "subjects": rows}));
    }
    let now = jiff::Timestamp::now();
    let path = options
        .json
        .clone()
        .unwrap_or_else(|| Path::new("target/bench").join(now.strftime("%Y%m%dT%H%M%SZ.json").to_string()));
    let document = json!({
        "time": now.to_string(),
        "kubernetes": cluster.version(),
        "rounds": options.rounds,
        "benchmarks": figures,
    });
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    fs::write(&path, format!("{document:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    line(&format!("\nfigures in {}", path.display()));
    Ok(())
}
