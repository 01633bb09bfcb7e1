//! Runs with steps that only their images know how to run.

use std::sync::Arc;

use tektite_api::GoDuration;

use super::*;
use crate::image::{Answer, Command, Digest, Image, Platform, Question, Reference};

#[test]
fn registries_are_asked_before_the_pod_is_made() {
    let run = run(
        json!({"serviceAccountName": "own", "podTemplate": {"imagePullSecrets": [{"name": "p"}, {"name": "q"}, {"name": "p"}]},
            "taskSpec": {"steps": [{"image": "one"}, {"image": "i", "command": ["c"]}, {"image": "two"}, {"image": "one:latest"}]}}),
        json!({}),
    );
    let config = Config::default();
    let reference = |name: &str| Reference::parse(name).unwrap();
    let asked = decided(&run, None);
    assert_eq!(
        asked.look_up,
        Some(Question {
            images: vec![reference("one"), reference("two")],
            pull_secrets: vec!["p".to_owned(), "q".to_owned()],
            service_account: "own".to_owned(),
        })
    );
    assert!(asked.effects.is_empty());

    let found = Answer::Found(Arc::new(Image {
        digest: Digest::of(b""),
        commands: [(
            Platform::linux("linux", "amd64", "").unwrap(),
            Command {
                entrypoint: vec!["e".to_owned()],
                cmd: Vec::new(),
            },
        )]
        .into(),
    }));
    let late = |seconds| Answer::NotYet {
        why: format!("late {seconds}"),
        again_in: Duration::from_secs(seconds),
    };
    let decide = |one: Answer, two: Answer| {
        let images: Answers = [(reference("one"), one), (reference("two"), two)].into();
        plan(&Gathered {
            images: &images,
            ..gathered(&run, None, &config)
        })
    };
    let waits = decide(late(9), late(3));
    let message = "what images run is not known yet: late 9; late 3";
    assert_eq!(said(&waits), (ConditionStatus::Unknown, "Pending", message));
    assert_eq!(waits.requeue, Some(Duration::from_secs(3)));
    assert!(waits.effects.is_empty() && waits.look_up.is_none());

    let mut waiting = run.clone();
    waiting.status.get_or_insert_default().start_time = Some(condition::time(at(-3_600)));
    let mut minutes = Config::default();
    for (limit, status, requeue) in [
        (60, ConditionStatus::False, None),
        (61, ConditionStatus::Unknown, Some(Duration::from_secs(9))),
        (0, ConditionStatus::Unknown, Some(Duration::from_secs(9))),
    ] {
        minutes.defaults.lifecycle.pending_timeout = GoDuration::from_secs(limit * 60);
        let images: Answers = [(reference("one"), late(9)), (reference("two"), late(9))].into();
        let plan = plan(&Gathered {
            images: &images,
            ..gathered(&waiting, None, &minutes)
        });
        assert_eq!((said(&plan).0, plan.requeue), (status, requeue), "{limit}");
        if status == ConditionStatus::False {
            let message = "TaskRun \"tr\" failed to begin its first step within \"1h0m0s\": what images run is not known yet: late 9; late 9";
            assert_eq!((said(&plan).1, said(&plan).2), ("TaskRunTimeout", message));
        }
    }

    let never = decide(late(9), Answer::Never("gone".to_owned()));
    let (status, reason, message) = said(&never);
    assert_eq!(
        (status, reason),
        (ConditionStatus::False, "PodCreationFailed"),
        "nothing is waited for"
    );
    assert!(
        message.contains(
            "steps[2] has neither command nor script, and what its image runs cannot be looked up: gone;"
        ),
        "{message}"
    );

    let made = decide(found.clone(), found);
    assert!(matches!(made.effects[..], [Effect::CreatePod(_)]));
    assert_eq!(said(&made), (ConditionStatus::Unknown, "Pending", "Pending"));
}
