//! Runs whose steps have no command.

use std::{sync::Arc, time::Duration};

use http::Method;
use serde_json::json;
use tektite_core::config::Config;

use super::{RUN, STATUS, with_version};
use crate::{
    cache::Key,
    queue::Next,
    reconcile::{Outcome, reconcile},
    testing::{Script, TestContext, context, run},
};

const ACCOUNT: &str = "/api/v1/namespaces/n/serviceaccounts/builder";

/// Answers what is asked for the credentials.
async fn give_credentials(server: &mut Script) {
    let account =
        json!({"metadata": {"name": "builder"}, "imagePullSecrets": [{"name": "b"}, {"name": "a"}]});
    // For what steps log in with and for what images are looked up with.
    server.expect(Method::GET, ACCOUNT).await.with(&account);
    for name in ["a", "b"] {
        let secret = format!("/api/v1/namespaces/n/secrets/{name}");
        server.expect(Method::GET, &secret).await.refuse(404, "NotFound");
    }
}

#[tokio::test]
async fn nothing_is_written_while_an_answer_may_come_soon_and_the_run_is_looked_at_when_it_has() {
    let TestContext {
        context, mut server, ..
    } = context();
    let mut run = run("r");
    run.spec = serde_json::from_value(json!({
        "serviceAccountName": "builder",
        "podTemplate": {"imagePullSecrets": [{"name": "a"}]},
        // Nobody listens there.
        "taskSpec": {"steps": [{"image": "127.0.0.1:1/tool"}]},
    }))
    .unwrap();
    let mut config = Config::default();
    config.defaults.image_look_up.insecure = vec!["127.0.0.1:1".to_owned()];
    context.config.store(Arc::new(config));
    context.runs.apply(run.clone());
    let key = Key::new("n", "r");
    let (outcome, ()) = tokio::join!(reconcile(&context, &key), give_credentials(&mut server));
    let Ok(Outcome::Settled(Some(left))) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(left <= Duration::from_secs(1));

    let woken = tokio::time::timeout(Duration::from_secs(20), context.queue.next()).await;
    assert_eq!(woken.unwrap(), key);
    context.queue.finish(&key, Next::Rest);
    let (outcome, sent) = tokio::join!(reconcile(&context, &key), async {
        give_credentials(&mut server).await;
        let patched = server.expect(Method::PATCH, RUN).await;
        patched.with(&with_version(&run, "2"));
        server
            .expect(Method::PUT, STATUS)
            .await
            .with(&with_version(&run, "3"))
    });
    assert!(matches!(outcome, Ok(Outcome::Settled(Some(_)))), "{outcome:?}");
    let condition = &sent["status"]["conditions"][0];
    assert_eq!(
        (&condition["status"], &condition["reason"]),
        (&json!("Unknown"), &json!("Pending"))
    );
    let message = condition["message"].as_str().unwrap();
    let expected = "what images run is not known yet: image \"127.0.0.1:1/tool:latest\": registry \"127.0.0.1:1\" cannot be reached: ";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(sent["status"]["podName"], "");
}
