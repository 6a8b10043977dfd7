//! Certificates of a test's own authority, and clients that speak TLS.

#![allow(dead_code, reason = "every test program uses its own part of this")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::cipher::OutboundPlainMessage;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion,
    RootCertStore, StreamOwned, SupportedProtocolVersion, version,
};

use crate::program::{Client, WAIT};

/// An authority with the folder that it writes to.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    /// A new one, whose certificate is in `ca.pem`.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test Authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder: folder.to_owned() }
    }

    /// Writes a certificate for this machine and its key to `NAME.pem` and `NAME.key`.
    pub(crate) fn issue(&self, name: &str) {
        self.issue_for(name, 365);
    }

    /// The same; it ends after so many days.
    pub(crate) fn issue_for(&self, name: &str, days: i64) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "Tests");
        let now = std::time::SystemTime::now();
        params.not_before = now.into();
        // An hour more, so that a slow test sees whole days.
        let seconds = u64::try_from(days * 86_400 + 3_600).unwrap();
        params.not_after = (now + std::time::Duration::from_secs(seconds)).into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(name, "pem"), certificate.pem()).unwrap();
        fs::write(self.path(name, "key"), key.serialize_pem()).unwrap();
        fs::write(self.path(name, "der"), key.serialize_der()).unwrap();
        for extension in ["key", "der"] {
            let private = fs::Permissions::from_mode(0o600);
            fs::set_permissions(self.path(name, extension), private).unwrap();
        }
    }

    pub(crate) fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{name}.{extension}"))
    }

    /// The words of `-o` for the certificate `name`, and more.
    pub(crate) fn words(&self, name: &str, more: &str) -> String {
        let (chain, key) = (self.path(name, "pem"), self.path(name, "key"));
        format!("ssl_chain_cert={},ssl_key={}{more}", chain.display(), key.display())
    }

    /// What a client needs that trusts this authority.
    pub(crate) fn client(&self) -> Setup {
        Setup { authority: self.path("ca", "pem"), identity: None, versions: Vec::new() }
    }
}

/// What a client brings along.
#[derive(Clone)]
pub(crate) struct Setup {
    authority: PathBuf,
    identity: Option<(PathBuf, PathBuf)>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl Setup {
    /// With the certificate `name` of `authority`.
    pub(crate) fn with(mut self, authority: &Authority, name: &str) -> Self {
        self.identity = Some((authority.path(name, "pem"), authority.path(name, "key")));
        self
    }

    /// With this version alone.
    pub(crate) fn speaking(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// What all its connections share, sessions to resume included.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority).unwrap()).unwrap();
        let all = [&version::TLS12, &version::TLS13];
        let versions = if self.versions.is_empty() { &all[..] } else { &self.versions };
        let provider = Arc::new(provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_file_iter(chain).unwrap();
                let chain = chain.collect::<Result<_, _>>().unwrap();
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
                    .unwrap()
            }
        };
        config.enable_secret_extraction = true;
        config.resumption = Resumption::in_memory_sessions(16);
        Arc::new(config)
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> Encrypted {
        Encrypted::connect(&self.config(), address)
    }

    /// Why a connection can't be had, or is ended before anything is asked.
    pub(crate) fn refusal(&self, address: SocketAddr) -> String {
        let mut client = self.connect(address);
        let StreamOwned { conn, sock } = &mut client.0;
        conn.writer().write_all(b"version\r\n").unwrap();
        let start = Instant::now();
        while start.elapsed() < WAIT {
            if let Err(error) = conn.complete_io(sock) {
                return error.to_string();
            }
            let count = conn.reader().read(&mut [0; 16]);
            assert!(count.is_err(), "the connection is not refused");
        }
        panic!("nothing happens");
    }
}

#[cfg(feature = "aws-lc-rs")]
fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// A client with a real socket and TLS.
pub(crate) type Encrypted = Client<StreamOwned<ClientConnection, TcpStream>>;

impl Encrypted {
    pub(crate) fn connect(config: &Arc<ClientConfig>, address: SocketAddr) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let conn = ClientConnection::new(Arc::clone(config), name).unwrap();
        let Client(stream) = Client::new(TcpStream::connect(address).unwrap());
        Self(StreamOwned::new(conn, stream))
    }

    /// The socket, and what makes records of messages that no proper client sends.
    pub(crate) fn forge(self) -> (TcpStream, impl FnMut(ContentType, &[u8]) -> Vec<u8>) {
        let StreamOwned { conn, sock } = self.0;
        let suite = conn.negotiated_cipher_suite().and_then(|suite| suite.tls13()).unwrap();
        let (sent, secrets) = conn.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else {
            panic!("another cipher suite");
        };
        let mut encrypter = suite.aead_alg.encrypter(key, iv);
        let mut number = 0;
        let mut encrypt = move |typ, payload: &[u8]| {
            let version = ProtocolVersion::TLSv1_2;
            let message = OutboundPlainMessage { typ, version, payload: payload.into() };
            number += 1;
            encrypter.encrypt(message, number - 1).unwrap().encode()
        };
        // AWS-LC numbers records from the first one on, also those that were sent already.
        (0..sent).for_each(|_| drop(encrypt(ContentType::ApplicationData, b"")));
        (sock, encrypt)
    }

    /// Says that it will send no more.
    pub(crate) fn half_close(&mut self) {
        self.0.conn.send_close_notify();
        self.0.flush().unwrap();
    }
}
