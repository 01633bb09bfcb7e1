//! Volumes of Tasks and podTemplates. No I/O.

use k8s_openapi::api::core::v1::Volume;
use serde_json::Value;

use crate::{
    field_error::FieldError,
    validate::{Rules, text},
};

/// A list of volumes at `at`.
pub(super) fn list(rules: &mut Rules<'_>, volumes: &[Volume], at: &str) {
    for (index, volume) in volumes.iter().enumerate() {
        one(rules, volume, &format!("{at}[{index}]"));
    }
}

fn one(rules: &mut Rules<'_>, volume: &Volume, at: &str) {
    if volume.name.is_empty() {
        rules.push(FieldError::own("missing field(s)", format!("{at}.name")));
    } else if !volume.name.contains("$(") && !text::is_dns_label(&volume.name) {
        rules.push(
            FieldError::own(format!("invalid value: {}", volume.name), format!("{at}.name")).with_note(
                format!("{at}.name: lower-case letters, digits and \"-\" are allowed, at most 63"),
            ),
        );
    }
    let tree = serde_json::to_value(volume).unwrap_or_default();
    let sources: Vec<&str> = tree
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::keys)
        .map(String::as_str)
        .filter(|field| *field != "name")
        .collect();
    if sources.len() > 1 {
        rules.push(
            FieldError::own("expected exactly one, got both", at).with_note(format!(
                "{at}: volume \"{}\" has {}; keep one",
                volume.name,
                sources.join(" and ")
            )),
        );
    }
    // A ConfigMap or a projected one has more inside; these are what each cannot be without.
    for (source, field) in [
        ("configMap", "name"),
        ("secret", "secretName"),
        ("persistentVolumeClaim", "claimName"),
        ("hostPath", "path"),
        ("nfs", "server"),
        ("nfs", "path"),
        ("csi", "driver"),
    ] {
        let Some(inner) = tree.get(source) else { continue };
        if inner
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .is_empty()
        {
            rules.push(FieldError::own(
                "missing field(s)",
                format!("{at}.{source}.{field}"),
            ));
        }
    }
    let items = |source: &str| {
        tree.get(source)
            .and_then(|source| source.get("items"))
            .and_then(Value::as_array)
            .cloned()
    };
    for source in ["configMap", "secret"] {
        for (index, item) in items(source).into_iter().flatten().enumerate() {
            for field in ["key", "path"] {
                if item
                    .get(field)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .is_empty()
                {
                    rules.push(FieldError::own(
                        "missing field(s)",
                        format!("{at}.{source}.items[{index}].{field}"),
                    ));
                }
            }
        }
    }
}
