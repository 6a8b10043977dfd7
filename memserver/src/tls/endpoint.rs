//! What the listeners of a server speak: one configuration for each way to treat clients'
//! certificates, all made of the same files.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    NoServerSessionStorage, ServerConfig, ServerSessionMemoryCache, WebPkiClientVerifier,
};

use super::certificates::{self, Identity};
use super::error::TlsError;
use super::provider;
use crate::config::tls::{ClientCheck, TlsSettings, VerifyMode};

/// Sessions of TLS 1.2 that are remembered for clients without tickets; each takes some hundred
/// bytes.
const SESSIONS_MAX: usize = 4096;

/// The configurations that are made of one state of the files.
#[derive(Debug)]
pub(super) struct Endpoints {
    as_configured: Arc<ServerConfig>,
    off: Arc<ServerConfig>,
    /// None without authorities.
    required: Option<Arc<ServerConfig>>,
    /// Second at which the first of the server's certificates ends.
    pub(super) ends: u64,
}

impl Endpoints {
    /// Reads the files.
    ///
    /// # Errors
    /// They can't be used.
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let identity = Identity::read(settings)?;
        let provider = provider::provider(settings)?;
        let maker = Maker { settings, identity: &identity, provider };
        let verifiers = match &settings.ca_cert {
            Some(_) => Some((maker.verifier(true)?, maker.verifier(false)?)),
            None => None,
        };
        let off = maker.make(None)?;
        let required = match &verifiers {
            Some((required, _)) => Some(maker.make(Some(Arc::clone(required)))?),
            None => None,
        };
        let as_configured = match (settings.verify_mode, verifiers, &required) {
            (VerifyMode::None, ..) => Arc::clone(&off),
            (VerifyMode::Request, Some((_, requested)), _) => maker.make(Some(requested))?,
            (VerifyMode::Require | VerifyMode::Once, _, Some(required)) => Arc::clone(required),
            _ => return Err(TlsError::NoAuthorities),
        };
        Ok(Self { as_configured, off, required, ends: identity.ends })
    }

    /// The configuration for clients that are to be checked like this; none if they can't be.
    pub(super) fn of(&self, check: ClientCheck) -> Option<&Arc<ServerConfig>> {
        match check {
            ClientCheck::AsConfigured => Some(&self.as_configured),
            ClientCheck::Off => Some(&self.off),
            ClientCheck::Required => self.required.as_ref(),
        }
    }
}

/// What all configurations have in common.
struct Maker<'a> {
    settings: &'a TlsSettings,
    identity: &'a Identity,
    provider: Arc<CryptoProvider>,
}

impl Maker<'_> {
    /// What verifies clients' certificates, with or without accepting clients that have none.
    fn verifier(&self, required: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let Some(path) = &self.settings.ca_cert else { return Err(TlsError::NoAuthorities) };
        let roots = Arc::new(certificates::authorities(path)?);
        let builder =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&self.provider));
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|error| TlsError::Authorities {
            path: path.clone(),
            reason: error.to_string(),
        })
    }

    fn make(
        &self,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let versions = provider::versions(self.settings.min_version);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&versions)
            .map_err(|_| TlsError::NothingLeft)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(self.identity.chain.clone(), self.identity.key.clone_key())
            .map_err(TlsError::Mismatch)?;
        if self.settings.session_cache {
            // Of its own for each configuration, and new when files have changed: a session stands
            // for a client that was checked.
            config.ticketer = provider::ticketer()?;
            config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
        } else {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }
}
