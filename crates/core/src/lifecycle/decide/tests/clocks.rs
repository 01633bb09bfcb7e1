//! How long runs may wait, and how long they may run.

use tektite_api::GoDuration;

use super::*;
use crate::config::Clock;

fn settings(clock: Clock) -> Config {
    let mut config = Config::default();
    config.defaults.lifecycle.clock = clock;
    config
}

fn looked_at(run: &TaskRun, pod: Option<&PodView>, config: &Config) -> Plan {
    plan(&gathered(run, pod, config))
}

/// A run of ten seconds that has had a Pod for so long.
fn of_ten_seconds(since: i64, condition: Value) -> TaskRun {
    let status = json!({"podName": "tr-pod", "startTime": at(since).to_string(), "conditions": condition,
        "taskSpec": inline()["taskSpec"]});
    run(with(json!({"timeout": "10s"})), status)
}

fn running(since: i64) -> PodView {
    pod(
        "Running",
        json!({"running": {"startedAt": at(since).to_string()}}),
    )
}

fn waiting() -> PodView {
    let mut pod = pod("Pending", json!({"waiting": {"reason": "ContainerCreating"}}));
    pod.status.conditions = serde_json::from_value(json!([{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]))
    .unwrap();
    pod
}

#[test]
fn a_clock_for_waiting_and_one_for_running() {
    for (name, clock, began, pod, expected) in [
        ("it waits", Clock::FirstStep, -3_599, waiting(), Ok(1)),
        (
            "it waited too long",
            Clock::FirstStep,
            -3_600,
            waiting(),
            Err("failed to begin its first step within \"1h0m0s\": "),
        ),
        (
            "waiting is not running",
            Clock::FirstStep,
            -3_599,
            running(-9),
            Ok(1),
        ),
        (
            "it ran too long",
            Clock::FirstStep,
            -20,
            running(-10),
            Err("failed to finish within \"10s\"\nstep \"a\" was still running, for 10s"),
        ),
        ("upstream's clock", Clock::Start, -9, waiting(), Ok(1)),
        (
            "upstream's clock counts waiting",
            Clock::Start,
            -10,
            waiting(),
            Err("failed to finish within \"10s\""),
        ),
        (
            "and running",
            Clock::Start,
            -10,
            running(-1),
            Err("failed to finish within \"10s\"\nstep \"a\" was still running, for 1s"),
        ),
    ] {
        let plan = looked_at(&of_ten_seconds(began, json!([])), Some(&pod), &settings(clock));
        match expected {
            Ok(seconds) => {
                assert_eq!(said(&plan).0, ConditionStatus::Unknown, "{name}");
                assert_eq!(plan.requeue, Some(Duration::from_secs(seconds)), "{name}");
            }
            Err(message) => {
                let (_, reason, said) = said(&plan);
                assert_eq!(reason, "TaskRunTimeout", "{name}");
                assert!(
                    said.starts_with(&format!("TaskRun \"tr\" {message}")),
                    "{name}: {said}"
                );
                assert_eq!(plan.afterwards.len(), 1, "{name}");
            }
        }
    }
}

#[test]
fn no_limit_is_none() {
    let mut config = settings(Clock::FirstStep);
    config.defaults.lifecycle.pending_timeout = GoDuration::ZERO;
    let plan = looked_at(&of_ten_seconds(-1_000_000, json!([])), Some(&waiting()), &config);
    assert_eq!((said(&plan).0, plan.requeue), (ConditionStatus::Unknown, None));
    let mut forever = of_ten_seconds(-1_000_000, json!([]));
    forever.spec.timeout = Some(GoDuration::ZERO);
    let plan = looked_at(&forever, Some(&running(-900_000)), &config);
    assert_eq!((said(&plan).0, plan.requeue), (ConditionStatus::Unknown, None));
}

#[test]
fn a_step_that_waits_for_sidecars_has_not_begun() {
    let mut pod = running(-100);
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.remove(labels::READY);
    let run = of_ten_seconds(-100, json!([]));
    let plan = looked_at(&run, Some(&pod), &Config::default());
    assert_eq!(said(&plan).0, ConditionStatus::Unknown);
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(labels::READY.to_owned(), labels::READY_VALUE.to_owned());
    annotations.insert(labels::READY_AT.to_owned(), at(-4).to_string());
    let plan = looked_at(&run, Some(&pod), &Config::default());
    assert_eq!(plan.requeue, Some(Duration::from_secs(6)));
}

#[test]
fn w54_a_run_that_waits_for_quota_has_a_clock_of_its_own() {
    let quota = json!([{"type": "Succeeded", "status": "Unknown", "reason": "ExceededResourceQuota",
        "message": "TaskRun Pod exceeded available resources: q"}]);
    let waits = |since: i64| {
        let mut run = of_ten_seconds(since, quota.clone());
        run.status.get_or_insert_default().pod_name.clear();
        run
    };
    let refused = |run: &TaskRun, config: &Config| {
        let refusal =
            Refusal::Forbidden("exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1".into());
        after_failure(
            &gathered(run, None, config),
            &Effect::CreatePod(Box::default()),
            &refusal,
        )
    };
    for clock in [Clock::FirstStep, Clock::Start] {
        let config = settings(clock);
        let early = refused(&waits(-100), &config);
        assert_eq!(said(&early).1, "ExceededResourceQuota");
        assert_eq!(early.status.start_time, Some(condition::time(at(-100))));
        assert!(!events(&early).contains(&"Started"));
        let late = refused(&waits(-3_600), &config);
        let (_, reason, message) = said(&late);
        assert_eq!(reason, "TaskRunTimeout");
        assert!(message.contains("exceeded quota: q"), "{message}");
        // A place that comes too late is not taken.
        let late = looked_at(&waits(-3_600), None, &config);
        assert!(late.effects.is_empty());
        assert!(
            said(&late)
                .2
                .contains("TaskRun Pod exceeded available resources: q"),
            "{:?}",
            said(&late)
        );
        // And with upstream's clock the time that was waited does not count.
        let made = looked_at(&waits(-100), None, &config);
        assert!(made.new_pod().is_some());
        let start = if clock == Clock::Start { 0 } else { -100 };
        assert_eq!(made.status.start_time, Some(condition::time(at(start))));
    }
}
