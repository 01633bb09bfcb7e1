//! Finding the program that a step names, as a shell would: a bare name in PATH, anything with a
//! slash where it is. Does I/O.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};

/// Where programs are looked for in an image that sets no PATH.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why there is nothing to start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotFound {
    /// The step names no program.
    #[error("the step has no command and its image gives none either: set command or script in the step")]
    NoCommand,
    /// PATH does not lead to it.
    #[error(
        "{name} is not in the container's PATH ({path}): use an image that has it, or write its full path"
    )]
    NotInPath { name: String, path: String },
    /// PATH leads to it, but it cannot be executed.
    #[error(
        "{name} is in the container's PATH only as {}, which this user may not execute: set its execute bit (chmod +x)",
        found.display()
    )]
    NotExecutable { name: String, found: PathBuf },
}

/// The file to execute for `name`, with `path` the container's PATH.
pub(crate) fn find(name: &str, path: Option<OsString>) -> Result<PathBuf, NotFound> {
    if name.is_empty() {
        return Err(NotFound::NoCommand);
    }
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path = path.filter(|path| !path.is_empty());
    let path = path.unwrap_or_else(|| OsString::from(USUAL_PATH));
    let mut unusable = None;
    for directory in path.as_bytes().split(|byte| *byte == b':') {
        // An empty piece is the working directory, as in every shell.
        let directory = if directory.is_empty() { b"." } else { directory };
        let candidate = Path::new(OsStr::from_bytes(directory)).join(name);
        if !fs::metadata(&candidate).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        if access(&candidate, AccessFlags::X_OK).is_ok() {
            return Ok(candidate);
        }
        unusable.get_or_insert(candidate);
    }
    let name = name.to_owned();
    Err(match unusable {
        Some(found) => NotFound::NotExecutable { name, found },
        None => NotFound::NotInPath {
            name,
            path: path.to_string_lossy().into_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn looks_like_a_shell() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, mode) in [("a/tool", 0o644), ("b/tool", 0o755), ("a/data", 0o644)] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "").unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir_all(at("a/dir")).unwrap();
        let path = format!("{}:/nowhere:{}", at("a").display(), at("b").display());
        let find = |name: &str| find(name, Some(OsString::from(&path)));
        assert_eq!(find("tool").unwrap(), at("b/tool"));
        assert_eq!(find("./x").unwrap(), PathBuf::from("./x"));
        for (name, part) in [
            ("", "no command"),
            ("dir", "dir is not in the container's PATH ("),
            ("data", "/a/data, which this user may not execute"),
        ] {
            let error = find(name).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
        assert!(super::find("sh", None).unwrap().ends_with("sh"));
    }
}
