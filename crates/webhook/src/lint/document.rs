//! One object of a file, and the lines that its fields stand on. No I/O.

use std::collections::HashMap;

use granit_parser::{Event, Parser};
use serde_json::Value;
use tektite_core::yaml;

use super::report::{Finding, Severity};

/// One document of a file.
pub(super) struct Document {
    file: String,
    /// The line that it begins on, counted from 1.
    first_line: usize,
    pub(super) tree: Value,
    /// Lines by JSON pointer, counted from the document's first.
    lines: HashMap<String, usize>,
}

/// The documents of a file; those that are no YAML as findings.
pub(super) fn split(file: &str, text: &str) -> Vec<Result<Document, Finding>> {
    let mut documents = Vec::new();
    let mut begin = 1;
    let mut part = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line == "---" || line.starts_with("--- ") {
            documents.extend(document(file, begin, &part));
            part.clear();
            begin = number;
            // What follows the marker on its line belongs to the document.
            part.push_str(line.trim_start_matches('-'));
            part.push('\n');
        } else {
            part.push_str(line);
            part.push('\n');
        }
    }
    documents.extend(document(file, begin, &part));
    documents
}

fn document(file: &str, first_line: usize, text: &str) -> Option<Result<Document, Finding>> {
    let tree: Value = match yaml::read(text) {
        Ok(Value::Null) => return None,
        Ok(tree) => tree,
        Err(_)
            if text
                .lines()
                .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) =>
        {
            return None;
        }
        Err(error) => {
            let line = error.location().map_or(1, |location| location.line());
            return Some(Err(Finding {
                file: file.to_owned(),
                line: first_line + usize::try_from(line).unwrap_or(1).max(1) - 1,
                object: "document".to_owned(),
                severity: Severity::Error,
                message: format!(
                    "not YAML: {}",
                    error.to_string().lines().next().unwrap_or_default()
                ),
                notes: Vec::new(),
            }));
        }
    };
    Some(Ok(Document {
        file: file.to_owned(),
        first_line,
        tree,
        lines: lines(text),
    }))
}

impl Document {
    pub(super) fn kind(&self) -> &str {
        self.tree.get("kind").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn is_ours(&self) -> bool {
        let version = self
            .tree
            .get("apiVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match self.kind() {
            "Task" | "TaskRun" => matches!(version, "tekton.dev/v1" | "tekton.dev/v1beta1"),
            "StepAction" => matches!(
                version,
                "tekton.dev/v1" | "tekton.dev/v1beta1" | "tekton.dev/v1alpha1"
            ),
            _ => false,
        }
    }

    fn metadata(&self, field: &str) -> String {
        let value = self.tree.pointer(&format!("/metadata/{field}"));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(super) fn name(&self) -> String {
        self.metadata("name")
    }

    pub(super) fn namespace(&self) -> String {
        self.metadata("namespace")
    }

    /// Something about the field at `path`, as messages write it.
    pub(super) fn finding(
        &self,
        severity: Severity,
        path: &str,
        message: String,
        notes: Vec<String>,
    ) -> Finding {
        let name = if self.name().is_empty() {
            self.metadata("generateName")
        } else {
            self.name()
        };
        Finding {
            file: self.file.clone(),
            line: self.first_line + self.line(path).saturating_sub(1),
            object: format!("{} \"{name}\"", self.kind()),
            severity,
            message,
            notes,
        }
    }

    /// The line of the field at `path`, or of the innermost one on the way that there is. Paths are
    /// written as tools know them, which is not always as the fields are.
    fn line(&self, path: &str) -> usize {
        let direct = self.walk(path);
        let inline = path
            .strip_prefix("spec.")
            .map(|rest| self.walk(&format!("spec.taskSpec.{rest}")));
        direct.max(inline.unwrap_or_default()).1
    }

    /// How many parts of `path` there are, and the line of the last of them.
    fn walk(&self, path: &str) -> (usize, usize) {
        let mut tree = &self.tree;
        let mut pointer = String::new();
        let mut reached = (0, 1);
        let parts = path
            .split(['.', '['])
            .map(|part| part.trim_end_matches(']'))
            .filter(|part| !part.is_empty());
        for (count, part) in (1..).zip(parts) {
            let next = match tree {
                Value::Object(fields) => fields
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(part))
                    .map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)),
                Value::Array(items) => {
                    let named = |item: &Value| item.get("name").and_then(Value::as_str) == Some(part);
                    let index = part.parse().ok().or_else(|| items.iter().rposition(named));
                    index.and_then(|index: usize| Some((index.to_string(), items.get(index)?)))
                }
                _ => None,
            };
            let Some((step, value)) = next else { break };
            pointer.push('/');
            pointer.push_str(&step);
            tree = value;
            reached = (count, self.lines.get(&pointer).copied().unwrap_or(reached.1));
        }
        reached
    }
}

/// A collection that is being read.
enum Open {
    /// The key that is next to get its value.
    Map(Option<String>),
    List(usize),
}

/// The line of every field, and of every element of a list.
fn lines(text: &str) -> HashMap<String, usize> {
    let mut lines = HashMap::new();
    let mut open: Vec<(Open, String)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        let line = span.start.line();
        let (scalar, starts, ends) = match &event {
            Event::Scalar(value, ..) => (Some(value.to_string()), None, false),
            Event::Alias(_) => (Some(String::new()), None, false),
            Event::MappingStart(..) => (None, Some(Open::Map(None)), false),
            Event::SequenceStart(..) => (None, Some(Open::List(0)), false),
            Event::MappingEnd | Event::SequenceEnd => (None, None, true),
            _ => continue,
        };
        if ends {
            open.pop();
            continue;
        }
        // A key is remembered until its value comes; everything else is a value at its place.
        let place = match open.last_mut() {
            None => String::new(),
            Some((Open::Map(key @ None), prefix)) => {
                let name = scalar.unwrap_or_default().replace('~', "~0").replace('/', "~1");
                lines.insert(format!("{prefix}/{name}"), line);
                *key = Some(name);
                continue;
            }
            Some((Open::Map(key), prefix)) => format!("{prefix}/{}", key.take().unwrap_or_default()),
            Some((Open::List(index), prefix)) => {
                let place = format!("{prefix}/{index}");
                lines.insert(place.clone(), line);
                *index += 1;
                place
            }
        };
        if let Some(collection) = starts {
            open.push((collection, place));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# a comment\nkind: Task\nmetadata:\n  name: t\nspec:\n  steps:\n    - name: a\n      image: i\n    - name: b\n      env: [{name: A}]\n---\n---\nkind: TaskRun\n";

    #[test]
    fn fields_have_lines() {
        let documents: Vec<Document> = split("f", FILE).into_iter().map(Result::unwrap).collect();
        assert_eq!(documents.len(), 2);
        for (path, line) in [
            ("kind", 2),
            ("metadata.name", 4),
            ("spec.steps[0].Image", 8),
            ("spec.steps[1]", 9),
            ("spec.steps[b].name", 9),
            ("spec.steps[1].env[A]", 10),
            ("spec.steps[1].image", 9),
            ("nothing", 1),
            ("", 1),
        ] {
            let finding = documents[0].finding(Severity::Error, path, String::new(), Vec::new());
            assert_eq!(finding.line, line, "{path}");
        }
        let finding = documents[1].finding(Severity::Error, "kind", String::new(), Vec::new());
        assert_eq!((finding.line, finding.object.as_str()), (13, "TaskRun \"\""));
    }

    #[test]
    fn what_is_no_yaml_is_a_finding() {
        let Some(Err(finding)) = split("f", "a: b\n---\na: [\n").pop() else {
            panic!()
        };
        assert!(finding.message.starts_with("not YAML: "), "{}", finding.message);
        assert!(finding.line >= 3, "{}", finding.line);
        assert!(split("f", "# nothing\n---\n# here\n").is_empty());
    }
}
