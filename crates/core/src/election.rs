//! How long replicas wait for each other: ConfigMap `config-leader-election-controller`
//! (runtime.md section 5, departures.md). No I/O.
//!
//! Read once, when the controller starts: two replicas that change their minds at different moments
//! could both hold the lease.

use std::{collections::BTreeMap, time::Duration};

use tektite_api::GoDuration;

/// The ConfigMap's name.
pub const CONFIG: &str = "config-leader-election-controller";

/// The keys that mean something, each with its older spelling.
const KEYS: [(&str, &str); 3] = [
    ("lease-duration", "leaseDuration"),
    ("renew-deadline", "renewDeadline"),
    ("retry-period", "retryPeriod"),
];

/// The three waits, each longer than the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Election {
    /// `lease-duration`: a lease that was not renewed for so long is free. Whole seconds.
    pub lease_duration: Duration,
    /// `renew-deadline`: who could not renew it for so long gives up.
    pub renew_deadline: Duration,
    /// `retry-period`: the time from one renewal, or from one failed try, to the next.
    pub retry_period: Duration,
}

impl Default for Election {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// A wait that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElectionError {
    /// Not a duration, or none that can be waited for.
    #[error("failed parsing {CONFIG} \"{key}\": \"{value}\" is not allowed; {allowed}")]
    Wait {
        /// The ConfigMap's key.
        key: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        allowed: &'static str,
    },
    /// A wait that another one has to be shorter than.
    #[error(
        "failed parsing {CONFIG} \"{key}\": {value} is not allowed; it has to be longer than \
         \"{shorter_key}\", which is {shorter}"
    )]
    Order {
        /// The ConfigMap's key.
        key: &'static str,
        /// What it holds.
        value: GoDuration,
        /// The key whose value is too long, or the default of which is.
        shorter_key: &'static str,
        /// What that one holds.
        shorter: GoDuration,
    },
}

impl Election {
    /// Reads the ConfigMap's data; what is not there is the default.
    ///
    /// # Errors
    /// The first wait that cannot be used. `buckets` is no error whatever it holds: one replica works.
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Self, ElectionError> {
        let defaults = Self::default();
        let [lease, deadline, retry] = KEYS;
        let read = Self {
            lease_duration: wait(data, lease)?.unwrap_or(defaults.lease_duration),
            renew_deadline: wait(data, deadline)?.unwrap_or(defaults.renew_deadline),
            retry_period: wait(data, retry)?.unwrap_or(defaults.retry_period),
        };
        // The API server keeps whole seconds only.
        if read.lease_duration.subsec_nanos() != 0 || read.lease_duration.as_secs() > 3600 {
            return Err(ElectionError::Wait {
                key: lease.0,
                value: GoDuration::from(read.lease_duration).to_string(),
                allowed: "whole seconds, an hour at most, such as \"15s\"",
            });
        }
        for ((key, longer), (shorter_key, shorter)) in [
            ((lease.0, read.lease_duration), (deadline.0, read.renew_deadline)),
            ((deadline.0, read.renew_deadline), (retry.0, read.retry_period)),
        ] {
            if longer <= shorter {
                return Err(ElectionError::Order {
                    key,
                    value: longer.into(),
                    shorter_key,
                    shorter: shorter.into(),
                });
            }
        }
        Ok(read)
    }
}

/// Every key that means something.
pub fn keys() -> impl Iterator<Item = &'static str> + Clone {
    KEYS.into_iter()
        .flat_map(|(key, older)| [key, older])
        .chain(["buckets"])
}

fn wait(
    data: &BTreeMap<String, String>,
    (key, older): (&'static str, &'static str),
) -> Result<Option<Duration>, ElectionError> {
    let Some((key, value)) = [key, older]
        .into_iter()
        .find_map(|key| Some((key, data.get(key)?)))
    else {
        return Ok(None);
    };
    let duration: Option<GoDuration> = value.parse().ok();
    match duration.filter(|duration| !duration.is_negative() && !duration.is_zero()) {
        Some(duration) => Ok(Some(duration.to_std())),
        None => Err(ElectionError::Wait {
            key,
            value: value.clone(),
            allowed: "a duration longer than nothing, such as \"15s\"",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Election, String> {
        let data = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Election::parse(&data.collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn waits() {
        assert_eq!(parse(&[]), Ok(Election::default()));
        assert_eq!(
            parse(&[("buckets", "3"), ("_example", "x")]),
            Ok(Election::default())
        );
        let read = parse(&[
            ("leaseDuration", "1m"),
            ("renew-deadline", "40s"),
            ("retry-period", "500ms"),
        ]);
        let expected = Election {
            lease_duration: Duration::from_mins(1),
            renew_deadline: Duration::from_secs(40),
            retry_period: Duration::from_millis(500),
        };
        assert_eq!(read, Ok(expected));
        for (pairs, error) in [
            (
                [("lease-duration", "soon")],
                "failed parsing config-leader-election-controller \"lease-duration\": \"soon\" is not \
                 allowed; a duration longer than nothing, such as \"15s\"",
            ),
            (
                [("retryPeriod", "0s")],
                "failed parsing config-leader-election-controller \"retryPeriod\": \"0s\" is not \
                 allowed; a duration longer than nothing, such as \"15s\"",
            ),
            (
                [("lease-duration", "10500ms")],
                "failed parsing config-leader-election-controller \"lease-duration\": \"10.5s\" is not \
                 allowed; whole seconds, an hour at most, such as \"15s\"",
            ),
            (
                [("renew-deadline", "15s")],
                "failed parsing config-leader-election-controller \"lease-duration\": 15s is not \
                 allowed; it has to be longer than \"renew-deadline\", which is 15s",
            ),
            (
                [("retry-period", "1h")],
                "failed parsing config-leader-election-controller \"renew-deadline\": 10s is not \
                 allowed; it has to be longer than \"retry-period\", which is 1h0m0s",
            ),
        ] {
            assert_eq!(parse(&pairs), Err(error.to_owned()));
        }
    }
}
