//! What admission costs: TaskRuns and ConfigMaps of the same size, created in turn and not stored. The
//! same TaskRuns in a namespace that the webhook is not asked about tell apart what is the webhook's and
//! what any custom resource costs; those in one whose webhooks say yes to everything, what any two webhooks
//! cost.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future;
use serde_json::{Value, json};

use super::floor::Floor;
use super::stats::{Summary, percentile};
use crate::case::NamespaceMeta;
use crate::cluster::{Cluster, Prepared};
use crate::report::line;
use crate::run::until_signal;

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often each kind has its turn.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many objects a turn creates.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    objects: u32,
    /// How many clients create at the same time where it is counted how many objects a second get through.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// How many steps the TaskRun has.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
}

/// The label of a namespace whose objects are not judged at admission.
pub(super) const EXCLUDE: &str = "webhooks.knative.dev/exclude";

/// A kind of object, and what was measured of it.
struct Subject {
    label: String,
    prepared: Prepared,
    /// Milliseconds of each creation, one after the other.
    alone: Vec<f64>,
    /// Milliseconds of each creation among those of the other clients.
    together: Vec<f64>,
    /// Creations a second, of each turn of all clients.
    rates: Vec<f64>,
}

/// Measures and prints.
pub(super) async fn run(options: &Options) -> Result<()> {
    let cluster = Cluster::connect().await?;
    let judged = super::namespace();
    let excluded = format!("{judged}-excluded");
    let waved = format!("{judged}-waved");
    let subjects = until_signal(
        &cluster,
        Box::pin(async {
            let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
            let mut meta = NamespaceMeta::default();
            cluster.create_namespace(&judged, &meta, deadline).await?;
            meta.labels.insert(EXCLUDE.to_owned(), "true".to_owned());
            cluster.create_namespace(&excluded, &meta, deadline).await?;
            cluster.create_namespace(&waved, &meta, deadline).await?;
            let floor = Floor::start(&cluster, &waved).await?;
            let subjects = measure(&cluster, [&judged, &excluded, &waved], options).await?;
            let (asked, wanted) = (
                floor.asked(),
                options.rounds * (options.objects + options.objects / 2) * 2,
            );
            ensure!(
                asked >= wanted as usize,
                "the webhooks that say yes were asked {asked} times, not {wanted}"
            );
            Ok(subjects)
        }),
    )
    .await?;
    report(&subjects, options);
    Ok(())
}

async fn measure(
    cluster: &Cluster,
    [judged, excluded, waved]: [&str; 3],
    options: &Options,
) -> Result<[Subject; 4]> {
    let run = task_run(options.steps)?;
    let map = config_map_like(&run)?;
    let subject = |label: String, object: &Value, namespace: &str| {
        anyhow::Ok(Subject {
            label,
            prepared: cluster.prepare(object, namespace)?,
            alone: Vec::new(),
            together: Vec::new(),
            rates: Vec::new(),
        })
    };
    let size = run.to_string().len();
    let mut subjects = [
        subject(format!("ConfigMap of {size} bytes"), &map, judged)?,
        subject("TaskRun, no webhook asked".to_owned(), &run, excluded)?,
        subject("TaskRun, webhooks that say yes".to_owned(), &run, waved)?,
        subject(
            format!("TaskRun of {} steps, {size} bytes", options.steps),
            &run,
            judged,
        )?,
    ];
    // Round 0 opens connections and fills caches.
    for round in 0..=options.rounds {
        for subject in &mut subjects {
            let failed = || format!("creating a {}", subject.label);
            let alone = turn(cluster, &subject.prepared, 1, options.objects / 2)
                .await
                .with_context(failed)?;
            let begin = Instant::now();
            let together = turn(cluster, &subject.prepared, options.clients, options.objects)
                .await
                .with_context(failed)?;
            let took = begin.elapsed().as_secs_f64();
            if round > 0 {
                subject.alone.extend(alone);
                subject.together.extend(together);
                subject.rates.push(f64::from(options.objects) / took);
            }
        }
    }
    Ok(subjects)
}

/// Milliseconds that each of `count` creations took, of `clients` at the same time.
async fn turn(cluster: &Cluster, prepared: &Prepared, clients: u32, count: u32) -> Result<Vec<f64>> {
    let next = AtomicU32::new(0);
    let client = async || {
        let mut took = Vec::new();
        while next.fetch_add(1, Ordering::Relaxed) < count {
            let begin = Instant::now();
            cluster.create_dry(prepared).await?;
            took.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        anyhow::Ok(took)
    };
    let all = future::try_join_all((0..clients).map(|_| client())).await?;
    Ok(all.into_iter().flatten().collect())
}

/// The TaskRun of the benchmarks, its step repeated.
fn task_run(steps: u32) -> Result<Value> {
    let yaml = include_str!("../../../bench/task-run.yaml");
    let mut run: Value = serde_saphyr::from_str(yaml)?;
    let list = run
        .pointer_mut("/spec/taskSpec/steps")
        .context("there are no steps")?;
    let step = list[0].take();
    let named = |index| {
        let mut step = step.clone();
        step["name"] = json!(format!("step-{index}"));
        step
    };
    *list = (0..steps).map(named).collect();
    Ok(run)
}

/// A ConfigMap that takes as many bytes as `object`.
fn config_map_like(object: &Value) -> Result<Value> {
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "admitted"},
        "data": {"text": ""}});
    let rest = object.to_string().len().checked_sub(map.to_string().len());
    map["data"]["text"] = json!("x".repeat(rest.context("the object is too small")?));
    Ok(map)
}

fn report(subjects: &[Subject; 4], options: &Options) {
    line(&format!(
        "\n{:<38} {:>17} {:>17} {:>21}",
        "",
        "one client",
        format!("{} clients", options.clients),
        "creates a second",
    ));
    line(&format!(
        "{:<38} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10}",
        "dry runs; ms", "p50", "p99", "p50", "p99", "median", "best"
    ));
    for Subject {
        label,
        alone,
        together,
        rates,
        ..
    } in subjects
    {
        let rate = Summary::of(rates);
        line(&format!(
            "{label:<38} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>10.0} {:>10.0}",
            percentile(alone, 50),
            percentile(alone, 99),
            percentile(together, 50),
            percentile(together, 99),
            rate.map_or(f64::NAN, |rate| rate.median),
            rate.map_or(f64::NAN, |rate| rate.max),
        ));
    }
    let [map, excluded, waved, run] = subjects;
    for (label, above, below) in [
        ("more than the ConfigMap", run, map),
        ("what the webhook adds", run, excluded),
        ("what any two webhooks add", waved, excluded),
    ] {
        line(&format!(
            "{label:<38} {:>8.2} {:>8.2}",
            percentile(&above.alone, 50) - percentile(&below.alone, 50),
            percentile(&above.alone, 99) - percentile(&below.alone, 99),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_of_one_size() {
        let run = task_run(10).unwrap();
        assert_eq!(run.pointer("/spec/taskSpec/steps/9/name"), Some(&json!("step-9")));
        let map = config_map_like(&run).unwrap();
        assert_eq!(map.to_string().len(), run.to_string().len());
    }
}
