//! Lines, whole texts and parts.

use super::*;
use crate::corpus::entry::parse;

const HOOK: &str = r#"admission webhook "validation.webhook.pipeline.tekton.dev" denied the request: "#;

fn document(what: &str) -> Document {
    let yaml = format!(
        "apiVersion: tektite.dev/test\nkind: Rejected\ndescription: d\nrule: ours\n{what}\n\
         object: {{apiVersion: v1, kind: X, a: 1}}\nfix: [{{op: remove, path: /a}}]\n"
    );
    let entries = parse("rejected/x", std::path::Path::new("x.yaml"), &yaml).unwrap();
    entries.into_iter().next().unwrap().document
}

fn differs(what: &str, message: &str) -> usize {
    compare(&document(what), message, false).len()
}

#[test]
fn who_refused_and_when_is_left_out() {
    assert_eq!(errors(&format!("{HOOK}validation failed: a: b")), "a: b");
    assert_eq!(errors(&format!("{HOOK}mutation failed: a")), "a");
    assert_eq!(
        errors("Task.tekton.dev \"x\" is invalid"),
        "Task.tekton.dev \"x\" is invalid"
    );
}

#[test]
fn lines_come_in_their_order_with_others_between() {
    let lines = "error: |-\n  a: \n  b";
    assert_eq!(
        differs(lines, &format!("{HOOK}validation failed: a: \n  said more\nb\nc")),
        0
    );
    assert_eq!(differs(lines, "b\na: "), 1);
    assert_eq!(differs(lines, "a:\nb"), 1);
    assert_eq!(differs(lines, "a: more\nb"), 1);
    assert_eq!(differs("error: |-\n  a\n  a", "a"), 1);
}

#[test]
fn the_whole_text() {
    let exact = "error: |-\n  a\n  b\nexact: true";
    assert_eq!(differs(exact, "a\nb"), 0);
    assert_eq!(differs(exact, "a\nb\nc"), 1);
    assert!(compare(&document(exact), "a\nb\nc", true).is_empty());
}

#[test]
fn parts_are_looked_for_everywhere() {
    assert_eq!(
        differs(
            "names: [webhook, 'x[0]', z]",
            &format!("{HOOK}validation failed: x[0]")
        ),
        1
    );
    assert_eq!(differs("names: [x]\nerror: a", "b x"), 1);
}
