//! TLS of a client: whom it trusts, what it shows, and a stream that is encrypted.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::certificates::{self, Identity};
use super::error::TlsError;
use super::provider;
use crate::config::tls::{MinVersion, TlsSettings};

/// The authorities that servers' certificates may come from, and the client's own certificate.
#[derive(Clone, Debug)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Reads them from files; `identity` are those of the certificate and its key, if the client
    /// shows one.
    ///
    /// # Errors
    /// One can't be read, or holds something else.
    pub(crate) fn read(path: &Path, identity: Option<(&Path, &Path)>) -> Result<Self, TlsError> {
        let builder =
            ClientConfig::builder_with_provider(provider::provider(&TlsSettings::default())?)
                .with_protocol_versions(&provider::versions(MinVersion::default()))
                .map_err(|_| TlsError::NothingLeft)?
                .with_root_certificates(certificates::authorities(path)?);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let (chain_cert, key) = (chain.to_owned(), Some(key.to_owned()));
                let files = TlsSettings { chain_cert, key, ..TlsSettings::default() };
                let Identity { chain, key, .. } = Identity::read(&files)?;
                builder.with_client_auth_cert(chain, key).map_err(TlsError::Mismatch)?
            }
        };
        Ok(Self(Arc::new(config)))
    }

    /// A stream through `socket` to a server whose certificate is for `host`. The handshake comes
    /// with the first bytes.
    ///
    /// # Errors
    /// No certificate can be for it.
    pub(crate) fn stream<S: Read + Write + fmt::Debug>(
        &self,
        host: &str,
        socket: S,
    ) -> Result<impl Read + Write + fmt::Debug + use<S>, TlsError> {
        let unfit = || TlsError::NoName { host: host.to_owned() };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| unfit())?;
        let client = ClientConnection::new(Arc::clone(&self.0), name).map_err(|_| unfit())?;
        Ok(StreamOwned::new(client, socket))
    }
}
