//! Keeps certificate and CA in force: renews the one, writes the other, and swaps in good order.
//!
//! A client that does not know a new CA yet must not meet its certificate. So the CA goes first, into
//! everything that makes the API server call; after [`PROPAGATION`] its certificate is served. Until
//! no replica can serve the certificate before it, that one's CA stays trusted beside it.

use std::{sync::Arc, time::Duration};

use axum_server::tls_rustls::RustlsConfig;
use futures::{Stream, StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher::watch_object},
};
use tokio::time::Instant;

use crate::{
    args::{Args, CertKeeper},
    bundle::{self, BundleError, Slot, Target},
    cert_store::{self, StoreError},
    certs::{Bundle, CertError, Previous},
    state::{Gate, State},
};

/// How often everything is looked at, should a watch say nothing.
const LOOK: Duration = Duration::from_secs(10);
/// Between two looks at least, whoever writes against us, and after one that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// After this, every API server has heard of a new CA.
const PROPAGATION: Duration = Duration::from_secs(10);
/// How long the CA is trusted yet that was in force before there was a certificate of ours: whoever
/// serves under it is on the way out.
const HANDOVER: SignedDuration = SignedDuration::from_hours(1);

/// What may go wrong on the way; another try can help with all of it.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The Secret.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is to be served.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// What makes the API server call.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// The certificate to begin with, however long it takes.
pub async fn first(client: &Client, args: &Args) -> Bundle {
    loop {
        let now = Timestamp::now();
        match cert_store::current(client, args, now, before(client, args, now).await).await {
            Ok(bundle) => return bundle,
            Err(error) => tracing::warn!(%error, "no certificate yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The CA that the API server trusts so far.
async fn before(client: &Client, args: &Args, now: Timestamp) -> Option<Previous> {
    let targets = bundle::targets(&args.admission_controller_name, args.definitions);
    let slots = targets.first()?.look(client).await.ok()?;
    Previous::of(slots.first()?.held(), now.saturating_add(HANDOVER).ok()?)
}

/// Keeps one listener's certificate.
pub struct Keeper {
    client: Client,
    args: Args,
    state: Arc<State>,
    tls: RustlsConfig,
    targets: Vec<Target>,
    served: Bundle,
    /// The stored one, and since when every target trusts it.
    next: Option<(Bundle, Instant)>,
}

impl Keeper {
    /// Keeps what `tls` serves, which is `served`.
    pub fn new(client: Client, args: Args, state: Arc<State>, tls: RustlsConfig, served: Bundle) -> Self {
        state.metrics.certificate(served.until());
        Self {
            targets: bundle::targets(&args.admission_controller_name, args.definitions),
            client,
            args,
            state,
            tls,
            served,
            next: None,
        }
    }

    /// Never ends.
    pub async fn run(mut self) {
        let mut changes = self.changes();
        loop {
            let wait = match self.refresh(Timestamp::now()).await {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::warn!(%error, "certificate and CA are not in force everywhere yet");
                    PAUSE
                }
            };
            tokio::time::sleep(PAUSE).await;
            tokio::select! {
                () = tokio::time::sleep(wait.saturating_sub(PAUSE)) => {}
                Some(()) = changes.next() => {}
            }
        }
    }

    /// Says when somebody changed something that we look at.
    fn changes(&self) -> impl Stream<Item = ()> + use<> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.args.system_namespace);
        let secret = watch_object(secrets, &self.args.secret_name)
            .default_backoff()
            .map(|_| ())
            .boxed();
        let targets = self.targets.iter().map(|target| {
            watch_object(target.api(&self.client), &target.name)
                .default_backoff()
                .map(|_| ())
                .boxed()
        });
        stream::select_all(targets.chain([secret]))
            .ready_chunks(64)
            .map(|_| ())
    }

    /// Looks at everything once and repairs it.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub async fn refresh(&mut self, now: Timestamp) -> Result<(), TrustError> {
        let mut seen = Vec::new();
        for target in &self.targets {
            seen.push(target.look(&self.client).await?);
        }
        let mut held = is_trusted(&self.served, &seen, now);
        if !held {
            self.state.shut(Gate::Bundle);
        }
        let current = cert_store::current(&self.client, &self.args, now, self.served.previous()).await?;
        let mut ready = is_trusted(&current, &seen, now);
        if self.args.cert_keeper == CertKeeper::Webhook {
            for (target, seen) in self.targets.iter().zip(seen) {
                target.write(&self.client, current.ca(), seen).await?;
            }
            // The stored CAs are those of the stored certificate and of the one before it.
            ready = true;
            held = self.served.trusted_by(current.ca().as_bytes(), now);
        }
        if ready && self.may_swap(&current, held) {
            self.swap(current)?;
            held = true;
        }
        if held {
            self.state.open(Gate::Bundle);
        } else {
            tracing::warn!("the webhook configurations hold a CA that is not ours");
        }
        Ok(())
    }

    /// Whether `current`, which every target trusts, may be served. `held` says whether what is served
    /// now is trusted, too, so that there is no hurry.
    fn may_swap(&mut self, current: &Bundle, held: bool) -> bool {
        if current.serves_like(&self.served) {
            self.next = None;
            return false;
        }
        let since = match &self.next {
            Some((next, since)) if next.serves_like(current) => *since,
            _ => {
                let since = Instant::now();
                self.next = Some((current.clone(), since));
                since
            }
        };
        !held || since.elapsed() >= PROPAGATION
    }

    fn swap(&mut self, current: Bundle) -> Result<(), CertError> {
        self.tls.reload_from_config(current.server_config()?);
        self.state.metrics.certificate(current.until());
        tracing::info!(until = %current.until(), "took up a new certificate");
        self.served = current;
        self.next = None;
        Ok(())
    }
}

fn is_trusted(bundle: &Bundle, seen: &[Vec<Slot>], now: Timestamp) -> bool {
    seen.iter()
        .flatten()
        .all(|slot| bundle.trusted_by(slot.held(), now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{failure, reply, scripted};
    use clap::Parser as _;
    use http::{Response, StatusCode};
    use k8s_openapi::ByteString;
    use kube::client::Body;
    use serde_json::{Value, json};

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 24 * 3600).unwrap()
    }

    fn args(more: &[&str]) -> Args {
        let fixed = [
            "w",
            "--system-namespace",
            "ns",
            "--admission-controller-name",
            "w",
        ];
        Args::parse_from(fixed.iter().chain(more))
    }

    fn made(at: i64, previous: Option<&Bundle>) -> Bundle {
        let life = SignedDuration::from_hours(300 * 24);
        Bundle::make(
            &args(&[]).dns_names(),
            day(at),
            life,
            previous.and_then(Bundle::previous),
        )
        .unwrap()
    }

    fn ok(body: &Value) -> Response<Body> {
        reply(StatusCode::OK, body.clone())
    }

    fn configuration(ca: &str) -> Value {
        json!({"metadata": {"name": "w"}, "webhooks":
            [{"name": "hook", "clientConfig": {"caBundle": ByteString(ca.into())}}]})
    }

    /// Answers to the looks at all targets, the configurations with `ca`.
    fn looks(ca: &str) -> Vec<Response<Body>> {
        let configuration = configuration(ca);
        let mut answers: Vec<_> = (0..3).map(|_| ok(&configuration)).collect();
        let plain = json!({"metadata": {"name": "d"}, "spec": {"conversion": {"strategy": "None"}}});
        answers.push(ok(&plain));
        answers.push(reply(StatusCode::NOT_FOUND, failure(404, "NotFound")));
        answers
    }

    fn own(bundle: &Bundle) -> Response<Body> {
        ok(&json!({"metadata": {"name": "webhook-certs", "resourceVersion": "1"}, "data": bundle.data()}))
    }

    fn tls_secret(bundle: &Bundle) -> Response<Body> {
        let data = bundle.data();
        ok(
            &json!({"data": {"tls.crt": data["server-cert.pem"], "tls.key": data["server-key.pem"],
            "ca.crt": data["ca-cert.pem"]}}),
        )
    }

    struct Test {
        keeper: Keeper,
    }

    impl Test {
        fn new(served: &Bundle, more: &[&str]) -> Self {
            let (client, _) = scripted(Vec::new());
            let tls = RustlsConfig::from_config(served.server_config().unwrap());
            let keeper = Keeper::new(client, args(more), Arc::default(), tls, served.clone());
            for gate in [Gate::Config, Gate::Certificate, Gate::Listener] {
                keeper.state.open(gate);
            }
            Self { keeper }
        }

        fn ready(&self) -> bool {
            self.keeper.state.missing().is_empty()
        }

        /// One look; what was patched, and whether it went well.
        async fn look(&mut self, now: Timestamp, script: Vec<Response<Body>>) -> (usize, bool) {
            let (client, server) = scripted(script);
            self.keeper.client = client;
            let done = self.keeper.refresh(now).await.is_ok();
            (self.keeper.client, _) = scripted(Vec::new());
            let asked = server.await.unwrap();
            let patches = asked.iter().filter(|(line, _)| line.starts_with("PATCH"));
            (patches.count(), done)
        }
    }

    fn patched(mut script: Vec<Response<Body>>, secret: Response<Body>, times: usize) -> Vec<Response<Body>> {
        script.push(secret);
        script.extend((0..times).map(|_| ok(&configuration(""))));
        script
    }

    #[tokio::test]
    async fn ready_when_every_configuration_trusts_us_and_not_before() {
        let served = made(0, None);
        let mut test = Test::new(&served, &[]);
        let mut script = patched(looks(""), own(&served), 2);
        script.push(reply(StatusCode::FORBIDDEN, failure(403, "Forbidden")));
        assert_eq!(test.look(day(1), script).await, (3, false));
        assert!(!test.ready());
        assert_eq!(
            test.look(day(1), patched(looks(""), own(&served), 3)).await,
            (3, true)
        );
        assert!(test.ready());
        assert_eq!(
            test.look(day(1), patched(looks(served.ca()), own(&served), 0))
                .await,
            (0, true)
        );
        assert!(test.ready());
    }

    #[tokio::test]
    async fn a_first_certificate_vouches_for_whoever_was_trusted_before() {
        let before = made(0, None);
        let mut configuration = configuration(before.ca());
        for (held, count) in [(before.ca(), 2), ("", 1)] {
            configuration["webhooks"][0]["clientConfig"]["caBundle"] = json!(ByteString(held.into()));
            let empty = json!({"metadata": {"name": "webhook-certs", "resourceVersion": "1"}});
            let (client, _asked) = scripted(vec![ok(&configuration), ok(&empty), ok(&empty)]);
            let first = first(&client, &args(&[])).await;
            assert_eq!(first.ca().matches("BEGIN CERTIFICATE").count(), count);
            assert!(first.ca().ends_with(held));
        }
    }

    #[tokio::test]
    async fn somebody_elses_ca_makes_it_unready_until_it_is_replaced() {
        let served = made(0, None);
        let mut test = Test::new(&served, &[]);
        test.keeper.state.open(Gate::Bundle);
        let foreign = made(0, None);
        let mut script = patched(looks(foreign.ca()), own(&served), 0);
        script.push(reply(StatusCode::FORBIDDEN, failure(403, "Forbidden")));
        assert_eq!(test.look(day(1), script).await, (1, false));
        assert!(!test.ready());
        let script = patched(looks(foreign.ca()), own(&served), 3);
        assert_eq!(test.look(day(1), script).await, (3, true));
        assert!(test.ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_ca_goes_ahead_of_its_certificate() {
        let served = made(0, None);
        let mut test = Test::new(&served, &[]);
        let next = made(200, Some(&served));
        let script = patched(looks(served.ca()), own(&next), 3);
        assert_eq!(test.look(day(200), script).await, (3, true));
        assert!(test.ready() && test.keeper.served == served);
        tokio::time::advance(PROPAGATION).await;
        let script = patched(looks(next.ca()), own(&next), 0);
        assert_eq!(test.look(day(200), script).await, (0, true));
        assert!(test.ready() && test.keeper.served == next);
    }

    #[tokio::test]
    async fn what_nobody_trusts_any_more_is_swapped_at_once() {
        let served = made(0, None);
        let mut test = Test::new(&served, &[]);
        let next = made(0, None);
        let script = patched(looks(next.ca()), own(&next), 0);
        assert_eq!(test.look(day(1), script).await, (0, true));
        assert!(test.ready() && test.keeper.served == next);
    }

    #[tokio::test]
    async fn what_somebody_else_keeps_is_only_followed() {
        let served = made(0, None);
        let mut test = Test::new(&served, &["--cert-keeper", "other"]);
        let script = patched(looks(""), tls_secret(&served), 0);
        assert_eq!(test.look(day(1), script).await, (0, true));
        assert!(!test.ready(), "nobody has injected the CA");
        let script = patched(looks(served.ca()), tls_secret(&served), 0);
        assert_eq!(test.look(day(1), script).await, (0, true));
        assert!(test.ready());
        let next = made(1, None);
        let script = patched(looks(served.ca()), tls_secret(&next), 0);
        assert_eq!(test.look(day(1), script).await, (0, true));
        assert!(
            test.keeper.served == served,
            "clients do not trust the new one yet"
        );
        let script = patched(looks(next.ca()), tls_secret(&next), 0);
        assert_eq!(test.look(day(1), script).await, (0, true));
        assert!(test.ready() && test.keeper.served == next);
    }
}
