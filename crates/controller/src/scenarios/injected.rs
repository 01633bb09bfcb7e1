//! What others add to a Pod: asked before the first of its shape is made, and then known.

use http::Method;
use serde_json::{Value, json};

use super::*;

fn fresh(name: &str) -> TaskRun {
    let mut run = run(name);
    run.spec = serde_json::from_value(
        json!({"taskSpec": {"steps": [{"name": "a", "image": "i", "command": ["c"], "results": [{"name": "r"}]}]}}),
    )
    .unwrap();
    run
}

/// Lets a run make its Pod, after this answer to what others add, if it asks; returns that Pod.
async fn made(
    context: &Context,
    server: &mut crate::testing::Script,
    name: &str,
    answer: Option<Value>,
) -> Value {
    let run = fresh(name);
    context.runs.assume(run.clone(), None);
    let key = Key::new("n", name);
    let path = format!("/apis/tekton.dev/v1/namespaces/n/taskruns/{name}");
    let (outcome, pod) = tokio::join!(Box::pin(reconcile(context, &key)), async {
        let account = "/api/v1/namespaces/n/serviceaccounts/default";
        let asked = server.expect(Method::GET, account).await;
        asked.with(&json!({"metadata": {"name": "default"}}));
        if let Some(answer) = answer {
            let asked = server.expect(Method::POST, PODS).await;
            assert!(asked.query.contains("dryRun=All"), "{}", asked.query);
            if answer.is_null() {
                asked.refuse(400, "BadRequest");
            } else {
                asked.with(&answer);
            }
        }
        let asked = server.expect(Method::POST, PODS).await;
        assert!(!asked.query.contains("dryRun"), "{}", asked.query);
        let pod = asked.with(&pod_of(&run));
        server.expect(Method::PATCH, &path).await.with(&run);
        let status = server.expect(Method::PUT, &format!("{path}/status")).await;
        status.with(&with_version(&run, "2"));
        pod
    });
    outcome.unwrap();
    pod
}

fn waits(pod: &Value) -> bool {
    let args = pod["spec"]["containers"][0]["args"].to_string();
    let waits = args.contains("-wait_file_content");
    assert_ne!(
        waits,
        pod["metadata"]["annotations"]["tekton.dev/ready"] == "READY"
    );
    waits
}

#[tokio::test]
async fn one_question_per_shape() {
    let TestContext {
        context, mut server, ..
    } = context();
    let proxied = json!({"spec": {"containers": [{"name": "step-a"}, {"name": "proxy"}]}});
    let first = made(&context, &mut server, "r", Some(proxied)).await;
    assert!(waits(&first));
    let second = made(&context, &mut server, "s", None).await;
    assert!(waits(&second));
}

#[tokio::test]
async fn nothing_is_waited_for_where_nothing_is_added_and_something_where_nobody_knows() {
    for (answer, expected) in [
        (json!({"spec": {"containers": [{"name": "step-a"}]}}), false),
        (Value::Null, true),
    ] {
        let TestContext {
            context, mut server, ..
        } = context();
        let pod = made(&context, &mut server, "r", Some(answer)).await;
        assert_eq!(waits(&pod), expected);
    }
}

#[tokio::test]
async fn the_operator_can_say_that_nobody_adds_anything() {
    let TestContext {
        context, mut server, ..
    } = context();
    let mut config = tektite_core::config::Config::default();
    config.flags.sidecars.injected = tektite_core::sidecars::Injected::Never;
    context.config.store(Arc::new(config));
    let pod = made(&context, &mut server, "r", None).await;
    assert!(!waits(&pod));
}

#[tokio::test]
async fn runs_that_come_together_ask_once() {
    let TestContext {
        context, mut server, ..
    } = context();
    let pod = Pod::default();
    let ask = || context.injected.into_pod(&context.cluster, "n", &pod);
    let (first, second, third, ()) = tokio::join!(ask(), ask(), ask(), async {
        let asked = server.expect(Method::POST, PODS).await;
        asked.with(&json!({"spec": {"containers": [{"name": "proxy"}]}}));
        server.expect_nothing().await;
    });
    assert_eq!((first, second), (second, third));
    assert_eq!(first.count(), 1);
}
