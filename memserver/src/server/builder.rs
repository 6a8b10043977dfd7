//! Setting up a server.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use memcore::Cache;

use super::{ProcessHooks, Server, Sockets};
use crate::config::{Config, Listen, split_address};
use crate::net::listener::{self, ListenError};
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

/// A server that is being set up; see [`Server::builder`].
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
    config: Config,
    evictions: Evictions,
    clock: Option<Arc<DrivenClock>>,
}

impl Builder {
    pub(super) fn new(cache: Cache) -> Self {
        Self {
            cache,
            addresses: Vec::new(),
            config: Config::default(),
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

    /// Lets clients `watch evictions` of the cache, which has to be built with `evictions`; see
    /// [`Evictions`] for an example. Default none.
    pub fn watch_evictions(mut self, evictions: Evictions) -> Self {
        self.evictions = evictions;
        self
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
        let has_address = !self.addresses.is_empty();
        self.config.network = self.config.unix_socket.is_none() || has_address;
        // The cache was built elsewhere: what `stats settings` shows comes from it.
        self.config.item_size_max = self.cache.max_item_size();
        self.config.memory_limit = self.cache.stats().limit;
        let listeners = listener::open(&self.config)?.listeners;
        let sockets = Sockets { listeners, datagrams: Vec::new() };
        let hooks = ProcessHooks { evictions: self.evictions, clock: self.clock, signals: None };
        Server::start(self.cache, self.config, sockets, hooks)
    }
}

/// Reads an address of [`Builder::listen`].
fn parse(address: &str) -> Option<Listen> {
    let (host, port) = split_address(address)?;
    let port = port.map(str::parse).transpose().ok()?;
    Some(Listen { host: (host != "*").then(|| host.to_owned()), port, ..Listen::default() })
}
