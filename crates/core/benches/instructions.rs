//! The pure path, done so often that its instructions can be counted: `hack/instructions` runs it under
//! callgrind and knows what each row may cost. By itself it prints nothing.
//!
//! ```text
//! instructions <row> <times>
//! ```

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeMap, hint::black_box};

use jiff::Timestamp;
use serde_json::{Value, json};
use tektite_api::TaskRun;
use tektite_core::{
    account::Account,
    config::Config,
    delivery::Delivery,
    image::Answers,
    lifecycle::{DeliverySettings, Effect, Fallback, Fetched, Gathered, Plan, plan},
    limit_range::Limits,
    observe::ResultsLog,
    pod_view::PodView,
    sidecars::Surroundings,
    validate,
};

const NOW: i64 = 1_800_000_000;

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let [row, times] = arguments.as_slice() else {
        return;
    };
    let (what, steps) = row.rsplit_once('-').unwrap();
    let run = task_run(steps.parse().unwrap());
    let config = Config::default();
    let work: Box<dyn Fn()> = match what {
        "pod" => Box::new(|| drop(black_box(planned(&run, None, &config)))),
        "status" => {
            let (run, pod) = ended(run.clone(), &config);
            let config = config.clone();
            Box::new(move || drop(black_box(planned(&run, Some(&pod), &config))))
        }
        "rules" => Box::new(|| drop(black_box(validate::task_run(&run, None, &config)))),
        other => panic!("no row is called {other}"),
    };
    for _ in 0..times.parse().unwrap() {
        work();
    }
}

/// The TaskRun of the benchmarks, with `steps` steps.
fn task_run(steps: usize) -> TaskRun {
    let yaml = include_str!("../../../tests/bench/task-run.yaml");
    let mut run: Value = tektite_core::yaml::read(yaml).unwrap();
    let list = run.pointer_mut("/spec/taskSpec/steps").unwrap();
    let step = list[0].clone();
    *list = (0..steps)
        .map(|index| {
            let mut step = step.clone();
            step["name"] = json!(format!("step-{index}"));
            step
        })
        .collect();
    run["metadata"]["namespace"] = json!("builds");
    run["metadata"]["uid"] = json!("0b5d4c4e-5a6e-4f0e-9d2b-6a1f6c1d2e3f");
    serde_json::from_value(run).unwrap()
}

fn planned(run: &TaskRun, pod: Option<&PodView>, config: &Config) -> Plan {
    plan(&Gathered {
        run,
        pod,
        earlier: None,
        news: None,
        fetched: Fetched::Nothing,
        actions: &BTreeMap::new(),
        log: &ResultsLog::NotRead,
        account: &Account::NotRead,
        config,
        delivery: DeliverySettings {
            form: Delivery::ImageVolume,
            fallback: Fallback::Once,
            image: "entrypoint:1",
            pull_policy: "IfNotPresent",
        },
        around: Surroundings::default(),
        limits: &Limits::NONE,
        images: &Answers::new(),
        revision: "abc1234",
        now: Timestamp::from_second(NOW).unwrap(),
    })
}

/// The run with its status of the first plan, and its Pod when all steps have ended.
fn ended(mut run: TaskRun, config: &Config) -> (TaskRun, PodView) {
    let first = planned(&run, None, config);
    let created = first.effects.into_iter().find_map(|effect| match effect {
        Effect::CreatePod(pod) => Some(pod),
        _ => None,
    });
    let pod = created.unwrap();
    run.status = Some(first.status);
    let result = r#"[{"key":"digest","value":"sha256:0123456789abcdef","type":1}]"#;
    let containers = &pod.spec.as_ref().unwrap().containers;
    let statuses: Vec<Value> = containers
        .iter()
        .map(|container| {
            json!({"name": container.name, "image": "i", "imageID": "i@sha256:0", "restartCount": 0,
                "ready": false, "containerID": "containerd://0123456789abcdef", "state": {"terminated": {
                    "exitCode": 0, "reason": "Completed", "message": result,
                    "startedAt": "2027-01-15T08:00:00Z", "finishedAt": "2027-01-15T08:00:01Z"}}})
        })
        .collect();
    let view = json!({"metadata": pod.metadata,
        "status": {"phase": "Succeeded", "containerStatuses": statuses}});
    (run, serde_json::from_value(view).unwrap())
}
