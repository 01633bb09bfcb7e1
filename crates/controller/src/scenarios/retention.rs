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
    reconcile::{Outcome, reconcile},
    testing::{TestContext, context, going_on, metadata, run},
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
    let path = "/apis/tekton.dev/v1/namespaces/n/taskruns/old";
    let (outcome, sent) = tokio::join!(look(&context, &old), async {
        server.expect(Method::DELETE, path).await.with(&old)
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
    let mut kept = finished("kept", 30);
    kept.metadata.annotations = Some(
        [(
            "tektite.dev/ttl-seconds-after-finished".to_owned(),
            "never".to_owned(),
        )]
        .into(),
    );
    for run in [&kept, &old, &new] {
        context.runs.apply(run.clone());
        assert_eq!(look(&context, run).await, Outcome::Settled(None));
    }
    let woken = tokio::time::timeout(Duration::from_secs(20), context.queue.next()).await;
    assert_eq!(woken.unwrap().name, "old", "the new one pushes it out");
    let path = "/apis/tekton.dev/v1/namespaces/n/taskruns/old";
    let (outcome, _) = tokio::join!(look(&context, &old), async {
        server.expect(Method::DELETE, path).await.with(&old)
    });
    assert_eq!(outcome, Outcome::Settled(None));
    assert_eq!(look(&context, &kept).await, Outcome::Settled(None));
}

#[tokio::test]
async fn an_annotation_that_says_nothing_keeps_the_run_and_is_told() {
    let TestContext {
        context,
        mut server,
        mut notes,
        ..
    } = context();
    let mut run = finished("r", 100);
    let key = "tektite.dev/ttl-seconds-after-success";
    run.metadata.annotations = Some([(key.to_owned(), "1h".to_owned())].into());
    context.runs.apply(run.clone());
    set(&context, &[("ttl-seconds-after-success", "60")]);
    assert_eq!(look(&context, &run).await, Outcome::Settled(None));
    server.expect_nothing().await;
    let note = notes.try_recv().unwrap().note;
    assert_eq!(note.reason, "InvalidAnnotation");
    assert!(
        note.message
            .contains("\"1h\" is not allowed; write whole seconds"),
        "{}",
        note.message
    );
}
