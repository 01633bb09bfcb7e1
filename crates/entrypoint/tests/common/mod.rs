//! A Pod's directories in a temp directory, and steps in them run by the real binary.
// Helpers of tests are tests too; clippy only knows functions marked so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
#![allow(dead_code)] // each test binary uses its part

pub(crate) mod noise;

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tektite_protocol::{
    flags::StepFlags,
    log::{LogFlags, LogLevel},
    termination::{Entry, Kind, decode, key},
};

/// What cannot take this long on any machine.
const BOUND: Duration = Duration::from_mins(1);

/// The release artefact when the environment names it, else the one that cargo has just built.
pub(crate) fn binary() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match std::env::var_os("TEKTITE_ENTRYPOINT_ELF") {
        Some(path) => root.join(path).to_str().unwrap().to_owned(),
        None => env!("CARGO_BIN_EXE_tektite-entrypoint").to_owned(),
    }
}

/// A log of this level.
pub(crate) fn level(level: LogLevel) -> LogFlags {
    LogFlags {
        level,
        ..LogFlags::default()
    }
}

/// Waits until `holds` does, looking often.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < BOUND, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) struct Pod {
    pub(crate) dir: tempfile::TempDir,
}

impl Pod {
    pub(crate) fn new() -> Self {
        let pod = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for path in [
            "tekton/results",
            "tekton/downward",
            "tekton/links",
            "tekton/run",
            "tekton/debug/scripts",
        ] {
            fs::create_dir_all(pod.path(path)).unwrap();
        }
        // One volume under both names, as in a Pod.
        std::os::unix::fs::symlink("links", pod.path("tekton/steps")).unwrap();
        pod
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn text(&self, path: &str) -> String {
        self.path(path).to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Step `index`, which waits for nothing yet.
    pub(crate) fn step(&self, index: usize, command: &[&str]) -> StepFlags {
        let (program, args) = command.split_first().unwrap_or((&"", &[]));
        StepFlags {
            post_file: self.text(&format!("tekton/run/{index}/out")),
            step_metadata_dir: self.text(&format!("tekton/run/{index}/status")),
            termination_path: self.text(&format!("termination-{index}")),
            step_links: vec![format!("step-{index}"), index.to_string()],
            log: level(LogLevel::Debug),
            entrypoint: (*program).to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            ..StepFlags::default()
        }
    }

    /// Step `index`, which waits for the one before it.
    pub(crate) fn after(&self, index: usize, command: &[&str]) -> StepFlags {
        StepFlags {
            wait_files: vec![self.text(&format!("tekton/run/{}/out", index - 1))],
            ..self.step(index, command)
        }
    }

    pub(crate) fn sh(&self, script: &str) -> StepFlags {
        self.step(0, &["sh", "-c", script])
    }

    /// The command that starts a step, as the kubelet would.
    pub(crate) fn command(&self, flags: &StepFlags) -> Command {
        self.wrapped(&[], flags)
    }

    /// The same, started by another program.
    pub(crate) fn wrapped(&self, wrapper: &[&str], flags: &StepFlags) -> Command {
        let mut words: Vec<String> = wrapper.iter().map(|word| (*word).to_owned()).collect();
        words.extend([binary(), "-root".to_owned(), self.text("")]);
        let mut own = true;
        for word in flags.to_args() {
            own &= word != "--";
            // What the kubelet makes of an argument.
            words.push(if own { word.replace("$$", "$") } else { word });
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.dir.path());
        command
    }

    pub(crate) fn start(&self, flags: &StepFlags) -> Running {
        self.start_as(self.command(flags), flags)
    }

    pub(crate) fn start_as(&self, mut command: Command, flags: &StepFlags) -> Running {
        let step = Path::new(&flags.post_file).parent().unwrap();
        let name = step.file_name().unwrap().to_str().unwrap();
        let (stdout, stderr) = (
            self.path(&format!("out-{name}")),
            self.path(&format!("err-{name}")),
        );
        command.stdout(File::create(&stdout).unwrap());
        command.stderr(File::create(&stderr).unwrap());
        Running {
            child: command.spawn().unwrap(),
            stdout,
            stderr,
            flags: flags.clone(),
        }
    }

    pub(crate) fn run(&self, flags: &StepFlags) -> Done {
        self.start(flags).wait()
    }
}

pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    flags: StepFlags,
}

impl Running {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits until the step's log holds `part`.
    pub(crate) fn says(&self, part: &str) {
        until(part, || {
            fs::read_to_string(&self.stderr).is_ok_and(|log| log.contains(part))
        });
    }

    pub(crate) fn wait(mut self) -> Done {
        let mut status = None;
        until("the step ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let status = status.unwrap();
        assert_eq!(status.signal(), None, "the entrypoint itself was killed");
        let message = fs::read_to_string(&self.flags.termination_path).unwrap_or_default();
        let said = fs::read_to_string(&self.stderr).unwrap();
        Done {
            exit: status.code().unwrap(),
            stdout: fs::read_to_string(&self.stdout).unwrap(),
            log: said.replace("\\\"", "\""),
            said,
            entries: decode(&message).unwrap(),
            flags: self.flags.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        if std::thread::panicking() {
            let _ = self.child.kill();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    /// With the sentences' quotation marks as they were.
    pub(crate) log: String,
    /// As it is.
    pub(crate) said: String,
    pub(crate) entries: Vec<Entry>,
    pub(crate) flags: StepFlags,
}

impl Done {
    /// Whether the next step may run; there is always exactly one marker.
    pub(crate) fn released(&self) -> bool {
        let out = Path::new(&self.flags.post_file).exists();
        let err = Path::new(&format!("{}.err", self.flags.post_file)).exists();
        assert_ne!(out, err, "one marker: {self:#?}");
        out
    }

    pub(crate) fn exit_code_file(&self) -> Option<String> {
        fs::read_to_string(Path::new(&self.flags.step_metadata_dir).join("exitCode")).ok()
    }

    pub(crate) fn internal(&self, key: &str) -> Option<&str> {
        self.value(Kind::Internal, key)
    }

    pub(crate) fn value(&self, kind: Kind, key: &str) -> Option<&str> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.kind == kind && entry.key == key)?;
        Some(&entry.value)
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.internal(key::REASON)
    }
}

/// Whether a process is there, a zombie not counted.
pub(crate) fn runs(pid: i32) -> bool {
    state(pid).is_some_and(|(state, _)| state != 'Z')
}

/// A process's state letter and its parent.
pub(crate) fn state(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
