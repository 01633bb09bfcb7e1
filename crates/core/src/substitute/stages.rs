//! The stages in their order, and what each knows (api.md 4.2).

use std::collections::{BTreeMap, HashSet};

use tektite_api::{ParamValue, TaskSpec, WorkspaceBinding};
use tektite_protocol::paths;

use super::{
    Variables,
    fields::{self, Own},
};
use crate::names;

/// What is known about the run itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The TaskRun's name.
    pub run_name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// The Task's name; the TaskRun's for an inline spec.
    pub task_name: &'a str,
    /// How many attempts came before this one.
    pub retry_count: usize,
}

/// A binding with the Pod's volume for it.
#[derive(Clone, Debug)]
pub struct BoundVolume<'a> {
    /// What is bound.
    pub binding: &'a WorkspaceBinding,
    /// The volume's name.
    pub volume: &'a str,
}

/// The variables that bindings and podTemplates take: parameters only.
pub fn binding_variables(params: &BTreeMap<String, ParamValue>) -> Variables {
    let mut variables = Variables::default();
    for (name, value) in params {
        variables.set_param(name, value);
    }
    variables
}

/// A spec that no Pod could hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the values of all variables together have more than {} bytes, which no Pod can hold",
    super::MOST_GROWTH
)]
pub struct TooLarge;

/// Replaces the params in `spec`, and nothing else.
///
/// # Errors
/// See [`TooLarge`].
pub fn param_stage(spec: &mut TaskSpec, params: &BTreeMap<String, ParamValue>) -> Result<(), TooLarge> {
    stage(spec, &binding_variables(params), &Own::default())
}

/// Replaces everything in `spec` that the controller knows.
///
/// # Errors
/// There is too much of it; then some variables are as they were.
pub fn task_spec_stages(
    spec: &mut TaskSpec,
    params: &BTreeMap<String, ParamValue>,
    context: Context<'_>,
    bound: &[BoundVolume<'_>],
) -> Result<(), TooLarge> {
    let none = Own::default();
    stage(spec, &binding_variables(params), &none)?;
    stage(spec, &contexts(context), &none)?;
    let own = step_results(spec);
    let results = task_results(spec);
    stage(spec, &results, &own)?;
    let codes = exit_codes(spec);
    stage(spec, &codes, &none)?;
    let (common, own) = workspaces(spec, bound);
    stage(spec, &common, &own)
}

/// Replaces `$(credentials.path)`: only in the copy that a Pod is made from, never in a status.
pub fn credentials_path(spec: &mut TaskSpec) {
    let mut variables = Variables::default();
    variables.set("credentials.path", paths::CREDENTIALS_DIR);
    fields::task_spec(spec, &variables, &Own::default());
}

fn stage(spec: &mut TaskSpec, common: &Variables, own: &Own) -> Result<(), TooLarge> {
    fields::task_spec(spec, common, own);
    let mut all = own.steps.iter().chain(&own.sidecars).chain([common]);
    if all.any(Variables::is_exhausted) {
        Err(TooLarge)
    } else {
        Ok(())
    }
}

fn contexts(context: Context<'_>) -> Variables {
    let mut variables = Variables::default();
    variables.set("context.taskRun.name", context.run_name);
    variables.set("context.taskRun.namespace", context.namespace);
    variables.set("context.taskRun.uid", context.uid);
    variables.set("context.task.name", context.task_name);
    variables.set("context.task.retry-count", context.retry_count.to_string());
    variables
}

fn path_forms(variables: &mut Variables, base: &str, name: &str, path: &str) {
    for form in [
        format!("{base}.{name}.path"),
        format!("{base}[\"{name}\"].path"),
        format!("{base}['{name}'].path"),
    ] {
        variables.set(form, path);
    }
}

fn step_results(spec: &TaskSpec) -> Own {
    let each = spec.steps.iter().enumerate().map(|(index, step)| {
        let base = names::step_base(step, index);
        let mut variables = Variables::default();
        for result in &step.results {
            let path = paths::step_result(&base, &result.name);
            path_forms(&mut variables, "step.results", &result.name, &path);
        }
        let artifacts = format!("{}/{base}/artifacts/provenance.json", paths::STEPS_DIR);
        variables.set("step.artifacts.path", artifacts);
        variables.set(
            "artifacts.path",
            format!("{}/provenance.json", paths::ARTIFACTS_DIR),
        );
        variables
    });
    Own {
        steps: each.collect(),
        sidecars: Vec::new(),
    }
}

fn task_results(spec: &TaskSpec) -> Variables {
    let mut variables = Variables::default();
    for result in &spec.results {
        path_forms(
            &mut variables,
            "results",
            &result.name,
            &paths::task_result(&result.name),
        );
    }
    variables
}

fn exit_codes(spec: &TaskSpec) -> Variables {
    let mut variables = Variables::default();
    for (index, step) in spec.steps.iter().enumerate() {
        let base = names::step_base(step, index);
        variables.set(
            format!("steps.{base}.exitCode.path"),
            format!("{}/{base}/exitCode", paths::STEPS_DIR),
        );
    }
    variables
}

/// Common variables, and per container the paths of workspaces that it mounts elsewhere.
fn workspaces(spec: &TaskSpec, bound: &[BoundVolume<'_>]) -> (Variables, Own) {
    let mut common = Variables::default();
    let names: HashSet<&str> = bound.iter().map(|volume| volume.binding.name.as_str()).collect();
    for declaration in &spec.workspaces {
        let name = &declaration.name;
        let is_bound = names.contains(name.as_str());
        let here = is_bound || !declaration.optional;
        common.set(format!("workspaces.{name}.bound"), here.to_string());
        let path = if here { declaration.path() } else { String::new() };
        common.set(format!("workspaces.{name}.path"), path);
        common.set(format!("workspaces.{name}.volume"), "");
        common.set(format!("workspaces.{name}.claim"), "");
    }
    for BoundVolume { binding, volume } in bound {
        let claim = binding
            .persistent_volume_claim
            .as_ref()
            .map_or("", |claim| claim.claim_name.as_str());
        common.set(format!("workspaces.{}.volume", binding.name), *volume);
        common.set(format!("workspaces.{}.claim", binding.name), claim);
    }
    let steps = spec
        .steps
        .iter()
        .map(|step| usage_paths(&step.workspaces))
        .collect();
    let sidecars = spec
        .sidecars
        .iter()
        .map(|sidecar| usage_paths(&sidecar.workspaces))
        .collect();
    (common, Own { steps, sidecars })
}

fn usage_paths(usages: &[tektite_api::WorkspaceUsage]) -> Variables {
    let mut variables = Variables::default();
    for usage in usages.iter().filter(|usage| !usage.mount_path.is_empty()) {
        variables.set(format!("workspaces.{}.path", usage.name), &usage.mount_path);
    }
    variables
}
