//! What holds for every definition, whatever it says of its fields; `fields` holds it to the types.

mod fields;

use serde_json::Value;

use super::schema::OPEN;
use super::{all, files};
use crate::generated::State;

#[test]
fn committed_files_are_current() {
    let root = crate::root().unwrap();
    for file in files().unwrap() {
        assert_eq!(
            file.state(&root).unwrap(),
            State::Unchanged,
            "{}: run `cargo xtask crds`",
            file.path
        );
    }
}

#[test]
fn yaml_reads_back_as_what_was_printed() {
    for crd in all() {
        let read: Value = serde_saphyr::from_str(&crd.plain().unwrap()).unwrap();
        assert_eq!(read["spec"], crd.spec(super::NAMESPACE), "{}", crd.kind);
    }
}

#[test]
fn each_kind_is_stored_in_one_version() {
    for crd in all() {
        let stored: Vec<_> = crd.versions.iter().filter(|v| v.stored).map(|v| v.name).collect();
        assert_eq!(stored.len(), 1, "{}: {stored:?}", crd.kind);
    }
}

/// Client-side `kubectl apply` keeps the whole object in an annotation of at most 256 KiB; the rest is
/// room for what Kubernetes and we add.
#[test]
fn client_side_apply_can_hold_them() {
    for crd in all() {
        let size = crd.spec(super::NAMESPACE).to_string().len();
        assert!(size < 240_000, "{}: {size} bytes", crd.kind);
    }
}

#[test]
fn schemas_refuse_nothing_that_the_webhook_explains_better() {
    for crd in all() {
        for version in &crd.versions {
            each(&version.schema, crd.kind, &mut |schema, path| {
                for word in ["$ref", "required", "default", "enum", "pattern", "nullable"] {
                    assert!(schema.get(word).is_none(), "{path}: {word}");
                }
                assert!(!schema["type"].is_array(), "{path}: several types");
                assert!(
                    schema.get("properties").is_none() || schema[OPEN] == true,
                    "{path}: a typo would be pruned"
                );
                let typed = schema["type"].is_string() || schema["x-kubernetes-int-or-string"] == true;
                assert!(typed || schema[OPEN] == true, "{path}: nothing is said");
            });
        }
    }
}

/// `kubectl explain` has something to say of every field of ours, down to where core types begin.
#[test]
fn fields_have_descriptions() {
    for crd in all() {
        for version in &crd.versions {
            each(&version.schema, crd.kind, &mut |schema, path| {
                let Some(Value::Object(fields)) = schema.get("properties") else {
                    return;
                };
                for (name, field) in fields.iter().filter(|(name, _)| *name != "metadata") {
                    let text = field["description"].as_str().unwrap_or_default();
                    assert!(text.len() > 8, "{path}.{name}: {text:?}");
                    assert!(text.len() <= 160, "{path}.{name}: {text:?} is long");
                }
            });
        }
    }
}

/// Calls with every schema inside a schema and where it is.
fn each(schema: &Value, path: &str, call: &mut impl FnMut(&Value, &str)) {
    call(schema, path);
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(key) {
            each(inner, &format!("{path}[]"), call);
        }
    }
    if let Some(Value::Object(fields)) = schema.get("properties") {
        for (name, field) in fields {
            each(field, &format!("{path}.{name}"), call);
        }
    }
}
