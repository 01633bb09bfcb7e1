//! `init`: what the one init container puts in place.
// Helpers of tests are tests too; clippy only knows functions marked so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use common::{Pod, binary};
use tektite_protocol::flags::{InitFlags, Script};

fn init(pod: &Pod, words: &[String]) -> (Option<i32>, String) {
    let mut command = Command::new(binary());
    command.args(["-root", &pod.text("")]);
    command.args(words.iter().map(|word| word.replace("$$", "$")));
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn everything_is_in_place_also_the_second_time() {
    let pod = Pod::new();
    let text = "#!/bin/sh\necho $$ $(x)\r\n";
    let flags = InitFlags {
        steps: vec!["step-build".into(), "step-unnamed-1".into()],
        scripts: vec![
            Script::new(pod.text("tekton/scripts/script-0-abcde"), text),
            Script::new(pod.text("tekton/scripts/script-1-fghjk"), &"x".repeat(300_000)),
        ],
    };
    for _ in 0..2 {
        assert_eq!(init(&pod, &flags.to_args()), (Some(0), String::new()));
        let copy = pod.path("tekton/bin/entrypoint");
        assert_eq!(fs::read(&copy).unwrap(), fs::read(binary()).unwrap());
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o7777, 0o555);
        for (link, index) in [("step-build", 0), ("0", 0), ("step-unnamed-1", 1), ("1", 1)] {
            let target = fs::read_link(pod.path(&format!("tekton/steps/{link}"))).unwrap();
            assert_eq!(target, pod.path(&format!("tekton/run/{index}/status")));
        }
        for script in &flags.scripts {
            assert_eq!(fs::read_to_string(&script.path).unwrap(), script.text());
            let mode = fs::metadata(&script.path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o755);
        }
    }
    for directory in ["tekton/bin", "tekton/scripts", "tekton/steps"] {
        for entry in fs::read_dir(pod.path(directory)).unwrap() {
            let path = entry.unwrap().path();
            assert!(path.extension().is_none(), "left behind: {path:?}");
        }
    }
    let copy = pod.text("tekton/bin/entrypoint");
    let status = Command::new(copy)
        .args(["-log_level", "off", "-entrypoint", "sh", "--", "-c", "exit 4"])
        .status();
    assert_eq!(status.unwrap().code(), Some(4));
}

#[test]
fn what_cannot_be_done_is_said() {
    let pod = Pod::new();
    fs::remove_file(pod.path("tekton/steps")).unwrap();
    fs::write(pod.path("tekton/steps"), "").unwrap();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    for (words, exit, part) in [
        (words(&["init", "-nope", "1"]), 2, "unknown flag -nope"),
        (
            words(&["init"]),
            1,
            "the Pod could not be prepared: cannot create the directory",
        ),
    ] {
        let (code, log) = init(&pod, &words);
        assert_eq!(code, Some(exit));
        assert!(log.starts_with("[tektite] ") && log.contains(part), "{log}");
    }
}
