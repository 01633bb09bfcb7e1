//! Whether a run with its results is an object that the API server can store.

use jiff::Timestamp;
use serde_json::Map;
use tektite_api::{ConditionStatus, TaskRun, TaskRunStatus, status::StepState};

use crate::{condition, reason::Reason};

/// The most that a TaskRun may have, in bytes of JSON: etcd takes 1.5 MiB, and the API server adds a note
/// of who has written which field.
const MOST_BYTES: usize = 1_440_000;

/// Takes results and artifacts away where the run with them is too large: a few kilobytes of compressed
/// message stand for a hundred times as much. Without that its status could never be written, and the
/// run would never end.
pub(super) fn for_results(run: &TaskRun, status: &mut TaskRunStatus, now: Timestamp) {
    let of_steps = status.steps.iter().map(left_by_step).sum::<usize>();
    let artifacts = status
        .artifacts
        .as_ref()
        .filter(|artifacts| !artifacts.is_empty());
    if status.results.is_empty() && artifacts.is_none() && of_steps == 0 {
        return;
    }
    let results = json_bytes(&status.results) + json_bytes(&artifacts) + of_steps;
    let whole = json_bytes(&run.metadata) + json_bytes(&run.spec) + json_bytes(status);
    if whole <= MOST_BYTES {
        return;
    }
    status.results.clear();
    status.artifacts = status.artifacts.take().map(|_| Map::new());
    for step in &mut status.steps {
        step.results.clear();
        step.inputs.clear();
        step.outputs.clear();
    }
    let succeeded = status
        .succeeded()
        .is_some_and(|known| known.status == ConditionStatus::True);
    if succeeded {
        let message = format!(
            "results and artifacts have {results} bytes as JSON, and with them the TaskRun would have {whole}; at most \
             {MOST_BYTES} can be stored"
        );
        let reason = Reason::TaskRunResultLargerThanAllowedLimit;
        condition::user_error(status, reason, message, now);
    }
}

/// What an attempt that follows may add to the status.
const RESERVE: usize = 128 * 1024;

/// Takes from the history what the run can do without, where it is too large: first what each attempt ran,
/// which is often the same, then what the oldest left behind. How each ended stays.
pub(super) fn for_history(run: &TaskRun, status: &mut TaskRunStatus) {
    let fixed = json_bytes(&run.metadata) + json_bytes(&run.spec) + RESERVE;
    let fits = |status: &TaskRunStatus| fixed + json_bytes(status) <= MOST_BYTES;
    for attempt in 0..status.retries_status.len() {
        if fits(status) {
            return;
        }
        status.retries_status[attempt].task_spec = None;
    }
    for attempt in 0..status.retries_status.len() {
        if fits(status) {
            return;
        }
        let kept = &mut status.retries_status[attempt];
        *kept = TaskRunStatus {
            conditions: std::mem::take(&mut kept.conditions),
            pod_name: std::mem::take(&mut kept.pod_name),
            start_time: kept.start_time.take(),
            completion_time: kept.completion_time.take(),
            // By their images it is known whether any had begun.
            steps: kept.steps.drain(..).map(outline).collect(),
            ..TaskRunStatus::default()
        };
    }
}

fn outline(step: StepState) -> StepState {
    StepState {
        name: step.name,
        container: step.container,
        image_id: step.image_id,
        ..StepState::default()
    }
}

/// What a step has left, in bytes of JSON; of nothing, none.
fn left_by_step(step: &StepState) -> usize {
    if step.results.is_empty() && step.inputs.is_empty() && step.outputs.is_empty() {
        return 0;
    }
    json_bytes(&step.results) + json_bytes(&step.inputs) + json_bytes(&step.outputs)
}

fn json_bytes<T: serde::Serialize>(value: &T) -> usize {
    serde_json::to_vec(value).map_or(0, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_can_be_stored_is_kept() {
        // A control character takes one byte in the file, and six in JSON.
        for (value, kept) in [
            ("x".repeat(512 * 1024), true),
            ("\u{1}".repeat(200 * 1024), true),
            ("\u{1}".repeat(512 * 1024), false),
        ] {
            let mut status: TaskRunStatus = serde_json::from_value(json!({
                "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
                "results": [{"name": "r", "type": "string", "value": value}],
            }))
            .unwrap();
            for_results(&TaskRun::default(), &mut status, Timestamp::UNIX_EPOCH);
            let condition = status.succeeded().unwrap();
            assert_eq!(status.results.len(), usize::from(kept));
            assert_eq!(condition.status == ConditionStatus::True, kept);
            status.results.clear();
            let artifacts = json!({"outputs": [{"name": value}]});
            status.artifacts = artifacts.as_object().cloned();
            for_results(&TaskRun::default(), &mut status, Timestamp::UNIX_EPOCH);
            assert_eq!(status.artifacts.unwrap_or_default().is_empty(), !kept);
            let condition = &status.conditions[0];
            if !kept {
                assert!(
                    condition
                        .message
                        .starts_with("[User error] results and artifacts have 31457"),
                    "{}",
                    condition.message
                );
            }
        }
    }

    #[test]
    fn a_history_that_can_be_stored() {
        let script = |bytes: usize| json!({"steps": [{"image": "i", "script": "x".repeat(bytes)}]});
        let attempt = |bytes: usize, result: usize| {
            json!({"podName": "p", "taskSpec": script(bytes), "steps": [{"name": "s", "imageID": "sha256:1"}], "results": [{"name": "r", "type": "string", "value": "x".repeat(result)}],
                "conditions": [{"type": "Succeeded", "status": "False", "reason": "StepFailed"}]})
        };
        for (attempts, bytes, result, specs, results) in [
            (2, 10_000, 10, 2, 2),
            // The specs go first, the oldest before the others.
            (2, 390_000, 10, 1, 2),
            (1, 450_000, 10, 0, 1),
            (12, 100_000, 10, 11, 12),
            (3, 10, 600_000, 0, 2),
        ] {
            let mut run = TaskRun::default();
            run.spec.task_spec = serde_json::from_value(script(bytes)).unwrap();
            let mut status: TaskRunStatus = serde_json::from_value(json!({
                "taskSpec": script(bytes), "retriesStatus": vec![attempt(bytes, result); attempts]}))
            .unwrap();
            for_history(&run, &mut status);
            let history = &status.retries_status;
            let count =
                |has: fn(&TaskRunStatus) -> bool| history.iter().filter(|&attempt| has(attempt)).count();
            let name = format!("{attempts} attempts of {bytes} and {result} bytes");
            assert_eq!(count(|attempt| attempt.task_spec.is_some()), specs, "{name}");
            assert_eq!(count(|attempt| !attempt.results.is_empty()), results, "{name}");
            assert_eq!(count(|attempt| attempt.steps[0].image_id == "sha256:1"), attempts);
            assert_eq!(
                count(|attempt| attempt.succeeded().is_some() && attempt.pod_name == "p"),
                attempts
            );
            assert!(
                json_bytes(&run.spec) + json_bytes(&status) <= MOST_BYTES,
                "{name}"
            );
        }
    }
}
