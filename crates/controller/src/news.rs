//! What the cluster's programs warn of about Pods that wait in silence. Reads events.
//!
//! The API server keeps events in no cache: a list of those of one Pod reads all of its namespace. When a
//! cluster has more to do than it can, thousands of Pods wait, and a list for each would finish it off.
//! So one list serves all Pods of a namespace, one list is under way at a time, and between two of a
//! namespace is ten times the time that the last one took. Whoever comes meanwhile gets what is known, and
//! asks again a minute later.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tektite_core::pod_view::PodView;
use tokio::time::{Instant, timeout};

use crate::{cache::Key, cluster::TIME_LIMIT, context::Context};

/// How long a list is good.
const FRESH: Duration = Duration::from_secs(10);
/// When a list is of no use even where there is no newer.
const USELESS: Duration = Duration::from_mins(5);
/// So many times the time that a list took is there before the next one.
const REST: u32 = 10;

/// The last warnings about our Pods, by namespace.
#[derive(Debug, Default)]
pub struct News {
    /// Whoever lists has it.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    rest_until: Instant,
    /// By the Pod's UID.
    warnings: HashMap<String, String>,
}

impl News {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a list is of use now.
    fn wants_list(&self, namespace: &str) -> bool {
        let all = self.lock();
        all.get(namespace)
            .is_none_or(|known| known.since.elapsed() >= FRESH && Instant::now() >= known.rest_until)
    }

    fn warning(&self, pod: &PodView) -> Option<String> {
        let all = self.lock();
        let known = all.get(pod.namespace())?;
        let warning = known.warnings.get(pod.uid());
        warning.filter(|_| known.since.elapsed() < USELESS).cloned()
    }

    fn keep(&self, namespace: &str, begun: Instant, answer: Option<HashMap<String, String>>) {
        let now = Instant::now();
        let rest_until = now + (now - begun) * REST;
        let mut all = self.lock();
        all.retain(|_, known| known.since.elapsed() < USELESS || known.rest_until > now);
        match (all.get_mut(namespace), answer) {
            (Some(known), None) => known.rest_until = rest_until,
            (_, answer) => {
                let known = Known {
                    since: begun,
                    rest_until,
                    warnings: answer.unwrap_or_default(),
                };
                all.insert(namespace.to_owned(), known);
            }
        }
    }
}

/// The last warning about `pod`, as far as it is known or can be known now.
pub async fn about(context: &Context, pod: &PodView) -> Option<String> {
    let (news, namespace) = (&context.news, pod.namespace());
    if news.wants_list(namespace)
        && let Ok(_turn) = news.turn.try_lock()
    {
        let begun = Instant::now();
        news.keep(namespace, begun, list(context, namespace).await);
    }
    news.warning(pod)
}

/// The last warning about each of our Pods. It only explains: the decision does without.
async fn list(context: &Context, namespace: &str) -> Option<HashMap<String, String>> {
    let ours = |name: &str, uid: &str| {
        let known = context.pods.get(&Key::new(namespace, name));
        known.is_some_and(|pod| pod.uid() == uid)
    };
    // All pages together take no longer than any other request.
    match timeout(TIME_LIMIT, context.cluster.pod_warnings(namespace, ours)).await {
        Ok(Ok(warnings)) => Some(warnings),
        Ok(Err(error)) => {
            tracing::debug!(%error, "events not read");
            None
        }
        Err(_elapsed) => {
            tracing::debug!(namespace, "events not read: too many");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{TestContext, context, pod_of, run};

    fn warning(uid: &str, name: &str, when: &str, message: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "n"},
            "type": "Warning", "reason": "FailedMount", "message": message, "lastTimestamp": when,
            "involvedObject": {"kind": "Pod", "name": name, "uid": uid},
        })
    }

    #[tokio::test(start_paused = true)]
    async fn one_list_serves_all_pods_of_a_namespace() {
        let TestContext {
            context, mut server, ..
        } = context();
        let pods = ["a", "b", "c"].map(|name| {
            let mut pod = pod_of(&run(name));
            pod.metadata.uid = Some(format!("uid-{name}"));
            context.pods.assume(pod.clone(), None);
            pod
        });
        let name = |index: usize| pods[index].name();
        let items = [
            warning("uid-a", name(0), "2026-01-01T00:00:02Z", "the last"),
            warning("uid-a", name(0), "2026-01-01T00:00:01Z", "the first"),
            warning("uid-b", name(1), "2026-01-01T00:00:01Z", "of another"),
            warning("uid-old", name(2), "2026-01-01T00:00:01Z", "of the one before"),
            warning("uid-x", "x", "2026-01-01T00:00:01Z", "of none of ours"),
        ];
        let list = json!({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": items});
        let namespace = pods[0].namespace();
        let path = format!("/api/v1/namespaces/{namespace}/events");
        let (first, _asked) = tokio::join!(about(&context, &pods[0]), async {
            server.expect(Method::GET, &path).await.with(&list)
        });
        assert_eq!(first.as_deref(), Some("FailedMount: the last"));
        let others = tokio::join!(about(&context, &pods[1]), about(&context, &pods[2]));
        assert_eq!(others, (Some("FailedMount: of another".to_owned()), None));
        server.expect_nothing().await;
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_list_there_is_a_rest() {
        let TestContext {
            context, mut server, ..
        } = context();
        let pod = pod_of(&run("a"));
        let path = format!("/api/v1/namespaces/{}/events", pod.namespace());
        let (none, ()) = tokio::join!(about(&context, &pod), async {
            let asked = server.expect(Method::GET, &path).await;
            tokio::time::advance(Duration::from_millis(100)).await;
            asked.refuse(500, "InternalError");
        });
        assert_eq!((none, about(&context, &pod).await), (None, None));
        assert!(!context.news.wants_list(pod.namespace()));
        server.expect_nothing().await;
    }
}
