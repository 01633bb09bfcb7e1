//! Log lines to standard error.

use tracing_subscriber::{EnvFilter, fmt, prelude::*, util::TryInitError};

use crate::args::LogFormat;

/// What is logged where `RUST_LOG` says nothing.
const LEVEL: &str = "info";

/// What `RUST_LOG` has to name to change it: kube reports much that is no news, and every failure a
/// second time, without saying of what.
const QUIET: &str = "kube=warn,kube_client::client=error,kube_client::client::builder=off";

/// Installs the process's logger.
///
/// # Errors
/// Another one is there already.
pub fn install(format: LogFormat) -> Result<(), TryInitError> {
    let wish = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let filter = wish
        .and_then(|wish| EnvFilter::try_new(format!("{QUIET},{wish}")).ok())
        .unwrap_or_else(|| EnvFilter::new(format!("{QUIET},{LEVEL}")));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => registry.with(layer.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    }
}
