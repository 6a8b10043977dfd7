//! What an attack needs: a folder with certificate, key and users, and ways to connect.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme, StreamOwned};
use socket2::{Domain, Socket, Type};

/// A client's connection, encrypted or not.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// A folder with files for the server, and what its clients need to know.
#[derive(Debug)]
pub struct Ground {
    folder: PathBuf,
    config: Arc<ClientConfig>,
}

impl Ground {
    /// Makes a certificate with an ECDSA key of P-256.
    pub(super) fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("attacks-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        // The server reads it as another user.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]);
        let rcgen::CertifiedKey { cert, signing_key } = made.map_err(io::Error::other)?;
        let ground = Self { folder, config: config()? };
        ground.write("cert.pem", &cert.pem())?;
        ground.write("key.pem", &signing_key.serialize_pem())?;
        Ok(ground)
    }

    /// Writes a file that the server may read, and returns where it is.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<String> {
        let path = self.path(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path.display().to_string())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join(name)
    }

    /// The flags with which a server speaks TLS.
    pub(super) fn tls_flags(&self) -> Vec<String> {
        let (chain, key) = (self.path("cert.pem"), self.path("key.pem"));
        let words = format!("ssl_chain_cert={},ssl_key={}", chain.display(), key.display());
        ["-Z", "-o", &words].map(str::to_owned).into()
    }

    /// A client's side of TLS that has sent nothing yet.
    pub(super) fn session(&self) -> io::Result<ClientConnection> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)
    }

    /// A connection over TLS whose handshake is done.
    pub(super) fn encrypted(&self, stream: TcpStream) -> io::Result<Encrypted> {
        let mut encrypted = StreamOwned::new(self.session()?, stream);
        while encrypted.conn.is_handshaking() {
            encrypted.conn.complete_io(&mut encrypted.sock)?;
        }
        Ok(encrypted)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // It lies where temporary files lie.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A connection over TLS.
pub(super) type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// Connects from an address of the loopback interface: many have more ports than one.
pub(super) fn connect_from(source: usize, addr: SocketAddr) -> io::Result<TcpStream> {
    let stream: TcpStream = socket_from(source, addr, |_| Ok(()))?.into();
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// The same with so small a receive buffer that unread replies stay with the server.
pub(super) fn connect_narrow(source: usize, addr: SocketAddr) -> io::Result<TcpStream> {
    let stream: TcpStream =
        socket_from(source, addr, |socket| socket.set_recv_buffer_size(4096))?.into();
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn socket_from(
    source: usize,
    addr: SocketAddr,
    prepare: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    prepare(&socket)?;
    socket.bind(&SocketAddr::from((source_address(source), 0)).into())?;
    socket.connect_timeout(&addr.into(), TIMEOUT)?;
    Ok(socket)
}

/// Address number `source` of the loopback interface; number 0 is the usual one.
pub(super) fn source_address(source: usize) -> IpAddr {
    Ipv4Addr::new(127, 0, (source / 250) as u8, (source % 250) as u8 + 1).into()
}

fn config() -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    // Every handshake is a full one.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Trusts every server, and so costs nothing: clients share a processor that is not measured.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

const NAME: &str = "localhost";
/// How long a client waits for the server before it gives up.
const TIMEOUT: Duration = Duration::from_secs(10);
