//! Conversion between the versions of Task, `TaskRun` and `StepAction`: v1beta1 ⇄ v1 (api.md appendix D).
//!
//! ```text
//! object ─→ kind and versions known? ─→ annotations out ─→ task, task_run ─→ annotations in
//! ```
//!
//! The objects stay JSON trees: a field that nobody knows survives, and a shape that nobody expects
//! passes as it is, so that validation can name it. Nothing is lost in either direction:
//!
//! * a field with a name in each version changes its name (`swap`);
//! * a field that v1 has no place for travels in an annotation (`carried`) and comes back;
//! * a field that v1beta1 does not know stays where it is, v1beta1 is an open object here.
//!
//! Values in, values out. No I/O.

mod carried;
mod deprecated;
mod retries;
mod swap;
mod task;
mod task_run;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use carried::Carried;
pub use carried::is_carrier;

/// The API group of all kinds that are converted.
const GROUP: &str = "tekton.dev";

/// A JSON object.
type Object = Map<String, Value>;

/// Which way an object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToV1,
    ToV1beta1,
}

/// Why an object cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The tree has no fields.
    #[error("cannot convert to {desired}: what is given is no object")]
    NoObject {
        /// The version asked for.
        desired: String,
    },
    /// A kind of another project, or a new one.
    #[error("cannot convert {object} to {desired}: no kind \"{kind}\" of \"{current}\" is known")]
    UnknownKind {
        /// Kind, namespace and name.
        object: String,
        /// The object's kind.
        kind: String,
        /// The object's apiVersion.
        current: String,
        /// The version asked for.
        desired: String,
    },
    /// The kind is known, one of the versions is not.
    #[error(
        "cannot convert {object} from {current} to {desired}: \
         no version \"{unknown}\" of this kind is known, only {known}"
    )]
    UnknownVersion {
        /// Kind, namespace and name.
        object: String,
        /// The object's apiVersion.
        current: String,
        /// The version asked for.
        desired: String,
        /// The one of the two that is not known.
        unknown: String,
        /// The versions that are.
        known: String,
    },
}

/// Turns `object` into version `desired` (as in `tekton.dev/v1`), api.md appendix D.
///
/// Only `apiVersion`, `spec`, `status` and `metadata.annotations` may change. An object that has the
/// version already is left alone.
///
/// # Errors
/// The kind, the object's version or the version asked for is none of ours; the object is then
/// unchanged.
pub fn convert(object: &mut Value, desired: &str) -> Result<(), ConvertError> {
    let Value::Object(object) = object else {
        return Err(ConvertError::NoObject {
            desired: desired.to_owned(),
        });
    };
    let current = text(object, "apiVersion").to_owned();
    let known = known_versions(object, desired)?;
    for version in [current.as_str(), desired] {
        if !known.iter().any(|known| in_group(version) == Some(*known)) {
            return Err(ConvertError::UnknownVersion {
                object: describe(object),
                desired: desired.to_owned(),
                unknown: version.to_owned(),
                known: known.join(", "),
                current: current.clone(),
            });
        }
    }
    if current == desired {
        return Ok(());
    }
    object.insert("apiVersion".to_owned(), Value::from(desired));
    let direction = match in_group(desired) {
        Some("v1") => Direction::ToV1,
        _ => Direction::ToV1beta1,
    };
    match text(object, "kind") {
        "Task" => with_carried(object, |object, carried| {
            task::convert(direction, object, carried);
        }),
        "TaskRun" => with_carried(object, |object, carried| {
            task_run::convert(direction, object, carried);
        }),
        _ => {}
    }
    Ok(())
}

/// The versions of the object's kind.
fn known_versions(object: &Object, desired: &str) -> Result<&'static [&'static str], ConvertError> {
    let current = text(object, "apiVersion");
    let kind = text(object, "kind");
    match (in_group(current), kind) {
        (Some(_), "Task" | "TaskRun") => Ok(&["v1", "v1beta1"]),
        (Some(_), "StepAction") => Ok(&["v1", "v1beta1", "v1alpha1"]),
        _ => Err(ConvertError::UnknownKind {
            object: describe(object),
            kind: kind.to_owned(),
            current: current.to_owned(),
            desired: desired.to_owned(),
        }),
    }
}

/// The version in an apiVersion of our group.
fn in_group(api_version: &str) -> Option<&str> {
    api_version.strip_prefix(GROUP)?.strip_prefix('/')
}

/// Works on an object whose annotations are held apart meanwhile.
fn with_carried(object: &mut Object, work: impl FnOnce(&mut Object, &mut Carried)) {
    let mut carried = Carried::take(object);
    work(object, &mut carried);
    carried.put_back(object);
}

/// `TaskRun ns/name`, as far as the object says.
fn describe(object: &Object) -> String {
    let kind = match text(object, "kind") {
        "" => "an object without kind",
        kind => kind,
    };
    let Some(Value::Object(metadata)) = object.get("metadata") else {
        return kind.to_owned();
    };
    let name = match (text(metadata, "name"), text(metadata, "generateName")) {
        ("", "") => "(no name)".to_owned(),
        ("", prefix) => format!("{prefix}(name to come)"),
        (name, _) => name.to_owned(),
    };
    match text(metadata, "namespace") {
        "" => format!("{kind} {name}"),
        namespace => format!("{kind} {namespace}/{name}"),
    }
}

/// A field's text, or nothing.
fn text<'a>(object: &'a Object, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The object in a field, if there is one.
fn child<'a>(object: &'a mut Object, field: &str) -> Option<&'a mut Object> {
    object.get_mut(field)?.as_object_mut()
}

/// The objects in a list in a field, with their positions; whatever else is there is passed over.
fn items<'a>(object: &'a mut Object, field: &str) -> impl Iterator<Item = (usize, &'a mut Object)> {
    let list = object.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(at, item)| Some((at, item.as_object_mut()?)))
}
