//! What a reader has against an object, in words: fields that no type knows, values that do not fit.
//! No I/O.

use tektite_api::decode::{Misfit, Unknown};

use super::text;

/// The first line as upstream prints it, and behind it everything, one line each.
pub fn report(misfits: &[Misfit], unknown: &[Unknown]) -> String {
    let first = match (unknown.first(), misfits.first()) {
        (Some(unknown), _) => format!("json: unknown field \"{}\"", unknown.field),
        (None, Some(misfit)) => format!("json: {misfit}"),
        (None, None) => String::new(),
    };
    let unknown = unknown
        .iter()
        .map(|unknown| format!("\n- {}: {}", unknown.path, no_such_field(unknown)));
    let misfits = misfits.iter().map(|misfit| format!("\n- {misfit}"));
    first + &unknown.chain(misfits).collect::<String>()
}

/// What is wrong with a field that nobody knows, and what may have been meant.
pub fn no_such_field(unknown: &Unknown) -> String {
    let known = unknown.known.iter().copied();
    format!(
        "there is no such field, given {}; {}",
        unknown.value,
        text::suggestion(&unknown.field, known, "fields here")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tektite_api::{TaskRun, decode};

    use super::*;

    #[test]
    fn everything_is_told_upstreams_words_first() {
        let tree = json!({"spec": {"taskRef": {"name": "t"}, "retrys": 3, "timeout": 5, "zzz": 1}});
        let reading: decode::Reading<TaskRun> = decode::read(&tree);
        let text = report(&reading.misfits, &reading.unknown);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("json: unknown field \"retrys\""));
        assert_eq!(
            lines.next(),
            Some("- spec.retrys: there is no such field, given 3; did you mean \"retries\"?")
        );
        assert!(lines.next().unwrap().starts_with(
            "- spec.zzz: there is no such field, given 1; fields here: computeResources, debug"
        ));
        assert_eq!(
            lines.next(),
            Some("- spec.timeout: a text is wanted, which YAML takes in quotes, given 5")
        );
    }
}
