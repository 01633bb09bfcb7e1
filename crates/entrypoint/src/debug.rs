//! `entrypoint debug continue|fail|shell`, for whoever looks at a paused step from inside its container
//! (runtime.md 6.2). Works without a shell in the image, but for the last. Does I/O.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    fs::{self, File},
    io::{self, Write as _},
    os::fd::IntoRawFd as _,
    path::PathBuf,
};

use tektite_protocol::{
    breakpoint::{Answer, Breakpoint, PAUSED_SUFFIX},
    paths,
};

use crate::{
    breakpoint, child, events::Signals, files, layout::Layout, program, references::References, sys,
};

/// The word that asks for this instead of running a step.
pub(crate) const DEBUG: &str = "debug";
/// What `debug shell` starts: the first that the image has.
const SHELLS: [&str; 4] = ["bash", "sh", "ash", "/busybox/sh"];
const EXIT_USAGE: u8 = 2;

/// What is asked of a paused step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// This, wherever it is paused, or only at one breakpoint.
    Answer(Answer, Option<Breakpoint>),
    /// A shell with the step's surroundings.
    Shell,
}

impl Ask {
    /// What `word` behind `debug` means.
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "continue" => Some(Self::Answer(Answer::Continue, None)),
            "fail" => Some(Self::Answer(Answer::Fail, None)),
            "shell" => Some(Self::Shell),
            _ => None,
        }
    }

    /// What the program's own name means.
    pub(crate) fn from_name(program: &str) -> Option<Self> {
        let name = program.rsplit('/').next()?;
        let (point, answer) = Breakpoint::from_script(name)?;
        Some(Self::Answer(answer, Some(point)))
    }
}

/// What `debug` says instead of doing what was asked.
#[derive(Debug, thiserror::Error)]
enum DebugError {
    #[error("this container is no step of a TaskRun with breakpoints: there is no number in {0}")]
    NoStep(String),
    #[error("step {0} is not paused: it runs, has ended, or has not had its turn yet")]
    NotPaused(usize),
    #[error("step {step} is paused {at}; run {right} instead")]
    Elsewhere {
        step: usize,
        at: &'static str,
        right: &'static str,
    },
    #[error(transparent)]
    File(#[from] files::FileError),
    #[error("{0}")]
    Sentence(String),
    #[error(
        "the image has no shell: look at the step with kubectl debug --stdin --tty POD --image busybox \
         --target CONTAINER, and come back with debug continue or debug fail"
    )]
    NoShell,
}

/// The words behind `debug`.
pub(crate) fn run(words: &[String], layout: &Layout, signals: &Signals) -> u8 {
    let [word] = words else { return usage() };
    Ask::from_word(word).map_or_else(usage, |ask| answer(ask, layout, signals))
}

fn usage() -> u8 {
    say(format_args!("write debug continue, debug fail or debug shell"));
    EXIT_USAGE
}

/// Does it, and says so on the terminal of whoever asked: this is not the step's log.
pub(crate) fn answer(ask: Ask, layout: &Layout, signals: &Signals) -> u8 {
    let done = paused(layout).and_then(|(step, at)| match ask {
        Ask::Answer(answer, only) => tell(layout, step, at, answer, only),
        Ask::Shell => shell(layout, step, at, signals),
    });
    match done {
        Ok(text) => {
            say(format_args!("{text}"));
            0
        }
        Err(error) => {
            say(format_args!("{error}"));
            1
        }
    }
}

/// On stderr, success too: stdout would bring a buffer into the program.
fn say(text: fmt::Arguments<'_>) {
    // A terminal that is gone needs no text.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// This container's step, and where it is paused.
fn paused(layout: &Layout) -> Result<(usize, Breakpoint), DebugError> {
    let info = layout.debug_info_dir();
    let numbers = fs::read_dir(&info).into_iter().flatten().flatten();
    let mut numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<usize>().ok());
    let step = numbers
        .next()
        .ok_or_else(|| DebugError::NoStep(info.display().to_string()))?;
    let flag = fs::read_to_string(marker(layout, step, PAUSED_SUFFIX)).unwrap_or_default();
    let at = Breakpoint::from_flag(&flag).ok_or(DebugError::NotPaused(step))?;
    Ok((step, at))
}

fn marker(layout: &Layout, step: usize, suffix: &str) -> PathBuf {
    files::with_suffix(&layout.at(&paths::post_file(step)), suffix)
}

fn tell(
    layout: &Layout,
    step: usize,
    at: Breakpoint,
    answer: Answer,
    only: Option<Breakpoint>,
) -> Result<String, DebugError> {
    if only.is_some_and(|only| only != at) {
        return Err(DebugError::Elsewhere {
            step,
            at: place(at),
            right: at.script(answer),
        });
    }
    // Kept until this process has ended, for which the step waits.
    if let Ok(held) = File::open(marker(layout, step, PAUSED_SUFFIX))
        && held.lock_shared().is_ok()
    {
        let _ = held.into_raw_fd();
    }
    let file = marker(layout, step, at.answer_suffix(answer));
    files::replace(&file, 0o644, |file| file.write_all(answer.text().as_bytes()))?;
    let what = match (at, answer) {
        (Breakpoint::BeforeStep, Answer::Continue) => "runs its command now",
        (Breakpoint::OnFailure, Answer::Continue) => "counts as succeeded, and the next step runs",
        (_, Answer::Fail) => "fails",
    };
    Ok(format!("step {step} {what}"))
}

fn place(at: Breakpoint) -> &'static str {
    match at {
        Breakpoint::BeforeStep => "before its command",
        Breakpoint::OnFailure => "after its failure",
    }
}

/// A shell in the step's directory with the step's environment: what leads to its credentials is set, and
/// what earlier steps left filled in. Returns only where there is none.
fn shell(layout: &Layout, step: usize, at: Breakpoint, signals: &Signals) -> Result<String, DebugError> {
    let path = std::env::var_os("PATH");
    let found = SHELLS.into_iter().find(|shell| {
        let found = program::find(shell, path.clone());
        found.is_ok_and(|file| file.is_file())
    });
    let shell = found.ok_or(DebugError::NoShell)?;
    for (name, value) in breakpoint::variables(&marker(layout, step, ""))? {
        sys::set_variable(OsStr::new(&name), &value);
    }
    let references = References::new(layout.steps_dir());
    for (name, value) in references.environment().map_err(DebugError::Sentence)? {
        sys::set_variable(&name, &value);
    }
    say(format_args!(
        "step {step} is paused {}; leave with exit, then {ENTRYPOINT} debug continue or debug fail",
        place(at),
        ENTRYPOINT = paths::ENTRYPOINT
    ));
    let path: Option<OsString> = path;
    let (file, argv) = child::program_and_words(shell, &[], path).map_err(DebugError::Sentence)?;
    let errno = sys::become_program(&file, &argv, signals.inherited);
    Err(DebugError::Sentence(format!("{shell}: {}", errno.desc())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_words() {
        for (name, ask) in [
            (
                "/tekton/debug/scripts/debug-continue",
                Some(Ask::Answer(Answer::Continue, Some(Breakpoint::OnFailure))),
            ),
            (
                "debug-beforestep-fail-continue",
                Some(Ask::Answer(Answer::Fail, Some(Breakpoint::BeforeStep))),
            ),
            ("/tekton/bin/entrypoint", None),
        ] {
            assert_eq!(Ask::from_name(name), ask);
        }
        assert_eq!(Ask::from_word("shell"), Some(Ask::Shell));
        assert_eq!(Ask::from_word("bash"), None);
    }
}
