//! Log lines to standard error, and traces where this build has them.

use tracing_subscriber::{EnvFilter, fmt, prelude::*, util::TryInitError};

use crate::args::LogFormat;
#[cfg(feature = "otel")]
use crate::traces;

/// What is logged where `RUST_LOG` says nothing.
const LEVEL: &str = "info";

/// What `RUST_LOG` has to name to change it: kube reports much that is no news, and every failure a
/// second time, without saying of what.
const QUIET: &str = "kube=warn,kube_client::client=error,kube_client::client::builder=off";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another logger is there already.
    #[error(transparent)]
    Installed(#[from] TryInitError),
    /// The environment does not name a collector of traces that can be sent to.
    #[cfg(feature = "otel")]
    #[error("failed to prepare for sending traces: {0}")]
    Traces(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Kept for as long as there is something to log; what is left of traces is sent when it goes.
#[derive(Debug)]
pub struct Logger {
    #[cfg(feature = "otel")]
    traces: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

/// Installs the process's logger. To be called where tokio runs.
///
/// # Errors
/// Another one is there already, or the environment is at odds with itself.
pub fn install(format: LogFormat) -> Result<Logger, Error> {
    let wish = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let filter = wish
        .and_then(|wish| EnvFilter::try_new(format!("{QUIET},{wish}")).ok())
        .unwrap_or_else(|| EnvFilter::new(format!("{QUIET},{LEVEL}")));
    let registry = tracing_subscriber::registry().with(filter);
    #[cfg(feature = "otel")]
    let provider = traces::provider()?;
    #[cfg(feature = "otel")]
    let registry = registry.with(provider.as_ref().map(traces::layer));
    let layer = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => registry.with(layer.with_ansi(false)).try_init()?,
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init()?,
    }
    Ok(Logger {
        #[cfg(feature = "otel")]
        traces: provider,
    })
}

#[cfg(feature = "otel")]
impl Drop for Logger {
    fn drop(&mut self) {
        if let Some(traces) = &self.traces
            && let Err(error) = traces.shutdown()
        {
            tracing::warn!(%error, "some traces were not sent");
        }
    }
}
