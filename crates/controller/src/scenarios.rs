//! What happens between us and the API server, request by request.

mod images;
mod injected;
mod results_log;
mod retention;
mod streams;
mod writes;

use std::sync::Arc;

use http::Method;
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use serde_json::json;
use tektite_api::{ConditionStatus, TaskRun};
use tektite_core::lifecycle::{Effect, Event, Plan, Refusal, Severity};

use crate::{
    apply::apply,
    cache::{Cached, Key},
    context::Context,
    gather::gather,
    reconcile::{Outcome, perform, reconcile, tell},
    testing::{Script, TestContext, context, failure, going_on, over, pod_of, run},
};

const PODS: &str = "/api/v1/namespaces/n/pods";
const POD: &str = "/api/v1/namespaces/n/pods/r-pod";
const RUN: &str = "/apis/tekton.dev/v1/namespaces/n/taskruns/r";
const STATUS: &str = "/apis/tekton.dev/v1/namespaces/n/taskruns/r/status";

fn create_pod() -> Effect {
    let pod = pod_of(&run("r"));
    Effect::CreatePod(Box::new(Pod {
        metadata: pod.metadata,
        ..Pod::default()
    }))
}

/// Answers what is asked about a run without a Pod before anything is decided.
async fn no_account(server: &mut Script) {
    let account = "/api/v1/namespaces/n/serviceaccounts/default";
    server.expect(Method::GET, account).await.refuse(404, "NotFound");
}

async fn act(context: &Context, run: &TaskRun, plan: Plan) -> Result<Outcome, crate::error::Error> {
    let found = gather(context, Arc::new(run.clone())).await?;
    perform(context, &found, plan).await
}

fn version(context: &Context) -> Option<String> {
    let known = context.runs.get(&Key::new("n", "r"))?;
    known.version().map(str::to_owned)
}

fn with_version(run: &TaskRun, version: &str) -> TaskRun {
    let mut run = run.clone();
    run.metadata.resource_version = Some(version.to_owned());
    run
}

#[tokio::test]
async fn a_new_pod_is_known_before_the_watch_tells() {
    let TestContext {
        context, mut server, ..
    } = context();
    let run = run("r");
    let effect = create_pod();
    let (result, sent) = tokio::join!(apply(&context, &run, &effect), async {
        server.expect(Method::POST, PODS).await.with(&pod_of(&run))
    });
    assert_eq!(result, Ok(()));
    assert_eq!(sent["metadata"]["name"], "r-pod");
    assert!(context.pods.get(&Key::new("n", "r-pod")).is_some());
}

#[tokio::test]
async fn a_pod_that_exists_is_taken_if_it_is_ours() {
    let ours = pod_of(&run("r"));
    let mut foreign = ours.clone();
    foreign.metadata.owner_references = None;
    let mut another_runs = ours.clone();
    another_runs.metadata.owner_references.as_mut().unwrap()[0].uid = "an earlier r".to_owned();
    let mut going = ours.clone();
    going.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    for (name, existing, holder) in [
        ("ours", ours, None),
        ("nobody's", foreign, Some("belongs to nobody")),
        (
            "another run's",
            another_runs,
            Some("belongs to TaskRun \"r\" with the UID an earlier r"),
        ),
        (
            "ours, but going",
            going,
            Some("is there still, and on its way out"),
        ),
    ] {
        let TestContext {
            context, mut server, ..
        } = context();
        let run = run("r");
        let effect = create_pod();
        let (result, ()) = tokio::join!(apply(&context, &run, &effect), async {
            server
                .expect(Method::POST, PODS)
                .await
                .refuse(409, "AlreadyExists");
            server.expect(Method::GET, POD).await.with(&existing);
        });
        let is_taken = holder.is_none();
        match (result, holder) {
            (Ok(()), None) => {}
            (Err(Refusal::NameTaken(text)), Some(holder)) => assert!(text.contains(holder), "{name}: {text}"),
            (result, _) => panic!("{name}: {result:?}"),
        }
        let is_known = context.pods.get(&Key::new("n", "r-pod")).is_some();
        assert_eq!(is_known, is_taken, "{name}");
        assert_eq!(context.queue.depth(), usize::from(is_taken), "{name}");
    }
}

#[tokio::test]
async fn a_pod_that_vanishes_in_between_is_tried_again() {
    let TestContext {
        context, mut server, ..
    } = context();
    let run = run("r");
    let effect = create_pod();
    let (result, ()) = tokio::join!(apply(&context, &run, &effect), async {
        server
            .expect(Method::POST, PODS)
            .await
            .refuse(409, "AlreadyExists");
        server.expect(Method::GET, POD).await.refuse(404, "NotFound");
    });
    assert!(matches!(result, Err(Refusal::Transient(_))), "{result:?}");
}

#[tokio::test]
async fn no_answer_is_an_answer() {
    let TestContext {
        context, mut server, ..
    } = context();
    let run = run("r");
    let effect = create_pod();
    let begun = std::time::Instant::now();
    let (result, unanswered) =
        tokio::join!(apply(&context, &run, &effect), server.expect(Method::POST, PODS));
    assert!(begun.elapsed() < crate::testing::LIMIT * 5);
    let Err(Refusal::Transient(message)) = result else {
        panic!("{result:?}")
    };
    assert!(message.contains("no answer within"), "{message}");
    drop(unanswered);
}

#[tokio::test]
async fn what_is_so_already_is_no_error() {
    let run = run("r");
    let delete = Effect::DeletePod {
        name: "r-pod".to_owned(),
        uid: "u".to_owned(),
    };
    let annotate = Effect::AnnotatePod {
        name: "r-pod".to_owned(),
        entries: vec![("k", "v".to_owned())],
    };
    let claim = Effect::CreateClaim(Box::<PersistentVolumeClaim>::default());
    let claims = "/api/v1/namespaces/n/persistentvolumeclaims";
    for (effect, method, path, code, reason, is_fine) in [
        (&delete, Method::DELETE, POD, 404, "NotFound", true),
        (&delete, Method::DELETE, POD, 409, "Conflict", true),
        (&delete, Method::DELETE, POD, 403, "Forbidden", false),
        (&annotate, Method::PATCH, POD, 404, "NotFound", true),
        (&annotate, Method::PATCH, POD, 500, "InternalError", false),
        (&claim, Method::POST, claims, 409, "AlreadyExists", true),
        (&claim, Method::POST, claims, 422, "Invalid", false),
    ] {
        let TestContext {
            context, mut server, ..
        } = context();
        let (result, sent) = tokio::join!(apply(&context, &run, effect), async {
            server.expect(method, path).await.refuse(code, reason)
        });
        assert_eq!(result.is_ok(), is_fine, "{effect:?} {code}: {result:?}");
        if matches!(effect, Effect::DeletePod { .. }) {
            assert_eq!(sent["preconditions"]["uid"], "u");
        }
        if matches!(effect, Effect::AnnotatePod { .. }) {
            assert_eq!(sent, json!({"metadata": {"annotations": {"k": "v"}}}));
        }
    }
}

#[tokio::test]
async fn nothing_to_do_writes_nothing() {
    let TestContext {
        context, mut server, ..
    } = context();
    let mut run = run("r");
    run.status = Some(going_on());
    run.metadata.labels = Some([("have".to_owned(), "it".to_owned())].into());
    context.pods.assume(pod_of(&run), None);
    let plan = Plan {
        labels: run.metadata.labels.clone().unwrap(),
        status: going_on(),
        ..Plan::default()
    };
    let found = gather(&context, Arc::new(run));
    let (outcome, ()) = tokio::join!(
        async { perform(&context, &found.await?, plan).await },
        // `gather` may have looked for the Pod; what must not come is a write.
        server.deny_writes(),
    );
    assert!(matches!(outcome, Ok(Outcome::Settled(Some(_)))), "{outcome:?}");
}

#[tokio::test]
async fn effects_then_metadata_then_status() {
    let TestContext {
        context,
        mut server,
        mut notes,
        ..
    } = context();
    let run = run("r");
    context.runs.apply(run.clone());
    let plan = Plan {
        effects: vec![create_pod()],
        labels: [("tekton.dev/task".to_owned(), "t".to_owned())].into(),
        status: going_on(),
        events: vec![Event {
            severity: Severity::Normal,
            reason: "Started",
            message: String::new(),
        }],
        ..Plan::default()
    };
    let (outcome, (patch, status)) = tokio::join!(act(&context, &run, plan), async {
        no_account(&mut server).await;
        server.expect(Method::POST, PODS).await.with(&pod_of(&run));
        let patch = server
            .expect(Method::PATCH, RUN)
            .await
            .with(&with_version(&run, "2"));
        let mut written = with_version(&run, "3");
        written.status = Some(going_on());
        let status = server.expect(Method::PUT, STATUS).await.with(&written);
        (patch, status)
    });
    assert!(matches!(outcome, Ok(Outcome::Settled(_))), "{outcome:?}");
    assert_eq!(
        patch,
        json!({"metadata": {"uid": "uid-of-r", "resourceVersion": "1", "labels": {"tekton.dev/task": "t"}}})
    );
    assert_eq!(
        status["metadata"]["resourceVersion"], "2",
        "on top of the metadata patch"
    );
    assert_eq!(status["status"]["podName"], "r-pod");
    assert_eq!(status.get("spec"), None);
    assert_eq!(version(&context).as_deref(), Some("3"));
    assert_eq!(notes.try_recv().unwrap().note.reason, "Started");
    // The echoes of the watch are no news.
    assert!(context.runs.apply(with_version(&run, "2")).is_none());
    assert!(context.runs.apply(with_version(&run, "3")).is_none());
}

#[tokio::test]
async fn a_conflict_drops_the_decision() {
    let TestContext {
        context,
        mut server,
        mut notes,
        ..
    } = context();
    let run = run("r");
    context.runs.apply(run.clone());
    let plan = Plan {
        status: going_on(),
        events: vec![Event {
            severity: Severity::Normal,
            reason: "Started",
            message: String::new(),
        }],
        ..Plan::default()
    };
    let (outcome, _) = tokio::join!(act(&context, &run, plan), async {
        no_account(&mut server).await;
        server.expect(Method::PUT, STATUS).await.refuse(409, "Conflict")
    });
    assert_eq!(outcome.unwrap(), Outcome::Conflict);
    assert_eq!(version(&context).as_deref(), Some("1"));
    assert!(notes.try_recv().is_err(), "told only of what is written");
}

#[tokio::test]
async fn a_run_that_went_away_is_no_error_and_a_refused_status_is() {
    for (code, reason, is_fine) in [(404, "NotFound", true), (422, "Invalid", false)] {
        let TestContext {
            context, mut server, ..
        } = context();
        let plan = Plan {
            status: going_on(),
            ..Plan::default()
        };
        let run = run("r");
        let (outcome, _) = tokio::join!(act(&context, &run, plan), async {
            no_account(&mut server).await;
            server.expect(Method::PUT, STATUS).await.refuse(code, reason)
        });
        match outcome {
            Ok(outcome) => assert!(is_fine && outcome == Outcome::Ignored),
            Err(error) => assert!(!is_fine && error.event_reason() == "UpdateFailed", "{error}"),
        }
    }
}

#[tokio::test]
async fn w51_a_run_that_is_over_costs_no_request() {
    let TestContext {
        context, mut server, ..
    } = context();
    let mut over = run("r");
    let mut status = going_on();
    status.conditions[0].status = ConditionStatus::True;
    over.status = Some(status);
    let key = Key::of(&over.metadata);
    context.runs.apply(over);
    assert_eq!(reconcile(&context, &key).await.unwrap(), Outcome::Settled(None));
    server.expect_nothing().await;
}

#[tokio::test]
async fn what_ends_a_pod_comes_after_the_word_that_its_run_is_over() {
    let TestContext {
        context,
        mut server,
        mut notes,
        ..
    } = context();
    let run = run("r");
    context.runs.apply(run.clone());
    let end = || Effect::EndPod {
        name: "r-pod".to_owned(),
    };
    for (code, reason, tries_again) in [(403, "Forbidden", false), (503, "ServiceUnavailable", true)] {
        let plan = Plan {
            afterwards: vec![end()],
            status: going_on(),
            ..Plan::default()
        };
        let (outcome, ()) = tokio::join!(act(&context, &run, plan), async {
            no_account(&mut server).await;
            server.expect(Method::PUT, STATUS).await.with(&run);
            server.expect(Method::PATCH, POD).await.refuse(code, reason);
        });
        assert_eq!(outcome.is_err(), tries_again, "{outcome:?}");
        let told = notes.try_recv().map(|waiting| waiting.note.reason);
        assert_eq!(told.is_err(), tries_again, "{told:?}");
    }
}

#[tokio::test]
async fn failures_are_told_when_waiting_does_not_help_or_has_not_helped() {
    let error = |verb, code, reason| crate::error::Error::Api {
        verb,
        kind: "TaskRun",
        source: Box::new(kube::Error::Api(failure(code, reason, "because", "").boxed())),
    };
    for (error, failures, expected) in [
        (error("update", 503, "ServiceUnavailable"), 1, None),
        (
            error("update", 503, "ServiceUnavailable"),
            3,
            Some((
                "UpdateFailed",
                "Failed to update status for \"r\": failed to update TaskRun: because",
            )),
        ),
        (error("update", 503, "ServiceUnavailable"), 4, None),
        (
            error("patch", 403, "Forbidden"),
            1,
            Some(("Error", "failed to patch TaskRun: because")),
        ),
        (
            error("get", 403, "Forbidden"),
            1,
            Some(("InternalError", "failed to get TaskRun: because")),
        ),
    ] {
        let TestContext {
            context, mut notes, ..
        } = context();
        context.runs.apply(run("r"));
        tell(&context, &Key::new("n", "r"), &error, failures);
        let told = notes.try_recv().ok().map(|waiting| waiting.note);
        let told = told.as_ref().map(|note| (note.reason, note.message.as_str()));
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn runs_on_their_way_out_are_not_touched() {
    let TestContext {
        context, mut server, ..
    } = context();
    let mut going = run("going");
    going.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    let mut gone = going.clone();
    gone.status = Some(over());
    for run in [going, gone] {
        let key = Key::of(&run.metadata);
        context.runs.apply(run);
        assert_eq!(reconcile(&context, &key).await.unwrap(), Outcome::Ignored);
    }
    let missing = Key::new("n", "missing");
    assert_eq!(reconcile(&context, &missing).await.unwrap(), Outcome::Ignored);
    server.expect_nothing().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_told_in_the_status() {
    const TASK: &str = "/apis/tekton.dev/v1/namespaces/n/tasks/t";
    let ages = [(3_600, 500, true), (0, 403, true), (0, 500, false)];
    for (age, code, is_told) in ages {
        let TestContext {
            context, mut server, ..
        } = context();
        let mut run = run("r");
        run.spec = serde_json::from_value(json!({"taskRef": {"name": "t"}})).unwrap();
        let created = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(age);
        run.metadata.creation_timestamp = Some(Time(created));
        context.runs.assume(run.clone(), None);
        let key = Key::new("n", "r");
        let (result, ()) = tokio::join!(Box::pin(reconcile(&context, &key)), async {
            server.expect(Method::GET, TASK).await.refuse(code, "Reason");
            if is_told {
                let asked = server.expect(Method::PUT, STATUS).await;
                let status = asked.with(&with_version(&run, "2"));
                let told = &status["status"]["conditions"][0];
                assert_eq!(
                    (&told["status"], &told["reason"]),
                    (&json!("Unknown"), &json!("Pending"))
                );
                let message = told["message"].as_str().unwrap();
                assert!(message.starts_with("failed to get Task: "), "{message}");
            } else {
                server.expect_nothing().await;
            }
        });
        assert!(result.is_err(), "it is tried again: {age} {code}");
    }
}
