//! A sidecar's command line: what the controller writes before the sidecar's own command, so that the
//! entrypoint can start it, keep it from restarting, and stop it (departures.md, sidecars).

use crate::{
    flags::{FlagError, Script},
    log::{LogFlags, Taken},
};

/// The word that makes the entrypoint run a sidecar instead of a step.
pub const SIDECAR: &str = "sidecar";

/// Everything a sidecar is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidecarFlags {
    /// The marker of the last step: once that step is over, the sidecar is stopped. Without it the
    /// kubelet does that.
    pub stop_file: Option<String>,
    /// How the command is started.
    pub start: Start,
    /// What to say, and what not.
    pub log: LogFlags,
    /// A script to put in place first.
    pub script: Option<Script>,
    /// The program.
    pub entrypoint: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// How a sidecar's command is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// As a child, so that its end is not the container's.
    #[default]
    Child,
    /// In the entrypoint's place: it wants the container's own stdin or terminal.
    InPlace,
}

impl SidecarFlags {
    /// The container's `args`. Script pieces have their dollars doubled, as in a step's.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec![SIDECAR.to_owned()];
        if let Some(file) = &self.stop_file {
            args.extend(["-stop_file".to_owned(), file.clone()]);
        }
        self.log.add_to(&mut args);
        if let Some(script) = &self.script {
            script.add_to(&mut args);
        }
        let start = match self.start {
            Start::Child => "-entrypoint",
            Start::InPlace => "-exec",
        };
        args.extend([start.to_owned(), self.entrypoint.clone()]);
        args.push("--".to_owned());
        args.extend(self.args.iter().cloned());
        args
    }

    /// Reads the words behind `sidecar`.
    ///
    /// # Errors
    /// The first flag that is unknown, has no value, or a value that it cannot have.
    pub fn parse<I: IntoIterator<Item = String>>(words: I) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if word == "--" {
                flags.args.extend(words);
                break;
            }
            let Some(value) = words.next() else {
                return Err(FlagError::MissingValue(word));
            };
            match word.as_str() {
                "-stop_file" => flags.stop_file = Some(value),
                "-script_path" => flags.script.get_or_insert_default().path = value,
                "-script_piece" => flags.script.get_or_insert_default().pieces.push(value),
                "-entrypoint" => flags.entrypoint = value,
                "-exec" => {
                    flags.start = Start::InPlace;
                    flags.entrypoint = value;
                }
                _ => {
                    let mut value = Some(value);
                    let mut value = || value.take().ok_or_else(|| FlagError::MissingValue(word.clone()));
                    if flags.log.take(word.trim_start_matches('-'), &mut value)? == Taken::No {
                        return Err(FlagError::Unknown(word));
                    }
                }
            }
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogLevel;

    #[test]
    fn reads_back() {
        let full = SidecarFlags {
            stop_file: Some("/tekton/run/1/out".to_owned()),
            start: Start::InPlace,
            log: LogFlags {
                level: LogLevel::Debug,
                ..LogFlags::default()
            },
            script: Some(Script::new(
                "/tekton/scripts/sidecar-script-0-abcde",
                "echo $x $$",
            )),
            entrypoint: "/tekton/scripts/sidecar-script-0-abcde".to_owned(),
            args: vec!["--".to_owned(), "-x".to_owned()],
        };
        for flags in [full, SidecarFlags::default()] {
            let args = flags.to_args();
            let words = args.iter().skip(1).map(|word| word.replace("$$", "$"));
            assert_eq!(SidecarFlags::parse(words).unwrap(), flags);
        }
    }

    #[test]
    fn errors_name_the_flag() {
        for (words, text) in [
            (vec!["-nope", "x"], "unknown flag -nope"),
            (vec!["-exec"], "flag -exec needs a value"),
            (vec!["-log_level", "loud"], "\"loud\" is not allowed"),
        ] {
            let error = SidecarFlags::parse(words.into_iter().map(str::to_owned)).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
