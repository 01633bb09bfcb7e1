//! The controller's life: everything is started here, and ended in the right order.

use std::{sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use tektite_core::election::{self, Election};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    admin,
    args::Args,
    client, cloud_events, cluster, config_watch,
    context::{Context, Settings},
    error::Error,
    events,
    lease::{Lease, Lost},
    nodes, watch, worker,
};

/// How long the rest may take once the last TaskRun was put down.
const FAREWELL: Duration = Duration::from_secs(3);

/// Runs until `shutdown`.
///
/// # Errors
/// It cannot start, or a part of it has ended that never should.
pub async fn run(args: Args, shutdown: CancellationToken) -> Result<(), Error> {
    let settings = Settings::from(&args);
    let client = client::connect(args.concurrency).await?;
    let mut registry = Registry::default();
    let (context, notes, lanes) = Context::new(settings, client, cluster::TIME_LIMIT, &mut registry);
    let claim = Claim {
        client: client::connect_for_lease().await?,
        name: args.lease,
        identity: args.identity,
    };
    let listener = admin::listen(args.admin_port).await?;
    tracing::info!(
        revision = context.settings.revision,
        namespace = context.settings.watch_namespace.as_deref().unwrap_or("all"),
        "started"
    );

    // Everything that only has to end after the last TaskRun was put down.
    let stop = CancellationToken::new();
    let mut parts = JoinSet::new();
    let router = admin::router(Arc::clone(&context), Arc::new(registry));
    parts.spawn(named("admin port", admin::serve(listener, router, stop.clone())));
    parts.spawn(named(
        "TaskRun watch",
        watch::task_runs(Arc::clone(&context), stop.clone()),
    ));
    parts.spawn(named(
        "Pod watch",
        watch::pods(Arc::clone(&context), stop.clone()),
    ));
    parts.spawn(named(
        "LimitRange watch",
        watch::limit_ranges(Arc::clone(&context), stop.clone()),
    ));
    parts.spawn(named(
        "ResourceQuota watch",
        watch::quotas(Arc::clone(&context), stop.clone()),
    ));
    parts.spawn(named(
        "config watch",
        config_watch::follow(Arc::clone(&context), stop.clone()),
    ));
    parts.spawn(named(
        "event sender",
        events::send(
            notes,
            context.cluster.clone(),
            context.metrics.clone(),
            stop.clone(),
        ),
    ));
    parts.spawn(named(
        "CloudEvent sender",
        cloud_events::send(
            lanes,
            context.events.clone(),
            context.metrics.clone(),
            stop.clone(),
        ),
    ));
    let node_watch = tokio::spawn(nodes::follow(Arc::clone(&context), stop.clone()));

    let result = tokio::select! {
        result = serve(Arc::clone(&context), claim, shutdown) => result.map_err(Error::from),
        // None of them ends by itself, unless it panicked. Better no controller than half of one.
        ended = parts.join_next() => Err(Error::Ended(ended.and_then(Result::ok).unwrap_or("a part"))),
    };

    context.readiness.begin_shutdown();
    stop.cancel();
    let farewell = async {
        while parts.join_next().await.is_some() {}
        node_watch.await
    };
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        tracing::warn!("some parts did not end in time");
    }
    tracing::info!("stopped");
    result
}

/// How replicas wait for each other.
async fn waits(context: &Context) -> Election {
    let namespace = &context.settings.system_namespace;
    let name = format!("{}{}", context.settings.config_prefix, election::CONFIG);
    let read = match context.cluster.get_config(namespace, &name).await {
        Ok(data) => Election::parse(&data).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    read.unwrap_or_else(|error| {
        tracing::error!(config = name, error, "settings not taken; defaults are in force");
        Election::default()
    })
}

/// What the lease is claimed with.
struct Claim {
    client: kube::Client,
    name: String,
    identity: String,
}

/// Works, from the moment that everything is known and the lease is ours, until `shutdown`.
async fn serve(context: Arc<Context>, claim: Claim, shutdown: CancellationToken) -> Result<(), Lost> {
    let ready = async {
        context.readiness.wait().await;
        waits(&context).await
    };
    let waits = tokio::select! {
        waits = ready => waits,
        () = shutdown.cancelled() => return Ok(()),
    };
    let namespace = &context.settings.system_namespace;
    let mut lease = Lease::new(claim.client, namespace, claim.name, claim.identity, waits);
    // All replicas are warm, one works.
    let is_leading = tokio::select! {
        () = lease.acquire() => true,
        () = shutdown.cancelled() => false,
    };
    let result = if is_leading {
        context.metrics.leading.set(1);
        context.events.lead();
        context.queue.open();
        context.queue_all();
        tracing::info!(
            task_runs = context.runs.len(),
            pods = context.pods.len(),
            "working"
        );
        let farewell = async {
            shutdown.cancelled().await;
            context.readiness.begin_shutdown();
        };
        tokio::select! {
            ((), ()) = async { tokio::join!(worker::work(Arc::clone(&context), shutdown.clone()), farewell) } => Ok(()),
            lost = lease.keep() => Err(lost),
        }
    } else {
        Ok(())
    };
    if result.is_ok() {
        // Even if we seem not to have it: the answer to a claim may have been on its way.
        lease.release().await;
    }
    result
}

async fn named(name: &'static str, part: impl Future<Output = ()>) -> &'static str {
    part.await;
    name
}
