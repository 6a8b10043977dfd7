//! The cryptography below TLS. Which library it comes from is decided when the program is built.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

use super::error::TlsError;
use crate::config::tls::{MinVersion, TlsSettings};

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as library;
#[cfg(not(feature = "aws-lc-rs"))]
use rustls::crypto::ring as library;

/// The name of the library, for `stats settings`.
pub(crate) const NAME: &str = if cfg!(feature = "fips") {
    "aws-lc-fips"
} else if cfg!(feature = "aws-lc-rs") {
    "aws-lc"
} else {
    "ring"
};

/// OpenSSL's names of the suites of TLS 1.2. Those of TLS 1.3 have one name everywhere.
const OPENSSL_NAMES: [(&str, &str); 6] = [
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
];

/// The names of all suites, for messages.
fn suite_names() -> String {
    let suites = library::default_provider().cipher_suites;
    let suites = suites.iter().map(|suite| name(*suite).to_owned());
    suites.collect::<Vec<_>>().join(", ")
}

/// OpenSSL's name of a suite.
fn name(suite: SupportedCipherSuite) -> &'static str {
    let standard = standard_name(suite);
    let known = OPENSSL_NAMES.iter().find(|(_, name)| *name == standard);
    known.map_or(standard, |(openssl, _)| openssl)
}

/// The name that the standards give it.
fn standard_name(suite: SupportedCipherSuite) -> &'static str {
    // rustls puts the version behind `TLS` for the suites of TLS 1.3; OpenSSL and the standards
    // do not.
    match suite.suite().as_str() {
        Some("TLS13_AES_256_GCM_SHA384") => "TLS_AES_256_GCM_SHA384",
        Some("TLS13_AES_128_GCM_SHA256") => "TLS_AES_128_GCM_SHA256",
        Some("TLS13_CHACHA20_POLY1305_SHA256") => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.unwrap_or_default(),
    }
}

/// The cryptography with the cipher suites that `settings` allow.
///
/// # Errors
/// A suite is unknown; the library is not what the build asks for.
pub(super) fn provider(settings: &TlsSettings) -> Result<Arc<CryptoProvider>, TlsError> {
    let mut provider = library::default_provider();
    if cfg!(feature = "fips") && !provider.fips() {
        return Err(TlsError::NotFips);
    }
    if let Some(list) = &settings.ciphers {
        let wanted = suites(list)?;
        // As with OpenSSL's list, naming suites of one version leaves the other's as they are.
        let is_named = |is_13: bool| wanted.iter().any(|suite| suite.tls13().is_some() == is_13);
        let (names_12, names_13) = (is_named(false), is_named(true));
        provider.cipher_suites.retain(|suite| match suite.tls13() {
            Some(_) => !names_13 || wanted.contains(suite),
            None => !names_12 || wanted.contains(suite),
        });
    }
    Ok(Arc::new(provider))
}

/// The suites that a list names, in OpenSSL's spelling or the standards'.
fn suites(list: &str) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let find = |wanted: &str| {
        // Those that are on: a validated module leaves some out.
        let mut all = library::default_provider().cipher_suites.into_iter();
        let found = all.find(|suite| [name(*suite), standard_name(*suite)].contains(&wanted));
        let unknown = || TlsError::UnknownCipher { name: wanted.to_owned(), known: suite_names() };
        found.ok_or_else(unknown)
    };
    list.split(':').filter(|name| !name.is_empty()).map(find).collect()
}

/// The versions that are spoken.
pub(super) fn versions(min: MinVersion) -> Vec<&'static SupportedProtocolVersion> {
    match min {
        MinVersion::Tls12 => vec![&version::TLS13, &version::TLS12],
        MinVersion::Tls13 => vec![&version::TLS13],
    }
}

/// What encrypts the tickets with which clients resume sessions. Its keys change by themselves and
/// are never written down.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn ticketer() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    library::Ticketer::new().map_err(|_| TlsError::NoRandom)
}
