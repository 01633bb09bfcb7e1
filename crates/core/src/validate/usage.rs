//! How steps use parameters and contexts (api.md 3.5, T46 to T54).

use std::collections::BTreeMap;

use tektite_api::{ParamType, Step};

use super::{
    Rules,
    lookup::Declared,
    text,
    variables::{self, Form, Tail, Use},
};
use crate::field_error::FieldError;

/// Whether a list may take the place of an element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// A text.
    Text,
    /// An element of `command` or `args`.
    Element,
}

/// The fields of a step that these rules look at: what upstream calls each, and what is in it.
pub(super) fn fields(step: &Step) -> Vec<(String, &str, Slot)> {
    let mut fields = vec![
        ("name".to_owned(), step.name.as_str(), Slot::Text),
        ("image".to_owned(), step.image.as_str(), Slot::Text),
        ("workingDir".to_owned(), step.working_dir.as_str(), Slot::Text),
        ("script".to_owned(), step.script.as_str(), Slot::Text),
    ];
    for (name, list) in [("command", &step.command), ("args", &step.args)] {
        for (index, element) in list.iter().enumerate() {
            fields.push((format!("{name}[{index}]"), element, Slot::Element));
        }
    }
    for env in &step.env {
        fields.push((
            format!("env[{}]", env.name),
            env.value.as_deref().unwrap_or_default(),
            Slot::Text,
        ));
    }
    for (index, mount) in step.volume_mounts.iter().enumerate() {
        let sub_path = mount.sub_path.as_deref().unwrap_or_default();
        fields.push((format!("volumeMount[{index}].name"), &mount.name, Slot::Text));
        fields.push((
            format!("volumeMount[{index}].mountPath"),
            &mount.mount_path,
            Slot::Text,
        ));
        fields.push((format!("volumeMount[{index}].subPath"), sub_path, Slot::Text));
    }
    fields.retain(|(_, text, _)| text.contains("$("));
    fields
}

/// The path that upstream gives errors of step `index`: each later step is put before it once more.
fn nested(path: &str, index: usize, count: usize, field: &str) -> String {
    let steps: Vec<String> = (index..count)
        .rev()
        .map(|later| format!("steps[{later}]"))
        .collect();
    format!("{path}.{}.{field}", steps.join("."))
}

/// An error that can be made: text and explanation are worth their time only where they are told.
pub(super) type Make<'a> = Box<dyn FnOnce() -> FieldError + 'a>;

/// T46, T47: lists stand for themselves in `command` and `args` only, and alone in their element.
pub(super) fn arrays(rules: &mut Rules<'_>, steps: &[Step], params: &Declared<'_>, path: &str) {
    for (index, step) in steps.iter().enumerate() {
        for (field, text, slot) in fields(step) {
            let plain = format!("{path}.steps[{index}].{field}");
            for used in variables::params(text).filter(|used| used.is_whole() && params.is_array(used.name)) {
                let at = || nested(path, index, steps.len(), &field);
                if let Some(make) = array_use(text, used, slot, &at, &plain) {
                    rules.push_with(make);
                }
            }
        }
    }
}

/// The error of one use of a whole list, if it is one.
pub(super) fn array_use<'a>(
    text: &'a str,
    used: Use<'a>,
    slot: Slot,
    path: &'a dyn Fn() -> String,
    plain: &'a str,
) -> Option<Make<'a>> {
    match slot {
        Slot::Text => Some(Box::new(move || {
            FieldError::new(format!("variable type invalid in \"{text}\""), path()).with_note(format!(
                "{plain}: $({}) is a list; take one element, $(params.{}[0]), or use the list in command or args",
                used.inner, used.name
            ))
        })),
        Slot::Element if text.len() == used.inner.len() + 3 => None,
        Slot::Element => Some(Box::new(move || {
            FieldError::new(format!("variable is not properly isolated in \"{text}\""), path()).with_note(format!(
                "{plain}: the list $({}) has to be an element of its own, with nothing before or behind it",
                used.inner
            ))
        })),
    }
}

const TASK_RUN: [&str; 3] = ["name", "namespace", "uid"];
const TASK: [&str; 2] = ["name", "retry-count"];

/// T48.
pub(super) fn contexts(rules: &mut Rules<'_>, steps: &[Step], path: &str) {
    for (index, step) in steps.iter().enumerate() {
        for (field, text, _) in fields(step) {
            for (root, known) in [("context.taskRun", &TASK_RUN[..]), ("context.task", &TASK[..])] {
                for name in variables::names_after(text, root) {
                    if !known.contains(&name) {
                        rules.push_with(|| {
                            let at = format!("{path}.steps[{index}].{field}");
                            let note = format!(
                                "{at}: $({root}.{name}) does not exist; {}",
                                text::suggestion(name, known.iter().copied(), "there")
                            );
                            variables::non_existent(text, at).with_note(note)
                        });
                    }
                }
            }
        }
    }
}

/// T50 to T54: every parameter that a step uses is declared, and used as what it is.
pub(super) fn declared(rules: &mut Rules<'_>, steps: &[Step], params: &Declared<'_>, path: &str) {
    for param in params
        .all()
        .iter()
        .filter(|param| param.param_type == Some(ParamType::Object))
    {
        if param.properties.is_none() {
            rules.push(
                FieldError::missing(format!("{path}.{}.properties", param.name)).with_note(format!(
                    "{path}.params: object \"{}\" says its keys in properties",
                    param.name
                )),
            );
        }
    }
    for (index, step) in steps.iter().enumerate() {
        let mut scanned = fields(step);
        if step.on_error.contains("$(") {
            scanned.push(("onError".to_owned(), &step.on_error, Slot::Text));
        }
        for (field, text, _) in scanned {
            let plain = format!("{path}.steps[{index}].{field}");
            let spelled = field
                .replace(".mountPath", ".MountPath")
                .replace(".subPath", ".SubPath");
            let at = format!("{path}.steps[{index}].{spelled}");
            let nested = || nested(path, index, steps.len(), &field);
            let paths = Paths {
                at: &at,
                nested: &nested,
                plain: &plain,
            };
            for used in variables::params(text) {
                if let Some(make) = param_use(text, used, params, &paths) {
                    rules.push_with(make);
                }
            }
        }
    }
}

/// The ways in which one place is written.
pub(super) struct Paths<'a> {
    /// As upstream writes it where a variable does not exist.
    pub(super) at: &'a str,
    /// As it writes it where one is used as what it is not: as long as there are steps behind it.
    pub(super) nested: &'a dyn Fn() -> String,
    /// As it is.
    pub(super) plain: &'a str,
}

/// What is wrong with one use of a parameter.
pub(super) fn param_use<'a>(
    text: &'a str,
    used: Use<'a>,
    params: &'a Declared<'a>,
    paths: &'a Paths<'a>,
) -> Option<Make<'a>> {
    if used.form == Form::Dot && used.name.split('.').count() > 2 {
        return Some(Box::new(move || {
            FieldError::new(
                format!(
                    "Invalid referencing of parameters in \"{text}\"! Only two dot-separated components after the prefix \"params\" are allowed."
                ),
                paths.at,
            )
            .with_note(format!(
                "{}: a name with dots takes brackets: $(params[\"{}\"])",
                paths.plain, used.name
            ))
        }));
    }
    let (name, key) = used.parts();
    let Some(param) = params.get(name) else {
        return Some(Box::new(move || {
            let hint = if used.form == Form::Dot && params.get(used.name).is_some() {
                format!("a name with dots takes brackets: $(params[\"{}\"])", used.name)
            } else {
                text::suggestion(name, params.names(), "declared params")
            };
            let note = format!("{}: $({}) is not declared; {hint}", paths.plain, used.inner);
            variables::non_existent(text, paths.at).with_note(note)
        }));
    };
    if param.param_type != Some(ParamType::Object) {
        if key.is_none() && used.tail != Tail::None && param.param_type != Some(ParamType::Array) {
            return Some(Box::new(move || {
                FieldError::own(format!("variable type invalid in \"{text}\""), paths.plain).with_note(
                    format!(
                        "{}: param \"{name}\" is a text, so it has no elements; write $(params.{name})",
                        paths.plain
                    ),
                )
            }));
        }
        let key = key?;
        return Some(Box::new(move || {
            FieldError::own(format!("variable type invalid in \"{text}\""), paths.plain).with_note(format!(
                "{}: param \"{name}\" is no object, so it has no key \"{key}\"",
                paths.plain
            ))
        }));
    }
    let Some(key) = key else {
        return Some(Box::new(move || {
            FieldError::new(format!("variable type invalid in \"{text}\""), (paths.nested)()).with_note(
                format!(
                    "{}: param \"{name}\" is an object; use one of its keys, $(params.{name}.<key>)",
                    paths.plain
                ),
            )
        }));
    };
    let known = param.properties.as_ref();
    if known.is_some_and(|known| known.contains_key(key)) {
        return None;
    }
    Some(Box::new(move || {
        let known = known.into_iter().flat_map(BTreeMap::keys).map(String::as_str);
        variables::non_existent(text, paths.at).with_note(format!(
            "{}: object \"{name}\" has no key \"{key}\"; {}",
            paths.plain,
            text::suggestion(key, known, "keys")
        ))
    }))
}
