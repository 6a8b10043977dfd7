//! The admin address: health, metrics and a status page over HTTP, for probes, Prometheus and
//! people. A thread of its own answers, with its own connections, so that it is there when clients
//! have taken all of theirs. What is answered is made in [`answer`].

mod answer;
mod conn;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use mio::event::Source;
use mio::{Events, Interest, Poll, Token, Waker};

use self::conn::Conn;
use crate::config::ADMIN_CONNECTIONS;
use crate::net::listener::Listener;
use crate::report::page::History;
use crate::state::shared::Shared;

/// The token of [`Admin::drop`].
const WAKE: Token = Token(usize::MAX);
/// The token of the listening socket.
const LISTENER: Token = Token(usize::MAX - 1);

/// The running thread.
#[derive(Debug)]
pub(crate) struct Admin {
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Answers from now on. `end` is dropped when the thread ends, for whatever reason.
    ///
    /// # Errors
    /// The system refused an event loop or a thread.
    pub(crate) fn start(
        mut listener: Listener,
        shared: Arc<Shared>,
        end: impl Send + 'static,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        listener.watch(poll.registry(), LISTENER)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || {
            let _end = end;
            let conns = std::iter::repeat_with(|| None).take(ADMIN_CONNECTIONS).collect();
            let history = History::default();
            Loop { poll, listener, conns, shared, history }.run(&stopped);
        };
        let thread = thread::Builder::new().name("admin".into()).spawn(run)?;
        Ok(Self { stop, waker, thread: Some(thread) })
    }
}

impl Drop for Admin {
    /// Stops the thread and waits for it.
    fn drop(&mut self) {
        // Pairs with the load in `Loop::run`.
        self.stop.store(true, Ordering::Release);
        // A wake-up that fails means that the event counter is full: the thread is awake anyway.
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by itself.
            let _ = thread.join();
        }
    }
}

struct Loop {
    poll: Poll,
    listener: Listener,
    conns: Vec<Option<Conn>>,
    shared: Arc<Shared>,
    /// For the status page.
    history: History,
}

impl Loop {
    fn run(mut self, stop: &AtomicBool) {
        let mut events = Events::with_capacity(2 * ADMIN_CONNECTIONS);
        // Pairs with the store in `Admin::drop`.
        while !stop.load(Ordering::Acquire) {
            self.history.record(&self.shared, Instant::now());
            let deadlines = self.conns.iter().flatten().map(Conn::deadline);
            let deadline = deadlines.chain(self.history.due()).min();
            let poll_timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            // Only interruptions by signals fail here; the events of the last call are gone then.
            if self.poll.poll(&mut events, poll_timeout).is_err() {
                events.clear();
            }
            for event in &events {
                if let Some(place) = self.conns.get_mut(event.token().0) {
                    proceed(place, &self.shared, &self.history);
                }
            }
            let now = Instant::now();
            for place in &mut self.conns {
                place.take_if(|conn| conn.deadline() <= now);
            }
            // Also when there was no event for it: a place may have become free.
            self.accept();
        }
    }

    /// Takes the connections that wait. When there is no place left, the one that has been here
    /// longest gives way, so that those who send nothing don't keep a probe out.
    fn accept(&mut self) {
        // What fails here, fails again at the next attempt, or was the client's doing.
        while let Ok(arrival) = self.listener.accept() {
            let places = self.conns.iter_mut().enumerate();
            // None is less than any deadline.
            let by_age = |place: &Option<Conn>| place.as_ref().map(Conn::deadline);
            let Some((index, place)) = places.min_by_key(|(_, place)| by_age(place)) else {
                return;
            };
            let mut socket = arrival.socket;
            // Closed first: its descriptor may be the one that the newcomer needs.
            *place = None;
            let both = Interest::READABLE | Interest::WRITABLE;
            if socket.register(self.poll.registry(), Token(index), both).is_ok() {
                *place = Some(Conn::new(socket, Instant::now()));
                proceed(place, &self.shared, &self.history);
            }
        }
    }
}

/// Goes on with a connection as far as possible.
fn proceed(place: &mut Option<Conn>, shared: &Shared, history: &History) {
    if let Some(conn) = place
        && !conn.proceed(|request| answer::to(request, shared, history))
    {
        *place = None;
    }
}
