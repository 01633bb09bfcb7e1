//! A sidecar's command: started, kept, and stopped once the steps are over. Does I/O.
//!
//! The end of the command is not the end of the container where that would hurt the run: the kubelet
//! starts a native sidecar again whatever its exit code, and a Pod whose sidecar ends too soon never
//! gets to its steps. And an ordinary container that never ends by itself would keep the Pod for ever.

use std::{
    cell::RefCell,
    path::Path,
    time::{Duration, Instant},
};

use tektite_protocol::{
    log::LogLevel,
    paths::FAILED_SUFFIX,
    sidecar::{SidecarFlags, Start},
};

use crate::{
    alive::Watched,
    child::{self, Command},
    events::{Signals, Wake},
    files::{self, is_there, with_suffix},
    log::Log,
    outcome::{Ending, Failure},
    sys::{self, Ended},
};

/// How long a container must have run for the kubelet to have seen it, also where it is busy: it goes
/// on to the next container only once it has.
const SEEN_AFTER: Duration = Duration::from_secs(5);
/// Nothing but a signal is expected; this only keeps the time finite.
const LONG: Duration = Duration::from_mins(1);
/// What the shell says of a program that cannot be started.
const EXIT_CANNOT_RUN: u8 = 126;

/// Runs the sidecar and returns the container's exit code.
pub(crate) fn run(flags: &SidecarFlags, signals: &Signals, log: Log) -> u8 {
    let began = Instant::now();
    if let Some(script) = &flags.script
        && let Err(error) = files::place_script(script)
    {
        log.error(format_args!("{error}"));
        return EXIT_CANNOT_RUN;
    }
    if flags.start == Start::InPlace {
        return in_place(flags, signals, log);
    }
    let over = Over::of(flags.stop_file.as_deref());
    let command = Command {
        name: &flags.entrypoint,
        args: &flags.args,
        timeout: None,
        stopping: LogLevel::Info,
        stop_when: &|| over.look().then_some("the steps are over"),
        signals,
        log,
    };
    let ending = command.run(std::env::var_os("PATH"), Vec::new());
    let exit = exit_code(&ending);
    match (&flags.stop_file, exit) {
        _ if signals.asked_to_end() => {}
        // An ordinary container ends with its command.
        (Some(_), _) => {}
        (None, 0) => {
            log.info(format_args!(
                "ended well; the container stays until the Pod ends, so that it is not started again"
            ));
            rest(signals, None);
        }
        (None, _) => rest(signals, Some(SEEN_AFTER.saturating_sub(began.elapsed()))),
    }
    exit
}

fn in_place(flags: &SidecarFlags, signals: &Signals, log: Log) -> u8 {
    let why = match child::program_and_words(&flags.entrypoint, &flags.args, std::env::var_os("PATH")) {
        Ok((file, argv)) => sys::become_program(&file, &argv, signals.inherited)
            .desc()
            .to_owned(),
        Err(sentence) => sentence,
    };
    log.error(format_args!("{why}"));
    EXIT_CANNOT_RUN
}

/// What the container ends with: of a command that was stopped because its time had come, success.
fn exit_code(ending: &Ending) -> u8 {
    match ending {
        Ending::Failed(Failure { how, .. }) => match how {
            Ended::Code(code) => u8::try_from(*code).unwrap_or(1),
            Ended::Signal(number) => u8::try_from(128 + number).unwrap_or(255),
        },
        Ending::Broken(_) => EXIT_CANNOT_RUN,
        Ending::Succeeded
        | Ending::Cancelled
        | Ending::Skipped
        | Ending::Unneeded
        | Ending::Declined
        | Ending::TimedOut => 0,
    }
}

/// Does nothing until a signal asks for the end, or for as long as `longest`.
pub(crate) fn rest(signals: &Signals, longest: Option<Duration>) {
    let until = longest.map(|longest| Instant::now() + longest);
    loop {
        let left = until.map_or(LONG, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return;
        }
        signals.sleep(&Wake::Nothing, left);
        while sys::reap().is_some() {}
        while signals.next().is_some() {}
        if signals.asked_to_end() {
            return;
        }
    }
}

/// Whether the steps are over, by the marker of the last one.
struct Over<'a> {
    marker: Option<&'a Path>,
    /// The last step's pipe, once it was there.
    last: RefCell<Option<Watched>>,
}

impl<'a> Over<'a> {
    fn of(marker: Option<&'a str>) -> Self {
        Self {
            marker: marker.map(Path::new),
            last: RefCell::default(),
        }
    }

    fn look(&self) -> bool {
        let Some(marker) = self.marker else {
            return false;
        };
        let mut last = self.last.borrow_mut();
        if last.is_none() {
            *last = Watched::open(marker);
        }
        // Its entrypoint may have been killed before it could write a marker.
        last.as_ref().is_some_and(Watched::is_gone)
            || is_there(marker, false).unwrap_or(false)
            || is_there(&with_suffix(marker, FAILED_SUFFIX), false).unwrap_or(false)
    }
}
