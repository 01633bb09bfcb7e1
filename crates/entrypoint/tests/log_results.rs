//! The sidecar that writes results to its log: when, what, and what it does then.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use common::{Pod, binary, until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tektite_protocol::{
    log_results::{Afterwards, LogResultsFlags, Logged, MAX_TOTAL_BYTES, StepArtifacts, StepResults},
    termination::{Entry, Kind},
};

fn pod() -> Pod {
    let pod = Pod::new();
    for directory in ["tekton/run/0/status/results", "tekton/run/1"] {
        fs::create_dir_all(pod.path(directory)).unwrap();
    }
    pod
}

fn flags(pod: &Pod, results: &[&str]) -> LogResultsFlags {
    LogResultsFlags {
        stop_file: pod.text("tekton/run/1/out"),
        afterwards: Afterwards::End,
        most: MAX_TOTAL_BYTES,
        results: results.iter().map(|name| (*name).to_owned()).collect(),
        steps: vec![StepResults {
            container: "step-a".to_owned(),
            directory: pod.text("tekton/run/0/status/results"),
            names: vec!["own".to_owned()],
        }],
        artifacts: ["step-a", "step-b"]
            .iter()
            .enumerate()
            .map(|(index, container)| StepArtifacts {
                container: (*container).to_owned(),
                directory: pod.text(&format!("tekton/run/{index}/status/artifacts")),
            })
            .collect(),
    }
}

fn start(pod: &Pod, flags: &LogResultsFlags) -> Child {
    let mut command = Command::new(binary());
    command
        .args(["-root", pod.text("").as_str()])
        .args(flags.to_args());
    command.stdout(Stdio::piped()).spawn().unwrap()
}

fn over(pod: &Pod) {
    fs::write(pod.path("tekton/run/1/out"), "").unwrap();
}

fn logged(child: Child) -> Logged {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    Logged::read(std::str::from_utf8(&output.stdout).unwrap()).unwrap()
}

#[test]
fn values_are_exact_and_come_after_the_last_step() {
    for marker in ["out", "out.err"] {
        let pod = pod();
        let mut child = start(&pod, &flags(&pod, &["text", "none", "blob"]));
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(child.try_wait().unwrap(), None);
        fs::write(pod.path("tekton/results/text"), "a\n\u{1}ä\"").unwrap();
        fs::write(pod.path("tekton/results/blob"), b"\xff").unwrap();
        fs::write(pod.path("tekton/run/0/status/results/own"), "x".repeat(64 * 1024)).unwrap();
        fs::write(pod.path(&format!("tekton/run/1/{marker}")), "").unwrap();
        let seen = logged(child);
        assert_eq!(seen.task, [Entry::new(Kind::TaskResult, "text", "a\n\u{1}ä\"")]);
        assert_eq!(
            seen.steps,
            [(
                "step-a".to_owned(),
                Entry::new(Kind::StepResult, "own", "x".repeat(64 * 1024))
            )]
        );
        assert_eq!(seen.left_out.len(), 1);
        assert!(
            seen.left_out[0].contains("\"blob\" is not valid UTF-8"),
            "{seen:?}"
        );
    }
}

#[test]
fn w35_artifacts_of_steps_and_of_the_task_go_the_same_way() {
    let pod = pod();
    let artifacts = |name: &str| {
        let uri = "x".repeat(8192);
        format!(r#"{{"outputs":[{{"name":"{name}","values":[{{"uri":"{uri}"}}]}}]}}"#)
    };
    for (directory, name) in [
        ("tekton/run/0/status/artifacts", "own"),
        ("tekton/artifacts", "task"),
    ] {
        fs::create_dir_all(pod.path(directory)).unwrap();
        fs::write(pod.path(&format!("{directory}/provenance.json")), artifacts(name)).unwrap();
    }
    over(&pod);
    let seen = logged(start(&pod, &flags(&pod, &[])));
    let entry = |kind, name: &str| Entry::new(kind, "provenance.json", artifacts(name));
    let expected = [
        ("step-a".to_owned(), entry(Kind::StepArtifacts, "own")),
        ("step-b".to_owned(), entry(Kind::TaskArtifacts, "task")),
    ];
    assert_eq!(seen.steps, expected);
}

#[test]
fn w33_what_is_too_large_is_named_with_size_and_limit() {
    let half = MAX_TOTAL_BYTES / 2;
    for (sizes, most, kept, sentence) in [
        ([half, half], MAX_TOTAL_BYTES, 2, None),
        (
            [half, half + 1],
            MAX_TOTAL_BYTES,
            1,
            Some(
                "the results have 524289 bytes together, and at most 524288 fit; the largest is \"b\" with 262145 bytes",
            ),
        ),
        (
            [10, 11],
            10,
            1,
            Some("result \"b\" has 11 bytes, and at most 10 fit"),
        ),
    ] {
        let pod = pod();
        for (name, size) in ["a", "b"].into_iter().zip(sizes) {
            fs::write(pod.path(&format!("tekton/results/{name}")), "x".repeat(size)).unwrap();
        }
        over(&pod);
        let flags = LogResultsFlags {
            most,
            ..flags(&pod, &["a", "b"])
        };
        let seen = logged(start(&pod, &flags));
        assert_eq!(seen.task.len(), kept, "{sizes:?}");
        assert_eq!(seen.left_out.first().map(String::as_str), sentence);
    }
}

#[test]
fn one_that_shall_stay_stays_until_it_is_told_to_go() {
    let pod = pod();
    over(&pod);
    let flags = LogResultsFlags {
        afterwards: Afterwards::Stay,
        ..flags(&pod, &[])
    };
    let mut child = start(&pod, &flags);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(child.try_wait().unwrap(), None);
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    until("it ends", || child.try_wait().unwrap().is_some());
    assert_eq!(logged(child), Logged::default());
}
