//! A request's body, read within limits.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An update carries the object twice, and an object may have a megabyte and a half.
pub const MAX_BODY: usize = 8 * 1024 * 1024;

/// A conversion may be asked for a whole list of objects at once.
pub const MAX_CONVERSION: usize = 64 * 1024 * 1024;

/// What all requests together may take.
#[derive(Clone, Debug)]
pub struct Budget {
    read: Room,
    judged: Room,
}

impl Budget {
    /// Room for `read` bytes of bodies, and for judging `judged` bytes of them at the same time. A body
    /// that is larger than that is read or judged alone.
    pub fn new(read: usize, judged: usize) -> Self {
        Self {
            read: Room::new(read),
            judged: Room::new(judged),
        }
    }
}

#[derive(Clone, Debug)]
struct Room {
    bytes: Arc<Semaphore>,
    all: usize,
}

impl Room {
    fn new(all: usize) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(all)),
            all,
        }
    }

    /// Waits until there is room for `bytes`; what is larger than all of it takes all of it.
    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes.min(self.all)).unwrap_or(u32::MAX);
        Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok()
    }
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than are read.
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// The client went, or talks something else.
    #[error("the body cannot be read: {0}")]
    Broken(#[from] axum::Error),
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        };
        (status, self.to_string()).into_response()
    }
}

/// A whole body, of `MAX` bytes at most, and what of the budget it takes for as long as it is there.
#[derive(Debug)]
pub struct Bounded<const MAX: usize> {
    /// What came.
    pub bytes: Vec<u8>,
    _taken: [Option<OwnedSemaphorePermit>; 2],
}

impl<S: Sync, const MAX: usize> FromRequest<S> for Bounded<MAX> {
    type Rejection = BodyError;

    async fn from_request(request: Request, _: &S) -> Result<Self, BodyError> {
        let (parts, body) = request.into_parts();
        let announced = parts
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .unwrap_or(MAX);
        if announced > MAX {
            return Err(BodyError::TooLarge(MAX));
        }
        let Some(budget) = parts.extensions.get::<Budget>() else {
            let bytes = read(body, announced).await?;
            return Ok(Self {
                bytes,
                _taken: [None, None],
            });
        };
        // All of it at once: two that have a part each could wait for each other.
        let reading = budget.read.take(announced).await;
        let bytes = read(body, announced).await?;
        let judging = budget.judged.take(bytes.len()).await;
        Ok(Self {
            bytes,
            _taken: [reading, judging],
        })
    }
}

/// A client that announces much and sends nothing costs no memory: it is taken as it comes.
async fn read(body: Body, most: usize) -> Result<Vec<u8>, BodyError> {
    let mut stream = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part?;
        if whole.len() + part.len() > most {
            return Err(BodyError::TooLarge(most));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}
