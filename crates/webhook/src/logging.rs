//! Log lines to standard error.

use tracing_subscriber::{EnvFilter, fmt, prelude::*, util::TryInitError};

use crate::args::LogFormat;

/// What is logged where `RUST_LOG` says nothing. kube reports at `info` what is no news.
const DEFAULT_FILTER: &str = "info,kube=warn";

/// Installs the process's logger.
///
/// # Errors
/// Another one is there already.
pub fn install(format: LogFormat) -> Result<(), TryInitError> {
    let filter = std::env::var("RUST_LOG")
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => registry.with(layer.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    }
}
