//! The settings of TLS: plain values, as they were given. Files are not looked at here.

use std::path::PathBuf;

/// How the clients of a listener are spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Security {
    /// In plain text.
    #[default]
    Plain,
    /// Over TLS.
    Tls(ClientCheck),
}

/// Which certificate the clients of a TLS listener need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientCheck {
    /// What `ssl_verify_mode` says.
    AsConfigured,
    /// None is asked for (`btls:`).
    Off,
    /// A valid one is required (`mtls:`).
    Required,
}

/// `ssl_verify_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum VerifyMode {
    /// No certificate is asked for.
    #[default]
    None,
    /// One is asked for, and has to be valid if it is sent.
    Request,
    /// A valid one is required.
    Require,
    /// The same; memcached asks no second time within a connection, which TLS 1.3 never does.
    Once,
}

impl VerifyMode {
    /// Mode number `number`, from 0 to 3.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::None, Self::Request, Self::Require, Self::Once].get(usize::from(number)).copied()
    }

    /// The number that `stats settings` prints: OpenSSL's bits for it.
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Request => 1,
            Self::Require => 3,
            Self::Once => 7,
        }
    }

    /// Whether clients have to show a certificate.
    pub(crate) fn requires(self) -> bool {
        matches!(self, Self::Require | Self::Once)
    }

    /// Whether clients are asked for a certificate.
    pub(crate) fn asks(self) -> bool {
        self != Self::None
    }
}

/// How the key's file is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeyFormat {
    /// Base64 between two lines.
    #[default]
    Pem,
    /// The bytes themselves.
    Der,
}

/// The lowest version of the protocol that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MinVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl MinVersion {
    /// The word that `stats settings` prints.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "tlsv1.2",
            Self::Tls13 => "tlsv1.3",
        }
    }
}

/// The settings of TLS.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TlsSettings {
    /// The server's certificate and those that lead to its authority.
    pub(crate) chain_cert: PathBuf,
    /// The private key; none if it is in `chain_cert`.
    pub(crate) key: Option<PathBuf>,
    /// How it is encoded.
    pub(crate) key_format: KeyFormat,
    /// The authorities that clients' certificates may come from.
    pub(crate) ca_cert: Option<PathBuf>,
    pub(crate) verify_mode: VerifyMode,
    pub(crate) min_version: MinVersion,
    /// Names of cipher suites, separated by colons; none for all that are secure.
    pub(crate) ciphers: Option<String>,
    /// Bytes of replies that are encrypted at once.
    pub(crate) wbuf_size: usize,
    /// Whether clients may resume sessions.
    pub(crate) session_cache: bool,
}

impl TlsSettings {
    /// All files that it names.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [Some(&self.chain_cert), self.key.as_ref(), self.ca_cert.as_ref()].into_iter().flatten()
    }
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            chain_cert: PathBuf::new(),
            key: None,
            key_format: KeyFormat::default(),
            ca_cert: None,
            verify_mode: VerifyMode::default(),
            min_version: MinVersion::default(),
            ciphers: None,
            wbuf_size: 16 << 10,
            session_cache: false,
        }
    }
}
