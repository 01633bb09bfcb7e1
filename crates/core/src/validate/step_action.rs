//! StepActions (api.md 3.7).

use tektite_api::{ParamType, Step, step_action::StepActionSpec};

use super::{
    Rules, own, params, results, text,
    usage::{self, Paths},
    variables,
};
use crate::{config::ApiFields, field_error::FieldError};

/// A1 to A11, paths beginning with `spec`.
pub(super) fn spec(rules: &mut Rules<'_>, spec: &StepActionSpec) {
    if spec.image.is_empty() {
        rules.push(
            FieldError::missing("spec.Image")
                .with_note("spec.image: a StepAction names the image that it runs in"),
        );
    }
    if !spec.script.is_empty() && !spec.command.is_empty() {
        rules.push(FieldError::new(
            "script cannot be used with command",
            "spec.script",
        ));
    }
    if spec.script.trim_start().starts_with("#!win") {
        rules.gate("windows script support", ApiFields::Alpha);
    }
    if variables::inner(&spec.script)
        .any(|inner| inner.starts_with("params") || inner.starts_with("inputs.params"))
    {
        rules.push(
            FieldError::new("param substitution in scripts is not allowed.", "spec.script").with_note(
                "spec.script: hand the param to the script through env, and read \"${NAME}\" there",
            ),
        );
    }
    params::declared(rules, &spec.params, "spec.params", params::Names::WithoutEnums);
    defaults(rules, spec);
    uses(rules, spec);
    script_results(rules, spec);
    results::step(rules, &spec.results, "spec.results");
    mounts(rules, spec);
    own::step_action(rules, spec);
}

/// A5, A6.
fn uses(rules: &mut Rules<'_>, spec: &StepActionSpec) {
    for param in spec
        .params
        .iter()
        .filter(|param| param.param_type == Some(ParamType::Object))
    {
        if param.properties.is_none() {
            rules.push(FieldError::missing(format!("spec.{}.properties", param.name)));
        }
    }
    let is_array = |name: &str| {
        spec.params
            .iter()
            .any(|param| param.name == name && param.param_type == Some(ParamType::Array))
    };
    let step = as_step(spec);
    for (field, text, slot) in usage::fields(&step) {
        let (array_path, unknown_path) = match field.strip_prefix("volumeMount[") {
            Some(rest) => {
                let index = rest.split(']').next().unwrap_or_default();
                (
                    format!("spec.volumeMounts[{index}]"),
                    format!("spec.volumeMounts[{index}]"),
                )
            }
            None => (format!("spec.{field}"), format!("spec.{field}")),
        };
        for used in variables::params(text) {
            if used.is_whole() && is_array(used.name) {
                if let Some(error) = usage::array_use(text, used, slot, array_path.clone(), &array_path) {
                    rules.push(error);
                }
            } else {
                let paths = Paths {
                    at: &unknown_path,
                    nested: &array_path,
                    plain: &unknown_path,
                };
                if let Some(error) = usage::param_use(text, used, &spec.params, &paths) {
                    rules.push(error);
                }
            }
        }
    }
}

/// The StepAction as a step that has no name.
pub(super) fn as_step(spec: &StepActionSpec) -> Step {
    Step {
        image: spec.image.clone(),
        command: spec.command.clone(),
        args: spec.args.clone(),
        env: spec.env.clone(),
        script: spec.script.clone(),
        working_dir: spec.working_dir.clone(),
        results: spec.results.clone(),
        security_context: spec.security_context.clone(),
        volume_mounts: spec.volume_mounts.clone(),
        ..Step::default()
    }
}

/// A8.
fn script_results(rules: &mut Rules<'_>, spec: &StepActionSpec) {
    for root in ["step.results", "results"] {
        for name in variables::names_after(&spec.script, root) {
            let known = || spec.results.iter().map(|result| result.name.as_str());
            if !known().any(|known| known == name) {
                let note = format!(
                    "spec.script: $({root}.{name}…) names no result; {}",
                    text::suggestion(name, known().collect::<Vec<_>>(), "declared results")
                );
                rules.push(variables::non_existent(&spec.script, "spec.script").with_note(note));
            }
        }
    }
}

/// A10.
fn mounts(rules: &mut Rules<'_>, spec: &StepActionSpec) {
    for (index, mount) in spec.volume_mounts.iter().enumerate() {
        let inner = mount
            .name
            .strip_prefix("$(")
            .and_then(|rest| rest.strip_suffix(')'));
        let is_one = inner.is_some_and(|inner| {
            !inner.contains("$(") && !inner.contains(')') && variables::Use::parse(inner, "params").is_some()
        });
        if !is_one {
            rules.push(
                FieldError::invalid(&mount.name, format!("spec.volumeMounts[{index}].name"))
                    .with_details("expect the Name to be a single param reference")
                    .with_note(format!(
                        "spec.volumeMounts[{index}].name: a StepAction has no volumes; the Task's volume comes as a param: $(params.<name>)"
                    )),
            );
            return;
        }
    }
}

/// A11, for every version: a default that can never be worked out fails each run.
fn defaults(rules: &mut Rules<'_>, spec: &StepActionSpec) {
    let references = |index: usize| -> Vec<&str> {
        match &spec.params[index].default {
            Some(tektite_api::ParamValue::String(text)) => {
                variables::params(text).map(|used| used.parts().0).collect()
            }
            _ => Vec::new(),
        }
    };
    for (index, param) in spec.params.iter().enumerate() {
        for name in references(index) {
            if spec.params.iter().all(|other| other.name != name) {
                rules.push(
                    FieldError::new(
                        format!(
                            "param \"{}\" default value references param \"{name}\" which is not defined",
                            param.name
                        ),
                        "spec.params",
                    )
                    .with_note(format!(
                        "spec.params[{}].default: {}",
                        param.name,
                        text::suggestion(
                            name,
                            spec.params.iter().map(|param| param.name.as_str()),
                            "declared params"
                        )
                    )),
                );
            }
        }
        // Walk along the defaults: whoever comes back to where it began is in a circle.
        let mut reached: Vec<&str> = references(index);
        let mut next = 0;
        while next < reached.len() {
            let name = reached[next];
            next += 1;
            let Some(at) = spec.params.iter().position(|other| other.name == name) else {
                continue;
            };
            for further in references(at) {
                if !reached.contains(&further) {
                    reached.push(further);
                }
            }
        }
        if reached.contains(&param.name.as_str()) {
            rules.push(
                FieldError::new(
                    format!("param \"{}\" default value has a circular dependency", param.name),
                    "spec.params",
                )
                .with_note(format!(
                    "spec.params[{}].default: it leads back to itself through {}",
                    param.name,
                    reached.join(", ")
                )),
            );
        }
    }
}
