//! The controller: what `tektite-core` decides, done to a cluster.
//!
//! One TaskRun's way through it, left to right; only modules marked * talk to the API server:
//!
//! ```text
//! watch* ─→ cache ─→ queue ─→ worker ─→ reconcile ─→ gather* ─→ (core: plan) ─→ apply* ─→ status*
//! ```
//!
//! Every request of a reconcile goes through [`cluster`], so that none is without a time limit and
//! none is uncounted.

pub mod account;
pub mod admin;
pub mod apply;
pub mod args;
pub mod cache;
pub mod client;
pub mod cloud_events;
pub mod cluster;
pub mod config_watch;
pub mod context;
pub mod decode;
pub mod error;
pub mod events;
pub mod gather;
pub mod injected;
pub mod known;
pub mod lease;
pub mod log_reads;
pub mod logging;
pub mod measure;
pub mod metrics;
pub mod news;
pub mod nodes;
pub mod pace;
pub mod queue;
pub mod readiness;
pub mod reconcile;
pub mod refusal;
pub mod registry;
pub mod retention;
pub mod room;
pub mod run;
pub mod status;
#[cfg(feature = "otel")]
pub mod traces;
pub mod trigger;
pub mod watch;
pub mod worker;

#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod testing;
