//! The streams of TaskRuns, Pods, LimitRanges and ResourceQuotas, into the caches and on to the queue.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::StreamExt;
use k8s_openapi::{
    api::core::v1::{LimitRange, ResourceQuota},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    core::NamespaceResourceScope,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tektite_api::{TaskRun, labels};
use tektite_core::{
    lifecycle::{Severity, quota},
    observe,
    pod_view::PodView,
};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::{Cache, Cached, Change, Key},
    context::Context,
    decode::{Broken, Decoded, Readable},
    error::explain_watch,
    events::{self, Note},
    known::KnownRun,
    metrics::KindLabels,
    readiness::Gate,
    trigger::{ManagedBy, pod_matters, run_matters, run_of_pod, urgency},
};

/// The server ends a watch after this many seconds, and it is begun again where it stood. A
/// connection that died without a word is noticed 5 s later than that.
const WATCH_SECONDS: u32 = 120;

/// Follows all TaskRuns until `stop`.
pub async fn task_runs(context: Arc<Context>, stop: CancellationToken) {
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let changed = |change: Change<KnownRun>| take_run(&context, change);
    Follow {
        context: &context,
        cache: &context.runs,
        gate: Gate::TaskRuns,
        // Other controllers' runs are none of our business.
        remember: |run: TaskRun| {
            let managed_by = &context.settings.managed_by;
            managed_by
                .is_ours(run.spec.managed_by.as_deref())
                .then(|| run.into())
        },
        broken: HashMap::new(),
        listed_broken: HashSet::new(),
    }
    .until(stop, config, changed)
    .await;
}

/// Follows all LimitRanges until `stop`. A change matters only to Pods that are still to be made.
pub async fn limit_ranges(context: Arc<Context>, stop: CancellationToken) {
    Follow {
        context: &context,
        cache: &context.limit_ranges,
        gate: Gate::LimitRanges,
        remember: Some,
        broken: HashMap::new(),
        listed_broken: HashSet::new(),
    }
    .until::<LimitRange>(stop, watcher::Config::default().timeout(WATCH_SECONDS), |_| {})
    .await;
}

/// Follows all ResourceQuotas until `stop`. Where one has more room, runs that wait for it try again.
pub async fn quotas(context: Arc<Context>, stop: CancellationToken) {
    let changed = |change: Change<ResourceQuota>| {
        if let Some(before) = &change.before
            && quota::gives_room(before, change.after.as_deref())
        {
            for run in context.room.grew(&change.key.namespace) {
                context.queue.add(run);
            }
        }
    };
    Follow {
        context: &context,
        cache: &context.quotas,
        gate: Gate::Quotas,
        remember: Some,
        broken: HashMap::new(),
        listed_broken: HashSet::new(),
    }
    .until::<ResourceQuota>(stop, watcher::Config::default().timeout(WATCH_SECONDS), changed)
    .await;
}

/// Follows the Pods of TaskRuns until `stop`. The runs come first: a Pod whose run is over is not kept.
pub async fn pods(context: Arc<Context>, stop: CancellationToken) {
    tokio::select! {
        () = context.readiness.wait_for(Gate::TaskRuns) => {}
        () = stop.cancelled() => return,
    }
    let config = watcher::Config::default()
        .timeout(WATCH_SECONDS)
        .labels(labels::TASK_RUN);
    let changed = |change: Change<PodView>| take_pod(&context, &change);
    Follow {
        context: &context,
        cache: &context.pods,
        gate: Gate::Pods,
        remember: |pod| Some(pod).filter(|pod| matters(&context, pod)),
        broken: HashMap::new(),
        listed_broken: HashSet::new(),
    }
    .until(stop, config, changed)
    .await;
}

/// Whether anything can still come of `pod`.
pub fn matters(context: &Context, pod: &PodView) -> bool {
    let run = pod.task_run().map(|name| Key::new(pod.namespace(), name));
    let run = run.and_then(|key| context.runs.get(&key));
    match run.as_deref() {
        Some(KnownRun::Over(over)) => !observe::is_quiet(pod) || over.has_open_sidecars,
        Some(KnownRun::Live(_)) => true,
        // It may have come before its run; beside another engine, it is that one's.
        None => context.settings.managed_by == ManagedBy::Tekton,
    }
}

fn take_run(context: &Context, change: Change<KnownRun>) {
    if change.after.is_none() {
        context.queue.forget(&change.key);
        context.pace.forget(&change.key);
        context.room.forget(&change.key);
        context.retention.forget(&change.key);
        context.measure.forget(&change.key);
    }
    if run_matters(&change) {
        if let (None, Some(KnownRun::Live(run))) = (&change.before, change.after.as_deref())
            && context.queue.is_open()
        {
            context.measure.arrived(&change.key, run);
        }
        context.queue.add(change.key);
    }
}

fn take_pod(context: &Context, change: &Change<PodView>) {
    if pod_matters(change)
        && let Some(run) = run_of_pod(change)
    {
        context.queue.add_with(run, urgency(change.after.as_deref()));
    }
}

/// What a watch can be about.
trait Followed:
    k8s_openapi::Metadata<Ty = ObjectMeta>
    + k8s_openapi::Resource<Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + Readable
    + Send
    + Sync
    + 'static
{
}

impl Followed for TaskRun {}
impl Followed for PodView {}
impl Followed for LimitRange {}
impl Followed for ResourceQuota {}

/// One watch.
struct Follow<'a, C, R> {
    context: &'a Context,
    cache: &'a Cache<C>,
    gate: Gate,
    /// What is remembered of an object, if anything is.
    remember: R,
    /// The versions of objects that do not fit, so that a new list tells nothing twice.
    broken: HashMap<Key, Option<String>>,
    /// Those of them that are in the list that is being read.
    listed_broken: HashSet<Key>,
}

impl<C: Cached, R> Follow<'_, C, R> {
    async fn until<T>(
        mut self,
        stop: CancellationToken,
        config: watcher::Config,
        mut changed: impl FnMut(Change<C>),
    ) where
        T: Followed,
        R: Fn(T) -> Option<C>,
    {
        let api: Api<Decoded<T>> = api(
            self.context.cluster.client(),
            self.context.settings.watch_namespace.as_deref(),
        );
        let events = watcher(api, config).default_backoff();
        tokio::pin!(events);
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => self.take(event, &mut changed),
                Some(Err(error)) => {
                    let kind = KindLabels { kind: T::KIND };
                    self.context.metrics.watch_errors.get_or_create(&kind).inc();
                    tracing::warn!(kind = T::KIND, error = explain_watch(&error), "watch interrupted");
                }
                None => return,
            }
        }
    }

    fn take<T>(&mut self, event: Event<Decoded<T>>, changed: &mut impl FnMut(Change<C>))
    where
        T: Followed,
        R: Fn(T) -> Option<C>,
    {
        match event {
            Event::Init => {
                self.cache.begin_list();
                self.listed_broken.clear();
            }
            Event::InitApply(Decoded::Whole(object)) => {
                if let Some(object) = (self.remember)(*object) {
                    self.cache.list_item(object);
                }
            }
            Event::InitApply(Decoded::Broken(broken)) => {
                self.listed_broken.insert(Key::of(&broken.metadata));
                self.take_broken::<T>(&broken);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed_broken);
                let mended = self.broken.extract_if(|key, _| !listed.contains(key));
                mended.for_each(|(key, _)| self.context.events.mended(T::KIND, key));
                for change in self.cache.end_list() {
                    changed(change);
                }
                self.context.readiness.open(self.gate);
            }
            Event::Apply(Decoded::Whole(object)) => {
                let key = Key::of(object.metadata());
                self.mended::<T>(&key);
                match (self.remember)(*object) {
                    Some(object) => {
                        if let Some(change) = self.cache.apply(object) {
                            changed(change);
                        }
                    }
                    None => self.cache.forget(&key),
                }
            }
            Event::Apply(Decoded::Broken(broken)) => {
                self.take_broken::<T>(&broken);
                // What it was before is no ground for decisions any more.
                if let Some(change) = self.cache.delete(&broken.metadata) {
                    changed(change);
                }
            }
            Event::Delete(object) => {
                let metadata = object.meta();
                self.mended::<T>(&Key::of(metadata));
                if let Some(change) = self.cache.delete(metadata) {
                    changed(change);
                }
            }
        }
    }

    fn take_broken<T: Followed>(&mut self, broken: &Broken) {
        let managed_by = &self.context.settings.managed_by;
        if !managed_by.is_ours(broken.managed_by.as_deref()) {
            return;
        }
        let key = Key::of(&broken.metadata);
        let version = broken.metadata.resource_version.clone();
        if self.broken.get(&key) == Some(&version) {
            return;
        }
        tracing::warn!(kind = T::KIND, object = %key, error = broken.error, "object does not fit its type");
        let kind = KindLabels { kind: T::KIND };
        self.context.metrics.undecodable.get_or_create(&kind).inc();
        let note = Note {
            about: events::reference::<T>(&broken.metadata),
            severity: Severity::Warning,
            reason: "Undecodable",
            message: format!("The object cannot be read and is ignored: {}", broken.error),
        };
        self.context.events.broken(T::KIND, key.clone(), note);
        self.broken.insert(key, version);
    }

    fn mended<T: Followed>(&mut self, key: &Key) {
        if let Some((key, _)) = self.broken.remove_entry(key) {
            self.context.events.mended(T::KIND, key);
        }
    }
}

fn api<K>(client: Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}
