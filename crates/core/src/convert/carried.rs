//! Annotations that carry what v1 has no place for (api.md appendix D). No I/O.
//!
//! Two forms: one annotation for one field, and one annotation with a JSON object of parts, by key.
//! A move happens only into a free place: a field does not overwrite an annotation, an annotation does
//! not overwrite a field. So what cannot be moved stays visible where it is, and a round trip finds it
//! there again.

use serde_json::Value;

use super::{Direction, Object, text};

/// Task and `TaskRun`: `spec.resources`.
pub(super) const RESOURCES: &str = "tekton.dev/v1beta1Resources";
/// `TaskRun`: `spec.taskSpec.resources`.
pub(super) const TASK_SPEC_RESOURCES: &str = "tekton.dev/v1beta1.task-spec-resources";
/// `TaskRun`: `status.cloudEvents`.
pub(super) const CLOUD_EVENTS: &str = "tekton.dev/v1beta1CloudEvents";
/// `TaskRun`: `status.resourcesResult`.
pub(super) const RESOURCES_RESULT: &str = "tekton.dev/v1beta1ResourcesResult";
/// `TaskRun`: `status.taskSpec.resources`.
pub(super) const RESOURCES_STATUS: &str = "tekton.dev/v1beta1ResourcesStatus";
/// The three of the status, for each of `status.retriesStatus`.
pub(super) const RETRIES_STATUS: &str = "tekton.dev/v1beta1.retries-status";
/// Deprecated fields of steps and step templates.
pub(super) const DEPRECATIONS: &str = "tekton.dev/v1beta1.task-deprecations";

/// Whether an annotation belongs to the conversion of the object that has it (api.md appendix D).
///
/// Such an annotation says nothing about any other object, so it is not copied to one.
pub fn is_carrier(annotation: &str) -> bool {
    [
        RESOURCES,
        TASK_SPEC_RESOURCES,
        CLOUD_EVENTS,
        RESOURCES_RESULT,
        RESOURCES_STATUS,
        RETRIES_STATUS,
        DEPRECATIONS,
    ]
    .contains(&annotation)
}

/// The annotations of an object, apart from it while it is worked on.
pub(super) struct Carried {
    /// Nothing where annotations have no place, or are no object.
    annotations: Option<Object>,
    /// The object's name, what its name will begin with, and nothing: one of these was its name when
    /// the parts were written.
    names: [String; 3],
}

impl Carried {
    /// Takes the annotations out of an object.
    pub(super) fn take(object: &mut Object) -> Self {
        let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
            return Self {
                annotations: None,
                names: Default::default(),
            };
        };
        let names = [
            text(metadata, "name").to_owned(),
            text(metadata, "generateName").to_owned(),
            String::new(),
        ];
        let annotations = match metadata.get_mut("annotations") {
            None | Some(Value::Null) => Some(Object::new()),
            // An empty object stays there, to be there still if nothing is added.
            Some(Value::Object(annotations)) => Some(std::mem::take(annotations)),
            Some(_) => None,
        };
        if annotations
            .as_ref()
            .is_some_and(|annotations| !annotations.is_empty())
        {
            metadata.remove("annotations");
        }
        Self { annotations, names }
    }

    /// Puts the annotations back.
    pub(super) fn put_back(self, object: &mut Object) {
        if let (Some(annotations), Some(Value::Object(metadata))) =
            (self.annotations, object.get_mut("metadata"))
            && !annotations.is_empty()
        {
            metadata.insert("annotations".to_owned(), Value::Object(annotations));
        }
    }

    /// Moves a field into an annotation, or back.
    pub(super) fn field(&mut self, direction: Direction, object: &mut Object, field: &str, annotation: &str) {
        let Some(annotations) = &mut self.annotations else {
            return;
        };
        match direction {
            Direction::ToV1 if !annotations.contains_key(annotation) => {
                if let Some(value) = object.remove(field) {
                    annotations.insert(annotation.to_owned(), Value::String(value.to_string()));
                }
            }
            Direction::ToV1beta1 if !object.contains_key(field) => {
                if let Some(value) = annotations.get(annotation).and_then(parsed) {
                    object.insert(field.to_owned(), value);
                    annotations.remove(annotation);
                }
            }
            _ => {}
        }
    }

    /// The key to write a part of this object under.
    pub(super) fn key(&self, suffix: &str) -> String {
        let name = self.names.iter().find(|name| !name.is_empty());
        name.map_or_else(|| suffix.to_owned(), |name| format!("{name}{suffix}"))
    }

    /// A part of this object, and the key that it stands under.
    pub(super) fn own_part(&self, annotation: &str, suffix: &str) -> Option<(String, Value)> {
        let mut parts = self.parts(annotation)?;
        self.names.iter().find_map(|name| {
            let key = format!("{name}{suffix}");
            parts.remove(&key).map(|part| (key, part))
        })
    }

    /// The part under `key`.
    pub(super) fn part(&self, annotation: &str, key: &str) -> Option<Value> {
        self.parts(annotation)?.remove(key)
    }

    /// Adds a part; says whether there was a place for it.
    pub(super) fn add_part(&mut self, annotation: &str, key: String, part: Value) -> bool {
        let Some(annotations) = &self.annotations else {
            return false;
        };
        let mut parts = if annotations.contains_key(annotation) {
            match self.parts(annotation) {
                Some(parts) if !parts.contains_key(&key) => parts,
                _ => return false,
            }
        } else {
            Object::new()
        };
        parts.insert(key, part);
        self.write_parts(annotation, parts);
        true
    }

    /// Takes a part out.
    pub(super) fn remove_part(&mut self, annotation: &str, key: &str) {
        if let Some(mut parts) = self.parts(annotation) {
            parts.remove(key);
            self.write_parts(annotation, parts);
        }
    }

    fn parts(&self, annotation: &str) -> Option<Object> {
        match parsed(self.annotations.as_ref()?.get(annotation)?)? {
            Value::Object(parts) => Some(parts),
            _ => None,
        }
    }

    fn write_parts(&mut self, annotation: &str, parts: Object) {
        let Some(annotations) = &mut self.annotations else {
            return;
        };
        if parts.is_empty() {
            annotations.remove(annotation);
        } else {
            let parts = Value::Object(parts).to_string();
            annotations.insert(annotation.to_owned(), Value::String(parts));
        }
    }
}

/// The JSON in an annotation.
fn parsed(annotation: &Value) -> Option<Value> {
    serde_json::from_str(annotation.as_str()?).ok()
}
