//! What a run costs in writes, from its coming to its end: an API server that keeps what it is given, and
//! writes down what was asked of it.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use tektite_api::TaskRun;
use tektite_core::{lifecycle, pod_view::PodView};

use super::{POD, PODS, RUN, STATUS};
use crate::{
    cache::{Cached, Key},
    known::KnownRun,
    reconcile::{Outcome, reconcile},
    testing::{self, TestContext, run},
    watch,
};

/// A run, its Pod, and what was written.
struct World {
    test: TestContext,
    run: TaskRun,
    pod: Value,
    version: u32,
    writes: Vec<&'static str>,
    reads: Vec<String>,
}

impl World {
    fn new(steps: Value) -> Self {
        let mut run = run("r");
        run.spec = serde_json::from_value(json!({"taskSpec": {"steps": steps}})).unwrap();
        let test = testing::context();
        test.context.runs.apply(run.clone());
        Self {
            test,
            run,
            pod: Value::Null,
            version: 1,
            writes: Vec::new(),
            reads: Vec::new(),
        }
    }

    async fn look(&mut self) -> Outcome {
        let context = Arc::clone(&self.test.context);
        let key = Key::new("n", "r");
        let mut look = Box::pin(reconcile(&context, &key));
        loop {
            tokio::select! {
                outcome = &mut look => return outcome.unwrap(),
                (method, path, asked) = self.test.server.next() => {
                    let answer = self.answer(&method, &path, &asked.body, &asked.query);
                    asked.with(&answer);
                }
            }
        }
    }

    fn answer(&mut self, method: &Method, path: &str, body: &Value, query: &str) -> Value {
        let mut wrote = |what| self.writes.push(what);
        match (method, path) {
            (&Method::POST, PODS) if !query.contains("dryRun") => {
                wrote("create Pod");
                self.pod = body.clone();
                self.pod["metadata"]["uid"] = json!("uid-of-pod");
                self.pod["metadata"]["creationTimestamp"] = json!(lately().to_string());
                self.pod = self.next_version(self.pod.clone());
                return self.pod.clone();
            }
            (&Method::PATCH, RUN) => {
                wrote("patch TaskRun");
                let mut stored = json!(self.run);
                for (field, value) in body["metadata"].as_object().unwrap() {
                    if field == "annotations" || field == "labels" {
                        stored["metadata"][field] = value.clone();
                    }
                }
                self.run = serde_json::from_value(self.next_version(stored)).unwrap();
            }
            (&Method::PUT, STATUS) => {
                wrote("update status");
                let mut stored = json!(self.run);
                stored["status"] = body["status"].clone();
                self.run = serde_json::from_value(self.next_version(stored)).unwrap();
            }
            (&Method::PATCH, POD) => wrote("patch Pod"),
            _ => {
                self.reads.push(format!("{method} {path}"));
                if path.contains("/serviceaccounts/") {
                    return json!({"metadata": {"name": "default"}});
                }
                if path == PODS {
                    return body.clone();
                }
            }
        }
        json!(self.run)
    }

    fn next_version(&mut self, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        object
    }

    /// The watch tells that the Pod is so now.
    fn pod_is(&mut self, phase: &str, states: &[(&str, Value)]) {
        let containers: Vec<Value> = states
            .iter()
            .map(|(name, state)| {
                json!({
                    "name": name, "image": "i", "imageID": "", "ready": true, "restartCount": 0,
                    "started": true, "state": state,
                })
            })
            .collect();
        self.pod["status"] = json!({"phase": phase, "containerStatuses": containers});
        self.pod["metadata"]["annotations"]["tekton.dev/ready"] = json!("READY");
        self.pod = self.next_version(self.pod.clone());
        let pod: PodView = serde_json::from_value(self.pod.clone()).unwrap();
        if watch::matters(&self.test.context, &pod) {
            self.test.context.pods.apply(pod);
        } else {
            self.test.context.pods.forget(&pod.key());
        }
    }

    /// Nothing has changed that a status tells: nothing is written, and nothing is read.
    async fn nothing_new(&mut self) {
        let (writes, reads) = (self.writes.len(), self.reads.len());
        self.look().await;
        assert_eq!(self.writes[writes..], [""; 0]);
        assert_eq!(self.reads[reads..], [""; 0]);
    }
}

/// A moment ago: a step that began long ago would have timed out.
fn lately() -> jiff::Timestamp {
    jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() - 5).unwrap()
}

fn running() -> Value {
    json!({"running": {"startedAt": lately().to_string()}})
}

/// The end of a step whose entrypoint has told its start to the millisecond.
fn ended() -> Value {
    let began = lately().to_string().replace('Z', ".123Z");
    let message = format!(r#"[{{"key":"StartedAt","value":"{began}","type":3}}]"#);
    json!({"terminated": {
        "exitCode": 0, "reason": "Completed", "message": message,
        "startedAt": lately().to_string(), "finishedAt": lately().to_string(),
    }})
}

fn step(name: &str) -> Value {
    json!({"name": name, "image": "i", "command": ["c"]})
}

#[tokio::test]
async fn a_plain_run_costs_five_writes_and_afterwards_nothing() {
    let mut world = World::new(json!([step("a")]));
    world.look().await;
    assert_eq!(world.writes, ["create Pod", "patch TaskRun", "update status"]);
    world.nothing_new().await;
    world.pod_is("Running", &[("step-a", running())]);
    world.look().await;
    world.nothing_new().await;
    world.pod_is("Running", &[("step-a", ended())]);
    world.look().await;
    let writes = [
        "create Pod",
        "patch TaskRun",
        "update status",
        "update status",
        "update status",
    ];
    assert_eq!(world.writes, writes);
    let known = world.test.context.runs.get(&Key::new("n", "r")).unwrap();
    assert!(known.is_over(), "little is kept of it");
    world.pod_is("Succeeded", &[("step-a", ended())]);
    assert!(world.test.context.pods.is_empty(), "and of its Pod nothing");
    world.nothing_new().await;
    assert_eq!(world.writes, writes);
    assert!(world.reads.len() <= 2, "{:?}", world.reads);
}

#[tokio::test]
async fn what_was_written_is_not_written_again() {
    let mut world = World::new(json!([step("a"), step("b")]));
    world.look().await;
    world.pod_is("Running", &[("step-a", running()), ("step-b", running())]);
    world.look().await;
    world.pod_is("Running", &[("step-a", ended()), ("step-b", running())]);
    world.look().await;
    world.nothing_new().await;
    // As it was planned, so it is stored.
    let run = world.run.clone();
    let pod: PodView = serde_json::from_value(world.pod.clone()).unwrap();
    world.test.context.pods.apply(pod);
    let found = crate::gather::gather(&world.test.context, Arc::new(run))
        .await
        .unwrap();
    let planned = lifecycle::plan(&found.gathered()).status;
    let stored = serde_json::from_value(json!(planned)).unwrap();
    assert_eq!(planned, stored);
}

#[tokio::test]
async fn a_run_with_a_sidecar_is_read_again_to_see_it_end() {
    let mut world = World::new(json!([step("a")]));
    let spec = json!({"taskSpec": {
        "steps": [step("a")],
        "sidecars": [{"name": "s", "image": "i", "command": ["c"]}],
    }});
    world.run.spec = serde_json::from_value(spec).unwrap();
    world.run.metadata.resource_version = Some("2".to_owned());
    world.test.context.runs.apply(world.run.clone());
    world.version = 2;
    world.look().await;
    let both = |a: Value, s: Value| [("step-a", a), ("sidecar-s", s)];
    world.pod_is("Running", &both(running(), running()));
    world.look().await;
    world.pod_is("Running", &both(ended(), running()));
    world.look().await;
    let known = world.test.context.runs.get(&Key::new("n", "r")).unwrap();
    let KnownRun::Over(over) = &*known else { panic!() };
    assert!(over.has_open_sidecars);
    world.pod_is("Succeeded", &both(ended(), ended()));
    world.look().await;
    assert!(world.reads.contains(&format!("GET {RUN}")), "{:?}", world.reads);
    let sidecars = &world.run.status.as_ref().unwrap().sidecars;
    assert!(sidecars[0].terminated.is_some(), "{sidecars:?}");
    world.nothing_new().await;
    assert!(world.test.context.pods.is_empty());
}
