//! The webhook: what `tektite-core` says about an object, said at admission.
//!
//! ```text
//! request ─→ listen* ─→ limits ─→ router ─→ admit (core: defaults, validate) ─→ answer
//!                                        └──→ convert (core: convert) ─────────→ answer
//! Secret* ─→ certs ─→ trust* ─→ TLS listener*, and caBundle of the configurations*
//! ConfigMaps* ─→ settings in force
//! Tasks*, StepActions* ─→ known ─→ references* (core: validate::pair) ─→ admit's judgement
//! ```
//!
//! Only modules marked * do I/O.

pub mod admin;
pub mod admit;
pub mod api;
pub mod args;
pub mod body;
pub mod bundle;
pub mod cert_store;
pub mod certs;
pub mod config_watch;
pub mod convert;
mod difference;
pub mod known;
pub mod limits;
pub mod lint;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod references;
pub mod review;
pub mod router;
pub mod run;
pub mod state;
#[cfg(test)]
mod testing;
pub mod trust;
pub mod verify;
