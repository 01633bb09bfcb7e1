//! The same judgement without a cluster: files in, findings with file and line out.
//!
//! References are followed among the files that are given; a ConfigMap `feature-flags` or
//! `config-defaults` among them is in force. I/O: reads files, or standard input.

mod document;
mod report;

use std::{collections::HashMap, io::Read as _, path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use serde_json::Value;
use tektite_api::{StepAction, Task, decode};
use tektite_core::{
    config::{self, Config, Source},
    convert,
    validate::{pair, text, unknown, warnings},
};

pub use report::{Finding, Severity, print};

use crate::{
    admit::{self, Object},
    review::{GroupVersionKind, Operation, Request},
};
use document::Document;

/// Checks YAML or JSON files without a cluster.
#[derive(Clone, Debug, Args)]
pub struct LintArgs {
    /// The files; `-`, or none, is standard input.
    pub files: Vec<PathBuf>,

    /// How findings are printed.
    #[arg(long, default_value = "text")]
    pub output: Output,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON array.
    Json,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// A file that cannot be read.
    #[error("{file} cannot be read: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody takes what is printed.
    #[error("findings cannot be printed: {0}")]
    Print(#[from] std::io::Error),
}

/// Prints what is wrong in the files; fails where anything would be refused.
///
/// # Errors
/// See [`LintError`].
pub fn run(args: &LintArgs, out: &mut impl std::io::Write) -> Result<ExitCode, LintError> {
    let findings = lint(args)?;
    print(&findings, args.output, out)?;
    let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if refused {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Everything that is wrong in the files.
///
/// # Errors
/// A file that cannot be read.
pub fn lint(args: &LintArgs) -> Result<Vec<Finding>, LintError> {
    let mut documents = Vec::new();
    let mut findings = Vec::new();
    let stdin = [PathBuf::from("-")];
    let files = if args.files.is_empty() {
        &stdin[..]
    } else {
        &args.files
    };
    for file in files {
        let name = file.display().to_string();
        let text = read(&name).map_err(|source| LintError::Read {
            file: name.clone(),
            source,
        })?;
        for document in document::split(&name, &text) {
            match document {
                Ok(document) => documents.push(document),
                Err(finding) => findings.push(finding),
            }
        }
    }
    findings.extend(judge(&documents));
    findings.sort_by(|a, b| (&a.file, a.line, &a.message).cmp(&(&b.file, b.line, &b.message)));
    Ok(findings)
}

fn read(name: &str) -> std::io::Result<String> {
    if name != "-" {
        return std::fs::read_to_string(name);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// What the files hold for each other.
#[derive(Default)]
struct Given {
    config: Config,
    tasks: HashMap<(String, String), Task>,
    actions: HashMap<(String, String), StepAction>,
}

fn judge(documents: &[Document]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut given = Given::default();
    for document in documents {
        let key = (document.namespace(), document.name());
        match document.kind() {
            "Task" => {
                if let Ok(task) = decode::read_lenient(&as_v1(&document.tree)) {
                    given.tasks.insert(key, task);
                }
            }
            "StepAction" => {
                if let Ok(action) = decode::read_lenient(&document.tree) {
                    given.actions.insert(key, action);
                }
            }
            "ConfigMap" => settings(document, &mut given.config, &mut findings),
            _ => {}
        }
    }
    for document in documents {
        if document.is_ours() {
            findings.extend(object(document, &given));
        } else if let Some(problem) = not_served(document) {
            findings.push(document.finding(Severity::Error, "apiVersion", problem, Vec::new()));
        }
    }
    findings
}

/// Why nobody would take a document that is meant for us; nothing for what is somebody else's.
fn not_served(document: &Document) -> Option<String> {
    const KINDS: [&str; 3] = ["Task", "TaskRun", "StepAction"];
    let kind = document.kind();
    let version = document
        .tree
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let group = version.split('/').next().unwrap_or_default();
    let group_is_near = text::nearest(group, ["tekton.dev", "tekton"]).is_some() || group == "tekton";
    if KINDS.contains(&kind) && (version.is_empty() || group_is_near || group == "tekton.dev") {
        let served = if kind == "StepAction" {
            "v1, v1beta1, v1alpha1"
        } else {
            "v1, v1beta1"
        };
        return Some(format!(
            "{kind} is not served as \"{version}\": write tekton.dev/ and one of {served}"
        ));
    }
    if group != "tekton.dev" {
        let steps = ["/spec/steps", "/spec/taskSpec", "/spec/taskRef"];
        let meant = kind.is_empty() && steps.iter().any(|field| document.tree.pointer(field).is_some());
        return meant.then(|| "missing field(s): apiVersion, kind".to_owned());
    }
    if kind == "ClusterTask" {
        return Some("ClusterTask is gone: write kind: Task, in the namespace that uses it".to_owned());
    }
    let meant = text::nearest(kind, KINDS)?;
    Some(format!(
        "there is no kind \"{kind}\" in tekton.dev; did you mean \"{meant}\"?"
    ))
}

fn settings(document: &Document, config: &mut Config, findings: &mut Vec<Finding>) {
    let data = document.tree.get("data").cloned().unwrap_or_default();
    let data = serde_json::from_value::<Option<_>>(data)
        .ok()
        .flatten()
        .unwrap_or_default();
    if let Some(problem) = config::problem(&document.name(), &data) {
        findings.push(document.finding(Severity::Error, "data", problem, Vec::new()));
    }
    // What can be read is in force for the other files, also beside a key that is misspelt.
    if let Some(source) = Source::from_name(&document.name())
        && let Ok(read) = source.read(config, &data)
    {
        *config = read;
    }
}

/// The object as it would be judged: v1beta1 is converted first, as the API server does.
fn as_v1(tree: &Value) -> Value {
    let mut converted = tree.clone();
    if tree.get("apiVersion").and_then(Value::as_str) == Some("tekton.dev/v1beta1") {
        // What cannot be converted is judged as it is.
        let _ = convert::convert(&mut converted, "tekton.dev/v1");
    }
    converted
}

fn object(document: &Document, given: &Given) -> Vec<Finding> {
    let kind = document.kind().to_owned();
    let group_version = document
        .tree
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let version = group_version.rsplit('/').next().unwrap_or_default().to_owned();
    let mut tree = if kind == "StepAction" {
        document.tree.clone()
    } else {
        as_v1(&document.tree)
    };
    // The API server makes a name before admission, and cuts the prefix for it.
    let text = |pointer: &str| {
        tree.pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let made = match (text("/metadata/name"), text("/metadata/generateName")) {
        (None, Some(prefix)) => Some(format!("{}xxxxx", prefix.get(..58).unwrap_or(prefix))),
        _ => None,
    };
    if let Some(made) = made {
        tree["metadata"]["name"] = Value::String(made);
    }
    let gvk = |version: &str| GroupVersionKind {
        group: "tekton.dev".to_owned(),
        version: version.to_owned(),
        kind: kind.clone(),
    };
    let mut request = Request {
        kind: gvk("v1"),
        request_kind: gvk(&version),
        operation: Operation::Create,
        object: tree,
        ..Request::default()
    };
    let judgement = admit::judge(&mut request, &given.config);
    let mut errors = judgement.errors;
    let mut warned = judgement.warnings;
    let key = |name: &str| (document.namespace(), name.to_owned());
    let action = |name: &str| given.actions.get(&key(name)).cloned();
    match &judgement.object {
        Some(Object::TaskRun(run)) => {
            let name = run.spec.task_ref.as_ref().map(|task_ref| task_ref.name.as_str());
            let task = name.and_then(|name| given.tasks.get(&key(name)));
            if let (Some(task), Some(name)) = (task, name) {
                warned.extend(warnings::undeclared_params(run, &task.spec, name));
            }
            errors.extend(
                pair::task_run(run, task, &action, &given.config)
                    .err()
                    .unwrap_or_default(),
            );
        }
        Some(Object::Task(task)) => {
            errors.extend(pair::task(task, &action, &given.config).err().unwrap_or_default());
        }
        Some(Object::StepAction(_)) | None => {}
    }
    let more = errors.more();
    let unknown = judgement.unknown.iter().map(|unknown| {
        document.finding(
            Severity::Error,
            &unknown.path,
            format!("{}: {}", unknown.path, unknown::no_such_field(unknown)),
            Vec::new(),
        )
    });
    let misfits = judgement
        .misfits
        .iter()
        .map(|misfit| document.finding(Severity::Error, &misfit.path, misfit.to_string(), Vec::new()));
    let errors = errors.sorted().into_iter().map(|error| {
        let path = error.paths().first().map_or("", String::as_str);
        document.finding(Severity::Error, path, error.to_string(), error.notes().to_vec())
    });
    let mut findings: Vec<Finding> = unknown.chain(misfits).chain(errors).collect();
    if more > 0 {
        let text = format!("... and {more} more");
        findings.push(document.finding(Severity::Error, "", text, Vec::new()));
    }
    findings.extend(warned.into_iter().map(|warning| {
        let path = warning.split(": ").next().unwrap_or_default().to_owned();
        document.finding(Severity::Warning, &path, warning, Vec::new())
    }));
    findings
}

#[cfg(test)]
mod tests;
