//! Pieces of OpenAPI schema that the kinds share.

use serde_json::{Value, json};

/// An object whose fields the API server lets through, known or not: an unknown field must reach
/// the webhook, which refuses it by name, instead of being pruned in silence.
pub(crate) fn open_object(description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// The outermost schema of a kind.
pub(crate) fn resource(description: &str, spec: &Value, status: &Value) -> Value {
    json!({
        "type": "object",
        "description": description,
        "properties": {
            "apiVersion": {
                "type": "string",
                "description": "API group and version of this object.",
            },
            "kind": {"type": "string", "description": "Kind of this object."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    })
}

/// A column of `kubectl get`.
pub(crate) fn column(name: &str, kind: &str, path: &str) -> Value {
    json!({"name": name, "type": kind, "jsonPath": path})
}
