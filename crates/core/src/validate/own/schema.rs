//! Rules about fields of Kubernetes' own types, as tables of paths and checks. No I/O.
//!
//! The API server says the same when the Pod is made, and then the run has failed. Texts that hold
//! variables pass: what they become is not known here.

use std::{borrow::Cow, collections::HashMap};

use serde_json::Value;

use super::forms::Form;
use crate::{
    field_error::FieldError,
    quantity::Quantity,
    validate::{Rules, text},
};

/// What one field has to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// One of these words, or nothing.
    OneOf(&'static [&'static str]),
    /// A text of this form, or nothing.
    Form(Form),
    /// A whole number from here to there.
    Range(i64, i64),
    /// An amount that is not negative.
    Amount,
    /// An object that has these fields, and something in them.
    Needs(&'static [&'static str]),
    /// An object that has exactly one of these fields.
    One(&'static [&'static str]),
    /// A list of at least one element.
    NotEmpty,
    /// A list of at most so many.
    AtMost(usize),
}

/// A table: where, and what. A path's parts are fields; `[]` behind one means its elements, `{}` a map's
/// values, `{k}` its keys. The empty path is the object itself.
pub(super) type Table = &'static [(&'static str, Check)];

/// A table in the form in which it is walked.
#[derive(Debug, Default)]
pub(super) struct Schema {
    checks: Vec<Check>,
    fields: HashMap<&'static str, Schema>,
    elements: Option<Box<Schema>>,
    values: Option<Box<Schema>>,
    keys: Vec<Check>,
}

impl Schema {
    /// From one table, or several.
    pub(super) fn new(tables: &[Table]) -> Self {
        let mut schema = Self::default();
        for (path, check) in tables.iter().copied().flatten() {
            schema.add(path, *check);
        }
        schema
    }

    /// Puts `inner` under field `path`.
    pub(super) fn with(mut self, path: &'static str, tables: &[Table]) -> Self {
        for (inner, check) in tables.iter().copied().flatten() {
            let mut at = &mut self;
            for part in path.split('.').filter(|part| !part.is_empty()) {
                at = at.step(part);
            }
            at.add(inner, *check);
        }
        self
    }

    fn step(&mut self, part: &'static str) -> &mut Self {
        if let Some(field) = part.strip_suffix("[]") {
            return self
                .fields
                .entry(field)
                .or_default()
                .elements
                .get_or_insert_default();
        }
        if let Some(field) = part.strip_suffix("{}") {
            return self
                .fields
                .entry(field)
                .or_default()
                .values
                .get_or_insert_default();
        }
        self.fields.entry(part).or_default()
    }

    fn add(&mut self, path: &'static str, check: Check) {
        let mut at = self;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            if let Some(field) = part.strip_suffix("{k}") {
                at.fields.entry(field).or_default().keys.push(check);
                return;
            }
            at = at.step(part);
        }
        at.checks.push(check);
    }

    /// Checks `tree`, which stands at `path`.
    pub(super) fn check(&self, rules: &mut Rules<'_>, tree: &Value, path: &str) {
        self.walk(
            rules,
            tree,
            &Place {
                above: None,
                part: Part::Field(path),
            },
        );
    }

    fn walk(&self, rules: &mut Rules<'_>, tree: &Value, place: &Place<'_>) {
        for check in &self.checks {
            check.apply(rules, tree, place);
        }
        match tree {
            Value::Object(fields) => {
                for (name, value) in fields {
                    for check in &self.keys {
                        check.apply(rules, &Value::String(name.clone()), &place.then(Part::Key(name)));
                    }
                    if let Some(schema) = self.fields.get(name.as_str()) {
                        schema.walk(rules, value, &place.then(Part::Field(name)));
                    } else if let Some(schema) = &self.values {
                        schema.walk(rules, value, &place.then(Part::Key(name)));
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.elements {
                    for (index, item) in items.iter().enumerate() {
                        schema.walk(rules, item, &place.then(Part::Index(index)));
                    }
                }
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Field(&'a str),
    Key(&'a str),
    Index(usize),
}

/// Where a value stands; its path is only written where there is something to say.
struct Place<'a> {
    above: Option<&'a Place<'a>>,
    part: Part<'a>,
}

impl<'a> Place<'a> {
    const fn then(&'a self, part: Part<'a>) -> Self {
        Place {
            above: Some(self),
            part,
        }
    }

    fn path(&self) -> String {
        let above = self.above.map(Place::path).unwrap_or_default();
        match self.part {
            Part::Field(name) if above.is_empty() => name.to_owned(),
            Part::Field(name) => format!("{above}.{name}"),
            Part::Key(name) => format!("{above}[{name}]"),
            Part::Index(index) => format!("{above}[{index}]"),
        }
    }
}

/// Whether there is nothing in a field.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

impl Check {
    fn apply(self, rules: &mut Rules<'_>, value: &Value, place: &Place<'_>) {
        let text = value.as_str().unwrap_or_default();
        let variable = text.contains("$(");
        match self {
            Self::OneOf(words) => {
                if !text.is_empty() && !variable && !words.contains(&text) {
                    let hint = text::nearest(text, words.iter().copied())
                        .map_or_else(String::new, |nearest| format!("; did you mean \"{nearest}\"?"));
                    refuse(
                        rules,
                        text,
                        place,
                        &format!("allowed are {}{hint}", words.join(", ")),
                    );
                }
            }
            Self::Form(form) => {
                let text = match value {
                    Value::Number(number) => Cow::Owned(number.to_string()),
                    _ => Cow::Borrowed(text),
                };
                if !text.is_empty() && !variable && !form.fits(&text) {
                    refuse(rules, &text, place, form.wanted());
                }
            }
            Self::Range(least, most) => {
                if let Some(number) = value.as_i64().filter(|number| !(least..=most).contains(number)) {
                    refuse(rules, &number.to_string(), place, &range(least, most));
                }
            }
            Self::Amount => match text.parse::<Quantity>() {
                _ if text.is_empty() => {}
                Ok(amount) if !amount.is_negative() => {}
                Ok(_) => refuse(rules, text, place, "an amount is not negative"),
                Err(error) => refuse(rules, text, place, &error.to_string()),
            },
            Self::Needs(fields) => {
                for field in fields.iter().filter(|_| value.is_object()) {
                    if value.get(*field).is_none_or(is_empty) {
                        rules.push(FieldError::own(
                            "missing field(s)",
                            format!("{}.{field}", place.path()),
                        ));
                    }
                }
            }
            Self::One(fields) => {
                let given: Vec<&str> = fields
                    .iter()
                    .copied()
                    .filter(|field| value.get(*field).is_some())
                    .collect();
                if value.is_object() && given.len() != 1 {
                    let got = if given.is_empty() { "neither" } else { "both" };
                    let path = place.path();
                    rules.push(
                        FieldError::own(format!("expected exactly one, got {got}"), path.clone()).with_note(
                            format!(
                                "{path}: one of {} (given: {})",
                                fields.join(", "),
                                if given.is_empty() {
                                    "none".to_owned()
                                } else {
                                    given.join(", ")
                                }
                            ),
                        ),
                    );
                }
            }
            Self::NotEmpty => {
                if value.as_array().is_some_and(Vec::is_empty) {
                    rules.push(FieldError::own(
                        "missing field(s)",
                        format!("{}[0]", place.path()),
                    ));
                }
            }
            Self::AtMost(most) => {
                if let Some(items) = value.as_array().filter(|items| items.len() > most) {
                    refuse(
                        rules,
                        &format!("{} elements", items.len()),
                        place,
                        &format!("at most {most}"),
                    );
                }
            }
        }
    }
}

fn range(least: i64, most: i64) -> String {
    if most == i64::MAX {
        format!("allowed is {least} and more")
    } else {
        format!("allowed are {least} to {most}")
    }
}

fn refuse(rules: &mut Rules<'_>, value: &str, place: &Place<'_>, wanted: &str) {
    let path = place.path();
    let note = format!("{path}: {wanted}");
    rules.push(FieldError::own(format!("invalid value: {value}"), path).with_note(note));
}
