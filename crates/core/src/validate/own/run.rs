//! A TaskRun's own fields beyond the shared rules. No I/O.

use serde_json::Value;
use tektite_api::{PodTemplate, TaskRun, TaskSpec, WorkspaceBinding, labels};

use super::{Scope, containers, env, references, volumes};
use crate::{
    delivery::Delivery,
    field_error::FieldError,
    validate::{Rules, own::amounts, text},
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
    containers::sub_path(rules, &binding.sub_path, &format!("{at}.subPath"));
    if let Some(claim) = &binding.volume_claim_template {
        let spec = claim.spec.as_ref();
        let modes = spec.and_then(|spec| spec.access_modes.as_ref());
        let at = format!("{at}.volumeClaimTemplate.spec");
        if modes.is_none_or(Vec::is_empty) {
            rules.push(
                FieldError::own("missing field(s)", format!("{at}.accessModes"))
                    .with_note(format!("{at}.accessModes: for example [\"ReadWriteOnce\"]")),
            );
        }
        for (index, mode) in modes.into_iter().flatten().enumerate() {
            containers::one_of(
                rules,
                mode,
                &[
                    "ReadWriteOnce",
                    "ReadOnlyMany",
                    "ReadWriteMany",
                    "ReadWriteOncePod",
                ],
                &format!("{at}.accessModes[{index}]"),
            );
        }
        let requests = spec
            .and_then(|spec| spec.resources.as_ref())
            .and_then(|resources| resources.requests.as_ref());
        match requests.and_then(|requests| requests.get("storage")) {
            None => rules.push(
                FieldError::own("missing field(s)", format!("{at}.resources.requests[storage]")).with_note(
                    format!(
                        "{at}.resources.requests[storage]: how large the volume shall be, such as \"1Gi\""
                    ),
                ),
            ),
            Some(amount) => {
                if let Err(error) = crate::quantity::Quantity::parse(amount) {
                    let at = format!("{at}.resources.requests[storage]");
                    rules.push(
                        FieldError::own(format!("invalid value: {}", amount.0), at.clone())
                            .with_note(format!("{at}: {error}")),
                    );
                }
            }
        }
    }
}

fn pod_template(rules: &mut Rules<'_>, template: &PodTemplate) {
    let path = "spec.podTemplate";
    env::list(rules, &template.env, &format!("{path}.env"));
    let own = template.pod.volumes.as_deref().unwrap_or_default();
    volumes::list(rules, own, &format!("{path}.volumes"));
    for (index, volume) in own.iter().enumerate() {
        if own[..index].iter().any(|earlier| earlier.name == volume.name) {
            rules.push(FieldError::own(
                format!("multiple volumes with same name \"{}\"", volume.name),
                format!("{path}.volumes[{index}].name"),
            ));
        }
    }
    for (index, toleration) in template.pod.tolerations.iter().flatten().enumerate() {
        let at = format!("{path}.tolerations[{index}]");
        let operator = toleration.operator.as_deref().unwrap_or_default();
        containers::one_of(
            rules,
            operator,
            &["Exists", "Equal", "Lt", "Gt"],
            &format!("{at}.operator"),
        );
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        containers::one_of(rules, effect, &effects, &format!("{at}.effect"));
    }
    let policies = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    let policy = template.pod.dns_policy.as_deref().unwrap_or_default();
    containers::one_of(rules, policy, &policies, &format!("{path}.dnsPolicy"));
}

/// Variables of the run's own fields, and whether what they name exists: the Task's spec says it, where
/// it is known.
pub(in crate::validate) fn variables(rules: &mut Rules<'_>, run: &TaskRun, spec: Option<&TaskSpec>) {
    let scope = spec.map(|spec| Scope::of(spec, Some(run)));
    let params = scope.as_ref().map(|scope| scope.params.as_slice());
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
            labels::LOG_LEVEL => containers::one_of(rules, value, &["off", "error", "info", "debug"], &path),
            labels::DELIVERY => {
                let allowed = [Delivery::ImageVolume, Delivery::InitContainer].map(Delivery::as_str);
                containers::one_of(rules, value, &allowed, &path);
            }
            _ => {}
        }
    }
}
