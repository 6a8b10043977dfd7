//! One running server: its sockets, its threads, and how they end together.

mod builder;
pub(crate) mod test_server;

pub use builder::{Builder, Protocol, StartError};

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use memcore::Cache;

use crate::auth::accounts::Accounts;
use crate::auth::verifier::Verifier;
use crate::config::{Config, Port};
use crate::event_loop::acceptor::{Acceptor, AcceptorHandle, AcceptorSetup};
use crate::event_loop::flash::FlashThreads;
use crate::event_loop::maintenance::Maintenance;
use crate::event_loop::reloader::Reloader;
use crate::event_loop::threads::Threads;
use crate::event_loop::worker::{Worker, WorkerHandle, WorkerSetup};
use crate::http::Admin;
use crate::net::conn_info::ConnInfo;
use crate::net::listener::{Datagrams, Listener};
use crate::net::socket;
use crate::os::files::TemporaryFile;
use crate::os::log;
use crate::os::service::Manager;
use crate::os::signals::Signals;
use crate::report::metrics::{self, Metric, Section};
use crate::state::clock::DrivenClock;
use crate::state::core::{Core, Listening};
use crate::state::shared::Shared;
use crate::tls::Context;
use crate::udp::Udp;
use crate::watch::Evictions;

/// What connects a server to the process that it runs in.
#[derive(Debug, Default)]
pub(crate) struct ProcessHooks {
    /// Signals that stop it.
    pub(crate) signals: Option<Signals>,
    /// What it tells of its end.
    pub(crate) manager: Manager,
    /// The clock of its cache, if the server is to drive it.
    pub(crate) clock: Option<Arc<DrivenClock>>,
    /// What the cache reports removals to.
    pub(crate) evictions: Evictions,
    /// Who may log in; none if nobody has to.
    pub(crate) accounts: Option<Accounts>,
    /// How listeners speak TLS, if some do.
    pub(crate) tls: Option<Arc<Context>>,
}

/// The sockets that a server serves, bound and listening.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// For connections.
    pub(crate) listeners: Vec<Listener>,
    /// For requests in datagrams.
    pub(crate) datagrams: Vec<Datagrams>,
    /// For health and metrics.
    pub(crate) admin: Option<Listener>,
    /// The files that belong to them.
    pub(crate) files: Vec<TemporaryFile>,
}

/// A running server. Dropping it stops it.
///
/// # Examples
/// ```
/// let cache = memcore::Cache::new(64 << 20)?;
/// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
///
/// // Another thread stops it while this one waits.
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
    reloader: Option<Reloader>,
    flash: Option<FlashThreads>,
    admin: Option<Admin>,
    admin_address: Option<SocketAddr>,
    /// The socket files are removed last.
    _socket_files: Vec<TemporaryFile>,
}

/// Stops a [`Server`] from any thread.
///
/// # Examples
/// ```
/// let cache = memcore::Cache::new(64 << 20)?;
/// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
/// let handle = server.stop_handle();
/// let waiting = std::thread::spawn(move || server.join());
/// handle.stop();
/// waiting.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StopHandle(AcceptorHandle);

impl StopHandle {
    /// Makes the server end. Returns at once; [`Server::join`] waits for the end.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Makes the server end when its clients have finished what they are about, at the latest after
    /// `timeout`. New ones are refused from now on, and idle connections are closed. Returns at
    /// once; [`Server::join`] waits for the end.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
    /// server.stop_handle().drain(std::time::Duration::from_secs(30));
    /// server.join()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain(&self, timeout: Duration) {
        self.0.drain(timeout);
    }
}

impl Server {
    /// Starts setting up a server for `cache`. The program can go on using the same cache.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache.clone()).listen("127.0.0.1:0").start()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(cache: Cache) -> Builder {
        Builder::new(cache)
    }

    /// Starts the threads behind sockets that are open already.
    pub(crate) fn start(
        cache: Cache,
        config: Config,
        sockets: Sockets,
        hooks: ProcessHooks,
    ) -> Result<Self, StartError> {
        let addresses = sockets.addresses().collect();
        // Inboxes come first, then the state that knows how to reach them, then the threads.
        let threads = config.threads.max(1);
        let setups: io::Result<Vec<_>> = (0..threads).map(|_| WorkerSetup::new()).collect();
        let setups = setups.map_err(refused("an event loop"))?;
        poll_busily(&setups, config.busy_poll);
        let accepting = AcceptorSetup::new().map_err(refused("an event loop"))?;
        let threads = Threads {
            acceptor: accepting.handle(),
            workers: setups.iter().map(WorkerSetup::handle).collect(),
        };
        let listening = sockets.listening(&config);
        // Not before: a process that switches users must not have threads yet.
        log::start();
        let verifier = hooks.accounts.as_ref().map(|_| Verifier::start()).transpose();
        let verifier = verifier.map_err(refused("a thread"))?;
        let core = Core::new(cache, config, listening, hooks.clock).with_accounts(hooks.accounts);
        let core = Core { verifier, tls: hooks.tls, ..core };
        let shared = Shared::new(core, hooks.evictions, threads.clone());
        let acceptor = Acceptor::new(
            accepting,
            sockets.listeners,
            threads.workers.clone(),
            Arc::clone(&shared),
            hooks.signals,
            hooks.manager,
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
            reloader: None,
            flash: None,
            admin: None,
            admin_address: sockets.admin.as_ref().and_then(Listener::local_addr),
            _socket_files: sockets.files,
        };
        // Before the threads: from the first request on no eviction is missed.
        shared.watch.hear();
        server.run(acceptor, workers, threads.workers)?;
        if !sockets.datagrams.is_empty() {
            let udp = Udp::start(sockets.datagrams, Arc::clone(&shared));
            server.udp = Some(udp.map_err(refused("a thread"))?);
        }
        let maintenance = Maintenance::start(Arc::clone(&shared));
        server.maintenance = Some(maintenance.map_err(refused("a thread"))?);
        server.reloader = Reloader::start(&shared).map_err(refused("a thread"))?;
        shared.phase.serve();
        if let Some(listener) = sockets.admin {
            let stop = StopOnDrop { acceptor: server.control.clone(), workers: Vec::new() };
            let admin = Admin::start(listener, shared, stop);
            server.admin = Some(admin.map_err(refused("a thread"))?);
        }
        Ok(server)
    }

    /// Starts the threads that serve connections.
    fn run(
        &mut self,
        acceptor: Acceptor,
        workers: impl Iterator<Item = Worker>,
        handles: Vec<WorkerHandle>,
    ) -> Result<(), StartError> {
        let end = || StopOnDrop { acceptor: self.control.clone(), workers: Vec::new() };
        let flash = FlashThreads::start(&self.shared, end);
        self.flash = Some(flash.map_err(refused("a thread"))?);
        let stop = StopOnDrop { acceptor: self.control.clone(), workers: handles };
        let accept = move || {
            // Dropped when the thread ends, also by a panic.
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

    /// Starts the threads that would be started later, and shows `sandbox` in the settings once
    /// `confine` has returned it.
    ///
    /// # Errors
    /// The system refused a thread, or that of `confine`.
    pub(crate) fn confine<E: From<io::Error>>(
        &self,
        confine: impl FnOnce() -> Result<String, E>,
    ) -> Result<(), E> {
        if self.shared.core.config.watch_enabled {
            self.shared.watch.prepare()?;
        }
        let state = confine()?;
        // It is called once.
        let _ = self.shared.core.sandbox.set(state);
        Ok(())
    }

    /// The first TCP address, with the port that was taken if port 0 was asked for.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
    /// let address = server.local_addr().expect("it listens over TCP");
    /// std::net::TcpStream::connect(address)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.addresses.first().copied()
    }

    /// All TCP addresses.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
    /// assert_eq!(server.local_addrs().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The address for health and metrics, if [`Builder::admin`] asked for one over TCP.
    ///
    /// # Examples
    /// ```
    /// use std::io::{Read, Write};
    ///
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let builder = memserver::Server::builder(cache).listen("127.0.0.1:0");
    /// let server = builder.admin("127.0.0.1:0").start()?;
    /// let mut probe = std::net::TcpStream::connect(server.admin_addr().unwrap())?;
    /// probe.write_all(b"GET /readyz HTTP/1.1\r\n\r\n")?;
    /// let mut answer = String::new();
    /// probe.read_to_string(&mut answer)?;
    /// assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The cache that it serves.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
    /// assert_eq!(server.cache().stats().total.items, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.shared.core.cache
    }

    /// The number of clients that are connected.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
    /// assert_eq!(server.connections(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn connections(&self) -> usize {
        // Pairs with `Connections::closed`.
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

    /// A handle that stops it, also while [`Server::join`] waits; see [`StopHandle`].
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
    /// let handle = server.stop_handle();
    /// handle.stop();
    /// server.join()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(self.control.clone())
    }

    /// Closes all connections and sockets, and waits for the threads.
    ///
    /// # Errors
    /// As [`Server::join`].
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
    /// server.stop()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop(self) -> io::Result<()> {
        self.control.stop();
        self.join()
    }

    /// Waits until something stops it: a [`StopHandle`], or a client if that is allowed.
    ///
    /// # Errors
    /// The system refused something that the server needs to go on, or a thread panicked.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
    /// let handle = server.stop_handle();
    /// std::thread::spawn(move || handle.stop());
    /// server.join()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(mut self) -> io::Result<()> {
        self.wait()
    }

    fn wait(&mut self) -> io::Result<()> {
        let panicked = |_| io::Error::other("a thread of the server panicked");
        // The acceptor ends first, and its end stops the workers.
        let mut result = match self.acceptor.take() {
            Some(acceptor) => acceptor.join().unwrap_or_else(|panic| Err(panicked(panic))),
            None => Ok(()),
        };
        for worker in self.workers.drain(..) {
            result = result.and(worker.join().map_err(panicked));
        }
        // Dropping these stops their threads. Maintenance comes behind the others that serve: until
        // then the clock goes on for them. Who asks for health is told to the end.
        self.udp = None;
        self.flash = None;
        self.shared.watch.stop();
        self.maintenance = None;
        self.reloader = None;
        self.admin = None;
        result
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.stop();
        // `join` reports how it ended.
        let _ = self.wait();
    }
}

/// Ends the whole server when a thread ends for whatever reason: without one of its workers a part
/// of its clients would get no answers.
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
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter_map(Listener::local_addr)
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

/// Has workers look for packets themselves before they sleep, if that is asked for. It is only
/// faster, so a server starts without it.
fn poll_busily(setups: &[WorkerSetup], microseconds: u32) {
    if microseconds == 0 {
        return;
    }
    let result = setups.iter().try_for_each(|setup| setup.busy_poll(microseconds));
    if let Err(error) = result {
        let reason = crate::os::reason(&error);
        log::warning(&format!("-o busy_poll has no effect, as this kernel can't do it: {reason}"));
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
