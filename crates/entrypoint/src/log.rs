//! What the entrypoint says in its step's log: one line per event on stderr, nowhere else.
//!
//! A line is one `write`, so that it never mixes with the command's own output, and a stderr that
//! is closed or broken is no reason to fail a step.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
};

use tektite_protocol::flags::LogLevel;

use crate::clock;

/// In front of each line, so that it is never taken for the step's own output.
const PREFIX: &str = "[tektite] ";

/// Writes lines up to a level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    level: LogLevel,
}

impl Log {
    pub(crate) fn new(level: LogLevel) -> Self {
        Self { level }
    }

    /// What went wrong, in one sentence.
    pub(crate) fn error(self, text: fmt::Arguments<'_>) {
        self.line(LogLevel::Error, text);
    }

    /// What the step does.
    pub(crate) fn info(self, text: fmt::Arguments<'_>) {
        self.line(LogLevel::Info, text);
    }

    /// Each file and signal.
    pub(crate) fn debug(self, text: fmt::Arguments<'_>) {
        self.line(LogLevel::Debug, text);
    }

    /// Whether debug lines are written at all.
    pub(crate) fn is_debug(self) -> bool {
        self.level >= LogLevel::Debug
    }

    fn line(self, level: LogLevel, text: fmt::Arguments<'_>) {
        if level > self.level {
            return;
        }
        let line = render(&clock::time_of_day_now(), text);
        // Nobody is left to tell when even this fails.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// Control characters are escaped: a line stays one line, whatever a file name holds.
fn render(time: &str, text: fmt::Arguments<'_>) -> String {
    let mut line = format!("{PREFIX}{time} ");
    for character in text.to_string().chars() {
        if character.is_control() {
            // Writing into a String cannot fail.
            let _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        assert_eq!(
            render("12:03:04.567", format_args!("runs \"ä\n\x1b[1m\"")),
            "[tektite] 12:03:04.567 runs \"ä\\n\\u{1b}[1m\"\n"
        );
    }
}
