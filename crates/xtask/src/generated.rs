//! A file that is generated and committed.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

/// One generated file: where it belongs and what it must hold.
pub(crate) struct File {
    /// Relative to the workspace's root.
    pub(crate) path: String,
    pub(crate) content: String,
}

/// How a file on disk compares with what would be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Unchanged,
    Stale,
    Missing,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Missing => "missing",
        }
    }
}

impl File {
    pub(crate) fn state(&self, root: &Path) -> Result<State> {
        let path = root.join(&self.path);
        match fs::read_to_string(&path) {
            Ok(text) if text == self.content => Ok(State::Unchanged),
            Ok(_) => Ok(State::Stale),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(State::Missing),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes the file if it differs, and tells how it was before.
    pub(crate) fn write(&self, root: &Path) -> Result<State> {
        let state = self.state(root)?;
        if state != State::Unchanged {
            let path = root.join(&self.path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            }
            fs::write(&path, &self.content).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::{File, State};

    #[test]
    fn a_file_is_missing_then_written_then_stale() {
        let root = tempfile::tempdir().unwrap();
        let file = File {
            path: "a/b.yaml".to_owned(),
            content: "x: 1\n".to_owned(),
        };
        assert_eq!(file.state(root.path()).unwrap(), State::Missing);
        assert_eq!(file.write(root.path()).unwrap(), State::Missing);
        assert_eq!(file.state(root.path()).unwrap(), State::Unchanged);
        std::fs::write(root.path().join("a/b.yaml"), "x: 2\n").unwrap();
        assert_eq!(file.state(root.path()).unwrap(), State::Stale);
    }
}
