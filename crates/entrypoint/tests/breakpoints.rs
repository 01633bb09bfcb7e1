//! Breakpoints: where a step pauses, and what it makes of each answer.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Output},
};

use common::{Pod, Running, binary};
use nix::sys::signal::Signal;
use tektite_protocol::{
    GoDuration,
    breakpoint::Breakpoint,
    flags::{OnError, StepFlags},
    termination::{key, reason},
};

fn paused(pod: &Pod, at: Breakpoint, flags: StepFlags) -> Running {
    fs::create_dir_all(pod.path("tekton/debug/info/0")).unwrap();
    let step = pod.start(&StepFlags {
        breakpoints: vec![at],
        ..flags
    });
    step.says("level=error msg=\"paused ");
    step
}

/// `entrypoint debug WORD` in the step's container.
fn debug(pod: &Pod, word: &str) -> Output {
    let mut command = Command::new(binary());
    command.args(["-root", &pod.text(""), "debug", word]);
    command.output().unwrap()
}

/// The program of that name in the scripts' directory.
fn script(pod: &Pod, name: &str) -> Output {
    let mut command = Command::new(binary());
    command.arg0(format!("/tekton/debug/scripts/{name}"));
    command.args(["-root", &pod.text("")]);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(all).unwrap()
}

#[test]
fn before_the_command() {
    for (word, exit, ran) in [("continue", 0, true), ("fail", 1, false)] {
        let pod = Pod::new();
        let step = paused(&pod, Breakpoint::BeforeStep, pod.sh("echo ran"));
        assert!(!pod.has("tekton/run/0/out") && !pod.has("tekton/run/0/out.err"));
        let answer = debug(&pod, word);
        assert!(answer.status.success(), "{}", text(&answer));
        let done = step.wait();
        assert_eq!((done.exit, done.released()), (exit, ran), "{}", done.log);
        assert_eq!(done.stdout, if ran { "ran\n" } else { "" });
        assert_eq!(done.exit_code_file().as_deref(), ran.then_some("0"));
        let told = done.internal(key::MESSAGE).unwrap_or_default();
        assert_eq!(told.contains("told to fail at the breakpoint"), !ran, "{told}");
        assert!(!pod.has("tekton/run/0/out.paused"));
    }
}

#[test]
fn after_a_failure() {
    for (command, word, exit) in [
        (&["sh", "-c", "exit 7"][..], "continue", 0),
        (&["sh", "-c", "exit 7"], "fail", 1),
        (&["/no/such/program"], "continue", 0),
    ] {
        let pod = Pod::new();
        let flags = StepFlags {
            // Overridden: whoever debugs wants to see it.
            on_error: Some(OnError::Continue),
            ..pod.step(0, command)
        };
        let step = paused(&pod, Breakpoint::OnFailure, flags);
        // Results and message are there for whoever looks.
        assert!(pod.read("termination-0").contains("StartedAt"));
        assert!(debug(&pod, word).status.success());
        let done = step.wait();
        assert_eq!((done.exit, done.released()), (exit, exit == 0), "{}", done.log);
        assert_eq!(done.exit_code_file(), None);
        assert_eq!(done.internal(key::EXIT_CODE), None);
    }
}

#[test]
fn a_step_that_succeeds_or_runs_out_of_time_does_not_pause() {
    for (script, exit) in [("exit 0", 0), ("exec sleep 60", 1)] {
        let pod = Pod::new();
        let done = pod.run(&StepFlags {
            breakpoints: vec![Breakpoint::OnFailure],
            timeout: Some(GoDuration::from_secs(1)),
            ..pod.sh(script)
        });
        assert_eq!((done.exit, done.released()), (exit, exit == 0), "{}", done.log);
        let timed_out = (exit == 1).then_some(reason::TIMEOUT_EXCEEDED);
        assert_eq!(done.reason(), timed_out);
    }
}

#[test]
fn later_steps_run_after_one_that_was_told_to_fail() {
    let pod = Pod::new();
    fs::create_dir_all(pod.path("tekton/run/0")).unwrap();
    fs::write(pod.path("tekton/run/0/out.err"), "").unwrap();
    let done = pod.run(&StepFlags {
        breakpoints: vec![Breakpoint::OnFailure],
        ..pod.after(1, &["true"])
    });
    assert_eq!((done.exit, done.released()), (0, true), "{}", done.log);
}

#[test]
fn files_written_by_hand_count_too() {
    for (written, exit) in [
        ("0\n", 0),
        ("5\n", 5),
        ("-1", 1),
        ("300", 1),
        ("nonsense", 0),
        ("", 0),
    ] {
        let pod = Pod::new();
        let step = paused(&pod, Breakpoint::OnFailure, pod.sh("exit 7"));
        fs::write(pod.path("tekton/run/0/out.breakpointexit"), written).unwrap();
        assert_eq!(step.wait().exit, exit, "{written:?}");
    }
}

#[test]
fn the_end_of_the_run_ends_the_pause() {
    for at in Breakpoint::ALL {
        for cancelled in [true, false] {
            let pod = Pod::new();
            let step = paused(&pod, at, pod.sh("exit 7"));
            if cancelled {
                fs::write(pod.path("tekton/downward/cancel"), "CANCEL").unwrap();
            } else {
                step.signal(Signal::SIGTERM);
            }
            let done = step.wait();
            let (exit, reason) = match at {
                Breakpoint::BeforeStep => (9, Some(reason::CANCELLED)),
                Breakpoint::OnFailure => (7, None),
            };
            assert_eq!((done.exit, done.reason()), (exit, reason), "{}", done.log);
            assert!(!done.released());
            assert!(done.log.contains("not paused any longer: "), "{}", done.log);
        }
    }
}

#[test]
fn debug_says_why_it_does_nothing() {
    let pod = Pod::new();
    let said = |output: &Output| (output.status.code(), text(output));
    let (code, sentence) = said(&debug(&pod, "continue"));
    assert_eq!(code, Some(1));
    assert!(
        sentence.starts_with("this container is no step of a TaskRun with breakpoints"),
        "{sentence}"
    );
    fs::create_dir_all(pod.path("tekton/debug/info/3")).unwrap();
    let (code, sentence) = said(&debug(&pod, "shell"));
    assert_eq!(code, Some(1));
    assert!(sentence.starts_with("step 3 is not paused"), "{sentence}");
    let (code, sentence) = said(&debug(&pod, "run"));
    assert_eq!(
        (code, sentence.as_str()),
        (Some(2), "write debug continue, debug fail or debug shell\n")
    );
}

#[test]
fn scripts_answer_only_at_their_breakpoint() {
    let pod = Pod::new();
    let step = paused(&pod, Breakpoint::OnFailure, pod.sh("exit 7"));
    for name in ["debug-continue", "debug-fail-continue"] {
        let link = fs::read_link(pod.path("tekton/debug/scripts").join(name)).unwrap();
        assert_eq!(link, Path::new(&pod.text("tekton/bin/entrypoint")));
    }
    assert!(!pod.has("tekton/debug/scripts/debug-beforestep-continue"));
    let wrong = script(&pod, "debug-beforestep-continue");
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(
        text(&wrong),
        "step 0 is paused after its failure; run debug-continue instead\n"
    );
    let right = script(&pod, "debug-fail-continue");
    assert_eq!(
        (right.status.code(), text(&right).as_str()),
        (Some(0), "step 0 fails\n")
    );
    assert_eq!(step.wait().exit, 1);
}

#[test]
fn the_shell_has_what_the_command_would_have() {
    let pod = Pod::new();
    fs::create_dir_all(pod.path("tekton/links/step-before/results")).unwrap();
    fs::write(pod.path("tekton/links/step-before/results/r"), "from before").unwrap();
    let step = paused(&pod, Breakpoint::BeforeStep, pod.sh("true"));
    fs::create_dir(pod.path("bin")).unwrap();
    fs::write(pod.path("bin/bash"), "#!/bin/sh\necho \"shell: $VALUE\"\n").unwrap();
    fs::set_permissions(pod.path("bin/bash"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(binary());
    command.args(["-root", &pod.text(""), "debug", "shell"]);
    command
        .env("PATH", pod.path("bin"))
        .env("VALUE", "$(steps.before.results.r)");
    let output = command.output().unwrap();
    let said = text(&output);
    assert!(
        said.starts_with("shell: from before\nstep 0 is paused before its command; leave with exit"),
        "{said}"
    );
    command.env("PATH", "/nowhere");
    let said = text(&command.output().unwrap());
    assert!(
        said.starts_with("the image has no shell: look at the step with kubectl debug"),
        "{said}"
    );
    assert!(debug(&pod, "continue").status.success());
    assert_eq!(step.wait().exit, 0);
}

#[test]
fn an_answer_that_cannot_be_read_is_said_and_is_none() {
    let pod = Pod::new();
    let step = paused(&pod, Breakpoint::OnFailure, pod.sh("exit 7"));
    fs::write(pod.path("tekton/run/0/out.breakpointexit"), b"\xff\xfe").unwrap();
    step.says("still paused: the answer in ");
    assert!(pod.has("tekton/run/0/out.paused"));
    assert!(script(&pod, "debug-fail-continue").status.success());
    let done = step.wait();
    assert_eq!(done.exit, 1, "{}", done.log);
    assert_eq!(done.log.matches("still paused").count(), 1, "{}", done.log);
}
