//! The affinity assistant: a run of a pipeline whose claims can only be used on one node goes where the
//! pipeline's assistant is (runtime.md 1.10).

use k8s_openapi::{
    api::core::v1::{PodAffinityTerm, PodSpec},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

/// Binds a Pod to the node of the assistant called `assistant`; what else its affinity says is kept.
pub(super) fn follow(pod: &mut PodSpec, assistant: &str) {
    let labels = [
        ("app.kubernetes.io/instance", assistant),
        ("app.kubernetes.io/component", "affinity-assistant"),
    ];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let affinity = pod.affinity.get_or_insert_default();
    let terms = affinity.pod_affinity.get_or_insert_default();
    terms
        .required_during_scheduling_ignored_during_execution
        .get_or_insert_default()
        .push(PodAffinityTerm {
            label_selector: Some(LabelSelector {
                match_labels: Some(labels.into()),
                ..LabelSelector::default()
            }),
            topology_key: "kubernetes.io/hostname".to_owned(),
            ..PodAffinityTerm::default()
        });
}
