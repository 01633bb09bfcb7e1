//! Rules that only stand here: mistakes that would be stored elsewhere and burn a run, or worse, let
//! it succeed with the wrong thing done. None of them refuses what can run. No I/O.

mod amounts;
mod containers;
mod env;
mod foreign;
mod forms;
mod place;
mod pod;
mod references;
pub(super) mod run;
mod schema;
mod sidecar;
mod step_results;
mod tables;
mod walk;

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::core::v1::Volume;
use serde_json::Value;
use tektite_api::{Step, StepTemplate, TaskRun, TaskSpec, step_action::StepActionSpec};
use tektite_protocol::flags::ResultsFrom;

pub(crate) use amounts::resources;
pub(crate) use references::Scope;

use super::{Rules, lookup::repeated, step_action::as_step, text};
use crate::{config::ApiFields, field_error::FieldError, names};
use containers::Container;

/// The longest that the scripts of one Task may be together.
const SCRIPTS: usize = 512 * 1024;

/// A Task's spec; `run` is the one that it stands in.
pub(super) fn task(
    rules: &mut Rules<'_>,
    spec: &TaskSpec,
    merged: &[Step],
    path: &str,
    run: Option<&TaskRun>,
) {
    let tree = serde_json::to_value(spec).unwrap_or(Value::Null);
    tables_of(rules, &tree, path);
    if let Some(template) = &spec.step_template {
        containers::entries(
            rules,
            &Container::of_template(template),
            &format!("{path}.stepTemplate"),
        );
        if template_is_too_large(spec, template) {
            let note = format!(
                "{path}.stepTemplate: each of the {} steps would get it, and a Pod may have {MERGED} bytes",
                spec.steps.len()
            );
            rules.push(
                FieldError::own(
                    "steps with the template's values are too large",
                    format!("{path}.stepTemplate"),
                )
                .with_note(note),
            );
        }
    }
    for (index, step) in spec.steps.iter().enumerate() {
        let at = format!("{path}.steps[{index}]");
        containers::entries(rules, &Container::of_step(step), &at);
        containers::whole(rules, &Container::of_step(&merged[index]), &at);
        step_fields(rules, step, &at);
    }
    for (index, sidecar) in spec.sidecars.iter().enumerate() {
        let at = format!("{path}.sidecars[{index}]");
        containers::entries(rules, &Container::of_sidecar(sidecar), &at);
        containers::whole(rules, &Container::of_sidecar(sidecar), &at);
        self::sidecar::check(rules, sidecar, &at);
    }
    container_names(rules, spec, path);
    if run.is_none() {
        misspelt_mounts(rules, spec, path);
    }
    for (index, volume) in spec.volumes.iter().enumerate() {
        one_source(rules, volume, &format!("{path}.volumes[{index}]"));
    }
    workspaces(rules, spec, path);
    references::task(rules, spec, &tree, &Scope::of(spec, run), path);
    script_size(rules, spec, path);
    result_size(rules, spec, path);
}

/// The containers and volumes alone, as they are when a run's values are in them.
pub(crate) fn containers(rules: &mut Rules<'_>, spec: &TaskSpec, path: &str) {
    tables_of(rules, &serde_json::to_value(spec).unwrap_or(Value::Null), path);
    for (index, step) in super::task::merged_steps(spec).iter().enumerate() {
        let at = format!("{path}.steps[{index}]");
        if step.image.is_empty() && step.step_ref.is_none() {
            rules.push(FieldError::own("missing field(s)", format!("{at}.image")));
        }
        containers::entries(rules, &Container::of_step(step), &at);
        containers::whole(rules, &Container::of_step(step), &at);
        containers::one_of(
            rules,
            &step.on_error,
            &["continue", "stopAndFail"],
            &format!("{at}.onError"),
        );
    }
    for (index, sidecar) in spec.sidecars.iter().enumerate() {
        containers::entries(
            rules,
            &Container::of_sidecar(sidecar),
            &format!("{path}.sidecars[{index}]"),
        );
    }
}

/// What the tables say about Kubernetes' own types in a Task's spec, given as a tree.
fn tables_of(rules: &mut Rules<'_>, tree: &Value, path: &str) {
    if let Some(template) = tree.get("stepTemplate") {
        tables::STEPS.check(rules, template, &format!("{path}.stepTemplate"));
    }
    for (list, schema) in [
        ("steps", &*tables::STEPS),
        ("sidecars", &*tables::SIDECARS),
        ("volumes", &*tables::VOLUMES),
    ] {
        let items = tree.get(list).and_then(Value::as_array);
        for (index, item) in items.into_iter().flatten().enumerate() {
            schema.check(rules, item, &format!("{path}.{list}[{index}]"));
        }
    }
}

/// A volume has one source at most; none is an emptyDir.
fn one_source(rules: &mut Rules<'_>, volume: &Volume, at: &str) {
    let tree = serde_json::to_value(volume).unwrap_or_default();
    let fields = tree.as_object().into_iter().flat_map(serde_json::Map::keys);
    let sources: Vec<&str> = fields
        .map(String::as_str)
        .filter(|field| *field != "name")
        .collect();
    if sources.len() > 1 {
        rules.push(
            FieldError::own("expected exactly one, got both", at).with_note(format!(
                "{at}: volume \"{}\" has {}; keep one",
                volume.name,
                sources.join(" and ")
            )),
        );
    }
    if volume.name.starts_with("tekton-internal-") {
        rules.push(
            FieldError::own(format!("invalid value: {}", volume.name), format!("{at}.name"))
                .with_note(format!("{at}.name: volumes of this name are the engine's own")),
        );
    }
}

/// A StepAction.
pub(super) fn step_action(rules: &mut Rules<'_>, spec: &StepActionSpec) {
    let step = as_step(spec);
    let tree = serde_json::to_value(&step).unwrap_or(Value::Null);
    tables::STEPS.check(rules, &tree, "spec");
    containers::entries(rules, &Container::of_step(&step), "spec");
    containers::whole(rules, &Container::of_step(&step), "spec");
    references::step_action(rules, spec);
    no_windows(rules, &spec.script, "spec");
}

/// Scripts for Windows are allowed at alpha elsewhere; no step runs there with this engine.
fn no_windows(rules: &mut Rules<'_>, script: &str, at: &str) {
    // Below alpha, the gate has told it.
    let allowed = rules.config.flags.api_fields == ApiFields::Alpha;
    if allowed && script.trim_start().starts_with("#!win") {
        let at = format!("{at}.script");
        let note = format!(
            "{at}: \"#!win\" is given; steps run on Linux, so begin with another \"#!\", or none for /bin/sh"
        );
        rules.push(FieldError::own("scripts for Windows are not supported", at).with_note(note));
    }
}

/// The kubelet makes the directory as it is written: no shell looks at it.
fn working_dir(rules: &mut Rules<'_>, dir: &str, at: &str) {
    if dir.starts_with('~') || (dir.starts_with('$') && !dir.starts_with("$(")) {
        let at = format!("{at}.workingDir");
        let note =
            format!("{at}: \"{dir}\" is no path; no shell replaces \"~\" or \"$NAME\" here, write the path");
        rules.push(FieldError::own(format!("invalid value: {dir}"), at).with_note(note));
    }
}

fn step_fields(rules: &mut Rules<'_>, step: &Step, at: &str) {
    working_dir(rules, &step.working_dir, at);
    no_windows(rules, &step.script, at);
    for (config, field) in [
        (&step.stdout_config, "stdoutConfig"),
        (&step.stderr_config, "stderrConfig"),
    ] {
        if config.as_ref().is_some_and(|config| config.path.is_empty()) {
            rules.push(FieldError::own("missing field(s)", format!("{at}.{field}.path")));
        }
    }
    let again = repeated(step.results.iter().map(|result| &result.name));
    for ((index, result), again) in step.results.iter().enumerate().zip(again) {
        if again {
            rules.push(FieldError::own(
                format!("result \"{}\" is declared more than once", result.name),
                format!("{at}.results[{index}].name"),
            ));
        }
        if result.value.is_some() {
            rules.push(
                FieldError::own("must not set the field(s)", format!("{at}.results[{index}].value"))
                    .with_note(format!("{at}.results[{index}].value: a step writes its result to $(step.results.{}.path); value is for results of the Task", result.name)),
            );
        }
    }
    let again = repeated(step.workspaces.iter().map(|usage| &usage.name));
    for ((index, usage), again) in step.workspaces.iter().enumerate().zip(again) {
        if again {
            rules.push(FieldError::own(
                format!("workspace \"{}\" is listed more than once", usage.name),
                format!("{at}.workspaces[{index}].name"),
            ));
        }
    }
}

/// Two containers of one Pod cannot have one name.
fn container_names(rules: &mut Rules<'_>, spec: &TaskSpec, path: &str) {
    let mut taken: HashSet<String> = HashSet::new();
    // Equal names of steps are told by T7.
    let again = repeated(spec.steps.iter().map(|step| &step.name));
    for ((index, step), equal) in spec.steps.iter().enumerate().zip(again) {
        let name = names::container(&names::step_base(step, index));
        if taken.contains(&name) && !equal && !step.name.contains("$(") {
            rules.push(
                FieldError::own(
                    format!("two containers would be called \"{name}\""),
                    format!("{path}.steps[{index}].name"),
                )
                .with_note(format!("{path}.steps[{index}].name: give the step another name")),
            );
        }
        taken.insert(name);
    }
    for (index, sidecar) in spec.sidecars.iter().enumerate() {
        let at = format!("{path}.sidecars[{index}].name");
        let name = names::container(&format!("sidecar-{}", sidecar.name));
        if sidecar.name.contains("$(") {
            continue;
        }
        if !text::is_dns_label(&name) {
            rules.push(
                FieldError::own(format!("invalid value \"{}\"", sidecar.name), at.clone())
                    .with_note(format!("{at}: lower-case letters, digits and \"-\" are allowed")),
            );
        } else if taken.contains(&name) {
            rules.push(
                FieldError::own(format!("two containers would be called \"{name}\""), at.clone())
                    .with_note(format!("{at}: give the sidecar another name")),
            );
        }
        taken.insert(name);
    }
}

/// A Task's steps may mount what each TaskRun's podTemplate brings, but hardly by a name that is nearly
/// one of the Task's own.
fn misspelt_mounts(rules: &mut Rules<'_>, spec: &TaskSpec, path: &str) {
    // Of names without number, the first are enough: each is compared with each.
    const MOST: usize = 300;
    let known: HashSet<&str> = spec.volumes.iter().map(|volume| volume.name.as_str()).collect();
    let mut compared = 0;
    let steps: Vec<_> = spec.steps.iter().map(|step| &step.volume_mounts).collect();
    let sidecars: Vec<_> = spec
        .sidecars
        .iter()
        .map(|sidecar| &sidecar.volume_mounts)
        .collect();
    for (list, each) in [("steps", steps), ("sidecars", sidecars)] {
        for (index, mounts) in each.into_iter().enumerate() {
            for (position, mount) in mounts.iter().enumerate() {
                let name = mount.name.as_str();
                if known.contains(name) || name.contains("$(") {
                    continue;
                }
                compared += 1;
                if compared > MOST {
                    return;
                }
                let near = |known: &&str| {
                    (3..=LONGEST_VOLUME).contains(&known.len()) && text::distance(known, name, 1) == Some(1)
                };
                let names = spec.volumes.iter().map(|volume| volume.name.as_str());
                if let Some(meant) = names.take(MOST).find(near) {
                    let at = format!("{path}.{list}[{index}].volumeMounts[{position}].name");
                    let note = format!("{at}: did you mean \"{meant}\"?");
                    rules.push(FieldError::own(format!("undefined volume \"{name}\""), at).with_note(note));
                }
            }
        }
    }
}

/// The longest name of a volume.
const LONGEST_VOLUME: usize = 63;

/// More than an API server takes as one object.
const MERGED: usize = 3 * 1024 * 1024;

/// Whether the steps with the template's values are larger than any Pod can be: each of many steps gets
/// all of a large template, and an object of a megabyte would become many gigabytes.
pub(super) fn template_is_too_large(spec: &TaskSpec, template: &StepTemplate) -> bool {
    fn size(part: &impl serde::Serialize) -> usize {
        serde_json::to_string(part).map_or(0, |text| text.len())
    }
    let steps = || spec.steps.iter().filter(|step| step.step_ref.is_none());
    if size(template).saturating_mul(steps().count()) <= MERGED {
        return false;
    }
    // What a step has itself it does not get.
    let texts = |step: &Step| {
        [
            (step.image.is_empty(), template.image.len()),
            (step.working_dir.is_empty(), template.working_dir.len()),
            (
                step.image_pull_policy.is_empty(),
                template.image_pull_policy.len(),
            ),
        ]
    };
    let lists = [
        size(&template.command),
        size(&template.args),
        size(&template.env_from),
    ];
    let whole = size(&template.compute_resources) + size(&template.security_context);
    let env: HashMap<&str, usize> = template
        .env
        .iter()
        .map(|env| (env.name.as_str(), size(env)))
        .collect();
    let mounts: HashMap<&str, usize> = template
        .volume_mounts
        .iter()
        .map(|mount| (mount.mount_path.as_str(), size(mount)))
        .collect();
    let devices: HashMap<&str, usize> = template
        .volume_devices
        .iter()
        .map(|device| (device.device_path.as_str(), size(device)))
        .collect();
    let all: usize = [&env, &mounts, &devices]
        .into_iter()
        .flat_map(HashMap::values)
        .sum();
    let mut sum = 0usize;
    for step in steps() {
        let empty = [
            step.command.is_empty(),
            step.args.is_empty(),
            step.env_from.is_empty(),
        ];
        let inherited: usize = texts(step)
            .into_iter()
            .chain(empty.into_iter().zip(lists))
            .filter_map(|(empty, size)| empty.then_some(size))
            .sum();
        let own_env = step.env.iter().filter_map(|own| env.get(own.name.as_str()));
        let own_mounts = step
            .volume_mounts
            .iter()
            .filter_map(|own| mounts.get(own.mount_path.as_str()));
        let own_devices = step
            .volume_devices
            .iter()
            .filter_map(|own| devices.get(own.device_path.as_str()));
        let own: usize = own_env.chain(own_mounts).chain(own_devices).sum();
        sum = sum.saturating_add(inherited + whole + all.saturating_sub(own));
    }
    sum > MERGED
}

/// The longest name of a file.
const FILE_NAME: usize = 255;

fn workspaces(rules: &mut Rules<'_>, spec: &TaskSpec, path: &str) {
    for (index, workspace) in spec.workspaces.iter().enumerate() {
        let at = format!("{path}.workspaces[{index}]");
        if workspace.name.is_empty() {
            rules.push(FieldError::own("missing field(s)", format!("{at}.name")));
        }
        containers::mount_path(rules, &workspace.mount_path, &format!("{at}.mountPath"));
    }
    for (index, result) in spec.results.iter().enumerate() {
        if result.name.len() > FILE_NAME {
            let at = format!("{path}.results[{index}].name");
            let note = format!(
                "{at}: \"{}\" has {} bytes; it names a file, so {FILE_NAME} are allowed",
                result.name,
                result.name.len()
            );
            rules.push(FieldError::own("a result's name is too long", at).with_note(note));
        }
        if result.result_type != Some(tektite_api::ParamType::Object) && result.properties.is_some() {
            let at = format!("{path}.results[{index}].properties");
            rules.push(
                FieldError::own("must not set the field(s)", at.clone()).with_note(format!(
                    "{at}: only an object has keys; result \"{}\" has another type",
                    result.name
                )),
            );
        }
    }
    for (index, param) in spec.params.iter().enumerate() {
        let is_other = matches!(
            param.param_type,
            Some(tektite_api::ParamType::String | tektite_api::ParamType::Array)
        );
        if is_other && param.properties.is_some() {
            let at = format!("{path}.params[{index}].properties");
            rules.push(
                FieldError::own("must not set the field(s)", at.clone()).with_note(format!(
                    "{at}: only an object has keys; param \"{}\" has another type",
                    param.name
                )),
            );
        }
    }
}

/// Scripts travel in the Pod, which has to fit into etcd.
fn script_size(rules: &mut Rules<'_>, spec: &TaskSpec, path: &str) {
    let steps = spec
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| (format!("steps[{index}]"), step.script.len()));
    let sidecars = spec
        .sidecars
        .iter()
        .enumerate()
        .map(|(index, sidecar)| (format!("sidecars[{index}]"), sidecar.script.len()));
    let sizes: Vec<(String, usize)> = steps.chain(sidecars).filter(|(_, size)| *size > 0).collect();
    let total: usize = sizes.iter().map(|(_, size)| size).sum();
    if total > SCRIPTS {
        let each: Vec<String> = sizes
            .iter()
            .take(20)
            .map(|(at, size)| format!("{path}.{at}.script: {size} bytes"))
            .collect();
        rules.push(
            FieldError::own(
                format!("scripts of {total} bytes are too large, allowed are {SCRIPTS} bytes together"),
                format!("{path}.steps"),
            )
            .with_note(each.join(", ")),
        );
    }
}

/// What the kubelet hands on of all containers of a Pod together.
const MESSAGES: usize = 12 * 1024;

/// Whether even empty results could not all be reported.
fn result_size(rules: &mut Rules<'_>, spec: &TaskSpec, path: &str) {
    if rules.config.flags.results_from != ResultsFrom::Message || spec.results.is_empty() {
        return;
    }
    // Around each name and value.
    let frame = r#"{"key":"","value":"","type":1},"#.len();
    let smallest: usize = spec
        .results
        .iter()
        .filter(|result| result.value.is_none())
        .map(|result| result.name.len() + frame)
        .sum();
    if smallest > MESSAGES {
        rules.push(
            FieldError::own(
                format!("{} results are too many: their names alone take {smallest} bytes", spec.results.len()),
                format!("{path}.results"),
            )
            .with_note(format!(
                "{path}.results: all steps of a Pod together can report {MESSAGES} bytes; declare fewer results, hand the data on in a workspace, or ask the cluster's operator for `results-from: sidecar-logs`"
            )),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_template_that_no_pod_can_hold_in_each_step_is_told() {
        let too_large = |steps: Vec<Value>, template: Value| {
            let spec: TaskSpec =
                serde_json::from_value(json!({"steps": steps, "stepTemplate": template})).unwrap();
            template_is_too_large(&spec, spec.step_template.as_ref().unwrap())
        };
        let large = "x".repeat(MERGED / 100);
        let env = json!({"env": [{"name": "A", "value": large}]});
        assert!(!too_large(vec![json!({}); 90], env.clone()));
        assert!(too_large(vec![json!({}); 101], env.clone()));
        // What has its own, or is a StepAction's, gets none.
        assert!(!too_large(
            vec![json!({"env": [{"name": "A", "value": "a"}]}); 101],
            env.clone()
        ));
        assert!(!too_large(vec![json!({"ref": {"name": "a"}}); 101], env));
        assert!(too_large(vec![json!({}); 101], json!({"image": large})));
        assert!(!too_large(
            vec![json!({"image": "i"}); 101],
            json!({"image": large})
        ));
    }
}
