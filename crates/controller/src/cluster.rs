//! Every request that we make besides watches: one method each, under a time limit, counted.
//!
//! What is not here, the controller's role need not allow.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod, Secret, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions},
    core::Request,
};
use serde_json::json;
use tektite_api::{StepAction, Task, TaskRun, TaskRunStatus};
use tektite_core::{account, pod_view::PodView, sidecars::Kubernetes};
use tektite_protocol::log_results::MAX_LOG_BYTES;

use crate::{
    cache::Key, decode::prune, error::Error, injected::PodNames, measure::Calls, metrics::Metrics,
    nodes::NodeView,
};

/// The name under which the API server notes our writes.
pub const MANAGER: &str = "tektite-controller";

/// How long any request may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
/// How long a log may take, which comes from a node, by way of the API server.
const LOG_TIME_LIMIT: Duration = Duration::from_secs(3);

/// How many events are read at once.
const EVENTS_AT_ONCE: u32 = 500;

/// The API server, for single requests.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    metrics: Metrics,
    limit: Duration,
}

impl Cluster {
    /// The API server that `client` reaches.
    pub const fn new(client: Client, metrics: Metrics, limit: Duration) -> Self {
        Self {
            client,
            metrics,
            limit,
        }
    }

    /// The client, for watches.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Reads a Task.
    ///
    /// # Errors
    /// Also that it does not exist.
    pub async fn get_task(&self, namespace: &str, name: &str) -> Result<Task, Error> {
        let tasks: Api<Task> = Api::namespaced(self.client(), namespace);
        self.call("get", "Task", tasks.get(name)).await
    }

    /// Reads a StepAction.
    ///
    /// # Errors
    /// Also that it does not exist.
    pub async fn get_step_action(&self, namespace: &str, name: &str) -> Result<StepAction, Error> {
        let actions: Api<StepAction> = Api::namespaced(self.client(), namespace);
        self.call("get", "StepAction", actions.get(name)).await
    }

    /// Reads a ServiceAccount.
    ///
    /// # Errors
    /// Also that it does not exist.
    pub async fn get_service_account(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<account::ServiceAccount, Error> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let account = self.call("get", "ServiceAccount", accounts.get(name)).await;
        account.map(Into::into)
    }

    /// Reads a Secret.
    ///
    /// # Errors
    /// Also that it does not exist.
    pub async fn get_secret(&self, namespace: &str, name: &str) -> Result<account::Secret, Error> {
        let secrets: Api<Secret> = Api::namespaced(self.client(), namespace);
        let secret = self.call("get", "Secret", secrets.get(name)).await;
        secret.map(Into::into)
    }

    /// Reads the data of a ConfigMap; none where it does not exist.
    ///
    /// # Errors
    /// It is not known what it holds.
    pub async fn get_config(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, String>, Error> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client(), namespace);
        let map = self.call("get", "ConfigMap", maps.get_opt(name)).await?;
        Ok(map.and_then(|map| map.data).unwrap_or_default())
    }

    /// Reads a Pod.
    ///
    /// # Errors
    /// Also that it does not exist.
    pub async fn get_pod(&self, namespace: &str, name: &str) -> Result<PodView, Error> {
        let pods: Api<PodView> = Api::namespaced(self.client(), namespace);
        let mut pod = self.call("get", "Pod", pods.get(name)).await?;
        prune(&mut pod.metadata);
        Ok(pod)
    }

    /// Reads what a container of a Pod has written. Waits neither for more nor, for long, for a node that
    /// does not answer: whoever waits takes a place from other runs.
    ///
    /// # Errors
    /// Also that there is no Pod, or that the container has not begun.
    pub async fn read_results_log(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
    ) -> Result<String, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let params = LogParams {
            container: Some(container.to_owned()),
            limit_bytes: i64::try_from(MAX_LOG_BYTES).ok(),
            ..LogParams::default()
        };
        let limit = self.limit.min(LOG_TIME_LIMIT);
        self.call_within(limit, "get", "Pod log", pods.logs(name, &params))
            .await
    }

    /// Creates a Pod.
    ///
    /// # Errors
    /// It is not known to exist afterwards.
    pub async fn create_pod(&self, namespace: &str, pod: &Pod) -> Result<PodView, Error> {
        let body = serialize("create", "Pod", pod)?;
        let request = Request::new(Pod::url_path(&(), Some(namespace)))
            .create(&post(), body)
            .map_err(|error| api_error("create", "Pod", kube::Error::BuildRequest(error)))?;
        // Read as the slim type: the spec, most of the answer, is what we have just sent.
        let answer = self.client.request::<PodView>(request);
        let mut pod = self.call("create", "Pod", answer).await?;
        prune(&mut pod.metadata);
        Ok(pod)
    }

    /// What would become of a Pod if it were created: nothing is.
    ///
    /// # Errors
    /// It would not be, or nobody can tell.
    pub async fn try_pod(&self, namespace: &str, pod: &Pod) -> Result<PodNames, Error> {
        let params = PostParams {
            dry_run: true,
            ..post()
        };
        let body = serialize("try", "Pod", pod)?;
        let request = Request::new(Pod::url_path(&(), Some(namespace)))
            .create(&params, body)
            .map_err(|error| api_error("try", "Pod", kube::Error::BuildRequest(error)))?;
        self.call("try", "Pod", self.client.request::<PodNames>(request))
            .await
    }

    /// Deletes the Pod with this UID.
    ///
    /// # Errors
    /// Also that there is none.
    pub async fn delete_pod(&self, namespace: &str, name: &str, uid: &str) -> Result<(), Error> {
        let pods: Api<PodView> = Api::namespaced(self.client(), namespace);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let answer = self.call("delete", "Pod", pods.delete(name, &params)).await;
        answer.map(|_either| ())
    }

    /// Adds annotations to a Pod.
    ///
    /// # Errors
    /// Also that there is none.
    pub async fn annotate_pod(
        &self,
        namespace: &str,
        name: &str,
        entries: &[(&'static str, String)],
    ) -> Result<(), Error> {
        let pods: Api<PodView> = Api::namespaced(self.client(), namespace);
        let entries: BTreeMap<&str, &str> = entries
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        let patch = Patch::Merge(json!({ "metadata": { "annotations": entries } }));
        let answer = self
            .call("patch", "Pod", pods.patch(name, &patch_params(), &patch))
            .await;
        answer.map(|_pod| ())
    }

    /// Has the kubelet stop what still runs in a Pod, without removing it: its time is over.
    ///
    /// # Errors
    /// Also that there is none.
    pub async fn end_pod(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let pods: Api<PodView> = Api::namespaced(self.client(), namespace);
        let patch = Patch::Merge(json!({ "spec": { "activeDeadlineSeconds": 1 } }));
        let answer = self
            .call("patch", "Pod", pods.patch(name, &patch_params(), &patch))
            .await;
        answer.map(|_pod| ())
    }

    /// What the cluster's own programs warn of about the Pods of a namespace whose name and UID are `wanted`:
    /// the last of it for each, by its UID.
    ///
    /// # Errors
    /// Also that we may not read events.
    pub async fn pod_warnings(
        &self,
        namespace: &str,
        wanted: impl Fn(&str, &str) -> bool,
    ) -> Result<HashMap<String, String>, Error> {
        let events: Api<Event> = Api::namespaced(self.client(), namespace);
        let mut params = ListParams::default()
            .fields("involvedObject.kind=Pod,type=Warning")
            .limit(EVENTS_AT_ONCE);
        let mut last = HashMap::<String, (Option<Timestamp>, String)>::new();
        loop {
            let page = self.call("list", "Event", events.list(&params)).await?;
            for event in page.items {
                let object = event.involved_object;
                let (name, uid) = (object.name.unwrap_or_default(), object.uid.unwrap_or_default());
                let seen = event.last_timestamp.as_ref().map(|time| time.0);
                let when = seen.or(event.event_time.as_ref().map(|time| time.0));
                if wanted(&name, &uid) && last.get(&uid).is_none_or(|(known, _)| *known <= when) {
                    let reason = event.reason.unwrap_or_default();
                    let text = format!("{reason}: {}", event.message.unwrap_or_default());
                    last.insert(uid, (when, text));
                }
            }
            match page.metadata.continue_.filter(|more| !more.is_empty()) {
                Some(more) => params = params.continue_token(&more),
                None => break,
            }
        }
        Ok(last.into_iter().map(|(uid, (_, text))| (uid, text)).collect())
    }

    /// What the API server's version means for sidecars.
    ///
    /// # Errors
    /// It is not known.
    pub async fn kubernetes(&self) -> Result<Kubernetes, Error> {
        let version = self
            .call("get", "Version", self.client.apiserver_version())
            .await?;
        Ok(Kubernetes::from_version(&version.major, &version.minor))
    }

    /// Creates a claim.
    ///
    /// # Errors
    /// Also that it exists.
    pub async fn create_claim(&self, namespace: &str, claim: &PersistentVolumeClaim) -> Result<(), Error> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client(), namespace);
        let answer = self
            .call("create", "PersistentVolumeClaim", claims.create(&post(), claim))
            .await;
        answer.map(|_claim| ())
    }

    /// Adds labels and annotations to a run, provided that it is still the one that is known.
    ///
    /// # Errors
    /// Also that it is another one by now: a conflict.
    pub async fn patch_run(
        &self,
        run: &ObjectMeta,
        labels: &BTreeMap<&str, &str>,
        annotations: &BTreeMap<&str, &str>,
    ) -> Result<TaskRun, Error> {
        let (namespace, name) = address(run);
        let runs: Api<TaskRun> = Api::namespaced(self.client(), namespace);
        let mut metadata = json!({ "uid": run.uid, "resourceVersion": run.resource_version });
        for (field, entries) in [("labels", labels), ("annotations", annotations)] {
            if !entries.is_empty() {
                metadata[field] = json!(entries);
            }
        }
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        let mut run = self
            .call("patch", "TaskRun", runs.patch(name, &patch_params(), &patch))
            .await?;
        prune(&mut run.metadata);
        Ok(run)
    }

    /// Replaces the status of a run, provided that it is still the one that is known.
    ///
    /// # Errors
    /// Also that it is another one by now: a conflict.
    pub async fn put_run_status(&self, run: &ObjectMeta, status: &TaskRunStatus) -> Result<TaskRun, Error> {
        let (namespace, name) = address(run);
        // The API server takes nothing but the status from this body: the rest need not travel.
        let body = json!({
            "apiVersion": TaskRun::api_version(&()),
            "kind": TaskRun::kind(&()),
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": run.uid,
                "resourceVersion": run.resource_version,
            },
            "status": status,
        });
        let body = serialize("update", "TaskRun", &body)?;
        let request = Request::new(TaskRun::url_path(&(), Some(namespace)))
            .replace_subresource("status", name, &post(), body)
            .map_err(|error| api_error("update", "TaskRun", kube::Error::BuildRequest(error)))?;
        let answer = self.client.request::<TaskRun>(request);
        let mut run = self.call("update", "TaskRun", answer).await?;
        prune(&mut run.metadata);
        Ok(run)
    }

    /// Reads a run.
    ///
    /// # Errors
    /// Also that it does not exist.
    pub async fn get_run(&self, key: &Key) -> Result<TaskRun, Error> {
        let runs: Api<TaskRun> = Api::namespaced(self.client(), &key.namespace);
        let mut run = self.call("get", "TaskRun", runs.get(&key.name)).await?;
        prune(&mut run.metadata);
        Ok(run)
    }

    /// Deletes a run, provided that it is still the one that is known: a wish to keep it, written a moment
    /// ago, counts.
    ///
    /// # Errors
    /// Also that there is none, or another one by now: a conflict.
    pub async fn delete_run(&self, run: &ObjectMeta) -> Result<(), Error> {
        let (namespace, name) = address(run);
        let runs: Api<TaskRun> = Api::namespaced(self.client(), namespace);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: run.uid.clone(),
                resource_version: run.resource_version.clone(),
            }),
            ..DeleteParams::background()
        };
        let answer = self.call("delete", "TaskRun", runs.delete(name, &params)).await;
        answer.map(|_either| ())
    }

    /// Creates an event.
    ///
    /// # Errors
    /// It is lost.
    pub async fn create_event(&self, namespace: &str, event: &Event) -> Result<(), Error> {
        let events: Api<Event> = Api::namespaced(self.client(), namespace);
        let answer = self.call("create", "Event", events.create(&post(), event)).await;
        answer.map(|_event| ())
    }

    /// Lists all Nodes.
    ///
    /// # Errors
    /// They are not known.
    pub async fn list_nodes(&self) -> Result<Vec<NodeView>, Error> {
        let nodes: Api<NodeView> = Api::all(self.client());
        // From the API server's cache: a minute-old truth is good enough for a look once a minute.
        let params = ListParams::default().match_any();
        let list = self.call("list", "Node", nodes.list(&params)).await?;
        Ok(list.items)
    }

    async fn call<T>(
        &self,
        verb: &'static str,
        kind: &'static str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
        self.call_within(self.limit, verb, kind, request).await
    }

    async fn call_within<T>(
        &self,
        limit: Duration,
        verb: &'static str,
        kind: &'static str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
        Calls::note(verb);
        let result = match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer.map_err(|error| api_error(verb, kind, error)),
            Err(_elapsed) => Err(Error::Timeout { verb, kind, limit }),
        };
        let outcome = result.as_ref().err().map_or("ok", Error::category);
        self.metrics.request(verb, kind, outcome);
        result
    }
}

fn api_error(verb: &'static str, kind: &'static str, source: kube::Error) -> Error {
    Error::Api {
        verb,
        kind,
        source: Box::new(source),
    }
}

fn serialize(
    verb: &'static str,
    kind: &'static str,
    object: &impl serde::Serialize,
) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(object).map_err(|error| api_error(verb, kind, kube::Error::SerdeError(error)))
}

fn post() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn patch_params() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

fn address(metadata: &ObjectMeta) -> (&str, &str) {
    (
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}
