//! Admission reviews as they stand on the wire. No I/O.

use kube::core::{admission::AdmissionResponse, response::Status};
use serde::Deserialize;
use serde_json::Value;
use tektite_api::decode::plain;
use tektite_core::field_error::{LONGEST_TEXT, clipped};

/// What the API server asks; only what is used here.
#[derive(Clone, Debug, Deserialize)]
pub struct Review {
    /// The question.
    pub request: Option<Request>,
}

/// One object on its way in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// Goes back with the answer.
    pub uid: String,
    /// What kind of object.
    pub kind: GroupVersionKind,
    /// What was sent, where the API server has converted it for this review.
    pub request_kind: GroupVersionKind,
    /// What is done to it.
    pub operation: Operation,
    /// Its name; empty where the API server still has to make one.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The object as it shall be.
    #[serde(deserialize_with = "plain")]
    pub object: Value,
    /// The object as it is stored.
    #[serde(deserialize_with = "plain")]
    pub old_object: Value,
}

/// A kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GroupVersionKind {
    /// Its API group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// Its name.
    pub kind: String,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// It is new.
    Create,
    /// It is changed.
    Update,
    /// Anything else, never asked about.
    #[default]
    #[serde(other)]
    Other,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// As it is, or with a change.
    Allow {
        /// The change.
        patch: Option<json_patch::Patch>,
        /// What the user shall read.
        warnings: Vec<String>,
    },
    /// Not like this.
    Deny(String),
}

impl Verdict {
    /// As it is, with nothing to say.
    pub const fn allow() -> Self {
        Self::Allow {
            patch: None,
            warnings: Vec::new(),
        }
    }

    /// The same, with no longer a text than is passed on and logged whole.
    #[must_use]
    pub fn clipped(self) -> Self {
        match self {
            Self::Deny(message) => Self::Deny(clipped(message, LONGEST_TEXT)),
            allowed @ Self::Allow { .. } => allowed,
        }
    }
}

/// The answer as the API server wants it.
///
/// # Errors
/// The patch cannot be written, which says nothing about the object.
pub fn answer(uid: &str, verdict: Verdict) -> Result<AdmissionResponse, serde_json::Error> {
    let mut response = AdmissionResponse::invalid("");
    uid.clone_into(&mut response.uid);
    match verdict {
        Verdict::Allow { patch, warnings } => {
            response.allowed = true;
            response.result = Status::default();
            response.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
            if let Some(patch) = patch {
                response = response.with_patch(patch).map_err(serde::ser::Error::custom)?;
            }
        }
        Verdict::Deny(message) => {
            response.result = Status::failure(&message, "BadRequest").with_code(400);
        }
    }
    Ok(response)
}
