//! StepActions (api.md 3.7).

use std::collections::{HashMap, HashSet};

use tektite_api::{ParamType, Step, step_action::StepActionSpec};

use super::{
    Rules,
    lookup::Declared,
    own, params, results, text,
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
    let params = Declared::new(&spec.params);
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
        let nested = || array_path.clone();
        let paths = Paths {
            at: &unknown_path,
            nested: &nested,
            plain: &unknown_path,
        };
        for used in variables::params(text) {
            let fault = if used.is_whole() && params.is_array(used.name) {
                usage::array_use(text, used, slot, &nested, &array_path)
            } else {
                usage::param_use(text, used, &params, &paths)
            };
            if let Some(make) = fault {
                rules.push_with(make);
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
    let known: HashSet<&str> = spec.results.iter().map(|result| result.name.as_str()).collect();
    for root in ["step.results", "results"] {
        for name in variables::names_after(&spec.script, root) {
            if !known.contains(name) {
                rules.push_with(|| {
                    let names = spec.results.iter().map(|result| result.name.as_str());
                    let note = format!(
                        "spec.script: $({root}.{name}…) names no result; {}",
                        text::suggestion(name, names, "declared results")
                    );
                    variables::non_existent(&spec.script, "spec.script").with_note(note)
                });
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
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (place, param) in spec.params.iter().enumerate() {
        places.entry(&param.name).or_insert(place);
    }
    let mut graph: Vec<Vec<usize>> = Vec::with_capacity(spec.params.len());
    for param in &spec.params {
        let mut to = Vec::new();
        if let Some(tektite_api::ParamValue::String(text)) = &param.default {
            for name in variables::params(text).map(|used| used.parts().0) {
                match places.get(name) {
                    Some(place) => to.push(*place),
                    None => rules.push_with(|| {
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
                        ))
                    }),
                }
            }
            to.sort_unstable();
            to.dedup();
        }
        graph.push(to);
    }
    for place in in_circles(&graph) {
        rules.push_with(|| {
            FieldError::new(
                format!(
                    "param \"{}\" default value has a circular dependency",
                    spec.params[place].name
                ),
                "spec.params",
            )
            .with_note(format!(
                "spec.params[{}].default: it leads back to itself",
                spec.params[place].name
            ))
        });
    }
}

/// The places from which one comes back to where one began. Takes time in proportion to the graph, and no
/// recursion: a chain may have as many links as an object has room for.
fn in_circles(graph: &[Vec<usize>]) -> Vec<usize> {
    // First in the order in which all that can be reached from a place has been seen; then backwards,
    // where each walk stays within one circle.
    let mut order = Vec::with_capacity(graph.len());
    let mut seen = vec![false; graph.len()];
    for begin in 0..graph.len() {
        let mut path = Vec::new();
        if !std::mem::replace(&mut seen[begin], true) {
            path.push((begin, 0));
        }
        while let Some((place, next)) = path.last_mut() {
            match graph[*place].get(*next) {
                Some(to) => {
                    *next += 1;
                    if !std::mem::replace(&mut seen[*to], true) {
                        path.push((*to, 0));
                    }
                }
                None => {
                    order.push(*place);
                    path.pop();
                }
            }
        }
    }
    let mut back: Vec<Vec<usize>> = vec![Vec::new(); graph.len()];
    for (from, to) in graph.iter().enumerate() {
        for to in to {
            back[*to].push(from);
        }
    }
    let mut found = Vec::new();
    let mut left = vec![true; graph.len()];
    for begin in order.into_iter().rev() {
        let mut circle = Vec::new();
        if std::mem::replace(&mut left[begin], false) {
            circle.push(begin);
        }
        let mut next = 0;
        while let Some(place) = circle.get(next).copied() {
            next += 1;
            for from in &back[place] {
                if std::mem::replace(&mut left[*from], false) {
                    circle.push(*from);
                }
            }
        }
        if circle.len() > 1 || circle.iter().any(|place| graph[*place].contains(place)) {
            found.extend(circle);
        }
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::in_circles;

    #[test]
    fn circles_are_found_and_what_leads_to_them_is_not() {
        let graph = |edges: &[(usize, usize)]| {
            let mut graph = vec![Vec::new(); 6];
            for (from, to) in edges {
                graph[*from].push(*to);
            }
            in_circles(&graph)
        };
        assert_eq!(graph(&[]), [0; 0]);
        assert_eq!(graph(&[(0, 1), (1, 2), (0, 2)]), [0; 0]);
        assert_eq!(graph(&[(0, 0), (1, 0), (0, 2)]), [0]);
        assert_eq!(
            graph(&[(0, 1), (1, 2), (2, 1), (2, 3), (3, 4), (4, 5), (5, 3)]),
            [1, 2, 3, 4, 5]
        );
    }
}
