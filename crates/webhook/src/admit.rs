//! What is said to an object at admission: defaults for it, or what is wrong with it. No I/O.
//!
//! Spec: api.md 2.1, 2.2 and 3.

use std::collections::BTreeMap;

use json_patch::Patch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tektite_api::{
    StepAction, Task, TaskRun,
    decode::{self, Misfit, Reading, Unknown},
};
use tektite_core::{
    config::{self, Config},
    defaults,
    field_error::{FieldError, FieldErrors},
    validate::{self, unknown, warnings},
};

use crate::{
    difference::difference,
    review::{Operation, Request, Verdict},
};

/// An object that is judged here.
#[derive(Clone, Debug)]
pub enum Object {
    /// A Task.
    Task(Box<Task>),
    /// A TaskRun.
    TaskRun(Box<TaskRun>),
    /// A StepAction.
    StepAction(Box<StepAction>),
}

/// What is known about an object so far.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// The object, where it could be read and its references shall be followed.
    pub object: Option<Object>,
    /// Values that are not of their field's type.
    pub misfits: Vec<Misfit>,
    /// Fields that nobody knows.
    pub unknown: Vec<Unknown>,
    /// The rules that it breaks.
    pub errors: FieldErrors,
    /// What is legal and likely wrong.
    pub warnings: Vec<String>,
    /// How the fields are called that are told about.
    spelling: Spelling,
    /// Which object it is, for people.
    about: String,
}

/// How fields are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Spelling {
    /// As in v1.
    #[default]
    V1,
    /// As in v1beta1, which the API server has converted.
    V1beta1,
}

impl Spelling {
    fn of(request: &Request) -> Self {
        let sent = &request.request_kind;
        if sent.version == "v1beta1" && matches!(sent.kind.as_str(), "Task" | "TaskRun") {
            Self::V1beta1
        } else {
            Self::V1
        }
    }

    /// `text` with the fields' names as their author knows them.
    fn applied(self, text: String) -> String {
        match self {
            Self::V1 => text,
            Self::V1beta1 => {
                // Each name becomes the other: who wrote v1's name has it under v1beta1's by now.
                const PAIRS: [(&str, &str); 5] = [
                    ("spec.stepSpecs", "spec.stepOverrides"),
                    ("spec.sidecarSpecs", "spec.sidecarOverrides"),
                    ("].computeResources", "].resources"),
                    ("stepTemplate.computeResources", "stepTemplate.resources"),
                    ("\"computeResources\"", "\"resources\""),
                ];
                PAIRS.iter().fold(text, |text, (new, old)| {
                    text.replace(old, "\u{0}").replace(new, old).replace('\u{0}', new)
                })
            }
        }
    }
}

impl Judgement {
    /// About an object that nothing is known against.
    pub fn of(object: Object) -> Self {
        Self {
            object: Some(object),
            ..Self::default()
        }
    }

    /// The answer; a reader's words stand behind `reading`.
    pub fn into_verdict(self, reading: &str) -> Verdict {
        let Self {
            misfits,
            unknown,
            errors,
            warnings,
            spelling,
            about,
            ..
        } = self;
        let readable = misfits.is_empty() && unknown.is_empty();
        let unreadable = (!readable).then(|| unknown::report(&misfits, &unknown));
        let verdict = match (unreadable, errors.is_empty()) {
            (None, true) => Verdict::Allow {
                patch: None,
                warnings,
            },
            (None, false) => Verdict::Deny(format!("validation failed: {errors}")),
            (Some(text), true) => {
                Verdict::Deny(format!("{reading}: cannot decode incoming new object: {text}"))
            }
            (Some(text), false) => Verdict::Deny(format!(
                "{reading}: cannot decode incoming new object: {text}\n{errors}"
            )),
        };
        match verdict {
            Verdict::Deny(text) => Verdict::Deny(format!("{}\n- refused: {about}", spelling.applied(text))),
            allowed @ Verdict::Allow { .. } => allowed,
        }
    }
}

/// The kinds that are judged here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Task,
    TaskRun,
    StepAction,
}

fn kind(request: &Request) -> Option<Kind> {
    match (request.kind.group.as_str(), request.kind.kind.as_str()) {
        ("tekton.dev", "Task") => Some(Kind::Task),
        ("tekton.dev", "TaskRun") => Some(Kind::TaskRun),
        ("tekton.dev", "StepAction") => Some(Kind::StepAction),
        _ => None,
    }
}

/// Fills in a new object, and a Task or StepAction that is changed. The spec of a stored TaskRun stays
/// as it is stored, byte by byte, but for what is asked of the run.
pub fn default(request: &mut Request, config: &Config) -> Verdict {
    let Some(kind) = kind(request) else {
        return Verdict::allow();
    };
    let updates = request.operation == Operation::Update;
    let unchanged = request.object.get("spec") == request.old_object.get("spec");
    let patch = match kind {
        _ if request.operation == Operation::Other || (updates && unchanged) => return Verdict::allow(),
        Kind::TaskRun if updates && same_but_requests(request) => return Verdict::allow(),
        _ if has_too_many_parts(&request.object) => None,
        Kind::TaskRun if updates => as_stored(request, config),
        Kind::TaskRun if schema_speaks_first(&request.object) => None,
        Kind::TaskRun => change(&request.object, |run: &mut TaskRun| {
            defaults::drop_reserved_annotations(run);
            defaults::tell_release(run);
            defaults::task_run(run, config);
        }),
        Kind::Task => change(&request.object, |task: &mut Task| {
            defaults::task_spec(&mut task.spec, config);
        }),
        Kind::StepAction => change(&request.object, defaults::step_action),
    };
    if let Some(patch) = patch {
        return Verdict::Allow {
            patch: Some(patch).filter(|patch| !patch.0.is_empty()),
            warnings: Vec::new(),
        };
    }
    match judge(request, config).into_verdict("mutation failed") {
        Verdict::Allow { .. } => Verdict::allow(),
        denied @ Verdict::Deny(_) => denied,
    }
}

/// A stored run sent again in other words (`90s` for `1m30s`, without what was filled in), as it is
/// stored; nothing where it changes.
fn as_stored(request: &Request, config: &Config) -> Option<Patch> {
    let new: Reading<TaskRun> = decode::read(&request.object);
    let old: Reading<TaskRun> = decode::read(&request.old_object);
    if !new.is_clean() || !validate::is_request_only(&new.object, &old.object, config) {
        return None;
    }
    drop((new, old));
    let mut stored = request.old_object.get("spec")?.clone();
    for field in ["status", "statusMessage"] {
        let asked = request
            .object
            .pointer(&format!("/spec/{field}"))
            .cloned()
            .unwrap_or_default();
        let spec = stored.as_object_mut()?;
        if asked.is_null() {
            spec.remove(field);
        } else {
            spec.insert(field.to_owned(), asked);
        }
    }
    let mut patch = Patch::default();
    difference(&mut patch, &["spec"], request.object.get("spec"), &stored).ok()?;
    Some(patch)
}

/// Whether the schema itself would refuse the object, between the mutating and the validating call:
/// then its terse text would be all that a user sees, so the whole truth is told before.
fn schema_speaks_first(object: &Value) -> bool {
    let at = |field: &str| object.pointer(field).filter(|value| !value.is_null());
    let word = at("/spec/status").and_then(Value::as_str).unwrap_or_default();
    at("/spec/taskRef").is_some() == at("/spec/taskSpec").is_some()
        || at("/spec/retries").and_then(Value::as_i64).unwrap_or_default() < 0
        || !matches!(word, "" | "TaskRunCancelled" | "TaskRunPending")
}

/// What is filled in of a kind.
trait Parts {
    fn metadata(&self) -> &ObjectMeta;
    fn spec(&self) -> &impl Serialize;
}

macro_rules! parts {
    ($($kind:ty),*) => {
        $(impl Parts for $kind {
            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn spec(&self) -> &impl Serialize {
                &self.spec
            }
        })*
    };
}

parts! { Task, TaskRun, StepAction }

/// What brings the object into the form that is stored, with a change made to it; nothing where it does
/// not fit its type. Its metadata is touched only where the change touches it.
fn change<T: Parts + DeserializeOwned + Default>(
    object: &Value,
    change: impl FnOnce(&mut T),
) -> Option<Patch> {
    let reading: Reading<T> = decode::read(object);
    if !reading.is_clean() {
        return None;
    }
    let mut typed = reading.object;
    let texts = |typed: &T| {
        let metadata = typed.metadata();
        [
            ("annotations", metadata.annotations.clone()),
            ("labels", metadata.labels.clone()),
        ]
    };
    let before = texts(&typed);
    change(&mut typed);
    let after = texts(&typed);
    let mut patch = Patch::default();
    metadata(&mut patch, object, before, after)?;
    difference(&mut patch, &["spec"], object.get("spec"), typed.spec()).ok()?;
    Some(patch)
}

/// Labels or annotations.
type Texts = Option<BTreeMap<String, String>>;

fn metadata(
    patch: &mut Patch,
    object: &Value,
    before: [(&str, Texts); 2],
    after: [(&str, Texts); 2],
) -> Option<()> {
    let given = object.get("metadata").filter(|metadata| !metadata.is_null());
    let mut made = serde_json::Map::new();
    for ((_, before), (field, after)) in before.into_iter().zip(after) {
        if before == after {
            continue;
        }
        match given {
            Some(given) => difference(patch, &["metadata", field], given.get(field), &after).ok()?,
            None => {
                made.insert(field.to_owned(), serde_json::to_value(after).ok()?);
            }
        }
    }
    if !made.is_empty() {
        difference(patch, &["metadata"], object.get("metadata"), &made).ok()?;
    }
    Some(())
}

/// More parts (steps, variables, volumes, ...) than any Pod has room for. A part has two bytes, and what
/// is made of it may have thousands.
const MOST_PARTS: usize = 30_000;

fn has_too_many_parts(object: &Value) -> bool {
    fn count(tree: &Value, left: &mut usize) {
        match tree {
            Value::Object(fields) => {
                *left = left.saturating_sub(1);
                fields.values().for_each(|tree| count(tree, left));
            }
            Value::Array(items) => {
                for item in items {
                    // Nothing becomes a part as well.
                    *left = left.saturating_sub(usize::from(item.is_null()));
                    count(item, left);
                }
            }
            _ => {}
        }
    }
    let mut left = MOST_PARTS;
    object
        .get("spec")
        .into_iter()
        .for_each(|spec| count(spec, &mut left));
    left == 0
}

/// Whether an update asks for nothing but to cancel, to hold or to go on; byte by byte, so that also an
/// object that is stored and cannot be read can be labelled and cancelled.
fn same_but_requests(request: &Request) -> bool {
    fn rest(fields: &serde_json::Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
        fields
            .iter()
            .filter(|(field, _)| !matches!(field.as_str(), "status" | "statusMessage"))
    }
    let spec = |object| Value::get(object, "spec").unwrap_or(&Value::Null);
    match (spec(&request.object), spec(&request.old_object)) {
        (Value::Object(new), Value::Object(old)) => rest(new).eq(rest(old)),
        (new, old) => new == old,
    }
}

/// Looks at an object by itself. What is looked at is read out of the request and not in it any more.
pub fn judge(request: &mut Request, config: &Config) -> Judgement {
    Judgement {
        spelling: Spelling::of(request),
        about: about(request),
        ..judge_as_v1(request, config)
    }
}

/// A file may hold many objects, and kubectl does not say which one it was.
fn about(request: &Request) -> String {
    let text = |pointer: &str| {
        request
            .object
            .pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let kind = &request.kind.kind;
    match (text("/metadata/generateName"), text("/metadata/name")) {
        (Some(prefix), _) => format!("{kind} with generateName \"{prefix}\""),
        (None, Some(name)) => format!("{kind} \"{name}\""),
        (None, None) => format!("{kind} without a name"),
    }
}

fn judge_as_v1(request: &mut Request, config: &Config) -> Judgement {
    let Some(kind) = kind(request) else {
        return Judgement::default();
    };
    let deleted = request.object.pointer("/metadata/deletionTimestamp").is_some();
    let unchanged = request.object.get("spec") == request.old_object.get("spec");
    match request.operation {
        Operation::Other => Judgement::default(),
        // Whoever only labels, or takes off a finalizer, is not asked about the rest.
        Operation::Update if deleted || unchanged => Judgement::default(),
        _ if has_too_many_parts(&request.object) && !same_but_requests(request) => Judgement {
            errors: FieldError::own(
                format!("more than {MOST_PARTS} steps, params and other parts are too many"),
                "spec",
            )
            .into(),
            ..Judgement::default()
        },
        Operation::Update if kind == Kind::TaskRun => updated_run(request, config),
        Operation::Create | Operation::Update => match kind {
            Kind::TaskRun => looked_at(request, Object::TaskRun, |run| {
                (validate::task_run(run, None, config), warnings::task_run(run))
            }),
            Kind::Task => looked_at(request, Object::Task, |task| {
                (validate::task(task, config), warnings::task(&task.spec))
            }),
            Kind::StepAction => looked_at(request, Object::StepAction, |action| {
                (
                    validate::step_action(action, config),
                    warnings::step_action(action),
                )
            }),
        },
    }
}

/// A stored run: its references have been followed when it came.
fn updated_run(request: &mut Request, config: &Config) -> Judgement {
    let old: Reading<TaskRun> = decode::read(&request.old_object);
    if same_but_requests(request) {
        let new: Reading<TaskRun> = decode::read(&request.object);
        return Judgement {
            errors: validate::task_run(&new.object, Some(&old.object), config)
                .err()
                .unwrap_or_default(),
            ..Judgement::default()
        };
    }
    let mut judgement = looked_at(request, Object::TaskRun, |run| {
        (validate::task_run(run, Some(&old.object), config), Vec::new())
    });
    judgement.object = None;
    judgement
}

/// A field of v1beta1 that v1 never had and that has a refusal of its own.
const BUNDLE: &str = "spec.taskRef.bundle";

fn looked_at<T: DeserializeOwned + Default>(
    request: &mut Request,
    object: impl FnOnce(Box<T>) -> Object,
    look: impl FnOnce(&T) -> (Result<(), FieldErrors>, Vec<String>),
) -> Judgement {
    let mut reading: Reading<T> = decode::read(&request.object);
    // Of a large object, the tree takes most of the memory; what follows takes some more.
    request.object = Value::Null;
    let (checked, warnings) = look(&reading.object);
    let mut errors = checked.err().unwrap_or_default();
    if Spelling::of(request) == Spelling::V1beta1
        && reading.unknown.iter().any(|unknown| unknown.path == BUNDLE)
    {
        reading.unknown.retain(|unknown| unknown.path != BUNDLE);
        errors.push(FieldError::disallowed(BUNDLE).with_note(format!(
            "{BUNDLE}: bundles are fetched by their resolver: taskRef.resolver \"bundles\""
        )));
    }
    if reading.is_clean() {
        return Judgement {
            object: Some(object(Box::new(reading.object))),
            errors,
            warnings,
            ..Judgement::default()
        };
    }
    // What could not be read was left out; that it is missing is no news.
    let gone: Vec<String> = reading.misfits.iter().map(|misfit| misfit.path.clone()).collect();
    errors.without_paths(&gone);
    Judgement {
        object: None,
        misfits: reading.misfits,
        unknown: reading.unknown,
        errors,
        warnings,
        ..Judgement::default()
    }
}

/// Refuses settings that could not be put in force. `namespace` is where ours lie, and `prefix` is what their
/// names begin with.
pub fn config(request: &Request, namespace: &str, prefix: &str) -> Verdict {
    if !request.namespace.is_empty() && request.namespace != namespace {
        return Verdict::allow();
    }
    let data = request.object.get("data").cloned().unwrap_or(Value::Null);
    let Ok(data) = serde_json::from_value::<Option<BTreeMap<String, String>>>(data) else {
        return Verdict::allow();
    };
    let data = data.unwrap_or_default();
    let name = request
        .object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or(&request.name);
    let Some(name) = name.strip_prefix(prefix) else {
        return Verdict::allow();
    };
    match config::problem(name, &data) {
        Some(message) => Verdict::Deny(format!("validation failed: {message}")),
        None => Verdict::allow(),
    }
}

#[cfg(test)]
mod tests;
