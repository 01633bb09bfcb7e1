//! Results that travel in a container's log instead of termination messages: what the container that
//! writes them is told, and the lines that it writes (runtime.md section 4, departures.md).
//!
//! A line is `{"name", "value", "type"}`. The last one says how many came before it: a log that the
//! node has cut, or that is not complete yet, is never taken for all that there is.

use serde::{Deserialize, Serialize};

use crate::{
    flags::{FlagError, bad},
    paths::PROVENANCE_FILE,
    termination::{Entry, Kind},
};

/// The word that makes the entrypoint write results instead of running a step.
pub const LOG_RESULTS: &str = "log-results";

/// The name of the sidecar that does it; no sidecar of a Task may have it.
pub const SIDECAR_NAME: &str = "tekton-log-results";
/// Its container.
pub const CONTAINER: &str = "sidecar-tekton-log-results";

/// The most that all results of a run may have together, in bytes. They become part of the TaskRun,
/// which also holds its Task, and no object may have more than 1.5 MiB.
pub const MAX_TOTAL_BYTES: usize = 512 * 1024;

/// The most that such a log can have: JSON writes a control character as six.
pub const MAX_LOG_BYTES: usize = 6 * MAX_TOTAL_BYTES + 256 * 1024;

/// Everything that the container is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogResultsFlags {
    /// The marker of the last step: once that step is over, nothing more comes.
    pub stop_file: String,
    /// What happens after the last line.
    pub afterwards: Afterwards,
    /// The most bytes that one value may have.
    pub most: usize,
    /// The Task's results.
    pub results: Vec<String>,
    /// The steps' own results.
    pub steps: Vec<StepResults>,
    /// Where all steps leave their artifacts. The Task's go with those of the last one.
    pub artifacts: Vec<StepArtifacts>,
}

/// Where a step's artifacts lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepArtifacts {
    /// The step's container.
    pub container: String,
    /// Their directory.
    pub directory: String,
}

/// Whether the container ends with its last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Afterwards {
    /// It ends.
    #[default]
    End,
    /// It stays until it is told to go: the kubelet would start a native sidecar again.
    Stay,
}

/// Where a step's results lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepResults {
    /// The step's container.
    pub container: String,
    /// Their directory.
    pub directory: String,
    /// Their names.
    pub names: Vec<String>,
}

impl LogResultsFlags {
    /// The container's `args`.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec![LOG_RESULTS.to_owned()];
        let mut flag = |name: &str, value: String| {
            args.push(format!("-{name}"));
            args.push(value);
        };
        flag("stop_file", self.stop_file.clone());
        flag(
            "afterwards",
            match self.afterwards {
                Afterwards::End => "end",
                Afterwards::Stay => "stay",
            }
            .to_owned(),
        );
        flag("max_result_size", self.most.to_string());
        if !self.results.is_empty() {
            flag("results", self.results.join(","));
        }
        for step in &self.steps {
            let names = step.names.join(",");
            flag(
                "step_results",
                format!("{}:{}:{names}", step.container, step.directory),
            );
        }
        for step in &self.artifacts {
            flag("step_artifacts", format!("{}:{}", step.container, step.directory));
        }
        args
    }

    /// Reads the words behind `log-results`.
    ///
    /// # Errors
    /// The first flag that is unknown, has no value, or a value that it cannot have.
    pub fn parse<I: IntoIterator<Item = String>>(words: I) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        let mut words = words.into_iter();
        let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        while let Some(word) = words.next() {
            let Some(value) = words.next() else {
                return Err(FlagError::MissingValue(word));
            };
            match word.as_str() {
                "-stop_file" => flags.stop_file = value,
                "-afterwards" => {
                    flags.afterwards = match value.as_str() {
                        "end" => Afterwards::End,
                        "stay" => Afterwards::Stay,
                        _ => return Err(bad("afterwards", &value, "write end or stay")),
                    }
                }
                "-max_result_size" => {
                    flags.most = value
                        .parse()
                        .map_err(|_| bad("max_result_size", &value, "write a number of bytes"))?;
                }
                "-results" => flags.results = names(&value),
                "-step_results" => {
                    let mut parts = value.splitn(3, ':');
                    let (Some(container), Some(directory), Some(list)) =
                        (parts.next(), parts.next(), parts.next())
                    else {
                        return Err(bad("step_results", &value, "write container:directory:names"));
                    };
                    flags.steps.push(StepResults {
                        container: container.to_owned(),
                        directory: directory.to_owned(),
                        names: names(list),
                    });
                }
                "-step_artifacts" => {
                    let Some((container, directory)) = value.split_once(':') else {
                        return Err(bad("step_artifacts", &value, "write container:directory"));
                    };
                    flags.artifacts.push(StepArtifacts {
                        container: container.to_owned(),
                        directory: directory.to_owned(),
                    });
                }
                _ => return Err(FlagError::Unknown(word)),
            }
        }
        Ok(flags)
    }
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LineKind {
    /// A result of the Task.
    Task,
    /// A result of a step; its name is `<container>.<result>`.
    Step,
    /// What a step used and made, as JSON; its name is the step's container.
    StepArtifact,
    /// What the Task used and made; its name is the last step's container.
    TaskArtifact,
    /// Something that is left out; the value is a sentence that says why.
    LeftOut,
    /// The end; the value is the number of lines before.
    End,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it is about.
    pub name: String,
    /// The text, byte for byte.
    pub value: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: LineKind,
}

impl Line {
    /// The last line, after `before` others.
    pub fn end(before: usize) -> Self {
        Self {
            name: String::new(),
            value: before.to_string(),
            kind: LineKind::End,
        }
    }

    /// As it is written, without the line's end.
    pub fn text(&self) -> String {
        // Texts alone: they have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What a whole log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logged {
    /// The Task's results.
    pub task: Vec<Entry>,
    /// The steps' results and artifacts, by container.
    pub steps: Vec<(String, Entry)>,
    /// Sentences about what is not there.
    pub left_out: Vec<String>,
}

/// Why a log is no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// It is cut, or still being written.
    #[error("the log of container {CONTAINER} is not complete: it ends after {lines} lines")]
    Incomplete {
        /// How many lines there are.
        lines: usize,
    },
    /// A line that nobody can read.
    #[error("the log of container {CONTAINER} has a line that is no result: {head}")]
    Malformed {
        /// Its beginning.
        head: String,
    },
}

impl Logged {
    /// Reads a whole log. Lines that do not begin with `{` are diagnostics.
    ///
    /// # Errors
    /// See [`LogError`].
    pub fn read(log: &str) -> Result<Self, LogError> {
        let mut logged = Self::default();
        let mut lines = 0;
        for text in log.lines().filter(|line| line.starts_with('{')) {
            let malformed = || LogError::Malformed {
                head: text.chars().take(64).collect(),
            };
            let line: Line = serde_json::from_str(text).map_err(|_| malformed())?;
            match line.kind {
                LineKind::Task => {
                    let entry = Entry::new(Kind::TaskResult, line.name, line.value);
                    logged.task.push(entry);
                }
                LineKind::Step => {
                    let (container, name) = line.name.split_once('.').ok_or_else(malformed)?;
                    let entry = Entry::new(Kind::StepResult, name, line.value);
                    logged.steps.push((container.to_owned(), entry));
                }
                LineKind::StepArtifact | LineKind::TaskArtifact => {
                    let kind = if line.kind == LineKind::StepArtifact {
                        Kind::StepArtifacts
                    } else {
                        Kind::TaskArtifacts
                    };
                    let entry = Entry::new(kind, PROVENANCE_FILE, line.value);
                    logged.steps.push((line.name, entry));
                }
                LineKind::LeftOut => logged.left_out.push(line.value),
                LineKind::End if line.value.parse() == Ok(lines) => return Ok(logged),
                LineKind::End => return Err(LogError::Incomplete { lines }),
            }
            lines += 1;
        }
        Err(LogError::Incomplete { lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_reads_back() {
        let flags = LogResultsFlags {
            stop_file: "/tekton/run/1/out".to_owned(),
            afterwards: Afterwards::Stay,
            most: 4096,
            results: vec!["a".to_owned(), "b.c".to_owned()],
            steps: vec![StepResults {
                container: "step-a".to_owned(),
                directory: "/tekton/run/0/status/results".to_owned(),
                names: vec!["r".to_owned(), "s".to_owned()],
            }],
            artifacts: vec![StepArtifacts {
                container: "step-a".to_owned(),
                directory: "/tekton/run/0/status/artifacts".to_owned(),
            }],
        };
        for flags in [flags, LogResultsFlags::default()] {
            let words = flags.to_args().into_iter().skip(1);
            assert_eq!(LogResultsFlags::parse(words).unwrap(), flags);
        }
        for (words, text) in [
            (vec!["-nope", "x"], "unknown flag -nope"),
            (vec!["-results"], "flag -results needs a value"),
            (vec!["-afterwards", "x"], "write end or stay"),
            (vec!["-max_result_size", "x"], "write a number of bytes"),
            (vec!["-step_results", "a:b"], "write container:directory:names"),
            (vec!["-step_artifacts", "a"], "write container:directory"),
        ] {
            let error = LogResultsFlags::parse(words.into_iter().map(str::to_owned)).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn a_log_is_read_whole_or_not_at_all() {
        let line = |name: &str, value: &str, kind| {
            let (name, value) = (name.to_owned(), value.to_owned());
            Line { name, value, kind }.text()
        };
        let lines = [
            "[tektite] anything".to_owned(),
            line("r", "ä\n\u{0}", LineKind::Task),
            line("step-a.b.c", "x", LineKind::Step),
            line("big", "too large", LineKind::LeftOut),
            line("step-a", "{}", LineKind::StepArtifact),
            line("step-b", "{}", LineKind::TaskArtifact),
        ];
        let body = lines.join("\n");
        let expected = Logged {
            task: vec![Entry::new(Kind::TaskResult, "r", "ä\n\u{0}")],
            steps: [
                ("step-a", Entry::new(Kind::StepResult, "b.c", "x")),
                ("step-a", Entry::new(Kind::StepArtifacts, PROVENANCE_FILE, "{}")),
                ("step-b", Entry::new(Kind::TaskArtifacts, PROVENANCE_FILE, "{}")),
            ]
            .map(|(container, entry)| (container.to_owned(), entry))
            .into(),
            left_out: vec!["too large".to_owned()],
        };
        let (right, wrong) = (Line::end(5).text(), Line::end(4).text());
        for (log, seen) in [
            (format!("{body}\n{right}\n"), Ok(expected)),
            (
                format!("{body}\n{wrong}\n"),
                Err(LogError::Incomplete { lines: 5 }),
            ),
            (body.clone(), Err(LogError::Incomplete { lines: 5 })),
            (String::new(), Err(LogError::Incomplete { lines: 0 })),
            (Line::end(0).text(), Ok(Logged::default())),
            (
                "{\"name\":".to_owned(),
                Err(LogError::Malformed {
                    head: "{\"name\":".to_owned(),
                }),
            ),
        ] {
            assert_eq!(Logged::read(&log), seen, "{log}");
        }
    }
}
