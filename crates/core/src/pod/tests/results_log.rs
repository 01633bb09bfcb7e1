//! Pods whose results travel in a sidecar's log.

use super::*;
use crate::config::FeatureFlags;

fn config() -> Config {
    let pairs = [("results-from", "sidecar-logs"), ("max-result-size", "65536")];
    let data = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Config {
        flags: FeatureFlags::parse(&data.into()).unwrap(),
        ..Config::default()
    }
}

fn with_results() -> Value {
    json!({"spec": {"taskSpec": {
        "results": [
            {"name": "digest"}, {"name": "log"},
            {"name": "lifted", "type": "string", "value": "$(steps.a.results.own)"},
        ],
        "steps": [
            {"name": "a", "image": "i", "command": ["c"], "results": [{"name": "own"}, {"name": "more"}]},
            {"image": "i", "command": ["c"]},
        ],
        "sidecars": [{"name": "s", "image": "s", "command": ["serve"]}],
    }}})
}

#[test]
fn a_native_sidecar_of_ours_comes_last_and_stays() {
    let around = Surroundings::default();
    let pod = tree(&built_under(with_results(), Delivery::ImageVolume, &config(), around).unwrap());
    insta::assert_yaml_snapshot!("results-log-native", pod);
}

#[test]
fn an_ordinary_one_ends_and_nobody_waits_for_it() {
    let mut config = config();
    config.flags.sidecars.form = Form::Classic;
    let mut run = with_results();
    run["spec"]["taskSpec"]["sidecars"] = json!([]);
    run["spec"]["podTemplate"] = json!({"securityContext": {"runAsUser": 0}});
    let around = Surroundings::default();
    let pod = tree(&built_under(run, Delivery::InitContainer, &config, around).unwrap());
    insta::assert_yaml_snapshot!("results-log-classic", pod);
}

#[test]
fn a_run_without_results_has_none() {
    for (spec, containers) in [
        (json!({"steps": [{"image": "i", "command": ["c"]}]}), 0),
        (
            json!({"steps": [{"image": "i", "command": ["c"]}], "results": [{"name": "r"}]}),
            1,
        ),
    ] {
        let run = json!({"spec": {"taskSpec": spec}});
        let around = Surroundings::default();
        let pod = built_under(run, Delivery::ImageVolume, &config(), around).unwrap();
        let spec = pod.spec.unwrap();
        assert_eq!(spec.init_containers.unwrap_or_default().len(), containers);
        let args = spec.containers[0].args.clone().unwrap();
        assert_eq!(args.contains(&"-result_from".to_owned()), containers > 0);
    }
}
