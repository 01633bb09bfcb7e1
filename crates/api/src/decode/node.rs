//! A serde deserializer over a JSON tree that knows where it is. No I/O.

use std::{cell::RefCell, fmt};

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, Error as _, Expected, IntoDeserializer as _, MapAccess, SeqAccess,
        Unexpected, Visitor,
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

use super::{MOST, Misfit, Unknown, place::Place, shortened};

/// Why a value does not fit.
#[derive(Clone, Debug)]
pub(super) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(given: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let wanted = match expected.to_string().as_str() {
            "a string" | "Quantity" | "Time" => "a text",
            "a boolean" | "bool" => "true or false",
            "i32" | "i64" | "u32" | "u64" => "a whole number",
            "a sequence" => "a list",
            other if other.contains("Vec") || other.contains("sequence") => "a list",
            other if other.contains(' ') && !other.starts_with("struct ") && other != "a map" => {
                return Self(format!("{other} is wanted"));
            }
            _ => "an object",
        };
        let quotes = match given {
            Unexpected::Bool(_) | Unexpected::Signed(_) | Unexpected::Unsigned(_) | Unexpected::Float(_)
                if wanted == "a text" =>
            {
                ", which YAML takes in quotes"
            }
            _ => "",
        };
        Self(format!("{wanted} is wanted{quotes}"))
    }
}

/// What is learned on the way.
#[derive(Debug, Default)]
pub(super) struct Log {
    unknown: RefCell<Vec<Unknown>>,
    /// Path and pointer of the innermost place where something does not fit.
    fault: RefCell<Option<(String, String)>>,
}

impl Log {
    pub(super) fn into_unknown(self) -> Vec<Unknown> {
        self.unknown.into_inner()
    }

    /// The place that does not fit, with what is there.
    pub(super) fn misfit(&self, tree: &Value, problem: String) -> (String, Misfit) {
        let (path, pointer) = self.fault.borrow().clone().unwrap_or_default();
        let value = tree.pointer(&pointer).map(shortened).unwrap_or_default();
        let misfit = Misfit { path, value, problem };
        (pointer, misfit)
    }
}

/// One value at its place.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    value: &'a Value,
    place: Place<'a>,
    log: &'a Log,
}

impl<'a> Node<'a> {
    pub(super) const fn new(value: &'a Value, place: Place<'a>, log: &'a Log) -> Self {
        Self { value, place, log }
    }

    /// Remembers the innermost place of an error: the first that it passes.
    fn noted<T>(self, result: Result<T, Fault>) -> Result<T, Fault> {
        if result.is_err() {
            let mut fault = self.log.fault.borrow_mut();
            fault.get_or_insert_with(|| (self.place.path(), self.place.pointer()));
        }
        result
    }

    fn unexpected(self) -> Unexpected<'a> {
        match self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => number.as_i64().map_or_else(
                || Unexpected::Float(number.as_f64().unwrap_or_default()),
                Unexpected::Signed,
            ),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        known: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let result = match self.value {
            Value::Object(fields) => visitor.visit_map(Fields {
                node: self,
                known,
                rest: Some(fields.iter()),
                next: None,
            }),
            Value::Null => visitor.visit_map(Fields {
                node: self,
                known,
                rest: None,
                next: None,
            }),
            _ => Err(Fault::invalid_type(self.unexpected(), &visitor)),
        };
        self.noted(result)
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => visitor.visit_i64(number),
                (None, Some(number)) => visitor.visit_u64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(_) => return self.deserialize_seq(visitor),
            Value::Object(_) => return self.deserialize_map(visitor),
        };
        self.noted(result)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => self.noted(visitor.visit_str("")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_bool(false),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_i64(0),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // serde_json's own way to hand out a value's text: only its own deserializer knows it.
        let result = if name.starts_with("$serde_json::private::") {
            self.value
                .clone()
                .deserialize_newtype_struct(name, visitor)
                .map_err(Fault::custom)
        } else {
            visitor.visit_newtype_struct(self)
        };
        self.noted(result)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = match self.value {
            Value::Array(items) => visitor.visit_seq(Items {
                node: self,
                rest: items.iter().enumerate(),
            }),
            Value::Null => visitor.visit_seq(Items {
                node: self,
                rest: [].iter().enumerate(),
            }),
            _ => Err(Fault::invalid_type(self.unexpected(), &"a sequence")),
        };
        self.noted(result)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.map(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.map(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let result = self
            .value
            .clone()
            .deserialize_enum(name, variants, visitor)
            .map_err(Fault::custom);
        self.noted(result)
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

struct Items<'a> {
    node: Node<'a>,
    rest: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some((index, value)) = self.rest.next() else {
            return Ok(None);
        };
        let place = Place::Index(&self.node.place, index);
        let node = Node::new(value, place, self.node.log);
        node.noted(seed.deserialize(node)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.rest.size_hint().1
    }
}

struct Fields<'a> {
    node: Node<'a>,
    /// The fields that there are; any in a map.
    known: Option<&'static [&'static str]>,
    rest: Option<serde_json::map::Iter<'a>>,
    next: Option<(&'a str, &'a Value)>,
}

impl<'a> Fields<'a> {
    /// The next field that has something behind it and that the type knows.
    fn advance(&mut self) -> Option<(&'a str, &'a Value)> {
        for (key, value) in self.rest.iter_mut().flatten() {
            let Some(known) = self.known else {
                return Some((key, value));
            };
            if known.contains(&key.as_str()) {
                if !value.is_null() {
                    return Some((key, value));
                }
            } else if self.node.log.unknown.borrow().len() < MOST && !self.node.place.in_metadata() {
                self.node.log.unknown.borrow_mut().push(Unknown {
                    path: Place::Field(&self.node.place, key).path(),
                    field: key.clone(),
                    value: shortened(value),
                    known,
                });
            }
        }
        None
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.next = self.advance();
        let Some((key, _)) = self.next else {
            return Ok(None);
        };
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let (key, value) = self.next.take().unwrap_or(("", &Value::Null));
        let place = Place::Field(&self.node.place, key);
        let node = Node::new(value, place, self.node.log);
        node.noted(seed.deserialize(node))
    }
}

/// The names of a type's fields, for a type that is read as a struct; else none.
pub fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    struct Probe<'a>(&'a RefCell<&'static [&'static str]>);

    impl<'de> Deserializer<'de> for Probe<'_> {
        type Error = Fault;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
            Err(Fault::custom("a probe has no value"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _name: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Fault> {
            self.0.replace(fields);
            self.deserialize_any(visitor)
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let fields: RefCell<&'static [&'static str]> = RefCell::new(&[]);
    // The probe always fails; what it was asked for is what counts.
    drop(T::deserialize(Probe(&fields)));
    fields.into_inner()
}
