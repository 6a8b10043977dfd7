//! The one value that all threads of a server hold: its parts, each with an owner of its own.

use std::fmt;
use std::sync::Arc;

use memcore::Stats;
use parking_lot::Mutex;

use crate::auth::account::Scope;
use crate::net::conn_info::ConnInfo;
use crate::state::budgets::{Budgets, Permit};
use crate::state::control::{ConnQuery, Control};
use crate::state::core::Core;
use crate::state::gauges::Gauges;
use crate::state::hot::{self, Hottest};
use crate::state::phase::Phase;
use crate::state::reload::Reload;
use crate::watch::{Evictions, Hub};

/// The state of one server.
pub(crate) struct Shared {
    /// The cache and the settings.
    pub(crate) core: Core,
    /// What is counted.
    pub(crate) gauges: Gauges,
    /// What the cache had counted at the last reset.
    cache_baseline: Mutex<Option<Box<Stats>>>,
    /// Memory that clients may take.
    pub(crate) budgets: Budgets,
    /// Where the server is between its start and its end.
    pub(crate) phase: Phase,
    /// Files that are to be read again.
    pub(crate) reload: Reload,
    /// The server's threads.
    pub(crate) control: Box<dyn Control>,
    /// The watchers.
    pub(crate) watch: Arc<Hub>,
}

impl Shared {
    /// The state of a server whose threads are reached through `control`, and whose watchers hear
    /// of `evictions`.
    pub(crate) fn new(
        core: Core,
        evictions: Evictions,
        control: impl Control + 'static,
    ) -> Arc<Self> {
        let budgets = Budgets::new(&core.config);
        Arc::new(Self {
            gauges: Gauges::new(&core, &budgets),
            budgets,
            cache_baseline: Mutex::default(),
            phase: Phase::default(),
            reload: Reload::default(),
            control: Box::new(control),
            watch: Hub::new(&core.config, evictions),
            core,
        })
    }

    /// The state of a server that has no threads and does not listen.
    #[cfg(test)]
    pub(crate) fn without_threads(
        cache: memcore::Cache,
        config: crate::config::Config,
    ) -> Arc<Self> {
        Self::with_clock(cache, config, None)
    }

    /// The same, whose cache has the clock `clock`.
    #[cfg(test)]
    pub(crate) fn with_clock(
        cache: memcore::Cache,
        config: crate::config::Config,
        clock: Option<Arc<crate::state::clock::DrivenClock>>,
    ) -> Arc<Self> {
        let core = Core::new(cache, config, Default::default(), clock);
        Self::new(core, Evictions::new(), crate::state::control::Detached)
    }

    /// Makes all counters start from zero. Those of the cache itself go on: it may be that of a
    /// program which counts for itself.
    pub(crate) fn reset_counts(&self) {
        *self.cache_baseline.lock() = Some(Box::new(self.core.cache.stats()));
        self.gauges.reset();
        if let Some(queue) = &self.core.flash {
            queue.counts.reset();
        }
    }

    /// What the cache counts and has counted since the last reset.
    pub(crate) fn cache_stats(&self) -> Stats {
        let baseline = self.cache_baseline.lock();
        let stats = self.core.cache.stats();
        match &*baseline {
            Some(baseline) => stats.since(baseline),
            None => stats,
        }
    }

    /// At most `most` of the keys of `scope` that are asked for most, and of their beginnings.
    pub(crate) fn hottest(&self, most: usize, scope: &Scope) -> Hottest {
        hot::hottest(self.gauges.hot_keys.iter(), self.core.cache.now().as_secs(), most, scope)
    }

    /// Whether whoever reaches the admin address may see names of keys: nobody logs in there.
    pub(crate) fn shows_names(&self) -> bool {
        self.core.config.dump_enabled && self.core.accounts.is_none()
    }

    /// Notes that a client had to be refused because of memory that other clients hold.
    pub(crate) fn note_shortage(&self) {
        self.budgets.note_shortage(self.core.cache.now().as_secs());
    }

    /// Counts a connection as closed, and makes room for a new one.
    pub(crate) fn connection_closed(&self) {
        self.gauges.connections.closed();
        self.control.connection_closed();
    }

    /// Asks all workers about their connections, on behalf of worker number `asker`. The answer
    /// holds `permit` until it is read.
    pub(crate) fn query_connections(&self, asker: usize, permit: Permit) -> Arc<ConnQuery> {
        let now = self.core.cache.now().as_secs();
        let up = now.saturating_sub(self.core.started);
        let listening = self.core.listening.sockets.iter();
        let listening = listening.map(|info| ConnInfo { idle: up, ..info.clone() });
        // Listening sockets and watchers belong to no worker that could be asked.
        let known = listening.chain(self.watch.conn_infos(now)).collect();
        let query = Arc::new(ConnQuery::new(asker, self.gauges.workers.len(), known, permit));
        self.control.query_connections(&query);
        query
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.core.config).finish_non_exhaustive()
    }
}
