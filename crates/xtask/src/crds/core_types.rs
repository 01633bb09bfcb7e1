//! Schemas of core/v1 types, made from what k8s-openapi says of them: what is structural stays, each
//! description shrinks to its first sentence, and the rest goes.

use k8s_openapi::api::core::v1::Volume;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::schema::{OPEN, list, open_object};

/// A description longer than this is cut at a word.
const LONGEST: usize = 120;

/// Sources of a volume that hardly a Task has, mostly removed from Kubernetes or replaced by CSI
/// drivers: their fields would take 23 KB of the 256 that a TaskRun's definition may have.
const RARE_VOLUMES: [&str; 19] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "iscsi",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

const METADATA: &str = "Labels and annotations of the object to make.";

/// A core type under our own description.
pub(super) fn core<T: JsonSchema>(description: &str) -> Value {
    let mut schema = bare::<T>();
    schema["description"] = json!(description);
    schema
}

/// A list of a core type under our own description.
pub(super) fn core_list<T: JsonSchema>(description: &str) -> Value {
    list(description, bare::<T>())
}

/// The volumes of a Task or a podTemplate.
pub(super) fn volumes(description: &str) -> Value {
    let mut volume = bare::<Volume>();
    for name in RARE_VOLUMES {
        let source = &mut volume["properties"][name];
        let description = source["description"].take();
        *source = json!({"type": "object", "description": description, OPEN: true});
    }
    list(description, volume)
}

/// A core type as its own fields describe it.
pub(super) fn bare<T: JsonSchema>() -> Value {
    let schema = SchemaSettings::default()
        .into_generator()
        .into_root_schema_for::<T>();
    let schema = schema.as_value();
    structural(schema, &schema["$defs"])
}

/// What the API server takes as a structural schema, with what it refers to in its place.
fn structural(schema: &Value, types: &Value) -> Value {
    let target = schema["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix("#/$defs/"));
    let mut kept = match target {
        // `cpu: 0.5` is as good as `"500m"`, and IntOrString would refuse a fraction.
        Some(name) if name.ends_with(".Quantity") => Map::from_iter([(OPEN.to_owned(), json!(true))]),
        Some(name) => match structural(&types[name], types) {
            Value::Object(target) => target,
            _ => Map::new(),
        },
        None => Map::new(),
    };
    if let Some(Value::String(text)) = schema.get("description") {
        kept.insert("description".to_owned(), json!(sentence(text)));
    }
    if schema.get("x-kubernetes-int-or-string").is_some() {
        kept.insert("x-kubernetes-int-or-string".to_owned(), json!(true));
        kept.insert(
            "anyOf".to_owned(),
            json!([{"type": "integer"}, {"type": "string"}]),
        );
        return Value::Object(kept);
    }
    for key in ["type", "format"] {
        if let Some(value) = schema.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(key) {
            kept.insert(key.to_owned(), structural(inner, types));
        }
    }
    if let Some(Value::Object(fields)) = schema.get("properties") {
        let fields: Map<_, _> = fields
            .iter()
            .map(|(name, field)| match name.as_str() {
                // Of an object inside another, with more fields than anything around it.
                "metadata" => (name.clone(), open_object(METADATA)),
                _ => (name.clone(), structural(field, types)),
            })
            .collect();
        kept.insert("properties".to_owned(), Value::Object(fields));
        kept.insert(OPEN.to_owned(), json!(true));
    } else if kept.get("type").is_some_and(|kind| kind == "object")
        && !kept.contains_key("additionalProperties")
    {
        kept.insert(OPEN.to_owned(), json!(true));
    }
    Value::Object(kept)
}

/// The first sentence of a description, cut at a word where it is long.
fn sentence(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.split(" More info").next().unwrap_or_default();
    let end = text
        .match_indices(". ")
        .map(|(at, _)| at)
        .find(|at| {
            // "Required." alone says too little.
            let before = &text[..*at];
            let short = ["e.g", "i.e", "etc"].iter().any(|short| before.ends_with(short));
            !short && before.contains(' ')
        })
        .unwrap_or(text.len());
    let first = text[..end].trim_end_matches('.');
    if first.chars().count() <= LONGEST {
        return format!("{first}.");
    }
    let mut cut = String::new();
    for word in first.split(' ') {
        if cut.chars().count() + word.chars().count() > LONGEST {
            break;
        }
        cut.push_str(word);
        cut.push(' ');
    }
    format!("{}...", cut.trim_end_matches([' ', ',', ';', ':', '(']))
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn descriptions_end_with_their_first_sentence() {
        for (text, expected) in [
            ("Just one. Two.", "Just one."),
            ("No end", "No end."),
            ("Required. Says it. More.", "Required. Says it."),
            ("What it is More info: elsewhere", "What it is."),
            ("Rules, e.g. this one.\nMore.", "Rules, e.g. this one."),
        ] {
            assert_eq!(sentence(text), expected);
        }
        let long = sentence(&"word ".repeat(60));
        assert!(long.len() <= 123 && long.ends_with("word..."), "{long}");
    }
}
