//! A TaskRun's own fields (api.md 3.3).

use std::collections::HashSet;

use tektite_api::{PodTemplate, TaskRun, WorkspaceBinding, task_run::RequestedStatus};

use super::{Rules, lookup::repeated, own, pair, params, reference, task, text};
use crate::{config::ApiFields, field_error::FieldError};

/// All rules about the spec of a run whose defaults are filled in.
pub(super) fn spec(rules: &mut Rules<'_>, run: &TaskRun) {
    status(rules, run);
    source(rules, run);
    unique_ignoring_case(
        rules,
        run.spec.params.iter().map(|param| param.name.as_str()),
        |_, name| format!("spec.params[{name}].name"),
        "parameter names are compared without regard to case",
    );
    workspaces(rules, &run.spec.workspaces);
    debug(rules, run);
    container_specs(rules, run);
    if run.spec.retries < 0 {
        rules.push(
            FieldError::invalid(format!("{} should be >= 0", run.spec.retries), "spec.retries")
                .with_note("spec.retries: how many more attempts follow a failure; 0 for none"),
        );
    }
    if let Some(template) = &run.spec.pod_template {
        pod_template(rules, template);
    }
    if let Some(timeout) = run.spec.timeout.filter(|timeout| timeout.is_negative()) {
        rules.push(
            FieldError::invalid(format!("{timeout} should be >= 0"), "spec.timeout")
                .with_note("spec.timeout: a duration such as \"30m\"; \"0\" for no limit"),
        );
    }
    own::run::spec(rules, run);
    own::run::variables(rules, run, run.spec.task_spec.as_ref());
    if let Some(spec) = &run.spec.task_spec {
        pair::inline(rules, run, spec);
    }
}

/// R1, R23, R24.
pub(super) fn status(rules: &mut Rules<'_>, run: &TaskRun) {
    let started = run
        .status
        .as_ref()
        .is_some_and(|status| status.start_time.is_some());
    if started && run.spec.status == RequestedStatus::Pending {
        rules.push(FieldError::invalid(
            "TaskRun cannot be Pending after it is started",
            "spec.status",
        ).with_note("spec.status: TaskRunPending holds a run before it starts; TaskRunCancelled ends one that has started"));
    }
    if let RequestedStatus::Other(word) = &run.spec.status {
        rules.push(
            FieldError::invalid(
                format!("{word} should be TaskRunCancelled or TaskRunPending"),
                "spec.status",
            )
            .with_note(format!(
                "spec.status: {}",
                text::suggestion(word, ["TaskRunCancelled", "TaskRunPending"], "allowed values")
            )),
        );
    }
    if run.spec.status.is_none() && !run.spec.status_message.is_empty() {
        rules.push(FieldError::invalid(
            format!(
                "statusMessage should not be set if status is not set, but it is currently set to {}",
                run.spec.status_message
            ),
            "spec.statusMessage",
        ).with_note("spec.statusMessage: says why a run is cancelled or held, with spec.status TaskRunCancelled or TaskRunPending"));
    }
}

/// R5 to R8, R10.
fn source(rules: &mut Rules<'_>, run: &TaskRun) {
    let paths = ["spec.taskRef", "spec.taskSpec"];
    match (&run.spec.task_ref, &run.spec.task_spec) {
        (None, None) => rules.push(FieldError::neither(&paths).with_note(
            "a TaskRun runs one Task: name a stored one in spec.taskRef.name, or write its steps in spec.taskSpec",
        )),
        (Some(_), Some(_)) => rules.push(
            FieldError::both(&paths)
                .with_note("a TaskRun runs one Task: keep spec.taskRef or spec.taskSpec, not both"),
        ),
        _ => {}
    }
    if let Some(task_ref) = &run.spec.task_ref {
        let target = reference::Target {
            name: &task_ref.name,
            resolver: &task_ref.resolver,
            params: &task_ref.params,
        };
        reference::check(rules, target, "spec.taskRef");
    }
    if let Some(spec) = &run.spec.task_spec {
        if rules.config.flags.inline_spec_disabled {
            rules.push(
                FieldError::disallowed("spec.taskSpec").with_note(
                    "spec.taskSpec: the cluster's operator forbids inline Tasks (`disable-inline-spec` in ConfigMap feature-flags); store the Task and name it in spec.taskRef",
                ),
            );
        }
        let merged = task::inline(rules, spec, "spec.taskSpec", run);
        params::propagated(rules, run, spec, &merged);
    }
}

/// Of names that are the same but for their case, each but the first is one too many.
pub(super) fn unique_ignoring_case<'a>(
    rules: &mut Rules<'_>,
    names: impl Iterator<Item = &'a str>,
    path: impl Fn(usize, &str) -> String,
    why: &str,
) {
    let mut seen = HashSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name.to_lowercase()) {
            rules.push_with(|| {
                let path = path(index, name);
                let note = format!("{path}: \"{name}\" is there more than once; {why}");
                FieldError::both(&[&path]).with_note(note)
            });
        }
    }
}

/// R11 to R15.
fn workspaces(rules: &mut Rules<'_>, bindings: &[WorkspaceBinding]) {
    for (index, binding) in bindings.iter().enumerate() {
        let path = format!("spec.workspaces[{index}]");
        if *binding == WorkspaceBinding::default() {
            let note = format!("{path}: write a name, and what lies behind the workspace");
            rules.push(FieldError::missing(path).with_note(note));
            continue;
        }
        source_of(rules, binding, &path);
    }
    unique_ignoring_case(
        rules,
        bindings.iter().map(|binding| binding.name.as_str()),
        |index, _| format!("spec.workspaces[{index}].name"),
        "workspace names are compared without regard to case",
    );
}

/// The sources as upstream names them, whichever are meant.
const SOURCES: [&str; 5] = [
    "configmap",
    "emptydir",
    "persistentvolumeclaim",
    "secret",
    "volumeclaimtemplate",
];

fn source_of(rules: &mut Rules<'_>, binding: &WorkspaceBinding, path: &str) {
    let given: Vec<&str> = [
        ("volumeClaimTemplate", binding.volume_claim_template.is_some()),
        ("persistentVolumeClaim", binding.persistent_volume_claim.is_some()),
        ("emptyDir", binding.empty_dir.is_some()),
        ("configMap", binding.config_map.is_some()),
        ("secret", binding.secret.is_some()),
        ("projected", binding.projected.is_some()),
        ("csi", binding.csi.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect();
    let all = SOURCES.map(|source| format!("{path}.{source}"));
    let all = all.each_ref().map(String::as_str);
    match given.len() {
        0 => rules.push(FieldError::neither(&all).with_note(format!(
            "{path}: workspace \"{}\" needs something behind it: one of volumeClaimTemplate, persistentVolumeClaim, emptyDir, configMap, secret, projected, csi",
            binding.name
        ))),
        1 => {}
        _ => rules.push(FieldError::both(&all).with_note(format!(
            "{path}: workspace \"{}\" has {}; keep one",
            binding.name,
            given.join(" and ")
        ))),
    }
    let claim = binding.persistent_volume_claim.as_ref();
    let inner = [
        (
            claim.is_some_and(|claim| claim.claim_name.is_empty()),
            "persistentvolumeclaim.claimname",
        ),
        (
            binding.config_map.as_ref().is_some_and(|map| map.name.is_empty()),
            "configmap.name",
        ),
        (
            binding
                .secret
                .as_ref()
                .is_some_and(|secret| secret.secret_name.as_deref().unwrap_or_default().is_empty()),
            "secret.secretName",
        ),
        (
            binding
                .projected
                .as_ref()
                .is_some_and(|projected| projected.sources.as_deref().unwrap_or_default().is_empty()),
            "projected.sources",
        ),
        (
            binding.csi.as_ref().is_some_and(|csi| csi.driver.is_empty()),
            "csi.driver",
        ),
    ];
    if given.len() == 1
        && let Some((_, field)) = inner.into_iter().find(|(missing, _)| *missing)
    {
        let note = format!("{path}: {field} says what workspace \"{}\" is", binding.name);
        rules.push(FieldError::missing(format!("{path}.{field}")).with_note(note));
    }
}

/// R16 to R19. A breakpoint before a step needs no other one, unlike R17 (departures.md).
fn debug(rules: &mut Rules<'_>, run: &TaskRun) {
    let Some(debug) = &run.spec.debug else { return };
    rules.gate("debug", ApiFields::Alpha);
    let Some(breakpoints) = &debug.breakpoints else {
        return;
    };
    let path = "spec.debug.breakpoints";
    match breakpoints.on_failure.as_str() {
        "enabled" => {}
        "" if !breakpoints.before_steps.is_empty() => {}
        "" => rules.push(FieldError::invalid(
            "onFailure breakpoint is empty, it is only allowed to be set as enabled",
            format!("{path}.onFailure"),
        ).with_note(format!("{path}: write onFailure: enabled, or name steps in beforeSteps"))),
        other => rules.push(FieldError::invalid(
            format!("{other} is not a valid onFailure breakpoint value, onFailure breakpoint is only allowed to be set as enabled"),
            format!("{path}.onFailure"),
        ).with_note(format!("{path}.onFailure: write \"enabled\""))),
    }
    let again = repeated(breakpoints.before_steps.iter());
    for ((index, step), again) in breakpoints.before_steps.iter().enumerate().zip(again) {
        if again {
            rules.push(
                FieldError::new(
                    format!("before step must be unique, the same step: {step} is defined multiple times at"),
                    format!("{path}.beforeSteps[{index}]"),
                )
                .with_note(format!("{path}.beforeSteps: each step once")),
            );
        }
    }
}

/// R20 to R22.
fn container_specs(rules: &mut Rules<'_>, run: &TaskRun) {
    let spec = &run.spec;
    for (specs, field) in [
        (&spec.step_specs, "stepSpecs"),
        (&spec.sidecar_specs, "sidecarSpecs"),
    ] {
        if specs.is_empty() {
            continue;
        }
        rules.gate(field, ApiFields::Beta);
        for (index, spec) in specs.iter().enumerate() {
            if spec.name.is_empty() {
                rules.push(
                    FieldError::missing(format!("spec.{field}[{index}].name"))
                        .with_note(format!("spec.{field}[{index}].name: whose resources these are")),
                );
            }
        }
        unique_ignoring_case(
            rules,
            specs
                .iter()
                .map(|spec| spec.name.as_str())
                .filter(|name| !name.is_empty()),
            |index, _| format!("spec.{field}[{index}].name"),
            "one entry per name",
        );
    }
    if spec.compute_resources.is_none() {
        return;
    }
    rules.gate("computeResources", ApiFields::Beta);
    let sets_resources = |spec: &tektite_api::task_run::ContainerSpec| {
        let resources = &spec.compute_resources;
        resources.requests.is_some() || resources.limits.is_some() || resources.claims.is_some()
    };
    if spec.step_specs.iter().any(sets_resources) {
        rules.push(
            FieldError::both(&["spec.computeResources", "spec.stepSpecs.resources"]).with_note(
                "resources are given for the whole Task (spec.computeResources) or for single steps (spec.stepSpecs), not both",
            ),
        );
    }
}

/// R26, and the fields that are not the user's to set.
fn pod_template(rules: &mut Rules<'_>, template: &PodTemplate) {
    for (index, env) in template.env.iter().enumerate() {
        if rules.config.defaults.forbidden_env.contains(&env.name) {
            rules.push(
                FieldError::invalid(
                    format!("PodTemplate cannot update a forbidden env: {}", env.name),
                    "spec.PodTemplate.Env",
                )
                .with_note(format!(
                    "spec.podTemplate.env[{index}]: the cluster's operator keeps {} (`default-forbidden-env` in ConfigMap config-defaults)",
                    rules.config.defaults.forbidden_env.join(", ")
                )),
            );
        }
    }
    for field in template.reserved_fields() {
        let path = format!("spec.podTemplate.{field}");
        let note = format!("{path}: the steps and sidecars of the Task decide it");
        rules.push(FieldError::disallowed(path).with_note(note));
    }
}
