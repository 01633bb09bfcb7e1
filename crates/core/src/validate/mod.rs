//! Validate: what can never run is refused before it is stored (api.md section 3).
//!
//! One module per subject. Rules are numbered in api.md; the tests carry the numbers. Rules that go
//! beyond it live in [`own`] and in [`pair`], which looks at a run together with what it refers to.
//! Everything that is wrong is told at once. No I/O.

pub mod own;
pub mod pair;
pub mod text;
pub mod unknown;
pub mod warnings;

mod lookup;
mod metadata;
mod params;
mod reference;
mod results;
mod sidecars;
mod step_action;
mod steps;
mod task;
mod task_run;
mod update;
mod usage;
mod variables;
mod when;

use tektite_api::{StepAction, Task, TaskRun, TaskSpec};

use crate::{
    config::{ApiFields, Config},
    defaults,
    field_error::{FieldError, FieldErrors},
};

/// What is in force, and what was found.
pub(crate) struct Rules<'a> {
    config: &'a Config,
    errors: FieldErrors,
}

impl<'a> Rules<'a> {
    pub(crate) fn new(config: &'a Config) -> Self {
        Self {
            config,
            errors: FieldErrors::default(),
        }
    }

    fn push(&mut self, error: FieldError) {
        self.errors.push(error);
    }

    /// For errors that take long to make; see [`FieldErrors::push_with`].
    fn push_with(&mut self, make: impl FnOnce() -> FieldError) {
        self.errors.push_with(make);
    }

    /// Refuses `feature` where the operator does not allow it.
    fn gate(&mut self, feature: &str, needed: ApiFields) {
        let is = self.config.flags.api_fields;
        if is >= needed {
            return;
        }
        let wanted = match needed {
            ApiFields::Alpha => "\"alpha\"",
            ApiFields::Beta | ApiFields::Stable => "\"alpha\" or \"beta\"",
        };
        self.push(
            FieldError::pathless(format!(
                "{feature} requires \"enable-api-fields\" feature gate to be {wanted} but it is \"{}\"",
                is.as_str()
            ))
            .with_note(format!(
                "{feature}: the cluster's operator allows it with `enable-api-fields: {}` in ConfigMap feature-flags",
                needed.as_str()
            )),
        );
    }
}

/// Checks a TaskRun. `old` is the stored object on an update, as it is stored.
///
/// # Errors
/// Everything that is wrong.
pub fn task_run(run: &TaskRun, old: Option<&TaskRun>, config: &Config) -> Result<(), FieldErrors> {
    let mut rules = Rules::new(config);
    metadata::name(&mut rules, run.name());
    if let Some(old) = old {
        update::task_run(&mut rules, run, old);
        // What is stored has been judged, by the rules of that day: it can be cancelled under new ones.
        if update::is_request_only(run, old, config) {
            task_run::status(&mut rules, run);
            return rules.errors.into_result();
        }
    }
    let mut run = run.clone();
    defaults::task_run(&mut run, config);
    task_run::spec(&mut rules, &run);
    rules.errors.into_result()
}

/// The params that a text refers to.
pub(crate) fn param_names(text: &str) -> Vec<&str> {
    variables::params(text).map(|used| used.parts().0).collect()
}

/// Whether an update asks for nothing but to cancel, to hold or to go on.
pub fn is_request_only(run: &TaskRun, old: &TaskRun, config: &Config) -> bool {
    update::is_request_only(run, old, config)
}

/// Checks a Task, stored or fetched.
///
/// # Errors
/// Everything that is wrong.
pub fn task(task: &Task, config: &Config) -> Result<(), FieldErrors> {
    let mut rules = Rules::new(config);
    metadata::name(&mut rules, task.metadata.name.as_deref().unwrap_or_default());
    let mut spec = task.spec.clone();
    defaults::task_spec(&mut spec, config);
    task::stored(&mut rules, &spec, "spec");
    rules.errors.into_result()
}

/// Checks the spec of a Task by itself, its paths beginning with `path`.
///
/// # Errors
/// Everything that is wrong.
pub fn task_spec(spec: &TaskSpec, path: &str, config: &Config) -> Result<(), FieldErrors> {
    let mut rules = Rules::new(config);
    let mut spec = spec.clone();
    defaults::task_spec(&mut spec, config);
    task::stored(&mut rules, &spec, path);
    rules.errors.into_result()
}

/// Checks a StepAction.
///
/// # Errors
/// Everything that is wrong.
pub fn step_action(action: &StepAction, config: &Config) -> Result<(), FieldErrors> {
    let mut rules = Rules::new(config);
    metadata::name(&mut rules, action.metadata.name.as_deref().unwrap_or_default());
    let mut action = action.clone();
    defaults::step_action(&mut action);
    step_action::spec(&mut rules, &action.spec);
    rules.errors.into_result()
}

#[cfg(test)]
mod tests;
