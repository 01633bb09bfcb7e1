//! The CA in whatever makes the API server call us, without which it does not trust us.

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    api::{CallError, call},
    args::Definitions,
};

/// How often an object is read again after it changed under a patch.
const TRIES: usize = 3;

/// A target that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("failed to {what} {target}: {source}")]
pub struct BundleError {
    what: &'static str,
    target: String,
    source: CallError,
}

/// The kinds of objects that make the API server call somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `MutatingWebhookConfiguration`.
    Mutating,
    /// A `ValidatingWebhookConfiguration`.
    Validating,
    /// A `CustomResourceDefinition`, which does so if its conversion strategy is Webhook.
    Definition,
}

/// One object that makes the API server call us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// All objects that make the API server call us. `admission` names the mutating configuration.
pub fn targets(admission: &str, definitions: Definitions) -> Vec<Target> {
    let table = [
        (Kind::Mutating, admission.to_owned()),
        (Kind::Validating, format!("validation.{admission}")),
        (Kind::Validating, format!("config.{admission}")),
        (Kind::Definition, "tasks.tekton.dev".to_owned()),
        (Kind::Definition, "taskruns.tekton.dev".to_owned()),
    ];
    table
        .into_iter()
        .filter(|(kind, _)| *kind != Kind::Definition || definitions == Definitions::Ours)
        .map(|(kind, name)| Target { kind, name })
        .collect()
}

impl Target {
    /// Reads and writes it.
    pub fn api(&self, client: &Client) -> Api<DynamicObject> {
        let resource = match self.kind {
            Kind::Mutating => ApiResource::erase::<MutatingWebhookConfiguration>(&()),
            Kind::Validating => ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
            Kind::Definition => ApiResource::erase::<CustomResourceDefinition>(&()),
        };
        Api::all_with(client.clone(), &resource)
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(CallError) -> BundleError {
        let kind = match self.kind {
            Kind::Mutating | Kind::Validating => "webhook configuration",
            Kind::Definition => "custom resource definition",
        };
        let target = format!("{kind} {}", self.name);
        move |source| BundleError { what, target, source }
    }

    /// Where its CAs are.
    ///
    /// # Errors
    /// It cannot be read; another try can help.
    pub async fn look(&self, client: &Client) -> Result<Vec<Slot>, BundleError> {
        match call(self.api(client).get(&self.name)).await {
            Ok(object) => Ok(self.slots(&object.data)),
            // Whoever installed us without it is not called for it.
            Err(error) if self.kind == Kind::Definition && error.code() == 404 => Ok(Vec::new()),
            Err(error) => Err(self.failed("read")(error)),
        }
    }

    /// Writes `ca` (PEM) wherever it is not there. `seen` is what [`Self::look`] has found.
    ///
    /// # Errors
    /// It cannot be read or written; another try can help.
    pub async fn write(&self, client: &Client, ca: &str, seen: Vec<Slot>) -> Result<(), BundleError> {
        let mut slots = seen;
        for tries in 1.. {
            let Some(patch) = patch(&slots, ca) else { break };
            let how = PatchParams::default();
            match call(
                self.api(client)
                    .patch(&self.name, &how, &Patch::<Value>::Json(patch)),
            )
            .await
            {
                Ok(_) => {
                    tracing::info!(target = self.name, "wrote the CA");
                    break;
                }
                // Its entries are not where they were.
                Err(error) if tries < TRIES && matches!(error.code(), 409 | 422) => {
                    slots = self.look(client).await?;
                }
                Err(error) => return Err(self.failed("write the CA into")(error)),
            }
        }
        Ok(())
    }

    fn slots(&self, object: &Value) -> Vec<Slot> {
        let slot = |guard: String, is: &Value, path: String| Slot {
            guard,
            is: is.clone(),
            held: object.pointer(&path).and_then(|held| {
                let held: ByteString = serde_json::from_value(held.clone()).ok()?;
                Some(held.0)
            }),
            path,
        };
        if self.kind == Kind::Definition {
            const STRATEGY: &str = "/spec/conversion/strategy";
            return object
                .pointer(STRATEGY)
                .filter(|strategy| *strategy == "Webhook")
                .map(|strategy| {
                    let path = "/spec/conversion/webhook/clientConfig/caBundle";
                    slot(STRATEGY.to_owned(), strategy, path.to_owned())
                })
                .into_iter()
                .collect();
        }
        let hooks = object["webhooks"].as_array().into_iter().flatten();
        hooks
            .enumerate()
            .map(|(index, hook)| {
                let at = format!("/webhooks/{index}");
                slot(
                    format!("{at}/name"),
                    &hook["name"],
                    format!("{at}/clientConfig/caBundle"),
                )
            })
            .collect()
    }
}

/// One place for a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    path: String,
    /// What says that the place is still the same: a pointer, and what is there.
    guard: String,
    is: Value,
    held: Option<Vec<u8>>,
}

impl Slot {
    /// What stands there, as PEM; empty for nothing.
    pub fn held(&self) -> &[u8] {
        self.held.as_deref().unwrap_or_default()
    }
}

/// What has to change, if anything.
fn patch(slots: &[Slot], ca: &str) -> Option<json_patch::Patch> {
    let wanted = ByteString(ca.as_bytes().to_vec());
    let operations: Vec<Value> = slots
        .iter()
        .filter(|slot| slot.held.as_ref() != Some(&wanted.0))
        .flat_map(|slot| {
            [
                json!({"op": "test", "path": slot.guard, "value": slot.is}),
                json!({"op": "add", "path": slot.path, "value": wanted}),
            ]
        })
        .collect();
    if operations.is_empty() {
        return None;
    }
    serde_json::from_value(Value::Array(operations)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{failure, reply, scripted, silent};
    use http::StatusCode;

    const AT: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/w";

    fn target() -> Target {
        targets("w", Definitions::Ours).remove(0)
    }

    fn hook(name: &str, ca: Option<&str>) -> Value {
        json!({"name": name, "clientConfig": {"caBundle": ca.map(|ca| ByteString(ca.into()))}})
    }

    fn slots(hooks: Value) -> Vec<Slot> {
        target().slots(&json!({"webhooks": hooks}))
    }

    #[test]
    fn only_what_differs_is_written() {
        let same = hook("a", Some("ca"));
        assert_eq!(patch(&slots(json!([same])), "ca"), None);
        let patch = patch(
            &slots(json!([same, hook("b", Some("old")), hook("c", None)])),
            "ca",
        )
        .unwrap();
        assert_eq!(
            serde_json::to_value(patch).unwrap(),
            json!([
                {"op": "test", "path": "/webhooks/1/name", "value": "b"},
                {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "Y2E="},
                {"op": "test", "path": "/webhooks/2/name", "value": "c"},
                {"op": "add", "path": "/webhooks/2/clientConfig/caBundle", "value": "Y2E="},
            ])
        );
    }

    #[test]
    fn a_definition_counts_if_the_webhook_converts() {
        let definition = targets("w", Definitions::Ours).pop().unwrap();
        assert_eq!(definition.name, "taskruns.tekton.dev");
        let of = |conversion: Value| definition.slots(&json!({"spec": {"conversion": conversion}}));
        assert_eq!(of(json!({"strategy": "None"})), []);
        assert_eq!(of(Value::Null), []);
        let slots = of(json!({"strategy": "Webhook", "webhook": {"clientConfig": {"caBundle": "Y2E="}}}));
        assert_eq!(slots[0].held(), b"ca");
        assert_eq!(
            serde_json::to_value(patch(&slots, "x").unwrap()).unwrap(),
            json!([
                {"op": "test", "path": "/spec/conversion/strategy", "value": "Webhook"},
                {"op": "add", "path": "/spec/conversion/webhook/clientConfig/caBundle", "value": "eA=="},
            ])
        );
    }

    #[tokio::test]
    async fn an_entry_that_moved_is_looked_for() {
        let moved = json!({"metadata": {"name": "w"}, "webhooks": [hook("b", None), hook("a", None)]});
        let (client, server) = scripted(vec![
            reply(StatusCode::UNPROCESSABLE_ENTITY, failure(422, "Invalid")),
            reply(StatusCode::OK, moved.clone()),
            reply(StatusCode::OK, moved),
        ]);
        let seen = slots(json!([hook("a", None)]));
        target().write(&client, "ca", seen).await.unwrap();
        let asked = server.await.unwrap();
        let lines: Vec<_> = asked.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(
            lines,
            [format!("PATCH {AT}"), format!("GET {AT}"), format!("PATCH {AT}")]
        );
        assert_eq!(asked[2].1[2]["value"], "a", "{}", asked[2].1);
    }

    #[tokio::test]
    async fn a_definition_may_be_missing_and_a_configuration_may_not() {
        let gone = || reply(StatusCode::NOT_FOUND, failure(404, "NotFound"));
        let (client, _server) = scripted(vec![gone(), gone()]);
        let definition = targets("w", Definitions::Ours).pop().unwrap();
        assert_eq!(definition.look(&client).await.unwrap(), []);
        let error = target().look(&client).await.unwrap_err().to_string();
        assert!(
            error.starts_with("failed to read webhook configuration w: "),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_api_server_is_not_waited_for() {
        let (client, _silent) = silent();
        let error = target().look(&client).await.unwrap_err().to_string();
        assert!(error.ends_with("no answer within 10 seconds"), "{error}");
    }
}
