//! When a watcher first saw each object of a kind, and when it first saw its end.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use kube::{
    ResourceExt as _,
    api::{Api, ApiResource},
    core::{GroupVersionKind, NotUsed, Object},
    runtime::watcher::{Config, Event, watcher},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{case::text, cluster::Cluster};

/// A Pod or TaskRun, as far as its end goes: reading all of it would cost the processor more than what is
/// measured.
type Slim = Object<NotUsed, Status>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    about: String,
    status: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Well,
    Badly,
}

impl Status {
    fn end(&self) -> Option<End> {
        match self.phase.as_str() {
            "Succeeded" => return Some(End::Well),
            "Failed" => return Some(End::Badly),
            _ => {}
        }
        let succeeded = self.conditions.iter().find(|one| one.about == "Succeeded")?;
        match succeeded.status.as_str() {
            "True" => Some(End::Well),
            "False" => Some(End::Badly),
            _ => None,
        }
    }
}

/// The moments of one object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    /// When it was there.
    pub(super) seen: Instant,
    /// When it had ended.
    pub(super) done: Option<Instant>,
}

/// A watch over one kind in one namespace; it ends with this value.
pub(super) struct Watched {
    moments: Arc<Mutex<HashMap<String, Moments>>>,
    counts: watch::Receiver<Counts>,
    task: JoinHandle<Result<()>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    listed: bool,
    done: usize,
    failed: usize,
}

impl Watched {
    /// Begins for objects of the kind of `object`, and returns once the watch stands.
    pub(super) async fn start(cluster: &Cluster, object: &Value, namespace: &str) -> Result<Self> {
        let (group, version) = text(object, "/apiVersion")
            .split_once('/')
            .unwrap_or(("", text(object, "/apiVersion")));
        let kind = GroupVersionKind::gvk(group, version, text(object, "/kind"));
        let api =
            Api::<Slim>::namespaced_with(cluster.client.clone(), namespace, &ApiResource::from_gvk(&kind));
        let moments = Arc::<Mutex<HashMap<String, Moments>>>::default();
        let (tell, mut counts) = watch::channel(Counts::default());
        let shared = Arc::clone(&moments);
        let task = tokio::spawn(async move {
            let mut events = pin!(watcher(api, Config::default()));
            while let Some(event) = events.next().await {
                match event? {
                    Event::InitDone => tell.send_modify(|counts| counts.listed = true),
                    Event::Apply(object) | Event::InitApply(object) => note(&shared, &tell, &object),
                    Event::Delete(_) | Event::Init => {}
                }
            }
            bail!("the watch ended")
        });
        counts
            .wait_for(|counts| counts.listed)
            .await
            .context("the watch does not begin")?;
        Ok(Self {
            moments,
            counts,
            task,
        })
    }

    /// Waits until so many have ended.
    pub(super) async fn until_done(&self, wanted: usize, longest: Duration) -> Result<()> {
        let mut counts = self.counts.clone();
        let done = counts.wait_for(|counts| counts.done >= wanted);
        let counts = match tokio::time::timeout(longest, done).await {
            Ok(counts) => *counts.context("the watch ended")?,
            Err(_) => *self.counts.borrow(),
        };
        if counts.done < wanted {
            bail!("{} of {wanted} have ended after {longest:?}", counts.done);
        }
        if counts.failed > 0 {
            bail!("{} of {wanted} failed", counts.failed);
        }
        Ok(())
    }

    /// All objects so far.
    pub(super) fn moments(&self) -> HashMap<String, Moments> {
        self.moments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(moments: &Mutex<HashMap<String, Moments>>, tell: &watch::Sender<Counts>, object: &Slim) {
    let now = Instant::now();
    let mut moments = moments.lock().unwrap_or_else(PoisonError::into_inner);
    let own = moments.entry(object.name_any()).or_insert(Moments {
        seen: now,
        done: None,
    });
    let Some(end) = object.status.as_ref().and_then(Status::end) else {
        return;
    };
    if own.done.replace(own.done.unwrap_or(now)).is_none() {
        tell.send_modify(|counts| {
            counts.done += 1;
            counts.failed += usize::from(end == End::Badly);
        });
    }
}
