//! The `tekton.dev` types as they stand on the wire: Task, TaskRun, StepAction, spec and status.
//!
//! Types and their text forms only; no client, no rules about what is valid (`tektite-core` has
//! those). Core Kubernetes types come from `k8s-openapi` unchanged.
//!
//! Spec: api.md section 1.

pub mod decode;
pub mod labels;
pub mod param;
pub mod pod_template;
pub mod status;
pub mod step_action;
pub mod task;
pub mod task_run;
pub mod workspace;

mod kind;

pub use param::{Param, ParamSpec, ParamType, ParamValue, PropertySpec};
pub use pod_template::PodTemplate;
pub use status::{Condition, ConditionStatus, TaskRunStatus};
pub use step_action::StepAction;
pub use task::{Sidecar, Step, StepTemplate, Task, TaskResult, TaskSpec};
pub use task_run::{TaskRef, TaskRun, TaskRunSpec};
pub use tektite_protocol::GoDuration;
pub use workspace::{WorkspaceBinding, WorkspaceDeclaration, WorkspaceUsage};

/// The API group of every kind here.
pub const GROUP: &str = "tekton.dev";
