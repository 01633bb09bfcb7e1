//! From a tree to a value.

use std::{cmp::Ordering, rc::Rc};

use super::{
    CelError, error,
    parse::{Each, Expr, Node, Op},
    pattern,
    value::{Type, Value, fit, get, parse_double},
};
use crate::go_bool;

/// Parts evaluated, elements gone through, characters made: more than any condition needs, and no
/// more than a moment.
const MOST_WORK: usize = 1_000_000;

/// Whether the whole is true.
pub(super) fn condition(whole: &Expr) -> Result<bool, CelError> {
    let mut evaluation = Evaluation {
        left: MOST_WORK,
        elements: Vec::new(),
    };
    match evaluation.value(whole)? {
        Value::Bool(holds) => Ok(holds),
        other => Err(error(
            whole.at,
            format!(
                "the expression is not evaluated to a boolean, but to a value of type {}",
                other.type_of().name()
            ),
        )),
    }
}

struct Evaluation {
    left: usize,
    /// What macros around this place have named.
    elements: Vec<Value>,
}

impl Evaluation {
    fn spend(&mut self, at: usize, work: usize) -> Result<(), CelError> {
        match self.left.checked_sub(work) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(error(at, "evaluating the expression takes too long")),
        }
    }

    fn value(&mut self, expr: &Expr) -> Result<Value, CelError> {
        self.spend(expr.at, 1)?;
        match &expr.node {
            Node::Value(value) => Ok(value.clone()),
            Node::Element(place) => match self.elements.get(*place) {
                Some(value) => Ok(value.clone()),
                None => Err(error(expr.at, "this name stands for nothing")),
            },
            Node::Call(op @ (Op::And | Op::Or), parts) => self.logic(*op, parts),
            Node::Call(Op::Choose, parts) => {
                let [condition, yes, no] = parts.as_slice() else {
                    return Err(unfit(expr.at));
                };
                let chosen = if self.truth(condition)? { yes } else { no };
                self.value(chosen)
            }
            Node::Call(op, parts) => {
                let mut values = Vec::with_capacity(parts.len());
                for part in parts {
                    values.push(self.value(part)?);
                }
                self.call(expr.at, *op, values)
            }
            Node::Each(each, parts) => self.each(expr.at, *each, parts),
        }
    }

    fn truth(&mut self, expr: &Expr) -> Result<bool, CelError> {
        match self.value(expr)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(error(
                expr.at,
                format!("a condition is wanted here, not a {}", other.type_of().name()),
            )),
        }
    }

    /// One that decides makes up for others that cannot be evaluated, wherever they stand.
    fn logic(&mut self, op: Op, parts: &[Expr]) -> Result<Value, CelError> {
        let decides = op == Op::Or;
        let mut wrong = None;
        for part in parts {
            match self.truth(part) {
                Ok(holds) if holds == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        wrong.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn call(&mut self, at: usize, op: Op, mut values: Vec<Value>) -> Result<Value, CelError> {
        match op {
            Op::List => return Ok(Value::List(Rc::new(values))),
            Op::Map => return self.map(at, values),
            _ => {}
        }
        let second = (values.len() > 1).then(|| values.remove(1));
        let first = values.pop().ok_or_else(|| unfit(at))?;
        let Some(second) = second else {
            return one(at, op, &first);
        };
        let holds = match (op, &first, &second) {
            (Op::Equal, ..) => first.equals(&second),
            (Op::NotEqual, ..) => !first.equals(&second),
            (Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual, ..) => {
                let (a, b) = (first.type_of(), second.type_of());
                if a != b && !(a.is_number() && b.is_number()) {
                    return Err(no_overload(at, &first, &second));
                }
                let order = first.compare(&second);
                match op {
                    Op::Less => order == Some(Ordering::Less),
                    Op::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                    Op::Greater => order == Some(Ordering::Greater),
                    _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                }
            }
            (Op::In, _, Value::List(list)) => {
                self.spend(at, list.len())?;
                list.iter().any(|known| known.equals(&first))
            }
            (Op::In, _, Value::Map(map)) => {
                self.spend(at, map.len())?;
                get(map, &first).is_some()
            }
            (Op::Contains, Value::Text(text), Value::Text(part)) => {
                self.spend(at, text.len())?;
                text.contains(&**part)
            }
            (Op::StartsWith, Value::Text(text), Value::Text(part)) => text.starts_with(&**part),
            (Op::EndsWith, Value::Text(text), Value::Text(part)) => text.ends_with(&**part),
            (Op::Matches, Value::Text(text), Value::Text(pattern)) => {
                let pattern = pattern::Pattern::new(pattern).map_err(|problem| error(at, problem))?;
                self.spend(at, pattern.work(text))?;
                pattern.is_in(text)
            }
            (Op::Index, Value::List(list), _) => {
                let element = second.whole().and_then(|index| usize::try_from(index).ok());
                let element = element.and_then(|index| list.get(index));
                return element
                    .cloned()
                    .ok_or_else(|| error(at, format!("the list has only {} elements", list.len())));
            }
            (Op::Index, Value::Map(map), _) => {
                self.spend(at, map.len())?;
                let found = get(map, &second).cloned();
                return found.ok_or_else(|| error(at, "the map has no such key"));
            }
            (Op::Add, Value::Text(a), Value::Text(b)) => {
                self.spend(at, a.len() + b.len())?;
                return Ok(Value::Text([&**a, &**b].concat().into()));
            }
            (Op::Add, Value::List(a), Value::List(b)) => {
                self.spend(at, a.len() + b.len())?;
                return Ok(Value::List(Rc::new([a.as_slice(), b.as_slice()].concat())));
            }
            _ => return arithmetic(at, op, &first, &second),
        };
        Ok(Value::Bool(holds))
    }

    fn map(&mut self, at: usize, values: Vec<Value>) -> Result<Value, CelError> {
        let mut map: Vec<(Value, Value)> = Vec::new();
        let mut values = values.into_iter();
        while let (Some(key), Some(value)) = (values.next(), values.next()) {
            self.spend(at, map.len())?;
            let is_key = matches!(
                key,
                Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Text(_)
            );
            if !is_key || get(&map, &key).is_some() {
                return Err(error(at, "a map's keys are texts or numbers, each once"));
            }
            map.push((key, value));
        }
        Ok(Value::Map(Rc::new(map)))
    }

    /// One element's turn; what `map` makes of it goes to `made`.
    fn element(
        &mut self,
        each: Each,
        body: &Expr,
        then: Option<&Expr>,
        made: &mut Vec<Value>,
    ) -> Result<bool, CelError> {
        let makes = match (each, then) {
            (Each::Map, None) => body,
            (Each::Map, Some(makes)) => {
                if !self.truth(body)? {
                    return Ok(false);
                }
                makes
            }
            _ => return self.truth(body),
        };
        made.push(self.value(makes)?);
        Ok(true)
    }

    fn each(&mut self, at: usize, each: Each, parts: &[Expr]) -> Result<Value, CelError> {
        let (Some(over), Some(body)) = (parts.first(), parts.get(1)) else {
            return Err(unfit(at));
        };
        let elements = match self.value(over)? {
            Value::List(list) => list,
            Value::Map(map) => Rc::new(map.iter().map(|(key, _)| key.clone()).collect()),
            other => {
                let of = other.type_of().name();
                return Err(error(at, format!("a list is wanted here, not a {of}")));
            }
        };
        let (mut made, mut count, mut wrong) = (Vec::new(), 0_usize, None);
        for element in elements.iter() {
            let depth = self.elements.len();
            self.elements.push(element.clone());
            let told = self.element(each, body, parts.get(2), &mut made);
            // Also what an error has left there: another part may still decide.
            self.elements.truncate(depth);
            match (told, each) {
                (Ok(false), Each::All) => return Ok(Value::Bool(false)),
                (Ok(true), Each::Exists) => return Ok(Value::Bool(true)),
                (Ok(true), Each::Filter) => made.push(element.clone()),
                (Ok(holds), _) => count += usize::from(holds),
                // For these two, another element can still decide.
                (Err(error), Each::All | Each::Exists) => wrong = wrong.or(Some(error)),
                (Err(error), _) => return Err(error),
            }
        }
        if let Some(error) = wrong {
            return Err(error);
        }
        Ok(match each {
            Each::All => Value::Bool(true),
            Each::Exists => Value::Bool(false),
            Each::ExistsOne => Value::Bool(count == 1),
            Each::Filter | Each::Map => Value::List(Rc::new(made)),
        })
    }
}

fn unfit(at: usize) -> CelError {
    error(at, "a value is missing")
}

fn no_overload(at: usize, first: &Value, second: &Value) -> CelError {
    let (first, second) = (first.type_of().name(), second.type_of().name());
    error(at, format!("this cannot be done with a {first} and a {second}"))
}

/// What is done with a single value.
fn one(at: usize, op: Op, value: &Value) -> Result<Value, CelError> {
    let count = |number: usize| Ok(Value::Int(i64::try_from(number).unwrap_or(i64::MAX)));
    match (op, value) {
        (Op::Not, Value::Bool(holds)) => Ok(Value::Bool(!holds)),
        (Op::Negate, Value::Double(number)) => Ok(Value::Double(-number)),
        (Op::Negate, Value::Int(number)) => number.checked_neg().map(Value::Int).ok_or_else(|| overflow(at)),
        (Op::Size, Value::Text(text)) => count(text.chars().count()),
        (Op::Size, Value::List(list)) => count(list.len()),
        (Op::Size, Value::Map(map)) => count(map.len()),
        (Op::Convert(to), _) => convert(to, value).ok_or_else(|| {
            // Without the text itself: it may be a secret, and the step's log is none.
            let from = value.type_of().name();
            error(at, format!("this {from} cannot become a {}", to.name()))
        }),
        _ => Err(error(
            at,
            format!("this cannot be done with a {}", value.type_of().name()),
        )),
    }
}

fn overflow(at: usize) -> CelError {
    error(at, "the number becomes too large, or is divided by zero")
}

fn arithmetic(at: usize, op: Op, first: &Value, second: &Value) -> Result<Value, CelError> {
    if let (Value::Double(a), Value::Double(b)) = (first, second) {
        let number = match op {
            Op::Add => a + b,
            Op::Subtract => a - b,
            Op::Multiply => a * b,
            Op::Divide => a / b,
            _ => return Err(no_overload(at, first, second)),
        };
        return Ok(Value::Double(number));
    }
    let of = first.type_of();
    let (Some(a), Some(b), true) = (first.whole(), second.whole(), of == second.type_of()) else {
        return Err(no_overload(at, first, second));
    };
    // Two numbers of 64 bits cannot leave 128 by any of these.
    let number = match op {
        Op::Add => a.checked_add(b),
        Op::Subtract => a.checked_sub(b),
        Op::Multiply => a.checked_mul(b),
        Op::Divide => a.checked_div(b),
        Op::Remainder => a.checked_rem(b),
        _ => return Err(no_overload(at, first, second)),
    };
    number
        .and_then(|number| fit(of, number))
        .ok_or_else(|| overflow(at))
}

fn convert(to: Type, value: &Value) -> Option<Value> {
    if to == Type::Kind {
        return Some(Value::Type(value.type_of()));
    }
    if to == Type::Dyn || to == value.type_of() {
        return Some(value.clone());
    }
    match (to, value) {
        (Type::Int | Type::Uint, Value::Text(text)) => {
            let number = text.parse::<i128>().ok()?;
            fit(to, number)
        }
        #[allow(clippy::cast_possible_truncation)] // towards zero, as CEL has it; too large is refused
        (Type::Int | Type::Uint, Value::Double(number)) => fit(to, *number as i128),
        (Type::Int | Type::Uint, _) => fit(to, value.whole()?),
        (Type::Double, Value::Text(text)) => parse_double(text).map(Value::Double),
        #[allow(clippy::cast_precision_loss)] // what a double is
        (Type::Double, _) => Some(Value::Double(value.whole()? as f64)),
        (Type::Text, Value::Bool(holds)) => Some(Value::text(if *holds { "true" } else { "false" })),
        (Type::Text, _) => Some(Value::text(&value.whole()?.to_string())),
        (Type::Bool, Value::Text(text)) => go_bool::parse(text).map(Value::Bool),
        _ => None,
    }
}
