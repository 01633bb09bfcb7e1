//! Environment variables that mean something to the entrypoint (runtime.md 1.7.3).

/// With [`HERMETIC_VALUE`]: the step's command gets namespaces of its own, without a network.
pub const HERMETIC: &str = "TEKTON_HERMETIC";
/// The value of [`HERMETIC`].
pub const HERMETIC_VALUE: &str = "1";
