//! Which changes are reason enough to look at a TaskRun. No I/O.

use k8s_openapi::{
    api::core::v1::{ContainerState, ContainerStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use tektite_api::labels;
use tektite_core::{
    observe,
    pod_view::{Phase, PodView},
};

use crate::{
    cache::{Change, Key},
    known::KnownRun,
    queue::Urgency,
};

/// Whose runs are ours, by their `spec.managedBy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagedBy {
    /// Those that are meant for Tekton, whose place we take.
    Tekton,
    /// Those that name this, beside a Tekton that is there.
    Name(String),
}

impl From<&str> for ManagedBy {
    fn from(name: &str) -> Self {
        match name {
            "" | labels::MANAGED_BY_TEKTON => Self::Tekton,
            name => Self::Name(name.to_owned()),
        }
    }
}

impl ManagedBy {
    /// Whether a run with this `spec.managedBy` is ours.
    pub fn is_ours(&self, managed_by: Option<&str>) -> bool {
        match self {
            Self::Tekton => managed_by.is_none_or(|name| name == labels::MANAGED_BY_TEKTON),
            Self::Name(ours) => managed_by == Some(ours),
        }
    }
}

/// Whether the change of a TaskRun is worth a look. Our own status writes never come here: the
/// cache knows them before the watch does.
pub fn run_matters(change: &Change<KnownRun>) -> bool {
    let Some(after) = &change.after else {
        // Its Pod goes with it, by its owner reference.
        return false;
    };
    let Some(before) = &change.before else {
        return true;
    };
    match (&**before, &**after) {
        (KnownRun::Live(before), KnownRun::Live(after)) => {
            metadata_matters(&before.metadata, &after.metadata) || before.status != after.status
        }
        (KnownRun::Over(before), KnownRun::Over(after)) => before.differs(after),
        _ => true,
    }
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

/// How soon the run of a Pod that has changed wants its look. Where much is to be done at once, how far a
/// run has got is told after new runs have their Pods, and often its end is there by then.
pub fn urgency(pod: Option<&PodView>) -> Urgency {
    match pod {
        Some(pod) if goes_on(pod) => Urgency::Soon,
        _ => Urgency::Now,
    }
}

fn states(containers: &[ContainerStatus]) -> impl Iterator<Item = &ContainerState> {
    containers.iter().filter_map(|container| container.state.as_ref())
}

/// Whether nothing is to be done about the run of the Pod but to say how far it has got.
fn goes_on(pod: &PodView) -> bool {
    // What a container that says why waits for may never come.
    let tells = |state: &ContainerState| {
        let message = state
            .waiting
            .as_ref()
            .and_then(|waiting| waiting.message.as_deref());
        message.is_some_and(|message| !message.is_empty())
    };
    !pod.is_deleting()
        && matches!(pod.phase(), Phase::Pending | Phase::Running)
        // Until then its first step waits for us.
        && !observe::awaits_readiness(pod)
        && !states(pod.init_containers()).chain(states(pod.containers())).any(tells)
        && states(pod.containers()).all(|state| state.terminated.is_none())
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
    use crate::testing::{over, pod_of, run};
    use k8s_openapi::{api::core::v1::PodStatus, apimachinery::pkg::apis::meta::v1::Time};
    use serde_json::{Value, json};
    use tektite_api::{TaskRun, TaskRunStatus};

    fn change<T>(before: Option<T>, after: Option<T>) -> Change<T> {
        Change {
            key: Key::new("n", "r"),
            before: before.map(Arc::new),
            after: after.map(Arc::new),
        }
    }

    #[test]
    fn how_soon() {
        let waiting = |message: &str| json!({"waiting": {"reason": "ErrImagePull", "message": message}});
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        let terminated = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        let ready = Some(labels::READY_VALUE);
        for (phase, annotation, init, step, expected) in [
            ("Pending", ready, &running, &waiting(""), Urgency::Soon),
            ("Running", ready, &terminated, &running, Urgency::Soon),
            ("Running", None, &terminated, &running, Urgency::Now),
            ("Running", Some(""), &terminated, &running, Urgency::Now),
            (
                "Pending",
                ready,
                &running,
                &waiting("no such image"),
                Urgency::Now,
            ),
            (
                "Pending",
                ready,
                &waiting("no such image"),
                &waiting(""),
                Urgency::Now,
            ),
            ("Running", ready, &terminated, &terminated, Urgency::Now),
            ("Succeeded", ready, &terminated, &terminated, Urgency::Now),
            ("Failed", ready, &running, &waiting(""), Urgency::Now),
        ] {
            let container = |name: &str, state: &Value| json!({"name": name, "state": state, "image": "i", "imageID": "", "ready": false, "restartCount": 0});
            let mut pod: PodView = serde_json::from_value(json!({
                "metadata": {"name": "p"},
                "status": {"phase": phase, "initContainerStatuses": [container("prepare", init)],
                    "containerStatuses": [container("step-s", step)]},
            }))
            .unwrap();
            pod.metadata.annotations =
                annotation.map(|value| [(labels::READY.to_owned(), value.to_owned())].into());
            assert_eq!(
                urgency(Some(&pod)),
                expected,
                "{phase} {annotation:?} {init} {step}"
            );
            pod.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
            assert_eq!(urgency(Some(&pod)), Urgency::Now, "on its way out");
        }
        assert_eq!(urgency(None), Urgency::Now);
    }

    #[test]
    fn runs() {
        let changed = |alter: fn(&mut TaskRun)| {
            let mut after = run("r");
            after.metadata.resource_version = Some("2".to_owned());
            alter(&mut after);
            run_matters(&change(Some(run("r").into()), Some(after.into())))
        };
        assert!(run_matters(&change(None, Some(run("r").into()))));
        assert!(!run_matters(&change(Some(run("r").into()), None)));
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
        assert!(changed(|run| run.status = Some(over())), "it has ended");
        let ended = |alter: fn(&mut TaskRun)| {
            let mut before = run("r");
            before.status = Some(over());
            let mut after = before.clone();
            after.metadata.resource_version = Some("2".to_owned());
            alter(&mut after);
            run_matters(&change(Some(before.into()), Some(after.into())))
        };
        assert!(!ended(|_| {}));
        assert!(!ended(
            |run| run.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into())
        ));
        assert!(ended(|run| run.metadata.annotations = Some(
            [(labels::TTL_AFTER_FINISHED.to_owned(), "5".to_owned())].into()
        )));
        assert!(ended(|run| run.status = None), "somebody has it run again");
    }

    #[test]
    fn whose_runs() {
        for (settings, managed_by, ours) in [
            ("", None, true),
            ("", Some("tekton.dev/pipeline"), true),
            ("", Some("tektite.dev/controller"), false),
            ("tekton.dev/pipeline", None, true),
            (labels::MANAGED_BY_US, None, false),
            (labels::MANAGED_BY_US, Some("tekton.dev/pipeline"), false),
            (labels::MANAGED_BY_US, Some("tektite.dev/controller"), true),
        ] {
            let settings = ManagedBy::from(settings);
            assert_eq!(settings.is_ours(managed_by), ours, "{settings:?} {managed_by:?}");
        }
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
