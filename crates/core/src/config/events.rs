//! Where CloudEvents go: ConfigMap `config-events` (api.md 7.6, 8.2). No I/O.

use super::{ConfigError, Data};

/// The ConfigMap's name.
pub(super) const NAME: &str = "config-events";
const FORMATS: &str = "formats";
const SINK: &str = "sink";

/// The only form that events have.
const TEKTON_V1: &str = "tektonv1";

/// Every key that means something.
pub(super) const KEYS: [&str; 2] = [FORMATS, SINK];

/// An address that CloudEvents are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink(String);

impl Sink {
    /// What an address looks like, for messages.
    pub const ALLOWED: &str =
        "write an address such as \"http://events.example/path\", or leave it empty for no events";

    /// Reads an address; nothing where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))?;
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte));
        // A password in an address would end up in logs and events.
        (plain && !host.is_empty() && !host.contains('@')).then(|| Self(text.to_owned()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// ConfigMap `config-events`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// `sink`.
    pub sink: Option<Sink>,
}

impl Events {
    /// Reads the ConfigMap's data.
    ///
    /// # Errors
    /// The first key whose value cannot be read.
    pub fn parse(data: &Data) -> Result<Self, ConfigError> {
        let bad = |key: &'static str, value: &str, allowed: &str| ConfigError::Other {
            map: NAME,
            key,
            value: value.to_owned(),
            allowed: allowed.to_owned(),
        };
        if let Some(value) = data.get(FORMATS) {
            let mut seen = Vec::new();
            for format in value.split(',').map(str::trim) {
                let problem = match format {
                    "" => "formats cannot be empty".to_owned(),
                    known if seen.contains(&known) => format!("duplicate format: {known}"),
                    TEKTON_V1 => {
                        seen.push(format);
                        continue;
                    }
                    other => format!("invalid format: {other}"),
                };
                return Err(bad(FORMATS, value, &format!("{problem}; write {TEKTON_V1}")));
            }
        }
        Ok(Self {
            sink: sink(data, SINK).map_err(|value| bad(SINK, &value, Sink::ALLOWED))?,
        })
    }
}

/// The address under `key`, if there is one; the text where it is none.
pub(super) fn sink(data: &Data, key: &str) -> Result<Option<Sink>, String> {
    match data
        .get(key)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
    {
        None => Ok(None),
        Some(value) => Sink::parse(value).map(Some).ok_or_else(|| value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_formats() {
        let read = |key: &str, value: &str| {
            let data = Data::from([(key.to_owned(), value.to_owned())]);
            Events::parse(&data)
                .map(|events| events.sink.map(|sink| sink.0))
                .map_err(|error| error.to_string())
        };
        for (key, value, expected) in [
            (SINK, "", None),
            (SINK, " ", None),
            (SINK, "http://sink", Some("http://sink")),
            (SINK, "https://sink:8080/a?b=c", Some("https://sink:8080/a?b=c")),
            (FORMATS, "tektonv1", None),
        ] {
            assert_eq!(read(key, value), Ok(expected.map(str::to_owned)), "{value}");
        }
        for (key, value, part) in [
            (SINK, "sink:8080", "write an address such as"),
            (SINK, "ftp://sink", "write an address such as"),
            (SINK, "http://user:word@sink", "write an address such as"),
            (SINK, "http:///path", "write an address such as"),
            (FORMATS, "", "formats cannot be empty"),
            (FORMATS, "tektonv2", "invalid format: tektonv2"),
            (FORMATS, "tektonv1,tektonv1", "duplicate format: tektonv1"),
        ] {
            let error = read(key, value).unwrap_err();
            assert!(
                error.contains(part) && error.contains(&format!("config-events \"{key}\"")),
                "{error}"
            );
        }
    }
}
