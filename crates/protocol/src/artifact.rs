//! What a step says that it used and made: a file `provenance.json`, an object of `inputs` and
//! `outputs` (api.md 4.6, runtime.md 3.7). No I/O.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// What is in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Artifacts {
    /// What was used.
    #[serde(deserialize_with = "nullable")]
    pub inputs: Vec<Artifact>,
    /// What was made.
    #[serde(deserialize_with = "nullable")]
    pub outputs: Vec<Artifact>,
}

/// Something that a step used or made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Artifact {
    /// What it is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it consists of.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub values: Vec<ArtifactValue>,
    /// Whether it is what the Task is for, or came about on the way.
    #[serde(skip_serializing_if = "is_false")]
    pub build_output: bool,
}

/// One part of an artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArtifactValue {
    /// Its content, by algorithm.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub digest: BTreeMap<String, String>,
    /// Where it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uri: String,
}

/// Which of the two lists is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What was used.
    Inputs,
    /// What was made.
    Outputs,
}

impl Side {
    /// The word in references and files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inputs => "inputs",
            Self::Outputs => "outputs",
        }
    }
}

/// A file that says nothing that can be understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "{error}; the file is an object like {{\"inputs\": [], \"outputs\": [{{\"name\": \"image\", \"values\": \
     [{{\"uri\": \"docker://app\", \"digest\": {{\"sha256\": \"0a1b\"}}}}]}}]}}"
)]
pub struct ArtifactError {
    /// What the JSON reader said.
    error: serde_json::Error,
}

impl Artifacts {
    /// Reads a file. What it has besides is not looked at; blank text says nothing.
    ///
    /// # Errors
    /// Where it is no such object, with line and column.
    pub fn read(text: &str) -> Result<Self, ArtifactError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(|error| ArtifactError { error })
    }

    /// One of the lists.
    pub fn side(&self, side: Side) -> &[Artifact] {
        match side {
            Side::Inputs => &self.inputs,
            Side::Outputs => &self.outputs,
        }
    }
}

/// The values as a reference to the artifact has them: JSON without blanks, and with the characters
/// escaped that mean something in HTML, as Go does it.
pub fn values_text(values: &[ArtifactValue]) -> String {
    // Texts alone: they have a JSON form.
    let json = serde_json::to_string(values).unwrap_or_default();
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            other => text.push(other),
        }
    }
    text
}

/// Go's JSON has `null` for a list or map that was never made.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let text = r#"{"outputs": [{"name": "image", "buildOutput": true, "more": 1, "values": [
            {"uri": "a&<b>", "digest": {"sha512": "1", "sha256": "\u2028"}}, {"uri": "c", "digest": null}]}],
            "inputs": null}"#;
        let read = Artifacts::read(text).unwrap();
        assert!(read.side(Side::Inputs).is_empty());
        let image = &read.side(Side::Outputs)[0];
        assert!(image.name == "image" && image.build_output);
        assert_eq!(
            values_text(&image.values),
            r#"[{"digest":{"sha256":"\u2028","sha512":"1"},"uri":"a\u0026\u003cb\u003e"},{"uri":"c"}]"#
        );
        assert_eq!(Artifacts::read(" \n").unwrap(), Artifacts::default());
    }

    #[test]
    fn broken_files_say_where() {
        for (text, part) in [
            (
                "{",
                "EOF while parsing an object at line 1 column 1; the file is an object like {\"inputs\": []",
            ),
            ("[1]", "at line 1 column"),
            (
                "{\"outputs\": {}}",
                "invalid type: map, expected a sequence at line 1 column 12",
            ),
            (
                "{\"inputs\": [{\n\"values\": [{\"uri\": 5}]}]}",
                "invalid type: integer `5`, expected a string at line 2",
            ),
            ("{} x", "trailing characters at line 1 column 4"),
        ] {
            let error = Artifacts::read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
