//! Every text of a spec, with its place. No I/O.

use serde_json::Value;

/// A text somewhere in a spec.
pub(super) struct Found<'a> {
    /// Where: `steps[0].env[1].value`.
    pub(super) path: String,
    /// The same without its indices: `steps[].env[].value`.
    pub(super) pattern: String,
    pub(super) text: &'a str,
}

impl Found<'_> {
    /// The index of the first list on the way: the step's in `steps[2].args[0]`.
    pub(super) fn first_index(&self) -> Option<usize> {
        let (_, rest) = self.path.split_once('[')?;
        rest.split_once(']')?.0.parse().ok()
    }
}

/// All texts in `tree` that hold `$(`.
pub(super) fn texts(tree: &Value) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    visit(tree, String::new(), String::new(), &mut found);
    found
}

fn visit<'a>(tree: &'a Value, path: String, pattern: String, found: &mut Vec<Found<'a>>) {
    match tree {
        Value::String(text) if text.contains("$(") => found.push(Found { path, pattern, text }),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, format!("{path}[{index}]"), format!("{pattern}[]"), found);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                visit(
                    value,
                    format!("{path}{dot}{key}"),
                    format!("{pattern}{dot}{key}"),
                    found,
                );
            }
        }
        _ => {}
    }
}
