//! Apply: writes to objects other than the run.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use tektite_api::TaskRun;
use tektite_core::lifecycle::{self, Effect, Refusal};

use crate::{
    cache::Key,
    context::Context,
    refusal::{message, refusal},
};

/// Carries out `effect` for `run`.
///
/// # Errors
/// The API server did not do it, and what that means.
pub async fn apply(context: &Context, run: &TaskRun, effect: &Effect) -> Result<(), Refusal> {
    let result = match effect {
        Effect::CreateClaim(claim) => create_claim(context, run, claim).await,
        Effect::CreatePod(pod) => create_pod(context, run, pod).await,
        Effect::DeletePod { name, uid } => delete_pod(context, run, name, uid).await,
        Effect::AnnotatePod { name, entries } => annotate_pod(context, run, name, entries).await,
        Effect::EndPod { name } => end_pod(context, run, name).await,
    };
    match &result {
        Ok(()) => tracing::info!(effect = describe(effect), "done"),
        Err(refusal) => {
            tracing::warn!(
                effect = describe(effect),
                reason = message(refusal),
                "not carried out"
            );
        }
    }
    result
}

const fn describe(effect: &Effect) -> &'static str {
    match effect {
        Effect::CreateClaim(_) => "create claim",
        Effect::CreatePod(_) => "create Pod",
        Effect::DeletePod { .. } => "delete Pod",
        Effect::AnnotatePod { .. } => "annotate Pod",
        Effect::EndPod { .. } => "end Pod",
    }
}

async fn create_claim(
    context: &Context,
    run: &TaskRun,
    claim: &PersistentVolumeClaim,
) -> Result<(), Refusal> {
    match context.cluster.create_claim(run.namespace(), claim).await {
        Err(error) if !error.is_already_exists() => Err(refusal(&error)),
        _ => Ok(()),
    }
}

async fn create_pod(context: &Context, run: &TaskRun, pod: &Pod) -> Result<(), Refusal> {
    let error = match context.cluster.create_pod(run.namespace(), pod).await {
        Ok(created) => {
            context.pods.assume(created, None);
            context.measure.got_pod(&Key::of(&run.metadata));
            return Ok(());
        }
        Err(error) => error,
    };
    if !error.is_already_exists() {
        return Err(refusal(&error));
    }
    // An earlier try may have reached further than its answer did.
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    match context.cluster.get_pod(run.namespace(), name).await {
        Ok(existing) if existing.is_controlled_by(run.uid()) && !existing.is_deleting() => {
            context.pods.assume(existing, None);
            // It may have come far already, and its watch event will be no news.
            context.queue.add(Key::of(&run.metadata));
            Ok(())
        }
        Ok(existing) => Err(Refusal::NameTaken(lifecycle::holder(&existing))),
        // It went away in between: the next try will tell.
        Err(gone) if gone.is_not_found() => Err(Refusal::Transient(gone.to_string())),
        Err(error) => Err(refusal(&error)),
    }
}

async fn delete_pod(context: &Context, run: &TaskRun, name: &str, uid: &str) -> Result<(), Refusal> {
    match context.cluster.delete_pod(run.namespace(), name, uid).await {
        // A conflict here means that the name belongs to another Pod by now.
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(refusal(&error)),
        _ => Ok(()),
    }
}

async fn annotate_pod(
    context: &Context,
    run: &TaskRun,
    name: &str,
    entries: &[(&'static str, String)],
) -> Result<(), Refusal> {
    // The answer is not taken into the cache: the patch has no precondition, so it may hold news of
    // the Pod that nobody would look at then. The watch brings it, as a change.
    match context.cluster.annotate_pod(run.namespace(), name, entries).await {
        Err(error) if !error.is_not_found() => Err(refusal(&error)),
        _ => Ok(()),
    }
}

async fn end_pod(context: &Context, run: &TaskRun, name: &str) -> Result<(), Refusal> {
    match context.cluster.end_pod(run.namespace(), name).await {
        Err(error) if !error.is_not_found() => Err(refusal(&error)),
        _ => Ok(()),
    }
}
