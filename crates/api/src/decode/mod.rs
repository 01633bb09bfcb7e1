//! Decoding of objects as people wrote them: where something does not fit, what does not, and every
//! field that no type knows. No I/O.
//!
//! Plain serde stops at the first thing that does not fit and says nothing of a misspelt field. Here
//! one reading tells all of it. As in the reader that the API server has, a field with nothing behind
//! it (`null`) is a field that is not there.

mod node;
mod place;
mod plain;

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use node::fields_of;
use node::{Log, Node};
use place::Place;
pub use plain::{plain, plain_from_str};

/// More than this is not told about one object.
const MOST: usize = 25;

/// A field that the type does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Where it is: `spec.steps[0].imagee`.
    pub path: String,
    /// Its name: `imagee`.
    pub field: String,
    /// What it holds, as JSON, shortened.
    pub value: String,
    /// The fields that there are at this place.
    pub known: &'static [&'static str],
}

/// A value that is not of its field's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Where it is: `spec.steps[0].args`.
    pub path: String,
    /// What it holds, as JSON, shortened.
    pub value: String,
    /// Why it does not fit, and what would.
    pub problem: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "the object: {}, given {}", self.problem, self.value)
        } else {
            write!(f, "{}: {}, given {}", self.path, self.problem, self.value)
        }
    }
}

/// What came of reading an object.
#[derive(Clone, Debug)]
pub struct Reading<T> {
    /// The object; what does not fit is left out of it.
    pub object: T,
    /// What does not fit.
    pub misfits: Vec<Misfit>,
    /// What no type knows.
    pub unknown: Vec<Unknown>,
}

impl<T> Reading<T> {
    /// Whether every field is known and fits.
    pub fn is_clean(&self) -> bool {
        self.misfits.is_empty() && self.unknown.is_empty()
    }
}

/// Reads an object, all of it.
pub fn read<T: DeserializeOwned + Default>(value: &Value) -> Reading<T> {
    let mut misfits = Vec::new();
    // What does not fit is taken out of this copy, which most readings never need.
    let mut mended = None;
    loop {
        let tree = mended.as_ref().unwrap_or(value);
        let log = Log::default();
        let read = T::deserialize(Node::new(tree, Place::Root, &log));
        let fault = match read {
            Ok(object) => {
                return Reading {
                    object,
                    misfits,
                    unknown: log.into_unknown(),
                };
            }
            Err(fault) => fault,
        };
        let (pointer, misfit) = log.misfit(tree, fault.to_string());
        // One that is no better as nothing has been told.
        if misfits.iter().all(|told: &Misfit| told.path != misfit.path) {
            misfits.push(misfit);
        }
        let tree = mended.get_or_insert_with(|| value.clone());
        if misfits.len() >= MOST || !take_out(tree, &pointer) {
            return Reading {
                object: T::default(),
                misfits,
                unknown: log.into_unknown(),
            };
        }
    }
}

/// Leaves out what stands at `pointer`: nothing is there instead, or, where even that does not fit, not
/// even the field.
fn take_out(tree: &mut Value, pointer: &str) -> bool {
    match tree.pointer_mut(pointer) {
        Some(place) if !place.is_null() => {
            *place = Value::Null;
            return true;
        }
        Some(_) => {}
        None => return false,
    }
    let Some((above, name)) = pointer.rsplit_once('/') else {
        return false;
    };
    let name = name.replace("~1", "/").replace("~0", "~");
    match tree.pointer_mut(above) {
        Some(Value::Object(fields)) => fields.remove(&name).is_some(),
        Some(Value::Array(items)) => {
            let index = name.parse::<usize>().ok().filter(|index| *index < items.len());
            index.map(|index| items.remove(index)).is_some()
        }
        _ => false,
    }
}

/// Reads an object whose fields need not be known.
///
/// # Errors
/// The first value that does not fit.
pub fn read_lenient<T: DeserializeOwned>(value: &Value) -> Result<T, Misfit> {
    let log = Log::default();
    T::deserialize(Node::new(value, Place::Root, &log))
        .map_err(|fault| log.misfit(value, fault.to_string()).1)
}

/// JSON text of a value, short enough for a message.
fn shortened(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    if text.len() <= LONGEST {
        return text;
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Task, TaskRun};

    #[test]
    fn what_fits_is_read_whole() {
        let tree = json!({"metadata": {"name": "r", "annotations": {"a": "b"}}, "spec": {
            "params": [{"name": "n", "value": 5}, {"name": "l", "value": ["a", null]}],
            "timeout": "90s",
            "podTemplate": {"env": [{"name": "A", "value": "b"}], "nodeSelector": {"a": "b"}},
            "workspaces": [{"name": "w", "volumeClaimTemplate": {
                "spec": {"resources": {"requests": {"storage": 1_000_000}}}}}],
            "taskSpec": {"steps": [{"image": "i", "env": null, "computeResources": {"limits": {"cpu": 1.5}}}],
                "sidecars": [{"readinessProbe": {"httpGet": {"port": 8080}}}]}}});
        let reading: Reading<TaskRun> = read(&tree);
        assert!(reading.is_clean(), "{reading:?}");
        let run = reading.object;
        assert_eq!(run.spec.params[0].value, "5".into());
        assert_eq!(run.spec.pod_template.unwrap().env[0].name, "A");
        let spec = run.spec.task_spec.unwrap();
        assert_eq!(
            spec.steps[0].compute_resources.limits.as_ref().unwrap()["cpu"].0,
            "1.5"
        );
        assert_eq!(
            read_lenient::<TaskRun>(&tree).unwrap().metadata.name.as_deref(),
            Some("r")
        );
    }

    #[test]
    fn unknown_fields_are_named_wherever_they_are() {
        let tree = json!({"typo": 1, "metadata": {"name": "r", "typo": 1}, "spec": {
            "tasRef": {"name": "t"},
            "podTemplate": {"securityContext": {"runAsUsr": 1}, "nodeSelectr": {}},
            "workspaces": [{"name": "w", "persistentVolumeClaim": {"claimname": "c"}}],
            "taskSpec": {
                "params": [{"name": "p", "properties": {"k": {"tpye": "string"}}}],
                "volumes": [{"name": "v", "configMap": {"nam": "c"}}],
                "steps": [{"image": "i", "env": [{"name": "A", "valueFrom": {"secretKeyRf": {}}}]}]}}});
        let reading: Reading<TaskRun> = read(&tree);
        let paths: Vec<&str> = reading
            .unknown
            .iter()
            .map(|unknown| unknown.path.as_str())
            .collect();
        let mut expected = [
            "typo",
            "spec.tasRef",
            "spec.podTemplate.securityContext.runAsUsr",
            "spec.podTemplate.nodeSelectr",
            "spec.workspaces[0].persistentVolumeClaim.claimname",
            "spec.taskSpec.params[0].properties.k.tpye",
            "spec.taskSpec.volumes[0].configMap.nam",
            "spec.taskSpec.steps[0].env[0].valueFrom.secretKeyRf",
        ];
        expected.sort_unstable();
        assert_eq!(paths, expected);
        assert!(reading.misfits.is_empty());
        let unknown = &reading.unknown[0];
        assert_eq!(
            (unknown.field.as_str(), unknown.value.as_str()),
            ("nodeSelectr", "{}")
        );
        assert!(unknown.known.contains(&"nodeSelector") && unknown.known.contains(&"env"));
    }

    #[test]
    fn everything_that_does_not_fit_is_told() {
        let tree = json!({"metadata": {"name": "r"}, "spec": {
            "timeout": 5, "retries": "3", "params": {"a": "b"},
            "taskSpec": {"steps": [{"image": ["i"], "args": "x", "env": [{"name": "A", "value": true}]}, "y"]}}});
        let reading: Reading<TaskRun> = read(&tree);
        let mut told: Vec<String> = reading.misfits.iter().map(ToString::to_string).collect();
        told.sort();
        assert_eq!(
            told,
            [
                "spec.params: a list is wanted, given {\"a\":\"b\"}",
                "spec.retries: a whole number is wanted, given \"3\"",
                "spec.taskSpec.steps[0].args: a list is wanted, given \"x\"",
                "spec.taskSpec.steps[0].env[0].value: a text is wanted, which YAML takes in quotes, given true",
                "spec.taskSpec.steps[0].image: a text is wanted, given [\"i\"]",
                "spec.taskSpec.steps[1]: an object is wanted, given \"y\"",
                "spec.timeout: a text is wanted, which YAML takes in quotes, given 5",
            ]
        );
    }

    #[test]
    fn an_amount_that_is_none_costs_nothing_else() {
        let tree = json!({"metadata": {"name": "t"}, "spec": {"steps": [
            {"image": "i", "computeResources": {"limits": {"cpu": {}, "memory": null, "x": [1]}}}]}});
        let reading: Reading<Task> = read(&tree);
        assert_eq!(reading.object.metadata.name.as_deref(), Some("t"));
        assert_eq!(reading.object.spec.steps[0].image, "i");
        let paths: Vec<&str> = reading
            .misfits
            .iter()
            .map(|misfit| misfit.path.as_str())
            .collect();
        assert!(
            paths.contains(&"spec.steps[0].computeResources.limits.cpu"),
            "{paths:?}"
        );
    }

    #[test]
    fn any_shape_is_read_to_its_end() {
        for tree in [
            json!(null),
            json!([]),
            json!("x"),
            json!({"spec": []}),
            json!({"metadata": 1}),
        ] {
            let reading: Reading<Task> = read(&tree);
            assert_eq!(reading.object, Task::default(), "{tree}");
        }
        let many: Vec<Value> = (0..100).map(|n| json!(n)).collect();
        let reading: Reading<Task> = read(&json!({"spec": {"steps": many}}));
        assert_eq!(reading.misfits.len(), MOST);
        let many: serde_json::Map<String, Value> = (0..100).map(|n| (format!("n{n}"), json!(n))).collect();
        let reading: Reading<Task> = read(&json!({"spec": many}));
        assert_eq!((reading.unknown.len(), reading.is_clean()), (MOST, false));
    }
}
