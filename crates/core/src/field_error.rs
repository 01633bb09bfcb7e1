//! Errors about fields: a message, the paths that it is about, and details (api.md section 3.1).
//!
//! Tools match on upstream's text, so that comes first, exactly as upstream prints it: its rules'
//! errors merged and sorted. Behind it come the errors of rules that only stand here, and last the
//! explanations.

use std::fmt;

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

/// All rules that an object breaks, in the order and form that tools match on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Takes one more; errors with the same message and details become one with all their paths.
    pub fn push(&mut self, error: FieldError) {
        let known = self.0.iter_mut().find(|known| {
            known.message == error.message && known.details == error.details && known.origin == error.origin
        });
        match known {
            Some(known) => {
                known.paths.extend(error.paths);
                known.paths.sort();
                known.paths.dedup();
                known.notes.extend(error.notes);
            }
            None => {
                let mut error = error;
                error.paths.sort();
                error.paths.dedup();
                self.0.push(error);
            }
        }
    }

    /// Takes all of `others`.
    pub fn extend(&mut self, others: Self) {
        for error in others.0 {
            self.push(error);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order in which they are told.
    pub fn sorted(&self) -> Vec<&FieldError> {
        let mut sorted: Vec<&FieldError> = self.0.iter().collect();
        sorted.sort_by(|a, b| (a.origin, &a.message, &a.details).cmp(&(b.origin, &b.message, &b.details)));
        sorted
    }

    /// Leaves out what is about one of `paths` or about nothing but them.
    pub fn without_paths(&mut self, paths: &[String]) {
        self.0.retain(|error| {
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
        for (index, error) in sorted.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        let mut told: Vec<&String> = Vec::new();
        for note in sorted.iter().flat_map(|error| &error.notes) {
            if !told.contains(&note) {
                told.push(note);
                write!(f, "\n- {note}")?;
            }
        }
        Ok(())
    }
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
}
