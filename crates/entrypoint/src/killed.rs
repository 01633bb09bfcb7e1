//! Who killed the command, or what it ran, as far as that can be known. Does I/O.

use std::fs;

use nix::{libc::SIGKILL, sys::signal::Signal};

use crate::events::{Arrived, signal_name};

/// Where the kernel counts what happens to this container's memory.
const MEMORY_EVENTS: &str = "/sys/fs/cgroup/memory.events";
const MEMORY_LIMIT: &str = "/sys/fs/cgroup/memory.max";
/// What shells add to a signal's number.
const SHELL_SIGNAL: i32 = 128;

/// Behind "killed by SIGKILL": by whom. `passed_on` is what the entrypoint passed on to the command last.
pub(crate) fn by_signal(number: i32, passed_on: Option<Arrived>) -> String {
    if let Some(Arrived { number: sent, from }) = passed_on
        && sent == number
    {
        return format!("; it came {from}");
    }
    if number == SIGKILL {
        return out_of_memory(&read(MEMORY_EVENTS), &read(MEMORY_LIMIT)).unwrap_or_else(|| {
            "; if nobody in the container sent it, the node was most likely short of memory".to_owned()
        });
    }
    match Signal::try_from(number) {
        Ok(Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGILL | Signal::SIGFPE | Signal::SIGABRT) => {
            "; the program crashed".to_owned()
        }
        _ => "; something in the container sent it".to_owned(),
    }
}

/// Behind "exited with code 137": what shells mean by it; nothing of a code that only the command can
/// explain.
pub(crate) fn by_code(code: i32) -> String {
    match code {
        126 => "; shells mean by it a file that may not be executed".to_owned(),
        127 => "; shells mean by it a command that they did not find".to_owned(),
        _ => {
            let number = code - SHELL_SIGNAL;
            if Signal::try_from(number).is_err() {
                return String::new();
            }
            let memory = if number == SIGKILL {
                out_of_memory(&read(MEMORY_EVENTS), &read(MEMORY_LIMIT))
            } else {
                None
            };
            let name = signal_name(number);
            let memory = memory.unwrap_or_default();
            format!("; shells mean by it a program that {name} killed{memory}")
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What the kernel's files say, where it has killed something for lack of memory.
fn out_of_memory(events: &str, limit: &str) -> Option<String> {
    let mut lines = events.lines();
    let count = lines.find_map(|line| line.strip_prefix("oom_kill "))?;
    let kills: u64 = count.trim().parse().ok()?;
    if kills == 0 {
        return None;
    }
    let limit = match limit.trim().parse::<u64>() {
        Ok(bytes) => format!(
            "the container's memory limit of {} MiB: raise computeResources.limits.memory",
            bytes >> 20
        ),
        Err(_) => "the node's memory: set computeResources.requests.memory".to_owned(),
    };
    Some(format!(
        "; the kernel did it, since the step needed more than {limit}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Sender;

    #[test]
    fn who_did_it() {
        let passed_on = |number, from| Some(Arrived { number, from });
        for (number, passed_on, part) in [
            (
                15,
                passed_on(15, Sender::Outside),
                "it came from outside the container",
            ),
            (
                15,
                passed_on(15, Sender::Process(7)),
                "from process 7 of the container",
            ),
            (
                15,
                passed_on(1, Sender::Outside),
                "something in the container sent it",
            ),
            (11, None, "the program crashed"),
        ] {
            let text = by_signal(number, passed_on);
            assert!(text.contains(part), "{text}");
        }
        for (code, part) in [
            (3, ""),
            (126, "may not be executed"),
            (127, "did not find"),
            (139, "SIGSEGV"),
            (255, ""),
        ] {
            let text = by_code(code);
            assert!(
                text.contains(part) && text.is_empty() == part.is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn the_kernel_is_blamed_where_it_says_so() {
        let killed = "low 0\noom 1\noom_kill 1\n";
        for (events, limit, part) in [
            (killed, "67108864\n", "limit of 64 MiB"),
            (killed, "max\n", "the node's memory"),
            ("oom_kill 0\n", "67108864\n", ""),
            ("", "", ""),
        ] {
            let text = out_of_memory(events, limit).unwrap_or_default();
            assert!(
                text.contains(part) && text.is_empty() == part.is_empty(),
                "{text}"
            );
        }
    }
}
