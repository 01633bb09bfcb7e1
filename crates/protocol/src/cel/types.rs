//! What can be known about types without values: that a text is compared with a number, or that the
//! whole is no condition.

use super::{
    CelError, error,
    parse::{Each, Expr, Node, Op},
    pattern::Pattern,
    value::{Type, Value},
};

/// Checks a whole expression.
pub(super) fn check(whole: &Expr) -> Result<(), CelError> {
    let of = type_of(whole)?;
    if matches!(of, Type::Bool | Type::Dyn) {
        return Ok(());
    }
    let problem = format!("this is no condition, it yields a value of type {}", of.name());
    Err(error(whole.at, problem))
}

fn want(expr: &Expr, of: Type, allowed: &[Type]) -> Result<(), CelError> {
    if of == Type::Dyn || allowed.contains(&of) {
        return Ok(());
    }
    let names: Vec<&str> = allowed.iter().map(|of| of.name()).collect();
    let problem = format!("a {} is wanted here, not a {}", names.join(" or "), of.name());
    Err(error(expr.at, problem))
}

fn type_of(expr: &Expr) -> Result<Type, CelError> {
    let (op, parts) = match &expr.node {
        Node::Value(value) => return Ok(value.type_of()),
        Node::Element(_) => return Ok(Type::Dyn),
        Node::Each(each, parts) => return type_of_each(*each, parts),
        Node::Call(op, parts) => (*op, parts),
    };
    let types = parts.iter().map(type_of).collect::<Result<Vec<_>, _>>()?;
    let all = |allowed: &[Type]| {
        let mut each = parts.iter().zip(&types);
        each.try_for_each(|(part, of)| want(part, *of, allowed))
    };
    let of = |index: usize| types.get(index).copied().unwrap_or(Type::Dyn);
    let numbers = [Type::Int, Type::Uint, Type::Double];
    match op {
        Op::Or | Op::And | Op::Not => all(&[Type::Bool]).map(|()| Type::Bool),
        Op::Equal | Op::NotEqual => same(expr, of(0), of(1)).map(|_| Type::Bool),
        Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual => {
            all(&[Type::Int, Type::Uint, Type::Double, Type::Text, Type::Bool])?;
            same(expr, of(0), of(1)).map(|_| Type::Bool)
        }
        Op::In => match parts.get(1) {
            Some(part) => want(part, of(1), &[Type::List, Type::Map]).map(|()| Type::Bool),
            None => Ok(Type::Bool),
        },
        Op::Add => {
            all(&[Type::Int, Type::Uint, Type::Double, Type::Text, Type::List])?;
            alike(expr, of(0), of(1))
        }
        Op::Remainder => {
            all(&[Type::Int, Type::Uint])?;
            alike(expr, of(0), of(1))
        }
        Op::Subtract | Op::Multiply | Op::Divide => {
            all(&numbers)?;
            alike(expr, of(0), of(1))
        }
        Op::Negate => all(&[Type::Int, Type::Double]).map(|()| of(0)),
        Op::Choose => {
            if let Some(condition) = parts.first() {
                want(condition, of(0), &[Type::Bool])?;
            }
            Ok(if of(1) == of(2) { of(1) } else { Type::Dyn })
        }
        Op::Index => match parts.first() {
            Some(part) => want(part, of(0), &[Type::List, Type::Map]).map(|()| Type::Dyn),
            None => Ok(Type::Dyn),
        },
        Op::List => Ok(Type::List),
        Op::Map => Ok(Type::Map),
        Op::Size => all(&[Type::Text, Type::List, Type::Map]).map(|()| Type::Int),
        Op::Matches => {
            all(&[Type::Text])?;
            pattern(parts.get(1)).map(|()| Type::Bool)
        }
        Op::Contains | Op::StartsWith | Op::EndsWith => all(&[Type::Text]).map(|()| Type::Bool),
        Op::Convert(to) => Ok(to),
    }
}

fn type_of_each(each: Each, parts: &[Expr]) -> Result<Type, CelError> {
    let mut conditions = parts;
    if let Some((over, rest)) = parts.split_first() {
        want(over, type_of(over)?, &[Type::List, Type::Map])?;
        conditions = rest;
    }
    // What `map` makes may be anything.
    if each == Each::Map
        && let Some((made, rest)) = conditions.split_last()
    {
        type_of(made)?;
        conditions = rest;
    }
    for condition in conditions {
        want(condition, type_of(condition)?, &[Type::Bool])?;
    }
    Ok(match each {
        Each::All | Each::Exists | Each::ExistsOne => Type::Bool,
        Each::Filter | Each::Map => Type::List,
    })
}

/// Numbers of all types can be compared with each other.
fn same(expr: &Expr, a: Type, b: Type) -> Result<Type, CelError> {
    if a.is_number() && b.is_number() {
        return Ok(a);
    }
    alike(expr, a, b)
}

fn alike(expr: &Expr, a: Type, b: Type) -> Result<Type, CelError> {
    match (a, b) {
        (Type::Dyn, other) | (other, Type::Dyn) => Ok(other),
        (a, b) if a == b => Ok(a),
        (a, b) => Err(error(
            expr.at,
            format!(
                "a {} and a {} do not go together; int('...') makes a number of a text",
                a.name(),
                b.name()
            ),
        )),
    }
}

/// A pattern that is known can be read now, unless a variable is in it.
fn pattern(part: Option<&Expr>) -> Result<(), CelError> {
    if let Some(Expr {
        at,
        node: Node::Value(Value::Text(text)),
        ..
    }) = part
        && !text.contains("$(")
    {
        Pattern::new(text).map_err(|problem| error(*at, problem))?;
    }
    Ok(())
}
