//! What the runner prints.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::case::{Case, text};
use crate::check;
use crate::cluster::Cluster;
use crate::matcher::Mismatch;

/// How many lines of a log a failure shows.
const LOG_LINES: usize = 40;
/// How long a line may be there.
const LOG_WIDTH: usize = 300;
/// What gathering a failure's circumstances may take.
const GATHER: Duration = Duration::from_mins(1);

/// How a case ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// As expected.
    Passed,
    /// The cluster has not what the case needs.
    Skipped(String),
    /// Otherwise than expected.
    Failed(Failure),
}

/// Why a case failed, and what there was to see.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    /// The differences.
    pub(crate) mismatches: Vec<Mismatch>,
    /// What kept the case from being run to its end.
    pub(crate) error: Option<anyhow::Error>,
    /// The conditions that a watcher saw.
    pub(crate) timeline: Vec<String>,
    /// The namespace as it was.
    pub(crate) dump: String,
}

/// Prints, and counts.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
}

/// Prints a line; a reader that went away is no reason to stop cleaning up.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Prints what ended the program.
pub(crate) fn error(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "error: {error:#}");
}

impl Reporter {
    /// Prints the line of one case, and what there is to say about it.
    pub(crate) fn case(&mut self, case: &Case, took: Duration, outcome: &Outcome) {
        let name = &case.name;
        let seconds = took.as_secs_f64();
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                line(&format!("ok   {name}   {seconds:.1}s"));
            }
            Outcome::Skipped(reason) => {
                self.skipped.push(name.clone());
                line(&format!("skip {name}   needs {reason}"));
            }
            Outcome::Failed(failure) => {
                self.failed.push(name.clone());
                line(&format!(
                    "FAIL {name}   {seconds:.1}s\n     {}\n{}",
                    case.header.description,
                    indent(&failure.text(), "     ")
                ));
            }
        }
    }

    /// Prints the sums; whether all is well.
    pub(crate) fn end(&self) -> bool {
        if !self.skipped.is_empty() {
            line(&format!(
                "{} skipped: {}",
                self.skipped.len(),
                self.skipped.join(", ")
            ));
        }
        if !self.failed.is_empty() {
            line(&format!("failed: {}", self.failed.join(", ")));
        }
        line(&format!("{} passed, {} failed", self.passed, self.failed.len()));
        // A run in which nothing ran shows nothing.
        self.failed.is_empty() && self.passed > 0
    }
}

impl Failure {
    /// The differences, and what else there is to say.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        if let Some(error) = &self.error {
            let _ = writeln!(out, "{error:#}");
        }
        for Mismatch {
            path,
            expected,
            actual,
        } in &self.mismatches
        {
            let _ = writeln!(out, "{path}");
            let _ = writeln!(out, "  - expected {}", hang(expected));
            let _ = writeln!(out, "  + actual   {}", hang(actual));
        }
        if !self.timeline.is_empty() {
            let _ = writeln!(
                out,
                "conditions seen:\n{}",
                indent(&self.timeline.join("\n"), "  ")
            );
        }
        out.push_str(&self.dump);
        out
    }
}

fn hang(text: &str) -> String {
    text.replace('\n', "\n             ")
}

/// The text, further right.
pub(crate) fn indent(text: &str, by: &str) -> String {
    text.lines()
        .map(|line| format!("{by}{line}").trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Describes what is in a namespace: TaskRuns, Pods with their logs, events.
pub(crate) async fn describe(cluster: &Cluster, namespace: &str) -> String {
    let mut out = format!("namespace {namespace}\n");
    if timeout(GATHER, gather(cluster, namespace, &mut out))
        .await
        .is_err()
    {
        out.push_str("(the rest could not be read in time)\n");
    }
    out
}

async fn gather(cluster: &Cluster, namespace: &str, out: &mut String) {
    for run in cluster
        .list(Some("tekton.dev/v1"), "TaskRun", namespace)
        .await
        .unwrap_or_default()
    {
        let _ = writeln!(
            out,
            "TaskRun {}: {}",
            text(&run, "/metadata/name"),
            check::summary(&run)
        );
        let mut status = run.get("status").cloned().unwrap_or_default();
        if let Some(status) = status.as_object_mut() {
            // Both repeat what the case says.
            status.remove("taskSpec");
            status.remove("provenance");
        }
        let yaml = serde_saphyr::to_string(&status).unwrap_or_else(|_| status.to_string());
        let _ = writeln!(out, "{}", indent(&yaml, "  "));
    }
    for pod in cluster
        .list(Some("v1"), "Pod", namespace)
        .await
        .unwrap_or_default()
    {
        describe_pod(cluster, namespace, &pod, out).await;
    }
    let events = cluster
        .list(Some("v1"), "Event", namespace)
        .await
        .unwrap_or_default();
    for event in &events {
        let _ = writeln!(
            out,
            "event {} {}: {}: {}",
            text(event, "/involvedObject/kind"),
            text(event, "/involvedObject/name"),
            text(event, "/reason"),
            text(event, "/message"),
        );
    }
}

async fn describe_pod(cluster: &Cluster, namespace: &str, pod: &Value, out: &mut String) {
    let name = text(pod, "/metadata/name");
    let [phase, message] = ["/status/phase", "/status/message"].map(|key| text(pod, key));
    let _ = writeln!(out, "Pod {name}: {phase} {message}");
    for list in ["initContainerStatuses", "containerStatuses"] {
        for status in pod
            .pointer(&format!("/status/{list}"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let container = text(status, "/name");
            let mut state = status.get("state").cloned().unwrap_or_default();
            for part in state
                .as_object_mut()
                .into_iter()
                .flat_map(|state| state.values_mut())
            {
                part.as_object_mut().map(|part| part.remove("containerID"));
            }
            let _ = writeln!(out, "  {container}: {state}");
            if state.get("waiting").is_some() {
                continue;
            }
            match cluster.log(namespace, name, container).await {
                Ok(log) => log_tail(&log, out),
                Err(error) => {
                    let _ = writeln!(out, "    (no log: {error:#})");
                }
            }
        }
    }
}

fn log_tail(log: &str, out: &mut String) {
    let lines: Vec<_> = log.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    if from > 0 {
        let _ = writeln!(out, "    | … {from} lines");
    }
    for line in lines.iter().skip(from) {
        let _ = writeln!(out, "    | {}", line.chars().take(LOG_WIDTH).collect::<String>());
    }
}
