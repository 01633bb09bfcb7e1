//! One repository at one place, asked as one user. Does I/O.

use std::sync::Mutex;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use jiff::Timestamp;
use tektite_core::image::{
    Digest, Version,
    keyring::Credential,
    manifest::MEDIA_TYPES,
    settings::{Endpoint, Scheme},
};

use super::{
    auth::{self, Transport},
    failure::Failure,
    http_client::{Answer, HttpClient, NoAnswer},
    reach::Named,
};

/// The most that a manifest may have, as most registries have it.
const MOST_MANIFEST: usize = 4 * 1024 * 1024;
/// The most that a configuration may have.
const MOST_CONFIG: usize = 8 * 1024 * 1024;

/// One repository at one place, asked as one user.
pub(super) struct Session<'a> {
    client: &'a HttpClient,
    named: &'a Named,
    endpoint: &'a Endpoint,
    repository: &'a str,
    credential: Option<&'a Credential>,
    known: Mutex<Known>,
}

/// What earlier answers have taught.
#[derive(Clone, Default)]
struct Known {
    plain: bool,
    authorization: Option<HeaderValue>,
}

/// A manifest.
pub(super) struct Found {
    /// Its own digest.
    pub(super) digest: Digest,
    /// What the registry calls it.
    pub(super) media_type: String,
    /// Itself.
    pub(super) body: Bytes,
}

impl<'a> Session<'a> {
    /// A session that has not asked anything yet; `named` are hosts that may be anywhere.
    pub(super) fn new(
        client: &'a HttpClient,
        named: &'a Named,
        endpoint: &'a Endpoint,
        repository: &'a str,
        credential: Option<&'a Credential>,
    ) -> Self {
        let plain = endpoint.scheme == Scheme::Http;
        Self {
            client,
            named,
            endpoint,
            repository,
            credential,
            known: Mutex::new(Known {
                plain,
                authorization: None,
            }),
        }
    }

    /// The digest of the manifest with this tag; nothing where the registry does not say it.
    ///
    /// # Errors
    /// The registry does not answer, or refuses.
    pub(super) async fn digest(&self, version: &Version) -> Result<Option<Digest>, Failure> {
        let answer = self.manifest_request(Method::HEAD, version).await?;
        let digest = answer.headers.get("docker-content-digest");
        Ok(digest.and_then(|digest| Digest::parse(digest.to_str().ok()?)))
    }

    /// The manifest with this tag or digest.
    ///
    /// # Errors
    /// The registry does not answer, refuses, or sends something else.
    pub(super) async fn manifest(&self, version: &Version) -> Result<Found, Failure> {
        let answer = self.manifest_request(Method::GET, version).await?;
        let found = Found {
            digest: Digest::of(&answer.body),
            media_type: text(answer.headers.get(CONTENT_TYPE)),
            body: answer.body,
        };
        match version {
            Version::Digest(wanted) => self.check(wanted, &found.body).map(|()| found),
            Version::Tag(_) => Ok(found),
        }
    }

    /// The configuration with this digest.
    ///
    /// # Errors
    /// The registry does not answer, refuses, or sends something else.
    pub(super) async fn config(&self, digest: &Digest) -> Result<Bytes, Failure> {
        let path = format!("blobs/{digest}");
        let answer = self
            .request(Method::GET, &path, HeaderMap::new(), MOST_CONFIG)
            .await?;
        self.check(digest, &answer.body)?;
        Ok(answer.body)
    }

    async fn manifest_request(&self, method: Method, version: &Version) -> Result<Answer, Failure> {
        let path = match version {
            Version::Tag(tag) => format!("manifests/{tag}"),
            Version::Digest(digest) => format!("manifests/{digest}"),
        };
        let mut headers = HeaderMap::new();
        for media_type in MEDIA_TYPES {
            headers.append(ACCEPT, HeaderValue::from_static(media_type));
        }
        self.request(method, &path, headers, MOST_MANIFEST).await
    }

    fn check(&self, wanted: &Digest, body: &[u8]) -> Result<(), Failure> {
        if Digest::of(body) == *wanted {
            return Ok(());
        }
        // Not the digest of what came: it tells something of that.
        let host = &self.endpoint.host;
        Err(Failure::Lasting(format!(
            "registry \"{host}\" sends something else for {wanted}"
        )))
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        most: usize,
    ) -> Result<Answer, Failure> {
        let mut answer = self.send(&method, path, &headers, most).await?;
        if answer.status == StatusCode::UNAUTHORIZED && self.known().authorization.is_none() {
            let transport = if self.known().plain {
                Transport::Plain
            } else {
                Transport::Tls
            };
            let authorization = auth::answer(
                (self.client, self.named),
                &answer.headers,
                self.repository,
                self.credential,
                transport,
            )
            .await?;
            if authorization.is_some() {
                self.learn(|known| known.authorization = authorization);
                answer = self.send(&method, path, &headers, most).await?;
            }
        }
        if answer.status == StatusCode::OK {
            return Ok(answer);
        }
        let host = &self.endpoint.host;
        Err(Failure::of_status(
            host,
            answer.status,
            &answer.headers,
            Timestamp::now(),
        ))
    }

    /// With TLS, or without where that is how it is done here.
    async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        most: usize,
    ) -> Result<Answer, Failure> {
        let known = self.known();
        let mut headers = headers.clone();
        if let Some(authorization) = known.authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        let ask = async |scheme: &str| {
            let uri = self.uri(scheme, path).map_err(NoAnswer::Failed)?;
            self.client
                .request(method.clone(), uri, &headers, most, self.named)
                .await
        };
        if known.plain {
            return Ok(ask("http").await?);
        }
        match ask("https").await {
            Err(NoAnswer::NotConnected(failure)) if self.endpoint.scheme == Scheme::Either => {
                // If neither works, what TLS says is the one to repair.
                let answer = ask("http").await.map_err(|error| match error {
                    NoAnswer::NotConnected(_) => failure,
                    NoAnswer::Failed(failure) => failure,
                })?;
                self.learn(|known| known.plain = true);
                Ok(answer)
            }
            answer => Ok(answer?),
        }
    }

    fn uri(&self, scheme: &str, path: &str) -> Result<Uri, Failure> {
        let Endpoint {
            host, path: before, ..
        } = self.endpoint;
        let uri = format!("{scheme}://{host}{before}/v2/{}/{path}", self.repository);
        uri.parse()
            .map_err(|_| Failure::Lasting(format!("\"{host}{before}\" is no registry's address")))
    }

    fn known(&self) -> Known {
        self.known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn learn(&self, change: impl FnOnce(&mut Known)) {
        change(
            &mut self
                .known
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
    }
}

fn text(header: Option<&HeaderValue>) -> String {
    let text = header.and_then(|header| header.to_str().ok());
    text.unwrap_or_default().to_owned()
}
