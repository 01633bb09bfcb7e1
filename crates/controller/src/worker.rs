//! Takes TaskRuns from the queue and has them looked at, many at a time, each by itself.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

#[cfg(feature = "otel")]
use crate::known::KnownRun;
use crate::{
    cache::Key,
    context::Context,
    error::Error,
    measure::Calls,
    queue::Next,
    reconcile::{Outcome, reconcile, tell},
};

/// How long looks that are under way at shutdown may go on; the kubelet kills after 30 s.
const DRAIN: Duration = Duration::from_secs(25);

/// Works until `stop`, then ends what it has begun.
pub async fn work(context: Arc<Context>, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(usize::from(context.settings.concurrency)));
    let mut looks = JoinSet::new();
    loop {
        let permit = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let key = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            key = context.queue.next() => key,
        };
        #[expect(clippy::cast_precision_loss, reason = "nobody counts that far")]
        context.metrics.queue_length.observe(context.queue.depth() as f64);
        let context = Arc::clone(&context);
        looks.spawn(async move {
            look(&context, &key).await;
            drop(permit);
        });
        while looks.try_join_next().is_some() {}
    }
    while looks.try_join_next().is_some() {}
    let under_way = looks.len();
    if under_way > 0 {
        tracing::info!(under_way, "ending what has begun");
    }
    let drain = async { while looks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drain).await.is_err() {
        tracing::warn!(unfinished = looks.len(), "given up");
    }
}

/// One look, whatever comes of it.
async fn look(context: &Context, key: &Key) {
    let span = tracing::info_span!("run", namespace = key.namespace, taskrun = key.name);
    #[cfg(feature = "otel")]
    if let Some(KnownRun::Live(run)) = context.runs.get(key).as_deref() {
        crate::traces::belongs_to(&span, run);
    }
    let begun = Instant::now();
    context.metrics.working.inc();
    // A panic is a bug in the way one run is treated; the others must not pay for it.
    let attempt = AssertUnwindSafe(reconcile(context, key)).catch_unwind();
    let (result, calls) = Calls::counted(Box::pin(attempt).instrument(span.clone())).await;
    context.measure.looked(key, &calls);
    context.metrics.working.dec();
    let _in_span = span.enter();
    let (word, next) = match &result {
        Ok(Ok(outcome)) => (outcome.as_str(), after(*outcome)),
        Ok(Err(error)) => (error.category(), Next::Retry),
        Err(_panic) => ("panicked", Next::Retry),
    };
    context.metrics.reconciled(word, begun.elapsed());
    let (failures, wait) = context.queue.finish(key, next);
    match result {
        Ok(Ok(outcome)) => tracing::debug!(?outcome, "looked"),
        Ok(Err(error)) => report(context, key, &error, failures, wait),
        Err(_panic) => tracing::error!(failures, ?wait, "panicked; this is a bug"),
    }
}

fn after(outcome: Outcome) -> Next {
    match outcome {
        Outcome::Ignored | Outcome::Settled(None) => Next::Rest,
        Outcome::Settled(Some(wait)) => Next::After(wait),
        // The news that we missed brings the run back, unless it is of a kind that we do not care
        // for: then this does.
        Outcome::Conflict => Next::Retry,
    }
}

fn report(context: &Context, key: &Key, error: &Error, failures: u32, wait: Option<Duration>) {
    if error.retry_helps() {
        tracing::warn!(%error, failures, ?wait, "will try again");
    } else {
        tracing::error!(%error, failures, ?wait, "will try again, though somebody must act first");
    }
    tell(context, key, error, failures);
}
