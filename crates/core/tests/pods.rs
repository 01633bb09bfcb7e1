//! Whole Pods, from what a user writes to what the API server gets: each file of `tests/pods` pins the
//! rule that its first line names, in a snapshot of the same name.
//!
//! A file has the TaskRun, where it needs one the Task, and the settings that differ from the defaults.
//! A run that gets no Pod shows its condition instead.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a file that cannot be read has to stop the test"
)]

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use k8s_openapi::api::core::v1::{LimitRange, Secret, ServiceAccount};
use serde::Deserialize;
use serde_json::{Value, json};
use tektite_api::{StepAction, Task, TaskRun};
use tektite_core::{
    account::{self, Account, Secrets},
    config::{Config, Source},
    delivery::Delivery,
    image::{Answer, Answers, Command, Digest, Image, Platform, Reference},
    lifecycle::{DeliverySettings, Effect, Fallback, Fetched, Gathered, Severity, plan},
    limit_range::Limits,
    observe::ResultsLog,
    sidecars::Surroundings,
};

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Input {
    /// Metadata that is not given is made up.
    task_run: Value,
    /// What the run's `taskRef` names.
    #[serde(default)]
    task: Option<Task>,
    /// What steps refer to.
    #[serde(default)]
    step_actions: Vec<StepAction>,
    /// ConfigMap `config-defaults`.
    #[serde(default)]
    defaults: BTreeMap<String, String>,
    /// ConfigMap `feature-flags`.
    #[serde(default)]
    flags: BTreeMap<String, String>,
    /// The namespace's LimitRanges.
    #[serde(default)]
    limit_ranges: Vec<LimitRange>,
    /// What registries say: by image, by processor.
    #[serde(default)]
    images: BTreeMap<String, BTreeMap<String, Runs>>,
    /// The run's account, and the Secrets that there are.
    #[serde(default)]
    service_account: Option<ServiceAccount>,
    #[serde(default)]
    secrets: Vec<Secret>,
    /// `image-volume`, or the other one.
    #[serde(default = "image_volume")]
    delivery: String,
}

/// What an image runs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Runs {
    #[serde(default)]
    entrypoint: Vec<String>,
    #[serde(default)]
    cmd: Vec<String>,
}

/// As the registries would have answered. The digest of an image is that of its name.
fn answers(images: BTreeMap<String, BTreeMap<String, Runs>>) -> Answers {
    let answer = |(name, platforms): (String, BTreeMap<String, Runs>)| {
        let commands = platforms
            .into_iter()
            .map(|(architecture, Runs { entrypoint, cmd })| {
                let platform = Platform::linux("linux", &architecture, "").unwrap();
                (platform, Command { entrypoint, cmd })
            });
        let image = Image {
            digest: Digest::of(name.as_bytes()),
            commands: commands.collect(),
        };
        (Reference::parse(&name).unwrap(), Answer::Found(Arc::new(image)))
    };
    images.into_iter().map(answer).collect()
}

fn image_volume() -> String {
    "image-volume".to_owned()
}

/// The account with those of its Secrets that are in the list.
fn account(account: Option<ServiceAccount>, secrets: Vec<Secret>) -> Account {
    let Some(account) = account.map(account::ServiceAccount::from) else {
        return Account::NotRead;
    };
    let found: Vec<account::Secret> = secrets.into_iter().map(account::Secret::from).collect();
    let names = account.secrets.iter();
    let missing = names.filter(|name| found.iter().all(|secret| secret.name != **name));
    let secrets = Secrets {
        missing: missing.cloned().collect(),
        found,
    };
    Account::Found { account, secrets }
}

/// What the API server gets for a run: claims and Pod, with what its people are warned of, or why there is
/// none.
fn writes(input: Input) -> Value {
    let mut run: TaskRun = serde_json::from_value(input.task_run).unwrap();
    run.metadata.name.get_or_insert("run".to_owned());
    run.metadata.namespace = Some("ns".to_owned());
    run.metadata.uid = Some("11111111-2222-3333-4444-555555555555".to_owned());
    let config = Source::Defaults
        .read(&Config::default(), &input.defaults)
        .unwrap();
    let config = Source::Flags.read(&config, &input.flags).unwrap();
    let actions = input
        .step_actions
        .into_iter()
        .map(|action| (action.metadata.name.clone().unwrap(), action))
        .collect();
    let plan = plan(&Gathered {
        run: &run,
        pod: None,
        earlier: None,
        news: None,
        fetched: input
            .task
            .map_or(Fetched::Nothing, |task| Fetched::Task(Box::new(task))),
        actions: &actions,
        log: &ResultsLog::NotRead,
        account: &account(input.service_account, input.secrets),
        config: &config,
        delivery: DeliverySettings {
            form: Delivery::from_word(&input.delivery).unwrap(),
            fallback: Fallback::Once,
            image: "entrypoint:1",
            pull_policy: "IfNotPresent",
        },
        around: Surroundings::default(),
        limits: &Limits::of(&input.limit_ranges),
        images: &answers(input.images),
        revision: "abc1234",
        now: jiff::Timestamp::from_second(1_800_000_000).unwrap(),
    });
    let events = plan.events.iter();
    let warnings: Vec<&str> = events
        .filter(|event| event.severity == Severity::Warning)
        .map(|event| event.message.as_str())
        .collect();
    let mut claims = Vec::new();
    for effect in plan.effects {
        match effect {
            Effect::CreateClaim(claim) => claims.push(json!(claim)),
            Effect::CreatePod(pod) if !warnings.is_empty() => {
                return json!({"pod": pod, "warnings": warnings});
            }
            Effect::CreatePod(pod) if claims.is_empty() => return json!(pod),
            Effect::CreatePod(pod) => return json!({"claims": claims, "pod": pod}),
            other => panic!("nobody asked for {other:?}"),
        }
    }
    let condition = plan.status.succeeded().unwrap();
    json!({"reason": condition.reason, "message": condition.message})
}

#[test]
fn pods() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pods");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut rules = BTreeMap::new();
    let mut differ = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let (first, _) = text.split_once('\n').unwrap();
        let rule = first
            .strip_prefix("# ")
            .unwrap_or_else(|| panic!("{name}: no rule in the first line"));
        if let Some(other) = rules.insert(rule.to_owned(), name.clone()) {
            panic!("{name} and {other} are of one rule: {rule}");
        }
        let tree = tektite_core::yaml::read(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let input: Input = serde_json::from_value(tree).unwrap_or_else(|error| panic!("{name}: {error}"));
        let compared = std::panic::catch_unwind(|| {
            insta::with_settings!({description => rule, omit_expression => true}, {
                insta::assert_yaml_snapshot!(name.clone(), writes(input));
            });
        });
        if compared.is_err() {
            differ.push(name);
        }
    }
    assert!(differ.is_empty(), "not as they were: {}", differ.join(", "));
}
