//! Registries with TLS, whose CA the system does not know.

use axum_server::tls_rustls::RustlsConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::*;

/// A CA of somebody's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// What a server presents as `name`, until the end of that year.
    fn server(&self, name: &str, year: i32) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let chain = CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap()
    }
}

/// A registry that speaks TLS only.
fn serving(tls: ServerConfig) -> Fake {
    let content = Arc::<Mutex<Content>>::default();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let router = Router::new().fallback(serve).with_state(Arc::clone(&content));
    let server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(tls))).unwrap();
    tokio::spawn(server.serve(router.into_make_service()));
    let fake = Fake { content, host };
    fake.image("1", "amd64", "/e");
    fake
}

#[tokio::test]
async fn a_ca_of_ones_own_is_trusted_once_it_is_in_the_file() {
    let ca = Authority::new();
    let fake = serving(ca.server("127.0.0.1", 2999));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cert");
    let queue = Arc::new(Queue::default());
    let registries = Registries::new(file.clone(), Arc::clone(&queue), testing::metrics());
    let text = never(ask(&registries, &queue, &fake.reference()).await);
    let start = format!(
        "image \"{}\": the certificate of registry \"{}\" is not trusted (",
        fake.reference(),
        fake.host
    );
    assert!(text.starts_with(&start), "{text}");
    let end = "ConfigMap config-registry-cert is where its CA goes";
    assert!(text.ends_with(end), "{text}");
    assert_eq!(fake.log(), Vec::<String>::new(), "nothing is asked without trust");

    // Other things in it do no harm, and nothing has to be started anew.
    std::fs::write(&file, format!("a comment\n{}", ca.0.pem())).unwrap();
    skip(HOLD).await;
    found(ask(&registries, &queue, &fake.reference()).await);
}

#[tokio::test]
async fn a_certificate_that_is_of_no_use_says_why() {
    let ca = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cert");
    std::fs::write(&file, ca.0.pem()).unwrap();
    for (name, year, part) in [
        ("127.0.0.1", 2002, "it has expired: the registry needs a new one"),
        ("registry.example", 2999, "it is for another name"),
    ] {
        let fake = serving(ca.server(name, year));
        let queue = Arc::new(Queue::default());
        let registries = Registries::new(file.clone(), Arc::clone(&queue), testing::metrics());
        let text = never(ask(&registries, &queue, &fake.reference()).await);
        assert!(
            text.contains(part) && !text.contains("config-registry-cert"),
            "{text}"
        );
        assert_eq!(fake.log(), Vec::<String>::new());
    }
}
