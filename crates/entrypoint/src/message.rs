//! The termination message's file. Does I/O.
//!
//! The kubelet mounts the file itself into the container, so it is written in place; a rename over
//! it would fail. It is not synced: its only reader is on this node, and a disk's flush would stand
//! between every two steps.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use tektite_protocol::termination::{self, Entry, Kind, MessageError, key};

use crate::files::{FileError, failed};

/// More than any message can hold; what is longer is none.
const READ_BYTES: u64 = 64 * 1024;

/// Why the message is not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The message cannot be made.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// Adds `entries` to what is there, if that can be read, or writes nothing. What is compressed is not
/// read: the file begins empty, this program writes it once, and unpacking would take 15 KB of it.
pub(crate) fn add(path: &Path, entries: &[Entry], limit: usize) -> Result<(), WriteError> {
    let mut all = existing(path);
    for entry in entries {
        all.retain(|known| known.kind != entry.kind || known.key != entry.key);
        all.push(entry.clone());
    }
    overwrite(path, &all, limit)
}

/// Adds `entries`, and of `extras`, whose first matter most, as many as there is room for.
pub(crate) fn add_with(
    path: &Path,
    entries: &[Entry],
    extras: &[Entry],
    limit: usize,
) -> Result<(), WriteError> {
    let mut kept = extras;
    loop {
        let written = add(path, &[entries, kept].concat(), limit);
        match (&written, kept.split_last()) {
            (Err(WriteError::Message(_)), Some((_, fewer))) => kept = fewer,
            _ => return written,
        }
    }
}

/// Writes `entries` alone.
pub(crate) fn overwrite(path: &Path, entries: &[Entry], limit: usize) -> Result<(), WriteError> {
    let text = termination::encode(entries, limit)?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed("create the directory", parent))?;
    }
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o666);
        options.open(path)?.write_all(text.as_bytes())
    };
    Ok(write().map_err(failed("write the termination message", path))?)
}

/// Does `write` with `entries`, whose sentence is cut until there is room for it, and at last left out:
/// when the step began, and why it ended, matter more.
pub(crate) fn with_room(
    entries: &[Entry],
    write: impl Fn(&[Entry]) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let mut entries = entries.to_vec();
    loop {
        let written = write(&entries);
        let is_sentence = |entry: &Entry| entry.kind == Kind::Internal && entry.key == key::MESSAGE;
        let sentence = entries.iter().position(is_sentence);
        let (Err(WriteError::Message(_)), Some(sentence)) = (&written, sentence) else {
            return written;
        };
        let text = &mut entries[sentence].value;
        if text.is_empty() {
            entries.remove(sentence);
            continue;
        }
        // By an eighth each time: to try every length would compress as often.
        text.truncate(text.floor_char_boundary(text.len() * 7 / 8));
    }
}

fn existing(path: &Path) -> Vec<Entry> {
    let read = || {
        let mut text = String::new();
        let file = File::open(path).ok()?;
        file.take(READ_BYTES).read_to_string(&mut text).ok()?;
        termination::decode_plain(&text).ok()
    };
    read().unwrap_or_default()
}

#[cfg(test)]
#[path = "../tests/common/noise.rs"]
mod noise;

#[cfg(test)]
mod tests {
    use super::{noise::noise, *};
    use tektite_protocol::termination::Kind;

    #[test]
    fn adds_to_what_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t/termination");
        let new = [
            Entry::internal("StartedAt", "now"),
            Entry::new(Kind::TaskResult, "StartedAt", "mine"),
        ];
        add(&path, &new, termination::MAX_BYTES).unwrap();
        for (before, expected) in [
            ("", vec![]),
            ("{broken", vec![]),
            ("\u{0}", vec![]),
            (r#"[{"key":"StartedAt","value":"old","type":3}]"#, vec![]),
            (
                r#"[{"key":"a","value":"kept","type":1}]"#,
                vec![Entry::new(Kind::TaskResult, "a", "kept")],
            ),
        ] {
            fs::write(&path, before).unwrap();
            add(&path, &new, termination::MAX_BYTES).unwrap();
            let written: Vec<Entry> = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(written, [expected, new.to_vec()].concat(), "{before}");
        }
    }

    #[test]
    fn extras_take_nothing_elses_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("termination");
        let noise = noise(800);
        let entry = |at: usize, key| Entry::internal(key, &noise[200 * at..][..200]);
        let entries = [entry(0, key::STARTED_AT)];
        let extras = [
            entry(1, key::MESSAGE),
            entry(2, key::RAN),
            entry(3, key::HAND_OVER),
        ];
        let room = |count: usize| {
            let all = [&entries, &extras[..count]].concat();
            termination::encode(&all, 4096).unwrap().len()
        };
        for count in 0..=extras.len() {
            for limit in [room(count), room(count) + 100] {
                let _ = fs::remove_file(&path);
                add_with(&path, &entries, &extras, limit).unwrap();
                let text = fs::read_to_string(&path).unwrap();
                let written: Vec<Entry> = serde_json::from_str(&text).unwrap();
                assert_eq!(written, [&entries, &extras[..count]].concat(), "{limit}");
            }
        }
        let error = add_with(&path, &entries, &extras, room(0) - 1).unwrap_err();
        assert!(matches!(error, WriteError::Message(_)), "{error}");
    }

    #[test]
    fn a_sentence_gives_way_to_what_matters_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("termination");
        let sentence = noise(400);
        let began = Entry::internal(key::STARTED_AT, "2026-01-01T00:00:00.000Z");
        let why = Entry::internal(key::REASON, "TimeoutExceeded");
        let told = Entry::internal(key::MESSAGE, sentence.clone());
        for (limit, least, most) in [(4096, 400, 400), (400, 200, 399), (165, 1, 40), (120, 0, 0)] {
            let entries = [began.clone(), told.clone(), why.clone()];
            with_room(&entries, |entries| overwrite(&path, entries, limit)).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.len() <= limit, "{text}");
            let mut entries = termination::decode(&text).unwrap();
            entries.retain(|entry| entry.key != key::MESSAGE);
            assert_eq!(entries, [why.clone(), began.clone()], "{limit}");
            let kept = termination::decode(&text).unwrap();
            let kept = kept.iter().find(|entry| entry.key == key::MESSAGE);
            let kept = kept.map_or("", |entry| entry.value.as_str());
            assert!(sentence.starts_with(kept), "{kept}");
            assert!((least..=most).contains(&kept.len()), "{limit}: {kept}");
        }
        fs::write(&path, "[]").unwrap();
        let error = with_room(&[began, told], |entries| overwrite(&path, entries, 10)).unwrap_err();
        assert!(matches!(error, WriteError::Message(_)), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[]");
    }

    #[test]
    fn too_large_leaves_the_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("termination");
        fs::write(&path, "[]").unwrap();
        let error = add(&path, &[Entry::internal("a", "x".repeat(140_000))], 4096).unwrap_err();
        assert!(matches!(
            error,
            WriteError::Message(MessageError::TooLarge { .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "[]");
    }
}
