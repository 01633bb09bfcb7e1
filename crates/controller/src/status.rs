//! Writes to the run itself: metadata first, then the status, each only where it differs.
//!
//! Both carry the version that the decision was made on. A conflict says that it was made on an old
//! one: it is dropped, and made again on the new one.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tektite_api::{TaskRun, TaskRunStatus};
use tektite_core::lifecycle::Plan;

use crate::{context::Context, error::Error};

type Entries = BTreeMap<String, String>;

/// The entries of `want` that `have` lacks or has otherwise.
pub fn missing_entries<'a>(have: Option<&Entries>, want: &'a Entries) -> BTreeMap<&'a str, &'a str> {
    want.iter()
        .filter(|(key, value)| have.and_then(|have| have.get(*key)) != Some(*value))
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

/// Whether `run` has another status than `status`.
pub fn status_differs(run: &TaskRun, status: &TaskRunStatus) -> bool {
    match &run.status {
        Some(stored) => stored != status,
        None => *status != TaskRunStatus::default(),
    }
}

/// Writes the plan's metadata to `run`, and says what it is then.
///
/// # Errors
/// The write was refused.
pub async fn write_metadata(context: &Context, run: &TaskRun, plan: &Plan) -> Result<ObjectMeta, Error> {
    let metadata = run.metadata.clone();
    let labels = missing_entries(metadata.labels.as_ref(), &plan.labels);
    let annotations = missing_entries(metadata.annotations.as_ref(), &plan.annotations);
    if labels.is_empty() && annotations.is_empty() {
        return Ok(metadata);
    }
    let patched = context
        .cluster
        .patch_run(&metadata, &labels, &annotations)
        .await?;
    let now = patched.metadata.clone();
    context.runs.assume(patched, metadata.resource_version.as_deref());
    Ok(now)
}

/// Writes `status` to `run`, whose metadata is `metadata` by now.
///
/// # Errors
/// The write was refused.
pub async fn write_status(
    context: &Context,
    run: &TaskRun,
    metadata: &ObjectMeta,
    status: &TaskRunStatus,
) -> Result<(), Error> {
    let written = context.cluster.put_run_status(metadata, status).await?;
    context.runs.assume(written, metadata.resource_version.as_deref());
    let reason = |status: &TaskRunStatus| status.succeeded().map(|condition| condition.reason.clone());
    let before = run.status.as_ref().and_then(reason);
    let after = reason(status);
    if before != after {
        tracing::info!(
            before = before.as_deref().unwrap_or("none"),
            now = after.as_deref().unwrap_or("none"),
            "status"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;

    fn entries(pairs: &[(&str, &str)]) -> Entries {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn w53_only_what_differs() {
        let have = entries(&[("same", "1"), ("other", "1"), ("mine", "1")]);
        let want = entries(&[("same", "1"), ("other", "2"), ("new", "3")]);
        let missing = missing_entries(Some(&have), &want);
        assert_eq!(missing, [("new", "3"), ("other", "2")].into());
        assert!(missing_entries(Some(&have), &Entries::new()).is_empty());
        assert_eq!(missing_entries(None, &want).len(), 3);

        let mut run = run("r");
        let empty = TaskRunStatus::default();
        let named = TaskRunStatus {
            pod_name: "p".to_owned(),
            ..TaskRunStatus::default()
        };
        assert!(!status_differs(&run, &empty));
        assert!(status_differs(&run, &named));
        run.status = Some(named.clone());
        assert!(!status_differs(&run, &named));
        assert!(status_differs(&run, &empty));
    }
}
