//! Mixed traffic against one cache from clients and from threads of this process at once, where
//! every byte read is held against what may be there.
//!
//! `ledger` knows what may be read when, `actor` makes traffic, `door` is how an actor reaches the
//! cache. Every key has one actor that writes it and all that read it, except for some that all
//! write.

mod actor;
mod door;
mod ledger;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memcore::Cache;
use memserver::Server;

use actor::Actor;
use door::Door;
use ledger::Ledger;

/// What traffic to make.
#[derive(Clone, Copy, Debug)]
pub struct Stress {
    /// The cache's limit in bytes.
    pub limit: usize,
    /// Actors that come over the wire.
    pub connections: usize,
    /// Actors in this process.
    pub threads: usize,
    /// How many keys there are.
    pub keys: u32,
    /// For how long.
    pub time: Duration,
    /// Decides every random choice.
    pub seed: u64,
}

/// What the actors did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Reads of one or many keys.
    pub reads: u64,
    /// Values that were read and right.
    pub hits: u64,
    /// Keys that were not there.
    pub misses: u64,
    /// Bytes that were read and right.
    pub bytes: u64,
    /// Writes that were stored.
    pub stored: u64,
    /// Writes that were refused for lack of memory.
    pub refused: u64,
    /// Deletes and touches.
    pub others: u64,
}

impl Totals {
    fn merge(&mut self, other: &Self) {
        self.reads += other.reads;
        self.hits += other.hits;
        self.misses += other.misses;
        self.bytes += other.bytes;
        self.stored += other.stored;
        self.refused += other.refused;
        self.others += other.others;
    }
}

/// A failure that the run has found, or an end of the traffic.
#[derive(Debug, thiserror::Error)]
pub enum StressError {
    /// A value holds bytes that nobody wrote in one piece under its key.
    #[error("WRONG BYTES under key {key} ({len} bytes)")]
    WrongBytes {
        /// The key's number.
        key: u32,
        /// Length of the value.
        len: usize,
    },
    /// A value is older than one that was there before the read began.
    #[error("OLD VALUE under key {key}: write {found}, but {oldest} was done before")]
    Old {
        /// The key's number.
        key: u32,
        /// The write that was read.
        found: u64,
        /// The oldest write that could be read.
        oldest: u64,
    },
    /// A value comes from a write that has not begun.
    #[error("VALUE FROM NOWHERE under key {key}: write {found}, but {newest} is the newest")]
    Future {
        /// The key's number.
        key: u32,
        /// The write that was read.
        found: u64,
        /// The newest write that has begun.
        newest: u64,
    },
    /// The cache uses more than its limit.
    #[error("OVER THE LIMIT: {used} bytes of {limit}")]
    OverLimit {
        /// Bytes in use.
        used: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    /// A reply does not answer its request.
    #[error("unexpected reply: {0}")]
    Unexpected(String),
    /// The cache or its server can't be set up.
    #[error("{0}")]
    Setup(String),
}

/// Makes the traffic until the time is over or something is wrong.
///
/// # Errors
/// The first failure.
pub fn run(stress: &Stress) -> Result<Totals, StressError> {
    let setup = |error: &dyn std::fmt::Display| StressError::Setup(error.to_string());
    let cache = Cache::new(stress.limit).map_err(|error| setup(&error))?;
    let server = Server::builder(cache.clone()).listen("127.0.0.1:0").threads(2).start();
    let server = server.map_err(|error| setup(&error))?;
    let addr = server.local_addr().ok_or_else(|| setup(&"no address"))?;
    let actors = stress.connections + stress.threads;
    let ledger = Ledger::new(stress.keys, actors);
    let stop = AtomicBool::new(false);
    let mut doors = Vec::new();
    for number in 0..actors {
        let inside = number < stress.threads;
        doors.push(if inside { Door::inside(cache.clone()) } else { Door::connect(addr)? });
    }
    let result = thread::scope(|scope| {
        let stop = &stop;
        let ledger = &ledger;
        let threads: Vec<_> = doors
            .into_iter()
            .enumerate()
            .map(|(number, door)| {
                let mut actor = Actor::new(number, door, ledger, stress);
                scope.spawn(move || {
                    let result = actor.run(stop);
                    stop.store(true, Ordering::Relaxed);
                    result
                })
            })
            .collect();
        let watched = watch(&cache, stress.time, stop);
        let mut totals = Totals::default();
        let mut first_error = watched.err();
        for thread in threads {
            match thread.join() {
                Ok(Ok(part)) => totals.merge(&part),
                Ok(Err(error)) => first_error = first_error.or(Some(error)),
                Err(_) => first_error = first_error.or_else(|| Some(setup(&"a thread panicked"))),
            }
        }
        first_error.map_or(Ok(totals), Err)
    });
    server.stop()?;
    result
}

/// Watches the limit until the time is over or an actor has stopped.
fn watch(cache: &Cache, time: Duration, stop: &AtomicBool) -> Result<(), StressError> {
    let until = Instant::now() + time;
    let result = loop {
        let used = cache.stats().used;
        let limit = cache.stats().limit;
        if used > limit {
            break Err(StressError::OverLimit { used, limit });
        }
        if stop.load(Ordering::Relaxed) || Instant::now() >= until {
            break Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    };
    stop.store(true, Ordering::Relaxed);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_reads_what_it_wrote() {
        let stress = Stress {
            limit: 8 << 20,
            connections: 2,
            threads: 2,
            keys: 5000,
            time: Duration::from_millis(300),
            seed: 1,
        };
        let totals = run(&stress).unwrap();
        assert!(totals.hits > 0 && totals.misses > 0 && totals.stored > 0, "{totals:?}");
        assert!(totals.others > 0, "{totals:?}");
    }
}
