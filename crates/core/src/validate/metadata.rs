//! Names of objects (api.md 3.2).

use super::{Rules, text};
use crate::field_error::FieldError;

/// Rules M1 and M2.
pub(super) fn name(rules: &mut Rules<'_>, name: &str) {
    if !text::is_dns_subdomain(name) {
        rules.push(
            FieldError::new(
                format!("invalid resource name \"{name}\": must be a valid DNS label"),
                "metadata.name",
            )
            .with_note("metadata.name: lower-case letters, digits, \"-\" and \".\" are allowed, beginning and ending with a letter or digit"),
        );
    } else if name.len() > 63 {
        rules.push(
            FieldError::new(
                "Invalid resource name: length must be no more than 63 characters",
                "metadata.name",
            )
            .with_note(format!("metadata.name: \"{name}\" has {} characters", name.len())),
        );
    }
}
