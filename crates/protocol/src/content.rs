//! What a result's file holds: a text, a list or a map, told by its first character (api.md 1.1).
//! No I/O.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text; of a JSON string what it means, of all else the bytes as they are.
    Text(String),
    /// A JSON list of texts.
    List(Vec<String>),
    /// A JSON object of texts, in the order of the file; of two with the same key the last counts.
    Map(Vec<(String, String)>),
}

impl Content {
    /// Reads a value. Whatever is no text, list of texts or map of texts is text itself.
    pub fn read(text: &str) -> Self {
        if text.is_empty() {
            return Self::Text(String::new());
        }
        let first = text.as_bytes()[0];
        match serde_json::from_str(text) {
            // Only the very first byte makes it one of these.
            Ok(Self::List(_)) if first != b'[' => Self::Text(text.to_owned()),
            Ok(Self::Map(_)) if first != b'{' => Self::Text(text.to_owned()),
            Ok(content) => content,
            Err(_) => Self::Text(text.to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Content;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("texts")
            }
            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content::Text(String::new()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element::<Option<String>>()? {
                    list.push(item.unwrap_or_default());
                }
                Ok(Content::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
                let mut map = Vec::new();
                while let Some((key, value)) = items.next_entry::<String, Option<String>>()? {
                    map.push((key, value.unwrap_or_default()));
                }
                Ok(Content::Map(map))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_decides() {
        let text = |text: &str| Content::Text(text.to_owned());
        let list = |items: &[&str]| Content::List(items.iter().map(|item| (*item).to_owned()).collect());
        for (file, content) in [
            ("", text("")),
            ("plain\n", text("plain\n")),
            ("\"a\\nb\"", text("a\nb")),
            (" \"a\"\n", text("a")),
            ("null", text("")),
            ("5", text("5")),
            ("[\"a\", null]\n", list(&["a", ""])),
            (" [\"a\"]", text(" [\"a\"]")),
            ("[1]", text("[1]")),
            ("[]", list(&[])),
            ("{\"a\": {\"b\": \"c\"}}", text("{\"a\": {\"b\": \"c\"}}")),
            (
                "{\"a\": \"b\", \"c\": null}",
                Content::Map(vec![("a".into(), "b".into()), ("c".into(), String::new())]),
            ),
        ] {
            assert_eq!(Content::read(file), content, "{file}");
        }
    }
}
