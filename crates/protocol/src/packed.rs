//! The short form of a termination message that does not fit as it is: `tknz:`, and behind it raw
//! DEFLATE in base64 without padding (runtime.md section 3.9). No I/O.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use miniz_oxide::{
    deflate::compress_to_vec,
    inflate::{TINFLStatus, decompress_to_vec_with_limit},
};

/// What a short form begins with; no JSON does.
const PREFIX: &str = "tknz:";
/// The most that a short form may stand for.
pub(crate) const MAX_BYTES: usize = 131_072;
/// The best that there is: the kilobytes count, the milliseconds do not.
const LEVEL: u8 = 9;

/// What packing made of a text that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// So many bytes, which are still too many.
    To(usize),
    /// It was not tried: nobody would unpack as much.
    Not,
}

impl fmt::Display for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(bytes) => write!(f, "{bytes} when compressed"),
            Self::Not => write!(f, "more than the {MAX_BYTES} that may be compressed"),
        }
    }
}

/// Why a short form cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// Not base64, or cut in the middle.
    #[error("what stands behind {PREFIX} is not base64 without padding")]
    Base64,
    /// Not DEFLATE.
    #[error("what stands behind {PREFIX} cannot be decompressed")]
    Deflate,
    /// A small text that stands for an enormous one.
    #[error("what stands behind {PREFIX} has more than {MAX_BYTES} bytes when it is decompressed")]
    TooLarge,
    /// JSON is text.
    #[error("what stands behind {PREFIX} is not valid UTF-8 when it is decompressed")]
    NotText,
}

/// The short form of `text`, if it has at most `limit` bytes.
pub(crate) fn pack(text: &str, limit: usize) -> Result<String, Packed> {
    if text.len() > MAX_BYTES {
        return Err(Packed::Not);
    }
    let mut packed = PREFIX.to_owned();
    STANDARD_NO_PAD.encode_string(compress_to_vec(text.as_bytes(), LEVEL), &mut packed);
    if packed.len() > limit {
        return Err(Packed::To(packed.len()));
    }
    Ok(packed)
}

/// The text that `text` is the short form of; nothing if it is none.
pub(crate) fn unpack(text: &str) -> Option<Result<String, UnpackError>> {
    let packed = text.trim().strip_prefix(PREFIX)?;
    let unpack = || {
        let bytes = STANDARD_NO_PAD.decode(packed).map_err(|_| UnpackError::Base64)?;
        let bytes = decompress_to_vec_with_limit(&bytes, MAX_BYTES).map_err(|error| match error.status {
            TINFLStatus::HasMoreOutput => UnpackError::TooLarge,
            _ => UnpackError::Deflate,
        })?;
        String::from_utf8(bytes).map_err(|_| UnpackError::NotText)
    };
    Some(unpack())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(bytes: &[u8]) -> String {
        format!(
            "{PREFIX}{}",
            STANDARD_NO_PAD.encode(compress_to_vec(bytes, LEVEL))
        )
    }

    #[test]
    fn broken_forms_say_what_is_wrong() {
        for (text, expected) in [
            ("[]".to_owned(), None),
            ("tknz:%".to_owned(), Some(Err(UnpackError::Base64))),
            ("tknz:AAA=".to_owned(), Some(Err(UnpackError::Base64))),
            ("tknz:".to_owned(), Some(Err(UnpackError::Deflate))),
            ("tknz:////".to_owned(), Some(Err(UnpackError::Deflate))),
            (form(b"[\xff]"), Some(Err(UnpackError::NotText))),
            (
                form(" ".repeat(MAX_BYTES + 1).as_bytes()),
                Some(Err(UnpackError::TooLarge)),
            ),
            (
                form(" ".repeat(MAX_BYTES).as_bytes()),
                Some(Ok(" ".repeat(MAX_BYTES))),
            ),
            (format!(" {}\n", form(b"[]")), Some(Ok("[]".to_owned()))),
            // Made by another program: zlib at its best, "[]" a hundred times.
            ("tknz:i46NHhYQAA".to_owned(), Some(Ok("[]".repeat(100)))),
        ] {
            assert_eq!(unpack(&text), expected, "{text:.40}");
        }
    }

    #[test]
    fn a_form_that_was_cut_is_broken() {
        let whole = form("0123456789abcdef".repeat(20).as_bytes());
        for cut in 1..=4 {
            assert!(unpack(&whole[..whole.len() - cut]).unwrap().is_err());
        }
    }

    #[test]
    fn limits() {
        assert_eq!(pack(&"x".repeat(MAX_BYTES + 1), 4096), Err(Packed::Not));
        assert!(pack(&"x".repeat(MAX_BYTES), 4096).is_ok());
        assert!(matches!(pack("x", 3), Err(Packed::To(_))));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "(?s).{0,300}", repeat in 1usize..50) {
            let text = text.repeat(repeat);
            let packed = pack(&text, usize::MAX).unwrap();
            prop_assert_eq!(unpack(&packed), Some(Ok(text)));
        }
    }
}
