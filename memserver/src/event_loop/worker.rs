//! One event loop with its connections: it finds out who is ready and keeps order among them. It
//! must never know what is said.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};
use parking_lot::Mutex;

use crate::config::Binding;
use crate::event_loop::conn::Conn;
use crate::event_loop::turn::{State, TRACED, Turn};
use crate::net::conn_info::ConnInfo;
use crate::net::socket::Socket;
use crate::state::budgets::Permit;
use crate::state::control::ConnQuery;
use crate::state::counters::Counters;
use crate::state::shared::Shared;
use crate::watch::trace;
use crate::watch::{End, Seat, attention};

/// The token of the inbox.
const WAKE: Token = Token(usize::MAX);
/// Events taken from the system at once.
const EVENTS_MAX: usize = 1024;
/// A larger input buffer, which only the beginning of a long retrieval needs, counts.
const LONG_LINE: usize = 40 << 10;
/// A client that reads nothing for so many seconds has to go if others could not be served because
/// of the values that wait for it, or if there are too many of its kind.
const STUCK_MAX: u32 = 10;
/// A client that reads nothing of a dump for so many seconds has to go.
const DUMP_STUCK_MAX: u32 = 60;
/// How often silent or stuck connections are looked for.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// An event loop. It serves once [`Worker::run`] is called.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    shared: Arc<Shared>,
    poll: Poll,
    inbox: Arc<Inbox>,
    conns: Vec<Option<Conn>>,
    /// Unused places in `conns`.
    vacant: Vec<usize>,
    /// Connections with something to do, in the order in which they get their turn.
    ready: VecDeque<usize>,
    /// Connections that wait for another worker.
    waiting: Vec<usize>,
    /// Connections whose client does not read.
    stuck: usize,
    /// Connections with a value that is arriving in pieces.
    uploading: usize,
    /// Second of the last search for silent or stuck connections.
    idle_checked: u32,
}

/// What others may ask of a worker.
#[derive(Clone, Debug)]
pub(crate) struct WorkerHandle {
    inbox: Arc<Inbox>,
}

#[derive(Debug)]
struct Inbox {
    arrivals: Mutex<Vec<(Socket, Binding)>>,
    /// Questions, and who is to be woken by the last answer.
    queries: Mutex<Vec<(Arc<ConnQuery>, WorkerHandle)>>,
    stop: AtomicBool,
    waker: Waker,
}

/// A worker's poll and inbox. They exist before the state that all threads share, which holds the
/// handles of the workers.
#[derive(Debug)]
pub(crate) struct WorkerSetup {
    poll: Poll,
    inbox: Arc<Inbox>,
}

impl WorkerSetup {
    /// An empty inbox.
    ///
    /// # Errors
    /// The system refused a poll or an event descriptor.
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let inbox = Inbox {
            arrivals: Mutex::default(),
            queries: Mutex::default(),
            stop: AtomicBool::new(false),
            waker: Waker::new(poll.registry(), WAKE)?,
        };
        Ok(Self { poll, inbox: Arc::new(inbox) })
    }

    /// The way to reach the worker.
    pub(crate) fn handle(&self) -> WorkerHandle {
        WorkerHandle { inbox: Arc::clone(&self.inbox) }
    }
}

impl Worker {
    /// Worker number `index` of the server.
    pub(crate) fn new(index: usize, setup: WorkerSetup, shared: Arc<Shared>) -> Self {
        Self {
            index,
            poll: setup.poll,
            inbox: setup.inbox,
            conns: Vec::new(),
            vacant: Vec::new(),
            ready: VecDeque::new(),
            waiting: Vec::new(),
            stuck: 0,
            uploading: 0,
            idle_checked: shared.core.cache.now().as_secs(),
            shared,
        }
    }

    /// Serves until it is told to stop; then all its connections are closed.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut turn = Turn::new();
        while !self.inbox.stop.load(Ordering::Acquire) {
            // Only interruptions by signals fail here; the events of the last call are gone then.
            if self.poll.poll(&mut events, self.patience()).is_err() {
                events.clear();
            }
            for event in &events {
                match event.token() {
                    WAKE => {
                        self.welcome();
                        self.answer_queries();
                        self.go_on();
                    }
                    Token(index) => self.notice(index, event),
                }
            }
            self.serve(&mut turn);
            self.kick_idle();
        }
        // Connections that were handed over with the last breath are booked as well.
        self.welcome();
        for index in 0..self.conns.len() {
            self.close(index, End::Shutdown);
        }
    }

    /// How long it may sleep.
    fn patience(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            Some(Duration::ZERO)
        } else {
            self.is_watchful().then_some(IDLE_CHECK)
        }
    }

    /// Whether there may be connections that have to go.
    fn is_watchful(&self) -> bool {
        self.stuck > 0 || self.uploading > 0 || self.shared.core.config.idle_timeout > 0
    }

    /// Gives every connection that was ready at the beginning one turn.
    fn serve(&mut self, turn: &mut Turn) {
        let mut waiting = self.ready.len();
        while waiting > 0 {
            while waiting > 0 && turn.has_room() {
                waiting -= 1;
                let Some(index) = self.ready.pop_front() else { break };
                let Some(conn) = self.conns[index].as_mut() else { continue };
                conn.queued = false;
                if conn.backlog.is_none()
                    && !turn.admit(index, conn, &self.shared.gauges.workers[self.index])
                {
                    self.close(index, End::Error);
                }
            }
            let crowded = !self.ready.is_empty();
            turn.serve(&mut self.conns, &self.shared, self.index, crowded);
            let (mut gone, mut watchers) = (Vec::new(), Vec::new());
            let Self { poll, ready, conns, shared, stuck, uploading, waiting: patient, .. } = self;
            let now = shared.core.cache.now().as_secs();
            turn.dismiss(conns, shared, |index, conn, state| {
                conn.last_active = now;
                *stuck += usize::from(state == State::Blocked);
                *uploading -= usize::from(conn.uploading);
                conn.uploading = conn.session.upload.is_some();
                *uploading += usize::from(conn.uploading);
                // What it waits for may have happened since it was found waiting; then there is
                // a wake-up under way.
                if state == State::Drained && conn.session.is_streaming() {
                    patient.push(index);
                }
                if state == State::Closing
                    && let Some(seat) = conn.session.watch.take()
                {
                    return watchers.push((index, *seat));
                }
                if !account(shared, conn) || !leave(poll, ready, index, conn, state) {
                    let broken = state == State::Broken || conn.session.is_at_fault();
                    gone.push((index, if broken { End::Error } else { End::Normal }));
                }
            });
            gone.into_iter().for_each(|(index, end)| self.close(index, end));
            watchers.into_iter().for_each(|(index, seat)| self.hand_on(index, seat));
        }
    }

    /// Takes in the connections that were handed over.
    fn welcome(&mut self) {
        let arrivals = std::mem::take(&mut *self.inbox.arrivals.lock());
        let now = self.shared.core.cache.now().as_secs();
        for (mut socket, binding) in arrivals {
            let index = self.vacant.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            let token = Token(index);
            if self.poll.registry().register(&mut socket, token, Interest::READABLE).is_ok() {
                let mut conn = Conn::new(socket, binding, now);
                if self.shared.watch.attends(attention::CONNEVENTS) {
                    let peer = conn.peer.insert(Box::new(conn.socket.peer()));
                    self.shared.watch.opened(self.index, conn.socket.number(), peer);
                }
                self.conns[index] = Some(conn);
            } else {
                self.vacant.push(index);
                self.shared.connection_closed();
            }
        }
    }

    /// Tells about the connections here to whoever asks.
    fn answer_queries(&mut self) {
        let queries = std::mem::take(&mut *self.inbox.queries.lock());
        if queries.is_empty() {
            return;
        }
        let now = self.shared.core.cache.now().as_secs();
        // However many ask, the system is asked once for the addresses.
        let known: Vec<_> = self.conns.iter().flatten().map(|conn| conn_info(conn, now)).collect();
        for (query, asker) in queries {
            if query.answer(known.iter().cloned()) {
                asker.wake();
            }
        }
    }

    /// Gives those that wait for other workers another look.
    fn go_on(&mut self) {
        for index in std::mem::take(&mut self.waiting) {
            if let Some(conn) = self.conns[index].as_mut().filter(|conn| !conn.queued) {
                conn.queued = true;
                self.ready.push_back(index);
            }
        }
    }

    /// Notes what the system says about a connection.
    #[inline]
    fn notice(&mut self, index: usize, event: &Event) {
        let Some(conn) = self.conns.get_mut(index).and_then(Option::as_mut) else { return };
        conn.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        conn.half_closed |= event.is_read_closed();
        if conn.backlog.is_some() {
            if !(event.is_writable() || event.is_error()) {
                return;
            }
            conn.last_active = self.shared.core.cache.now().as_secs();
            match unblock(&self.poll, index, conn, &self.shared.gauges.workers[self.index]) {
                Ok(true) => self.stuck -= 1,
                Ok(false) => return,
                Err(error) => {
                    let over = error.kind() == io::ErrorKind::NotConnected;
                    return self.close(index, if over { End::Normal } else { End::Error });
                }
            }
        }
        if !conn.queued {
            conn.queued = true;
            self.ready.push_back(index);
        }
    }

    /// Gives a connection that becomes a watcher away.
    fn hand_on(&mut self, index: usize, seat: Seat) {
        let Some(mut conn) = self.conns[index].take() else { return };
        self.vacant.push(index);
        if self.poll.registry().deregister(&mut conn.socket).is_ok() {
            let shared = Arc::clone(&self.shared);
            let closed = move || shared.connection_closed();
            let now = self.shared.core.cache.now().as_secs();
            self.shared.watch.adopt(conn.socket, seat, now, Box::new(closed));
        } else {
            self.shared.connection_closed();
        }
    }

    fn close(&mut self, index: usize, end: End) {
        // Closing the descriptor takes it out of the poll as well.
        if let Some(conn) = self.conns[index].take() {
            if self.shared.watch.attends(attention::CONNEVENTS) {
                let peer = conn.peer.map_or_else(|| conn.socket.peer(), |peer| *peer);
                self.shared.watch.closed(self.index, conn.socket.number(), &peer, end);
            }
            if self.shared.core.verbosity.load(Ordering::Relaxed) >= TRACED {
                trace::closed(conn.socket.number());
            }
            self.stuck -= usize::from(conn.backlog.is_some());
            self.uploading -= usize::from(conn.uploading);
            self.vacant.push(index);
            self.shared.connection_closed();
        }
    }

    /// Closes connections that have been silent for too long, or that stand in the way.
    fn kick_idle(&mut self) {
        let timeout = self.shared.core.config.idle_timeout;
        let now = self.shared.core.cache.now().as_secs();
        if now == self.idle_checked || !self.is_watchful() {
            return;
        }
        self.idle_checked = now;
        let crowded = self.shared.budgets.backlogs.is_exhausted();
        let short = self.shared.budgets.since_shortage(now) < STUCK_MAX;
        for index in 0..self.conns.len() {
            let Some(conn) = &self.conns[index] else { continue };
            let silent = now.saturating_sub(conn.last_active);
            let held = conn.backlog.as_ref();
            let burden = held.is_some_and(|out| crowded || short && out.is_burden())
                || short && conn.uploading;
            let dump = conn.session.is_streaming() && conn.backlog.is_some();
            if (timeout > 0 && silent > timeout)
                || (burden && silent >= STUCK_MAX)
                || (dump && silent >= DUMP_STUCK_MAX)
            {
                self.shared.gauges.workers[self.index].idle_kicks.add(1);
                self.close(index, End::Idle);
            }
        }
    }
}

impl WorkerHandle {
    /// Hands a connection over, which speaks as `binding` says. The caller has counted it.
    pub(crate) fn assign(&self, socket: Socket, binding: Binding) {
        self.inbox.arrivals.lock().push((socket, binding));
        self.wake();
    }

    /// Asks about all connections; `asker` is woken if this is the last answer.
    pub(crate) fn query_connections(&self, query: &Arc<ConnQuery>, asker: &Self) {
        self.inbox.queries.lock().push((Arc::clone(query), asker.clone()));
        self.wake();
    }

    /// Makes the worker close its connections and return.
    pub(crate) fn stop(&self) {
        self.inbox.stop.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        // A wake-up that fails means that the event counter is full: the worker is awake anyway.
        let _ = self.inbox.waker.wake();
    }
}

/// Books the memory of a line that does not end; false if there is too much of that kind.
#[inline]
fn account(shared: &Shared, conn: &mut Conn) -> bool {
    let held = conn.input.capacity();
    let long = if held > LONG_LINE { held } else { 0 };
    if long == conn.long_line.as_ref().map_or(0, Permit::amount) {
        return true;
    }
    // The old part is given back first, so that a line that grows needs no room twice.
    conn.long_line = None;
    if long > 0 {
        conn.long_line = shared.budgets.long_lines.take(long);
        if conn.long_line.is_none() {
            shared.gauges.long_lines_refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
    }
    true
}

/// Arranges what a connection waits for after its turn; false if it is to be closed.
#[inline]
fn leave(
    poll: &Poll,
    ready: &mut VecDeque<usize>,
    index: usize,
    conn: &mut Conn,
    state: State,
) -> bool {
    let streaming = conn.session.is_streaming();
    let unfinished = matches!(state, State::More | State::Later | State::Blocked);
    conn.has_work = unfinished && (streaming || !conn.input.is_empty());
    match state {
        State::Broken | State::Closing => return false,
        State::Blocked => {
            return watch_both(poll, index, conn).is_ok();
        }
        State::Drained if streaming => return true,
        State::Drained if conn.ended => return false,
        State::Drained | State::More | State::Later => {}
    }
    if (conn.has_work || conn.readable) && !conn.queued {
        conn.queued = true;
        ready.push_back(index);
    }
    true
}

/// What `stats conns` shows of a connection.
fn conn_info(conn: &Conn, now: u32) -> ConnInfo {
    let (peer, local) = conn.socket.ends();
    let state = if conn.backlog.is_some() {
        "conn_mwrite"
    } else if conn.queued || conn.session.is_streaming() {
        "conn_parse_cmd"
    } else if conn.session.is_receiving() {
        "conn_nread"
    } else {
        "conn_read"
    };
    let idle = now.saturating_sub(conn.last_active);
    ConnInfo { number: conn.socket.number(), peer, local: Some(local), state, idle }
}

/// Waits until the client has sent something or reads.
fn watch_both(poll: &Poll, index: usize, conn: &mut Conn) -> io::Result<()> {
    let both = Interest::READABLE | Interest::WRITABLE;
    poll.registry().reregister(&mut conn.socket, Token(index), both)
}

/// Goes on sending to a client that had not read its replies; true if all is sent.
fn unblock(poll: &Poll, index: usize, conn: &mut Conn, counters: &Counters) -> io::Result<bool> {
    let Some(out) = &mut conn.backlog else { return Ok(true) };
    let mut out = std::mem::take(&mut **out);
    let sent = conn.send(&mut out, counters)?;
    if !sent {
        conn.backlog = Some(Box::new(out));
        // The socket may take more at once, which is reported anew only when it is asked for.
        watch_both(poll, index, conn)?;
        return Ok(false);
    }
    let session = &conn.session;
    let spent = conn.ended && conn.input.is_empty() && !session.is_streaming();
    if session.is_closed() || spent {
        return Err(io::ErrorKind::NotConnected.into());
    }
    poll.registry().reregister(&mut conn.socket, Token(index), Interest::READABLE)?;
    conn.backlog = None;
    conn.readable = true;
    Ok(true)
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
