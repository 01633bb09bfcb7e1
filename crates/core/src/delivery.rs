//! How the entrypoint, scripts and step links reach the steps of a Pod.
//!
//! An image volume costs nothing (a Pod with one takes as long as a Pod without), an init container
//! costs one round of the kubelet, about a second. So the image volume is taken wherever every node
//! that could get the Pod can mount one.

use std::str::FromStr;

/// The form that one Pod uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The entrypoint's image is mounted; each step puts its own script and links in place.
    ImageVolume,
    /// One init container copies the binary, makes the links and writes the scripts.
    InitContainer,
}

impl Delivery {
    /// The word in annotations and settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ImageVolume => "image-volume",
            Self::InitContainer => "init-container",
        }
    }

    /// The other form.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::ImageVolume => Self::InitContainer,
            Self::InitContainer => Self::ImageVolume,
        }
    }

    /// The form called `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::ImageVolume, Self::InitContainer]
            .into_iter()
            .find(|form| form.as_str() == word)
    }
}

/// What the operator wants: `entrypoint.delivery` of the chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryMode {
    /// The image volume where all nodes can, else the init container; replaced once where a Pod
    /// turns out unable to run the entrypoint.
    #[default]
    Auto,
    /// Always this one.
    Always(Delivery),
}

impl FromStr for DeliveryMode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match Delivery::from_word(word) {
            Some(form) => Ok(Self::Always(form)),
            None if word == "auto" => Ok(Self::Auto),
            None => Err(format!(
                "\"{word}\" is not allowed; write auto, image-volume or init-container"
            )),
        }
    }
}

impl DeliveryMode {
    /// The form for new Pods on a cluster with these nodes.
    pub fn choose(self, nodes: &[NodeRuntime]) -> Delivery {
        match self {
            Self::Always(form) => form,
            Self::Auto => {
                let schedulable = || nodes.iter().filter(|node| !node.unschedulable);
                if schedulable().next().is_some() && schedulable().all(NodeRuntime::mounts_images) {
                    Delivery::ImageVolume
                } else {
                    Delivery::InitContainer
                }
            }
        }
    }
}

/// What a Node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRuntime {
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// `status.nodeInfo.kubeletVersion`, such as `v1.37.2`.
    pub kubelet: String,
    /// `status.nodeInfo.containerRuntimeVersion`, such as `containerd://2.4.2`.
    pub container_runtime: String,
}

impl NodeRuntime {
    /// Whether kubelet and container runtime can mount an image into a container.
    pub fn mounts_images(&self) -> bool {
        let runtime_can = match self.container_runtime.split_once("://") {
            Some(("containerd", version)) => at_least(version, (2, 1)),
            Some(("cri-o", version)) => at_least(version, (1, 33)),
            _ => false,
        };
        runtime_can && at_least(&self.kubelet, (1, 36))
    }
}

/// Whether `version` (`v1.37.2-eks-1`, `2.4.2`, `1.37+`) is `least` or newer.
fn at_least(version: &str, least: (u32, u32)) -> bool {
    let mut parts = version.trim_start_matches('v').split('.').map(|part| {
        part.split(|c: char| !c.is_ascii_digit())
            .next()
            .and_then(|digits| digits.parse::<u32>().ok())
    });
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= least,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(kubelet: &str, container_runtime: &str) -> NodeRuntime {
        NodeRuntime {
            unschedulable: false,
            kubelet: kubelet.to_owned(),
            container_runtime: container_runtime.to_owned(),
        }
    }

    #[test]
    fn nodes_that_can_and_cannot() {
        for (kubelet, runtime, can) in [
            ("v1.37.2", "containerd://2.4.2", true),
            ("v1.36.0-eks-123", "containerd://2.1.0", true),
            ("v1.36.0", "cri-o://1.33.0", true),
            ("v2.0.0", "containerd://3.0.0", true),
            ("v1.35.9", "containerd://2.4.2", false),
            ("v1.37.2", "containerd://2.0.5", false),
            ("v1.37.2", "containerd://1.7.27", false),
            ("v1.37.2", "cri-o://1.32.9", false),
            ("v1.37.2", "docker://27.0.0", false),
            ("", "", false),
        ] {
            assert_eq!(node(kubelet, runtime).mounts_images(), can, "{kubelet} {runtime}");
        }
    }

    #[test]
    fn auto_takes_the_image_volume_only_where_every_node_can() {
        let good = node("v1.37.2", "containerd://2.4.2");
        let old = node("v1.34.0", "containerd://1.7.0");
        let cordoned = NodeRuntime {
            unschedulable: true,
            ..old.clone()
        };
        let auto = DeliveryMode::Auto;
        assert_eq!(auto.choose(std::slice::from_ref(&good)), Delivery::ImageVolume);
        assert_eq!(auto.choose(&[good.clone(), cordoned]), Delivery::ImageVolume);
        assert_eq!(auto.choose(&[good, old.clone()]), Delivery::InitContainer);
        assert_eq!(auto.choose(&[]), Delivery::InitContainer);
        assert_eq!(
            DeliveryMode::Always(Delivery::ImageVolume).choose(&[old]),
            Delivery::ImageVolume
        );
    }

    #[test]
    fn the_mode_is_read() {
        assert_eq!("auto".parse(), Ok(DeliveryMode::Auto));
        assert_eq!(
            "init-container".parse(),
            Ok(DeliveryMode::Always(Delivery::InitContainer))
        );
        assert!(
            "fast"
                .parse::<DeliveryMode>()
                .unwrap_err()
                .contains("image-volume")
        );
    }
}
