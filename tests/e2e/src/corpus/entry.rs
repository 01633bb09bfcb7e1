//! The form of a corpus file: objects that admission must refuse, or must let pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::case::{Fill, Need, text};
use crate::config::Settings;
use crate::load;

/// The folders below the cases, and the kind of what is in them.
const FOLDERS: [(&str, Kind); 2] = [("rejected", Kind::Rejected), ("accepted", Kind::Accepted)];
/// How many rules there are of each letter.
const RULES: [(char, u32); 5] = [('R', 27), ('F', 10), ('T', 62), ('A', 11), ('M', 2)];
/// What has no number: a section of the spec, one of its appendices, or what goes beyond it.
const OTHERS: [&str; 7] = ["2.1", "3.8", "7.1", "7.2", "C", "D", OURS];
/// The rule of a case for which the spec has none.
pub(crate) const OURS: &str = "ours";
/// What a name may have at most.
const LONGEST_NAME: usize = 63;

/// What must come of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Kind {
    /// It is refused.
    Rejected,
    /// It is stored.
    Accepted,
}

/// What a document says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Document {
    api_version: String,
    /// What must come of it.
    pub(crate) kind: Kind,
    /// The rule of the spec.
    pub(crate) rule: Option<String>,
    /// What the case shows, in a sentence.
    pub(crate) description: String,
    /// What the cluster must have.
    #[serde(default)]
    pub(crate) needs: Vec<Need>,
    #[serde(default)]
    flags: BTreeMap<String, String>,
    #[serde(default)]
    defaults: BTreeMap<String, String>,
    #[serde(default)]
    fill: BTreeMap<String, Fill>,
    /// Objects that are there before.
    #[serde(default)]
    pub(crate) given: Vec<Value>,
    /// The object as it is before the update.
    pub(crate) stored: Option<Value>,
    object: Option<Value>,
    #[serde(default)]
    objects: Vec<Value>,
    /// Lines of the refusal, or all of it.
    pub(crate) error: Option<String>,
    /// Whether `error` is all of it.
    #[serde(default)]
    pub(crate) exact: bool,
    /// Parts of the refusal.
    #[serde(default)]
    pub(crate) names: Vec<String>,
    /// What makes the object a legal one.
    pub(crate) fix: Option<json_patch::Patch>,
}

/// One case.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `rejected/taskrun/both-ref-and-spec`; with a number where a file has several.
    pub(crate) path: String,
    /// What its objects are called unless they say otherwise.
    pub(crate) name: String,
    /// The file, for `--bless`.
    pub(crate) file: PathBuf,
    /// What it says.
    pub(crate) document: Document,
}

fn known(rule: &str) -> bool {
    let mut rest = rule.chars();
    let numbered = rest.next().and_then(|letter| {
        let (_, last) = RULES.iter().find(|(known, _)| *known == letter)?;
        rest.as_str()
            .parse()
            .ok()
            .map(|number| (1..=*last).contains(&number))
    });
    numbered.unwrap_or_else(|| OTHERS.contains(&rule))
}

impl Document {
    /// The objects to send, in order.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Value> {
        self.object.iter().chain(&self.objects)
    }

    /// The configuration in force.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            flags: self.flags.clone(),
            defaults: self.defaults.clone(),
        }
    }

    /// The objects made legal.
    pub(crate) fn fixed(&self) -> Result<Vec<Value>> {
        let mut objects: Vec<_> = self.objects().cloned().collect();
        for object in &mut objects {
            json_patch::patch(object, self.fix.as_ref().context("there is no fix")?)?;
        }
        Ok(objects)
    }

    /// Puts the long texts in their places.
    fn fill(&mut self) -> Result<()> {
        for (word, fill) in &self.fill {
            let with = fill.text()?;
            let single = self.object.iter_mut().chain(&mut self.stored);
            let all = single.chain(&mut self.objects).chain(&mut self.given);
            all.for_each(|object| load::replace(object, word, &with));
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.api_version == "tektite.dev/test",
            "apiVersion must be tektite.dev/test"
        );
        ensure!(self.objects().next().is_some(), "there is no object");
        for object in self.objects().chain(&self.stored).chain(&self.given) {
            for field in ["/apiVersion", "/kind"] {
                ensure!(
                    !text(object, field).is_empty(),
                    "an object has no {}",
                    &field[1..]
                );
            }
        }
        if self.kind == Kind::Accepted {
            let alone = self.rule.is_none() && self.error.is_none() && self.fix.is_none();
            ensure!(
                alone && !self.exact && self.names.is_empty(),
                "what is accepted has no rule, error, exact, names or fix"
            );
            return Ok(());
        }
        let rule = self.rule.as_deref().context("there is no rule")?;
        ensure!(known(rule), "the rule {rule} is unknown");
        ensure!(self.objects.is_empty(), "what is rejected is one object");
        let error = self.error.as_deref().unwrap_or_default();
        ensure!(
            !error.is_empty() || !self.names.is_empty(),
            "neither error nor names is given"
        );
        ensure!(!self.exact || !error.is_empty(), "exact is for error");
        ensure!(self.names.iter().all(|name| !name.is_empty()), "a name is empty");
        let same = self
            .fixed()
            .context("the fix does not apply")?
            .iter()
            .eq(self.objects());
        ensure!(!same, "the fix changes nothing");
        Ok(())
    }
}

impl Entry {
    /// An object of the case with its name.
    pub(crate) fn named(&self, mut object: Value) -> Value {
        if object.pointer("/metadata").is_none() {
            object["metadata"] = json!({});
        }
        let given = ["/metadata/name", "/metadata/generateName"];
        if given.iter().all(|field| object.pointer(field).is_none())
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            metadata.insert("name".to_owned(), json!(self.name));
        }
        object
    }
}

/// Reads a file's cases.
pub(crate) fn parse(path: &str, file: &Path, yaml: &str) -> Result<Vec<Entry>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    let several = documents.len() > 1;
    ensure!(!documents.is_empty(), "the file is empty");
    let stem = path.rsplit('/').next().unwrap_or_default();
    let kind = FOLDERS.iter().find(|(folder, _)| path.starts_with(folder));
    let mut entries = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        let suffix = if several {
            format!("-{}", index + 1)
        } else {
            String::new()
        };
        let context = || format!("in document {}", index + 1);
        let mut document: Document = serde_json::from_value(document).with_context(context)?;
        document.fill().with_context(context)?;
        document.check().with_context(context)?;
        ensure!(
            kind.is_some_and(|(_, kind)| *kind == document.kind),
            "the kind is not that of the folder"
        );
        if several && document.kind == Kind::Rejected {
            bail!("a file has one rejected object");
        }
        let name = format!("{stem}{suffix}");
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        ensure!(
            name.len() <= LONGEST_NAME && name.bytes().all(plain),
            "a file's name has only a-z, 0-9 and '-', and at most {LONGEST_NAME} of them"
        );
        entries.push(Entry {
            path: format!("{path}{suffix}"),
            name,
            file: file.to_owned(),
            document,
        });
    }
    Ok(entries)
}

/// Whether a path relative to the cases is one of the corpus.
pub(crate) fn is_corpus(relative: &Path) -> bool {
    FOLDERS.iter().any(|(folder, _)| relative.starts_with(folder))
}

/// Reads the cases whose paths contain the filter; there may be none.
pub(crate) fn load(directory: &Path, filter: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (relative, file) in load::files(directory)? {
        if !is_corpus(&relative) {
            continue;
        }
        let path = relative.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        let yaml = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let found = parse(&path, &file, &yaml).with_context(|| format!("{}", file.display()))?;
        entries.extend(
            found
                .into_iter()
                .filter(|entry| entry.path.contains(filter) || entry.path.replace('/', "-").contains(filter)),
        );
    }
    Ok(entries)
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
