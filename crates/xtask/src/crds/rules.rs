//! Rules on a TaskRun's spec that the API server checks itself, so that they hold while the webhook
//! is away: one of taskRef and taskSpec, and that a stored run changes in status and statusMessage
//! only.
//!
//! They refuse less than the webhook, never more. It compares what the fields mean: a missing text is
//! an empty one, `60m` is `1h`, a parameter's `5` is `"5"`. Clients that read into types and write
//! back change such spellings all the time, and comparing whole lists or objects would refuse their
//! cancelling of a run. So rules compare what has one spelling: texts, names, whether there is
//! something. The rest is the webhook's: parameters' values (CEL does not see a field without a type),
//! quantities, volumes, env, what comes to or goes from podTemplate, and unknown fields (`self ==
//! oldSelf` on the spec would see them, and `status` too).
//!
//! What the API server allows: it estimates a rule's cost, refuses more than 10 million, and takes a
//! list for as long as a request can be, hence `LONGEST`. It stops a rule at one million when it runs.
//!
//! What it costs: rules run with every write, of a status too, and whenever one reads a field of an
//! object, the API server copies the schemas of all that object's fields. The same rules on the spec
//! added 3.5 ms of its time to the 5 ms of a write; these, each where it reads least, add 1.3.

use serde_json::{Value, json};

const RULES: &str = "x-kubernetes-validations";

const STARTED: &str = "Once the TaskRun has started, only status and statusMessage updates are allowed";

/// The items that a list which a rule walks may have: far more than a Pod can serve, and few enough
/// for the million that one rule may cost when it runs (30,000 workspaces would pass the estimate, and
/// then never be cancelled).
const LONGEST: usize = 4_096;

/// Fields that stay set or stay out, or become what their absence means. taskRef goes with taskSpec.
const PRESENT: [(&str, Option<&str>); 11] = [
    ("taskSpec", None),
    ("podTemplate", None),
    ("computeResources", None),
    ("debug", None),
    ("timeout", None),
    ("serviceAccountName", Some("''")),
    ("retries", Some("0")),
    ("params", Some("[]")),
    ("workspaces", Some("[]")),
    ("stepSpecs", Some("[]")),
    ("sidecarSpecs", Some("[]")),
];

/// Fields that keep their value as long as they have one.
const SAME: [&str; 9] = [
    "serviceAccountName",
    "retries",
    "debug.breakpoints.onFailure",
    "podTemplate.serviceAccountName",
    "podTemplate.nodeSelector",
    "podTemplate.nodeName",
    "podTemplate.priorityClassName",
    "podTemplate.runtimeClassName",
    "podTemplate.schedulerName",
];

/// Lists that keep number and order of their items, and of each item these texts.
const ITEMS: [(&str, &[&str]); 6] = [
    ("params", &["name"]),
    (
        "workspaces",
        &["name", "subPath", "persistentVolumeClaim.?claimName"],
    ),
    ("stepSpecs", &["name"]),
    ("sidecarSpecs", &["name"]),
    ("taskSpec.steps", &["name", "image", "script"]),
    ("taskSpec.sidecars", &["name", "image", "script"]),
];

/// Puts the rules on a TaskRun's spec, and a length on the lists that they walk.
pub(super) fn add(spec: &mut Value) {
    for path in SAME {
        at(spec, path)[RULES] = json!([fixed("self == oldSelf")]);
    }
    at(spec, "timeout")[RULES] = json!([fixed("self == oldSelf || duration(self) == duration(oldSelf)")]);
    let managed_by = "self == oldSelf";
    at(spec, "managedBy")[RULES] = json!([forbidden(managed_by, "managedBy is immutable")]);
    for (path, texts) in ITEMS {
        let list = at(spec, path);
        list["maxItems"] = json!(LONGEST);
        list[RULES] = json!([fixed(&items(texts))]);
    }
    let reference = ["name", "kind", "apiVersion", "resolver"].map(text).join(" && ");
    at(spec, "taskRef")[RULES] = json!([fixed(&reference)]);
    spec[RULES] = json!([
        {
            "rule": "has(self.taskRef) != has(self.taskSpec)",
            "message": "expected exactly one of spec.taskRef and spec.taskSpec",
        },
        forbidden("has(self.managedBy) == has(oldSelf.managedBy)", "managedBy is immutable"),
        fixed(&PRESENT.map(presence).join(" && ")),
    ]);
    at(spec, "status")[RULES] = json!([{
        "rule": "self in ['', 'TaskRunCancelled', 'TaskRunPending']",
        "message": "should be TaskRunCancelled or TaskRunPending",
    }]);
    if let Value::Array(rules) = &mut at(spec, "retries")[RULES] {
        rules.push(json!({"rule": "self >= 0", "message": "should be >= 0"}));
    }
}

/// The schema of a field some objects deep.
fn at<'a>(schema: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.')
        .fold(schema, |at, field| &mut at["properties"][field])
}

fn fixed(rule: &str) -> Value {
    forbidden(rule, STARTED)
}

fn forbidden(rule: &str, message: &str) -> Value {
    json!({"rule": rule, "message": message, "reason": "FieldValueForbidden"})
}

fn presence((field, absent): (&str, Option<&str>)) -> String {
    let same = format!("has(self.{field}) == has(oldSelf.{field})");
    match absent {
        None => same,
        Some(absent) => format!(
            "({same} || (has(self.{field}) ? self.{field} == {absent} : oldSelf.{field} == {absent}))"
        ),
    }
}

/// That a text stays, in the object that the rule is on.
fn text(field: &str) -> String {
    let text = |object: &str| format!("(has({object}.{field}) ? {object}.{field} : '')");
    format!("{} == {}", text("self"), text("oldSelf"))
}

/// That these texts stay in all items of the list that the rule is on.
fn items(texts: &[&str]) -> String {
    let texts: Vec<_> = texts
        .iter()
        .map(|text| format!("i.?{text}.orValue('')"))
        .collect();
    let texts = texts.join(", ");
    format!("self.map(i, [{texts}]) == oldSelf.map(i, [{texts}])")
}
