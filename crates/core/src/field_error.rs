//! Errors about fields: a message, the paths that it is about, and details (api.md section 3.1).

use std::fmt;

/// One rule that an object breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    message: String,
    paths: Vec<String>,
    details: String,
}

impl FieldError {
    /// An error with a message of its own at one path.
    pub fn new(message: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            paths: vec![path.into()],
            details: String::new(),
        }
    }

    /// An error that several paths share.
    pub fn at(message: impl Into<String>, paths: &[&str]) -> Self {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Self {
            message: message.into(),
            paths,
            details: String::new(),
        }
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

    /// Of several fields none is there.
    pub fn neither(paths: &[&str]) -> Self {
        Self::at("expected exactly one, got neither", paths)
    }

    /// Of several fields more than one is there.
    pub fn both(paths: &[&str]) -> Self {
        Self::at("expected exactly one, got both", paths)
    }

    /// With an explanation on the lines after it.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }
}

/// All rules that an object breaks, in the order and form that tools match on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Takes one more; errors with the same message and details become one with all their paths.
    pub fn push(&mut self, error: FieldError) {
        let known = self
            .0
            .iter_mut()
            .find(|known| known.message == error.message && known.details == error.details);
        let entry = match known {
            Some(known) => {
                known.paths.extend(error.paths);
                known
            }
            None => {
                self.0.push(error);
                let last = self.0.len() - 1;
                &mut self.0[last]
            }
        };
        entry.paths.sort();
        entry.paths.dedup();
        self.0
            .sort_by(|a, b| a.message.cmp(&b.message).then_with(|| a.details.cmp(&b.details)));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", error.message, error.paths.join(", "))?;
            if !error.details.is_empty() {
                write!(f, "\n{}", error.details)?;
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
        errors.push(FieldError::missing("spec.steps[1].Image"));
        errors.push(FieldError::invalid("-1m0s should be >= 0", "spec.timeout"));
        errors.push(FieldError::missing("spec.steps[0].Image"));
        errors.push(FieldError::neither(&["spec.taskRef", "spec.taskSpec"]).with_details("set one"));
        assert_eq!(
            errors.to_string(),
            "expected exactly one, got neither: spec.taskRef, spec.taskSpec\nset one\n\
             invalid value: -1m0s should be >= 0: spec.timeout\n\
             missing field(s): spec.steps[0].Image, spec.steps[1].Image"
        );
    }
}
