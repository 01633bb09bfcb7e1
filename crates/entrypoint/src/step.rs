//! One step from its first moment to its last: the order of things is here, and nothing else
//! (runtime.md section 3.4, with the next step released last of all). Does I/O.

use std::{
    fs,
    io::Write as _,
    iter,
    path::{Path, PathBuf},
    slice,
    time::Duration,
};

use nix::unistd::{getgid, getuid};
use tektite_protocol::{
    breakpoint::Breakpoint,
    flags::{ResultsFrom, StepFlags},
    log::LogLevel,
    paths::{FAILED_SUFFIX, PROVENANCE_FILE},
    platform,
    termination::{self, Entry, Kind, key},
};

use crate::{
    alive::Alive,
    artifacts,
    breakpoint::{self, Pause, Told},
    child::Command,
    clock, credentials,
    events::{Signals, Wake},
    files::{self, FileError},
    guard::{self, Guard},
    hermetic,
    layout::Layout,
    log::{Log, Value},
    message::{self, WriteError},
    outcome::{Ending, Verdict},
    references::References,
    results::{self, Limit},
    surroundings, sys,
    tee::Tee,
    wait::{AfterFailure, Turn, Waiting, is_cancelled},
};

/// A step with what it was told.
struct Step<'a> {
    flags: &'a StepFlags,
    layout: &'a Layout,
    log: Log,
}

/// When a step began.
struct Begun {
    /// As text; for a step that never ran, the moment that this was clear.
    at: String,
    /// How long after the step before it had ended, where that is known.
    behind: Option<Duration>,
}

impl Begun {
    fn now(behind: Option<Duration>) -> Self {
        Self {
            at: clock::rfc3339_now(),
            behind,
        }
    }

    fn hand_over(&self) -> Option<Entry> {
        let micros = self.behind?.as_micros().to_string();
        Some(Entry::internal(key::HAND_OVER, micros))
    }
}

/// Whether there is something to run.
enum Guarded {
    /// This command.
    Runs(Vec<String>),
    /// `when` does not hold; why.
    Skipped(String),
}

/// Runs the step and returns the container's exit code.
pub(crate) fn run(flags: &StepFlags, layout: &Layout, signals: &Signals, log: Log) -> u8 {
    let step = Step { flags, layout, log };
    let _alive = step.announce();
    let (ending, begun) = match step.prepare() {
        Ok(()) => step.take_turn(signals),
        Err(error) => (step.broken(error.to_string()), Begun::now(None)),
    };
    step.conclude(&ending, &begun, signals)
}

impl Step<'_> {
    fn announce(&self) -> Option<Alive> {
        let marker = given(&self.flags.post_file)?;
        let announced = Alive::announce(marker);
        if let Err(error) = &announced {
            // Only costs later steps the knowledge that this one was killed.
            self.log
                .debug(format_args!("no pipe for {}: {error}", marker.display()));
        }
        announced.ok()
    }

    fn metadata(&self) -> Option<&Path> {
        given(&self.flags.step_metadata_dir)
    }

    /// The step's own directory, and the names that others find it under.
    fn prepare(&self) -> Result<(), FileError> {
        let run = Path::new(&self.flags.post_file).parent();
        let index = run.and_then(Path::file_name).and_then(|name| name.to_str());
        let index = index.unwrap_or_default();
        let set = credentials::provide(&self.flags.credentials, self.layout, index, self.log);
        if let Some(marker) = given(&self.flags.post_file)
            && !self.flags.breakpoints.is_empty()
        {
            breakpoint::leave_variables(marker, &set)?;
        }
        let Some(metadata) = self.metadata() else {
            return Ok(());
        };
        files::open_directory(metadata)?;
        files::open_directory(&metadata.join("results"))?;
        files::open_directory(&metadata.join("artifacts"))?;
        let links = self.layout.links_dir();
        for name in &self.flags.step_links {
            files::link(metadata, &links.join(name))?;
        }
        breakpoint::place_scripts(&self.flags.breakpoints, self.layout)
    }

    /// How it ended, and when it began.
    fn take_turn(&self, signals: &Signals) -> (Ending, Begun) {
        let cancel = self.layout.cancel_file();
        let waiting = Waiting {
            files: &self.flags.wait_files,
            content: self.flags.wait_file_content,
            after_failure: if self.flags.breakpoints.contains(&Breakpoint::OnFailure) {
                AfterFailure::Run
            } else {
                AfterFailure::Skip
            },
            cancel: &cancel,
            signals,
            log: self.log,
        };
        let directory = std::env::current_dir();
        let (turn, used) = waiting.turn();
        let behind = match turn {
            Turn::Mine => self.since_last_step(),
            _ => None,
        };
        let told = match turn {
            Turn::Mine => self.pause(Breakpoint::BeforeStep, signals),
            _ => Ok(Told::Continue),
        };
        let begun = Begun::now(behind);
        // What an earlier step has made anew is another directory of the same name, and we would still
        // be in the old one. Where there is none any more, the old one has to do.
        if let Ok(directory) = directory {
            let _ = std::env::set_current_dir(directory);
        }
        let ending = match (turn, told) {
            (Turn::Mine, Ok(Told::Continue)) => self.execute(signals, &cancel, used),
            (Turn::Mine, Ok(Told::Fail(_))) => Ending::Declined,
            (Turn::Mine, Ok(Told::Over(_))) => Ending::Cancelled,
            (_, Err(error)) => self.broken(error.to_string()),
            (Turn::Skipped(why), _) => {
                self.log.info(format_args!("skipped: {why}"));
                Ending::Skipped
            }
            (Turn::Cancelled(why), _) => {
                self.log.error(format_args!("cancelled before it ran: {why}"));
                Ending::Cancelled
            }
            (Turn::Broken(sentence), _) => self.broken(sentence),
        };
        (ending, begun)
    }

    /// How long ago the step before this one ended, by its marker; none where this is the first one.
    fn since_last_step(&self) -> Option<Duration> {
        let marker = self
            .flags
            .wait_files
            .last()
            .filter(|_| !self.flags.wait_file_content)?;
        fs::metadata(marker).ok()?.modified().ok()?.elapsed().ok()
    }

    /// Waits at a breakpoint, if the step has it.
    fn pause(&self, at: Breakpoint, signals: &Signals) -> Result<Told, FileError> {
        match given(&self.flags.post_file) {
            Some(marker) if self.flags.breakpoints.contains(&at) => Pause {
                at,
                marker,
                cancel: &self.layout.cancel_file(),
                signals,
                log: self.log,
            }
            .wait(),
            _ => Ok(Told::Continue),
        }
    }

    fn execute(&self, signals: &Signals, cancel: &Path, used: Vec<Wake>) -> Ending {
        if let Some(script) = &self.flags.script
            && let Err(error) = files::place_script(script)
        {
            return self.broken(error.to_string());
        }
        let references = References::new(self.layout.steps_dir());
        let words = match self.resolve(&references) {
            Ok(Guarded::Runs(words)) => words,
            Ok(Guarded::Skipped(why)) => {
                self.log.info(format_args!("skipped: {why}"));
                return Ending::Unneeded;
            }
            Err(sentence) => return self.broken(sentence),
        };
        let (name, args) = match words.split_first() {
            Some((name, args)) => (name.as_str(), args),
            None => ("", [].as_slice()),
        };
        if let Err(sentence) = hermetic::enter(self.log) {
            return self.broken(sentence);
        }
        self.say_what_runs(name, args);
        let timeout = self.flags.timeout.filter(|timeout| !timeout.is_zero());
        let outputs = match Tee::open(&self.flags.stdout_path, &self.flags.stderr_path) {
            Ok(outputs) => outputs,
            Err(error) => return self.broken(error.to_string()),
        };
        let command = Command {
            name,
            args,
            timeout: timeout.map(tektite_protocol::GoDuration::to_std),
            stopping: LogLevel::Error,
            stop_when: &|| is_cancelled(cancel).then_some("the TaskRun was cancelled or is out of time"),
            signals,
            log: self.log,
        };
        command.run_with(std::env::var_os("PATH"), used, outputs)
    }

    /// What earlier steps left takes its place: in the environment, in `when`, and in the command,
    /// which is returned. The error is a sentence.
    fn resolve(&self, references: &References) -> Result<Guarded, String> {
        for (name, value) in references.environment()? {
            sys::set_variable(&name, &value);
        }
        if let Guard::Closed(why) = guard::all(&self.flags.when, references)? {
            return Ok(Guarded::Skipped(why));
        }
        let words = match self.image_command()? {
            Some(command) => [command.as_slice(), &self.flags.args].concat(),
            None => [slice::from_ref(&self.flags.entrypoint), &self.flags.args].concat(),
        };
        let mut words = references.list(&words)?;
        if let Some(script) = self.script(&words[0], references)? {
            words[0] = script;
        }
        Ok(Guarded::Runs(words))
    }

    /// A script that names artifacts is run from another file, in which their values stand.
    fn script(&self, path: &str, references: &References) -> Result<Option<String>, String> {
        let (path, scripts) = (Path::new(path), self.layout.scripts_dir());
        let Some(own) = self.metadata().and_then(Path::parent) else {
            return Ok(None);
        };
        // One that cannot be read cannot be run either, and then it is said why.
        let text = fs::read_to_string(path)
            .ok()
            .filter(|_| path.parent() == Some(&scripts));
        let Some(text) = text else {
            return Ok(None);
        };
        let new = references.script(&text).map_err(|why| format!("script: {why}"))?;
        if new == text {
            return Ok(None);
        }
        let place = own.join("script");
        let written = files::replace(&place, 0o755, |file| file.write_all(new.as_bytes()));
        written.map_err(|error| error.to_string())?;
        Ok(Some(place.to_string_lossy().into_owned()))
    }

    /// What the image runs on this platform, where that differs between platforms.
    fn image_command(&self) -> Result<Option<Vec<String>>, String> {
        if !self.flags.entrypoint.is_empty() {
            return Ok(None);
        }
        match std::env::var(platform::COMMANDS_VARIABLE) {
            Ok(commands) => platform::own_command(&commands).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Arguments may hold more than anybody wants in a log: their number is enough, unless somebody
    /// asked for more.
    fn say_what_runs(&self, name: &str, args: &[String]) {
        let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("?"));
        let directory = directory.to_string_lossy();
        let timeout = self.flags.timeout.map(|timeout| timeout.to_string());
        let mut fields = vec![
            ("command", Value::Text(name)),
            ("args", Value::Number(args.len() as u64)),
            ("uid", Value::Number(getuid().as_raw().into())),
            ("gid", Value::Number(getgid().as_raw().into())),
            ("cwd", Value::Text(&directory)),
        ];
        fields.extend(
            timeout
                .as_deref()
                .map(|timeout| ("timeout", Value::Text(timeout))),
        );
        self.log
            .event(LogLevel::Info, format_args!("running the command"), &fields);
        if self.log.is_debug() {
            let secrets = self.log.secrets();
            // Hidden one by one: in the list they are quoted, which may change them.
            let words = iter::once(name).chain(args.iter().map(String::as_str));
            let words: Vec<String> = words.map(|word| secrets.hide(word.to_owned())).collect();
            for (what, list) in [
                ("arguments", serde_json::to_string(&words).unwrap_or_default()),
                ("environment variables", surroundings::environment()),
                ("mounts", surroundings::mounts()),
            ] {
                let fields = [("list", Value::Text(&list))];
                self.log.event(LogLevel::Debug, format_args!("{what}"), &fields);
            }
        }
    }

    fn broken(&self, sentence: String) -> Ending {
        self.log.error(format_args!("{sentence}"));
        Ending::Broken(self.log.secrets().hide_long(sentence))
    }

    /// Results, message, exit code, and last of all the marker that releases the next step.
    fn conclude(&self, ending: &Ending, begun: &Begun, signals: &Signals) -> u8 {
        let pauses = self.flags.breakpoints.contains(&Breakpoint::OnFailure);
        // Whoever debugs wants to see every failure.
        let on_error = self.flags.on_error.filter(|_| !pauses).unwrap_or_default();
        let mut verdict = Verdict::of(ending, on_error, &begun.at);
        if verdict.exit == 0 && !matches!(ending, Ending::Succeeded | Ending::Unneeded) {
            self.log.info(format_args!(
                "onError is \"continue\": later steps run all the same"
            ));
        }
        let results = if ending.has_results() {
            self.results(&mut verdict)
        } else {
            Vec::new()
        };
        if let Some(path) = given(&self.flags.termination_path) {
            verdict.extras.extend(begun.hand_over());
            self.tell(path, &mut verdict, &results);
        }
        if pauses && verdict.failed && ending.may_pause() {
            match self.pause(Breakpoint::OnFailure, signals) {
                Ok(Told::Continue) => verdict.decide(0),
                Ok(Told::Fail(code)) => verdict.decide(code),
                Ok(Told::Over(_)) => {}
                Err(error) => self.fail(&error, &mut verdict),
            }
        }
        if let (Some(metadata), Some(code)) = (self.metadata(), &verdict.exit_code_file) {
            let path = metadata.join("exitCode");
            let written = files::replace(&path, 0o644, |file| file.write_all(code.as_bytes()));
            self.check(written, &mut verdict);
        }
        if let Some(marker) = given(&self.flags.post_file) {
            let marker = if verdict.failed {
                files::with_suffix(marker, FAILED_SUFFIX)
            } else {
                marker.to_owned()
            };
            self.check(files::mark(&marker), &mut verdict);
            self.log.debug(format_args!("wrote {}", marker.display()));
        }
        verdict.exit
    }

    fn results(&self, verdict: &mut Verdict) -> Vec<Entry> {
        let mut problems = Vec::new();
        let limit = match self.flags.results_from {
            ResultsFrom::Message => Limit::Message,
            ResultsFrom::Log { most } => Limit::Log(most),
        };
        let task = self.flags.results.as_deref().unwrap_or_default();
        let directory = self.layout.results_dir();
        results::open_to_all(&directory, task);
        let mut entries =
            results::collect(&directory, task, Kind::TaskResult, limit, &mut problems, self.log);
        let own_directory = self.metadata().map(|metadata| metadata.join("results"));
        let own = &self.flags.step_results;
        if let Some(own_directory) = &own_directory {
            results::open_to_all(own_directory, own);
            entries.extend(results::collect(
                own_directory,
                own,
                Kind::StepResult,
                limit,
                &mut problems,
                self.log,
            ));
        }
        if let ResultsFrom::Log { .. } = self.flags.results_from {
            // Checked here, where the step can still fail for it; told by the sidecar.
            problems.extend(results::fit_together(&entries).err());
            entries.clear();
        }
        for problem in problems {
            self.fail(&problem, verdict);
        }
        let of_step = self
            .metadata()
            .map(|metadata| (metadata.join("artifacts"), Kind::StepArtifacts));
        let of_task = Some((self.layout.artifacts_dir(), Kind::TaskArtifacts));
        for (directory, kind) in of_task.into_iter().chain(of_step) {
            results::open_to_all(&directory, &[PROVENANCE_FILE.to_owned()]);
            match artifacts::collect(&directory, kind, self.log) {
                Ok(entry) if self.flags.results_from == ResultsFrom::Message => entries.extend(entry),
                // Told by the sidecar.
                Ok(_) => {}
                Err(sentence) => self.fail(&sentence, verdict),
            }
        }
        entries
    }

    /// Writes the message. When results do not fit into it, the step fails and tells that instead.
    fn tell(&self, path: &Path, verdict: &mut Verdict, results: &[Entry]) {
        let limit = self.flags.message_limit.unwrap_or(termination::MAX_BYTES);
        let all = [&verdict.entries, results].concat();
        let told = match message::add_with(path, &all, &verdict.extras, limit) {
            // Then it is the sentence that has no room, which is no failure of its own.
            Err(WriteError::Message(_)) if results.is_empty() => {
                message::with_room(&verdict.entries, |entries| message::add(path, entries, limit))
            }
            told => told,
        };
        match told {
            Ok(()) => {}
            Err(error @ WriteError::File(_)) => self.fail(&error, verdict),
            Err(error @ WriteError::Message(_)) => {
                self.fail(&error, verdict);
                let retry = message::add_with(path, &verdict.entries, &verdict.extras, limit);
                let written = retry.or_else(|_| {
                    message::with_room(&verdict.entries, |entries| {
                        message::overwrite(path, entries, limit)
                    })
                });
                self.check(written, verdict);
            }
        }
    }

    fn check<E: std::fmt::Display>(&self, result: Result<(), E>, verdict: &mut Verdict) {
        if let Err(error) = result {
            self.fail(&error, verdict);
        }
    }

    fn fail(&self, error: &dyn std::fmt::Display, verdict: &mut Verdict) {
        let sentence = error.to_string();
        self.log.error(format_args!("{sentence}"));
        verdict.fail(&self.log.secrets().hide_long(sentence));
    }
}

/// A flag's path, if it is given at all.
fn given(path: &str) -> Option<&Path> {
    (!path.is_empty()).then(|| Path::new(path))
}
