//! Variables wherever they stand: each names something that exists, in a field where it is replaced
//! (api.md 4.2 to 4.6). What is left over would stay text, and nobody would know. No I/O.

use std::collections::HashSet;

use serde_json::Value;
use tektite_api::{ParamSpec, Step, TaskRun, TaskSpec, step_action::StepActionSpec};

use super::{
    place::{Known, Place},
    walk,
};
use crate::{
    field_error::FieldError,
    validate::{
        Rules,
        lookup::Declared,
        text,
        usage::{Paths, Slot, array_use, param_use},
        variables::{self, Tail, Use},
    },
};

/// What variables may name.
pub(crate) struct Scope<'a> {
    pub(super) params: Vec<ParamSpec>,
    pub(super) workspaces: Vec<&'a str>,
}

impl<'a> Scope<'a> {
    /// What a spec declares, and for an inline one what its run brings.
    pub(crate) fn of(spec: &'a TaskSpec, run: Option<&'a TaskRun>) -> Self {
        let mut params = spec.params.clone();
        let mut workspaces: Vec<&str> = spec
            .workspaces
            .iter()
            .map(|workspace| workspace.name.as_str())
            .collect();
        if let Some(run) = run {
            let mut known: HashSet<&str> = spec.params.iter().map(|param| param.name.as_str()).collect();
            for given in &run.spec.params {
                if known.insert(&given.name) {
                    let properties = match &given.value {
                        tektite_api::ParamValue::Object(map) => Some(
                            map.keys()
                                .map(|key| (key.clone(), crate::validate::params::text_property()))
                                .collect(),
                        ),
                        _ => None,
                    };
                    params.push(ParamSpec {
                        name: given.name.clone(),
                        param_type: Some(given.value.param_type()),
                        properties,
                        ..ParamSpec::default()
                    });
                }
            }
            workspaces.extend(run.spec.workspaces.iter().map(|binding| binding.name.as_str()));
        }
        Self { params, workspaces }
    }
}

/// Fields of every container in which variables are replaced.
const CONTAINER: [&str; 17] = [
    "name",
    "image",
    "imagePullPolicy",
    "command[]",
    "args[]",
    "workingDir",
    "env[].value",
    "env[].valueFrom.secretKeyRef.name",
    "env[].valueFrom.secretKeyRef.key",
    "env[].valueFrom.configMapKeyRef.name",
    "env[].valueFrom.configMapKeyRef.key",
    "envFrom[].prefix",
    "envFrom[].configMapRef.name",
    "envFrom[].secretRef.name",
    "volumeMounts[].name",
    "volumeMounts[].mountPath",
    "volumeMounts[].subPath",
];
/// And of steps alone; what begins with `params` or `ref` is a StepAction's or resolver's.
const STEP: [&str; 7] = [
    "script",
    "onError",
    "stdoutConfig.path",
    "stderrConfig.path",
    "when[].input",
    "when[].values[]",
    "when[].cel",
];
/// And outside of containers.
const ELSEWHERE: [&str; 15] = [
    "volumes[].name",
    "volumes[].configMap.name",
    "volumes[].configMap.items[].key",
    "volumes[].configMap.items[].path",
    "volumes[].secret.secretName",
    "volumes[].secret.items[].key",
    "volumes[].secret.items[].path",
    "volumes[].persistentVolumeClaim.claimName",
    "volumes[].projected.sources[].configMap.name",
    "volumes[].projected.sources[].secret.name",
    "volumes[].projected.sources[].serviceAccountToken.audience",
    "volumes[].csi.nodePublishSecretRef.name",
    "workspaces[].mountPath",
    "volumes[].csi.volumeAttributes",
    "results[].value",
];
/// The fields of steps whose parameters the shared rules look at.
pub(super) const SHARED: [&str; 11] = [
    "name",
    "image",
    "workingDir",
    "script",
    "command[]",
    "args[]",
    "env[].value",
    "volumeMounts[].name",
    "volumeMounts[].mountPath",
    "volumeMounts[].subPath",
    "onError",
];
/// For people, or judged elsewhere.
const UNJUDGED: [&str; 4] = ["description", "displayName", "results[]", "steps[].results[]"];
/// Where neither a shell nor the kubelet replaces anything either, so that what is left over is wrong.
const FIXED: [&str; 14] = [
    "name",
    "image",
    "imagePullPolicy",
    "workingDir",
    "env[].valueFrom.",
    "envFrom[].",
    "volumeMounts[].name",
    "volumeMounts[].mountPath",
    "volumeMounts[].subPath",
    "stdoutConfig.path",
    "stderrConfig.path",
    "when[].input",
    "when[].values[]",
    "onError",
];

/// The part of the spec that a field belongs to, and the field's name in it.
pub(super) fn split(pattern: &str) -> (&str, &str) {
    for part in ["steps[]", "stepTemplate", "sidecars[]"] {
        if let Some(field) = pattern.strip_prefix(part).and_then(|rest| rest.strip_prefix('.')) {
            return (part, field);
        }
    }
    ("", pattern)
}

pub(super) fn is_fixed(pattern: &str) -> bool {
    let (part, field) = split(pattern);
    match part {
        "" => !field.starts_with("params[]") && ELSEWHERE.iter().any(|known| field.starts_with(known)),
        _ => FIXED
            .iter()
            .any(|known| field == *known || known.ends_with('.') && field.starts_with(known)),
    }
}

pub(super) fn is_replaced(pattern: &str) -> bool {
    let (part, field) = split(pattern);
    match part {
        "steps[]" => {
            CONTAINER.contains(&field)
                || STEP.contains(&field)
                || field.starts_with("params[].value")
                || field.starts_with("ref.")
        }
        "stepTemplate" => CONTAINER.contains(&field),
        "sidecars[]" => CONTAINER.contains(&field) || field == "script",
        _ => field == "params[].default" || ELSEWHERE.iter().any(|known| field.starts_with(known)),
    }
}

/// A Task's spec, which is also given as a tree; its paths begin with `path`.
pub(super) fn task(rules: &mut Rules<'_>, spec: &TaskSpec, tree: &Value, scope: &Scope<'_>, path: &str) {
    let known = Known::of(spec, scope);
    for found in walk::texts(tree) {
        if UNJUDGED.iter().any(|start| found.pattern.starts_with(start))
            || found.pattern.ends_with(".description")
            || (found.pattern.starts_with("params[]") && found.pattern != "params[].default")
        {
            continue;
        }
        let place = Place {
            spec,
            known: &known,
            found: &found,
            path: format!("{path}.{}", found.path),
        };
        if is_fixed(&found.pattern) && variables::inner(found.text).next().is_none() {
            let at = &place.path;
            rules.push(
                FieldError::own(format!("non-existent variable in \"{}\"", found.text), at.clone())
                    .with_note(format!("{at}: \"$(\" has no \")\" behind it")),
            );
        }
        for inner in variables::inner(found.text) {
            place.judge(rules, inner);
        }
    }
}

/// A StepAction's spec: what its Task declares is not known here.
pub(super) fn step_action(rules: &mut Rules<'_>, spec: &StepActionSpec) {
    let step = Step {
        params: Vec::new(),
        ..crate::validate::step_action::as_step(spec)
    };
    let tree = serde_json::to_value(&step).unwrap_or(Value::Null);
    let results: HashSet<&str> = spec.results.iter().map(|result| result.name.as_str()).collect();
    for found in walk::texts(&tree) {
        let at = format!("spec.{}", found.path);
        for inner in variables::inner(found.text) {
            if let Some((name, has_path)) = result_path(inner, "step.results") {
                let known = || spec.results.iter().map(|result| result.name.as_str());
                let shared = found.pattern == "script" && !inner.contains("results[");
                if !(shared || has_path && results.contains(name)) {
                    rules.push_with(|| {
                        let hint = result_hint(name, has_path, "step.results", known());
                        missing(found.text, &at, inner, &hint)
                    });
                }
            }
            if is_variable(inner) && !CONTAINER.contains(&found.pattern.as_str()) && found.pattern != "script"
            {
                rules.push(not_replaced(&at, inner));
            }
        }
    }
}

/// Whether `inner` is written like a variable of ours.
pub(super) fn is_variable(inner: &str) -> bool {
    ["params", "workspaces", "results", "step.results", "inputs.params"]
        .iter()
        .any(|root| {
            inner
                .strip_prefix(root)
                .is_some_and(|rest| rest.starts_with(['.', '[']))
        })
        || inner.starts_with("context.")
        || inner.starts_with("steps.")
        || matches!(
            inner,
            "step.artifacts.path" | "artifacts.path" | "credentials.path"
        )
}

pub(super) fn missing(text: &str, at: &str, inner: &str, hint: &str) -> FieldError {
    FieldError::own(format!("non-existent variable in \"{text}\""), at)
        .with_note(format!("{at}: $({inner}) stands for nothing; {hint}"))
}

pub(super) fn not_replaced(at: &str, inner: &str) -> FieldError {
    FieldError::own(
        format!("variable $({inner}) in a field where none is replaced"),
        at,
    )
    .with_note(format!(
        "{at}: $({inner}) would stay as it is written; write the value"
    ))
}

/// The name in `<root>.<name>.path`, and whether `.path` is there.
pub(super) fn result_path<'a>(inner: &'a str, root: &str) -> Option<(&'a str, bool)> {
    let used = Use::parse(inner, root)?;
    Some(match used.tail {
        Tail::Other(".path") => (used.name, true),
        Tail::None => used
            .name
            .strip_suffix(".path")
            .map_or((used.name, false), |name| (name, true)),
        _ => (used.name, false),
    })
}

pub(super) fn result_hint<'a>(
    name: &str,
    has_path: bool,
    root: &str,
    known: impl Iterator<Item = &'a str>,
) -> String {
    let known: Vec<&str> = known.collect();
    if !has_path && known.contains(&name) {
        return format!("did you mean \"$({root}.{name}.path)\", the file to write it to?");
    }
    text::suggestion(name, known, "declared results")
}

/// A part of a TaskRun in which parameters are replaced and nothing else is: bindings and podTemplates.
/// `params` are known where the Task is.
pub(super) fn params_only(
    rules: &mut Rules<'_>,
    tree: &Value,
    replaced: impl Fn(&str) -> bool,
    params: Option<&Declared<'_>>,
    path: &str,
) {
    for found in walk::texts(tree) {
        let at = format!("{path}.{}", found.path);
        // The kubelet replaces what else stands in a variable's value.
        let fixed = found.pattern != "env[].value" && replaced(&found.pattern);
        for inner in variables::inner(found.text).filter(|inner| is_variable(inner) || fixed) {
            let used = Use::parse(inner, "params").or_else(|| Use::parse(inner, "inputs.params"));
            let Some(used) = used.filter(|_| replaced(&found.pattern)) else {
                rules.push_with(|| {
                    let note = format!(
                        "{at}: $({inner}) would stay as it is written; only params are replaced here, and not in every field"
                    );
                    FieldError::own(
                        format!("variable $({inner}) in a field where none is replaced"),
                        at.clone(),
                    )
                    .with_note(note)
                });
                continue;
            };
            let paths = Paths {
                at: &at,
                nested: &|| at.clone(),
                plain: &at,
            };
            if params.is_some_and(|params| used.is_whole() && params.is_array(used.name)) {
                let here = || at.clone();
                if let Some(make) = array_use(found.text, used, Slot::Text, &here, &at) {
                    rules.push_with(|| make().into_own());
                }
            } else if let Some(make) = params.and_then(|params| param_use(found.text, used, params, &paths)) {
                rules.push_with(|| make().into_own());
            }
        }
    }
}

/// What a resolver is told: the run's own params and contexts are replaced (api.md 4.5).
pub(super) fn resolver_params(rules: &mut Rules<'_>, run: &TaskRun) {
    let Some(task_ref) = &run.spec.task_ref else {
        return;
    };
    for (index, param) in task_ref.params.iter().enumerate() {
        let text = serde_json::to_string(&param.value)
            .unwrap_or_default()
            .replace("\\\"", "\"");
        for used in variables::params(&text) {
            let (name, _) = used.parts();
            if run.spec.params.iter().all(|given| given.name != name) {
                let at = format!("spec.taskRef.params[{index}].value");
                let known = run.spec.params.iter().map(|given| given.name.as_str());
                rules.push(missing(
                    &text,
                    &at,
                    used.inner,
                    &text::suggestion(name, known, "params of the run"),
                ));
            }
        }
    }
}
