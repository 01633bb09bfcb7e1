//! Breakpoints, and what the entrypoint is told about its log.

use super::*;
use crate::config::ApiFields;

fn run() -> Value {
    json!({"spec": {
        "debug": {"breakpoints": {"onFailure": "enabled", "beforeSteps": ["second"]}},
        "taskSpec": {"steps": [
            {"name": "first", "image": "busybox", "script": "true"},
            {"name": "second", "image": "busybox", "command": ["true"]},
        ]},
    }})
}

fn at(api_fields: ApiFields) -> Config {
    let mut config = Config::default();
    config.flags.api_fields = api_fields;
    config
}

fn args(pod: &Value, container: &str) -> String {
    let all = pod["spec"]["containers"].as_array().unwrap();
    let found = all.iter().find(|one| one["name"] == container).unwrap();
    let args = found["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arg| arg.as_str().unwrap());
    args.collect::<Vec<_>>().join(" ")
}

#[test]
fn breakpoints_pause_their_steps_and_log_everything() {
    for form in [Delivery::ImageVolume, Delivery::InitContainer] {
        let pod = built_under(run(), form, &at(ApiFields::Alpha), Surroundings::default()).unwrap();
        insta::assert_yaml_snapshot!(format!("breakpoints-{}", form.as_str()), tree(&pod));
    }
}

#[test]
fn breakpoints_of_a_stored_run_are_nothing_below_alpha() {
    let form = Delivery::ImageVolume;
    let pod = built_under(run(), form, &at(ApiFields::Beta), Surroundings::default()).unwrap();
    let text = tree(&pod).to_string();
    assert!(
        !text.contains("debug") && !text.contains("breakpoint_on"),
        "{text}"
    );
}

#[test]
fn the_run_decides_about_its_log_before_breakpoints_and_the_operator() {
    use tektite_protocol::log::{LogFormat, LogLevel};
    let mut config = at(ApiFields::Alpha);
    config.defaults.entrypoint_log = LogLevel::Info;
    config.defaults.entrypoint_log_format = LogFormat::Json;
    let plain = json!({"spec": {"taskSpec": {"steps": [{"name": "first", "image": "i", "command": ["c"]}]}}});
    let with = |mut run: Value, word: &str| {
        run["metadata"] = json!({"annotations": {"tektite.dev/entrypoint-log": word}});
        run
    };
    for (run, expected) in [
        (plain.clone(), "-log_level info"),
        (run(), "-log_level debug"),
        (with(plain.clone(), "off"), "-log_level off"),
        (with(run(), "error"), "-log_format json"),
    ] {
        let form = Delivery::ImageVolume;
        let pod = built_under(run, form, &config, Surroundings::default()).unwrap();
        let args = args(&tree(&pod), "step-first");
        assert!(
            args.contains(expected) && args.contains("-log_format json"),
            "{args}"
        );
    }
    let form = Delivery::ImageVolume;
    let error = built_under(with(plain, "loud"), form, &config, Surroundings::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "annotation tektite.dev/entrypoint-log: \"loud\" is not allowed; write off, error, info or debug"
    );
}

#[test]
fn the_entrypoint_knows_where_secrets_are() {
    let run = json!({"spec": {
        "workspaces": [{"name": "w", "secret": {"secretName": "s"}}],
        "taskSpec": {
            "workspaces": [{"name": "w"}],
            "steps": [{
                "name": "first", "image": "i", "command": ["c"],
                "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "envFrom": [{"secretRef": {"name": "s"}}],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            }],
            "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
            "sidecars": [{
                "name": "s", "image": "i", "command": ["c"],
                "volumeMounts": [{"name": "v", "mountPath": "/in-the-sidecar"}],
            }],
        },
    }});
    let pod = tree(&built(run, Delivery::ImageVolume).unwrap());
    let step = args(&pod, "step-first");
    assert!(
        step.contains(
            "-secret_env TOKEN -secret_env_prefix  -secret_path /v -secret_path /workspace/w -entrypoint"
        ),
        "{step}"
    );
    let sidecar = pod["spec"]["initContainers"].to_string() + &pod["spec"]["containers"].to_string();
    assert!(
        sidecar.contains("\"-secret_path\",\"/in-the-sidecar\""),
        "{sidecar}"
    );
}
