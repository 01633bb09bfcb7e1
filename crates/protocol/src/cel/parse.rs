//! From words to a tree, with every name known.

use super::{
    CelError, Replace, error,
    token::{Token, tokens},
    value::{Type, Value, fit},
};

/// Expressions that nest deeper are refused: reading and evaluating go as deep as they do.
const DEEPEST: usize = 64;

/// What is done with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Not,
    Negate,
    Choose,
    Index,
    List,
    Map,
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    /// `int(x)` and its like; `type(x)` and `dyn(x)` too.
    Convert(Type),
}

/// What is done with each element of a list, or key of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Each {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// A part of an expression.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    /// Where its operator or first word stands.
    pub(super) at: usize,
    pub(super) node: Node,
    depth: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Value(Value),
    /// An element that a macro around this place has named.
    Element(usize),
    Call(Op, Vec<Expr>),
    /// Of the first part each element, under which the others are evaluated.
    Each(Each, Vec<Expr>),
}

/// Operators between two values, with how tight they bind.
const BINARY: [(&str, u8, Op); 14] = [
    ("||", 1, Op::Or),
    ("&&", 2, Op::And),
    ("==", 3, Op::Equal),
    ("!=", 3, Op::NotEqual),
    ("<", 3, Op::Less),
    ("<=", 3, Op::LessEqual),
    (">", 3, Op::Greater),
    (">=", 3, Op::GreaterEqual),
    ("in", 3, Op::In),
    ("+", 4, Op::Add),
    ("-", 4, Op::Subtract),
    ("*", 5, Op::Multiply),
    ("/", 5, Op::Divide),
    ("%", 5, Op::Remainder),
];

/// How a function is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Function,
    Method,
    Either,
}

/// Functions with the number of their values, what they are called on among them.
const FUNCTIONS: [(&str, Op, usize, Form); 12] = [
    ("size", Op::Size, 1, Form::Either),
    ("contains", Op::Contains, 2, Form::Method),
    ("startsWith", Op::StartsWith, 2, Form::Method),
    ("endsWith", Op::EndsWith, 2, Form::Method),
    ("matches", Op::Matches, 2, Form::Either),
    ("int", Op::Convert(Type::Int), 1, Form::Function),
    ("uint", Op::Convert(Type::Uint), 1, Form::Function),
    ("double", Op::Convert(Type::Double), 1, Form::Function),
    ("string", Op::Convert(Type::Text), 1, Form::Function),
    ("bool", Op::Convert(Type::Bool), 1, Form::Function),
    ("type", Op::Convert(Type::Kind), 1, Form::Function),
    ("dyn", Op::Convert(Type::Dyn), 1, Form::Function),
];

const MACROS: [(&str, Each); 5] = [
    ("all", Each::All),
    ("exists", Each::Exists),
    ("exists_one", Each::ExistsOne),
    ("map", Each::Map),
    ("filter", Each::Filter),
];

/// Reads an expression.
pub(super) fn parse(text: &str, replace: Replace<'_>) -> Result<Expr, CelError> {
    let mut reader = Reader {
        end: text.chars().count(),
        tokens: tokens(text, replace)?,
        next: 0,
        depth: 0,
        elements: Vec::new(),
    };
    let whole = reader.expression()?;
    match reader.peek() {
        None => Ok(whole),
        Some(_) => Err(reader.wrong("an operator is missing before this")),
    }
}

struct Reader {
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// Where the text ends.
    end: usize,
    depth: usize,
    /// Names that macros around this place give to elements.
    elements: Vec<String>,
}

type Read<T = Expr> = Result<T, CelError>;

fn make(at: usize, node: Node) -> Read {
    let parts = match &node {
        Node::Call(_, parts) | Node::Each(_, parts) => parts.as_slice(),
        Node::Value(_) | Node::Element(_) => &[],
    };
    let depth = 1 + parts.iter().map(|part| part.depth).max().unwrap_or(0);
    if depth > DEEPEST {
        return Err(error(at, "the expression is nested too deep"));
    }
    Ok(Expr { at, node, depth })
}

/// A number with its sign.
fn whole(at: usize, of: Type, number: i128) -> Read {
    let value = fit(of, number).ok_or_else(|| error(at, "the number is too large"))?;
    make(at, Node::Value(value))
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(at, _)| *at)
    }

    fn wrong(&self, problem: &str) -> CelError {
        error(self.at(), problem)
    }

    fn takes(&mut self, mark: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Mark(is)) if *is == mark);
        self.next += usize::from(is);
        is
    }

    fn expect(&mut self, mark: &str) -> Read<()> {
        if self.takes(mark) {
            Ok(())
        } else {
            Err(self.wrong(&format!("\"{mark}\" is missing")))
        }
    }

    fn expression(&mut self) -> Read {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong("the expression is nested too deep"));
        }
        let mut whole = self.binary(1)?;
        let at = self.at();
        if self.takes("?") {
            let yes = self.binary(1)?;
            self.expect(":")?;
            let no = self.expression()?;
            whole = make(at, Node::Call(Op::Choose, vec![whole, yes, no]))?;
        }
        self.depth -= 1;
        Ok(whole)
    }

    fn operator(&self) -> Option<(u8, Op)> {
        let word = match self.peek()? {
            Token::Mark(mark) => mark,
            Token::Name(name) => name.as_str(),
            _ => return None,
        };
        let mut known = BINARY.iter();
        let found = known.find(|(mark, ..)| *mark == word)?;
        Some((found.1, found.2))
    }

    /// Operands with operators between them that bind at least this tight.
    fn binary(&mut self, least: u8) -> Read {
        let mut left = self.unary()?;
        while let Some((tight, op)) = self.operator().filter(|(tight, _)| *tight >= least) {
            let at = self.at();
            self.next += 1;
            let right = self.binary(tight + 1)?;
            // A chain of one of these is a list of conditions, and no deeper for being long.
            if let (Node::Call(of, parts), Op::And | Op::Or) = (&mut left.node, op)
                && *of == op
                && right.depth < DEEPEST
            {
                left.depth = left.depth.max(right.depth + 1);
                parts.push(right);
                continue;
            }
            left = make(at, Node::Call(op, vec![left, right]))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Read {
        let at = self.at();
        if self.takes("!") {
            return self.deeper(at, Op::Not);
        }
        if !self.takes("-") {
            return self.member();
        }
        // The sign belongs to the number: the least one has no positive counterpart.
        if let Some(Token::Int(number)) = self.peek() {
            let number = -*number;
            self.next += 1;
            let value = whole(at, Type::Int, number)?;
            return self.behind(value);
        }
        self.deeper(at, Op::Negate)
    }

    fn deeper(&mut self, at: usize, op: Op) -> Read {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong("the expression is nested too deep"));
        }
        let of = self.unary()?;
        self.depth -= 1;
        make(at, Node::Call(op, vec![of]))
    }

    fn member(&mut self) -> Read {
        let first = self.primary()?;
        self.behind(first)
    }

    /// Everything that is chosen from, or called on, a value.
    fn behind(&mut self, mut value: Expr) -> Read {
        loop {
            let at = self.at();
            if self.takes("[") {
                let key = self.expression()?;
                self.expect("]")?;
                value = make(at, Node::Call(Op::Index, vec![value, key]))?;
            } else if self.takes(".") {
                let Some(Token::Name(name)) = self.peek().cloned() else {
                    return Err(self.wrong("a name is missing behind \".\""));
                };
                let at = self.at();
                self.next += 1;
                value = if self.takes("(") {
                    self.call(at, &name, Some(value))?
                } else {
                    let key = make(at, Node::Value(Value::text(&name)))?;
                    make(at, Node::Call(Op::Index, vec![value, key]))?
                };
            } else {
                return Ok(value);
            }
        }
    }

    fn call(&mut self, at: usize, name: &str, on: Option<Expr>) -> Read {
        if let (Some((_, each)), Some(_)) = (MACROS.iter().find(|(known, _)| *known == name), &on) {
            return self.each(at, *each, on);
        }
        if name == "has" && on.is_none() {
            return self.has(at);
        }
        let Some((_, op, count, form)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            return Err(error(at, no_function(name)));
        };
        let is = if on.is_some() {
            Form::Method
        } else {
            Form::Function
        };
        if *form != Form::Either && *form != is {
            let right = if is == Form::Method { "(" } else { "'...'." };
            let right = match is {
                Form::Method => format!("{name}{right}...)"),
                _ => format!("{right}{name}(...)"),
            };
            return Err(error(at, format!("write {right}")));
        }
        let mut values: Vec<Expr> = on.into_iter().collect();
        let given = values.len();
        self.list(")", &mut values)?;
        if values.len() != *count {
            let (wants, has) = (count - given, values.len() - given);
            return Err(error(at, format!("{name} takes {wants} values, not {has}")));
        }
        make(at, Node::Call(*op, values))
    }

    /// `has(m.k)`: whether there is such a key.
    fn has(&mut self, at: usize) -> Read {
        let field = self.expression()?;
        self.expect(")")?;
        let Node::Call(Op::Index, parts) = field.node else {
            return Err(error(at, "has takes a key of a map: has(m.key)"));
        };
        let parts: Vec<Expr> = parts.into_iter().rev().collect();
        make(at, Node::Call(Op::In, parts))
    }

    fn each(&mut self, at: usize, each: Each, on: Option<Expr>) -> Read {
        let mut parts: Vec<Expr> = on.into_iter().collect();
        let Some(Token::Name(element)) = self.peek().cloned() else {
            return Err(self.wrong("a name for the element is missing"));
        };
        self.next += 1;
        self.expect(",")?;
        self.elements.push(element);
        self.list(")", &mut parts)?;
        self.elements.pop();
        // Only `map` can have a condition before what it makes.
        let most = if each == Each::Map { 3 } else { 2 };
        if parts.len() < 2 || parts.len() > most {
            return Err(error(at, "the macro takes a name and one expression"));
        }
        make(at, Node::Each(each, parts))
    }

    /// Expressions with commas between them, up to `close`; in a map with colons, too.
    fn list(&mut self, close: &str, parts: &mut Vec<Expr>) -> Read<()> {
        while !self.takes(close) {
            parts.push(self.expression()?);
            if close == "}" {
                self.expect(":")?;
                parts.push(self.expression()?);
            }
            if !self.takes(",") {
                return self.expect(close);
            }
        }
        Ok(())
    }

    fn primary(&mut self) -> Read {
        let at = self.at();
        let Some(token) = self.peek().cloned() else {
            return Err(self.wrong("a value is missing"));
        };
        self.next += 1;
        let value = match token {
            Token::Int(number) => return whole(at, Type::Int, number),
            Token::Uint(number) => return whole(at, Type::Uint, number),
            Token::Double(number) => Value::Double(number),
            Token::Text(text) => Value::text(&text),
            Token::Name(name) => return self.named(at, &name),
            Token::Mark("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Mark(mark @ ("[" | "{")) => {
                let mut parts = Vec::new();
                let (close, op) = if mark == "[" {
                    ("]", Op::List)
                } else {
                    ("}", Op::Map)
                };
                self.list(close, &mut parts)?;
                return make(at, Node::Call(op, parts));
            }
            Token::Mark(_) => return Err(error(at, "a value is missing")),
        };
        make(at, Node::Value(value))
    }

    fn named(&mut self, at: usize, name: &str) -> Read {
        if self.takes("(") {
            return self.call(at, name, None);
        }
        // The innermost macro's name hides others.
        if let Some(place) = self.elements.iter().rposition(|known| known == name) {
            return make(at, Node::Element(place));
        }
        let value = match (name, Type::named(name)) {
            ("true", _) => Value::Bool(true),
            ("false", _) => Value::Bool(false),
            ("null", _) => Value::Null,
            (_, Some(of)) => Value::Type(of),
            _ => {
                return Err(error(
                    at,
                    format!("there is nothing called \"{name}\"; a text stands in quotes"),
                ));
            }
        };
        make(at, Node::Value(value))
    }
}

fn no_function(name: &str) -> String {
    let time = matches!(name, "duration" | "timestamp" | "bytes") || name.starts_with("get");
    if time {
        return format!("{name} is not possible here: there are no times and no bytes in a step's condition");
    }
    format!("there is no function \"{name}\"")
}
