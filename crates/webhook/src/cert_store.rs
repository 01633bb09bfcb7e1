//! The certificate's Secret: all replicas share one certificate, whoever made it.

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::PostParams};

use crate::{
    args::Args,
    certs::{Bundle, CertError},
};

/// What keeps a replica from its certificate; another try can help with all of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Making or reading it.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// The API server.
    #[error("failed to {what} secret {name}: {source}")]
    Api {
        /// What was tried.
        what: &'static str,
        /// The Secret.
        name: String,
        /// What came back.
        source: Box<kube::Error>,
    },
    /// Other replicas were faster each time.
    #[error("secret {0} changes under every try to write it")]
    Contended(String),
}

/// The certificate that is in force: the stored one, or, where there is none or it is old, a new one
/// that is stored first. Of several replicas the fastest wins, and the others take its.
///
/// # Errors
/// See [`StoreError`].
pub async fn current(client: &Client, args: &Args, now: Timestamp) -> Result<Bundle, StoreError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &args.system_namespace);
    let name = &args.secret_name;
    let api = |what| {
        move |source| StoreError::Api {
            what,
            name: name.clone(),
            source: Box::new(source),
        }
    };
    for _ in 0..5 {
        let stored = secrets.get_opt(name).await.map_err(api("read"))?;
        let bundle = stored
            .as_ref()
            .and_then(|secret| Bundle::read(secret.data.as_ref()?).ok());
        if let Some(bundle) = bundle.as_ref().filter(|bundle| !bundle.is_old(now)) {
            return Ok(bundle.clone());
        }
        let made = Bundle::make(&args.dns_names(), now, bundle.as_ref())?;
        let metadata = stored.as_ref().map_or_else(
            || ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            |secret| secret.metadata.clone(),
        );
        let secret = Secret {
            metadata,
            data: Some(made.data()),
            ..Secret::default()
        };
        let written = match stored {
            // The version in the metadata makes a slower replica fail.
            Some(_) => secrets.replace(name, &PostParams::default(), &secret).await,
            None => secrets.create(&PostParams::default(), &secret).await,
        };
        match written {
            Ok(_) => {
                tracing::info!(secret = name, "made a new certificate");
                return Ok(made);
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {}
            Err(error) => return Err(api("write")(error)),
        }
    }
    Err(StoreError::Contended(name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use http::{Request, Response, StatusCode};
    use kube::client::Body;
    use serde_json::json;

    fn reply(status: StatusCode, body: serde_json::Value) -> Response<Body> {
        Response::builder()
            .status(status)
            .body(Body::from(body.to_string().into_bytes()))
            .unwrap()
    }

    fn failure(code: u16, reason: &str) -> serde_json::Value {
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason})
    }

    /// Answers each request in turn with what `script` says, and returns what was asked.
    async fn scripted(script: Vec<Response<Body>>) -> (Result<Bundle, StoreError>, Vec<String>) {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "ns");
        let server = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in script {
                let (request, send) = handle.next_request().await.unwrap();
                asked.push(format!("{} {}", request.method(), request.uri().path()));
                send.send_response(answer);
            }
            asked
        });
        let args = Args::parse_from(["w", "--system-namespace", "ns"]);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let bundle = current(&client, &args, now).await;
        (bundle, server.await.unwrap())
    }

    #[tokio::test]
    async fn the_faster_replica_wins() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let theirs = Bundle::make(&["w".to_owned()], now, None).unwrap();
        let stored = Secret {
            data: Some(theirs.data()),
            ..Secret::default()
        };
        let (bundle, asked) = scripted(vec![
            reply(StatusCode::NOT_FOUND, failure(404, "NotFound")),
            reply(StatusCode::CONFLICT, failure(409, "AlreadyExists")),
            reply(StatusCode::OK, serde_json::to_value(&stored).unwrap()),
        ])
        .await;
        assert_eq!(bundle.unwrap(), theirs);
        let path = "/api/v1/namespaces/ns/secrets";
        assert_eq!(
            asked,
            [
                format!("GET {path}/webhook-certs"),
                format!("POST {path}"),
                format!("GET {path}/webhook-certs")
            ]
        );
    }

    #[tokio::test]
    async fn an_unreadable_secret_is_replaced() {
        let broken = json!({"metadata": {"name": "webhook-certs", "resourceVersion": "7"}, "data": {}});
        let (bundle, asked) = scripted(vec![
            reply(StatusCode::OK, broken.clone()),
            reply(StatusCode::OK, broken),
        ])
        .await;
        bundle.unwrap();
        assert_eq!(asked[1], "PUT /api/v1/namespaces/ns/secrets/webhook-certs");
    }
}
