//! Where the fixed places of [`tektite_protocol::paths`] are. No I/O.

use std::path::PathBuf;

use tektite_protocol::{breakpoint, paths};

/// The fixed places, below a root that is empty in a container and a temp directory in tests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        if self.root.as_os_str().is_empty() {
            return PathBuf::from(path);
        }
        self.root.join(path.trim_start_matches('/'))
    }

    /// Where the command leaves the Task's results.
    pub(crate) fn results_dir(&self) -> PathBuf {
        self.at(paths::RESULTS_DIR)
    }

    /// Where the command leaves the Task's artifacts.
    pub(crate) fn artifacts_dir(&self) -> PathBuf {
        self.at(paths::ARTIFACTS_DIR)
    }

    /// Where scripts lie.
    pub(crate) fn scripts_dir(&self) -> PathBuf {
        self.at(paths::SCRIPTS_DIR)
    }

    /// Not empty once the TaskRun is cancelled.
    pub(crate) fn cancel_file(&self) -> PathBuf {
        self.at(paths::CANCEL_FILE)
    }

    /// Where a step makes its own links.
    pub(crate) fn links_dir(&self) -> PathBuf {
        self.at(paths::STEP_LINKS_DIR)
    }

    /// Where `init` makes everybody's links.
    pub(crate) fn steps_dir(&self) -> PathBuf {
        self.at(paths::STEPS_DIR)
    }

    /// The step's own credentials.
    pub(crate) fn credentials_dir(&self) -> PathBuf {
        self.at(paths::CREDENTIALS_DIR)
    }

    /// The Secrets that they are made from.
    pub(crate) fn credential_secrets_dir(&self) -> PathBuf {
        self.at(paths::CREDENTIAL_SECRETS_DIR)
    }

    /// Where the programs lie that answer a paused step.
    pub(crate) fn debug_scripts_dir(&self) -> PathBuf {
        self.at(breakpoint::SCRIPTS_DIR)
    }

    /// Where a directory has the step's number as its name.
    pub(crate) fn debug_info_dir(&self) -> PathBuf {
        self.at(breakpoint::INFO_DIR)
    }

    /// Where `init` puts this program.
    pub(crate) fn entrypoint(&self) -> PathBuf {
        self.at(paths::ENTRYPOINT)
    }

    /// Where links to step `index` lead.
    pub(crate) fn metadata_dir(&self, index: usize) -> PathBuf {
        self.at(&paths::metadata_dir(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_a_prefix_and_nothing_by_default() {
        let (real, test) = (Layout::default(), Layout::below("/t"));
        for (real, test) in [
            (real.results_dir(), test.results_dir()),
            (real.artifacts_dir(), test.artifacts_dir()),
            (real.scripts_dir(), test.scripts_dir()),
            (real.cancel_file(), test.cancel_file()),
            (real.links_dir(), test.links_dir()),
            (real.steps_dir(), test.steps_dir()),
            (real.entrypoint(), test.entrypoint()),
            (real.credentials_dir(), test.credentials_dir()),
            (real.credential_secrets_dir(), test.credential_secrets_dir()),
            (real.metadata_dir(3), test.metadata_dir(3)),
        ] {
            assert!(real.starts_with("/tekton"), "{real:?}");
            assert_eq!(PathBuf::from(format!("/t{}", real.display())), test);
        }
    }
}
