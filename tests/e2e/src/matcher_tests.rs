//! One test per rule of the matcher.

use serde_json::json;

use super::*;

fn paths(found: &[Mismatch]) -> Vec<&str> {
    found.iter().map(|mismatch| mismatch.path.as_str()).collect()
}

fn pattern(value: Value) -> Pattern {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_map_is_compared_by_the_keys_that_are_given() {
    let pod = json!({"spec": {"a": 1, "b": 2}, "status": {}});
    assert!(subset(&json!({"spec": {"b": 2}}), Some(&pod), "pod").is_empty());
    let found = subset(&json!({"spec": {"b": 3, "c": "x"}}), Some(&pod), "pod");
    assert_eq!(
        found,
        [
            Mismatch::new("pod.spec.b", "3", "2"),
            Mismatch::new("pod.spec.c", "\"x\"", "(not set)")
        ]
    );
}

#[test]
fn a_list_has_the_length_that_is_given() {
    let actual = json!({"l": [{"n": "a", "x": 1}, {"n": "b"}]});
    assert!(subset(&json!({"l": [{"n": "a"}, {"n": "b"}]}), Some(&actual), "o").is_empty());
    assert_eq!(
        paths(&subset(&json!({"l": [{"n": "a"}]}), Some(&actual), "o")),
        ["o.l"]
    );
    assert_eq!(
        paths(&subset(
            &json!({"l": [{"n": "a"}, {"n": "c"}]}),
            Some(&actual),
            "o"
        )),
        ["o.l[1].n"]
    );
}

#[test]
fn null_means_not_set() {
    let actual = json!({"set": 1, "null": null});
    assert!(subset(&json!({"other": null, "null": null}), Some(&actual), "o").is_empty());
    assert_eq!(
        subset(&json!({"set": null}), Some(&actual), "o"),
        [Mismatch::new("o.set", "null", "1")]
    );
}

#[test]
fn contains_looks_for_each_element_anywhere() {
    let actual = json!([{"n": "a", "v": 1}, {"n": "b", "v": 2}]);
    assert!(subset(&json!({"contains": [{"n": "b"}, {"n": "a"}]}), Some(&actual), "l").is_empty());
    let found = subset(&json!({"contains": [{"n": "b", "v": 3}]}), Some(&actual), "l");
    assert_eq!(paths(&found), ["l"]);
    assert!(
        found[0].actual.contains("[1].v: expected 3, got 2"),
        "{}",
        found[0].actual
    );
    assert_eq!(
        paths(&subset(&json!({"contains": [1]}), Some(&json!([])), "l")),
        ["l"]
    );
    assert_eq!(paths(&subset(&json!({"contains": [1]}), None, "l")), ["l"]);
}

#[test]
fn lacks_allows_no_such_element() {
    let actual = json!([{"n": "a"}]);
    assert!(subset(&json!({"lacks": [{"n": "b"}]}), Some(&actual), "l").is_empty());
    assert!(subset(&json!({"lacks": [{"n": "b"}]}), None, "l").is_empty());
    assert_eq!(
        paths(&subset(&json!({"lacks": [{"n": "a"}]}), Some(&actual), "l")),
        ["l"]
    );
}

#[test]
fn text_operators() {
    let actual = json!("hello world");
    assert!(subset(&json!({"matches": "^hello"}), Some(&actual), "t").is_empty());
    assert!(subset(&json!({"contains": "lo w", "lacks": "x"}), Some(&actual), "t").is_empty());
    assert_eq!(
        paths(&subset(&json!({"matches": "^world"}), Some(&actual), "t")),
        ["t"]
    );
    assert_eq!(
        paths(&subset(&json!({"contains": "x"}), Some(&actual), "t")),
        ["t"]
    );
    assert_eq!(
        paths(&subset(&json!({"lacks": "hello"}), Some(&actual), "t")),
        ["t"]
    );
    assert_eq!(paths(&subset(&json!({"matches": "x"}), None, "t")), ["t"]);
    assert!(subset(&json!({"matches": "^5$"}), Some(&json!(5)), "t").is_empty());
}

#[test]
fn exact_refuses_what_is_not_named() {
    let actual = json!({"a": 1, "b": {"c": 2}});
    assert!(exact(&json!({"a": 1, "b": {"c": {"matches": "2"}}}), Some(&actual), "o").is_empty());
    assert_eq!(paths(&exact(&json!({"a": 1}), Some(&actual), "o")), ["o.b"]);
    assert_eq!(
        paths(&subset(&json!({"exact": {"a": 1}}), Some(&actual), "o")),
        ["o.b"]
    );
    assert_eq!(
        paths(&subset(&json!({"b": {"exact": {}}}), Some(&actual), "o")),
        ["o.b.c"]
    );
}

#[test]
fn a_map_with_the_name_of_an_operator_is_a_map() {
    let actual = json!({"labels": {"contains": "x"}});
    assert!(subset(&json!({"labels": {"contains": "x"}}), Some(&actual), "o").is_empty());
    assert_eq!(
        paths(&subset(&json!({"labels": {"contains": "y"}}), Some(&actual), "o")),
        ["o.labels.contains"]
    );
}

#[test]
fn kinds_of_value_differ() {
    assert_eq!(paths(&subset(&json!("1"), Some(&json!(1)), "v")), ["v"]);
    assert_eq!(paths(&subset(&json!({}), Some(&json!([])), "v")), ["v"]);
    assert_eq!(paths(&subset(&json!({}), None, "v")), ["v"]);
}

#[test]
fn patterns_search_or_compare() {
    assert!(pattern(json!("c+$")).is_match("abcc"));
    assert!(!pattern(json!("^c")).is_match("abcc"));
    assert!(pattern(json!({"contains": "[User error] "})).is_match("x [User error] y"));
    assert!(pattern(json!({"exact": "a"})).is_match("a"));
    assert!(!pattern(json!({"exact": "a"})).is_match("a "));
    assert!(serde_json::from_value::<Pattern>(json!("(")).is_err());
    assert!(serde_json::from_value::<Pattern>(json!(5)).is_err());
    let error = serde_json::from_value::<Pattern>(json!({"contain": "a"})).unwrap_err();
    assert!(error.to_string().contains("contain"), "{error}");
}

#[test]
fn lines_are_found_in_order() {
    let patterns = [pattern(json!("^a")), pattern(json!({"exact": "b\r"}))];
    assert!(in_order(&patterns, "x\nab\ny\nb\r\n").is_none());
    let missing = in_order(&patterns, "b\r\nab\n").unwrap();
    assert_eq!(missing.describe(), "\"b\\r\"");
}

#[test]
fn bad_expressions_are_found_before_a_run() {
    assert!(validate(&json!({"a": [{"matches": "("}]})).is_err());
    assert!(validate(&json!({"a": [{"matches": "x", "other": "("}]})).is_ok());
}
