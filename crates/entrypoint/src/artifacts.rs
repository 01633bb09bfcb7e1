//! What the command says that it used and made, for the controller and for later steps. Does I/O.

use std::path::Path;

use tektite_protocol::{
    artifact::{Artifacts, Side},
    paths::PROVENANCE_FILE,
    termination::{Entry, Kind},
};

use crate::{
    log::Log,
    results::{self, Limit},
};

/// The file in `directory` as it is, for the controller, if there is one. The error is a sentence: of a
/// file that nobody can read nothing would arrive.
pub(crate) fn collect(directory: &Path, kind: Kind, log: Log) -> Result<Option<Entry>, String> {
    let path = directory.join(PROVENANCE_FILE);
    let shown = path.display();
    let Some((text, artifacts)) = read(&path)? else {
        return Ok(None);
    };
    let (inputs, outputs) = (artifacts.inputs.len(), artifacts.outputs.len());
    log.debug(format_args!("{shown}: {inputs} inputs, {outputs} outputs"));
    Ok(Some(Entry::new(kind, shown.to_string(), text)))
}

/// The file in `directory` as it is, if there is one. The error is a sentence.
pub(crate) fn text(directory: &Path) -> Result<Option<String>, String> {
    Ok(read(&directory.join(PROVENANCE_FILE))?.map(|(text, _)| text))
}

/// What stands for `$(steps.<step>.<side>.<name>)`, with the step's directory given.
pub(crate) fn values(step: &Path, side: Side, name: &str) -> Result<String, String> {
    let path = step.join("artifacts").join(PROVENANCE_FILE);
    let Some((_, artifacts)) = read(&path)? else {
        return Err("that step has left no artifacts".to_owned());
    };
    let all = artifacts.side(side);
    if let Some(artifact) = all.iter().find(|artifact| artifact.name == name) {
        return Ok(tektite_protocol::artifact::values_text(&artifact.values));
    }
    let names: Vec<&str> = all.iter().map(|artifact| artifact.name.as_str()).collect();
    let names = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    let side = side.as_str();
    Err(format!(
        "that step has left no such artifact; its {side}: {names}"
    ))
}

fn read(path: &Path) -> Result<Option<(String, Artifacts)>, String> {
    let what = || format!("the artifacts in {}", path.display());
    let Some(text) = results::read_text(path, Limit::Message, what).map_err(|error| error.to_string())?
    else {
        return Ok(None);
    };
    match Artifacts::read(&text) {
        Ok(artifacts) => Ok(Some((text, artifacts))),
        Err(error) => Err(format!("{} cannot be understood: {error}", what())),
    }
}
