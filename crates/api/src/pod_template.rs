//! What a TaskRun asks of its Pod beyond the containers (api.md 1.9, departures.md).

use k8s_openapi::api::core::v1::{EnvVar, PodSpec};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::{Map, Value};

/// A podTemplate: environment for every step, and any field of a Pod's spec but those that belong
/// to the engine (containers, initContainers, ephemeralContainers, restartPolicy,
/// activeDeadlineSeconds).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodTemplate {
    /// Added to every step; on equal names it wins over the step's own.
    pub env: Vec<EnvVar>,
    /// Everything else. `containers` is always empty.
    pub pod: PodSpec,
}

impl PodTemplate {
    /// The fields of a Pod's spec that are the engine's own.
    pub const RESERVED: [&'static str; 5] = [
        "containers",
        "initContainers",
        "ephemeralContainers",
        "restartPolicy",
        "activeDeadlineSeconds",
    ];
}

impl Serialize for PodTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = match serde_json::to_value(&self.pod).map_err(S::Error::custom)? {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        fields.remove("containers");
        if !self.env.is_empty() {
            fields.insert(
                "env".to_owned(),
                serde_json::to_value(&self.env).map_err(S::Error::custom)?,
            );
        }
        fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PodTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let env = match fields.remove("env") {
            None | Some(Value::Null) => Vec::new(),
            Some(env) => {
                serde_json::from_value(env).map_err(|error| D::Error::custom(format!("env: {error}")))?
            }
        };
        fields
            .entry("containers")
            .or_insert_with(|| Value::Array(Vec::new()));
        let pod = serde_json::from_value(Value::Object(fields)).map_err(D::Error::custom)?;
        Ok(Self { env, pod })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn takes_env_and_any_pod_field() {
        let text = json!({
            "env": [{"name": "A", "value": "b"}],
            "serviceAccountName": "builder",
            "nodeSelector": {"disktype": "ssd"},
            "securityContext": {"runAsUser": 1001},
            "hostUsers": false,
        });
        let template: PodTemplate = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(template.pod.service_account_name.as_deref(), Some("builder"));
        assert_eq!(template.env[0].name, "A");
        assert_eq!(serde_json::to_value(&template).unwrap(), text);
        assert_eq!(serde_json::to_value(PodTemplate::default()).unwrap(), json!({}));
    }
}
