//! A run together with what it runs: whether values, workspaces and names fit the declarations.
//!
//! The controller finds the same when it prepares a run, one thing after the other; here all of it is
//! told before the run is stored, in the controller's words. No I/O.

mod actions;

use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
};

use tektite_api::{ParamSpec, ParamType, ParamValue, Step, StepAction, Task, TaskRun, TaskSpec};

use actions::step_actions;

use super::{Rules, own, task::merged_steps, text};
use crate::{
    config::{Config, Coschedule},
    defaults,
    field_error::{FieldError, FieldErrors},
    params::{self, Enums, ParamError},
    resources,
};

/// Looks up a StepAction of the object's namespace by name.
pub type Actions<'a> = &'a dyn Fn(&str) -> Option<StepAction>;

/// A run against the Task that it names, and the StepActions of its steps.
///
/// # Errors
/// Everything that does not fit.
pub fn task_run(
    run: &TaskRun,
    named: Option<&Task>,
    actions: Actions<'_>,
    config: &Config,
) -> Result<(), FieldErrors> {
    let mut rules = Rules::new(config);
    let mut run = run.clone();
    defaults::task_run(&mut run, config);
    if let (Some(named), Some(task_ref)) = (named, &run.spec.task_ref) {
        let mut spec = named.spec.clone();
        defaults::task_spec(&mut spec, config);
        fit(&mut rules, &run, &spec, &task_ref.name, Origin::Named);
        own::run::variables(&mut rules, &run, Some(&spec));
    }
    if let Some(spec) = &run.spec.task_spec {
        step_actions(
            &mut rules,
            spec,
            "spec.taskSpec",
            actions,
            &volumes_of(&run, spec),
        );
    }
    rules.errors.into_result()
}

/// A Task against the StepActions of its steps.
///
/// # Errors
/// Everything that does not fit.
pub fn task(named: &Task, actions: Actions<'_>, config: &Config) -> Result<(), FieldErrors> {
    let mut rules = Rules::new(config);
    step_actions(&mut rules, &named.spec, "spec", actions, &[]);
    rules.errors.into_result()
}

/// A run against its own inline Task.
pub(super) fn inline(rules: &mut Rules<'_>, run: &TaskRun, spec: &TaskSpec) {
    let name = run.name().to_owned();
    fit(rules, run, spec, &name, Origin::Inline);
}

/// More parameters are not explained one by one.
const MOST_NOTES: usize = 50;
/// And not compared with each other.
const MOST_COMPARED: usize = 300;
/// Names that are longer are not compared.
const LONGEST_COMPARED: usize = 80;

/// Where the Task stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// In the cluster, under its name.
    Named,
    /// In the run, which may bring more than is declared.
    Inline,
}

fn fit(rules: &mut Rules<'_>, run: &TaskRun, spec: &TaskSpec, name: &str, origin: Origin) {
    values(rules, run, spec, name, origin);
    workspaces(rules, run, spec, name, origin);
    overrides(rules, run, spec, name);
    mounts(rules, run, spec, name, origin);
    substituted(rules, run, spec, name, origin);
}

fn values(rules: &mut Rules<'_>, run: &TaskRun, spec: &TaskSpec, task: &str, origin: Origin) {
    let table = params::table(spec, run);
    let enums = Enums::from_flags(&rules.config.flags);
    let given: HashMap<&str, &ParamValue> = run
        .spec
        .params
        .iter()
        .map(|param| (param.name.as_str(), &param.value))
        .collect();
    let declared: HashMap<&str, &ParamSpec> = spec
        .params
        .iter()
        .rev()
        .map(|param| (param.name.as_str(), param))
        .collect();
    let undeclared = || {
        let names = run.spec.params.iter().map(|param| param.name.as_str());
        names.filter(|name| !declared.contains_key(name))
    };
    for problem in params::problems(spec, run, &table, enums) {
        let note = match &problem {
            ParamError::Missing(names) => names
                .iter()
                .take(MOST_NOTES)
                .filter_map(|name| {
                    let given = text::nearest(name, undeclared())?;
                    Some(format!(
                        "spec.params: \"{given}\" is given; did you mean \"{name}\"?"
                    ))
                })
                .chain([format!(
                    "spec.params: Task \"{task}\" needs a value for {}",
                    names.join(", ")
                )])
                .collect::<Vec<_>>()
                .join("\n- "),
            ParamError::WrongType(names) => names
                .iter()
                .take(MOST_NOTES)
                .filter_map(|name| {
                    let declared = declared.get(name.as_str())?;
                    let given = given.get(name.as_str())?;
                    Some(format!(
                        "spec.params[{name}]: {} is wanted, {} is given: {}",
                        of_type(declared.param_type.as_ref()),
                        of_type(Some(&given.param_type())),
                        serde_json::to_string(given).unwrap_or_default()
                    ))
                })
                .collect::<Vec<_>>()
                .join("\n- "),
            ParamError::MissingKeys(keys) => keys
                .iter()
                .take(MOST_NOTES)
                .map(|(name, keys)| format!("spec.params[{name}]: the keys {} are missing", keys.join(", ")))
                .collect::<Vec<_>>()
                .join("\n- "),
            ParamError::NotInEnum { name, value, allowed } => {
                let hint = text::nearest(value, allowed.iter().map(String::as_str))
                    .map_or_else(String::new, |nearest| format!("; did you mean \"{nearest}\"?"));
                format!("spec.params[{name}]: allowed are {}{hint}", allowed.join(", "))
            }
            ParamError::TooLarge(_) => {
                "spec.params: defaults that use each other grow with each of them".to_owned()
            }
            ParamError::OutOfBounds(_) => {
                "spec.params: lists are counted from 0, and these elements are behind the list's end"
                    .to_owned()
            }
        };
        let message = match &problem {
            ParamError::OutOfBounds(_) | ParamError::NotInEnum { .. } => problem.to_string(),
            _ => format!("invalid input params for task {task}: {problem}"),
        };
        rules.push(FieldError::own(message, "spec.params").with_note(note));
    }
    // Each is compared with each: of hundreds, the first are enough.
    let open: Vec<&str> = spec
        .params
        .iter()
        .map(|param| param.name.as_str())
        .filter(|name| (3..=LONGEST_COMPARED).contains(&name.len()) && !given.contains_key(name))
        .take(MOST_COMPARED)
        .collect();
    let names = OnceCell::new();
    let uses = |name: &str| names.get_or_init(|| used_names(spec)).contains(name);
    for name in undeclared().take(MOST_COMPARED) {
        if let Some(meant) = misspelt(name, &open)
            && !(origin == Origin::Inline && uses(name))
        {
            let at = format!("spec.params[{name}]");
            rules.push(
                FieldError::own(format!("undeclared param \"{name}\""), at.clone())
                    .with_note(format!("{at}: did you mean \"{meant}\"?")),
            );
        }
    }
}

/// The one of `open`, the declared parameters without a value, that is one edit away.
fn misspelt<'a>(name: &str, open: &[&'a str]) -> Option<&'a str> {
    if name.len() > LONGEST_COMPARED {
        return None;
    }
    let folded = name.to_lowercase();
    open.iter()
        .copied()
        .find(|declared| text::distance(&folded, &declared.to_lowercase(), 1).is_some())
}

/// The parameters that an inline Task uses, declared or not.
fn used_names(spec: &TaskSpec) -> HashSet<String> {
    let tree = serde_json::to_string(spec)
        .unwrap_or_default()
        .replace("\\\"", "\"");
    super::variables::params(&tree)
        .flat_map(|used| [used.parts().0.to_owned(), used.name.to_owned()])
        .collect()
}

fn of_type(declared: Option<&ParamType>) -> &'static str {
    match declared {
        Some(ParamType::Array) => "a list",
        Some(ParamType::Object) => "an object",
        _ => "a text",
    }
}

fn workspaces(rules: &mut Rules<'_>, run: &TaskRun, spec: &TaskSpec, task: &str, origin: Origin) {
    let bindings = &run.spec.workspaces;
    let bound: HashSet<&str> = bindings.iter().map(|binding| binding.name.as_str()).collect();
    let bound = |name: &str| bound.contains(name);
    let declared: HashSet<&str> = spec
        .workspaces
        .iter()
        .map(|workspace| workspace.name.as_str())
        .collect();
    let declared = |name: &str| declared.contains(name);
    for workspace in spec.workspaces.iter().filter(|workspace| !workspace.optional) {
        if !bound(&workspace.name) && rules.config.defaults.workspace_binding.is_none() {
            rules.push_with(|| {
                let extra = bindings
                    .iter()
                    .map(|binding| binding.name.as_str())
                    .filter(|name| !declared(name));
                let hint = text::nearest(&workspace.name, extra).map_or_else(String::new, |nearest| {
                    format!("; \"{nearest}\" is bound, did you mean \"{}\"?", workspace.name)
                });
                FieldError::own(
                    format!(
                        "declared workspace \"{}\" is required but has not been bound",
                        workspace.name
                    ),
                    "spec.workspaces",
                )
                .with_note(format!(
                    "spec.workspaces: Task \"{task}\" needs workspace \"{}\"{hint}",
                    workspace.name
                ))
            });
        }
    }
    if origin == Origin::Named {
        for (index, binding) in bindings.iter().enumerate() {
            if !declared(&binding.name) {
                rules.push_with(|| {
                    let at = format!("spec.workspaces[{index}].name");
                    let known = spec.workspaces.iter().map(|workspace| workspace.name.as_str());
                    let note = format!(
                        "{at}: {}",
                        text::suggestion(&binding.name, known, "declared workspaces")
                    );
                    FieldError::own(
                        format!(
                            "workspace binding \"{}\" does not match any declared workspace",
                            binding.name
                        ),
                        at,
                    )
                    .with_note(note)
                });
            }
        }
    }
    if rules.config.flags.coschedule == Coschedule::Workspaces {
        let claims = crate::workspaces::claims(bindings);
        if claims.len() > 1 {
            rules.push(
                FieldError::own("more than one PersistentVolumeClaim is bound", "spec.workspaces").with_note(format!(
                    "spec.workspaces: {} may lie on different nodes; bind one, or ask the cluster's operator for `coschedule: disabled`",
                    claims.join(", ")
                )),
            );
        }
    }
}

fn overrides(rules: &mut Rules<'_>, run: &TaskRun, spec: &TaskSpec, task: &str) {
    let steps: Vec<&str> = spec.steps.iter().map(|step| step.name.as_str()).collect();
    let sidecars: Vec<&str> = spec
        .sidecars
        .iter()
        .map(|sidecar| sidecar.name.as_str())
        .collect();
    for (specs, field, known, kind, word) in [
        (&run.spec.step_specs, "stepSpecs", &steps, "Step", "steps"),
        (
            &run.spec.sidecar_specs,
            "sidecarSpecs",
            &sidecars,
            "Sidecar",
            "sidecars",
        ),
    ] {
        let there: HashSet<&str> = known.iter().copied().collect();
        for (index, wanted) in specs
            .iter()
            .enumerate()
            .filter(|(_, wanted)| !wanted.name.is_empty())
        {
            if !there.contains(wanted.name.as_str()) {
                rules.push_with(|| {
                    let at = format!("spec.{field}[{index}].name");
                    let note = format!(
                        "{at}: Task \"{task}\": {}",
                        text::suggestion(&wanted.name, known.iter().copied(), word)
                    );
                    let message = format!("invalid {kind}Override: No {kind} named {}", wanted.name);
                    FieldError::own(message, at).with_note(note)
                });
            }
        }
    }
    let before = run.spec.debug.iter().flat_map(|debug| &debug.breakpoints);
    let there: HashSet<&str> = steps.iter().copied().collect();
    for (index, name) in before.flat_map(|points| &points.before_steps).enumerate() {
        if !there.contains(name.as_str()) {
            rules.push_with(|| {
                let at = format!("spec.debug.breakpoints.beforeSteps[{index}]");
                let note = format!(
                    "{at}: Task \"{task}\": {}",
                    text::suggestion(name, steps.iter().copied(), "steps")
                );
                FieldError::own(format!("undefined step \"{name}\""), at).with_note(note)
            });
        }
    }
    sidecar_resources(rules, run, spec);
    if run.spec.step_specs.is_empty() {
        return;
    }
    let mut merged = merged_steps(spec).into_owned();
    if resources::apply(&mut merged, run).is_ok() {
        let merged: HashMap<&str, &Step> = merged
            .iter()
            .rev()
            .map(|step| (step.name.as_str(), step))
            .collect();
        for (index, wanted) in run.spec.step_specs.iter().enumerate() {
            if let Some(step) = merged.get(wanted.name.as_str()) {
                let at = format!("spec.stepSpecs[{index}].computeResources");
                own::resources(rules, &step.compute_resources, &at);
            }
        }
    }
}

fn sidecar_resources(rules: &mut Rules<'_>, run: &TaskRun, spec: &TaskSpec) {
    for (index, wanted) in run.spec.sidecar_specs.iter().enumerate() {
        if let Some(sidecar) = spec.sidecars.iter().find(|sidecar| sidecar.name == wanted.name) {
            let mut together = sidecar.compute_resources.clone();
            resources::overlay(&mut together, &wanted.compute_resources);
            own::resources(
                rules,
                &together,
                &format!("spec.sidecarSpecs[{index}].computeResources"),
            );
        }
    }
}

/// What the run's values make of the Task's fields: an image that is none, a word that is not allowed.
fn substituted(rules: &mut Rules<'_>, run: &TaskRun, spec: &TaskSpec, task: &str, origin: Origin) {
    let path = match origin {
        Origin::Named => format!("Task \"{task}\": spec"),
        Origin::Inline => "spec.taskSpec".to_owned(),
    };
    let table = params::table(spec, run);
    let mut with_values = spec.clone();
    if table.is_empty()
        || crate::substitute::param_stage(&mut with_values, &table).is_err()
        || with_values == *spec
    {
        return;
    }
    // What is wrong without the values is told elsewhere.
    let found = |spec: &TaskSpec| {
        let mut rules = Rules::new(rules.config);
        own::containers(&mut rules, spec, &path);
        rules.errors
    };
    let (before, after) = (found(spec), found(&with_values));
    let before: Vec<String> = before.sorted().into_iter().map(ToString::to_string).collect();
    for error in after.sorted() {
        let text = error.to_string();
        if !before.contains(&text) {
            let mut told = FieldError::own("the values of params cannot be used", "spec.params")
                .with_note(format!("with the values that are given: {text}"));
            for note in error.notes() {
                told = told.with_note(note);
            }
            rules.push(told);
        }
    }
}

/// Every volume that a container mounts is the Task's or the podTemplate's.
fn mounts(rules: &mut Rules<'_>, run: &TaskRun, spec: &TaskSpec, task: &str, origin: Origin) {
    let template = run
        .spec
        .pod_template
        .iter()
        .flat_map(|template| template.pod.volumes.iter().flatten());
    let from_template: Vec<&str> = template.map(|volume| volume.name.as_str()).collect();
    let variable = |name: &str| name.contains("$(");
    let own_volumes: Vec<&str> = spec.volumes.iter().map(|volume| volume.name.as_str()).collect();
    let own: HashSet<&str> = own_volumes.iter().copied().collect();
    for (index, name) in from_template.iter().enumerate() {
        if own.contains(name) {
            rules.push(
                FieldError::own(
                    format!("multiple volumes with same name \"{name}\""),
                    format!("spec.podTemplate.volumes[{index}].name"),
                )
                .with_note(format!(
                    "spec.podTemplate.volumes[{index}].name: Task \"{task}\" has a volume \"{name}\" too"
                )),
            );
        }
    }
    // A name that a variable makes may be any.
    if own_volumes
        .iter()
        .chain(&from_template)
        .any(|name| variable(name))
    {
        return;
    }
    let all: HashSet<&str> = own.iter().chain(&from_template).copied().collect();
    let steps = spec.steps.iter().map(|step| &step.volume_mounts);
    let sidecars = spec.sidecars.iter().map(|sidecar| &sidecar.volume_mounts);
    let template = spec
        .step_template
        .iter()
        .map(|template| ("stepTemplate".to_owned(), &template.volume_mounts));
    let each = steps
        .enumerate()
        .map(|(index, mounts)| (format!("steps[{index}]"), mounts))
        .chain(
            sidecars
                .enumerate()
                .map(|(index, mounts)| (format!("sidecars[{index}]"), mounts)),
        )
        .chain(template);
    for (container, mounts) in each {
        for (index, mount) in mounts.iter().enumerate() {
            let name = mount.name.as_str();
            if all.contains(name)
                || name.starts_with("ws-")
                || name.is_empty()
                || variable(name)
                || name.starts_with("tekton-internal-")
            {
                continue;
            }
            rules.push_with(|| {
                let at = format!("{container}.volumeMounts[{index}].name");
                let (path, inside) = match origin {
                    Origin::Inline => (format!("spec.taskSpec.{at}"), format!("spec.taskSpec.{at}")),
                    Origin::Named => (
                        "spec.taskRef.name".to_owned(),
                        format!("Task \"{task}\", spec.{at}"),
                    ),
                };
                let known = own_volumes.iter().chain(&from_template).copied();
                let note = format!("{inside}: {}", text::suggestion(name, known, "volumes"));
                FieldError::own(format!("undefined volume \"{name}\""), path).with_note(note)
            });
        }
    }
}

/// The volumes that a run's containers can mount; none where a variable makes a name, which may be any.
fn volumes_of<'a>(run: &'a TaskRun, spec: &'a TaskSpec) -> Vec<&'a str> {
    let template = run
        .spec
        .pod_template
        .iter()
        .flat_map(|template| template.pod.volumes.iter().flatten());
    let names: Vec<&str> = spec
        .volumes
        .iter()
        .chain(template)
        .map(|volume| volume.name.as_str())
        .collect();
    if names.iter().any(|name| name.contains("$(")) {
        Vec::new()
    } else {
        names
    }
}
