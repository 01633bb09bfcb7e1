//! Resources of the steps: what the run overrides for one step, and what it asks for all of them
//! together (runtime.md 1.9, api.md 1.10).

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity as Text};
use tektite_api::{Step, TaskRun, TaskSpec};

use crate::quantity::{Quantity, QuantityError};

/// Why resources cannot be worked out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// An amount that is none.
    #[error("spec.computeResources {resource}: {error}")]
    BadAmount {
        /// The resource.
        resource: String,
        /// What is wrong.
        error: QuantityError,
    },
    /// A request that its limit does not allow.
    #[error("invalid request resource value: {request} must be less or equal to limit {limit}")]
    BeyondLimit {
        /// What is asked for.
        request: String,
        /// What is allowed.
        limit: String,
    },
    /// A step spec for a step that does not exist.
    #[error("invalid StepOverride: No Step named {0}")]
    NoSuchStep(String),
}

type Amounts = BTreeMap<String, Text>;

/// Puts the run's resources into the steps, whose template is already merged in.
///
/// # Errors
/// See [`ResourceError`].
pub fn apply(steps: &mut [Step], run: &TaskRun) -> Result<(), ResourceError> {
    let places: HashMap<String, usize> = steps
        .iter()
        .enumerate()
        .rev()
        .map(|(place, step)| (step.name.clone(), place))
        .collect();
    for spec in &run.spec.step_specs {
        let step = places.get(&spec.name).and_then(|place| steps.get_mut(*place));
        let step = step.ok_or_else(|| ResourceError::NoSuchStep(spec.name.clone()))?;
        overlay(&mut step.compute_resources, &spec.compute_resources);
    }
    let Some(whole) = &run.spec.compute_resources else {
        return Ok(());
    };
    if whole.requests.is_none() && whole.limits.is_none() {
        return Ok(());
    }
    let count = steps.len();
    for step in steps {
        let own = step.compute_resources.requests.is_some();
        let shared = if own || whole.requests.is_some() {
            &whole.requests
        } else {
            &whole.limits
        };
        step.compute_resources.requests = share(shared.as_ref(), count)?;
        step.compute_resources.limits.clone_from(&whole.limits);
    }
    Ok(())
}

/// Checks that no step asks for more than its limit, or the template's where it has none (api.md 1.10).
///
/// # Errors
/// The first request that is too large.
pub fn requests_fit(spec: &TaskSpec) -> Result<(), ResourceError> {
    let template = spec
        .step_template
        .as_ref()
        .and_then(|template| template.compute_resources.limits.as_ref());
    for step in &spec.steps {
        for (resource, request) in step.compute_resources.requests.iter().flatten() {
            let own = step
                .compute_resources
                .limits
                .as_ref()
                .and_then(|limits| limits.get(resource));
            let limit = own.or_else(|| template.and_then(|limits| limits.get(resource)));
            let (Some(limit), Ok(amount)) = (limit, Quantity::parse(request)) else {
                continue;
            };
            if Quantity::parse(limit).is_ok_and(|limit| amount > limit) {
                return Err(ResourceError::BeyondLimit {
                    request: request.0.clone(),
                    limit: limit.0.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Overrides key by key.
pub(crate) fn overlay(below: &mut ResourceRequirements, above: &ResourceRequirements) {
    for (below, above) in [
        (&mut below.requests, &above.requests),
        (&mut below.limits, &above.limits),
    ] {
        if let Some(above) = above {
            below.get_or_insert_default().extend(above.clone());
        }
    }
}

fn share(amounts: Option<&Amounts>, count: usize) -> Result<Option<Amounts>, ResourceError> {
    let Some(amounts) = amounts.filter(|amounts| !amounts.is_empty()) else {
        return Ok(None);
    };
    let each = amounts.iter().map(|(resource, amount)| {
        let amount = Quantity::parse(amount).map_err(|error| ResourceError::BadAmount {
            resource: resource.clone(),
            error,
        })?;
        Ok((resource.clone(), amount.share(count, resource).text()))
    });
    each.collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn step_resources(steps: usize, own: &Value, task: &Value) -> Value {
        let mut steps: Vec<Step> = (0..steps)
            .map(|_| serde_json::from_value(json!({"computeResources": own})).unwrap())
            .collect();
        let run: TaskRun = serde_json::from_value(json!({"spec": {"computeResources": task}})).unwrap();
        apply(&mut steps, &run).unwrap();
        serde_json::to_value(&steps[0].compute_resources).unwrap()
    }

    #[test]
    fn appendix_e5_task_level() {
        for (steps, own, task, each) in [
            (
                2,
                json!({}),
                json!({"requests": {"cpu": "1", "memory": "1Gi"}}),
                json!({"requests": {"cpu": "500m", "memory": "512Mi"}}),
            ),
            (
                2,
                json!({}),
                json!({"limits": {"cpu": "1"}}),
                json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}),
            ),
            (
                2,
                json!({"requests": {"cpu": "2"}}),
                json!({"limits": {"cpu": "1"}}),
                json!({"limits": {"cpu": "1"}}),
            ),
            (
                2,
                json!({"limits": {"memory": "2Gi"}}),
                json!({"requests": {"cpu": "1"}}),
                json!({"requests": {"cpu": "500m"}}),
            ),
            (
                2,
                json!({}),
                json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}),
                json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}}),
            ),
            (
                3,
                json!({}),
                json!({"requests": {"cpu": "1"}}),
                json!({"requests": {"cpu": "333m"}}),
            ),
            (
                1,
                json!({"requests": {"cpu": "2"}}),
                json!({}),
                json!({"requests": {"cpu": "2"}}),
            ),
        ] {
            assert_eq!(step_resources(steps, &own, &task), each, "{own} {task}");
        }
    }

    #[test]
    fn step_specs_override_by_key() {
        let mut steps: Vec<Step> = vec![
            serde_json::from_value(
                json!({"name": "a", "computeResources": {"requests": {"cpu": "1", "memory": "1Gi"}}}),
            )
            .unwrap(),
        ];
        let run = |name: &str| -> TaskRun {
            serde_json::from_value(json!({"spec": {"stepSpecs":
                [{"name": name, "computeResources": {"requests": {"cpu": "2"}}}]}}))
            .unwrap()
        };
        apply(&mut steps, &run("a")).unwrap();
        assert_eq!(
            serde_json::to_value(&steps[0].compute_resources).unwrap(),
            json!({"requests": {"cpu": "2", "memory": "1Gi"}})
        );
        let error = apply(&mut steps, &run("b")).unwrap_err();
        assert_eq!(error.to_string(), "invalid StepOverride: No Step named b");
    }
}
