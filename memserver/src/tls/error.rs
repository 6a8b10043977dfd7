//! Why TLS can't be set up.

use std::io;
use std::path::PathBuf;

use crate::os::reason;

/// Why TLS can't be set up with these settings and files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file can't be read.
    #[error("can't read {}: {}", .path.display(), reason(.source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what}{}", .path.display(), detail(.reason))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What is wrong with it, if that is known.
        reason: Option<String>,
    },
    /// Certificate and key can't be used, together or at all.
    #[error("the certificate can't be used with the key: {0}")]
    Mismatch(rustls::Error),
    /// The authorities can't be used.
    #[error("{} can't be used: {reason}", .path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Clients' certificates are to be verified, but nothing says against what.
    #[error("clients' certificates can't be verified without -o ssl_ca_cert")]
    NoAuthorities,
    /// A server that no certificate can be for.
    #[error("no certificate can be for {host:?}")]
    NoName {
        /// Where it is.
        host: String,
    },
    /// A cipher suite that does not exist here.
    #[error("-o ssl_ciphers: unknown cipher suite {name:?}; known are {known}")]
    UnknownCipher {
        /// What was given.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// No protocol version is left.
    #[error("-o ssl_ciphers and ssl_min_version leave no usable cipher suite")]
    NothingLeft,
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    NoRandom,
    /// The build asks for validated cryptography, which is not what there is.
    #[error("the cryptography is not in its FIPS mode")]
    NotFips,
}

fn detail(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}
