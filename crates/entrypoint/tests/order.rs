//! A step's turn: chains, skips, markers that appear in every way, and what ends a wait early.

// Helpers of tests are tests too; clippy only knows functions marked so.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::{
    fs,
    os::unix::fs::symlink,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{Pod, Running, level, until};
use nix::sys::signal::Signal;
use tektite_protocol::{flags::StepFlags, log::LogLevel, termination::key};

#[test]
fn steps_run_in_order_whoever_starts_first() {
    let pod = Pod::new();
    let gate = StepFlags {
        wait_files: vec![pod.text("gate")],
        ..pod.step(0, &["sh", "-c", "echo 0 >> order"])
    };
    let steps = [
        gate,
        pod.after(1, &["sh", "-c", "echo 1 >> order"]),
        pod.after(
            2,
            &["sh", "-c", "cat tekton/links/step-0/exitCode; echo 2 >> order"],
        ),
    ];
    let running: Vec<_> = steps.iter().rev().map(|flags| pod.start(flags)).collect();
    for step in &running {
        step.says("waiting for");
    }
    assert!(!pod.has("order"));
    fs::write(pod.path("gate"), "").unwrap();
    for step in running {
        let done = step.wait();
        assert_eq!(done.exit, 0);
        let hand_over = done.internal(key::HAND_OVER).map(str::parse::<u64>);
        assert!(matches!(hand_over, Some(Ok(_))), "{hand_over:?}");
    }
    assert_eq!(pod.read("order"), "0\n1\n2\n");
    assert_eq!(pod.read("out-2"), "0");
}

#[test]
fn a_failure_skips_all_that_follow() {
    let pod = Pod::new();
    let later: Vec<_> = [1, 2]
        .map(|index| pod.start(&pod.after(index, &["touch", "ran"])))
        .into();
    let first = pod.run(&pod.sh("exit 7"));
    assert_eq!((first.exit, first.internal(key::HAND_OVER)), (7, None));
    for step in later {
        let done = step.wait();
        assert_eq!((done.exit, done.released()), (1, false));
        assert_eq!(done.reason(), Some("Skipped"));
        assert!(done.internal(key::STARTED_AT).is_some());
        assert!(
            done.log.contains("skipped: an earlier step failed"),
            "{}",
            done.log
        );
        assert_eq!(done.exit_code_file(), None);
    }
    assert!(!pod.has("ran"));
}

#[test]
fn a_step_that_fails_by_its_results_releases_nobody() {
    let pod = Pod::new();
    let later = pod.start(&pod.after(1, &["true"]));
    let done = pod.run(&StepFlags {
        results: Some(vec!["r".into()]),
        ..pod.sh("head -c 5000 /dev/urandom | od -An -v -tx1 | tr -d ' \\n' > tekton/results/r")
    });
    assert_eq!((done.exit, done.released()), (1, false));
    assert_eq!(later.wait().reason(), Some("Skipped"));
}

#[test]
fn a_file_that_appears_by_rename() {
    let pod = Pod::new();
    let step = pod.start(&StepFlags {
        wait_files: vec![pod.text("tekton/run/gate")],
        ..pod.sh("true")
    });
    step.says("waiting for");
    fs::write(pod.path("elsewhere"), "").unwrap();
    fs::rename(pod.path("elsewhere"), pod.path("tekton/run/gate")).unwrap();
    assert_eq!(step.wait().exit, 0);
}

/// As the kubelet updates a downward API volume: a link to a link to a directory is swapped.
#[test]
fn a_file_that_gets_its_content_by_a_swapped_link() {
    let pod = Pod::new();
    let volume = pod.path("volume");
    let version = |name: &str, content: &str| {
        fs::create_dir_all(volume.join(name)).unwrap();
        fs::write(volume.join(name).join("ready"), content).unwrap();
        symlink(name, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    version("..1", "");
    symlink("..data/ready", volume.join("ready")).unwrap();
    let step = pod.start(&StepFlags {
        wait_files: vec![pod.text("volume/ready")],
        wait_file_content: true,
        ..pod.sh("true")
    });
    step.says("waiting for");
    version("..2", "READY");
    assert_eq!(step.wait().exit, 0);
}

#[test]
fn a_file_in_a_directory_that_is_not_there_yet() {
    for (file, exit, reason) in [("gate", 0, None), ("gate.err", 1, Some("Skipped"))] {
        for at_once in [true, false] {
            let pod = Pod::new();
            let step = pod.start(&StepFlags {
                wait_files: vec![pod.text("late/dir/gate"), String::new()],
                ..pod.sh("true")
            });
            step.says("waiting for");
            let made = if at_once { "early" } else { "late" };
            fs::create_dir_all(pod.path(&format!("{made}/dir"))).unwrap();
            fs::write(pod.path(&format!("{made}/dir/{file}")), "").unwrap();
            if at_once {
                // Nothing changes in the directory once it is there: only looking again finds the file.
                fs::rename(pod.path("early"), pod.path("late")).unwrap();
            }
            let done = step.wait();
            assert_eq!((done.exit, done.reason()), (exit, reason), "{}", done.log);
        }
    }
}

/// Whether the step is woken by changes in a directory.
fn watches_a_directory(step: &Running) -> bool {
    let files = fs::read_dir(format!("/proc/{}/fd", step.pid())).unwrap();
    files.flatten().any(|file| {
        let target = fs::read_link(file.path()).unwrap_or_default();
        target.to_string_lossy().contains("inotify")
    })
}

#[test]
fn without_a_pipe_the_marker_is_seen_by_a_change_or_by_looking_again() {
    // In a namespace of its own a user may have fewer of them, down to none.
    let no_watches = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
    let polling: &[&str] = &["unshare", "--user", "--map-root-user", "sh", "-c", no_watches];
    for wrapper in [&[], polling] {
        if let Some((program, words)) = wrapper.split_first() {
            let mut able = Command::new(program);
            able.args(words).arg("true").stderr(Stdio::null());
            if !able.status().is_ok_and(|status| status.success()) {
                println!("note: no user namespaces here, so looking again was not checked");
                continue;
            }
        }
        for (script, exit, reason) in [("true", 0, None), ("exit 7", 1, Some("Skipped"))] {
            let pod = Pod::new();
            // Not even root makes a pipe where a directory is.
            fs::create_dir_all(pod.path("tekton/run/0/out.alive.new")).unwrap();
            let flags = pod.after(1, &["true"]);
            let later = pod.start_as(pod.wrapped(wrapper, &flags), &flags);
            later.says("waiting for");
            if wrapper.is_empty() {
                until("it watches", || watches_a_directory(&later));
            } else {
                assert!(!watches_a_directory(&later));
            }
            let first = pod.run(&pod.sh(script));
            assert!(first.log.contains("msg=\"no pipe for "), "{}", first.log);
            let done = later.wait();
            assert_eq!((done.exit, done.reason()), (exit, reason), "{}", done.log);
        }
    }
}

#[test]
fn a_signal_ends_the_wait_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
        let pod = Pod::new();
        let step = pod.start(&pod.after(1, &["true"]));
        step.says("waiting for");
        step.signal(Signal::SIGWINCH);
        step.says("SIGWINCH arrived");
        let began = Instant::now();
        step.signal(signal);
        let done = step.wait();
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!((done.exit, done.released()), (9, false));
        assert_eq!(done.reason(), Some("Cancelled"));
        assert!(done.log.contains(signal.as_str()), "{}", done.log);
    }
}

#[test]
fn a_cancelled_run_ends_the_wait_and_starts_nothing() {
    let pod = Pod::new();
    let waiting = pod.start(&pod.after(1, &["touch", "ran"]));
    waiting.says("waiting for");
    fs::write(pod.path("tekton/downward/cancel"), "CANCEL").unwrap();
    let late = pod.start(&pod.step(0, &["touch", "ran"]));
    for step in [waiting, late] {
        let done = step.wait();
        assert_eq!((done.exit, done.released()), (9, false));
        assert_eq!(done.reason(), Some("Cancelled"));
        assert_eq!(done.exit_code_file().as_deref(), Some("killed"));
    }
    assert!(!pod.has("ran"));
}

#[test]
fn a_predecessor_that_is_killed_is_noticed() {
    let pod = Pod::new();
    let first = pod.start(&pod.sh("echo $$ > pid; exec sleep 1000"));
    let second = pod.start(&pod.after(1, &["true"]));
    second.says("waiting for");
    until("the command runs", || {
        pod.has("pid") && !pod.read("pid").is_empty()
    });
    let mut first = first;
    let killed = Instant::now();
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let done = second.wait();
    let noticed = killed.elapsed();
    println!("noticed after {noticed:?}");
    // 2 s are promised, and it usually takes less than 0.1 s. The bound is ten times the promise, since on
    // a busy machine everything takes long: it only tells noticing from not noticing.
    assert!(noticed < Duration::from_secs(20));
    assert_eq!((done.exit, done.reason()), (1, Some("Skipped")));
    assert!(done.log.contains("step 0 ("), "{}", done.log);
    assert!(done.log.contains("ended without a word"), "{}", done.log);
    // Outside a container nobody kills the orphan.
    let pid = pod.read("pid").trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

#[test]
fn a_long_wait_is_told_at_info() {
    let pod = Pod::new();
    let step = pod.start(&StepFlags {
        log: level(LogLevel::Info),
        ..pod.after(1, &["true"])
    });
    step.says(&format!(
        "msg=\"waiting for step 0 ({})\"\n",
        pod.text("tekton/run/0/out")
    ));
    fs::create_dir_all(pod.path("tekton/run/0")).unwrap();
    fs::write(pod.path("tekton/run/0/out"), "").unwrap();
    let done = step.wait();
    assert!(done.log.contains("msg=\"waited "), "{}", done.log);
    assert_eq!(done.log.lines().count(), 4, "{}", done.log);
}

#[test]
fn a_directory_that_was_made_anew_is_entered_as_it_is_now() {
    for (anew, exit, out) in [("mkdir work; echo new > work/file", 0, "new\n"), (":", 1, "")] {
        let pod = Pod::new();
        fs::create_dir(pod.path("work")).unwrap();
        fs::write(pod.path("work/file"), "old\n").unwrap();
        let flags = pod.after(1, &["cat", "file"]);
        let mut command = pod.command(&flags);
        command.current_dir(pod.path("work"));
        let later = pod.start_as(command, &flags);
        later.says("waiting for");
        assert_eq!(pod.run(&pod.sh(&format!("rm -r work; {anew}"))).exit, 0);
        let done = later.wait();
        assert_eq!((done.exit, done.stdout.as_str()), (exit, out), "{}", done.log);
    }
}
