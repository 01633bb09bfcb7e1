//! Environment variables. No I/O.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar};

use crate::{field_error::FieldError, validate::Rules};

/// A list of variables at `at`.
pub(super) fn list(rules: &mut Rules<'_>, list: &[EnvVar], at: &str) {
    for (index, env) in list.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if env.name.is_empty() {
            rules.push(FieldError::own("missing field(s)", format!("{at}.name")));
        } else if !env.name.bytes().all(|c| c.is_ascii_graphic() || c == b' ') || env.name.contains('=') {
            rules.push(
                FieldError::own(format!("invalid value: {}", env.name), format!("{at}.name"))
                    .with_note(format!("{at}.name: printable ASCII without \"=\"")),
            );
        }
        let Some(from) = &env.value_from else { continue };
        if env.value.as_ref().is_some_and(|value| !value.is_empty()) {
            rules.push(
                FieldError::own("expected exactly one, got both", format!("{at}.value")).with_note(format!(
                    "{at}: variable \"{}\" has value and valueFrom; keep one",
                    env.name
                )),
            );
        }
        let given: Vec<&str> = [
            ("configMapKeyRef", from.config_map_key_ref.is_some()),
            ("secretKeyRef", from.secret_key_ref.is_some()),
            ("fieldRef", from.field_ref.is_some()),
            ("resourceFieldRef", from.resource_field_ref.is_some()),
            ("fileKeyRef", from.file_key_ref.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect();
        if given.len() != 1 {
            let got = if given.is_empty() { "neither" } else { "both" };
            rules.push(
                FieldError::own(format!("expected exactly one, got {got}"), format!("{at}.valueFrom"))
                    .with_note(format!(
                        "{at}.valueFrom: one of configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef, fileKeyRef (given: {})",
                        if given.is_empty() { "none".to_owned() } else { given.join(", ") }
                    )),
            );
        }
        let keys = [
            (
                "configMapKeyRef",
                from.config_map_key_ref
                    .as_ref()
                    .map(|source| (&source.name, &source.key)),
            ),
            (
                "secretKeyRef",
                from.secret_key_ref
                    .as_ref()
                    .map(|source| (&source.name, &source.key)),
            ),
        ];
        for (source, pair) in keys {
            let Some((name, key)) = pair else { continue };
            for (value, field) in [(name, "name"), (key, "key")] {
                if value.is_empty() {
                    rules.push(FieldError::own(
                        "missing field(s)",
                        format!("{at}.valueFrom.{source}.{field}"),
                    ));
                }
            }
        }
        if from
            .field_ref
            .as_ref()
            .is_some_and(|field| field.field_path.is_empty())
        {
            rules.push(FieldError::own(
                "missing field(s)",
                format!("{at}.valueFrom.fieldRef.fieldPath"),
            ));
        }
    }
}

/// A list of ConfigMaps and Secrets at `at`.
pub(super) fn sources(rules: &mut Rules<'_>, list: &[EnvFromSource], at: &str) {
    for (index, source) in list.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let got = match (&source.config_map_ref, &source.secret_ref) {
            (Some(_), None) | (None, Some(_)) => None,
            (None, None) => Some("neither"),
            (Some(_), Some(_)) => Some("both"),
        };
        if let Some(got) = got {
            rules.push(
                FieldError::own(format!("expected exactly one, got {got}"), at.clone())
                    .with_note(format!("{at}: configMapRef or secretRef")),
            );
        }
        let names = [
            (
                "configMapRef",
                source.config_map_ref.as_ref().map(|source| &source.name),
            ),
            ("secretRef", source.secret_ref.as_ref().map(|source| &source.name)),
        ];
        for (field, name) in names {
            if name.is_some_and(String::is_empty) {
                rules.push(FieldError::own("missing field(s)", format!("{at}.{field}.name")));
            }
        }
    }
}
