//! From the command line to an exit code: which mode, how much to say, and what to do when the
//! command line cannot be read. Does I/O.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use tektite_protocol::{
    flags::{INIT, InitFlags, StepFlags},
    log::LogFlags,
    log_results::{LOG_RESULTS, LogResultsFlags},
    paths::FAILED_SUFFIX,
    sidecar::{SIDECAR, SidecarFlags},
};

use crate::{
    debug::{self, Ask, DEBUG},
    events::Signals,
    files, init,
    layout::Layout,
    log::Log,
    log_results, sidecar, step,
};

/// In front of everything else, with a directory: where the fixed places are. For tests only, so
/// that they need no `/tekton`; the controller never writes it.
const ROOT: &str = "-root";

/// The exit code for a command line that cannot be read, as upstream has it.
const EXIT_USAGE: u8 = 2;

/// Does what `words` ask for, or the name that the program was called by. They come without it.
pub(crate) fn run(program: &OsStr, words: impl Iterator<Item = OsString>) -> u8 {
    // First of all: from here on no signal is lost, also not as PID 1.
    let signals = Signals::take();
    let mut lossy = false;
    let words = words.map(|word| {
        word.into_string().unwrap_or_else(|word| {
            lossy = true;
            word.to_string_lossy().into_owned()
        })
    });
    let mut words: Vec<String> = words.collect();
    let mut layout = Layout::default();
    if words.len() >= 2 && words[0] == ROOT {
        layout = Layout::below(&words[1]);
        words.drain(..2);
    }
    if lossy {
        return refuse(&words, EXIT_USAGE, "an argument is not valid UTF-8");
    }
    let signals = match signals {
        Ok(signals) => signals,
        Err(errno) => return refuse(&words, 1, &format!("signals cannot be received: {errno}")),
    };
    if let Some(ask) = program.to_str().and_then(Ask::from_name) {
        return debug::answer(ask, &layout, &signals);
    }
    if words.first().is_some_and(|word| word == DEBUG) {
        return debug::run(&words[1..], &layout, &signals);
    }
    if words.first().is_some_and(|word| word == INIT) {
        return prepare(words, &layout);
    }
    if words.first().is_some_and(|word| word == SIDECAR) {
        return beside(words, &signals);
    }
    if words.first().is_some_and(|word| word == LOG_RESULTS) {
        return tell_results(words, &layout, &signals);
    }
    match StepFlags::parse(words.iter().cloned()) {
        Ok(flags) => {
            let log = Log::new(&flags.log);
            step::run(&flags, &layout, &signals, log)
        }
        Err(error) => refuse(&words, EXIT_USAGE, &error.to_string()),
    }
}

fn prepare(words: Vec<String>, layout: &Layout) -> u8 {
    let log = Log::new(&LogFlags::default());
    let flags = match InitFlags::parse(words.into_iter().skip(1)) {
        Ok(flags) => flags,
        Err(error) => {
            log.error(format_args!("{error}"));
            return EXIT_USAGE;
        }
    };
    match init::run(&flags, layout) {
        Ok(()) => 0,
        Err(error) => {
            log.error(format_args!("the Pod could not be prepared: {error}"));
            1
        }
    }
}

fn beside(words: Vec<String>, signals: &Signals) -> u8 {
    match SidecarFlags::parse(words.into_iter().skip(1)) {
        Ok(flags) => sidecar::run(&flags, signals, Log::new(&flags.log)),
        Err(error) => refuse(&[], EXIT_USAGE, &error.to_string()),
    }
}

fn tell_results(words: Vec<String>, layout: &Layout, signals: &Signals) -> u8 {
    match LogResultsFlags::parse(words.into_iter().skip(1)) {
        // Whatever more it said would be between the results.
        Ok(flags) => log_results::run(&flags, layout, signals, Log::new(&LogFlags::default())),
        Err(error) => refuse(&[], EXIT_USAGE, &error.to_string()),
    }
}

/// Says why, and does what is possible to keep later steps from waiting for this one.
fn refuse(words: &[String], exit: u8, why: &str) -> u8 {
    let log = Log::new(&LogFlags::default());
    log.error(format_args!("the step cannot run: {why}"));
    if let Some(marker) = post_file(words)
        && let Err(error) = files::mark(&files::with_suffix(Path::new(marker), FAILED_SUFFIX))
    {
        log.error(format_args!("{error}"));
    }
    exit
}

/// The step's marker in a command line that cannot be read as a whole.
fn post_file(words: &[String]) -> Option<&str> {
    let own = words.iter().take_while(|word| *word != "--");
    let mut own = own.skip_while(|word| *word != "-post_file");
    own.nth(1).map(String::as_str)
}
