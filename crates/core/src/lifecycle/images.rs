//! Runs that wait for what registries say of their images.

use std::time::Duration;

use super::{Gathered, Plan};
use crate::{condition, reason::Reason};

/// Registries that do not answer hold the run up, for as long as it may be without a Pod.
pub(super) fn wait(gathered: &Gathered<'_>, plan: &mut Plan, why: &str, again_in: Duration) {
    let Gathered { run, config, now, .. } = *gathered;
    let limit = config.defaults.pending_timeout;
    let started = plan.status.start_time.as_ref().map_or(now, |started| started.0);
    let waited = Duration::try_from(now.duration_since(started)).unwrap_or_default();
    let left = limit.to_std().saturating_sub(waited);
    if !limit.is_zero() && left.is_zero() {
        let message = format!(
            "TaskRun \"{}\" failed to get its Pod within \"{limit}\": what images run is not known: {why}",
            run.name()
        );
        return condition::failed(&mut plan.status, Reason::TaskRunTimeout, message, now);
    }
    plan.requeue = Some(if limit.is_zero() {
        again_in
    } else {
        again_in.min(left)
    });
    let message = format!("what images run is not known yet: {why}");
    condition::ongoing(&mut plan.status, Reason::Pending, message, now);
}
