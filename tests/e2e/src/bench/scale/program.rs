//! What our programs take of their node, as the node's kubelet counts.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{fleet, metrics};
use crate::{case::text, cluster::Cluster};

/// Container, and what it is called here.
const PROGRAMS: [(&str, &str); 2] = [
    ("tekton-pipelines-controller", "controller"),
    ("webhook", "webhook"),
];

/// What one program took, all its replicas together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Processor time, in seconds.
    pub(super) cpu: f64,
    /// Private memory, in bytes.
    pub(super) resident: f64,
    /// The most memory that it ever had, in bytes, what it read from files and all.
    pub(super) most: f64,
}

/// Our programs by name. The kubelet looks every ten seconds or so.
pub(super) async fn usage(cluster: &Cluster) -> Result<BTreeMap<&'static str, Usage>> {
    let mut all = BTreeMap::<_, Usage>::new();
    for node in cluster.list(Some("v1"), "Node", "").await? {
        if fleet::is_fake(&node) {
            continue;
        }
        let path = format!(
            "/api/v1/nodes/{}/proxy/metrics/cadvisor",
            text(&node, "/metadata/name")
        );
        add(&metrics::text(&cluster.client, &path).await?, &mut all)?;
    }
    Ok(all)
}

fn add(text: &str, all: &mut BTreeMap<&'static str, Usage>) -> Result<()> {
    type Field = fn(&mut Usage) -> &mut f64;
    let fields: [(&str, Field); 3] = [
        ("container_cpu_usage_seconds_total", |usage| &mut usage.cpu),
        ("container_memory_rss", |usage| &mut usage.resident),
        ("container_memory_max_usage_bytes", |usage| &mut usage.most),
    ];
    for (metric, field) in fields {
        for sample in metrics::samples(text, metric)? {
            let name = PROGRAMS
                .into_iter()
                .find(|(container, _)| *container == sample.label("container"));
            if let Some((_, name)) = name {
                *field(all.entry(name).or_default()) += sample.number;
            }
        }
    }
    Ok(())
}
