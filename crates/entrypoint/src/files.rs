//! Files that others read: directories open to every UID, whole files put in place at once,
//! markers, links. All I/O on them is here.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use tektite_protocol::flags::Script;

/// A file that could not be dealt with.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub(crate) struct FileError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Names the file and what was to be done with it; for `map_err`.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { action, path, source }
}

/// Makes `path` and what is missing above it, and opens `path` to every UID whatever the umask:
/// steps of one Pod run under different ones.
pub(crate) fn open_directory(path: &Path) -> Result<(), FileError> {
    const OPEN: u32 = 0o777;
    fs::create_dir_all(path).map_err(failed("create the directory", path))?;
    let mode = fs::metadata(path)
        .map_err(failed("read", path))?
        .permissions()
        .mode();
    if mode & OPEN == OPEN {
        return Ok(());
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(OPEN)) {
        // Somebody else's directory that this UID can use is good enough.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result.map_err(failed("open to every user", path)),
    }
}

/// Puts a file with exactly `mode` at `path`, or leaves what was there: written beside it, closed,
/// then renamed. It follows no link at `path` and is never seen half-written, nor executed while
/// open for writing.
pub(crate) fn replace(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), FileError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed("create the directory", parent))?;
    }
    write_beside(path, ".new", mode, |new| {
        fill(new)?;
        new.set_permissions(fs::Permissions::from_mode(mode))
    })
    .map_err(failed("write", path))
}

/// Puts a file at `path` that `fill` has filled, whole or not at all: under the name with `suffix` until
/// then. Its `mode` is subject to the umask.
pub(crate) fn write_beside(
    path: &Path,
    suffix: &str,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = with_suffix(path, suffix);
    let write = || {
        let _ = fs::remove_file(&temporary);
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        fill(&mut new)?;
        drop(new);
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Puts a script in place, executable for everybody, byte for byte.
pub(crate) fn place_script(script: &Script) -> Result<(), FileError> {
    replace(Path::new(&script.path), 0o755, |file| {
        let mut pieces = script.pieces.iter();
        pieces.try_for_each(|piece| file.write_all(piece.as_bytes()))
    })
}

/// Creates the empty marker at `path`. Its being there is all that it says.
pub(crate) fn mark(path: &Path) -> Result<(), FileError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed("create the directory", parent))?;
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o666)
        .open(path)
        .map(drop)
        .map_err(failed("write the marker", path))
}

/// Makes `link` lead to `target`. One that already does, or that somebody made first, is fine.
pub(crate) fn link(target: &Path, link: &Path) -> Result<(), FileError> {
    match symlink(target, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map_err(failed("make the link", link)),
    }
}

/// `path` with `suffix` behind its last character.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether something is at `path`, and, if `content` is asked for, whether it is not empty.
pub(crate) fn is_there(path: &Path, content: bool) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(!content || metadata.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn directories_are_open_to_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        open_directory(&path).unwrap();
        open_directory(&path).unwrap();
        assert_eq!(mode(&path), 0o777);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        open_directory(&path).unwrap();
        assert_eq!(mode(&path), 0o777);
    }

    #[test]
    fn a_file_is_replaced_whole_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, path) = (dir.path().join("target"), dir.path().join("x/script"));
        fs::write(&target, "kept").unwrap();
        fs::create_dir(dir.path().join("x")).unwrap();
        symlink(&target, &path).unwrap();
        replace(&path, 0o755, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"kept");
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o755));
        let error = replace(&path, 0o755, |_| Err(io::Error::other("no"))).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}: no", path.display()));
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path().join("x")).unwrap().count(), 1);
    }

    #[test]
    fn markers_and_links_can_be_made_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (marker, made) = (dir.path().join("run/out"), dir.path().join("link"));
        assert!(!is_there(&marker, false).unwrap());
        for _ in 0..2 {
            mark(&marker).unwrap();
            link(&marker, &made).unwrap();
        }
        assert!(is_there(&made, false).unwrap());
        assert!(!is_there(&made, true).unwrap());
        assert_eq!(with_suffix(&marker, ".err"), dir.path().join("run/out.err"));
    }
}
