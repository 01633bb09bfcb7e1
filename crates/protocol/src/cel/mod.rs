//! Conditions in CEL: read once, checked at admission, evaluated inside the step, where all values
//! are known (api.md 4.6, T29). No I/O, and small, since the entrypoint links it.
//!
//! Not the whole language: what it has are texts, booleans, `int`, `uint`, `double`, lists, maps,
//! `null` and types; all operators and macros; `size`, `contains`, `startsWith`, `endsWith`,
//! `matches` and conversions. Bytes, times and durations are refused: without a clock and variables
//! there is little to say about them.
//!
//! Depth, work and memory have limits: whoever writes an expression may mean ill, and results of
//! other steps come into it.

mod eval;
mod parse;
mod pattern;
mod token;
mod types;
mod value;

/// Why an expression cannot be compiled or evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {problem}")]
pub struct CelError {
    /// The place, counted from 1.
    pub at: usize,
    /// What is wrong there.
    pub problem: String,
}

fn error(at: usize, problem: impl Into<String>) -> CelError {
    CelError {
        at: at + 1,
        problem: problem.into(),
    }
}

/// What takes the place of variables in a text; the error is a sentence.
pub type Replace<'a> = &'a mut dyn FnMut(&str) -> Result<String, String>;

/// Checks that an expression compiles, and that it can be a condition at all.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn check(text: &str) -> Result<(), CelError> {
    types::check(&parse::parse(text, &mut |text| Ok(text.to_owned()))?)
}

/// Whether the condition holds. Variables stand in the expression's texts; `replace` is given each
/// of these, so that a value with a quote in it stays a value.
///
/// # Errors
/// What keeps it from being compiled or evaluated, or that it yields something else than true or
/// false.
pub fn holds(text: &str, replace: Replace<'_>) -> Result<bool, CelError> {
    eval::condition(&parse::parse(text, replace)?)
}

#[cfg(test)]
mod tests;
