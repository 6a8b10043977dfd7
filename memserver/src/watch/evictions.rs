//! The way from a cache that evicts items to the servers whose clients watch that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use memcore::{Cause, Removal};
use parking_lot::RwLock;

use super::{Hub, attention};

/// Tells the clients that `watch evictions` what a cache evicts.
///
/// A cache reports to what it was built with, so this is made first, then the cache, then the
/// server. A server without it also answers `watch evictions`, but has nothing to tell.
///
/// # Examples
/// ```
/// use memserver::{Evictions, Server};
///
/// let evictions = Evictions::new();
/// let told = evictions.clone();
/// let cache = memcore::Cache::builder(64 << 20)
///     .watch_removals_while(evictions.wanted(), move |removal| told.note(removal))
///     .build()?;
/// let server = Server::builder(cache).listen("127.0.0.1:0").watch_evictions(evictions).start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Evictions(Arc<Feed>);

/// Upper bounds of the buckets of evicted items, in seconds since their last access. What is beyond
/// the last has a bucket, too.
pub(crate) const IDLE_BOUNDS: [u32; 9] = [1, 10, 60, 300, 900, 3_600, 14_400, 86_400, 604_800];
const IDLE_BUCKETS: usize = IDLE_BOUNDS.len() + 1;

/// How long evicted items were idle.
#[derive(Debug, Default)]
struct IdleTimes {
    buckets: [AtomicU64; IDLE_BUCKETS],
    secs: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Idle {
    /// Items by bucket.
    pub(crate) buckets: [u64; IDLE_BUCKETS],
    /// The time of all items together.
    pub(crate) secs: u64,
}

#[derive(Debug, Default)]
struct Feed {
    /// Whether any of this is needed. While it is not, an eviction costs one load of this.
    wanted: Arc<AtomicBool>,
    /// Whether a client watches.
    watched: AtomicBool,
    /// Whether a server reports how long evicted items were idle.
    measured: AtomicBool,
    idle: IdleTimes,
    hubs: RwLock<Vec<Arc<Hub>>>,
}

impl Evictions {
    /// No server is connected yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Set while [`note`](Self::note) has to be called.
    #[must_use]
    pub fn wanted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.wanted)
    }

    /// To be called by the cache for each removal. It does not wait for clients.
    pub fn note(&self, removal: &Removal<'_>) {
        if removal.cause != Cause::Evicted {
            return;
        }
        if self.0.measured.load(Ordering::Relaxed) {
            self.0.idle.add(removal);
        }
        if self.0.watched.load(Ordering::Relaxed) {
            self.0.hubs.read().iter().for_each(|hub| hub.evicted(removal));
        }
    }

    /// Measures from now on how long evicted items were idle.
    pub(super) fn measure(&self) {
        self.0.measured.store(true, Ordering::Relaxed);
        self.review();
    }

    /// How long they were.
    pub(super) fn idle(&self) -> Idle {
        let IdleTimes { buckets, secs } = &self.0.idle;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Idle { buckets: std::array::from_fn(|at| load(&buckets[at])), secs: load(secs) }
    }

    /// The watchers of `hub` are told from now on.
    pub(super) fn connect(&self, hub: Arc<Hub>) {
        self.0.hubs.write().push(hub);
        self.review();
    }

    /// They are no longer.
    pub(super) fn disconnect(&self, hub: &Hub) {
        self.0.hubs.write().retain(|other| !std::ptr::eq(&**other, hub));
        self.review();
    }

    /// Finds out whether any client watches evictions, and whether they are needed at all.
    pub(super) fn review(&self) {
        // Exclusively, so that of two reviews the later one decides.
        let hubs = self.0.hubs.write();
        let watched = hubs.iter().any(|hub| hub.attends(attention::EVICTIONS));
        self.0.watched.store(watched, Ordering::Relaxed);
        let measured = self.0.measured.load(Ordering::Relaxed);
        self.0.wanted.store(watched || measured, Ordering::Relaxed);
    }
}

impl IdleTimes {
    fn add(&self, removal: &Removal<'_>) {
        let at = removal.at.as_secs();
        let secs = at.saturating_sub(removal.meta.last_access.as_secs());
        let bucket = IDLE_BOUNDS.partition_point(|bound| *bound < secs);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.secs.fetch_add(secs.into(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_cache_has_to_report_only_while_somebody_wants_to_know() {
        let evictions = Evictions::new();
        let wanted = evictions.wanted();
        let is_wanted = || wanted.load(Ordering::Relaxed);
        let hub = Hub::new(&Config::default(), evictions.clone());
        evictions.connect(Arc::clone(&hub));
        assert!(!is_wanted());
        hub.attention.store(attention::EVICTIONS, Ordering::Relaxed);
        evictions.review();
        assert!(is_wanted());
        evictions.disconnect(&hub);
        assert!(!is_wanted());
        evictions.measure();
        assert!(is_wanted());
    }
}
