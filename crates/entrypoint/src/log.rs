//! What the entrypoint says in its step's log: one line per event on stderr, nowhere else.
//!
//! A line is one `write`, so that it never mixes with the command's own output, and a stderr that
//! is closed or broken is no reason to fail a step. What is a secret never gets into a line.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
};

use tektite_protocol::log::{LogFlags, LogFormat, LogLevel};

use crate::{clock, secrets::Secrets};

/// In front of each line, so that it is never taken for the step's own output.
const PREFIX: &str = "[tektite] ";

/// Writes lines up to a level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    level: LogLevel,
    format: LogFormat,
    secrets: &'static Secrets,
}

/// What stands behind the sentence, for programs to read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Number(u64),
    /// Of the user's making: secrets are looked for in it.
    Text(&'a str),
}

type Fields<'a> = &'a [(&'static str, Value<'a>)];

impl Log {
    /// The log that `flags` ask for, for the life of the process.
    pub(crate) fn new(flags: &LogFlags) -> Self {
        Self {
            level: flags.level,
            format: flags.format,
            secrets: Box::leak(Box::new(Secrets::at(flags.secrets.clone()))),
        }
    }

    /// What went wrong, in one sentence.
    pub(crate) fn error(self, text: fmt::Arguments<'_>) {
        self.event(LogLevel::Error, text, &[]);
    }

    /// What the step does.
    pub(crate) fn info(self, text: fmt::Arguments<'_>) {
        self.event(LogLevel::Info, text, &[]);
    }

    /// Each file and signal.
    pub(crate) fn debug(self, text: fmt::Arguments<'_>) {
        self.event(LogLevel::Debug, text, &[]);
    }

    /// Whether debug lines are written at all.
    pub(crate) fn is_debug(self) -> bool {
        self.level >= LogLevel::Debug
    }

    /// What must not be told, also elsewhere than in the log.
    pub(crate) fn secrets(self) -> &'static Secrets {
        self.secrets
    }

    /// A sentence with the figures in it.
    pub(crate) fn event(self, level: LogLevel, text: fmt::Arguments<'_>, fields: Fields<'_>) {
        if level > self.level {
            return;
        }
        if let Some(warning) = self.secrets.warning() {
            self.write(LogLevel::Error, format_args!("{warning}"), &[]);
        }
        self.write(level, text, fields);
    }

    fn write(self, level: LogLevel, text: fmt::Arguments<'_>, fields: Fields<'_>) {
        let line = self.render(&clock::rfc3339_now(), level, text, fields);
        // Nobody is left to tell when even this fails.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn render(self, time: &str, level: LogLevel, text: fmt::Arguments<'_>, fields: Fields<'_>) -> String {
        let text = self.secrets.hide_long(text.to_string());
        let mut line = Line {
            text: PREFIX.to_owned(),
            format: self.format,
        };
        line.text("time", time);
        line.text("level", level.as_str());
        line.text("msg", &text);
        for (key, value) in fields {
            match value {
                Value::Number(number) => line.number(key, *number),
                Value::Text(text) => line.text(key, &self.secrets.hide((*text).to_owned())),
            }
        }
        line.end()
    }
}

/// A line in the making. Control characters are escaped in both formats: a line stays one line,
/// whatever a file name holds.
struct Line {
    text: String,
    format: LogFormat,
}

impl Line {
    fn key(&mut self, key: &str) {
        let first = self.text.len() == PREFIX.len();
        match (self.format, first) {
            (LogFormat::Logfmt, true) => {}
            (LogFormat::Logfmt, false) => self.text.push(' '),
            (LogFormat::Json, true) => self.text.push('{'),
            (LogFormat::Json, false) => self.text.push(','),
        }
        if self.format == LogFormat::Json {
            self.quoted(key);
            self.text.push(':');
        } else {
            self.text.push_str(key);
            self.text.push('=');
        }
    }

    fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        // Writing into a String cannot fail.
        let _ = write!(self.text, "{number}");
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        let plain = |c: char| !c.is_control() && !matches!(c, ' ' | '"' | '=' | '\\');
        if self.format == LogFormat::Logfmt && !value.is_empty() && value.chars().all(plain) {
            self.text.push_str(value);
        } else {
            self.quoted(value);
        }
    }

    /// As JSON has it, and readers of logfmt understand it.
    fn quoted(&mut self, value: &str) {
        self.text.push('"');
        for character in value.chars() {
            match character {
                '"' | '\\' => self.text.extend(['\\', character]),
                '\n' => self.text.push_str("\\n"),
                '\t' => self.text.push_str("\\t"),
                '\r' => self.text.push_str("\\r"),
                // None of them lies beyond four digits.
                control if control.is_control() => {
                    let _ = write!(self.text, "\\u{:04x}", u32::from(control));
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }

    fn end(mut self) -> String {
        self.text.push_str(match self.format {
            LogFormat::Logfmt => "\n",
            LogFormat::Json => "}\n",
        });
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        for (format, expected) in [
            (
                LogFormat::Logfmt,
                "[tektite] time=12:03 level=info msg=\"runs \\\"ä\\n\\u001b[1m\\\"\" uid=0 cwd=/w name=\"a b\" none=\"\"\n",
            ),
            (
                LogFormat::Json,
                "[tektite] {\"time\":\"12:03\",\"level\":\"info\",\"msg\":\"runs \\\"ä\\n\\u001b[1m\\\"\",\"uid\":0,\
                 \"cwd\":\"/w\",\"name\":\"a b\",\"none\":\"\"}\n",
            ),
        ] {
            let log = Log::new(&LogFlags {
                format,
                ..LogFlags::default()
            });
            let fields = [
                ("uid", Value::Number(0)),
                ("cwd", Value::Text("/w")),
                ("name", Value::Text("a b")),
                ("none", Value::Text("")),
            ];
            let text = format_args!("runs \"ä\n\x1b[1m\"");
            let line = log.render("12:03", LogLevel::Info, text, &fields);
            assert_eq!(line, expected);
            if let Some(json) = line.strip_prefix("[tektite] {") {
                let read: serde_json::Value = serde_json::from_str(&format!("{{{json}")).unwrap();
                assert_eq!(read["msg"], "runs \"ä\n\x1b[1m\"");
            }
        }
    }
}
