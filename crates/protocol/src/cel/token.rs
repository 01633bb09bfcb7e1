//! From characters to words.

use super::{CelError, Replace, error, value::parse_double};

/// A word of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A whole number; not yet within its range, for the sign is no part of it.
    Int(i128),
    /// One with a `u` behind it.
    Uint(i128),
    Double(f64),
    /// Its quotes gone, its escapes and variables replaced.
    Text(String),
    Name(String),
    /// An operator or a bracket.
    Mark(&'static str),
}

const MARKS: [&str; 25] = [
    "||", "&&", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}", "=",
];

/// All words with their places.
pub(super) fn tokens(text: &str, replace: Replace<'_>) -> Result<Vec<(usize, Token)>, CelError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let begin = at;
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        let prefix = chars[at..].iter().take_while(|c| "rRbB".contains(**c)).count();
        let quoted = prefix <= 2 && matches!(chars.get(at + prefix), Some('"' | '\''));
        let token = if quoted {
            let prefix = &chars[at..at + prefix];
            if prefix.iter().any(|c| matches!(c, 'b' | 'B')) {
                return Err(error(begin, "bytes are not possible here; write a text"));
            }
            at += prefix.len();
            let text = string(&chars, &mut at, prefix.is_empty()).map_err(|problem| error(begin, problem))?;
            Token::Text(replace(&text).map_err(|problem| error(begin, problem))?)
        } else if c.is_ascii_digit() || (c == '.' && chars.get(at + 1).is_some_and(char::is_ascii_digit)) {
            at = number_end(&chars, at);
            let text: String = chars[begin..at].iter().collect();
            number(&text).ok_or_else(|| error(begin, format!("\"{text}\" is no number")))?
        } else if c.is_ascii_alphabetic() || c == '_' {
            while chars
                .get(at)
                .is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_')
            {
                at += 1;
            }
            Token::Name(chars[begin..at].iter().collect())
        } else if c == '$' {
            return Err(error(begin, "a variable stands in quotes: '$(...)'"));
        } else {
            let mark = MARKS.iter().find(|mark| {
                mark.chars()
                    .enumerate()
                    .all(|(offset, wanted)| chars.get(at + offset) == Some(&wanted))
            });
            let Some(mark) = mark else {
                return Err(error(begin, format!("\"{c}\" means nothing here")));
            };
            if *mark == "=" {
                return Err(error(begin, "\"=\" means nothing here; did you mean \"==\"?"));
            }
            at += mark.len();
            Token::Mark(mark)
        };
        tokens.push((begin, token));
    }
    Ok(tokens)
}

/// The text that begins with the quote at `at`, which comes to stand behind it.
fn string(chars: &[char], at: &mut usize, escapes: bool) -> Result<String, &'static str> {
    const OPEN: &str = "a text has no closing quote";
    let quote = chars[*at];
    let closes = |at: usize, width: usize| (0..width).all(|offset| chars.get(at + offset) == Some(&quote));
    let width = if closes(*at, 3) { 3 } else { 1 };
    *at += width;
    let mut text = String::new();
    loop {
        let c = *chars.get(*at).ok_or(OPEN)?;
        if closes(*at, width) {
            *at += width;
            return Ok(text);
        }
        *at += 1;
        text.push(match c {
            '\\' if escapes => escape(chars, at).ok_or("an escape (\\) means nothing; write r'...'")?,
            '\n' if width == 1 => return Err(OPEN),
            c => c,
        });
    }
}

/// What stands behind a backslash.
fn escape(chars: &[char], at: &mut usize) -> Option<char> {
    let c = *chars.get(*at)?;
    *at += 1;
    let (digits, radix) = match c {
        'a' => return Some('\u{7}'),
        'b' => return Some('\u{8}'),
        'f' => return Some('\u{c}'),
        'n' => return Some('\n'),
        'r' => return Some('\r'),
        't' => return Some('\t'),
        'v' => return Some('\u{b}'),
        '\\' | '\'' | '"' | '`' | '?' => return Some(c),
        'x' | 'X' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        '0'..='3' => {
            *at -= 1;
            (3, 8)
        }
        _ => return None,
    };
    let mut code = 0;
    for _ in 0..digits {
        code = code * radix + chars.get(*at)?.to_digit(radix)?;
        *at += 1;
    }
    char::from_u32(code)
}

fn number_end(chars: &[char], mut at: usize) -> usize {
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

fn number(text: &str) -> Option<Token> {
    let (text, make): (&str, fn(i128) -> Token) = match text.strip_suffix(['u', 'U']) {
        Some(text) => (text, Token::Uint),
        None => (text, Token::Int),
    };
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    if digits.bytes().all(|c| c.is_ascii_hexdigit())
        && let Ok(number) = u64::from_str_radix(digits, radix)
    {
        return Some(make(i128::from(number)));
    }
    parse_double(text).map(Token::Double)
}
