//! A step that pauses until somebody tells it to go on (runtime.md 3.8). Does I/O.

use std::{
    cell::Cell,
    fs::{self, TryLockError},
    io::{ErrorKind, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use tektite_protocol::{
    breakpoint::{Answer, Breakpoint, PAUSED_SUFFIX, SCRIPTS_DIR, VARIABLES_SUFFIX},
    paths,
};

use crate::{
    credentials::Variable,
    events::{Arrived, Signals, Wake, ends_a_program, signal_name},
    files::{self, FileError, failed, is_there, with_suffix},
    layout::Layout,
    log::Log,
    sys,
    wait::{TICK, is_cancelled},
};

/// How long whoever writes an answer by hand may take between making the file and filling it.
const FILLING: Duration = Duration::from_millis(200);

/// How long whoever answered may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is needed to pause.
pub(crate) struct Pause<'a> {
    pub(crate) at: Breakpoint,
    /// The step's marker, that files of the pause stand beside.
    pub(crate) marker: &'a Path,
    /// Not empty once the TaskRun is cancelled.
    pub(crate) cancel: &'a Path,
    pub(crate) signals: &'a Signals,
    pub(crate) log: Log,
}

/// How the pause ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// To go on.
    Continue,
    /// To end with this exit code.
    Fail(u8),
    /// Nobody will say anything any more; why.
    Over(String),
}

/// Puts the programs in place that answer at `points`: this one, under names that say what to do, so
/// that an image needs no shell.
pub(crate) fn place_scripts(points: &[Breakpoint], layout: &Layout) -> Result<(), FileError> {
    let (directory, target) = (layout.debug_scripts_dir(), layout.entrypoint());
    for point in points {
        for answer in Answer::ALL {
            files::link(&target, &directory.join(point.script(answer)))?;
        }
    }
    Ok(())
}

/// Leaves the variables that only the step's own process has for whoever debugs it: a program that comes
/// into the container later gets those of the container.
pub(crate) fn leave_variables(marker: &Path, variables: &[Variable]) -> Result<(), FileError> {
    if variables.is_empty() {
        return Ok(());
    }
    files::replace(&with_suffix(marker, VARIABLES_SUFFIX), 0o600, |file| {
        let mut variables = variables.iter();
        variables.try_for_each(|(name, value)| write!(file, "{name}={value}\0"))
    })
}

/// What the step with this marker has left so.
pub(crate) fn variables(marker: &Path) -> Result<Vec<Variable>, FileError> {
    let file = with_suffix(marker, VARIABLES_SUFFIX);
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        text => text.map_err(failed("read", &file))?,
    };
    let variables = text.split('\0').filter_map(|variable| variable.split_once('='));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(variables.collect())
}

impl Pause<'_> {
    /// Waits for the answer, however long that takes: the TaskRun's own timeout goes on.
    pub(crate) fn wait(&self) -> Result<Told, FileError> {
        let paused = with_suffix(self.marker, PAUSED_SUFFIX);
        let wake = Wake::around(self.marker);
        files::replace(&paused, 0o644, |file| file.write_all(self.at.flag().as_bytes()))?;
        self.say();
        let is_said = Cell::new(false);
        let told = loop {
            if let Some(told) = self.look(&is_said) {
                break told;
            }
            self.signals.sleep(&wake, TICK);
            while sys::reap().is_some() {}
            if let Some(why) = self.asked_to_end() {
                break Told::Over(why);
            }
        };
        Self::let_go(&paused);
        // Whoever looks sees a step that is not paused any more; one that cannot be removed only
        // makes `debug` believe that it is.
        let _ = fs::remove_file(&paused);
        match &told {
            Told::Continue => self.log.info(format_args!("told to continue")),
            Told::Fail(code) => self.log.info(format_args!("told to fail, with exit code {code}")),
            Told::Over(why) => self.log.error(format_args!("not paused any longer: {why}")),
        }
        Ok(told)
    }

    /// Waits for the end of whoever answers and holds the lock: a step that ends takes everything in its
    /// container with it, and somebody waits for that program's words.
    fn let_go(paused: &Path) {
        let Ok(file) = fs::File::open(paused) else {
            return;
        };
        let deadline = Instant::now() + FAREWELL;
        while matches!(file.try_lock(), Err(TryLockError::WouldBlock)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn say(&self) {
        let what = match self.at {
            Breakpoint::BeforeStep => "before its command",
            Breakpoint::OnFailure => "after its failure",
        };
        let (entrypoint, at) = (paths::ENTRYPOINT, self.at);
        self.log.error(format_args!(
            "paused {what}, while the TaskRun's timeout goes on. With kubectl exec in this container: {entrypoint} \
             debug shell to look around, {SCRIPTS_DIR}/{} to go on, {SCRIPTS_DIR}/{} to fail",
            at.script(Answer::Continue),
            at.script(Answer::Fail)
        ));
    }

    /// The answer; `is_said` is whether the log has one that cannot be read.
    fn look(&self, is_said: &Cell<bool>) -> Option<Told> {
        let file = |answer| with_suffix(self.marker, self.at.answer_suffix(answer));
        match self.at {
            Breakpoint::BeforeStep => {
                let is_told = |answer| is_there(&file(answer), false).unwrap_or(false);
                if is_told(Answer::Fail) {
                    Some(Told::Fail(1))
                } else {
                    is_told(Answer::Continue).then_some(Told::Continue)
                }
            }
            Breakpoint::OnFailure => self.exit_code(&file(Answer::Continue), is_said),
        }
    }

    /// What somebody wrote as exit code; a text that is none is success.
    fn exit_code(&self, file: &Path, is_said: &Cell<bool>) -> Option<Told> {
        let mut text = self.text(file, is_said)?;
        if text.is_empty() {
            self.signals.sleep(&Wake::Nothing, FILLING);
            text = self.text(file, is_said)?;
        }
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let code = text.parse::<i64>().unwrap_or(0);
        Some(match u8::try_from(code) {
            Ok(0) => Told::Continue,
            Ok(code) => Told::Fail(code),
            Err(_) => Told::Fail(1),
        })
    }

    /// What is in an answer's file. One that cannot be read is no answer: whoever wrote it is still there and
    /// can write a better one.
    fn text(&self, file: &Path, is_said: &Cell<bool>) -> Option<String> {
        match fs::read_to_string(file) {
            Ok(text) => Some(text),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound && !is_said.replace(true) {
                    let (path, at) = (file.display(), self.at);
                    self.log.error(format_args!(
                        "still paused: the answer in {path} cannot be read ({error}); run \
                         {SCRIPTS_DIR}/{} or {SCRIPTS_DIR}/{}, or write an exit code into it",
                        at.script(Answer::Continue),
                        at.script(Answer::Fail)
                    ));
                }
                None
            }
        }
    }

    fn asked_to_end(&self) -> Option<String> {
        while let Some(Arrived { number, from }) = self.signals.next() {
            if ends_a_program(number) {
                return Some(format!("{} arrived {from}", signal_name(number)));
            }
        }
        is_cancelled(self.cancel).then(|| "the TaskRun was cancelled or is out of time".to_owned())
    }
}
