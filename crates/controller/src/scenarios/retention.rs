//! Finished runs that go by themselves.

use std::{sync::Arc, time::Duration};

use http::Method;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::Time};
use serde_json::json;
use tektite_api::{ConditionStatus, TaskRef, TaskRun};
use tektite_core::config::Source;

use crate::{
    cache::Key,
    config_watch,
    context::Context,
    queue::Next,
    reconcile::{Outcome, reconcile},
    testing::{Script, TestContext, context, going_on, metadata, run},
};

/// A run of Task `t` that ended this many seconds ago.
fn finished(name: &str, ago: i64) -> TaskRun {
    let mut run = run(name);
    let mut status = going_on();
    status.conditions[0].status = ConditionStatus::True;
    let now = jiff::Timestamp::now().as_second();
    status.completion_time = Some(Time(jiff::Timestamp::from_second(now - ago).unwrap()));
    run.status = Some(status);
    run.spec.task_ref = Some(TaskRef {
        name: "t".to_owned(),
        ..TaskRef::default()
    });
    run
}

fn annotated(mut run: TaskRun, key: &str, value: &str) -> TaskRun {
    run.metadata.annotations = Some([(key.to_owned(), value.to_owned())].into());
    run
}

fn keeps(run: TaskRun, value: &str) -> TaskRun {
    annotated(run, "tektite.dev/keep-last-runs", value)
}

fn path(run: &str) -> String {
    format!("/apis/tekton.dev/v1/namespaces/n/taskruns/{run}")
}

/// The runs that are removed when all that want a look get one.
async fn removed(context: &Arc<Context>, server: &mut Script) -> Vec<String> {
    let mut removed = Vec::new();
    while context.queue.depth() > 0 {
        let key = context.queue.next().await;
        let mut look = std::pin::pin!(reconcile(context, &key));
        let outcome = tokio::select! {
            outcome = &mut look => outcome,
            (method, at, asked) = server.next() => {
                assert_eq!((method, at), (Method::DELETE, path(&key.name)));
                let gone = run(&key.name);
                asked.with(&gone);
                let outcome = look.await;
                context.runs.delete(&gone.metadata);
                context.retention.forget(&key);
                removed.push(key.name.clone());
                outcome
            }
        };
        let is_gone = removed.contains(&key.name);
        assert!(is_gone || outcome.unwrap() == Outcome::Settled(None));
        context.queue.finish(&key, Next::Rest);
    }
    removed.sort();
    removed
}

fn set(context: &Context, pairs: &[(&str, &str)]) {
    let data = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let map = ConfigMap {
        metadata: metadata("config-defaults"),
        data: Some(data.collect()),
        ..ConfigMap::default()
    };
    config_watch::take(context, Source::Defaults, Some(map));
}

async fn look(context: &Arc<Context>, run: &TaskRun) -> Outcome {
    reconcile(context, &Key::of(&run.metadata)).await.unwrap()
}

#[tokio::test]
async fn a_run_goes_when_its_time_is_over_and_not_before() {
    let TestContext {
        context, mut server, ..
    } = context();
    let old = finished("old", 100);
    let young = finished("young", 10);
    for run in [&old, &young] {
        context.runs.apply(run.clone());
        assert_eq!(
            look(&context, run).await,
            Outcome::Settled(None),
            "nothing is set"
        );
    }
    set(&context, &[("ttl-seconds-after-success", "60")]);
    assert_eq!(context.queue.depth(), 2, "new settings concern those that rest");
    let Outcome::Settled(Some(left)) = look(&context, &young).await else {
        panic!()
    };
    assert!(
        left > Duration::from_secs(40) && left <= Duration::from_secs(50),
        "{left:?}"
    );
    let path = path("old");
    let (outcome, sent) = tokio::join!(look(&context, &old), async {
        server.expect(Method::DELETE, &path).await.with(&old)
    });
    assert_eq!(outcome, Outcome::Settled(None));
    assert_eq!(
        sent["preconditions"],
        json!({"uid": "uid-of-old", "resourceVersion": "1"}),
        "no other run of that name, and no other wish"
    );
}

#[tokio::test]
async fn a_run_that_was_changed_or_is_gone_is_no_error() {
    for (code, reason, expected) in [
        (404, "NotFound", Outcome::Settled(None)),
        (409, "Conflict", Outcome::Conflict),
    ] {
        let TestContext {
            context, mut server, ..
        } = context();
        let run = finished("r", 100);
        context.runs.apply(run.clone());
        set(&context, &[("ttl-seconds-after-success", "60")]);
        let (outcome, _) = tokio::join!(look(&context, &run), async {
            server
                .expect(Method::DELETE, super::RUN)
                .await
                .refuse(code, reason)
        });
        assert_eq!(outcome, expected);
    }
}

#[tokio::test]
async fn of_each_task_the_last_runs_stay() {
    let TestContext {
        context, mut server, ..
    } = context();
    set(&context, &[("keep-last-runs", "1")]);
    let [old, new] = [finished("old", 20), finished("new", 10)];
    let kept = annotated(
        finished("kept", 30),
        "tektite.dev/ttl-seconds-after-finished",
        "never",
    );
    for run in [&kept, &old, &new] {
        context.runs.apply(run.clone());
        assert_eq!(look(&context, run).await, Outcome::Settled(None));
    }
    let woken = tokio::time::timeout(Duration::from_secs(20), context.queue.next()).await;
    assert_eq!(woken.unwrap().name, "old", "the new one pushes it out");
    let path = path("old");
    let (outcome, _) = tokio::join!(look(&context, &old), async {
        server.expect(Method::DELETE, &path).await.with(&old)
    });
    assert_eq!(outcome, Outcome::Settled(None));
    assert_eq!(look(&context, &kept).await, Outcome::Settled(None));
}

#[tokio::test]
async fn a_task_says_how_many_of_its_runs_stay() {
    for (settings, runs, expected) in [
        // By the last, also of those that do not say it.
        ("", [("a", ""), ("b", ""), ("c", "1")], &["a", "b"][..]),
        ("", [("a", "1"), ("b", "1"), ("c", "2")], &["a"]),
        ("", [("a", ""), ("b", "2"), ("c", "")], &["a"]),
        ("", [("a", ""), ("b", ""), ("c", "")], &[]),
        ("1", [("a", ""), ("b", ""), ("c", "all")], &[]),
        ("1", [("a", "all"), ("b", ""), ("c", "2")], &["a"]),
        ("1", [("a", ""), ("b", ""), ("c", "")], &["a", "b"]),
        // What goes has nothing to say any more.
        ("", [("a", "1"), ("b", "1"), ("c", "")], &["a", "b"]),
    ] {
        let TestContext {
            context, mut server, ..
        } = context();
        set(&context, &[("keep-last-runs", settings)]);
        for (ago, (name, says)) in [30, 20, 10].into_iter().zip(runs) {
            let run = finished(name, ago);
            let run = if says.is_empty() { run } else { keeps(run, says) };
            context.runs.apply(run);
        }
        let mut other = finished("other", 5);
        other.spec.task_ref.as_mut().unwrap().name = "another".to_owned();
        context.runs.apply(other);
        context.queue_all();
        let removed = removed(&context, &mut server).await;
        assert_eq!(removed, expected, "{settings:?} {runs:?}");
    }
}

#[tokio::test]
async fn an_annotation_that_comes_later_counts_from_then_on() {
    let TestContext {
        context, mut server, ..
    } = context();
    let runs = ["a", "b", "c", "d"].map(|name| finished(name, i64::from(b'z' - name.as_bytes()[0])));
    for run in &runs {
        context.runs.apply(run.clone());
    }
    context.queue_all();
    assert!(removed(&context, &mut server).await.is_empty());
    for (version, of, says, expected) in [
        ("2", 3, "3", &["a"][..]),
        ("3", 3, "all", &[]),
        ("4", 2, "1", &[]),
        ("5", 3, "1", &["b", "c"]),
    ] {
        let mut run = keeps(runs[of].clone(), says);
        run.metadata.resource_version = Some(version.to_owned());
        let change = context.runs.apply(run).unwrap();
        context.queue.add(change.key);
        assert_eq!(removed(&context, &mut server).await, expected, "{says}");
    }
}

#[tokio::test]
async fn an_annotation_that_says_nothing_keeps_the_run_and_is_told() {
    for (key, value, allowed) in [
        ("tektite.dev/ttl-seconds-after-success", "1h", "whole seconds"),
        (
            "tektite.dev/keep-last-runs",
            "0",
            "a whole number, 1 or more, or all",
        ),
    ] {
        let TestContext {
            context,
            mut server,
            mut notes,
            ..
        } = context();
        let run = annotated(finished("r", 100), key, value);
        context.runs.apply(run.clone());
        set(&context, &[("ttl-seconds-after-success", "60")]);
        assert_eq!(look(&context, &run).await, Outcome::Settled(None));
        server.expect_nothing().await;
        let note = notes.try_recv().unwrap().note;
        assert_eq!(note.reason, "InvalidAnnotation");
        let expected = format!("\"{value}\" is not allowed; write {allowed}");
        assert!(note.message.contains(&expected), "{}", note.message);
    }
}
