//! The decisions themselves, one function per thing that can happen to a run.

use std::time::Duration;

use jiff::Timestamp;
use tektite_api::{TaskRun, TaskRunStatus, TaskSpec, labels, task_run::RequestedStatus};

use super::{
    DeliverySettings, Effect, Event, Fallback, Gathered, Plan, Severity, accounts,
    attempts::{self, attempt},
    beside, clock, ending, prepare, room,
    wanted::is_held,
};
use crate::{
    condition,
    delivery::Delivery,
    names,
    observe::{self, Outcome, Subject},
    pod::{self, BuildError, CredentialError, Missing},
    pod_view::PodView,
    reason::Reason,
};

/// The name of the Pod of the run's present attempt, by which the controller looks for it.
pub fn pod_name(run: &TaskRun) -> String {
    match run.status.as_ref().map(|status| status.pod_name.as_str()) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => names::pod(run.name(), attempt(run)),
    }
}

/// Decides.
pub fn plan(gathered: &Gathered<'_>) -> Plan {
    let mut plan = Plan {
        status: gathered.run.status.clone().unwrap_or_default(),
        ..Plan::default()
    };
    if gathered.run.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    beside::finish_earlier(gathered, &mut plan);
    if plan.status.is_done() {
        beside::after_the_end(gathered, &mut plan);
        return plan;
    }
    decide(gathered, &mut plan);
    clock::enforce(gathered, &mut plan);
    ending::close(gathered, &mut plan);
    attempts::conclude(gathered, &mut plan);
    plan
}

/// One attempt, from whatever point it has reached.
fn decide(gathered: &Gathered<'_>, plan: &mut Plan) {
    let Gathered { run, now, .. } = *gathered;
    if run.spec.status == RequestedStatus::Cancelled {
        return ending::cancel(gathered, plan);
    }
    if is_held(run, Some(&plan.status)) {
        let message = format!("TaskRun \"{}\" is pending", run.name());
        return condition::ongoing(&mut plan.status, Reason::TaskRunPending, message, now);
    }
    if plan.status.start_time.is_none() {
        start(run, plan, now);
    }
    // A Pod that exists is followed with what it was made from: nothing that changes meanwhile, in
    // the Task, the settings or the rules, can touch it.
    let made_from = plan
        .status
        .task_spec
        .clone()
        .filter(|_| !plan.status.pod_name.is_empty());
    if let (Some(spec), Some(pod)) = (&made_from, own_pod(gathered)) {
        return follow(gathered, spec, pod, plan);
    }
    if !plan.status.pod_name.is_empty() && own_pod(gathered).is_none() {
        return lost(run, plan, now);
    }
    let prepared = match prepare::prepare(gathered) {
        Ok(prepared) => prepared,
        Err(error) => {
            let reason = error.reason();
            return if error.is_users() {
                condition::user_error(&mut plan.status, reason, error, now);
            } else {
                condition::failed(&mut plan.status, reason, error.to_string(), now);
            };
        }
    };
    adopt(gathered, &prepared, plan);
    match (own_pod(gathered).filter(|pod| !pod.is_deleting()), gathered.pod) {
        (Some(pod), _) => follow(gathered, &prepared.spec, pod, plan),
        // One of the same name that is on its way out, or belongs to an earlier run of this name.
        (None, Some(pod)) => {
            name_taken(&mut plan.status, &holder(pod), now);
            plan.requeue = Some(Duration::from_secs(if pod.is_deleting() { 1 } else { 10 }));
        }
        (None, None) => create(gathered, prepared, plan),
    }
}

pub(super) fn own_pod<'a>(gathered: &Gathered<'a>) -> Option<&'a PodView> {
    gathered
        .pod
        .filter(|pod| pod.is_controlled_by(gathered.run.uid()))
}

/// The run keeps what it runs, and takes over its Task's labels and annotations.
pub(super) fn adopt(gathered: &Gathered<'_>, prepared: &prepare::Prepared, plan: &mut Plan) {
    plan.status.task_spec = Some(prepared.spec.clone());
    if let Some(flags) = gathered.config.flags.recorded.shown() {
        plan.status.provenance.get_or_insert_default().feature_flags = Some(flags.clone());
    }
    if plan.status.steps.is_empty() {
        plan.status.steps = observe::announced(&prepared.spec);
    }
    plan.labels.extend(prepared.labels.clone());
    plan.annotations.extend(prepared.annotations.clone());
    plan.annotations
        .insert(labels::RELEASE.to_owned(), gathered.revision.to_owned());
}

/// The Pod is gone. Who took it away may have been seen before.
fn lost(run: &TaskRun, plan: &mut Plan, now: Timestamp) {
    let known = plan.status.succeeded();
    let seen = known.and_then(|known| {
        let reason = Reason::from_word(&known.reason).filter(|reason| reason.is_loss())?;
        Some((reason, known.message.clone()))
    });
    let (reason, message) = seen.unwrap_or_else(|| {
        let message = format!(
            "Pod \"{}\" of TaskRun \"{}\" is gone: it was deleted, or its node was lost, before its steps had ended",
            plan.status.pod_name,
            run.name()
        );
        (Reason::PodDeleted, message)
    });
    condition::failed(&mut plan.status, reason, message, now);
}

/// Who has the name that the run's Pod would have, in a sentence.
pub fn holder(pod: &PodView) -> String {
    let name = pod.name();
    if pod.is_deleting() {
        return format!("Pod \"{name}\" is there still, and on its way out");
    }
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    match owners.iter().find(|owner| owner.controller == Some(true)) {
        Some(owner) => format!(
            "Pod \"{name}\" belongs to {} \"{}\" with the UID {}",
            owner.kind, owner.name, owner.uid
        ),
        None => format!("Pod \"{name}\" belongs to nobody: remove it, or give this TaskRun another name"),
    }
}

/// Upstream's sentence, and who has the name.
pub(super) fn name_taken(status: &mut TaskRunStatus, holder: &str, now: Timestamp) {
    let message = format!("tried to create pod, but it already exists\n{holder}");
    condition::ongoing(status, Reason::Pending, message, now);
}

/// What holds while the API server does not say what a decision needs: the clocks run, the user may cancel,
/// and the status says what is missing.
pub fn not_gathered(gathered: &Gathered<'_>, why: &str) -> Plan {
    let Gathered { run, now, .. } = *gathered;
    let mut plan = Plan {
        status: run.status.clone().unwrap_or_default(),
        ..Plan::default()
    };
    if plan.status.is_done() || run.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    if run.spec.status == RequestedStatus::Cancelled {
        ending::cancel(gathered, &mut plan);
    } else if !is_held(run, Some(&plan.status)) {
        if plan.status.start_time.is_none() {
            start(run, &mut plan, now);
        }
        // A Pod that cannot be read may run all the same: only what has none yet has waited in vain.
        if plan.status.pod_name.is_empty() {
            condition::ongoing(&mut plan.status, clock::waits_for(run), why, now);
            clock::enforce(gathered, &mut plan);
        }
    }
    ending::close(gathered, &mut plan);
    attempts::conclude(gathered, &mut plan);
    plan
}

/// An attempt begins; never before the run was created, whatever the clocks say.
pub(super) fn start(run: &TaskRun, plan: &mut Plan, now: Timestamp) {
    let created = run.created().map_or(now, |created| created.0);
    plan.status.start_time = Some(condition::time(now.max(created)));
    if plan.status.span_context.is_empty()
        && let Some(text) = run.annotation(labels::SPAN_CONTEXT)
    {
        // What is no trace context is somebody else's concern, and no reason to fail.
        plan.status.span_context = serde_json::from_str(text).unwrap_or_default();
    }
    condition::ongoing(&mut plan.status, Reason::Started, "", now);
    plan.events.push(Event {
        severity: Severity::Normal,
        reason: "Started",
        message: String::new(),
    });
}

/// A new attempt gets its Pod.
fn create(gathered: &Gathered<'_>, prepared: prepare::Prepared, plan: &mut Plan) {
    let Gathered { config, now, .. } = *gathered;
    let run = &prepared.run;
    if let Some(message) = beside::earlier_stops(gathered, plan) {
        return condition::ongoing(&mut plan.status, Reason::Pending, message, now);
    }
    if let Some(message) = accounts::awaited(gathered.account, plan.status.start_time.as_ref(), now) {
        condition::ongoing(&mut plan.status, Reason::Pending, message, now);
        plan.requeue = Some(Duration::from_secs(1));
        return;
    }
    let built = delivery_of(gathered).and_then(|delivery| {
        let input = pod::Input {
            run,
            spec: &prepared.spec,
            bound: &prepared.bound,
            variables: &prepared.variables,
            account: gathered.account,
            config,
            delivery,
            revision: gathered.revision,
            attempt: attempt(run),
            around: gathered.around,
            limits: gathered.limits,
            images: gathered.images,
        };
        match pod::missing(&input)? {
            None => pod::build(&input).map(Ok),
            Some(missing) => Ok(Err(missing)),
        }
    });
    let pod = match built {
        Ok(Ok(pod)) => pod,
        Ok(Err(Missing::Answer(question))) => {
            plan.look_up = Some(question);
            return;
        }
        Ok(Err(Missing::Patience { why, again_in })) => {
            return super::images::wait(gathered, plan, &why, again_in);
        }
        Err(BuildError::Credentials(error @ CredentialError::NoKnownHosts(_))) => {
            let reason = Reason::TaskRunValidationFailed;
            return condition::failed(&mut plan.status, reason, error.to_string(), now);
        }
        Err(error) => {
            let message = creation_failed(run, &format!("translating TaskSpec to Pod: {error}"));
            return condition::failed(&mut plan.status, Reason::PodCreationFailed, message, now);
        }
    };
    plan.events.extend(accounts::missing_secrets(gathered.account));
    plan.status.pod_name = pod.metadata.name.clone().unwrap_or_default();
    condition::ongoing(&mut plan.status, Reason::Pending, "Pending", now);
    let claims = prepared.bound.into_iter().filter_map(|bound| bound.claim);
    plan.effects
        .extend(claims.map(|claim| Effect::CreateClaim(Box::new(claim))));
    let own_affinity = run
        .spec
        .pod_template
        .as_ref()
        .is_some_and(|template| template.pod.affinity.is_some());
    if own_affinity
        && run
            .annotation(labels::AFFINITY_ASSISTANT)
            .is_some_and(|name| !name.is_empty())
    {
        plan.events.push(Event {
            severity: Severity::Warning,
            reason: "PodAffinityOverwrite",
            message: format!(
                "Pod template affinity is overwritten by affinity assistant for pod \"{}\"",
                plan.status.pod_name
            ),
        });
    }
    plan.effects.push(Effect::CreatePod(Box::new(pod)));
}

/// The form for the run's next Pod: its own annotation, else the cluster's.
fn delivery_of<'a>(gathered: &Gathered<'a>) -> Result<DeliverySettings<'a>, BuildError> {
    let Some(word) = gathered.run.annotation(labels::DELIVERY) else {
        return Ok(gathered.delivery);
    };
    let form = Delivery::from_word(word).ok_or_else(|| BuildError::Annotation {
        key: labels::DELIVERY,
        value: word.to_owned(),
        allowed: "write image-volume or init-container",
    })?;
    Ok(DeliverySettings {
        form,
        ..gathered.delivery
    })
}

pub(super) fn creation_failed(run: &TaskRun, error: &str) -> String {
    let maybe = match &run.spec.task_ref {
        Some(task_ref) => format!("missing or invalid Task {}/{}", run.namespace(), task_ref.name),
        None => "invalid TaskSpec".to_owned(),
    };
    format!(
        "failed to create task run pod \"{}\": {error}. Maybe {maybe}",
        run.name()
    )
}

/// An attempt that has its Pod.
fn follow(gathered: &Gathered<'_>, spec: &TaskSpec, pod: &PodView, plan: &mut Plan) {
    let Gathered { run, now, .. } = *gathered;
    let subject = Subject {
        run_name: run.name(),
        spec,
        log: gathered.log,
        news: gathered.news,
        settings: gathered.config.defaults.lifecycle,
        now,
    };
    if replace(gathered, pod, plan) {
        return;
    }
    match observe::observe(subject, pod, &mut plan.status) {
        Outcome::Over => {
            beside::look_again(pod, plan);
            room::for_results(run, &mut plan.status, now);
        }
        Outcome::Reading(again_in) => plan.look_in(again_in),
        Outcome::Stuck => {}
        Outcome::Ongoing(again_in) => {
            if let Some(seconds) = again_in {
                plan.look_in(Duration::from_secs(seconds));
            }
            beside::release_first_step(pod, plan, now);
        }
    }
}

/// A Pod that cannot run the entrypoint gives way to one in the other form, once.
fn replace(gathered: &Gathered<'_>, pod: &PodView, plan: &mut Plan) -> bool {
    let form = pod.annotation(labels::DELIVERY).and_then(Delivery::from_word);
    let may = gathered.delivery.fallback == Fallback::Once
        && gathered.run.annotation(labels::DELIVERY).is_none()
        && form == Some(Delivery::ImageVolume);
    let Some(why) = observe::cannot_run_entrypoint(pod).filter(|_| may) else {
        return false;
    };
    try_other_form(plan, &why);
    plan.effects.push(ending::delete(pod));
    plan.status.pod_name.clear();
    condition::ongoing(&mut plan.status, Reason::Pending, "Pending", gathered.now);
    plan.requeue = Some(Duration::from_secs(1));
    true
}

pub(super) fn try_other_form(plan: &mut Plan, why: &str) {
    let form = Delivery::InitContainer.as_str();
    plan.annotations
        .insert(labels::DELIVERY.to_owned(), form.to_owned());
    plan.events.push(Event {
        severity: Severity::Warning,
        reason: "EntrypointDelivery",
        message: format!("the image volume with the entrypoint cannot be used, trying {form}: {why}"),
    });
}

#[cfg(test)]
mod tests;
