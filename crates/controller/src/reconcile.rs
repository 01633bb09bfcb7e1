//! One look at a TaskRun: gather, plan, apply, write. The order is here, the work elsewhere.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tektite_api::TaskRun;
use tektite_core::{
    account::Account,
    image::{Question, keyring::Keyring},
    lifecycle::{self, Event, Plan, Refusal, Severity},
    observe,
    pod_view::PodView,
};

use crate::{
    account,
    apply::apply,
    cache::Key,
    context::Context,
    error::{Error, UPDATE_FAILED},
    events::{self, Note},
    gather::{Found, gather, without_asking},
    known::{KnownRun, Over},
    refusal::message,
    registry::Asked,
    retention, status,
};

/// However quiet it is around a run that has not ended, it gets a look this often: watches lose
/// nothing as a rule, and this is for the exception.
const LONGEST_REST: Duration = Duration::from_mins(10);

/// How old a run is before its status says that something could not be read for now.
const NEWS: SignedDuration = SignedDuration::from_secs(5);

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is not there, not ours, or on its way out.
    Ignored,
    /// It is as it shall be; the next look is due after this time, if there is one.
    Settled(Option<Duration>),
    /// The decision was made on an old state.
    Conflict,
}

impl Outcome {
    /// One word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Settled(_) => "settled",
            Self::Conflict => "conflict",
        }
    }
}

/// Looks at the TaskRun called `key` and does what has to be done.
///
/// # Errors
/// Something could not be done now.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Outcome, Error> {
    let Some(known) = context.runs.get(key) else {
        context.log_reads.forget(key);
        context.room.forget(key);
        return Ok(Outcome::Ignored);
    };
    let run = match &*known {
        KnownRun::Live(run) if run.metadata.deletion_timestamp.is_some() => {
            context.room.forget(key);
            return Ok(Outcome::Ignored);
        }
        KnownRun::Live(run) => Arc::clone(run),
        KnownRun::Over(over) => match afterwards(context, over).await? {
            Afterwards::Whole(run) => Arc::new(*run),
            Afterwards::Done(outcome) => return Ok(outcome),
        },
    };
    context.cloud_events.queued(context, &run);
    let found = match gather(context, Arc::clone(&run)).await {
        Ok(found) => found,
        Err(error) => {
            // What is over by the next try is no news.
            let found = without_asking(context, run);
            let age = found
                .run
                .created()
                .map(|created| found.now.duration_since(created.0));
            if !error.retry_helps() || age.is_none_or(|age| age > NEWS) {
                let plan = lifecycle::not_gathered(&found.gathered(), &error.to_string());
                Box::pin(perform(context, &found, plan)).await?;
            }
            return Err(error);
        }
    };
    let plan = lifecycle::plan(&found.gathered());
    match plan.look_up {
        // Few runs ask for it: the others need not have room for it.
        Some(question) => Box::pin(decide_anew(context, key, found, question)).await,
        None => carry_on(context, found, plan).await,
    }
}

/// What is left to do for a run that has ended.
enum Afterwards {
    /// Something about its Pod, for which all of the run is needed.
    Whole(Box<TaskRun>),
    /// Nothing, or it has been done.
    Done(Outcome),
}

/// Looks whether anything is left to do for a run that has ended; for most, nothing ever is.
async fn afterwards(context: &Context, over: &Over) -> Result<Afterwards, Error> {
    if over.is_deleting {
        context.retention.forget(&over.key);
        return Ok(Afterwards::Done(Outcome::Ignored));
    }
    let mut pods = pods_of(context, over);
    if pods.any(|(_, pod)| !observe::is_quiet(&pod) || over.has_open_sidecars) {
        return match context.cluster.get_run(&over.key).await {
            Ok(run) if run.uid() == &*over.uid && run.is_done() => Ok(Afterwards::Whole(Box::new(run))),
            // It is another one by now: the watch will tell.
            Ok(_) => Ok(Afterwards::Done(Outcome::Ignored)),
            Err(error) if error.is_not_found() => Ok(Afterwards::Done(Outcome::Ignored)),
            Err(error) => Err(error),
        };
    }
    settle(context, over, None).await.map(Afterwards::Done)
}

/// The Pods of a run that has ended, of those that are known.
fn pods_of<'a>(context: &'a Context, over: &'a Over) -> impl Iterator<Item = (Key, Arc<PodView>)> + 'a {
    let names = [Some(&over.pod), over.earlier_pod.as_ref()];
    names.into_iter().flatten().filter_map(|name| {
        let key = Key::new(over.key.namespace.as_str(), &**name);
        let pod = context.pods.get(&key)?;
        pod.is_controlled_by(&over.uid).then_some((key, pod))
    })
}

/// Nothing is left to do for a run that has ended, but that it may have to go. `next` is when it wants a look
/// for another reason.
async fn settle(context: &Context, over: &Over, next: Option<Duration>) -> Result<Outcome, Error> {
    for (key, pod) in pods_of(context, over) {
        if observe::is_quiet(&pod) && !over.has_open_sidecars {
            context.pods.forget(&key);
        }
    }
    match Box::pin(retention::look(context, over)).await {
        Ok(leaves) => Ok(Outcome::Settled(earlier(next, leaves))),
        Err(error) if error.is_conflict() => Ok(Outcome::Conflict),
        Err(error) => Err(error),
    }
}

/// Decides with what is known of images.
async fn decide_anew(
    context: &Context,
    key: &Key,
    mut found: Found<'_>,
    question: Question,
) -> Result<Outcome, Error> {
    let asked = look_up(context, key, &question, &found.account).await?;
    if let Some(left) = asked.quiet {
        // Most registries answer before there is anything to tell.
        return Ok(Outcome::Settled(Some(left)));
    }
    found.images = asked.answers;
    let plan = lifecycle::plan(&found.gathered());
    carry_on(context, found, plan).await
}

/// Makes a new Pod with what others add to it in mind, and carries out the plan.
async fn carry_on(context: &Context, mut found: Found<'_>, mut plan: Plan) -> Result<Outcome, Error> {
    if let Some(pod) = plan.new_pod()
        && Box::pin(found.learns_of_injection(context, pod)).await
    {
        plan = lifecycle::plan(&found.gathered());
    }
    // Boxed, so that there is no second room for the plan.
    Box::pin(perform(context, &found, plan)).await
}

/// What is known of the images that a decision about the run called `key` needs. Nothing here waits for a
/// registry.
async fn look_up(
    context: &Context,
    key: &Key,
    question: &Question,
    account: &Account,
) -> Result<Asked, Error> {
    let secrets = account::pull_secrets(&context.cluster, &key.namespace, question, account).await?;
    let settings = &context.config.load().defaults.image_look_up;
    let keyring = Keyring::new(&secrets);
    Ok(context.registries.ask(key, &question.images, &keyring, settings))
}

/// Carries out `plan`.
///
/// # Errors
/// Something could not be done now.
pub async fn perform(context: &Context, found: &Found<'_>, plan: Plan) -> Result<Outcome, Error> {
    let run = &*found.run;
    let (plan, unfinished) = carry_out(context, found, plan).await;
    let held = match write(context, found, &plan).await {
        Ok(held) => held,
        Err(error) if error.is_conflict() => return Ok(Outcome::Conflict),
        Err(error) if error.is_not_found() => return Ok(Outcome::Ignored),
        Err(error) => return Err(error),
    };
    let unfinished = unfinished.filter(|_| !plan.status.is_done());
    // What ends a Pod comes after the word that its run is over: else a look that finds it ended, and
    // the word not written, would tell another story.
    let unended = match held {
        None => end(context, run, &plan).await,
        Some(_) => None,
    };
    if let Some(reason) = unfinished.or(unended) {
        return Err(Error::Unfinished(reason));
    }
    let done = plan.status.is_done();
    let turn = context.room.looked(run, &plan.status);
    for next in turn.next {
        context.queue.add(next);
    }
    let next = earlier(earlier(rest(plan.requeue, done), held), turn.again_in);
    let known = context.runs.get(&Key::of(&run.metadata));
    match known.as_deref() {
        Some(KnownRun::Over(over)) if done => settle(context, over, next).await,
        _ => Ok(Outcome::Settled(next)),
    }
}

/// Ends what is needed no more. Says what should be tried again, if there is anything.
async fn end(context: &Context, run: &TaskRun, plan: &Plan) -> Option<String> {
    let mut unended = None;
    for effect in &plan.afterwards {
        let Err(refusal) = apply(context, run, effect).await else {
            continue;
        };
        match lifecycle::not_ended(effect, &refusal) {
            Some(event) => emit(context, run, &event),
            None => unended = Some(message(&refusal).to_owned()),
        }
    }
    unended
}

fn emit(context: &Context, run: &TaskRun, event: &Event) {
    context.events.emit(Note {
        about: events::task_run(run),
        severity: event.severity,
        reason: event.reason,
        message: event.message.clone(),
    });
}

fn earlier(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Writes metadata and status, and tells what the plan has to tell. Where the status can wait, says
/// how long.
async fn write(context: &Context, found: &Found<'_>, plan: &Plan) -> Result<Option<Duration>, Error> {
    let run = &*found.run;
    let metadata = status::write_metadata(context, run, plan).await?;
    let key = Key::of(&run.metadata);
    if status::status_differs(run, &plan.status) {
        if let Some(wait) = context.pace.hold(&key, run.status.as_ref(), &plan.status) {
            return Ok(Some(wait));
        }
        status::write_status(context, run, &metadata, &plan.status).await?;
        context.cloud_events.written(context, run, &plan.status);
        context.measure.written(run, found.pod.as_deref(), &plan.status);
    } else {
        context.pace.forget(&key);
    }
    // Told only of what is written, else every look would tell it again.
    for event in &plan.events {
        emit(context, run, event);
    }
    Ok(None)
}

/// Carries out the plan's effects. Where one is refused, the plan becomes what the core makes of
/// that, and the second value says whether the same should be tried again.
async fn carry_out(context: &Context, found: &Found<'_>, plan: Plan) -> (Plan, Option<String>) {
    let run: &TaskRun = &found.run;
    for effect in &plan.effects {
        let Err(refusal) = apply(context, run, effect).await else {
            continue;
        };
        let mut unfinished = is_transient(&refusal);
        let instead = lifecycle::after_failure(&found.gathered(), effect, &refusal);
        for effect in &instead.effects {
            if let Err(refusal) = apply(context, run, effect).await {
                unfinished = Some(message(&refusal).to_owned());
                break;
            }
        }
        return (instead, unfinished);
    }
    (plan, None)
}

fn is_transient(refusal: &Refusal) -> Option<String> {
    matches!(refusal, Refusal::Transient(_)).then(|| message(refusal).to_owned())
}

fn rest(requeue: Option<Duration>, done: bool) -> Option<Duration> {
    match requeue {
        _ if done => requeue,
        Some(wait) => Some(wait.min(LONGEST_REST)),
        None => Some(LONGEST_REST),
    }
}

/// How many failures in a row are no news to people: most are over before anybody could read of them.
const SILENT_FAILURES: u32 = 2;

/// Tells people who describe the run that work on it fails: at once where waiting will not change it, else
/// once it has failed a few times in a row.
pub fn tell(context: &Context, key: &Key, error: &Error, failures: u32) {
    if error.retry_helps() && failures != SILENT_FAILURES + 1 {
        return;
    }
    if let Some(known) = context.runs.get(key) {
        let reason = error.event_reason();
        let message = if reason == UPDATE_FAILED {
            format!("Failed to update status for \"{}\": {error}", key.name)
        } else {
            error.to_string()
        };
        context.events.emit(Note {
            about: known.reference(),
            severity: Severity::Warning,
            reason,
            message,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests() {
        let seconds = Duration::from_secs;
        for (requeue, done, expected) in [
            (None, true, None),
            (None, false, Some(seconds(600))),
            (Some(seconds(5)), false, Some(seconds(5))),
            (Some(seconds(5)), true, Some(seconds(5))),
            (Some(seconds(7200)), true, Some(seconds(7200))),
            (Some(seconds(7200)), false, Some(seconds(600))),
        ] {
            assert_eq!(rest(requeue, done), expected, "{requeue:?} {done}");
        }
    }
}
