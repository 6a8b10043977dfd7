//! One running server: listening sockets, threads, and how they end together. It must never know
//! what clients say, nor how the settings were spelled.

pub(crate) mod test_server;

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use memcore::Cache;

use crate::config::{Config, Listen, Port, split_address};
use crate::event_loop::acceptor::{Acceptor, Control};
use crate::event_loop::maintenance::{Drive, Maintenance};
use crate::event_loop::worker::{Worker, WorkerHandle};
use crate::net::listener::{self, Datagrams, ListenError, Listener};
use crate::os::sys::{Signals, TemporaryFile};
use crate::report::stream::Facts;
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
}

impl Builder {
    /// Listens at `address` as well: `HOST:PORT`, `[IPV6]:PORT`, or without a port for 11211. The
    /// host `*` stands for all addresses, port 0 for any port that is free. Without a call of this
    /// the server listens at port 11211 of all addresses.
    pub fn listen(mut self, address: impl Display) -> Self {
        self.addresses.push(address.to_string());
        self
    }

    /// Listens at a Unix socket and nowhere else; only the own user may connect.
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
        let listeners = listener::open(&self.config)?;
        let outside = Outside { evictions: self.evictions, ..Outside::default() };
        Server::start(self.cache, self.config, listeners, Vec::new(), outside)
    }
}

/// What moves a server from outside, if anything does.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// Signals that stop it.
    pub(crate) signals: Option<Signals>,
    /// What moves the clock of its cache.
    pub(crate) drive: Option<Drive>,
    /// Who is told by the cache what it removes.
    pub(crate) evictions: Evictions,
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
    control: Arc<Control>,
    acceptor: Option<JoinHandle<io::Result<()>>>,
    workers: Vec<JoinHandle<()>>,
    udp: Option<Udp>,
    maintenance: Option<Maintenance>,
    /// The socket file is removed last.
    _socket_file: Option<TemporaryFile>,
}

/// Stops a [`Server`] from anywhere.
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<Control>);

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
        let (addresses, config) = (Vec::new(), Config::default());
        Builder { cache, addresses, config, evictions: Evictions::new() }
    }

    /// Starts the threads behind sockets that are open already.
    pub(crate) fn start(
        cache: Cache,
        mut config: Config,
        listeners: Vec<Listener>,
        datagrams: Vec<Datagrams>,
        outside: Outside,
    ) -> Result<Self, StartError> {
        let refused = |what| move |source| StartError::System { what, source };
        let socket_file = config.unix_socket.as_deref().map(TemporaryFile::adopt);
        let addresses: Vec<_> = listeners.iter().filter_map(Listener::local_addr).collect();
        let udp_address = datagrams.first().and_then(|socket| socket.local_addr().ok());
        config.udp_port = udp_address.map_or(0, |address| address.port());
        config.tcp_port = tcp_port(&config, &addresses);
        let listening = listeners.iter().map(listening_socket).collect();
        let shared = Shared::with_evictions(cache.clone(), Arc::new(config), outside.evictions);
        let created: Result<Vec<_>, _> = (0..shared.workers.len())
            .map(|index| Worker::new(index, Arc::clone(&shared)))
            .collect();
        let (idle, handles): (Vec<_>, Vec<_>) =
            created.map_err(refused("an event loop"))?.into_iter().unzip();
        let acceptor =
            Acceptor::new(listeners, handles.clone(), Arc::clone(&shared), outside.signals)
                .map_err(refused("an event loop"))?;
        let control = acceptor.control();
        connect(&shared, &control, &handles);
        // Nobody else sets it.
        let _ = shared.listening.set(listening);
        // From here on dropping the server ends whatever part of it is running.
        let mut server = Self {
            shared,
            addresses,
            control,
            acceptor: None,
            workers: Vec::with_capacity(idle.len()),
            udp: None,
            maintenance: None,
            _socket_file: socket_file,
        };
        server.shared.watch.hear();
        let ending = Ending { control: Arc::clone(&server.control), workers: handles };
        server.acceptor = Some(
            thread("acceptor".to_owned(), move || {
                let _ending = ending;
                acceptor.run()
            })
            .map_err(refused("a thread"))?,
        );
        for (index, worker) in idle.into_iter().enumerate() {
            let ending = Ending { control: Arc::clone(&server.control), workers: Vec::new() };
            let run = move || {
                let _ending = ending;
                worker.run();
            };
            let started = thread(format!("worker-{index}"), run).map_err(refused("a thread"))?;
            server.workers.push(started);
        }
        if !datagrams.is_empty() {
            let udp = Udp::start(datagrams, Arc::clone(&server.shared));
            server.udp = Some(udp.map_err(refused("a thread"))?);
        }
        let watch = Arc::clone(&server.shared.watch);
        #[cfg(all(feature = "test-clock", debug_assertions))]
        if let Some(drive) = &outside.drive {
            // Nobody else sets it.
            let _ = server.shared.test_clock.set(Arc::clone(&drive.shown));
        }
        let maintenance = Maintenance::start(cache, watch, outside.drive);
        server.maintenance = Some(maintenance.map_err(refused("a thread"))?);
        Ok(server)
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
        &self.shared.cache
    }

    /// Clients that are connected now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.current.load(Ordering::Acquire)
    }

    /// A handle that can stop it while [`Server::join`] waits.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.control))
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
struct Ending {
    control: Arc<Control>,
    workers: Vec<WorkerHandle>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.control.stop();
        self.workers.iter().for_each(WorkerHandle::stop);
    }
}

/// The port that is reported. As in memcached, a Unix socket does not change what was asked for.
fn tcp_port(config: &Config, addresses: &[SocketAddr]) -> u16 {
    match (addresses.first(), config.port) {
        (Some(address), _) => address.port(),
        (None, Port::Fixed(port)) if config.unix_socket.is_some() => port,
        (None, _) => 0,
    }
}

/// What `stats conns` shows of a listening socket.
fn listening_socket(listener: &Listener) -> Facts {
    Facts {
        number: listener.number(),
        peer: listener.end(),
        local: None,
        state: "conn_listening",
        idle: 0,
    }
}

/// Lets the workers reach each other and the accept loop: clients can stop the server and make
/// room.
fn connect(shared: &Shared, control: &Arc<Control>, workers: &[WorkerHandle]) {
    let workers = workers.to_vec();
    let (stop, closed) = (Arc::clone(control), Arc::clone(control));
    // Nobody else sets these, and this happens once per server.
    let _ = shared.stop.set(Box::new(move |()| stop.stop()));
    let _ = shared.roll_call.set(Box::new(move |roll| {
        let asker = &workers[roll.asker];
        workers.iter().for_each(|worker| worker.call_roll(&roll, asker));
    }));
    let _ = shared.on_close.set(Box::new(move |()| closed.connection_closed()));
}

fn thread<T: Send + 'static>(
    name: String,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name).spawn(run)
}

/// Reads an address of [`Builder::listen`].
fn place(address: &str) -> Option<Listen> {
    let (host, port) = split_address(address)?;
    let port = port.map(str::parse).transpose().ok()?;
    Some(Listen { host: (host != "*").then(|| host.to_owned()), port, ..Listen::default() })
}
