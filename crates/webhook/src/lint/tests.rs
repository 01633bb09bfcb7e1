use super::*;

fn findings(text: &str) -> Vec<(usize, Severity, String)> {
    let documents: Vec<Document> = document::split("f.yaml", text)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    judge(&documents)
        .into_iter()
        .map(|finding| (finding.line, finding.severity, finding.message))
        .collect()
}

#[test]
fn an_object_is_judged_with_the_lines_of_its_fields() {
    let text = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata:\n  name: t\nspec:\n  steps:\n    - name: a\n      imagee: i\n      script: echo $(params.x)\n";
    let found = findings(text);
    let errors: Vec<_> = found
        .iter()
        .filter(|(_, severity, _)| *severity == Severity::Error)
        .collect();
    assert_eq!(errors[0].0, 8);
    assert!(errors[0].2.ends_with("did you mean \"image\"?"), "{errors:?}");
    assert!(
        errors
            .iter()
            .any(|(line, _, message)| *line == 9 && message.starts_with("non-existent variable")),
        "{errors:?}"
    );
}

#[test]
fn files_are_looked_at_together() {
    let text = "apiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata:\n  generateName: r-\nspec:\n  taskRef: {name: t}\n---\n\
        apiVersion: tekton.dev/v1beta1\nkind: Task\nmetadata: {name: t}\nspec:\n  params: [{name: p}]\n  steps: [{image: i, command: [c], resources: {limits: {cpu: 1}}}]\n";
    let found = findings(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].2.contains("missing values for these params"),
        "{found:?}"
    );
}

#[test]
fn what_nobody_would_take_is_told_and_what_is_others_is_not() {
    for (head, told) in [
        ("apiVersion: tekton.dv/v1\nkind: Task", true),
        ("apiVersion: tekton.dev/v2\nkind: Task", true),
        ("apiVersion: tekton.dev/v1alpha1\nkind: Task", true),
        ("apiVersion: tekton.dev/v1\nkind: task", true),
        ("apiVersion: tekton.dev/v1\nkind: ClusterTask", true),
        ("spec: {steps: []}", true),
        ("apiVersion: tekton.dev/v1\nkind: Pipeline", false),
        ("apiVersion: example.com/v1\nkind: Task", false),
        ("apiVersion: v1\nkind: Pod", false),
    ] {
        assert_eq!(!findings(&format!("{head}\n")).is_empty(), told, "{head}");
    }
}

#[test]
fn settings_among_the_files_are_in_force() {
    let run = "apiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {name: r}\nspec:\n  debug: {breakpoints: {onFailure: enabled}}\n  taskRef: {name: t}\n";
    let flags = "---\nkind: ConfigMap\nmetadata: {name: feature-flags}\ndata: {enable-api-fields: alpha}\n";
    assert_eq!(findings(run).len(), 1);
    assert_eq!(findings(&format!("{run}{flags}")), []);
    for (from, to, expected) in [
        ("alpha", "gamma", "invalid value for feature flag"),
        (
            "enable-api-fields",
            "enable-api-field",
            "unknown key \"enable-api-field\"",
        ),
        (
            "feature-flags}\ndata: {enable-api-fields",
            "config-leader-election-controller}\ndata: {lease-duration",
            "failed parsing config-leader-election-controller \"lease-duration\"",
        ),
    ] {
        let found = findings(&flags.replace(from, to));
        assert!(found[0].2.starts_with(expected), "{found:?}");
    }
}

#[test]
fn findings_are_printed_for_people_and_for_programs() {
    let finding = Finding {
        file: "f.yaml".into(),
        line: 3,
        object: "Task \"t\"".into(),
        severity: Severity::Error,
        message: "missing field(s): spec.steps".into(),
        notes: vec!["a note".into()],
    };
    let printed = |output| {
        let mut out = Vec::new();
        print(std::slice::from_ref(&finding), output, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        printed(Output::Text),
        "f.yaml:3: error: Task \"t\": missing field(s): spec.steps\n    a note\n"
    );
    let tree: Value = serde_json::from_str(&printed(Output::Json)).unwrap();
    assert_eq!(tree[0]["severity"], "error");
    assert_eq!(tree[0]["line"], 3);
}
