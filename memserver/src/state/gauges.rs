//! What a server counts about itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::state::budgets::Budgets;
use crate::state::core::Core;
use crate::state::counters::{Counters, Counts};
use crate::state::hot::HotKeys;
use crate::state::latency::{ByFamily, Distribution, Latencies, Slices};
use crate::state::prefixes::Prefixes;

/// All counts of one server.
#[derive(Debug)]
pub(crate) struct Gauges {
    /// Requests and bytes, one set per worker.
    pub(crate) workers: Box<[Counters]>,
    /// The same for requests in datagrams.
    pub(crate) udp: Counters,
    /// How long requests take, one set per worker; empty if nobody can ask.
    pub(crate) latencies: Box<[Latencies]>,
    /// For how long each worker is busy at a time; empty as well.
    pub(crate) slices: Box<[Slices]>,
    /// Which keys are asked for most, for each worker and for datagrams behind them.
    pub(crate) hot_keys: Box<[HotKeys]>,
    /// Client connections.
    pub(crate) connections: Connections,
    /// What happens below requests on encrypted connections.
    pub(crate) tls: Encryption,
    /// Requests by key prefix.
    pub(crate) prefixes: Arc<Prefixes>,
    /// Times that a client asked for a search for expired items.
    pub(crate) crawls: AtomicU64,
    /// Connections closed because the budget for long request lines was exhausted.
    pub(crate) long_lines_refused: AtomicU64,
    /// The counts at the last reset.
    baseline: Mutex<Counts>,
}

/// Counts of client connections, kept by the acceptor and the workers together.
#[derive(Debug)]
pub(crate) struct Connections {
    /// Open now.
    pub(crate) current: AtomicUsize,
    /// Opened since the start or the last reset, sockets that listen included.
    pub(crate) total: AtomicU64,
    /// Turned away because of the limit.
    pub(crate) rejected: AtomicU64,
    /// Whether new ones are accepted.
    pub(crate) accepting: AtomicBool,
    /// Times that the acceptor paused.
    pub(crate) listen_disabled: AtomicU64,
    /// Microseconds that it paused in all.
    pub(crate) listen_disabled_us: AtomicU64,
    /// Placed in turn, as the system did not tell which way their packets take.
    pub(crate) in_turn_instead: AtomicU64,
    /// Times that there were more ways than workers.
    pub(crate) unexpected_ways: AtomicU64,
}

/// Counts of encrypted connections, kept by the workers together.
#[derive(Debug, Default)]
pub(crate) struct Encryption {
    /// Sessions that clients may resume.
    pub(crate) new_sessions: AtomicU64,
    /// Handshakes that failed or took too long.
    pub(crate) handshake_errors: AtomicU64,
    /// Connections whose peer broke the protocol after the handshake.
    pub(crate) protocol_errors: AtomicU64,
    /// Whether a client has spoken it where it is not spoken.
    pub(crate) is_missed: AtomicBool,
}

impl Gauges {
    /// Everything is zero, but for the sockets that listen: memcached counts them as connections.
    pub(crate) fn new(core: &Core, budgets: &Budgets) -> Self {
        let Core { config, listening, .. } = core;
        let measured = if config.admin.is_some() { config.threads.max(1) } else { 0 };
        let opened = AtomicU64::new(listening.sockets.len() as u64);
        Self {
            workers: (0..config.threads.max(1)).map(|_| Counters::default()).collect(),
            udp: Counters::default(),
            latencies: (0..measured).map(|_| Latencies::default()).collect(),
            slices: (0..measured).map(|_| Slices::default()).collect(),
            hot_keys: (0..=config.threads.max(1))
                .map(|_| HotKeys::new(config.stat_key_prefix))
                .collect(),
            connections: Connections { total: opened, ..Connections::default() },
            tls: Encryption::default(),
            prefixes: Arc::new(Prefixes::new(
                config.stat_key_prefix,
                Arc::clone(&budgets.prefixes),
            )),
            crawls: AtomicU64::new(0),
            long_lines_refused: AtomicU64::new(0),
            baseline: Mutex::default(),
        }
    }

    /// What was counted since the last reset.
    pub(crate) fn counts(&self) -> Counts {
        // Locked first: a reset between the sums and the baseline would make the baseline newer.
        let baseline = self.baseline.lock();
        self.counts_since_start().since(&baseline)
    }

    /// Makes the counts that can be reset start from zero. Each worker's counters have one writer,
    /// so they are not written here: their present values become the baseline.
    pub(crate) fn reset(&self) {
        let mut baseline = self.baseline.lock();
        *baseline = self.counts_since_start();
        drop(baseline);
        self.prefixes.clear();
        self.hot_keys.iter().for_each(HotKeys::clear);
        self.connections.total.store(0, Ordering::Relaxed);
        self.connections.rejected.store(0, Ordering::Relaxed);
        let Encryption { new_sessions, handshake_errors, protocol_errors, .. } = &self.tls;
        for count in [new_sessions, handshake_errors, protocol_errors] {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// How long requests have taken since the start.
    pub(crate) fn latencies(&self) -> ByFamily<Distribution> {
        let mut sums = ByFamily::default();
        self.latencies.iter().for_each(|worker| worker.add_to(&mut sums));
        sums
    }

    /// What was counted since the start, whatever was reset.
    pub(crate) fn counts_since_start(&self) -> Counts {
        let mut sum = Counts::default();
        self.workers.iter().chain([&self.udp]).for_each(|counters| sum.add(counters));
        sum
    }
}

impl Connections {
    /// A connection is gone.
    pub(crate) fn closed(&self) {
        // Release: pairs with the acquiring loads of those who wait for the connection's effects,
        // `Server::connections` and the acceptor's check of the limit.
        self.current.fetch_sub(1, Ordering::AcqRel);
    }
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
            in_turn_instead: AtomicU64::new(0),
            unexpected_ways: AtomicU64::new(0),
        }
    }
}
