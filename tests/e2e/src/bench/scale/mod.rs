//! Many at once, and many one after the other, on nodes without a kubelet: what the controller keeps up
//! with, beside bare Pods of the same containers that the API server, the scheduler and the nodes need in
//! any case.

mod fleet;
mod metrics;
mod program;
mod requests;
mod watched;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use futures::future;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::{in_namespace, namespace, stats::percentile};
use crate::{
    case::Target,
    cluster::{Cluster, Followed, random},
    report::line,
};
use fleet::Nodes;
use program::Usage;
use requests::Requests;
use watched::{Moments, Watched};

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many are created at once, in turn.
    #[arg(long, value_delimiter = ',', default_values_t = [300, 2000])]
    bursts: Vec<u16>,
    /// How many are created a second, in turn.
    #[arg(long, value_delimiter = ',', num_args = 0.., default_values_t = [20, 50])]
    rates: Vec<u16>,
    /// For how many seconds each rate is kept.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How many steps each has.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    steps: u16,
    /// How many clients create them.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Where they run.
    #[arg(long, value_enum, default_value_t = Nodes::Kwok)]
    on: Nodes,
    /// How many nodes they run on, without a kubelet.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    nodes: u16,
}

/// What all of one burst may take, and its removal.
const LONGEST: Duration = Duration::from_mins(20);
/// What a TaskRun may cost the API server in writes.
const WRITTEN: [&str; 3] = ["taskruns", "pods", "persistentvolumeclaims"];
/// How long the kubelet's figures may be old.
const LOOKED_AGAIN: Duration = Duration::from_secs(20);
const MIB: f64 = 1024.0 * 1024.0;
/// What no part of an object's cost: the Pod's own way through scheduler and kubelet.
const OF_THE_NODE: [&str; 2] = ["create pods/binding", "patch pods/status"];

/// Measures and prints.
pub(super) async fn run(options: &Options) -> Result<()> {
    let cluster = Cluster::connect().await?;
    let nodes = namespace();
    let whole = async {
        if options.on == Nodes::Kwok {
            fleet::start(&cluster, &nodes, options.nodes).await?;
            // The scheduler hears of them, and kwok makes them ready.
            sleep(Duration::from_secs(5)).await;
        }
        for count in &options.bursts {
            bursts(&cluster, &nodes, usize::from(*count), options).await?;
        }
        for rate in &options.rates {
            paced(&cluster, &nodes, *rate, options).await?;
        }
        Ok(())
    };
    in_namespace(&cluster, &nodes, whole).await
}

/// The kinds, by the parts of their objects' names.
fn kind(object: &Value) -> &'static str {
    if object["kind"] == "Pod" { "pod" } else { "run" }
}

/// Bare Pods, then TaskRuns.
async fn bursts(cluster: &Cluster, namespace: &str, count: usize, options: &Options) -> Result<()> {
    let steps = usize::from(options.steps);
    line(&format!("\n{count} at once, of {steps} steps"));
    let pods = burst(cluster, namespace, &fleet::pod(steps, options.on), count, options).await?;
    let runs = burst(
        cluster,
        namespace,
        &fleet::task_run(steps, options.on),
        count,
        options,
    )
    .await?;
    line(&format!("  {:<46} {:>9.2} s", "bare Pods", pods.seconds));
    line(&format!(
        "  {:<46} {:>9.2} s {:>6.2}x",
        "TaskRuns",
        runs.seconds,
        runs.seconds / pods.seconds
    ));
    runs.report(count);
    Ok(())
}

/// What came of many TaskRuns.
struct Outcome {
    /// From the first creation to the last end.
    seconds: f64,
    /// Milliseconds from when a TaskRun was seen to when its Pod was.
    to_pod: Vec<f64>,
    /// Milliseconds from when a Pod's end was seen to when its TaskRun's was.
    to_status: Vec<f64>,
    writes: Vec<(String, f64)>,
    /// Before and after.
    usage: [BTreeMap<&'static str, Usage>; 2],
}

impl Outcome {
    fn report(&self, count: usize) {
        #[expect(clippy::cast_precision_loss)]
        let each = |all: f64| all / count as f64;
        for (label, millis) in [
            ("TaskRun seen to its Pod seen", &self.to_pod),
            ("Pod's end seen to the TaskRun's", &self.to_status),
        ] {
            line(&format!(
                "  {label:<46} {:>9.1} ms p50 {:>9.1} ms p99",
                percentile(millis, 50),
                percentile(millis, 99)
            ));
        }
        let own = |what: &str| !OF_THE_NODE.contains(&what);
        let writes: f64 = self
            .writes
            .iter()
            .filter(|(what, _)| own(what))
            .map(|(_, count)| count)
            .sum();
        // The creation of the TaskRun itself is the user's.
        line(&format!(
            "  {:<46} {:>9.2}",
            "writes per TaskRun, its creation and events aside",
            each(writes) - 1.0
        ));
        for (what, count) in &self.writes {
            line(&format!("    {what:<44} {:>9.2}", each(*count)));
        }
        let [before, after] = &self.usage;
        for (name, usage) in after {
            let cpu = usage.cpu - before.get(name).map_or(0.0, |before| before.cpu);
            line(&format!(
                "  {:<46} {:>9.2} ms, {:.1} MiB now, {:.1} at most",
                format!("{name}: processor time per TaskRun, memory"),
                each(cpu) * 1e3,
                usage.resident / MIB,
                usage.most / MIB,
            ));
        }
    }
}

async fn burst(
    cluster: &Cluster,
    namespace: &str,
    object: &Value,
    count: usize,
    options: &Options,
) -> Result<Outcome> {
    let begin = Instant::now();
    let due = move |_| begin;
    follow(
        cluster,
        namespace,
        object,
        count,
        usize::from(options.clients),
        due,
    )
    .await
}

async fn paced(cluster: &Cluster, namespace: &str, rate: u16, options: &Options) -> Result<()> {
    let count = usize::from(rate) * usize::try_from(options.seconds)?;
    line(&format!("\n{rate} TaskRuns a second for {} s", options.seconds));
    let pause = Duration::from_secs(1) / u32::from(rate);
    let begin = Instant::now() + Duration::from_secs(1);
    let due = move |index: usize| begin + pause * u32::try_from(index).unwrap_or(u32::MAX);
    let object = fleet::task_run(usize::from(options.steps), options.on);
    let outcome = follow(
        cluster,
        namespace,
        &object,
        count,
        usize::from(options.clients),
        due,
    )
    .await?;
    line(&format!(
        "  {:<46} {:>9.2} s",
        "first creation to last end", outcome.seconds
    ));
    outcome.report(count);
    Ok(())
}

/// Creates `count` objects, each when it is due, and waits for the end of all.
async fn follow(
    cluster: &Cluster,
    nodes: &str,
    object: &Value,
    count: usize,
    clients: usize,
    due: impl Fn(usize) -> Instant + Copy,
) -> Result<Outcome> {
    // A namespace of their own, so that no list is longer than it has to be.
    let namespace = format!("{nodes}-{}-{}", kind(object), random());
    cluster
        .create_namespace(
            &namespace,
            &crate::case::NamespaceMeta::default(),
            Instant::now() + Duration::from_mins(1),
        )
        .await?;
    let own = Watched::start(cluster, object, &namespace).await?;
    let is_run = kind(object) == "run";
    let pods = if is_run {
        Some(Watched::start(cluster, &fleet::pod(1, Nodes::Kwok), &namespace).await?)
    } else {
        None
    };
    let programs = program::usage(cluster).await?;
    let before = Requests::read(&cluster.client).await?;
    let begin = Instant::now().max(due(0));
    let next = AtomicUsize::new(0);
    let create = async || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return anyhow::Ok(());
            }
            sleep_until(due(index)).await;
            let mut object = object.clone();
            object["metadata"]["name"] = json!(format!("{}-{index}", kind(&object)));
            cluster
                .create(&object, &namespace)
                .await
                .with_context(|| index.to_string())?;
        }
    };
    future::try_join_all((0..clients).map(|_| create())).await?;
    own.until_done(count, LONGEST).await?;
    let seconds = begin.elapsed().as_secs_f64();
    // What is still to be written is written, and the kubelet looks at its containers again.
    sleep(if is_run { LOOKED_AGAIN } else { Duration::ZERO }).await;
    let writes = Requests::read(&cluster.client).await?.since(&before, &WRITTEN);
    let usage = [programs, program::usage(cluster).await?];
    let (mut to_pod, mut to_status) = (Vec::new(), Vec::new());
    if let Some(pods) = pods {
        let pods = pods.moments();
        for (name, run) in own.moments() {
            let Some(pod) = pods.get(&format!("{name}-pod")) else {
                continue;
            };
            let (pod_lag, status_lag) = lags(&run, pod);
            to_pod.push(pod_lag);
            to_status.extend(status_lag);
        }
    }
    remove(cluster, &namespace).await?;
    Ok(Outcome {
        seconds,
        to_pod,
        to_status,
        writes,
        usage,
    })
}

/// Deletes the namespace and waits until it is gone: what comes next does not pay for it.
async fn remove(cluster: &Cluster, namespace: &str) -> Result<()> {
    cluster.delete_namespace(namespace).await?;
    let target = Target::namespace(namespace);
    match cluster
        .follow(&target, "", Instant::now() + LONGEST, |found| found.is_none())
        .await?
    {
        Followed::Gone => Ok(()),
        _ => bail!("namespace {namespace} is not gone after {LONGEST:?}"),
    }
}

/// Milliseconds from the run to its Pod, and from the Pod's end to the run's. What a watcher hears in the
/// other order took no time.
fn lags(run: &Moments, pod: &Moments) -> (f64, Option<f64>) {
    let millis = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64() * 1e3;
    let ends = pod.done.zip(run.done);
    (
        millis(run.seen, pod.seen),
        ends.map(|(pod, run)| millis(pod, run)),
    )
}
