//! Signals, timeouts and cancelling: the whole process group, TERM before KILL, nothing left.
// Helpers of tests are tests too; clippy only knows functions marked so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use common::{Pod, runs, state, until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tektite_protocol::{
    GoDuration,
    flags::{OnError, StepFlags},
    termination::key,
};

fn timeout(pod: &Pod, millis: i64, script: &str) -> StepFlags {
    StepFlags {
        timeout: Some(GoDuration::from_nanos(millis * 1_000_000)),
        on_error: Some(OnError::Continue),
        ..pod.sh(script)
    }
}

fn pid(pod: &Pod, file: &str) -> i32 {
    until(file, || pod.has(file) && pod.read(file).ends_with('\n'));
    pod.read(file).trim().parse().unwrap()
}

#[test]
fn a_signal_reaches_the_whole_group() {
    let pod = Pod::new();
    // Each process says when its trap is set, and again when the signal arrives.
    let member = |name: &str| {
        format!(
            "(trap 'echo got > {name}-got; exit 0' USR1 TERM; echo ready > {name}; while :; do sleep 0.05; done) & "
        )
    };
    let script = format!(
        "{}{}trap 'wait; exit 6' USR1 TERM; echo ready > leader; while :; do sleep 0.05; done",
        member("a"),
        member("b")
    );
    for signal in [Signal::SIGUSR1, Signal::SIGTERM] {
        let step = pod.start(&pod.sh(&script));
        for name in ["a", "b", "leader"] {
            until(name, || pod.has(name));
        }
        step.signal(signal);
        assert_eq!(step.wait().exit, 6);
        for name in ["a", "b", "leader", "a-got", "b-got"] {
            until(name, || name == "leader" || pod.has(name));
            fs::remove_file(pod.path(name)).unwrap();
        }
    }
}

#[test]
fn a_timeout_kills_what_ignores_sigterm() {
    let pod = Pod::new();
    let script = "trap '' TERM; sleep 1000 & echo $! > child; echo $$ > leader; wait; sleep 1000";
    let done = pod.run(&timeout(&pod, 300, script));
    assert_eq!((done.exit, done.released()), (1, false), "{}", done.log);
    assert_eq!(done.reason(), Some("TimeoutExceeded"));
    assert_eq!(
        (done.internal(key::MESSAGE), done.internal(key::RAN)),
        (None, None)
    );
    assert_eq!(done.exit_code_file(), None);
    assert!(
        done.log.contains("the step's timeout of 300ms is over"),
        "{}",
        done.log
    );
    assert!(done.log.contains("did not stop in time"), "{}", done.log);
    for file in ["child", "leader"] {
        let pid = pid(&pod, file);
        until("it is gone", || !runs(pid));
    }
}

#[test]
fn a_timeout_waits_for_those_who_clean_up() {
    let pod = Pod::new();
    let script = "(trap 'sleep 0.3; echo clean > clean; exit 0' TERM; echo > set; while :; do sleep 0.05; done) & \
                  while ! [ -e set ]; do sleep 0.01; done; exec sleep 1000";
    let done = pod.run(&timeout(&pod, 2000, script));
    assert_eq!(
        (done.exit, done.reason()),
        (1, Some("TimeoutExceeded")),
        "{}",
        done.log
    );
    assert!(pod.has("clean"), "{}", done.log);
    assert!(!done.log.contains("did not stop in time"), "{}", done.log);
}

#[test]
fn a_command_that_exits_0_on_sigterm_is_out_of_time_all_the_same() {
    let pod = Pod::new();
    let done = pod.run(&timeout(
        &pod,
        300,
        "trap 'exit 0' TERM; while :; do sleep 0.02; done",
    ));
    assert_eq!(
        (done.exit, done.released(), done.reason()),
        (1, false, Some("TimeoutExceeded"))
    );
}

#[test]
fn a_timeout_that_is_not_reached_changes_nothing() {
    let pod = Pod::new();
    for millis in [0, 3_600_000, i64::MAX / 1_000_000] {
        assert_eq!(pod.run(&timeout(&pod, millis, "true")).exit, 0);
    }
}

#[test]
fn waiting_does_not_count() {
    let pod = Pod::new();
    let step = pod.start(&StepFlags {
        wait_files: vec![pod.text("gate")],
        ..timeout(&pod, 1500, "true")
    });
    // Longer than the timeout: that the step is still there is the test.
    std::thread::sleep(Duration::from_millis(1600));
    fs::write(pod.path("gate"), "").unwrap();
    assert_eq!(step.wait().exit, 0);
}

#[test]
fn cancelling_stops_a_running_command() {
    let pod = Pod::new();
    let step = pod.start(&StepFlags {
        on_error: Some(OnError::Continue),
        results: Some(vec!["r".into()]),
        ..pod.sh(
            "trap 'echo stopped > tekton/results/r; exit 0' TERM; echo > runs; while :; do sleep 0.02; done",
        )
    });
    until("it runs", || pod.has("runs"));
    let began = Instant::now();
    fs::write(pod.path("tekton/downward/cancel"), "CANCEL").unwrap();
    let done = step.wait();
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "not by its grace: {}",
        done.log
    );
    assert_eq!((done.exit, done.released()), (9, false));
    assert_eq!(done.reason(), Some("Cancelled"));
    assert_eq!(
        (done.internal(key::MESSAGE), done.internal(key::RAN)),
        (None, None)
    );
    assert_eq!(done.exit_code_file().as_deref(), Some("killed"));
    assert!(
        done.entries
            .iter()
            .any(|entry| entry.key == "r" && entry.value == "stopped\n")
    );
}

#[test]
fn orphans_are_reaped() {
    let pod = Pod::new();
    // The middle process ends at once; its child is adopted by the entrypoint and ends later.
    let script = "(sh -c 'echo $PPID > /dev/null; while ! [ -e end ]; do sleep 0.02; done' & echo $! > orphan) & \
                  wait; exec sleep 1000";
    let step = pod.start(&pod.sh(script));
    let orphan = pid(&pod, "orphan");
    let entrypoint = step.pid().as_raw();
    until("it is adopted", || {
        state(orphan).is_some_and(|(_, parent)| parent == entrypoint)
    });
    fs::write(pod.path("end"), "").unwrap();
    until("it is reaped", || state(orphan).is_none());
    step.says(&format!("orphan {orphan} ended"));
    step.signal(Signal::SIGTERM);
    assert_eq!(step.wait().exit, 255);
}

#[test]
fn what_a_command_leaves_behind_is_left_alone() {
    let pod = Pod::new();
    let done = pod.run(&pod.sh("sleep 1000 >&- 2>&- & echo $! > left"));
    assert_eq!(done.exit, 0);
    let left = pid(&pod, "left");
    assert!(runs(left));
    kill(Pid::from_raw(left), Signal::SIGKILL).unwrap();
}

/// As in a container: nothing that the kernel does by default for a signal happens to PID 1.
#[test]
fn as_pid_1_signals_work_and_orphans_are_reaped() {
    let wrapper = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let able = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output();
    if !able.is_ok_and(|output| output.status.success()) {
        println!("note: no PID namespaces here, so nothing was checked");
        return;
    }
    let pod = Pod::new();
    let waiting = pod.after(1, &["true"]);
    let script = "trap 'exit 5' TERM; (sleep 0.1 &); echo > runs; while :; do sleep 0.02; done";
    let running = pod.sh(script);
    for (flags, said, exit, reason) in [
        (&waiting, "waiting for", 9, Some("Cancelled")),
        (&running, "ended: exited with code 0", 5, None),
    ] {
        let step = pod.start_as(pod.wrapped(&wrapper, flags), flags);
        step.says(said);
        let outer = step.pid();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
        kill(Pid::from_raw(children.trim().parse().unwrap()), Signal::SIGTERM).unwrap();
        let done = step.wait();
        assert_eq!(
            (done.exit, done.released(), done.reason()),
            (exit, false, reason),
            "{}",
            done.log
        );
    }
}
