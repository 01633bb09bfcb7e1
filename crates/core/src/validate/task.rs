//! A Task's spec, stored or inline (api.md 3.5).

use std::{borrow::Cow, collections::HashSet};

use tektite_api::{Step, TaskRun, TaskSpec};

use super::{
    Rules,
    lookup::{Declared, repeated},
    own, params, results, sidecars, steps, text, usage,
};
use crate::{config::ApiFields, field_error::FieldError, pod};

/// A stored Task's: its variables are all declared in it.
pub(super) fn stored(rules: &mut Rules<'_>, spec: &TaskSpec, path: &str) {
    let merged = common(rules, spec, path);
    usage::declared(rules, &merged, &Declared::new(&spec.params), path);
    own::task(rules, spec, &merged, path, None);
}

/// An inline one: the run's parameters and workspaces count as declared, which
/// [`params::propagated`] looks at. Returns the steps with the template's values.
pub(super) fn inline<'a>(
    rules: &mut Rules<'_>,
    spec: &'a TaskSpec,
    path: &str,
    run: &TaskRun,
) -> Cow<'a, [Step]> {
    let merged = common(rules, spec, path);
    own::task(rules, spec, &merged, path, Some(run));
    merged
}

/// The steps with the template's values, as they are judged; without them where these would be more
/// than a Pod can hold, which [`own`] refuses.
pub(super) fn merged_steps(spec: &TaskSpec) -> Cow<'_, [Step]> {
    let template = spec.step_template.as_ref();
    let Some(template) = template.filter(|template| !own::template_is_too_large(spec, template)) else {
        return Cow::Borrowed(&spec.steps);
    };
    let mut steps = spec.steps.clone();
    for step in steps.iter_mut().filter(|step| step.step_ref.is_none()) {
        pod::merge_template(step, template);
    }
    Cow::Owned(steps)
}

fn common<'a>(rules: &mut Rules<'_>, spec: &'a TaskSpec, path: &str) -> Cow<'a, [Step]> {
    if spec.steps.is_empty() {
        let note = format!("{path}.steps: a Task has one step at least");
        rules.push(FieldError::missing(format!("{path}.steps")).with_note(note));
    }
    volumes(rules, spec, path);
    workspaces(rules, spec, path);
    usages(rules, spec, path);
    let merged = merged_steps(spec);
    steps::check(rules, spec, &merged, path);
    sidecars::check(rules, &spec.sidecars, path);
    params::declared(
        rules,
        &spec.params,
        &format!("{path}.params"),
        params::Names::Checked,
    );
    usage::arrays(rules, &merged, &Declared::new(&spec.params), path);
    usage::contexts(rules, &merged, path);
    results::task(rules, spec, path);
    merged
}

/// T2.
fn volumes(rules: &mut Rules<'_>, spec: &TaskSpec, path: &str) {
    let again = repeated(spec.volumes.iter().map(|volume| &volume.name));
    for ((index, volume), again) in spec.volumes.iter().enumerate().zip(again) {
        if again {
            rules.push(
                FieldError::new(
                    format!("multiple volumes with same name \"{}\"", volume.name),
                    format!("{path}.volumes[{index}].name"),
                )
                .with_note(format!("{path}.volumes[{index}].name: give it another name")),
            );
        }
    }
}

/// T3, T4.
fn workspaces(rules: &mut Rules<'_>, spec: &TaskSpec, path: &str) {
    let template = spec
        .step_template
        .iter()
        .flat_map(|template| &template.volume_mounts);
    let mounts = spec
        .steps
        .iter()
        .flat_map(|step| &step.volume_mounts)
        .chain(template);
    let mut taken: HashSet<String> = mounts.map(|mount| text::clean_path(&mount.mount_path)).collect();
    let again = repeated(spec.workspaces.iter().map(|workspace| &workspace.name));
    for ((index, workspace), again) in spec.workspaces.iter().enumerate().zip(again) {
        let at = format!("{path}.workspaces[{index}]");
        if again {
            rules.push(
                FieldError::new(
                    format!("workspace name \"{}\" must be unique", workspace.name),
                    format!("{at}.name"),
                )
                .with_note(format!("{at}.name: declared before; each name once")),
            );
        }
        let mounted = text::clean_path(&workspace.path());
        if taken.contains(&mounted) {
            rules.push(
                FieldError::new(
                    format!("workspace mount path \"{mounted}\" must be unique"),
                    format!("{at}.mountpath"),
                )
                .with_note(format!(
                    "{at}: another workspace or volumeMount is at {mounted}; give workspace \"{}\" a mountPath of its own",
                    workspace.name
                )),
            );
        }
        taken.insert(mounted);
    }
}

/// T5, T6.
fn usages(rules: &mut Rules<'_>, spec: &TaskSpec, path: &str) {
    let steps = spec.steps.iter().map(|step| &step.workspaces);
    let sidecars = spec.sidecars.iter().map(|sidecar| &sidecar.workspaces);
    let each = steps
        .enumerate()
        .map(|(index, usages)| (format!("{path}.steps[{index}]"), "step workspaces", usages))
        .chain(
            sidecars
                .enumerate()
                .map(|(index, usages)| (format!("{path}.sidecars[{index}]"), "sidecar workspaces", usages)),
        );
    let known: HashSet<&str> = spec
        .workspaces
        .iter()
        .map(|declared| declared.name.as_str())
        .collect();
    for (container, feature, usages) in each {
        if usages.is_empty() {
            continue;
        }
        rules.gate(feature, ApiFields::Beta);
        for (index, usage) in usages.iter().enumerate() {
            if !known.contains(usage.name.as_str()) {
                rules.push_with(|| {
                    let at = format!("{container}.workspaces[{index}].name");
                    let known = spec.workspaces.iter().map(|declared| declared.name.as_str());
                    let note = format!(
                        "{at}: {}",
                        text::suggestion(&usage.name, known, "declared workspaces")
                    );
                    FieldError::new(format!("undefined workspace \"{}\"", usage.name), at).with_note(note)
                });
            }
        }
    }
}
