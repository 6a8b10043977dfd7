//! One event loop with its connections: it finds out which are ready and keeps order among them.
//! What is said over them is not known here.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token, Waker};
use parking_lot::Mutex;

use crate::auth::audit::EventKind;
use crate::config::tls::Security;
use crate::event_loop::conn::{Conn, Next, State};
use crate::event_loop::drain::{self, Drain};
use crate::event_loop::handshakes::{Handshakes, Step};
use crate::event_loop::turn::{Departure, TRACED, Turn};
use crate::net::conn_info::ConnInfo;
use crate::net::listener::Arrival;
use crate::net::transport::{Handshake, Transport};
use crate::state::budgets::Permit;
use crate::state::control::ConnQuery;
use crate::state::core::Core;
use crate::state::shared::Shared;
use crate::watch::trace;
use crate::watch::{End, WatchPermit, attention};

/// The token of the inbox.
const WAKE: Token = Token(usize::MAX);
/// Events taken from the system at once.
const EVENTS_MAX: usize = 1024;
/// A larger input buffer is charged to the clients' budget.
const SMALL_INPUT: usize = 2 << 10;
/// A larger input buffer, which only the beginning of a long retrieval needs, is charged to the
/// budget for long lines.
const LONG_LINE: usize = 40 << 10;
/// Seconds after which a client that does not read is closed while pinned memory or the backlog
/// budget is exhausted.
const STUCK_MAX: u32 = 10;
/// Seconds after which a client that does not read is closed while it is sent a dump.
const DUMP_STUCK_MAX: u32 = 60;
/// Bytes that connections held which are closed because an allocation has failed.
const RELIEF: usize = 4 << 20;
/// How often connections that wait for memory try again.
const RETRY: Duration = Duration::from_millis(1);
/// How many of them do so at once.
const RETRIES_MAX: usize = 32;
/// How long a client that reads nothing pins values that it is sent while others wait for such
/// memory, at least; at most twice as long.
const LOOSEN: Duration = Duration::from_millis(250);
/// How long handshakes may go on before others get their turn. A step with a key exchange takes
/// longer, and so is the last one of its slice.
const HANDSHAKE_SLICE: Duration = Duration::from_micros(50);
/// How often idle or stuck connections are looked for.
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
    /// Connections that wait for memory that other clients hold, in the order in which they try.
    starved: VecDeque<usize>,
    /// When they tried last.
    starved_tried: Option<Instant>,
    /// When clients that read nothing last gave up what they pin.
    loosened: Option<Instant>,
    /// Connections that can't be served before their encryption is agreed on.
    handshakes: Handshakes,
    /// Connections whose client does not read.
    stuck: usize,
    /// Connections with a value that is arriving in pieces.
    uploading: usize,
    /// Connections with a request that is not complete.
    unfinished: usize,
    /// Second of the last search for idle or stuck connections.
    idle_checked: u32,
    /// When connections are closed, if the server is ending.
    drain: Option<Drain>,
}

/// What others may ask of a worker.
#[derive(Clone, Debug)]
pub(crate) struct WorkerHandle {
    inbox: Arc<Inbox>,
}

#[derive(Debug)]
struct Inbox {
    arrivals: Mutex<Vec<Arrival>>,
    queries: Mutex<Vec<Query>>,
    /// Since when a sign of life has been wanted.
    probed: Mutex<Option<Instant>>,
    drain: Mutex<Option<Drain>>,
    stop: AtomicBool,
    waker: Waker,
}

/// A question about all connections.
#[derive(Debug)]
struct Query {
    query: Arc<ConnQuery>,
    /// Woken by the last answer.
    asker: WorkerHandle,
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
            probed: Mutex::default(),
            drain: Mutex::default(),
            stop: AtomicBool::new(false),
            waker: Waker::new(poll.registry(), WAKE)?,
        };
        Ok(Self { poll, inbox: Arc::new(inbox) })
    }

    /// Has the worker look for packets itself for so many microseconds before it sleeps.
    ///
    /// # Errors
    /// The kernel can't do that.
    pub(crate) fn busy_poll(&self, microseconds: u32) -> io::Result<()> {
        memsys::network::busy_poll(self.poll.registry(), microseconds)
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
            starved: VecDeque::new(),
            starved_tried: None,
            loosened: None,
            handshakes: Handshakes::default(),
            stuck: 0,
            uploading: 0,
            unfinished: 0,
            idle_checked: shared.core.cache.now().as_secs(),
            drain: None,
            shared,
        }
    }

    /// Serves until it is told to stop; then all its connections are closed.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut turn = Turn::new(!self.shared.gauges.latencies.is_empty());
        // Pairs with the store in `WorkerHandle::stop`: what was assigned before is closed below.
        while !self.inbox.stop.load(Ordering::Acquire) {
            // Only interruptions by signals fail here; the events of the last call are gone then.
            if self.poll.poll(&mut events, self.poll_timeout()).is_err() {
                events.clear();
            }
            let woken = self.shared.gauges.slices.get(self.index).map(|_| Instant::now());
            self.shared.core.catch_up();
            turn.begin();
            for event in &events {
                match event.token() {
                    WAKE => {
                        *self.inbox.probed.lock() = None;
                        self.drain = *self.inbox.drain.lock();
                        self.accept_pending();
                        self.answer_queries();
                        self.queue_waiting();
                    }
                    Token(index) => self.on_event(index, event),
                }
            }
            self.loosen_stuck();
            self.retry_starved();
            self.serve(&mut turn);
            self.shake_hands();
            if self.shared.budgets.clients.is_exceeded() || memsys::heap::is_short() {
                self.shed();
            }
            self.close_idle();
            self.close_resting();
            if let Some(woken) = woken {
                self.shared.gauges.slices[self.index].add(woken.elapsed());
            }
        }
        // Connections that were assigned during the shutdown have been counted as well.
        self.accept_pending();
        for index in 0..self.conns.len() {
            self.close(index, End::Shutdown);
        }
    }

    /// How long it may sleep.
    fn poll_timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() || self.handshakes.are_ready() {
            Some(Duration::ZERO)
        } else if !self.starved.is_empty() || self.handshakes.are_waiting() {
            Some(RETRY)
        } else if self.stuck > 0 && self.others_starve() {
            Some(LOOSEN)
        } else if self.drain.is_some() {
            Some(drain::CHECK)
        } else {
            self.has_deadlines().then_some(IDLE_CHECK)
        }
    }

    /// Whether there may be connections to be closed after a while.
    fn has_deadlines(&self) -> bool {
        let config = &self.shared.core.config;
        self.stuck > 0
            || self.uploading > 0
            || self.handshakes.unfinished() > 0
            || self.unfinished > 0 && config.request_timeout > 0
            || config.idle_timeout > 0
    }

    /// Gives every connection that was ready at the beginning one turn.
    fn serve(&mut self, turn: &mut Turn) {
        let mut waiting = self.ready.len();
        while waiting > 0 {
            while waiting > 0 && turn.has_room() {
                waiting -= 1;
                let Some(index) = self.ready.pop_front() else { break };
                let Some(conn) = self.conns[index].as_mut() else { continue };
                let Some(start) = conn.begin_turn() else { continue };
                let counters = &self.shared.gauges.workers[self.index];
                if turn.admit(index, conn, start, counters).is_err() {
                    self.close(index, End::Error);
                }
            }
            let crowded = !self.ready.is_empty();
            turn.serve(&mut self.conns, &self.shared, self.index, crowded);
            let now = self.shared.core.cache.now().as_secs();
            for index in 0..turn.participants() {
                let departure = turn.depart(index, &mut self.conns, &self.shared.budgets);
                if let Some(departure) = departure {
                    self.after_turn(departure, now);
                }
            }
            turn.end();
            if self.shared.budgets.clients.is_exceeded() || memsys::heap::is_short() {
                self.shed();
            }
        }
    }

    /// Arranges what a connection waits for after its turn, or closes it.
    #[inline]
    fn after_turn(&mut self, departure: Departure, now: u32) {
        let Departure { conn: index, state, was_uploading, completed } = departure;
        let Some(conn) = self.conns[index].as_mut() else { return };
        conn.last_active = now;
        if conn.has_starved || state == State::Starved {
            note_starved(&self.shared, conn, state == State::Starved);
        }
        if state == State::Blocked {
            self.stuck += 1;
            self.shared.budgets.note_held(self.index, conn.held());
        }
        self.uploading -= usize::from(was_uploading);
        self.uploading += usize::from(conn.dialogue.is_uploading());
        if completed {
            conn.last_request = now;
        }
        if conn.deadline.is_some() || state == State::Drained && conn.is_amid_request() {
            let begins = !was_uploading && conn.dialogue.is_uploading();
            self.unfinished -= usize::from(conn.deadline.is_some());
            set_deadline(&self.shared, conn, completed, begins, now);
            self.unfinished += usize::from(conn.deadline.is_some());
        }
        if state == State::Closing
            && let Some(permit) = conn.dialogue.take_watch_permit()
        {
            return self.transfer_to_watchers(index, *permit);
        }
        let next = if charge_input(&self.shared, self.index, conn) {
            conn.end_turn(state)
        } else {
            Next::Close
        };
        let end = if state == State::Broken || conn.dialogue.is_at_fault() {
            End::Error
        } else {
            End::Normal
        };
        match next {
            // Its client was just answered, and is the less likely to be asking already.
            Next::Park if completed && closes_answered(self.drain) && conn.is_at_rest() => {
                self.close(index, end);
            }
            Next::Park => {}
            Next::Queue => self.ready.push_back(index),
            // What it waits for may have happened since it was found waiting; then there is a
            // wake-up under way.
            Next::Wait => self.waiting.push(index),
            Next::Starve => self.starved.push_back(index),
            Next::Block => {
                let rearmed = conn.transport.rearm(self.poll.registry(), Token(index), true);
                if rearmed.is_err() {
                    self.close(index, end);
                }
            }
            Next::Close => self.close(index, end),
        }
    }

    /// Closes connections, those first that hold most of all workers' clients, until they hold no
    /// more than they may together.
    #[cold]
    fn shed(&mut self) {
        while self.shared.budgets.clients.is_exceeded() {
            let largest = self.largest(Conn::held);
            let held = largest.map_or(0, |(held, _)| held);
            if let Some(other) = self.shared.budgets.compare_largest(self.index, held) {
                // It may have become smaller meanwhile, and then this worker is woken.
                self.shared.control.wake(other);
                break;
            }
            let Some((_, index)) = largest else { break };
            self.close_large(index);
        }
        if memsys::heap::take_shortage() {
            self.relieve();
        }
    }

    /// Closes connections that hold much, because an allocation has failed.
    fn relieve(&mut self) {
        let mut relief = 0;
        while relief < RELIEF {
            let Some((held, index)) = self.largest(Conn::memory) else { break };
            relief += held;
            self.close_large(index);
        }
        memsys::heap::refill();
    }

    /// The connection of which `held` says most, if that is more than nothing.
    fn largest(&self, held: impl Fn(&Conn) -> usize) -> Option<(usize, usize)> {
        let conns = self.conns.iter().enumerate();
        let held = conns.filter_map(|(index, conn)| Some((held(conn.as_ref()?), index)));
        held.max().filter(|(held, _)| *held > 0)
    }

    fn close_large(&mut self, index: usize) {
        // Its number may soon be another's.
        self.ready.retain(|&queued| queued != index);
        self.shared.gauges.long_lines_refused.fetch_add(1, Ordering::Relaxed);
        self.close(index, End::Error);
    }

    /// Takes in the connections that were assigned.
    fn accept_pending(&mut self) {
        let arrivals = std::mem::take(&mut *self.inbox.arrivals.lock());
        let now = self.shared.core.cache.now().as_secs();
        for arrival in arrivals {
            let Some(mut conn) = self.receive(arrival, now) else {
                self.shared.connection_closed();
                continue;
            };
            let index = self.vacant.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            if self.shared.core.has_guards() {
                let Core { accounts, config, .. } = &self.shared.core;
                let guard = conn.guard(accounts.as_ref(), config.admin_only);
                if let Some(format) = config.audit {
                    guard.audit(format, EventKind::Connect);
                }
            }
            if conn.transport.register(self.poll.registry(), Token(index), false).is_ok() {
                if self.shared.watch.attends(attention::CONNEVENTS) {
                    let peer = conn.peer.insert(Box::new(conn.transport.peer()));
                    self.shared.watch.opened(self.index, conn.transport.number(), peer);
                }
                self.conns[index] = Some(conn);
            } else {
                self.handshakes.end(&mut conn);
                self.vacant.push(index);
                self.shared.connection_closed();
            }
        }
    }

    /// The connection that an arrival becomes. None if its listener speaks TLS without there being
    /// any, which a server does not start with.
    fn receive(&mut self, arrival: Arrival, now: u32) -> Option<Conn> {
        let Arrival { socket, binding, security } = arrival;
        let Security::Tls(check) = security else {
            return Some(Conn::new(socket.into(), binding, now));
        };
        let tls = self.shared.core.tls.as_ref()?;
        let transport = Transport::secured(socket, tls.session(check)?, tls.wbuf_size());
        let mut conn = Conn::new(transport, binding, now);
        self.handshakes.begin(&mut conn, now);
        Some(conn)
    }

    /// Has handshakes go on for a while.
    fn shake_hands(&mut self) {
        if !self.handshakes.are_ready() && !self.handshakes.are_waiting() {
            return;
        }
        let began = Instant::now();
        while let Some(step) = self.handshakes.step(&mut self.conns, &self.shared.budgets) {
            self.after_step(step);
            if began.elapsed() >= HANDSHAKE_SLICE {
                return;
            }
        }
    }

    /// Arranges what a connection waits for after a step of its handshake.
    fn after_step(&mut self, step: Step) {
        let Step { conn: index, result } = step;
        let Some(conn) = self.conns[index].as_mut() else { return };
        match result {
            Ok(Handshake::Done) => {
                self.handshakes.end(conn);
                let sessions = &self.shared.gauges.tls.new_sessions;
                sessions.fetch_add(conn.transport.resumable(), Ordering::Relaxed);
                if self.shared.core.verbosity.load(Ordering::Relaxed) >= TRACED {
                    trace::encrypted(conn.transport.number(), conn.transport.subject());
                }
                conn.last_active = self.shared.core.cache.now().as_secs();
                conn.last_request = conn.last_active;
                // The first request may have come with the last words of the handshake.
                conn.note_readable();
                if conn.enqueue() {
                    self.ready.push_back(index);
                }
            }
            Ok(Handshake::Waits | Handshake::GoesOn) => {
                let unsent = conn.transport.has_unsent();
                if unsent && conn.transport.rearm(self.poll.registry(), Token(index), true).is_err()
                {
                    self.close(index, End::Error);
                }
            }
            Err(_) => self.close(index, End::Error),
        }
    }

    /// Answers the questions about the connections here.
    fn answer_queries(&mut self) {
        let queries = std::mem::take(&mut *self.inbox.queries.lock());
        if queries.is_empty() {
            return;
        }
        let now = self.shared.core.cache.now().as_secs();
        // However many ask, the system is asked once for the addresses.
        let known: Vec<_> = self.conns.iter().flatten().map(|conn| conn_info(conn, now)).collect();
        for Query { query, asker } in queries {
            if query.answer(known.iter().cloned()) {
                asker.wake();
            }
        }
    }

    /// Queues those that wait for other workers: one of them may have answered.
    fn queue_waiting(&mut self) {
        for index in std::mem::take(&mut self.waiting) {
            let Some(conn) = &mut self.conns[index] else { continue };
            if conn.is_waiting() && conn.enqueue() || conn.go_on_with_items() {
                self.ready.push_back(index);
            } else if conn.is_fetching() {
                self.waiting.push(index);
            }
        }
    }

    /// Whether any worker's connections wait for memory that others hold.
    fn others_starve(&self) -> bool {
        self.shared.budgets.starved.load(Ordering::Relaxed) > 0
    }

    /// Has clients that read nothing give up what they pin while others wait for that. They are
    /// still sent the rest when they read, unless the value was replaced or evicted meanwhile.
    fn loosen_stuck(&mut self) {
        if self.stuck == 0 || !self.others_starve() {
            return;
        }
        let now = Instant::now();
        if self.loosened.is_some_and(|loosened| now - loosened < LOOSEN) {
            return;
        }
        self.loosened = Some(now);
        self.conns.iter_mut().flatten().for_each(Conn::loosen);
    }

    /// Has connections that wait for memory try again.
    fn retry_starved(&mut self) {
        if self.starved.is_empty() {
            return;
        }
        let now = Instant::now();
        if self.starved_tried.is_some_and(|tried| now - tried < RETRY) {
            return;
        }
        self.starved_tried = Some(now);
        for _ in 0..RETRIES_MAX {
            let Some(index) = self.starved.pop_front() else { break };
            // One that was closed meanwhile has left its number, perhaps to another.
            let Some(conn) = self.conns[index].as_mut() else { continue };
            if conn.is_starved() {
                conn.retry();
                self.ready.push_back(index);
            } else if conn.is_blocked() && conn.has_starved {
                self.unblock(index);
            }
        }
    }

    /// Takes note of what the system says about a connection.
    #[inline]
    fn on_event(&mut self, index: usize, event: &Event) {
        let Some(conn) = self.conns.get_mut(index).and_then(Option::as_mut) else { return };
        conn.on_event(event);
        if let Some(handshake) = &mut conn.handshake {
            self.handshakes.enqueue(index, handshake);
        } else if conn.is_blocked() {
            // One that waits for memory tries again in any case.
            if (event.is_writable() || event.is_error()) && !conn.has_starved {
                self.unblock(index);
            }
        } else if conn.enqueue() {
            self.ready.push_back(index);
        }
    }

    /// Goes on sending to a client that had not read its replies.
    fn unblock(&mut self, index: usize) {
        let Some(conn) = &mut self.conns[index] else { return };
        let counters = &self.shared.gauges.workers[self.index];
        let next = conn.unblock(self.poll.registry(), Token(index), counters);
        note_starved(&self.shared, conn, matches!(next, Ok(Next::Starve)));
        match next {
            Ok(Next::Starve) => return self.starved.push_back(index),
            _ => conn.last_active = self.shared.core.cache.now().as_secs(),
        }
        match next {
            Ok(Next::Queue) => {
                self.stuck -= 1;
                self.ready.push_back(index);
            }
            Ok(Next::Close) => self.close(index, End::Normal),
            Ok(Next::Park | Next::Wait | Next::Block | Next::Starve) => {}
            Err(_) => self.close(index, End::Error),
        }
    }

    /// Gives a connection that becomes a watcher away.
    fn transfer_to_watchers(&mut self, index: usize, permit: WatchPermit) {
        let Some(mut conn) = self.conns[index].take() else { return };
        self.vacant.push(index);
        self.unfinished -= usize::from(conn.deadline.is_some());
        if conn.transport.deregister(self.poll.registry()).is_ok() {
            let shared = Arc::clone(&self.shared);
            // For the lines that it has not read.
            let buffer = shared.core.config.watcher_logbuf_size;
            let memory = shared.budgets.clients.take_anyway(buffer);
            let closed = move || {
                drop(memory);
                shared.connection_closed();
            };
            let now = self.shared.core.cache.now().as_secs();
            self.shared.watch.adopt(conn.transport, permit, now, Box::new(closed));
        } else {
            self.shared.connection_closed();
        }
    }

    fn close(&mut self, index: usize, end: End) {
        // Closing the descriptor takes it out of the poll as well.
        if let Some(mut conn) = self.conns[index].take() {
            self.end_encryption(&mut conn, end);
            if let (Some(format), Some(guard)) = (self.shared.core.config.audit, &conn.guard) {
                guard.audit(format, EventKind::Disconnect(end.name()));
            }
            if self.shared.watch.attends(attention::CONNEVENTS) {
                let peer = conn.peer.as_ref().map_or_else(|| conn.transport.peer(), |peer| **peer);
                self.shared.watch.closed(self.index, conn.transport.number(), &peer, end);
            }
            if self.shared.core.verbosity.load(Ordering::Relaxed) >= TRACED {
                trace::closed(conn.transport.number());
            }
            self.stuck -= usize::from(conn.is_blocked());
            self.uploading -= usize::from(conn.dialogue.is_uploading());
            self.unfinished -= usize::from(conn.deadline.is_some());
            if conn.has_starved {
                self.shared.budgets.starved.fetch_sub(1, Ordering::Relaxed);
            }
            // Whoever sees that it is gone may rely on its memory.
            drop(conn);
            self.vacant.push(index);
            self.shared.connection_closed();
        }
    }

    /// Tells the client that the connection ends, and counts what went wrong with its encryption.
    fn end_encryption(&mut self, conn: &mut Conn, end: End) {
        conn.transport.say_goodbye();
        let counts = &self.shared.gauges.tls;
        if conn.handshake.is_some() {
            self.handshakes.end(conn);
            if !matches!(end, End::Shutdown) {
                counts.handshake_errors.fetch_add(1, Ordering::Relaxed);
            }
        } else if conn.transport.is_at_fault() {
            counts.protocol_errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Closes connections that have been idle for too long, or that hold what others need.
    fn close_idle(&mut self) {
        if !self.has_deadlines() {
            return;
        }
        let now = self.shared.core.cache.now().as_secs();
        if now == self.idle_checked {
            return;
        }
        self.idle_checked = now;
        let crowded = self.shared.budgets.backlogs.is_exhausted();
        let short = self.shared.budgets.since_shortage(now) < STUCK_MAX;
        for index in 0..self.conns.len() {
            let Some(conn) = &mut self.conns[index] else { continue };
            let held = conn.blocked_replies();
            let uploads = conn.dialogue.is_uploading();
            let is_burden =
                held.is_some_and(|out| crowded || short && out.is_burden()) || short && uploads;
            let is_stuck = held.is_some();
            let is_slow = conn.is_slow(is_stuck || uploads, now);
            let silent = now.saturating_sub(conn.last_active);
            let dump = conn.dialogue.is_at_barrier() && is_stuck;
            if (is_burden && (is_slow || silent >= STUCK_MAX))
                || (dump && silent >= DUMP_STUCK_MAX)
                || self.is_overdue(index, now)
            {
                self.shared.gauges.workers[self.index].idle_kicks.add(1);
                self.close(index, End::Idle);
            }
        }
    }

    /// Closes idle connections of a server that is ending.
    fn close_resting(&mut self) {
        let Some(drain) = self.drain else { return };
        let closes_all = drain.closes_idle(Instant::now());
        let now = self.shared.core.cache.now().as_secs();
        for index in 0..self.conns.len() {
            let Some(conn) = &self.conns[index] else { continue };
            let is_idle = closes_all || now.saturating_sub(conn.last_active) >= drain::IDLE_MIN;
            if is_idle && conn.is_at_rest() {
                self.close(index, End::Shutdown);
            }
        }
    }

    /// Whether a client was silent, or a request incomplete, for longer than the settings allow.
    fn is_overdue(&self, index: usize, now: u32) -> bool {
        let Some(conn) = &self.conns[index] else { return false };
        if let Some(handshake) = &conn.handshake {
            return handshake.is_overdue(&self.shared.budgets, now);
        }
        let config = &self.shared.core.config;
        // What it was sent or has to send is for its client to do, but not at any length.
        let is_moving =
            conn.is_blocked() || conn.dialogue.is_receiving() || conn.dialogue.is_streaming();
        let idle_since = match is_moving {
            true => conn.last_active,
            false => conn.last_request,
        };
        let is_idle =
            config.idle_timeout > 0 && now.saturating_sub(idle_since) > config.idle_timeout;
        // While it has to wait for the server or for other clients, its time does not end.
        let waits = conn.is_starved() || conn.is_fetching();
        let is_free = !(conn.is_blocked() || conn.is_queued() || waits);
        let is_late = config.request_timeout > 0
            && is_free
            && conn.deadline.is_some_and(|deadline| now >= deadline);
        is_late || is_idle && !conn.has_starved && !conn.is_fetching()
    }
}

impl WorkerHandle {
    /// Hands a connection over. The caller has counted it.
    pub(crate) fn assign(&self, arrival: Arrival) {
        self.inbox.arrivals.lock().push(arrival);
        self.wake();
    }

    /// Asks about all connections; `asker` is woken if this is the last answer.
    pub(crate) fn query_connections(&self, query: &Arc<ConnQuery>, asker: &Self) {
        self.inbox.queries.lock().push(Query { query: Arc::clone(query), asker: asker.clone() });
        self.wake();
    }

    /// Asks for a sign of life; for how long the last one has been owed, if it is.
    pub(crate) fn probe(&self) -> Option<Duration> {
        let owed = {
            let mut probed = self.inbox.probed.lock();
            let owed = *probed;
            probed.get_or_insert_with(Instant::now);
            owed
        };
        self.wake();
        owed.map(|since| since.elapsed())
    }

    /// Makes the worker close its connections one by one.
    pub(crate) fn drain(&self, drain: Drain) {
        *self.inbox.drain.lock() = Some(drain);
        self.wake();
    }

    /// Makes the worker close its connections and return.
    pub(crate) fn stop(&self) {
        // Pairs with the load in `Worker::run`.
        self.inbox.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Has it look after its connections.
    pub(crate) fn wake(&self) {
        // A wake-up that fails means that the event counter is full: the worker is awake anyway.
        let _ = self.inbox.waker.wake();
    }
}

/// Notes by when the request that is arriving has to be complete, if one is. One was `completed`
/// just now, or a large value `begins`, which may take longer.
#[cold]
fn set_deadline(shared: &Shared, conn: &mut Conn, completed: bool, begins: bool, now: u32) {
    if completed {
        conn.deadline = None;
    }
    if !conn.is_amid_request() {
        conn.deadline = None;
        return;
    }
    let is_new = conn.deadline.is_none();
    let due = now.saturating_add(shared.core.config.request_timeout);
    let deadline = conn.deadline.get_or_insert(due);
    if is_new || begins {
        let more = conn.dialogue.expected() >> 20;
        *deadline = deadline.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
    }
}

/// Counts a connection while it waits for memory that other clients hold. One whose client has to
/// read first does not go on yet.
#[cold]
fn note_starved(shared: &Shared, conn: &mut Conn, starves: bool) {
    let starved = &shared.budgets.starved;
    match (conn.has_starved, starves) {
        (false, true) => _ = starved.fetch_add(1, Ordering::Relaxed),
        (true, false) => _ = starved.fetch_sub(1, Ordering::Relaxed),
        _ => {}
    }
    conn.has_starved = starves;
}

/// Whether the server is ending and connections end when they were answered.
#[inline]
fn closes_answered(drain: Option<Drain>) -> bool {
    drain.is_some_and(|drain| drain.closes_answered(Instant::now()))
}

/// Charges the memory of a request that is not complete to its budget; false if it is a long line
/// and all of those together have no more memory.
#[inline]
fn charge_input(shared: &Shared, worker: usize, conn: &mut Conn) -> bool {
    let input = conn.input.capacity();
    let held = input + conn.transport.held();
    let due = if held > SMALL_INPUT { held } else { 0 };
    if due == conn.input_permit.as_ref().map_or(0, Permit::amount) {
        return true;
    }
    // The old part is given back first, so that a line that grows needs no room twice.
    conn.input_permit = None;
    if input > LONG_LINE {
        conn.input_permit = shared.budgets.long_lines.take(due);
        if conn.input_permit.is_none() {
            shared.gauges.long_lines_refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
    } else if due > 0 {
        // If that is too much, those are closed who hold most.
        conn.input_permit = Some(shared.budgets.clients.take_anyway(due));
    }
    shared.budgets.note_held(worker, conn.held());
    true
}

/// What `stats conns` shows of a connection.
fn conn_info(conn: &Conn, now: u32) -> ConnInfo {
    let (peer, local) = conn.transport.ends();
    let state = if conn.is_blocked() {
        "conn_mwrite"
    } else if conn.is_queued()
        || conn.is_starved()
        || conn.is_fetching()
        || conn.dialogue.is_at_barrier()
    {
        "conn_parse_cmd"
    } else if conn.dialogue.is_receiving() {
        "conn_nread"
    } else {
        "conn_read"
    };
    let idle = now.saturating_sub(conn.last_active);
    ConnInfo { number: conn.transport.number(), peer, local: Some(local), state, idle }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
