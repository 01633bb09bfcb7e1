//! References to Tasks and StepActions (api.md 3.4).

use tektite_api::Param;

use super::{Rules, task_run::unique_ignoring_case, text};
use crate::{config::ApiFields, field_error::FieldError};

/// What is referred to.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) name: &'a str,
    pub(super) resolver: &'a str,
    pub(super) params: &'a [Param],
}

/// F1 to F10. `path` is the reference's, or for a step's the step's own.
pub(super) fn check(rules: &mut Rules<'_>, target: Target<'_>, path: &str) {
    let Target {
        name,
        resolver,
        params,
    } = target;
    let name_path = format!("{path}.name");
    if !params.is_empty() {
        rules.gate("resolver params", ApiFields::Beta);
        if !name.is_empty() {
            rules.push(
                FieldError::both(&[&name_path, &format!("{path}.params")]).with_note(format!(
                    "{path}: a resolver is told by params what to fetch, a stored object is named; keep one"
                )),
            );
        }
        if resolver.is_empty() {
            rules.push(FieldError::missing(format!("{path}.resolver")).with_note(format!(
                "{path}: params are for a resolver: name it, such as git, bundles, hub, http or cluster"
            )));
        }
        unique_ignoring_case(
            rules,
            params.iter().map(|param| param.name.as_str()),
            |_, name| format!("{path}[{name}].name"),
            "parameter names are compared without regard to case",
        );
    }
    let concise = rules.config.flags.concise_resolver_syntax;
    if !resolver.is_empty() {
        rules.gate("resolver", ApiFields::Beta);
        if !name.is_empty() {
            if !text::is_url_like(name) {
                rules.push(FieldError::invalid("invalid URI for request", name_path).with_note(format!(
                    "{path}: with resolver \"{resolver}\" there is no name (given: \"{name}\"); say in params what it shall fetch"
                )));
            } else if !concise {
                rules.push(concise_syntax(path));
            }
        }
        return;
    }
    if name.is_empty() {
        if params.is_empty() {
            let note = format!(
                "{path}: write the name of an object in this namespace, or a resolver with its params"
            );
            rules.push(FieldError::missing(name_path).with_note(note));
        }
        return;
    }
    if text::is_url_like(name) {
        if !concise {
            rules.push(concise_syntax(path));
        }
        rules.push(FieldError::missing(format!("{path}.resolver")).with_note(format!(
            "{path}: \"{name}\" looks like an address, which only a resolver can fetch"
        )));
    } else {
        let problems = text::qualified_name_problems(name);
        if !problems.is_empty() {
            let note = format!("{name_path}: \"{name}\" cannot be an object's name");
            rules.push(FieldError::invalid(problems.join(","), name_path).with_note(note));
        }
    }
}

fn concise_syntax(path: &str) -> FieldError {
    FieldError::new(
        "feature flag enable-concise-resolver-syntax should be set to true to use concise resolver syntax",
        path,
    )
    .with_note(format!("{path}: the cluster's operator allows addresses as names with `enable-concise-resolver-syntax: \"true\"` in ConfigMap feature-flags"))
}
