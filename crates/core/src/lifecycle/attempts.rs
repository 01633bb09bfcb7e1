//! The attempts of a run: whether another one follows a failure, and what the history keeps (runtime.md
//! 5.15, departures.md).

use std::time::Duration;

use jiff::Timestamp;
use tektite_api::{ConditionStatus, TaskRun, TaskRunStatus, labels, task_run::RequestedStatus};

use super::{Event, Gathered, Plan, Severity, room};
use crate::{condition, config::Config, reason::Reason};

/// How many attempts came before the present one.
pub(super) fn attempt(run: &TaskRun) -> usize {
    run.status
        .as_ref()
        .map_or(0, |status| status.retries_status.len())
}

/// What holds for every decision: another attempt where one is left, and events for what changed.
pub(super) fn conclude(gathered: &Gathered<'_>, plan: &mut Plan) {
    let Gathered { run, now, .. } = *gathered;
    let failed = plan
        .status
        .succeeded()
        .is_some_and(|known| known.status == ConditionStatus::False);
    if failed && run.spec.status != RequestedStatus::Cancelled {
        let budget = Budget::of(run, gathered.config, &plan.status);
        if let Some(another) = budget.another(&plan.status) {
            // An attempt that never had a Pod cost nothing, and many of them would cost much.
            let pause = u64::from(plan.status.pod_name.is_empty());
            retry(&mut plan.status, &another, now);
            room::for_history(run, &mut plan.status);
            plan.requeue = Some(Duration::from_secs(pause));
        } else {
            give_up(run, &mut plan.status, &budget, now);
        }
        plan.events.extend(unreadable(run));
    }
    tell(run, plan);
}

/// An event for what is new about the condition.
fn tell(run: &TaskRun, plan: &mut Plan) {
    let before = run.status.as_ref().and_then(TaskRunStatus::succeeded);
    let after = plan.status.succeeded();
    let Some(after) = after.filter(|_| before != after) else {
        return;
    };
    let (severity, reason) = match after.status {
        ConditionStatus::True => (Severity::Normal, "Succeeded"),
        ConditionStatus::False => (Severity::Warning, "Failed"),
        ConditionStatus::Unknown if after.reason == Reason::Started.as_str() => return,
        ConditionStatus::Unknown => match Reason::from_word(&after.reason) {
            Some(reason) => (Severity::Normal, reason.as_str()),
            None => return,
        },
    };
    let no_room = Reason::ExceededNodeResources.as_str();
    let is_new = before.is_none_or(|before| before.reason != after.reason);
    let mut events = vec![Event {
        severity,
        reason,
        message: after.message.clone(),
    }];
    if reason == no_room && is_new {
        events.push(Event {
            severity: Severity::Warning,
            reason: no_room,
            message: format!(
                "Insufficient resources to schedule pod \"{}\"",
                plan.status.pod_name
            ),
        });
    }
    plan.events.extend(events);
}

/// How many attempts a run may have, and how many it has had. Attempts that were lost through no fault of
/// the Task are counted apart, by the reasons in the history.
struct Budget {
    retries: usize,
    infra_retries: usize,
    failed: usize,
    lost: usize,
}

impl Budget {
    fn of(run: &TaskRun, config: &Config, status: &TaskRunStatus) -> Self {
        let lost = status
            .retries_status
            .iter()
            .filter(|attempt| is_lost(attempt))
            .count();
        let own = own_infra_retries(run).and_then(Result::ok);
        let infra_retries = own.unwrap_or(config.defaults.lifecycle.infra_retries);
        Self {
            retries: usize::try_from(run.spec.retries).unwrap_or(0),
            infra_retries: usize::try_from(infra_retries).unwrap_or(usize::MAX),
            failed: status.retries_status.len() - lost,
            lost,
        }
    }

    /// The ordinary retries that are used up: a loss that is not covered counts like any failure.
    fn used(&self) -> usize {
        self.failed + self.lost.saturating_sub(self.infra_retries)
    }

    /// What is said of the attempt that follows this failure, if one does.
    fn another(&self, status: &TaskRunStatus) -> Option<String> {
        let attempt = self.failed + self.lost + 1;
        if is_lost(status) && self.lost < self.infra_retries {
            let (next, all) = (self.lost + 1, self.infra_retries);
            return Some(format!(
                "attempt {attempt} was lost through no fault of the Task; infra retry {next} of {all} follows"
            ));
        }
        let (next, all) = (self.used() + 1, self.retries);
        (next <= all).then(|| format!("attempt {attempt} failed; retry {next} of {all} follows"))
    }
}

/// The run's own number of infra retries, or the text that is none.
fn own_infra_retries(run: &TaskRun) -> Option<Result<u32, &str>> {
    let text = run.annotation(labels::INFRA_RETRIES)?;
    Some(text.parse().map_err(|_| text))
}

/// That nobody knows how many infra retries the run shall have: a Task's annotations come past admission.
fn unreadable(run: &TaskRun) -> Option<Event> {
    let text = own_infra_retries(run)?.err()?;
    Some(Event {
        severity: Severity::Warning,
        reason: "InvalidAnnotation",
        message: format!(
            "annotation \"{}\" is \"{text}\", and must be a whole number from 0: the operator's setting holds",
            labels::INFRA_RETRIES
        ),
    })
}

/// Whether the attempt ended by something that was not its Task's fault.
fn is_lost(status: &TaskRunStatus) -> bool {
    // What a Pod takes beyond its own limits is its Task's fault.
    const OWN_FAULT: [&str; 3] = [
        "exceeds the limit",
        "exceeds the total limit",
        "exceeded its local ephemeral storage limit",
    ];
    let Some(known) = status.succeeded() else {
        return false;
    };
    let Some(reason) = Reason::from_word(&known.reason) else {
        return false;
    };
    // The image of a container is known once it was started.
    let began = status.steps.iter().any(|step| !step.image_id.is_empty());
    let never_began = !status.pod_name.is_empty() && !began && reason.is_of_start();
    (reason.is_loss() || never_began) && OWN_FAULT.iter().all(|text| !known.message.contains(text))
}

/// The attempt was the last one. Where it was not the only one, the message says so; and who runs it may not
/// care that its steps failed.
fn give_up(run: &TaskRun, status: &mut TaskRunStatus, budget: &Budget, now: Timestamp) {
    let Some(known) = status.succeeded() else { return };
    let (Some(mut reason), mut message) = (Reason::from_word(&known.reason), known.message.clone()) else {
        return;
    };
    let attempts = budget.failed + budget.lost + 1;
    if attempts > 1 {
        let (used, all) = (budget.used(), budget.retries);
        let infra = match (budget.lost.min(budget.infra_retries), budget.infra_retries) {
            (_, 0) => String::new(),
            (used, all) => format!(" and {used} of {all} infra retries"),
        };
        message = format!("{message}\nthis was attempt {attempts}, after {used} of {all} retries{infra}");
    }
    if reason.is_of_pod() && run.annotation(labels::ON_ERROR) == Some(labels::ON_ERROR_CONTINUE) {
        reason = Reason::FailureIgnored;
    }
    condition::set(status, ConditionStatus::False, reason, message, now);
}

/// The attempt goes into the history, and the run begins anew.
fn retry(status: &mut TaskRunStatus, another: &str, now: Timestamp) {
    let message = status
        .succeeded()
        .map(|known| format!("{}\n{another}", known.message))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ended(reason: &str, message: &str) -> TaskRunStatus {
        let condition =
            json!([{"type": "Succeeded", "status": "False", "reason": reason, "message": message}]);
        serde_json::from_value(json!({"conditions": condition})).unwrap()
    }

    #[test]
    fn lost_attempts_are_counted_apart() {
        let (bad, lost) = (
            || ended("StepFailed", "x"),
            || ended("PodEvicted", "low on memory"),
        );
        for (name, retries, infra, history, now, expected) in [
            ("none is left", 0, None, vec![], bad(), None),
            ("a loss is a failure unless asked", 0, None, vec![], lost(), None),
            (
                "a loss may use up a retry",
                1,
                None,
                vec![],
                lost(),
                Some("attempt 1 failed; retry 1 of 1 follows"),
            ),
            (
                "a loss that is covered",
                0,
                Some("1"),
                vec![],
                lost(),
                Some("attempt 1 was lost through no fault of the Task; infra retry 1 of 1 follows"),
            ),
            ("a failure is not covered", 0, Some("1"), vec![], bad(), None),
            (
                "losses use up no retry",
                1,
                Some("2"),
                vec![lost(), lost()],
                bad(),
                Some("attempt 3 failed; retry 1 of 1 follows"),
            ),
            (
                "until they are too many",
                1,
                Some("1"),
                vec![lost(), lost()],
                bad(),
                None,
            ),
            (
                "failures use up no infra retry",
                1,
                Some("1"),
                vec![bad()],
                lost(),
                Some("attempt 2 was lost through no fault of the Task; infra retry 1 of 1 follows"),
            ),
            ("all is used up", 1, Some("1"), vec![bad(), lost()], lost(), None),
            (
                "its own fault",
                0,
                Some("1"),
                vec![],
                ended(
                    "PodEvicted",
                    "Usage of EmptyDir volume \"x\" exceeds the limit \"1Mi\". ",
                ),
                None,
            ),
            ("a word that means nothing", 0, Some("many"), vec![], lost(), None),
        ] {
            let mut run: TaskRun = serde_json::from_value(json!({"spec": {"retries": retries}})).unwrap();
            if let Some(infra) = infra {
                run.metadata.annotations =
                    Some([(labels::INFRA_RETRIES.to_owned(), infra.to_owned())].into());
            }
            let mut status = now;
            status.retries_status = history;
            let budget = Budget::of(&run, &Config::default(), &status);
            assert_eq!(budget.another(&status).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn w40_w41_the_history_keeps_all_and_the_next_attempt_nothing() {
        let mut status: TaskRunStatus = serde_json::from_value(json!({
            "podName": "p", "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:09Z",
            "conditions": [{"type": "Succeeded", "status": "False", "reason": "StepFailed", "message": "100%d %s"}],
            "steps": [{"name": "a", "waiting": {"reason": "ImagePullBackOff"}}],
            "sidecars": [{"name": "s", "waiting": {"reason": "ImagePullBackOff"}}],
            "results": [{"name": "r", "type": "string", "value": "v"}], "artifacts": {},
            "taskSpec": {"steps": [{"image": "i"}]}, "provenance": {"featureFlags": {"coschedule": "workspaces"}},
            "spanContext": {"traceparent": "t"}, "retriesStatus": [{"podName": "earlier"}],
        }))
        .unwrap();
        let before = status.clone();
        retry(&mut status, "attempt 2 failed", Timestamp::UNIX_EPOCH);
        let archived = &status.retries_status[1];
        assert!(archived.retries_status.is_empty());
        assert_eq!(
            (&archived.steps, &archived.sidecars, &archived.results),
            (&before.steps, &before.sidecars, &before.results)
        );
        let now = serde_json::to_value(&status).unwrap();
        let keys: Vec<&str> = now.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "conditions",
                "podName",
                "provenance",
                "retriesStatus",
                "spanContext",
                "taskSpec"
            ]
        );
        assert_eq!(now["podName"], "");
        assert_eq!(now["conditions"][0]["message"], "100%d %s\nattempt 2 failed");
    }

    #[test]
    fn the_last_failure_says_so() {
        let told = |annotation: Option<&str>, reason: &str, history: usize| {
            let mut run: TaskRun = serde_json::from_value(json!({"spec": {"retries": 1}})).unwrap();
            run.metadata.annotations =
                annotation.map(|value| [(labels::ON_ERROR.to_owned(), value.to_owned())].into());
            let mut status = ended(reason, "why");
            status.retries_status = vec![ended("StepFailed", "x"); history];
            let budget = Budget::of(&run, &Config::default(), &status);
            give_up(&run, &mut status, &budget, Timestamp::UNIX_EPOCH);
            let known = status.succeeded().unwrap();
            (known.reason.clone(), known.message.clone())
        };
        for (annotation, reason, history, expected, message) in [
            (None, "StepFailed", 0, "StepFailed", "why"),
            (
                None,
                "StepFailed",
                1,
                "StepFailed",
                "why\nthis was attempt 2, after 1 of 1 retries",
            ),
            (Some("continue"), "StepFailed", 0, "FailureIgnored", "why"),
            (Some("continue"), "PodEvicted", 0, "FailureIgnored", "why"),
            (Some("continue"), "TaskRunTimeout", 0, "TaskRunTimeout", "why"),
            (Some("stop"), "StepFailed", 0, "StepFailed", "why"),
        ] {
            assert_eq!(
                told(annotation, reason, history),
                (expected.to_owned(), message.to_owned())
            );
        }
    }
}
