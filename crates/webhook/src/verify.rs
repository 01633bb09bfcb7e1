//! What a client would say of a certificate. No I/O; the time is a parameter.
//!
//! The verifier that clients use does the reading of ASN.1: asked about the year 1970 and the year
//! 9999, it says when a certificate begins and ends.

use std::time::Duration;

use jiff::Timestamp;
use rustls::{
    CertificateError, Error, RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};

/// The last moment that a certificate can name.
const YEAR_9999: u64 = 253_402_300_799;

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first moment.
    pub from: Timestamp,
    /// Its last moment.
    pub until: Timestamp,
}

/// When the first certificate of `chain` is valid.
///
/// # Errors
/// It cannot be read, or names no moments.
pub fn validity(chain: &[CertificateDer<'_>]) -> Result<Validity, Error> {
    let nobody = RootCertStore::empty();
    let at = |second| UnixTime::since_unix_epoch(Duration::from_secs(second));
    let from = match signed_by(chain, &nobody, at(0)) {
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => not_before,
        Err(error) => return Err(error),
        Ok(()) => return Err(CertificateError::BadEncoding.into()),
    };
    let until = match signed_by(chain, &nobody, at(YEAR_9999 + 1)) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => not_after,
        Err(error) => return Err(error),
        Ok(()) => return Err(CertificateError::BadEncoding.into()),
    };
    Ok(Validity {
        from: timestamp(from),
        until: timestamp(until),
    })
}

/// Whether a client that trusts the CAs of `pem` trusts `chain` at `now`.
///
/// # Errors
/// Why it does not.
pub fn trusted(chain: &[CertificateDer<'_>], pem: &[u8], now: Timestamp) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pem) {
        roots.add(root.map_err(|_| CertificateError::BadEncoding)?)?;
    }
    let now = u64::try_from(now.as_second()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    signed_by(chain, &roots, now)
}

/// Whether the first certificate of `chain` speaks for all of `names`.
///
/// # Errors
/// Which name it does not speak for, or that it cannot be read.
pub fn covers(chain: &[CertificateDer<'_>], names: &[String]) -> Result<(), Error> {
    let leaf = ParsedCertificate::try_from(first(chain)?)?;
    for name in names {
        let name = ServerName::try_from(name.as_str())
            .map_err(|_| Error::General(format!("{name} is no name that a certificate can have")))?;
        verify_server_name(&leaf, &name)?;
    }
    Ok(())
}

fn signed_by(chain: &[CertificateDer<'_>], roots: &RootCertStore, now: UnixTime) -> Result<(), Error> {
    let leaf = ParsedCertificate::try_from(first(chain)?)?;
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    let intermediates = chain.get(1..).unwrap_or_default();
    verify_server_cert_signed_by_trust_anchor(&leaf, roots, intermediates, now, algorithms)
}

fn first<'a, 'b>(chain: &'a [CertificateDer<'b>]) -> Result<&'a CertificateDer<'b>, Error> {
    chain
        .first()
        .ok_or_else(|| Error::General("there is no certificate".to_owned()))
}

fn timestamp(time: UnixTime) -> Timestamp {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .unwrap_or(Timestamp::MAX)
}
