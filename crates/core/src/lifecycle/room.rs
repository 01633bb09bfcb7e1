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
}
