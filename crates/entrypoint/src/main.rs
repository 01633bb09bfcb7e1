//! The program in every step container: it waits for its turn, runs the step's command, and tells
//! how it went through files (runtime.md section 3). Static, without threads, and PID 1 of its
//! container. With `init` it prepares a Pod instead, with `debug` it speaks to a paused step.
//!
//! What happens in which order is in [`step`]; everything else is named for what it owns. The
//! process begins in [`sys::main`].

// The standard library's start-up measures the stack to explain overflows, and in a static glibc
// that takes 140 KB: scanf, and with it every number parser. Tests start in their own way.
#![cfg_attr(not(test), no_main)]

mod alive;
mod artifacts;
mod base64;
mod breakpoint;
mod child;
mod cli;
mod clock;
mod credentials;
mod debug;
mod diagnose;
mod elf;
mod events;
mod files;
mod guard;
mod hermetic;
mod init;
mod killed;
mod layout;
mod log;
mod log_results;
mod message;
mod outcome;
mod program;
mod references;
mod results;
mod secrets;
mod sidecar;
mod step;
mod surroundings;
mod sys;
mod tee;
mod wait;
