//! A step's turn: waiting for the marker of the step before it, or for the Pod to be ready
//! (runtime.md section 3.5). Does I/O.
//!
//! The files are the truth; what wakes us only says when to look again. For a marker that is the
//! end of the entrypoint that writes it; until that one has begun, and for the kubelet's files, it
//! is a change in the directory; where neither can be had, time.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use tektite_protocol::{
    log::LogLevel,
    paths::{self, FAILED_SUFFIX},
};

use crate::{
    alive::Watched,
    clock,
    events::{Arrived, Signals, Wake, ends_a_program, signal_name},
    files::{is_there, with_suffix},
    log::Log,
};

/// How often to look without having been woken: for the cancel file, and where events get lost.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// How often to look where nothing wakes us.
const POLL: Duration = Duration::from_millis(100);
/// After how long the log says what the step is waiting for, unasked.
const WORTH_SAYING: Duration = Duration::from_secs(1);

/// How the waiting ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is this step's turn.
    Mine,
    /// An earlier step failed; why that is known.
    Skipped(String),
    /// The step shall not run any more; why.
    Cancelled(String),
    /// A file cannot be looked at; the sentence says which.
    Broken(String),
}

/// What an earlier step's failure means for this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// It does not run.
    Skip,
    /// It runs: whoever debugs has let that one fail and looks at the next.
    Run,
}

/// What is waited for, and how it may be cut short.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    /// The files, in order.
    pub(crate) files: &'a [String],
    /// Whether they must have something in them.
    pub(crate) content: bool,
    /// What an earlier step's failure means.
    pub(crate) after_failure: AfterFailure,
    /// Not empty once the TaskRun is cancelled.
    pub(crate) cancel: &'a Path,
    pub(crate) signals: &'a Signals,
    pub(crate) log: Log,
}

impl Waiting<'_> {
    /// Waits for every file. What has woken it is handed over: closing an inotify instance takes
    /// the kernel 15 ms, for which the command need not wait.
    pub(crate) fn turn(&self) -> (Turn, Vec<Wake>) {
        let mut used = Vec::new();
        for file in self.files {
            let mut wake = Wake::Nothing;
            let turn = self.one(Path::new(file), &mut wake);
            used.push(wake);
            if turn != Turn::Mine {
                return (turn, used);
            }
        }
        if is_cancelled(self.cancel) {
            return (cancelled(), used);
        }
        (Turn::Mine, used)
    }

    fn one(&self, file: &Path, wake: &mut Wake) -> Turn {
        let began = Instant::now();
        let mut said = false;
        self.log.debug(format_args!("waiting for {}", describe(file)));
        loop {
            // Watched before looked at: what happens in between wakes us.
            watch(file, wake);
            if let Some(turn) = self.look(file, wake) {
                let waited = began.elapsed();
                let fields = [("duration_ms", clock::millis(waited))];
                let waited = clock::readable(waited);
                let text = format_args!("waited {waited} for {}", describe(file));
                self.log.event(LogLevel::Info, text, &fields);
                return turn;
            }
            let mut longest = if matches!(wake, Wake::Nothing) { POLL } else { TICK };
            if !said {
                let silence = WORTH_SAYING.saturating_sub(began.elapsed());
                if silence.is_zero() {
                    said = true;
                    if !self.log.is_debug() {
                        self.log.info(format_args!("waiting for {}", describe(file)));
                    }
                } else {
                    longest = longest.min(silence);
                }
            }
            self.signals.sleep(wake, longest);
            while let Some(Arrived { number, from }) = self.signals.next() {
                let name = signal_name(number);
                self.log.debug(format_args!("{name} arrived {from}"));
                if ends_a_program(number) {
                    return Turn::Cancelled(format!(
                        "{name} arrived {from} while the step waited for its turn"
                    ));
                }
            }
        }
    }

    /// `None` while there is nothing to be seen.
    fn look(&self, file: &Path, wake: &Wake) -> Option<Turn> {
        if is_cancelled(self.cancel) {
            return Some(cancelled());
        }
        // A predecessor that is gone may have written its marker just before: ask that first.
        let gone = matches!(wake, Wake::End(watched) if watched.is_gone());
        match is_there(file, self.content) {
            Ok(true) => return Some(Turn::Mine),
            Ok(false) => {}
            Err(error) => {
                return Some(Turn::Broken(format!(
                    "waiting for \"{}\": {error}",
                    file.display()
                )));
            }
        }
        let failed = with_suffix(file, FAILED_SUFFIX);
        match is_there(&failed, false) {
            Ok(true) if self.after_failure == AfterFailure::Run => return Some(Turn::Mine),
            Ok(true) => {
                let found = failed.display();
                return Some(Turn::Skipped(format!("an earlier step failed (found {found})")));
            }
            Ok(false) => {}
            Err(error) => {
                return Some(Turn::Broken(format!(
                    "waiting for \"{}\": {error}",
                    failed.display()
                )));
            }
        }
        gone.then(|| {
            let step = describe(file);
            Turn::Skipped(format!(
                "{step} ended without a word: its entrypoint was killed, most often for lack of memory"
            ))
        })
    }
}

/// Chooses the best that is there now.
fn watch(file: &Path, wake: &mut Wake) {
    if !matches!(wake, Wake::End(_))
        && let Some(watched) = Watched::open(file)
    {
        *wake = Wake::End(watched);
    }
    if matches!(wake, Wake::Nothing) {
        *wake = Wake::around(file);
        // Its entrypoint may have begun just before that.
        if let Some(watched) = Watched::open(file) {
            *wake = Wake::End(watched);
        }
    }
}

/// Whether the TaskRun is cancelled. A file that cannot be looked at cancels nothing.
pub(crate) fn is_cancelled(file: &Path) -> bool {
    is_there(file, true).unwrap_or(false)
}

fn cancelled() -> Turn {
    Turn::Cancelled("the TaskRun was cancelled or is out of time".to_owned())
}

/// `step 0 (/tekton/run/0/out)`, or just the file.
fn describe(file: &Path) -> String {
    let shown = file.display();
    let parent = file.parent();
    let number = parent.and_then(Path::file_name).and_then(|name| name.to_str());
    match number.and_then(|name| name.parse::<usize>().ok()) {
        Some(index) if file.file_name().is_some_and(|name| name == "out") => {
            format!("step {index} ({shown})")
        }
        _ if file == Path::new(paths::READY_FILE) => format!("the Pod's other containers ({shown})"),
        _ => format!("{shown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_has_a_name() {
        for (file, name) in [
            ("/tekton/run/12/out", "step 12 (/tekton/run/12/out)"),
            (
                "/tekton/downward/ready",
                "the Pod's other containers (/tekton/downward/ready)",
            ),
            ("/x", "/x"),
            ("/7/other", "/7/other"),
        ] {
            assert_eq!(describe(Path::new(file)), name);
        }
    }
}
