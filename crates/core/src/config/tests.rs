use super::*;

fn data(pairs: &[(&str, &str)]) -> Data {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn defaults_are_read() {
    let read = Defaults::parse(&data(&[
        ("_example", "anything"),
        ("default-timeout-minutes", "0"),
        ("default-forbidden-env", "B, A ,B,"),
        ("default-pod-template", "nodeSelector:\n  disktype: ssd\n"),
    ]))
    .unwrap();
    assert_eq!(read.timeout, GoDuration::ZERO);
    assert_eq!(read.forbidden_env, ["A", "B"]);
    assert_eq!(read.service_account, "default");
    assert!(
        read.pod_template
            .unwrap()
            .pod
            .node_selector
            .unwrap()
            .contains_key("disktype")
    );
}

#[test]
fn errors_name_key_and_value() {
    let error = Defaults::parse(&data(&[("default-timeout-minutes", "1h")]))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("failed parsing default config \"default-timeout-minutes\": \"1h\""),
        "{error}"
    );
    let error = FeatureFlags::parse(&data(&[("enable-api-fields", "gamma")]))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("invalid value for feature flag \"enable-api-fields\": \"gamma\""),
        "{error}"
    );
    let error = FeatureFlags::parse(&data(&[("coschedule", "x")]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("isolate-pipelinerun"), "{error}");
}

#[test]
fn every_key_stands_in_the_docs() {
    let docs = include_str!("../../../../docs/configuration.md");
    let all = keys();
    let missing: Vec<_> = all.filter(|key| !docs.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks {missing:?}");
}

#[test]
fn where_cloud_events_go() {
    let config = |older: &str, newer: &str| {
        let config =
            Source::Defaults.read(&Config::default(), &data(&[("default-cloud-events-sink", older)]));
        Source::Events
            .read(&config.unwrap(), &data(&[("sink", newer)]))
            .unwrap()
    };
    for (older, newer, expected) in [
        ("", "", None),
        ("http://older", "", Some("http://older")),
        ("http://older", "http://newer", Some("http://newer")),
    ] {
        assert_eq!(config(older, newer).sink().map(Sink::as_str), expected);
    }
}

#[test]
fn flags_are_read() {
    let flags = FeatureFlags::parse(&data(&[
        ("enable-api-fields", "ALPHA"),
        ("coschedule", "disabled"),
        ("disable-inline-spec", "pipeline,taskrun"),
        ("results-from", "sidecar-logs"),
        ("max-result-size", "4096"),
    ]))
    .unwrap();
    assert_eq!(
        flags,
        FeatureFlags {
            api_fields: ApiFields::Alpha,
            coschedule: Coschedule::Other,
            inline_spec_disabled: true,
            results_from: ResultsFrom::Log { most: 4096 },
            recorded: flags.recorded.clone(),
            ..FeatureFlags::default()
        }
    );
    let message = FeatureFlags::parse(&data(&[("max-result-size", "8192")])).unwrap();
    assert_eq!(message.results_from, ResultsFrom::Message);
}
