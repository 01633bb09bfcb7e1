//! From a stored run to everything that its Pod is made from: default, resolve, validate, bind,
//! substitute (runtime.md 5.6, 5.7).

use std::collections::{BTreeMap, HashSet};

use tektite_api::{TaskRun, TaskSpec};

use super::{Fetched, Gathered};
use crate::{
    defaults,
    field_error::FieldErrors,
    params,
    params::ParamError,
    pod,
    reason::Reason,
    resolve,
    resolve::ResolveError,
    resources::{self, ResourceError},
    substitute::{self, BoundVolume, Context, Variables},
    validate, workspaces,
    workspaces::{Bound, WorkspaceError},
};

/// A run that fits its Task.
pub(super) struct Prepared {
    /// The run, with its defaults.
    pub(super) run: TaskRun,
    /// What it runs, variables replaced.
    pub(super) spec: TaskSpec,
    /// Its workspaces.
    pub(super) bound: Vec<Bound>,
    /// What its podTemplate may refer to.
    pub(super) variables: Variables,
    /// Labels that it takes over from its Task.
    pub(super) labels: BTreeMap<String, String>,
    /// Annotations that it takes over.
    pub(super) annotations: BTreeMap<String, String>,
}

/// Why a run does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PrepareError {
    /// There is no spec.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Its parameters.
    #[error("invalid input params for task {task}: {error}")]
    Params {
        /// The Task.
        task: String,
        /// What is wrong.
        error: ParamError,
    },
    /// A value that its declaration does not list.
    #[error(transparent)]
    Enum(ParamError),
    /// A list that is too short; upstream says it without a preface.
    #[error(transparent)]
    Bounds(ParamError),
    /// Its workspaces.
    #[error(transparent)]
    Workspaces(#[from] WorkspaceError),
    /// A step that asks for more than it may have.
    #[error(transparent)]
    Request(ResourceError),
    /// Fields that nobody knows, values that do not fit.
    #[error("cannot decode incoming new object: {0}")]
    Misread(String),
    /// What admission would have refused, had it been asked.
    #[error("validation failed: {0}")]
    Run(FieldErrors),
    /// The same of the Task that the run names.
    #[error("validation failed for referenced object {task}: {errors}")]
    Task {
        /// The Task.
        task: String,
        /// What is wrong.
        errors: FieldErrors,
    },
    /// A spec that no Pod can hold.
    #[error(transparent)]
    TooLarge(#[from] substitute::TooLarge),
    /// A step spec for no step.
    #[error("invalid StepOverride: No Step named {0}")]
    NoSuchStep(String),
    /// A sidecar spec for no sidecar.
    #[error("invalid SidecarOverride: No Sidecar named {0}")]
    NoSuchSidecar(String),
}

impl PrepareError {
    /// The reason that the condition gives.
    pub(super) const fn reason(&self) -> Reason {
        match self {
            Self::Resolve(_) => Reason::TaskRunResolutionFailed,
            Self::Enum(_) => Reason::InvalidParamValue,
            Self::Task { .. } => Reason::TaskValidationFailed,
            _ => Reason::TaskRunValidationFailed,
        }
    }

    /// Whether the message says first that the user has to mend it.
    pub(super) const fn is_users(&self) -> bool {
        !matches!(self, Self::Resolve(_) | Self::Task { .. })
    }
}

/// Does all of it. The first error counts.
pub(super) fn prepare(gathered: &Gathered<'_>) -> Result<Prepared, PrepareError> {
    let config = gathered.config;
    if let Some(problems) = gathered.run.misread.as_ref().filter(|_| gathered.pod.is_none()) {
        return Err(PrepareError::Misread(problems.clone()));
    }
    let mut run = gathered.run.clone();
    defaults::task_run(&mut run, config);
    // The copy that the status holds of a named Task, or of StepActions, has been checked, and its variables replaced: once
    // more, and a value that looks like a variable would become one.
    let stored = run.status.as_ref().and_then(|status| status.task_spec.as_ref());
    let is_copy = (run.spec.task_ref.is_some() && stored.is_some()) || resolve::kept_inline(&run).is_some();
    let resolved = resolve::resolve(&run, &gathered.fetched)?;
    let mut spec = resolved.spec;
    defaults::task_spec(&mut spec, config);
    if run.spec.task_ref.is_none() {
        workspaces::propagate(&mut spec, &run);
    }
    if let Some(default) = &config.defaults.workspace_binding {
        workspaces::bind_by_default(&mut run, &spec, default);
    }
    let table = params::table(&spec, &run);
    resolve::step_actions(&mut spec, gathered.actions, &table)?;
    // The Pod shows the run with everything that it takes over.
    let own_labels = run.metadata.labels.get_or_insert_default();
    for (key, value) in &resolved.labels {
        own_labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let own_annotations = run.metadata.annotations.get_or_insert_default();
    let mut annotations = resolved.annotations;
    annotations.retain(|key, _| !own_annotations.contains_key(key));
    own_annotations.extend(annotations.clone());

    if !is_copy {
        resources::requests_fit(&spec).map_err(PrepareError::Request)?;
        let enums = params::Enums::from_flags(&config.flags);
        params::check(&spec, &run, &table, enums).map_err(|error| match error {
            ParamError::NotInEnum { .. } => PrepareError::Enum(error),
            ParamError::OutOfBounds(_) => PrepareError::Bounds(error),
            error => PrepareError::Params {
                task: resolved.task_name.clone(),
                error,
            },
        })?;
        workspaces::check(&spec, &run, config.flags.coschedule)?;
        names_exist(&spec, &run)?;
        if gathered.pod.is_none() {
            admissible(gathered)?;
        }
    }

    let variables = substitute::binding_variables(&table);
    let mut bindings = run.spec.workspaces.clone();
    for binding in &mut bindings {
        substitute::workspace_binding(binding, &variables);
    }
    let bound = workspaces::bind(&bindings, &run, &pod::owner(&run));
    let volumes: Vec<BoundVolume<'_>> = bound
        .iter()
        .map(|bound| BoundVolume {
            binding: &bound.binding,
            volume: &bound.volume,
        })
        .collect();
    let context = Context {
        run_name: run.name(),
        namespace: run.namespace(),
        uid: run.uid(),
        task_name: &resolved.task_name,
        retry_count: run
            .status
            .as_ref()
            .map_or(0, |status| status.retries_status.len()),
    };
    if !is_copy {
        substitute::task_spec_stages(&mut spec, &table, context, &volumes)?;
    }
    let labels = run.metadata.labels.clone().unwrap_or_default();
    Ok(Prepared {
        run,
        spec,
        bound,
        variables,
        labels,
        annotations,
    })
}

/// What came while the webhook was away is judged now, in the same words.
fn admissible(gathered: &Gathered<'_>) -> Result<(), PrepareError> {
    validate::task_run(gathered.run, None, gathered.config).map_err(PrepareError::Run)?;
    match &gathered.fetched {
        Fetched::Task(task) => validate::task(task, gathered.config).map_err(|errors| PrepareError::Task {
            task: task.metadata.name.clone().unwrap_or_default(),
            errors,
        }),
        _ => Ok(()),
    }
}

/// Resources can only be given to steps and sidecars that exist.
fn names_exist(spec: &TaskSpec, run: &TaskRun) -> Result<(), PrepareError> {
    let steps: HashSet<&str> = spec.steps.iter().map(|step| step.name.as_str()).collect();
    for wanted in &run.spec.step_specs {
        if !steps.contains(wanted.name.as_str()) {
            return Err(PrepareError::NoSuchStep(wanted.name.clone()));
        }
    }
    for wanted in &run.spec.sidecar_specs {
        if spec.sidecars.iter().all(|sidecar| sidecar.name != wanted.name) {
            return Err(PrepareError::NoSuchSidecar(wanted.name.clone()));
        }
    }
    Ok(())
}
