//! What the Nodes and the API server can, asked once a minute.

use std::{sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use tektite_core::delivery::{DeliveryMode, NodeRuntime};
use tokio_util::sync::CancellationToken;

use crate::{context::Context, readiness::Gate};

/// How long an answer holds.
const INTERVAL: Duration = Duration::from_mins(1);

/// A Node, as far as it matters here; the list of its images alone is often most of one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeView {
    metadata: NodeMeta,
    spec: NodeSpec,
    status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
struct NodeMeta(ObjectMeta);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    unschedulable: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeStatus {
    node_info: NodeInfo,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodeInfo {
    kubelet_version: String,
    container_runtime_version: String,
}

impl k8s_openapi::Resource for NodeView {
    const API_VERSION: &'static str = "v1";
    const GROUP: &'static str = "";
    const KIND: &'static str = "Node";
    const VERSION: &'static str = "v1";
    const URL_PATH_SEGMENT: &'static str = "nodes";
    type Scope = k8s_openapi::ClusterResourceScope;
}

impl k8s_openapi::Metadata for NodeView {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata.0
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata.0
    }
}

impl From<NodeView> for NodeRuntime {
    fn from(node: NodeView) -> Self {
        Self {
            unschedulable: node.spec.unschedulable,
            kubelet: node.status.node_info.kubelet_version,
            container_runtime: node.status.node_info.container_runtime_version,
        }
    }
}

/// Keeps up to date what new Pods depend on, until `stop`.
pub async fn follow(context: Arc<Context>, stop: CancellationToken) {
    loop {
        ask_version(&context).await;
        // Where the form is fixed the answer would change nothing, and needs a permission.
        if context.settings.delivery_mode == DeliveryMode::Auto {
            ask(&context).await;
        }
        // Also after a failure: the form that always works is in force then.
        context.readiness.open(Gate::Nodes);
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// An answer that does not come leaves what was known before: nobody takes a cluster back to a version
/// without native sidecars.
async fn ask_version(context: &Context) {
    match context.cluster.kubernetes().await {
        Ok(kubernetes) => context.kubernetes.store(Arc::new(kubernetes)),
        Err(error) => tracing::warn!(%error, "the API server's version is unknown"),
    }
}

async fn ask(context: &Context) {
    match context.cluster.list_nodes().await {
        Ok(nodes) => {
            let nodes: Vec<NodeRuntime> = nodes.into_iter().map(NodeRuntime::from).collect();
            let form = context.settings.delivery_mode.choose(&nodes);
            let before = context.delivery.swap(Arc::new(form));
            if *before != form {
                tracing::info!(
                    nodes = nodes.len(),
                    form = form.as_str(),
                    "entrypoint delivery for new Pods"
                );
            }
        }
        Err(error) => {
            let form = context.delivery.load();
            tracing::warn!(%error, form = form.as_str(), "Nodes are unknown; entrypoint delivery stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read() {
        let node: NodeView = serde_json::from_str(
            r#"{"metadata":{"name":"a"},"spec":{"podCIDR":"x"},"status":{"images":[{}],
            "nodeInfo":{"kubeletVersion":"v1.37.2","containerRuntimeVersion":"containerd://2.4.2"}}}"#,
        )
        .unwrap();
        let runtime = NodeRuntime::from(node);
        assert!(runtime.mounts_images());
        assert!(!runtime.unschedulable);
    }
}
