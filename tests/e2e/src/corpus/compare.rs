//! A refusal beside what the case says of it.

use crate::corpus::entry::Document;
use crate::matcher::Mismatch;

/// What the API server puts before a webhook's answer.
const DENIED: &str = "denied the request: ";
/// What the webhook puts before the errors.
const STAGES: [&str; 3] = [
    "validation failed: ",
    "mutation failed: ",
    "decoding request failed: ",
];

/// The errors of a refusal: without what says who refused, and at which stage.
pub(crate) fn errors(message: &str) -> &str {
    let text = message.split_once(DENIED).map_or(message, |(_, text)| text);
    STAGES
        .iter()
        .find_map(|stage| text.strip_prefix(stage))
        .unwrap_or(text)
}

/// The first of the lines that does not come in its turn.
fn missing<'a>(wanted: &'a str, text: &str) -> Option<&'a str> {
    let mut lines = text.split('\n');
    wanted
        .split('\n')
        .find(|wanted| !lines.any(|line| line == *wanted))
}

/// How a refusal differs; `loosely`, lines are enough where the case has the whole text.
pub(crate) fn compare(document: &Document, message: &str, loosely: bool) -> Vec<Mismatch> {
    let text = errors(message);
    let mut found = Vec::new();
    match &document.error {
        Some(error) if document.exact && !loosely && error != text => {
            found.push(Mismatch::new("the whole error", error, text));
        }
        Some(error) => {
            if let Some(line) = missing(error, text) {
                found.push(Mismatch::new("a line of the error", line, text));
            }
        }
        None => {}
    }
    let absent = document
        .names
        .iter()
        .filter(|name| !message.contains(name.as_str()));
    found.extend(absent.map(|name| Mismatch::new("named in the error", name, text)));
    found
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
