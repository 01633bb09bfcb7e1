//! Rules on a TaskRun's spec that the API server checks itself.

use serde_json::{Value, json};

pub(super) fn task_run_spec() -> Value {
    json!([{
        "rule": "has(self.taskRef) != has(self.taskSpec)",
        "message": "expected exactly one of spec.taskRef and spec.taskSpec",
    }])
}
