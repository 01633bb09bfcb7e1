//! Regular expressions, as far as a condition needs them: whether a text has a match in it. Time and
//! memory are the product of both lengths at most, whatever they are.
//!
//! Literals, `.`, `[...]`, `\d \w \s \b` and their opposites, `^ $ \A \z`, groups, `|`, `* + ? {m,n}`
//! (lazy ones too), and `(?i)` in front, for letters of ASCII. All else is refused.

use std::{iter::Peekable, str::Chars};

/// The longest program: counted repetitions multiply.
const LONGEST: usize = 2_000;
const DEEPEST: usize = 32;

/// One instruction. Jumps are relative, so that programs can be put together.
#[derive(Clone, Debug)]
enum Step {
    /// A character that is (or is not) in one of these ranges.
    One(bool, Vec<(char, char)>),
    /// Goes on at both places.
    Split(isize, isize),
    Begin,
    End,
    /// Whether the place is a word's edge.
    Edge(bool),
}

/// A pattern that can be looked for.
#[derive(Debug)]
pub(super) struct Pattern {
    program: Vec<Step>,
    ignore_case: bool,
}

const DIGIT: &[(char, char)] = &[('0', '9')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
const SPACE: &[(char, char)] = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];

impl Pattern {
    /// Reads a pattern.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("(?i)");
        let mut reader = Reader {
            chars: rest.unwrap_or(text).chars().peekable(),
            depth: 0,
        };
        let program = reader.branches()?;
        if reader.chars.peek().is_some() {
            return Err("the pattern has a \")\" too many".to_owned());
        }
        Ok(Self {
            program,
            ignore_case: rest.is_some(),
        })
    }

    /// How much there is to do at most.
    pub(super) fn work(&self, text: &str) -> usize {
        (self.program.len() + 1).saturating_mul(text.len() + 1)
    }

    /// Whether some part of `text` matches.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let lower = |c: char| {
            if self.ignore_case {
                c.to_ascii_lowercase()
            } else {
                c
            }
        };
        let upper = |c: char| {
            if self.ignore_case {
                c.to_ascii_uppercase()
            } else {
                c
            }
        };
        let is_word = |c: Option<char>| c.is_some_and(|c| has(WORD, c));
        let end = self.program.len();
        let (mut reached, mut places): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        let (mut before, mut chars) = (None, text.chars());
        loop {
            let next = chars.next();
            // All that can be reached without taking a character; a match may begin anywhere.
            places.push(0);
            let mut seen = vec![false; end];
            while let Some(place) = places.pop() {
                if place >= end {
                    return true;
                }
                if std::mem::replace(&mut seen[place], true) {
                    continue;
                }
                let mut go = |by: isize| places.push(place.saturating_add_signed(by));
                match &self.program[place] {
                    Step::Split(a, b) => {
                        go(*a);
                        go(*b);
                    }
                    Step::Begin if before.is_none() => go(1),
                    Step::End if next.is_none() => go(1),
                    Step::Edge(edge) if (is_word(before) != is_word(next)) == *edge => go(1),
                    Step::One(..) => reached.push(place),
                    Step::Begin | Step::End | Step::Edge(_) => {}
                }
            }
            let Some(c) = next else {
                return false;
            };
            for place in reached.drain(..) {
                if let Step::One(among, ranges) = &self.program[place]
                    && (has(ranges, lower(c)) || has(ranges, upper(c))) == *among
                {
                    places.push(place + 1);
                }
            }
            before = next;
        }
    }
}

fn has(ranges: &[(char, char)], c: char) -> bool {
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    depth: usize,
}

type Program = Result<Vec<Step>, String>;

impl Reader<'_> {
    fn takes(&mut self, wanted: char) -> bool {
        self.chars.next_if_eq(&wanted).is_some()
    }

    fn branches(&mut self) -> Program {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("the pattern is nested too deep".to_owned());
        }
        let mut program = self.branch()?;
        while self.takes('|') {
            let other = self.branch()?;
            program.insert(0, Step::Split(1, far(program.len() + 2)));
            let behind = far(other.len() + 1);
            program.push(Step::Split(behind, behind));
            program.extend(other);
        }
        self.depth -= 1;
        Ok(program)
    }

    fn branch(&mut self) -> Program {
        let mut program = Vec::new();
        while let Some(c) = self.chars.peek()
            && !matches!(c, '|' | ')')
        {
            let atom = self.atom()?;
            program.extend(self.repeated(atom)?);
            if program.len() > LONGEST {
                return Err("the pattern is too large".to_owned());
            }
        }
        Ok(program)
    }

    fn repeated(&mut self, mut atom: Vec<Step>) -> Program {
        while let Some(c) = self.chars.next_if(|c| matches!(c, '*' | '+' | '?' | '{')) {
            let (least, most) = match c {
                '*' => (0, None),
                '+' => (1, None),
                '?' => (0, Some(1)),
                _ => self.counts()?,
            };
            // Whether it takes much or little makes no difference to whether there is a match.
            self.takes('?');
            let copies = most.unwrap_or(least + 1).max(1);
            if most.is_some_and(|most| most < least) || copies * (atom.len() + 1) > LONGEST {
                return Err("the pattern repeats too much, or less than nothing".to_owned());
            }
            atom = repeat(&atom, least, most);
        }
        Ok(atom)
    }

    /// What stands in braces.
    fn counts(&mut self) -> Result<(usize, Option<usize>), String> {
        let mut text = String::new();
        while let Some(c) = self.chars.next_if(|c| *c != '}') {
            text.push(c);
        }
        let read = |text: &str| text.parse::<usize>().ok();
        let counts = match text.split_once(',') {
            None => read(&text).map(|count| (count, Some(count))),
            Some((least, "")) => read(least).map(|least| (least, None)),
            Some((least, most)) => read(least)
                .zip(read(most))
                .map(|(least, most)| (least, Some(most))),
        };
        counts
            .filter(|(least, most)| self.takes('}') && least.max(&most.unwrap_or(0)) <= &LONGEST)
            .ok_or_else(|| format!("\"{{{text}}}\" in the pattern is no repetition; write \\{{ for a brace"))
    }

    fn atom(&mut self) -> Program {
        let one = |among, ranges: &[(char, char)]| Ok(vec![Step::One(among, ranges.to_vec())]);
        match self.chars.next() {
            Some('.') => one(false, &[('\n', '\n')]),
            Some('^') => Ok(vec![Step::Begin]),
            Some('$') => Ok(vec![Step::End]),
            Some('[') => self.class(),
            Some('(') => {
                self.group()?;
                let inner = self.branches()?;
                if self.takes(')') {
                    Ok(inner)
                } else {
                    Err("the pattern lacks a \")\"".to_owned())
                }
            }
            Some('\\') => match self.chars.next() {
                Some('A') => Ok(vec![Step::Begin]),
                Some('z') => Ok(vec![Step::End]),
                Some('b') => Ok(vec![Step::Edge(true)]),
                Some('B') => Ok(vec![Step::Edge(false)]),
                c => {
                    let (among, ranges) = escaped(c)?;
                    one(among, &ranges)
                }
            },
            Some(c @ ('*' | '+' | '?')) => Err(format!("\"{c}\" in the pattern repeats nothing")),
            Some(c) => one(true, &[(c, c)]),
            None => Err("the pattern ends too early".to_owned()),
        }
    }

    /// What may stand behind an opening bracket: only how the group is called, which changes nothing.
    fn group(&mut self) -> Result<(), String> {
        if !self.takes('?') || self.takes(':') {
            return Ok(());
        }
        self.takes('P');
        if self.takes('<') {
            while self
                .chars
                .next_if(|c| c.is_ascii_alphanumeric() || *c == '_')
                .is_some()
            {}
            if self.takes('>') {
                return Ok(());
            }
        }
        Err("the pattern has a \"(?\" that is not possible here; (?:...) and (?i) in front are".to_owned())
    }

    fn class(&mut self) -> Program {
        let open = || "the pattern lacks a \"]\"".to_owned();
        let among = !self.takes('^');
        let mut ranges: Vec<(char, char)> = Vec::new();
        loop {
            let first = match self.chars.next().ok_or_else(open)? {
                ']' if !ranges.is_empty() => return Ok(vec![Step::One(among, ranges)]),
                '[' if self.chars.peek() == Some(&':') => {
                    return Err("the pattern has [:...:], which is not possible here".to_owned());
                }
                '\\' => {
                    let (is, of) = escaped(self.chars.next())?;
                    if !is {
                        return Err("the pattern has the opposite of a class in [...]".to_owned());
                    }
                    match of.as_slice() {
                        [(first, last)] if first == last => *first,
                        _ => {
                            ranges.extend(of);
                            continue;
                        }
                    }
                }
                c => c,
            };
            if !self.takes('-') {
                ranges.push((first, first));
                continue;
            }
            let last = match self.chars.next().ok_or_else(open)? {
                ']' => {
                    ranges.extend([(first, first), ('-', '-')]);
                    return Ok(vec![Step::One(among, ranges)]);
                }
                '\\' => escaped(self.chars.next())?
                    .1
                    .last()
                    .map_or(first, |(_, last)| *last),
                c => c,
            };
            if last < first {
                return Err(format!(
                    "the pattern has the range {first}-{last}, which is empty"
                ));
            }
            ranges.push((first, last));
        }
    }
}

/// What a backslash makes of a character: whether it is one of these ranges, or none of them.
fn escaped(c: Option<char>) -> Result<(bool, Vec<(char, char)>), String> {
    let c = c.ok_or_else(|| "the pattern ends with a backslash".to_owned())?;
    let (among, class) = match c {
        'd' => (true, DIGIT),
        'D' => (false, DIGIT),
        'w' => (true, WORD),
        'W' => (false, WORD),
        's' => (true, SPACE),
        'S' => (false, SPACE),
        _ => {
            let c = match c {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                'f' => '\x0c',
                'v' => '\x0b',
                c if c.is_ascii_alphanumeric() => {
                    return Err(format!("\"\\{c}\" in the pattern is not possible here"));
                }
                c => c,
            };
            return Ok((true, vec![(c, c)]));
        }
    };
    Ok((among, class.to_vec()))
}

fn repeat(atom: &[Step], least: usize, most: Option<usize>) -> Vec<Step> {
    let mut program = Vec::new();
    for _ in 0..least {
        program.extend_from_slice(atom);
    }
    match most {
        Some(most) => {
            for _ in least..most {
                program.push(Step::Split(1, far(atom.len() + 1)));
                program.extend_from_slice(atom);
            }
        }
        None => {
            program.push(Step::Split(1, far(atom.len() + 2)));
            program.extend_from_slice(atom);
            let back = -far(atom.len() + 1);
            program.push(Step::Split(back, back));
        }
    }
    program
}

/// Programs are short.
fn far(by: usize) -> isize {
    isize::try_from(by).unwrap_or(isize::MAX)
}
