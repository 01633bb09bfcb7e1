//! How long runs may wait and run, and what becomes of lost ones: keys of `config-defaults`. No I/O.

use tektite_api::GoDuration;

use super::{ConfigError, Data};

const CLOCK: &str = "timeout-clock";
const PENDING: &str = "default-pending-timeout-minutes";
const IMAGE: &str = "default-imagepullbackoff-timeout";
const CREATE: &str = "default-create-container-error-timeout";
const INFRA_RETRIES: &str = "infra-retries";

/// The keys, for those who know them all.
pub(super) const KEYS: [&str; 5] = [CLOCK, PENDING, IMAGE, CREATE, INFRA_RETRIES];

const WHOLE: &str = "write a whole number, 0 or more";

/// From when a run's timeout counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// From the start of its first step: queueing is no work.
    #[default]
    FirstStep,
    /// From `status.startTime`, whatever it waits for then.
    Start,
}

impl Clock {
    const ALL: [Self; 2] = [Self::FirstStep, Self::Start];

    /// The setting's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstStep => "first-step",
            Self::Start => "start",
        }
    }
}

/// How long runs may wait and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifecycleSettings {
    /// From when the timeout counts.
    pub clock: Clock,
    /// How long a run may wait for its first step; zero is no limit.
    pub pending_timeout: GoDuration,
    /// How long an image may fail to come, where that may heal by itself.
    pub image_grace: GoDuration,
    /// The same for a container that could not be made in time.
    pub create_grace: GoDuration,
    /// How often a run is begun anew after its Pod was lost, where it says nothing about it.
    pub infra_retries: u32,
}

impl Default for LifecycleSettings {
    fn default() -> Self {
        Self {
            clock: Clock::default(),
            pending_timeout: GoDuration::from_secs(60 * 60),
            image_grace: GoDuration::from_secs(2 * 60),
            create_grace: GoDuration::from_secs(2 * 60),
            infra_retries: 0,
        }
    }
}

impl LifecycleSettings {
    /// Reads the keys.
    ///
    /// # Errors
    /// The first key whose value cannot be read.
    pub(super) fn read(data: &Data) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        let bad = |key, value: &str, allowed: &str| ConfigError::Default {
            key,
            value: value.to_owned(),
            allowed: allowed.to_owned(),
        };
        if let Some(word) = data.get(CLOCK) {
            settings.clock = Clock::ALL
                .into_iter()
                .find(|clock| clock.as_str() == word)
                .ok_or_else(|| bad(CLOCK, word, "write first-step or start"))?;
        }
        if let Some(value) = data.get(PENDING) {
            let minutes = value.parse::<u32>();
            let minutes = minutes.map_err(|_| bad(PENDING, value, WHOLE))?;
            settings.pending_timeout = GoDuration::from_secs(i64::from(minutes) * 60);
        }
        if let Some(value) = data.get(INFRA_RETRIES) {
            settings.infra_retries = value.parse().map_err(|_| bad(INFRA_RETRIES, value, WHOLE))?;
        }
        for (key, grace) in [
            (IMAGE, &mut settings.image_grace),
            (CREATE, &mut settings.create_grace),
        ] {
            if let Some(value) = data.get(key) {
                *grace = value
                    .parse::<GoDuration>()
                    .ok()
                    .filter(|grace| !grace.is_negative())
                    .ok_or_else(|| bad(key, value, "write a duration such as \"30s\" or \"5m\""))?;
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_others_refused() {
        let standard = LifecycleSettings::default();
        for (key, value, expected) in [
            (
                CLOCK,
                "start",
                Ok(LifecycleSettings {
                    clock: Clock::Start,
                    ..standard
                }),
            ),
            (CLOCK, "first-step", Ok(standard)),
            (CLOCK, "end", Err("write first-step or start")),
            (
                PENDING,
                "0",
                Ok(LifecycleSettings {
                    pending_timeout: GoDuration::ZERO,
                    ..standard
                }),
            ),
            (PENDING, "-1", Err(WHOLE)),
            (
                INFRA_RETRIES,
                "2",
                Ok(LifecycleSettings {
                    infra_retries: 2,
                    ..standard
                }),
            ),
            (INFRA_RETRIES, "many", Err(WHOLE)),
            (
                IMAGE,
                "0",
                Ok(LifecycleSettings {
                    image_grace: GoDuration::ZERO,
                    ..standard
                }),
            ),
            (
                CREATE,
                "5m",
                Ok(LifecycleSettings {
                    create_grace: GoDuration::from_secs(300),
                    ..standard
                }),
            ),
            (CREATE, "soon", Err("write a duration such as \"30s\" or \"5m\"")),
            (IMAGE, "-1s", Err("write a duration such as \"30s\" or \"5m\"")),
        ] {
            let read = LifecycleSettings::read(&Data::from([(key.to_owned(), value.to_owned())]));
            match (read, expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read, expected),
                (Err(error), Err(allowed)) => {
                    let error = error.to_string();
                    assert!(error.contains(key) && error.ends_with(allowed), "{error}");
                }
                other => panic!("{key}: {value}: {other:?}"),
            }
        }
    }
}
