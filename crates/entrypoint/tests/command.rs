//! Running a command: exit codes, what it is given, why it does not start, scripts, the log.

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

use common::{Pod, level, until};
use nix::libc;
use tektite_protocol::{
    GoDuration,
    flags::{OnError, Script, StepFlags},
    log::{LogFlags, LogFormat, LogLevel, SecretPlaces},
    termination::key,
};

#[test]
fn exit_codes() {
    use OnError::{Continue, StopAndFail};
    for (script, on_error, exit, released, file, code) in [
        ("exit 0", StopAndFail, 0, true, Some("0"), None),
        ("exit 0", Continue, 0, true, Some("0"), None),
        ("exit 3", StopAndFail, 3, false, None, None),
        ("exit 3", Continue, 0, true, Some("3"), Some("3")),
        ("exit 255", StopAndFail, 255, false, None, None),
        ("kill -9 $$", StopAndFail, 255, false, None, None),
        ("kill -9 $$", Continue, 0, true, Some("-1"), Some("-1")),
        ("kill -PIPE $$", StopAndFail, 255, false, None, None),
        ("kill -40 $$", StopAndFail, 255, false, None, None),
    ] {
        let pod = Pod::new();
        let done = pod.run(&StepFlags {
            on_error: Some(on_error),
            ..pod.sh(script)
        });
        let told = (done.exit, done.released(), done.exit_code_file());
        assert_eq!(
            told,
            (exit, released, file.map(str::to_owned)),
            "{script} {done:#?}"
        );
        assert_eq!(done.internal(key::EXIT_CODE), code, "{script}");
        let started = done.internal(key::STARTED_AT).unwrap();
        assert!(started.len() == 24 && started.ends_with('Z'), "{started}");
    }
}

#[test]
fn the_log_names_the_signal() {
    let pod = Pod::new();
    let log = pod.run(&pod.sh("kill -9 $$")).log;
    assert!(log.contains("killed by SIGKILL after "), "{log}");
    assert!(log.contains("if nobody in the container sent it"), "{log}");
    let log = pod.run(&pod.sh("kill -40 $$")).log;
    assert!(log.contains("killed by signal 40 after "), "{log}");
}

#[test]
fn what_the_status_gets_of_a_failure() {
    let shells = "shells mean by it a";
    for (script, says) in [
        ("exit 0", None),
        // The exit code says it all.
        ("exit 3", Some(String::new())),
        ("exit 255", Some(String::new())),
        (
            "exit 126",
            Some(format!(
                "exited with code 126; {shells} file that may not be executed"
            )),
        ),
        (
            "no-such-program",
            Some(format!(
                "exited with code 127; {shells} command that they did not find"
            )),
        ),
        (
            "exit 139",
            Some(format!(
                "exited with code 139; {shells} program that SIGSEGV killed"
            )),
        ),
        (
            "kill -SEGV $$",
            Some("killed by SIGSEGV; the program crashed".to_owned()),
        ),
        (
            "kill -TERM $$",
            Some("killed by SIGTERM; something in the container sent it".to_owned()),
        ),
    ] {
        for on_error in [OnError::StopAndFail, OnError::Continue] {
            let pod = Pod::new();
            let done = pod.run(&StepFlags {
                on_error: Some(on_error),
                ..pod.sh(script)
            });
            let told = done.internal(key::MESSAGE);
            assert_eq!(told, says.as_deref().filter(|says| !says.is_empty()), "{script}");
            let ran = done.internal(key::RAN);
            assert_eq!(ran.is_some(), says.is_some(), "{script}");
            if let Some(ran) = ran {
                assert!(done.log.contains(&format!(" after {ran}")), "{ran}: {}", done.log);
            }
        }
    }
    // What never ran has not run for any time.
    let pod = Pod::new();
    let done = pod.run(&pod.step(0, &["no-such-tool"]));
    assert_eq!(done.internal(key::RAN), None);
}

#[test]
fn why_a_command_does_not_start() {
    let pod = Pod::new();
    for (name, content, mode) in [
        ("plain", "echo\n", 0o755),
        ("data", "#!/bin/sh\n", 0o644),
        ("python", "#!/usr/bin/python9 -u\n", 0o755),
        ("windows", "#!/bin/sh\r\necho\r\n", 0o755),
        ("late", "\n#!/bin/sh\n", 0o755),
    ] {
        fs::write(pod.path(name), content).unwrap();
        fs::set_permissions(pod.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for (command, part) in [
        ("", "has no command and its image gives none"),
        ("no-such-tool", "no-such-tool is not in the container's PATH ("),
        ("/no/such/tool", "/no/such/tool does not exist in the container"),
        ("./gone", "./gone does not exist in the working directory"),
        ("/tmp", "/tmp is a directory"),
        ("./plain", "text without #! line (exec format error)"),
        ("./data", "set its execute bit"),
        ("./python", "the interpreter /usr/bin/python9 in its first line"),
        ("./windows", "carriage return"),
        ("./late", "not at its very beginning"),
    ] {
        let done = pod.run(&StepFlags {
            on_error: Some(OnError::Continue),
            ..pod.step(0, &[command])
        });
        let _ = fs::remove_file(format!("{}.err", done.flags.post_file));
        assert_eq!(
            (done.exit, done.exit_code_file()),
            (1, None),
            "{command}: {done:#?}"
        );
        assert!(done.log.contains(part), "{command}: {}", done.log);
        assert!(done.internal(key::MESSAGE).unwrap().contains(part), "{command}");
    }
}

#[test]
fn a_bare_name_comes_from_path_and_keeps_its_name() {
    let pod = Pod::new();
    let done = pod.run(&pod.step(0, &["sh", "-c", "echo $0; cat /proc/$$/cmdline | tr '\\0' ' '"]));
    assert!(done.stdout.starts_with("sh\nsh -c echo"), "{}", done.stdout);
}

#[test]
fn what_the_command_is_given() {
    let pod = Pod::new();
    // No other program may ask for the signals: a shell blocks them all while it starts to wait for one.
    let mut command = pod.command(&pod.sh(
        "readlink /proc/$$/fd/0; echo \"$MINE\"; pwd; cut -d' ' -f5 /proc/$$/stat; echo $$; \
         while read -r key mask; do case $key in SigBlk:|SigIgn:) printf '%s\\t%s\\n' $key $mask;; esac; \
         done < /proc/$$/status; ls -l /proc/$$/fd | tr '\\n' ' '",
    ));
    command.env("MINE", "ä=\"1\"");
    let done = pod.start_as(command, &pod.sh("")).wait();
    let lines: Vec<&str> = done.stdout.lines().collect();
    let directory = pod.dir.path().canonicalize().unwrap();
    assert_eq!(&lines[..3], ["/dev/null", "ä=\"1\"", directory.to_str().unwrap()]);
    assert_eq!(lines[3], lines[4], "leader of its own group");
    assert_eq!(lines[5], "SigBlk:\t0000000000000000");
    let ignored = lines[6].strip_prefix("SigIgn:\t").unwrap();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    assert_eq!(
        ignored & (1 << (libc::SIGPIPE - 1)),
        0,
        "our own SIGPIPE is not passed on"
    );
    for own in ["anon_inode", ".alive"] {
        assert!(!lines[7].contains(own), "no descriptors of ours: {}", lines[7]);
    }
}

#[test]
fn a_script_arrives_byte_for_byte() {
    let tricky = "#!/bin/cat\n$$ $(HOME) $HOME \\\\ `x` \"'\r\nä\u{2028}\t%s\n\n  no newline at the end";
    let long = format!("#!/bin/cat\n{}", "echo $$ 'ä'\n".repeat(25_000));
    for text in [tricky, &long] {
        let pod = Pod::new();
        let path = pod.text("tekton/scripts/script-0-abcde");
        fs::create_dir_all(pod.path("tekton/scripts")).unwrap();
        fs::write(&path, "an old one, longer or shorter").unwrap();
        let done = pod.run(&StepFlags {
            script: Some(Script::new(&path, text)),
            ..pod.step(0, &[&path])
        });
        assert_eq!(done.exit, 0, "{}", done.log);
        assert_eq!(done.stdout, text);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
    }
}

#[test]
fn a_script_gets_its_arguments() {
    let pod = Pod::new();
    let path = pod.text("scripts/s");
    let done = pod.run(&StepFlags {
        script: Some(Script::new(
            &path,
            "#!/bin/sh\nset -e\necho \"$#:$1:$2\"\nexit 4\n",
        )),
        ..pod.step(0, &[&path, "a b", "--"])
    });
    assert_eq!((done.stdout.as_str(), done.exit), ("2:a b:--\n", 4));
}

#[test]
fn directories_and_links_suit_every_uid_whatever_the_umask() {
    let pod = Pod::new();
    let flags = pod.sh("umask; echo v > tekton/run/0/status/results/r");
    for _ in 0..2 {
        let command = pod.wrapped(&["sh", "-c", "umask 077; exec \"$0\" \"$@\""], &flags);
        let done = pod.start_as(command, &flags).wait();
        assert_eq!((done.exit, done.stdout.as_str()), (0, "0077\n"), "{}", done.log);
        for path in ["", "/results", "/artifacts"] {
            let metadata = fs::metadata(pod.path(&format!("tekton/run/0/status{path}"))).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o777);
        }
        let code = fs::metadata(pod.path("tekton/run/0/status/exitCode")).unwrap();
        assert_eq!(code.permissions().mode() & 0o777, 0o644);
        for link in ["step-0", "0"] {
            assert_eq!(pod.read(&format!("tekton/links/{link}/results/r")), "v\n");
        }
    }
}

#[test]
fn a_command_line_that_cannot_be_read_still_releases_nobody() {
    let pod = Pod::new();
    let flags = StepFlags {
        timeout: Some(GoDuration::from_nanos(-1)),
        ..pod.sh("true")
    };
    let done = pod.run(&flags);
    assert_eq!((done.exit, done.released()), (2, false));
    assert!(done.log.contains("a timeout cannot be negative"), "{}", done.log);
}

#[test]
fn a_step_whose_directory_cannot_be_made_fails() {
    let pod = Pod::new();
    fs::create_dir_all(pod.path("tekton/run/0")).unwrap();
    fs::write(pod.path("tekton/run/0/status"), "").unwrap();
    let done = pod.run(&pod.sh("true"));
    assert_eq!((done.exit, done.released()), (1, false));
    assert!(done.log.contains("cannot create the directory"), "{}", done.log);
    assert!(done.internal(key::MESSAGE).is_some());
}

#[test]
fn log_levels() {
    let running = "msg=\"running the command\" command=sh args=2 uid=";
    for (log_level, script, lines) in [
        (LogLevel::Off, "exit 3", &[][..]),
        (LogLevel::Error, "exit 0", &[]),
        (
            LogLevel::Error,
            "exit 3",
            &["level=error msg=\"exited with code 3 after"],
        ),
        (
            LogLevel::Info,
            "echo 12 > tekton/run/0/status/results/r",
            &[
                running,
                "msg=\"exited with code 0 after",
                "msg=\"read a result\" result=r bytes=3",
            ],
        ),
        (LogLevel::Info, "exit 3", &[running, "exit_code=3 duration_ms="]),
    ] {
        let pod = Pod::new();
        let log = pod.run(&StepFlags {
            log: level(log_level),
            step_results: vec!["r".to_owned()],
            ..pod.sh(script)
        });
        let log: Vec<&str> = log.log.lines().collect();
        assert_eq!(log.len(), lines.len(), "{log_level:?} {log:?}");
        for (line, part) in log.iter().zip(lines) {
            assert!(
                line.starts_with("[tektite] time=20") && line.contains(part),
                "{line}"
            );
        }
    }
}

#[test]
fn the_log_as_json() {
    let pod = Pod::new();
    let mut flags = pod.sh("exit 3");
    flags.log.format = LogFormat::Json;
    for line in pod.run(&flags).said.lines() {
        let json = line.strip_prefix("[tektite] ").unwrap();
        let line: serde_json::Value = serde_json::from_str(json).unwrap();
        assert!(
            line["time"].is_string() && line["level"].is_string() && line["msg"].is_string(),
            "{json}"
        );
    }
}

#[test]
fn secrets_stay_out_of_log_and_message() {
    let pod = Pod::new();
    fs::write(pod.path("password"), "hunter2\n").unwrap();
    let secrets = SecretPlaces {
        env: vec!["TOKEN".to_owned()],
        env_prefixes: vec!["DB_".to_owned()],
        paths: vec![pod.text("password")],
    };
    for (log_level, shown) in [(LogLevel::Info, false), (LogLevel::Debug, true)] {
        let flags = StepFlags {
            log: LogFlags {
                secrets: secrets.clone(),
                ..level(log_level)
            },
            ..pod.step(
                0,
                &[
                    "/no/t0ken",
                    "--harmless",
                    "--with=hunter2",
                    "-pa\"b\nc",
                    "db-pass",
                ],
            )
        };
        let mut command = pod.command(&flags);
        command
            .env("TOKEN", "t0ken")
            .env("DB_QUOTED", "a\"b\nc")
            .env("DB_PASS", "db-pass");
        command.env("OTHER", "plain-value");
        let done = pod.start_as(command, &flags).wait();
        let told = done.said.clone() + done.internal(key::MESSAGE).unwrap();
        assert_eq!(told.contains("--harmless"), shown, "{told}");
        assert_eq!(told.contains("DB_PASS"), shown, "{told}");
        assert!(told.contains("/no/*** does not exist in the container"), "{told}");
        for value in ["t0ken", "hunter2", "db-pass", "plain-value", "nc\"", "a\\"] {
            assert!(!told.contains(value), "{value}: {told}");
        }
        let _ = fs::remove_file(format!("{}.err", flags.post_file));
    }
}

#[test]
fn what_is_not_hidden_is_said_once_and_first() {
    let pod = Pod::new();
    fs::write(pod.path("huge"), vec![b'x'; 1024 * 1024 + 1]).unwrap();
    for (log_level, said) in [(LogLevel::Off, 0), (LogLevel::Error, 1), (LogLevel::Debug, 1)] {
        let flags = StepFlags {
            log: LogFlags {
                secrets: SecretPlaces {
                    paths: vec![pod.text("huge")],
                    ..SecretPlaces::default()
                },
                ..level(log_level)
            },
            ..pod.sh("exit 3")
        };
        let done = pod.run(&flags);
        let sentence = format!("not everything in {} is hidden", pod.text("huge"));
        assert_eq!(done.log.matches(&sentence).count(), said, "{}", done.log);
        if said > 0 {
            assert!(
                done.log.lines().next().unwrap().contains(&sentence),
                "{}",
                done.log
            );
        }
        let _ = fs::remove_file(format!("{}.err", flags.post_file));
    }
}

#[test]
fn a_stderr_that_is_gone_changes_nothing() {
    let pod = Pod::new();
    let flags = pod.sh("exit 5");
    // Closed before the start: the next file opened must not become the log.
    let mut closed = pod.wrapped(&["sh", "-c", "exec \"$0\" \"$@\" 2>&- >&-"], &flags);
    assert_eq!(closed.status().unwrap().code(), Some(5));
    assert!(pod.read("termination-0").starts_with('['));
    // Closed by its reader.
    let mut child = pod.command(&flags).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let mut status = None;
    until("the step ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(5));
}

#[test]
fn nothing_but_its_own_files_is_needed() {
    let pod = Pod::new();
    let flags = StepFlags {
        entrypoint: "/bin/sh".into(),
        ..pod.sh("echo ${HOME-none}")
    };
    let mut command = pod.command(&flags);
    command.env_clear();
    let done = pod.start_as(command, &flags).wait();
    assert_eq!((done.stdout.as_str(), done.exit), ("none\n", 0));
}
