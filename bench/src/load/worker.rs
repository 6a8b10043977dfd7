//! One thread's event loop over its connections.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::conn::Conn;
use super::source::Source;
use super::{Counts, Load, LoadError};

/// What a thread does in one phase.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Store the keys of a range.
    Store(Range<u32>),
    /// Mixed requests until the stop flag is set or this many were sent.
    Mixed {
        /// The bound of this thread.
        requests: u64,
        /// Nanoseconds between two requests; `None` for a closed loop.
        pace_ns: Option<f64>,
    },
}

/// A thread's connections and source of requests.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    load: &'a Load,
    poll: Poll,
    conns: Vec<Conn>,
    source: Source,
    start: Instant,
    stop: &'a AtomicBool,
    counts: Counts,
}

impl<'a> Worker<'a> {
    /// Connects; the connections are spread evenly over the threads.
    pub(super) fn new(
        load: &'a Load,
        thread: usize,
        stop: &'a AtomicBool,
    ) -> Result<Self, LoadError> {
        let poll = Poll::new()?;
        let mut conns = Vec::new();
        for i in (thread..load.connections).step_by(load.threads) {
            let mut conn = Conn::connect(load.addr, load.key_size, load.verify)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut conn.stream, Token(i / load.threads), both)?;
            conns.push(conn);
        }
        let source = Source::new(load, thread);
        let start = Instant::now();
        let counts = Counts::default();
        Ok(Self { load, poll, conns, source, start, stop, counts })
    }

    /// Works until the task is done and every reply has come.
    pub(super) fn perform(&mut self, task: Task) -> Result<Counts, LoadError> {
        self.counts = Counts::default();
        match task {
            Task::Store(keys) => self.store(keys)?,
            Task::Mixed { requests, pace_ns: None } => self.closed(requests)?,
            Task::Mixed { requests, pace_ns: Some(pace) } => self.paced(requests, pace)?,
        }
        Ok(std::mem::take(&mut self.counts))
    }

    fn store(&mut self, mut keys: Range<u32>) -> Result<(), LoadError> {
        self.drive(STORE_DEPTH, |conn, source, now| {
            let Some(key) = keys.next() else { return false };
            conn.ask_set(source, key, now);
            true
        })
    }

    fn closed(&mut self, mut requests: u64) -> Result<(), LoadError> {
        let stop = self.stop;
        self.drive(self.load.depth, |conn, source, now| {
            if requests == 0 || stop.load(Ordering::Relaxed) {
                return false;
            }
            requests -= 1;
            conn.ask(source, now);
            true
        })
    }

    /// Keeps every connection filled to `depth` by `ask`, until that says no and all is answered.
    fn drive(
        &mut self,
        depth: usize,
        mut ask: impl FnMut(&mut Conn, &mut Source, u64) -> bool,
    ) -> Result<(), LoadError> {
        let start = self.start;
        let now = || nanoseconds(start);
        let mut refill = |conn: &mut Conn, source: &mut Source| {
            let due = now();
            while conn.outstanding() < depth && ask(conn, source, due) {}
            conn.flush()
        };
        for conn in &mut self.conns {
            refill(conn, &mut self.source)?;
        }
        let mut events = Events::with_capacity(1024);
        while self.conns.iter().any(|conn| conn.outstanding() > 0) {
            self.poll.poll(&mut events, Some(Duration::from_secs(30)))?;
            if events.is_empty() {
                return Err(LoadError::Unexpected("silence for 30 seconds".to_owned()));
            }
            for event in &events {
                let conn = &mut self.conns[event.token().0];
                conn.receive(&mut self.counts, now)?;
                refill(conn, &mut self.source)?;
            }
        }
        Ok(())
    }

    /// Sends by the clock. A request that finds every connection full waits, and its latency counts
    /// from when it was due: a slow server can't hide behind requests that were never sent.
    fn paced(&mut self, requests: u64, pace_ns: f64) -> Result<(), LoadError> {
        let start = self.start;
        let now = || nanoseconds(start);
        let origin = now() as f64;
        let mut sent = 0;
        let mut turn = 0;
        let mut due: VecDeque<u64> = VecDeque::new();
        let mut events = Events::with_capacity(1024);
        loop {
            let done = sent == requests || self.stop.load(Ordering::Relaxed);
            while !done && sent < requests && origin + sent as f64 * pace_ns <= now() as f64 {
                due.push_back((origin + sent as f64 * pace_ns) as u64);
                sent += 1;
            }
            self.dispatch(&mut due, &mut turn)?;
            if done && due.is_empty() && self.conns.iter().all(|c| c.outstanding() == 0) {
                return Ok(());
            }
            // Never sleeps: a timer would be late by more than what is measured.
            self.poll.poll(&mut events, Some(Duration::ZERO))?;
            for event in &events {
                let conn = &mut self.conns[event.token().0];
                conn.receive(&mut self.counts, now)?;
                conn.flush()?;
            }
        }
    }

    /// Hands due requests to the connections in turn, skipping full ones.
    fn dispatch(&mut self, due: &mut VecDeque<u64>, turn: &mut usize) -> Result<(), LoadError> {
        let mut full = 0;
        let count = self.conns.len();
        while full < count {
            let Some(&due_ns) = due.front() else { break };
            let conn = &mut self.conns[*turn];
            *turn = (*turn + 1) % count;
            if conn.outstanding() >= self.load.depth {
                full += 1;
                continue;
            }
            full = 0;
            due.pop_front();
            conn.ask(&mut self.source, due_ns);
            conn.flush()?;
        }
        Ok(())
    }
}

fn nanoseconds(start: Instant) -> u64 {
    start.elapsed().as_nanos() as u64
}

/// Deep enough that storing a gigabyte is quick.
const STORE_DEPTH: usize = 64;
