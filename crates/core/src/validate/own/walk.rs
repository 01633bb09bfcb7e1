//! Every text of a spec, with its place. No I/O.

use std::fmt::Write as _;

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
    let mut walk = Walk::default();
    walk.visit(tree);
    walk.found
}

/// The place that is looked at; most places have no text to tell of, so theirs is never a text of its own.
#[derive(Default)]
struct Walk<'a> {
    path: String,
    pattern: String,
    found: Vec<Found<'a>>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, tree: &'a Value) {
        let (path, pattern) = (self.path.len(), self.pattern.len());
        match tree {
            Value::String(text) if text.contains("$(") => self.found.push(Found {
                path: self.path.clone(),
                pattern: self.pattern.clone(),
                text,
            }),
            Value::Array(items) => {
                self.pattern.push_str("[]");
                for (index, item) in items.iter().enumerate() {
                    // A String takes whatever is written to it.
                    let _ = write!(self.path, "[{index}]");
                    self.visit(item);
                    self.path.truncate(path);
                }
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    let dot = if path == 0 { "" } else { "." };
                    for place in [&mut self.path, &mut self.pattern] {
                        place.push_str(dot);
                        place.push_str(key);
                    }
                    self.visit(value);
                    self.path.truncate(path);
                    self.pattern.truncate(pattern);
                }
            }
            _ => {}
        }
        self.pattern.truncate(pattern);
    }
}
