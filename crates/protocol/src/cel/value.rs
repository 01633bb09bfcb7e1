//! What expressions yield.

use std::{cmp::Ordering, rc::Rc};

/// Types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Known only when it is evaluated.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    List,
    Map,
    Kind,
}

/// The names that types have in expressions.
const NAMES: [(&str, Type); 9] = [
    ("null_type", Type::Null),
    ("bool", Type::Bool),
    ("int", Type::Int),
    ("uint", Type::Uint),
    ("double", Type::Double),
    ("string", Type::Text),
    ("list", Type::List),
    ("map", Type::Map),
    ("type", Type::Kind),
];

impl Type {
    pub(super) fn named(name: &str) -> Option<Self> {
        let mut names = NAMES.iter();
        names.find(|(known, _)| *known == name).map(|(_, of)| *of)
    }

    pub(super) fn name(self) -> &'static str {
        let mut names = NAMES.iter();
        names.find(|(_, of)| *of == self).map_or("dyn", |(name, _)| name)
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }
}

/// A value. Copies share what is large.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Rc<str>),
    List(Rc<Vec<Value>>),
    Map(Rc<Vec<(Value, Value)>>),
    Type(Type),
}

impl Value {
    pub(super) fn type_of(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::Text(_) => Type::Text,
            Self::List(_) => Type::List,
            Self::Map(_) => Type::Map,
            Self::Type(_) => Type::Kind,
        }
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(Rc::from(text))
    }

    /// A whole number of either type.
    pub(super) fn whole(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(i128::from(*number)),
            Self::Uint(number) => Some(i128::from(*number)),
            _ => None,
        }
    }

    #[allow(clippy::cast_precision_loss)] // CEL compares them so
    fn double(&self) -> Option<f64> {
        match self {
            Self::Double(number) => Some(*number),
            other => other.whole().map(|whole| whole as f64),
        }
    }

    /// The order of two values that have one: numbers among each other, texts, booleans.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            _ => match (self.whole(), other.whole()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => self.double()?.partial_cmp(&other.double()?),
            },
        }
    }

    /// Whether they are the same; values of different types are not.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(key, a)| get(b, key).is_some_and(|b| a.equals(b)))
            }
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }
}

/// The value under `key`.
pub(super) fn get<'a>(map: &'a [(Value, Value)], key: &Value) -> Option<&'a Value> {
    map.iter()
        .find(|(known, _)| known.equals(key))
        .map(|(_, value)| value)
}

/// A number of the type whose range it must fit.
pub(super) fn fit(of: Type, number: i128) -> Option<Value> {
    match of {
        Type::Uint => u64::try_from(number).ok().map(Value::Uint),
        _ => i64::try_from(number).ok().map(Value::Int),
    }
}

/// Reads a decimal fraction. Exact for up to 15 digits and powers of ten up to 22, and within the
/// last bit beyond; the standard library's exact reader would be tables of ten kilobytes.
pub(super) fn parse_double(text: &str) -> Option<f64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + part.len() == 0 {
        return None;
    }
    let (mut mantissa, mut power) = (0_u64, i64::from(exponent));
    for (index, digit) in whole.bytes().chain(part.bytes()).enumerate() {
        if !digit.is_ascii_digit() {
            return None;
        }
        if mantissa < 1_000_000_000_000_000_000 {
            mantissa = mantissa * 10 + u64::from(digit - b'0');
            power -= i64::from(index >= whole.len());
        } else {
            power += i64::from(index < whole.len());
        }
    }
    #[allow(clippy::cast_precision_loss)] // what a double is
    let mut number = mantissa as f64;
    // Nothing is left, or nothing fits, behind 350 powers of ten.
    let count = power.unsigned_abs().min(350);
    let mut scale = 1.0_f64;
    for step in 1..=count {
        scale *= 10.0;
        if step % 22 == 0 || step == count {
            number = if power < 0 { number / scale } else { number * scale };
            scale = 1.0;
        }
    }
    number
        .is_finite()
        .then_some(if negative { -number } else { number })
}
