//! The step's command: started in a process group of its own, given every signal, stopped when its
//! time is over, and all that it leaves reaped (runtime.md section 3.6). Does I/O.

use std::{
    ffi::{CString, OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    libc::{SIGCHLD, SIGKILL, SIGTERM},
    sys::prctl,
    unistd::{Pid, getpid},
};
use tektite_protocol::log::LogLevel;

use crate::{
    clock, diagnose,
    events::{Arrived, Signals, Wake, signal_name},
    killed,
    log::{Log, Value},
    outcome::{Ending, Failure},
    program,
    sys::{self, Ended},
    tee::{Outputs, Tee},
    wait::TICK,
};

/// The most that a command gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);
/// The least, where a timeout is shorter than that.
const LEAST_GRACE: Duration = Duration::from_secs(1);
/// How long a killed process may take to die (a hung network file system) before it is given up.
const UNKILLABLE: Duration = Duration::from_secs(5);
/// How long what the command wrote may take to get where it goes, once the step shall end.
const LATE: Duration = Duration::from_secs(2);

/// The command and its limits.
pub(crate) struct Command<'a> {
    pub(crate) name: &'a str,
    pub(crate) args: &'a [String],
    /// None is no limit.
    pub(crate) timeout: Option<Duration>,
    /// How loud the log says that it is stopped, once it shall not run any longer.
    pub(crate) stopping: LogLevel,
    /// Why it shall not run any longer, once that is so. Asked about once a second.
    pub(crate) stop_when: &'a dyn Fn() -> Option<&'static str>,
    pub(crate) signals: &'a Signals,
    pub(crate) log: Log,
}

/// Why the command is being stopped, and how far that has got.
struct Stop {
    ending: Ending,
    kill_at: Instant,
    give_up_at: Option<Instant>,
}

impl Command<'_> {
    /// Runs it to its end. `path` is the container's PATH; `unused` is closed once the command runs.
    pub(crate) fn run(&self, path: Option<OsString>, unused: Vec<Wake>) -> Ending {
        self.run_with(path, unused, Tee::none())
    }

    /// The same, with its output in files as well. What they lack fails a command that ended well.
    pub(crate) fn run_with(
        &self,
        path: Option<OsString>,
        unused: Vec<Wake>,
        (mut tee, outputs): (Tee, Outputs),
    ) -> Ending {
        // As PID 1 orphans come to us anyway; with a shared process namespace they would not.
        if getpid().as_raw() != 1 {
            let _ = prctl::set_child_subreaper(true);
        }
        let began = Instant::now();
        match self.start(path, outputs) {
            Ok(pid) => {
                self.log.debug(format_args!("process {pid} started"));
                drop(unused);
                let mut passed_on = None;
                let ended = self.follow(pid, began, &mut tee, &mut passed_on);
                let ending = self.account(ended, began.elapsed(), passed_on);
                match tee.problem() {
                    Some(sentence) => self.incomplete(ending, sentence),
                    None => ending,
                }
            }
            Err(sentence) => self.broken(sentence),
        }
    }

    fn broken(&self, sentence: String) -> Ending {
        self.log.error(format_args!("{sentence}"));
        Ending::Broken(self.log.secrets().hide_long(sentence))
    }

    fn incomplete(&self, ending: Ending, sentence: String) -> Ending {
        let broken = self.broken(sentence);
        match ending {
            Ending::Succeeded => broken,
            // Its own error says more.
            ending => ending,
        }
    }

    fn start(&self, path: Option<OsString>, outputs: Outputs) -> Result<Pid, String> {
        let (file, argv) = program_and_words(self.name, self.args, path)?;
        let found = Path::new(OsStr::from_bytes(file.as_bytes()));
        sys::spawn(&file, &argv, self.signals.inherited, outputs)
            .map_err(|error| diagnose::why_not_started(found, &error))
    }

    /// The one loop that waits for children, signals, time and the reason to stop. The latter is looked
    /// for every second: the kubelet takes about as long to write the cancel file. The error is the ending of
    /// a command that was stopped.
    fn follow(
        &self,
        child: Pid,
        began: Instant,
        tee: &mut Tee,
        passed_on: &mut Option<Arrived>,
    ) -> Result<Ended, Ending> {
        let deadline = self.timeout.and_then(|timeout| began.checked_add(timeout));
        let mut ended: Option<Ended> = None;
        let mut stop: Option<Stop> = None;
        let mut give_up_output_at: Option<Instant> = None;
        loop {
            tee.pass();
            while let Some((pid, how)) = sys::reap() {
                if pid == child {
                    ended = Some(how);
                    tee.finish();
                } else {
                    let how = describe(how);
                    self.log.debug(format_args!("orphan {pid} ended: {how}"));
                }
            }
            let now = Instant::now();
            let mut wake_at = now + TICK;
            if let Some(stop) = &mut stop {
                if self.has_stopped(child, ended.is_some(), stop, now) {
                    let late = *give_up_output_at.get_or_insert(now + LATE);
                    if tee.is_done() || now >= late {
                        return Err(stop.ending.clone());
                    }
                    wake_at = wake_at.min(late);
                } else {
                    wake_at = wake_at.min(stop.give_up_at.unwrap_or(stop.kill_at));
                }
            } else if let Some(ended) = ended {
                if give_up_output_at.is_some_and(|at| now >= at) {
                    tee.give_up();
                    return Ok(ended);
                }
                if tee.is_done() {
                    return Ok(ended);
                }
                let is_over = deadline.is_some_and(|deadline| now >= deadline);
                if is_over || self.signals.asked_to_end() || (self.stop_when)().is_some() {
                    give_up_output_at.get_or_insert(now + LATE);
                }
                wake_at = wake_at.min(give_up_output_at.unwrap_or(wake_at));
            } else if let Some(why) = (self.stop_when)() {
                stop = Some(self.stop(child, Ending::Cancelled, GRACE, why));
                continue;
            } else if let Some(deadline) = deadline {
                if now >= deadline {
                    let timeout = self.timeout.unwrap_or_default();
                    let grace = timeout.clamp(LEAST_GRACE, GRACE);
                    let why = format!("the step's timeout of {} is over", clock::readable(timeout));
                    stop = Some(self.stop(child, Ending::TimedOut, grace, &why));
                    continue;
                }
                wake_at = wake_at.min(deadline);
            }
            self.signals
                .sleep_on(tee.sources(), wake_at.saturating_duration_since(now));
            while let Some(arrived) = self.signals.next() {
                if arrived.number != SIGCHLD {
                    let Arrived { number, from } = arrived;
                    self.log
                        .debug(format_args!("{} arrived {from}", signal_name(number)));
                    self.forward(child, number);
                    *passed_on = Some(arrived);
                }
            }
        }
    }

    fn stop(&self, group: Pid, ending: Ending, grace: Duration, why: &str) -> Stop {
        let seconds = clock::readable(grace);
        let level = match ending {
            Ending::TimedOut => LogLevel::Error,
            _ => self.stopping,
        };
        let text = format_args!("{why}: stopping the command (SIGTERM, then SIGKILL after {seconds})");
        self.log.event(level, text, &[]);
        self.forward(group, SIGTERM);
        Stop {
            ending,
            kill_at: Instant::now() + grace,
            give_up_at: None,
        }
    }

    /// Whether the whole group is gone or given up; kills it when its grace is over.
    fn has_stopped(&self, group: Pid, leader_ended: bool, stop: &mut Stop, now: Instant) -> bool {
        if leader_ended && sys::signal_group(group, 0).is_err_and(|errno| errno == nix::errno::Errno::ESRCH) {
            return true;
        }
        match stop.give_up_at {
            None if now >= stop.kill_at => {
                self.log.info(format_args!("the command did not stop in time"));
                self.forward(group, SIGKILL);
                stop.give_up_at = Some(now + UNKILLABLE);
                false
            }
            Some(_) if leader_ended => true,
            Some(give_up_at) if now >= give_up_at => {
                self.log.error(format_args!(
                    "process {group} does not even end by SIGKILL; left behind"
                ));
                true
            }
            _ => false,
        }
    }

    fn forward(&self, group: Pid, number: i32) {
        let name = signal_name(number);
        match sys::signal_group(group, number) {
            Ok(()) => self
                .log
                .debug(format_args!("{name} sent to process group {group}")),
            Err(errno) => self
                .log
                .debug(format_args!("{name} not sent to process group {group}: {errno}")),
        }
    }

    /// The ending with all that can be said of it, which the log has already.
    fn account(&self, ended: Result<Ended, Ending>, after: Duration, passed_on: Option<Arrived>) -> Ending {
        let duration = ("duration_ms", clock::millis(after));
        let readable = clock::readable(after);
        let how = match ended {
            Ok(how) => how,
            Err(ending) => {
                let text = format_args!("stopped after {readable}");
                self.log.event(LogLevel::Info, text, &[duration]);
                return ending;
            }
        };
        let what = describe(how);
        let name;
        let (field, why) = match how {
            Ended::Code(code) => {
                let number = u64::try_from(code).unwrap_or(u64::MAX);
                (("exit_code", Value::Number(number)), killed::by_code(code))
            }
            Ended::Signal(number) => {
                name = signal_name(number);
                let why = killed::by_signal(number, passed_on);
                (("signal", Value::Text(&name)), why)
            }
        };
        let level = match how {
            Ended::Code(0) => LogLevel::Info,
            _ => LogLevel::Error,
        };
        let text = format_args!("{what} after {readable}{why}");
        self.log.event(level, text, &[field, duration]);
        if how == Ended::Code(0) {
            return Ending::Succeeded;
        }
        // An exit code alone is the status's own.
        let why = (!why.is_empty()).then(|| self.log.secrets().hide_long(what + &why));
        Ending::Failed(Failure { how, after, why })
    }
}

fn describe(how: Ended) -> String {
    match how {
        Ended::Code(code) => format!("exited with code {code}"),
        Ended::Signal(number) => format!("killed by {}", signal_name(number)),
    }
}

/// The file to execute for `name` and its argument vector, or a sentence that says why there is none.
pub(crate) fn program_and_words(
    name: &str,
    args: &[String],
    path: Option<OsString>,
) -> Result<(CString, Vec<CString>), String> {
    let found = program::find(name, path).map_err(|error| error.to_string())?;
    let text = |text: &OsStr| {
        CString::new(text.as_bytes())
            .map_err(|_| format!("an argument of {name} has a NUL byte in it: remove it"))
    };
    let file = text(found.as_os_str())?;
    let words = std::iter::once(name).chain(args.iter().map(String::as_str));
    let words: Result<Vec<_>, _> = words.map(|word| text(OsStr::new(word))).collect();
    Ok((file, words?))
}
