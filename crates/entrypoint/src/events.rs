//! What the single thread sleeps on: signals, another entrypoint's end, changes in a directory.
//! Does I/O.
//!
//! Signals are blocked and read from a descriptor, since PID 1 is never ended by a signal that it
//! does not ask for.

use std::{cell::Cell, fmt, os::fd::AsFd as _, path::Path, time::Duration};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        inotify::{AddWatchFlags, InitFlags, Inotify},
        signal::{SigSet, SigmaskHow, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

use crate::alive::Watched;

/// All signals of this process, from the moment that this exists.
#[derive(Debug)]
pub(crate) struct Signals {
    arriving: SignalFd,
    /// The mask that the process was started with, for the command.
    pub(crate) inherited: SigSet,
    /// Whether one has arrived that ends a program.
    asked_to_end: Cell<bool>,
}

impl Signals {
    /// Blocks every signal and takes it from here on. All but SIGPIPE: it comes from our own writes
    /// and is ignored, which a blocked one is not.
    pub(crate) fn take() -> nix::Result<Self> {
        let mut all = SigSet::all();
        all.remove(Signal::SIGPIPE);
        let inherited = all.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let arriving = SignalFd::with_flags(&all, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self {
            arriving,
            inherited,
            asked_to_end: Cell::new(false),
        })
    }

    /// The next signal that has arrived.
    pub(crate) fn next(&self) -> Option<Arrived> {
        let arrived = self.arriving.read_signal().ok()??;
        let number = i32::try_from(arrived.ssi_signo).ok()?;
        if ends_a_program(number) {
            self.asked_to_end.set(true);
        }
        let from = match arrived.ssi_pid {
            0 => Sender::Outside,
            pid => Sender::Process(pid),
        };
        Some(Arrived { number, from })
    }

    /// Whether somebody has sent a signal that ends programs.
    pub(crate) fn asked_to_end(&self) -> bool {
        self.asked_to_end.get()
    }

    /// Sleeps until a signal arrives, `wake` happens, or `longest` is over. It may wake for nothing.
    pub(crate) fn sleep(&self, wake: &Wake, longest: Duration) {
        self.sleep_on(wake.source(), longest);
        wake.drain();
    }

    /// The same, for whatever may wake.
    pub(crate) fn sleep_on<'a>(&'a self, others: impl IntoIterator<Item = PollFd<'a>>, longest: Duration) {
        let mut sources = vec![PollFd::new(self.arriving.as_fd(), PollFlags::POLLIN)];
        sources.extend(others);
        // Rounded up, so that a rest below a millisecond is no busy loop.
        let millis = u16::try_from(longest.as_millis().saturating_add(1)).unwrap_or(u16::MAX);
        let slept = poll(&mut sources, PollTimeout::from(millis));
        if slept.is_err_and(|errno| errno != Errno::EINTR) {
            // Not known to happen; a short sleep keeps it from becoming a busy loop.
            std::thread::sleep(longest.min(Duration::from_millis(100)));
        }
    }
}

/// A signal, and who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) number: i32,
    pub(crate) from: Sender,
}

/// Who sent a signal, as far as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Nobody in this container's process namespace.
    Outside,
    Process(u32),
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside => f.write_str("from outside the container (the kubelet stops its Pod)"),
            Self::Process(pid) => write!(f, "from process {pid} of the container"),
        }
    }
}

/// `SIGTERM`, or `signal 35` for those without a name.
pub(crate) fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(
        |_| format!("signal {number}"),
        |signal| signal.as_str().to_owned(),
    )
}

/// Whether a program that does nothing about signal `number` is ended by it.
pub(crate) fn ends_a_program(number: i32) -> bool {
    use Signal::{SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};
    let harmless = [
        SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH,
    ];
    !harmless.iter().any(|signal| *signal as i32 == number)
}

/// What wakes [`Signals::sleep`] besides signals.
#[derive(Debug)]
pub(crate) enum Wake {
    /// Only time.
    Nothing,
    /// Another entrypoint's end.
    End(Watched),
    /// Any change in a directory.
    Change(Inotify),
}

impl Wake {
    /// Watches the directory that `file` lies in. Not the file: the kubelet swaps a link beside it,
    /// and a marker is not there yet.
    pub(crate) fn around(file: &Path) -> Self {
        let changes = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        let watch = || {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok()?;
            inotify.add_watch(file.parent()?, changes).ok()?;
            Some(inotify)
        };
        watch().map_or(Self::Nothing, Self::Change)
    }

    fn source(&self) -> Option<PollFd<'_>> {
        match self {
            Self::Nothing => None,
            // A hang-up is told without being asked for; what somebody writes does not matter.
            Self::End(watched) => Some(PollFd::new(watched.reader.as_fd(), PollFlags::empty())),
            Self::Change(inotify) => Some(PollFd::new(inotify.as_fd(), PollFlags::POLLIN)),
        }
    }

    /// What changed does not matter: whoever slept looks at its files.
    fn drain(&self) {
        if let Self::Change(inotify) = self {
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_effects() {
        for (number, name, ends) in [
            (15, "SIGTERM", true),
            (1, "SIGHUP", true),
            (17, "SIGCHLD", false),
            (28, "SIGWINCH", false),
            (37, "signal 37", true),
        ] {
            assert_eq!(
                (signal_name(number).as_str(), ends_a_program(number)),
                (name, ends)
            );
        }
    }

    #[test]
    fn only_a_directory_that_is_there_can_be_watched() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Wake::around(&dir.path().join("out")), Wake::Change(_)));
        assert!(matches!(Wake::around(&dir.path().join("no/out")), Wake::Nothing));
    }
}
