//! What makes one JSON value of another, as a patch. No I/O.
//!
//! What is wanted is compared as it would be serialised, without being written down: most of it is what
//! is given, and a tree of all of it would take many times the memory of the object.

use std::{borrow::Cow, fmt};

use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation, jsonptr::PointerBuf,
};
use serde::{
    Serialize, Serializer,
    ser::{Impossible, SerializeMap, SerializeSeq, SerializeStruct},
};
use serde_json::{Map, Value};

/// Adds to `patch` what makes the field at `fields` from what is given there what is wanted.
///
/// # Errors
/// It cannot be written as JSON.
pub(crate) fn difference(
    patch: &mut Patch,
    fields: &[&str],
    given: Option<&Value>,
    wanted: &(impl Serialize + ?Sized),
) -> Result<(), serde_json::Error> {
    let mut place = PointerBuf::from_tokens(fields.iter().copied());
    match given {
        Some(given) => compare(given, wanted, &mut place, patch),
        None => {
            let value = serde_json::to_value(wanted)?;
            patch
                .0
                .push(PatchOperation::Add(AddOperation { path: place, value }));
            Ok(())
        }
    }
}

fn compare(
    given: &Value,
    wanted: &(impl Serialize + ?Sized),
    place: &mut PointerBuf,
    patch: &mut Patch,
) -> Result<(), serde_json::Error> {
    let before = patch.0.len();
    let fault = match wanted.serialize(Comparison { given, place, patch }) {
        Ok(()) => return Ok(()),
        Err(fault) => fault,
    };
    if let Fault::Json(error) = fault {
        return Err(error);
    }
    // It is something else altogether.
    patch.0.truncate(before);
    let value = serde_json::to_value(wanted)?;
    if *given != value {
        patch.0.push(PatchOperation::Replace(ReplaceOperation {
            path: place.clone(),
            value,
        }));
    }
    Ok(())
}

/// Why two values are not compared part by part.
#[derive(Debug)]
enum Fault {
    /// They are not of one kind, or they differ and have no parts.
    Different,
    /// What is wanted cannot be written as JSON.
    Json(serde_json::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Different => f.write_str("another value is given"),
            Self::Json(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Fault {}

impl serde::ser::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Json(serde_json::Error::custom(message))
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

/// One value at its place.
struct Comparison<'a> {
    given: &'a Value,
    place: &'a mut PointerBuf,
    patch: &'a mut Patch,
}

impl<'a> Comparison<'a> {
    fn leaf(self, wanted: impl Into<Value>) -> Result<(), Fault> {
        if *self.given == wanted.into() {
            Ok(())
        } else {
            Err(Fault::Different)
        }
    }

    fn fields(self) -> Result<Fields<'a>, Fault> {
        let Value::Object(given) = self.given else {
            return Err(Fault::Different);
        };
        Ok(Fields {
            given,
            place: self.place,
            patch: self.patch,
            wanted: Vec::new(),
            key: Cow::Borrowed(""),
        })
    }
}

macro_rules! leaves {
    ($($name:ident $type:ty),*) => {
        $(fn $name(self, wanted: $type) -> Result<(), Fault> {
            self.leaf(wanted)
        })*
    };
}

/// What no object has is compared as a tree.
macro_rules! trees {
    ($($name:ident($($type:ty),*) $result:ty),*) => {
        $(fn $name(self, $(_: $type),*) -> Result<$result, Fault> {
            Err(Fault::Different)
        })*
    };
}

impl<'a> Serializer for Comparison<'a> {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Impossible<(), Fault>;
    type SerializeTupleStruct = Impossible<(), Fault>;
    type SerializeTupleVariant = Impossible<(), Fault>;
    type SerializeMap = Fields<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Impossible<(), Fault>;

    leaves! {
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_f32 f32,
        serialize_f64 f64
    }

    trees! {
        serialize_char(char) (), serialize_bytes(&[u8]) (), serialize_unit_struct(&'static str) (),
        serialize_tuple(usize) Self::SerializeTuple,
        serialize_tuple_struct(&'static str, usize) Self::SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) Self::SerializeTupleVariant,
        serialize_struct_variant(&'static str, u32, &'static str, usize) Self::SerializeStructVariant
    }

    fn serialize_str(self, wanted: &str) -> Result<(), Fault> {
        if self.given.as_str() == Some(wanted) {
            Ok(())
        } else {
            Err(Fault::Different)
        }
    }

    fn serialize_none(self) -> Result<(), Fault> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Fault> {
        self.leaf(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<(), Fault> {
        self.serialize_str(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Fault> {
        Err(Fault::Different)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'a>, Fault> {
        let Value::Array(given) = self.given else {
            return Err(Fault::Different);
        };
        Ok(Elements {
            given,
            place: self.place,
            patch: self.patch,
            next: 0,
        })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'a>, Fault> {
        self.fields()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a>, Fault> {
        self.fields()
    }
}

/// A list's elements, in turn.
struct Elements<'a> {
    given: &'a [Value],
    place: &'a mut PointerBuf,
    patch: &'a mut Patch,
    next: usize,
}

impl SerializeSeq for Elements<'_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, wanted: &T) -> Result<(), Fault> {
        self.place.push_back(self.next);
        match self.given.get(self.next) {
            Some(given) => compare(given, wanted, self.place, self.patch)?,
            None => self.patch.0.push(PatchOperation::Add(AddOperation {
                path: self.place.clone(),
                value: serde_json::to_value(wanted)?,
            })),
        }
        self.place.pop_back();
        self.next += 1;
        Ok(())
    }

    fn end(self) -> Result<(), Fault> {
        self.place.push_back(self.next);
        for _ in self.next..self.given.len() {
            self.patch.0.push(PatchOperation::Remove(RemoveOperation {
                path: self.place.clone(),
            }));
        }
        self.place.pop_back();
        Ok(())
    }
}

/// An object's fields, in turn.
struct Fields<'a> {
    given: &'a Map<String, Value>,
    place: &'a mut PointerBuf,
    patch: &'a mut Patch,
    /// Those that have been compared: what is given besides goes.
    wanted: Vec<Cow<'static, str>>,
    key: Cow<'static, str>,
}

impl Fields<'_> {
    fn field(&mut self, key: Cow<'static, str>, wanted: &(impl Serialize + ?Sized)) -> Result<(), Fault> {
        self.place.push_back(key.as_ref());
        match self.given.get(key.as_ref()) {
            Some(given) => {
                compare(given, wanted, self.place, self.patch)?;
                self.wanted.push(key);
            }
            None => self.patch.0.push(PatchOperation::Add(AddOperation {
                path: self.place.clone(),
                value: serde_json::to_value(wanted)?,
            })),
        }
        self.place.pop_back();
        Ok(())
    }

    fn finish(self) {
        if self.wanted.len() == self.given.len() {
            return;
        }
        for key in self.given.keys() {
            if !self.wanted.iter().any(|wanted| wanted == key) {
                self.place.push_back(key.as_str());
                self.patch.0.push(PatchOperation::Remove(RemoveOperation {
                    path: self.place.clone(),
                }));
                self.place.pop_back();
            }
        }
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, wanted: &T) -> Result<(), Fault> {
        self.field(Cow::Borrowed(key), wanted)
    }

    fn end(self) -> Result<(), Fault> {
        self.finish();
        Ok(())
    }
}

impl SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        self.key = match serde_json::to_value(key)? {
            Value::String(key) => Cow::Owned(key),
            _ => return Err(Fault::Different),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, wanted: &T) -> Result<(), Fault> {
        let key = std::mem::take(&mut self.key);
        self.field(key, wanted)
    }

    fn end(self) -> Result<(), Fault> {
        self.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_makes_of_what_is_given_what_is_wanted_and_is_no_longer_than_it_has_to_be() {
        let values = [
            json!(null),
            json!(true),
            json!(1),
            json!(1.5),
            json!(u64::MAX),
            json!("x"),
            json!([]),
            json!([1, 2, 3]),
            json!([1, {"a": null}]),
            json!([[], "x", 3, 4, {"b": []}]),
            json!({}),
            json!({"a": 1, "b~/c": {"d": [1, {"e": 2}]}, "": "x"}),
            json!({"b~/c": {"d": [1, {"e": 3, "f": null}, 2]}, "g": {}, "a": "1"}),
            json!({"b~/c": {"d": {}}, "a": null}),
        ];
        for given in &values {
            for wanted in &values {
                let mut whole = json!({"at": {"0": given}});
                let mut patch = Patch::default();
                difference(&mut patch, &["at", "0"], Some(given), wanted).unwrap();
                assert_eq!(
                    patch.0.len(),
                    json_patch::diff(given, wanted).0.len(),
                    "{given} {wanted}"
                );
                json_patch::patch(&mut whole, &patch).unwrap();
                assert_eq!(whole["at"]["0"], *wanted, "{given} {patch}");
            }
        }
        let mut patch = Patch::default();
        difference(&mut patch, &["at"], None, "x").unwrap();
        let mut whole = json!({});
        json_patch::patch(&mut whole, &patch).unwrap();
        assert_eq!(whole, json!({"at": "x"}));
    }
}
