//! What can be set from outside. No I/O.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use tektite_core::delivery::DeliveryMode;

/// Runs the Tasks of TaskRuns in Pods.
#[derive(Clone, Debug, Parser)]
#[command(name = "tektite-controller", version)]
pub struct Args {
    /// The namespace with config-defaults and feature-flags.
    #[arg(long, env = "SYSTEM_NAMESPACE", default_value = "tekton-pipelines")]
    pub system_namespace: String,

    /// What this replica is called in the lease: the name of its Pod, which no other has.
    #[arg(long, env = "POD_NAME")]
    pub identity: String,

    /// Look after TaskRuns of this namespace only.
    #[arg(long, env = "WATCH_NAMESPACE")]
    pub watch_namespace: Option<String>,

    /// Take only TaskRuns with this spec.managedBy; without it, those that are meant for Tekton.
    #[arg(long, env = "MANAGED_BY", default_value = "")]
    pub managed_by: String,

    /// What the names of our ConfigMaps begin with, where Tekton's are there as well.
    #[arg(long, env = "CONFIG_PREFIX", default_value = "")]
    pub config_prefix: String,

    /// The lease that says which replica works.
    #[arg(long, env = "LEASE", default_value = "tekton-pipelines-controller")]
    pub lease: String,

    /// The image with the entrypoint.
    #[arg(long, env = "ENTRYPOINT_IMAGE")]
    pub entrypoint_image: String,

    /// When nodes pull the entrypoint's image.
    #[arg(
        long,
        env = "ENTRYPOINT_IMAGE_PULL_POLICY",
        default_value = "IfNotPresent",
        value_parser = ["Always", "IfNotPresent", "Never"]
    )]
    pub entrypoint_image_pull_policy: String,

    /// How the entrypoint reaches the steps: auto, image-volume or init-container.
    #[arg(long, env = "ENTRYPOINT_DELIVERY", default_value = "auto")]
    pub entrypoint_delivery: DeliveryMode,

    /// How many TaskRuns are worked on at the same time.
    #[arg(long, env = "CONCURRENCY", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,

    /// A file with more CAs (PEM) that registries may have; it may be missing, and may change.
    #[arg(
        long,
        env = "REGISTRY_AUTHORITIES",
        default_value = "/etc/config-registry-cert/cert"
    )]
    pub registry_authorities: PathBuf,

    /// The port of /livez, /readyz and /metrics.
    #[arg(long, env = "ADMIN_PORT", default_value_t = 9090)]
    pub admin_port: u16,

    /// How log lines look.
    #[arg(long, env = "LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Args {
    /// The namespace to watch; a chart sets an empty variable where it means all of them.
    pub fn namespace(&self) -> Option<&str> {
        self.watch_namespace.as_deref().filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tektite_core::delivery::Delivery;

    #[test]
    fn defaults_and_refusals() {
        let read = |more: &[&str]| {
            Args::try_parse_from(
                ["c", "--identity", "c-0", "--entrypoint-image", "e:1"]
                    .into_iter()
                    .chain(more.iter().copied()),
            )
        };
        let args = read(&[]).unwrap();
        assert_eq!(args.system_namespace, "tekton-pipelines");
        assert_eq!(args.namespace(), None);
        assert_eq!(args.entrypoint_delivery, DeliveryMode::Auto);
        assert_eq!((args.concurrency, args.admin_port), (64, 9090));
        let args = read(&[
            "--entrypoint-delivery",
            "init-container",
            "--watch-namespace",
            "a",
        ])
        .unwrap();
        assert_eq!(
            args.entrypoint_delivery,
            DeliveryMode::Always(Delivery::InitContainer)
        );
        assert_eq!(args.namespace(), Some("a"));
        assert_eq!(read(&["--watch-namespace", ""]).unwrap().namespace(), None);
        for refused in [
            &["--concurrency", "0"][..],
            &["--entrypoint-delivery", "fast"],
            &["--entrypoint-image-pull-policy", "Sometimes"],
            &["--log-format", "xml"],
        ] {
            assert!(read(refused).is_err(), "{refused:?}");
        }
        assert!(Args::try_parse_from(["c"]).is_err());
    }
}
