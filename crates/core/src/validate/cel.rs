//! Whether a CEL expression can be compiled: its grammar, and that it names nothing that there is not
//! (api.md T29). Variables are replaced before it is evaluated, so it has none of its own and
//! `$(...)` stands in quotes. No I/O.

/// Why an expression cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {problem}")]
pub(super) struct CelError {
    /// The place, counted from 1.
    at: usize,
    problem: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A number, a string, bytes.
    Literal,
    Name(String),
    /// An operator or a bracket.
    Mark(&'static str),
}

const MARKS: [&str; 25] = [
    "||", "&&", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}", "=",
];
const FUNCTIONS: [&str; 23] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "type",
    "dyn",
    "duration",
    "timestamp",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
];
/// Macros whose first argument names an element.
const MACROS: [&str; 5] = ["all", "exists", "exists_one", "map", "filter"];
const TYPES: [&str; 8] = ["int", "uint", "double", "string", "bytes", "bool", "list", "map"];
/// Expressions that nest deeper are refused.
const DEEPEST: usize = 64;

/// Checks an expression.
pub(super) fn check(text: &str) -> Result<(), CelError> {
    let tokens = tokens(text)?;
    let mut reader = Reader {
        end: text.chars().count() + 1,
        tokens,
        next: 0,
        depth: 0,
        bound: Vec::new(),
    };
    reader.expression()?;
    match reader.peek() {
        None => Ok(()),
        Some(_) => Err(reader.error("an operator is missing before this")),
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, CelError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    let error = |at: usize, problem: &str| CelError {
        at: at + 1,
        problem: problem.to_owned(),
    };
    while let Some(&c) = chars.get(at) {
        let begin = at;
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        let prefix = chars[at..].iter().take_while(|c| "rRbB".contains(**c)).count();
        let quoted = prefix <= 2 && matches!(chars.get(at + prefix), Some('"' | '\''));
        if quoted {
            let raw = chars[at..at + prefix].iter().any(|c| matches!(c, 'r' | 'R'));
            at = string(&chars, at + prefix, raw)
                .ok_or_else(|| error(begin, "a text has no closing quote"))?;
            tokens.push((begin, Token::Literal));
        } else if c.is_ascii_digit() {
            at = number(&chars, at);
            tokens.push((begin, Token::Literal));
        } else if c.is_ascii_alphabetic() || c == '_' {
            while chars
                .get(at)
                .is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_')
            {
                at += 1;
            }
            tokens.push((begin, Token::Name(chars[begin..at].iter().collect())));
        } else if c == '$' {
            return Err(error(begin, "a variable stands in quotes: '$(...)'"));
        } else {
            let mark = MARKS.iter().find(|mark| {
                mark.chars()
                    .enumerate()
                    .all(|(offset, wanted)| chars.get(at + offset) == Some(&wanted))
            });
            let Some(mark) = mark else {
                return Err(error(begin, &format!("\"{c}\" means nothing here")));
            };
            if *mark == "=" {
                return Err(error(begin, "\"=\" means nothing here; did you mean \"==\"?"));
            }
            at += mark.len();
            tokens.push((begin, Token::Mark(mark)));
        }
    }
    Ok(tokens)
}

/// Behind the string that begins at `at`; nothing where it has no end.
fn string(chars: &[char], mut at: usize, raw: bool) -> Option<usize> {
    let quote = chars[at];
    let triple = chars.get(at + 1) == Some(&quote) && chars.get(at + 2) == Some(&quote);
    let width = if triple { 3 } else { 1 };
    at += width;
    loop {
        match chars.get(at)? {
            '\\' if !raw => at += 2,
            c if *c == quote && (0..width).all(|offset| chars.get(at + offset) == Some(&quote)) => {
                return Some(at + width);
            }
            '\n' if !triple => return None,
            _ => at += 1,
        }
    }
}

fn number(chars: &[char], mut at: usize) -> usize {
    let hex = chars.get(at + 1).is_some_and(|c| matches!(c, 'x' | 'X'));
    while let Some(c) = chars.get(at) {
        let exponent_sign = matches!(c, '+' | '-') && !hex && matches!(chars[at - 1], 'e' | 'E');
        if c.is_ascii_alphanumeric()
            || (*c == '.' && chars.get(at + 1).is_some_and(char::is_ascii_digit))
            || exponent_sign
        {
            at += 1;
        } else {
            break;
        }
    }
    at
}

struct Reader {
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// Where the text ends.
    end: usize,
    depth: usize,
    /// Names that macros around this place give to elements.
    bound: Vec<String>,
}

type Read = Result<(), CelError>;

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn error(&self, problem: &str) -> CelError {
        CelError {
            at: self.tokens.get(self.next).map_or(self.end, |(at, _)| at + 1),
            problem: problem.to_owned(),
        }
    }

    fn takes(&mut self, mark: &str) -> bool {
        let is = self
            .peek()
            .is_some_and(|token| matches!(token, Token::Mark(is) if *is == mark));
        if is {
            self.next += 1;
        }
        is
    }

    fn expect(&mut self, mark: &str) -> Read {
        if self.takes(mark) {
            Ok(())
        } else {
            Err(self.error(&format!("\"{mark}\" is missing")))
        }
    }

    fn expression(&mut self) -> Read {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error("the expression is nested too deep"));
        }
        self.binary()?;
        if self.takes("?") {
            self.binary()?;
            self.expect(":")?;
            self.expression()?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Operands with operators between them: precedence changes the value, not whether it compiles.
    fn binary(&mut self) -> Read {
        loop {
            while self.takes("!") || self.takes("-") {}
            self.member()?;
            let operator = match self.peek() {
                Some(Token::Mark(mark)) => matches!(
                    *mark,
                    "||" | "&&" | "==" | "!=" | "<=" | ">=" | "<" | ">" | "+" | "-" | "*" | "/" | "%"
                ),
                Some(Token::Name(name)) => name == "in",
                _ => false,
            };
            if !operator {
                return Ok(());
            }
            self.next += 1;
        }
    }

    fn member(&mut self) -> Read {
        self.primary()?;
        loop {
            if self.takes("[") {
                self.expression()?;
                self.expect("]")?;
            } else if self.takes(".") {
                let Some(Token::Name(name)) = self.peek().cloned() else {
                    return Err(self.error("a name is missing behind \".\""));
                };
                self.next += 1;
                if self.takes("(") {
                    self.call(&name)?;
                }
            } else {
                return Ok(());
            }
        }
    }

    fn call(&mut self, name: &str) -> Read {
        if !FUNCTIONS.contains(&name) && !MACROS.contains(&name) && name != "has" {
            self.next -= 2;
            return Err(self.error(&format!("there is no function \"{name}\"")));
        }
        let binds = MACROS.contains(&name);
        if binds && let Some(Token::Name(element)) = self.peek().cloned() {
            self.bound.push(element);
        }
        self.list(")")?;
        if binds {
            self.bound.pop();
        }
        Ok(())
    }

    /// Expressions with commas between them, up to `close`.
    fn list(&mut self, close: &str) -> Read {
        if self.takes(close) {
            return Ok(());
        }
        loop {
            self.expression()?;
            if self.takes(":") {
                self.expression()?;
            }
            if !self.takes(",") {
                return self.expect(close);
            }
            if self.takes(close) {
                return Ok(());
            }
        }
    }

    fn primary(&mut self) -> Read {
        match self.peek().cloned() {
            Some(Token::Literal) => {
                self.next += 1;
                Ok(())
            }
            Some(Token::Name(name)) => {
                self.next += 1;
                if self.takes("(") {
                    return self.call(&name);
                }
                let known = matches!(name.as_str(), "true" | "false" | "null")
                    || TYPES.contains(&name.as_str())
                    || self.bound.contains(&name);
                if known {
                    return Ok(());
                }
                self.next -= 1;
                Err(self.error(&format!(
                    "there is nothing called \"{name}\"; a text stands in quotes"
                )))
            }
            Some(Token::Mark("(")) => {
                self.next += 1;
                self.expression()?;
                self.expect(")")
            }
            Some(Token::Mark("[")) => {
                self.next += 1;
                self.list("]")
            }
            Some(Token::Mark("{")) => {
                self.next += 1;
                self.list("}")
            }
            _ => Err(self.error("a value is missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_that_compile() {
        for text in [
            "true",
            "'$(params.foo)' == 'x'",
            "\"a\" in ['a', \"b\",]",
            "size('abc') > 2 && !('a'.startsWith('b') || 'x'.matches(r'^\\d+$'))",
            "int('$(params.n)') % 2 == 0 ? true : -1.5e-3 < 0x1Fu",
            "[1, 2].exists(n, n > 1)",
            "{'a': 1}['a'] == 1",
            "type('a') == string",
            "'it\\'s' != '''two\nlines'''",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn expressions_that_do_not() {
        for (text, at, problem) in [
            ("'a' ==", 7, "a value is missing"),
            ("$(params.foo) == 'x'", 1, "a variable stands in quotes"),
            ("foo == 'x'", 1, "there is nothing called \"foo\""),
            ("'a' = 'a'", 5, "did you mean \"==\""),
            ("('a' == 'b'", 12, "\")\" is missing"),
            ("'a", 1, "no closing quote"),
            ("'a' 'b'", 5, "an operator is missing"),
            ("grep('a')", 1, "there is no function \"grep\""),
            ("", 1, "a value is missing"),
            ("[1].exists(n, m > 1)", 15, "there is nothing called \"m\""),
        ] {
            let error = check(text).unwrap_err();
            assert!(
                error.at == at && error.problem.contains(problem),
                "{text}: {error}"
            );
        }
        assert!(
            check(&"(".repeat(10_000))
                .unwrap_err()
                .problem
                .contains("too deep")
        );
    }
}
