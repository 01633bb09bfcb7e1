//! Writing into a case's file what the refusal said.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// How far a block is indented.
const INDENT: &str = "  ";

/// The YAML of the keys `error` and `exact`.
fn block(text: &str) -> String {
    // A block whose first line begins with a space must say how far it is indented.
    let digit = if text.starts_with([' ', '\n']) { "2" } else { "" };
    let lines: Vec<_> = text
        .split('\n')
        .map(|line| {
            if line.is_empty() {
                String::new()
            } else {
                format!("{INDENT}{line}")
            }
        })
        .collect();
    format!("error: |{digit}-\n{}\nexact: true\n", lines.join("\n"))
}

/// The file's YAML with another error; all else stays as its author wrote it.
pub(crate) fn rewrite(yaml: &str, text: &str) -> Result<String> {
    if text.trim().is_empty() || text.ends_with('\n') || text.contains(['\r', '\t']) {
        bail!("the error is no text that a block of YAML can hold: {text:?}");
    }
    let mut out = String::new();
    let mut written = false;
    let mut skipping = false;
    for line in yaml.split_inclusive('\n') {
        let is_key = line.starts_with(|first: char| first.is_ascii_alphabetic());
        if is_key {
            skipping = line.starts_with("error:") || line.starts_with("exact:");
            if !written && (line.starts_with("error:") || line.starts_with("fix:")) {
                out.push_str(&block(text));
                written = true;
            }
        }
        if !skipping {
            out.push_str(line);
        }
    }
    if !written {
        bail!("the file has neither error nor fix");
    }
    Ok(out)
}

/// Writes the error into the file; whether that changed it.
pub(crate) fn bless(file: &Path, text: &str) -> Result<bool> {
    let name = file.display();
    let before = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let after = rewrite(&before, text)?;
    if before == after {
        return Ok(false);
    }
    fs::write(file, after).with_context(|| format!("cannot write {name}"))?;
    Ok(true)
}

#[cfg(test)]
#[path = "bless_tests.rs"]
mod tests;
