//! Sidecars: when their containers end, and with which code.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use common::{Pod, binary, level, until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tektite_protocol::{
    flags::Script,
    log::LogLevel,
    sidecar::{SidecarFlags, Start},
};

fn flags(script: &str) -> SidecarFlags {
    SidecarFlags {
        log: level(LogLevel::Debug),
        entrypoint: "sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        ..SidecarFlags::default()
    }
}

fn start(pod: &Pod, flags: &SidecarFlags) -> Child {
    let words = flags.to_args().into_iter().map(|word| word.replace("$$", "$"));
    let mut command = Command::new(binary());
    command.args(words).current_dir(pod.dir.path());
    command.stdin(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

fn code(mut child: Child) -> Option<i32> {
    child.wait().unwrap().code()
}

#[test]
fn one_that_ends_well_stays_until_it_is_told_to_go() {
    let pod = Pod::new();
    let mut child = start(&pod, &flags("echo > done"));
    until("the command ended", || pod.has("done"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(child.try_wait().unwrap(), None);
    signal(&child, Signal::SIGTERM);
    assert_eq!(code(child), Some(0));
}

#[test]
fn one_that_fails_ends_with_its_code_after_the_kubelet_has_seen_it() {
    let pod = Pod::new();
    let mut child = start(&pod, &flags("echo > done; exit 7"));
    until("the command ended", || pod.has("done"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(child.try_wait().unwrap(), None);
    assert_eq!(code(child), Some(7));
}

#[test]
fn the_kubelets_signal_reaches_the_command_and_nothing_waits_then() {
    for (script, expected) in [
        ("trap 'exit 0' TERM; echo > up; while :; do sleep 0.01; done", 0),
        ("trap 'exit 5' TERM; echo > up; while :; do sleep 0.01; done", 5),
        ("echo > up; exec sleep 600", 143),
    ] {
        let pod = Pod::new();
        let child = start(&pod, &flags(script));
        until("the command runs", || pod.has("up"));
        signal(&child, Signal::SIGTERM);
        assert_eq!(code(child), Some(expected), "{script}");
    }
}

#[test]
fn an_ordinary_one_is_stopped_when_the_last_step_is_over() {
    for marker in ["out", "out.err"] {
        let pod = Pod::new();
        fs::create_dir_all(pod.path("tekton/run/1")).unwrap();
        let child = start(
            &pod,
            &SidecarFlags {
                stop_file: Some(pod.text("tekton/run/1/out")),
                ..flags("echo > up; exec sleep 600")
            },
        );
        until("the command runs", || pod.has("up"));
        fs::write(pod.path(&format!("tekton/run/1/{marker}")), "").unwrap();
        assert_eq!(code(child), Some(0), "{marker}");
    }
}

#[test]
fn an_ordinary_one_that_ends_by_itself_ends_with_its_code() {
    let pod = Pod::new();
    for (script, expected) in [("exit 0", 0), ("exit 3", 3)] {
        let flags = SidecarFlags {
            stop_file: Some(pod.text("tekton/run/1/out")),
            ..flags(script)
        };
        assert_eq!(code(start(&pod, &flags)), Some(expected));
    }
}

#[test]
fn a_script_is_put_in_place_and_stdin_is_the_containers_where_that_is_asked_for() {
    let pod = Pod::new();
    let path = pod.text("script");
    let flags = SidecarFlags {
        start: Start::InPlace,
        script: Some(Script::new(
            path.as_str(),
            "#!/bin/sh\nread line; echo \"$line $1\" > said; exit 4\n",
        )),
        entrypoint: path,
        args: vec!["x".to_owned()],
        ..SidecarFlags::default()
    };
    let mut child = start(&pod, &flags);
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"hello\n").unwrap();
    assert_eq!(code(child), Some(4));
    assert_eq!(pod.read("said"), "hello x\n");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let pod = Pod::new();
    let flags = SidecarFlags {
        stop_file: Some(pod.text("tekton/run/1/out")),
        entrypoint: "no-such-program".to_owned(),
        ..SidecarFlags::default()
    };
    assert_eq!(code(start(&pod, &flags)), Some(126));
}
