//! Rules on a TaskRun's spec that the API server checks itself, so that they hold while the webhook
//! is away: one of taskRef and taskSpec, and that a stored run changes in status and statusMessage
//! only.
//!
//! They refuse less than the webhook, never more. It compares what the fields mean: a missing text is
//! an empty one, `60m` is `1h`, a parameter's `5` is `"5"`. Clients that read into types and write
//! back change such spellings all the time, and comparing whole lists or objects would refuse their
//! cancelling of a run. So rules compare what has one spelling: texts, names, whether there is
//! something. The rest is the webhook's: parameters' values (CEL does not see a field without a type),
//! quantities, volumes, env, most of podTemplate, and unknown fields (`self == oldSelf` would see
//! them, and `status` too).
//!
//! The API server estimates what a rule can cost, refuses more than 10 million, and takes a list for
//! as long as a request can be. Hence `LONGEST`. It knows no length behind `.?field.orValue([])`,
//! hence `has`.

use serde_json::{Value, json};

const STARTED: &str = "Once the TaskRun has started, only status and statusMessage updates are allowed";

/// The items of a list whose items a rule looks at: with fewer than 30 bytes each they would not fit
/// into etcd.
const LONGEST: usize = 65_536;

/// Texts that stay: these fields, by where they are.
const TEXTS: [&str; 12] = [
    "serviceAccountName",
    "taskRef.name",
    "taskRef.kind",
    "taskRef.apiVersion",
    "taskRef.resolver",
    "debug.breakpoints.onFailure",
    "podTemplate.serviceAccountName",
    "podTemplate.priorityClassName",
    "podTemplate.runtimeClassName",
    "podTemplate.schedulerName",
    "podTemplate.nodeName",
    "podTemplate.hostname",
];

/// Fields that stay set or stay out.
const PRESENT: [&str; 4] = ["taskSpec", "podTemplate", "computeResources", "debug"];

/// Lists of which in every item these texts stay.
const ITEMS: [(&str, &[&str]); 6] = [
    ("params", &["name"]),
    (
        "workspaces",
        &[
            "name",
            "subPath",
            "persistentVolumeClaim.claimName",
            "configMap.name",
            "secret.secretName",
        ],
    ),
    ("stepSpecs", &["name"]),
    ("sidecarSpecs", &["name"]),
    ("taskSpec.steps", &["name", "image", "script"]),
    ("taskSpec.sidecars", &["name", "image", "script"]),
];

/// Puts the rules on a TaskRun's spec, and a length on the lists that they walk.
pub(super) fn add(spec: &mut Value) {
    for (list, _) in ITEMS {
        let list = list
            .split('.')
            .fold(&mut *spec, |at, field| &mut at["properties"][field]);
        list["maxItems"] = json!(LONGEST);
    }
    spec["x-kubernetes-validations"] = Value::Array(rules());
}

fn rules() -> Vec<Value> {
    let mut rules = vec![
        json!({
            "rule": "has(self.taskRef) != has(self.taskSpec)",
            "message": "expected exactly one of spec.taskRef and spec.taskSpec",
        }),
        json!({
            "rule": "!has(self.status) || self.status in ['', 'TaskRunCancelled', 'TaskRunPending']",
            "message": "should be TaskRunCancelled or TaskRunPending",
            "fieldPath": ".status",
        }),
        json!({
            "rule": "!has(self.retries) || self.retries >= 0",
            "message": "should be >= 0",
            "fieldPath": ".retries",
        }),
        json!({
            "rule": "has(self.managedBy) == has(oldSelf.managedBy) && \
                     (!has(self.managedBy) || self.managedBy == oldSelf.managedBy)",
            "message": "managedBy is immutable",
            "fieldPath": ".managedBy",
            "reason": "FieldValueForbidden",
        }),
        fixed(
            "timeout",
            "has(self.timeout) == has(oldSelf.timeout) && (!has(self.timeout) || \
             self.timeout == oldSelf.timeout || duration(self.timeout) == duration(oldSelf.timeout))",
        ),
        fixed("retries", &unchanged(|object| read(object, "retries", "0"))),
        fixed(
            "podTemplate.nodeSelector",
            &unchanged(|object| read(object, "podTemplate.nodeSelector", "{}")),
        ),
    ];
    rules.extend(PRESENT.map(|field| fixed(field, &unchanged(|object| format!("has({object}.{field})")))));
    rules.extend(TEXTS.map(|field| fixed(field, &unchanged(|object| read(object, field, "''")))));
    for (list, texts) in ITEMS {
        rules.extend(texts.iter().map(|text| {
            fixed(
                list,
                &unchanged(|object| {
                    let items = read(object, list, "[]");
                    items.replacen(" : []", &format!(".map(i, {}) : []", read("i", text, "''")), 1)
                }),
            )
        }));
    }
    rules
}

/// A rule that speaks of the spec before and after.
fn fixed(field: &str, rule: &str) -> Value {
    json!({
        "rule": rule,
        "message": STARTED,
        "fieldPath": format!(".{field}"),
        "reason": "FieldValueForbidden",
    })
}

/// That an expression yields the same before and after.
fn unchanged(expression: impl Fn(&str) -> String) -> String {
    format!("({}) == ({})", expression("self"), expression("oldSelf"))
}

/// A field some objects deep, or what its absence means.
fn read(object: &str, path: &str, absent: &str) -> String {
    let mut at = object.to_owned();
    let mut there = Vec::new();
    for field in path.split('.') {
        at = format!("{at}.{field}");
        there.push(format!("has({at})"));
    }
    format!("{} ? {at} : {absent}", there.join(" && "))
}
