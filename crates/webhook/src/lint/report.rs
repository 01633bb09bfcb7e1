//! Findings, printed. I/O: writes to what it is given.

use std::io::{self, Write};

use serde::Serialize;

use super::Output;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object would be refused.
    Error,
    /// It would be stored, with this said.
    Warning,
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// Kind and name.
    pub object: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub message: String,
    /// Explanations.
    pub notes: Vec<String>,
}

/// Prints findings.
///
/// # Errors
/// Where `out` takes nothing more.
pub fn print(findings: &[Finding], output: Output, out: &mut impl Write) -> io::Result<()> {
    match output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, findings)?;
            writeln!(out)
        }
        Output::Text => {
            for finding in findings {
                let severity = match finding.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                };
                let message = finding.message.trim_end().replace('\n', "\n    ");
                writeln!(
                    out,
                    "{}:{}: {severity}: {}: {message}",
                    finding.file, finding.line, finding.object
                )?;
                for note in &finding.notes {
                    writeln!(out, "    {}", note.replace('\n', "\n    "))?;
                }
            }
            Ok(())
        }
    }
}
