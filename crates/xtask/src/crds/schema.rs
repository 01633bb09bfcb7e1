//! Pieces of OpenAPI schema that the kinds share: every shape that a field of ours can have.
//!
//! No schema here says `required`, `enum` or `default`: what is missing or wrong must reach the
//! webhook, which says so in words. An object lets unknown fields through for the same reason; the
//! API server would prune a typo in silence.

use serde_json::{Value, json};

pub(super) const OPEN: &str = "x-kubernetes-preserve-unknown-fields";

/// An object of which nothing is said.
pub(super) fn open_object(description: &str) -> Value {
    json!({"type": "object", "description": description, OPEN: true})
}

/// An object with these fields, and whatever else its author wrote.
pub(super) fn object(description: &str, fields: Value) -> Value {
    let mut object = open_object(description);
    object["properties"] = fields;
    object
}

/// Anything: a text, a list, a map.
pub(super) fn any(description: &str) -> Value {
    json!({"description": description, OPEN: true})
}

pub(super) fn string(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

pub(super) fn boolean(description: &str) -> Value {
    json!({"type": "boolean", "description": description})
}

pub(super) fn integer(description: &str) -> Value {
    json!({"type": "integer", "format": "int64", "description": description})
}

pub(super) fn time(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": description})
}

pub(super) fn list(description: &str, items: Value) -> Value {
    json!({"type": "array", "description": description, "items": items})
}

pub(super) fn strings(description: &str) -> Value {
    list(description, json!({"type": "string"}))
}

/// An object whose keys are its author's.
pub(super) fn map(description: &str, values: Value) -> Value {
    json!({"type": "object", "description": description, "additionalProperties": values})
}

pub(super) fn string_map(description: &str) -> Value {
    map(description, json!({"type": "string"}))
}

/// The outermost schema of a kind.
pub(super) fn resource(description: &str, spec: &Value, status: &Value) -> Value {
    object(
        description,
        json!({
            "apiVersion": string("API group and version of this object."),
            "kind": string("Kind of this object."),
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        }),
    )
}

/// A column of `kubectl get`.
pub(super) fn column(name: &str, kind: &str, path: &str) -> Value {
    json!({"name": name, "type": kind, "jsonPath": path})
}
