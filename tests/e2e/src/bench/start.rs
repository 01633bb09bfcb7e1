//! A start among many TaskRuns that have ended: how long those wait that have not, and what the controller
//! takes for the others.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{in_namespace, namespace};
use crate::case::{Target, text};
use crate::cluster::{Cluster, Followed};
use crate::report::line;

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many TaskRuns have ended.
    #[arg(long, default_value_t = 10_000)]
    finished: u32,
    /// How many have just come.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    live: u32,
}

/// Where the controller is.
const NAMESPACE: &str = "tekton-pipelines";
const CONTROLLER: &str = "tekton-pipelines-controller";
/// How many objects are written at the same time.
const AT_ONCE: usize = 16;
/// How long a start may take, and the end of what was started before.
const PATIENCE: Duration = Duration::from_mins(5);

/// Measures and prints.
pub(super) async fn run(options: &Options) -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = namespace();
    let measured = in_namespace(&cluster, &namespace, measure(&cluster, &namespace, options)).await;
    // Whatever came of it, the controller works again.
    scale(&cluster, 1).await?;
    measured
}

async fn measure(cluster: &Cluster, namespace: &str, options: &Options) -> Result<()> {
    scale(cluster, 0).await?;
    controllers(cluster, 0).await?;
    let begun = Instant::now();
    let all = (0..options.finished).map(|number| finished(cluster, namespace, number));
    stream::iter(all)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    line(&format!(
        "{} finished TaskRuns made in {:.0} s",
        options.finished,
        begun.elapsed().as_secs_f64()
    ));
    for number in 0..options.live {
        cluster
            .create(&run_called(&format!("live-{number}")), namespace)
            .await?;
    }
    scale(cluster, 1).await?;
    let has_pod = |run: Option<&Value>| run.is_some_and(|run| !text(run, "/status/podName").is_empty());
    for number in 0..options.live {
        let run = Target::new("tekton.dev/v1", "TaskRun", &format!("live-{number}"));
        until(cluster, &run, namespace, has_pod).await?;
    }
    let pods = controllers(cluster, 1).await?;
    let pod = text(&pods[0], "/metadata/name").to_owned();
    let log = cluster.log(NAMESPACE, &pod, CONTROLLER).await?;
    let at = |what: &str| moment(log.lines().find(|line| line.contains(what))?);
    let started = at("started").context("the controller does not say that it has started")?;
    let last = log.lines().rfind(|line| line.contains("create Pod"));
    let last = last
        .and_then(moment)
        .context("the controller does not say that it made Pods")?;
    let working = at("working").unwrap_or(started);
    line(&format!(
        "from the controller's start until it works: {:.2} s; until {} TaskRuns have their Pods: {:.2} s",
        working - started,
        options.live,
        last - started
    ));
    // The kubelet measures every few seconds.
    sleep(Duration::from_secs(30)).await;
    for node in cluster.node_statistics().await? {
        let pods = node["pods"].as_array().cloned().unwrap_or_default();
        for container in pods.iter().filter(|found| text(found, "/podRef/name") == pod) {
            let bytes = container["memory"]["rssBytes"].as_f64().unwrap_or_default();
            line(&format!(
                "the controller's resident memory: {:.1} MiB",
                bytes / 1024.0 / 1024.0
            ));
        }
    }
    Ok(())
}

fn run_called(name: &str) -> Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": name},
        "spec": {"taskSpec": {"steps": [{
            "name": "s", "image": "busybox", "imagePullPolicy": "IfNotPresent", "script": "echo something\n",
        }]}},
    })
}

async fn finished(cluster: &Cluster, namespace: &str, number: u32) -> Result<()> {
    let name = format!("finished-{number:05}");
    let run = run_called(&name);
    cluster.create(&run, namespace).await?;
    let status = json!({"status": {
        "podName": format!("{name}-pod"),
        "startTime": "2026-01-02T03:04:05Z", "completionTime": "2026-01-02T03:04:09Z",
        "taskSpec": run["spec"]["taskSpec"],
        "conditions": [{
            "type": "Succeeded", "status": "True", "reason": "Succeeded",
            "message": "All Steps have completed executing", "lastTransitionTime": "2026-01-02T03:04:09Z",
        }],
        "steps": [{"name": "s", "container": "step-s", "terminated": {
            "exitCode": 0, "reason": "Completed",
            "startedAt": "2026-01-02T03:04:07Z", "finishedAt": "2026-01-02T03:04:08Z",
        }}],
    }});
    let target = Target::new("tekton.dev/v1", "TaskRun", &name);
    cluster.patch(&target, Some("status"), &status, namespace).await
}

fn deployment() -> Target {
    Target::new("apps/v1", "Deployment", CONTROLLER)
}

async fn scale(cluster: &Cluster, replicas: u32) -> Result<()> {
    let deployment = deployment();
    let merge = json!({"spec": {"replicas": replicas}});
    cluster.patch(&deployment, None, &merge, NAMESPACE).await?;
    // What we have written would be ours from now on, and Helm could not change it any more.
    let scaled = cluster.get(&deployment, NAMESPACE).await?.unwrap_or_default();
    let mut owners = scaled["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    owners
        .retain(|owner| owner["fieldsV1"]["f:spec"]["f:replicas"].is_null() || owner["operation"] == "Apply");
    let merge = json!({"metadata": {"managedFields": owners}});
    cluster.patch(&deployment, None, &merge, NAMESPACE).await
}

/// The controller's Pods, once there are so many and they work.
async fn controllers(cluster: &Cluster, replicas: u64) -> Result<Vec<Value>> {
    let is_settled = |found: Option<&Value>| {
        let number = |path| {
            found
                .and_then(|found| found.pointer(path)?.as_u64())
                .unwrap_or_default()
        };
        number("/status/observedGeneration") == number("/metadata/generation")
            && number("/status/replicas") == replicas
            && number("/status/readyReplicas") == replicas
    };
    until(cluster, &deployment(), NAMESPACE, is_settled).await?;
    let mut pods = cluster.list(Some("v1"), "Pod", NAMESPACE).await?;
    pods.retain(|pod| {
        text(pod, "/metadata/name").starts_with(CONTROLLER) && pod["metadata"]["deletionTimestamp"].is_null()
    });
    Ok(pods)
}

/// Waits until the object is as wanted.
async fn until(
    cluster: &Cluster,
    target: &Target,
    namespace: &str,
    wanted: impl Fn(Option<&Value>) -> bool,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    match cluster.follow(target, namespace, deadline, wanted).await? {
        Followed::Reached(_) => Ok(()),
        _ => bail!(
            "{} {} is not as it should be after {PATIENCE:?}",
            target.kind,
            target.name
        ),
    }
}

/// When a line of the log was written, in seconds of its day.
fn moment(line: &str) -> Option<f64> {
    let (_, time) = line.split_whitespace().next()?.split_once('T')?;
    let mut parts = time.trim_end_matches('Z').split(':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_a_log() {
        for (line, expected) in [
            ("2026-01-02T03:04:05.250000Z  INFO run: started", Some(11045.25)),
            ("a line of another form", None),
        ] {
            assert_eq!(moment(line), expected, "{line}");
        }
    }
}
