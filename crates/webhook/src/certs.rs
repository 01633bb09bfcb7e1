//! The webhook's own CA and certificate: making them, reading them, and when to renew. No I/O; the
//! time is a parameter.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// How long a certificate lives.
const LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How much earlier than it was made a certificate is valid, for clocks that are behind.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// The Secret's keys, the same as upstream's.
const SERVER_KEY: &str = "server-key.pem";
const SERVER_CERT: &str = "server-cert.pem";
const CA_CERT: &str = "ca-cert.pem";
/// When the certificate ends, beside it in the Secret, so that nobody has to read ASN.1.
const NOT_AFTER: &str = "not-after";

/// What cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// Making a key or certificate.
    #[error("failed to make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A key of the Secret that is not there.
    #[error("the certificate's secret has no key {0}")]
    Missing(&'static str),
    /// A text that is no PEM.
    #[error("the certificate's secret cannot be read: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// A key that does not fit its certificate.
    #[error("the certificate cannot be served: {0}")]
    Tls(#[from] rustls::Error),
}

/// A certificate with its key and the CAs that clients shall trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    server_key: String,
    server_cert: String,
    ca_cert: String,
    not_after: Timestamp,
}

impl Bundle {
    /// A new CA and a certificate for `names`. Clients go on trusting `previous` CAs, since replicas
    /// take up the new one at different moments.
    ///
    /// # Errors
    /// See [`CertError`].
    pub fn make(names: &[String], now: Timestamp, previous: Option<&Self>) -> Result<Self, CertError> {
        let not_after = now.saturating_add(LIFE).unwrap_or(Timestamp::MAX);
        let not_before = now.saturating_sub(BACKDATED).unwrap_or(now);
        let between = |params: &mut CertificateParams| {
            for (field, time) in [
                (&mut params.not_before, not_before),
                (&mut params.not_after, not_after),
            ] {
                let day = time.to_zoned(jiff::tz::TimeZone::UTC).date();
                *field = rcgen::date_time_ymd(
                    i32::from(day.year()),
                    day.month().unsigned_abs(),
                    day.day().unsigned_abs(),
                );
            }
        };
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.distinguished_name.push(
            DnType::CommonName,
            format!("tektite-webhook-ca-{}", now.as_second()),
        );
        between(&mut ca);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
        let mut server = CertificateParams::new(names)?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.distinguished_name.push(
            DnType::CommonName,
            names.first().map_or("webhook", String::as_str),
        );
        between(&mut server);
        let key = KeyPair::generate()?;
        let cert = server.signed_by(&key, &ca)?;
        let before = previous
            .map(|previous| newest(&previous.ca_cert))
            .unwrap_or_default();
        Ok(Self {
            server_key: key.serialize_pem(),
            server_cert: cert.pem(),
            ca_cert: format!("{}{before}", ca.as_ref().pem()),
            // The certificate's own end is the start of that day.
            not_after: not_after
                .saturating_sub(SignedDuration::from_hours(24))
                .unwrap_or(not_after),
        })
    }

    /// Reads the Secret's data.
    ///
    /// # Errors
    /// A key that is missing.
    pub fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, CertError> {
        let get = |key: &'static str| {
            let bytes = data
                .get(key)
                .filter(|bytes| !bytes.0.is_empty())
                .ok_or(CertError::Missing(key))?;
            Ok::<_, CertError>(String::from_utf8_lossy(&bytes.0).into_owned())
        };
        Ok(Self {
            server_key: get(SERVER_KEY)?,
            server_cert: get(SERVER_CERT)?,
            ca_cert: get(CA_CERT)?,
            not_after: get(NOT_AFTER)?
                .parse()
                .map_err(|_| CertError::Missing(NOT_AFTER))?,
        })
    }

    /// The Secret's data.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let entry = |key: &str, text: String| (key.to_owned(), ByteString(text.into_bytes()));
        BTreeMap::from([
            entry(SERVER_KEY, self.server_key.clone()),
            entry(SERVER_CERT, self.server_cert.clone()),
            entry(CA_CERT, self.ca_cert.clone()),
            entry(NOT_AFTER, self.not_after.to_string()),
        ])
    }

    /// Whether less than a third of its life is left.
    pub fn is_old(&self, now: Timestamp) -> bool {
        self.not_after.duration_since(now) < LIFE / 3
    }

    /// What clients shall trust, as PEM.
    pub fn ca(&self) -> &str {
        &self.ca_cert
    }

    /// What the listener serves.
    ///
    /// # Errors
    /// See [`CertError`].
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, CertError> {
        let chain =
            CertificateDer::pem_slice_iter(self.server_cert.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(self.server_key.as_bytes())?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The first certificate of a PEM text.
fn newest(pem: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    pem.find(END)
        .map(|end| format!("{}\n", &pem[..end + END.len()]))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["w.ns.svc".to_owned()]
    }

    #[test]
    fn a_bundle_survives_its_secret() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let bundle = Bundle::make(&names(), now, None).unwrap();
        let read = Bundle::read(&bundle.data()).unwrap();
        assert_eq!(read, bundle);
        read.server_config().unwrap();
        let mut data = bundle.data();
        data.remove(SERVER_KEY);
        assert_eq!(
            Bundle::read(&data).unwrap_err().to_string(),
            "the certificate's secret has no key server-key.pem"
        );
    }

    #[test]
    fn it_is_renewed_in_its_last_third() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let bundle = Bundle::make(&names(), now, None).unwrap();
        let after = |days: i64| now.saturating_add(SignedDuration::from_hours(days * 24)).unwrap();
        assert!(!bundle.is_old(after(200)));
        assert!(bundle.is_old(after(250)));
        assert!(bundle.is_old(after(500)));
    }

    #[test]
    fn the_previous_ca_stays_trusted_and_older_ones_do_not() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let first = Bundle::make(&names(), now, None).unwrap();
        let second = Bundle::make(&names(), now, Some(&first)).unwrap();
        let third = Bundle::make(&names(), now, Some(&second)).unwrap();
        assert!(second.ca().contains(first.ca().trim_end()));
        assert_eq!(third.ca().matches("BEGIN CERTIFICATE").count(), 2);
        assert!(!third.ca().contains(first.ca().trim_end()));
    }
}
