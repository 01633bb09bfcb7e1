//! What can be set from outside. No I/O.

use clap::{Parser, ValueEnum};

/// Defaults TaskRuns, Tasks and StepActions, and refuses bad ones.
#[derive(Clone, Debug, Parser)]
#[command(name = "tektite-webhook", version)]
pub struct Args {
    /// The namespace with the ConfigMaps, the certificate's Secret and the Service.
    #[arg(long, env = "SYSTEM_NAMESPACE", default_value = "tekton-pipelines")]
    pub system_namespace: String,

    /// The port for the API server.
    #[arg(long, env = "WEBHOOK_PORT", default_value_t = 8443)]
    pub port: u16,

    /// The port of /livez and /readyz.
    #[arg(long, env = "ADMIN_PORT", default_value_t = 8080)]
    pub admin_port: u16,

    /// The Service by which the API server finds this program.
    #[arg(
        long,
        env = "WEBHOOK_SERVICE_NAME",
        default_value = "tekton-pipelines-webhook"
    )]
    pub service_name: String,

    /// The Secret that holds the certificate.
    #[arg(long, env = "WEBHOOK_SECRET_NAME", default_value = "webhook-certs")]
    pub secret_name: String,

    /// The mutating configuration; the others are `validation.` and `config.` before it.
    #[arg(
        long,
        env = "WEBHOOK_ADMISSION_CONTROLLER_NAME",
        default_value = "webhook.pipeline.tekton.dev"
    )]
    pub admission_controller_name: String,

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
    /// The names under which the API server calls.
    pub fn dns_names(&self) -> Vec<String> {
        let service = format!("{}.{}", self.service_name, self.system_namespace);
        vec![
            format!("{service}.svc"),
            format!("{service}.svc.cluster.local"),
            service,
            self.service_name.clone(),
        ]
    }
}
