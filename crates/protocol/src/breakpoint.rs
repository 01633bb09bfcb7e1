//! Breakpoints of a step: where it pauses, how it is told to go on, and what it leaves in the
//! directories of its Pod (runtime.md sections 3.8 and 6.2). No I/O.

/// Where the programs lie that tell a paused step what to do.
pub const SCRIPTS_DIR: &str = "/tekton/debug/scripts";
/// A directory in here has the step's number as its name.
pub const INFO_DIR: &str = "/tekton/debug/info";
/// Behind a step's marker: there while the step is paused; holds the breakpoint's flag.
pub const PAUSED_SUFFIX: &str = ".paused";
/// Behind a step's marker: the variables that a step with breakpoints has set for its command itself, each
/// as `NAME=value` with a NUL behind it. There where it has set any.
pub const VARIABLES_SUFFIX: &str = ".variables";

/// Where a step pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakpoint {
    /// Before its command.
    BeforeStep,
    /// After its failure.
    OnFailure,
}

impl Breakpoint {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OnFailure, Self::BeforeStep];

    /// The flag, without dashes.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::BeforeStep => "debug_before_step",
            Self::OnFailure => "breakpoint_on_failure",
        }
    }

    /// The breakpoint whose flag `name` is.
    pub fn from_flag(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.flag() == name)
    }

    /// The file, behind the step's marker, that gives the answer.
    pub const fn answer_suffix(self, answer: Answer) -> &'static str {
        match (self, answer) {
            (Self::BeforeStep, Answer::Continue) => ".beforestepexit",
            (Self::BeforeStep, Answer::Fail) => ".beforestepexit.err",
            // The file's text decides.
            (Self::OnFailure, _) => ".breakpointexit",
        }
    }

    /// The program in [`SCRIPTS_DIR`] that gives the answer.
    pub const fn script(self, answer: Answer) -> &'static str {
        match (self, answer) {
            (Self::BeforeStep, Answer::Continue) => "debug-beforestep-continue",
            (Self::BeforeStep, Answer::Fail) => "debug-beforestep-fail-continue",
            (Self::OnFailure, Answer::Continue) => "debug-continue",
            (Self::OnFailure, Answer::Fail) => "debug-fail-continue",
        }
    }

    /// What the program called `name` is for.
    pub fn from_script(name: &str) -> Option<(Self, Answer)> {
        let all = Self::ALL.into_iter();
        let mut all = all.flat_map(|point| Answer::ALL.map(|answer| (point, answer)));
        all.find(|(point, answer)| point.script(*answer) == name)
    }
}

/// What a paused step is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To go on, as if nothing had happened.
    Continue,
    /// To fail.
    Fail,
}

impl Answer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Continue, Self::Fail];

    /// The text of the answer's file: the step's exit code.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Continue => "0",
            Self::Fail => "1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_flags_are_told_apart() {
        for point in Breakpoint::ALL {
            assert_eq!(Breakpoint::from_flag(point.flag()), Some(point));
            for answer in Answer::ALL {
                assert_eq!(
                    Breakpoint::from_script(point.script(answer)),
                    Some((point, answer))
                );
            }
        }
        assert_eq!(Breakpoint::from_script("entrypoint"), None);
    }
}
