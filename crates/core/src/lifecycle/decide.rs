//! The decisions themselves, one function per thing that can happen to a run.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use tektite_api::{ConditionStatus, TaskRun, TaskRunStatus, TaskSpec, labels, task_run::RequestedStatus};

use super::{
    DeliverySettings, Effect, Event, Fallback, Gathered, Plan, Refusal, Severity, accounts, beside, prepare,
    room, wanted::is_held,
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

/// How many attempts came before the present one.
fn attempt(run: &TaskRun) -> usize {
    run.status
        .as_ref()
        .map_or(0, |status| status.retries_status.len())
}

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
    if plan.status.is_done() {
        beside::after_the_end(gathered, &mut plan);
        return plan;
    }
    decide(gathered, &mut plan);
    conclude(gathered, &mut plan);
    plan
}

/// One attempt, from whatever point it has reached.
fn decide(gathered: &Gathered<'_>, plan: &mut Plan) {
    let Gathered { run, now, .. } = *gathered;
    if run.spec.status == RequestedStatus::Cancelled {
        return cancel(gathered, plan);
    }
    if is_held(run, Some(&plan.status)) {
        let message = format!("TaskRun \"{}\" is pending", run.name());
        return condition::ongoing(&mut plan.status, Reason::TaskRunPending, message, now);
    }
    if plan.status.start_time.is_none() {
        start(run, &mut plan.status, now);
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
        (None, Some(_)) => {
            name_taken(&mut plan.status, now);
            plan.requeue = Some(Duration::from_secs(1));
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
fn adopt(gathered: &Gathered<'_>, prepared: &prepare::Prepared, plan: &mut Plan) {
    plan.status.task_spec = Some(prepared.spec.clone());
    plan.labels.extend(prepared.labels.clone());
    plan.annotations.extend(prepared.annotations.clone());
    plan.annotations
        .insert(labels::RELEASE.to_owned(), gathered.revision.to_owned());
}

fn lost(run: &TaskRun, plan: &mut Plan, now: Timestamp) {
    let message = format!(
        "Pod \"{}\" of TaskRun \"{}\" is gone: it was deleted, or its node was lost, before its steps had ended",
        plan.status.pod_name,
        run.name()
    );
    condition::failed(&mut plan.status, Reason::Failed, message, now);
}

fn name_taken(status: &mut TaskRunStatus, now: Timestamp) {
    condition::ongoing(
        status,
        Reason::Pending,
        "tried to create pod, but it already exists",
        now,
    );
}

/// The run begins; never before it was created, whatever the clocks say.
fn start(run: &TaskRun, status: &mut TaskRunStatus, now: Timestamp) {
    let created = run.created().map_or(now, |created| created.0);
    status.start_time = Some(condition::time(now.max(created)));
    condition::ongoing(status, Reason::Started, "", now);
}

/// A new attempt gets its Pod.
fn create(gathered: &Gathered<'_>, prepared: prepare::Prepared, plan: &mut Plan) {
    let Gathered { config, now, .. } = *gathered;
    let run = &prepared.run;
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

fn creation_failed(run: &TaskRun, error: &str) -> String {
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
        now,
    };
    if replace(gathered, pod, plan) {
        return;
    }
    let outcome = observe::observe(subject, pod, &mut plan.status);
    match outcome {
        Outcome::Over => {
            beside::look_again(pod, plan);
            return room::for_results(run, &mut plan.status, now);
        }
        Outcome::Reading(again_in) => {
            plan.requeue = Some(Duration::from_secs(again_in));
            return;
        }
        Outcome::OverAndStuck => {
            steps_ended_with_the_run(run, &mut plan.status, now);
            return plan.effects.push(delete(pod));
        }
        Outcome::Ongoing(again_in) => plan.requeue = again_in.map(Duration::from_secs),
    }
    let timeout = run.spec.timeout.unwrap_or(gathered.config.defaults.timeout);
    let Some(started) = observe::first_step_started(spec, pod).filter(|_| !timeout.is_zero()) else {
        return beside::release_first_step(pod, plan);
    };
    let left = timeout
        .to_std()
        .saturating_sub(Duration::try_from(now.duration_since(started)).unwrap_or_default());
    if left.is_zero() {
        let mut message = format!("TaskRun \"{}\" failed to finish within \"{timeout}\"", run.name());
        message.push_str(&previous(run));
        condition::failed(&mut plan.status, Reason::TaskRunTimeout, message, now);
        stop(run, pod, plan, now);
    } else {
        plan.requeue = Some(plan.requeue.map_or(left, |again| again.min(left)));
        beside::release_first_step(pod, plan);
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
    plan.effects.push(delete(pod));
    plan.status.pod_name.clear();
    condition::ongoing(&mut plan.status, Reason::Pending, "Pending", gathered.now);
    plan.requeue = Some(Duration::from_secs(1));
    true
}

fn try_other_form(plan: &mut Plan, why: &str) {
    let form = Delivery::InitContainer.as_str();
    plan.annotations
        .insert(labels::DELIVERY.to_owned(), form.to_owned());
    plan.events.push(Event {
        severity: Severity::Warning,
        reason: "EntrypointDelivery",
        message: format!("the image volume with the entrypoint cannot be used, trying {form}: {why}"),
    });
}

fn delete(pod: &PodView) -> Effect {
    Effect::DeletePod {
        name: pod.name().to_owned(),
        uid: pod.uid().to_owned(),
    }
}

/// What the run waited for when it was ended, on a line of its own.
fn previous(run: &TaskRun) -> String {
    let known = run.status.as_ref().and_then(TaskRunStatus::succeeded);
    let no_news = [Reason::Started, Reason::Running, Reason::TaskRunPending].map(Reason::as_str);
    match known {
        Some(known) if !known.message.is_empty() && !no_news.contains(&known.reason.as_str()) => {
            format!("\nPrevious status: [{}] {}", known.reason, known.message)
        }
        _ => String::new(),
    }
}

/// The user wants no more of it.
fn cancel(gathered: &Gathered<'_>, plan: &mut Plan) {
    let Gathered { run, now, .. } = *gathered;
    if plan.status.start_time.is_none() {
        start(run, &mut plan.status, now);
    }
    let message = format!(
        "TaskRun \"{}\" was cancelled. {}{}",
        run.name(),
        run.spec.status_message,
        previous(run)
    );
    condition::failed(&mut plan.status, Reason::TaskRunCancelled, message, now);
    if let Some(pod) = own_pod(gathered) {
        pod.name().clone_into(&mut plan.status.pod_name);
        // A step that has ended has ended, whatever became of the run.
        if let Some(spec) = plan.status.task_spec.clone() {
            observe::steps_of(&spec, pod, &mut plan.status);
        }
        stop(run, pod, plan, now);
    }
}

/// Ends a Pod: through its entrypoint where a step has run, so that the logs stay; a Pod in which
/// nothing has run yet has no logs, and goes.
fn stop(run: &TaskRun, pod: &PodView, plan: &mut Plan, now: Timestamp) {
    steps_ended_with_the_run(run, &mut plan.status, now);
    plan.effects.push(if pod.has_run() {
        Effect::AnnotatePod {
            name: pod.name().to_owned(),
            key: labels::CANCEL,
            value: labels::CANCEL_VALUE,
        }
    } else {
        delete(pod)
    });
}

/// Steps that still run or wait end with the run, for its reason.
fn steps_ended_with_the_run(run: &TaskRun, status: &mut TaskRunStatus, now: Timestamp) {
    let reason = status
        .succeeded()
        .map(|condition| condition.reason.clone())
        .unwrap_or_default();
    let pod = status.pod_name.clone();
    for step in status.steps.iter_mut().filter(|step| step.terminated.is_none()) {
        let started = step.running.take().and_then(|running| running.started_at);
        step.waiting = None;
        step.terminated = Some(ContainerStateTerminated {
            exit_code: 1,
            reason: Some(reason.clone()),
            started_at: started.or_else(|| run.created().cloned()),
            finished_at: Some(condition::time(now)),
            message: Some(format!(
                "Step {} terminated as pod {pod} is terminated",
                step.name
            )),
            ..ContainerStateTerminated::default()
        });
        step.termination_reason.clone_from(&reason);
    }
}

/// What holds for every decision: another attempt where one is left, and events for what changed.
fn conclude(gathered: &Gathered<'_>, plan: &mut Plan) {
    let Gathered { run, now, .. } = *gathered;
    let failed = plan
        .status
        .succeeded()
        .is_some_and(|known| known.status == ConditionStatus::False);
    let made = i64::try_from(plan.status.retries_status.len()).unwrap_or(i64::MAX);
    if failed && run.spec.status != RequestedStatus::Cancelled && made < run.spec.retries {
        // An attempt that never had a Pod cost nothing, and many of them would cost much.
        let pause = u64::from(plan.status.pod_name.is_empty());
        beside::end_attempt(gathered, plan);
        retry(&mut plan.status, now);
        plan.requeue = Some(Duration::from_secs(pause));
    }
    let before = run.status.as_ref().and_then(TaskRunStatus::succeeded);
    let after = plan.status.succeeded();
    if before == after {
        return;
    }
    if before.is_none() {
        plan.events.push(Event {
            severity: Severity::Normal,
            reason: "Started",
            message: String::new(),
        });
    }
    let Some(after) = after else { return };
    let (severity, reason) = match after.status {
        ConditionStatus::True => (Severity::Normal, "Succeeded"),
        ConditionStatus::False => (Severity::Warning, "Failed"),
        ConditionStatus::Unknown if after.reason == Reason::Started.as_str() => return,
        ConditionStatus::Unknown => match Reason::from_word(&after.reason) {
            Some(reason) => (Severity::Normal, reason.as_str()),
            None => return,
        },
    };
    plan.events.push(Event {
        severity,
        reason,
        message: after.message.clone(),
    });
}

/// The attempt goes into the history, and the run begins anew.
fn retry(status: &mut TaskRunStatus, now: Timestamp) {
    let message = status
        .succeeded()
        .map(|known| known.message.clone())
        .unwrap_or_default();
    let mut history = std::mem::take(&mut status.retries_status);
    history.push(status.clone());
    *status = TaskRunStatus {
        retries_status: history,
        conditions: std::mem::take(&mut status.conditions),
        // A spec that no Pod was made from may be why the attempt failed.
        task_spec: status.task_spec.take().filter(|_| !status.pod_name.is_empty()),
        provenance: status.provenance.take(),
        span_context: std::mem::take(&mut status.span_context),
        ..TaskRunStatus::default()
    };
    condition::ongoing(status, Reason::ToBeRetried, message, now);
}

/// What becomes of the run when the API server refuses `effect`: the status to write, and when to
/// try again. A refusal that no further try can change ends the run.
pub fn after_failure(gathered: &Gathered<'_>, effect: &Effect, refusal: &Refusal) -> Plan {
    let Gathered { run, now, .. } = *gathered;
    let mut plan = Plan {
        status: run.status.clone().unwrap_or_default(),
        ..Plan::default()
    };
    if plan.status.start_time.is_none() {
        start(run, &mut plan.status, now);
    }
    if let Ok(prepared) = prepare::prepare(gathered) {
        adopt(gathered, &prepared, &mut plan);
    }
    let again = |plan: &mut Plan, seconds| plan.requeue = Some(Duration::from_secs(seconds));
    match (effect, refusal) {
        (Effect::EndPod { .. }, refusal) if !matches!(refusal, Refusal::Transient(_)) => {
            // The run has gone as it has gone; its Pod's own deadline will end the rest.
            return beside::not_stopped(run, refusal);
        }
        (Effect::DeletePod { .. } | Effect::AnnotatePod { .. } | Effect::EndPod { .. }, _) => {
            plan = Plan {
                status: run.status.clone().unwrap_or_default(),
                ..Plan::default()
            };
            again(&mut plan, 1);
            return plan;
        }
        (_, Refusal::Transient(text)) => {
            let message = format!("the API server does not take the Pod yet: {text}");
            condition::ongoing(&mut plan.status, Reason::Pending, message, now);
            again(&mut plan, 1);
        }
        (_, Refusal::QuotaConflict(_)) => {
            let message = "tried to create pod, but it failed with ResourceQuotaConflictError";
            condition::ongoing(&mut plan.status, Reason::Pending, message, now);
            again(&mut plan, 1);
        }
        (_, Refusal::Forbidden(text)) if text.contains("exceeded quota") => {
            let message = format!("TaskRun Pod exceeded available resources: {text}");
            condition::ongoing(&mut plan.status, Reason::ExceededResourceQuota, message, now);
            again(&mut plan, 10);
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
        (Effect::CreatePod(_), Refusal::NameTaken(_)) => {
            name_taken(&mut plan.status, now);
            again(&mut plan, 1);
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
    conclude(gathered, &mut plan);
    plan
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

#[cfg(test)]
mod tests;
