//! What an ending means for everybody else: marker, exit code file, termination message and the
//! container's exit code (the table of runtime.md section 3.6). No I/O.

use std::time::Duration;

use tektite_protocol::{
    flags::OnError,
    termination::{Entry, key, reason},
};

use crate::{clock, sys::Ended};

/// The exit code of a cancelled step.
const EXIT_CANCELLED: u8 = 9;
/// The exit code of a step whose command died of a signal, as Go has it (W-24 is kept).
const EXIT_SIGNALLED: u8 = 255;
/// What a sentence in the termination message may take of its 4096 bytes.
const SENTENCE_BYTES: usize = 1024;

/// How a step came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It never ran, since an earlier step failed.
    Skipped,
    /// It never ran, since its own `when` does not hold; later steps do not mind.
    Unneeded,
    /// It never ran, since whoever debugs it said so at its breakpoint.
    Declined,
    /// The TaskRun was cancelled, or the Pod was told to stop while the step waited.
    Cancelled,
    /// Its own timeout was over.
    TimedOut,
    /// Its command ran and ended by itself, and well.
    Succeeded,
    /// Its command ran and ended by itself, with an error.
    Failed(Failure),
    /// It could not be run, for the reason that the sentence gives.
    Broken(String),
}

/// The end of a command that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) how: Ended,
    /// How long it had run.
    pub(crate) after: Duration,
    /// What there is to say beyond its exit code, without secrets.
    pub(crate) why: Option<String>,
}

impl Ending {
    /// Whether a breakpoint on failure is one on this ending.
    pub(crate) fn may_pause(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Broken(_))
    }

    /// Whether there may be results: the command was started, or at least should have been.
    pub(crate) fn has_results(&self) -> bool {
        !matches!(self, Self::Skipped | Self::Unneeded)
    }
}

/// What is to be written and returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether later steps are skipped.
    pub(crate) failed: bool,
    /// The text of the exit code file; none where upstream has none.
    pub(crate) exit_code_file: Option<String>,
    /// What the controller is told, besides results.
    pub(crate) entries: Vec<Entry>,
    /// What it is told besides, as far as results leave room for it; what matters most comes first.
    pub(crate) extras: Vec<Entry>,
    /// The container's exit code.
    pub(crate) exit: u8,
}

impl Verdict {
    /// What `ending` means for a step started at `started` with this `on_error`.
    pub(crate) fn of(ending: &Ending, on_error: OnError, started: &str) -> Self {
        let mut verdict = Self {
            failed: true,
            exit_code_file: None,
            entries: vec![Entry::internal(key::STARTED_AT, started)],
            extras: Vec::new(),
            exit: 1,
        };
        match ending {
            Ending::Skipped => verdict.because(reason::SKIPPED),
            Ending::Unneeded => {
                verdict.because(reason::SKIPPED);
                verdict.failed = false;
                verdict.exit_code_file = Some("0".to_owned());
                verdict.exit = 0;
            }
            Ending::Declined => verdict.fail("told to fail at the breakpoint before its command"),
            Ending::TimedOut => verdict.because(reason::TIMEOUT_EXCEEDED),
            Ending::Cancelled => {
                verdict.because(reason::CANCELLED);
                verdict.exit_code_file = Some("killed".to_owned());
                verdict.exit = EXIT_CANCELLED;
            }
            Ending::Succeeded => {
                verdict.failed = false;
                verdict.exit_code_file = Some("0".to_owned());
                verdict.exit = 0;
            }
            Ending::Failed(Failure { how, after, why }) => {
                let (code, exit) = match how {
                    Ended::Code(code) => (*code, u8::try_from(*code).unwrap_or(1)),
                    Ended::Signal(_) => (-1, EXIT_SIGNALLED),
                };
                verdict.exit = exit;
                verdict.extras.extend(why.as_deref().map(sentence));
                let ran = Entry::internal(key::RAN, clock::readable(*after));
                verdict.extras.push(ran);
                if on_error == OnError::Continue {
                    verdict.failed = false;
                    verdict.exit_code_file = Some(code.to_string());
                    verdict.exit = 0;
                    verdict
                        .entries
                        .push(Entry::internal(key::EXIT_CODE, code.to_string()));
                }
            }
            Ending::Broken(why) => verdict.fail(why),
        }
        verdict
    }

    /// What whoever debugs a failed step makes of it.
    pub(crate) fn decide(&mut self, exit: u8) {
        self.failed = exit != 0;
        self.exit = exit;
        self.exit_code_file = None;
    }

    fn because(&mut self, reason: &str) {
        self.entries.push(Entry::internal(key::REASON, reason));
    }

    /// The step fails for another reason than its command. One that has failed already keeps its
    /// exit code, and what was said of it, which says more.
    pub(crate) fn fail(&mut self, why: &str) {
        let said = self.extras.iter().position(is_sentence);
        let mut said = said.map(|at| self.extras.remove(at));
        if !self.failed {
            self.failed = true;
            self.exit = 1;
            self.exit_code_file = None;
            // Of a failure that did not matter.
            said = None;
        }
        self.entries.retain(|entry| entry.key != key::EXIT_CODE);
        if !self.entries.iter().any(is_sentence) {
            self.entries.push(said.unwrap_or_else(|| sentence(why)));
        }
    }
}

fn is_sentence(entry: &Entry) -> bool {
    entry.key == key::MESSAGE
}

fn sentence(text: &str) -> Entry {
    let end = text.floor_char_boundary(SENTENCE_BYTES);
    Entry::internal(key::MESSAGE, &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use OnError::{Continue, StopAndFail};

    fn told(verdict: &Verdict) -> String {
        let entries = verdict.entries.iter().chain(&verdict.extras);
        let told: Vec<String> = entries.map(|e| format!("{}={}", e.key, e.value)).collect();
        told.join(" ")
    }

    fn failed(how: Ended, why: Option<&str>) -> Ending {
        Ending::Failed(Failure {
            how,
            after: Duration::from_millis(1204),
            why: why.map(str::to_owned),
        })
    }

    #[test]
    fn the_outcome_table() {
        let code = |code| failed(Ended::Code(code), None);
        let signal = failed(Ended::Signal(9), Some("killed"));
        let broken = Ending::Broken("no".to_owned());
        for (ending, on_error, failed, file, entry, exit) in [
            (Ending::Skipped, StopAndFail, true, None, " Reason=Skipped", 1),
            (Ending::Skipped, Continue, true, None, " Reason=Skipped", 1),
            (
                Ending::Unneeded,
                StopAndFail,
                false,
                Some("0"),
                " Reason=Skipped",
                0,
            ),
            (
                Ending::Cancelled,
                Continue,
                true,
                Some("killed"),
                " Reason=Cancelled",
                9,
            ),
            (
                Ending::TimedOut,
                Continue,
                true,
                None,
                " Reason=TimeoutExceeded",
                1,
            ),
            (Ending::Succeeded, StopAndFail, false, Some("0"), "", 0),
            (Ending::Succeeded, Continue, false, Some("0"), "", 0),
            (code(3), StopAndFail, true, None, " Ran=1.204s", 3),
            (code(255), StopAndFail, true, None, " Ran=1.204s", 255),
            (code(3), Continue, false, Some("3"), " ExitCode=3 Ran=1.204s", 0),
            (
                signal.clone(),
                StopAndFail,
                true,
                None,
                " Message=killed Ran=1.204s",
                255,
            ),
            (
                signal,
                Continue,
                false,
                Some("-1"),
                " ExitCode=-1 Message=killed Ran=1.204s",
                0,
            ),
            (
                Ending::Declined,
                StopAndFail,
                true,
                None,
                " Message=told to fail at the breakpoint before its command",
                1,
            ),
            (broken.clone(), StopAndFail, true, None, " Message=no", 1),
            (broken, Continue, true, None, " Message=no", 1),
        ] {
            let verdict = Verdict::of(&ending, on_error, "t");
            assert_eq!(
                (verdict.failed, verdict.exit_code_file.as_deref(), verdict.exit),
                (failed, file, exit),
                "{ending:?} {on_error:?}"
            );
            assert_eq!(told(&verdict), format!("StartedAt=t{entry}"), "{ending:?}");
        }
    }

    #[test]
    fn a_late_failure_undoes_success_but_not_a_failure() {
        let code = |why| failed(Ended::Code(127), why);
        for (ending, on_error, exit, entries) in [
            (Ending::Succeeded, StopAndFail, 1, " Message=too large"),
            (code(None), Continue, 1, " Message=too large Ran=1.204s"),
            (code(None), StopAndFail, 127, " Message=too large Ran=1.204s"),
            (
                code(Some("not found")),
                Continue,
                1,
                " Message=too large Ran=1.204s",
            ),
            (
                code(Some("not found")),
                StopAndFail,
                127,
                " Message=not found Ran=1.204s",
            ),
        ] {
            let mut verdict = Verdict::of(&ending, on_error, "t");
            verdict.fail("too large");
            verdict.fail("and more");
            assert_eq!((verdict.failed, verdict.exit), (true, exit));
            assert_eq!(verdict.exit_code_file, None);
            assert_eq!(told(&verdict), format!("StartedAt=t{entries}"));
            // Why a step fails is told whatever room there is.
            assert!(verdict.entries.iter().any(is_sentence));
        }
    }

    #[test]
    fn a_sentence_never_fills_the_message() {
        let long = "ä".repeat(4000);
        let verdict = Verdict::of(&Ending::Broken(long.clone()), StopAndFail, "t");
        assert_eq!(verdict.entries[1].value.len(), 1024);
        let verdict = Verdict::of(&failed(Ended::Code(1), Some(&long)), StopAndFail, "t");
        assert_eq!(verdict.extras[0].value.len(), 1024);
    }
}
