//! Calls to the API server that end.

use std::time::Duration;

/// How long one may take. The client itself waits longer, and for a silent peer for ever.
pub const LIMIT: Duration = Duration::from_secs(10);

/// What came instead of an answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server or the way to it.
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
            Self::Kube(error) => match &**error {
                kube::Error::Api(status) => status.code,
                _ => 0,
            },
            Self::Timeout => 0,
        }
    }
}

/// Waits for `call`, but not for long.
///
/// # Errors
/// See [`CallError`].
pub async fn call<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(LIMIT, call).await {
        Ok(answer) => answer.map_err(|error| CallError::Kube(Box::new(error))),
        Err(_) => Err(CallError::Timeout),
    }
}
