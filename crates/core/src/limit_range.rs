//! The LimitRanges of a namespace, and what the steps get by them (runtime.md 1.9, W-1). No I/O.
//!
//! Steps run one after another, but all their containers exist at once, so what a namespace gives each
//! container by default is asked for only once, by all steps together.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, LimitRange, PodSpec, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity as Text,
};

use crate::quantity::Quantity;

const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// What all LimitRanges of a namespace say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(BTreeMap<&'static str, Limit>);

/// What they say of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Limit {
    /// The least that a container has to ask for.
    min: Option<Quantity>,
    /// What a container asks for that says nothing.
    request: Option<Quantity>,
    /// The limit of a container that has none.
    limit: Option<Quantity>,
    /// How much larger than its request a limit may be.
    ratio: Option<Quantity>,
    /// The most that all limits of a Pod may be.
    pod_max: Option<Quantity>,
}

type Amounts = BTreeMap<String, Text>;

/// An amount that says something: what is not there and what is zero say nothing.
fn amount(amounts: Option<&Amounts>, resource: &str) -> Option<Quantity> {
    let amount = Quantity::parse(amounts?.get(resource)?).ok()?;
    (amount > Quantity::ZERO).then_some(amount)
}

fn smaller(known: Option<Quantity>, other: Option<Quantity>) -> Option<Quantity> {
    known.into_iter().chain(other).min()
}

impl Limits {
    /// Of a namespace without LimitRanges.
    pub const NONE: Self = Self(BTreeMap::new());

    /// The narrowest of everything that `ranges` say.
    pub fn of<'a>(ranges: impl IntoIterator<Item = &'a LimitRange>) -> Self {
        let mut limits = Self::default();
        let items = ranges.into_iter().filter_map(|range| range.spec.as_ref());
        for item in items.flat_map(|spec| &spec.limits) {
            for resource in RESOURCES {
                let known = limits.0.entry(resource).or_default();
                let of = |amounts: &Option<Amounts>| amount(amounts.as_ref(), resource);
                match item.type_.as_str() {
                    "Container" => {
                        known.min = known.min.max(of(&item.min));
                        known.request = smaller(known.request, of(&item.default_request));
                        known.limit = smaller(known.limit, of(&item.default));
                        known.ratio = smaller(known.ratio, of(&item.max_limit_request_ratio));
                    }
                    "Pod" => known.pod_max = smaller(known.pod_max, of(&item.max)),
                    _ => {}
                }
            }
        }
        limits
    }

    /// Fills in what the steps of a Pod ask for.
    pub(crate) fn apply(&self, pod: &mut PodSpec) {
        let steps = pod
            .containers
            .iter()
            .filter(|container| is_step(container))
            .count();
        for (resource, limit) in &self.0 {
            let shared = limit.shared(pod, resource);
            for step in pod.containers.iter_mut().filter(|container| is_step(container)) {
                let own = step.resources.get_or_insert_default();
                if let Some(shared) = shared.filter(|_| amount(own.limits.as_ref(), resource).is_none()) {
                    let limits = own.limits.get_or_insert_default();
                    limits.insert((*resource).to_owned(), shared.text());
                }
                let fills = amount(own.requests.as_ref(), resource).is_none();
                if let Some(request) = limit.request(own, steps, resource).filter(|_| fills) {
                    let requests = own.requests.get_or_insert_default();
                    requests.insert((*resource).to_owned(), request.text());
                }
                if *own == ResourceRequirements::default() {
                    step.resources = None;
                }
            }
        }
    }
}

impl Limit {
    /// What one of `steps` steps asks for: its part, as much as every container must, and as much as its
    /// limit makes necessary; never more than that limit.
    fn request(self, own: &ResourceRequirements, steps: usize, resource: &str) -> Option<Quantity> {
        let limit = amount(own.limits.as_ref(), resource).or(self.limit);
        let part = self.request.map(|request| request.share(steps, resource));
        let by_ratio = limit.zip(self.ratio);
        let by_ratio = by_ratio.map(|(limit, ratio)| limit.divided_by(ratio, resource));
        let wanted = part.max(self.min).max(by_ratio)?;
        let request = limit.map_or(wanted, |limit| wanted.min(limit));
        (request > Quantity::ZERO).then_some(request)
    }

    /// The limit of each step that has none of its own, where the default one for every container would
    /// be more than the Pod may have: an equal part of what is left.
    fn shared(self, pod: &PodSpec, resource: &str) -> Option<Quantity> {
        let (most, default) = self.pod_max.zip(self.limit)?;
        let beside = pod.init_containers.iter().flatten();
        let beside = beside.filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let (mut open, mut taken) = (0, Quantity::ZERO);
        for container in pod.containers.iter().chain(beside) {
            let own = container.resources.as_ref().and_then(|own| own.limits.as_ref());
            match amount(own, resource) {
                Some(own) => taken = taken.plus(own),
                None if is_step(container) => open += 1,
                None => taken = taken.plus(default),
            }
        }
        let each = most.minus(taken).share(open, resource);
        let enough = each > Quantity::ZERO && self.min.is_none_or(|min| each >= min);
        (open > 0 && each < default && enough).then_some(each)
    }
}

fn is_step(container: &Container) -> bool {
    container.name.starts_with("step-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn limits(ranges: Value) -> Limits {
        let ranges: Vec<LimitRange> = ranges
            .as_array()
            .unwrap()
            .iter()
            .map(|limits| serde_json::from_value(json!({"spec": {"limits": limits}})).unwrap())
            .collect();
        Limits::of(&ranges)
    }

    /// The resources that the steps `own` get.
    fn steps(ranges: Value, own: Value) -> Value {
        let containers: Vec<Value> = own
            .as_array()
            .unwrap()
            .iter()
            .map(|resources| json!({"name": "step-a", "resources": resources}))
            .collect();
        let mut pod: PodSpec = serde_json::from_value(json!({"containers": containers})).unwrap();
        limits(ranges).apply(&mut pod);
        let each = pod.containers.iter();
        each.map(|step| json!(step.resources.clone().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn what_steps_ask_for() {
        let nothing = json!({});
        let container = |fields: Value| {
            let mut item = json!({"type": "Container"});
            item.as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
            item
        };
        for (name, ranges, own, expected) in [
            ("no range", json!([]), json!([{}]), json!([{}])),
            (
                "a part each",
                json!([[container(
                    json!({"defaultRequest": {"cpu": "1", "memory": "1Gi"}})
                )]]),
                json!([{}, {}]),
                json!([
                    {"requests": {"cpu": "500m", "memory": "512Mi"}},
                    {"requests": {"cpu": "500m", "memory": "512Mi"}},
                ]),
            ),
            (
                "not less than any container",
                json!([[container(
                    json!({"defaultRequest": {"cpu": "1"}, "min": {"cpu": "800m"}})
                )]]),
                json!([{}, {}]),
                json!([{"requests": {"cpu": "800m"}}, {"requests": {"cpu": "800m"}}]),
            ),
            (
                "only what is missing or zero",
                json!([[container(
                    json!({"defaultRequest": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}})
                )]]),
                json!([{"requests": {"cpu": "2", "memory": "0"}}]),
                json!([{"requests": {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "1Gi"}}]),
            ),
            (
                "a user's request below the least is not raised",
                json!([[container(json!({"min": {"cpu": "1"}}))]]),
                json!([{"requests": {"cpu": "10m"}}]),
                json!([{"requests": {"cpu": "10m"}}]),
            ),
            (
                "not more than the step's own limit",
                json!([[container(json!({"defaultRequest": {"memory": "1Gi"}}))]]),
                json!([{"limits": {"memory": "100Mi"}}]),
                json!([{"limits": {"memory": "100Mi"}, "requests": {"memory": "100Mi"}}]),
            ),
            (
                "enough for the ratio to the default limit",
                json!([[container(
                    json!({"default": {"cpu": "2"}, "defaultRequest": {"cpu": "1"},
                    "maxLimitRequestRatio": {"cpu": "3"}})
                )]]),
                json!([{}, {}]),
                json!([{"requests": {"cpu": "667m"}}, {"requests": {"cpu": "667m"}}]),
            ),
            (
                "enough for the ratio to the own limit",
                json!([[container(json!({"maxLimitRequestRatio": {"memory": "2"}}))]]),
                json!([{"limits": {"memory": "1Gi"}}, nothing]),
                json!([{"limits": {"memory": "1Gi"}, "requests": {"memory": "512Mi"}}, {}]),
            ),
            (
                "the narrowest of several",
                json!([
                    [container(
                        json!({"defaultRequest": {"cpu": "2"}, "min": {"memory": "1Mi"}})
                    )],
                    [container(
                        json!({"defaultRequest": {"cpu": "1"}, "min": {"memory": "2Mi"}})
                    )],
                    [container(json!({"defaultRequest": {"memory": "0"}}))],
                ]),
                json!([{}]),
                json!([{"requests": {"cpu": "1", "memory": "2Mi"}}]),
            ),
            (
                "limits shared where the Pod could not have them all",
                json!([[container(json!({"default": {"memory": "512Mi"}})),
                    {"type": "Pod", "max": {"memory": "1Gi"}}]]),
                json!([{}, {}, {}, {"limits": {"memory": "256Mi"}}]),
                json!([{"limits": {"memory": "256Mi"}}, {"limits": {"memory": "256Mi"}},
                    {"limits": {"memory": "256Mi"}}, {"limits": {"memory": "256Mi"}}]),
            ),
            (
                "limits stay away where the Pod can have them all",
                json!([[container(json!({"default": {"memory": "512Mi"}})),
                    {"type": "Pod", "max": {"memory": "1Gi"}}]]),
                json!([{}, {}]),
                json!([{}, {}]),
            ),
        ] {
            assert_eq!(steps(ranges, own), expected, "{name}");
        }
    }

    #[test]
    fn only_steps_are_filled_in() {
        let limits = limits(json!([[{"type": "Container", "defaultRequest": {"cpu": "1"}}]]));
        let before = json!({
            "containers": [{"name": "sidecar-a"}, {"name": "injected"}],
            "initContainers": [{"name": "prepare"}],
        });
        let mut pod: PodSpec = serde_json::from_value(before.clone()).unwrap();
        limits.apply(&mut pod);
        assert_eq!(serde_json::to_value(pod).unwrap(), before);
    }
}
