//! What can go wrong, and whether another try can help. No I/O.

use std::time::Duration;

use kube::runtime::watcher;

use crate::lease::Lost;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused a request, or could not be reached.
    #[error("failed to {verb} {kind}: {}", explain(.source))]
    Api {
        /// `get`, `create` and so on.
        verb: &'static str,
        /// The kind of the object.
        kind: &'static str,
        /// The answer.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("failed to {verb} {kind}: no answer within {limit:?}")]
    Timeout {
        /// `get`, `create` and so on.
        verb: &'static str,
        /// The kind of the object.
        kind: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// Work on a run stopped at something that another try can put right.
    #[error("failed for now: {0}")]
    Unfinished(String),
    /// There is no way to the API server.
    #[error("failed to set up the client: {}", explain(.0))]
    Client(Box<kube::Error>),
    /// Neither a kubeconfig nor the cluster's own service account was found.
    #[error("failed to find the API server: {0}")]
    Infer(#[from] kube::config::InferConfigError),
    /// The admin port cannot be had.
    #[error("failed to listen on port {port}: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// Another replica may work now.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// A part that must never end did.
    #[error("failed: {0} ended by itself")]
    Ended(&'static str),
}

/// The reason of an event about a status that could not be written.
pub const UPDATE_FAILED: &str = "UpdateFailed";

impl Error {
    fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Api { source, .. } => match &**source {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether somebody else wrote the object in between.
    pub fn is_conflict(&self) -> bool {
        self.status()
            .is_some_and(|status| status.is_conflict() && !status.is_already_exists())
    }

    /// Whether the name is in use.
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(kube::core::Status::is_already_exists)
    }

    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(kube::core::Status::is_not_found)
    }

    /// Whether we may not.
    pub fn is_forbidden(&self) -> bool {
        self.status().is_some_and(|status| status.code == 403)
    }

    /// Whether the same request can succeed without anybody changing anything.
    pub fn retry_helps(&self) -> bool {
        match self {
            Self::Api { source, .. } | Self::Client(source) => match &**source {
                kube::Error::Api(status) => is_passing(status.code),
                // Bytes that do not parse will be the same the next time.
                kube::Error::SerdeError(_) => false,
                _ => true,
            },
            Self::Timeout { .. } | Self::Unfinished(_) => true,
            Self::Infer(_) | Self::Listen { .. } | Self::Lost(_) | Self::Ended(_) => false,
        }
    }

    /// The reason of a Kubernetes event about it.
    pub const fn event_reason(&self) -> &'static str {
        match self {
            Self::Api { verb, kind, .. } => match (verb.as_bytes(), kind.as_bytes()) {
                (b"update", b"TaskRun") => UPDATE_FAILED,
                (b"patch", b"TaskRun") => "Error",
                _ => "InternalError",
            },
            _ => "InternalError",
        }
    }

    /// One word for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            _ if self.is_conflict() => "conflict",
            _ if self.status().is_some() => "refused",
            _ => "error",
        }
    }
}

/// Whether an answer with this HTTP status tells about the moment, not about the request.
pub const fn is_passing(code: u16) -> bool {
    matches!(code, 401 | 408 | 409 | 425 | 429) || code >= 500
}

/// What `error` says, without the words that kube puts around an answer of the API server.
pub fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => format!("{} (HTTP {})", status.reason, status.code),
        // The outer text alone ("client error (Connect)") does not tell what to repair.
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(inner) = cause {
                let more = inner.to_string();
                if !text.contains(&more) {
                    text.push_str(": ");
                    text.push_str(&more);
                }
                cause = inner.source();
            }
            text
        }
    }
}

/// What interrupted a watch.
pub fn explain_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => explain(error),
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::api_error;

    #[test]
    fn w48_what_helps() {
        for (code, reason, helps, category) in [
            (409, "Conflict", true, "conflict"),
            (409, "AlreadyExists", true, "refused"),
            (403, "Forbidden", false, "refused"),
            (404, "NotFound", false, "refused"),
            (422, "Invalid", false, "refused"),
            (429, "TooManyRequests", true, "refused"),
            (500, "InternalError", true, "refused"),
            (503, "ServiceUnavailable", true, "refused"),
        ] {
            let error = api_error(code, reason, "because");
            assert_eq!(error.retry_helps(), helps, "{code} {reason}");
            assert_eq!(error.category(), category, "{code} {reason}");
            assert_eq!(error.to_string(), "failed to create Pod: because");
        }
    }
}
