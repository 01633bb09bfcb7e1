//! Which fields take variables (api.md 4.4, 4.5): one walk per object, calling back for each.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, ConfigMapVolumeSource, EnvFromSource, EnvVar, KeyToPath, NodeSelectorTerm, PodAffinityTerm,
    PodSecurityContext, PodSpec, SecretVolumeSource, Volume, VolumeMount, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use tektite_api::{
    ParamValue, PodTemplate, Sidecar, Step, StepTemplate, TaskSpec, WorkspaceBinding, task::WhenExpression,
};

use super::Variables;

/// The fields that steps, step template and sidecars share.
macro_rules! container {
    ($container:expr, $variables:expr) => {{
        let (container, variables) = ($container, $variables);
        variables.apply(&mut container.image);
        variables.apply(&mut container.image_pull_policy);
        variables.apply_list(&mut container.command);
        variables.apply_list(&mut container.args);
        variables.apply(&mut container.working_dir);
        env(&mut container.env, variables);
        env_from(&mut container.env_from, variables);
        mounts(&mut container.volume_mounts, variables);
    }};
}

/// Variables that mean something else in each container, by the container's index.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// For the steps.
    pub steps: Vec<Variables>,
    /// For the sidecars.
    pub sidecars: Vec<Variables>,
}

/// Replaces in a TaskSpec; a container's own variables win over the common ones.
pub(super) fn task_spec(spec: &mut TaskSpec, common: &Variables, own: &Own) {
    for (index, each) in spec.steps.iter_mut().enumerate() {
        if let Some(own) = own.steps.get(index) {
            step(each, own);
        }
        step(each, common);
    }
    if let Some(template) = &mut spec.step_template {
        step_template(template, common);
    }
    for (index, each) in spec.sidecars.iter_mut().enumerate() {
        if let Some(own) = own.sidecars.get(index) {
            sidecar(each, own);
        }
        sidecar(each, common);
    }
    for each in &mut spec.volumes {
        volume(each, common);
    }
    for workspace in &mut spec.workspaces {
        common.apply(&mut workspace.mount_path);
    }
}

/// Replaces in a step, its params among the rest.
pub(crate) fn step(step: &mut Step, variables: &Variables) {
    variables.apply(&mut step.name);
    container!(&mut *step, variables);
    variables.apply(&mut step.script);
    variables.apply(&mut step.on_error);
    for config in [&mut step.stdout_config, &mut step.stderr_config]
        .into_iter()
        .flatten()
    {
        variables.apply(&mut config.path);
    }
    for each in &mut step.when {
        when(each, variables);
    }
    for param in &mut step.params {
        param_value(&mut param.value, variables);
    }
}

fn step_template(template: &mut StepTemplate, variables: &Variables) {
    container!(template, variables);
}

fn sidecar(sidecar: &mut Sidecar, variables: &Variables) {
    variables.apply(&mut sidecar.name);
    container!(&mut *sidecar, variables);
    variables.apply(&mut sidecar.script);
}

fn when(when: &mut WhenExpression, variables: &Variables) {
    match variables.whole_array(&when.input) {
        Some(items) => {
            when.input = serde_json::to_string(items).unwrap_or_default();
        }
        None => variables.apply(&mut when.input),
    }
    variables.apply_list(&mut when.values);
    variables.apply(&mut when.cel);
}

fn param_value(value: &mut ParamValue, variables: &Variables) {
    match value {
        ParamValue::String(text) => match variables.whole_array(text) {
            Some(items) => *value = ParamValue::Array(items.to_vec()),
            None => variables.apply(text),
        },
        ParamValue::Array(items) => variables.apply_list(items),
        ParamValue::Object(map) => map.values_mut().for_each(|text| variables.apply(text)),
    }
}

fn optional(text: &mut Option<String>, variables: &Variables) {
    if let Some(text) = text {
        variables.apply(text);
    }
}

fn env(list: &mut [EnvVar], variables: &Variables) {
    for entry in list {
        optional(&mut entry.value, variables);
        let Some(source) = &mut entry.value_from else {
            continue;
        };
        if let Some(key) = &mut source.secret_key_ref {
            variables.apply(&mut key.name);
            variables.apply(&mut key.key);
        }
        if let Some(key) = &mut source.config_map_key_ref {
            variables.apply(&mut key.name);
            variables.apply(&mut key.key);
        }
    }
}

fn env_from(list: &mut [EnvFromSource], variables: &Variables) {
    for source in list {
        optional(&mut source.prefix, variables);
        if let Some(config_map) = &mut source.config_map_ref {
            variables.apply(&mut config_map.name);
        }
        if let Some(secret) = &mut source.secret_ref {
            variables.apply(&mut secret.name);
        }
    }
}

fn mounts(list: &mut [VolumeMount], variables: &Variables) {
    for mount in list {
        variables.apply(&mut mount.name);
        variables.apply(&mut mount.mount_path);
        optional(&mut mount.sub_path, variables);
    }
}

fn items(list: Option<&mut Vec<KeyToPath>>, variables: &Variables) {
    for item in list.into_iter().flatten() {
        variables.apply(&mut item.key);
        variables.apply(&mut item.path);
    }
}

fn config_map(source: &mut ConfigMapVolumeSource, variables: &Variables) {
    variables.apply(&mut source.name);
    items(source.items.as_mut(), variables);
}

fn secret(source: &mut SecretVolumeSource, variables: &Variables) {
    optional(&mut source.secret_name, variables);
    items(source.items.as_mut(), variables);
}

fn volume(volume: &mut Volume, variables: &Variables) {
    variables.apply(&mut volume.name);
    if let Some(source) = &mut volume.config_map {
        config_map(source, variables);
    }
    if let Some(source) = &mut volume.secret {
        secret(source, variables);
    }
    if let Some(source) = &mut volume.persistent_volume_claim {
        variables.apply(&mut source.claim_name);
    }
    for source in volume
        .projected
        .iter_mut()
        .flat_map(|projected| projected.sources.iter_mut())
        .flatten()
    {
        if let Some(config_map) = &mut source.config_map {
            variables.apply(&mut config_map.name);
        }
        if let Some(secret) = &mut source.secret {
            variables.apply(&mut secret.name);
        }
        if let Some(token) = &mut source.service_account_token {
            optional(&mut token.audience, variables);
        }
    }
    if let Some(csi) = &mut volume.csi {
        if let Some(secret) = &mut csi.node_publish_secret_ref {
            variables.apply(&mut secret.name);
        }
        for value in csi.volume_attributes.iter_mut().flat_map(BTreeMap::values_mut) {
            variables.apply(value);
        }
    }
}

/// Replaces in what a TaskRun binds to a workspace.
pub fn workspace_binding(binding: &mut WorkspaceBinding, variables: &Variables) {
    variables.apply(&mut binding.sub_path);
    if let Some(claim) = &mut binding.persistent_volume_claim {
        variables.apply(&mut claim.claim_name);
    }
    if let Some(source) = &mut binding.config_map {
        config_map(source, variables);
    }
    if let Some(source) = &mut binding.secret {
        secret(source, variables);
    }
    for source in binding
        .projected
        .iter_mut()
        .flat_map(|projected| projected.sources.iter_mut())
        .flatten()
    {
        if let Some(config_map) = &mut source.config_map {
            variables.apply(&mut config_map.name);
            items(config_map.items.as_mut(), variables);
        }
        if let Some(secret) = &mut source.secret {
            variables.apply(&mut secret.name);
            items(secret.items.as_mut(), variables);
        }
    }
    if let Some(csi) = &mut binding.csi {
        variables.apply(&mut csi.driver);
        if let Some(secret) = &mut csi.node_publish_secret_ref {
            variables.apply(&mut secret.name);
        }
    }
}

/// Replaces in a podTemplate.
pub fn pod_template(template: &mut PodTemplate, variables: &Variables) {
    env(&mut template.env, variables);
    let PodSpec {
        node_selector,
        tolerations,
        affinity: pod_affinity,
        security_context,
        service_account_name,
        service_account,
        runtime_class_name,
        scheduler_name,
        priority_class_name,
        image_pull_secrets,
        host_aliases,
        topology_spread_constraints,
        dns_policy,
        dns_config,
        volumes,
        ..
    } = &mut template.pod;
    if let Some(selector) = node_selector {
        labels(selector, variables);
    }
    for toleration in tolerations.iter_mut().flatten() {
        for text in [
            &mut toleration.key,
            &mut toleration.operator,
            &mut toleration.value,
            &mut toleration.effect,
        ] {
            optional(text, variables);
        }
    }
    if let Some(pod_affinity) = pod_affinity {
        affinity(pod_affinity, variables);
    }
    if let Some(context) = security_context {
        pod_security(context, variables);
    }
    for text in [
        service_account_name,
        service_account,
        runtime_class_name,
        scheduler_name,
        priority_class_name,
        dns_policy,
    ] {
        optional(text, variables);
    }
    for secret in image_pull_secrets.iter_mut().flatten() {
        variables.apply(&mut secret.name);
    }
    for alias in host_aliases.iter_mut().flatten() {
        variables.apply(&mut alias.ip);
        alias
            .hostnames
            .iter_mut()
            .flatten()
            .for_each(|name| variables.apply(name));
    }
    for constraint in topology_spread_constraints.iter_mut().flatten() {
        variables.apply(&mut constraint.topology_key);
        if let Some(selector) = &mut constraint.label_selector {
            label_selector(selector, variables);
        }
    }
    if let Some(dns) = dns_config {
        for text in dns
            .nameservers
            .iter_mut()
            .chain(dns.searches.iter_mut())
            .flatten()
        {
            variables.apply(text);
        }
        for option in dns.options.iter_mut().flatten() {
            optional(&mut option.name, variables);
            optional(&mut option.value, variables);
        }
    }
    for each in volumes.iter_mut().flatten() {
        volume(each, variables);
    }
}

/// Replaces in keys and values of a map.
fn labels(map: &mut BTreeMap<String, String>, variables: &Variables) {
    *map = std::mem::take(map)
        .into_iter()
        .map(|(mut key, mut value)| {
            variables.apply(&mut key);
            variables.apply(&mut value);
            (key, value)
        })
        .collect();
}

fn label_selector(selector: &mut LabelSelector, variables: &Variables) {
    if let Some(map) = &mut selector.match_labels {
        labels(map, variables);
    }
    for expression in selector.match_expressions.iter_mut().flatten() {
        variables.apply(&mut expression.key);
        expression
            .values
            .iter_mut()
            .flatten()
            .for_each(|value| variables.apply(value));
    }
}

fn pod_security(context: &mut PodSecurityContext, variables: &Variables) {
    optional(&mut context.fs_group_change_policy, variables);
    optional(&mut context.supplemental_groups_policy, variables);
    if let Some(linux) = &mut context.se_linux_options {
        for text in [
            &mut linux.user,
            &mut linux.role,
            &mut linux.type_,
            &mut linux.level,
        ] {
            optional(text, variables);
        }
    }
    for sysctl in context.sysctls.iter_mut().flatten() {
        variables.apply(&mut sysctl.name);
        variables.apply(&mut sysctl.value);
    }
    if let Some(seccomp) = &mut context.seccomp_profile {
        variables.apply(&mut seccomp.type_);
        optional(&mut seccomp.localhost_profile, variables);
    }
    if let Some(apparmor) = &mut context.app_armor_profile {
        variables.apply(&mut apparmor.type_);
        optional(&mut apparmor.localhost_profile, variables);
    }
}

fn affinity(affinity: &mut Affinity, variables: &Variables) {
    if let Some(node) = &mut affinity.node_affinity {
        let required = node.required_during_scheduling_ignored_during_execution.as_mut();
        for term in required
            .into_iter()
            .flat_map(|selector| selector.node_selector_terms.iter_mut())
        {
            node_term(term, variables);
        }
        for preferred in node
            .preferred_during_scheduling_ignored_during_execution
            .iter_mut()
            .flatten()
        {
            node_term(&mut preferred.preference, variables);
        }
    }
    if let Some(pod) = &mut affinity.pod_affinity {
        pod_terms(
            &mut pod.required_during_scheduling_ignored_during_execution,
            &mut pod.preferred_during_scheduling_ignored_during_execution,
            variables,
        );
    }
    if let Some(pod) = &mut affinity.pod_anti_affinity {
        pod_terms(
            &mut pod.required_during_scheduling_ignored_during_execution,
            &mut pod.preferred_during_scheduling_ignored_during_execution,
            variables,
        );
    }
}

fn pod_terms(
    required: &mut Option<Vec<PodAffinityTerm>>,
    preferred: &mut Option<Vec<WeightedPodAffinityTerm>>,
    variables: &Variables,
) {
    let preferred = preferred
        .iter_mut()
        .flatten()
        .map(|weighted| &mut weighted.pod_affinity_term);
    for term in required.iter_mut().flatten().chain(preferred) {
        pod_term(term, variables);
    }
}

fn node_term(term: &mut NodeSelectorTerm, variables: &Variables) {
    for requirement in term
        .match_expressions
        .iter_mut()
        .chain(term.match_fields.iter_mut())
        .flatten()
    {
        variables.apply(&mut requirement.key);
        requirement
            .values
            .iter_mut()
            .flatten()
            .for_each(|value| variables.apply(value));
    }
}

fn pod_term(term: &mut PodAffinityTerm, variables: &Variables) {
    variables.apply(&mut term.topology_key);
    term.namespaces
        .iter_mut()
        .flatten()
        .for_each(|namespace| variables.apply(namespace));
    for selector in [&mut term.label_selector, &mut term.namespace_selector]
        .into_iter()
        .flatten()
    {
        label_selector(selector, variables);
    }
}
