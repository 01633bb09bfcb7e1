//! A lock that says that a step's entrypoint still lives, so that a killed one (out of memory, say)
//! does not leave the steps behind it waiting for a marker that will never come. Does I/O.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use tektite_protocol::paths::ALIVE_SUFFIX;

use crate::files::with_suffix;

/// Held for as long as the process lives. The kernel lets go of it, whatever way the process ends.
#[derive(Debug)]
pub(crate) struct Alive {
    _locked: File,
}

impl Alive {
    /// Says that the entrypoint that will write `marker` lives.
    ///
    /// The file gets its name only after it is locked: who sees it, sees the lock.
    pub(crate) fn announce(marker: &Path) -> io::Result<Self> {
        if let Some(parent) = marker.parent() {
            fs::create_dir_all(parent)?;
        }
        let path = with_suffix(marker, ALIVE_SUFFIX);
        let temporary = with_suffix(&path, ".new");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&temporary)?;
        // Steps under another UID, with the directory read-only, have to open it.
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.try_lock()?;
        fs::rename(&temporary, &path)?;
        Ok(Self { _locked: file })
    }
}

/// Whether the entrypoint that should write `marker` was there and is no more. `false` whenever
/// that cannot be known. A marker written just before its end is not looked at here.
pub(crate) fn is_gone(marker: &Path) -> bool {
    let Ok(file) = File::open(with_suffix(marker, ALIVE_SUFFIX)) else {
        return false;
    };
    match file.try_lock_shared() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gone_means_was_there_and_is_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let marker = dir.path().join("run/out");
        assert!(!is_gone(&marker), "never there");
        let alive = Alive::announce(&marker).unwrap();
        assert!(!is_gone(&marker), "there");
        drop(alive);
        assert!(is_gone(&marker), "gone");
        let again = Alive::announce(&marker).unwrap();
        assert!(!is_gone(&marker), "there again");
        drop(again);
    }
}
