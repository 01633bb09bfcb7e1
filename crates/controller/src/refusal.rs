//! How the core hears of a write that was not carried out. No I/O.

use tektite_core::lifecycle::Refusal;

use crate::error::{Error, explain, is_passing};

/// What `error` means for a run.
pub fn refusal(error: &Error) -> Refusal {
    let Error::Api { source, .. } = error else {
        return Refusal::Transient(error.to_string());
    };
    let message = explain(source);
    match &**source {
        kube::Error::Api(status) => {
            let about = status.details.as_ref().map_or("", |details| &details.kind);
            match status.code {
                409 if status.is_already_exists() => Refusal::NameTaken(message),
                409 if about == "resourcequotas" => Refusal::QuotaConflict(message),
                403 => Refusal::Forbidden(message),
                code if is_passing(code) => Refusal::Transient(message),
                400..=499 => Refusal::Invalid(message),
                _ => Refusal::Transient(message),
            }
        }
        // The request could not even be made, from a name for instance.
        kube::Error::BuildRequest(_) => Refusal::Invalid(message),
        // That an answer cannot be read says nothing about what was done.
        _ => Refusal::Transient(message),
    }
}

/// The text of a refusal.
pub fn message(refusal: &Refusal) -> &str {
    match refusal {
        Refusal::QuotaConflict(text)
        | Refusal::Forbidden(text)
        | Refusal::NameTaken(text)
        | Refusal::Invalid(text)
        | Refusal::Transient(text) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{api_error, api_error_about};
    use std::time::Duration;

    #[test]
    fn answers() {
        let text = || "because".to_owned();
        for (code, reason, about, expected) in [
            (409, "AlreadyExists", "pods", Refusal::NameTaken(text())),
            (409, "Conflict", "resourcequotas", Refusal::QuotaConflict(text())),
            (409, "Conflict", "pods", Refusal::Transient(text())),
            (403, "Forbidden", "pods", Refusal::Forbidden(text())),
            (400, "BadRequest", "", Refusal::Invalid(text())),
            (404, "NotFound", "namespaces", Refusal::Invalid(text())),
            (413, "RequestEntityTooLarge", "", Refusal::Invalid(text())),
            (422, "Invalid", "pods", Refusal::Invalid(text())),
            (401, "Unauthorized", "", Refusal::Transient(text())),
            (429, "TooManyRequests", "", Refusal::Transient(text())),
            (500, "InternalError", "", Refusal::Transient(text())),
            (503, "ServiceUnavailable", "", Refusal::Transient(text())),
            (504, "Timeout", "", Refusal::Transient(text())),
        ] {
            let error = api_error_about(code, reason, "because", about);
            assert_eq!(refusal(&error), expected, "{code} {reason} {about}");
        }
        assert_eq!(message(&refusal(&api_error(403, "Forbidden", "no"))), "no");
        let late = Error::Timeout {
            verb: "create",
            kind: "Pod",
            limit: Duration::from_secs(10),
        };
        assert!(matches!(refusal(&late), Refusal::Transient(_)));
    }
}
