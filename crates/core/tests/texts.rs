//! Texts that people write, and such that nobody would: whatever they are, reading them ends, and what is
//! read is printed so that it is read the same again.
//!
//! More cases: `PROPTEST_CASES=50000 cargo test -p tektite-core --test texts`.

use std::collections::BTreeMap;

use proptest::{collection, prelude::*, sample::select, test_runner::Config as Cases};
use serde_json::json;
use tektite_api::{GoDuration, ParamValue, Task};
use tektite_core::{
    config::Config,
    field_error::{LONGEST_TEXT, clipped},
    quantity::Quantity,
    substitute::{MOST_GROWTH, Variables},
    validate::{self, text},
};

/// Few enough for every build; `PROPTEST_CASES` says another number.
fn cases(usual: u32) -> Cases {
    Cases {
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(usual),
        failure_persistence: None,
        ..Cases::default()
    }
}

/// Pieces of everything that is read somewhere, in any order, with anything between them.
fn text() -> BoxedStrategy<String> {
    let pieces = [
        "$(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "\\",
        ",",
        ":",
        ".",
        "..",
        "/",
        "-",
        "_",
        " ",
        "\n",
        "$$",
        "*",
        "params",
        "params.a",
        "inputs.params.",
        "[\"a\"]",
        "['a']",
        "[0]",
        "[*]",
        "results",
        "steps.s.results.r",
        "null",
        "true",
        "1",
        "00",
        "9223372036854775807",
        "99999999999999999999",
        "1.5",
        "1e",
        "e18",
        "E-19",
        "+",
        "ns",
        "us",
        "µs",
        "ms",
        "s",
        "m",
        "h",
        "Ki",
        "Ei",
        "n",
        "k",
        "\u{0}",
        "é",
        "\u{1f980}",
        "\u{130}",
        "a",
        "A",
        "r'",
        "b\"",
        "'''",
        "&&",
        "||",
        "==",
        "!=",
        "in",
        "?",
        "size(",
        ".all(x,",
        "has(",
        "0x",
        "http:/",
    ];
    let piece = prop_oneof![
        6 => select(pieces.map(str::to_owned).to_vec()),
        1 => any::<char>().prop_map(String::from),
    ];
    collection::vec(piece, 0..24)
        .prop_map(|pieces| pieces.concat())
        .boxed()
}

fn value() -> BoxedStrategy<ParamValue> {
    prop_oneof![
        text().prop_map(ParamValue::String),
        collection::vec(text(), 0..4).prop_map(ParamValue::Array),
        collection::btree_map(text(), text(), 0..4).prop_map(ParamValue::Object),
    ]
    .boxed()
}

fn variables(values: &BTreeMap<String, ParamValue>) -> Variables {
    let mut variables = Variables::default();
    for (name, value) in values {
        variables.set_param(name, value);
    }
    variables
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn values_are_read_from_any_text(text in text(), value in value()) {
        // What is no JSON is a text, to the letter.
        let read = ParamValue::from_json_text(&text);
        if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err() {
            prop_assert_eq!(&read, &ParamValue::String(text));
        }
        for value in [read, value] {
            let printed = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(ParamValue::from_json_text(&printed), value);
        }
    }

    #[test]
    fn durations_are_read_as_they_are_printed(text in text(), nanos in any::<i64>(), parts in collection::vec(
        (any::<u32>(), select(vec!["ns", "us", "µs", "ms", "s", "m", "h"])), 0..4,
    )) {
        let parts: Vec<String> = parts.iter().map(|(number, unit)| format!("{number}{unit}")).collect();
        let written = parts.concat();
        for duration in [
            text.parse::<GoDuration>().ok(),
            written.parse().ok(),
            Some(GoDuration::from_nanos(nanos)),
        ].into_iter().flatten() {
            prop_assert_eq!(duration.to_string().parse::<GoDuration>(), Ok(duration));
        }
    }

    #[test]
    fn amounts_are_read_as_they_are_printed(text in text(), whole in 0u64..1 << 40, places in 0usize..12, unit in select(vec![
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-3", "e18",
    ])) {
        let written = format!("{whole}.{whole:0places$}{unit}");
        for text in [text, written, format!("-{whole}{unit}")] {
            let Ok(amount) = text.parse::<Quantity>() else { continue };
            let printed = amount.text().0.parse::<Quantity>();
            // Printing rounds up what has no whole number of a unit.
            let printed = printed.map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            prop_assert!(printed >= amount, "{} {}", text, amount);
            // Then it is exact; only the unit may still change, from bytes to thousands of them.
            prop_assert_eq!(printed.text().0.parse::<Quantity>(), Ok(printed), "{}", text);
        }
    }

    #[test]
    fn amounts_are_in_order(a in 0u32.., b in 0u32.., unit in select(vec!["n", "m", "", "k", "Ki", "Gi", "e3"])) {
        let amount = |number: u32| format!("{number}{unit}").parse::<Quantity>().unwrap();
        prop_assert_eq!(amount(a).cmp(&amount(b)), a.cmp(&b));
        prop_assert_eq!(format!("-{a}{unit}").parse::<Quantity>().unwrap().is_negative(), a > 0);
    }

    #[test]
    fn unknown_variables_stay(text in text()) {
        let mut replaced = text.clone();
        Variables::default().apply(&mut replaced);
        prop_assert_eq!(&replaced, &text);
        let mut list = vec![text.clone(); 2];
        Variables::default().apply_list(&mut list);
        prop_assert_eq!(list, vec![text.clone(), text]);
    }

    #[test]
    fn known_variables_are_replaced(
        before in "[a-z $)]{0,8}", behind in text(), values in collection::btree_map("[a-z.]{1,4}", value(), 1..4),
    ) {
        let variables = variables(&values);
        for (name, value) in &values {
            let ParamValue::String(value) = value else { continue };
            let mut replaced = format!("{before}$(params[\"{name}\"]){behind}");
            variables.apply(&mut replaced);
            prop_assert!(replaced.starts_with(&format!("{before}{value}")), "{}", replaced);
        }
    }

    #[test]
    fn what_is_replaced_has_a_bound(text in text(), values in collection::btree_map("[a-z]{1,2}", value(), 0..4)) {
        let variables = variables(&values);
        let mut replaced = text.clone();
        variables.apply(&mut replaced);
        prop_assert!(replaced.len() <= text.len() + MOST_GROWTH);
        prop_assert!(!variables.is_exhausted());
        if !text.contains("$(") {
            prop_assert_eq!(replaced, text);
        }
    }

    #[test]
    fn forms_of_names_are_told(text in text(), other in text()) {
        let label = text::is_dns_label(&text);
        prop_assert!(!label || text::is_dns_subdomain(&text));
        prop_assert!(!label || text::is_name_part(&text) && text::qualified_name_problems(&text).is_empty());
        let dotless = text::is_param_name(&text, text::Dots::Refused);
        prop_assert!(!dotless || text::is_param_name(&text, text::Dots::Allowed));
        let clean = text::clean_path(&text);
        prop_assert_eq!(text::clean_path(&clean), clean);
        text::is_url_like(&text);
        let known = [other.as_str(), "a", "params"];
        prop_assert!(text::nearest(&text, known).is_none_or(|nearest| nearest != text && known.contains(&nearest)));
        text::suggestion(&text, known, "names");
    }

    #[test]
    fn distances_are_those_of_every_change(a in "[ab]{0,6}", b in "[ab]{0,6}", most in 0usize..4) {
        let distance = text::distance(&a, &b, most);
        prop_assert_eq!(text::distance(&b, &a, most), distance);
        let whole = strsim::osa_distance(&a, &b);
        prop_assert_eq!(distance, (whole <= most).then_some(whole));
    }

    #[test]
    fn clipped_texts_fit(text in text(), longest in 14usize..64) {
        let clip = clipped(text.clone(), longest);
        prop_assert!(clip.len() <= longest);
        prop_assert!(clip == text || clip.ends_with("\n... and more"));
    }

    /// CEL, variables and names where a Task has them: `validate::task` ends, and says no more than fits.
    #[test]
    fn tasks_of_any_texts_are_judged(texts in collection::vec(text(), 8)) {
        let mut config = Config::default();
        config.flags.cel = true;
        let task = json!({"metadata": {"name": texts[0]}, "spec": {
            "params": [{"name": texts[1], "default": texts[2]}, {"name": "a", "default": [texts[2]]}],
            "workspaces": [{"name": texts[1], "mountPath": texts[3]}],
            "results": [{"name": texts[1], "value": texts[4]}],
            "steps": [
                {"name": texts[1], "image": texts[3], "script": texts[4], "results": [{"name": texts[1]}]},
                {"image": "i", "args": texts, "when": [{"cel": texts[5]}, {"input": texts[6], "operator": texts[1],
                    "values": texts}], "env": [{"name": texts[7], "value": texts[2]}], "onError": texts[3],
                    "volumeMounts": [{"name": texts[1], "mountPath": texts[3], "subPath": texts[4]}]}]}});
        let task: Task = serde_json::from_value(task).unwrap();
        let said = |task: &Task| validate::task(task, &config).map_err(|errors| errors.to_string());
        let first = said(&task);
        prop_assert_eq!(&said(&task), &first);
        prop_assert!(first.is_ok() || first.is_err_and(|text| text.len() <= LONGEST_TEXT));
    }
}

/// Long texts of one piece: whoever looks back or ahead for each of them does not come to an end. The
/// waiting is the test.
#[test]
fn long_texts_end() {
    let mut config = Config::default();
    config.flags.cel = true;
    for piece in [
        "$(",
        "$(params.a",
        "$(params[\"",
        "$(params['a'",
        "$(steps.",
        "$(workspaces.",
        "$(results[",
        "(",
        "[",
        "{",
        "!",
        "-",
        "'",
        "'''",
        "r",
        "\\",
        "a.",
        "a(",
        "1",
        ".",
        "/",
        "../",
        ":/",
        "a,",
        "é",
    ] {
        let count = 40_000 / piece.len();
        for text in [piece.repeat(count), format!("{})", piece.repeat(count))] {
            let task = json!({"metadata": {"name": text}, "spec": {
                "params": [{"name": "a", "default": text}, {"name": text}],
                "results": [{"name": "r", "value": text}],
                "steps": [{"image": text, "script": text, "args": [text], "when": [{"cel": text}],
                    "volumeMounts": [{"name": text, "mountPath": text}]}]}});
            let task: Task = serde_json::from_value(task).unwrap();
            let said = validate::task(&task, &config).unwrap_err().to_string();
            assert!(said.len() <= LONGEST_TEXT);
            let mut replaced = text.clone();
            variables(&BTreeMap::from([("a".to_owned(), "v".into())])).apply(&mut replaced);
            assert!(replaced.len() <= text.len());
            drop((text.parse::<GoDuration>(), text.parse::<Quantity>()));
            ParamValue::from_json_text(&text);
            text::clean_path(&text);
            text::suggestion(&text, [text.as_str(), "a"], "names");
        }
    }
}
