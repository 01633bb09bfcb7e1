//! Parameters: their declarations, and values that are a text, a list or a map (api.md 1.1, 1.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use tektite_protocol::Content;

/// A value that is given: for a parameter, or as a result.
///
/// On the wire a JSON string, an array of strings or an object of strings. Anything else becomes a
/// text that holds the JSON as it was written: `5` is the text `5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamValue {
    /// One text.
    String(String),
    /// A list of texts.
    Array(Vec<String>),
    /// Texts by key.
    Object(BTreeMap<String, String>),
}

impl Default for ParamValue {
    fn default() -> Self {
        Self::String(String::new())
    }
}

impl From<&str> for ParamValue {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl ParamValue {
    /// Which of the three it is.
    pub fn param_type(&self) -> ParamType {
        match self {
            Self::String(_) => ParamType::String,
            Self::Array(_) => ParamType::Array,
            Self::Object(_) => ParamType::Object,
        }
    }

    /// Reads JSON text, or text that only may be JSON, such as a result file's content. The first
    /// byte decides: leading white space makes it plain text.
    pub fn from_json_text(text: &str) -> Self {
        match Content::read(text) {
            Content::Text(text) => Self::String(text),
            Content::List(items) => Self::Array(items),
            Content::Map(map) => Self::Object(map.into_iter().collect()),
        }
    }
}

impl Serialize for ParamValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => items.serialize(serializer),
            Self::Object(map) => map.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ParamValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::from_json_text(raw.get()))
    }
}

/// The type that a parameter or result declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ParamType {
    /// One text.
    #[default]
    String,
    /// A list of texts.
    Array,
    /// Texts by key.
    Object,
    /// A word that means nothing; admission refuses it.
    Other(String),
}

impl ParamType {
    /// The API's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
            Self::Other(word) => word,
        }
    }

    /// Whether it is one that there is.
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

impl std::fmt::Display for ParamType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ParamType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ParamType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ok(match word.as_str() {
            "string" => Self::String,
            "array" => Self::Array,
            "object" => Self::Object,
            _ => Self::Other(word),
        })
    }
}

/// Reads a type that may be missing; an empty word is none.
pub(crate) fn optional_type<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ParamType>, D::Error> {
    let word = Option::<ParamType>::deserialize(deserializer)?;
    Ok(word.filter(|word| !word.as_str().is_empty()))
}

/// A named value, as a TaskRun gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// The parameter's name.
    #[serde(default)]
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: ParamValue,
}

/// One key of an object parameter or result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertySpec {
    /// Only `string` exists.
    #[serde(
        rename = "type",
        default,
        deserialize_with = "optional_type",
        skip_serializing_if = "Option::is_none"
    )]
    pub param_type: Option<ParamType>,
}

/// A parameter that a Task declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamSpec {
    /// The parameter's name.
    #[serde(default)]
    pub name: String,
    /// Its type; inferred from properties and default where it is absent.
    #[serde(
        rename = "type",
        default,
        deserialize_with = "optional_type",
        skip_serializing_if = "Option::is_none"
    )]
    pub param_type: Option<ParamType>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The keys of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<BTreeMap<String, PropertySpec>>,
    /// The value where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ParamValue>,
    /// The values that are allowed.
    #[serde(rename = "enum", default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(items: &[&str]) -> ParamValue {
        ParamValue::Array(items.iter().map(ToString::to_string).collect())
    }

    fn object(pairs: &[(&str, &str)]) -> ParamValue {
        ParamValue::Object(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn appendix_e1_json_texts() {
        for (json, value) in [
            (r#""a""#, "a".into()),
            (r#""""#, "".into()),
            ("null", "".into()),
            ("5", "5".into()),
            ("1.50", "1.50".into()),
            ("true", "true".into()),
            ("[]", array(&[])),
            (r#"["a","b"]"#, array(&["a", "b"])),
            (r#"["a",null]"#, array(&["a", ""])),
            (r#"["a",1]"#, r#"["a",1]"#.into()),
            (r#"[["a"]]"#, r#"[["a"]]"#.into()),
            ("{}", object(&[])),
            (r#"{"k":"v"}"#, object(&[("k", "v")])),
            (r#"{"k":1}"#, r#"{"k":1}"#.into()),
        ] {
            assert_eq!(serde_json::from_str::<ParamValue>(json).unwrap(), value, "{json}");
        }
    }

    #[test]
    fn appendix_e1_result_files() {
        for (text, value) in [
            (r#" ["a"]"#, r#" ["a"]"#.into()),
            ("[\"a\"]\n", array(&["a"])),
            ("plain text\n", "plain text\n".into()),
            ("\"quoted\"\n", "quoted".into()),
            ("", "".into()),
        ] {
            assert_eq!(ParamValue::from_json_text(text), value, "{text}");
        }
    }

    #[test]
    fn values_survive_a_json_tree() {
        let tree: serde_json::Value = serde_json::from_str(r#"{"name":"p","value":["a","b"]}"#).unwrap();
        let param: Param = serde_json::from_value(tree.clone()).unwrap();
        assert_eq!(param.value, array(&["a", "b"]));
        assert_eq!(serde_json::to_value(&param).unwrap(), tree);
    }
}
