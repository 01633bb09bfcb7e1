//! What a file may say, and that each file of the corpus says it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// How many cases a rule may have.
const PER_RULE: usize = 3;

const OBJECT: &str = "object: {apiVersion: tekton.dev/v1, kind: TaskRun, spec: {retries: -1}}\n";
const FIX: &str = "fix: [{op: replace, path: /spec/retries, value: 0}]\n";

fn read(kind: &str, rest: &str) -> Result<Vec<Entry>> {
    let yaml = format!("apiVersion: tektite.dev/test\nkind: {kind}\ndescription: d\n{rest}");
    let folder = kind.to_lowercase();
    parse(&format!("{folder}/some-name"), Path::new("f.yaml"), &yaml)
}

fn refusal(kind: &str, rest: &str) -> String {
    format!("{:#}", read(kind, rest).unwrap_err())
}

fn corpus() -> Vec<Entry> {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases"), "").unwrap()
}

#[test]
fn a_rejected_object() {
    let entries = read(
        "Rejected",
        &format!("rule: R25\nerror: e\nflags: {{a: b}}\n{OBJECT}{FIX}"),
    )
    .unwrap();
    let [entry] = &entries[..] else {
        panic!("one document")
    };
    assert_eq!(
        (entry.path.as_str(), entry.name.as_str()),
        ("rejected/some-name", "some-name")
    );
    assert_eq!(entry.document.flags["a"], "b");
    assert_eq!(entry.document.fixed().unwrap()[0]["spec"]["retries"], 0);
    assert_eq!(entry.named(json!({}))["metadata"]["name"], "some-name");
    let own = json!({"metadata": {"generateName": "x-"}});
    assert_eq!(entry.named(own.clone()), own);
}

#[test]
fn several_accepted_objects() {
    let second = format!("---\napiVersion: tektite.dev/test\nkind: Accepted\ndescription: e\n{OBJECT}");
    let entries = read("Accepted", &format!("{OBJECT}{second}")).unwrap();
    assert_eq!(entries[1].name, "some-name-2");
    assert!(refusal("Accepted", &format!("rule: R1\n{OBJECT}")).contains("no rule"));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let whole = format!("rule: R25\nerror: e\n{OBJECT}{FIX}");
    assert!(refusal("Rejected", &whole.replace("rule: R25\n", "")).contains("no rule"));
    assert!(refusal("Rejected", &whole.replace("R25", "R28")).contains("R28"));
    assert!(refusal("Rejected", &whole.replace(FIX, "")).contains("no fix"));
    assert!(refusal("Rejected", &whole.replace("value: 0", "value: -1")).contains("changes nothing"));
    assert!(refusal("Rejected", &whole.replace("/spec/retries", "/spec/x")).contains("does not apply"));
    assert!(refusal("Rejected", &whole.replace("error: e\n", "")).contains("names"));
    assert!(refusal("Rejected", &whole.replace(OBJECT, "")).contains("no object"));
    assert!(refusal("Rejected", &whole.replace("kind: TaskRun, ", "")).contains("no kind"));
    assert!(refusal("Rejected", &format!("{whole}errors: e\n")).contains("errors"));
    assert!(refusal("Rejected", &whole.replace("error: e", "names: ['']")).contains("empty"));
}

#[test]
fn rules_have_few_cases_and_all_are_there() {
    let mut count = BTreeMap::<String, usize>::new();
    for rule in corpus().into_iter().filter_map(|entry| entry.document.rule) {
        *count.entry(rule).or_default() += 1;
    }
    for (rule, cases) in &count {
        assert!(rule == OURS || *cases <= PER_RULE, "{rule} has {cases} cases");
    }
    let mut missing = Vec::new();
    for (letter, last) in RULES {
        let all = (1..=last).map(|number| format!("{letter}{number}"));
        missing.extend(all.filter(|rule| !count.contains_key(rule)));
    }
    // The README of the rejected objects says why these cannot be reached.
    assert_eq!(missing, ["T11", "M1"]);
}

#[test]
fn no_two_cases_of_a_namespace_share_an_object() {
    let mut seen = BTreeSet::new();
    for entry in corpus() {
        let sent = entry.document.objects().chain(&entry.document.given);
        let mut own: BTreeSet<_> = sent
            .cloned()
            .map(|object| entry.named(object))
            .map(|object| {
                (
                    text(&object, "/kind").to_owned(),
                    text(&object, "/metadata/name").to_owned(),
                )
            })
            .filter(|(kind, name)| kind != "ConfigMap" && !name.is_empty())
            .collect();
        if entry.document.kind == Kind::Rejected {
            let fixed = entry
                .document
                .fixed()
                .unwrap()
                .into_iter()
                .map(|object| entry.named(object));
            own.extend(
                fixed
                    .filter(|object| text(object, "/kind") != "ConfigMap")
                    .map(|object| {
                        (
                            text(&object, "/kind").to_owned(),
                            text(&object, "/metadata/name").to_owned(),
                        )
                    }),
            );
        }
        for object in own {
            assert!(
                seen.insert(object.clone()),
                "{}: {object:?} is another's",
                entry.path
            );
        }
    }
    assert!(seen.len() > 300);
}
