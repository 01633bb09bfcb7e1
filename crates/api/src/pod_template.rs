//! What a TaskRun asks of its Pod beyond the containers (api.md 1.9, departures.md).

use std::{fmt, sync::LazyLock};

use k8s_openapi::api::core::v1::{EnvVar, PodSpec};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, IntoDeserializer as _, MapAccess, Visitor, value::MapAccessDeserializer},
    ser::Error as _,
};
use serde_json::{Map, Value};

/// A podTemplate: environment for every step, and any field of a Pod's spec but those that belong
/// to the engine (containers, initContainers, ephemeralContainers, restartPolicy,
/// activeDeadlineSeconds).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodTemplate {
    /// Added to every step; on equal names it wins over the step's own.
    pub env: Vec<EnvVar>,
    /// Everything else. Where `containers` is not empty, validation refuses it.
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

    /// The first of [`Self::RESERVED`] that is set.
    pub fn reserved(&self) -> Option<&'static str> {
        self.reserved_fields().next()
    }

    /// Those of [`Self::RESERVED`] that are set.
    pub fn reserved_fields(&self) -> impl Iterator<Item = &'static str> + use<> {
        let pod = &self.pod;
        let set = [
            !pod.containers.is_empty(),
            pod.init_containers.is_some(),
            pod.ephemeral_containers.is_some(),
            pod.restart_policy.is_some(),
            pod.active_deadline_seconds.is_some(),
        ];
        let fields = Self::RESERVED.into_iter().zip(set);
        fields.filter_map(|(field, set)| set.then_some(field))
    }
}

impl Serialize for PodTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = match serde_json::to_value(&self.pod).map_err(S::Error::custom)? {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        // A Pod's spec always has it; a podTemplate only where somebody wrote it, to be refused.
        if self.pod.containers.is_empty() {
            fields.remove("containers");
        }
        if !self.env.is_empty() {
            fields.insert(
                "env".to_owned(),
                serde_json::to_value(&self.env).map_err(S::Error::custom)?,
            );
        }
        fields.serialize(serializer)
    }
}

/// `env`, and every field of a Pod's spec.
static FIELDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut fields = vec!["env"];
    fields.extend(crate::decode::fields_of::<PodSpec>());
    fields
});

impl<'de> Deserialize<'de> for PodTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = PodTemplate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("struct PodTemplate")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PodTemplate, A::Error> {
                let mut env = Vec::new();
                let pod =
                    PodSpec::deserialize(MapAccessDeserializer::new(WithoutEnv { map, env: &mut env }))?;
                Ok(PodTemplate { env, pod })
            }
        }

        deserializer.deserialize_struct("PodTemplate", &FIELDS, Fields)
    }
}

/// The fields of a Pod's spec: `env` is taken out on the way.
struct WithoutEnv<'a, A> {
    map: A,
    env: &'a mut Vec<EnvVar>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutEnv<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            if key != "env" {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            *self.env = self.map.next_value::<Option<Vec<EnvVar>>>()?.unwrap_or_default();
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
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
