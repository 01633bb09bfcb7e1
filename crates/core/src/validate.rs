//! Validate: what can never run is refused before it is stored (api.md section 3).
//!
//! The rules that stand here are the ones that hold for an object by itself. Rules about a run and
//! its Task together are in [`crate::params`] and [`crate::workspaces`].

use tektite_api::{PodTemplate, TaskRun, TaskSpec};

use crate::{
    config::Config,
    field_error::{FieldError, FieldErrors},
};

/// Checks a TaskRun. `old` is the stored object on an update.
///
/// # Errors
/// Everything that is wrong, upstream's text first, ours on the lines after it.
pub fn task_run(run: &TaskRun, old: Option<&TaskRun>, config: &Config) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    if let Some(old) = old {
        unchanged(run, old, &mut errors);
    }
    let paths = ["spec.taskRef", "spec.taskSpec"];
    match (&run.spec.task_ref, &run.spec.task_spec) {
        (None, None) => errors.push(FieldError::neither(&paths).with_details(
            "a TaskRun runs one Task: name a stored one in spec.taskRef.name, or write its steps in spec.taskSpec",
        )),
        (Some(_), Some(_)) => errors.push(FieldError::both(&paths).with_details(
            "a TaskRun runs one Task: keep spec.taskRef or spec.taskSpec, not both",
        )),
        (Some(task_ref), None) => {
            if task_ref.name.is_empty() && task_ref.resolver.is_empty() && task_ref.params.is_empty() {
                errors.push(FieldError::missing("spec.taskRef.name"));
            }
        }
        (None, Some(spec)) => {
            if config.flags.inline_spec_disabled {
                errors.push(FieldError::disallowed("spec.taskSpec"));
            }
            task_spec(spec, "spec.taskSpec", &mut errors);
        }
    }
    if let Some(timeout) = run.spec.timeout.filter(|timeout| timeout.is_negative()) {
        errors.push(FieldError::invalid(
            format!("{timeout} should be >= 0"),
            "spec.timeout",
        ));
    }
    if run.spec.retries < 0 {
        errors.push(FieldError::invalid(
            format!("{} should be >= 0", run.spec.retries),
            "spec.retries",
        ));
    }
    let started = run
        .status
        .as_ref()
        .is_some_and(|status| status.start_time.is_some());
    if started && run.spec.status == tektite_api::task_run::RequestedStatus::Pending {
        let message = "TaskRun cannot be Pending after it is started";
        errors.push(FieldError::invalid(message, "spec.status"));
    }
    if let tektite_api::task_run::RequestedStatus::Other(word) = &run.spec.status {
        let value = format!("{word} should be TaskRunCancelled or TaskRunPending");
        errors.push(FieldError::invalid(value, "spec.status"));
    }
    if let Some(template) = &run.spec.pod_template {
        pod_template(template, config, &mut errors);
    }
    errors.into_result()
}

/// Checks a Task's spec at `path`.
pub fn task_spec(spec: &TaskSpec, path: &str, errors: &mut FieldErrors) {
    if spec.steps.is_empty() {
        errors.push(FieldError::missing(format!("{path}.steps")));
    }
    let template_image = spec
        .step_template
        .as_ref()
        .map_or("", |template| template.image.as_str());
    for (index, step) in spec.steps.iter().enumerate() {
        if step.step_ref.is_none() && step.image.is_empty() && template_image.is_empty() {
            errors.push(FieldError::missing(format!("{path}.steps[{index}].Image")));
        }
        if !step.script.is_empty() && !step.command.is_empty() {
            errors.push(FieldError::new(
                "script cannot be used with command",
                format!("{path}.steps[{index}].script"),
            ));
        }
    }
}

/// A run's spec is fixed once it is stored, but for cancelling, holding and letting go.
fn unchanged(run: &TaskRun, old: &TaskRun, errors: &mut FieldErrors) {
    if run.spec.managed_by != old.spec.managed_by {
        errors.push(FieldError::invalid(
            "managedBy is immutable",
            "spec.spec.managedBy",
        ));
    }
    let mut ours = run.spec.clone();
    ours.managed_by.clone_from(&old.spec.managed_by);
    if old.is_done() {
        if ours != old.spec {
            let message = "Once the TaskRun is complete, no updates are allowed";
            errors.push(FieldError::invalid(message, "spec"));
        }
        return;
    }
    ours.status = old.spec.status.clone();
    ours.status_message.clone_from(&old.spec.status_message);
    if ours != old.spec {
        let message = "Once the TaskRun has started, only status and statusMessage updates are allowed";
        errors.push(FieldError::invalid(message, "spec"));
    }
}

fn pod_template(template: &PodTemplate, config: &Config, errors: &mut FieldErrors) {
    for env in &template.env {
        if config.defaults.forbidden_env.contains(&env.name) {
            let value = format!("PodTemplate cannot update a forbidden env: {}", env.name);
            errors.push(FieldError::invalid(value, "spec.PodTemplate.Env"));
        }
    }
    let pod = &template.pod;
    let set = [
        !pod.containers.is_empty(),
        pod.init_containers.is_some(),
        pod.ephemeral_containers.is_some(),
        pod.restart_policy.is_some(),
        pod.active_deadline_seconds.is_some(),
    ];
    for (field, _) in PodTemplate::RESERVED.iter().zip(set).filter(|(_, set)| *set) {
        errors.push(
            FieldError::disallowed(format!("spec.podTemplate.{field}"))
                .with_details("the steps and sidecars of the Task decide it"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(value: serde_json::Value) -> String {
        let run = serde_json::from_value(value).unwrap();
        task_run(&run, None, &Config::default()).map_or_else(|errors| errors.to_string(), |()| String::new())
    }

    #[test]
    fn errors_begin_with_the_known_text() {
        for (spec, text) in [
            (
                json!({}),
                "expected exactly one, got neither: spec.taskRef, spec.taskSpec\n",
            ),
            (
                json!({"taskRef": {"name": "t"}, "taskSpec": {"steps": [{"image": "i"}]}}),
                "expected exactly one, got both: spec.taskRef, spec.taskSpec\n",
            ),
            (json!({"taskRef": {}}), "missing field(s): spec.taskRef.name"),
            (json!({"taskSpec": {}}), "missing field(s): spec.taskSpec.steps"),
            (
                json!({"taskSpec": {"steps": [{}]}}),
                "missing field(s): spec.taskSpec.steps[0].Image",
            ),
            (
                json!({"taskRef": {"name": "t"}, "timeout": "-1m"}),
                "invalid value: -1m0s should be >= 0: spec.timeout",
            ),
            (
                json!({"taskRef": {"name": "t"}, "retries": -3}),
                "invalid value: -3 should be >= 0: spec.retries",
            ),
            (
                json!({"taskRef": {"name": "t"}, "status": "Stop"}),
                "invalid value: Stop should be TaskRunCancelled or TaskRunPending: spec.status",
            ),
            (
                json!({"taskRef": {"name": "t"}, "podTemplate": {"restartPolicy": "Always"}}),
                "must not set the field(s): spec.podTemplate.restartPolicy\n",
            ),
        ] {
            let error = refused(json!({ "spec": spec }));
            assert!(error.starts_with(text), "{error}\nshould begin with\n{text}");
        }
        assert_eq!(refused(json!({"spec": {"taskRef": {"name": "t"}}})), "");
    }

    #[test]
    fn a_stored_spec_is_fixed() {
        let run = |spec, status| -> TaskRun {
            serde_json::from_value(json!({"spec": spec, "status": status})).unwrap()
        };
        let spec = json!({"taskRef": {"name": "t"}});
        let started = run(spec.clone(), json!({}));
        let done = run(
            spec,
            json!({"conditions": [{"type": "Succeeded", "status": "True"}]}),
        );
        let cancelled = run(
            json!({"taskRef": {"name": "t"}, "status": "TaskRunCancelled"}),
            json!({}),
        );
        let edited = run(json!({"taskRef": {"name": "u"}}), json!({}));
        let check = |new: &TaskRun, old: &TaskRun| {
            task_run(new, Some(old), &Config::default()).map_err(|errors| errors.to_string())
        };
        assert_eq!(check(&cancelled, &started), Ok(()));
        assert_eq!(check(&done, &done), Ok(()));
        assert_eq!(
            check(&edited, &started),
            Err("invalid value: Once the TaskRun has started, only status and statusMessage updates are allowed: spec".into())
        );
        assert_eq!(
            check(&cancelled, &done),
            Err("invalid value: Once the TaskRun is complete, no updates are allowed: spec".into())
        );
    }
}
