//! The settings that clients can change while the server runs. The configuration holds their
//! initial values, the workers share the present ones.

/// Settings under memcached's names. [`Default`] is memcached's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RuntimeSettings {
    pub(crate) slab_automove: u32,
    pub(crate) slab_automove_ratio: f64,
    pub(crate) slab_automove_freeratio: f64,
    /// Seconds.
    pub(crate) slab_automove_window: u32,
    pub(crate) lru_crawler: bool,
    /// Microseconds.
    pub(crate) lru_crawler_sleep: u32,
    pub(crate) lru_crawler_tocrawl: u32,
    pub(crate) lru_segmented: bool,
    pub(crate) hot_lru_pct: u32,
    pub(crate) warm_lru_pct: u32,
    pub(crate) hot_max_factor: f64,
    pub(crate) warm_max_factor: f64,
    pub(crate) temp_lru: bool,
    /// Seconds; kept while the feature is off.
    pub(crate) temporary_ttl: u32,
    pub(crate) track_sizes: bool,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            slab_automove: 1,
            slab_automove_ratio: 0.8,
            slab_automove_freeratio: 0.01,
            slab_automove_window: 10,
            lru_crawler: true,
            lru_crawler_sleep: 100,
            lru_crawler_tocrawl: 0,
            lru_segmented: true,
            hot_lru_pct: 20,
            warm_lru_pct: 40,
            hot_max_factor: 0.2,
            warm_max_factor: 2.0,
            temp_lru: false,
            temporary_ttl: 61,
            track_sizes: false,
        }
    }
}
