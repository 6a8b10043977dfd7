//! The settings that clients can change while the server runs. Everything else is in the
//! configuration, which never changes.

use crate::config::Config;

/// Settings under memcached's names, as they are now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Knobs {
    pub(crate) slab_automove: u32,
    pub(crate) slab_automove_ratio: f64,
    pub(crate) slab_automove_window: u32,
    pub(crate) slab_automove_freeratio: f64,
    pub(crate) lru_crawler: bool,
    /// Microseconds.
    pub(crate) lru_crawler_sleep: u32,
    pub(crate) lru_crawler_tocrawl: u32,
    pub(crate) lru_segmented: bool,
    pub(crate) hot_lru_pct: u32,
    pub(crate) warm_lru_pct: u32,
    pub(crate) hot_max_factor: f64,
    pub(crate) warm_max_factor: f64,
    /// Seconds; none while the feature is off.
    pub(crate) temporary_ttl: Option<u32>,
}

impl Knobs {
    /// As the server was started.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            slab_automove: config.slab_automove,
            slab_automove_ratio: config.slab_automove_ratio,
            slab_automove_window: config.slab_automove_window,
            slab_automove_freeratio: 0.01,
            lru_crawler: config.lru_crawler,
            lru_crawler_sleep: config.lru_crawler_sleep,
            lru_crawler_tocrawl: config.lru_crawler_tocrawl,
            lru_segmented: config.lru_segmented,
            hot_lru_pct: config.hot_lru_pct,
            warm_lru_pct: config.warm_lru_pct,
            hot_max_factor: config.hot_max_factor,
            warm_max_factor: config.warm_max_factor,
            temporary_ttl: config.temporary_ttl,
        }
    }
}
