//! What a case expects beside what the cluster holds: pure comparison, no I/O.
//!
//! A partial value matches when everything that it names is there: maps are compared by the keys
//! that are given, lists element by element and of the same length, `null` stands for "not set".
//! In place of a value there may be an operator: `{contains: …}`, `{lacks: …}`, `{matches: …}` or
//! `{exact: …}`.

use std::fmt::Write as _;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One difference, with the path of the value that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Where, such as `pod.spec.containers[0].image`.
    pub(crate) path: String,
    /// What the case asks for.
    pub(crate) expected: String,
    /// What was found.
    pub(crate) actual: String,
}

impl Mismatch {
    /// A difference between two texts.
    pub(crate) fn new(
        path: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            expected: expected.into(),
            actual: actual.into(),
        }
    }
}

/// A test of one text: a regular expression that is searched for, or a literal text.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    /// Found anywhere in the text.
    Regex(Regex),
    /// Part of the text.
    Contains(String),
    /// The text itself.
    Exact(String),
}

impl Pattern {
    /// Whether the text passes.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(text),
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Exact(whole) => text == whole,
        }
    }

    /// The pattern as a report prints it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Regex(regex) => format!("/{regex}/"),
            Self::Contains(part) => format!("containing {}", quoted(part)),
            Self::Exact(whole) => quoted(whole),
        }
    }
}

/// Text as a report prints it: quoted, with nothing invisible in it.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;

        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        enum Literal {
            Contains(String),
            Exact(String),
            Matches(String),
        }
        let regex = |text: &str| Regex::new(text).map(Self::Regex).map_err(D::Error::custom);
        match Value::deserialize(deserializer)? {
            Value::String(text) => regex(&text),
            value @ Value::Object(_) => match serde_json::from_value(value).map_err(D::Error::custom)? {
                Literal::Contains(part) => Ok(Self::Contains(part)),
                Literal::Exact(whole) => Ok(Self::Exact(whole)),
                Literal::Matches(text) => regex(&text),
            },
            other => Err(D::Error::custom(format!(
                "a pattern is a regular expression, {{contains: text}} or {{exact: text}}, not {other}"
            ))),
        }
    }
}

/// The keys that may stand in place of a value.
const OPERATORS: [&str; 4] = ["contains", "lacks", "matches", "exact"];

/// The map as operators, if it is nothing else.
fn operators<'a>(map: &'a Map<String, Value>, actual: Option<&Value>) -> Option<&'a Map<String, Value>> {
    let only = !map.is_empty() && map.keys().all(|key| OPERATORS.contains(&key.as_str()));
    // A map may have a key of that name itself; `exact` alone is meant for maps.
    let meant = !matches!(actual, Some(Value::Object(_))) || map.keys().all(|key| key == "exact");
    (only && meant).then_some(map)
}

/// Looks for regular expressions that do not compile, before any case runs.
pub(crate) fn validate(expected: &Value) -> Result<(), String> {
    match expected {
        Value::Array(list) => list.iter().try_for_each(validate),
        Value::Object(map) => {
            if let Some(Value::String(text)) = operators(map, None).and_then(|map| map.get("matches")) {
                Regex::new(text).map_err(|error| error.to_string())?;
            }
            map.values().try_for_each(validate)
        }
        _ => Ok(()),
    }
}

/// Compares a partial value with what was found (`None`: nothing there).
pub(crate) fn subset(expected: &Value, actual: Option<&Value>, path: &str) -> Vec<Mismatch> {
    let mut found = Vec::new();
    compare(expected, actual, path, Mode::Subset, &mut found);
    found
}

/// Compares a whole value; operators are still allowed in place of its parts.
pub(crate) fn exact(expected: &Value, actual: Option<&Value>, path: &str) -> Vec<Mismatch> {
    let mut found = Vec::new();
    compare(expected, actual, path, Mode::Exact, &mut found);
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Subset,
    Exact,
}

fn compare(expected: &Value, actual: Option<&Value>, path: &str, mode: Mode, found: &mut Vec<Mismatch>) {
    match (expected, actual) {
        (Value::Object(map), _) if operators(map, actual).is_some() => {
            for (operator, operand) in map {
                apply(operator, operand, actual, path, found);
            }
        }
        (Value::Null, None | Some(Value::Null)) => {}
        (Value::Object(map), Some(Value::Object(other))) => {
            for (key, value) in map {
                compare(value, other.get(key), &format!("{path}.{key}"), mode, found);
            }
            if mode == Mode::Exact {
                for (key, value) in other.iter().filter(|(key, _)| !map.contains_key(*key)) {
                    found.push(Mismatch::new(
                        format!("{path}.{key}"),
                        "(not set)",
                        show(Some(value)),
                    ));
                }
            }
        }
        (Value::Array(list), Some(Value::Array(other))) if list.len() == other.len() => {
            for (index, (value, seen)) in list.iter().zip(other).enumerate() {
                compare(value, Some(seen), &format!("{path}[{index}]"), mode, found);
            }
        }
        (Value::Array(list), Some(Value::Array(other))) => found.push(Mismatch::new(
            path,
            format!("{} elements: {}", list.len(), show(Some(expected))),
            format!("{} elements: {}", other.len(), show(actual)),
        )),
        (_, Some(value)) if value == expected => {}
        _ => found.push(Mismatch::new(path, show(Some(expected)), show(actual))),
    }
}

fn apply(operator: &str, operand: &Value, actual: Option<&Value>, path: &str, found: &mut Vec<Mismatch>) {
    match (operator, operand, actual) {
        ("exact", whole, _) => compare(whole, actual, path, Mode::Exact, found),
        ("matches", Value::String(pattern), Some(value)) => {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned);
            if !Regex::new(pattern).is_ok_and(|regex| regex.is_match(&text)) {
                found.push(Mismatch::new(path, format!("/{pattern}/"), show(actual)));
            }
        }
        ("contains", Value::String(part), Some(Value::String(text))) if text.contains(part.as_str()) => {}
        ("lacks", Value::String(part), Some(Value::String(text))) if !text.contains(part.as_str()) => {}
        ("contains", Value::Array(wanted), Some(Value::Array(list))) => {
            for element in wanted {
                if let Some(mismatch) = missing(element, list, path) {
                    found.push(mismatch);
                }
            }
        }
        ("lacks", Value::Array(unwanted), Some(Value::Array(list))) => {
            for element in unwanted {
                if let Some(index) = list
                    .iter()
                    .position(|seen| subset(element, Some(seen), "").is_empty())
                {
                    found.push(Mismatch::new(
                        path,
                        format!("no element like {}", show(Some(element))),
                        format!("[{index}]: {}", show(list.get(index))),
                    ));
                }
            }
        }
        ("lacks", _, None | Some(Value::Null)) => {}
        _ => found.push(Mismatch::new(
            path,
            format!("{operator} {}", show(Some(operand))),
            show(actual),
        )),
    }
}

/// The mismatch for an element that no member of the list matches, naming what comes closest.
fn missing(element: &Value, list: &[Value], path: &str) -> Option<Mismatch> {
    let closest = list
        .iter()
        .enumerate()
        .map(|(index, seen)| subset(element, Some(seen), &format!("[{index}]")))
        .min_by_key(Vec::len);
    let mut actual = match closest {
        Some(differences) if differences.is_empty() => return None,
        None => return Some(Mismatch::new(path, contains(element), "(empty list)")),
        Some(differences) => differences.iter().fold(
            "the closest element differs".to_owned(),
            |mut text, difference| {
                let Mismatch {
                    path,
                    expected,
                    actual,
                } = difference;
                let _ = write!(text, "; {path}: expected {expected}, got {actual}");
                text
            },
        ),
    };
    if list.iter().all(|value| !value.is_object()) {
        actual = show(Some(&Value::Array(list.to_vec())));
    }
    Some(Mismatch::new(path, contains(element), actual))
}

fn contains(element: &Value) -> String {
    format!("an element like {}", show(Some(element)))
}

/// A value as a report prints it.
pub(crate) fn show(value: Option<&Value>) -> String {
    match value {
        None => "(not set)".to_owned(),
        Some(value) => value.to_string(),
    }
}

/// Looks for lines that match the patterns in order; returns the first that is missing.
pub(crate) fn in_order<'a>(patterns: &'a [Pattern], text: &str) -> Option<&'a Pattern> {
    let mut lines = text.split('\n');
    patterns
        .iter()
        .find(|pattern| !lines.any(|line| pattern.is_match(line)))
}

#[cfg(test)]
#[path = "matcher_tests.rs"]
mod tests;
