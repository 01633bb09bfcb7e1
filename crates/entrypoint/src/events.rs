//! What the single thread sleeps on: signals, and changes in directories. Does I/O.
//!
//! Signals are blocked and read from a descriptor, since PID 1 is never ended by a signal that it
//! does not ask for. Directories are watched by inotify, one instance per process; where none is to
//! be had, the caller's interval decides.

use std::{os::fd::AsFd as _, path::Path, time::Duration};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        inotify::{AddWatchFlags, InitFlags, Inotify},
        signal::{SigSet, SigmaskHow, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

/// All signals of this process, from the moment that this exists.
#[derive(Debug)]
pub(crate) struct Signals {
    arriving: SignalFd,
    /// The mask that the process was started with, for the command.
    pub(crate) inherited: SigSet,
}

impl Signals {
    /// Blocks every signal and takes it from here on. All but SIGPIPE: it comes from our own writes
    /// and is ignored, which a blocked one is not.
    pub(crate) fn take() -> nix::Result<Self> {
        let mut all = SigSet::all();
        all.remove(Signal::SIGPIPE);
        let inherited = all.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let arriving = SignalFd::with_flags(&all, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { arriving, inherited })
    }

    /// The number of the next signal that has arrived.
    pub(crate) fn next(&self) -> Option<i32> {
        let arrived = self.arriving.read_signal().ok()??;
        i32::try_from(arrived.ssi_signo).ok()
    }

    /// Sleeps until a signal arrives, a watched directory changes, or `longest` is over. It may
    /// wake for nothing.
    pub(crate) fn sleep(&self, watch: &Watch, longest: Duration) {
        let mut sources = vec![PollFd::new(self.arriving.as_fd(), PollFlags::POLLIN)];
        if let Some(inotify) = &watch.inotify {
            sources.push(PollFd::new(inotify.as_fd(), PollFlags::POLLIN));
        }
        // Rounded up, so that a rest below a millisecond is no busy loop.
        let millis = u16::try_from(longest.as_millis().saturating_add(1)).unwrap_or(u16::MAX);
        let slept = poll(&mut sources, PollTimeout::from(millis));
        if slept.is_err_and(|errno| errno != Errno::EINTR) {
            // Not known to happen; a short sleep keeps it from becoming a busy loop.
            std::thread::sleep(longest.min(Duration::from_millis(100)));
        }
        watch.drain();
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

/// A set of directories whose changes wake [`Signals::sleep`].
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: Option<Inotify>,
    complete: bool,
}

impl Watch {
    /// Watches the directories that `files` lie in. Not the files: the kubelet swaps a link beside
    /// them, and a marker is not there yet.
    pub(crate) fn around(files: &[&Path]) -> Self {
        let mut watch = Self {
            inotify: Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok(),
            complete: true,
        };
        for file in files {
            watch.complete &= watch.add(file);
        }
        watch
    }

    /// Also watches around `file`, where that is possible; it may be looked at late.
    pub(crate) fn and(self, file: &Path) -> Self {
        self.add(file);
        self
    }

    fn add(&self, file: &Path) -> bool {
        let changes = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        match (&self.inotify, file.parent()) {
            (Some(inotify), Some(parent)) => inotify.add_watch(parent, changes).is_ok(),
            _ => false,
        }
    }

    /// Whether every directory is watched; else its files have to be looked at often.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// What changed does not matter: whoever slept looks at its files.
    fn drain(&self) {
        if let Some(inotify) = &self.inotify {
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
    fn a_directory_that_is_not_there_makes_a_watch_incomplete() {
        let dir = tempfile::tempdir().unwrap();
        let (here, away) = (dir.path().join("out"), dir.path().join("no/out"));
        assert!(Watch::around(&[&here]).is_complete());
        assert!(!Watch::around(&[&here, &away]).is_complete());
    }
}
