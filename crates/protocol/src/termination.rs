//! The termination message: how a step tells the controller its results, its real start, its exit
//! code under `onError: continue`, and why it ended (runtime.md section 3.9).
//!
//! A JSON array of `{"key", "value", "type"}`, at most [`MAX_BYTES`] long; what is longer is
//! compressed.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::packed;
pub use crate::packed::{Packed, UnpackError};

/// The most that the kubelet keeps of one container's message.
pub const MAX_BYTES: usize = 4096;
/// The most that it keeps of all messages of a Pod.
const POD_BYTES: usize = 12_288;

/// The most that the kubelet keeps of each message in a Pod with so many containers, init containers
/// among them: what is longer is cut, and cut JSON tells nothing.
pub const fn limit(containers: usize) -> usize {
    match POD_BYTES.checked_div(containers) {
        Some(share) if share < MAX_BYTES => share,
        _ => MAX_BYTES,
    }
}

/// The keys that [`Kind::Internal`] entries use.
pub mod key {
    /// When the command was started, RFC 3339 with milliseconds.
    pub const STARTED_AT: &str = "StartedAt";
    /// How long after the step before it ended the command was started, in whole microseconds.
    pub const HAND_OVER: &str = "HandOver";
    /// The command's exit code where the container's own is another (`onError: continue`).
    pub const EXIT_CODE: &str = "ExitCode";
    /// Why a step ended, where the exit code does not say it: one of [`super::reason`].
    pub const REASON: &str = "Reason";
    /// How long a command that failed by itself had run, such as `1.204s`.
    pub const RAN: &str = "Ran";
    /// The entrypoint's one sentence on what went wrong. Of a command that failed by itself there is one
    /// where more can be said than its exit code.
    pub const MESSAGE: &str = "Message";
}

/// The values that an internal entry with the key [`key::REASON`] holds.
pub mod reason {
    /// An earlier step failed, or the step's own `when` did not hold.
    pub const SKIPPED: &str = "Skipped";
    /// The TaskRun was cancelled or out of time while the step ran.
    pub const CANCELLED: &str = "Cancelled";
    /// The step's own timeout was over.
    pub const TIMEOUT_EXCEEDED: &str = "TimeoutExceeded";
}

/// What an entry is; on the wire a number, in old messages also a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A result of the Task.
    TaskResult,
    /// Between entrypoint and controller only; never shown as a result.
    Internal,
    /// A result of the step.
    StepResult,
    /// The step's artifacts.
    StepArtifacts,
    /// The Task's artifacts.
    TaskArtifacts,
    /// A kind that this version does not know.
    Unknown,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Self::TaskResult => 1,
            Self::Internal => 3,
            Self::StepResult => 4,
            Self::StepArtifacts => 5,
            Self::TaskArtifacts => 6,
            Self::Unknown => 10,
        }
    }

    const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::TaskResult,
            3 => Self::Internal,
            4 => Self::StepResult,
            5 => Self::StepArtifacts,
            6 => Self::TaskArtifacts,
            _ => Self::Unknown,
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "TaskRunResult" => Self::TaskResult,
            "InternalTektonResult" => Self::Internal,
            "StepResult" => Self::StepResult,
            "StepArtifactsResult" => Self::StepArtifacts,
            "TaskRunArtifactsResult" => Self::TaskArtifacts,
            _ => Self::Unknown,
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Kind;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a result type, a number or a name")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Kind, E> {
                Ok(Kind::from_number(number))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
                Ok(Kind::Unknown)
            }
            fn visit_str<E>(self, name: &str) -> Result<Kind, E> {
                Ok(Kind::from_name(name))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// One thing that a step tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The result's name, or one of [`key`].
    #[serde(default)]
    pub key: String,
    /// The text as it was written.
    #[serde(default)]
    pub value: String,
    /// What kind of thing it is.
    #[serde(rename = "type", default = "unknown")]
    pub kind: Kind,
}

fn unknown() -> Kind {
    Kind::Unknown
}

impl Entry {
    /// An entry of `kind`.
    pub fn new(kind: Kind, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            kind,
        }
    }

    /// An entry for the controller alone.
    pub fn internal(key: &str, value: impl Into<String>) -> Self {
        Self::new(Kind::Internal, key, value)
    }
}

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Longer than the kubelet keeps; the step fails instead of losing results in silence.
    #[error(
        "Termination message is above max allowed size {limit}, caused by large task result. \
         It has {bytes} bytes, {packed}; the largest entry is \"{largest}\" with {largest_bytes} bytes: \
         put large data in a workspace"
    )]
    TooLarge {
        /// What would have been kept.
        limit: usize,
        /// The whole message's length.
        bytes: usize,
        /// And when compressed.
        packed: Packed,
        /// The key of the entry with the longest value.
        largest: String,
        /// That value's length.
        largest_bytes: usize,
    },
    /// Not a JSON array of entries.
    #[error("parsing message json: {error}, msg: {head}")]
    Malformed {
        /// What the JSON reader said.
        error: serde_json::Error,
        /// The beginning of the text.
        head: String,
    },
    /// Compressed, and broken.
    #[error("parsing message: {error}, msg: {head}")]
    Broken {
        /// How.
        error: UnpackError,
        /// The beginning of the text.
        head: String,
    },
}

/// Writes entries as the file's text, of which `limit` bytes are kept: plain where that fits, so that
/// it can be read with the eye, else compressed.
///
/// # Errors
/// [`MessageError::TooLarge`] when the text would be longer all the same.
pub fn encode(entries: &[Entry], limit: usize) -> Result<String, MessageError> {
    let text = serde_json::to_string(entries).map_err(|error| MessageError::Malformed {
        error,
        head: String::new(),
    })?;
    if text.len() <= limit {
        return Ok(text);
    }
    let packed = match packed::pack(&text, limit) {
        Ok(packed) => return Ok(packed),
        Err(packed) => packed,
    };
    let largest = entries.iter().max_by_key(|entry| entry.value.len());
    Err(MessageError::TooLarge {
        limit,
        bytes: text.len(),
        packed,
        largest: largest.map(|entry| entry.key.clone()).unwrap_or_default(),
        largest_bytes: largest.map_or(0, |entry| entry.value.len()),
    })
}

/// Reads a message: entries with nothing in them are dropped, of two with the same kind and key
/// the last one counts, and they come sorted by key. Blank text holds no entries.
///
/// A result that is named like an internal entry is no internal entry: the kind is part of the
/// identity.
///
/// # Errors
/// [`MessageError::Malformed`] when the text is no JSON array of entries, [`MessageError::Broken`]
/// when it cannot be decompressed.
pub fn decode(text: &str) -> Result<Vec<Entry>, MessageError> {
    let head = || text.chars().take(256).collect();
    match packed::unpack(text) {
        Some(Ok(text)) => decode_plain(&text),
        Some(Err(error)) => Err(MessageError::Broken { error, head: head() }),
        None => decode_plain(text),
    }
}

/// [`decode`], for what is not compressed.
///
/// # Errors
/// [`MessageError::Malformed`] when the text is no JSON array of entries.
pub fn decode_plain(text: &str) -> Result<Vec<Entry>, MessageError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let entries: Vec<Entry> = serde_json::from_str(text).map_err(|error| MessageError::Malformed {
        error,
        head: text.chars().take(256).collect(),
    })?;
    let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
    for entry in entries {
        if entry.key.is_empty() && entry.value.is_empty() && entry.kind == Kind::Unknown {
            continue;
        }
        match kept
            .iter_mut()
            .find(|known| known.kind == entry.kind && known.key == entry.key)
        {
            Some(known) => known.value = entry.value,
            None => kept.push(entry),
        }
    }
    kept.sort_by(|a, b| a.key.cmp(&b.key).then(a.kind.cmp(&b.kind)));
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back() {
        let entries = vec![
            Entry::internal(key::STARTED_AT, "2026-01-01T00:00:00.000Z"),
            Entry::new(Kind::TaskResult, "digest", "sha256:<&>\n"),
        ];
        let text = encode(&entries, MAX_BYTES).unwrap();
        assert_eq!(decode(&text).unwrap(), entries);
        assert!(
            text.contains(r#"{"key":"digest","value":"sha256:<&>\n","type":1}"#),
            "{text}"
        );
    }

    #[test]
    fn old_names_last_values_and_empty_entries() {
        let text = r#"[{"key":"b","value":"1","type":"TaskRunResult"},{},{"key":"a","value":"x","type":99},
            {"key":"b","value":"2","type":1},{"key":"b","value":"step","type":4}]"#;
        assert_eq!(
            decode(text).unwrap(),
            vec![
                Entry::new(Kind::Unknown, "a", "x"),
                Entry::new(Kind::TaskResult, "b", "2"),
                Entry::new(Kind::StepResult, "b", "step"),
            ]
        );
        assert_eq!(decode(" \n").unwrap(), vec![]);
    }

    #[test]
    fn what_does_not_fit_is_compressed() {
        let entries = [
            Entry::internal(key::STARTED_AT, "2026-01-01T00:00:00.000Z"),
            Entry::new(Kind::TaskResult, "log", "ä\r\n\u{2028}\0 ".repeat(5_000)),
        ];
        let text = encode(&entries, limit(11)).unwrap();
        assert!(text.len() <= limit(11) && text.starts_with("tknz:"), "{text:.40}");
        assert_eq!(decode(&text).unwrap(), entries);
    }

    #[test]
    fn errors_name_the_culprit() {
        let large = |value: String| {
            [
                Entry::new(Kind::TaskResult, "log", value),
                Entry::internal("a", "b"),
            ]
        };
        // Too long even for the best compression: every number is there once.
        let numbers: Vec<String> = (0..3000u64)
            .map(|number| format!("{:x}.", number.pow(3) * 7919))
            .collect();
        for (value, part) in [
            (numbers.concat(), " when compressed; the largest"),
            (
                "x".repeat(140_000),
                ", more than the 131072 that may be compressed; the largest",
            ),
        ] {
            let bytes = value.len();
            let error = encode(&large(value), limit(3)).unwrap_err().to_string();
            assert!(error.starts_with(
                "Termination message is above max allowed size 4096, caused by large task result."
            ));
            assert!(error.contains(part), "{error}");
            assert!(error.contains(&format!("\"log\" with {bytes} bytes")), "{error}");
        }
        let error = decode("tknz:?").unwrap_err().to_string();
        assert!(
            error.ends_with("not base64 without padding, msg: tknz:?"),
            "{error}"
        );
        let error = decode("[{\"key\":").unwrap_err().to_string();
        assert!(error.contains("msg: [{\"key\":"), "{error}");
    }

    #[test]
    fn many_containers_share_what_the_kubelet_keeps() {
        for (containers, bytes) in [(0, 4096), (1, 4096), (3, 4096), (4, 3072), (11, 1117)] {
            assert_eq!(limit(containers), bytes, "{containers}");
        }
    }
}
