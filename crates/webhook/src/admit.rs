//! What is said to an object at admission: defaults for it, or what is wrong with it. No I/O.
//!
//! Spec: api.md 2.1, 2.2 and 3.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tektite_api::{
    StepAction, Task, TaskRun,
    decode::{self, Misfit, Reading, Unknown},
};
use tektite_core::{
    config::{Config, Source},
    defaults,
    field_error::{FieldError, FieldErrors},
    validate::{self, text, unknown, warnings},
};

use crate::review::{Operation, Request, Verdict};

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
pub fn default(request: &Request, config: &Config) -> Verdict {
    let Some(kind) = kind(request) else {
        return Verdict::allow();
    };
    let updates = request.operation == Operation::Update;
    let unchanged = request.object.get("spec") == request.old_object.get("spec");
    let changed = match kind {
        _ if request.operation == Operation::Other || (updates && unchanged) => return Verdict::allow(),
        Kind::TaskRun if updates && same_but_requests(request) => return Verdict::allow(),
        _ if has_too_many_parts(&request.object) => None,
        Kind::TaskRun if updates => as_stored(request, config),
        Kind::TaskRun if schema_speaks_first(&request.object) => None,
        Kind::TaskRun => change(&request.object, |run: &mut TaskRun| {
            defaults::drop_reserved_annotations(run);
            defaults::task_run(run, config);
        }),
        Kind::Task => change(&request.object, |task: &mut Task| {
            defaults::task_spec(&mut task.spec, config);
        }),
        Kind::StepAction => change(&request.object, defaults::step_action),
    };
    if let Some(changed) = changed {
        let patch = (changed != request.object).then(|| json_patch::diff(&request.object, &changed));
        return Verdict::Allow {
            patch,
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
fn as_stored(request: &Request, config: &Config) -> Option<Value> {
    let new: Reading<TaskRun> = decode::read(&request.object);
    let old: Reading<TaskRun> = decode::read(&request.old_object);
    if !new.is_clean() || !validate::is_request_only(&new.object, &old.object, config) {
        return None;
    }
    let mut changed = request.object.clone();
    changed["spec"] = request.old_object.get("spec")?.clone();
    for field in ["status", "statusMessage"] {
        let asked = request
            .object
            .pointer(&format!("/spec/{field}"))
            .cloned()
            .unwrap_or_default();
        let spec = changed["spec"].as_object_mut()?;
        if asked.is_null() {
            spec.remove(field);
        } else {
            spec.insert(field.to_owned(), asked);
        }
    }
    Some(changed)
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

/// The object in the form that is stored, with a change made to it; nothing where it does not fit its
/// type. Its metadata is touched only where the change touches it.
fn change<T: Serialize + DeserializeOwned + Default>(
    object: &Value,
    change: impl FnOnce(&mut T),
) -> Option<Value> {
    let reading: Reading<T> = decode::read(object);
    if !reading.is_clean() {
        return None;
    }
    let mut typed = reading.object;
    let metadata = |typed: &T| serde_json::to_value(typed).ok()?.get("metadata").cloned();
    let before = metadata(&typed)?;
    change(&mut typed);
    let mut tree = serde_json::to_value(&typed).ok()?;
    let mut changed = object.clone();
    changed["spec"] = tree.get_mut("spec")?.take();
    let after = tree.get_mut("metadata")?.take();
    for field in ["labels", "annotations"] {
        if before.get(field) != after.get(field) {
            changed["metadata"][field] = after.get(field).cloned().unwrap_or_default();
        }
    }
    Some(changed)
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
    let spec = |object: &Value| {
        let mut spec = object.get("spec").cloned().unwrap_or_default();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|field, _| !matches!(field.as_str(), "status" | "statusMessage"));
        }
        spec
    };
    spec(&request.object) == spec(&request.old_object)
}

/// Looks at an object by itself.
pub fn judge(request: &Request, config: &Config) -> Judgement {
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

fn judge_as_v1(request: &Request, config: &Config) -> Judgement {
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
            Kind::TaskRun => looked_at(request, |run: &TaskRun| {
                (
                    validate::task_run(run, None, config),
                    warnings::task_run(run),
                    Object::TaskRun(Box::new(run.clone())),
                )
            }),
            Kind::Task => looked_at(request, |task: &Task| {
                (
                    validate::task(task, config),
                    warnings::task(&task.spec),
                    Object::Task(Box::new(task.clone())),
                )
            }),
            Kind::StepAction => looked_at(request, |action: &StepAction| {
                (
                    validate::step_action(action, config),
                    warnings::step_action(action),
                    Object::StepAction(Box::new(action.clone())),
                )
            }),
        },
    }
}

/// A stored run: its references have been followed when it came.
fn updated_run(request: &Request, config: &Config) -> Judgement {
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
    let mut judgement = looked_at(request, |run: &TaskRun| {
        (
            validate::task_run(run, Some(&old.object), config),
            Vec::new(),
            Object::TaskRun(Box::new(run.clone())),
        )
    });
    judgement.object = None;
    judgement
}

/// A field of v1beta1 that v1 never had and that has a refusal of its own.
const BUNDLE: &str = "spec.taskRef.bundle";

fn looked_at<T: DeserializeOwned + Default>(
    request: &Request,
    look: impl FnOnce(&T) -> (Result<(), FieldErrors>, Vec<String>, Object),
) -> Judgement {
    let mut reading: Reading<T> = decode::read(&request.object);
    let (checked, warnings, object) = look(&reading.object);
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
            object: Some(object),
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

/// Refuses settings that could not be put in force. `namespace` is where ours lie.
pub fn config(request: &Request, namespace: &str) -> Verdict {
    if !request.namespace.is_empty() && request.namespace != namespace {
        return Verdict::allow();
    }
    let data = request.object.get("data").cloned().unwrap_or(Value::Null);
    let Ok(data) = serde_json::from_value::<Option<std::collections::BTreeMap<String, String>>>(data) else {
        return Verdict::allow();
    };
    let data = data.unwrap_or_default();
    let name = request
        .object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or(&request.name);
    let misspelt = |key: &String| {
        let is_known = tektite_core::config::keys().any(|known| known == key);
        let meant = text::nearest(key, tektite_core::config::keys()).filter(|_| !is_known)?;
        Some(format!(
            "validation failed: unknown key \"{key}\": data[{key}]\n- data[{key}]: did you mean \"{meant}\"?"
        ))
    };
    if Source::from_name(name).is_some()
        && let Some(message) = data.keys().find_map(misspelt)
    {
        return Verdict::Deny(message);
    }
    match Source::from_name(name).map(|source| source.read(&Config::default(), &data)) {
        Some(Err(error)) => Verdict::Deny(format!("validation failed: {error}")),
        Some(Ok(_)) | None => Verdict::allow(),
    }
}

#[cfg(test)]
mod tests;
