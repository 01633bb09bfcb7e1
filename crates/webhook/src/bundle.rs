//! The CA in the webhook configurations, without which the API server does not trust us.

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

/// A configuration that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the CA into webhook configuration {name}: {source}")]
pub struct BundleError {
    name: String,
    source: Box<kube::Error>,
}

/// Writes `ca` (PEM) into the three configurations named after `admission`, where it is not there.
///
/// # Errors
/// The first configuration that cannot be read or written; another try can help.
pub async fn write(client: &Client, admission: &str, ca: &str) -> Result<(), BundleError> {
    let failed = |name: &str| {
        let name = name.to_owned();
        move |source| BundleError {
            name,
            source: Box::new(source),
        }
    };
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let found = mutating.get(admission).await.map_err(failed(admission))?;
    let bundles = found
        .webhooks
        .iter()
        .flatten()
        .map(|hook| hook.client_config.ca_bundle.as_ref());
    if let Some(patch) = patch(bundles, ca) {
        let written = mutating
            .patch(admission, &PatchParams::default(), &Patch::<Value>::Json(patch))
            .await;
        written.map_err(failed(admission))?;
    }
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    for prefix in ["validation", "config"] {
        let name = format!("{prefix}.{admission}");
        let found = validating.get(&name).await.map_err(failed(&name))?;
        let bundles = found
            .webhooks
            .iter()
            .flatten()
            .map(|hook| hook.client_config.ca_bundle.as_ref());
        if let Some(patch) = patch(bundles, ca) {
            let written = validating
                .patch(&name, &PatchParams::default(), &Patch::<Value>::Json(patch))
                .await;
            written.map_err(failed(&name))?;
        }
    }
    Ok(())
}

/// What has to change, if anything.
fn patch<'a>(bundles: impl Iterator<Item = Option<&'a ByteString>>, ca: &str) -> Option<json_patch::Patch> {
    let wanted = ByteString(ca.as_bytes().to_vec());
    let operations: Vec<Value> = bundles
        .enumerate()
        .filter(|(_, bundle)| *bundle != Some(&wanted))
        .map(|(index, _)| {
            let path = format!("/webhooks/{index}/clientConfig/caBundle");
            json!({"op": "add", "path": path, "value": wanted})
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

    #[test]
    fn only_what_differs_is_written() {
        let same = ByteString(b"ca".to_vec());
        let other = ByteString(b"old".to_vec());
        assert_eq!(patch([Some(&same)].into_iter(), "ca"), None);
        let patch = patch([Some(&same), Some(&other), None].into_iter(), "ca").unwrap();
        assert_eq!(
            serde_json::to_value(patch).unwrap(),
            json!([
                {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "Y2E="},
                {"op": "add", "path": "/webhooks/2/clientConfig/caBundle", "value": "Y2E="},
            ])
        );
    }
}
