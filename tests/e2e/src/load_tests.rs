//! What a case file may say, and what is refused with the key named.

use std::time::Duration;

use super::*;

const HEAD: &str = "apiVersion: tektite.dev/test\nkind: Case\ndescription: d\n";
const RUN: &str = "---\napiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {name: r}\nspec: {x: WORD}\n";

fn read(header: &str) -> Result<Case> {
    parse("area-name".to_owned(), &format!("{HEAD}{header}\n{RUN}"))
}

fn refusal(header: &str) -> String {
    format!("{:#}", read(header).unwrap_err())
}

#[test]
fn a_small_case() {
    let case =
        read("expect: [{taskRun: r, condition: {status: 'True'}, logs: {a: [x, {contains: z}]}}]").unwrap();
    assert_eq!(case.objects.len(), 1);
    assert_eq!(case.header.timeout, Duration::from_mins(2));
    assert_eq!(case.header.expect[0].logs["a"].len(), 2);
}

#[test]
fn unknown_keys_are_named() {
    assert!(refusal("expects: []").contains("expects"));
    assert!(refusal("expect: [{taskRun: r, conditions: {}}]").contains("conditions"));
    assert!(refusal("expect: [{taskRun: r, condition: {state: x}}]").contains("state"));
    assert!(refusal("expect: [{taskRun: r, steps: [{exit: 0}]}]").contains("exit"));
    assert!(refusal("expect: [{taskRun: r}]\nactions: [{wait: {}}]").contains("wait"));
    assert!(refusal("expect: [{taskRun: r}]\nneeds: [{moon: full}]").contains("moon"));
}

#[test]
fn names_must_be_in_the_case() {
    assert!(refusal("expect: [{taskRun: other}]").contains("TaskRun other"));
    let action = "expect: [{taskRun: r}]\nactions: [{create: {kind: Task, name: t}}]";
    assert!(refusal(action).contains("Task t"));
}

#[test]
fn an_expectation_expects_something() {
    assert!(refusal("expect: []").contains("empty"));
    assert!(refusal("expect: [{}]").contains("nothing"));
    assert!(refusal("expect: [{condition: {status: 'True'}}]").contains("without a taskRun"));
    assert!(refusal("expect: [{kind: Task, name: t}]").contains("denied"));
}

#[test]
fn patterns_are_compiled_while_reading() {
    assert!(refusal("expect: [{taskRun: r, denied: '('}]").contains("unclosed"));
    assert!(refusal("expect: [{taskRun: r, pod: {a: {matches: '('}}}]").contains("unclosed"));
}

#[test]
fn durations() {
    let timeout = |text: &str| {
        read(&format!("timeout: {text}\nexpect: [{{taskRun: r}}]")).map(|case| case.header.timeout)
    };
    assert_eq!(timeout("2m").unwrap(), Duration::from_mins(2));
    assert_eq!(timeout("500ms").unwrap(), Duration::from_millis(500));
    assert!(timeout("5 hours").is_err());
    assert!(timeout("-1s").is_err());
}

#[test]
fn fill_replaces_a_word_by_that_many_bytes() {
    let case = read("fill: {WORD: {line: 'abc', bytes: 10}}\nexpect: [{taskRun: r}]").unwrap();
    assert_eq!(case.objects[0]["spec"]["x"], "abc\nabc\nab");
}

#[test]
fn actions_and_objects() {
    let case = read(
        "actions:\n- waitFor: {taskRun: r, reason: Running}\n- patch: {kind: TaskRun, name: r, merge: {spec: {status: TaskRunCancelled}}}\n- sleep: 1s\nexpect: [{object: [{kind: PersistentVolumeClaim, spec: {a: 1}}]}]",
    )
    .unwrap();
    assert_eq!(case.header.actions.len(), 3);
    assert_eq!(case.header.expect[0].object[0].part["spec"]["a"], 1);
    assert!(refusal("expect: [{taskRun: r}]\nactions: [{waitFor: {reason: x}}]").contains("waitFor"));
}

#[test]
fn the_header_comes_first() {
    assert!(parse("n".to_owned(), &RUN[4..]).is_err());
    assert!(parse("n".to_owned(), "").is_err());
}

#[test]
fn every_case_in_the_repository_can_be_read() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases");
    assert!(!load(&cases, "").unwrap().is_empty());
    assert!(load(&cases, "no such case").unwrap().is_empty());
}
