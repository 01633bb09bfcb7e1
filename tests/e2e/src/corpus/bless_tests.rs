//! What is written can be read, and the rest of the file is as before.

use super::*;

const FILE: &str =
    "kind: Rejected\nobject:\n  spec:\n    error: its own\nerror: |-\n  a: \nfix:\n  - {op: x}\n";

fn read(yaml: &str) -> serde_json::Value {
    serde_saphyr::from_str(yaml).unwrap()
}

#[test]
fn the_error_is_replaced() {
    let yaml = rewrite(FILE, "a: \n  try: this\n\nb #\"c\"").unwrap();
    assert_eq!(
        yaml,
        "kind: Rejected\nobject:\n  spec:\n    error: its own\nerror: |-\n  a: \n    try: this\n\n  b #\"c\"\n\
         exact: true\nfix:\n  - {op: x}\n"
    );
    assert_eq!(read(&yaml)["error"], "a: \n  try: this\n\nb #\"c\"");
    assert_eq!(read(&yaml)["exact"], true);
    assert_eq!(rewrite(&yaml, "a: \n  try: this\n\nb #\"c\"").unwrap(), yaml);
}

#[test]
fn a_file_without_an_error_gets_one() {
    let yaml = rewrite("names: [a]\nfix:\n  - {op: x}\n", " a").unwrap();
    assert_eq!(
        yaml,
        "names: [a]\nerror: |2-\n   a\nexact: true\nfix:\n  - {op: x}\n"
    );
    assert_eq!(read(&yaml)["error"], " a");
}

#[test]
fn what_a_block_cannot_hold() {
    for text in ["", "a\n", "a\rb"] {
        assert!(rewrite(FILE, text).is_err(), "{text:?}");
    }
    assert!(rewrite("kind: Rejected\n", "a").is_err());
}
