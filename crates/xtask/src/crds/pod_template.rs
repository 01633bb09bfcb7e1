//! podTemplate: env, and any field of a Pod's spec that is not the engine's own (api.md 1.9).

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value;
use tektite_api::PodTemplate;

use super::container;
use super::core_types::{bare, volumes};
use super::schema::object;

pub(super) fn pod_template() -> Value {
    let mut fields = bare::<PodSpec>()["properties"].take();
    if let Value::Object(fields) = &mut fields {
        fields.retain(|name, _| !PodTemplate::RESERVED.contains(&name.as_str()));
    }
    fields["env"] =
        container::env("Environment variables added to every step; they win over the step's own.");
    fields["volumes"] = volumes("Volumes added to the Pod, for steps to mount.");
    object(
        "What the Pod gets beyond its containers: where it runs, as whom, with which volumes and network.",
        fields,
    )
}
