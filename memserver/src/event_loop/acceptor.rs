//! The accept loop: connections come in, are counted against the limit, and go to the workers by
//! turns, or by the way of their packets. Clients are not read from here.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use memproto::text::write::TOO_MANY_CONNECTIONS;
use mio::{Events, Poll, Token, Waker};
use parking_lot::Mutex;
use rustix::io::Errno;

use crate::auth::audit;
use crate::config::Binding;
use crate::config::tls::Security;
use crate::event_loop::drain::Drain;
use crate::event_loop::placement::Placement;
use crate::event_loop::worker::WorkerHandle;
use crate::net::listener::{Arrival, Listener};
use crate::os::service::{self, Manager};
use crate::os::signals::{Signal, Signals};
use crate::os::{log, reason};
use crate::state::gauges::Connections;
use crate::state::shared::Shared;

/// The token of [`AcceptorHandle`].
const WAKE: Token = Token(usize::MAX);
/// The token of the signals.
const SIGNALS: Token = Token(usize::MAX - 1);
/// Connections taken from one socket before the others, and signals, get their turn.
const BURST: usize = 64;
/// How long to wait for the system to have descriptors or memory again.
const RETRY: Duration = Duration::from_millis(100);

/// The accept loop. It listens once [`Acceptor::run`] is called.
#[derive(Debug)]
pub(crate) struct Acceptor {
    poll: Poll,
    listeners: Vec<Listener>,
    workers: Vec<WorkerHandle>,
    placement: Placement,
    shared: Arc<Shared>,
    handle: AcceptorHandle,
    signals: Option<Signals>,
    /// Told when the end begins.
    manager: Manager,
    pause: Option<Pause>,
    /// Whether the system has been short of descriptors or memory since the last connection.
    is_short: bool,
    /// Until when clients may finish, if the server is ending.
    drain: Option<Drain>,
    /// Sockets where more connections may wait.
    ready: Vec<usize>,
}

/// What others may ask of the accept loop.
#[derive(Clone, Debug)]
pub(crate) struct AcceptorHandle(Arc<Inbox>);

#[derive(Debug)]
struct Inbox {
    stop: AtomicBool,
    /// For how long clients may finish, once they are to.
    drain: Mutex<Option<Duration>>,
    paused: AtomicBool,
    waker: Waker,
}

/// The accept loop's poll and inbox. They exist before the state that all threads share, which
/// holds the handle.
#[derive(Debug)]
pub(crate) struct AcceptorSetup {
    poll: Poll,
    handle: AcceptorHandle,
}

impl AcceptorSetup {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// The system refused a poll or an event descriptor.
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let inbox = Inbox {
            stop: AtomicBool::new(false),
            drain: Mutex::default(),
            paused: AtomicBool::new(false),
            waker: Waker::new(poll.registry(), WAKE)?,
        };
        Ok(Self { poll, handle: AcceptorHandle(Arc::new(inbox)) })
    }

    /// The way to reach the accept loop.
    pub(crate) fn handle(&self) -> AcceptorHandle {
        self.handle.clone()
    }
}

/// Why and since when no connection is taken.
#[derive(Debug)]
struct Pause {
    since: Instant,
    /// Whether the system is short of something, so that time may help.
    shortage: bool,
}

impl Acceptor {
    /// An accept loop for these sockets.
    ///
    /// # Errors
    /// The system refused to watch for signals.
    pub(crate) fn new(
        setup: AcceptorSetup,
        listeners: Vec<Listener>,
        workers: Vec<WorkerHandle>,
        shared: Arc<Shared>,
        mut signals: Option<Signals>,
        manager: Manager,
    ) -> io::Result<Self> {
        let AcceptorSetup { poll, handle } = setup;
        if let Some(signals) = &mut signals {
            signals.watch(poll.registry(), SIGNALS)?;
        }
        Ok(Self {
            poll,
            listeners,
            placement: Placement::new(shared.core.config.placing, workers.len()),
            workers,
            shared,
            handle,
            signals,
            manager,
            pause: None,
            is_short: false,
            drain: None,
            ready: Vec::new(),
        })
    }

    /// Accepts until it is told to stop, by [`AcceptorHandle::stop`] or a signal.
    ///
    /// # Errors
    /// The system refused to watch the listening sockets.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(64);
        self.watch_all()?;
        // Pairs with the store in `AcceptorHandle::stop`.
        while !self.handle.0.stop.load(Ordering::Acquire) && !self.is_drained() {
            // Only interruptions by signals fail here; the events of the last call are gone then.
            if self.poll.poll(&mut events, self.poll_timeout()).is_err() {
                events.clear();
            }
            for event in &events {
                match event.token() {
                    WAKE => self.drain_if_asked(),
                    SIGNALS => self.obey_signals(),
                    Token(index) if !self.ready.contains(&index) => self.ready.push(index),
                    Token(_) => {}
                }
            }
            for index in std::mem::take(&mut self.ready) {
                if self.pause.is_none() && self.accept_some(index) {
                    self.ready.push(index);
                }
            }
            self.resume();
        }
        self.shared.phase.end();
        Ok(())
    }

    /// How long it may sleep.
    fn poll_timeout(&self) -> Option<Duration> {
        if let Some(drain) = &self.drain {
            // Not zero, since the time may be over only a moment later by another clock.
            return Some(drain.left(Instant::now()).max(Duration::from_millis(1)));
        }
        match &self.pause {
            Some(pause) => pause.shortage.then_some(RETRY),
            None => (!self.ready.is_empty()).then_some(Duration::ZERO),
        }
    }

    /// Accepts what waits at one socket; true if there may be more.
    fn accept_some(&mut self, index: usize) -> bool {
        for _ in 0..BURST {
            if self.is_full() && !self.shared.core.config.maxconns_fast {
                self.count_pause();
                self.pause(false);
                return false;
            }
            let Some(listener) = self.listeners.get(index) else { return false };
            match listener.accept() {
                Ok(arrival) => {
                    self.is_short = false;
                    self.admit(arrival);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.is_short, true) {
                        let reason = reason(&error);
                        log::warning(&format!("can't accept connections for now: {reason}"));
                        self.count_pause();
                    }
                    self.pause(true);
                    return false;
                }
            }
        }
        true
    }

    /// Hands a connection to the next worker, or turns it away.
    fn admit(&mut self, arrival: Arrival) {
        let Connections { current, total, rejected, .. } = &self.shared.gauges.connections;
        if self.is_full() {
            rejected.fetch_add(1, Ordering::Relaxed);
            if let Some(format) = self.shared.core.config.audit {
                let (peer, user) = (arrival.socket.peer(), None);
                audit::write(format, audit::Event { what: audit::EventKind::Reject, peer, user });
            }
            // A fresh socket has room for a line; and if not, closing says enough. A client that
            // expects TLS would not understand it.
            if arrival.security == Security::Plain {
                let _ = arrival.socket.write(TOO_MANY_CONNECTIONS);
            }
            return;
        }
        // Pairs with `Connections::closed`.
        current.fetch_add(1, Ordering::AcqRel);
        total.fetch_add(1, Ordering::Relaxed);
        if self.verbosity() > 1 {
            let speaks = match arrival.binding {
                Binding::Auto => "auto-negotiating",
                binding @ (Binding::Ascii | Binding::Binary) => binding.name(),
            };
            let number = arrival.socket.number();
            log::debug(format_args!("<{number} new {speaks} client connection"));
        }
        let chosen = self.placement.choose(&arrival.socket, &self.shared.gauges.connections);
        if let Some(worker) = self.workers.get(chosen) {
            worker.assign(arrival);
        }
    }

    fn is_full(&self) -> bool {
        // Pairs with `Connections::closed`.
        let current = self.shared.gauges.connections.current.load(Ordering::Acquire);
        current >= self.shared.core.config.max_connections
    }

    fn verbosity(&self) -> u8 {
        self.shared.core.verbosity.load(Ordering::Relaxed)
    }

    fn count_pause(&self) {
        self.shared.gauges.connections.listen_disabled.fetch_add(1, Ordering::Relaxed);
    }

    /// Leaves connections in the backlog for a while.
    fn pause(&mut self, shortage: bool) {
        for listener in &mut self.listeners {
            // A socket that can't be taken out wakes this loop more often, which is harmless.
            let _ = listener.ignore(self.poll.registry());
        }
        // What waits now is reported again when the sockets are watched again.
        self.ready.clear();
        self.pause = Some(Pause { since: Instant::now(), shortage });
        let connections = &self.shared.gauges.connections;
        connections.accepting.store(false, Ordering::Relaxed);
        self.handle.0.paused.store(true, Ordering::Relaxed);
        // Pairs with the fence of `connection_closed`: either it sees the pause, or `resume` sees
        // the connection gone.
        fence(Ordering::SeqCst);
    }

    /// Ends a pause that has lost its reason.
    fn resume(&mut self) {
        if self.drain.is_some() {
            return;
        }
        let full = self.is_full() && !self.shared.core.config.maxconns_fast;
        let over = |pause: &mut Pause| match pause.shortage {
            true => pause.since.elapsed() >= RETRY,
            false => !full,
        };
        let Some(pause) = self.pause.take_if(over) else { return };
        self.handle.0.paused.store(false, Ordering::Relaxed);
        let connections = &self.shared.gauges.connections;
        let micros = u64::try_from(pause.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        connections.listen_disabled_us.fetch_add(micros, Ordering::Relaxed);
        connections.accepting.store(true, Ordering::Relaxed);
        // What the system is short of may be missing here too, which is no reason to end.
        if self.watch_all().is_err() {
            self.pause(true);
        }
    }

    /// Watches all sockets; those with connections waiting report at once.
    fn watch_all(&mut self) -> io::Result<()> {
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            listener.watch(self.poll.registry(), Token(index))?;
        }
        Ok(())
    }

    /// The first signal lets clients finish, the second one ends at once.
    fn obey_signals(&mut self) {
        let verbosity = self.verbosity();
        let Some(signals) = &mut self.signals else { return };
        match signals.take() {
            None => {}
            Some(Signal::Reload) => self.shared.reload.ask(),
            Some(Signal::Stop | Signal::StopGracefully) if self.drain.is_some() => {
                self.handle.stop();
            }
            Some(signal @ (Signal::Stop | Signal::StopGracefully)) => {
                log::log_shutdown(signal == Signal::StopGracefully, verbosity);
                self.manager.notify(service::STOPPING);
                self.drain(self.shared.core.config.drain_timeout);
            }
        }
    }

    fn drain_if_asked(&mut self) {
        let asked = self.handle.0.drain.lock().take();
        if let Some(time) = asked.filter(|_| self.drain.is_none()) {
            self.drain(time);
        }
    }

    /// Accepts those who have connected already and no others, and lets all of them finish.
    fn drain(&mut self, time: Duration) {
        self.shared.phase.end();
        if time.is_zero() {
            return self.handle.stop();
        }
        for index in 0..self.listeners.len() {
            while self.pause.is_none() && self.accept_some(index) {}
        }
        self.listeners.clear();
        self.ready.clear();
        self.shared.gauges.connections.accepting.store(false, Ordering::Relaxed);
        let drain = Drain::new(Instant::now(), time);
        self.drain = Some(drain);
        self.workers.iter().for_each(|worker| worker.drain(drain));
        // Watchers never finish.
        self.shared.watch.stop();
        // From now on each connection that is closed wakes this loop. The fence pairs with that of
        // `connection_closed`, as in `pause`.
        self.handle.0.paused.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Whether there is nobody left to wait for, or no time.
    fn is_drained(&self) -> bool {
        self.drain.is_some_and(|drain| {
            // Pairs with `Connections::closed`.
            let current = self.shared.gauges.connections.current.load(Ordering::Acquire);
            current == 0 || drain.left(Instant::now()).is_zero()
        })
    }
}

impl AcceptorHandle {
    /// Makes the accept loop return.
    pub(crate) fn stop(&self) {
        // Pairs with the load in `run`.
        self.0.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Makes the accept loop return when the clients have finished, at the latest after `time`.
    pub(crate) fn drain(&self, time: Duration) {
        *self.0.drain.lock() = Some(time);
        self.wake();
    }

    /// Tells a paused accept loop that a connection is gone.
    pub(crate) fn connection_closed(&self) {
        // Pairs with the fences of `pause` and `drain`.
        fence(Ordering::SeqCst);
        if self.0.paused.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    fn wake(&self) {
        // A wake-up that fails means that the event counter is full: the loop is awake anyway.
        let _ = self.0.waker.wake();
    }
}

/// Whether accepting failed because of this one connection, so that the next may do better.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::INTR
                | Errno::CONNABORTED
                | Errno::PROTO
                | Errno::PERM
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::TIMEDOUT
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Listen, Port};
    use crate::net::listener;
    use std::net::TcpStream;

    #[test]
    fn a_crowd_at_one_socket_lets_others_go_first() {
        let listen = vec![Listen { host: Some("127.0.0.1".into()), ..Listen::default() }];
        let config = Config { port: Port::Ephemeral, listen, ..Config::default() };
        let listeners = listener::open(&config).unwrap().listeners;
        let address = listeners[0].local_addr().unwrap();
        let cache = memcore::Cache::new(64 << 20).unwrap();
        let shared = Shared::without_threads(cache, config);
        let setup = AcceptorSetup::new().unwrap();
        let mut acceptor = Acceptor::new(
            setup,
            listeners,
            Vec::new(),
            Arc::clone(&shared),
            None,
            Manager::default(),
        )
        .unwrap();
        let crowd: Vec<_> = (0..=BURST).map(|_| TcpStream::connect(address).unwrap()).collect();
        let accepted = || shared.gauges.connections.current.load(Ordering::Relaxed);
        assert!(acceptor.accept_some(0));
        assert_eq!(accepted(), BURST);
        assert!(!acceptor.accept_some(0));
        assert_eq!(accepted(), crowd.len());
    }
}
