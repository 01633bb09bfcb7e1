//! Which changes of a status can wait a moment, so that several become one write. No I/O.
//!
//! While a Pod gets going its conditions change several times within a second, and the message of
//! the run with them. Nobody can read that fast, and each write costs the API server, etcd and
//! everyone who watches. What programs and people wait for (a reason, a step that starts or ends, a
//! result) is never held back.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tektite_api::{
    TaskRunStatus,
    status::{SidecarState, StepState},
};
use tokio::time::Instant;

use crate::cache::Key;

/// How long a change can wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// Since when which runs have a change waiting.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<Key, Instant>>);

impl Pace {
    /// Whether `wanted` has to wait before it replaces `stored`, and how long.
    pub fn hold(
        &self,
        key: &Key,
        stored: Option<&TaskRunStatus>,
        wanted: &TaskRunStatus,
    ) -> Option<Duration> {
        if !stored.is_some_and(|stored| can_wait(stored, wanted)) {
            self.forget(key);
            return None;
        }
        let mut waiting = self.lock();
        let since = *waiting.entry(key.clone()).or_insert_with(Instant::now);
        let left = PATIENCE.saturating_sub(since.elapsed());
        if left.is_zero() {
            waiting.remove(key);
            return None;
        }
        Some(left)
    }

    /// Nothing of `key` waits any more.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing but wording differs: messages, times of conditions, why something waits.
fn can_wait(stored: &TaskRunStatus, wanted: &TaskRunStatus) -> bool {
    let gist = |status: &TaskRunStatus| {
        let condition = status.succeeded();
        condition.map(|condition| (condition.status, condition.reason.clone()))
    };
    !wanted.is_done()
        && gist(stored).is_some()
        && gist(stored) == gist(wanted)
        && stored.pod_name == wanted.pod_name
        && stored.start_time == wanted.start_time
        && stored.retries_status.len() == wanted.retries_status.len()
        && stored.results == wanted.results
        && stored.task_spec == wanted.task_spec
        && stored
            .steps
            .iter()
            .filter_map(step_got)
            .eq(wanted.steps.iter().filter_map(step_got))
        && stored
            .sidecars
            .iter()
            .filter_map(sidecar_got)
            .eq(wanted.sidecars.iter().filter_map(sidecar_got))
}

/// How far a step has got; nothing for one that waits, or is not there yet.
fn step_got(step: &StepState) -> Option<(&str, bool)> {
    got(&step.name, step.running.is_some(), step.terminated.is_some())
}

fn sidecar_got(sidecar: &SidecarState) -> Option<(&str, bool)> {
    got(
        &sidecar.name,
        sidecar.running.is_some(),
        sidecar.terminated.is_some(),
    )
}

fn got(name: &str, is_running: bool, is_over: bool) -> Option<(&str, bool)> {
    (is_running || is_over).then_some((name, is_over))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::going_on;
    use k8s_openapi::api::core::v1::ContainerStateRunning;
    use tektite_api::ConditionStatus;

    fn step(is_running: bool) -> StepState {
        StepState {
            name: "a".to_owned(),
            running: is_running.then(ContainerStateRunning::default),
            ..StepState::default()
        }
    }

    #[test]
    fn wording_waits_and_nothing_else() {
        let stored = || TaskRunStatus {
            steps: vec![step(false)],
            ..going_on()
        };
        let changed = |alter: fn(&mut TaskRunStatus)| {
            let mut wanted = stored();
            alter(&mut wanted);
            can_wait(&stored(), &wanted)
        };
        assert!(changed(
            |status| "other".clone_into(&mut status.conditions[0].message)
        ));
        assert!(!changed(
            |status| "Running".clone_into(&mut status.conditions[0].reason)
        ));
        assert!(!changed(
            |status| status.conditions[0].status = ConditionStatus::False
        ));
        assert!(!changed(|status| status.steps = vec![step(true)]));
        assert!(
            changed(|status| status.steps.clear()),
            "a step that waits is no news"
        );
        assert!(!changed(|status| status.pod_name.push('2')));
        assert!(!can_wait(&TaskRunStatus::default(), &stored()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_and_no_longer() {
        let pace = Pace::default();
        let key = Key::new("n", "r");
        let mut wanted = going_on();
        "other".clone_into(&mut wanted.conditions[0].message);
        let hold = |wanted: &TaskRunStatus| pace.hold(&key, Some(&going_on()), wanted);
        assert_eq!(hold(&wanted), Some(PATIENCE));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(hold(&wanted), Some(Duration::from_millis(400)), "since the first");
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(hold(&wanted), None);
        assert_eq!(hold(&wanted), Some(PATIENCE), "and the next one waits anew");
        "Running".clone_into(&mut wanted.conditions[0].reason);
        assert_eq!(hold(&wanted), None);
        assert!(pace.lock().is_empty());
        assert_eq!(pace.hold(&key, None, &wanted), None);
    }
}
