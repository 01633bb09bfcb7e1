//! What steps say that they used and made: told as it is, and known to later steps.
// Helpers of tests are tests too; clippy only knows functions marked so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::fs;

use common::Pod;
use tektite_protocol::{
    flags::{Script, StepFlags},
    termination::{Kind, key},
};

const IMAGE: &str =
    r#"{"outputs": [{"name": "image", "values": [{"uri": "a&b", "digest": {"sha256": "1"}}]}]}"#;
const VALUES: &str = r#"[{"digest":{"sha256":"1"},"uri":"a\u0026b"}]"#;

fn pod() -> Pod {
    let pod = Pod::new();
    fs::create_dir_all(pod.path("tekton/artifacts")).unwrap();
    let write = |path: &str, text: &str| format!("printf '%s' '{text}' > {path};");
    let done = pod.run(&pod.sh(&format!(
        "{}{}",
        write("tekton/run/0/status/artifacts/provenance.json", IMAGE),
        write("tekton/artifacts/provenance.json", "{}")
    )));
    assert_eq!(done.exit, 0, "{}", done.log);
    let path = |path: &str| pod.text(&format!("{path}/provenance.json"));
    assert_eq!(
        done.value(Kind::StepArtifacts, &path("tekton/run/0/status/artifacts")),
        Some(IMAGE)
    );
    assert_eq!(
        done.value(Kind::TaskArtifacts, &path("tekton/artifacts")),
        Some("{}")
    );
    pod
}

/// Who puts a script in place.
#[derive(Clone, Copy, PartialEq)]
enum Placed {
    ByTheStep,
    Before,
}

/// Step 1, which runs a script.
fn scripted(pod: &Pod, text: &str, args: &[&str], placed: Placed) -> StepFlags {
    let path = pod.text("tekton/scripts/script-1-abcde");
    let script = Script::new(&path, text);
    if placed == Placed::Before {
        fs::create_dir_all(pod.path("tekton/scripts")).unwrap();
        fs::write(&path, text).unwrap();
    }
    StepFlags {
        script: (placed == Placed::ByTheStep).then_some(script),
        ..pod.after(1, &[&[path.as_str()], args].concat())
    }
}

#[test]
fn w35_values_reach_arguments_environment_and_scripts() {
    let pod = pod();
    let flags = pod.after(
        1,
        &[
            "sh",
            "-c",
            "printf '<%s>' \"$1\" \"$OF_STEP\"",
            "-",
            "x$(steps.0.outputs.image)",
        ],
    );
    let mut command = pod.command(&flags);
    command.env("OF_STEP", "$(steps.0.outputs.image)");
    let done = pod.start_as(command, &flags).wait();
    assert_eq!(done.exit, 0, "{}", done.log);
    assert_eq!(done.stdout, format!("<x{VALUES}><{VALUES}>"));

    for placed in [Placed::ByTheStep, Placed::Before] {
        let pod = self::pod();
        let text = "#!/bin/sh\nprintf '%s|' \"$@\" '$(steps.0.outputs.image)' '$(steps.0.results.x)'\n";
        let done = pod.run(&scripted(&pod, text, &["an argument"], placed));
        assert_eq!(done.exit, 0, "{}", done.log);
        assert_eq!(done.stdout, format!("an argument|{VALUES}|$(steps.0.results.x)|"));
    }
}

#[test]
fn a_reference_that_leads_nowhere_fails_the_step_before_it_runs() {
    for placed in [Placed::ByTheStep, Placed::Before] {
        let pod = pod();
        let text = "#!/bin/sh\ntouch ran; echo $(steps.0.inputs.image)\n";
        let done = pod.run(&scripted(&pod, text, &[], placed));
        assert_eq!(
            (done.exit, done.released(), pod.has("ran")),
            (1, false, false),
            "{}",
            done.log
        );
        assert_eq!(
            done.internal(key::MESSAGE),
            Some("script: $(steps.0.inputs.image): that step has left no such artifact; its inputs: none")
        );
    }
}

#[test]
fn a_file_that_nobody_can_understand_fails_the_step_that_wrote_it() {
    for (script, part) in [
        (
            "echo '{\"outputs\": {}}' > $FILE",
            "cannot be understood: invalid type: map, expected a sequence at line 1",
        ),
        ("printf '\\377' > $FILE", "is not valid UTF-8 at byte 0"),
        ("mkdir $FILE", "cannot be read from"),
    ] {
        for place in ["tekton/run/0/status/artifacts", "tekton/artifacts"] {
            let pod = Pod::new();
            fs::create_dir_all(pod.path("tekton/artifacts")).unwrap();
            let done = pod.run(&StepFlags {
                results: Some(vec!["r".into()]),
                ..pod.sh(&format!(
                    "echo 1 > tekton/results/r; FILE={place}/provenance.json; {script}"
                ))
            });
            assert_eq!((done.exit, done.released()), (1, false), "{}", done.log);
            let message = done.internal(key::MESSAGE).unwrap();
            assert!(
                message.starts_with("the artifacts in /") && message.contains(part),
                "{message}"
            );
            assert!(message.contains(&format!("{place}/provenance.json")), "{message}");
            assert_eq!(done.value(Kind::TaskResult, "r"), Some("1\n"));
        }
    }
}
