//! Whole Pods as snapshots, one named rule each.

mod debug;
mod results_log;
mod sidecars;

use std::sync::Arc;

use serde_json::{Value, json};
use tektite_api::TaskRun;

use super::*;
use crate::{
    image::{Answer, Command, Digest, Image, Platform, Reference},
    lifecycle::Fallback,
    substitute::{BoundVolume, Context, binding_variables, task_spec_stages},
};

fn settings(form: Delivery) -> DeliverySettings<'static> {
    DeliverySettings {
        form,
        fallback: Fallback::Once,
        image: "entrypoint:1",
        pull_policy: "IfNotPresent",
    }
}

/// Defaults, substitutes and builds, as the controller does.
fn built(run: Value, form: Delivery) -> Result<Pod, BuildError> {
    built_under(run, form, &Config::default(), Surroundings::default())
}

fn built_under(run: Value, form: Delivery, config: &Config, around: Surroundings) -> Result<Pod, BuildError> {
    built_knowing(run, form, config, around, &Answers::new())
}

fn built_knowing(
    run: Value,
    form: Delivery,
    config: &Config,
    around: Surroundings,
    images: &Answers,
) -> Result<Pod, BuildError> {
    let mut run: TaskRun = serde_json::from_value(run).unwrap();
    run.metadata.name.get_or_insert("tr".to_owned());
    run.metadata.namespace = Some("ns".to_owned());
    run.metadata.uid = Some("11111111-2222-3333-4444-555555555555".to_owned());
    crate::defaults::task_run(&mut run, config);
    let mut spec = run.spec.task_spec.clone().unwrap();
    workspaces::propagate(&mut spec, &run);
    let params = crate::params::table(&spec, &run);
    let bound = workspaces::bind(&run.spec.workspaces, &run, &owner(&run));
    let volumes: Vec<_> = bound
        .iter()
        .map(|bound| BoundVolume {
            binding: &bound.binding,
            volume: &bound.volume,
        })
        .collect();
    let context = Context {
        run_name: "tr",
        namespace: "ns",
        uid: "u",
        task_name: "tr",
        retry_count: 0,
    };
    task_spec_stages(&mut spec, &params, context, &volumes).unwrap();
    build(&Input {
        run: &run,
        spec: &spec,
        bound: &bound,
        variables: &binding_variables(&params),
        account: &Account::NotRead,
        config,
        delivery: settings(form),
        revision: "abc1234",
        attempt: 0,
        around,
        limits: &Limits::default(),
        images,
    })
}

fn tree(pod: &Pod) -> Value {
    serde_json::to_value(pod).unwrap()
}

/// Both forms of one run, each a snapshot.
fn snapshot(name: &str, run: &Value) {
    for form in [Delivery::ImageVolume, Delivery::InitContainer] {
        let pod = tree(&built(run.clone(), form).unwrap());
        insta::assert_yaml_snapshot!(format!("{name}-{}", form.as_str()), pod);
    }
}

#[test]
fn one_script_step() {
    snapshot(
        "one-script-step",
        &json!({"spec": {
            "params": [{"name": "message", "value": "hi"}],
            "taskSpec": {
                "results": [{"name": "digest"}],
                "steps": [{"name": "say", "image": "busybox", "script": "echo $(params.message) $HOME\n"}],
            },
        }}),
    );
}

#[test]
fn three_steps_with_everything() {
    snapshot(
        "three-steps",
        &json!({
            "metadata": {"labels": {"l": "v"}, "annotations": {"a": "b", "tektite.dev/entrypoint-log": "debug"}},
            "spec": {
                "timeout": "10m",
                "workspaces": [{"name": "source", "persistentVolumeClaim": {"claimName": "c"}, "subPath": "d"}],
                "computeResources": {"requests": {"memory": "512Mi"}, "limits": {"memory": "1Gi"}},
                "podTemplate": {
                    "serviceAccountName": "builder",
                    "nodeSelector": {"disktype": "ssd"},
                    "env": [{"name": "LOG", "value": "debug"}],
                    "securityContext": {"runAsNonRoot": true, "runAsUser": 1001, "fsGroup": 1001},
                },
                "taskSpec": {
                    "stepTemplate": {"env": [{"name": "T", "value": "t"}]},
                    "steps": [
                        {"image": "a", "command": ["c", "1"], "args": ["2"], "workingDir": "rel/dir"},
                        {"name": "b", "image": "b", "script": "\n #!/usr/bin/env python3\nprint('$x')",
                            "args": ["x"], "workingDir": "$(workspaces.source.path)/src", "onError": "continue"},
                        {"name": "c", "image": "c", "command": ["d"], "timeout": "90s", "workingDir": "/home/me",
                            "results": [{"name": "r"}]},
                    ],
                },
            },
        }),
    );
}

#[test]
fn own_mounts_win_over_implicit_ones() {
    let pod = tree(
        &built(
            json!({"spec": {"taskSpec": {
                "volumes": [{"name": "v", "emptyDir": {}}],
                "steps": [{"image": "i", "command": ["c"], "volumeMounts": [
                    {"name": "v", "mountPath": "/workspace/"}, {"name": "v", "mountPath": "/tekton/home"}]}],
            }}}),
            Delivery::InitContainer,
        )
        .unwrap(),
    );
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    let of = |name: &str| mounts.iter().filter(|mount| mount["name"] == name).count();
    assert_eq!(
        (
            of("v"),
            of("tekton-internal-workspace"),
            of("tekton-internal-home")
        ),
        (2, 0, 0)
    );
}

#[test]
fn working_directories_are_made_where_that_is_possible() {
    for (working_dir, at, sub_path) in [
        ("a/b", "/workspace/a/b", Some("a/b")),
        ("/workspace/x/", "/workspace/x/", Some("x")),
        ("/workspace", "/workspace", None),
        ("/home/me", "/home/me", None),
        ("/workspace/ro/x", "/workspace/ro/x", None),
        ("/workspace/data/x", "/workspace/data/x", Some("d/x")),
        ("../..", "/", None),
    ] {
        let pod = tree(
            &built(
                json!({"spec": {
                    "workspaces": [
                        {"name": "ro", "configMap": {"name": "c"}},
                        {"name": "data", "emptyDir": {}, "subPath": "d"},
                    ],
                    "taskSpec": {"steps": [{"image": "i", "command": ["c"], "workingDir": working_dir}]},
                }}),
                Delivery::ImageVolume,
            )
            .unwrap(),
        );
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["workingDir"], at, "{working_dir}");
        let mounts = container["volumeMounts"].as_array().unwrap();
        let made = mounts.iter().find(|mount| mount["mountPath"] == "/tekton/dirs/0");
        let made = made.and_then(|mount| mount["subPath"].as_str());
        assert_eq!(made, sub_path, "{working_dir}");
    }
}

#[test]
fn deadlines() {
    let minutes = |minutes: i64, clock: Clock| LifecycleSettings {
        clock,
        pending_timeout: GoDuration::from_secs(minutes * 60),
        ..LifecycleSettings::default()
    };
    let (first, start) = (Clock::FirstStep, Clock::Start);
    for (timeout, settings, seconds) in [
        ("0", minutes(60, first), 2_147_483_647),
        ("1h", minutes(60, first), 3_600 + 5_400),
        ("10s", minutes(1, first), 60 + 15),
        ("10s", minutes(0, first), 2_147_483_647),
        ("0", minutes(60, start), 2_147_483_647),
        ("1h", minutes(60, start), 5_400),
        ("10s", minutes(0, start), 15),
        ("1ms", minutes(60, start), 1),
        ("1000000h", minutes(60, start), 2_147_483_647),
    ] {
        let deadline = deadline(timeout.parse().unwrap(), settings);
        assert_eq!(deadline, seconds, "{timeout} {settings:?}");
    }
}

#[test]
fn a_root_pod_does_not_make_our_container_root() {
    let run = |user: i64| {
        json!({"spec": {
            "podTemplate": {"securityContext": {"runAsUser": user}},
            "taskSpec": {"steps": [{"image": "i", "command": ["c"]}]},
        }})
    };
    let user = |user| {
        let pod = tree(&built(run(user), Delivery::InitContainer).unwrap());
        pod["spec"]["initContainers"][0]["securityContext"]["runAsUser"].as_i64()
    };
    assert_eq!((user(0), user(1001)), (Some(65_532), None));
}

#[test]
fn an_explicit_account_beats_the_templates() {
    for (own, account) in [("own", "own"), ("", "template"), ("default", "template")] {
        let pod = built(
            json!({"spec": {
                "serviceAccountName": own,
                "podTemplate": {"serviceAccountName": "template"},
                "taskSpec": {"steps": [{"image": "i", "command": ["c"]}]},
            }}),
            Delivery::ImageVolume,
        );
        assert_eq!(tree(&pod.unwrap())["spec"]["serviceAccountName"], account);
    }
}

#[test]
fn what_cannot_be_built_says_why() {
    for (spec, text) in [
        (json!({"steps": []}), "no steps specified"),
        (
            json!({"steps": [{"image": "i"}]}),
            "steps[0] has neither command nor script, and its image \"i\" has not been looked up",
        ),
        (
            json!({"steps": [{"image": "i", "command": ["", "x"]}]}),
            "steps[0].command[0] is empty",
        ),
        (
            json!({"steps": [{"image": "i", "command": ["c"], "onError": "x"}]}),
            "task step onError must be",
        ),
        (
            json!({"steps": [{"image": "i", "script": "a\u{0}b"}]}),
            "steps[0].script contains a NUL",
        ),
        (
            json!({"steps": [{"image": "i", "script": "#!win\nx"}]}),
            "steps[0].script with #!win is not supported",
        ),
        (
            json!({"steps": [{"image": "i", "script": "x".repeat(600_000)}]}),
            "the scripts of this run have 600000 bytes together (steps[0]: 600000)",
        ),
        (
            json!({"steps": [{"image": "i", "command": ["c"]}], "volumes":
                [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]}),
            "multiple volumes with same name \"v\"",
        ),
    ] {
        let error = built(json!({"spec": {"taskSpec": spec}}), Delivery::ImageVolume).unwrap_err();
        assert!(error.to_string().starts_with(text), "{error}");
    }
}

#[test]
fn what_the_step_decides_by_itself_is_in_its_command_line() {
    let pod = built(
        json!({"spec": {"params": [{"name": "p", "value": "it's"}], "taskSpec": {"steps": [
            {"name": "a", "image": "i", "command": ["c"], "results": [{"name": "r"}]},
            {"image": "i", "command": ["c"], "args": ["$(steps.a.results.r)", "$(params.p)"], "when": [
                {"input": "$(steps.a.results.r)", "operator": "in", "values": ["$(params.p)"]},
                {"cel": "'$(steps.a.results.r)' != ''"}]}]}}}),
        Delivery::ImageVolume,
    )
    .unwrap();
    let args = pod.spec.unwrap().containers[1].args.clone().unwrap().join("\n");
    let when = r#"--when_expressions
[{"input":"$(steps.a.results.r)","operator":"in","values":["it's"]},{"cel":"'$(steps.a.results.r)' != ''"}]
"#;
    assert!(args.contains(when), "{args}");
    assert!(
        args.ends_with("-entrypoint\nc\n--\n$(steps.a.results.r)\nit's"),
        "{args}"
    );
}

/// An image that is known, by what it runs on each processor.
fn known(name: &str, commands: &[(&str, &[&str], &[&str])]) -> (Reference, Answer) {
    let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let commands = commands.iter().map(|(architecture, entrypoint, cmd)| {
        let command = Command {
            entrypoint: list(entrypoint),
            cmd: list(cmd),
        };
        (Platform::linux("linux", architecture, "").unwrap(), command)
    });
    let image = Image {
        digest: Digest::of(name.as_bytes()),
        commands: commands.collect(),
    };
    (Reference::parse(name).unwrap(), Answer::Found(Arc::new(image)))
}

#[test]
fn steps_without_a_command_run_what_their_image_runs() {
    let images: Answers = [
        known("same", &[("amd64", &["/e"], &["c"]), ("arm64", &["/e"], &["c"])]),
        known(
            "registry.local:5000/differs:1",
            &[("amd64", &["/e", "$x"], &[]), ("arm64", &["/f"], &[])],
        ),
    ]
    .into();
    let run = json!({"spec": {
        "podTemplate": {"env": [{"name": "LAST", "value": "x"}]},
        "taskSpec": {
            "stepTemplate": {"image": "same"},
            "steps": [
                {"name": "plain"},
                {"name": "args", "args": ["$(HOME)", "b"]},
                {"name": "differs", "image": "registry.local:5000/differs:1", "args": ["a"], "env": [{"name": "A", "value": "b"}]},
                {"name": "on-the-node", "imagePullPolicy": "Never"},
                {"name": "own", "command": ["own"]},
                {"name": "script", "script": "echo hi"},
            ],
        },
    }});
    let pod = tree(
        &built_knowing(
            run,
            Delivery::ImageVolume,
            &Config::default(),
            Surroundings::default(),
            &images,
        )
        .unwrap(),
    );
    let steps: Vec<Value> = pod["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| {
            let args = container["args"].as_array().unwrap();
            let own = args.iter().position(|arg| arg == "-entrypoint" || arg == "--").unwrap();
            json!({"name": container["name"], "image": container["image"], "args": args[own..], "env": container["env"]})
        })
        .collect();
    insta::assert_yaml_snapshot!("steps-without-a-command", steps);
}

#[test]
fn what_registries_cannot_say_fails_the_step_that_needs_it() {
    let never = |why: &str| (Reference::parse("i").unwrap(), Answer::Never(why.to_owned()));
    let long = "x".repeat(100_000);
    for (answer, text) in [
        (
            known("i", &[("amd64", &[], &[])]),
            "steps[0] has neither command nor script, and its image \"i\" has neither ENTRYPOINT nor CMD; give the step a command",
        ),
        (
            never("image \"i\" is gone"),
            "steps[0] has neither command nor script, and what its image runs cannot be looked up: image \"i\" is gone; mend",
        ),
        (
            known("i", &[("amd64", &[&long], &[])]),
            "steps[0]: ENTRYPOINT and CMD of image \"i\" have 100000 bytes over all platforms; at most 98304 are possible",
        ),
    ] {
        let run = json!({"spec": {"taskSpec": {"steps": [{"image": "i"}]}}});
        let error = built_knowing(
            run,
            Delivery::ImageVolume,
            &Config::default(),
            Surroundings::default(),
            &[answer].into(),
        )
        .unwrap_err();
        assert!(error.to_string().starts_with(text), "{error}");
    }
}
