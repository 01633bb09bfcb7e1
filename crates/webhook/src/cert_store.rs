//! The certificate's Secret: all replicas share one certificate, whoever made it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::PostParams};

use crate::{
    api::{CallError, call},
    args::{Args, CertKeeper},
    certs::{Bundle, CertError, Layout, Previous},
};

/// How often the Secret is read again after another replica was faster.
const TRIES: usize = 5;

/// What keeps a replica from its certificate; another try can help with all of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Making or reading it.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// Who keeps it has not made it yet.
    #[error("there is no secret {0}")]
    Absent(String),
    /// The API server.
    #[error("failed to {what} secret {name}: {source}")]
    Api {
        /// What was tried.
        what: &'static str,
        /// The Secret.
        name: String,
        /// What came back.
        source: CallError,
    },
    /// Other replicas were faster each time.
    #[error("secret {0} changes under every try to write it")]
    Contended(String),
}

/// The certificate that is in force: the stored one, or, where that is missing, old or useless, a new
/// one that is stored first. Of several replicas the fastest wins, and the others take its. Where the
/// stored one is of no use, the new one vouches for `before` as well.
///
/// # Errors
/// See [`StoreError`].
pub async fn current(
    client: &Client,
    args: &Args,
    now: Timestamp,
    before: Option<Previous>,
) -> Result<Bundle, StoreError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &args.system_namespace);
    let name = &args.secret_name;
    let failed = |what| {
        move |source| StoreError::Api {
            what,
            name: name.clone(),
            source,
        }
    };
    for _ in 0..TRIES {
        let stored = call(secrets.get_opt(name)).await.map_err(failed("read"))?;
        if args.cert_keeper == CertKeeper::Other {
            let stored = stored.ok_or_else(|| StoreError::Absent(name.clone()))?;
            return Ok(usable(&stored, Layout::TLS, args, now)?);
        }
        // An empty one comes with the chart.
        let found = stored
            .as_ref()
            .filter(|stored| stored.data.as_ref().is_some_and(|data| !data.is_empty()))
            .map(|stored| usable(stored, Layout::OWN, args, now));
        let found = match found {
            Some(Err(error)) => {
                tracing::warn!(secret = name, %error, "what is stored is of no use");
                None
            }
            found => found.and_then(Result::ok),
        };
        let next = match &found {
            Some(found) if !found.is_old(now) => match found.without_previous(now) {
                Some(next) => next,
                None => return Ok(found.clone()),
            },
            _ => {
                let previous = found.as_ref().map_or_else(|| before.clone(), Bundle::previous);
                Bundle::make(&args.dns_names(), now, args.cert_life, previous)?
            }
        };
        match write(&secrets, args, stored, &next).await {
            Ok(()) => return Ok(next),
            Err(error) if error.code() == 409 => {}
            Err(error) => match found {
                // It serves for a third of its life yet.
                Some(found) => {
                    tracing::warn!(secret = name, %error, "the certificate cannot be renewed");
                    return Ok(found);
                }
                None => return Err(failed("write")(error)),
            },
        }
    }
    Err(StoreError::Contended(name.clone()))
}

fn usable(stored: &Secret, layout: Layout, args: &Args, now: Timestamp) -> Result<Bundle, CertError> {
    let bundle = Bundle::read(stored.data.as_ref().unwrap_or(&BTreeMap::new()), layout)?;
    // cert-manager is told the names in the chart, and may be told others.
    let names = match args.cert_keeper {
        CertKeeper::Webhook => args.dns_names(),
        CertKeeper::Other => vec![args.call_name()],
    };
    bundle.check(&names, now)?;
    Ok(bundle)
}

async fn write(
    secrets: &Api<Secret>,
    args: &Args,
    stored: Option<Secret>,
    bundle: &Bundle,
) -> Result<(), CallError> {
    let how = PostParams::default();
    let name = args.secret_name.as_str();
    let data = Some(bundle.data());
    match stored {
        // The version in the metadata makes a slower replica fail.
        Some(stored) => {
            let secret = Secret { data, ..stored };
            call(secrets.replace(name, &how, &secret)).await?;
        }
        None => {
            let secret = Secret {
                metadata: new_metadata(args),
                data,
                ..Secret::default()
            };
            call(secrets.create(&how, &secret)).await?;
        }
    }
    tracing::info!(secret = name, until = %bundle.until(), "wrote the certificate");
    Ok(())
}

/// The Secret was the release's, and the one in its place is, too.
fn new_metadata(args: &Args) -> ObjectMeta {
    let release = args.helm_release.as_str();
    let texts = |pairs: &[(&str, &str)]| {
        (!release.is_empty()).then(|| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        })
    };
    ObjectMeta {
        name: Some(args.secret_name.clone()),
        labels: texts(&[("app.kubernetes.io/managed-by", "Helm")]),
        annotations: texts(&[
            ("meta.helm.sh/release-name", release),
            ("meta.helm.sh/release-namespace", &args.system_namespace),
        ]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{failure, reply, scripted};
    use clap::Parser as _;
    use http::StatusCode;
    use jiff::SignedDuration;
    use serde_json::{Value, json};

    const GET: &str = "GET /api/v1/namespaces/ns/secrets/webhook-certs";
    const PUT: &str = "PUT /api/v1/namespaces/ns/secrets/webhook-certs";
    const POST: &str = "POST /api/v1/namespaces/ns/secrets";

    fn args(more: &[&str]) -> Args {
        Args::parse_from(["w", "--system-namespace", "ns"].iter().chain(more))
    }

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 24 * 3600).unwrap()
    }

    fn made(at: i64) -> Bundle {
        let life = SignedDuration::from_hours(300 * 24);
        Bundle::make(&args(&[]).dns_names(), day(at), life, None).unwrap()
    }

    fn secret(bundle: &Bundle) -> Value {
        json!({"metadata": {"name": "webhook-certs", "resourceVersion": "7"}, "data": bundle.data()})
    }

    fn ok(body: Value) -> (StatusCode, Value) {
        (StatusCode::OK, body)
    }

    /// What comes of `script` at `now`, and what was asked.
    async fn at(
        now: Timestamp,
        more: &[&str],
        served: Option<&Bundle>,
        script: Vec<(StatusCode, Value)>,
    ) -> (Result<Bundle, StoreError>, Vec<String>) {
        let script = script
            .into_iter()
            .map(|(status, body)| reply(status, body))
            .collect();
        let (client, answering) = scripted(script);
        let bundle = current(&client, &args(more), now, served.and_then(Bundle::previous)).await;
        drop(client);
        (
            bundle,
            answering
                .await
                .unwrap()
                .into_iter()
                .map(|(asked, _)| asked)
                .collect(),
        )
    }

    #[tokio::test]
    async fn the_faster_replica_wins() {
        let theirs = made(0);
        let script = vec![
            (StatusCode::NOT_FOUND, failure(404, "NotFound")),
            (StatusCode::CONFLICT, failure(409, "AlreadyExists")),
            ok(secret(&theirs)),
        ];
        let (bundle, asked) = at(day(0), &[], None, script).await;
        assert_eq!(bundle.unwrap(), theirs);
        assert_eq!(asked, [GET, POST, GET]);
    }

    #[tokio::test]
    async fn what_is_of_no_use_is_replaced() {
        let good = made(0);
        let mut mismatch = secret(&good);
        mismatch["data"]["server-key.pem"] = secret(&made(0))["data"]["server-key.pem"].clone();
        let mut garbled = secret(&good);
        garbled["data"]["server-cert.pem"] = json!("bm8=");
        let life = SignedDuration::from_hours(300 * 24);
        let other_names = Bundle::make(&["w".to_owned()], day(0), life, None).unwrap();
        let empty = json!({"metadata": {"name": "webhook-certs", "resourceVersion": "7"}});
        for broken in [
            mismatch,
            garbled,
            secret(&other_names),
            secret(&made(-400)),
            empty,
        ] {
            let (bundle, asked) = at(day(1), &[], Some(&good), vec![ok(broken.clone()), ok(broken)]).await;
            let bundle = bundle.unwrap();
            assert_eq!(asked, [GET, PUT]);
            assert!(!bundle.serves_like(&good));
            assert!(
                good.trusted_by(bundle.ca().as_bytes(), day(1)),
                "other replicas still serve it"
            );
        }
    }

    #[tokio::test]
    async fn an_old_one_is_renewed_and_its_ca_dropped_in_the_end() {
        let old = made(0);
        let (renewed, asked) = at(day(200), &[], None, vec![ok(secret(&old)), ok(secret(&old))]).await;
        let renewed = renewed.unwrap();
        assert_eq!(asked, [GET, PUT]);
        assert!(old.trusted_by(renewed.ca().as_bytes(), day(201)));
        let (same, asked) = at(day(300), &[], None, vec![ok(secret(&renewed))]).await;
        assert_eq!((same.unwrap(), asked), (renewed.clone(), vec![GET.to_owned()]));
        let script = vec![ok(secret(&renewed)), ok(secret(&renewed))];
        let (alone, asked) = at(day(301), &[], None, script).await;
        let alone = alone.unwrap();
        assert_eq!(asked, [GET, PUT]);
        assert!(alone.serves_like(&renewed));
        assert_eq!(alone.ca().matches("BEGIN CERTIFICATE").count(), 1);
    }

    #[tokio::test]
    async fn what_still_serves_is_served_when_it_cannot_be_renewed() {
        let old = made(0);
        let script = vec![
            ok(secret(&old)),
            (StatusCode::FORBIDDEN, failure(403, "Forbidden")),
        ];
        let (bundle, _) = at(day(200), &[], None, script).await;
        assert_eq!(bundle.unwrap(), old);
    }

    #[tokio::test]
    async fn what_somebody_else_keeps_is_never_written() {
        let theirs = made(0);
        let own = secret(&theirs);
        let data = json!({"tls.crt": own["data"]["server-cert.pem"], "tls.key": own["data"]["server-key.pem"],
            "ca.crt": own["data"]["ca-cert.pem"]});
        let other = ["--cert-keeper", "other"];
        let old = ok(json!({"metadata": {"name": "webhook-certs"}, "data": data}));
        let (bundle, asked) = at(day(299), &other, None, vec![old.clone()]).await;
        assert_eq!((bundle.unwrap(), asked), (theirs, vec![GET.to_owned()]));
        let absent = vec![(StatusCode::NOT_FOUND, failure(404, "NotFound"))];
        for script in [vec![old], absent, vec![ok(own)]] {
            let (bundle, asked) = at(day(301), &other, None, script).await;
            bundle.unwrap_err();
            assert_eq!(asked, [GET]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_api_server_is_not_waited_for() {
        let (client, _silent) = crate::testing::silent();
        let error = current(&client, &args(&[]), day(0), None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to read secret webhook-certs: no answer within 10 seconds"
        );
    }

    #[test]
    fn a_new_secret_is_the_releases() {
        let args = Args::try_parse_from(["webhook", "--helm-release", "tektite"]).unwrap();
        let metadata = new_metadata(&args);
        assert_eq!(
            metadata.annotations.unwrap()["meta.helm.sh/release-name"],
            "tektite"
        );
        assert_eq!(metadata.labels.unwrap()["app.kubernetes.io/managed-by"], "Helm");
        let args = Args::try_parse_from(["webhook"]).unwrap();
        assert_eq!(new_metadata(&args).annotations, None);
    }
}
