//! How much the entrypoint says where a run says nothing about it, and in which form. No I/O.

use tektite_protocol::log::{LogFormat, LogLevel};

use super::{ConfigError, Data};

/// Reads `entrypoint-log` and `entrypoint-log-format`.
pub(super) fn read(data: &Data) -> Result<(LogLevel, LogFormat), ConfigError> {
    let bad = |key, value: &str, allowed: &str| ConfigError::Default {
        key,
        value: value.to_owned(),
        allowed: allowed.to_owned(),
    };
    let (mut level, mut format) = (LogLevel::default(), LogFormat::default());
    let key = "entrypoint-log";
    if let Some(word) = data.get(key) {
        level = LogLevel::from_word(word).ok_or_else(|| bad(key, word, LogLevel::ALLOWED))?;
    }
    let key = "entrypoint-log-format";
    if let Some(word) = data.get(key) {
        format = LogFormat::from_word(word).ok_or_else(|| bad(key, word, LogFormat::ALLOWED))?;
    }
    Ok((level, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_others_refused() {
        for (key, value, expected) in [
            ("entrypoint-log", "info", Ok((LogLevel::Info, LogFormat::Logfmt))),
            (
                "entrypoint-log-format",
                "json",
                Ok((LogLevel::Error, LogFormat::Json)),
            ),
            ("entrypoint-log", "loud", Err(LogLevel::ALLOWED)),
            ("entrypoint-log-format", "xml", Err(LogFormat::ALLOWED)),
        ] {
            let read = read(&Data::from([(key.to_owned(), value.to_owned())]));
            match (read, expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read, expected),
                (Err(error), Err(allowed)) => {
                    let error = error.to_string();
                    assert!(error.contains(key) && error.ends_with(allowed), "{error}");
                }
                other => panic!("{key}: {value}: {other:?}"),
            }
        }
    }
}
