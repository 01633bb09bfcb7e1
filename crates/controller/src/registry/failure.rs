//! Why a look-up has failed, and whether that passes. No I/O.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use jiff::Timestamp;
use tektite_core::image::manifest::ManifestError;

use crate::error::is_passing;

/// The longest that a registry may send us away for.
const LONGEST_AWAY: Duration = Duration::from_hours(1);

/// Why a look-up has failed; what is inside is a sentence without its end, and names the registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// Another try can help.
    #[error("{why}")]
    Passing {
        /// What happened.
        why: String,
        /// When the registry wants to be asked again, if it says so.
        after: Option<Duration>,
    },
    /// Not with these credentials.
    #[error("{0}")]
    Denied(String),
    /// Not there.
    #[error("{0}")]
    Missing(String),
    /// It is there, and what it is now is no use.
    #[error("{0}")]
    Unusable(String),
    /// Nobody can tell before somebody mends something.
    #[error("{0}")]
    Lasting(String),
}

impl Failure {
    /// Something that passes.
    pub(super) fn passing(why: impl Into<String>) -> Self {
        Self::Passing {
            why: why.into(),
            after: None,
        }
    }

    /// What an answer of `host` with this status means.
    pub(super) fn of_status(host: &str, status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Self {
        let why = format!("registry \"{host}\" answers {status}");
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Denied(why),
            StatusCode::NOT_FOUND => Self::Missing(why),
            _ if is_passing(status.as_u16()) => Self::Passing {
                why,
                after: retry_after(headers, now),
            },
            _ => Self::Lasting(why),
        }
    }

    /// The same about a certain image.
    pub(super) fn about(self, image: &str) -> Self {
        let about = |why: String| format!("image \"{image}\": {why}");
        match self {
            Self::Passing { why, after } => Self::Passing {
                why: about(why),
                after,
            },
            Self::Denied(why) => Self::Denied(about(why)),
            Self::Missing(why) => Self::Missing(about(why)),
            Self::Unusable(why) => Self::Unusable(about(why)),
            Self::Lasting(why) => Self::Lasting(about(why)),
        }
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// How long a registry wants to be left alone: seconds, or a moment.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let moment = jiff::fmt::rfc2822::DateTimeParser::new()
                .parse_timestamp(value)
                .ok()?;
            Duration::try_from(moment.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_AWAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_mean() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let seconds = Duration::from_secs;
        for (status, header, expected) in [
            (429, Some("7"), Some(Some(seconds(7)))),
            (
                429,
                Some("Thu, 01 Jan 2026 00:01:00 GMT"),
                Some(Some(seconds(60))),
            ),
            (429, Some("Wed, 31 Dec 2025 00:01:00 GMT"), Some(Some(seconds(0)))),
            (429, Some("999999999"), Some(Some(seconds(3600)))),
            (429, Some("soon"), Some(None)),
            (429, None, Some(None)),
            (503, Some("1"), Some(Some(seconds(1)))),
            (500, None, Some(None)),
            (408, None, Some(None)),
            (400, None, None),
            (418, None, None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(RETRY_AFTER, header.parse().unwrap());
            }
            let status = StatusCode::from_u16(status).unwrap();
            let after = match Failure::of_status("h", status, &headers, now) {
                Failure::Passing { after, .. } => Some(after),
                _ => None,
            };
            assert_eq!(after, expected, "{status} {header:?}");
        }
        let of = |status| Failure::of_status("h", status, &HeaderMap::new(), now);
        let denied = of(StatusCode::FORBIDDEN).about("i");
        let text = "image \"i\": registry \"h\" answers 403 Forbidden";
        assert_eq!(denied, Failure::Denied(text.to_owned()));
        assert!(matches!(of(StatusCode::UNAUTHORIZED), Failure::Denied(_)));
        assert!(matches!(of(StatusCode::NOT_FOUND), Failure::Missing(_)));
    }
}
