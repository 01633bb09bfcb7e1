//! Files in a home that may be an image's, a volume of several steps, or one of several runs: what was
//! there stays, and ours counts. Does I/O.
//!
//! A step starts when it likes, perhaps while an earlier one is already using the same home. So
//! files are replaced whole, and only when there is something new in them.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, fchown},
    path::Path,
};

use super::{File, docker};
use crate::files;

/// How a file of ours goes together with one that is there.
#[derive(Clone, Copy)]
pub(super) enum Merge {
    /// Not at all.
    Replace,
    /// The last word counts.
    Append,
    /// The first word counts.
    Prepend,
    /// The same, line by line, and one line for a place.
    Logins,
    /// As [`docker::merged`] does.
    Docker,
}

impl Merge {
    fn of(self, ours: &str, theirs: &str) -> String {
        let joined = |first: &str, second: &str| {
            let end = if first.is_empty() || first.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            [first, end, second].concat()
        };
        match self {
            Self::Replace => ours.to_owned(),
            Self::Append | Self::Prepend if theirs.contains(ours) => theirs.to_owned(),
            Self::Append => joined(theirs, ours),
            Self::Prepend => joined(ours, theirs),
            Self::Logins => {
                let is_new = |line: &&str| ours.lines().all(|own| place(own) != place(line));
                let others = theirs.lines().filter(is_new).map(|line| [line, "\n"].concat());
                [ours.to_owned(), others.collect()].concat()
            }
            Self::Docker => docker::merged(theirs, ours).unwrap_or_else(|| ours.to_owned()),
        }
    }

    /// Git gives up where it may not read a `.gitconfig`, and there are no secrets in it.
    fn mode(self) -> u32 {
        match self {
            Self::Append => 0o644,
            _ => 0o600,
        }
    }

    /// That of a file with `theirs` in it as well: never open to more than both.
    fn mode_beside(self, theirs: u32) -> u32 {
        self.mode() & theirs | 0o600
    }
}

/// A line's URL without who logs in.
fn place(line: &str) -> (&str, &str) {
    let (scheme, rest) = line.split_once("://").unwrap_or(("", line));
    (scheme, rest.rsplit_once('@').map_or(rest, |(_, place)| place))
}

/// Puts `file` at `path`, for the owner of what was there, else for this process.
pub(super) fn put(path: &Path, file: &File, writer: &str) -> io::Result<()> {
    let (owner, mode) = match fs::metadata(path) {
        // What is theirs may be secret, and may be meant for others.
        Ok(metadata) => (
            Some((metadata.uid(), metadata.gid())),
            file.merge.mode_beside(metadata.mode()),
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, file.merge.mode()),
        Err(error) => return Err(error),
    };
    let theirs = match owner {
        Some(_) => Some(fs::read_to_string(path)?),
        None => None,
    };
    let text = match &theirs {
        Some(theirs) => file.merge.of(&file.text, theirs),
        None => file.text.clone(),
    };
    if theirs.as_ref() == Some(&text) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    files::write_beside(path, &format!(".tekton-{writer}"), mode, |new| {
        if let Some((uid, gid)) = owner
            && new
                .metadata()
                .is_ok_and(|own| (own.uid(), own.gid()) != (uid, gid))
        {
            fchown(&*new, Some(uid), Some(gid))?;
        }
        new.write_all(text.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_there_stays_and_ours_counts() {
        for (merge, ours, theirs, expected) in [
            (Merge::Replace, "a\n", "b\n", "a\n"),
            (Merge::Append, "a\n", "b", "b\na\n"),
            (Merge::Append, "a\n", "x\na\nb\n", "x\na\nb\n"),
            (Merge::Prepend, "a\n", "b\n", "a\nb\n"),
            (Merge::Prepend, "a\n", "a\nb\n", "a\nb\n"),
            (
                Merge::Logins,
                "https://u:new@h\n",
                "https://u:old@h\nhttps://u:x@other",
                "https://u:new@h\nhttps://u:x@other\n",
            ),
            (
                Merge::Docker,
                r#"{"auths":{"r":{"auth":"new"}}}"#,
                r#"{"auths":{"r":{"auth":"old"},"s":{"auth":"x"}},"k":1}"#,
                r#"{"auths":{"r":{"auth":"new"},"s":{"auth":"x"}},"k":1}"#,
            ),
            (Merge::Docker, r#"{"auths":{}}"#, "broken", r#"{"auths":{}}"#),
        ] {
            let text = merge.of(ours, theirs);
            assert_eq!(text, expected);
            assert_eq!(merge.of(ours, &text), expected, "twice is once");
        }
    }

    #[test]
    fn files_are_new_or_keep_what_they_had() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("home/.docker/config.json");
        let file = |text: &str| File::new("", text.to_owned(), Merge::Docker);
        put(&path, &file(r#"{"auths":{"a":{"auth":"x"}}}"#), "0").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let before = fs::metadata(&path).unwrap().ino();
        put(&path, &file(r#"{"auths":{"a":{"auth":"x"}}}"#), "1").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().ino(),
            before,
            "nothing new, nothing written"
        );
        put(&path, &file(r#"{"auths":{"b":{"auth":"y"}}}"#), "1").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, r#"{"auths":{"a":{"auth":"x"},"b":{"auth":"y"}}}"#);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::write(&path, [0xff]).unwrap();
        assert!(put(&path, &file("{}"), "1").is_err());
    }
}
