//! Everything that talks to the cluster. Every call and every wait has an end.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use futures::{StreamExt as _, future};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GetParams, ListParams, LogParams, Patch, PatchParams,
    PostParams,
};
use kube::client::Body;
use kube::core::Request;
use kube::discovery::{ApiCapabilities, Discovery, Scope};
use kube::runtime::watcher::watch_object;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::case::{NamespaceMeta, Need, Target, text};

/// What one request may take.
const CALL: Duration = Duration::from_secs(30);
/// Between two tries where there is nothing to watch.
const PAUSE: Duration = Duration::from_millis(300);
/// The label by which leftovers of a killed run can be found.
const OWNED: (&str, &str) = ("tektite.dev/test", "e2e");

/// How a wait ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The object is as wanted.
    Reached(Value),
    /// The object is gone.
    Gone,
    /// The time is up; the object as last seen.
    TimedOut(Option<Value>),
}

/// The cluster under test.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    kinds: Vec<(ApiResource, Scope)>,
    version: String,
    namespaces: Mutex<BTreeSet<String>>,
}

/// An object as it goes over the wire, and where to.
pub(crate) struct Prepared {
    url: String,
    body: Vec<u8>,
}

/// The API server's answer to a request that it refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) code: u16,
    /// The text.
    pub(crate) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (HTTP {})", self.message, self.code)
    }
}

impl std::error::Error for Refusal {}

async fn call<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T> {
    match timeout(CALL, request).await {
        Err(_) => bail!("the API server did not answer within {CALL:?}"),
        Ok(Err(kube::Error::Api(status))) => Err(Refusal {
            code: status.code,
            message: status.message,
        }
        .into()),
        Ok(answer) => Ok(answer?),
    }
}

/// The API server's refusal, if it was that which failed.
pub(crate) fn refusal(error: &anyhow::Error) -> Option<&Refusal> {
    error.downcast_ref()
}

fn value(object: impl serde::Serialize) -> Result<Value> {
    Ok(serde_json::to_value(object)?)
}

/// A few random characters for a name.
pub(crate) fn random() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bits = RandomState::new().hash_one(std::process::id());
    let mut next = || {
        let index = usize::try_from(bits % 32).unwrap_or_default();
        bits /= 32;
        char::from(ALPHABET[index])
    };
    (0..5).map(|_| next()).collect()
}

impl Cluster {
    /// Connects with the kubeconfig that `KUBECONFIG` names, and asks what the cluster serves.
    pub(crate) async fn connect() -> Result<Self> {
        let config = timeout(CALL, Config::infer())
            .await?
            .context("no usable kubeconfig (set KUBECONFIG)")?;
        let client = Client::try_from(config)?;
        let info = call(client.apiserver_version())
            .await
            .context("the cluster cannot be reached")?;
        let discovery = call(Discovery::new(client.clone()).run_aggregated()).await?;
        let mut kinds = Vec::new();
        // A kind without an apiVersion is looked for in the core first, then in ours.
        let mut groups: Vec<_> = discovery.groups_alphabetical();
        groups.sort_by_key(|group| match group.name() {
            "" => 0,
            "tekton.dev" => 1,
            _ => 2,
        });
        for group in groups {
            let mut versions: Vec<_> = group.versions().collect();
            versions.sort_by_key(|version| *version != group.preferred_version_or_latest());
            for version in versions {
                kinds.extend(
                    group
                        .versioned_resources(version)
                        .into_iter()
                        .map(|(resource, ApiCapabilities { scope, .. })| (resource, scope)),
                );
            }
        }
        let version = format!("{}.{}", info.major, info.minor);
        Ok(Self {
            client,
            kinds,
            version,
            namespaces: Mutex::default(),
        })
    }

    fn resource(&self, api_version: Option<&str>, kind: &str) -> Result<&(ApiResource, Scope)> {
        let found = self.kinds.iter().find(|(resource, _)| {
            resource.kind == kind && api_version.is_none_or(|version| resource.api_version == version)
        });
        found.ok_or_else(|| match api_version {
            Some(version) => anyhow!("the cluster does not serve {version} {kind}"),
            None => anyhow!("the cluster does not serve any {kind}"),
        })
    }

    fn api(&self, api_version: Option<&str>, kind: &str, namespace: &str) -> Result<Api<DynamicObject>> {
        let (resource, scope) = self.resource(api_version, kind)?;
        Ok(match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), resource),
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, resource),
        })
    }

    fn target(&self, target: &Target, namespace: &str) -> Result<Api<DynamicObject>> {
        self.api(target.api_version.as_deref(), &target.kind, namespace)
    }

    /// The object with its kind, which the items of a list may lack.
    fn named(&self, object: DynamicObject, api_version: Option<&str>, kind: &str) -> Result<Value> {
        let (resource, _) = self.resource(api_version, kind)?;
        let mut object = value(object)?;
        object["apiVersion"] = json!(resource.api_version);
        object["kind"] = json!(resource.kind);
        Ok(object)
    }

    /// Whether the kind lives outside of namespaces.
    pub(crate) fn is_cluster_scoped(&self, object: &Value) -> bool {
        self.resource(Some(text(object, "/apiVersion")), text(object, "/kind"))
            .is_ok_and(|(_, scope)| *scope == Scope::Cluster)
    }

    /// Why the cluster cannot run a case with such a need, or nothing.
    pub(crate) async fn unmet(&self, need: &Need) -> Result<Option<String>> {
        let met = match need {
            Need::Kind(kind) => {
                let (api_version, kind) = kind.rsplit_once('/').unwrap_or(("", kind));
                let known = (!api_version.is_empty()).then_some(api_version);
                self.resource(known, kind).is_ok()
            }
            Need::NodeLabel(label) => {
                let nodes = self.api(Some("v1"), "Node", "")?;
                !call(nodes.list(&ListParams::default().labels(label)))
                    .await?
                    .items
                    .is_empty()
            }
            Need::StorageClass(name) => {
                let classes = call(self.api(None, "StorageClass", "")?.list(&ListParams::default())).await?;
                classes.items.into_iter().map(value).any(|class| {
                    let class = class.unwrap_or_default();
                    let default = "/metadata/annotations/storageclass.kubernetes.io~1is-default-class";
                    text(&class, "/metadata/name") == name
                        || (name == "default" && text(&class, default) == "true")
                })
            }
            Need::Kubernetes(least) => {
                let number = |version: &str| {
                    let mut parts = version
                        .split('.')
                        .map(|part| part.trim_end_matches('+').parse::<u32>().ok());
                    (parts.next().flatten(), parts.next().flatten())
                };
                number(&self.version) >= number(least)
            }
        };
        Ok((!met).then(|| need.to_string()))
    }

    /// Creates a namespace and waits until Pods can be made in it.
    pub(crate) async fn create_namespace(
        &self,
        name: &str,
        meta: &NamespaceMeta,
        deadline: Instant,
    ) -> Result<()> {
        let mut labels = meta.labels.clone();
        labels.insert(OWNED.0.to_owned(), OWNED.1.to_owned());
        let namespace: Namespace = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels, "annotations": meta.annotations}
        }))?;
        // Noted first: a creation that is cut short must be cleaned up too.
        self.namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned());
        let api = Api::<Namespace>::all(self.client.clone());
        call(api.create(&PostParams::default(), &namespace))
            .await
            .context("cannot create the namespace")?;
        let account = Target {
            api_version: Some("v1".to_owned()),
            kind: "ServiceAccount".to_owned(),
            name: "default".to_owned(),
        };
        match self
            .follow(&account, name, deadline, |object| object.is_some())
            .await?
        {
            Followed::Reached(_) => Ok(()),
            _ => bail!("the namespace {name} got no default ServiceAccount"),
        }
    }

    /// Deletes a namespace without waiting for its end.
    pub(crate) async fn delete_namespace(&self, name: &str) -> Result<()> {
        self.keep_namespace(name);
        let api = Api::<Namespace>::all(self.client.clone());
        call(api.delete(name, &DeleteParams::background()))
            .await
            .map(|_| ())
    }

    /// Forgets a namespace, so that it outlives the run.
    pub(crate) fn keep_namespace(&self, name: &str) {
        self.namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }

    /// Deletes whatever namespaces are left.
    pub(crate) async fn delete_namespaces(&self) {
        let left: Vec<_> = self
            .namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect();
        future::join_all(left.iter().map(|name| self.delete_namespace(name))).await;
    }

    /// Creates an object in the namespace.
    pub(crate) async fn create(&self, object: &Value, namespace: &str) -> Result<Value> {
        let api = self.api(
            Some(text(object, "/apiVersion")),
            text(object, "/kind"),
            namespace,
        )?;
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        value(call(api.create(&PostParams::default(), &object)).await?)
    }

    /// Creates an object with its JSON as it stands, be it one of its kind or not.
    pub(crate) async fn create_raw(&self, object: &Value, namespace: &str) -> Result<Value> {
        let request = Request::new(self.api_of(object, namespace)?.resource_url());
        let request = request.create(&PostParams::default(), serde_json::to_vec(object)?)?;
        call(self.client.request(request)).await
    }

    /// An object that is about to be created often.
    pub(crate) fn prepare(&self, object: &Value, namespace: &str) -> Result<Prepared> {
        Ok(Prepared {
            url: self.api_of(object, namespace)?.resource_url().to_owned(),
            body: serde_json::to_vec(object)?,
        })
    }

    /// Creates an object without storing it; the answer is not looked into, which costs time.
    pub(crate) async fn create_dry(&self, prepared: &Prepared) -> Result<()> {
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let request = Request::new(prepared.url.as_str()).create(&params, prepared.body.clone())?;
        let (status, body) = call(async {
            let response = self.client.send(request.map(Body::from)).await?;
            let status = response.status();
            Ok((status, response.into_body().collect_bytes().await?))
        })
        .await?;
        if status.is_success() {
            return Ok(());
        }
        Err(Refusal {
            code: status.as_u16(),
            message: String::from_utf8_lossy(&body).into_owned(),
        }
        .into())
    }

    /// Puts an object, as it stands, in the place of the one of its name.
    pub(crate) async fn replace_raw(&self, object: &Value, namespace: &str) -> Result<Value> {
        let request = Request::new(self.api_of(object, namespace)?.resource_url());
        let name = text(object, "/metadata/name");
        let request = request.replace(name, &PostParams::default(), serde_json::to_vec(object)?)?;
        call(self.client.request(request)).await
    }

    /// Merge-patches an object without storing what comes of it.
    pub(crate) async fn try_merge(&self, target: &Target, merge: &Value, namespace: &str) -> Result<Value> {
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let api = self.target(target, namespace)?;
        value(call(api.patch(&target.name, &params, &Patch::Merge(merge))).await?)
    }

    /// Reads an object; `None` when there is none.
    pub(crate) async fn get(&self, target: &Target, namespace: &str) -> Result<Option<Value>> {
        call(self.target(target, namespace)?.get_opt(&target.name))
            .await?
            .map(value)
            .transpose()
    }

    /// Lists the objects of a kind in the namespace.
    pub(crate) async fn list(
        &self,
        api_version: Option<&str>,
        kind: &str,
        namespace: &str,
    ) -> Result<Vec<Value>> {
        let list = call(
            self.api(api_version, kind, namespace)?
                .list(&ListParams::default()),
        )
        .await?;
        list.items
            .into_iter()
            .map(|object| self.named(object, api_version, kind))
            .collect()
    }

    /// Merge-patches an object or one of its subresources.
    pub(crate) async fn patch(
        &self,
        target: &Target,
        subresource: Option<&str>,
        merge: &Value,
        namespace: &str,
    ) -> Result<()> {
        let api = self.target(target, namespace)?;
        let params = PatchParams::default();
        match subresource {
            None => call(api.patch(&target.name, &params, &Patch::Merge(merge))).await?,
            Some(part) => {
                call(api.patch_subresource(part, &target.name, &params, &Patch::Merge(merge))).await?
            }
        };
        Ok(())
    }

    /// Deletes an object; one that is gone is no error.
    pub(crate) async fn delete(&self, target: &Target, namespace: &str) -> Result<()> {
        let api = self.target(target, namespace)?;
        match call(api.delete(&target.name, &DeleteParams::background())).await {
            Err(error) if refusal(&error).is_none_or(|refusal| refusal.code != 404) => Err(error),
            _ => Ok(()),
        }
    }

    /// Watches an object until it is as wanted. The test is asked with `None` while there is no
    /// such object; when it says no to that for an object that was there, the object is gone.
    pub(crate) async fn follow(
        &self,
        target: &Target,
        namespace: &str,
        deadline: Instant,
        mut wanted: impl FnMut(Option<&Value>) -> bool,
    ) -> Result<Followed> {
        let api_version = target.api_version.as_deref();
        let mut events = pin!(watch_object(self.target(target, namespace)?, &target.name));
        let mut last = None;
        loop {
            match timeout_at(deadline, events.next()).await {
                Err(_) | Ok(None) => return Ok(Followed::TimedOut(last)),
                // The watcher starts anew by itself, whatever it was.
                Ok(Some(Err(_))) => sleep(PAUSE).await,
                Ok(Some(Ok(object))) => {
                    let object = object
                        .map(|object| self.named(object, api_version, &target.kind))
                        .transpose()?;
                    if wanted(object.as_ref()) {
                        return Ok(object.map_or(Followed::Gone, Followed::Reached));
                    }
                    if object.is_none() && last.is_some() {
                        return Ok(Followed::Gone);
                    }
                    last = object.or(last);
                }
            }
        }
    }

    /// A container's log so far.
    pub(crate) async fn log(&self, namespace: &str, pod: &str, container: &str) -> Result<String> {
        let api = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let params = LogParams {
            container: Some(container.to_owned()),
            ..LogParams::default()
        };
        call(api.logs(pod, &params)).await
    }

    /// What the kubelet of each node measures of its Pods.
    pub(crate) async fn node_statistics(&self) -> Result<Vec<Value>> {
        let nodes = call(Api::<Node>::all(self.client.clone()).list(&ListParams::default())).await?;
        let mut all = Vec::new();
        for node in nodes {
            let name = node.metadata.name.unwrap_or_default();
            let proxy = Request::new(format!("/api/v1/nodes/{name}/proxy"));
            let request = proxy.get("stats/summary", &GetParams::default())?;
            all.push(call(self.client.request(request)).await?);
        }
        Ok(all)
    }

    /// The version of Kubernetes.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The API of an object's kind, for what watches in its own way.
    pub(crate) fn api_of(&self, object: &Value, namespace: &str) -> Result<Api<DynamicObject>> {
        self.api(
            Some(text(object, "/apiVersion")),
            text(object, "/kind"),
            namespace,
        )
    }
}
