//! Requests to registries, each with a time limit and a most that it may bring: they are other people's
//! machines, named by whoever may write a TaskRun. Does I/O.

use std::{
    error::Error as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{AUTHORIZATION, LOCATION, USER_AGENT},
};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{
    failure::Failure,
    reach::{Named, OutOfReach, Reach, Resolver},
};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one request may take, with its answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How often an answer may say that it is elsewhere.
const REDIRECTS: usize = 5;

type Inner = Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>;

/// A client that trusts the system's authorities and those of one file.
pub(super) struct HttpClient {
    authorities: PathBuf,
    inner: Mutex<Option<(Vec<u8>, Clients)>>,
}

/// What differs by how far they reach.
#[derive(Clone)]
struct Clients {
    registries: (Reach, Inner),
    everything: Inner,
}

impl Clients {
    /// The one for `host`, and how far it reaches.
    fn of(&self, host: &str, named: &Named) -> (Reach, &Inner) {
        if named.contains(&host.to_ascii_lowercase()) {
            (Reach::Everything, &self.everything)
        } else {
            (self.registries.0, &self.registries.1)
        }
    }
}

/// A whole answer.
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// Its body.
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// No connection of this kind can be made.
    NotConnected(Failure),
    /// Everything else.
    Failed(Failure),
}

impl From<NoAnswer> for Failure {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::NotConnected(failure) | NoAnswer::Failed(failure) => failure,
        }
    }
}

impl HttpClient {
    /// A client that also trusts the authorities in the file `authorities` (PEM), which may come, go and
    /// change.
    pub(super) const fn new(authorities: PathBuf) -> Self {
        Self {
            authorities,
            inner: Mutex::new(None),
        }
    }

    /// Asks for `uri`, and for what it refers to; `named` are hosts that may be anywhere. A body of more than
    /// `most` bytes is an error.
    ///
    /// # Errors
    /// There is no answer; a refusal is one.
    pub(super) async fn request(
        &self,
        method: Method,
        uri: Uri,
        headers: &HeaderMap,
        most: usize,
        named: &Named,
    ) -> Result<Answer, NoAnswer> {
        let host = host(&uri).to_owned();
        match tokio::time::timeout(ANSWER, self.follow(method, uri, headers, most, named)).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                let why = format!("registry \"{host}\" has not answered within {ANSWER:?}");
                Err(NoAnswer::Failed(Failure::passing(why)))
            }
        }
    }

    async fn follow(
        &self,
        method: Method,
        mut uri: Uri,
        headers: &HeaderMap,
        most: usize,
        named: &Named,
    ) -> Result<Answer, NoAnswer> {
        let clients = self.clients()?;
        let mut headers = headers.clone();
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("tektite/", env!("CARGO_PKG_VERSION"))),
        );
        for _ in 0..=REDIRECTS {
            let host = host(&uri).to_owned();
            let (reach, client) = clients.of(&host, named);
            reach
                .check_literal(&uri)
                .map_err(|error| out_of_reach(&host, error))?;
            let mut request = Request::new(Empty::new());
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = headers.clone();
            let response = client
                .request(request)
                .await
                .map_err(|error| no_answer(&host, &error))?;
            let (head, body) = response.into_parts();
            if head.status.is_redirection()
                && let Some(location) = head.headers.get(LOCATION)
            {
                let next = redirected(&uri, location).ok_or_else(|| {
                    // Not where to: it may be what only we are told.
                    let why = format!("registry \"{host}\" sends us to what is no place to go");
                    NoAnswer::Failed(Failure::Lasting(why))
                })?;
                if next.authority() != uri.authority() {
                    // What is for a registry is not for its storage.
                    headers.remove(AUTHORIZATION);
                }
                uri = next;
                continue;
            }
            let body = Limited::new(body, most).collect().await.map_err(|error| {
                NoAnswer::Failed(if error.is::<LengthLimitError>() {
                    Failure::Lasting(format!("registry \"{host}\" sends more than {most} bytes"))
                } else {
                    Failure::passing(format!("the answer of registry \"{host}\" broke off: {error}"))
                })
            })?;
            return Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
            });
        }
        let why = format!("registry \"{}\" sends us from one place to the next", host(&uri));
        Err(NoAnswer::Failed(Failure::Lasting(why)))
    }

    /// The clients for the authorities as they are now.
    fn clients(&self) -> Result<Clients, NoAnswer> {
        let failed = |why: String| NoAnswer::Failed(Failure::Passing { why, after: None });
        // A small file on a local disk: not worth a thread.
        let extra = std::fs::read(&self.authorities).unwrap_or_default();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, clients)) = &*inner
            && *seen == extra
        {
            return Ok(clients.clone());
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let given: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&extra)
            .filter_map(Result::ok)
            .collect();
        let (taken, ignored) = roots.add_parsable_certificates(given);
        tracing::info!(
            taken,
            ignored,
            all = roots.len(),
            "authorities of registries read"
        );
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let reach = Reach::registries();
        let clients = Clients {
            registries: (reach, client(config.clone(), reach)),
            everything: client(config, Reach::Everything),
        };
        *inner = Some((extra, clients.clone()));
        Ok(clients)
    }
}

fn client(config: ClientConfig, reach: Reach) -> Inner {
    let mut http = HttpConnector::new_with_resolver(Resolver(reach));
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(4)
        .build(connector)
}

/// The host with its port, if it has one.
fn host(uri: &Uri) -> &str {
    uri.authority().map_or("", http::uri::Authority::as_str)
}

/// That nobody's registry is at `host`.
fn out_of_reach(host: &str, error: OutOfReach) -> NoAnswer {
    let why = format!(
        "registry \"{host}\" is not asked: {error}; if it is a registry, name it in image-look-up-mirrors or \
         image-look-up-insecure-registries of ConfigMap config-defaults"
    );
    NoAnswer::Failed(Failure::Lasting(why))
}

/// What a failed request means.
fn no_answer(host: &str, error: &hyper_util::client::legacy::Error) -> NoAnswer {
    let mut text = String::new();
    let mut cause = error.source();
    let mut untrusted = None;
    while let Some(inner) = cause {
        if let Some(error) = travelling(inner).downcast_ref() {
            return out_of_reach(host, *error);
        }
        let more = inner.to_string();
        if !text.contains(&more) {
            text = if text.is_empty() {
                more
            } else {
                format!("{text}: {more}")
            };
        }
        if let Some(rustls::Error::InvalidCertificate(error)) = travelling(inner).downcast_ref() {
            untrusted = Some(what_to_do(error));
        }
        cause = inner.source();
    }
    if let Some(what_to_do) = untrusted {
        let why = format!("the certificate of registry \"{host}\" is not trusted ({text}); {what_to_do}");
        return NoAnswer::Failed(Failure::Lasting(why));
    }
    let failure = Failure::passing(format!("registry \"{host}\" cannot be reached: {text}"));
    if error.is_connect() {
        NoAnswer::NotConnected(failure)
    } else {
        NoAnswer::Failed(failure)
    }
}

/// What is inside I/O errors, which do not name it as their source, and lie in each other.
fn travelling<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    while let Some(inner) = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        error = inner;
    }
    error
}

const fn what_to_do(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired: the registry needs a new one"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: look at the clocks of the registry and of this node"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name: ask the registry under that one, or give it a certificate for this one"
        }
        _ => "ConfigMap config-registry-cert is where its CA goes",
    }
}

/// Where `location` leads from `from`; nothing where that is not the web, or drops TLS.
fn redirected(from: &Uri, location: &HeaderValue) -> Option<Uri> {
    let location: Uri = location.to_str().ok()?.parse().ok()?;
    let mut parts = location.into_parts();
    if parts.authority.is_none() {
        parts.authority = from.authority().cloned();
        parts.scheme = from.scheme().cloned();
    }
    parts
        .path_and_query
        .get_or_insert(http::uri::PathAndQuery::from_static("/"));
    let next = Uri::from_parts(parts).ok()?;
    let allowed = match next.scheme_str() {
        Some("https") => true,
        Some("http") => from.scheme_str() == Some("http"),
        _ => false,
    };
    allowed.then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects() {
        for (from, location, expected) in [
            (
                "https://r.io/v2/a",
                "https://cdn.io/x?y=z",
                Some("https://cdn.io/x?y=z"),
            ),
            ("https://r.io/v2/a", "/other", Some("https://r.io/other")),
            ("https://r.io/v2/a", "http://cdn.io/x", None),
            ("http://r.io/v2/a", "http://cdn.io/x", Some("http://cdn.io/x")),
            ("http://r.io/v2/a", "https://cdn.io", Some("https://cdn.io/")),
            ("https://r.io/v2/a", "file:///etc/passwd", None),
            ("https://r.io/v2/a", "ftp://x/y", None),
        ] {
            let next = redirected(&from.parse().unwrap(), &location.parse().unwrap());
            assert_eq!(
                next.map(|uri| uri.to_string()).as_deref(),
                expected,
                "{from} {location}"
            );
        }
    }
}
