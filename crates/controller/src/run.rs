//! The controller's life: everything is started here, and ended in the right order.

use std::{sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    admin,
    args::Args,
    client, cluster, config_watch,
    context::{Context, Settings},
    error::Error,
    events, nodes, watch, worker,
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
    let (context, notes) = Context::new(settings, client, cluster::TIME_LIMIT, &mut registry);
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
    let node_watch = tokio::spawn(nodes::follow(Arc::clone(&context), stop.clone()));

    let result = tokio::select! {
        () = serve(Arc::clone(&context), shutdown) => Ok(()),
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

/// Works from the moment that everything is known until `shutdown`.
async fn serve(context: Arc<Context>, shutdown: CancellationToken) {
    let ready = tokio::select! {
        () = context.readiness.wait() => true,
        () = shutdown.cancelled() => false,
    };
    if ready {
        // Leadership is waited for here, when there is more than one replica: caches are warm in all
        // of them, only one works.
        tracing::info!(
            task_runs = context.runs.len(),
            pods = context.pods.len(),
            "working"
        );
        let closing = Arc::clone(&context);
        let stop = shutdown.clone();
        let farewell = async move {
            stop.cancelled().await;
            closing.readiness.begin_shutdown();
        };
        tokio::join!(worker::work(context, shutdown), farewell);
    }
}

async fn named(name: &'static str, part: impl Future<Output = ()>) -> &'static str {
    part.await;
    name
}
