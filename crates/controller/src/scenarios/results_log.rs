//! Results that come from a sidecar's log: read once, when the steps are over.

use http::Method;
use serde_json::{Value, json};
use tektite_protocol::log_results::{CONTAINER, Line, LineKind};

use super::*;

/// A run whose steps are over, and its Pod.
fn over() -> (TaskRun, tektite_core::pod_view::PodView) {
    let mut run = run("r");
    let mut status = going_on();
    status.task_spec = serde_json::from_value(json!({
        "steps": [{"name": "a", "image": "i", "command": ["c"]}], "results": [{"name": "r", "type": "string"}],
    }))
    .unwrap();
    status.start_time = Some(Time(jiff::Timestamp::now()));
    run.status = Some(status);
    let mut pod = pod_of(&run);
    let container = |name: &str, state: Value| json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    let finished = jiff::Timestamp::now().to_string();
    pod.status = serde_json::from_value(json!({
        "phase": "Running",
        "containerStatuses": [container("step-a", json!({"terminated": {"exitCode": 0, "finishedAt": finished}}))],
        "initContainerStatuses": [container(CONTAINER, json!({"running": {}}))],
    }))
    .unwrap();
    (run, pod)
}

async fn reconciled(answer: impl FnOnce(crate::testing::Asked)) -> Value {
    let TestContext {
        context, mut server, ..
    } = context();
    let (run, pod) = over();
    context.runs.assume(run.clone(), None);
    context.pods.assume(pod, None);
    let key = Key::new("n", "r");
    let (outcome, sent) = tokio::join!(Box::pin(reconcile(&context, &key)), async {
        let asked = server.expect(Method::GET, &format!("{POD}/log")).await;
        assert!(
            asked.query.contains(&format!("container={CONTAINER}")),
            "{}",
            asked.query
        );
        assert!(!asked.query.contains("follow"), "{}", asked.query);
        answer(asked);
        server
            .expect(Method::PUT, STATUS)
            .await
            .with(&with_version(&run, "2"))
    });
    outcome.unwrap();
    sent["status"].clone()
}

#[tokio::test]
async fn the_log_becomes_the_results() {
    let line = Line {
        name: "r".to_owned(),
        value: "x".repeat(64 * 1024),
        kind: LineKind::Task,
    };
    // What comes after the end is not waited for.
    let text = format!("{}\n{}\nmore\n", line.text(), Line::end(1).text());
    let status = reconciled(|asked| asked.with_text(&text)).await;
    assert_eq!(status["conditions"][0]["reason"], "Succeeded");
    assert_eq!(status["results"][0]["value"], line.value);
}

#[tokio::test]
async fn a_log_that_we_may_not_read_ends_the_run_and_one_that_is_not_there_yet_does_not() {
    for (code, reason, expected) in [
        (403, "Forbidden", "TaskRunResultsNotRead"),
        (400, "BadRequest", "Running"),
        (503, "ServiceUnavailable", "Running"),
    ] {
        let status = reconciled(|asked| {
            asked.refuse(code, reason);
        })
        .await;
        assert_eq!(status["conditions"][0]["reason"], expected);
    }
}
