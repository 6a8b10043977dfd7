//! Certificates and keys: from the bytes of files to what the handshake needs, and what a
//! certificate says about its owner and its end.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::error::TlsError;
use super::files;
use crate::config::tls::{KeyFormat, TlsSettings};

/// What the server shows to clients, and proves.
#[derive(Debug)]
pub(super) struct Identity {
    /// Its certificate first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The key of the first certificate.
    pub(super) key: PrivateKeyDer<'static>,
    /// Second at which the first of the certificates ends.
    pub(super) ends: u64,
}

impl Identity {
    /// Reads it from its files.
    ///
    /// # Errors
    /// A file can't be read, or holds something else.
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let path = settings.chain_cert.as_path();
        let bytes = files::read(path)?;
        let chain = certificates(path, &bytes)?;
        let mut ends = u64::MAX;
        for certificate in &chain {
            let parsed = Certificate::from_der(certificate)
                .map_err(|error| malformed(path, "certificate", error))?;
            let not_after = parsed.tbs_certificate().validity().not_after;
            ends = ends.min(not_after.to_unix_duration().as_secs());
        }
        let key_path = settings.key.as_deref().unwrap_or(path);
        let key = key(key_path, &files::read(key_path)?, settings.key_format)?;
        Ok(Self { chain, key, ends })
    }
}

/// The authorities that clients' certificates may come from.
///
/// # Errors
/// The file can't be read, or holds no authority.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, &files::read(path)?)? {
        roots.add(certificate).map_err(|error| TlsError::Authorities {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

/// The owner that a certificate names, such as `CN=web-1,O=Example`.
pub(super) fn subject(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = Certificate::from_der(certificate).ok()?;
    Some(parsed.tbs_certificate().subject().to_string())
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(|error| malformed(path, "certificate", error))?;
    if found.is_empty() {
        return Err(TlsError::Malformed {
            path: path.to_owned(),
            what: "certificate in PEM format",
            reason: None,
        });
    }
    Ok(found)
}

fn key(path: &Path, bytes: &[u8], format: KeyFormat) -> Result<PrivateKeyDer<'static>, TlsError> {
    match format {
        KeyFormat::Pem => PrivateKeyDer::from_pem_slice(bytes)
            .map_err(|error| malformed(path, "private key in PEM format", error)),
        KeyFormat::Der => PrivateKeyDer::try_from(bytes.to_vec())
            .map_err(|error| malformed(path, "private key in DER format", error)),
    }
}

fn malformed(path: &Path, what: &'static str, error: impl ToString) -> TlsError {
    TlsError::Malformed { path: path.to_owned(), what, reason: Some(error.to_string()) }
}
