//! One variable at its place in a Task: whether what it names exists, and may be taken there. No I/O.

use std::collections::{HashMap, HashSet};

use tektite_api::{Step, TaskSpec};

use super::{
    foreign,
    references::{
        SHARED, Scope, is_fixed, is_replaced, is_variable, missing, not_replaced, result_hint, result_path,
        split,
    },
    step_results,
    walk::Found,
};
use crate::{
    names,
    validate::{
        Rules,
        lookup::Declared,
        text,
        usage::{Paths, Slot, array_use, param_use},
        variables::Use,
    },
};

/// What a Task's variables may name, found by name.
pub(super) struct Known<'a> {
    params: Declared<'a>,
    workspaces: &'a [&'a str],
    by_workspace: HashSet<&'a str>,
    results: HashSet<&'a str>,
    /// Workspaces that only the containers see that list them.
    isolated: HashSet<&'a str>,
    /// The containers of steps, and their places.
    containers: HashMap<String, usize>,
    /// The places of steps by the names that variables give them.
    by_short: HashMap<String, usize>,
    /// A step's place and a result of it.
    of_steps: HashSet<(usize, &'a str)>,
}

impl<'a> Known<'a> {
    pub(super) fn of(spec: &'a TaskSpec, scope: &'a Scope<'a>) -> Self {
        let mut containers = HashMap::new();
        let mut by_short = HashMap::new();
        for (index, step) in spec.steps.iter().enumerate() {
            by_short.entry(short(step, index)).or_insert(index);
            containers.insert(names::step_base(step, index), index);
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
            isolated: spec
                .steps
                .iter()
                .flat_map(|step| &step.workspaces)
                .chain(spec.sidecars.iter().flat_map(|sidecar| &sidecar.workspaces))
                .map(|usage| usage.name.as_str())
                .collect(),
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
pub(super) struct Place<'a> {
    pub(super) spec: &'a TaskSpec,
    pub(super) known: &'a Known<'a>,
    pub(super) found: &'a Found<'a>,
    pub(super) path: String,
}

impl Place<'_> {
    pub(super) fn judge(&self, rules: &mut Rules<'_>, inner: &str) {
        let script = self.found.pattern.ends_with(".script");
        if script && foreign::is_command(inner) {
            return;
        }
        if !is_variable(inner) {
            self.misspelt(rules, inner);
            return;
        }
        // A default becomes part of other fields, where the rest is looked at.
        let default = self.found.pattern == "params[].default";
        if default && !(inner.starts_with("params") || inner.starts_with("context")) {
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
        } else if inner.starts_with("params[") || inner.starts_with("inputs.params[") {
            self.missing(rules, inner, || {
                "write $(params.<name>), or with quotes $(params[\"<name>\"])".to_owned()
            });
        }
    }

    fn missing(&self, rules: &mut Rules<'_>, inner: &str, hint: impl FnOnce() -> String) {
        rules.push_with(|| missing(self.found.text, &self.path, inner, &hint()));
    }

    fn param(&self, rules: &mut Rules<'_>, used: Use<'_>) {
        let (part, field) = split(&self.found.pattern);
        if field == "onError" && self.found.text.len() != used.inner.len() + 3 {
            self.missing(rules, used.inner, || {
                "onError is one param and nothing else".to_owned()
            });
        }
        let whole_list = used.is_whole() && self.known.params.is_array(used.name);
        if matches!(part, "steps[]" | "stepTemplate")
            && SHARED.contains(&field)
            && !(field == "onError" && whole_list)
        {
            return;
        }
        let alone = self.found.text.len() == used.inner.len() + 3;
        if whole_list {
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
        } else if aspect == "path" && self.is_mounted_elsewhere(name) {
            self.missing(rules, inner, || {
                format!("workspace \"{name}\" is mounted only where `workspaces` lists it; list it here too")
            });
        }
    }

    /// Whether a workspace is isolated in other containers than this.
    fn is_mounted_elsewhere(&self, name: &str) -> bool {
        let usages = match split(&self.found.pattern).0 {
            "steps[]" => self.own_index().map(|index| &self.spec.steps[index].workspaces),
            "sidecars[]" => self
                .own_index()
                .map(|index| &self.spec.sidecars[index].workspaces),
            _ => None,
        };
        usages.is_some_and(|usages| {
            self.known.isolated.contains(name) && usages.iter().all(|usage| usage.name != name)
        })
    }

    fn own_index(&self) -> Option<usize> {
        self.found.first_index()
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
            let place = self.known.containers.get(base);
            if place.is_none() {
                self.missing(rules, inner, || {
                    if self.known.containers.contains_key(&format!("step-{base}")) {
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
        let Some(result) = result.filter(|_| from.step_ref.is_none()) else {
            return;
        };
        if !step_results::is_declared(from, result) {
            self.missing(rules, inner, || {
                let known = from.results.iter().map(|declared| declared.name.as_str());
                let bare = result.split('[').next().unwrap_or_default();
                text::suggestion(bare, known, "declared results of that step")
            });
            return;
        }
        // A StepAction takes a result whole and says itself which part it wants.
        if field.starts_with("params[].value") {
            return;
        }
        let list = matches!(field, "command[]" | "args[]" | "when[].input" | "when[].values[]");
        let slot = if list && self.found.text.len() == inner.len() + 3 {
            step_results::Slot::Alone
        } else {
            step_results::Slot::Text
        };
        if let Some(problem) = step_results::problem(from, result, slot) {
            self.missing(rules, inner, || problem);
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

    /// Not a variable; but somebody may have meant one that there is, or one of somebody else's.
    fn misspelt(&self, rules: &mut Rules<'_>, inner: &str) {
        let trimmed = inner.trim();
        if trimmed != inner && is_variable(trimmed) && self.is_known(trimmed) {
            self.missing(rules, inner, || {
                format!("a variable has no blanks: \"$({trimmed})\"")
            });
            return;
        }
        let meant = inner.split_once('.').and_then(|(root, rest)| {
            let meant = text::nearest(root, ["params", "workspaces", "results", "steps", "context"])?;
            Some(format!("{meant}.{rest}")).filter(|meant| self.is_known(meant))
        });
        if let Some(meant) = meant {
            self.missing(rules, inner, || format!("did you mean \"$({meant})\"?"));
        } else if let Some(hint) = foreign::hint(inner) {
            self.missing(rules, inner, || hint);
        } else if is_fixed(&self.found.pattern) {
            self.missing(rules, inner, || {
                "nothing replaces it in this field; write the value, or a param".to_owned()
            });
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
