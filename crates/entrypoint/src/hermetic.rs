//! Steps without a network: before the command starts, the whole step moves into a network namespace
//! that has nothing but a loopback, in a user namespace from which no way leads back (runtime.md 3.6).
//! Does I/O.
//!
//! The program itself moves, not its child: so no process of the container has the old network. Mounts and
//! process ids stay shared: a new PID namespace would make the command PID 1, which no signal ends.

use std::{env, fs, io};

use nix::unistd::{getegid, geteuid, getpid};
use tektite_protocol::env::{HERMETIC, HERMETIC_VALUE};

use crate::{
    log::Log,
    sys::{self, Helper},
};

/// Takes the network away, if the environment asks for it. The error is a sentence: a command that must not
/// have a network does not run with one.
pub(crate) fn enter(log: Log) -> Result<(), String> {
    if env::var(HERMETIC).as_deref() != Ok(HERMETIC_VALUE) {
        return Ok(());
    }
    isolate().map_err(|(action, error)| {
        format!(
            "this step has to run without a network, but {action} failed ({error}): the node must allow user \
             namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone), and the seccomp profile of \
             the step must be Unconfined or allow them"
        )
    })?;
    match sys::raise_loopback() {
        Ok(()) => log.info(format_args!("hermetic: there is no network but 127.0.0.1")),
        Err(error) => log.info(format_args!(
            "hermetic: there is no network, and no 127.0.0.1: {error}"
        )),
    }
    Ok(())
}

type Failure = (&'static str, io::Error);

fn isolate() -> Result<(), Failure> {
    let (process, uid, gid) = (getpid(), geteuid(), getegid());
    // All ids stay what they are. Only a process that stays behind may say so for more than one.
    let (uids, gids) = (same("/proc/self/uid_map"), same("/proc/self/gid_map"));
    let write = move || {
        let file = |name: &str| format!("/proc/{process}/{name}");
        fs::write(file("uid_map"), &uids).and_then(|()| fs::write(file("gid_map"), &gids))
    };
    let helper = if uid.is_root() {
        Some(Helper::start(write).map_err(|error| ("starting a helper", error))?)
    } else {
        None
    };
    sys::leave_network().map_err(|error| ("making the namespaces", error))?;
    if helper.is_some_and(Helper::succeeds) {
        return Ok(());
    }
    // A process without privileges keeps its own ids, and cannot take others.
    fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("{uid} {uid} 1\n")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("{gid} {gid} 1\n")))
        .map_err(|error| ("keeping the user's id", error))
}

/// A map of this process's namespace onto itself.
fn same(path: &str) -> String {
    let map = fs::read_to_string(path).unwrap_or_default();
    let lines = map.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (first, count) = (fields.next()?, fields.nth(1)?);
        Some(format!("{first} {first} {count}\n"))
    });
    lines.collect()
}
