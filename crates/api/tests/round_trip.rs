//! Whatever the types print they read back, by every reader, and lose nothing.
//!
//! More cases: `PROPTEST_CASES=5000 cargo test -p tektite-api --test round_trip`.
#![allow(clippy::unwrap_used, reason = "a round trip that fails has to stop the test")]

mod json;

use proptest::{prelude::*, test_runner::Config};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tektite_api::{Param, ParamValue, PodTemplate, StepAction, Task, TaskRun, decode};

/// Few enough for every build; `PROPTEST_CASES` says another number.
fn cases(usual: u32) -> Config {
    Config {
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(usual),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Reads `tree` in every way; all must give the same, and print `tree` again.
fn round_trip<T>(tree: &Value) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + Default + PartialEq + std::fmt::Debug,
{
    let text = tree.to_string();
    let object: T = serde_json::from_str(&text)
        .map_err(|error| TestCaseError::fail(format!("from_str: {error} in {text}")))?;
    prop_assert_eq!(&serde_json::to_value(&object).unwrap(), tree);
    let from_tree: T = serde_json::from_value(tree.clone())
        .map_err(|error| TestCaseError::fail(format!("from_value: {error} in {text}")))?;
    prop_assert_eq!(&from_tree, &object);
    let printed = serde_json::to_string(&object).unwrap();
    prop_assert_eq!(&serde_json::from_str::<T>(&printed).unwrap(), &object);
    let reading = decode::read::<T>(tree);
    prop_assert!(reading.is_clean(), "{:?} {:?}", reading.misfits, reading.unknown);
    prop_assert_eq!(&reading.object, &object);
    Ok(())
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn task_runs(tree in json::task_run()) {
        round_trip::<TaskRun>(&tree)?;
    }

    #[test]
    fn tasks(tree in json::task()) {
        round_trip::<Task>(&tree)?;
    }

    #[test]
    fn step_actions(tree in json::step_action()) {
        round_trip::<StepAction>(&tree)?;
    }

    #[test]
    fn pod_templates(tree in json::pod_template()) {
        round_trip::<PodTemplate>(&tree)?;
    }

    #[test]
    fn param_values(tree in json::param_value()) {
        // As a param's value; by itself it is no object, which is all that `decode` reads.
        round_trip::<Param>(&serde_json::json!({"name": "p", "value": tree}))?;
        let value: ParamValue = serde_json::from_value(tree.clone()).unwrap();
        prop_assert_eq!(ParamValue::from_json_text(&tree.to_string()), value);
    }
}

#[test]
fn appendix_e1_by_every_reader() {
    let array = |items: &[&str]| ParamValue::Array(items.iter().map(ToString::to_string).collect());
    let object = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        ParamValue::Object(pairs.collect())
    };
    for (json, value) in [
        (r#""a""#, "a".into()),
        (r#""""#, "".into()),
        ("null", "".into()),
        ("5", "5".into()),
        ("1.50", "1.50".into()),
        ("true", "true".into()),
        ("[]", array(&[])),
        (r#"["a","b"]"#, array(&["a", "b"])),
        (r#"["a",null]"#, array(&["a", ""])),
        (r#"["a",1]"#, r#"["a",1]"#.into()),
        (r#"[["a"]]"#, r#"[["a"]]"#.into()),
        ("{}", object(&[])),
        (r#"{"k":"v"}"#, object(&[("k", "v")])),
        (r#"{"k":1}"#, r#"{"k":1}"#.into()),
    ] {
        let text = format!(r#"{{"name":"p","value":{json}}}"#);
        let param: Param = serde_json::from_str(&text).unwrap();
        assert_eq!(param.value, value, "from_str {json}");
        let tree: Value = serde_json::from_str(&text).unwrap();
        // A tree holds a number, not its digits.
        let value = if json == "1.50" { "1.5".into() } else { value };
        let param: Param = serde_json::from_value(tree.clone()).unwrap();
        assert_eq!(param.value, value, "from_value {json}");
        let reading = decode::read::<Param>(&tree);
        assert!(reading.is_clean(), "{json}");
        assert_eq!(reading.object.value, value, "read {json}");
    }
}
