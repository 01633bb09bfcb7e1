//! What a spec declares, found by name: objects may have as much in them as etcd holds, and looking
//! through all of it for each use would take minutes. No I/O.

use std::collections::{HashMap, HashSet};

use tektite_api::{ParamSpec, ParamType};

/// Parameters by name; of equal names the first counts.
#[derive(Debug)]
pub(crate) struct Declared<'a> {
    all: &'a [ParamSpec],
    by_name: HashMap<&'a str, &'a ParamSpec>,
}

impl<'a> Declared<'a> {
    pub(super) fn new(all: &'a [ParamSpec]) -> Self {
        let mut by_name = HashMap::with_capacity(all.len());
        for param in all {
            by_name.entry(param.name.as_str()).or_insert(param);
        }
        Self { all, by_name }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a ParamSpec> {
        self.by_name.get(name).copied()
    }

    pub(super) fn is_array(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|param| param.param_type == Some(ParamType::Array))
    }

    pub(super) fn all(&self) -> &'a [ParamSpec] {
        self.all
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.all.iter().map(|param| param.name.as_str())
    }
}

/// For each of `names`, whether an earlier one is equal to it.
pub(super) fn repeated<T: std::hash::Hash + Eq>(names: impl Iterator<Item = T>) -> Vec<bool> {
    let mut seen = HashSet::new();
    names.map(|name| !seen.insert(name)).collect()
}
