//! Listening sockets: what the settings name becomes bound and ready.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::{TcpListener, UdpSocket, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, SockAddr, SockRef, Type};

use crate::config::endpoint::Endpoint;
use crate::config::tls::Security;
use crate::config::{Binding, Config, Listen, Port};
use crate::net::interface;
use crate::net::socket::{self, Socket, UNSENT_MAX, set_unsent_max};
use crate::os::reason;

/// How often another free port is tried if the first is taken in the other address family.
const EPHEMERAL_TRIES: usize = 16;
/// Connections that may wait at the admin address.
const ADMIN_BACKLOG: u32 = 64;
/// Ports below belong to the superuser.
const UNPRIVILEGED: u16 = 1024;

/// The server can't listen on an address.
///
/// # Examples
/// ```
/// use memserver::{ListenError, Server, StartError};
///
/// let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let cache = memcore::Cache::new(64 << 20)?;
/// match Server::builder(cache).listen(taken.local_addr()?).start() {
///     Err(StartError::Listen(error @ ListenError::Tcp { .. })) => {
///         assert!(error.to_string().contains("Address already in use"));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// A TCP port.
    #[non_exhaustive]
    #[error("failed to listen on TCP {place}: {}{}", reason(.source), privileges(*.port, .source))]
    Tcp {
        /// The address as it was given.
        place: String,
        /// Its port.
        port: u16,
        /// The reason.
        source: io::Error,
    },
    /// A UDP port.
    #[non_exhaustive]
    #[error("failed to listen on UDP: {}{}", reason(.source), privileges(*.port, .source))]
    Udp {
        /// The port.
        port: u16,
        /// The reason.
        source: io::Error,
    },
    /// A socket that a service manager handed over.
    #[non_exhaustive]
    #[error("can't use socket {number} of the service manager: {}", reason(.source))]
    Inherited {
        /// Its place among them, counted from 1.
        number: usize,
        /// The reason.
        source: io::Error,
    },
    /// A Unix socket.
    #[non_exhaustive]
    #[error("failed to listen on UNIX socket {}: {}", .path.display(), reason(.source))]
    Unix {
        /// Its path.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl ListenError {
    /// Whether the machine has no such address at the moment, rather than anything against it.
    fn is_absence(&self) -> bool {
        let Self::Tcp { source, .. } = self else { return false };
        // What can't be resolved has no kind that has a name.
        let refused = [ErrorKind::AddrInUse, ErrorKind::PermissionDenied];
        source.kind() == ErrorKind::AddrNotAvailable
            || (source.raw_os_error().is_none() && !refused.contains(&source.kind()))
    }
}

/// A socket for requests in datagrams.
pub(crate) type Datagrams = UdpSocket;

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(super) kind: Kind,
    /// What its clients speak.
    pub(crate) binding: Binding,
    /// How they are spoken to.
    pub(super) security: Security,
}

/// A connection that has been accepted.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Its socket.
    pub(crate) socket: Socket,
    /// What its client speaks.
    pub(crate) binding: Binding,
    /// How it is spoken to.
    pub(crate) security: Security,
}

/// What it accepts from.
#[derive(Debug)]
pub(super) enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// How TCP sockets are opened.
#[derive(Clone, Copy, Debug)]
struct TcpOptions {
    /// Connections that may wait.
    backlog: u32,
    /// Other servers may listen on the same port.
    reuse_port: bool,
    /// What the kernel keeps of a connection, 0 for its own choice.
    socket_buffers: usize,
}

impl TcpOptions {
    fn of(config: &Config, backlog: u32) -> Self {
        Self { backlog, reuse_port: config.reuse_port, socket_buffers: config.socket_buffers }
    }
}

/// Sockets that were opened.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// They listen.
    pub(crate) listeners: Vec<Listener>,
    /// For health and metrics.
    pub(crate) admin: Option<Listener>,
    /// What the user has to know about them, a line each.
    pub(crate) warnings: Vec<String>,
}

/// Opens everything that `config` names, Unix sockets last: their files are then removed by the
/// server that owns them, and none is left behind if something else fails.
///
/// # Errors
/// The first place that can't be had.
pub(crate) fn open(config: &Config) -> Result<Opened, ListenError> {
    let mut opened = Opened::default();
    if config.network {
        open_tcp(config, &mut opened)?;
    }
    if let Some(Endpoint::Tcp(host, port)) = &config.admin {
        opened.admin = Some(admin_tcp(host, *port, TcpOptions::of(config, ADMIN_BACKLOG))?);
    }
    if let Some(path) = &config.unix_socket {
        opened.listeners.push(at_path(path, config)?);
    }
    if let Some(Endpoint::Unix(path)) = &config.admin {
        let failed = |_: &ListenError| {
            if let Some(other) = &config.unix_socket {
                // It was made a moment ago, and `failed` says more than a failure to remove it.
                let _ = fs::remove_file(other);
            }
        };
        opened.admin = Some(at_path(path, config).inspect_err(failed)?);
    }
    Ok(opened)
}

fn at_path(path: &Path, config: &Config) -> Result<Listener, ListenError> {
    let fail = |source| ListenError::Unix { path: path.to_owned(), source };
    let kind = Kind::Unix(unix(path, config).map_err(fail)?);
    // Those who may open the file need no TLS. memcached sees it that way as well.
    Ok(Listener { kind, binding: config.protocol, security: Security::Plain })
}

/// Opens the address for health and metrics. Of a name with several addresses one is enough.
fn admin_tcp(host: &str, port: u16, options: TcpOptions) -> Result<Listener, ListenError> {
    let at = Listen { host: Some(host.to_owned()), ..Listen::default() };
    let fail = |source| ListenError::Tcp { place: describe(&at, port), port, source };
    let opened = named(host, port, options, &[]).map_err(fail)?;
    let first = opened.into_iter().next();
    let tcp = first.ok_or_else(|| fail(ErrorKind::AddrNotAvailable.into()))?;
    Ok(Listener { kind: Kind::Tcp(tcp), binding: Binding::Auto, security: Security::Plain })
}

fn open_tcp(config: &Config, opened: &mut Opened) -> Result<(), ListenError> {
    let options = TcpOptions::of(config, config.tcp_backlog);
    let everywhere = [Listen::default()];
    let places = if config.listen.is_empty() { &everywhere[..] } else { &config.listen };
    let all = &mut opened.listeners;
    let mut missing = None;
    for place in places {
        let port = match (place.port, config.port) {
            (Some(port), _) | (None, Port::Fixed(port)) => port,
            (None, Port::Ephemeral) => 0,
            (None, Port::Off) => continue,
        };
        // Two names may mean the same address, which is then opened once.
        let taken: Vec<_> = all.iter().filter_map(Listener::local_addr).collect();
        let found = match &place.host {
            None => any_address(port, options, &mut opened.warnings),
            Some(host) => named(host, port, options, &taken),
        };
        let fail = |source| ListenError::Tcp { place: describe(place, port), port, source };
        let binding = place.binding.unwrap_or(config.protocol);
        let listeners = match found.map_err(fail) {
            Err(error) if config.listen_optional && error.is_absence() => {
                opened.warnings.push(format!("{error}; -o listen_optional passes over it"));
                missing = missing.or(Some(error));
                continue;
            }
            found => found?.into_iter(),
        };
        let security = config.security(place);
        all.extend(listeners.map(|tcp| Listener { kind: Kind::Tcp(tcp), binding, security }));
    }
    missing.filter(|_| all.is_empty()).map_or(Ok(()), Err)
}

impl Listener {
    /// Takes one connection.
    pub(crate) fn accept(&self) -> io::Result<Arrival> {
        let socket = match &self.kind {
            Kind::Tcp(tcp) => tcp.accept()?.0.into(),
            Kind::Unix(unix) => unix.accept()?.0.into(),
        };
        Ok(Arrival { socket, binding: self.binding, security: self.security })
    }

    /// Where it listens, over TCP.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(tcp) => tcp.local_addr().ok(),
            Kind::Unix(_) => None,
        }
    }

    /// The descriptor's number, for log lines.
    pub(crate) fn number(&self) -> RawFd {
        match &self.kind {
            Kind::Tcp(tcp) => tcp.as_raw_fd(),
            Kind::Unix(unix) => unix.as_raw_fd(),
        }
    }

    /// Where it listens, as memcached writes it.
    pub(crate) fn end(&self) -> String {
        match &self.kind {
            Kind::Tcp(tcp) => socket::tcp(tcp.local_addr()),
            Kind::Unix(unix) => socket::unix(unix.local_addr()),
        }
    }

    /// Reports connections to `registry` from now on.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.source().register(registry, token, Interest::READABLE)
    }

    /// Reports no more connections; they wait in the backlog.
    pub(crate) fn ignore(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.kind {
            Kind::Tcp(tcp) => tcp,
            Kind::Unix(unix) => unix,
        }
    }
}

/// Opens the sockets for datagrams: where TCP is served too, but at this machine's own addresses
/// only unless it is to be public. None if there is no such service.
///
/// # Errors
/// No place can be had.
pub(crate) fn open_udp(config: &Config) -> Result<Vec<UdpSocket>, ListenError> {
    let port = match config.udp {
        Port::Fixed(port) if config.network => port,
        Port::Ephemeral if config.network => 0,
        _ => return Ok(Vec::new()),
    };
    let fail = |source| ListenError::Udp { port, source };
    let mut sockets: Vec<UdpSocket> = Vec::new();
    let mut first = None;
    for ip in udp_places(config).map_err(fail)? {
        // All take the port that the first was given.
        let taken = sockets.first().and_then(|socket| socket.local_addr().ok());
        match udp((ip, taken.map_or(port, |at| at.port())).into()) {
            Ok(socket) => sockets.push(socket),
            // A family that the machine lacks is left out; a port that is taken is an error.
            Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(fail(error)),
            Err(error) => first = first.or(Some(error)),
        }
    }
    let outside = || {
        let why =
            "UDP is served on this machine's own addresses only, unless -o udp_public is given";
        io::Error::new(ErrorKind::AddrNotAvailable, why)
    };
    if sockets.is_empty() { Err(fail(first.unwrap_or_else(outside))) } else { Ok(sockets) }
}

fn udp_places(config: &Config) -> io::Result<Vec<IpAddr>> {
    let everywhere = config.listen.is_empty() || config.listen.iter().any(|at| at.host.is_none());
    let mut ips: Vec<IpAddr> = match (everywhere, config.udp_public) {
        (false, _) => Vec::new(),
        (true, true) => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        (true, false) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
    };
    for host in config.listen.iter().filter_map(|at| at.host.as_deref()) {
        for address in addresses_of(host, 0)? {
            let wanted = config.udp_public || address.ip().is_loopback();
            if wanted && !ips.contains(&address.ip()) {
                ips.push(address.ip());
            }
        }
    }
    Ok(ips)
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own, whose port this one would otherwise take, too.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// Listens at all addresses of both families. A family that the machine lacks is left out; one in
/// which the port is taken is left out with a warning, if the other can be had.
fn any_address(
    port: u16,
    options: TcpOptions,
    warnings: &mut Vec<String>,
) -> io::Result<Vec<TcpListener>> {
    for _ in 1..EPHEMERAL_TRIES {
        let [v4, v6] = both_families(port, options);
        match some_of([v4, v6]) {
            // The port that was free in one family is taken in the other: try another one.
            Err(error) if port == 0 && error.kind() == ErrorKind::AddrInUse => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => break,
            result => return result,
        }
    }
    // One family is better than none; the warning says which is missing.
    let mut open = Vec::new();
    let mut first = None;
    for (family, result) in ["IPv4", "IPv6"].into_iter().zip(both_families(port, options)) {
        match result {
            Ok(listener) => open.push(listener),
            Err(error) => {
                let reason = reason(&error);
                warnings.push(format!("port {port} is not served over {family}: {reason}"));
                first = first.or(Some(error));
            }
        }
    }
    match first {
        Some(error) if open.is_empty() => Err(error),
        _ => Ok(open),
    }
}

fn both_families(port: u16, options: TcpOptions) -> [io::Result<TcpListener>; 2] {
    let v4 = tcp((Ipv4Addr::UNSPECIFIED, port).into(), options);
    // The second family takes the port that the first was given.
    let port = v4.as_ref().ok().and_then(|v4| v4.local_addr().ok()).map_or(port, |at| at.port());
    let v6 = tcp((Ipv6Addr::UNSPECIFIED, port).into(), options);
    [v4, v6]
}

/// Listens at every address of `host`, but those that are `taken` by us already.
fn named(
    host: &str,
    port: u16,
    options: TcpOptions,
    taken: &[SocketAddr],
) -> io::Result<Vec<TcpListener>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let mut known = false;
    for address in addresses_of(host, port)? {
        known |= taken.contains(&address);
        if !taken.contains(&address) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    // Another name for what is served already.
    if addresses.is_empty() && known {
        return Ok(Vec::new());
    }
    some_of(addresses.into_iter().map(|address| tcp(address, options)))
}

/// The addresses of an interface of this machine, or else of a host.
fn addresses_of(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = interface::addresses(host, port)?;
    if found.is_empty() { resolve(host, port) } else { Ok(found) }
}

/// The addresses of a host. An image without any files has no resolver either, but its loopback
/// has a name that always means the same.
pub(crate) fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match (host, port).to_socket_addrs() {
        Err(_) if host == "localhost" => {
            Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()])
        }
        addresses => addresses.map(Iterator::collect),
    }
}

/// What could be opened. A taken port is an error even if another address of the name is free, as
/// clients would then reach one server or the other; another error counts only if nothing is open.
fn some_of(
    results: impl IntoIterator<Item = io::Result<TcpListener>>,
) -> io::Result<Vec<TcpListener>> {
    let mut open = Vec::new();
    let mut first = None;
    for result in results {
        match result {
            Ok(listener) => open.push(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(error),
            Err(error) => first = first.or(Some(error)),
        }
    }
    let nothing = || io::Error::new(ErrorKind::AddrNotAvailable, "the name has no address");
    if open.is_empty() { Err(first.unwrap_or_else(nothing)) } else { Ok(open) }
}

/// Listens at one address. Accepted sockets inherit the options.
fn tcp(address: SocketAddr, options: TcpOptions) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier run in TIME_WAIT must not keep the port from a new one.
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    set_tcp_options(&socket, options.socket_buffers)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Sets what accepted sockets inherit.
pub(super) fn set_tcp_options(socket: &impl AsFd, buffers: usize) -> io::Result<()> {
    let socket = SockRef::from(socket);
    // A size that is set is kept. The system's own grow with what a client has sent, up to
    // `tcp_rmem`, and are then his to fill although nobody reads.
    if buffers > 0 {
        socket.set_recv_buffer_size(buffers)?;
        socket.set_send_buffer_size(buffers)?;
    }
    // Finds clients that have vanished without closing.
    socket.set_keepalive(true)?;
    // A turn's replies leave with one write: waiting for more would only delay them.
    socket.set_tcp_nodelay(true)?;
    set_unsent_max(&socket, UNSENT_MAX)
}

/// Listens at a path. No client can connect before the permissions are set, as `listen` comes last.
fn unix(path: &Path, config: &Config) -> io::Result<UnixListener> {
    remove_stale(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(config.unix_mask))?;
    socket.listen(i32::try_from(config.tcp_backlog).unwrap_or(i32::MAX))?;
    Ok(UnixListener::from_std(OwnedFd::from(socket).into()))
}

/// Removes a socket that an ended server left behind; one that answers stays. The probe does not
/// wait: a server whose backlog is full is there.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    // Any other file stays, and `bind` reports it.
    if !is_socket {
        return Ok(());
    }
    let probe = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(ErrorKind::AddrInUse.into()),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock => Err(ErrorKind::AddrInUse.into()),
            // Another user's, whose permissions keep us from asking. Who may remove it may replace
            // it, as in memcached.
            ErrorKind::ConnectionRefused | ErrorKind::PermissionDenied => fs::remove_file(path),
            _ => Err(error),
        },
    }
}

fn describe(place: &Listen, port: u16) -> String {
    match &place.host {
        None => format!("port {port}"),
        Some(host) if host.contains(':') => format!("[{host}]:{port}"),
        Some(host) => format!("{host}:{port}"),
    }
}

fn privileges(port: u16, error: &io::Error) -> &'static str {
    let denied = error.kind() == ErrorKind::PermissionDenied && (1..UNPRIVILEGED).contains(&port);
    if denied { " (ports below 1024 need privileges, use one from 1024 on)" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn clients_inherit_what_keeps_their_sockets_small_and_quick() {
        let at = Listen { host: Some("127.0.0.1".into()), port: Some(0), ..Listen::default() };
        let listeners = open(&Config { listen: vec![at], ..Config::default() }).unwrap().listeners;
        let _client = TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        let accepted = loop {
            match listeners[0].accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                result => break result.unwrap().socket,
            }
        };
        let options = socket2::SockRef::from(&accepted);
        // Linux counts its own part as well, and shows twice what was asked for.
        let held = if cfg!(target_os = "linux") { 256 << 10 } else { 128 << 10 };
        assert_eq!(options.recv_buffer_size().unwrap(), held);
        assert_eq!(options.send_buffer_size().unwrap(), held);
        #[cfg(target_os = "linux")]
        assert_eq!(options.tcp_notsent_lowat().unwrap(), UNSENT_MAX);
        assert!(options.tcp_nodelay().unwrap());
        assert!(options.keepalive().unwrap());
    }
}
