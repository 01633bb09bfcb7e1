//! The webhook's own CA and certificate: making them, reading them, and when to renew. No I/O; the
//! time is a parameter.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::verify::{self, Validity};

/// How much earlier than it was made a certificate is valid, at most, for clocks that are behind.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// Until when the CA before this one is trusted, too, beside it in the Secret.
const PREVIOUS_UNTIL: &str = "previous-ca-until";

/// What the keys of a Secret are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    key: &'static str,
    chain: &'static str,
    ca: &'static str,
    /// Whether the CA has to be there.
    needs_ca: bool,
}

impl Layout {
    /// Our own Secret, the same as upstream's.
    pub const OWN: Self = Self {
        key: "server-key.pem",
        chain: "server-cert.pem",
        ca: "ca-cert.pem",
        needs_ca: true,
    };
    /// A Secret of type `kubernetes.io/tls`; issuers that are publicly trusted leave out the CA.
    pub const TLS: Self = Self {
        key: "tls.key",
        chain: "tls.crt",
        ca: "ca.crt",
        needs_ca: false,
    };
}

/// What cannot be made, read or served.
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
    /// A key that does not fit its certificate, or a certificate that no client accepts.
    #[error("the certificate cannot be served: {0}")]
    Tls(#[from] rustls::Error),
    /// A certificate whose time is over or is still to come.
    #[error("the certificate is valid from {} until {}", .0.from, .0.until)]
    Time(Validity),
}

/// A CA that clients shall trust yet beside a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    ca: String,
    until: Timestamp,
}

impl Previous {
    /// The first CA of `pem`, if there is one that can be trusted.
    pub fn of(pem: &[u8], until: Timestamp) -> Option<Self> {
        let ca = newest(std::str::from_utf8(pem).ok()?);
        let first = CertificateDer::from_pem_slice(ca.as_bytes()).ok()?;
        RootCertStore::empty().add(first).ok()?;
        Some(Self { ca, until })
    }
}

/// A certificate with its key and the CAs that clients shall trust.
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    key: String,
    chain: String,
    ca: String,
    previous_until: Option<Timestamp>,
    validity: Validity,
}

impl fmt::Debug for Bundle {
    // Without the key: nobody shall find it in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("validity", &self.validity)
            .field("previous_until", &self.previous_until)
            .finish_non_exhaustive()
    }
}

impl Bundle {
    /// A new CA and a certificate for `names`, both valid for `life`: the CA's key is thrown away, so
    /// nothing else is ever signed with it. Clients go on trusting `previous` for its time, since
    /// replicas take up the new one at different moments.
    ///
    /// # Errors
    /// See [`CertError`].
    pub fn make(
        names: &[String],
        now: Timestamp,
        life: SignedDuration,
        previous: Option<Previous>,
    ) -> Result<Self, CertError> {
        let from = now
            .saturating_sub(BACKDATED.min(life / 10))
            .unwrap_or(now)
            .as_second();
        let until = now.saturating_add(life).unwrap_or(Timestamp::MAX).as_second();
        let between = |params: &mut CertificateParams| {
            for (field, second) in [(&mut params.not_before, from), (&mut params.not_after, until)] {
                let since = Duration::from_secs(second.max(0).unsigned_abs());
                *field = rcgen::date_time_ymd(1970, 1, 1) + since;
            }
        };
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Two CAs of one name would be taken for each other.
        let name = format!("tektite-webhook-ca-{}", now.as_nanosecond());
        ca.distinguished_name.push(DnType::CommonName, name);
        between(&mut ca);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
        let mut server = CertificateParams::new(names)?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let name = names.first().map_or("webhook", String::as_str);
        server.distinguished_name.push(DnType::CommonName, name);
        between(&mut server);
        let key = KeyPair::generate()?;
        let cert = server.signed_by(&key, &ca)?;
        let previous = previous.filter(|previous| previous.until > now);
        let made = Self {
            key: key.serialize_pem(),
            previous_until: previous.as_ref().map(|previous| previous.until),
            ca: ca.as_ref().pem() + &previous.map(|previous| previous.ca).unwrap_or_default(),
            validity: verify::validity(&[cert.der().clone()])?,
            chain: cert.pem(),
        };
        Ok(made)
    }

    /// Reads a Secret's data.
    ///
    /// # Errors
    /// A key that is missing, or a certificate that cannot be read or does not fit its key.
    pub fn read(data: &BTreeMap<String, ByteString>, layout: Layout) -> Result<Self, CertError> {
        let get = |key: &'static str| {
            let bytes = data
                .get(key)
                .filter(|bytes| !bytes.0.is_empty())
                .ok_or(CertError::Missing(key))?;
            Ok::<_, CertError>(String::from_utf8_lossy(&bytes.0).into_owned())
        };
        let chain = get(layout.chain)?;
        let read = Self {
            key: get(layout.key)?,
            ca: match get(layout.ca) {
                Err(_) if !layout.needs_ca => String::new(),
                ca => ca?,
            },
            previous_until: get(PREVIOUS_UNTIL).ok().and_then(|text| text.parse().ok()),
            validity: verify::validity(&parse(&chain)?)?,
            chain,
        };
        read.server_config()?;
        Ok(read)
    }

    /// Whether it can be served under `names`.
    ///
    /// # Errors
    /// A certificate that is not valid now, is not signed by its CA, or speaks for other names.
    pub fn check(&self, names: &[String], now: Timestamp) -> Result<(), CertError> {
        if !(self.validity.from..=self.validity.until).contains(&now) {
            return Err(CertError::Time(self.validity));
        }
        if !self.ca.is_empty() {
            verify::trusted(&parse(&self.chain)?, self.ca.as_bytes(), now)?;
        }
        Ok(verify::covers(&parse(&self.chain)?, names)?)
    }

    /// Whether a client that trusts the CAs of `pem` trusts this certificate.
    pub fn trusted_by(&self, pem: &[u8], now: Timestamp) -> bool {
        parse(&self.chain).is_ok_and(|chain| verify::trusted(&chain, pem, now).is_ok())
    }

    /// The data of our own Secret.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let entry = |key: &str, text: String| (key.to_owned(), ByteString(text.into_bytes()));
        let mut data = BTreeMap::from([
            entry(Layout::OWN.key, self.key.clone()),
            entry(Layout::OWN.chain, self.chain.clone()),
            entry(Layout::OWN.ca, self.ca.clone()),
        ]);
        data.extend(
            self.previous_until
                .map(|time| entry(PREVIOUS_UNTIL, time.to_string())),
        );
        data
    }

    /// Whether two thirds of its life are over.
    pub fn is_old(&self, now: Timestamp) -> bool {
        let Validity { from, until } = self.validity;
        now >= until - until.duration_since(from) / 3
    }

    /// The same without the CA before this one, once no certificate of that can be served any more.
    pub fn without_previous(&self, now: Timestamp) -> Option<Self> {
        self.previous_until.filter(|until| *until < now)?;
        Some(Self {
            ca: newest(&self.ca),
            previous_until: None,
            ..self.clone()
        })
    }

    /// Whether the same is served as with `other`, whatever CAs clients shall trust besides.
    pub fn serves_like(&self, other: &Self) -> bool {
        self.key == other.key && self.chain == other.chain
    }

    /// What a successor has to vouch for: the CA, as long as somebody may serve the certificate.
    pub fn previous(&self) -> Option<Previous> {
        Previous::of(self.ca.as_bytes(), self.validity.until)
    }

    /// When the certificate ends.
    pub const fn until(&self) -> Timestamp {
        self.validity.until
    }

    /// What clients shall trust, as PEM.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// What the listener serves: TLS 1.2 and 1.3.
    ///
    /// # Errors
    /// See [`CertError`].
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, CertError> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)?
            .with_no_client_auth()
            .with_single_cert(parse(&self.chain)?, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn parse(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertError> {
    Ok(CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>()?)
}

/// The first certificate of a PEM text.
fn newest(pem: &str) -> String {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let pem = &pem[pem.find(BEGIN).unwrap_or_default()..];
    pem.find(END)
        .map(|end| format!("{}\n", &pem[..end + END.len()]))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: SignedDuration = SignedDuration::from_hours(300 * 24);

    fn names() -> Vec<String> {
        vec!["w.ns.svc".to_owned(), "w".to_owned()]
    }

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 24 * 3600).unwrap()
    }

    fn make(now: Timestamp, previous: Option<&Bundle>) -> Bundle {
        Bundle::make(&names(), now, LIFE, previous.and_then(Bundle::previous)).unwrap()
    }

    #[test]
    fn a_bundle_survives_its_secret() {
        let first = make(day(0), None);
        for bundle in [make(day(200), Some(&first)), first] {
            let read = Bundle::read(&bundle.data(), Layout::OWN).unwrap();
            assert_eq!(read, bundle);
            read.check(&names(), day(200)).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_served_is_told() {
        let good = make(day(0), None);
        let other = make(day(-1), None);
        let told = |change: &dyn Fn(&mut BTreeMap<String, ByteString>), names: &[String], now| {
            let mut data = good.data();
            change(&mut data);
            Bundle::read(&data, Layout::OWN)
                .and_then(|bundle| bundle.check(names, now))
                .map_or_else(|error| error.to_string(), |()| "fine".to_owned())
        };
        let set = |key: &'static str, from: &Bundle| {
            let value = from.data()[key].clone();
            move |data: &mut BTreeMap<String, ByteString>| {
                data.insert(key.to_owned(), value.clone());
            }
        };
        let nothing = |_: &mut BTreeMap<String, ByteString>| {};
        assert_eq!(told(&nothing, &names(), day(299)), "fine");
        let missing = told(&|data| drop(data.remove("server-key.pem")), &names(), day(0));
        assert_eq!(missing, "the certificate's secret has no key server-key.pem");
        let garbled = told(
            &|data| drop(data.insert("server-cert.pem".into(), ByteString(b"x".to_vec()))),
            &names(),
            day(0),
        );
        assert!(garbled.contains("there is no certificate"), "{garbled}");
        let key = told(&set("server-key.pem", &other), &names(), day(0));
        assert!(key.contains("KeyMismatch"), "{key}");
        let ca = told(&set("ca-cert.pem", &other), &names(), day(0));
        assert!(ca.contains("UnknownIssuer"), "{ca}");
        let name = told(&nothing, &["v.ns.svc".to_owned()], day(0));
        assert!(name.contains("v.ns.svc"), "{name}");
        for wrong in [day(-1), day(301)] {
            let time = told(&nothing, &names(), wrong);
            assert!(time.starts_with("the certificate is valid from 20"), "{time}");
        }
    }

    #[test]
    fn a_tls_secret_needs_no_ca() {
        let own = make(day(0), None);
        let entry = |key: &str, own_key: &str| (key.to_owned(), own.data()[own_key].clone());
        let mut data = BTreeMap::from([
            entry("tls.crt", "server-cert.pem"),
            entry("tls.key", "server-key.pem"),
        ]);
        let read = Bundle::read(&data, Layout::TLS).unwrap();
        assert!(read.serves_like(&own));
        read.check(&names(), day(0)).unwrap();
        data.extend([entry("ca.crt", "ca-cert.pem")]);
        assert_eq!(Bundle::read(&data, Layout::TLS).unwrap(), own);
    }

    #[test]
    fn it_is_renewed_in_its_last_third() {
        let bundle = make(day(0), None);
        assert!(!bundle.is_old(day(199)));
        assert!(bundle.is_old(day(200)));
        assert!(bundle.is_old(day(500)));
        assert_eq!(bundle.until(), day(300));
    }

    #[test]
    fn the_previous_ca_is_trusted_as_long_as_its_certificate_can_be_served() {
        let first = make(day(0), None);
        let second = make(day(200), Some(&first));
        assert!(first.trusted_by(second.ca().as_bytes(), day(201)));
        assert!(second.trusted_by(second.ca().as_bytes(), day(201)));
        assert!(!second.trusted_by(first.ca().as_bytes(), day(201)));
        assert_eq!(second.without_previous(day(300)), None);
        let alone = second.without_previous(day(301)).unwrap();
        assert_eq!(alone.ca().matches("BEGIN CERTIFICATE").count(), 1);
        assert!(alone.trusted_by(alone.ca().as_bytes(), day(301)) && alone.serves_like(&second));
        assert_eq!(alone.without_previous(day(301)), None);

        let third = make(day(250), Some(&second));
        assert!(
            !first.trusted_by(third.ca().as_bytes(), day(251)),
            "only the last two"
        );
        let late = make(day(301), Some(&first));
        assert_eq!(late.ca().matches("BEGIN CERTIFICATE").count(), 1);
    }

    #[test]
    fn what_is_no_ca_is_not_vouched_for() {
        let ca = make(day(0), None).ca().to_owned();
        let found = Previous::of(format!("# ours\n{ca}{ca}").as_bytes(), day(1));
        assert_eq!(found, Some(Previous { ca, until: day(1) }));
        let empty = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
        for none in ["", "x", empty] {
            assert_eq!(Previous::of(none.as_bytes(), day(1)), None, "{none}");
        }
    }

    #[test]
    fn the_key_is_not_for_logs() {
        let bundle = make(day(0), None);
        let text = format!("{bundle:?}");
        assert!(!text.contains("KEY") && !text.contains(&bundle.key), "{text}");
    }
}
