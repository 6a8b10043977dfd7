//! The way from a cache that evicts items to the servers whose clients watch that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
///     .watch_removals(move |removal| told.note(removal))
///     .build()?;
/// let server = Server::builder(cache).listen("127.0.0.1:0").watch_evictions(evictions).start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Evictions(Arc<Feed>);

#[derive(Debug, Default)]
struct Feed {
    /// Whether a client watches. While none does, an eviction costs one load of this.
    watched: AtomicBool,
    hubs: RwLock<Vec<Arc<Hub>>>,
}

impl Evictions {
    /// No server is connected yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// To be called by the cache for each removal. It does not wait for clients.
    pub fn note(&self, removal: &Removal<'_>) {
        if removal.cause == Cause::Evicted && self.0.watched.load(Ordering::Relaxed) {
            self.0.hubs.read().iter().for_each(|hub| hub.evicted(removal));
        }
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

    /// Finds out whether any client watches evictions.
    pub(super) fn review(&self) {
        // Exclusively, so that of two reviews the later one decides.
        let hubs = self.0.hubs.write();
        let watched = hubs.iter().any(|hub| hub.attends(attention::EVICTIONS));
        self.0.watched.store(watched, Ordering::Relaxed);
    }
}
