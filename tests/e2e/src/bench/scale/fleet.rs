//! Nodes without a kubelet, and what runs on them, or on the real one: of each Pod on the former, kwok says
//! that it runs, then that it has ended. The API server, the scheduler and the controller are the real ones.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{case::Target, cluster::Cluster};

/// The label of the nodes, and the taint that keeps all else off them.
const FAKE: &str = "kwok.x-k8s.io/node";

/// Makes `count` nodes like the real one. They are cluster-wide, so they belong to `namespace` and end with it.
pub(super) async fn start(cluster: &Cluster, namespace: &str, count: u16) -> Result<()> {
    let owner = cluster
        .get(&Target::namespace(namespace), "")
        .await?
        .context("the namespace is gone")?;
    let real = cluster.list(Some("v1"), "Node", "").await?;
    let info = real
        .iter()
        .find(|node| !is_fake(node))
        .context("there is no real node")?["status"]["nodeInfo"]
        .clone();
    for index in 0..count {
        let node = node(&format!("{namespace}-{index}"), &owner, &info);
        cluster.create(&node, "").await?;
    }
    Ok(())
}

fn node(name: &str, owner: &Value, info: &Value) -> Value {
    let room = json!({"cpu": "100000", "memory": "100Ti", "pods": "100000"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {FAKE: "fake", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
            "annotations": {FAKE: "fake"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"]}],
        },
        "spec": {"taints": [{"key": FAKE, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"capacity": room, "allocatable": room, "nodeInfo": info},
    })
}

/// Whether a node is one of those.
pub(super) fn is_fake(node: &Value) -> bool {
    node["metadata"]["labels"].get(FAKE).is_some()
}

/// Where Pods run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Nodes {
    /// Nodes that are only there for it, without a kubelet.
    Kwok,
    /// The real one.
    Kubelet,
}

impl Nodes {
    /// What tells the scheduler so.
    fn placed(self) -> Value {
        match self {
            Self::Kwok => json!({
                "nodeSelector": {FAKE: "fake"},
                "tolerations": [{"key": FAKE, "operator": "Exists"}],
            }),
            Self::Kubelet => json!({}),
        }
    }
}

/// A bare Pod of as many containers.
pub(super) fn pod(steps: usize, nodes: Nodes) -> Value {
    let mut spec = nodes.placed();
    let containers: Vec<Value> = (0..steps)
        .map(|index| json!({"name": format!("s{index}"), "image": "busybox", "command": ["true"]}))
        .collect();
    spec["containers"] = json!(containers);
    spec["restartPolicy"] = json!("Never");
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": spec})
}

/// A TaskRun of script steps.
pub(super) fn task_run(steps: usize, nodes: Nodes) -> Value {
    let steps: Vec<Value> = (0..steps)
        .map(|index| json!({"name": format!("s{index}"), "image": "busybox", "script": "#!/bin/sh\ntrue\n"}))
        .collect();
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {},
        "spec": {"taskSpec": {"steps": steps}, "podTemplate": nodes.placed()},
    })
}
