//! A podTemplate, where fields depend on each other. No I/O.

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Toleration};
use tektite_api::PodTemplate;

use super::containers::identity;
use crate::{field_error::FieldError, validate::Rules};

pub(super) fn check(rules: &mut Rules<'_>, template: &PodTemplate, path: &str) {
    let pod = &template.pod;
    for (index, toleration) in pod.tolerations.iter().flatten().enumerate() {
        self::toleration(rules, toleration, &format!("{path}.tolerations[{index}]"));
    }
    let constraints = pod.topology_spread_constraints.as_deref().unwrap_or_default();
    for (index, constraint) in constraints.iter().enumerate() {
        let same = |earlier: &&k8s_openapi::api::core::v1::TopologySpreadConstraint| {
            earlier.topology_key == constraint.topology_key
                && earlier.when_unsatisfiable == constraint.when_unsatisfiable
        };
        if constraints[..index].iter().any(|earlier| same(&earlier)) {
            rules.push(FieldError::own(
                format!(
                    "topology key \"{}\" is constrained twice",
                    constraint.topology_key
                ),
                format!("{path}.topologySpreadConstraints[{index}]"),
            ));
        }
    }
    let servers = pod.dns_config.as_ref().and_then(|dns| dns.nameservers.as_ref());
    if pod.dns_policy.as_deref() == Some("None") && servers.is_none_or(Vec::is_empty) {
        let at = format!("{path}.dnsConfig.nameservers");
        let note = format!("{at}: with dnsPolicy None, somebody has to answer");
        rules.push(FieldError::own("missing field(s)", at).with_note(note));
    }
    if pod.host_pid == Some(true) && pod.share_process_namespace == Some(true) {
        let at = format!("{path}.shareProcessNamespace");
        let note = format!("{at}: not together with hostPID");
        rules.push(FieldError::own("must not set the field(s)", at).with_note(note));
    }
    for (index, constraint) in constraints.iter().enumerate() {
        let keys = constraint
            .match_label_keys
            .as_ref()
            .is_some_and(|keys| !keys.is_empty());
        if keys && constraint.label_selector.is_none() {
            let at = format!("{path}.topologySpreadConstraints[{index}].matchLabelKeys");
            let note = format!("{at}: only together with labelSelector");
            rules.push(FieldError::own("must not set the field(s)", at).with_note(note));
        }
    }
    if pod.host_network == Some(true) && pod.host_users == Some(false) {
        let at = format!("{path}.hostNetwork");
        let note = format!("{at}: not together with hostUsers: false");
        rules.push(FieldError::own("must not set the field(s)", at).with_note(note));
    }
    if let Some(context) = &pod.security_context {
        identity(
            rules,
            (context.run_as_non_root, context.run_as_user),
            context.seccomp_profile.as_ref(),
            context.app_armor_profile.as_ref(),
            &format!("{path}.securityContext"),
        );
    }
    node_affinity(rules, pod, &format!("{path}.affinity.nodeAffinity"));
    no_windows(rules, pod, path);
}

/// Steps run on Linux: a Pod on a node of another kind would wait for its image for ever.
fn no_windows(rules: &mut Rules<'_>, pod: &PodSpec, path: &str) {
    let os = pod.os.as_ref().map(|os| os.name.as_str());
    let selected = pod.node_selector.as_ref();
    let selected = selected.and_then(|labels| labels.get("kubernetes.io/os"));
    for (given, field) in [
        (os, "os.name"),
        (selected.map(String::as_str), "nodeSelector[kubernetes.io/os]"),
    ] {
        if given == Some("windows") {
            let at = format!("{path}.{field}");
            let note = format!("{at}: steps run on Linux, write linux or leave it out");
            rules.push(FieldError::own("invalid value: windows", at).with_note(note));
        }
    }
}

fn toleration(rules: &mut Rules<'_>, toleration: &Toleration, at: &str) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (key, value) = (text(&toleration.key), text(&toleration.value));
    let (operator, effect) = (text(&toleration.operator), text(&toleration.effect));
    if [&key, &value, &operator, &effect]
        .iter()
        .any(|text| text.contains("$("))
    {
        return;
    }
    if operator == "Exists" && !value.is_empty() {
        let at = format!("{at}.value");
        let note = format!("{at}: with operator Exists there is nothing to compare with \"{value}\"");
        rules.push(FieldError::own("must not set the field(s)", at).with_note(note));
    }
    if key.is_empty() && operator != "Exists" {
        let at = format!("{at}.operator");
        let note = format!("{at}: without a key, which means any, the operator is Exists");
        rules.push(FieldError::own(format!("invalid value: {operator}"), at).with_note(note));
    }
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        let at = format!("{at}.effect");
        let note =
            format!("{at}: tolerationSeconds counts until a Pod is put out, which only NoExecute does");
        rules.push(FieldError::own(format!("invalid value: {effect}"), at).with_note(note));
    }
}

fn node_affinity(rules: &mut Rules<'_>, pod: &PodSpec, at: &str) {
    let Some(affinity) = pod
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
    else {
        return;
    };
    if let Some(required) = &affinity.required_during_scheduling_ignored_during_execution {
        let at = format!("{at}.requiredDuringSchedulingIgnoredDuringExecution");
        for (index, term) in required.node_selector_terms.iter().enumerate() {
            self::term(rules, term, &format!("{at}.nodeSelectorTerms[{index}]"));
        }
    }
    let preferred = &affinity.preferred_during_scheduling_ignored_during_execution;
    for (index, preferred) in preferred.iter().flatten().enumerate() {
        let at = format!("{at}.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference");
        self::term(rules, &preferred.preference, &at);
    }
}

fn term(rules: &mut Rules<'_>, term: &NodeSelectorTerm, at: &str) {
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        self::requirement(
            rules,
            requirement,
            &format!("{at}.matchExpressions[{index}].values"),
        );
    }
}

fn requirement(rules: &mut Rules<'_>, requirement: &NodeSelectorRequirement, at: &str) {
    let values = requirement.values.as_deref().unwrap_or_default();
    let operator = requirement.operator.as_str();
    let variable = values.iter().any(|value| value.contains("$("));
    let wanted = match operator {
        "In" | "NotIn" if values.is_empty() => "what to compare with, one value at least",
        "Exists" | "DoesNotExist" if !values.is_empty() => "nothing, the key alone counts",
        "Gt" | "Lt" if !variable && (values.len() != 1 || values[0].parse::<i64>().is_err()) => {
            "one whole number"
        }
        _ => return,
    };
    let note = format!(
        "{at}: operator {operator} wants {wanted}, given are [{}]",
        values.join(", ")
    );
    rules.push(FieldError::own("invalid value", at).with_note(note));
}
