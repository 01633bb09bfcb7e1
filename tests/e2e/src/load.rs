//! Finding case files and reading them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::case::{Action, Case, Fill, Header, has, text};
use crate::corpus::is_corpus;
use crate::matcher;

/// The `apiVersion` and `kind` that the first document carries.
const HEADER: (&str, &str) = ("tektite.dev/test", "Case");

/// Puts a text in the place of a word, in all strings.
pub(crate) fn replace(value: &mut Value, word: &str, with: &str) {
    match value {
        Value::String(text) if text.contains(word) => *text = text.replace(word, with),
        Value::Array(list) => list.iter_mut().for_each(|value| replace(value, word, with)),
        Value::Object(map) => map.values_mut().for_each(|value| replace(value, word, with)),
        _ => {}
    }
}

impl Fill {
    /// Exactly `bytes` of the line, again and again.
    pub(crate) fn text(&self) -> Result<String> {
        ensure!(
            self.line.is_ascii() && !self.line.is_empty(),
            "fill takes a line of ASCII"
        );
        let mut text = format!("{}\n", self.line).repeat(self.bytes / (self.line.len() + 1) + 1);
        text.truncate(self.bytes);
        Ok(text)
    }
}

/// Reads a case from its YAML.
pub(crate) fn parse(name: String, yaml: &str) -> Result<Case> {
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    ensure!(!documents.is_empty(), "the file is empty");
    let header: Header = serde_json::from_value(documents.remove(0)).context("in the case's header")?;
    ensure!(
        (header.api_version.as_str(), header.kind.as_str()) == HEADER,
        "the first document must be `apiVersion: {}`, `kind: {}`",
        HEADER.0,
        HEADER.1
    );
    let mut objects = documents;
    for (word, fill) in &header.fill {
        let with = fill.text()?;
        for object in &mut objects {
            replace(object, word, &with);
        }
    }
    for (index, object) in objects.iter().enumerate() {
        for field in ["/apiVersion", "/kind", "/metadata/name"] {
            ensure!(
                !text(object, field).is_empty(),
                "document {} has no {}",
                index + 2,
                &field[1..]
            );
        }
    }
    ensure!(!header.expect.is_empty(), "expect is empty");
    for expectation in &header.expect {
        expectation.check(&objects)?;
    }
    for action in &header.actions {
        match action {
            Action::Create(target) => {
                ensure!(
                    has(&objects, target),
                    "create names {} {}, which is not in the case",
                    target.kind,
                    target.name
                );
            }
            Action::WaitFor(wait) => {
                wait.target()?;
                wait.object
                    .as_ref()
                    .map_or(Ok(()), matcher::validate)
                    .map_err(anyhow::Error::msg)?;
            }
            _ => {}
        }
    }
    Ok(Case {
        name,
        header,
        objects,
    })
}

/// The YAML files below a directory, sorted, each after its path there without the extension.
pub(crate) fn files(directory: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut files = Vec::new();
    find(directory, &mut files).with_context(|| format!("cannot read {}", directory.display()))?;
    files.sort();
    let relative = |file: &PathBuf| file.strip_prefix(directory).unwrap_or(file).with_extension("");
    Ok(files.into_iter().map(|file| (relative(&file), file)).collect())
}

/// Finds the case files below a directory whose names contain the filter, and reads them; there may
/// be none.
pub(crate) fn load(directory: &Path, filter: &str) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (relative, file) in files(directory)? {
        if is_corpus(&relative) {
            continue;
        }
        let path = relative.to_string_lossy();
        let name = path.replace(std::path::MAIN_SEPARATOR, "-");
        if !path.contains(filter) && !name.contains(filter) {
            continue;
        }
        ensure!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "{}: the path of a case has only a-z, 0-9 and '-'",
            file.display()
        );
        let yaml = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        cases.push(parse(name, &yaml).with_context(|| format!("{}", file.display()))?);
    }
    Ok(cases)
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
