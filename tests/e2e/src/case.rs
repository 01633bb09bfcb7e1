//! The form of a case: one YAML file, its first document the header, the rest the objects.
//!
//! `tests/README.md` describes the format for those who write cases. What a file may say is all
//! here; an unknown key is an error.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::config::Settings;
use crate::matcher::{self, Pattern};

/// One case, read and checked.
#[derive(Debug)]
pub(crate) struct Case {
    /// `<area>-<file name>`; it becomes part of a namespace's name.
    pub(crate) name: String,
    /// What to do and what must come of it.
    pub(crate) header: Header,
    /// The objects to create, in order.
    pub(crate) objects: Vec<Value>,
}

/// The first document of a case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Header {
    /// `tektite.dev/test`.
    pub(crate) api_version: String,
    /// `Case`.
    pub(crate) kind: String,
    /// What the case shows, in a sentence.
    pub(crate) description: String,
    /// How long the whole case may take.
    #[serde(default = "default_timeout", deserialize_with = "duration")]
    pub(crate) timeout: Duration,
    /// What the cluster must have; a case whose needs are not met is skipped.
    #[serde(default)]
    pub(crate) needs: Vec<Need>,
    /// For readers only: what had to be prepared, and why.
    #[serde(default, rename = "setup")]
    _setup: Option<String>,
    #[serde(default)]
    flags: BTreeMap<String, String>,
    #[serde(default)]
    defaults: BTreeMap<String, String>,
    /// Labels and annotations of the case's namespace.
    #[serde(default)]
    pub(crate) namespace: NamespaceMeta,
    /// Words in the objects that stand for long text.
    #[serde(default)]
    pub(crate) fill: BTreeMap<String, Fill>,
    /// What to do, in order, once the objects are there.
    #[serde(default)]
    pub(crate) actions: Vec<Action>,
    /// What must come of it.
    pub(crate) expect: Vec<Expectation>,
}

impl Header {
    /// The configuration in force while the case runs.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            flags: self.flags.clone(),
            defaults: self.defaults.clone(),
        }
    }
}

/// What the case's namespace carries.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamespaceMeta {
    /// Its labels.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// Its annotations.
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// Text that is too long to write down: a word in the objects is replaced by repeated lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fill {
    /// The line, without its end.
    pub(crate) line: String,
    /// How long the text is.
    pub(crate) bytes: usize,
}

/// Something that not every cluster has.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Need {
    /// A served kind, `group/version/Kind`.
    Kind(String),
    /// A label `key=value` on some node.
    NodeLabel(String),
    /// A StorageClass by name, or `default` for the default one.
    StorageClass(String),
    /// The least version of Kubernetes, `1.31`.
    Kubernetes(String),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "the kind {kind}"),
            Self::NodeLabel(label) => write!(f, "a node labelled {label}"),
            Self::StorageClass(name) => write!(f, "the StorageClass {name}"),
            Self::Kubernetes(version) => write!(f, "Kubernetes {version}"),
        }
    }
}

/// One thing to do.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Action {
    /// Create a document of the case now; it is left out at the start.
    Create(Target),
    /// Wait for an object.
    WaitFor(WaitFor),
    /// Merge-patch an object.
    Patch(Patch),
    /// Delete an object.
    Delete(Target),
    /// Run a command in a container.
    Exec(Exec),
    /// Do nothing for a while.
    #[serde(deserialize_with = "duration")]
    Sleep(Duration),
}

/// An object by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Target {
    /// Where the kind alone is not clear.
    pub(crate) api_version: Option<String>,
    /// Its kind.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
}

impl Target {
    /// The object called `name`.
    pub(crate) fn new(api_version: &str, kind: &str, name: &str) -> Self {
        Self {
            api_version: Some(api_version.to_owned()),
            kind: kind.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The namespace called `name`.
    pub(crate) fn namespace(name: &str) -> Self {
        Self::new("v1", "Namespace", name)
    }
}

/// What to wait for; a TaskRun without a condition is waited for until it is done.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WaitFor {
    task_run: Option<String>,
    api_version: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    /// Reason of the Succeeded condition.
    reason: Option<String>,
    /// Status of the Succeeded condition.
    status: Option<String>,
    /// Message of the Succeeded condition.
    message: Option<Pattern>,
    /// Part of the object.
    pub(crate) object: Option<Value>,
    /// Wait until it is gone.
    #[serde(default)]
    pub(crate) absent: bool,
}

impl WaitFor {
    /// The object to watch.
    pub(crate) fn target(&self) -> Result<Target> {
        match (&self.task_run, &self.kind, &self.name) {
            (Some(name), None, None) => Ok(task_run(name)),
            (None, Some(kind), Some(name)) => Ok(Target {
                api_version: self.api_version.clone(),
                kind: kind.clone(),
                name: name.clone(),
            }),
            _ => bail!("waitFor takes either taskRun, or kind and name"),
        }
    }

    /// The condition to wait for, if one is named.
    pub(crate) fn condition(&self) -> Option<Condition> {
        let Self {
            reason,
            status,
            message,
            ..
        } = self;
        (reason.is_some() || status.is_some() || message.is_some()).then(|| Condition {
            r#type: succeeded(),
            status: status.clone(),
            reason: reason.clone(),
            message: message.clone(),
        })
    }
}

/// A merge patch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Patch {
    api_version: Option<String>,
    kind: String,
    name: String,
    /// The patch.
    pub(crate) merge: Value,
    /// Of a subresource, such as `status`.
    pub(crate) subresource: Option<String>,
    /// The patch must be refused with a text like this.
    pub(crate) denied: Option<Pattern>,
}

impl Patch {
    /// The object to patch.
    pub(crate) fn target(&self) -> Target {
        Target {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            name: self.name.clone(),
        }
    }
}

/// A command in a container, run until it ends as expected.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Exec {
    /// The Pod.
    pub(crate) pod: String,
    /// Its container.
    pub(crate) container: String,
    /// The command and its arguments; no shell is involved.
    pub(crate) command: Vec<String>,
    /// How it must end.
    #[serde(default)]
    pub(crate) exit_code: i32,
    /// What it must print.
    pub(crate) output: Option<Pattern>,
}

/// What must come of one object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Expectation {
    /// The TaskRun in question.
    pub(crate) task_run: Option<String>,
    /// Another kind of object, where it is to be refused.
    kind: Option<String>,
    name: Option<String>,
    /// The object is refused with an error like this.
    pub(crate) denied: Option<Pattern>,
    /// The TaskRun's condition; with status Unknown it is waited for, else the run's end is.
    pub(crate) condition: Option<Condition>,
    /// All steps, in order.
    pub(crate) steps: Option<Vec<Step>>,
    /// All results, in order.
    pub(crate) results: Option<Vec<RunResult>>,
    /// Lines that appear in order, by step or container.
    #[serde(default)]
    pub(crate) logs: BTreeMap<String, Vec<Pattern>>,
    /// Lines that do not appear, by step or container.
    #[serde(default)]
    pub(crate) logs_not: BTreeMap<String, Vec<Pattern>>,
    /// Part of the Pod.
    pub(crate) pod: Option<Value>,
    /// Part of the TaskRun's status.
    pub(crate) status: Option<Value>,
    /// Other objects.
    #[serde(default)]
    pub(crate) object: Vec<ObjectPart>,
}

impl Expectation {
    /// The object that is to be refused, if this expects that.
    pub(crate) fn refused(&self) -> Option<(Target, &Pattern)> {
        let target = match (&self.task_run, &self.kind, &self.name) {
            (Some(name), ..) => task_run(name),
            (None, Some(kind), Some(name)) => Target {
                api_version: None,
                kind: kind.clone(),
                name: name.clone(),
            },
            _ => return None,
        };
        self.denied.as_ref().map(|pattern| (target, pattern))
    }

    /// Whether the entry makes sense in a case of these objects.
    pub(crate) fn check(&self, objects: &[Value]) -> Result<()> {
        let target = match (&self.task_run, &self.kind, &self.name, &self.denied) {
            (Some(name), None, None, _) => Some(task_run(name)),
            (None, Some(kind), Some(name), Some(_)) => Some(Target {
                api_version: None,
                kind: kind.clone(),
                name: name.clone(),
            }),
            (None, None, None, None) => None,
            _ => bail!("an entry of expect names a taskRun, or kind, name and denied, or only objects"),
        };
        if let Some(target) = target {
            ensure!(
                has(objects, &target),
                "expect names {} {}, which is not in the case",
                target.kind,
                target.name
            );
        } else {
            ensure!(
                self.condition.is_none()
                    && self.steps.is_none()
                    && self.results.is_none()
                    && self.logs.is_empty()
                    && self.logs_not.is_empty()
                    && self.pod.is_none()
                    && self.status.is_none(),
                "an entry of expect without a taskRun can only have `object`"
            );
            ensure!(!self.object.is_empty(), "an entry of expect expects nothing");
        }
        let parts = self
            .object
            .iter()
            .map(|object| Value::Object(object.part.clone()));
        let values = self.pod.iter().chain(&self.status).cloned().chain(parts);
        let results = self
            .results
            .iter()
            .flatten()
            .filter_map(|result| result.value.clone());
        for value in values.chain(results) {
            matcher::validate(&value).map_err(anyhow::Error::msg)?;
        }
        Ok(())
    }
}

/// A condition; only what is given is compared.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    /// Its type; `Succeeded` unless given.
    #[serde(default = "succeeded")]
    pub(crate) r#type: String,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: Option<String>,
    /// The whole reason.
    pub(crate) reason: Option<String>,
    /// The message.
    pub(crate) message: Option<Pattern>,
}

/// A step in the status; only what is given is compared.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Step {
    /// `name`.
    pub(crate) name: Option<String>,
    /// `container`.
    pub(crate) container: Option<String>,
    /// `terminated.exitCode`.
    pub(crate) exit_code: Option<i64>,
    /// `terminationReason`.
    pub(crate) termination_reason: Option<String>,
    /// `reason` of the state.
    pub(crate) reason: Option<String>,
    /// `message` of the state.
    pub(crate) message: Option<Pattern>,
    /// `waiting`, `running` or `terminated`.
    pub(crate) state: Option<StepState>,
    /// `results`, all of them.
    pub(crate) results: Option<Vec<RunResult>>,
}

/// The state that a step is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum StepState {
    /// Not started.
    Waiting,
    /// At work.
    Running,
    /// Ended.
    Terminated,
}

impl StepState {
    /// The key in a container's state.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Terminated => "terminated",
        }
    }
}

/// A result of a step or a run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunResult {
    /// Its name.
    pub(crate) name: String,
    /// `string`, `array` or `object`.
    pub(crate) r#type: Option<String>,
    /// The whole value, or an operator.
    pub(crate) value: Option<Value>,
}

/// Part of an object. Without a name, some object of the kind must match.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectPart {
    /// Where the kind alone is not clear.
    pub(crate) api_version: Option<String>,
    /// Its kind.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: Option<String>,
    /// There is no such object.
    #[serde(default)]
    pub(crate) absent: bool,
    /// What the object must have.
    #[serde(flatten)]
    pub(crate) part: Map<String, Value>,
}

fn task_run(name: &str) -> Target {
    Target {
        api_version: Some("tekton.dev/v1".to_owned()),
        kind: "TaskRun".to_owned(),
        name: name.to_owned(),
    }
}

fn succeeded() -> String {
    "Succeeded".to_owned()
}

fn default_timeout() -> Duration {
    Duration::from_mins(2)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let (number, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let scale = match unit {
        "ms" => Some(0.001),
        "s" => Some(1.0),
        "m" => Some(60.0),
        _ => None,
    };
    scale
        .and_then(|scale| Some(number.parse::<f64>().ok()? * scale))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no duration such as 500ms, 30s or 2m")))
}

/// The field of an object that a JSON pointer leads to, as text.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Whether an object is the one that is meant.
pub(crate) fn is(object: &Value, target: &Target) -> bool {
    text(object, "/kind") == target.kind && text(object, "/metadata/name") == target.name
}

/// Whether the object is among those of the case.
pub(crate) fn has(objects: &[Value], target: &Target) -> bool {
    objects.iter().any(|object| is(object, target))
}
