//! A request's body, read within limits.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use tokio::sync::Semaphore;

/// An update carries the object twice, and an object may have a megabyte and a half.
pub const MAX_BODY: usize = 8 * 1024 * 1024;

/// A conversion may be asked for a whole list of objects at once.
pub const MAX_CONVERSION: usize = 64 * 1024 * 1024;

/// How many bytes of bodies may be in memory, over all requests.
#[derive(Clone, Debug)]
pub struct Budget(pub Arc<Semaphore>);

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than are read.
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// All requests together are too large.
    #[error("too much is being read already")]
    NoMemory,
    /// The client went, or talks something else.
    #[error("the body cannot be read: {0}")]
    Broken(#[from] axum::Error),
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoMemory => StatusCode::TOO_MANY_REQUESTS,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        };
        (status, self.to_string()).into_response()
    }
}

/// A whole body, of `MAX` bytes at most.
#[derive(Debug)]
pub struct Bounded<const MAX: usize>(pub Vec<u8>);

impl<S: Sync, const MAX: usize> FromRequest<S> for Bounded<MAX> {
    type Rejection = BodyError;

    async fn from_request(request: Request, _: &S) -> Result<Self, BodyError> {
        let (parts, body) = request.into_parts();
        let announced = parts
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > MAX) {
            return Err(BodyError::TooLarge(MAX));
        }
        read(body, MAX, parts.extensions.get::<Budget>()).await.map(Self)
    }
}

async fn read(body: Body, max: usize, budget: Option<&Budget>) -> Result<Vec<u8>, BodyError> {
    let mut stream = body.into_data_stream();
    let mut whole = Vec::new();
    let mut taken = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part?;
        if whole.len() + part.len() > max {
            return Err(BodyError::TooLarge(max));
        }
        // What has come counts, not what was announced: announcing costs a client nothing.
        if let Some(Budget(budget)) = budget {
            let bytes = u32::try_from(part.len()).unwrap_or(u32::MAX);
            taken.push(budget.try_acquire_many(bytes).map_err(|_| BodyError::NoMemory)?);
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}
