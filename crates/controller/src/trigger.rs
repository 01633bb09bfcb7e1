//! Which changes are reason enough to look at a TaskRun. No I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tektite_api::{TaskRun, labels};
use tektite_core::pod_view::PodView;

use crate::cache::{Change, Key};

/// Whether `run` is ours: another controller may have been asked for.
pub fn is_ours(managed_by: Option<&str>) -> bool {
    managed_by.is_none_or(|name| name == labels::MANAGED_BY_TEKTON)
}

/// Whether the change of a TaskRun is worth a look. Our own status writes never come here: the
/// cache knows them before the watch does.
pub fn run_matters(change: &Change<TaskRun>) -> bool {
    let Some(after) = &change.after else {
        // Its Pod goes with it, by its owner reference.
        return false;
    };
    if !is_ours(after.spec.managed_by.as_deref()) {
        return false;
    }
    let Some(before) = &change.before else {
        return true;
    };
    metadata_matters(&before.metadata, &after.metadata) || before.status != after.status
}

/// The TaskRun that a change of a Pod concerns.
pub fn run_of_pod(change: &Change<PodView>) -> Option<Key> {
    let pod = change.after.as_ref().or(change.before.as_ref())?;
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| {
        owner.controller == Some(true)
            && owner.kind == "TaskRun"
            && owner.api_version.split('/').next() == Some(tektite_api::GROUP)
    })?;
    Some(Key::new(change.key.namespace.as_str(), owner.name.as_str()))
}

/// Whether the change of a Pod is worth a look at its TaskRun.
pub fn pod_matters(change: &Change<PodView>) -> bool {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            metadata_matters(&before.metadata, &after.metadata) || before.status != after.status
        }
        _ => true,
    }
}

fn metadata_matters(before: &ObjectMeta, after: &ObjectMeta) -> bool {
    before.uid != after.uid
        || before.generation != after.generation
        || before.deletion_timestamp != after.deletion_timestamp
        || before.labels != after.labels
        || before.annotations != after.annotations
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::{pod_of, run};
    use k8s_openapi::{api::core::v1::PodStatus, apimachinery::pkg::apis::meta::v1::Time};
    use tektite_api::TaskRunStatus;

    fn change<T>(before: Option<T>, after: Option<T>) -> Change<T> {
        Change {
            key: Key::new("n", "r"),
            before: before.map(Arc::new),
            after: after.map(Arc::new),
        }
    }

    #[test]
    fn runs() {
        let changed = |alter: fn(&mut TaskRun)| {
            let mut after = run("r");
            after.metadata.resource_version = Some("2".to_owned());
            alter(&mut after);
            run_matters(&change(Some(run("r")), Some(after)))
        };
        assert!(run_matters(&change(None, Some(run("r")))));
        assert!(!run_matters(&change(Some(run("r")), None)));
        assert!(!changed(|_| {}), "a new version alone is nothing");
        assert!(!changed(
            |run| run.metadata.finalizers = Some(vec!["f".to_owned()])
        ));
        assert!(changed(|run| run.metadata.generation = Some(2)));
        assert!(changed(|run| run.metadata.uid = Some("other".to_owned())));
        assert!(changed(
            |run| run.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH))
        ));
        assert!(changed(
            |run| run.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into())
        ));
        assert!(changed(
            |run| run.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into())
        ));
        assert!(changed(|run| {
            run.status = Some(TaskRunStatus {
                pod_name: "somebody else's".to_owned(),
                ..TaskRunStatus::default()
            });
        }));
        assert!(!changed(|run| {
            run.metadata.generation = Some(2);
            run.spec.managed_by = Some("example.com/other".to_owned());
        }));
        assert!(changed(|run| {
            run.metadata.generation = Some(2);
            run.spec.managed_by = Some("tekton.dev/pipeline".to_owned());
        }));
    }

    #[test]
    fn pods() {
        let pod = pod_of(&run("r"));
        assert_eq!(
            run_of_pod(&change(None, Some(pod.clone()))),
            Some(Key::new("n", "r"))
        );
        assert_eq!(
            run_of_pod(&change(Some(pod.clone()), None)),
            Some(Key::new("n", "r"))
        );
        let mut foreign = pod.clone();
        foreign.metadata.owner_references.as_mut().unwrap()[0].api_version = "batch/v1".to_owned();
        assert_eq!(run_of_pod(&change(None, Some(foreign))), None);

        let mut newer = pod.clone();
        newer.metadata.resource_version = Some("99".to_owned());
        assert!(!pod_matters(&change(Some(pod.clone()), Some(newer.clone()))));
        newer.status = PodStatus {
            phase: Some("Running".to_owned()),
            ..PodStatus::default()
        };
        assert!(pod_matters(&change(Some(pod.clone()), Some(newer))));
        assert!(pod_matters(&change(Some(pod), None)));
    }
}
