//! The few things that have no safe form: the process's own beginning, starting a child with a
//! signal mask of its own, signals that nix has no name for (real-time ones), and the exit status of
//! a child that died of one. All `unsafe` of the program is here.
#![allow(unsafe_code)]

mod namespaces;

use std::{
    ffi::{CStr, CString, OsStr, OsString, c_char, c_int},
    fs::OpenOptions,
    io,
    os::{
        fd::{AsRawFd as _, IntoRawFd as _},
        unix::{ffi::OsStrExt as _, process::CommandExt as _},
    },
    process::{Command, Stdio},
};

use nix::{
    errno::Errno,
    libc,
    sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal},
    unistd::{Pid, execv},
};

pub(crate) use namespaces::{Helper, leave_network, raise_loopback};

use crate::{cli, tee::Outputs};

/// Where the C library starts this program. It does what of the standard library's own start-up is
/// needed: SIGPIPE ignored (a child gets it back) and descriptors 0 to 2 in use.
///
/// # Safety
/// Only for the C library: `argv` are `count` C strings.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[cfg_attr(test, allow(dead_code))]
unsafe extern "C" fn main(count: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: no handler of ours runs; the disposition is only set to "ignore".
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    fill_standard_descriptors();
    let word = |index| {
        // SAFETY: `index` is below `count`, and the C library's strings live as long as the process.
        let word = unsafe { CStr::from_ptr(*argv.add(index)) };
        OsString::from(OsStr::from_bytes(word.to_bytes()))
    };
    let count = usize::try_from(count).unwrap_or(0);
    let program = if count == 0 { OsString::new() } else { word(0) };
    c_int::from(cli::run(&program, (1..count).map(word)))
}

/// With descriptor 2 closed, the next file to be opened would get the log's lines.
fn fill_standard_descriptors() {
    while let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        if null.as_raw_fd() > 2 {
            return;
        }
        // Stays open for the life of the process.
        let _ = null.into_raw_fd();
    }
}

/// Gives an environment variable another value, for the command to see.
pub(crate) fn set_variable(name: &OsStr, value: &str) {
    // SAFETY: this process has a single thread, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Starts `path` as the leader of a new process group, stdin `/dev/null`, and returns its id.
///
/// Not by the standard library's own `exec`: that is `execvp`, which with some C libraries gives a
/// file without `#!` line to `/bin/sh` and with others does not.
pub(crate) fn spawn(path: &CString, argv: &[CString], mask: SigSet, outputs: Outputs) -> io::Result<Pid> {
    let mut command = Command::new(path.to_string_lossy().as_ref());
    command.process_group(0).stdin(Stdio::null());
    command.stdout(outputs.stdout).stderr(outputs.stderr);
    let (path, argv) = (path.clone(), argv.to_vec());
    let start = move || {
        // The standard library resets SIGPIPE, but lets the child inherit a mask that is not empty.
        mask.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let Err(errno) = execv(&path, &argv);
        Err(errno.into())
    };
    // SAFETY: between fork and exec the closure makes two system calls. It allocates (nix builds the
    // argument vector), which is allowed here since this process has a single thread, so that no
    // lock can be held by a thread that the child lacks.
    let child = unsafe { command.pre_exec(start) }.spawn()?;
    i32::try_from(child.id())
        .map(Pid::from_raw)
        .map_err(io::Error::other)
}

/// Becomes `path`, with the signal mask `mask` and the container's own stdin; returns only where that fails.
pub(crate) fn become_program(path: &CString, argv: &[CString], mask: SigSet) -> Errno {
    // SAFETY: no handler of ours runs; the disposition is only set back to what programs expect.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    if let Err(errno) = mask.thread_swap_mask(SigmaskHow::SIG_SETMASK) {
        return errno;
    }
    let Err(errno) = execv(path, argv);
    errno
}

/// Sends signal `number` to every process of `group`; 0 only asks whether there is one.
pub(crate) fn signal_group(group: Pid, number: i32) -> Result<(), Errno> {
    // SAFETY: takes two integers and touches no memory of this process.
    Errno::result(unsafe { libc::killpg(group.as_raw(), number) }).map(drop)
}

/// Collects one child that has ended, direct or adopted, without waiting for one.
pub(crate) fn reap() -> Option<(Pid, Ended)> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for one integer and outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    if pid <= 0 {
        return None;
    }
    let ended = if libc::WIFSIGNALED(status) {
        Ended::Signal(libc::WTERMSIG(status))
    } else {
        Ended::Code(libc::WEXITSTATUS(status))
    };
    Some((Pid::from_raw(pid), ended))
}
