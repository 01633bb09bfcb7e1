//! Sidecars as the Pod shows them (runtime.md 5.10, 5.13, api.md 5.8).

use k8s_openapi::api::core::v1::ContainerStatus;
use tektite_api::status::SidecarState;
use tektite_api::{TaskSpec, labels};

use crate::{
    names,
    pod_view::{Phase, PodView},
    sidecars::ends_with_steps,
};

const PREFIX: &str = "sidecar-";

/// The states that the status shows: ordinary ones, then native ones.
pub fn states(pod: &PodView) -> Vec<SidecarState> {
    let all = pod.containers().iter().chain(pod.init_containers());
    all.filter_map(|container| {
        let name = container.name.strip_prefix(PREFIX)?.to_owned();
        let state = container.state.clone().unwrap_or_default();
        Some(SidecarState {
            waiting: state.waiting,
            running: state.running,
            terminated: state.terminated,
            name,
            container: container.name.clone(),
            image_id: container.image_id.clone(),
        })
    })
    .collect()
}

/// Whether `container` is one of the run's sidecars, or of those that others have added.
pub(super) fn is_beside(container: &ContainerStatus) -> bool {
    container.name.starts_with(PREFIX)
}

/// What runs beside the steps of a Pod whose steps have all ended, so that it does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing that would keep the Pod.
    Nothing,
    /// The run's own ordinary sidecars, which the entrypoint stops.
    Stopping,
    /// Containers that nobody tells: of others, and sidecars that the entrypoint does not run.
    Untold,
}

fn is_step(container: &ContainerStatus) -> bool {
    container.name.starts_with("step-")
}

/// Whether the container ends by itself when the steps have; so do all that we put there.
fn is_told(spec: Option<&TaskSpec>, container: &ContainerStatus) -> bool {
    let mut sidecars = spec
        .map(|spec| spec.sidecars.as_slice())
        .unwrap_or_default()
        .iter();
    let own =
        sidecars.find(|sidecar| names::container(&format!("{PREFIX}{}", sidecar.name)) == container.name);
    is_beside(container) && own.is_none_or(ends_with_steps)
}

/// Looks for what keeps a Pod whose steps have ended.
pub fn left_running(spec: Option<&TaskSpec>, pod: &PodView) -> Left {
    let runs = |container: &&ContainerStatus| {
        container
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some())
    };
    let ended = |container: &ContainerStatus| {
        container
            .state
            .as_ref()
            .is_some_and(|state| state.terminated.is_some())
    };
    let containers = pod.containers();
    let mut steps = containers.iter().filter(|container| is_step(container));
    if pod.phase() != Phase::Running || pod.is_deleting() || !steps.all(ended) {
        return Left::Nothing;
    }
    let mut left = containers
        .iter()
        .filter(|container| !is_step(container))
        .filter(runs)
        .peekable();
    if left.peek().is_none() {
        Left::Nothing
    } else if left.all(|container| is_told(spec, container)) {
        Left::Stopping
    } else {
        Left::Untold
    }
}

/// Whether nothing goes on in a Pod any more, whatever becomes of its phase.
pub fn is_quiet(pod: &PodView) -> bool {
    pod.is_over() && left_running(None, pod) == Left::Nothing
}

/// Whether the first step, which waits for the Pod's other containers, may begin: each of them is ready
/// or has ended. Init containers have had their turn.
pub fn is_ready(pod: &PodView) -> bool {
    let mut others = pod.containers().iter().filter(|container| !is_step(container));
    pod.phase() == Phase::Running && others.all(has_come)
}

/// What the first step waits for, where its container already runs.
pub(super) fn awaited(pod: &PodView) -> Option<String> {
    let others = pod.containers().iter().filter(|container| !is_step(container));
    let unready: Vec<&str> = others
        .filter(|container| !has_come(container))
        .map(|container| container.name.as_str())
        .collect();
    (awaits_readiness(pod) && !unready.is_empty()).then(|| unready.join(", "))
}

/// Whether a container beside the steps is ready, or has ended.
fn has_come(container: &ContainerStatus) -> bool {
    container
        .state
        .as_ref()
        .is_some_and(|state| state.terminated.is_some() || (state.running.is_some() && container.ready))
}

/// Whether the first step waits, and nobody has told it yet.
pub fn awaits_readiness(pod: &PodView) -> bool {
    pod.annotation(labels::READY) != Some(labels::READY_VALUE)
}

/// Whether what becomes of sidecars does not matter any more: the first step has been let go.
pub(super) fn steps_have_begun(pod: &PodView) -> bool {
    !awaits_readiness(pod) && pod.has_run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn container(name: &str, ready: bool, state: Value) -> Value {
        json!({"name": name, "image": "i", "imageID": "id", "ready": ready, "restartCount": 0, "state": state})
    }

    fn pod(phase: &str, containers: Value, init: Value) -> PodView {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status":
            {"phase": phase, "containerStatuses": containers, "initContainerStatuses": init}}))
        .unwrap()
    }

    #[test]
    fn ordinary_ones_come_before_native_ones() {
        let running = json!({"running": {}});
        let pod = pod(
            "Running",
            json!([
                container("step-a", true, running.clone()),
                container("sidecar-b", true, running.clone()),
                container("proxy", true, running.clone()),
            ]),
            json!([
                container("prepare", false, json!({"terminated": {"exitCode": 0}})),
                container("sidecar-a", true, running),
            ]),
        );
        let names: Vec<String> = states(&pod).into_iter().map(|state| state.name).collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn what_keeps_a_pod() {
        let ended = || json!({"terminated": {"exitCode": 0}});
        let runs = || json!({"running": {}});
        let spec: TaskSpec = serde_json::from_value(json!({"steps": [], "sidecars": [
            {"name": "a", "image": "i", "command": ["c"]}, {"name": "image", "image": "i"},
            {"name": "stdin", "image": "i", "script": "x", "stdin": true},
        ]}))
        .unwrap();
        for (phase, step, others, expected) in [
            ("Running", ended(), vec![], Left::Nothing),
            ("Running", ended(), vec![("sidecar-a", ended())], Left::Nothing),
            ("Running", ended(), vec![("sidecar-a", runs())], Left::Stopping),
            (
                "Running",
                ended(),
                vec![("sidecar-a", runs()), ("proxy", runs())],
                Left::Untold,
            ),
            ("Running", ended(), vec![("sidecar-image", runs())], Left::Untold),
            ("Running", ended(), vec![("sidecar-stdin", runs())], Left::Untold),
            (
                "Running",
                ended(),
                vec![("sidecar-tekton-log-results", runs())],
                Left::Stopping,
            ),
            ("Running", runs(), vec![("proxy", runs())], Left::Nothing),
            ("Succeeded", ended(), vec![("proxy", runs())], Left::Nothing),
        ] {
            let mut all = vec![container("step-a", false, step)];
            all.extend(
                others
                    .iter()
                    .map(|(name, state)| container(name, true, state.clone())),
            );
            assert_eq!(
                left_running(Some(&spec), &pod(phase, json!(all), json!([]))),
                expected,
                "{others:?}"
            );
        }
    }

    #[test]
    fn who_is_ready() {
        for (phase, ready, state, expected) in [
            ("Running", true, json!({"running": {}}), true),
            ("Running", false, json!({"running": {}}), false),
            ("Running", false, json!({"terminated": {"exitCode": 1}}), true),
            ("Running", false, json!({"waiting": {}}), false),
            ("Pending", true, json!({"running": {}}), false),
        ] {
            let all = json!([
                container("step-a", true, json!({"running": {}})),
                container("proxy", ready, state),
            ]);
            let pod = pod(phase, all, json!([]));
            assert_eq!(is_ready(&pod), expected);
            let waits = phase == "Running" && !expected;
            assert_eq!(awaited(&pod).is_some(), waits);
        }
    }
}
