//! Setting up a server.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use memcore::Cache;

use super::{ProcessHooks, Server, Sockets};
use crate::config::endpoint::Endpoint;
use crate::config::{ADMIN_PORT, Binding, Config, Listen, split_address};
use crate::net::listener::{self, ListenError, Opened};
use crate::os::files::TemporaryFile;
use crate::state::clock::DrivenClock;
use crate::watch::Evictions;

/// Why a server can't start.
///
/// # Examples
/// ```
/// use memserver::{Server, StartError};
///
/// let cache = memcore::Cache::new(64 << 20)?;
/// match Server::builder(cache).listen("not:an:address").start() {
///     Err(StartError::BadAddress(address)) => assert_eq!(address, "not:an:address"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// This is not an address.
    #[error("invalid address {0:?}: expected HOST, HOST:PORT, [IPV6]:PORT or *")]
    BadAddress(String),
    /// The server can't listen on an address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system refused a thread, memory or a file descriptor.
    #[error("can't create {what}: {source}")]
    #[non_exhaustive]
    System {
        /// What the server asked for.
        what: &'static str,
        /// The reason.
        source: io::Error,
    },
}

/// What clients may speak, see [`Builder::protocol`].
///
/// # Examples
/// ```
/// let cache = memcore::Cache::new(64 << 20)?;
/// let builder = memserver::Server::builder(cache).protocol(memserver::Protocol::Text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// Lines, classic and meta commands.
    Text,
    /// Frames of the binary protocol.
    Binary,
}

/// A server that is being set up; see [`Server::builder`].
///
/// Clients can read and change items and see statistics, as with memcached. What is up to the
/// program is refused unless the program allows it: to remove all items ([`Builder::allow_flush`]),
/// to change the memory limit ([`Builder::client_limit`]), to list keys ([`Builder::allow_dumps`]),
/// to see what other clients do ([`Builder::allow_watch`]), to make the server log to the program's
/// standard error ([`Builder::allow_verbosity`]), and to stop the server
/// ([`Builder::allow_shutdown`]).
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let cache = memcore::Cache::new(64 << 20)?;
/// let server = memserver::Server::builder(cache)
///     .listen("127.0.0.1:0")
///     .threads(2)
///     .max_connections(100)
///     .idle_timeout(Duration::from_secs(60))
///     .start()?;
/// assert!(server.local_addr().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    cache: Cache,
    addresses: Vec<String>,
    admin: Option<String>,
    config: Config,
    evictions: Evictions,
    clock: Option<Arc<DrivenClock>>,
}

impl Builder {
    pub(super) fn new(cache: Cache) -> Self {
        Self {
            cache,
            addresses: Vec::new(),
            admin: None,
            config: Config::embedded(),
            evictions: Evictions::new(),
            clock: None,
        }
    }

    /// Adds an address to listen on: `HOST:PORT`, `[IPV6]:PORT`, or without a port for 11211. The
    /// host `*` stands for all addresses, port 0 for any free port. Without an address the server
    /// listens on port 11211 of all addresses.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache)
    ///     .listen("127.0.0.1:0")
    ///     .listen("localhost:0")
    ///     .start()?;
    /// assert!(server.local_addrs().len() >= 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen(mut self, address: impl Display) -> Self {
        self.addresses.push(address.to_string());
        self
    }

    /// Answers `/` (a status page), `/livez`, `/readyz` and `/metrics` over HTTP, at `HOST`,
    /// `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; the port is 9150 if there is none. Only with it
    /// are latencies measured. See [`Server::admin_addr`].
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let builder = memserver::Server::builder(cache).listen("127.0.0.1:0");
    /// let server = builder.admin("127.0.0.1:0").start()?;
    /// assert!(server.admin_addr().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn admin(mut self, address: impl Display) -> Self {
        self.admin = Some(address.to_string());
        self
    }

    /// Listens on a Unix socket, to which only the server's own user may connect. The server then
    /// listens on the network only if [`Builder::listen`] is called, too.
    ///
    /// # Examples
    /// ```
    /// let path = std::env::temp_dir().join(format!("memserver-doc-{}", std::process::id()));
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache).unix_socket(&path).start()?;
    /// assert!(server.local_addr().is_none());
    /// std::os::unix::net::UnixStream::connect(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.unix_socket = Some(path.into());
        self
    }

    /// Sets the number of worker threads, at least 1. Each serves its own connections. Default 4.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache)
    ///     .listen("127.0.0.1:0")
    ///     .threads(2)
    ///     .start()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn threads(mut self, count: usize) -> Self {
        self.config.threads = count.max(1);
        self
    }

    /// Limits the number of clients. One more is told so and closed. Default 1024. The process
    /// needs as many file descriptors.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache)
    ///     .listen("127.0.0.1:0")
    ///     .max_connections(100)
    ///     .start()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_connections(mut self, count: usize) -> Self {
        self.config.max_connections = count;
        self
    }

    /// Closes connections that are idle for longer, in whole seconds, rounded up. Default never.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache)
    ///     .listen("127.0.0.1:0")
    ///     .idle_timeout(std::time::Duration::from_secs(60))
    ///     .start()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        let secs = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        self.config.idle_timeout = u32::try_from(secs).unwrap_or(u32::MAX);
        self
    }

    /// Closes clients whose request is not complete after this time, for which its value gives one
    /// second more per MiB. Rounded up to whole seconds, zero keeps them. Default 30 seconds.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache)
    ///     .listen("127.0.0.1:0")
    ///     .request_timeout(std::time::Duration::from_secs(5))
    ///     .start()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        let secs = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        self.config.request_timeout = u32::try_from(secs).unwrap_or(u32::MAX);
        self
    }

    /// Lets clients remove all items (`flush_all`). Default no.
    ///
    /// # Examples
    /// ```
    /// # use std::io::{Read, Write};
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let builder = memserver::Server::builder(cache).listen("127.0.0.1:0");
    /// let server = builder.allow_flush(true).start()?;
    /// let mut client = std::net::TcpStream::connect(server.local_addr().unwrap())?;
    /// client.write_all(b"flush_all\r\nquit\r\n")?;
    /// let mut reply = String::new();
    /// client.read_to_string(&mut reply)?;
    /// assert_eq!(reply, "OK\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_flush(mut self, allowed: bool) -> Self {
        self.config.flush_enabled = allowed;
        self
    }

    /// Lets clients list keys (`lru_crawler metadump`, `mgdump`, `stats cachedump`) and counts by
    /// key prefix (`stats detail`). Default no.
    ///
    /// # Examples
    /// ```
    /// # use std::io::{Read, Write};
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let builder = memserver::Server::builder(cache).listen("127.0.0.1:0");
    /// let server = builder.allow_dumps(true).start()?;
    /// let mut client = std::net::TcpStream::connect(server.local_addr().unwrap())?;
    /// client.write_all(b"stats cachedump 1 10\r\nquit\r\n")?;
    /// let mut reply = String::new();
    /// client.read_to_string(&mut reply)?;
    /// assert_eq!(reply, "END\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_dumps(mut self, allowed: bool) -> Self {
        self.config.dump_enabled = allowed;
        self
    }

    /// Lets clients see what other clients do, keys included (`watch`). Default no.
    ///
    /// # Examples
    /// ```
    /// # use std::io::{Read, Write};
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let builder = memserver::Server::builder(cache).listen("127.0.0.1:0");
    /// let server = builder.allow_watch(false).start()?;
    /// let mut client = std::net::TcpStream::connect(server.local_addr().unwrap())?;
    /// client.write_all(b"watch\r\nquit\r\n")?;
    /// let mut reply = String::new();
    /// client.read_to_string(&mut reply)?;
    /// assert_eq!(reply, "CLIENT_ERROR watch commands not allowed\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_watch(mut self, allowed: bool) -> Self {
        self.config.watch_enabled = allowed;
        self
    }

    /// Lets clients change how much the server logs to the program's standard error (`verbosity`);
    /// from 2 on it logs keys and values. Default no.
    ///
    /// # Examples
    /// ```
    /// # use std::io::{Read, Write};
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let builder = memserver::Server::builder(cache).listen("127.0.0.1:0");
    /// let server = builder.allow_verbosity(true).start()?;
    /// let mut client = std::net::TcpStream::connect(server.local_addr().unwrap())?;
    /// client.write_all(b"verbosity 0\r\nquit\r\n")?;
    /// let mut reply = String::new();
    /// client.read_to_string(&mut reply)?;
    /// assert_eq!(reply, "OK\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_verbosity(mut self, allowed: bool) -> Self {
        self.config.verbosity_enabled = allowed;
        self
    }

    /// Lets clients stop the server (`shutdown`), after which [`Server::join`] returns. Default no.
    ///
    /// # Examples
    /// ```
    /// # use std::io::Write;
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let builder = memserver::Server::builder(cache).listen("127.0.0.1:0");
    /// let server = builder.allow_shutdown(true).start()?;
    /// let mut client = std::net::TcpStream::connect(server.local_addr().unwrap())?;
    /// client.write_all(b"shutdown\r\n")?;
    /// server.join()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_shutdown(mut self, allowed: bool) -> Self {
        self.config.shutdown_command = allowed;
        self
    }

    /// Lets clients change the memory limit of the cache (`cache_memlimit`), up to `bytes`, or to
    /// the limit at the start if that is more. The cache must allow it, too, see
    /// [`memcore::Builder::max_limit`]. Default no: a lower limit removes items.
    ///
    /// # Examples
    /// ```
    /// # use std::io::{Read, Write};
    /// let cache = memcore::Cache::builder(64 << 20).max_limit(256 << 20).build()?;
    /// let builder = memserver::Server::builder(cache.clone()).listen("127.0.0.1:0");
    /// let server = builder.client_limit(128 << 20).start()?;
    /// let mut client = std::net::TcpStream::connect(server.local_addr().unwrap())?;
    /// client.write_all(b"cache_memlimit 128\r\ncache_memlimit 129\r\nquit\r\n")?;
    /// let mut reply = String::new();
    /// client.read_to_string(&mut reply)?;
    /// assert!(reply.starts_with("OK\r\nMEMLIMIT_ADJUST_FAILED "));
    /// assert_eq!(cache.stats().limit, 128 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client_limit(mut self, bytes: usize) -> Self {
        self.config.memlimit_enabled = true;
        self.config.memlimit_max = bytes;
        self
    }

    /// Serves only this protocol. By default the first byte of a connection decides.
    ///
    /// # Examples
    /// ```
    /// # use std::io::{Read, Write};
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let builder = memserver::Server::builder(cache).listen("127.0.0.1:0");
    /// let server = builder.protocol(memserver::Protocol::Text).start()?;
    /// let mut client = std::net::TcpStream::connect(server.local_addr().unwrap())?;
    /// client.write_all(b"mn\r\nquit\r\n")?;
    /// let mut reply = String::new();
    /// client.read_to_string(&mut reply)?;
    /// assert_eq!(reply, "MN\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.config.protocol = match protocol {
            Protocol::Text => Binding::Ascii,
            Protocol::Binary => Binding::Binary,
        };
        self
    }

    /// Lets clients `watch evictions` of the cache, which has to be built with `evictions`; see
    /// [`Evictions`] for an example. It allows the other kinds of `watch` as well, as
    /// [`Builder::allow_watch`] does. Default none.
    pub fn watch_evictions(mut self, evictions: Evictions) -> Self {
        self.evictions = evictions;
        self.config.watch_enabled = true;
        self
    }

    /// Lets clients do all that memcached's do.
    pub(crate) fn allow_all(self) -> Self {
        let open = self.allow_flush(true).allow_dumps(true).allow_watch(true);
        open.allow_verbosity(true).client_limit(usize::MAX)
    }

    /// Has the server drive `clock`, which the cache was built with.
    pub(crate) fn clock(mut self, clock: Arc<DrivenClock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Opens the sockets and starts the threads. Clients can connect from now on.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left behind then.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
    /// std::net::TcpStream::connect(server.local_addr().unwrap())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start(mut self) -> Result<Server, StartError> {
        for address in &self.addresses {
            // Here and not in `listen`, so that all errors come from one method.
            let listen = parse(address).ok_or_else(|| StartError::BadAddress(address.clone()))?;
            self.config.listen.push(listen);
        }
        if let Some(address) = &self.admin {
            let endpoint = Endpoint::parse(address, ADMIN_PORT);
            let endpoint = endpoint.ok_or_else(|| StartError::BadAddress(address.clone()))?;
            self.config.admin = Some(endpoint);
        }
        let has_address = !self.addresses.is_empty();
        self.config.network = self.config.unix_socket.is_none() || has_address;
        // The cache was built elsewhere: what `stats settings` shows comes from it.
        self.config.item_size_max = self.cache.max_item_size();
        self.config.memory_limit = self.cache.stats().limit;
        let Opened { listeners, admin, .. } = listener::open(&self.config)?;
        let files = self.config.socket_files().map(TemporaryFile::adopt).collect();
        let sockets = Sockets { listeners, datagrams: Vec::new(), admin, files };
        let hooks = ProcessHooks {
            evictions: self.evictions,
            clock: self.clock,
            ..ProcessHooks::default()
        };
        Server::start(self.cache, self.config, sockets, hooks)
    }
}

/// Reads an address of [`Builder::listen`].
fn parse(address: &str) -> Option<Listen> {
    let (host, port) = split_address(address)?;
    let port = port.map(str::parse).transpose().ok()?;
    Some(Listen { host: (host != "*").then(|| host.to_owned()), port, ..Listen::default() })
}
