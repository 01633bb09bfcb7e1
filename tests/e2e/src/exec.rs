//! A command in a container, as `kubectl exec` runs it.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams};
use tokio::io::AsyncReadExt as _;

use crate::case::Exec;
use crate::cluster::Cluster;

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    /// stdout, then stderr.
    pub(crate) output: String,
}

impl Cluster {
    /// Runs the command to its end.
    pub(crate) async fn exec(&self, namespace: &str, exec: &Exec) -> Result<Ended> {
        let api = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let params = AttachParams::default().container(&exec.container);
        let mut process = api.exec(&exec.pod, &exec.command, &params).await?;
        let status = process.take_status().context("there is no status")?;
        let (mut output, mut errors) = (String::new(), String::new());
        let mut stdout = process.stdout().context("there is no stdout")?;
        let mut stderr = process.stderr().context("there is no stderr")?;
        tokio::try_join!(
            stdout.read_to_string(&mut output),
            stderr.read_to_string(&mut errors)
        )?;
        output.push_str(&errors);
        // A pattern's `$` shall be the end of the last line.
        output.truncate(output.trim_end_matches('\n').len());
        let status = status.await.context("the command's end is not known")?;
        if status.status.as_deref() == Some("Success") {
            return Ok(Ended { code: 0, output });
        }
        let causes = status
            .details
            .iter()
            .flat_map(|details| details.causes.iter().flatten());
        let mut code = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode"));
        let code = code.find_map(|cause| cause.message.as_deref()?.parse().ok());
        let code = code.with_context(|| status.message.clone().unwrap_or_default())?;
        Ok(Ended { code, output })
    }
}
