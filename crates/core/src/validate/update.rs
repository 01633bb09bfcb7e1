//! What may change of a stored TaskRun (api.md 3.3, R2 to R4).

use tektite_api::{TaskRun, TaskRunSpec};

use super::Rules;
use crate::{config::Config, defaults, field_error::FieldError};

pub(super) fn task_run(rules: &mut Rules<'_>, run: &TaskRun, old: &TaskRun) {
    if run.spec.managed_by != old.spec.managed_by {
        rules.push(
            FieldError::invalid("managedBy is immutable", "spec.spec.managedBy")
                .with_note("spec.managedBy: which controller runs a TaskRun is decided when it is created"),
        );
    }
    let mut run = run.clone();
    run.spec.managed_by.clone_from(&old.spec.managed_by);
    let changed = || changed_fields(&run.spec, &old.spec);
    if old.is_done() {
        let asks = run.spec.status != old.spec.status || run.spec.status_message != old.spec.status_message;
        if asks || !is_request_only(&run, old, rules.config) {
            let note = format!(
                "changed here: {}; create a new TaskRun instead, this one has run",
                changed()
            );
            let message = "Once the TaskRun is complete, no updates are allowed";
            rules.push(FieldError::invalid(message, "spec").with_note(note));
        }
    } else if !is_request_only(&run, old, rules.config) {
        let note = format!(
            "changed here: {}; create a new TaskRun for other values",
            changed()
        );
        let message = "Once the TaskRun has started, only status and statusMessage updates are allowed";
        rules.push(FieldError::invalid(message, "spec").with_note(note));
    }
}

/// Whether nothing changes but what is asked of the run. What is left out counts as what is filled in
/// there: the file that a run was made from can be sent again.
pub(super) fn is_request_only(run: &TaskRun, old: &TaskRun, config: &Config) -> bool {
    let with_olds_requests = |run: &TaskRun| {
        let mut spec = run.spec.clone();
        spec.status = old.spec.status.clone();
        spec.status_message.clone_from(&old.spec.status_message);
        spec
    };
    if same(&with_olds_requests(run), &old.spec) {
        return true;
    }
    let defaulted = |run: &TaskRun| {
        let mut run = run.clone();
        defaults::task_run(&mut run, config);
        run
    };
    let new = with_olds_requests(&defaulted(run));
    same(&new, &old.spec) || same(&new, &defaulted(old).spec)
}

/// Whether two specs mean the same: `1000m` is `1`, and an empty list is none.
fn same(a: &TaskRunSpec, b: &TaskRunSpec) -> bool {
    a == b || canonical(a) == canonical(b)
}

fn canonical(spec: &TaskRunSpec) -> serde_json::Value {
    let mut tree = serde_json::to_value(spec).unwrap_or_default();
    canonicalise(&mut tree);
    tree
}

/// Writes amounts in one way, and leaves out what is empty.
fn canonicalise(tree: &mut serde_json::Value) {
    use serde_json::Value;
    match tree {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                if matches!(key.as_str(), "requests" | "limits") {
                    amounts(value);
                }
                canonicalise(value);
            }
            fields.retain(|_, value| match value {
                Value::Null => false,
                Value::Object(fields) => !fields.is_empty(),
                Value::Array(items) => !items.is_empty(),
                _ => true,
            });
        }
        Value::Array(items) => items.iter_mut().for_each(canonicalise),
        _ => {}
    }
}

fn amounts(tree: &mut serde_json::Value) {
    for value in tree
        .as_object_mut()
        .into_iter()
        .flat_map(serde_json::Map::values_mut)
    {
        if let Some(amount) = value
            .as_str()
            .and_then(|text| text.parse::<crate::quantity::Quantity>().ok())
        {
            *value = serde_json::Value::String(amount.text().0);
        }
    }
}

fn changed_fields(new: &TaskRunSpec, old: &TaskRunSpec) -> String {
    let (new, old) = (canonical(new), canonical(old));
    let fields = |tree: &serde_json::Value| tree.as_object().cloned().unwrap_or_default();
    let (new, old) = (fields(&new), fields(&old));
    let mut changed: Vec<String> = new
        .keys()
        .chain(old.keys())
        .filter(|key| new.get(*key) != old.get(*key))
        .map(|key| format!("spec.{key}"))
        .collect();
    changed.sort();
    changed.dedup();
    changed.join(", ")
}
