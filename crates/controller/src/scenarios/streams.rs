//! Watches, and the life of the worker.

use std::sync::Arc;

use http::Method;
use serde_json::json;
use tektite_core::{config::Source, pod_view::PodView};
use tokio_util::sync::CancellationToken;

use super::{POD, with_version};
use crate::{
    cache::Key,
    context::Context,
    metrics::KindLabels,
    queue::Next,
    readiness::Gate,
    testing::{Asked, Script, TestContext, context, failure, going_on, pod_of, run, standby},
};

const RUNS: &str = "/apis/tekton.dev/v1/taskruns";

/// A list of TaskRuns.
fn list(version: &str, items: &[serde_json::Value]) -> serde_json::Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRunList", "metadata": {"resourceVersion": version},
        "items": items,
    })
}

/// Waits for the next request of a watch, which may take a while by a clock that is set on.
async fn next(server: &mut Script, wanted: &str) -> Asked {
    let (method, _, asked) = server.next().await;
    assert_eq!(method, Method::GET);
    assert!(asked.query.contains(wanted), "{}", asked.query);
    asked
}

/// What a watch says that began too long ago.
fn expired() -> serde_json::Value {
    json!(failure(410, "Expired", "too old resource version: 5 (9)", ""))
}

fn interruptions(context: &Context, kind: &'static str) -> u64 {
    let kind = KindLabels { kind };
    context.metrics.watch_errors.get_or_create(&kind).get()
}

#[tokio::test]
async fn a_watch_fills_cache_and_queue_whatever_comes() {
    let TestContext {
        context,
        mut server,
        mut notes,
        ..
    } = context();
    let stop = CancellationToken::new();
    let watch = tokio::spawn(crate::watch::task_runs(Arc::clone(&context), stop.clone()));

    let mut foreign = run("foreign");
    foreign.spec.managed_by = Some("example.com/other".to_owned());
    // One without a name cannot be told apart from others.
    let bad = |version: &str| json!({"metadata": {"resourceVersion": version}, "spec": {"retries": "many"}});
    let items = [json!(run("r")), json!(foreign), bad("2")];
    server.expect(Method::GET, RUNS).await.with(&list("9", &items));
    let asked = server.expect(Method::GET, RUNS).await;
    assert!(!context.readiness.missing().contains(&Gate::TaskRuns));
    assert_eq!(
        (context.runs.len(), context.queue.depth()),
        (1, 1),
        "others' are not kept"
    );
    assert_eq!(notes.try_recv().unwrap().note.reason, "Undecodable");

    let mut own_write = with_version(&run("r"), "10");
    own_write.status = Some(going_on());
    context.runs.assume(own_write.clone(), Some("1"));
    let mut cancelled = with_version(&own_write, "13");
    cancelled.metadata.generation = Some(2);
    let taken = context.queue.next().await;
    context.queue.finish(&taken, Next::Rest);
    asked.with_events(&[
        ("MODIFIED", json!(own_write)),
        ("MODIFIED", json!(bad("2"))),
        ("ADDED", json!(run("new"))),
        ("DELETED", json!(with_version(&foreign, "12"))),
    ]);
    // The stream is at its end: it goes on where it stood.
    let asked = server.expect(Method::GET, RUNS).await;
    assert_eq!(context.queue.next().await.name, "new");
    assert_eq!(context.queue.depth(), 0, "our own write is no reason for a look");
    assert_eq!(context.runs.len(), 2);
    assert!(notes.try_recv().is_err(), "nothing is told twice");

    asked.with_events(&[("MODIFIED", json!(cancelled))]);
    let _asked = server.expect(Method::GET, RUNS).await;
    assert_eq!(context.queue.next().await.name, "r");
    stop.cancel();
    watch.await.unwrap();
}

// A clock that goes on when nothing else can: what nobody answers is given up at once.
#[tokio::test(start_paused = true)]
async fn a_list_or_a_watch_that_nobody_answers_is_asked_for_again() {
    let TestContext {
        context, mut server, ..
    } = context();
    let stop = CancellationToken::new();
    let watch = tokio::spawn(crate::watch::task_runs(Arc::clone(&context), stop.clone()));
    let mut unanswered = Vec::new();
    for told in 0..2 {
        unanswered.push(next(&mut server, "limit=500").await);
        assert_eq!(interruptions(&context, "TaskRun"), told);
    }
    let asked = next(&mut server, "limit=500").await;
    asked.with(&list("9", &[json!(run("r"))]));
    for told in 2..4 {
        unanswered.push(next(&mut server, "watch=true").await);
        assert_eq!(interruptions(&context, "TaskRun"), told);
    }
    // It goes on where it stood: nothing is listed anew.
    let asked = next(&mut server, "resourceVersion=9").await;
    asked.with_events(&[("ADDED", json!(with_version(&run("new"), "10")))]);
    let _asked = next(&mut server, "resourceVersion=10").await;
    assert_eq!(context.runs.len(), 2);
    stop.cancel();
    watch.await.unwrap();
}

/// All that wait are looked at, and nothing comes of it.
async fn looked_at(context: &Context) -> Vec<String> {
    let mut names = Vec::new();
    while context.queue.depth() > 0 {
        let key = context.queue.next().await;
        context.queue.finish(&key, Next::Rest);
        names.push(key.name);
    }
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_began_too_long_ago_is_begun_with_a_new_list() {
    let TestContext {
        context, mut server, ..
    } = context();
    let stop = CancellationToken::new();
    let watch = tokio::spawn(crate::watch::task_runs(Arc::clone(&context), stop.clone()));
    let asked = next(&mut server, "limit=500").await;
    asked.with(&list("5", &["r", "gone"].map(|name| json!(run(name)))));
    let asked = next(&mut server, "resourceVersion=5").await;
    assert_eq!(looked_at(&context).await, ["gone", "r"]);
    let mut changed = with_version(&run("r"), "6");
    changed.metadata.generation = Some(2);
    asked.with_events(&[("MODIFIED", json!(changed)), ("ERROR", expired())]);

    let asked = next(&mut server, "limit=500").await;
    assert!(!asked.query.contains("resourceVersion"), "{}", asked.query);
    assert_eq!(interruptions(&context, "TaskRun"), 1);
    assert_eq!(looked_at(&context).await, ["r"]);
    assert_eq!(
        context.runs.len(),
        2,
        "nothing is forgotten before the list is there"
    );
    let new = with_version(&run("new"), "8");
    asked.with(&list("9", &[json!(changed), json!(new)]));

    let _asked = next(&mut server, "resourceVersion=9").await;
    assert_eq!(looked_at(&context).await, ["new"], "\"r\" is as it was");
    let gone = Key::new("n", "gone");
    assert!(context.runs.get(&gone).is_none());
    assert_eq!(context.runs.len(), 2);
    stop.cancel();
    watch.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_missing_from_a_new_list_wakes_its_run() {
    let TestContext {
        context, mut server, ..
    } = context();
    let runs = ["r", "s"].map(|name| {
        let mut run = run(name);
        run.status = Some(going_on());
        run
    });
    for run in &runs {
        context.runs.apply(run.clone());
    }
    context.readiness.open(Gate::TaskRuns);
    let stop = CancellationToken::new();
    let watch = tokio::spawn(crate::watch::pods(Arc::clone(&context), stop.clone()));
    let list = |version: &str, pods: &[PodView]| {
        json!({
            "apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": version}, "items": pods,
        })
    };
    let pods = runs.each_ref().map(pod_of);
    let asked = next(&mut server, "limit=500").await;
    asked.with(&list("5", &pods));
    let asked = next(&mut server, "resourceVersion=5").await;
    assert_eq!(looked_at(&context).await, ["r", "s"]);
    asked.with_events(&[("ERROR", expired())]);
    let asked = next(&mut server, "limit=500").await;
    asked.with(&list("9", &pods[1..]));
    let _asked = next(&mut server, "resourceVersion=9").await;
    assert_eq!(interruptions(&context, "Pod"), 1);
    assert_eq!(looked_at(&context).await, ["r"]);
    assert_eq!(context.pods.len(), 1);
    stop.cancel();
    watch.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_told_by_the_replica_that_works() {
    let TestContext {
        context,
        mut server,
        mut notes,
        ..
    } = standby();
    let stop = CancellationToken::new();
    let watch = tokio::spawn(crate::watch::limit_ranges(Arc::clone(&context), stop.clone()));
    let bad = |name: &str, version: &str| {
        let metadata = json!({"name": name, "namespace": "n", "resourceVersion": version});
        json!({"metadata": metadata, "spec": {"limits": "many"}})
    };
    let good = |name: &str, version: &str| {
        let metadata = json!({"name": name, "namespace": "n", "resourceVersion": version});
        json!({"metadata": metadata, "spec": {"limits": []}})
    };
    let list = |version: &str, items: &[serde_json::Value]| {
        json!({
            "apiVersion": "v1", "kind": "LimitRangeList", "metadata": {"resourceVersion": version}, "items": items,
        })
    };
    let asked = next(&mut server, "limit=500").await;
    asked.with(&list(
        "5",
        &["stays", "gone", "mended", "deleted", "set right"].map(|name| bad(name, "1")),
    ));
    let asked = next(&mut server, "watch=true").await;
    asked.with_events(&[
        ("MODIFIED", good("mended", "6")),
        ("DELETED", bad("deleted", "7")),
        ("ERROR", expired()),
    ]);
    let asked = next(&mut server, "limit=500").await;
    asked.with(&list(
        "9",
        &[bad("stays", "1"), good("mended", "6"), good("set right", "8")],
    ));
    let asked = next(&mut server, "watch=true").await;
    assert!(notes.try_recv().is_err(), "nobody leads yet");
    context.events.lead();
    let told = notes.try_recv().unwrap().note;
    assert_eq!(
        (told.reason, told.about.name.as_deref()),
        ("Undecodable", Some("stays"))
    );
    assert!(notes.try_recv().is_err(), "only what is broken now");
    asked.with_events(&[("MODIFIED", bad("stays", "10"))]);
    let _asked = next(&mut server, "resourceVersion=10").await;
    assert_eq!(notes.try_recv().unwrap().note.reason, "Undecodable");
    stop.cancel();
    watch.await.unwrap();
}

#[tokio::test]
async fn settings_are_read_before_anything_is_done() {
    const LIST: &str = "/api/v1/namespaces/system/configmaps";
    let TestContext {
        context, mut server, ..
    } = context();
    let stop = CancellationToken::new();
    let follow = tokio::spawn(crate::config_watch::follow(Arc::clone(&context), stop.clone()));
    let list = |items: serde_json::Value| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "9"}, "items": items,
        })
    };
    let mut asked = Vec::new();
    for _ in Source::ALL {
        asked.push(server.expect(Method::GET, LIST).await);
    }
    let flags = json!([{
        "metadata": {"name": "feature-flags", "namespace": "system", "resourceVersion": "2"},
        "data": {"enable-api-fields": "alpha"},
    }]);
    let mut defaults = None;
    for asked in asked {
        if asked.query.contains("config-defaults") {
            defaults = Some(asked);
            continue;
        }
        let items = if asked.query.contains("feature-flags") {
            flags.clone()
        } else {
            json!([])
        };
        asked.with(&list(items));
        let _watch = server.expect(Method::GET, LIST).await;
    }
    assert!(context.readiness.missing().contains(&Gate::Config));
    defaults.unwrap().with(&list(json!([])));
    let _watch = server.expect(Method::GET, LIST).await;
    assert!(!context.readiness.missing().contains(&Gate::Config));
    assert_eq!(
        context.config.load().flags.api_fields,
        tektite_core::config::ApiFields::Alpha
    );
    stop.cancel();
    follow.await.unwrap();
}

// With a clock that only goes on when nothing else can, the wait is over once all has been done.
#[tokio::test(start_paused = true)]
async fn work_that_has_begun_is_ended_at_shutdown() {
    let TestContext {
        context, mut server, ..
    } = context();
    let mut run = run("r");
    run.status = Some(going_on());
    // The status names a Pod that the watch does not know: the look begins with a request.
    context.runs.apply(run.clone());
    context.queue.add(Key::of(&run.metadata));
    let stop = CancellationToken::new();
    let work = tokio::spawn(crate::worker::work(Arc::clone(&context), stop.clone()));
    let asked = server.expect(Method::GET, POD).await;
    stop.cancel();
    context.queue.add(Key::new("n", "later"));
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert!(!work.is_finished());
    asked.refuse(403, "Forbidden");
    work.await.unwrap();
    assert_eq!(context.queue.depth(), 1, "nothing new was begun");
}
