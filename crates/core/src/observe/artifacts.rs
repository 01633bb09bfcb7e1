//! Artifacts: what steps say that they used and made (api.md 5.7, runtime.md 5.12).

use serde_json::{Map, Value};
use tektite_api::status::Artifact;
use tektite_protocol::{
    artifact::{ArtifactError, Artifacts},
    termination::{Entry, Kind},
};

use super::steps::StepView;

fn read<'a>(
    view: &'a StepView<'_>,
    wanted: impl Fn(Kind) -> bool + 'a,
) -> impl Iterator<Item = Result<Artifacts, ArtifactError>> + 'a {
    let wanted = move |entry: &&Entry| wanted(entry.kind);
    view.entries
        .iter()
        .filter(wanted)
        .map(|entry| Artifacts::read(&entry.value))
}

/// A step's own.
pub(super) fn of_step(view: &StepView<'_>) -> Result<Artifacts, ArtifactError> {
    let mut all = Artifacts::default();
    for artifacts in read(view, |kind| kind == Kind::StepArtifacts) {
        let artifacts = artifacts?;
        all.inputs.extend(artifacts.inputs);
        all.outputs.extend(artifacts.outputs);
    }
    Ok(all)
}

/// The run's: the Task's own and those of all steps, by name, each value once. What is the Task's
/// output anywhere, is it.
pub(super) fn of_run(steps: &[StepView<'_>]) -> Result<Map<String, Value>, ArtifactError> {
    let mut all = Artifacts::default();
    for view in steps {
        for artifacts in read(view, |kind| {
            matches!(kind, Kind::TaskArtifacts | Kind::StepArtifacts)
        }) {
            let artifacts = artifacts?;
            merge(&mut all.inputs, artifacts.inputs);
            merge(&mut all.outputs, artifacts.outputs);
        }
    }
    let lists = [("inputs", all.inputs), ("outputs", all.outputs)];
    let told = lists.into_iter().filter(|(_, list)| !list.is_empty());
    let told = told.filter_map(|(key, list)| Some((key.to_owned(), serde_json::to_value(list).ok()?)));
    Ok(told.collect())
}

fn merge(all: &mut Vec<Artifact>, more: Vec<Artifact>) {
    for artifact in more {
        let Some(known) = all.iter_mut().find(|known| known.name == artifact.name) else {
            let mut new = Artifact {
                values: Vec::new(),
                ..artifact
            };
            add(&mut new, artifact.values);
            all.push(new);
            continue;
        };
        known.build_output |= artifact.build_output;
        add(known, artifact.values);
    }
}

fn add(artifact: &mut Artifact, values: Vec<tektite_api::status::ArtifactValue>) {
    for value in values {
        if !artifact.values.contains(&value) {
            artifact.values.push(value);
        }
    }
}
