//! Sidecars (api.md 3.5, T33 to T35). Upstream's paths have no index; the explanation has it.

use tektite_api::Sidecar;

use super::Rules;
use crate::field_error::FieldError;

pub(super) fn check(rules: &mut Rules<'_>, sidecars: &[Sidecar], path: &str) {
    for (index, sidecar) in sidecars.iter().enumerate() {
        let at = format!("{path}.sidecars[{index}]");
        if sidecar.name == "tekton-log-results" {
            rules.push(
                FieldError::new(
                    "Invalid: cannot use reserved sidecar name tekton-log-results ",
                    format!("{path}.sidecars.name"),
                )
                .with_note(format!("{at}.name: \"tekton-log-results\" is the engine's own")),
            );
        }
        if sidecar.image.is_empty() {
            rules.push(
                FieldError::missing(format!("{path}.sidecars.image"))
                    .with_note(format!("{at}: sidecar \"{}\" needs an image", sidecar.name)),
            );
        }
        if !sidecar.script.is_empty() && !sidecar.command.is_empty() {
            rules.push(
                FieldError::new(
                    "script cannot be used with command",
                    format!("{path}.sidecars.script"),
                )
                .with_note(format!("{at}: sidecar \"{}\" has both; keep one", sidecar.name)),
            );
        }
    }
}
