//! A JSON object whose values stay as they were written: what is not understood is not changed. No I/O.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Keys and values in order. A list, because objects here are small and a tree is more code than
/// everything else in this module.
#[derive(Default)]
pub(super) struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    /// Reads one. The parser's own message could quote the text, so there is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, key: &str) -> Option<&RawValue> {
        let mut all = self.0.iter();
        all.find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    /// The text under `key`; empty for what is none.
    pub(super) fn text(&self, key: &str) -> String {
        let text = self.get(key).map_or("", RawValue::get);
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Puts `value` under `key`, in place of what was there.
    pub(super) fn insert(&mut self, key: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some(pair) => pair.1 = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    pub(super) fn insert_text(&mut self, key: &str, text: &str) {
        if let Ok(value) = RawValue::from_string(quoted(text)) {
            self.insert(key, value);
        }
    }

    pub(super) fn insert_object(&mut self, key: &str, object: &Self) {
        if let Ok(value) = RawValue::from_string(object.print()) {
            self.insert(key, value);
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Box<RawValue>> {
        let index = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.remove(index).1)
    }

    pub(super) fn into_pairs(self) -> Vec<(String, Box<RawValue>)> {
        self.0
    }

    /// One line.
    pub(super) fn print(&self) -> String {
        let mut text = "{".to_owned();
        for (key, value) in &self.0 {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&quoted(key));
            text.push(':');
            text.push_str(value.get());
        }
        text.push('}');
        text
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Object, A::Error> {
                let mut object = Object::default();
                while let Some((key, value)) = pairs.next_entry::<String, Box<RawValue>>()? {
                    object.insert(&key, value);
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_not_changed() {
        let text = r#"{"b":[1, 2.50],"a\"":null,"b":{"x": "y"}}"#;
        let mut object = Object::parse(text).unwrap();
        assert_eq!(object.print(), r#"{"b":{"x": "y"},"a\"":null}"#);
        object.insert_text("t", "\"");
        assert_eq!(
            (object.text("t"), object.text("b")),
            ("\"".to_owned(), String::new())
        );
        assert!(object.remove("b").is_some() && object.remove("b").is_none());
        assert_eq!(object.print(), r#"{"a\"":null,"t":"\""}"#);
        for text in ["", "[]", "{", "\"x\""] {
            assert!(Object::parse(text).is_none(), "{text}");
        }
    }
}
