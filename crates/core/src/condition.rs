//! Writing the Succeeded condition (runtime.md 5.2).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tektite_api::{Condition, ConditionStatus, TaskRunStatus, status::SUCCEEDED};

use crate::reason::Reason;

/// `now` as the API stores it: whole seconds.
pub fn time(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// Sets the condition. Its transition time moves whenever any part of it changes, and only then.
pub fn set(
    status: &mut TaskRunStatus,
    state: ConditionStatus,
    reason: Reason,
    message: impl Into<String>,
    now: Timestamp,
) {
    let message = message.into();
    let known = status
        .conditions
        .iter_mut()
        .find(|known| known.condition_type == SUCCEEDED);
    if let Some(known) = known {
        if known.status == state && known.reason == reason.as_str() && known.message == message {
            return;
        }
        known.status = state;
        reason.as_str().clone_into(&mut known.reason);
        known.message = message;
        known.last_transition_time = Some(time(now));
        return;
    }
    status.conditions.push(Condition {
        condition_type: SUCCEEDED.to_owned(),
        status: state,
        severity: String::new(),
        last_transition_time: Some(time(now)),
        reason: reason.as_str().to_owned(),
        message,
    });
    status
        .conditions
        .sort_by(|a, b| a.condition_type.cmp(&b.condition_type));
}

/// The run goes on.
pub fn ongoing(status: &mut TaskRunStatus, reason: Reason, message: impl Into<String>, now: Timestamp) {
    set(status, ConditionStatus::Unknown, reason, message, now);
}

/// The run is over, and badly.
pub fn failed(status: &mut TaskRunStatus, reason: Reason, message: impl Into<String>, now: Timestamp) {
    set(status, ConditionStatus::False, reason, message, now);
    status.completion_time = Some(time(now));
}

/// The same for a mistake of the user's, which the message says first.
pub fn user_error(status: &mut TaskRunStatus, reason: Reason, error: impl std::fmt::Display, now: Timestamp) {
    failed(status, reason, format!("[User error] {error}"), now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_moves_with_any_change_and_only_then() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut status = TaskRunStatus::default();
        ongoing(&mut status, Reason::Pending, "a", at(1));
        ongoing(&mut status, Reason::Pending, "a", at(2));
        assert_eq!(
            status.succeeded().unwrap().last_transition_time,
            Some(time(at(1)))
        );
        ongoing(&mut status, Reason::Pending, "b", at(3));
        assert_eq!(
            status.succeeded().unwrap().last_transition_time,
            Some(time(at(3)))
        );
        user_error(&mut status, Reason::Failed, "no", at(4));
        assert_eq!(status.completion_time, Some(time(at(4))));
        assert_eq!(status.succeeded().unwrap().message, "[User error] no");
        assert_eq!(status.conditions.len(), 1);
    }
}
