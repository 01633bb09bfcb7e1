//! What others add to our Pods, such as a service mesh's proxy: asked of the API server, which makes the
//! Pod without storing it, and remembered for a while.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Container, Pod};
use serde::Deserialize;
use tektite_core::sidecars::Foreign;
use tokio::time::Instant;

use crate::{cluster::Cluster, error::Error};

/// How long an answer holds. Webhooks and the labels of namespaces change, and nobody tells us.
const HOLDS: Duration = Duration::from_mins(1);
/// How long it counts that there was no answer.
const DARK: Duration = Duration::from_secs(1);
/// How many answers are kept.
const MOST: usize = 10_000;
/// Labels and annotations below these domains say which run it is, and nothing to those who inject.
const OURS: [&str; 2] = ["tekton.dev", "tektite.dev"];

/// The names of a Pod's containers: all that is read of an answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodNames {
    spec: Names,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Names {
    containers: Vec<Name>,
    init_containers: Vec<Name>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Name {
    name: String,
}

/// A namespace, and what injection can depend on in a Pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Shape {
    namespace: String,
    digest: u64,
}

/// What is known of a shape.
#[derive(Debug, Default)]
struct Known {
    /// Until when which answer holds.
    answer: Option<(Foreign, Instant)>,
    /// Held by whoever asks: the first runs of a namespace often come together, and one question is enough.
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Known {
    fn holds(&self, now: Instant) -> Option<Foreign> {
        let answer = self.answer.filter(|(_, until)| now < *until);
        answer.map(|(foreign, _)| foreign)
    }
}

/// The answers so far.
#[derive(Debug, Default)]
pub struct Injected {
    known: Mutex<HashMap<Shape, Known>>,
}

impl Injected {
    /// What others add to `pod`. That is not known where the API server does not say, for instance
    /// because a webhook takes no part in requests that shall change nothing.
    pub async fn into_pod(&self, cluster: &Cluster, namespace: &str, pod: &Pod) -> Foreign {
        let shape = shape(namespace, pod);
        let asking = {
            let mut all = self.lock();
            let now = Instant::now();
            if all.len() >= MOST && !all.contains_key(&shape) {
                // All at once: to look through all of them for each new one would take longer than asking.
                all.retain(|_, known| Arc::strong_count(&known.asking) > 1);
            }
            let known = all.entry(shape.clone()).or_default();
            if let Some(foreign) = known.holds(now) {
                return foreign;
            }
            Arc::clone(&known.asking)
        };
        let _asks = asking.lock().await;
        let answered = self
            .lock()
            .get(&shape)
            .and_then(|known| known.holds(Instant::now()));
        if let Some(foreign) = answered {
            return foreign;
        }
        let (foreign, holds) = match cluster.try_pod(namespace, pod).await {
            Ok(made) => (added(pod, &made), HOLDS),
            Err(error) if refuses_dry_run(&error) => (Foreign::Unknown, HOLDS),
            Err(error) => {
                // Another Pod of this shape may have more luck.
                tracing::debug!(%error, namespace, "not known what others add to the Pod");
                (Foreign::Unknown, DARK)
            }
        };
        self.lock().entry(shape).or_default().answer = Some((foreign, Instant::now() + holds));
        foreign
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Shape, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A webhook with side effects: the API server refuses instead of calling it.
fn refuses_dry_run(error: &Error) -> bool {
    error.to_string().contains("does not support dry run")
}

/// What is in the answer and not in the question.
fn added(asked: &Pod, made: &PodNames) -> Foreign {
    let spec = asked.spec.as_ref();
    let ours = |containers: &[Container], name: &Name| {
        containers.iter().any(|container| container.name == name.name)
    };
    let ordinary = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let init = spec
        .and_then(|spec| spec.init_containers.as_deref())
        .unwrap_or_default();
    let count = |made: &[Name], known: &[Container]| made.iter().filter(|name| !ours(known, name)).count();
    Foreign::Added {
        ordinary: count(&made.spec.containers, ordinary),
        init: count(&made.spec.init_containers, init),
    }
}

/// Two Pods of one shape get the same. What differs from run to run is not in it: names, arguments,
/// environment, volumes.
fn shape(namespace: &str, pod: &Pod) -> Shape {
    let mut hasher = DefaultHasher::new();
    for entries in [&pod.metadata.labels, &pod.metadata.annotations] {
        for (key, value) in entries.iter().flatten().filter(|(key, _)| !is_ours(key)) {
            (key, value).hash(&mut hasher);
        }
        // Labels and annotations are not the same.
        0.hash(&mut hasher);
    }
    if let Some(spec) = &pod.spec {
        for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
            (&container.name, &container.image).hash(&mut hasher);
            format!("{:?} {:?}", container.ports, container.security_context).hash(&mut hasher);
        }
        (
            &spec.service_account_name,
            spec.host_network,
            &spec.runtime_class_name,
        )
            .hash(&mut hasher);
        (&spec.scheduler_name, &spec.node_selector).hash(&mut hasher);
        format!("{:?}", spec.security_context).hash(&mut hasher);
    }
    Shape {
        namespace: namespace.to_owned(),
        digest: hasher.finish(),
    }
}

fn is_ours(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    OURS.iter().any(|ours| {
        domain
            .strip_suffix(ours)
            .is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_not_ours_is_counted() {
        let asked = pod(
            json!({"spec": {"containers": [{"name": "step-a"}], "initContainers": [{"name": "prepare"}]}}),
        );
        for (made, ordinary, init) in [
            (json!({}), 0, 0),
            (
                json!({"spec": {"containers": [{"name": "proxy"}, {"name": "step-a"}],
                "initContainers": [{"name": "proxy-init"}, {"name": "prepare"}, {"name": "vault"}]}}),
                1,
                2,
            ),
        ] {
            let made: PodNames = serde_json::from_value(made).unwrap();
            assert_eq!(added(&asked, &made), Foreign::Added { ordinary, init });
        }
    }

    #[test]
    fn one_shape_for_runs_that_injection_cannot_tell_apart() {
        let like = |labels: Value, spec: Value| {
            pod(json!({"metadata": {"name": "x", "labels": labels}, "spec": spec}))
        };
        let spec = |argument: &str, image: &str| json!({"serviceAccountName": "a", "containers": [{"name": "s", "image": image, "args": [argument]}]});
        let one = shape(
            "n",
            &like(json!({"tekton.dev/taskRun": "a", "l": "v"}), spec("x", "i")),
        );
        for (namespace, labels, spec, same) in [
            (
                "n",
                json!({"tekton.dev/taskRun": "b", "triggers.tekton.dev/id": "7", "l": "v"}),
                spec("y", "i"),
                true,
            ),
            ("m", json!({"l": "v"}), spec("x", "i"), false),
            ("n", json!({"l": "w"}), spec("x", "i"), false),
            (
                "n",
                json!({"l": "v", "not-tekton.dev/x": "1"}),
                spec("x", "i"),
                false,
            ),
            ("n", json!({"l": "v"}), spec("x", "j"), false),
        ] {
            let other = shape(namespace, &like(labels.clone(), spec));
            assert_eq!(one == other, same, "{labels}");
        }
    }
}
