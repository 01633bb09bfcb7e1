//! Hand-over: from the last thing that one step's command does to the first thing that the next one's
//! does, beside two commands of one shell; on a quiet node, and on one where many steps wait. And what
//! the waiting costs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::stats::percentile;
use super::{in_namespace, measure, namespace};
use crate::case::{Target, text};
use crate::cluster::{Cluster, Followed};
use crate::report::line;

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many TaskRuns are measured on the quiet node, and as many on the full one.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How many steps each of them has.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..))]
    steps: u16,
    /// How many steps wait on the node meanwhile.
    #[arg(long, default_value_t = 600)]
    waiting: u16,
    /// How long the waiting steps are watched, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(20..))]
    watch: u64,
}

/// Says when it began and when it ends, in microseconds, without a process of its own for it.
const SAY_WHEN: &str = "echo $EPOCHREALTIME; echo $EPOCHREALTIME";
/// Its shell has that variable.
const IMAGE: &str = "bash";
/// Steps of each TaskRun that only waits.
const WAITING_STEPS: u16 = 20;

/// Measures and prints.
pub(super) async fn run(options: &Options) -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = namespace();
    in_namespace(&cluster, &namespace, measure_all(&cluster, &namespace, options)).await
}

async fn measure_all(cluster: &Cluster, namespace: &str, options: &Options) -> Result<()> {
    line(&format!(
        "\n{:<44} {:>8} {:>9} {:>9} {:>9}",
        "hand-over; ms", "samples", "p50", "p99", "most"
    ));
    let mut floor = Vec::new();
    for round in 0..options.rounds {
        floor.extend(sample(cluster, namespace, &shell(round, options.steps), options.steps).await?);
    }
    row("two commands of one shell", &floor);
    pairs(cluster, namespace, "quiet", options)
        .await?
        .rows("two steps, the node quiet");
    if options.waiting == 0 {
        return Ok(());
    }
    let pods = wait_many(cluster, namespace, options.waiting).await?;
    pairs(cluster, namespace, "full", options)
        .await?
        .rows(&format!("two steps, {} others wait", options.waiting));
    waiting_costs(cluster, &pods, options.watch).await
}

/// What lies between two steps.
#[derive(Default)]
struct Between {
    /// From one command's last line to the next one's first.
    whole: Vec<f64>,
    /// From the marker that one entrypoint writes to the other's start of its command.
    ours: Vec<f64>,
}

impl Between {
    fn rows(&self, label: &str) {
        row(label, &self.whole);
        row("  of it from marker to command", &self.ours);
    }
}

/// Runs the TaskRuns and says what lay between their steps.
async fn pairs(cluster: &Cluster, namespace: &str, name: &str, options: &Options) -> Result<Between> {
    let mut all = Between::default();
    for round in 0..options.rounds {
        let run = steps(name, round, options.steps);
        let whole = sample(cluster, namespace, &run, options.steps).await?;
        all.whole.extend(whole);
        let pod = Target::new("v1", "Pod", &format!("{name}-{round}-pod"));
        let pod = cluster.get(&pod, namespace).await?.unwrap_or_default();
        all.ours.extend(hand_overs(&pod));
    }
    Ok(all)
}

/// What the steps of a Pod have told of their start; the first one follows nobody.
fn hand_overs(pod: &Value) -> Vec<f64> {
    let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let entries = statuses.into_iter().flatten().filter_map(|status| {
        let message = status.pointer("/state/terminated/message")?.as_str()?;
        serde_json::from_str::<Vec<Value>>(message).ok()
    });
    let told = entries.flatten().filter(|entry| entry["key"] == "HandOver");
    told.filter_map(|entry| entry["value"].as_str()?.parse::<f64>().ok())
        .map(|micros| micros / 1e3)
        .collect()
}

fn row(label: &str, millis: &[f64]) {
    let most = millis.iter().copied().fold(f64::NAN, f64::max);
    line(&format!(
        "{label:<44} {:>8} {:>9.2} {:>9.2} {most:>9.2}",
        millis.len(),
        percentile(millis, 50),
        percentile(millis, 99),
    ));
}

fn container(name: &str, script: &str) -> Value {
    json!({"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["bash", "-c", script]})
}

/// One container that runs the command as often as the TaskRun has steps.
fn shell(round: u16, times: u16) -> Value {
    let script = format!("for i in $(seq {times}); do bash -c '{SAY_WHEN}'; done");
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("shell-{round}")},
        "spec": {"restartPolicy": "Never", "containers": [container("main", &script)]},
    })
}

/// A TaskRun whose first step lasts until the containers of all others run: how long the kubelet takes to
/// start them is not what is measured here.
fn steps(name: &str, round: u16, count: u16) -> Value {
    let mut steps: Vec<_> = (0..count)
        .map(|index| container(&format!("s{index}"), SAY_WHEN))
        .collect();
    let seconds = 5 + count / 4;
    steps[0] = container("s0", &format!("sleep {seconds}; {SAY_WHEN}"));
    task_run(&format!("{name}-{round}"), &steps)
}

fn task_run(name: &str, steps: &[Value]) -> Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": name},
        "spec": {"taskSpec": {"steps": steps}},
    })
}

/// Runs the object to its end and gives the milliseconds between its commands.
async fn sample(cluster: &Cluster, namespace: &str, object: &Value, commands: u16) -> Result<Vec<f64>> {
    let name = text(object, "/metadata/name");
    measure::to_success(cluster, namespace, object)
        .await
        .with_context(|| name.to_owned())?;
    let mut said = String::new();
    if text(object, "/kind") == "Pod" {
        said = cluster.log(namespace, name, "main").await?;
    } else {
        for index in 0..commands {
            let log = cluster
                .log(namespace, &format!("{name}-pod"), &format!("step-s{index}"))
                .await?;
            said.push_str(&log);
        }
    }
    let moments = moments(&said)?;
    ensure!(
        moments.len() == usize::from(commands) * 2,
        "{name} said {} moments instead of {}",
        moments.len(),
        commands * 2
    );
    Ok(gaps(&moments))
}

/// The lines that are moments; what the engine says in a step's log is none.
fn moments(log: &str) -> Result<Vec<f64>> {
    let lines = log
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    lines
        .map(|line| line.parse().with_context(|| format!("{line:?} is no moment")))
        .collect()
}

/// Milliseconds from each end to the next beginning, of beginnings and ends in turn.
fn gaps(moments: &[f64]) -> Vec<f64> {
    let ends = moments.iter().skip(1).step_by(2);
    let begins = moments.iter().skip(2).step_by(2);
    ends.zip(begins).map(|(end, begin)| (begin - end) * 1e3).collect()
}

/// Starts TaskRuns whose first step sleeps, so that at least so many others wait. Gives the names of
/// their Pods once all their containers run.
async fn wait_many(cluster: &Cluster, namespace: &str, waiting: u16) -> Result<Vec<String>> {
    let mut pods = Vec::new();
    for index in 0..waiting.div_ceil(WAITING_STEPS) {
        let mut steps = vec![container("s0", "sleep 3600 & wait")];
        steps.extend((1..=WAITING_STEPS).map(|index| container(&format!("s{index}"), "true")));
        let name = format!("waiting-{index}");
        cluster.create(&task_run(&name, &steps), namespace).await?;
        pods.push(format!("{name}-pod"));
    }
    let deadline = Instant::now() + Duration::from_mins(10);
    for name in &pods {
        let target = Target::new("v1", "Pod", name);
        let runs = |pod: Option<&Value>| {
            let statuses = pod.and_then(|pod| pod.pointer("/status/containerStatuses")?.as_array());
            statuses.is_some_and(|all| {
                !all.is_empty() && all.iter().all(|one| one.pointer("/state/running").is_some())
            })
        };
        let followed = cluster.follow(&target, namespace, deadline, runs).await?;
        ensure!(
            matches!(followed, Followed::Reached(_)),
            "{name} does not run all its containers"
        );
    }
    // What starting them costs is not what waiting costs.
    sleep(Duration::from_secs(20)).await;
    Ok(pods)
}

/// Processor time and memory of one container, as its node counts them.
#[derive(Clone, Copy, Debug)]
struct Usage {
    cpu_nanos: f64,
    private_bytes: f64,
}

async fn waiting_costs(cluster: &Cluster, pods: &[String], watch: u64) -> Result<()> {
    let before = usage(&cluster.node_statistics().await?, pods);
    sleep(Duration::from_secs(watch)).await;
    let after = usage(&cluster.node_statistics().await?, pods);
    let both = |(name, after): (&String, &Usage)| before.get(name).map(|before| (*before, *after));
    let all: Vec<_> = after.iter().filter_map(both).collect();
    let cpu: Vec<f64> = all
        .iter()
        .map(|(before, after)| (after.cpu_nanos - before.cpu_nanos) / 1e6)
        .collect();
    let memory: Vec<f64> = all
        .iter()
        .map(|(_, after)| after.private_bytes / 1024.0)
        .collect();
    line(&format!(
        "\n{:<44} {:>8} {:>9} {:>9} {:>9}",
        format!("a waiting step in {watch} s"),
        "steps",
        "p50",
        "p99",
        "most"
    ));
    row("processor time; ms", &cpu);
    row("private memory; KiB", &memory);
    Ok(())
}

/// The steps that wait, by Pod and container, out of what a node's kubelet says of all.
fn usage(statistics: &[Value], pods: &[String]) -> BTreeMap<String, Usage> {
    let mut all = BTreeMap::new();
    let of_pods = |node: &Value| node.pointer("/pods").and_then(Value::as_array).cloned();
    for pod in statistics.iter().filter_map(of_pods).flatten() {
        let name = text(&pod, "/podRef/name");
        if !pods.iter().any(|waiting| waiting == name) {
            continue;
        }
        let containers = pod.pointer("/containers").and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let number = |path| container.pointer(path).and_then(Value::as_f64);
            let step = text(container, "/name");
            if let (Some(cpu_nanos), Some(private_bytes)) =
                (number("/cpu/usageCoreNanoSeconds"), number("/memory/rssBytes"))
                && step != "step-s0"
            {
                let usage = Usage {
                    cpu_nanos,
                    private_bytes,
                };
                all.insert(format!("{name}/{step}"), usage);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_between_commands() {
        let log = "10.000000\n10.500000\n[tektite] 1 running\n10.501500\n11.000000\n11.002000\n11.1\n";
        let moments = moments(log).unwrap();
        let gaps: Vec<i64> = gaps(&moments)
            .iter()
            .map(|gap| format!("{:.0}", gap * 1e3).parse().unwrap())
            .collect();
        assert_eq!(gaps, [1500, 2000]);
    }

    #[test]
    fn only_steps_that_wait_are_counted() {
        let container =
            |name| json!({"name": name, "cpu": {"usageCoreNanoSeconds": 7}, "memory": {"rssBytes": 1024}});
        let pod = |name| json!({"podRef": {"name": name}, "containers": [container("step-s0"), container("step-s1")]});
        let statistics = [json!({"pods": [pod("waiting-0-pod"), pod("other")]})];
        let found = usage(&statistics, &["waiting-0-pod".to_owned()]);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["waiting-0-pod/step-s1"]);
    }

    #[test]
    fn what_steps_tell_of_their_start() {
        let status = |message: &str| json!({"state": {"terminated": {"message": message}}});
        let pod = json!({"status": {"containerStatuses": [
            status(r#"[{"key":"StartedAt","value":"x","type":3}]"#),
            status(r#"[{"key":"HandOver","value":"1250","type":3}]"#),
            status("no message"),
            {"state": {"running": {}}},
        ]}});
        assert_eq!(hand_overs(&pod), [1.25]);
    }
}
