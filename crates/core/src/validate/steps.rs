//! Steps (api.md 3.5, T7 to T23).

use std::collections::HashSet;

use tektite_api::{Step, TaskResult, TaskSpec, task::StepRef};

use super::{Rules, lookup::repeated, reference, results, text, variables, when};
use crate::{config::ApiFields, field_error::FieldError};

/// All rules of all steps; `merged` are the spec's with the template's values.
pub(super) fn check(rules: &mut Rules<'_>, spec: &TaskSpec, merged: &[Step], path: &str) {
    let of_task: HashSet<&str> = spec.results.iter().map(|result| result.name.as_str()).collect();
    let again = repeated(merged.iter().map(|step| &step.name));
    for ((index, step), again) in merged.iter().enumerate().zip(again) {
        let at = format!("{path}.steps[{index}]");
        if again && !step.name.is_empty() {
            rules.push(
                FieldError::both(&[&format!("{at}.name")])
                    .with_note(format!("{at}.name: another step is called \"{}\"", step.name)),
            );
        }
        one(rules, step, &at);
        if step.script.contains("$(") {
            script_results(rules, spec, &of_task, step, &at);
        }
        results::step(rules, &step.results, &format!("{path}.steps.results[{index}]"));
        when::check(rules, &step.when, &at);
    }
}

fn one(rules: &mut Rules<'_>, step: &Step, at: &str) {
    if !rules.config.flags.artifacts && uses_artifacts(step) {
        rules.push(FieldError::new(
            "feature flag enable-artifacts should be set to true to use artifacts feature.",
            at,
        ).with_note(format!("{at}: the cluster's operator allows artifacts with `enable-artifacts: \"true\"` in ConfigMap feature-flags")));
        return;
    }
    if let Some(timeout) = step.timeout.filter(|timeout| timeout.is_negative()) {
        rules.push(
            FieldError::invalid(timeout, format!("{at}.negative timeout")).with_note(format!(
                "{at}.timeout: a duration such as \"30m\"; \"0\" for no limit"
            )),
        );
        return;
    }
    match &step.step_ref {
        Some(step_ref) => reference_to_action(rules, step, step_ref, at),
        None => container(rules, step, at),
    }
    if !step.name.is_empty() && !text::is_dns_label(&step.name) {
        rules.push(
            FieldError::new(format!("invalid value \"{}\"", step.name), format!("{at}.name")).with_details(
                "Task step name must be a valid DNS Label, For more info refer to https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#names",
            ).with_note(format!("{at}.name: lower-case letters, digits and \"-\" are allowed, at most 63")),
        );
    }
    mounts(rules, step, at);
    let on_error = step.on_error.as_str();
    if !matches!(on_error, "" | "continue" | "stopAndFail") && !on_error.starts_with("$(params") {
        rules.push(
            FieldError::invalid(format!("\"{on_error}\""), format!("{at}.onError"))
                .with_details("Task step onError must be either \"continue\" or \"stopAndFail\"")
                .with_note(format!(
                    "{at}.onError: {}",
                    text::suggestion(on_error, ["continue", "stopAndFail"], "allowed values")
                )),
        );
    }
    if step.script.trim_start().starts_with("#!win") {
        rules.gate("windows script support", ApiFields::Alpha);
    }
    if step.stdout_config.is_some() {
        rules.gate("step stdout stream support", ApiFields::Alpha);
    }
    if step.stderr_config.is_some() {
        rules.gate("step stderr stream support", ApiFields::Alpha);
    }
    misplaced_references(rules, step, at);
}

/// T9.
fn reference_to_action(rules: &mut Rules<'_>, step: &Step, step_ref: &StepRef, at: &str) {
    let target = reference::Target {
        name: &step_ref.name,
        resolver: &step_ref.resolver,
        params: &step_ref.params,
    };
    reference::check(rules, target, at);
    for (set, what, field) in [
        (!step.image.is_empty(), "image", "image"),
        (!step.command.is_empty(), "command", "command"),
        (!step.args.is_empty(), "args", "args"),
        (!step.script.is_empty(), "script", "script"),
        (!step.working_dir.is_empty(), "working dir", "workingDir"),
        (!step.env.is_empty(), "env", "env"),
        (!step.volume_mounts.is_empty(), "volumeMounts", "volumeMounts"),
        (!step.results.is_empty(), "results", "results"),
    ] {
        if set {
            let path = format!("{at}.{field}");
            let note = format!("{path}: a step with ref gets its {field} from the StepAction");
            rules.push(FieldError::new(format!("{what} cannot be used with Ref"), path).with_note(note));
        }
    }
}

/// T10, T12, T13.
fn container(rules: &mut Rules<'_>, step: &Step, at: &str) {
    if !step.params.is_empty() {
        let note = format!(
            "{at}.params: a step's params are for the StepAction that `ref` names; this step has no ref"
        );
        rules.push(
            FieldError::new("params cannot be used without Ref", format!("{at}.params")).with_note(note),
        );
    }
    if step.image.is_empty() {
        let note = format!("{at}: a step needs an image, its own or the stepTemplate's");
        rules.push(FieldError::missing(format!("{at}.Image")).with_note(note));
    }
    if !step.script.is_empty() && !step.command.is_empty() {
        let note = format!(
            "{at}: the script is what runs; for arguments of the script use args, or call it from a command without script"
        );
        rules.push(
            FieldError::new("script cannot be used with command", format!("{at}.script")).with_note(note),
        );
    }
}

/// T16, T17.
fn mounts(rules: &mut Rules<'_>, step: &Step, at: &str) {
    for (index, mount) in step.volume_mounts.iter().enumerate() {
        let path = format!("{at}.volumeMounts[{index}]");
        let mounted = text::clean_path(&mount.mount_path);
        if mounted.starts_with("/tekton/") && !mounted.starts_with("/tekton/home") {
            rules.push(
                FieldError::new(
                    format!(
                        "volumeMount cannot be mounted under /tekton/ (volumeMount \"{}\" mounted at \"{}\")",
                        mount.name, mount.mount_path
                    ),
                    format!("{path}.mountPath"),
                )
                .with_note(format!(
                    "{path}.mountPath: the engine keeps its own files below /tekton; mount elsewhere"
                )),
            );
        }
        if mount.name.starts_with("tekton-internal-") {
            rules.push(
                FieldError::new(
                    format!(
                        "volumeMount name \"{}\" cannot start with \"tekton-internal-\"",
                        mount.name
                    ),
                    format!("{path}.name"),
                )
                .with_note(format!("{path}.name: volumes of this name are the engine's own")),
            );
        }
    }
}

/// T8: whether the step speaks of artifacts.
fn uses_artifacts(step: &Step) -> bool {
    let env = step.env.iter().filter_map(|env| env.value.as_ref());
    let texts = [&step.script]
        .into_iter()
        .chain(&step.command)
        .chain(&step.args)
        .chain(env);
    texts.into_iter().any(|text| {
        variables::inner(text).any(|inner| {
            matches!(inner, "step.artifacts.path" | "artifacts.path") || variables::is_artifact(inner)
        })
    })
}

/// T21, T22: what a step leaves is read when a later one starts, and only some fields are looked at
/// then.
fn misplaced_references(rules: &mut Rules<'_>, step: &Step, at: &str) {
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut fields: Vec<(&str, String)> = vec![
        ("name", step.name.clone()),
        ("image", step.image.clone()),
        ("script", step.script.clone()),
        ("imagePullPolicy", step.image_pull_policy.clone()),
        ("workingDir", step.working_dir.clone()),
    ];
    for source in &step.env_from {
        fields.push(("envFrom.prefix", optional(&source.prefix)));
        if let Some(map) = &source.config_map_ref {
            fields.push(("envFrom.configMapRef", map.name.clone()));
        }
        if let Some(secret) = &source.secret_ref {
            fields.push(("envFrom.secretRef", secret.name.clone()));
        }
    }
    for mount in &step.volume_mounts {
        fields.push(("volumeMounts.name", mount.name.clone()));
        fields.push(("volumeMounts.mountPath", mount.mount_path.clone()));
        fields.push(("volumeMounts.subPath", optional(&mount.sub_path)));
    }
    for device in &step.volume_devices {
        fields.push(("volumeDevices.name", device.name.clone()));
        fields.push(("volumeDevices.devicePath", device.device_path.clone()));
    }
    for (field, text) in fields {
        let path = format!("{at}.{field}");
        if variables::inner(&text).any(variables::is_step_result) {
            let note = format!("{path}: pass the result through env or args, and read that here");
            rules.push(
                FieldError::new(
                    "stepResult substitutions are only allowed in env, command and args. Found usage in",
                    path.clone(),
                )
                .with_note(note),
            );
        }
        let artifact = |inner| variables::is_artifact(inner) && inner.starts_with("steps.");
        if field != "script" && variables::inner(&text).any(artifact) {
            rules.push(FieldError::new(
                "stepArtifact substitutions are only allowed in env, command, args and script. Found usage in",
                path.clone(),
            ).with_note(format!("{path}: pass the artifact through env or args, and read that here")));
        }
    }
}

/// T23, T49: paths of results that nobody declares.
fn script_results(rules: &mut Rules<'_>, spec: &TaskSpec, of_task: &HashSet<&str>, step: &Step, at: &str) {
    let of_step: HashSet<&str> = step.results.iter().map(|result| result.name.as_str()).collect();
    for (prefix, known, declared, what, asked) in [
        (
            "step.results",
            &of_step,
            &step.results,
            "declared results of the step",
            !step.results.is_empty(),
        ),
        (
            "results",
            of_task,
            &spec.results,
            "declared results of the Task",
            true,
        ),
    ] {
        if !asked {
            continue;
        }
        for used in variables::names_after(&step.script, prefix) {
            if !known.contains(used) {
                rules.push_with(|| {
                    let path = format!("{at}.script");
                    let names = declared.iter().map(|result: &TaskResult| result.name.as_str());
                    let note = format!(
                        "{path}: $({prefix}.{used}…) names no result; {}",
                        text::suggestion(used, names, what)
                    );
                    variables::non_existent(&step.script, path).with_note(note)
                });
            }
        }
    }
}
