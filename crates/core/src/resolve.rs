//! Resolve: the spec that a run executes, and what the run takes over from its Task (runtime.md 5.6).

use std::collections::BTreeMap;

use tektite_api::{ParamValue, StepAction, TaskRun, TaskSpec, labels};

use crate::{
    convert::is_carrier,
    lifecycle::Fetched,
    step_action::{self, StepActionError},
};

/// A spec with its origin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// What to run, before any variable is replaced.
    pub spec: TaskSpec,
    /// The Task's name, or the run's for an inline spec.
    pub task_name: String,
    /// Labels that the run takes over; its own win.
    pub labels: BTreeMap<String, String>,
    /// Annotations that the run takes over; its own win.
    pub annotations: BTreeMap<String, String>,
}

/// Why there is no spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No Task of that name.
    #[error("error when listing tasks for taskRun {run}: tasks.tekton.dev \"{task}\" not found")]
    NoSuchTask {
        /// The run.
        run: String,
        /// The name that it gives.
        task: String,
    },
    /// Neither a name nor a spec.
    #[error("taskRun {0} not providing TaskRef or TaskSpec")]
    NeitherRefNorSpec(String),
    /// A remote Task.
    #[error(
        "resolver \"{resolver}\" of {path} is not available: this version runs Tasks that are stored in the run's namespace"
    )]
    NoResolver {
        /// The resolver's name.
        resolver: String,
        /// The field that names it.
        path: String,
    },
    /// A step's StepAction.
    #[error("failed to resolve step ref for step \"{step}\" (index {index}): {problem}")]
    Step {
        /// The step's name.
        step: String,
        /// Its place.
        index: usize,
        /// What is wrong.
        problem: StepProblem,
    },
}

/// Why a step has no container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepProblem {
    /// No StepAction of that name.
    #[error("stepactions.tekton.dev \"{0}\" not found")]
    NoSuchAction(String),
    /// A remote StepAction.
    #[error(
        "resolver \"{0}\" is not available: this version runs StepActions that are stored in the run's namespace"
    )]
    NoResolver(String),
    /// It does not fit.
    #[error(transparent)]
    Merge(#[from] StepActionError),
}

/// Finds the spec. A named Task is read once: afterwards the copy in the run's status counts, so
/// that editing the Task does not change a run that has begun.
///
/// # Errors
/// See [`ResolveError`]; no further try helps.
pub fn resolve(run: &TaskRun, fetched: &Fetched) -> Result<Resolved, ResolveError> {
    let resolved = match (&run.spec.task_ref, &run.spec.task_spec) {
        (Some(task_ref), _) if !task_ref.resolver.is_empty() => {
            return Err(ResolveError::NoResolver {
                resolver: task_ref.resolver.clone(),
                path: "spec.taskRef.resolver".to_owned(),
            });
        }
        (Some(task_ref), _) if !task_ref.name.is_empty() => {
            let stored = run.status.as_ref().and_then(|status| status.task_spec.clone());
            match (stored, fetched) {
                (Some(spec), _) => Resolved {
                    spec,
                    task_name: task_ref.name.clone(),
                    ..Resolved::default()
                },
                (None, Fetched::Task(task)) => Resolved {
                    spec: task.spec.clone(),
                    task_name: task.metadata.name.clone().unwrap_or_default(),
                    labels: taken_over(task.metadata.labels.as_ref(), task_ref.name.as_str()),
                    annotations: task
                        .metadata
                        .annotations
                        .clone()
                        .unwrap_or_default()
                        .into_iter()
                        // What carries a Task's own fields would come back as fields of the run.
                        .filter(|(key, _)| key != labels::LAST_APPLIED && !is_carrier(key))
                        .collect(),
                },
                (None, _) => {
                    return Err(ResolveError::NoSuchTask {
                        run: run.name().to_owned(),
                        task: task_ref.name.clone(),
                    });
                }
            }
        }
        (_, Some(spec)) => Resolved {
            spec: kept_inline(run).unwrap_or(spec).clone(),
            task_name: run.name().to_owned(),
            ..Resolved::default()
        },
        _ => return Err(ResolveError::NeitherRefNorSpec(run.name().to_owned())),
    };
    Ok(resolved)
}

/// The spec that the run's status has kept of an inline one whose steps refer to StepActions: they may have
/// changed since, or be gone.
pub(crate) fn kept_inline(run: &TaskRun) -> Option<&TaskSpec> {
    let own = run
        .spec
        .task_spec
        .as_ref()
        .filter(|_| run.spec.task_ref.is_none())?;
    let refers = own.steps.iter().any(|step| step.step_ref.is_some());
    run.status.as_ref()?.task_spec.as_ref().filter(|_| refers)
}

/// Merges the StepActions into the steps that refer to them. `table` holds the Task's params.
///
/// # Errors
/// The first step whose StepAction is missing or does not fit.
pub fn step_actions(
    spec: &mut TaskSpec,
    actions: &BTreeMap<String, StepAction>,
    table: &BTreeMap<String, ParamValue>,
) -> Result<(), ResolveError> {
    for (index, step) in spec.steps.iter_mut().enumerate() {
        let Some(step_ref) = &step.step_ref else { continue };
        let failed = |problem| ResolveError::Step {
            step: step.name.clone(),
            index,
            problem,
        };
        if !step_ref.resolver.is_empty() {
            return Err(failed(StepProblem::NoResolver(step_ref.resolver.clone())));
        }
        let Some(action) = actions.get(&step_ref.name) else {
            return Err(failed(StepProblem::NoSuchAction(step_ref.name.clone())));
        };
        let merged =
            step_action::merge(step, action, table).map_err(|error| failed(StepProblem::Merge(error)))?;
        *step = merged;
    }
    Ok(())
}

fn taken_over(own: Option<&BTreeMap<String, String>>, task: &str) -> BTreeMap<String, String> {
    let mut taken = own.cloned().unwrap_or_default();
    taken.insert(labels::TASK.to_owned(), task.to_owned());
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(value: serde_json::Value) -> TaskRun {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_task_brings_labels_and_annotations() {
        let task = serde_json::from_value(json!({
            "metadata": {"name": "t", "labels": {"l": "v"},
                "annotations": {"a": "b", "kubectl.kubernetes.io/last-applied-configuration": "x",
                    "tekton.dev/v1beta1Resources": "{}"}},
            "spec": {"steps": [{"image": "i"}]},
        }))
        .unwrap();
        let run = run(json!({"metadata": {"name": "tr"}, "spec": {"taskRef": {"name": "t"}}}));
        let resolved = resolve(&run, &Fetched::Task(Box::new(task))).unwrap();
        assert_eq!(resolved.task_name, "t");
        assert_eq!(
            serde_json::to_value(resolved.labels).unwrap(),
            json!({"l": "v", "tekton.dev/task": "t"})
        );
        assert_eq!(
            serde_json::to_value(resolved.annotations).unwrap(),
            json!({"a": "b"})
        );
    }

    #[test]
    fn the_stored_copy_counts() {
        let run = run(json!({
            "spec": {"taskRef": {"name": "t"}},
            "status": {"taskSpec": {"steps": [{"image": "stored"}]}},
        }));
        assert_eq!(
            resolve(&run, &Fetched::TaskMissing).unwrap().spec.steps[0].image,
            "stored"
        );
    }

    #[test]
    fn errors_say_what_is_missing() {
        for (spec, text) in [
            (
                json!({"taskRef": {"name": "x"}}),
                "error when listing tasks for taskRun tr: tasks.tekton.dev \"x\" not found",
            ),
            (json!({}), "taskRun tr not providing TaskRef or TaskSpec"),
            (
                json!({"taskRef": {"resolver": "git"}}),
                "resolver \"git\" of spec.taskRef.resolver",
            ),
        ] {
            let run = run(json!({"metadata": {"name": "tr"}, "spec": spec}));
            let error = resolve(&run, &Fetched::TaskMissing).unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
        }
    }

    #[test]
    fn steps_say_what_their_action_lacks() {
        let action: StepAction = serde_json::from_value(
            json!({"metadata": {"name": "a"}, "spec": {"image": "i", "params": [{"name": "p"}]}}),
        )
        .unwrap();
        let actions = BTreeMap::from([("a".to_owned(), action)]);
        for (step_ref, text) in [
            (json!({"name": "b"}), "stepactions.tekton.dev \"b\" not found"),
            (json!({"resolver": "git"}), "resolver \"git\" is not available"),
            (json!({"name": "a"}), "non-existent params in Step: [p]"),
        ] {
            let steps = json!({"steps": [{"name": "s", "ref": step_ref}]});
            let mut spec: TaskSpec = serde_json::from_value(steps).unwrap();
            let error = step_actions(&mut spec, &actions, &BTreeMap::new())
                .unwrap_err()
                .to_string();
            let begin = "failed to resolve step ref for step \"s\" (index 0): ";
            assert!(error.starts_with(&format!("{begin}{text}")), "{error}");
        }
    }
}
