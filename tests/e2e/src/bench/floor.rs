//! Webhooks that say yes to everything and do nothing else: what two calls of the API server cost that no
//! webhook can save. They are served from here, over TLS as the real ones.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result, ensure};
use axum::{Json, Router, routing::post};
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use k8s_openapi::ByteString;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::{Value, json};

use crate::{bench::admission::EXCLUDE, case::Target, cluster::Cluster};

/// The two webhooks; they end with this value.
pub(super) struct Floor {
    asked: Arc<AtomicUsize>,
    handle: Handle<SocketAddr>,
}

impl Floor {
    /// Serves them, and has the API server ask them about TaskRuns of `namespace`, whose end is theirs.
    pub(super) async fn start(cluster: &Cluster, namespace: &str) -> Result<Self> {
        let address = own_address().await?;
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![address.to_string()])?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        let listener = TcpListener::bind((address, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let (asked, handle) = (Arc::<AtomicUsize>::default(), Handle::new());
        let counted = Arc::clone(&asked);
        let routes = Router::new().route(
            "/",
            post(move |Json(review): Json<Value>| {
                counted.fetch_add(1, Ordering::Relaxed);
                std::future::ready(Json(yes(&review)))
            }),
        );
        let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(tls)));
        let server = axum_server::from_tcp(listener)?
            .acceptor(acceptor.acceptor(NoDelayAcceptor::new()))
            .handle(handle.clone());
        // It ends with its handle.
        drop(tokio::spawn(server.serve(routes.into_make_service())));
        let floor = Self { asked, handle };
        let owner = cluster
            .get(&Target::namespace(namespace), "")
            .await?
            .context("the namespace is gone")?;
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            let webhook = configuration(kind, &owner, &cert.pem(), &format!("https://{address}:{port}/"));
            cluster.create(&webhook, namespace).await?;
        }
        Ok(floor)
    }

    /// How often they were asked so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

/// The address under which the API server finds this program: the one that packets to it leave by.
async fn own_address() -> Result<IpAddr> {
    let url = kube::Config::infer().await?.cluster_url;
    let host = url.host().context("the API server's URL has no host")?;
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect((host, url.port_u16().unwrap_or(443)))?;
    let address = socket.local_addr()?.ip();
    ensure!(!address.is_unspecified(), "there is no way to {host}");
    Ok(address)
}

fn yes(review: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": true},
    })
}

/// Owned by the namespace, so that they never outlive it.
fn configuration(kind: &str, owner: &Value, ca: &str, url: &str) -> Value {
    let name = &owner["metadata"]["name"];
    let webhook = format!("{}.floor.tektite.dev", kind.to_lowercase());
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "ownerReferences": [
            {"apiVersion": "v1", "kind": "Namespace", "name": name, "uid": owner["metadata"]["uid"]}]},
        "webhooks": [{
            "name": webhook,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name, EXCLUDE: "true"}},
            "clientConfig": {"url": url, "caBundle": base64(ca)},
            "rules": [{"apiGroups": ["tekton.dev"], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["taskruns"], "scope": "Namespaced"}],
        }],
    })
}

/// As JSON has bytes.
fn base64(text: &str) -> Value {
    json!(ByteString(text.as_bytes().to_vec()))
}
