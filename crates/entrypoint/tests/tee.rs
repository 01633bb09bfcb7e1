//! A command's output in files: all of it, in both places, and nothing else changes.
// Helpers of tests are tests too; clippy only knows functions marked so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::{fs, process::Stdio};

use common::{Pod, until};
use nix::sys::signal::Signal;
use tektite_protocol::{
    GoDuration,
    flags::{OnError, StepFlags},
    termination::{Kind, key},
};

/// A step whose streams go to these files.
fn teed(pod: &Pod, stdout: &str, stderr: &str, script: &str) -> StepFlags {
    let path = |path: &str| {
        if path.is_empty() {
            String::new()
        } else {
            pod.text(path)
        }
    };
    StepFlags {
        stdout_path: path(stdout),
        stderr_path: path(stderr),
        ..pod.sh(script)
    }
}

/// The log without our own lines.
fn others(log: &str) -> String {
    let lines = log.split_inclusive('\n');
    lines.filter(|line| !line.starts_with("[tektite] ")).collect()
}

#[test]
fn both_places_get_everything() {
    let script = "printf 'out 1\\nout 2'; echo err >&2; exit 3";
    for (stdout, stderr) in [
        ("a/b/out", ""),
        ("", "a/err"),
        ("a/out", "b/err"),
        ("both", "both"),
    ] {
        let pod = Pod::new();
        let done = pod.run(&teed(&pod, stdout, stderr, script));
        assert_eq!((done.exit, done.released()), (3, false), "{}", done.log);
        assert_eq!(done.stdout, "out 1\nout 2");
        assert_eq!(others(&done.log), "err\n");
        let file = |path: &str| pod.read(path);
        if stdout == stderr {
            let both = file(stdout);
            assert!(
                both.contains("out 1\nout 2") && both.contains("err\n") && both.len() == 15,
                "{both}"
            );
            continue;
        }
        if !stdout.is_empty() {
            assert_eq!(file(stdout), "out 1\nout 2");
        }
        if !stderr.is_empty() {
            assert_eq!(file(stderr), "err\n");
        }
    }
}

#[test]
fn what_is_there_stays_and_the_end_is_a_result() {
    let pod = Pod::new();
    fs::write(pod.path("tekton/results/r"), "before ").unwrap();
    let done = pod.run(&StepFlags {
        results: Some(vec!["r".into()]),
        ..teed(&pod, "tekton/results/r", "", "printf 'ä\\n'")
    });
    assert_eq!(done.exit, 0, "{}", done.log);
    assert_eq!(done.value(Kind::TaskResult, "r"), Some("before ä\n"));
}

#[test]
fn no_line_of_a_large_output_is_lost() {
    let pod = Pod::new();
    let script = "i=0; while [ $i -lt 20 ]; do seq 1 20000; seq 1 20000 >&2; i=$((i+1)); done";
    let done = pod.run(&teed(&pod, "out", "err", script));
    assert_eq!(done.exit, 0);
    let expected: String = (1..=20_000)
        .map(|line| format!("{line}\n"))
        .collect::<Vec<_>>()
        .concat()
        .repeat(20);
    // Not by assert_eq: a difference of megabytes tells nothing.
    assert!(pod.read("out") == expected && pod.read("err") == expected);
    assert!(done.stdout == expected);
    assert_eq!(others(&done.log).len(), expected.len());
}

#[test]
fn a_log_that_nobody_reads_delays_neither_signal_nor_timeout() {
    for signal in [true, false] {
        let pod = Pod::new();
        let flags = StepFlags {
            timeout: (!signal).then(|| GoDuration::from_nanos(300_000_000)),
            ..teed(
                &pod,
                "out",
                "",
                "trap 'exit 5' TERM; echo ready > ready; yes & while :; do sleep 0.05; done",
            )
        };
        let mut command = pod.command(&flags);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("ready", || pod.has("ready"));
        until("the pipe is full", || {
            fs::metadata(pod.path("out")).is_ok_and(|file| file.len() > 65_536)
        });
        if signal {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
            nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
        }
        // The marker of a signalled command comes once its log is read: what it wrote is not thrown away.
        if signal {
            std::io::copy(child.stdout.as_mut().unwrap(), &mut std::io::sink()).unwrap();
        }
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(if signal { 5 } else { 1 }));
        assert!(pod.has("tekton/run/0/out.err"));
    }
}

#[test]
fn what_a_command_leaves_behind_is_not_waited_for() {
    let pod = Pod::new();
    let done = pod.run(&teed(
        &pod,
        "out",
        "err",
        "(echo begun; exec sleep 1000) & echo $! > left; yes | head -c 300000; yes >&2 & echo $! > busy",
    ));
    assert_eq!((done.exit, done.released()), (0, true), "{}", done.log);
    assert_eq!(done.stdout.replace("begun\n", "").len(), 300_000);
    for file in ["left", "busy"] {
        let pid = nix::unistd::Pid::from_raw(pod.read(file).trim().parse().unwrap());
        let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
    }
}

#[test]
fn a_file_that_cannot_be_written_fails_the_step() {
    for (path, ran, part) in [
        ("tekton/results", false, "cannot write the output to"),
        ("tekton/results/x/y", false, "cannot create the directory"),
        ("fifo", false, "cannot write the output to"),
        ("full", true, "cannot write the output to"),
    ] {
        for on_error in [OnError::StopAndFail, OnError::Continue] {
            let pod = Pod::new();
            fs::write(pod.path("tekton/results/x"), "").unwrap();
            nix::unistd::mkfifo(&pod.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
            std::os::unix::fs::symlink("/dev/full", pod.path("full")).unwrap();
            let done = pod.run(&StepFlags {
                on_error: Some(on_error),
                ..teed(&pod, path, "", "echo text; touch ran")
            });
            assert_eq!(
                (done.exit, done.released(), pod.has("ran")),
                (1, false, ran),
                "{path}: {}",
                done.log
            );
            assert!(
                done.internal(key::MESSAGE).unwrap().contains(part),
                "{path}: {}",
                done.log
            );
            assert_eq!(done.stdout, if ran { "text\n" } else { "" });
        }
    }
    let pod = Pod::new();
    std::os::unix::fs::symlink("/dev/full", pod.path("full")).unwrap();
    let done = pod.run(&teed(&pod, "full", "", "echo text; exit 7"));
    assert_eq!((done.exit, done.internal(key::MESSAGE)), (7, None));
}

#[test]
fn a_secret_in_a_files_name_stays_out_of_log_and_message() {
    for (path, part) in [
        // It cannot be opened, and it can be opened but not written.
        ("tekton/results/x/t0ken/y", "cannot create the directory"),
        ("t0ken/full", "cannot write the output to"),
    ] {
        let pod = Pod::new();
        fs::write(pod.path("tekton/results/x"), "").unwrap();
        fs::create_dir(pod.path("t0ken")).unwrap();
        std::os::unix::fs::symlink("/dev/full", pod.path("t0ken/full")).unwrap();
        let mut flags = teed(&pod, path, "", "echo text");
        flags.log.secrets.env = vec!["TOKEN".to_owned()];
        let mut command = pod.command(&flags);
        command.env("TOKEN", "t0ken");
        let done = pod.start_as(command, &flags).wait();
        assert_eq!(done.exit, 1, "{}", done.log);
        let told = done.internal(key::MESSAGE).unwrap();
        assert!(told.contains(part) && told.contains("***"), "{told}");
        assert!(
            !told.contains("t0ken") && !done.said.contains("t0ken"),
            "{done:#?}"
        );
    }
}

/// A named pipe that somebody has opened, and does not read.
fn pipe(pod: &Pod) -> fs::File {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = pod.path("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut options = fs::OpenOptions::new();
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    options.read(true).custom_flags(flags).open(path).unwrap()
}

#[test]
fn a_pipe_that_nobody_reads_delays_no_signal_and_no_timeout() {
    let pod = Pod::new();
    let _reader = pipe(&pod);
    let step = pod.start(&teed(&pod, "pipe", "", "echo be''gun >&2; exec yes"));
    step.says("begun");
    step.signal(Signal::SIGTERM);
    let done = step.wait();
    assert_eq!(done.exit, 255, "{}", done.log);
    assert!(done.log.contains("killed by SIGTERM"), "{}", done.log);

    for (timeout, script) in [(1, "exec yes"), (1, "head -c 100000 /dev/zero")] {
        let pod = Pod::new();
        let _reader = pipe(&pod);
        let done = pod.run(&StepFlags {
            timeout: Some(GoDuration::from_secs(timeout)),
            ..teed(&pod, "pipe", "", script)
        });
        assert_eq!((done.exit, done.released()), (1, false), "{}", done.log);
    }
}

#[test]
fn what_a_pipe_lacks_is_a_failure() {
    let pod = Pod::new();
    let _reader = pipe(&pod);
    // In two words, so that the log of the arguments is not taken for it.
    let script = "trap '' TERM; head -c 100000 /dev/zero; echo 'en''ded' >&2";
    let step = pod.start(&teed(&pod, "pipe", "", script));
    step.says("ended");
    step.signal(Signal::SIGTERM);
    let done = step.wait();
    assert_eq!((done.exit, done.released()), (1, false), "{}", done.log);
    let sentence = format!(
        "the output in {} is not whole: nobody reads that pipe",
        pod.text("pipe")
    );
    assert!(done.log.contains(&sentence), "{}", done.log);
    assert!(done.internal(key::MESSAGE).unwrap().contains(&sentence));
}

#[test]
fn a_slow_reader_of_a_pipe_gets_everything() {
    use std::io::Read as _;
    let pod = Pod::new();
    let mut reader = pipe(&pod);
    let mut step = pod.start(&teed(
        &pod,
        "pipe",
        "",
        "head -c 300000 /dev/zero; echo ended >&2",
    ));
    let mut read = 0;
    until("the step ends", || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut piece) {
            read += count;
        }
        step.child.try_wait().unwrap().is_some()
    });
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest);
    assert_eq!(read + rest.len(), 300_000);
    let done = step.wait();
    assert_eq!((done.exit, done.stdout.len()), (0, 300_000), "{}", done.log);
}
