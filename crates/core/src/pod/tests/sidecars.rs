//! Pods with containers beside the steps.

use super::*;
use crate::{
    config::FeatureFlags,
    sidecars::{Foreign, Readiness},
};

/// The part of a Pod that sidecars change, one rule per snapshot.
fn snapshot_of(name: &str, form: Delivery, config: &Config, around: Surroundings, run: &Value) {
    let pod = tree(&built_under(run.clone(), form, config, around).unwrap());
    insta::assert_yaml_snapshot!(format!("sidecar-{name}"), pod);
}

fn classic() -> Config {
    let mut config = Config::default();
    config.flags.sidecars.form = Form::Classic;
    config
}

fn steps() -> Value {
    json!([{"name": "a", "image": "i", "command": ["c"]}, {"name": "b", "image": "i", "command": ["c"]}])
}

fn with(sidecars: &Value) -> Value {
    json!({"spec": {"taskSpec": {"steps": steps(), "sidecars": sidecars}}})
}

fn scripted() -> Value {
    with(&json!([{"name": "s", "image": "s", "script": "serve $PORT", "args": ["x"]}]))
}

#[test]
fn a_native_script_by_image_volume() {
    let around = Surroundings::default();
    snapshot_of(
        "native-script-image-volume",
        Delivery::ImageVolume,
        &Config::default(),
        around,
        &scripted(),
    );
}

#[test]
fn a_native_script_by_init_container() {
    let around = Surroundings::default();
    snapshot_of(
        "native-script-init-container",
        Delivery::InitContainer,
        &Config::default(),
        around,
        &scripted(),
    );
}

#[test]
fn a_classic_script_waits_for_the_last_steps_marker() {
    let around = Surroundings::default();
    snapshot_of(
        "classic-script",
        Delivery::ImageVolume,
        &classic(),
        around,
        &scripted(),
    );
}

#[test]
fn every_field_reaches_the_container() {
    let run = json!({"spec": {
        "sidecarSpecs": [{"name": "s", "computeResources": {"limits": {"memory": "1Gi"}}}],
        "workspaces": [{"name": "w", "emptyDir": {}}],
        "taskSpec": {
            "steps": steps(),
            "workspaces": [{"name": "w"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "sidecars": [{
                "name": "s", "image": "s", "command": ["serve", "-v"], "args": ["$(PORT)"], "workingDir": "rel",
                "ports": [{"name": "http", "containerPort": 80}],
                "env": [{"name": "PORT", "value": "80"}],
                "envFrom": [{"configMapRef": {"name": "c"}}],
                "computeResources": {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "volumeDevices": [{"name": "d", "devicePath": "/dev/d"}],
                "livenessProbe": {"exec": {"command": ["l"]}},
                "readinessProbe": {"exec": {"command": ["r"]}, "periodSeconds": 3, "successThreshold": 2,
                    "failureThreshold": 4, "initialDelaySeconds": 5, "timeoutSeconds": 6},
                "lifecycle": {"preStop": {"exec": {"command": ["p"]}}},
                "terminationMessagePath": "/message", "terminationMessagePolicy": "FallbackToLogsOnError",
                "imagePullPolicy": "Always", "securityContext": {"runAsUser": 7},
            }],
        },
    }});
    snapshot_of(
        "every-field",
        Delivery::ImageVolume,
        &Config::default(),
        Surroundings::default(),
        &run,
    );
}

#[test]
fn one_that_wants_stdin_is_run_in_place() {
    let run = with(&json!([
        {"name": "command", "image": "s", "command": ["sh"], "stdin": true, "stdinOnce": true, "tty": true},
        {"name": "script", "image": "s", "script": "read x", "stdin": true},
    ]));
    snapshot_of(
        "stdin",
        Delivery::ImageVolume,
        &classic(),
        Surroundings::default(),
        &run,
    );
}

#[test]
fn a_pod_with_foreign_containers_waits() {
    let around = Surroundings {
        foreign: Foreign::Added { ordinary: 2, init: 0 },
        ..Surroundings::default()
    };
    snapshot_of(
        "foreign",
        Delivery::ImageVolume,
        &Config::default(),
        around,
        &with(&json!([])),
    );
}

fn native(sidecar: Value) -> Value {
    let pod = built(with(&json!([sidecar])), Delivery::ImageVolume).unwrap();
    tree(&pod)["spec"]["initContainers"][0].clone()
}

#[test]
fn readiness_gates_unless_a_startup_probe_does() {
    let readiness = json!({"exec": {"command": ["r"]}});
    let own = json!({"exec": {"command": ["s"]}});
    let probed = native(json!({"name": "s", "image": "i", "readinessProbe": readiness}));
    assert_eq!(
        probed["startupProbe"],
        json!({"exec": {"command": ["r"]}, "periodSeconds": 1, "failureThreshold": 1_000_000})
    );
    assert_eq!(probed["readinessProbe"], readiness);
    let both = native(json!({"name": "s", "image": "i", "readinessProbe": readiness, "startupProbe": own}));
    assert_eq!(both["startupProbe"], own);
    let neither = native(json!({"name": "s", "image": "i"}));
    assert_eq!(neither["startupProbe"], Value::Null);
}

#[test]
fn one_that_leaves_its_command_to_the_image_is_run_as_it_is() {
    let plain = native(json!({"name": "s", "image": "i", "args": ["x"]}));
    assert_eq!(
        plain,
        json!({"name": "sidecar-s", "image": "i", "args": ["x"], "restartPolicy": "Always"})
    );
}

#[test]
fn names_are_cut() {
    let long = "s".repeat(54) + "-x";
    for (name, container) in [
        ("s", "sidecar-s"),
        ("", "sidecar"),
        (&long, &format!("sidecar-{}", "s".repeat(54))),
    ] {
        assert_eq!(native(json!({"name": name, "image": "i"}))["name"], *container);
    }
}

#[test]
fn the_operator_says_who_waits() {
    let waits = |flags: &str, sidecars: &Value| {
        let mut config = Config::default();
        let data = flags.split_whitespace().map(|pair| {
            let (key, value) = pair.split_once('=').unwrap();
            (key.to_owned(), value.to_owned())
        });
        config.flags = FeatureFlags::parse(&data.collect()).unwrap();
        let pod = built_under(
            with(sidecars),
            Delivery::ImageVolume,
            &config,
            Surroundings::default(),
        )
        .unwrap();
        let pod = tree(&pod);
        let args = pod["spec"]["containers"][0]["args"].to_string();
        let told = pod["metadata"]["annotations"]["tekton.dev/ready"] == "READY";
        assert_ne!(args.contains("-wait_file_content"), told, "{flags}");
        !told
    };
    let one = json!([{"name": "s", "image": "i", "command": ["c"]}]);
    for (flags, with_one, without) in [
        ("", false, false),
        ("enable-kubernetes-sidecar=false", true, false),
        (
            "enable-kubernetes-sidecar=false await-sidecar-readiness=false",
            false,
            false,
        ),
        ("running-in-environment-with-injected-sidecars=true", true, true),
        (
            "running-in-environment-with-injected-sidecars=false",
            false,
            false,
        ),
    ] {
        assert_eq!(
            (waits(flags, &one), waits(flags, &json!([]))),
            (with_one, without),
            "{flags}"
        );
    }
}

#[test]
fn containers_beside_share_the_message_limit() {
    let around = Surroundings {
        foreign: Foreign::Added { ordinary: 0, init: 1 },
        ..Surroundings::default()
    };
    let run = with(&json!([{"name": "s", "image": "i"}]));
    let pod = tree(&built_under(run, Delivery::ImageVolume, &Config::default(), around).unwrap());
    let args = pod["spec"]["containers"][0]["args"].to_string();
    assert!(args.contains(r#""-message_limit","3072""#), "{args}");
}

#[test]
fn readiness_that_nobody_awaits_is_not_copied() {
    let probe = json!({"httpGet": {"port": 80}});
    let run = with(&json!([{"name": "s", "image": "s", "readinessProbe": probe}]));
    for (readiness, is_copied) in [(Readiness::Awaited, true), (Readiness::Ignored, false)] {
        let mut config = Config::default();
        config.flags.sidecars.readiness = readiness;
        let around = Surroundings::default();
        let pod = tree(&built_under(run.clone(), Delivery::ImageVolume, &config, around).unwrap());
        let sidecar = &pod["spec"]["initContainers"][0];
        assert_eq!(sidecar["readinessProbe"]["httpGet"]["port"], 80);
        assert_eq!(sidecar["startupProbe"].is_object(), is_copied, "{readiness:?}");
    }
}

#[test]
fn containers_of_others_have_their_share_of_the_messages() {
    let added = |ordinary, init| Foreign::Added { ordinary, init };
    let sixteen = json!({"spec": {"taskSpec": {"steps":
        (0..10).map(|index| json!({"name": format!("s{index}"), "image": "i", "command": ["c"]})).collect::<Vec<_>>()}}});
    for (foreign, expected) in [
        (added(0, 0), "1228"),
        (added(1, 1), "1024"),
        // Nobody can be asked: a proxy and its init container.
        (Foreign::Unknown, "1024"),
    ] {
        let around = Surroundings {
            foreign,
            ..Surroundings::default()
        };
        let built = built_under(sixteen.clone(), Delivery::ImageVolume, &Config::default(), around);
        let text = tree(&built.unwrap()).to_string();
        let flag = format!(r#""-message_limit","{expected}""#);
        assert!(text.contains(&flag), "{foreign:?}: {text}");
    }
}
