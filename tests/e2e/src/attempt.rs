//! One case on the cluster: create, act, watch, compare.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::case::{Action, Case, Exec, Expectation, ObjectPart, Target, WaitFor, is, text};
use crate::check;
use crate::cluster::{Cluster, Followed, random, refusal};
use crate::matcher::{Mismatch, Pattern, subset};
use crate::report::{Failure, Outcome, describe};

/// How long what follows a run's end (events, sidecars, deletions) may take to show.
const SETTLE: Duration = Duration::from_secs(10);
/// Between two looks at what has yet to show.
const PAUSE: Duration = Duration::from_millis(500);
/// A namespace's name has this many characters, of which the random ones must not be cut.
const LONGEST_NAME: usize = 63;

/// A case under way.
struct Attempt<'a> {
    cluster: &'a Cluster,
    case: &'a Case,
    namespace: String,
    deadline: Instant,
    timeline: Vec<String>,
}

/// Runs one case in a namespace of its own.
pub(crate) async fn run(cluster: &Cluster, case: &Case, keep: bool) -> Outcome {
    for need in &case.header.needs {
        match cluster.unmet(need).await {
            Ok(None) => {}
            Ok(Some(reason)) => return Outcome::Skipped(reason),
            Err(error) => {
                return Outcome::Failed(Failure {
                    error: Some(error),
                    ..Failure::default()
                });
            }
        }
    }
    let mut namespace = format!("e2e-{}", case.name);
    namespace.truncate(LONGEST_NAME - 6);
    let namespace = format!("{}-{}", namespace.trim_end_matches('-'), random());
    let deadline = Instant::now() + case.header.timeout;
    let mut attempt = Attempt {
        cluster,
        case,
        namespace,
        deadline,
        timeline: Vec::new(),
    };
    let result = attempt.run().await;
    let outcome = match result {
        Ok(mismatches) if mismatches.is_empty() => Outcome::Passed,
        result => {
            let (mismatches, error) = match result {
                Ok(mismatches) => (mismatches, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            let dump = describe(cluster, &attempt.namespace).await;
            let timeline = attempt.timeline;
            Outcome::Failed(Failure {
                mismatches,
                error,
                timeline,
                dump,
            })
        }
    };
    for object in case
        .objects
        .iter()
        .filter(|object| cluster.is_cluster_scoped(object))
    {
        // One that cannot be deleted shows up when it is created the next time.
        let _ = cluster.delete(&target_of(object), "").await;
    }
    if keep && matches!(outcome, Outcome::Failed(_)) {
        cluster.keep_namespace(&attempt.namespace);
    } else {
        let _ = cluster.delete_namespace(&attempt.namespace).await;
    }
    outcome
}

fn target_of(object: &Value) -> Target {
    Target {
        api_version: Some(text(object, "/apiVersion").to_owned()),
        kind: text(object, "/kind").to_owned(),
        name: text(object, "/metadata/name").to_owned(),
    }
}

impl Attempt<'_> {
    async fn run(&mut self) -> Result<Vec<Mismatch>> {
        let header = &self.case.header;
        self.cluster
            .create_namespace(&self.namespace, &header.namespace, self.deadline)
            .await?;
        let mut found = Vec::new();
        for object in &self.case.objects {
            let later = header
                .actions
                .iter()
                .any(|action| matches!(action, Action::Create(target) if is(object, target)));
            if !later {
                found.extend(self.create(object).await?);
            }
        }
        for action in &header.actions {
            found.extend(self.act(action).await?);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        for expectation in &header.expect {
            found.extend(self.check(expectation).await?);
        }
        Ok(found)
    }

    async fn create(&self, object: &Value) -> Result<Option<Mismatch>> {
        let refused = self.case.header.expect.iter().filter_map(Expectation::refused);
        let wanted = refused
            .into_iter()
            .find(|(target, _)| is(object, target))
            .map(|(_, pattern)| pattern);
        let Target { kind, name, .. } = target_of(object);
        let answer = self.cluster.create(object, &self.namespace).await;
        denied(wanted, answer.map(|_| ()), format!("create {kind} {name}"))
    }

    async fn act(&mut self, action: &Action) -> Result<Option<Mismatch>> {
        match action {
            Action::Create(target) => {
                let case = self.case;
                let object = case.objects.iter().find(|object| is(object, target));
                self.create(object.context("checked when the case was read")?)
                    .await
            }
            Action::WaitFor(wait) => self.wait_for(wait).await,
            Action::Patch(patch) => {
                let target = patch.target();
                let part = patch.subresource.as_deref();
                let answer = self
                    .cluster
                    .patch(&target, part, &patch.merge, &self.namespace)
                    .await;
                denied(
                    patch.denied.as_ref(),
                    answer,
                    format!("patch {} {}", target.kind, target.name),
                )
            }
            Action::Delete(target) => self.cluster.delete(target, &self.namespace).await.map(|()| None),
            Action::Exec(wanted) => self.exec(wanted).await,
            Action::Sleep(time) => {
                sleep((*time).min(self.left())).await;
                Ok(None)
            }
        }
    }

    /// A container that has not started yet, or a step that is not where it shall be yet, is tried again.
    async fn exec(&self, wanted: &Exec) -> Result<Option<Mismatch>> {
        let title = format!(
            "exec {} in {}/{}",
            wanted.command.join(" "),
            wanted.pod,
            wanted.container
        );
        loop {
            let seen = match self.cluster.exec(&self.namespace, wanted).await {
                Ok(ended) => {
                    let fits = wanted
                        .output
                        .as_ref()
                        .is_none_or(|pattern| pattern.is_match(&ended.output));
                    if ended.code == wanted.exit_code && fits {
                        return Ok(None);
                    }
                    format!("exit code {}: {}", ended.code, ended.output)
                }
                Err(error) => format!("{error:#}"),
            };
            if self.left().is_zero() {
                let pattern = wanted.output.as_ref().map(Pattern::describe).unwrap_or_default();
                let expected = format!("exit code {}: {pattern}", wanted.exit_code);
                return Ok(Some(Mismatch::new(title, expected, seen)));
            }
            sleep(PAUSE).await;
        }
    }

    async fn wait_for(&mut self, wait: &WaitFor) -> Result<Option<Mismatch>> {
        let target = wait.target()?;
        let condition = wait.condition();
        let until_done =
            target.kind == "TaskRun" && condition.is_none() && wait.object.is_none() && !wait.absent;
        let mut differs = Vec::new();
        let followed = self
            .follow(&target, |object| {
                differs.clear();
                match object {
                    None => wait.absent,
                    Some(_) if wait.absent => false,
                    Some(object) => {
                        differs.extend(
                            condition
                                .iter()
                                .flat_map(|wanted| check::check_condition(wanted, object)),
                        );
                        if let Some(part) = &wait.object {
                            differs.extend(subset(part, Some(object), &target.kind));
                        }
                        differs.is_empty() && (!until_done || check::is_done(object))
                    }
                }
            })
            .await?;
        Ok(match followed {
            Followed::Reached(_) => None,
            Followed::Gone if wait.absent => None,
            Followed::Gone => Some(Mismatch::new(title(&target), "waited for", "deleted")),
            Followed::TimedOut(last) => {
                let mut actual = self.too_late(last.as_ref());
                for mismatch in &differs {
                    let Mismatch {
                        path,
                        expected,
                        actual: seen,
                    } = mismatch;
                    let _ = write!(actual, "; {path}: expected {expected}, got {seen}");
                }
                Some(Mismatch::new(title(&target), "waited for", actual))
            }
        })
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn too_late(&self, last: Option<&Value>) -> String {
        let state = match last {
            None => "there was no such object".to_owned(),
            Some(object) if text(object, "/kind") == "TaskRun" => check::summary(object),
            Some(object) => format!("{} is there", text(object, "/metadata/name")),
        };
        format!("after {:?}: {state}", self.case.header.timeout)
    }

    /// Watches an object, and keeps what a watcher of a TaskRun's condition sees.
    async fn follow(
        &mut self,
        target: &Target,
        mut wanted: impl FnMut(Option<&Value>) -> bool,
    ) -> Result<Followed> {
        let timeline = &mut self.timeline;
        let note = |object: Option<&Value>| {
            if let Some(run) = object.filter(|object| text(object, "/kind") == "TaskRun") {
                let line = format!("{}: {}", target.name, check::summary(run));
                if timeline.last() != Some(&line) {
                    timeline.push(line);
                }
            }
            wanted(object)
        };
        self.cluster
            .follow(target, &self.namespace, self.deadline, note)
            .await
    }

    async fn check(&mut self, expectation: &Expectation) -> Result<Vec<Mismatch>> {
        let mut found = Vec::new();
        if let (Some(name), None) = (&expectation.task_run, &expectation.denied) {
            let target = Target {
                api_version: Some("tekton.dev/v1".to_owned()),
                kind: "TaskRun".to_owned(),
                name: name.clone(),
            };
            // A run that is expected not to end is waited for by its condition.
            let held = expectation
                .condition
                .as_ref()
                .filter(|wanted| wanted.status.as_deref() == Some("Unknown"));
            let followed = self
                .follow(&target, |run| {
                    run.is_some_and(|run| match held {
                        Some(condition) => check::check_condition(condition, run).is_empty(),
                        None => check::is_done(run),
                    })
                })
                .await?;
            let run = match followed {
                Followed::Reached(run) => run,
                Followed::Gone => {
                    return Ok(vec![Mismatch::new(
                        title(&target),
                        "followed to its end",
                        "deleted",
                    )]);
                }
                Followed::TimedOut(last) => {
                    let wanted = if held.is_some() {
                        "the condition that the case asks for"
                    } else {
                        "to end"
                    };
                    return Ok(vec![Mismatch::new(
                        title(&target),
                        wanted,
                        self.too_late(last.as_ref()),
                    )]);
                }
            };
            found.extend(check::check_run(expectation, &run));
            if held.is_none() {
                self.wait_for_containers(expectation, &run).await?;
            }
        }
        let until = Instant::now() + SETTLE.min(self.left());
        loop {
            let rest = self.check_rest(expectation).await?;
            if rest.is_empty() || Instant::now() >= until {
                found.extend(rest);
                return Ok(found);
            }
            sleep(PAUSE).await;
        }
    }

    /// The logs are whole once the containers that wrote them have ended.
    async fn wait_for_containers(&mut self, expectation: &Expectation, run: &Value) -> Result<()> {
        let Some(pod) = self.pod_of(run).await? else {
            return Ok(());
        };
        let name = text(&pod, "/metadata/name").to_owned();
        let target = Target {
            api_version: Some("v1".to_owned()),
            kind: "Pod".to_owned(),
            name,
        };
        let keys: Vec<_> = expectation
            .logs
            .keys()
            .chain(expectation.logs_not.keys())
            .collect();
        let named: Vec<_> = keys.iter().map(|key| check::container_name(&pod, key)).collect();
        self.follow(&target, |pod| {
            let Some(pod) = pod else { return true };
            let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
            statuses.into_iter().flatten().all(|status| {
                let name = text(status, "/name");
                let ends = name.starts_with("step-") || named.iter().any(|wanted| wanted == name);
                !ends || status.pointer("/state/terminated").is_some()
            })
        })
        .await?;
        Ok(())
    }

    async fn pod_of(&self, run: &Value) -> Result<Option<Value>> {
        let name = text(run, "/status/podName");
        if name.is_empty() {
            return Ok(None);
        }
        let pod = Target {
            api_version: Some("v1".to_owned()),
            kind: "Pod".to_owned(),
            name: name.to_owned(),
        };
        self.cluster.get(&pod, &self.namespace).await
    }

    /// Compares what is found outside of the run's outcome, as it is now.
    async fn check_rest(&self, expectation: &Expectation) -> Result<Vec<Mismatch>> {
        let mut found = Vec::new();
        if let (Some(name), None) = (&expectation.task_run, &expectation.denied) {
            let target = Target {
                api_version: Some("tekton.dev/v1".to_owned()),
                kind: "TaskRun".to_owned(),
                name: name.clone(),
            };
            let run = self
                .cluster
                .get(&target, &self.namespace)
                .await?
                .unwrap_or_default();
            if let Some(status) = &expectation.status {
                found.extend(subset(status, run.get("status"), "status"));
            }
            let pod = self.pod_of(&run).await?;
            if let Some(part) = &expectation.pod {
                found.extend(subset(part, pod.as_ref(), "pod"));
            }
            let logs = self.logs(expectation, pod.as_ref()).await;
            found.extend(check::check_logs(expectation, &logs));
        }
        for object in &expectation.object {
            found.extend(self.check_object(object).await?);
        }
        Ok(found)
    }

    async fn logs(
        &self,
        expectation: &Expectation,
        pod: Option<&Value>,
    ) -> BTreeMap<String, Result<String, String>> {
        let mut logs = BTreeMap::new();
        let Some(pod) = pod else { return logs };
        for key in expectation.logs.keys().chain(expectation.logs_not.keys()) {
            let container = check::container_name(pod, key);
            let log = self
                .cluster
                .log(&self.namespace, text(pod, "/metadata/name"), &container)
                .await;
            logs.insert(key.clone(), log.map_err(|error| format!("{error:#}")));
        }
        logs
    }

    async fn check_object(&self, wanted: &ObjectPart) -> Result<Vec<Mismatch>> {
        let part = Value::Object(wanted.part.clone());
        let all = self
            .cluster
            .list(wanted.api_version.as_deref(), &wanted.kind, &self.namespace)
            .await?;
        let named = |object: &&Value| {
            wanted
                .name
                .as_ref()
                .is_none_or(|name| text(object, "/metadata/name") == name)
        };
        let candidates: Vec<_> = all.iter().filter(named).collect();
        let title = format!("{} {}", wanted.kind, wanted.name.as_deref().unwrap_or("(any)"));
        let closest = candidates
            .iter()
            .map(|object| {
                subset(
                    &part,
                    Some(*object),
                    &format!("{} {}", wanted.kind, text(object, "/metadata/name")),
                )
            })
            .min_by_key(Vec::len);
        Ok(match (closest, wanted.absent) {
            (None, false) => vec![Mismatch::new(
                title,
                "is there",
                format!("no such object among {}", all.len()),
            )],
            (Some(differs), true) if differs.is_empty() => {
                vec![Mismatch::new(title, "is not there", "is there")]
            }
            (_, true) => Vec::new(),
            (Some(differs), false) => differs,
        })
    }
}

fn title(target: &Target) -> String {
    format!("{} {}", target.kind, target.name)
}

/// Judges the answer to a request that should be refused, or should not.
fn denied(wanted: Option<&Pattern>, answer: Result<()>, path: String) -> Result<Option<Mismatch>> {
    let Some(pattern) = wanted else {
        return answer.map(|()| None).context(path);
    };
    let expected = format!("refused: {}", pattern.describe());
    match answer {
        Ok(()) => Ok(Some(Mismatch::new(path, expected, "accepted"))),
        Err(error) => match refusal(&error) {
            Some(refusal) if (400..500).contains(&refusal.code) => Ok((!pattern.is_match(&refusal.message))
                .then(|| Mismatch::new(path, expected, refusal.to_string()))),
            Some(refusal) => bail!("{path}: the API server failed: {refusal}"),
            None => Err(error).context(path),
        },
    }
}
