//! What all threads of one server share: the cache, the settings, the counters. It must never
//! know a socket.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};

use memcore::Cache;
use parking_lot::Mutex;

use crate::config::Config;
use crate::config::knobs::Knobs;
use crate::report::stream::{Facts, Roll};
use crate::state::counters::{Counters, Counts};
use crate::state::prefixes::Prefixes;
use crate::watch::{Evictions, Hub};

/// Bytes that workers may copy for replies whose values can't be pinned any more.
const COPY_BUDGET: usize = 16 << 20;

/// Bytes that replies may hold whose clients don't read, before such clients are given less.
pub(crate) const BACKLOG_BUDGET: usize = 32 << 20;

/// Bytes that unfinished retrieval lines may hold, unless a setting says otherwise.
const LINE_BUDGET: usize = 16 << 20;

type Hook<T> = OnceLock<Box<dyn Fn(T) + Send + Sync>>;

/// One server's common ground.
pub(crate) struct Shared {
    /// The items.
    pub(crate) cache: Cache,
    /// The settings it was started with.
    pub(crate) config: Arc<Config>,
    /// What clients may change, as it is now.
    pub(crate) knobs: Mutex<Knobs>,
    /// How much is said on stderr; `verbosity` changes it.
    pub(crate) verbosity: AtomicU8,
    /// Who looks on.
    pub(crate) watch: Arc<Hub>,
    /// Requests by prefix.
    pub(crate) prefixes: Prefixes,
    /// Who is connected.
    pub(crate) connections: Connections,
    /// One set per worker.
    pub(crate) workers: Box<[Counters]>,
    /// One for what comes in datagrams.
    pub(crate) udp: Counters,
    /// Done when a client has asked how long ago an item was used: only then is it worth the price
    /// of keeping that to the second.
    pub(crate) exact_access: Once,
    /// Room for copies of values that can't be pinned.
    pub(crate) copies: Budget,
    /// Second when there was no room for such a copy, or for a value that arrives in pieces.
    pub(crate) short_at: AtomicU32,
    /// Room for replies whose clients don't read.
    pub(crate) backlogs: Budget,
    /// Room for the beginnings of long retrieval lines.
    pub(crate) long_lines: Budget,
    /// Connections closed because that room was full.
    pub(crate) long_lines_refused: AtomicU64,
    /// Times that a client asked for expired items to be looked for.
    pub(crate) crawls: AtomicU64,
    /// Where it listens.
    pub(crate) listening: OnceLock<Vec<Facts>>,
    /// The clock in the hands of a test.
    #[cfg(all(feature = "test-clock", debug_assertions))]
    pub(crate) test_clock: OnceLock<Arc<crate::admin::debugtime::TestClock>>,
    /// Second when the server started.
    pub(crate) started: u32,
    /// Stops the server.
    pub(crate) stop: Hook<()>,
    /// Shared by all answers about connections that were not taken yet, to count them.
    pub(crate) rolls: Arc<()>,
    /// Puts a question to all workers.
    pub(crate) roll_call: Hook<Arc<Roll>>,
    /// Runs after a connection is closed.
    pub(crate) on_close: Hook<()>,
    reset: Mutex<Counts>,
}

impl Shared {
    /// The common ground of a server for `cache`.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn new(cache: Cache, config: Arc<Config>) -> Arc<Self> {
        Self::with_evictions(cache, config, Evictions::new())
    }

    /// The same, if the cache tells `evictions` what it removes.
    pub(crate) fn with_evictions(
        cache: Cache,
        config: Arc<Config>,
        evictions: Evictions,
    ) -> Arc<Self> {
        Arc::new(Self {
            knobs: Mutex::new(config.knobs),
            verbosity: AtomicU8::new(config.verbosity),
            watch: Hub::new(&config, evictions),
            prefixes: Prefixes::new(config.stat_key_prefix),
            connections: Connections::default(),
            workers: (0..config.threads.max(1)).map(|_| Counters::default()).collect(),
            udp: Counters::default(),
            exact_access: Once::new(),
            copies: Budget::new(COPY_BUDGET),
            short_at: AtomicU32::new(0),
            backlogs: Budget::new(BACKLOG_BUDGET),
            long_lines: Budget::new(match config.read_buf_mem_limit {
                0 => LINE_BUDGET,
                limit => limit,
            }),
            long_lines_refused: AtomicU64::new(0),
            crawls: AtomicU64::new(0),
            listening: OnceLock::new(),
            #[cfg(all(feature = "test-clock", debug_assertions))]
            test_clock: OnceLock::new(),
            started: cache.now(),
            stop: OnceLock::new(),
            rolls: Arc::default(),
            roll_call: OnceLock::new(),
            on_close: OnceLock::new(),
            reset: Mutex::default(),
            cache,
            config,
        })
    }

    /// What the workers counted since the last reset.
    pub(crate) fn counts(&self) -> Counts {
        self.counts_of_life().since(&self.reset.lock())
    }

    /// Starts all counters anew. The workers' own counters have one writer each, so they run on
    /// and are remembered here instead.
    pub(crate) fn reset_counts(&self) {
        *self.reset.lock() = self.counts_of_life();
        self.cache.reset_stats();
        self.prefixes.clear();
        self.connections.total.store(0, Ordering::Relaxed);
        self.connections.rejected.store(0, Ordering::Relaxed);
    }

    /// Clients had to be refused because of what others keep to themselves.
    pub(crate) fn note_shortage(&self) {
        self.short_at.store(self.cache.now(), Ordering::Relaxed);
    }

    /// Books a closed connection.
    pub(crate) fn connection_closed(&self) {
        self.connections.current.fetch_sub(1, Ordering::AcqRel);
        if let Some(hook) = self.on_close.get() {
            hook(());
        }
    }

    fn counts_of_life(&self) -> Counts {
        let mut sum = Counts::default();
        self.workers.iter().chain([&self.udp]).for_each(|counters| sum.add(counters));
        sum
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Counts of client connections, kept by the listener and the workers together.
#[derive(Debug)]
pub(crate) struct Connections {
    /// Open now.
    pub(crate) current: AtomicUsize,
    /// Opened since the start or the last reset.
    pub(crate) total: AtomicU64,
    /// Turned away because of the limit.
    pub(crate) rejected: AtomicU64,
    /// Whether new ones are taken from the backlog.
    pub(crate) accepting: AtomicBool,
    /// Times that the listener paused.
    pub(crate) listen_disabled: AtomicU64,
    /// Microseconds that it paused in all.
    pub(crate) listen_disabled_us: AtomicU64,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            current: AtomicUsize::new(0),
            total: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            accepting: AtomicBool::new(true),
            listen_disabled: AtomicU64::new(0),
            listen_disabled_us: AtomicU64::new(0),
        }
    }
}

/// A number of bytes that may be in use at once.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// Takes `bytes` if they are there. What is larger than the whole budget may have it when
    /// nobody else has any, because it could never be served otherwise.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let take = |used: usize| {
            let sum = used.checked_add(bytes)?;
            (used == 0 || sum <= self.limit).then_some(sum)
        };
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Takes `bytes` whether they are there or not.
    pub(crate) fn take_anyway(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether nothing is left.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.used() >= self.limit
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Gives `bytes` back.
    pub(crate) fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_shared_and_serves_an_oversize_taker_alone() {
        let budget = Budget::new(100);
        assert!(budget.take(60));
        assert!(!budget.take(41));
        assert!(budget.take(40));
        budget.give(100);
        assert!(budget.take(1_000));
        assert!(!budget.take(1));
        budget.give(1_000);
        assert!(budget.take(1));
        assert!(!budget.take(1_000));
        assert!(!budget.is_exhausted());
        budget.take_anyway(100);
        assert!(budget.is_exhausted());
        assert_eq!(budget.used(), 101);
    }
}
