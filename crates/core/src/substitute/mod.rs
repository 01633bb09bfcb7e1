//! Substitute: variables in a spec become values (api.md section 4).
//!
//! Variables come in stages, each a pass over the whole spec: parameters, contexts, step results'
//! paths, results' paths, exit codes, workspaces. A value that a stage brings in is seen by the
//! later ones, never by its own.

mod fields;
mod stages;

use std::{cell::Cell, collections::BTreeMap};

pub(crate) use fields::step;
pub use fields::{pod_template, workspace_binding};
pub use stages::{
    BoundVolume, Context, TooLarge, binding_variables, credentials_path, param_stage, task_spec_stages,
};
use tektite_api::ParamValue;

#[derive(Clone, Debug, PartialEq, Eq)]
struct List {
    items: Vec<String>,
    /// How long they are together.
    bytes: usize,
}

/// What the names between `$(` and `)` stand for, in one stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    strings: BTreeMap<String, String>,
    arrays: BTreeMap<String, List>,
    /// How many bytes they have been replaced by.
    grown: Cell<usize>,
    /// Whether one was not replaced for want of room.
    left_over: Cell<bool>,
}

impl Variables {
    /// A name for a text.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.strings.insert(name.into(), value.into());
    }

    /// A parameter under all the ways to write it.
    pub fn set_param(&mut self, name: &str, value: &ParamValue) {
        for form in param_forms(name) {
            match value {
                ParamValue::String(text) => self.set(form, text),
                ParamValue::Array(items) => {
                    // Around each item, in JSON, there are three bytes more.
                    let bytes = items.iter().map(|item| item.len() + 3).sum();
                    let items = items.clone();
                    self.arrays.insert(form, List { items, bytes });
                }
                ParamValue::Object(_) => {}
            }
        }
        if let ParamValue::Object(map) = value {
            for (key, text) in map {
                self.set(format!("params.{name}.{key}"), text);
            }
        }
    }

    /// Whether a variable stayed as it was because everything together became too large.
    pub fn is_exhausted(&self) -> bool {
        self.left_over.get()
    }

    /// Whether there is room for `bytes` more.
    fn takes(&self, bytes: usize) -> bool {
        let grown = self.grown.get().saturating_add(bytes);
        let fits = grown <= MOST_GROWTH;
        if fits {
            self.grown.set(grown);
        } else {
            self.left_over.set(true);
        }
        fits
    }

    fn array(&self, name: &str) -> Option<&List> {
        self.arrays.get(name.strip_suffix("[*]").unwrap_or(name))
    }

    /// The text that `name` stands for, an element of a list among them.
    fn text(&self, name: &str) -> Option<&String> {
        let element = || {
            let (list, digits) = name.strip_suffix(']')?.rsplit_once('[')?;
            // One way to write a number: `01` is none.
            let index: usize = digits.parse().ok()?;
            let items = &self
                .arrays
                .get(list)
                .filter(|_| digits == index.to_string())?
                .items;
            items.get(index)
        };
        self.strings.get(name).or_else(element)
    }

    /// The list that `text` stands for when it is nothing but one variable.
    fn whole_array(&self, text: &str) -> Option<&[String]> {
        let list = self.array(text.strip_prefix("$(")?.strip_suffix(')')?)?;
        self.takes(list.bytes).then_some(list.items.as_slice())
    }

    /// Replaces every known variable in `text`, once, from left to right. Everything else stays, and
    /// what there is no room for: see [`MOST_GROWTH`].
    pub fn apply(&self, text: &mut String) {
        if !text.contains("$(") {
            return;
        }
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(start) = rest.find("$(") {
            let (before, from) = rest.split_at(start);
            replaced.push_str(before);
            // The name ends at the first `)` that makes it a known one: names may hold anything but
            // another variable's beginning, and none is longer than this.
            let mut end = from.len().min(2 + LONGEST_NAME);
            while !from.is_char_boundary(end) {
                end -= 1;
            }
            let window = &from[..end];
            let window = window[2..].find("$(").map_or(window, |next| &window[..2 + next]);
            let known = window
                .match_indices(')')
                .take(4)
                .find_map(|(end, _)| Some((end, self.text(&from[2..end])?)));
            match known {
                Some((end, value)) if self.takes(value.len()) => {
                    replaced.push_str(value);
                    rest = &from[end + 1..];
                }
                _ => {
                    replaced.push_str("$(");
                    rest = &from[2..];
                }
            }
        }
        replaced.push_str(rest);
        *text = replaced;
    }

    /// Replaces in a list; an element that is one list variable becomes that list's elements.
    pub fn apply_list(&self, list: &mut Vec<String>) {
        if !list.iter().any(|item| item.contains("$(")) {
            return;
        }
        let mut replaced = Vec::with_capacity(list.len());
        for mut item in list.drain(..) {
            match self.whole_array(&item) {
                Some(items) => replaced.extend_from_slice(items),
                None => {
                    self.apply(&mut item);
                    replaced.push(item);
                }
            }
        }
        *list = replaced;
    }
}

/// The most that a set of variables is replaced by, in bytes, over all texts: a value of a megabyte that
/// is used ten thousand times would be ten gigabytes, and an API server takes no object that is larger
/// than three megabytes.
pub const MOST_GROWTH: usize = 4 * 1024 * 1024;

/// The longest text between `$(` and `)` that is looked up.
pub(crate) const LONGEST_NAME: usize = 1024;

fn param_forms(name: &str) -> [String; 4] {
    [
        format!("params.{name}"),
        format!("params[\"{name}\"]"),
        format!("params['{name}']"),
        format!("inputs.params.{name}"),
    ]
}

#[cfg(test)]
mod tests;
