//! What can be set from outside. No I/O.

use clap::{Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

use crate::{lint::LintArgs, references::Mode};

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

    /// The port of /livez, /readyz and /metrics.
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

    /// The Helm release that the Secret belongs to: one that is made anew is its too, or Helm refuses to
    /// install over it. Nothing where Helm is not used.
    #[arg(long, env = "HELM_RELEASE", default_value = "")]
    pub helm_release: String,

    /// Who keeps the Secret and the configurations' caBundle.
    #[arg(long, env = "CERT_KEEPER", default_value = "webhook")]
    pub cert_keeper: CertKeeper,

    /// How long a certificate of our own lives, such as 8760h; it is renewed after two thirds.
    #[arg(long, env = "CERT_LIFE", default_value = "8760h", value_parser = life)]
    pub cert_life: SignedDuration,

    /// The mutating configuration; the others are `validation.` and `config.` before it.
    #[arg(
        long,
        env = "WEBHOOK_ADMISSION_CONTROLLER_NAME",
        default_value = "webhook.pipeline.tekton.dev"
    )]
    pub admission_controller_name: String,

    /// What the names of our ConfigMaps begin with, where Tekton's are there as well.
    #[arg(long, env = "CONFIG_PREFIX", default_value = "")]
    pub config_prefix: String,

    /// Whose custom resource definitions are in the cluster.
    #[arg(long, env = "DEFINITIONS", default_value = "ours")]
    pub definitions: Definitions,

    /// What is done about an object that contradicts the Task or StepAction that it names.
    #[arg(long, env = "REFERENCES", default_value = "reject")]
    pub references: Mode,

    /// How log lines look.
    #[arg(long, env = "LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program does beside serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Check YAML or JSON files without a cluster.
    Lint(LintArgs),
}

/// Whose custom resource definitions are in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Definitions {
    /// They have us convert their objects.
    #[default]
    Ours,
    /// They are none of our business.
    Others,
}

/// Who keeps the certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CertKeeper {
    /// The webhook: it makes CA and certificate and writes them where they belong.
    #[default]
    Webhook,
    /// Somebody else, such as cert-manager: the webhook only reads.
    Other,
}

/// A minute is what it takes to change certificates in good order.
fn life(text: &str) -> Result<SignedDuration, String> {
    let life: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    if life < SignedDuration::from_mins(1) {
        return Err("a certificate has to live for a minute at least".to_owned());
    }
    Ok(life)
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
    /// The name under which the API server calls.
    pub fn call_name(&self) -> String {
        format!("{}.{}.svc", self.service_name, self.system_namespace)
    }

    /// The names under which anybody may call.
    pub fn dns_names(&self) -> Vec<String> {
        let service = format!("{}.{}", self.service_name, self.system_namespace);
        vec![
            self.call_name(),
            format!("{service}.svc.cluster.local"),
            service,
            self.service_name.clone(),
        ]
    }
}
