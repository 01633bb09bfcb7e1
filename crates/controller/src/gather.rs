//! Gather: everything that a decision about a run rests on. Reads from the API server what no watch
//! brings.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tektite_api::{StepAction, TaskRun};
use tektite_core::{
    account::Account,
    config::Config,
    image::Answers,
    lifecycle::{self, DeliverySettings, Fetched, Gathered, Wanted},
    limit_range::Limits,
    observe::ResultsLog,
    pod_view::PodView,
    sidecars::{Foreign, Surroundings},
};

use crate::{account, cache::Key, context::Context, error::Error, news};

/// What was found, kept for as long as a decision needs it.
pub struct Found<'a> {
    /// The run.
    pub run: Arc<TaskRun>,
    /// Its Pod.
    pub pod: Option<Arc<PodView>>,
    earlier: Option<Arc<PodView>>,
    news: Option<String>,
    fetched: Fetched,
    actions: BTreeMap<String, StepAction>,
    log: ResultsLog,
    /// What the registries said of images, if they were asked.
    pub images: Answers,
    /// The run's account, where something needs it.
    pub account: Account,
    config: Arc<Config>,
    delivery: DeliverySettings<'a>,
    around: Surroundings,
    limits: Limits,
    revision: &'a str,
    /// When that was.
    pub now: Timestamp,
}

impl Found<'_> {
    /// Asks what others add to `pod`, where that can matter. Whether it is anything else than what was
    /// found before: then the Pod has to be made anew.
    pub async fn learns_of_injection(&mut self, context: &Context, pod: &Pod) -> bool {
        if !self.config.flags.sidecars.asks_for_foreign() {
            return false;
        }
        let namespace = self.run.namespace();
        let foreign = context.injected.into_pod(&context.cluster, namespace, pod).await;
        let before = std::mem::replace(&mut self.around.foreign, foreign);
        before != foreign
    }

    /// As the core wants it.
    pub fn gathered(&self) -> Gathered<'_> {
        Gathered {
            run: &self.run,
            pod: self.pod.as_deref(),
            earlier: self.earlier.as_deref(),
            news: self.news.as_deref(),
            fetched: self.fetched.clone(),
            actions: &self.actions,
            log: &self.log,
            images: &self.images,
            account: &self.account,
            config: &self.config,
            delivery: self.delivery,
            around: self.around,
            limits: &self.limits,
            revision: self.revision,
            now: self.now,
        }
    }
}

/// Finds what a decision about `run` rests on.
///
/// # Errors
/// The API server would not say; that something does not exist is an answer.
pub async fn gather(context: &Context, run: Arc<TaskRun>) -> Result<Found<'_>, Error> {
    let pod = pod(context, &run).await?;
    let fetched = match lifecycle::wanted(&run) {
        Wanted::Nothing => Fetched::Nothing,
        Wanted::Task(name) => match context.cluster.get_task(run.namespace(), &name).await {
            Ok(task) => Fetched::Task(Box::new(task)),
            Err(error) if error.is_not_found() => Fetched::TaskMissing,
            Err(error) => return Err(error),
        },
    };
    let mut actions = BTreeMap::new();
    for name in lifecycle::wanted_actions(&run, &fetched) {
        match context.cluster.get_step_action(run.namespace(), &name).await {
            Ok(action) => {
                actions.insert(name, action);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    let config = context.config.load_full();
    let wanted = lifecycle::wanted_account(&run, &fetched, &config).filter(|_| pod.is_none());
    let account = match wanted {
        Some(name) => account::account(&context.cluster, run.namespace(), &name).await?,
        None => Account::NotRead,
    };
    let limits = match pod {
        Some(_) => Limits::NONE,
        None => limits(context, run.namespace()),
    };
    let log = log(context, &run, pod.as_deref()).await;
    let earlier = lifecycle::earlier_pod(&run).and_then(|name| {
        let key = Key::new(run.namespace(), name);
        context.pods.get(&key)
    });
    let now = Timestamp::now();
    let news = news(context, &run, pod.as_deref(), now).await;
    Ok(Found {
        pod,
        earlier,
        news,
        fetched,
        actions,
        log,
        account,
        config,
        limits,
        now,
        ..without_asking(context, run)
    })
}

/// What is known of `run` without asking anybody.
pub fn without_asking(context: &Context, run: Arc<TaskRun>) -> Found<'_> {
    let pod = Key::new(run.namespace(), lifecycle::pod_name(&run));
    Found {
        pod: context.pods.get(&pod),
        run,
        earlier: None,
        news: None,
        fetched: Fetched::Nothing,
        actions: BTreeMap::new(),
        log: ResultsLog::NotRead,
        images: Answers::new(),
        account: Account::NotRead,
        config: context.config.load_full(),
        delivery: context.delivery_settings(),
        around: Surroundings {
            kubernetes: **context.kubernetes.load(),
            foreign: Foreign::default(),
        },
        limits: Limits::NONE,
        revision: context.settings.revision,
        now: Timestamp::now(),
    }
}

fn limits(context: &Context, namespace: &str) -> Limits {
    let ranges = context.limit_ranges.in_namespace(namespace);
    Limits::of(ranges.iter().map(AsRef::as_ref))
}

/// What the cluster says of a Pod that waits in silence.
async fn news(context: &Context, run: &TaskRun, pod: Option<&PodView>, now: Timestamp) -> Option<String> {
    let pod = pod.filter(|pod| lifecycle::wants_news(run, Some(pod), now))?;
    // Boxed, so that the many looks that ask for none have no room for it.
    Box::pin(news::about(context, pod)).await
}

/// The log with the results, once the steps are over.
async fn log(context: &Context, run: &TaskRun, pod: Option<&PodView>) -> ResultsLog {
    let key = Key::of(&run.metadata);
    let (Some(pod), Some(container)) = (pod, lifecycle::wanted_log(run, pod)) else {
        context.log_reads.forget(&key);
        return ResultsLog::NotRead;
    };
    let since = context.log_reads.since(&key, Timestamp::now());
    let read = context
        .cluster
        .read_results_log(run.namespace(), pod.name(), container);
    // Boxed, so that the many looks that read no log have no room for it.
    match Box::pin(read).await {
        Ok(text) => ResultsLog::Text { text, since },
        Err(error) if error.is_not_found() || error.is_forbidden() => ResultsLog::Never(error.to_string()),
        Err(error) => ResultsLog::NotYet {
            why: error.to_string(),
            since,
        },
    }
}

async fn pod(context: &Context, run: &TaskRun) -> Result<Option<Arc<PodView>>, Error> {
    let name = lifecycle::pod_name(run);
    if name.is_empty() {
        return Ok(None);
    }
    let ours = |pod: &PodView| pod.is_controlled_by(run.uid());
    let key = Key::new(run.namespace(), name.as_str());
    if let Some(pod) = context.pods.get(&key).filter(|pod| ours(pod)) {
        return Ok(Some(pod));
    }
    // A Pod that the status names and the watch does not know: gone, or only its label is, or the
    // watch is late. Too much hangs on the difference to guess.
    let is_missed = !run.is_done() && run.status.as_ref().is_some_and(|status| status.pod_name == name);
    if !is_missed {
        return Ok(None);
    }
    match context.cluster.get_pod(run.namespace(), &name).await {
        Ok(pod) if ours(&pod) => {
            context.pods.assume(pod.clone(), None);
            Ok(Some(Arc::new(pod)))
        }
        Ok(_foreign) => Ok(None),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
