//! How a later step takes an earlier one's result (api.md 4.6). No I/O.

use tektite_api::{ParamType, Step, TaskResult};

/// What stands behind a result's name.
enum Tail<'a> {
    None,
    Star,
    Index,
    Key(&'a str),
    Other,
}

/// Where the text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// An element of a list, and nothing else is in it: a list can take its place.
    Alone,
    /// Anywhere else.
    Text,
}

/// What is wrong with `$(steps.<step>.results.<reference>)`; nothing where it can be right.
pub(super) fn problem(from: &Step, reference: &str, slot: Slot) -> Option<String> {
    let (declared, tail) = find(from, reference)?;
    let name = &declared.name;
    let wrong = |text: &str| Some(format!("result \"{name}\" {text}"));
    match (&declared.result_type, tail) {
        (_, Tail::Other) => wrong("is followed by something that means nothing; write [0], [*] or .<key>"),
        (Some(ParamType::String), Tail::Star | Tail::Index) => wrong("is a text, so it has no elements"),
        (Some(ParamType::String), Tail::Key(_)) => wrong("is a text, so it has no keys"),
        (Some(ParamType::Array), Tail::None) => wrong("is a list; take one element, [0], or all of it, [*]"),
        (Some(ParamType::Array), Tail::Key(_)) => wrong("is a list, so it has no keys"),
        (Some(ParamType::Object), Tail::None | Tail::Star | Tail::Index) => {
            wrong("is an object; take one of its keys")
        }
        (Some(ParamType::Object), Tail::Key(key)) => {
            let known = declared
                .properties
                .iter()
                .flat_map(|properties| properties.keys());
            let known: Vec<&str> = known.map(String::as_str).collect();
            (!known.contains(&key)).then(|| {
                format!(
                    "object \"{name}\" has no key \"{key}\"; {}",
                    crate::validate::text::suggestion(key, known, "keys")
                )
            })
        }
        (_, Tail::Star) if slot == Slot::Text => {
            wrong("is taken as a whole, [*]: that has to be an element of command or args of its own")
        }
        _ => None,
    }
}

/// The result that is meant, which may have dots in its name.
fn find<'a, 'b>(from: &'a Step, reference: &'b str) -> Option<(&'a TaskResult, Tail<'b>)> {
    let candidates = from.results.iter().filter_map(|result| {
        let rest = reference.strip_prefix(result.name.as_str())?;
        let tail = match rest {
            "" => Tail::None,
            "[*]" => Tail::Star,
            rest => match (rest.strip_prefix('['), rest.strip_prefix('.')) {
                (Some(index), _) => {
                    let digits = index.strip_suffix(']').unwrap_or_default();
                    if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) {
                        Tail::Index
                    } else {
                        Tail::Other
                    }
                }
                (None, Some(key)) => Tail::Key(key),
                (None, None) => return None,
            },
        };
        Some((result, tail))
    });
    candidates.max_by_key(|(result, _)| result.name.len())
}

/// Whether `reference` names a result that the step declares.
pub(super) fn is_declared(from: &Step, reference: &str) -> bool {
    find(from, reference).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn results_are_taken_as_what_they_are() {
        let step: Step = serde_json::from_value(json!({"results": [
            {"name": "s", "type": "string"}, {"name": "l", "type": "array"}, {"name": "any"}, {"name": "any.dot"},
            {"name": "o", "type": "object", "properties": {"k": {"type": "string"}}}]}))
        .unwrap();
        for (reference, slot, right) in [
            ("s", Slot::Text, true),
            ("s[0]", Slot::Text, false),
            ("s.k", Slot::Text, false),
            ("l", Slot::Alone, false),
            ("l[0]", Slot::Text, true),
            ("l[x]", Slot::Text, false),
            ("l[*]", Slot::Alone, true),
            ("l[*]", Slot::Text, false),
            ("o.k", Slot::Text, true),
            ("o.x", Slot::Text, false),
            ("o", Slot::Text, false),
            ("any", Slot::Text, true),
            ("any[3]", Slot::Text, true),
            ("any.dot", Slot::Text, true),
        ] {
            assert_eq!(problem(&step, reference, slot).is_none(), right, "{reference}");
        }
        assert!(is_declared(&step, "any.key") && !is_declared(&step, "anything"));
    }
}
