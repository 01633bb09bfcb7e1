//! The step template: its values under each step's own (runtime.md 1.6).

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::core::v1::{EnvVar, ResourceRequirements};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tektite_api::{Step, StepTemplate};

/// The step with the template's values where it has none of its own.
pub(crate) fn merge(step: &mut Step, template: &StepTemplate) {
    for (own, below) in [
        (&mut step.image, &template.image),
        (&mut step.working_dir, &template.working_dir),
        (&mut step.image_pull_policy, &template.image_pull_policy),
    ] {
        if own.is_empty() {
            own.clone_from(below);
        }
    }
    for (own, below) in [
        (&mut step.command, &template.command),
        (&mut step.args, &template.args),
    ] {
        if own.is_empty() {
            own.clone_from(below);
        }
    }
    if step.env_from.is_empty() {
        step.env_from.clone_from(&template.env_from);
    }
    step.env = merge_list(&template.env, &step.env, |env| &env.name, merge_env);
    step.volume_mounts = merge_list(
        &template.volume_mounts,
        &step.volume_mounts,
        |mount| &mount.mount_path,
        overlay,
    );
    step.volume_devices = merge_list(
        &template.volume_devices,
        &step.volume_devices,
        |device| &device.device_path,
        overlay,
    );
    if template.compute_resources != ResourceRequirements::default() {
        step.compute_resources = overlay(&template.compute_resources, &step.compute_resources);
    }
    step.security_context = match (&template.security_context, step.security_context.take()) {
        (Some(below), Some(own)) => Some(overlay(below, &own)),
        (below, own) => own.or_else(|| below.clone()),
    };
}

/// An entry that ends up with a value and a source takes the step's own entry whole.
fn merge_env(below: &EnvVar, own: &EnvVar) -> EnvVar {
    let merged = overlay(below, own);
    if merged.value.is_some() && merged.value_from.is_some() {
        own.clone()
    } else {
        merged
    }
}

/// `own` over `below`, field by field; lists are taken whole.
fn overlay<T: Serialize + DeserializeOwned + Clone>(below: &T, own: &T) -> T {
    let (Ok(mut tree), Ok(above)) = (serde_json::to_value(below), serde_json::to_value(own)) else {
        return own.clone();
    };
    overlay_tree(&mut tree, above);
    serde_json::from_value(tree).unwrap_or_else(|_| own.clone())
}

fn overlay_tree(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                overlay_tree(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

/// The step's order is kept. What only the template has goes before the first shared entry that
/// comes later in the template, else to the end.
fn merge_list<T: Clone>(
    template: &[T],
    own: &[T],
    key: impl Fn(&T) -> &String,
    merge: impl Fn(&T, &T) -> T,
) -> Vec<T> {
    if template.is_empty() {
        return own.to_vec();
    }
    let positions: HashMap<&String, usize> = template
        .iter()
        .enumerate()
        .rev()
        .map(|(place, item)| (key(item), place))
        .collect();
    let names: HashSet<&String> = own.iter().map(&key).collect();
    let in_template = |wanted: &T| positions.get(key(wanted)).copied();
    let in_own = |wanted: &T| names.contains(key(wanted));
    let mut merged = Vec::with_capacity(template.len() + own.len());
    let mut taken = 0;
    for item in own {
        match in_template(item) {
            Some(position) => {
                let before = template.get(taken..position).unwrap_or_default();
                merged.extend(before.iter().filter(|item| !in_own(item)).cloned());
                taken = taken.max(position + 1);
                merged.push(merge(&template[position], item));
            }
            None => merged.push(item.clone()),
        }
    }
    let rest = template.get(taken..).unwrap_or_default();
    merged.extend(rest.iter().filter(|item| !in_own(item)).cloned());
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(template: Value, step: Value) -> Value {
        let template: StepTemplate = serde_json::from_value(template).unwrap();
        let mut step: Step = serde_json::from_value(step).unwrap();
        merge(&mut step, &template);
        serde_json::to_value(step).unwrap()
    }

    fn env(names: &[&str]) -> Value {
        json!({"env": names.iter().map(|name| json!({"name": name, "value": name})).collect::<Vec<_>>()})
    }

    #[test]
    fn the_order_of_env() {
        for (template, step, expected) in [
            (vec!["KEEP", "K"], vec!["NEW", "K"], vec!["NEW", "KEEP", "K"]),
            (vec!["A", "B"], vec!["B", "C"], vec!["A", "B", "C"]),
            (vec!["A", "B"], vec!["C"], vec!["C", "A", "B"]),
            // What only the template has keeps its place before the shared entry that follows it.
            (vec!["A", "B", "C"], vec!["C", "A"], vec!["B", "C", "A"]),
        ] {
            let merged = merged(env(&template), env(&step));
            let names: Vec<_> = merged["env"]
                .as_array()
                .unwrap()
                .iter()
                .map(|env| env["name"].as_str().unwrap())
                .collect();
            assert_eq!(names, expected, "{template:?} {step:?}");
        }
    }

    #[test]
    fn scalars_lists_and_maps() {
        let merged = merged(
            json!({"image": "t", "command": ["c"], "args": ["a"], "workingDir": "/t",
                "computeResources": {"requests": {"cpu": "1", "memory": "1Gi"}},
                "securityContext": {"runAsUser": 1, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "v", "mountPath": "/m", "readOnly": true}],
                "env": [{"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
            json!({"image": "s", "args": [],
                "computeResources": {"requests": {"cpu": "2"}},
                "securityContext": {"runAsGroup": 2, "capabilities": {"drop": ["X"]}},
                "volumeMounts": [{"name": "w", "mountPath": "/m"}],
                "env": [{"name": "E", "value": "x"}]}),
        );
        assert_eq!(merged["image"], "s");
        assert_eq!(merged["command"], json!(["c"]));
        assert_eq!(merged["args"], json!(["a"]));
        assert_eq!(merged["workingDir"], "/t");
        assert_eq!(
            merged["computeResources"],
            json!({"requests": {"cpu": "2", "memory": "1Gi"}})
        );
        assert_eq!(
            merged["securityContext"],
            json!({"runAsUser": 1, "runAsGroup": 2, "capabilities": {"drop": ["X"]}})
        );
        assert_eq!(
            merged["volumeMounts"],
            json!([{"name": "w", "mountPath": "/m", "readOnly": true}])
        );
        assert_eq!(merged["env"], json!([{"name": "E", "value": "x"}]));
    }
}
