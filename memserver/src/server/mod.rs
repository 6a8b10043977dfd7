//! One running server: listening sockets, threads, and how they end together. It must never know
//! what clients say, nor how the settings were spelled.

pub(crate) mod test_server;

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use memcore::Cache;

use crate::config::{Config, Listen, Port, split_address};
use crate::event_loop::acceptor::{Acceptor, AcceptorHandle, AcceptorSetup};
use crate::event_loop::maintenance::Maintenance;
use crate::event_loop::threads::Threads;
use crate::event_loop::worker::{Worker, WorkerHandle, WorkerSetup};
use crate::net::conn_info::ConnInfo;
use crate::net::listener::{self, Datagrams, ListenError, Listener};
use crate::net::socket;
use crate::os::files::TemporaryFile;
use crate::os::log;
use crate::os::signals::Signals;
use crate::report::metrics::{self, Metric, Section};
use crate::state::clock::DrivenClock;
use crate::state::core::{Core, Listening};
use crate::state::shared::Shared;
use crate::udp::Udp;
use crate::watch::Evictions;

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address is not one.
    #[error("{0:?} is no address: HOST:PORT, [IPV6]:PORT, HOST or * are")]
    BadAddress(String),
    /// A place can't be listened at.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system refused a thread or a descriptor.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// Why.
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
    /// Listens at `address` as well: `HOST:PORT`, `[IPV6]:PORT`, or without a port for 11211. The
    /// host `*` stands for all addresses, port 0 for any port that is free. Without a call of this
    /// the server listens at port 11211 of all addresses.
    pub fn listen(mut self, address: impl Display) -> Self {
        self.addresses.push(address.to_string());
        self
    }

    /// Listens on a Unix socket, to which only the server's own user may connect. The server then
    /// listens on the network only if [`Builder::listen`] is called, too.
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.unix_socket = Some(path.into());
        self
    }

    /// Worker threads, each with connections of its own. Default 4.
    pub fn threads(mut self, count: usize) -> Self {
        self.config.threads = count.max(1);
        self
    }

    /// Clients at once; one more is told so and turned away. Default 1024. The process must be
    /// allowed as many descriptors.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.config.max_connections = count;
        self
    }

    /// Closes connections that say nothing for so long, in whole seconds. Default never.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        let secs = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        self.config.idle_timeout = u32::try_from(secs).unwrap_or(u32::MAX);
        self
    }

    /// Clients that `watch evictions` are told what `evictions` hears of, which the cache has to
    /// be built with. Default nothing.
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
    pub fn start(mut self) -> Result<Server, StartError> {
        for address in &self.addresses {
            let place = place(address).ok_or_else(|| StartError::BadAddress(address.clone()))?;
            self.config.listen.push(place);
        }
        self.config.item_size_max = self.cache.max_item_size();
        self.config.memory_limit = self.cache.stats().limit;
        let has_address = !self.addresses.is_empty();
        self.config.network = self.config.unix_socket.is_none() || has_address;
        let listeners = listener::open(&self.config)?.listeners;
        let sockets = Sockets { listeners, datagrams: Vec::new() };
        let hooks = ProcessHooks { evictions: self.evictions, clock: self.clock, signals: None };
        Server::start(self.cache, self.config, sockets, hooks)
    }
}

/// What connects a server to the process that it runs in.
#[derive(Debug, Default)]
pub(crate) struct ProcessHooks {
    /// Signals that stop it.
    pub(crate) signals: Option<Signals>,
    /// The clock of its cache, if the server is to drive it.
    pub(crate) clock: Option<Arc<DrivenClock>>,
    /// What the cache reports removals to.
    pub(crate) evictions: Evictions,
}

/// The sockets that a server serves, bound and listening.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// For connections.
    pub(crate) listeners: Vec<Listener>,
    /// For requests in datagrams.
    pub(crate) datagrams: Vec<Datagrams>,
}

/// A running server. Dropping it stops it.
///
/// # Examples
/// ```
/// let cache = memcore::Cache::new(64 << 20)?;
/// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
///
/// // Somebody ends it while the main thread waits.
/// let handle = server.stop_handle();
/// std::thread::spawn(move || handle.stop());
/// server.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping the server stops it"]
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    control: AcceptorHandle,
    acceptor: Option<JoinHandle<io::Result<()>>>,
    workers: Vec<JoinHandle<()>>,
    udp: Option<Udp>,
    maintenance: Option<Maintenance>,
    /// The socket file is removed last.
    _socket_file: Option<TemporaryFile>,
}

/// Stops a [`Server`] from anywhere.
#[derive(Clone, Debug)]
pub struct StopHandle(AcceptorHandle);

impl StopHandle {
    /// Makes the server end; returns at once.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl Server {
    /// Starts setting up a server for `cache`: the very cache that the program itself may go on
    /// using.
    pub fn builder(cache: Cache) -> Builder {
        Builder {
            cache,
            addresses: Vec::new(),
            config: Config::default(),
            evictions: Evictions::new(),
            clock: None,
        }
    }

    /// Starts the threads behind sockets that are open already.
    pub(crate) fn start(
        cache: Cache,
        config: Config,
        sockets: Sockets,
        hooks: ProcessHooks,
    ) -> Result<Self, StartError> {
        let socket_file = config.unix_socket.as_deref().map(TemporaryFile::adopt);
        let addresses = sockets.addresses();
        // Inboxes come first, then the state that knows how to reach them, then the threads.
        let threads = config.threads.max(1);
        let setups: io::Result<Vec<_>> = (0..threads).map(|_| WorkerSetup::new()).collect();
        let setups = setups.map_err(refused("an event loop"))?;
        let accepting = AcceptorSetup::new().map_err(refused("an event loop"))?;
        let threads = Threads {
            acceptor: accepting.handle(),
            workers: setups.iter().map(WorkerSetup::handle).collect(),
        };
        let listening = sockets.listening(&config);
        let core = Core::new(cache, config, listening, hooks.clock);
        let shared = Shared::new(core, hooks.evictions, threads.clone());
        let acceptor = Acceptor::new(
            accepting,
            sockets.listeners,
            threads.workers.clone(),
            Arc::clone(&shared),
            hooks.signals,
        )
        .map_err(refused("an event loop"))?;
        let workers = setups.into_iter().enumerate();
        let workers = workers.map(|(index, setup)| Worker::new(index, setup, Arc::clone(&shared)));
        // From here on dropping the server ends whatever part of it is running.
        let mut server = Self {
            shared: Arc::clone(&shared),
            addresses,
            control: threads.acceptor.clone(),
            acceptor: None,
            workers: Vec::new(),
            udp: None,
            maintenance: None,
            _socket_file: socket_file,
        };
        shared.watch.hear();
        log::start();
        server.run(acceptor, workers, threads.workers)?;
        if !sockets.datagrams.is_empty() {
            let udp = Udp::start(sockets.datagrams, Arc::clone(&shared));
            server.udp = Some(udp.map_err(refused("a thread"))?);
        }
        let maintenance = Maintenance::start(Arc::clone(&shared));
        server.maintenance = Some(maintenance.map_err(refused("a thread"))?);
        Ok(server)
    }

    /// Starts the threads that serve connections.
    fn run(
        &mut self,
        acceptor: Acceptor,
        workers: impl Iterator<Item = Worker>,
        handles: Vec<WorkerHandle>,
    ) -> Result<(), StartError> {
        let stop = StopOnDrop { acceptor: self.control.clone(), workers: handles };
        let accept = move || {
            let _stop = stop;
            acceptor.run()
        };
        self.acceptor = Some(thread("acceptor".to_owned(), accept)?);
        for (index, worker) in workers.enumerate() {
            let stop = StopOnDrop { acceptor: self.control.clone(), workers: Vec::new() };
            let serve = move || {
                let _stop = stop;
                worker.run();
            };
            self.workers.push(thread(format!("worker-{index}"), serve)?);
        }
        Ok(())
    }

    /// The first TCP address; with port 0 this tells which one it became.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.addresses.first().copied()
    }

    /// All TCP addresses.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The cache it serves.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.shared.core.cache
    }

    /// Clients that are connected now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.gauges.connections.current.load(Ordering::Acquire)
    }

    /// Calls `visit` for everything that the server counts or is set to, in the order in which
    /// `stats` prints it, section by section.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
    /// let mut threads = None;
    /// server.metrics(|metric| {
    ///     if metric.name == "threads" {
    ///         threads = Some(metric.value.to_string());
    ///     }
    /// });
    /// assert_eq!(threads.as_deref(), Some("4"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metrics(&self, mut visit: impl FnMut(&Metric<'_>)) {
        for section in Section::ALL {
            metrics::each(&self.shared, section, &mut visit);
        }
    }

    /// A handle that can stop it while [`Server::join`] waits.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(self.control.clone())
    }

    /// Closes all connections and sockets, and waits for the threads.
    ///
    /// # Errors
    /// As [`Server::join`].
    pub fn stop(self) -> io::Result<()> {
        self.control.stop();
        self.join()
    }

    /// Waits until something stops it.
    ///
    /// # Errors
    /// It ended because the system refused something, or because a thread panicked.
    pub fn join(mut self) -> io::Result<()> {
        self.wait()
    }

    fn wait(&mut self) -> io::Result<()> {
        let panicked = |_| io::Error::other("a thread of the server panicked");
        let mut result = match self.acceptor.take() {
            Some(acceptor) => acceptor.join().map_err(panicked).flatten(),
            None => Ok(()),
        };
        for worker in self.workers.drain(..) {
            result = result.and(worker.join().map_err(panicked));
        }
        self.udp = None;
        self.shared.watch.stop();
        self.maintenance = None;
        result
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.stop();
        // Who wants to know how it ended calls `join`.
        let _ = self.wait();
    }
}

/// Ends the whole server when a thread ends, however that happens: a server without one of its
/// workers would leave a part of its clients without answers.
struct StopOnDrop {
    acceptor: AcceptorHandle,
    workers: Vec<WorkerHandle>,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.acceptor.stop();
        self.workers.iter().for_each(WorkerHandle::stop);
    }
}

impl Sockets {
    /// The TCP addresses that were really taken.
    fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::local_addr).collect()
    }

    /// What statistics show of them.
    fn listening(&self, config: &Config) -> Listening {
        let tcp = self.listeners.iter().find_map(Listener::local_addr);
        let udp = self.datagrams.first().and_then(|socket| socket.local_addr().ok());
        let listeners = self.listeners.iter().map(listening_socket);
        let datagrams = self.datagrams.iter().map(|socket| ConnInfo {
            number: socket.as_raw_fd(),
            peer: socket::udp(socket.local_addr()),
            local: None,
            state: "conn_read",
            idle: 0,
        });
        Listening {
            tcp_port: match (tcp, config.port) {
                (Some(address), _) => address.port(),
                // As in memcached, a Unix socket does not change what was asked for.
                (None, Port::Fixed(port)) if !config.network => port,
                (None, _) => 0,
            },
            udp_port: udp.map_or(0, |address| address.port()),
            sockets: listeners.chain(datagrams).collect(),
        }
    }
}

/// What `stats conns` shows of a listening socket.
fn listening_socket(listener: &Listener) -> ConnInfo {
    ConnInfo {
        number: listener.number(),
        peer: listener.end(),
        local: None,
        state: "conn_listening",
        idle: 0,
    }
}

fn thread<T: Send + 'static>(
    name: String,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    thread::Builder::new().name(name).spawn(run).map_err(refused("a thread"))
}

fn refused(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Reads an address of [`Builder::listen`].
fn place(address: &str) -> Option<Listen> {
    let (host, port) = split_address(address)?;
    let port = port.map(str::parse).transpose().ok()?;
    Some(Listen { host: (host != "*").then(|| host.to_owned()), port, ..Listen::default() })
}
