//! What becomes of a run when the API server refuses a write for it (runtime.md 5.8).

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use tektite_api::labels;

use super::{
    Effect, Fallback, Gathered, Plan, Refusal, attempts, clock,
    decide::{adopt, creation_failed, name_taken, start, try_other_form},
    ending, prepare, quota,
};
use crate::{condition, delivery::Delivery, reason::Reason};

/// What becomes of the run when the API server refuses `effect`: the status to write, and when to
/// try again. A refusal that no further try can change ends the run.
pub fn after_failure(gathered: &Gathered<'_>, effect: &Effect, refusal: &Refusal) -> Plan {
    let Gathered { run, now, .. } = *gathered;
    let mut plan = Plan {
        status: run.status.clone().unwrap_or_default(),
        ..Plan::default()
    };
    if plan.status.start_time.is_none() {
        start(run, &mut plan, now);
    }
    if let Ok(prepared) = prepare::prepare(gathered) {
        adopt(gathered, &prepared, &mut plan);
    }
    let again = |plan: &mut Plan, seconds| plan.requeue = Some(Duration::from_secs(seconds));
    let what = described(effect);
    match (effect, refusal) {
        (Effect::DeletePod { .. } | Effect::AnnotatePod { .. } | Effect::EndPod { .. }, refusal) => {
            // Labels and steps stay as they are stored: the run goes on as it did.
            plan = Plan {
                status: run.status.clone().unwrap_or_default(),
                ..Plan::default()
            };
            let known = plan.status.succeeded();
            let reason = known.and_then(|known| Reason::from_word(&known.reason));
            let message = format!(
                "{what}, and the API server does not let that happen: {}",
                refusal.text()
            );
            condition::ongoing(&mut plan.status, reason.unwrap_or(Reason::Pending), message, now);
            again(
                &mut plan,
                if matches!(refusal, Refusal::Transient(_)) {
                    1
                } else {
                    10
                },
            );
        }
        (_, Refusal::Transient(text)) => {
            let message = format!("the API server does not take {what} yet: {text}");
            condition::ongoing(&mut plan.status, clock::waits_for(run), message, now);
            again(&mut plan, 1);
        }
        (_, Refusal::QuotaConflict(_)) => {
            let message = match effect {
                Effect::CreateClaim(_) => format!("tried to create {what}, but the quota was being counted"),
                _ => "tried to create pod, but it failed with ResourceQuotaConflictError".to_owned(),
            };
            condition::ongoing(&mut plan.status, clock::waits_for(run), message, now);
            again(&mut plan, 1);
        }
        (_, Refusal::Forbidden(text)) if text.contains("exceeded quota") => {
            let subject = match effect {
                Effect::CreateClaim(_) => format!("TaskRun's {what}"),
                _ => "TaskRun Pod".to_owned(),
            };
            let message = format!("{subject} exceeded available resources: {text}");
            let reason = Reason::ExceededResourceQuota;
            if let Some(why) = quota::never_fits(text) {
                let message = format!("{message}\nno waiting helps: {why}");
                condition::failed(&mut plan.status, reason, message, now);
            } else {
                condition::ongoing(&mut plan.status, reason, message, now);
                // Room brings it back sooner.
                again(&mut plan, 60);
            }
        }
        (Effect::CreateClaim(claim), refusal) => {
            let message = format!(
                "failed to create PVC for TaskRun {}/{} workspaces correctly: PVC creation error for {}: {}",
                run.namespace(),
                run.name(),
                claim.metadata.name.as_deref().unwrap_or_default(),
                refusal.text()
            );
            condition::failed(&mut plan.status, Reason::CouldntCreateWorkspacePvc, message, now);
        }
        (Effect::CreatePod(_), Refusal::NameTaken(holder)) => {
            name_taken(&mut plan.status, holder, now);
            again(&mut plan, 10);
        }
        (Effect::CreatePod(_), Refusal::Forbidden(text))
            if text.contains("violates PodSecurity") || text.contains("security context constraint") =>
        {
            condition::failed(&mut plan.status, Reason::PodAdmissionFailed, text, now);
        }
        (Effect::CreatePod(pod), Refusal::Invalid(text)) if may_try_other_form(gathered, pod, text) => {
            try_other_form(&mut plan, text);
            again(&mut plan, 0);
            return plan;
        }
        (Effect::CreatePod(_), refusal) => {
            let message = creation_failed(run, refusal.text());
            condition::failed(&mut plan.status, Reason::PodCreationFailed, message, now);
        }
    }
    clock::enforce(gathered, &mut plan);
    ending::close(gathered, &mut plan);
    attempts::conclude(gathered, &mut plan);
    plan
}

/// What an effect is about, as part of a sentence.
fn described(effect: &Effect) -> String {
    match effect {
        Effect::CreateClaim(claim) => {
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            format!("PersistentVolumeClaim \"{name}\"")
        }
        Effect::CreatePod(_) => "the Pod".to_owned(),
        Effect::DeletePod { name, .. } => format!("Pod \"{name}\" has to be removed"),
        Effect::AnnotatePod { name, .. } => {
            format!("Pod \"{name}\" has to be annotated before its first step can begin")
        }
        Effect::EndPod { name } => format!("Pod \"{name}\" has to be ended"),
    }
}

/// An API server without image volumes drops the source and then misses it.
fn may_try_other_form(gathered: &Gathered<'_>, pod: &Pod, text: &str) -> bool {
    let annotation = |annotations: Option<&BTreeMap<String, String>>| {
        annotations?
            .get(labels::DELIVERY)
            .and_then(|word| Delivery::from_word(word))
    };
    gathered.delivery.fallback == Fallback::Once
        && annotation(pod.metadata.annotations.as_ref()) == Some(Delivery::ImageVolume)
        && annotation(gathered.run.metadata.annotations.as_ref()).is_none()
        && text.contains("must specify a volume type")
}
