//! A pipe that says that a step's entrypoint still lives. Does I/O.
//!
//! It lies next to the step's marker, and its entrypoint holds it open for writing. Who waits for
//! the marker holds it open for reading and is woken by the kernel when the writer lets go: after
//! the marker is written, or because the entrypoint was killed (for lack of memory, say) and the
//! marker will never come. Unlike inotify that takes none of the 128 instances that all Pods of a
//! node share per UID, and letting go of it does not wait 15 ms for the kernel's bookkeeping.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use nix::{libc::O_NONBLOCK, sys::stat::Mode, unistd::mkfifo};
use tektite_protocol::paths::ALIVE_SUFFIX;

use crate::files::with_suffix;

/// The writer's end. The kernel lets go of it, whatever way the process ends.
#[derive(Debug)]
pub(crate) struct Alive {
    _writer: File,
}

impl Alive {
    /// Says that the entrypoint that will write `marker` lives.
    ///
    /// The pipe gets its name only after it is open: who sees it, had a writer to see.
    pub(crate) fn announce(marker: &Path) -> io::Result<Self> {
        if let Some(parent) = marker.parent() {
            fs::create_dir_all(parent)?;
        }
        let path = with_suffix(marker, ALIVE_SUFFIX);
        let temporary = with_suffix(&path, ".new");
        let _ = fs::remove_file(&temporary);
        mkfifo(&temporary, Mode::S_IRUSR | Mode::S_IWUSR)?;
        // Steps under another UID, with the directory read-only, have to open it.
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o644))?;
        // Linux opens a pipe for both at once without waiting for the other side.
        let writer = OpenOptions::new().read(true).write(true).open(&temporary)?;
        fs::rename(&temporary, &path)?;
        Ok(Self { _writer: writer })
    }
}

/// The reader's end, of the pipe of somebody else's entrypoint.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Hung up once its writer is gone.
    pub(crate) reader: File,
}

impl Watched {
    /// The pipe next to `marker`, if its entrypoint has begun.
    pub(crate) fn open(marker: &Path) -> Option<Self> {
        let path = with_suffix(marker, ALIVE_SUFFIX);
        let mut options = OpenOptions::new();
        let reader = options.read(true).custom_flags(O_NONBLOCK).open(path).ok()?;
        let is_pipe = reader.metadata().ok()?.file_type().is_fifo();
        is_pipe.then_some(Self { reader })
    }

    /// Whether the entrypoint is no more. The marker that it may have written before is not looked
    /// at here.
    pub(crate) fn is_gone(&self) -> bool {
        matches!((&self.reader).read(&mut [0; 64]), Ok(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gone_means_was_there_and_is_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let marker = dir.path().join("run/out");
        assert!(Watched::open(&marker).is_none(), "never there");
        let alive = Alive::announce(&marker).unwrap();
        let early = Watched::open(&marker).unwrap();
        assert!(!early.is_gone(), "there");
        drop(alive);
        assert!(early.is_gone(), "gone");
        assert!(
            Watched::open(&marker).unwrap().is_gone(),
            "gone before it was looked at"
        );
        let _again = Alive::announce(&marker).unwrap();
        assert!(!Watched::open(&marker).unwrap().is_gone(), "there again");
    }

    #[test]
    fn a_plain_file_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("out.alive"), "").unwrap();
        assert!(Watched::open(&dir.path().join("out")).is_none());
    }
}
