//! Calls to the API server that end.

use std::time::Duration;

/// How long one may take. The client itself waits longer, and for a silent peer for ever.
pub const LIMIT: Duration = Duration::from_secs(10);

/// What came instead of an answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server says no.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// Why.
        message: String,
    },
    /// The way to the API server.
    #[error(transparent)]
    Kube(Box<kube::Error>),
    /// Nothing came.
    #[error("no answer within {} seconds", LIMIT.as_secs())]
    Timeout,
}

impl CallError {
    /// The HTTP status that the API server answered with, or 0.
    pub fn code(&self) -> u16 {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Kube(_) | Self::Timeout => 0,
        }
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused {
                code: status.code,
                message: status.message.clone(),
            },
            error => Self::Kube(Box::new(error)),
        }
    }
}

/// Waits for `call`, but not for long.
///
/// # Errors
/// See [`CallError`].
pub async fn call<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(LIMIT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Timeout),
    }
}
