//! Runs that wait for what registries say of their images.

use std::time::Duration;

use super::{Gathered, Plan};
use crate::{condition, reason::Reason};

/// Registries that do not answer hold the run up, for as long as it may wait for its first step.
pub(super) fn wait(gathered: &Gathered<'_>, plan: &mut Plan, why: &str, again_in: Duration) {
    plan.look_in(again_in);
    let message = format!("what images run is not known yet: {why}");
    condition::ongoing(&mut plan.status, Reason::Pending, message, gathered.now);
}
