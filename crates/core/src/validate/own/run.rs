//! A TaskRun's own fields beyond the shared rules. No I/O.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::Value;
use tektite_api::{PodTemplate, TaskRun, TaskSpec, WorkspaceBinding, labels};
use tektite_protocol::log::LogLevel;

use super::{Scope, containers, env, forms::Form, pod, references, tables};
use crate::{
    delivery::Delivery,
    field_error::FieldError,
    quantity::Quantity,
    retention,
    validate::{
        Rules,
        lookup::{Declared, repeated},
        own::amounts,
        text,
    },
};

pub(in crate::validate) fn spec(rules: &mut Rules<'_>, run: &TaskRun) {
    let account = &run.spec.service_account_name;
    if !account.is_empty() && !text::is_dns_subdomain(account) {
        let note = if account.contains("$(") {
            "variables are not replaced in this field"
        } else {
            "a ServiceAccount's name has lower-case letters, digits, \"-\" and \".\""
        };
        rules.push(
            FieldError::own(format!("invalid value: {account}"), "spec.serviceAccountName")
                .with_note(format!("spec.serviceAccountName: {note}")),
        );
    }
    for (index, param) in run.spec.params.iter().enumerate() {
        if param.name.is_empty() {
            rules.push(FieldError::own(
                "missing field(s)",
                format!("spec.params[{index}].name"),
            ));
        }
    }
    for (index, binding) in run.spec.workspaces.iter().enumerate() {
        self::binding(rules, binding, &format!("spec.workspaces[{index}]"));
    }
    for (specs, field) in [
        (&run.spec.step_specs, "stepSpecs"),
        (&run.spec.sidecar_specs, "sidecarSpecs"),
    ] {
        for (index, spec) in specs.iter().enumerate() {
            let at = format!("spec.{field}[{index}].computeResources");
            amounts::resources(rules, &spec.compute_resources, &at);
        }
    }
    if let Some(resources) = &run.spec.compute_resources {
        amounts::resources(rules, resources, "spec.computeResources");
    }
    if let Some(template) = &run.spec.pod_template {
        pod_template(rules, template);
    }
    annotations(rules, run);
}

fn binding(rules: &mut Rules<'_>, binding: &WorkspaceBinding, at: &str) {
    if *binding == WorkspaceBinding::default() {
        return;
    }
    if binding.name.is_empty() {
        rules.push(FieldError::own("missing field(s)", format!("{at}.name")));
    }
    if !binding.sub_path.contains("$(") && !Form::InsidePath.fits(&binding.sub_path) {
        let at = format!("{at}.subPath");
        let note = format!("{at}: {}", Form::InsidePath.wanted());
        rules.push(FieldError::own(format!("invalid value: {}", binding.sub_path), at).with_note(note));
    }
    let tree = serde_json::to_value(binding).unwrap_or(Value::Null);
    tables::BINDINGS.check(rules, &tree, at);
    if let Some(claim) = &binding.volume_claim_template {
        self::claim(rules, claim, &format!("{at}.volumeClaimTemplate.spec"));
    }
}

/// A claim that becomes a workspace.
fn claim(rules: &mut Rules<'_>, claim: &PersistentVolumeClaim, at: &str) {
    let Some(spec) = &claim.spec else { return };
    if spec.volume_mode.as_deref() == Some("Block") {
        let at = format!("{at}.volumeMode");
        let note = format!("{at}: a workspace is a directory, so the volume needs a file system");
        rules.push(FieldError::own("invalid value: Block", at).with_note(note));
    }
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        let at = format!("{at}.accessModes");
        let note = format!(
            "{at}: ReadWriteOncePod stands alone, given are {}",
            modes.join(", ")
        );
        rules.push(FieldError::own("invalid value: ReadWriteOncePod", at).with_note(note));
    }
    let resources = spec.resources.as_ref();
    let storage = resources.and_then(|resources| resources.requests.as_ref()?.get("storage"));
    let at = format!("{at}.resources.requests[storage]");
    match storage.map(|amount| (amount, Quantity::parse(amount))) {
        None => rules.push(
            FieldError::own("missing field(s)", at.clone())
                .with_note(format!("{at}: how large the volume shall be, such as \"1Gi\"")),
        ),
        Some((amount, Ok(size))) if size == Quantity::ZERO => rules.push(
            FieldError::own(format!("invalid value: {}", amount.0), at.clone())
                .with_note(format!("{at}: a volume has a size, such as \"1Gi\"")),
        ),
        Some(_) => {}
    }
}

fn pod_template(rules: &mut Rules<'_>, template: &PodTemplate) {
    let path = "spec.podTemplate";
    let tree = serde_json::to_value(template).unwrap_or(Value::Null);
    tables::PODS.check(rules, &tree, path);
    env::list(rules, &template.env, &format!("{path}.env"));
    let own = template.pod.volumes.as_deref().unwrap_or_default();
    let again = repeated(own.iter().map(|volume| &volume.name));
    for ((index, volume), again) in own.iter().enumerate().zip(again) {
        super::one_source(rules, volume, &format!("{path}.volumes[{index}]"));
        if again {
            rules.push(FieldError::own(
                format!("multiple volumes with same name \"{}\"", volume.name),
                format!("{path}.volumes[{index}].name"),
            ));
        }
    }
    pod::check(rules, template, path);
}

/// Variables of the run's own fields, and whether what they name exists: the Task's spec says it, where
/// it is known.
pub(in crate::validate) fn variables(rules: &mut Rules<'_>, run: &TaskRun, spec: Option<&TaskSpec>) {
    let scope = spec.map(|spec| Scope::of(spec, Some(run)));
    let params = scope.as_ref().map(|scope| Declared::new(&scope.params));
    let params = params.as_ref();
    for (index, binding) in run.spec.workspaces.iter().enumerate() {
        let tree = serde_json::to_value(binding).unwrap_or(Value::Null);
        let replaced = |pattern: &str| {
            matches!(pattern, "subPath" | "persistentVolumeClaim.claimName")
                || ["configMap.", "secret.", "projected.", "csi."]
                    .iter()
                    .any(|start| pattern.starts_with(start))
        };
        references::params_only(
            rules,
            &tree,
            replaced,
            params,
            &format!("spec.workspaces[{index}]"),
        );
    }
    references::resolver_params(rules, run);
    if let Some(template) = &run.spec.pod_template {
        let tree = serde_json::to_value(template).unwrap_or(Value::Null);
        references::params_only(rules, &tree, |_| true, params, "spec.podTemplate");
    }
}

/// Annotations of ours that mean nothing would be passed over in silence.
fn annotations(rules: &mut Rules<'_>, run: &TaskRun) {
    for (key, value) in run.metadata.annotations.iter().flatten() {
        let path = format!("metadata.annotations[{key}]");
        match key.as_str() {
            labels::ENTRYPOINT_LOG => {
                containers::one_of(rules, value, &LogLevel::ALL.map(LogLevel::as_str), &path);
            }
            labels::DELIVERY => {
                let allowed = [Delivery::ImageVolume, Delivery::InitContainer].map(Delivery::as_str);
                containers::one_of(rules, value, &allowed, &path);
            }
            labels::INFRA_RETRIES if value.parse::<u32>().is_err() => rules.push(
                FieldError::own(format!("invalid value: {value}"), &path)
                    .with_note(format!("{path}: write a whole number, 0 or more")),
            ),
            key => {
                if let Some(allowed) = retention::misread(key, value) {
                    rules.push(
                        FieldError::own(format!("invalid value: {value}"), &path)
                            .with_note(format!("{path}: \"{value}\" is not allowed; {allowed}")),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{config::Config, validate::task_run};

    #[test]
    fn annotations() {
        for (key, value, allowed) in [
            ("tektite.dev/ttl-seconds-after-success", "60", None),
            (
                "tektite.dev/ttl-seconds-after-finished",
                "1d",
                Some("write whole seconds, or never"),
            ),
            ("tektite.dev/keep-last-runs", "all", None),
            ("tektite.dev/keep-last-runs", "5", None),
            (
                "tektite.dev/keep-last-runs",
                "0",
                Some("write a whole number, 1 or more, or all"),
            ),
            (
                "tektite.dev/keep-last-runs",
                "",
                Some("write a whole number, 1 or more, or all"),
            ),
            ("example.com/keep-last-runs", "0", None),
        ] {
            let run = serde_json::from_value(json!({
                "metadata": {"name": "r", "namespace": "n", "annotations": {key: value}},
                "spec": {"serviceAccountName": "default", "taskRef": {"name": "t", "kind": "Task"}},
            }));
            let refused = task_run(&run.unwrap(), None, &Config::default());
            let expected = allowed.map(|allowed| {
                let at = format!("metadata.annotations[{key}]");
                format!("invalid value: {value}: {at}\n- {at}: \"{value}\" is not allowed; {allowed}")
            });
            assert_eq!(
                refused.err().map(|errors| errors.to_string()),
                expected,
                "{key} {value}"
            );
        }
    }
}
