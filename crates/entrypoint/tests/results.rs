//! What a step tells: results byte for byte, and a clear failure when they cannot be told.

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _};

use common::{Pod, noise::noise};
use tektite_protocol::{
    GoDuration,
    flags::{OnError, StepFlags},
    termination::{self, Entry, Kind, key},
};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn results_are_told_byte_for_byte() {
    let pod = Pod::new();
    let done = pod.run(&StepFlags {
        results: Some(names(&["a", "missing", "StartedAt"])),
        step_results: names(&["a"]),
        ..pod.sh(
            "printf 'ä<&>\\n\\n' > tekton/results/a; printf step > tekton/run/0/status/results/a; \
             printf mine > tekton/results/StartedAt; printf x > tekton/results/undeclared",
        )
    });
    assert_eq!(done.exit, 0);
    assert_eq!(done.entries.len(), 4, "{:?}", done.entries);
    assert_eq!(done.value(Kind::TaskResult, "a"), Some("ä<&>\n\n"));
    assert_eq!(done.value(Kind::StepResult, "a"), Some("step"));
    assert_eq!(done.value(Kind::TaskResult, "StartedAt"), Some("mine"));
    assert!(done.internal(key::STARTED_AT).unwrap().ends_with('Z'));
    assert!(done.log.contains("result=a bytes=7"), "{}", done.log);
}

#[test]
fn others_can_read_what_a_step_leaves_whatever_its_umask() {
    let pod = Pod::new();
    fs::create_dir_all(pod.path("tekton/artifacts")).unwrap();
    let files = [
        "tekton/results/a",
        "tekton/run/0/status/results/b",
        "tekton/artifacts/provenance.json",
        "tekton/run/0/status/artifacts/provenance.json",
    ];
    let done = pod.run(&StepFlags {
        results: Some(names(&["a"])),
        step_results: names(&["b"]),
        ..pod.sh(&format!(
            "umask 077; for file in {}; do echo '{{}}' > $file; done",
            files.join(" ")
        ))
    });
    assert_eq!(done.exit, 0, "{}", done.log);
    for file in files {
        let mode = fs::metadata(pod.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{file}");
    }
}

#[test]
fn a_failed_step_tells_its_results_too_and_a_skipped_one_does_not() {
    let pod = Pod::new();
    let with_result = |flags: StepFlags| StepFlags {
        results: Some(names(&["r"])),
        ..flags
    };
    let done = pod.run(&with_result(pod.sh("echo v > tekton/results/r; exit 3")));
    assert_eq!((done.exit, done.value(Kind::TaskResult, "r")), (3, Some("v\n")));
    let done = pod.run(&with_result(pod.after(1, &["true"])));
    assert_eq!((done.exit, done.value(Kind::TaskResult, "r")), (1, None));
}

#[test]
fn what_was_there_is_kept() {
    let pod = Pod::new();
    fs::write(
        pod.path("termination-0"),
        r#"[{"key":"old","value":"kept","type":1}]"#,
    )
    .unwrap();
    let done = pod.run(&pod.sh("true"));
    assert_eq!(done.value(Kind::TaskResult, "old"), Some("kept"));
    assert!(done.internal(key::STARTED_AT).is_some());
}

#[test]
fn too_large_fails_the_step_and_says_so() {
    for (on_error, code, exit) in [
        (OnError::StopAndFail, 0, 1),
        (OnError::Continue, 4, 1),
        (OnError::StopAndFail, 4, 4),
    ] {
        let pod = Pod::new();
        // A message that is already full must not keep the failure from being told.
        let full = format!(r#"[{{"key":"old","value":"{}","type":1}}]"#, "x".repeat(4000));
        fs::write(pod.path("termination-0"), full).unwrap();
        let done = pod.run(&StepFlags {
            results: Some(names(&["small", "large"])),
            on_error: Some(on_error),
            ..pod.sh(&format!(
                "echo 1 > tekton/results/small; head -c 5000 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > tekton/results/large; exit {code}"
            ))
        });
        assert_eq!((done.exit, done.released()), (exit, false), "{}", done.log);
        assert_eq!(done.exit_code_file(), None);
        let text = "Termination message is above max allowed size 4096, caused by large task result.";
        assert!(done.log.contains(text), "{}", done.log);
        assert!(done.log.contains("\"large\" with 10000 bytes"), "{}", done.log);
        assert!(done.internal(key::MESSAGE).unwrap().contains(text));
        assert!(done.internal(key::STARTED_AT).is_some());
        assert_eq!(done.internal(key::EXIT_CODE), None);
        assert_eq!(done.value(Kind::TaskResult, "large"), None);
    }
}

#[test]
fn a_large_result_is_compressed_and_exact() {
    for limit in [None, Some(1117)] {
        let pod = Pod::new();
        let done = pod.run(&StepFlags {
            results: Some(names(&["large"])),
            message_limit: limit,
            ..pod.sh(
                "yes 'ä<&>' | head -c 65536 > tekton/results/large; printf '\\n\\n' >> tekton/results/large",
            )
        });
        assert_eq!((done.exit, done.released()), (0, true), "{}", done.log);
        let value = done.value(Kind::TaskResult, "large").unwrap();
        assert_eq!(value, pod.read("tekton/results/large"));
        assert_eq!(value.len(), 65_538);
        let message = pod.read("termination-0");
        assert!(
            message.starts_with("tknz:") && message.len() <= limit.unwrap_or(4096),
            "{message:.40}"
        );
    }
}

#[test]
fn what_is_told_of_a_failure_takes_no_results_place() {
    // Compressed it would be longer, so that the limit is exact.
    let value = noise(1000);
    let entries = [
        Entry::internal(key::STARTED_AT, "2026-01-01T00:00:00.000Z"),
        Entry::new(Kind::TaskResult, "r", value.as_str()),
    ];
    let room = termination::encode(&entries, 4096).unwrap().len();
    for (more, message, ran) in [(0, false, false), (80, true, false), (200, true, true)] {
        let pod = Pod::new();
        fs::write(pod.path("tekton/results/r"), &value).unwrap();
        let done = pod.run(&StepFlags {
            results: Some(names(&["r"])),
            message_limit: Some(room + more),
            ..pod.sh("kill -SEGV $$")
        });
        assert_eq!(done.exit, 255, "{}", done.log);
        assert!(!done.log.contains("Termination message"), "{}", done.log);
        assert_eq!(done.value(Kind::TaskResult, "r"), Some(value.as_str()));
        assert_eq!(done.internal(key::MESSAGE).is_some(), message, "{done:#?}");
        assert_eq!(done.internal(key::RAN).is_some(), ran, "{done:#?}");
    }
}

#[test]
fn a_message_with_little_room_still_says_when_and_why() {
    let large = "head -c 5000 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > tekton/results/r";
    let broken = "printf 'ab\\377' > tekton/results/r; exec sleep 1000";
    let missing = format!("/no/{}", "program".repeat(20));
    let all = "Termination message is above max allowed size";
    for (limit, command, timeout, reason, sentence, log) in [
        (130, &["sh", "-c", large][..], None, None, "Termination", all),
        (100, &["sh", "-c", large], None, None, "", all),
        (1117, &["sh", "-c", large], None, None, all, all),
        (200, &[&missing], None, None, "/no/program", "does not exist"),
        (80, &[&missing], None, None, "", "does not exist"),
        (
            122,
            &["sh", "-c", broken],
            Some(GoDuration::from_secs(1)),
            Some("TimeoutExceeded"),
            "",
            "not valid UTF-8",
        ),
    ] {
        let pod = Pod::new();
        let done = pod.run(&StepFlags {
            results: Some(names(&["r"])),
            message_limit: Some(limit),
            timeout,
            ..pod.step(0, command)
        });
        assert_eq!((done.exit, done.released()), (1, false), "{}", done.log);
        assert!(pod.read("termination-0").len() <= limit);
        assert!(done.internal(key::STARTED_AT).is_some(), "{done:#?}");
        assert_eq!(done.reason(), reason);
        let told = done.internal(key::MESSAGE).unwrap_or_default();
        assert!(
            told.starts_with(sentence) && told.is_empty() == sentence.is_empty(),
            "{limit}: {told}"
        );
        // The log has it whole, and blames results only where there are some.
        assert!(done.log.contains(log), "{}", done.log);
        assert_eq!(done.log.contains(all), log == all, "{}", done.log);
    }
}

#[test]
fn results_that_cannot_be_told_are_named() {
    for (script, part) in [
        (
            "printf 'ab\\377' > tekton/results/r",
            "result \"r\" is not valid UTF-8 at byte 2",
        ),
        ("mkdir tekton/results/r", "result \"r\" cannot be read from"),
        ("mkfifo tekton/results/r", "result \"r\" cannot be read from"),
        (
            "truncate -s 3G tekton/results/r",
            "result \"r\" alone has 3221225472 bytes",
        ),
    ] {
        let pod = Pod::new();
        let done = pod.run(&StepFlags {
            results: Some(names(&["r", "fine"])),
            ..pod.sh(&format!("echo 1 > tekton/results/fine; {script}"))
        });
        assert_eq!((done.exit, done.released()), (1, false), "{script}: {}", done.log);
        assert!(done.log.contains(part), "{script}: {}", done.log);
        assert!(done.internal(key::MESSAGE).unwrap().contains(part), "{script}");
        assert_eq!(done.value(Kind::TaskResult, "fine"), Some("1\n"));
    }
}

#[test]
fn a_message_that_cannot_be_written_fails_the_step() {
    let pod = Pod::new();
    fs::create_dir(pod.path("termination-dir")).unwrap();
    let flags = StepFlags {
        termination_path: pod.text("termination-dir"),
        ..pod.sh("true")
    };
    let mut command = pod.command(&flags);
    let output = command.output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(log.contains("cannot write the termination message"), "{log}");
    assert!(pod.has("tekton/run/0/out.err") && !pod.has("tekton/run/0/out"));
}
