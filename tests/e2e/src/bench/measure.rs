//! Taking a sample.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::subjects::{Metric, Subject};
use crate::case::text;
use crate::check;
use crate::cluster::Cluster;

/// What one sample may take.
const LONGEST: Duration = Duration::from_mins(2);

/// Measures a subject once, with an object of that name.
pub(crate) async fn sample(cluster: &Cluster, namespace: &str, subject: &Subject, name: &str) -> Result<f64> {
    let mut object = subject.object.clone();
    object["metadata"]["name"] = json!(name);
    match subject.metric {
        Metric::CreateToEnd => to_success(cluster, namespace, &object).await,
        Metric::CreateToContainersEnded => create_until(cluster, namespace, &object, containers_ended).await,
    }
}

/// Creates a Pod or TaskRun and waits for its success; seconds from the request to the event.
pub(crate) async fn to_success(cluster: &Cluster, namespace: &str, object: &Value) -> Result<f64> {
    create_until(cluster, namespace, object, succeeded).await
}

/// Seconds from the request to create the object to the event that shows it as wanted.
async fn create_until(
    cluster: &Cluster,
    namespace: &str,
    object: &Value,
    reached: fn(&Value) -> Result<bool>,
) -> Result<f64> {
    let name = text(object, "/metadata/name");
    let deadline = Instant::now() + LONGEST;
    let fields = Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watcher(cluster.api_of(object, namespace)?, fields));
    // The watch stands before the object is made, so that no event waits for a list.
    let mut start = None;
    loop {
        let event = timeout_at(deadline, events.next())
            .await
            .context("not done within two minutes")?;
        match event.context("the watch ended")?? {
            Event::InitDone if start.is_none() => {
                start = Some(Instant::now());
                cluster.create(object, namespace).await?;
            }
            Event::Apply(seen) | Event::InitApply(seen) => {
                let mut seen = serde_json::to_value(seen)?;
                // The items of a list may lack their kind.
                seen["kind"] = object["kind"].clone();
                if let (true, Some(start)) = (reached(&seen)?, start) {
                    return Ok(start.elapsed().as_secs_f64());
                }
            }
            Event::Delete(_) => bail!("{name} was deleted"),
            _ => {}
        }
    }
}

/// Whether a Pod or TaskRun has succeeded; one that failed measures nothing.
fn succeeded(object: &Value) -> Result<bool> {
    if text(object, "/kind") == "TaskRun" {
        if check::condition(object, "Succeeded")
            .is_some_and(|condition| text(condition, "/status") == "False")
        {
            bail!("the TaskRun failed: {}", check::summary(object));
        }
        return Ok(check::is_done(object));
    }
    match text(object, "/status/phase") {
        "Failed" => bail!("the Pod failed: {}", object["status"]),
        phase => Ok(phase == "Succeeded"),
    }
}

/// Whether every container of a Pod has ended.
fn containers_ended(pod: &Value) -> Result<bool> {
    let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let ended = |status: &Value| status.pointer("/state/terminated").is_some();
    Ok(succeeded(pod)? || statuses.is_some_and(|list| !list.is_empty() && list.iter().all(ended)))
}
