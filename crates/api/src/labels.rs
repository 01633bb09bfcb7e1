//! Label and annotation keys, and the fixed values that some of them take (runtime.md appendix A).

/// Label of a TaskRun and its Pod: the Task it ran.
pub const TASK: &str = "tekton.dev/task";
/// Label of a TaskRun that is part of a PipelineRun: the Pipeline.
pub const PIPELINE: &str = "tekton.dev/pipeline";
/// The same: the PipelineRun.
pub const PIPELINE_RUN: &str = "tekton.dev/pipelineRun";
/// The same: the task's name in the Pipeline.
pub const PIPELINE_TASK: &str = "tekton.dev/pipelineTask";
/// Label of a Pod: its TaskRun's name.
pub const TASK_RUN: &str = "tekton.dev/taskRun";
/// Label of a Pod: its TaskRun's UID.
pub const TASK_RUN_UID: &str = "tekton.dev/taskRunUID";
/// Label of everything that an engine like this one looks after.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Annotation of TaskRun and Pod: the revision of the controller that made the Pod.
pub const RELEASE: &str = "pipeline.tekton.dev/release";
/// Annotation of a Pod: the first step may start.
pub const READY: &str = "tekton.dev/ready";
/// The value of [`READY`].
pub const READY_VALUE: &str = "READY";
/// Annotation of a Pod whose first step had to wait: when it was let go.
pub const READY_AT: &str = "tektite.dev/ready-at";
/// Annotation of a Pod: the running step shall stop.
pub const CANCEL: &str = "tekton.dev/cancel";
/// The value of [`CANCEL`].
pub const CANCEL_VALUE: &str = "CANCEL";
/// Annotation that `kubectl apply` keeps; never copied on.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotation of a TaskRun: the Pod whose node its own Pod has to run on.
pub const AFFINITY_ASSISTANT: &str = "pipeline.tekton.dev/affinity-assistant";
/// Annotation of a TaskRun and its Pod: how the entrypoint reaches the steps. On a TaskRun it holds
/// the form that its next Pod must take.
pub const DELIVERY: &str = "tektite.dev/delivery";
/// Annotation of a TaskRun: how much the entrypoint says (`off`, `error`, `info`, `debug`).
pub const ENTRYPOINT_LOG: &str = "tektite.dev/entrypoint-log";
/// Annotation of a TaskRun: how often it is begun anew after its Pod was lost through no fault of its own.
pub const INFRA_RETRIES: &str = "tektite.dev/infra-retries";
/// Annotation of a TaskRun: what its failure means to whoever made it.
pub const ON_ERROR: &str = "pipeline.tekton.dev/pipeline-task-on-error";
/// The value of [`ON_ERROR`] for failures that do not matter.
pub const ON_ERROR_CONTINUE: &str = "continue";
/// Annotation of a TaskRun: the trace that it belongs to, as a JSON object.
pub const SPAN_CONTEXT: &str = "tekton.dev/taskrunSpanContext";
/// Annotation of a TaskRun: how many seconds it stays once it has ended, or `never` for always.
pub const TTL_AFTER_FINISHED: &str = "tektite.dev/ttl-seconds-after-finished";
/// The same for one that ended well; it comes before [`TTL_AFTER_FINISHED`].
pub const TTL_AFTER_SUCCESS: &str = "tektite.dev/ttl-seconds-after-success";
/// The same for one that did not.
pub const TTL_AFTER_FAILURE: &str = "tektite.dev/ttl-seconds-after-failure";
/// Annotation of a TaskRun: how many finished TaskRuns of its Task stay, or `all`.
pub const KEEP_LAST_RUNS: &str = "tektite.dev/keep-last-runs";
/// Annotation of a TaskRun: how its steps' commands run.
pub const EXECUTION_MODE: &str = "experimental.tekton.dev/execution-mode";
/// The value of [`EXECUTION_MODE`] for commands without a network.
pub const HERMETIC: &str = "hermetic";

/// The value of `spec.managedBy` that stands for us where Tekton is there as well.
pub const MANAGED_BY_US: &str = "tektite.dev/controller";
/// The value of `spec.managedBy` that stands for Tekton itself.
pub const MANAGED_BY_TEKTON: &str = "tekton.dev/pipeline";
