//! `default-container-resource-requirements`: resources of containers that have none of their own
//! (runtime.md 1.9, api.md 1.10). No I/O.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ResourceRequirements};

use crate::quantity::{Quantity, QuantityError};

/// What a key begins with that stands for many containers.
const PREFIX: &str = "prefix-";

/// Resources by the container's name in the Pod, by the beginning of its name, and for all others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerResources(BTreeMap<String, ResourceRequirements>);

impl ContainerResources {
    /// The setting as it is written. Entries without requests and limits mean nothing.
    ///
    /// # Errors
    /// The first amount that is none.
    pub fn new(entries: BTreeMap<String, ResourceRequirements>) -> Result<Self, QuantityError> {
        let lists = entries.values().flat_map(|each| [&each.requests, &each.limits]);
        for amount in lists.flatten().flat_map(BTreeMap::values) {
            Quantity::parse(amount)?;
        }
        let mut entries = entries;
        entries.retain(|_, each| each.requests.is_some() || each.limits.is_some());
        Ok(Self(entries))
    }

    /// Fills in a container without resources.
    pub(crate) fn apply(&self, container: &mut Container) {
        let none = container
            .resources
            .as_ref()
            .is_none_or(|own| *own == ResourceRequirements::default());
        if let Some(found) = self.of(&container.name).filter(|_| none) {
            container.resources = Some(found.clone());
        }
    }

    /// The whole name counts more than its beginning, of which the longest counts.
    fn of(&self, name: &str) -> Option<&ResourceRequirements> {
        let begins = |key: &str| {
            let prefix = key.strip_prefix(PREFIX)?;
            let rest = name.strip_prefix(prefix)?;
            rest.starts_with('-').then_some(prefix.len())
        };
        let by_prefix = || {
            let matching = self
                .0
                .iter()
                .filter_map(|(key, found)| Some((begins(key)?, found)));
            matching.max_by_key(|(length, _)| *length).map(|(_, found)| found)
        };
        self.0
            .get(name)
            .or_else(by_prefix)
            .or_else(|| self.0.get("default"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_closest_entry_counts() {
        let entries = serde_json::from_value(json!({
            "default": {"requests": {"cpu": "1"}},
            "prefix-step": {"requests": {"cpu": "2"}},
            "prefix-step-build": {"requests": {"cpu": "3"}},
            "step-build-all": {"requests": {"cpu": "4"}},
            "step-nothing": {},
        }));
        let resources = ContainerResources::new(entries.unwrap()).unwrap();
        for (name, cpu) in [
            ("prepare", "1"),
            ("sidecar-a", "1"),
            ("steps", "1"),
            ("step-test", "2"),
            ("step-build", "2"),
            ("step-build-some", "3"),
            ("step-build-all", "4"),
            ("step-nothing", "2"),
        ] {
            let mut container = Container {
                name: name.to_owned(),
                ..Container::default()
            };
            resources.apply(&mut container);
            assert_eq!(
                container.resources.unwrap().requests.unwrap()["cpu"].0,
                cpu,
                "{name}"
            );
        }
    }

    #[test]
    fn own_resources_stay() {
        let entries = serde_json::from_value(json!({"default": {"limits": {"cpu": "1"}}}));
        let resources = ContainerResources::new(entries.unwrap()).unwrap();
        let own = json!({"name": "step-a", "resources": {"requests": {"memory": "1"}}});
        let mut container: Container = serde_json::from_value(own.clone()).unwrap();
        resources.apply(&mut container);
        assert_eq!(serde_json::to_value(container).unwrap(), own);
    }
}
