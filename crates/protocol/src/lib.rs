//! What the controller and the entrypoint say to each other.
//!
//! The controller writes a step's command line ([`flags`]) and reads its termination message
//! ([`termination`]); the entrypoint does the opposite. Both take the places of things from
//! [`paths`]. What a step decides by itself, it decides with [`cel`] and [`Content`]. Nothing here does I/O, and the entrypoint links this crate, so it stays small.
//!
//! Spec: runtime.md sections 1.4.3, 1.7.2, 3.2 and 3.9.

pub mod artifact;
pub mod breakpoint;
pub mod cel;
pub mod credentials;
pub mod env;
pub mod flags;
pub mod log;
pub mod log_results;
pub mod paths;
pub mod platform;
pub mod sidecar;
pub mod termination;

mod content;
mod go_bool;
mod go_duration;
mod packed;
mod when;

pub use content::Content;
pub use go_duration::{DurationError, GoDuration};
pub use when::When;
