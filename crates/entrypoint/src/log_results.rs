//! The sidecar that writes all results to its log once the steps are over. Does I/O.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    slice,
};

use tektite_protocol::log_results::{Afterwards, Line, LineKind, LogResultsFlags, MAX_TOTAL_BYTES};

use crate::{
    artifacts,
    events::Signals,
    layout::Layout,
    log::Log,
    results::{self, Limit},
    sidecar,
    wait::{AfterFailure, Turn, Waiting},
};

/// Waits, writes, and returns the container's exit code.
pub(crate) fn run(flags: &LogResultsFlags, layout: &Layout, signals: &Signals, log: Log) -> u8 {
    // The last step's end, in whatever way, is what it waits for; and being told to go, which the
    // kubelet does when the steps are over, is as good. A cancelled run still ends its steps.
    let waiting = Waiting {
        files: slice::from_ref(&flags.stop_file),
        content: false,
        after_failure: AfterFailure::Skip,
        cancel: Path::new(""),
        signals,
        log,
    };
    if let (Turn::Broken(sentence), _) = waiting.turn() {
        log.error(format_args!("{sentence}"));
        return 1;
    }
    if let Err(error) = write(&lines(flags, layout)) {
        log.error(format_args!("results cannot be written to the log: {error}"));
        return 1;
    }
    if flags.afterwards == Afterwards::Stay && !signals.asked_to_end() {
        sidecar::rest(signals, None);
    }
    0
}

fn write(lines: &[Line]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        out.write_all(line.text().as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.write_all(Line::end(lines.len()).text().as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// One line for each result and each file of artifacts that was written and is not too large.
fn lines(flags: &LogResultsFlags, layout: &Layout) -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut total, mut largest) = (0, (0, String::new()));
    let mut take = |directory: &Path, name: &str, shown: String, kind| {
        let line = match results::read(directory, name, Limit::Log(flags.most)) {
            Ok(None) => return,
            Ok(Some(value)) => {
                total += value.len();
                if value.len() > largest.0 {
                    largest = (value.len(), shown.clone());
                }
                if total > MAX_TOTAL_BYTES {
                    return;
                }
                Line {
                    name: shown,
                    value,
                    kind,
                }
            }
            Err(problem) => Line {
                name: shown,
                value: problem.to_string(),
                kind: LineKind::LeftOut,
            },
        };
        lines.push(line);
    };
    for name in &flags.results {
        take(&layout.results_dir(), name, name.clone(), LineKind::Task);
    }
    for step in &flags.steps {
        for name in &step.names {
            let shown = format!("{}.{name}", step.container);
            take(Path::new(&step.directory), name, shown, LineKind::Step);
        }
    }
    let of_steps = flags.artifacts.iter().map(|step| {
        let directory = PathBuf::from(&step.directory);
        (directory, &step.container, LineKind::StepArtifact)
    });
    let of_task = flags.artifacts.last().map(|last| {
        let directory = layout.artifacts_dir();
        (directory, &last.container, LineKind::TaskArtifact)
    });
    for (directory, container, kind) in of_steps.chain(of_task) {
        // What cannot be understood has failed its step.
        let Ok(Some(value)) = artifacts::text(&directory) else {
            continue;
        };
        total += value.len();
        if total <= MAX_TOTAL_BYTES {
            lines.push(Line {
                name: container.clone(),
                value,
                kind,
            });
        }
    }
    if total > MAX_TOTAL_BYTES {
        lines.push(Line {
            name: String::new(),
            value: results::too_large_together(total, &largest.1, largest.0),
            kind: LineKind::LeftOut,
        });
    }
    lines
}
