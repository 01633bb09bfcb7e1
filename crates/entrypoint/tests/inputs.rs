//! What a step does with what earlier ones left: its environment, its arguments, its conditions.

mod common;

use std::fs;

use common::Pod;
use tektite_protocol::{
    When,
    flags::{OnError, StepFlags},
    termination::{Kind, key},
};

/// A Pod whose step 0 has left a text, a list and an object.
fn pod() -> Pod {
    let pod = Pod::new();
    let done = pod.run(&StepFlags {
        step_results: ["text", "list", "map"].map(str::to_owned).to_vec(),
        ..pod.sh("cd tekton/run/0/status/results; printf 'it'\"'\"'s\\n' > text; \
             printf '[\"a\", \"b c\"]' > list; printf '{\"k\": \"v\"}' > map")
    });
    assert_eq!(done.exit, 0, "{}", done.log);
    assert_eq!(done.value(Kind::StepResult, "text"), Some("it's\n"));
    pod
}

#[test]
fn results_reach_arguments_and_environment() {
    let pod = pod();
    let flags = pod.after(
        1,
        &[
            "sh",
            "-c",
            "printf '<%s>' \"$@\" \"$OF_STEP\"",
            "-",
            "$(steps.0.results.text)",
            "$(steps.0.results.list[*])",
            "--x=$(steps.0.results.map.k),$(steps.0.results.list[1])",
        ],
    );
    let mut command = pod.command(&flags);
    command.env("OF_STEP", "[$(steps.0.results.list[0])]");
    let done = pod.start_as(command, &flags).wait();
    assert_eq!(done.exit, 0, "{}", done.log);
    assert_eq!(done.stdout, "<it's\n><a><b c><--x=v,b c><[a]>");
}

#[test]
fn a_reference_that_leads_nowhere_fails_the_step_before_it_runs() {
    for on_error in [OnError::StopAndFail, OnError::Continue] {
        let pod = pod();
        let mut flags = pod.after(1, &["touch", "ran", "$(steps.0.results.list[2])"]);
        flags.on_error = Some(on_error);
        let done = pod.run(&flags);
        assert_eq!((done.exit, done.released()), (1, false));
        assert!(!pod.has("ran"));
        let sentence = "$(steps.0.results.list[2]): result \"list\" of step \"0\" is a list of 2";
        assert!(
            done.internal(key::MESSAGE).unwrap().starts_with(sentence),
            "{done:?}"
        );
        assert!(done.log.contains(sentence), "{}", done.log);
    }
    let pod = pod();
    let flags = pod.after(1, &["touch", "ran"]);
    let mut command = pod.command(&flags);
    command.env("OF_STEP", "$(steps.0.results.nope)");
    let done = pod.start_as(command, &flags).wait();
    let message = done.internal(key::MESSAGE).unwrap();
    assert!(
        message.starts_with("environment variable OF_STEP: $(steps.0.results.nope): step \"0\" has left no such result; what it has left: list, map, text"),
        "{message}"
    );
    assert!(!pod.has("ran"));
}

#[test]
fn a_condition_that_does_not_hold_skips_the_step_and_nothing_else() {
    let plain = |input: &str, operator: &str, values: &[&str]| When {
        input: input.into(),
        operator: operator.into(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        cel: String::new(),
    };
    let cel = |cel: &str| When {
        cel: cel.into(),
        ..When::default()
    };
    for (when, runs) in [
        (plain("$(steps.0.results.map.k)", "in", &["u", "v"]), true),
        (plain("b c", "in", &["$(steps.0.results.list[*])"]), true),
        (plain("b c", "notin", &["$(steps.0.results.list[*])"]), false),
        (cel("'$(steps.0.results.text)'.startsWith(\"it's\")"), true),
        (cel("'$(steps.0.results.text)' == ''"), false),
    ] {
        let pod = pod();
        fs::write(pod.path("tekton/results/r"), "v").unwrap();
        let done = pod.run(&StepFlags {
            when: vec![cel("true"), when.clone()],
            results: Some(vec!["r".into()]),
            ..pod.after(1, &["touch", "ran"])
        });
        assert_eq!(
            (done.exit, done.released(), pod.has("ran")),
            (0, true, runs),
            "{when:?}"
        );
        assert_eq!(done.exit_code_file().as_deref(), Some("0"));
        assert_eq!(done.reason(), (!runs).then_some("Skipped"));
        assert_eq!(done.value(Kind::TaskResult, "r"), runs.then_some("v"));
        assert_eq!(
            done.log.contains("skipped: when[1] does not hold"),
            !runs,
            "{}",
            done.log
        );
    }
}

#[test]
fn a_condition_that_cannot_be_told_fails_the_step() {
    for (cel, sentence) in [
        (
            "dyn(1)",
            "when[0]: cel, at character 1: the expression is not evaluated to a boolean",
        ),
        (
            "'$(steps.0.results.list)' == 'a'",
            "when[0]: cel, at character 1: $(steps.0.results.list): result",
        ),
        (
            "[1][1] == 1",
            "when[0]: cel, at character 4: the list has only 1 elements",
        ),
    ] {
        let pod = pod();
        let done = pod.run(&StepFlags {
            when: vec![When {
                cel: cel.into(),
                ..When::default()
            }],
            on_error: Some(OnError::Continue),
            ..pod.after(1, &["touch", "ran"])
        });
        assert_eq!(
            (done.exit, done.released(), pod.has("ran")),
            (1, false, false),
            "{cel}"
        );
        assert!(
            done.internal(key::MESSAGE).unwrap().starts_with(sentence),
            "{done:?}"
        );
    }
}
