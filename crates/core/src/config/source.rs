//! The ConfigMaps that settings come from, and what is wrong with one of them. No I/O.

use super::{
    Config, ConfigError, Data, Defaults, FeatureFlags, events, events::Events, observability,
    observability::Observability,
};
use crate::{
    election::{self, Election},
    validate::text,
};

/// One of the ConfigMaps that are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `config-defaults`.
    Defaults,
    /// `feature-flags`.
    Flags,
    /// `config-observability`.
    Observability,
    /// `config-events`.
    Events,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Defaults, Self::Flags, Self::Observability, Self::Events];
    /// Those that decide what is admitted.
    pub const OF_ADMISSION: [Self; 2] = [Self::Defaults, Self::Flags];

    /// The ConfigMap's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Defaults => "config-defaults",
            Self::Flags => "feature-flags",
            Self::Observability => observability::NAME,
            Self::Events => events::NAME,
        }
    }

    /// The source that is called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }

    /// `config` with this source's part read from `data`.
    ///
    /// # Errors
    /// The first key that cannot be read.
    pub fn read(self, config: &Config, data: &Data) -> Result<Config, ConfigError> {
        let mut config = config.clone();
        match self {
            Self::Defaults => config.defaults = Defaults::parse(data)?,
            Self::Flags => config.flags = FeatureFlags::parse(data)?,
            Self::Observability => config.observability = Observability::parse(data)?,
            Self::Events => config.events = Events::parse(data)?,
        }
        Ok(config)
    }

    /// The key of `data` that means nothing, though it nearly does.
    fn misspelt(self, data: &Data) -> Option<String> {
        match self {
            // Their keys are often looked for in the wrong one of the two; that is no misspelling.
            Self::Defaults | Self::Flags => misspelt(data, super::keys()),
            Self::Observability => misspelt(data, observability::keys()),
            Self::Events => misspelt(data, events::KEYS.into_iter()),
        }
    }
}

/// Why the ConfigMap called `name`, with this data, could not be put in force; nothing also for one that is
/// none of ours.
pub fn problem(name: &str, data: &Data) -> Option<String> {
    match Source::from_name(name) {
        Some(source) => source.misspelt(data).or_else(|| {
            let read = source.read(&Config::default(), data);
            read.err().map(|error| error.to_string())
        }),
        None if name == election::CONFIG => misspelt(data, election::keys())
            .or_else(|| Election::parse(data).err().map(|error| error.to_string())),
        None => None,
    }
}

fn misspelt(data: &Data, keys: impl Iterator<Item = &'static str> + Clone) -> Option<String> {
    data.keys().find_map(|key| {
        let is_known = keys.clone().any(|known| known == key);
        let meant = text::nearest(key, keys.clone()).filter(|_| !is_known)?;
        Some(format!(
            "unknown key \"{key}\": data[{key}]\n- data[{key}]: did you mean \"{meant}\"?"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_put_in_force() {
        for (name, key, value, expected) in [
            ("config-defaults", "default-timeout-minutes", "30", None),
            ("config-defaults", "_example", "x", None),
            ("config-defaults", "of-another-engine", "x", None),
            (
                "config-defaults",
                "default-timeout-minute",
                "30",
                Some("did you mean \"default-timeout-minutes\"?"),
            ),
            (
                "feature-flags",
                "coschedule",
                "x",
                Some("invalid value for feature flag \"coschedule\""),
            ),
            ("config-observability", "metrics.taskrun.level", "task", None),
            (
                "config-observability",
                "metrics.taskrun.levels",
                "task",
                Some("did you mean \"metrics.taskrun.level\"?"),
            ),
            ("config-events", "sink", "nowhere", Some("write an address")),
            ("config-events", "sinks", "", Some("did you mean \"sink\"?")),
            (
                "config-leader-election-controller",
                "lease-duration",
                "soon",
                Some("\"lease-duration\""),
            ),
            (
                "config-leader-election-controller",
                "lease-durations",
                "1m",
                Some("did you mean \"lease-duration\"?"),
            ),
            ("somebody-elses", "lease-duration", "soon", None),
        ] {
            let found = problem(name, &Data::from([(key.to_owned(), value.to_owned())]));
            match (&found, expected) {
                (None, None) => {}
                (Some(found), Some(part)) if found.contains(part) => {}
                other => panic!("{name} {key}: {other:?}"),
            }
        }
    }
}
