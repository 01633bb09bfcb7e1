//! Our ConfigMaps, changed for a group of cases and then put back.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::case::Target;
use crate::cluster::Cluster;

/// Where they are.
const NAMESPACE: &str = "tekton-pipelines";

/// Keys of our ConfigMaps that a case needs; cases with the same ones run together.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Settings {
    /// In `feature-flags`.
    #[serde(default)]
    pub(crate) flags: BTreeMap<String, String>,
    /// In `config-defaults`.
    #[serde(default)]
    pub(crate) defaults: BTreeMap<String, String>,
}

fn target(name: &str) -> Target {
    Target {
        api_version: Some("v1".to_owned()),
        kind: "ConfigMap".to_owned(),
        name: name.to_owned(),
    }
}

/// The ConfigMaps as they were found, and which keys were changed since.
pub(crate) struct Config {
    found: BTreeMap<&'static str, Value>,
    now: Settings,
}

impl Config {
    /// Reads them.
    pub(crate) async fn read(cluster: &Cluster) -> Result<Self> {
        let mut found = BTreeMap::new();
        for name in ["feature-flags", "config-defaults"] {
            let map = cluster.get(&target(name), NAMESPACE).await?;
            let map = map.with_context(|| format!("there is no ConfigMap {name} in {NAMESPACE}"))?;
            found.insert(name, map["data"].clone());
        }
        Ok(Self {
            found,
            now: Settings::default(),
        })
    }

    /// Puts the settings in the place of those before; whether that changed anything.
    pub(crate) async fn set(&mut self, cluster: &Cluster, settings: &Settings) -> Result<bool> {
        if self.now == *settings {
            return Ok(false);
        }
        let before = self.now.clone();
        // What is cut short must be put back, too.
        self.now.flags.extend(settings.flags.clone());
        self.now.defaults.extend(settings.defaults.clone());
        let maps = [
            ("feature-flags", &before.flags, &settings.flags),
            ("config-defaults", &before.defaults, &settings.defaults),
        ];
        for (name, before, now) in maps {
            let data = change(&self.found[name], before, now);
            if !data.is_empty() {
                let merge = json!({ "data": data });
                cluster
                    .patch(&target(name), None, &merge, NAMESPACE)
                    .await
                    .with_context(|| format!("cannot change {name}"))?;
            }
        }
        self.now = settings.clone();
        Ok(true)
    }
}

/// The merge that leads from some keys to others, on top of what was found.
fn change(
    found: &Value,
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Map<String, Value> {
    let mut data = Map::new();
    for key in before.keys() {
        data.insert(key.clone(), found.get(key).cloned().unwrap_or_default());
    }
    for (key, value) in now {
        data.insert(key.clone(), json!(value));
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_group_before_are_put_back() {
        let found = json!({"a": "1"});
        let map = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            owned.collect::<BTreeMap<_, _>>()
        };
        let data = change(
            &found,
            &map(&[("a", "2"), ("b", "2"), ("c", "2")]),
            &map(&[("c", "3")]),
        );
        assert_eq!(Value::Object(data), json!({"a": "1", "b": null, "c": "3"}));
        assert!(change(&found, &map(&[]), &map(&[])).is_empty());
    }
}
