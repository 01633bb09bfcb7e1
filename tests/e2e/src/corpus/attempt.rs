//! One case of the corpus on the cluster.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::case::{Target, text};
use crate::cluster::{Cluster, refusal};
use crate::corpus::compare::{compare, errors};
use crate::corpus::entry::{Entry, Kind};
use crate::matcher::Mismatch;

/// How long what is given may take to reach the webhooks.
const GIVEN_KNOWN: Duration = Duration::from_secs(5);
/// How long a deleted object may take to go.
const GONE: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);
/// How often an update is tried that comes upon somebody else's.
const CONFLICTS: usize = 5;

/// What came of a case.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// The differences.
    pub(crate) mismatches: Vec<Mismatch>,
    /// The errors of the refusal.
    pub(crate) errors: Option<String>,
}

/// Where cases run, and how.
pub(crate) struct Place<'a> {
    /// The cluster.
    pub(crate) cluster: &'a Cluster,
    /// The namespace of the group.
    pub(crate) namespace: &'a str,
    /// Until when a failure may be due to a configuration that is not in force yet.
    pub(crate) settled: Instant,
    /// Whether lines are enough.
    pub(crate) loosely: bool,
}

/// The API server's answer to an object.
enum Answer {
    Stored(Value),
    Refused(String),
}

fn target_of(object: &Value) -> Target {
    Target {
        api_version: Some(text(object, "/apiVersion").to_owned()),
        kind: text(object, "/kind").to_owned(),
        name: text(object, "/metadata/name").to_owned(),
    }
}

/// A TaskRun that is to be let pass is held back, so that no Pod is made.
fn held(mut object: Value) -> Value {
    if text(&object, "/kind") == "TaskRun"
        && let Some(spec) = object.pointer_mut("/spec").and_then(Value::as_object_mut)
    {
        spec.entry("status").or_insert_with(|| json!("TaskRunPending"));
    }
    object
}

impl Place<'_> {
    /// Runs a case, again where what it needs may not have arrived yet.
    pub(crate) async fn run(&self, entry: &Entry) -> Result<Verdict> {
        let patience = if entry.document.given.is_empty() {
            Duration::ZERO
        } else {
            GIVEN_KNOWN
        };
        let until = self.settled.max(Instant::now() + patience);
        loop {
            let verdict = self.attempt(entry).await;
            let good = verdict
                .as_ref()
                .is_ok_and(|verdict| verdict.mismatches.is_empty());
            if good || Instant::now() >= until {
                return verdict;
            }
            sleep(PAUSE).await;
        }
    }

    async fn attempt(&self, entry: &Entry) -> Result<Verdict> {
        let mut made = Vec::new();
        let verdict = self.act(entry, &mut made).await;
        for object in made.iter().rev() {
            self.delete(object).await?;
        }
        verdict
    }

    async fn act(&self, entry: &Entry, made: &mut Vec<Value>) -> Result<Verdict> {
        let document = &entry.document;
        for object in &document.given {
            let object = entry.named(object.clone());
            let stored = self.create(&object).await?;
            let Answer::Stored(stored) = stored else {
                bail!("what is given is refused: {}", describe(stored));
            };
            made.push(stored);
        }
        if let Some(object) = &document.stored {
            let object = entry.named(object.clone());
            let Answer::Stored(stored) = self.create(&object).await? else {
                bail!("what is to be updated is refused");
            };
            let target = target_of(&stored);
            made.push(stored);
            if let Some(status) = object.get("status") {
                let merge = json!({ "status": status });
                self.cluster
                    .patch(&target, Some("status"), &merge, self.namespace)
                    .await
                    .context("cannot write the status")?;
            }
        }
        let mut verdict = Verdict::default();
        if document.kind == Kind::Rejected {
            for object in document.objects() {
                self.refused(entry, &entry.named(object.clone()), &mut verdict)
                    .await?;
            }
            for object in document.fixed()? {
                self.passes(entry, object, "the fixed object", &mut verdict)
                    .await?;
            }
        } else {
            for object in document.objects() {
                self.passes(entry, object.clone(), "the object", &mut verdict)
                    .await?;
            }
        }
        Ok(verdict)
    }

    async fn refused(&self, entry: &Entry, object: &Value, verdict: &mut Verdict) -> Result<()> {
        let before = self.spec(entry, object).await?;
        match self.send(entry, object).await? {
            Answer::Stored(stored) => {
                verdict
                    .mismatches
                    .push(Mismatch::new("the object", "refused", "accepted"));
                if entry.document.stored.is_none() {
                    self.delete(&stored).await?;
                }
            }
            Answer::Refused(message) => {
                verdict
                    .mismatches
                    .extend(compare(&entry.document, &message, self.loosely));
                verdict.errors = Some(errors(&message).to_owned());
                if before != self.spec(entry, object).await? {
                    let found = Mismatch::new("the object, refused", "left alone", "stored all the same");
                    verdict.mismatches.push(found);
                }
            }
        }
        Ok(())
    }

    async fn passes(&self, entry: &Entry, object: Value, what: &str, verdict: &mut Verdict) -> Result<()> {
        let mut object = entry.named(object);
        if entry.document.stored.is_none() {
            object = held(object);
        }
        match self.send(entry, &object).await? {
            Answer::Stored(stored) => {
                if entry.document.stored.is_none() {
                    self.delete(&stored).await?;
                }
            }
            refused @ Answer::Refused(_) => {
                verdict
                    .mismatches
                    .push(Mismatch::new(what, "accepted", describe(refused)));
            }
        }
        Ok(())
    }

    /// What is stored under the object's name; a configuration is not there to be changed.
    async fn spec(&self, entry: &Entry, object: &Value) -> Result<Option<Value>> {
        let target = target_of(object);
        if target.name.is_empty() || is_config(object) {
            return Ok(None);
        }
        let stored = self.cluster.get(&target, self.namespace).await?;
        if stored.is_some() && entry.document.stored.is_none() {
            // Left by an attempt before this one.
            return Ok(Some(json!("there")));
        }
        Ok(stored.map(|stored| stored["spec"].clone()))
    }

    async fn send(&self, entry: &Entry, object: &Value) -> Result<Answer> {
        if is_config(object) {
            let target = target_of(object);
            let namespace = text(object, "/metadata/namespace");
            let merge = json!({ "data": object["data"] });
            return answer(self.cluster.try_merge(&target, &merge, namespace).await);
        }
        if entry.document.stored.is_none() {
            return self.create(object).await;
        }
        let target = target_of(object);
        for _ in 0..CONFLICTS {
            let stored = self.cluster.get(&target, self.namespace).await?;
            let stored = stored.context("what is to be updated is gone")?;
            let mut object = object.clone();
            object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
            match self.cluster.replace_raw(&object, self.namespace).await {
                Err(error) if refusal(&error).is_some_and(|refusal| refusal.code == 409) => {}
                result => return answer(result),
            }
        }
        bail!("others keep changing {}", target.name)
    }

    async fn create(&self, object: &Value) -> Result<Answer> {
        answer(self.cluster.create_raw(object, self.namespace).await)
    }

    async fn delete(&self, object: &Value) -> Result<()> {
        if is_config(object) {
            return Ok(());
        }
        let target = target_of(object);
        let until = Instant::now() + GONE;
        self.cluster.delete(&target, self.namespace).await?;
        while self.cluster.get(&target, self.namespace).await?.is_some() {
            if Instant::now() >= until {
                bail!("{} {} does not go", target.kind, target.name);
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// Our ConfigMaps are sent as changes of those that are there, and only tried.
fn is_config(object: &Value) -> bool {
    text(object, "/kind") == "ConfigMap"
}

fn describe(answer: Answer) -> String {
    match answer {
        Answer::Stored(_) => "accepted".to_owned(),
        Answer::Refused(message) => format!("refused: {message}"),
    }
}

fn answer(result: Result<Value>) -> Result<Answer> {
    match result {
        Ok(object) => Ok(Answer::Stored(object)),
        Err(error) => match refusal(&error) {
            Some(refusal) if matches!(refusal.code, 400 | 403 | 422) => {
                Ok(Answer::Refused(refusal.message.clone()))
            }
            _ => Err(error),
        },
    }
}
