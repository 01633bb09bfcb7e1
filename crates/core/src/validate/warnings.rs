//! What is legal and likely wrong: kubectl shows it, and the object is stored. No I/O.

use std::collections::HashSet;

use tektite_api::{StepAction, TaskRun, TaskSpec, step_action::StepActionSpec};

use super::{lookup::repeated, variables};

/// More would drown each other; the API server cuts off what is too long.
const MOST: usize = 12;

/// About a TaskRun.
pub fn task_run(run: &TaskRun) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(task_ref) = &run.spec.task_ref
        && !matches!(task_ref.kind.as_str(), "" | "Task")
        && task_ref.resolver.is_empty()
    {
        warnings.push(format!(
            "spec.taskRef.kind: \"{}\" is not looked at; a Task of this namespace is run",
            task_ref.kind
        ));
    }
    for param in &run.spec.params {
        let text = serde_json::to_string(&param.value).unwrap_or_default();
        if variables::params(&text).next().is_some() {
            warnings.push(format!(
                "spec.params[{}]: variables in a TaskRun's values are not replaced; they stay text",
                param.name
            ));
        }
    }
    if let Some(spec) = &run.spec.task_spec {
        of_spec(&mut warnings, spec, "spec.taskSpec");
    }
    capped(warnings)
}

/// About a Task's spec.
pub fn task(spec: &TaskSpec) -> Vec<String> {
    let mut warnings = Vec::new();
    of_spec(&mut warnings, spec, "spec");
    let volumes: HashSet<&str> = spec.volumes.iter().map(|volume| volume.name.as_str()).collect();
    let any = volumes.iter().any(|name| name.contains("$("));
    for (index, step) in spec.steps.iter().enumerate() {
        for (position, mount) in step.volume_mounts.iter().enumerate() {
            let known = any || volumes.contains(mount.name.as_str());
            if !known && !mount.name.contains("$(") && !mount.name.is_empty() {
                warnings.push(format!(
                    "spec.steps[{index}].volumeMounts[{position}].name: no volume \"{}\" here; each TaskRun has to bring it in its podTemplate",
                    mount.name
                ));
            }
        }
    }
    capped(warnings)
}

/// About a StepAction.
pub fn step_action(action: &StepAction) -> Vec<String> {
    let StepActionSpec { command, script, .. } = &action.spec;
    if command.is_empty() && script.is_empty() {
        return vec![looked_up("spec")];
    }
    Vec::new()
}

/// Values that the Task does not declare.
pub fn undeclared_params(run: &TaskRun, spec: &TaskSpec, task: &str) -> Vec<String> {
    let declared: HashSet<&str> = spec.params.iter().map(|param| param.name.as_str()).collect();
    // Bindings and the podTemplate take them too.
    let fields = serde_json::to_string(&(&run.spec.workspaces, &run.spec.pod_template)).unwrap_or_default();
    let used: HashSet<&str> = variables::params(&fields).map(|used| used.parts().0).collect();
    let given = run.spec.params.iter().map(|given| given.name.as_str());
    let undeclared = given.filter(|name| !declared.contains(name) && !used.contains(name));
    capped(
        undeclared
            .map(|name| {
                format!("spec.params[{name}]: Task \"{task}\" does not declare it; the value is not used")
            })
            .collect(),
    )
}

fn looked_up(at: &str) -> String {
    format!("{at}: neither command nor script, so the image's own has to be looked up in its registry")
}

fn of_spec(warnings: &mut Vec<String>, spec: &TaskSpec, path: &str) {
    let template = spec.step_template.as_ref();
    for (index, step) in spec.steps.iter().enumerate() {
        let at = format!("{path}.steps[{index}]");
        let has_command =
            !step.command.is_empty() || template.is_some_and(|template| !template.command.is_empty());
        if step.step_ref.is_none() && step.script.is_empty() && !has_command {
            warnings.push(looked_up(&at));
        }
        if let Some(used) = variables::params(&step.script).next() {
            warnings.push(format!(
                "{at}.script: $({}) becomes part of the program, whatever it holds; hand it over in env and read it there",
                used.inner
            ));
        }
        for inner in step
            .args
            .iter()
            .chain(&step.command)
            .flat_map(|text| variables::inner(text))
        {
            if inner.starts_with("inputs.params.") {
                warnings.push(format!(
                    "{at}: $({inner}) is an old form of $({})",
                    &inner["inputs.".len()..]
                ));
            }
            if inner.starts_with("tasks.") || inner.starts_with("context.pipeline") {
                warnings.push(format!(
                    "{at}: $({inner}) belongs to Pipelines and stays text in a Task"
                ));
            }
        }
        let again = repeated(step.env.iter().map(|env| &env.name));
        for ((position, env), again) in step.env.iter().enumerate().zip(again) {
            if again {
                warnings.push(format!(
                    "{at}.env[{position}]: \"{}\" is set more than once; the last one counts",
                    env.name
                ));
            }
        }
        for (position, when) in step.when.iter().enumerate() {
            let fixed = |text: &String| !text.contains("$(");
            if when.cel.is_empty() && fixed(&when.input) && when.values.iter().all(fixed) {
                warnings.push(format!(
                    "{at}.when[{position}]: holds no variable, so it is always the same"
                ));
            }
        }
    }
    let again = repeated(spec.results.iter().map(|result| &result.name));
    for ((index, result), again) in spec.results.iter().enumerate().zip(again) {
        if again {
            warnings.push(format!(
                "{path}.results[{index}].name: \"{}\" is declared more than once",
                result.name
            ));
        }
    }
    if spec.results.len() > 60 {
        warnings.push(format!(
            "{path}.results: {} results share 12288 bytes in all, names included",
            spec.results.len()
        ));
    }
}

fn capped(mut warnings: Vec<String>) -> Vec<String> {
    if warnings.len() > MOST {
        let more = warnings.len() - MOST;
        warnings.truncate(MOST);
        warnings.push(format!("and {more} more of this kind"));
    }
    warnings
}
