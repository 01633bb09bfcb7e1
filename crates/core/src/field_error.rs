//! Errors about fields: a message, the paths that it is about, and details (api.md section 3.1).
//!
//! Tools match on upstream's text, so that comes first, exactly as upstream prints it: its rules'
//! errors merged and sorted. Behind it come the errors of rules that only stand here, and last the
//! explanations.

use std::{collections::HashSet, fmt};

/// Which rules an error belongs to; also the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// A rule that every engine has.
    Shared,
    /// A rule that only stands here.
    Own,
}

/// One rule that an object breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    origin: Origin,
    message: String,
    paths: Vec<String>,
    details: String,
    notes: Vec<String>,
}

impl FieldError {
    fn with(origin: Origin, message: impl Into<String>, paths: Vec<String>) -> Self {
        Self {
            origin,
            message: message.into(),
            paths,
            details: String::new(),
            notes: Vec::new(),
        }
    }

    /// An error with a message of its own at one path.
    pub fn new(message: impl Into<String>, path: impl Into<String>) -> Self {
        Self::with(Origin::Shared, message, vec![path.into()])
    }

    /// An error of a rule that only stands here.
    pub fn own(message: impl Into<String>, path: impl Into<String>) -> Self {
        Self::with(Origin::Own, message, vec![path.into()])
    }

    /// The same error, of a rule that only stands here.
    #[must_use]
    pub fn into_own(mut self) -> Self {
        self.origin = Origin::Own;
        self
    }

    /// An error that says no field.
    pub fn pathless(message: impl Into<String>) -> Self {
        Self::with(Origin::Shared, message, Vec::new())
    }

    /// An error that several paths share.
    pub fn at(message: impl Into<String>, paths: &[&str]) -> Self {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Self::with(Origin::Shared, message, paths)
    }

    /// A field that must be there.
    pub fn missing(path: impl Into<String>) -> Self {
        Self::new("missing field(s)", path)
    }

    /// A field that must not be there.
    pub fn disallowed(path: impl Into<String>) -> Self {
        Self::new("must not set the field(s)", path)
    }

    /// A value that cannot be.
    pub fn invalid(value: impl fmt::Display, path: impl Into<String>) -> Self {
        Self::new(format!("invalid value: {value}"), path)
    }

    /// A name that cannot be.
    pub fn invalid_key(name: &str, path: impl Into<String>) -> Self {
        Self::new(format!("invalid key name \"{name}\""), path)
    }

    /// Of several fields none is there.
    pub fn neither(paths: &[&str]) -> Self {
        Self::at("expected exactly one, got neither", paths)
    }

    /// Of several fields more than one is there, or one name more than once.
    pub fn both(paths: &[&str]) -> Self {
        Self::at("expected exactly one, got both", paths)
    }

    /// With more of the shared text, on the line after it.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// With an explanation, which comes after all errors.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl FieldError {
    /// The fields that it is about, as tools know them.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    fn size(&self) -> usize {
        let texts = self.paths.iter().chain(&self.notes).map(String::len);
        self.message.len() + self.details.len() + texts.sum::<usize>()
    }

    /// The explanations.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.paths.join(", "))?;
        if !self.details.is_empty() {
            write!(f, "\n{}", self.details)?;
        }
        Ok(())
    }
}

/// More errors than this are only counted: whoever reads them begins with the first, and what is said
/// to one object has to stay small however large the object is.
pub const MOST_ERRORS: usize = 100;
/// As many are taken at all, those with the same message and other paths among them.
const MOST_TAKEN: usize = 500;
/// And as many bytes: one script may be quoted by each of its mistakes.
const MOST_BYTES: usize = 16 * LONGEST_TEXT;
/// The longest text that is said about one object, in bytes: clients and logs take it whole.
pub const LONGEST_TEXT: usize = 64 * 1024;

/// All rules that an object breaks, in the order and form that tools match on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    list: Vec<FieldError>,
    /// How many are in the list, before they became one with others.
    taken: usize,
    /// How many bytes these had.
    bytes: usize,
    /// How many came when there was no room left.
    more: usize,
}

impl FieldErrors {
    /// Takes one more; errors with the same message and details become one with all their paths.
    pub fn push(&mut self, error: FieldError) {
        self.push_with(|| error);
    }

    /// Takes one more, which is only made where there is room for it: a message may quote much and an
    /// explanation may compare with much.
    pub fn push_with(&mut self, make: impl FnOnce() -> FieldError) {
        if self.is_full() {
            self.more += 1;
            return;
        }
        self.taken += 1;
        let mut error = make();
        self.bytes += error.size();
        let known = self.list.iter_mut().find(|known| {
            known.origin == error.origin && known.message == error.message && known.details == error.details
        });
        match known {
            Some(known) => {
                known.paths.extend(error.paths);
                known.paths.sort();
                known.paths.dedup();
                known.notes.extend(error.notes);
            }
            None => {
                error.paths.sort();
                error.paths.dedup();
                self.list.push(error);
            }
        }
    }

    /// Whether what comes now is only counted.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MOST_ERRORS || self.taken >= MOST_TAKEN || self.bytes >= MOST_BYTES
    }

    /// Takes all of `others`.
    pub fn extend(&mut self, others: Self) {
        for error in others.list {
            self.push(error);
        }
        self.more += others.more;
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.more == 0
    }

    /// How many more there are than are told.
    pub fn more(&self) -> usize {
        self.more
    }

    /// All of them, in the order in which they are told.
    pub fn sorted(&self) -> Vec<&FieldError> {
        let mut sorted: Vec<&FieldError> = self.list.iter().collect();
        sorted.sort_by(|a, b| (a.origin, &a.message, &a.details).cmp(&(b.origin, &b.message, &b.details)));
        sorted
    }

    /// Leaves out what is about one of `paths` or about nothing but them.
    pub fn without_paths(&mut self, paths: &[String]) {
        self.list.retain(|error| {
            error.paths.is_empty()
                || !error.paths.iter().all(|path| {
                    paths.iter().any(|gone| {
                        path.get(..gone.len())
                            .is_some_and(|head| head.eq_ignore_ascii_case(gone))
                    })
                })
        });
    }

    /// `Ok` where nothing is wrong.
    ///
    /// # Errors
    /// Itself, where something is.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        let mut errors = Self::default();
        errors.push(error);
        errors
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted = self.sorted();
        let mut lines: Vec<String> = sorted.iter().map(ToString::to_string).collect();
        if self.more > 0 {
            lines.push(format!("... and {} more", self.more));
        }
        let mut told = HashSet::new();
        for note in sorted.iter().flat_map(|error| &error.notes) {
            if told.insert(note) {
                lines.push(format!("- {note}"));
            }
        }
        f.write_str(&clipped(lines.join("\n"), LONGEST_TEXT))
    }
}

/// `text` where it has at most `longest` bytes; else its first lines, and that there was more.
pub fn clipped(mut text: String, longest: usize) -> String {
    const MORE: &str = "\n... and more";
    if text.len() <= longest {
        return text;
    }
    let mut end = longest.saturating_sub(MORE.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // A first line that is too long by itself is better than nothing.
    text.truncate(text[..end].rfind('\n').unwrap_or(end));
    text + MORE
}

impl std::error::Error for FieldErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_merge_and_sort() {
        let mut errors = FieldErrors::default();
        errors.push(FieldError::own("all our own", "spec.z"));
        errors.push(FieldError::missing("spec.steps[1].Image"));
        errors.push(FieldError::invalid("-1m0s should be >= 0", "spec.timeout"));
        errors.push(FieldError::missing("spec.steps[0].Image").with_note("an image is wanted"));
        errors.push(FieldError::pathless("a gate is shut"));
        errors.push(FieldError::neither(&["spec.taskRef", "spec.taskSpec"]).with_details("set one"));
        assert_eq!(
            errors.to_string(),
            "a gate is shut: \n\
             expected exactly one, got neither: spec.taskRef, spec.taskSpec\nset one\n\
             invalid value: -1m0s should be >= 0: spec.timeout\n\
             missing field(s): spec.steps[0].Image, spec.steps[1].Image\n\
             all our own: spec.z\n\
             - an image is wanted"
        );
    }

    #[test]
    fn what_is_known_to_be_broken_is_told_once() {
        let mut errors = FieldErrors::from(FieldError::missing("spec.steps[0].Image"));
        errors.push(FieldError::missing("spec.timeout"));
        errors.without_paths(&["spec.steps[0].image".to_owned(), "spec.timeout".to_owned()]);
        assert!(errors.is_empty());
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let mut errors = FieldErrors::default();
        for index in 0..300 {
            errors.push(FieldError::new(format!("no {index:03}"), "spec"));
        }
        errors.push_with(|| unreachable!("nothing is made where there is no room"));
        let text = errors.to_string();
        assert_eq!(text.lines().count(), MOST_ERRORS + 1);
        assert!(text.ends_with("no 099: spec\n... and 201 more"), "{text}");

        let mut same = FieldErrors::default();
        for index in 0..1_000 {
            same.push(FieldError::missing(format!("spec.steps[{index}].Image")));
        }
        assert!(same.to_string().ends_with("\n... and 500 more"), "{same}");
        same.extend(errors);
        assert_eq!(same.more(), 500 + MOST_ERRORS + 201);
    }

    #[test]
    fn what_is_too_long_ends_with_a_line() {
        let mut errors = FieldErrors::default();
        for index in 0..MOST_ERRORS {
            errors.push(FieldError::new(
                format!("{index:03} {}", "é".repeat(1_000)),
                "spec",
            ));
        }
        let text = errors.to_string();
        assert!(text.len() <= LONGEST_TEXT && text.len() > LONGEST_TEXT - 3_000);
        assert!(text.ends_with(": spec\n... and more"));
        assert_eq!(clipped("éé".repeat(8), 20), "ééé\n... and more");
        assert_eq!(clipped("a\nb".to_owned(), 3), "a\nb");
    }
}
