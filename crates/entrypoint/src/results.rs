//! What the command left as results. Does I/O.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag},
    sys::stat::{FchmodatFlags, Mode, fchmodat},
};

use tektite_protocol::{
    log::LogLevel,
    log_results::MAX_TOTAL_BYTES,
    termination::{Entry, Kind, MAX_BYTES},
};

use crate::log::{Log, Value};

/// A file longer than this is not even read: no message can hold it.
const READ_BYTES: u64 = 1024 * 1024;

/// How large one value may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// It has to fit into a message, which is seen when that is written.
    Message,
    /// So many bytes.
    Log(usize),
}

impl Limit {
    fn bytes(self) -> u64 {
        match self {
            Self::Message => READ_BYTES,
            Self::Log(most) => u64::try_from(most).unwrap_or(READ_BYTES).min(READ_BYTES),
        }
    }
}

/// Something that cannot be passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResultError {
    /// It cannot be read.
    #[error("{what} cannot be read from {path}: {source}")]
    Unreadable {
        what: String,
        path: String,
        source: io::Error,
    },
    /// Results travel as JSON text.
    #[error(
        "{what} is not valid UTF-8 at byte {at}: results are text, so encode binary data (base64) or put it in a \
         workspace"
    )]
    NotText { what: String, at: usize },
    /// Far beyond any limit.
    #[error(
        "Termination message is above max allowed size {MAX_BYTES}, caused by large task result: {what} alone has \
         {bytes} bytes"
    )]
    TooLarge { what: String, bytes: u64 },
    /// Larger than the operator allows.
    #[error("{what} has {bytes} bytes, and at most {most} fit")]
    TooLargeForLog { what: String, bytes: u64, most: u64 },
    /// Each of them fits, all together do not.
    #[error("{}", too_large_together(*.bytes, .largest, *.largest_bytes))]
    TooLargeTogether {
        bytes: usize,
        largest: String,
        largest_bytes: usize,
    },
}

/// The sentence about results that are too many.
pub(crate) fn too_large_together(bytes: usize, largest: &str, largest_bytes: usize) -> String {
    format!(
        "the results have {bytes} bytes together, and at most {MAX_TOTAL_BYTES} fit; the largest is \"{largest}\" \
         with {largest_bytes} bytes"
    )
}

/// Whether all results of a step fit into the log together.
pub(crate) fn fit_together(entries: &[Entry]) -> Result<(), ResultError> {
    let bytes = entries.iter().map(|entry| entry.value.len()).sum();
    match entries.iter().max_by_key(|entry| entry.value.len()) {
        Some(largest) if bytes > MAX_TOTAL_BYTES => Err(ResultError::TooLargeTogether {
            bytes,
            largest: largest.key.clone(),
            largest_bytes: largest.value.len(),
        }),
        _ => Ok(()),
    }
}

/// Lets others read the results called `names`, whatever the step's umask is: later steps, which tell them
/// again, and who writes them to the log may have another UID.
pub(crate) fn open_to_all(directory: &Path, names: &[String]) {
    for name in names {
        let path = directory.join(name);
        // Never through a link: where it leads is not for others to read.
        if let Ok(metadata) = fs::symlink_metadata(&path)
            && metadata.is_file()
            && metadata.permissions().mode() & 0o004 == 0
        {
            // Not ours to change: then it is an earlier step's, which has done it.
            let mode = Mode::from_bits_truncate(metadata.permissions().mode() | 0o444);
            let _ = fchmodat(AT_FDCWD, &path, mode, FchmodatFlags::NoFollowSymlink);
        }
    }
}

/// The results called `names` in `directory`, byte for byte; those that were not written are left
/// out. One that is broken goes to `problems` and does not keep the others from being told.
pub(crate) fn collect(
    directory: &Path,
    names: &[String],
    kind: Kind,
    limit: Limit,
    problems: &mut Vec<ResultError>,
    log: Log,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for name in names {
        match read(directory, name, limit) {
            Ok(Some(value)) => {
                let fields = [
                    ("result", Value::Text(name)),
                    ("bytes", Value::Number(value.len() as u64)),
                ];
                log.event(LogLevel::Info, format_args!("read a result"), &fields);
                entries.push(Entry::new(kind, name, value));
            }
            Ok(None) => {
                let fields = [("result", Value::Text(name))];
                log.event(
                    LogLevel::Debug,
                    format_args!("this step wrote no such result"),
                    &fields,
                );
            }
            Err(problem) => problems.push(problem),
        }
    }
    entries
}

/// The result called `name` in `directory`, byte for byte, if it was written.
pub(crate) fn read(directory: &Path, name: &str, limit: Limit) -> Result<Option<String>, ResultError> {
    read_text(&directory.join(name), limit, || format!("result \"{name}\""))
}

/// The file at `path`, byte for byte, if it is there; `what` is what it holds, for the error.
pub(crate) fn read_text(
    path: &Path,
    limit: Limit,
    what: impl Fn() -> String,
) -> Result<Option<String>, ResultError> {
    let unreadable = |source| ResultError::Unreadable {
        what: what(),
        path: path.display().to_string(),
        source,
    };
    // Every step tells all results of the Task: a link that one step leaves must not make a later one tell
    // what only that can read. And opening a pipe must not wait for its writer.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => {
            return Err(unreadable(io::Error::other("it is a symbolic link")));
        }
        Err(error) => return Err(unreadable(error)),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    if metadata.len() > limit.bytes() {
        let (what, bytes) = (what(), metadata.len());
        return Err(match limit {
            Limit::Message => ResultError::TooLarge { what, bytes },
            Limit::Log(_) => ResultError::TooLargeForLog {
                what,
                bytes,
                most: limit.bytes(),
            },
        });
    }
    let mut bytes = Vec::new();
    file.take(READ_BYTES)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(ResultError::NotText {
            what: what(),
            at: error.utf8_error().valid_up_to(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tektite_protocol::log::LogFlags;

    #[test]
    fn what_a_link_leads_to_stays_closed() {
        let dir = tempfile::tempdir().unwrap();
        let (own, other) = (dir.path().join("own"), dir.path().join("other"));
        for path in [&own, &other] {
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        std::os::unix::fs::symlink(&other, dir.path().join("link")).unwrap();
        open_to_all(dir.path(), &["own".to_owned(), "link".to_owned()]);
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&own), mode(&other)), (0o644, 0o600));
    }

    #[test]
    fn values_are_exact_and_problems_are_named() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("plain", &b"a\n"[..]),
            ("empty", b""),
            ("binary", b"ab\xff"),
            ("wide", "ä\u{2028}\r\n".as_bytes()),
        ] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        fs::create_dir(dir.path().join("dir")).unwrap();
        let huge = fs::File::create(dir.path().join("huge")).unwrap();
        huge.set_len(READ_BYTES + 1).unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("plain", dir.path().join("link")).unwrap();
        let names = [
            "plain", "empty", "gone", "binary", "wide", "dir", "huge", "pipe", "link",
        ]
        .map(str::to_owned);
        let mut problems = Vec::new();
        let log = Log::new(&LogFlags::default());
        let entries = collect(
            dir.path(),
            &names,
            Kind::StepResult,
            Limit::Message,
            &mut problems,
            log,
        );
        let expected = [("plain", "a\n"), ("empty", ""), ("wide", "ä\u{2028}\r\n")];
        assert_eq!(
            entries,
            expected.map(|(name, value)| Entry::new(Kind::StepResult, name, value))
        );
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 5);
        for (problem, part) in problems.iter().zip([
            "result \"binary\" is not valid UTF-8 at byte 2",
            "result \"dir\" cannot be read from",
            "result \"huge\" alone has 1048577 bytes",
            "result \"pipe\" cannot be read from",
            "link: it is a symbolic link",
        ]) {
            assert!(problem.contains(part), "{problem}");
        }
    }
}
