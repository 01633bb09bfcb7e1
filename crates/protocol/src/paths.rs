//! Where things lie inside a step's container (runtime.md section 1.4.3).

/// The directory with the entrypoint, read-only in every step.
pub const BIN_DIR: &str = "/tekton/bin";
/// The entrypoint as steps call it.
pub const ENTRYPOINT: &str = "/tekton/bin/entrypoint";
/// The entrypoint inside its own image, which is also the whole image volume.
pub const ENTRYPOINT_IN_IMAGE: &str = "/entrypoint";
/// Task results, one file per result, shared by all steps.
pub const RESULTS_DIR: &str = "/tekton/results";
/// Step directories by name and by index, read-only in every step.
pub const STEPS_DIR: &str = "/tekton/steps";
/// The same volume as [`STEPS_DIR`], writable: where a step that has no init container makes its
/// own links before its command runs.
pub const STEP_LINKS_DIR: &str = "/tekton/links";
/// One directory per step, writable only in its own step.
pub const RUN_DIR: &str = "/tekton/run";
/// Scripts of steps and sidecars.
pub const SCRIPTS_DIR: &str = "/tekton/scripts";
/// Task artifacts.
pub const ARTIFACTS_DIR: &str = "/tekton/artifacts";
/// The name of a file with artifacts: in [`ARTIFACTS_DIR`] the Task's, in a step's directory its own.
pub const PROVENANCE_FILE: &str = "provenance.json";
/// A home for those who ask for it; `HOME` is not set to it.
pub const HOME_DIR: &str = "/tekton/home";
/// Credentials, private to each step.
pub const CREDENTIALS_DIR: &str = "/tekton/creds";
/// The Secrets that they are made from, one directory each.
pub const CREDENTIAL_SECRETS_DIR: &str = "/tekton/creds-secrets";
/// The shared scratch directory that workspaces and relative working directories lie in.
pub const WORKSPACE_DIR: &str = "/workspace";
/// The file that the kubelet hands to the API as the container's message.
pub const TERMINATION_FILE: &str = "/tekton/termination";
/// Files that follow the Pod's annotations.
pub const DOWNWARD_DIR: &str = "/tekton/downward";
/// Not empty once every other container of the Pod is ready.
pub const READY_FILE: &str = "/tekton/downward/ready";
/// Not empty once the TaskRun is cancelled or out of time.
pub const CANCEL_FILE: &str = "/tekton/downward/cancel";

/// Step `index`'s own directory.
pub fn run_dir(index: usize) -> String {
    format!("{RUN_DIR}/{index}")
}

/// The marker that step `index` is over; with `.err` behind it, that it failed or never ran.
pub fn post_file(index: usize) -> String {
    format!("{RUN_DIR}/{index}/out")
}

/// What step `index` leaves for others: exit code, results, artifacts. [`STEPS_DIR`] links here.
pub fn metadata_dir(index: usize) -> String {
    format!("{RUN_DIR}/{index}/status")
}

/// The file of task result `name`.
pub fn task_result(name: &str) -> String {
    format!("{RESULTS_DIR}/{name}")
}

/// The file of result `name` of the step called `step`, its prefix (`step-`) included.
pub fn step_result(step: &str, name: &str) -> String {
    format!("{STEPS_DIR}/{step}/results/{name}")
}

/// The behind-part that turns a marker into its failed form.
pub const FAILED_SUFFIX: &str = ".err";

/// The behind-part of the pipe next to a marker that its step's entrypoint holds open for writing
/// for as long as it lives: a pipe without a writer, and no marker, mean that it was killed.
pub const ALIVE_SUFFIX: &str = ".alive";
