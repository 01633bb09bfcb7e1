//! A step's command line: what the controller writes into the container's `args` and the entrypoint
//! reads back (runtime.md sections 1.7.2 and 3.2).
//!
//! Flags are in Go's style (`-name value`, `-name=value`, one or two dashes); everything behind the
//! first `--` belongs to the step's own command. [`StepFlags::to_args`] and [`StepFlags::parse`] are
//! each other's inverse.

use crate::{
    GoDuration, When,
    breakpoint::Breakpoint,
    credentials::{Credential, CredentialKind},
    go_bool,
    log::{LogFlags, Taken},
    log_results::MAX_TOTAL_BYTES,
};

/// The longest piece of a script in one argument. Linux takes 128 KiB with the closing NUL; the
/// kubelet still has to undouble the dollars, which only makes a piece shorter.
pub const SCRIPT_PIECE_BYTES: usize = 96 * 1024;

/// The word for results that travel in a sidecar's log, on the command line and in the settings.
pub const SIDECAR_LOGS: &str = "sidecar-logs";

/// What happens after the step's command exits with an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The step fails, and later steps are skipped.
    #[default]
    StopAndFail,
    /// The exit code is recorded, and later steps run.
    Continue,
}

impl OnError {
    /// The API's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StopAndFail => "stopAndFail",
            Self::Continue => "continue",
        }
    }
}

/// How a step's results get to the controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResultsFrom {
    /// In its termination message.
    #[default]
    Message,
    /// In the log of a sidecar that reads the files.
    Log {
        /// The most bytes that one value may have.
        most: usize,
    },
}

/// A script that the step's own entrypoint puts in place, where no init container has done it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Where to write it, mode 0755.
    pub path: String,
    /// Its text, in order, cut so that each piece fits in one argument.
    pub pieces: Vec<String>,
}

impl Script {
    /// Adds its flags. The kubelet makes one dollar of two.
    pub(crate) fn add_to(&self, args: &mut Vec<String>) {
        args.extend(["-script_path".to_owned(), self.path.clone()]);
        for piece in &self.pieces {
            args.extend(["-script_piece".to_owned(), piece.replace('$', "$$")]);
        }
    }

    /// Cuts `text` into pieces between characters.
    pub fn new(path: impl Into<String>, text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while rest.len() > SCRIPT_PIECE_BYTES {
            let mut end = SCRIPT_PIECE_BYTES;
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (piece, tail) = rest.split_at(end);
            pieces.push(piece.to_owned());
            rest = tail;
        }
        pieces.push(rest.to_owned());
        Self {
            path: path.into(),
            pieces,
        }
    }

    /// The whole text.
    pub fn text(&self) -> String {
        self.pieces.concat()
    }
}

/// Everything a step is told. Empty and absent values leave their flag out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepFlags {
    /// Files to wait for, in order.
    pub wait_files: Vec<String>,
    /// Whether those files must have something in them.
    pub wait_file_content: bool,
    /// The marker to write when the step is over.
    pub post_file: String,
    /// Where the termination message goes.
    pub termination_path: String,
    /// Where exit code, results and artifacts of the step go.
    pub step_metadata_dir: String,
    /// Names under which the step's directory shall be reachable; links that the step makes itself.
    pub step_links: Vec<String>,
    /// The most that is kept of the termination message, where that is less than usual; in bytes.
    pub message_limit: Option<usize>,
    /// How results get to the controller.
    pub results_from: ResultsFrom,
    /// What the step may log in with.
    pub credentials: Vec<Credential>,
    /// What a failing command means.
    pub on_error: Option<OnError>,
    /// The longest the command may take; zero is no limit.
    pub timeout: Option<GoDuration>,
    /// Where the command's stdout goes as well; empty when nowhere.
    pub stdout_path: String,
    /// Where the command's stderr goes as well; empty when nowhere.
    pub stderr_path: String,
    /// The step's own results.
    pub step_results: Vec<String>,
    /// What must hold, all of it, for the command to run at all.
    pub when: Vec<When>,
    /// The Task's results; `None` when the Task declares none at all.
    pub results: Option<Vec<String>>,
    /// Where to pause.
    pub breakpoints: Vec<Breakpoint>,
    /// What to say, and what not.
    pub log: LogFlags,
    /// A script to put in place just before it runs.
    pub script: Option<Script>,
    /// The program; empty when the image's own has to be found.
    pub entrypoint: String,
    /// The program's arguments.
    pub args: Vec<String>,
}

/// Why a command line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// A flag that this version does not know.
    #[error("unknown flag {0}")]
    Unknown(String),
    /// A flag without its value.
    #[error("flag {0} needs a value")]
    MissingValue(String),
    /// A value that does not fit its flag.
    #[error("flag {flag}: \"{value}\" is not allowed; {allowed}")]
    BadValue {
        /// The flag's name.
        flag: String,
        /// What was given.
        value: String,
        /// What would be.
        allowed: String,
    },
    /// A word that belongs to no flag.
    #[error("unexpected argument \"{0}\" before --")]
    Positional(String),
}

impl StepFlags {
    /// The container's `args`, in the order of runtime.md 1.7.2.
    ///
    /// Script pieces have their dollars doubled: the kubelet replaces `$(NAME)` and folds `$$` in
    /// every argument, so the entrypoint gets the bytes that the author wrote.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        if !self.wait_files.is_empty() {
            args.extend(["-wait_file".to_owned(), self.wait_files.join(",")]);
        }
        if self.wait_file_content {
            args.push("-wait_file_content".to_owned());
        }
        let mut flag = |name: &str, value: &str| {
            args.push(format!("-{name}"));
            args.push(value.to_owned());
        };
        flag("post_file", &self.post_file);
        flag("termination_path", &self.termination_path);
        flag("step_metadata_dir", &self.step_metadata_dir);
        for link in &self.step_links {
            flag("step_link", link);
        }
        if let Some(limit) = self.message_limit {
            flag("message_limit", &limit.to_string());
        }
        if let ResultsFrom::Log { most } = self.results_from {
            flag("result_from", SIDECAR_LOGS);
            flag("max_result_size", &most.to_string());
        }
        args.extend(self.credentials.iter().map(Credential::to_arg));
        let mut flag = |name: &str, value: &str| {
            args.push(format!("-{name}"));
            args.push(value.to_owned());
        };
        if let Some(on_error) = self.on_error {
            flag("on_error", on_error.as_str());
        }
        if let Some(timeout) = self.timeout {
            flag("timeout", &timeout.to_string());
        }
        for (name, path) in [
            ("stdout_path", &self.stdout_path),
            ("stderr_path", &self.stderr_path),
        ] {
            if !path.is_empty() {
                flag(name, path);
            }
        }
        if !self.step_results.is_empty() {
            flag("step_results", &self.step_results.join(","));
        }
        if !self.when.is_empty() {
            // Texts alone: they have a JSON form.
            let when = serde_json::to_string(&self.when).unwrap_or_default();
            flag("-when_expressions", &when);
        }
        if let Some(results) = &self.results {
            flag("results", &results.join(","));
        }
        args.extend(self.breakpoints.iter().map(|point| format!("-{}", point.flag())));
        self.log.add_to(&mut args);
        if let Some(script) = &self.script {
            script.add_to(&mut args);
        }
        if !self.entrypoint.is_empty() {
            args.extend(["-entrypoint".to_owned(), self.entrypoint.clone()]);
        }
        args.push("--".to_owned());
        args.extend(self.args.iter().cloned());
        args
    }

    /// Reads a command line without its program name, as the kubelet hands it over.
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
            let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                return Err(FlagError::Positional(word));
            };
            let (name, inline) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            if name == "wait_file_content" {
                flags.wait_file_content = is_on(name, inline.as_deref())?;
                continue;
            }
            if let Some(point) = Breakpoint::from_flag(name) {
                // The last one counts.
                flags.breakpoints.retain(|known| *known != point);
                if is_on(name, inline.as_deref())? {
                    flags.breakpoints.push(point);
                }
                continue;
            }
            let mut value = || inline.clone().or_else(|| words.next());
            let mut value = || value().ok_or_else(|| FlagError::MissingValue(format!("-{name}")));
            flags.set(name, &mut value)?;
        }
        Ok(flags)
    }

    fn set(
        &mut self,
        name: &str,
        value: &mut dyn FnMut() -> Result<String, FlagError>,
    ) -> Result<(), FlagError> {
        match name {
            "wait_file" => self.wait_files = list(&value()?),
            "post_file" => self.post_file = value()?,
            "termination_path" => self.termination_path = value()?,
            "step_metadata_dir" => self.step_metadata_dir = value()?,
            "step_link" => self.step_links.push(value()?),
            "message_limit" => self.message_limit = Some(bytes(name, &value()?)?),
            "result_from" => {
                let word = value()?;
                if word != SIDECAR_LOGS {
                    return Err(bad(name, &word, "write sidecar-logs"));
                }
                if self.results_from == ResultsFrom::Message {
                    let most = MAX_TOTAL_BYTES;
                    self.results_from = ResultsFrom::Log { most };
                }
            }
            "max_result_size" => {
                let most = bytes(name, &value()?)?;
                self.results_from = ResultsFrom::Log { most };
            }
            "on_error" => {
                let word = value()?;
                self.on_error = Some(match word.as_str() {
                    "continue" => OnError::Continue,
                    "stopAndFail" | "" => OnError::StopAndFail,
                    _ => return Err(bad(name, &word, "write continue or stopAndFail")),
                });
            }
            "timeout" => {
                let word = value()?;
                let timeout: GoDuration = word
                    .parse()
                    .map_err(|error| bad(name, &word, &format!("{error}")))?;
                if timeout.is_negative() {
                    return Err(bad(name, &word, "a timeout cannot be negative"));
                }
                self.timeout = Some(timeout);
            }
            "stdout_path" => self.stdout_path = value()?,
            "stderr_path" => self.stderr_path = value()?,
            "step_results" => self.step_results = list(&value()?),
            "when_expressions" => {
                let word = value()?;
                self.when =
                    serde_json::from_str(&word).map_err(|error| bad(name, "...", &error.to_string()))?;
            }
            "results" => self.results = Some(list(&value()?)),
            "script_path" => self.script.get_or_insert_default().path = value()?,
            "script_piece" => self.script.get_or_insert_default().pieces.push(value()?),
            "entrypoint" => self.entrypoint = value()?,
            _ => {
                if let Some(kind) = CredentialKind::from_flag(name) {
                    let word = value()?;
                    let credential = Credential::parse(kind, &word);
                    self.credentials
                        .push(credential.ok_or_else(|| bad(name, &word, "write a Secret's name and a URL"))?);
                } else if self.log.take(name, value)? == Taken::No {
                    return Err(FlagError::Unknown(format!("-{name}")));
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn bad(flag: &str, value: &str, allowed: &str) -> FlagError {
    FlagError::BadValue {
        flag: format!("-{flag}"),
        value: value.to_owned(),
        allowed: allowed.to_owned(),
    }
}

/// What a flag that needs no value means.
fn is_on(flag: &str, value: Option<&str>) -> Result<bool, FlagError> {
    value.map_or(Ok(true), |value| {
        go_bool::parse(value).ok_or_else(|| bad(flag, value, "write true or false"))
    })
}

fn bytes(flag: &str, value: &str) -> Result<usize, FlagError> {
    value
        .parse()
        .map_err(|_| bad(flag, value, "write a number of bytes"))
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What the init container of the other delivery form is told: `init`, then flags.
///
/// It copies its own binary to [`crate::paths::ENTRYPOINT`], makes one link under
/// [`crate::paths::STEPS_DIR`] per step name and index, and writes the scripts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitFlags {
    /// Names of the steps' directories in order (`step-build`, `step-unnamed-1`).
    pub steps: Vec<String>,
    /// All scripts of the Pod.
    pub scripts: Vec<Script>,
}

/// The word that makes the entrypoint prepare the Pod instead of running a step.
pub const INIT: &str = "init";

impl InitFlags {
    /// The init container's `args`.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec![INIT.to_owned()];
        for step in &self.steps {
            args.extend(["-step".to_owned(), step.clone()]);
        }
        for script in &self.scripts {
            script.add_to(&mut args);
        }
        args
    }

    /// Reads the words behind `init`.
    ///
    /// # Errors
    /// An unknown flag, a flag without its value, or a piece before the first path.
    pub fn parse<I: IntoIterator<Item = String>>(words: I) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| FlagError::MissingValue(word.clone()))?;
            match word.as_str() {
                "-step" => flags.steps.push(value),
                "-script_path" => flags.scripts.push(Script {
                    path: value,
                    pieces: Vec::new(),
                }),
                "-script_piece" => match flags.scripts.last_mut() {
                    Some(script) => script.pieces.push(value),
                    None => return Err(bad("script_piece", &value, "a -script_path comes first")),
                },
                _ => return Err(FlagError::Unknown(word)),
            }
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogFormat, LogLevel, SecretPlaces};
    use proptest::prelude::*;

    /// What the kubelet makes of an argument when no variable is defined.
    fn kubelet(arg: &str) -> String {
        arg.replace("$$", "$")
    }

    fn full() -> StepFlags {
        StepFlags {
            wait_files: vec!["/tekton/run/0/out".into()],
            wait_file_content: true,
            post_file: "/tekton/run/1/out".into(),
            termination_path: "/tekton/termination".into(),
            step_metadata_dir: "/tekton/run/1/status".into(),
            step_links: vec!["step-b".into(), "1".into()],
            message_limit: Some(1117),
            results_from: ResultsFrom::Log { most: 4096 },
            credentials: vec![Credential {
                kind: CredentialKind::BasicGit,
                secret: "s".into(),
                url: "https://a.example/$$(x)=$y".into(),
            }],
            on_error: Some(OnError::Continue),
            timeout: Some(GoDuration::from_secs(90)),
            stdout_path: "/workspace/o".into(),
            stderr_path: "/workspace/e".into(),
            step_results: vec!["r".into()],
            when: vec![When {
                cel: "'\"'.size() > 0".into(),
                ..When::default()
            }],
            results: Some(vec!["a".into(), "b".into()]),
            breakpoints: Breakpoint::ALL.to_vec(),
            log: LogFlags {
                level: LogLevel::Debug,
                format: LogFormat::Json,
                secrets: SecretPlaces {
                    env: vec!["A".into(), "B,C".into()],
                    env_prefixes: vec![String::new()],
                    paths: vec!["/s".into()],
                },
            },
            script: Some(Script::new(
                "/tekton/scripts/script-1-abcde",
                "#!/bin/sh\necho $HOME $(x) $$\n",
            )),
            entrypoint: "/tekton/scripts/script-1-abcde".into(),
            args: vec!["init".into(), "--".into(), "-x".into()],
        }
    }

    #[test]
    fn a_command_line_reads_back_through_the_kubelet() {
        let flags = full();
        let mut seen: Vec<String> = flags.to_args();
        let own = seen.iter().position(|word| word == "--").unwrap();
        for word in &mut seen[..own] {
            *word = kubelet(word);
        }
        assert_eq!(StepFlags::parse(seen).unwrap(), flags);
    }

    #[test]
    fn the_order_is_the_documented_one() {
        let flags = StepFlags {
            script: None,
            credentials: vec![Credential {
                kind: CredentialKind::DockerConfig,
                secret: "s".into(),
                url: String::new(),
            }],
            ..full()
        };
        assert_eq!(
            flags.to_args().join(" "),
            "-wait_file /tekton/run/0/out -wait_file_content -post_file /tekton/run/1/out -termination_path \
             /tekton/termination -step_metadata_dir /tekton/run/1/status -step_link step-b -step_link 1 -message_limit 1117 -result_from sidecar-logs \
             -max_result_size 4096 -docker-config=s -on_error \
             continue -timeout 1m30s -stdout_path /workspace/o -stderr_path /workspace/e -step_results r --when_expressions [{\"cel\":\"'\\\"'.size() > 0\"}] -results a,b -breakpoint_on_failure \
             -debug_before_step -log_level debug -log_format json \
             -secret_env A -secret_env B,C -secret_env_prefix  -secret_path /s -entrypoint \
             /tekton/scripts/script-1-abcde -- init -- -x"
        );
    }

    #[test]
    fn go_style_and_errors() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let flags = StepFlags::parse(words("--post_file=/x -results  -- a")).unwrap();
        assert_eq!(flags.post_file, "/x");
        assert_eq!(flags.results, Some(vec![]));
        assert_eq!(flags.args, ["a"]);
        for (text, part) in [
            ("-nope 1", "unknown flag -nope"),
            ("-post_file", "flag -post_file needs a value"),
            ("-result_from x", "write sidecar-logs"),
            ("-max_result_size x", "write a number of bytes"),
            ("-on_error maybe", "write continue or stopAndFail"),
            ("-timeout 5", "a unit is missing"),
            ("-timeout -5s", "cannot be negative"),
            ("word", "unexpected argument \"word\""),
            ("-log_level loud", "off, error, info or debug"),
            ("-basic-git=s", "write a Secret's name and a URL"),
            ("-log_format xml", "logfmt or json"),
        ] {
            let error = StepFlags::parse(words(text)).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn flags_without_a_value_are_on_unless_they_say_otherwise() {
        for name in ["wait_file_content", "breakpoint_on_failure", "debug_before_step"] {
            // The last one counts.
            for (words, expected) in [
                ("-NAME", true),
                ("-NAME=T", true),
                ("--NAME=0", false),
                ("-NAME -NAME=false", false),
                ("-NAME=0 -NAME=1 -NAME=True", true),
            ] {
                let words = words.replace("NAME", name);
                let flags = StepFlags::parse(words.split(' ').map(str::to_owned)).unwrap();
                let is_on = flags.wait_file_content || !flags.breakpoints.is_empty();
                assert_eq!((is_on, flags.breakpoints.len() < 2), (expected, true), "{words}");
            }
            for value in ["", "yes"] {
                let error = StepFlags::parse([format!("-{name}={value}")]).unwrap_err();
                let text = format!("flag -{name}: \"{value}\" is not allowed; write true or false");
                assert_eq!(error.to_string(), text);
            }
        }
    }

    #[test]
    fn init_reads_back() {
        let flags = InitFlags {
            steps: vec!["step-a".into(), "step-unnamed-1".into()],
            scripts: vec![
                Script::new("/tekton/scripts/script-0-abcde", "echo $x"),
                Script::new("/y", ""),
            ],
        };
        let words = flags.to_args().into_iter().skip(1).map(|word| kubelet(&word));
        assert_eq!(InitFlags::parse(words).unwrap(), flags);
    }

    proptest! {
        #[test]
        fn any_script_survives_the_cut(text in "(?s).{0,400}", repeat in 1usize..600) {
            let text = text.repeat(repeat);
            let script = Script::new("/p", &text);
            prop_assert_eq!(script.text(), text);
            prop_assert!(script.pieces.iter().all(|piece| piece.len() <= SCRIPT_PIECE_BYTES));
        }
    }
}
