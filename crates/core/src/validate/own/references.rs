//! Variables wherever they stand: each names something that exists, in a field where it is replaced
//! (api.md 4.2 to 4.6). What is left over would stay text, and nobody would know. No I/O.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use tektite_api::{ParamSpec, Step, TaskRun, TaskSpec, step_action::StepActionSpec};

use super::walk::{self, Found};
use crate::{
    field_error::FieldError,
    names,
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
    workspaces: Vec<&'a str>,
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
const SHARED: [&str; 11] = [
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
const UNJUDGED: [&str; 5] = [
    "description",
    "displayName",
    "params[]",
    "results[]",
    "steps[].results[]",
];

/// The part of the spec that a field belongs to, and the field's name in it.
fn split(pattern: &str) -> (&str, &str) {
    for part in ["steps[]", "stepTemplate", "sidecars[]"] {
        if let Some(field) = pattern.strip_prefix(part).and_then(|rest| rest.strip_prefix('.')) {
            return (part, field);
        }
    }
    ("", pattern)
}

fn is_replaced(pattern: &str) -> bool {
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
        _ => ELSEWHERE.iter().any(|known| field.starts_with(known)),
    }
}

/// A Task's spec, its paths beginning with `path`.
pub(super) fn task(rules: &mut Rules<'_>, spec: &TaskSpec, scope: &Scope<'_>, path: &str) {
    let tree = serde_json::to_value(spec).unwrap_or(Value::Null);
    let known = Known::of(spec, scope);
    for found in walk::texts(&tree) {
        if UNJUDGED.iter().any(|start| found.pattern.starts_with(start))
            || found.pattern.ends_with(".description")
        {
            continue;
        }
        for inner in variables::inner(found.text) {
            Place {
                spec,
                known: &known,
                found: &found,
                path: format!("{path}.{}", found.path),
            }
            .judge(rules, inner);
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
fn is_variable(inner: &str) -> bool {
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

fn missing(text: &str, at: &str, inner: &str, hint: &str) -> FieldError {
    FieldError::own(format!("non-existent variable in \"{text}\""), at)
        .with_note(format!("{at}: $({inner}) stands for nothing; {hint}"))
}

fn not_replaced(at: &str, inner: &str) -> FieldError {
    FieldError::own(
        format!("variable $({inner}) in a field where none is replaced"),
        at,
    )
    .with_note(format!(
        "{at}: $({inner}) would stay as it is written; write the value"
    ))
}

/// The name in `<root>.<name>.path`, and whether `.path` is there.
fn result_path<'a>(inner: &'a str, root: &str) -> Option<(&'a str, bool)> {
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

fn result_hint<'a>(name: &str, has_path: bool, root: &str, known: impl Iterator<Item = &'a str>) -> String {
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
        for inner in variables::inner(found.text).filter(|inner| is_variable(inner)) {
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
            if let Some(make) = params.and_then(|params| param_use(found.text, used, params, &paths)) {
                rules.push_with(|| make().into_own());
            }
        }
    }
}

/// What a Task's variables may name, found by name.
struct Known<'a> {
    params: Declared<'a>,
    workspaces: &'a [&'a str],
    by_workspace: HashSet<&'a str>,
    results: HashSet<&'a str>,
    /// The containers of steps.
    containers: HashSet<String>,
    /// The places of steps by the names that variables give them.
    by_short: HashMap<String, usize>,
    /// A step's place and a result of it.
    of_steps: HashSet<(usize, &'a str)>,
}

impl<'a> Known<'a> {
    fn of(spec: &'a TaskSpec, scope: &'a Scope<'a>) -> Self {
        let mut containers = HashSet::new();
        let mut by_short = HashMap::new();
        for (index, step) in spec.steps.iter().enumerate() {
            by_short.entry(short(step, index)).or_insert(index);
            containers.insert(names::step_base(step, index));
        }
        let of_steps = spec.steps.iter().enumerate().flat_map(|(index, step)| {
            step.results
                .iter()
                .map(move |result| (index, result.name.as_str()))
        });
        Self {
            params: Declared::new(&scope.params),
            workspaces: &scope.workspaces,
            by_workspace: scope.workspaces.iter().copied().collect(),
            results: spec.results.iter().map(|result| result.name.as_str()).collect(),
            containers,
            by_short,
            of_steps: of_steps.collect(),
        }
    }
}

/// A step's name as variables give it: `unnamed-<index>` where it has none.
fn short(step: &Step, index: usize) -> String {
    names::step_base(step, index)
        .trim_start_matches("step-")
        .to_owned()
}

/// One text of a Task.
struct Place<'a> {
    spec: &'a TaskSpec,
    known: &'a Known<'a>,
    found: &'a Found<'a>,
    path: String,
}

impl Place<'_> {
    fn judge(&self, rules: &mut Rules<'_>, inner: &str) {
        if !is_variable(inner) {
            self.misspelt(rules, inner);
            return;
        }
        if !is_replaced(&self.found.pattern) {
            rules.push_with(|| not_replaced(&self.path, inner));
            return;
        }
        if let Some(used) = Use::parse(inner, "params").or_else(|| Use::parse(inner, "inputs.params")) {
            self.param(rules, used);
        } else if let Some(rest) = inner.strip_prefix("workspaces.") {
            self.workspace(rules, inner, rest);
        } else if inner.starts_with("workspaces[") {
            self.missing(rules, inner, || {
                "workspaces are written with a dot: $(workspaces.<name>.path)".to_owned()
            });
        } else if let Some((name, has_path)) = result_path(inner, "results") {
            let known = || self.spec.results.iter().map(|result| result.name.as_str());
            let shared = self.found.pattern == "steps[].script" && !inner.starts_with("results[");
            let declared = self.known.results.contains(name);
            if !(has_path && declared) && (!shared || declared) {
                self.missing(rules, inner, || result_hint(name, has_path, "results", known()));
            }
        } else if let Some((name, has_path)) = result_path(inner, "step.results") {
            self.own_result(rules, inner, name, has_path);
        } else if let Some(rest) = inner.strip_prefix("steps.") {
            self.step(rules, inner, rest);
        } else if let Some(rest) = inner.strip_prefix("context.") {
            self.context(rules, inner, rest);
        }
    }

    fn missing(&self, rules: &mut Rules<'_>, inner: &str, hint: impl FnOnce() -> String) {
        rules.push_with(|| missing(self.found.text, &self.path, inner, &hint()));
    }

    fn param(&self, rules: &mut Rules<'_>, used: Use<'_>) {
        let (part, field) = split(&self.found.pattern);
        if matches!(part, "steps[]" | "stepTemplate") && SHARED.contains(&field) {
            return;
        }
        let alone = self.found.text.len() == used.inner.len() + 3;
        if used.is_whole() && self.known.params.is_array(used.name) {
            let takes_values =
                field == "when[].input" || field.starts_with("params[]") || field.starts_with("ref.");
            let slot = if matches!(field, "command[]" | "args[]" | "when[].values[]") || takes_values {
                Slot::Element
            } else {
                Slot::Text
            };
            let at = || self.path.clone();
            if let Some(make) = array_use(self.found.text, used, slot, &at, &self.path) {
                rules.push_with(|| make().into_own());
            }
            return;
        }
        // A whole object may be handed on to a StepAction.
        if alone
            && part == "steps[]"
            && field.starts_with("params[]")
            && self.known.params.get(used.name).is_some()
        {
            return;
        }
        let paths = Paths {
            at: &self.path,
            nested: &|| self.path.clone(),
            plain: &self.path,
        };
        if let Some(make) = param_use(self.found.text, used, &self.known.params, &paths) {
            rules.push_with(|| make().into_own());
        }
    }

    fn workspace(&self, rules: &mut Rules<'_>, inner: &str, rest: &str) {
        const ASPECTS: [&str; 4] = ["path", "bound", "claim", "volume"];
        let (name, aspect) = rest.rsplit_once('.').unwrap_or((rest, ""));
        let known = &self.known.by_workspace;
        if !known.contains(name) {
            self.missing(rules, inner, || {
                if known.contains(rest) {
                    format!("did you mean \"$(workspaces.{rest}.path)\"?")
                } else {
                    text::suggestion(name, self.known.workspaces.iter().copied(), "declared workspaces")
                }
            });
        } else if !ASPECTS.contains(&aspect) {
            self.missing(rules, inner, || text::suggestion(aspect, ASPECTS, "there"));
        }
    }

    /// `$(step.results.<name>.path)`.
    fn own_result(&self, rules: &mut Rules<'_>, inner: &str, name: &str, has_path: bool) {
        let step = match split(&self.found.pattern).0 {
            "steps[]" => self
                .found
                .first_index()
                .and_then(|index| Some((index, self.spec.steps.get(index)?))),
            _ => None,
        };
        let Some((index, step)) = step else {
            self.missing(rules, inner, || "only a step has results of its own".to_owned());
            return;
        };
        let known = || step.results.iter().map(|result| result.name.as_str());
        let declared = self.known.of_steps.contains(&(index, name));
        let shared = self.found.pattern == "steps[].script"
            && !step.results.is_empty()
            && !inner.starts_with("step.results[");
        if !(has_path && declared) && (!shared || declared) {
            self.missing(rules, inner, || {
                result_hint(name, has_path, "step.results", known())
            });
        }
    }

    /// `$(steps.<step>...)`: what an earlier step left.
    fn step(&self, rules: &mut Rules<'_>, inner: &str, rest: &str) {
        let steps = &self.spec.steps;
        if let Some(base) = rest.strip_suffix(".exitCode.path") {
            if !self.known.containers.contains(base) {
                self.missing(rules, inner, || {
                    if self.known.containers.contains(&format!("step-{base}")) {
                        return format!("did you mean \"$(steps.step-{base}.exitCode.path)\"?");
                    }
                    let names = steps
                        .iter()
                        .enumerate()
                        .map(|(index, step)| names::step_base(step, index));
                    let known: Vec<String> = names.collect();
                    text::suggestion(base, known.iter().map(String::as_str), "containers of steps")
                });
            }
            return;
        }
        let (name, result) = match (
            rest.split_once(".results."),
            rest.split_once(".outputs."),
            rest.split_once(".inputs."),
        ) {
            (Some((name, result)), ..) => (name, Some(result)),
            (None, Some((name, _)), _) | (None, None, Some((name, _))) => (name, None),
            _ => {
                self.missing(rules, inner, || {
                    "a step has .results.<name>, .outputs.<name>, .inputs.<name>, and .exitCode.path behind its container's name".to_owned()
                });
                return;
            }
        };
        // Without the flag, T8 has told it.
        if result.is_none() && !rules.config.flags.artifacts {
            return;
        }
        let (part, field) = split(&self.found.pattern);
        let at_run_time = matches!(
            field,
            "command[]" | "args[]" | "env[].value" | "when[].input" | "when[].values[]" | "when[].cel"
        ) || field.starts_with("params[].value");
        if part == "sidecars[]"
            || part.is_empty()
            || (part == "steps[]" && !at_run_time && field == "onError")
        {
            rules.push_with(|| not_replaced(&self.path, inner));
            return;
        }
        let Some(position) = self.known.by_short.get(name).copied() else {
            self.missing(rules, inner, || {
                let known: Vec<String> = steps
                    .iter()
                    .enumerate()
                    .map(|(index, step)| short(step, index))
                    .collect();
                text::suggestion(name, known.iter().map(String::as_str), "steps")
            });
            return;
        };
        let own = if part == "steps[]" {
            self.found.first_index()
        } else {
            None
        };
        if own.is_some_and(|own| position >= own) {
            self.missing(rules, inner, || {
                format!("step \"{name}\" does not run before this one")
            });
            return;
        }
        let from = &steps[position];
        if let Some(result) = result.filter(|_| from.step_ref.is_none()) {
            let bare = result.split('[').next().unwrap_or_default();
            let declared = |name: &str| self.known.of_steps.contains(&(position, name));
            let key = bare.rsplit_once('.').is_some_and(|(object, _)| declared(object));
            if !declared(bare) && !key {
                self.missing(rules, inner, || {
                    let known = from.results.iter().map(|declared| declared.name.as_str());
                    text::suggestion(bare, known, "declared results of that step")
                });
            }
        }
    }

    fn context(&self, rules: &mut Rules<'_>, inner: &str, rest: &str) {
        const KNOWN: [&str; 5] = [
            "context.taskRun.name",
            "context.taskRun.namespace",
            "context.taskRun.uid",
            "context.task.name",
            "context.task.retry-count",
        ];
        let (part, field) = split(&self.found.pattern);
        let shared =
            matches!(part, "steps[]" | "stepTemplate") && SHARED.contains(&field) && field != "onError";
        let judged = rest.starts_with("taskRun.") || rest.starts_with("task.");
        if KNOWN.contains(&inner) || (shared && judged) {
            return;
        }
        if rest.starts_with("pipeline") {
            self.missing(rules, inner, || {
                "a TaskRun knows of no Pipeline; hand the value over as a param".to_owned()
            });
            return;
        }
        self.missing(rules, inner, || text::suggestion(inner, KNOWN, "contexts"));
    }

    /// Not a variable; but somebody may have meant one that there is.
    fn misspelt(&self, rules: &mut Rules<'_>, inner: &str) {
        let trimmed = inner.trim();
        if trimmed != inner && is_variable(trimmed) && self.is_known(trimmed) {
            self.missing(rules, inner, || {
                format!("a variable has no blanks: \"$({trimmed})\"")
            });
            return;
        }
        let Some((root, rest)) = inner.split_once('.') else {
            return;
        };
        let Some(meant) = text::nearest(root, ["params", "workspaces", "results", "steps", "context"]) else {
            return;
        };
        let meant = format!("{meant}.{rest}");
        if self.is_known(&meant) {
            self.missing(rules, inner, || format!("did you mean \"$({meant})\"?"));
        }
    }

    /// Whether a variable, written right, names something.
    fn is_known(&self, inner: &str) -> bool {
        let word = inner
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"._-[]*\"'".contains(&c));
        let Some((root, rest)) = inner.split_once('.').filter(|_| word) else {
            return false;
        };
        let first = rest.split(['.', '[']).next().unwrap_or_default();
        match root {
            "params" => self.known.params.get(first).is_some(),
            "workspaces" => self.known.by_workspace.contains(first) && rest.contains('.'),
            "results" => self.known.results.contains(first),
            "steps" => rest.contains(".results.") || rest.ends_with(".exitCode.path"),
            "context" => matches!(first, "taskRun" | "task"),
            _ => false,
        }
    }
}
