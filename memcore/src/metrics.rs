//! What the cache counts, for the crate `metrics`, which hands it on to whichever exporter the
//! program has installed.

use ::metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::counters::for_each_counter;
use crate::typed::LoadStats;
use crate::{Cache, ClassStats};

/// Publishes the statistics of a cache with the facade `metrics`: counters that are named
/// `memcore_hits_total` and the like, and gauges as `memcore_bytes`, each with the label `cache`.
/// The bytes and items of each size class have the label `class` as well, which is the largest item
/// of the class in bytes.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::{Cache, Metrics};
///
/// let cache = Cache::new(64 << 20)?;
/// let metrics = Metrics::new("sessions");
/// // As often as somebody looks: every 15 seconds, or whenever the exporter asks.
/// metrics.publish(&cache);
/// # Ok::<(), memcore::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Metrics {
    name: String,
}

/// Gauges, with what they say.
const GAUGES: [(&str, &str); 9] = [
    ("memcore_limit_bytes", "The hard limit."),
    ("memcore_used_bytes", "Bytes in use of the limit."),
    ("memcore_index_bytes", "Of these: index and ghosts."),
    ("memcore_pinned_bytes", "Bytes that handles keep from being reclaimed."),
    ("memcore_items", "Live items."),
    ("memcore_bytes", "Bytes of live items with header and key."),
    ("memcore_class_items", "Live items of a size class."),
    ("memcore_class_bytes", "Bytes of live items of a size class."),
    ("memcore_evicted_age_seconds", "Seconds between last access and eviction, of late."),
];

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $event:ident $field:ident $scope:ident,)*) => {
        /// Names and meanings of all counters.
        const COUNTERS: &[(&str, &str)] =
            &[$((concat!("memcore_", stringify!($field), "_total"), concat!($($doc),*))),*];

        /// Their values, in the same order.
        fn values(total: &ClassStats) -> impl Iterator<Item = u64> {
            [$(total.$field),*].into_iter()
        }
    };
}
for_each_counter!(counters);

impl Metrics {
    /// Names the cache, and describes the metrics to the exporter.
    ///
    /// # Examples
    /// ```
    /// let metrics = memcore::Metrics::new("sessions");
    /// # let _ = metrics;
    /// ```
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        for (metric, meaning) in COUNTERS {
            describe_counter!(*metric, meaning.trim());
        }
        for (metric, meaning) in GAUGES {
            describe_gauge!(metric, meaning);
        }
        describe_counter!("memcore_hits_total", "Lookups that found an item.");
        Self { name: name.into() }
    }

    /// Publishes what the cache has counted so far.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, Metrics};
    /// let (cache, metrics) = (Cache::new(8 << 20)?, Metrics::new("sessions"));
    /// metrics.publish(&cache);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish(&self, cache: &Cache) {
        let stats = cache.stats();
        let total = &stats.total;
        self.count("memcore_hits_total", total.hits());
        for ((metric, _), value) in COUNTERS.iter().zip(values(total)) {
            self.count(metric, value);
        }
        self.gauge("memcore_limit_bytes", stats.limit as f64);
        self.gauge("memcore_used_bytes", stats.used as f64);
        self.gauge("memcore_index_bytes", stats.index_bytes as f64);
        self.gauge("memcore_pinned_bytes", stats.pinned_bytes as f64);
        self.gauge("memcore_items", total.items as f64);
        self.gauge("memcore_bytes", total.bytes as f64);
        self.gauge("memcore_evicted_age_seconds", f64::from(total.evicted_age));
        for class in &stats.classes {
            let most = class.item_max.to_string();
            let labels = [("cache", self.name.clone()), ("class", most)];
            gauge!("memcore_class_items", &labels).set(class.items as f64);
            gauge!("memcore_class_bytes", &labels).set(class.bytes as f64);
        }
    }

    /// Publishes what the [loaders](crate::typed::TypedCache::load_stats) of a typed cache have
    /// done so far: `memcore_loads_total` by `outcome`, and `memcore_load_seconds` in all.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, Metrics, typed::TypedCache};
    /// # let metrics = Metrics::new("pages");
    /// let pages: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// metrics.publish_loads(&pages.load_stats());
    /// # Ok::<(), memcore::ConfigError>(())
    /// ```
    pub fn publish_loads(&self, loads: &LoadStats) {
        let outcomes = [
            ("loaded", loads.loaded),
            ("absent", loads.absent),
            ("failed", loads.failed),
            ("abandoned", loads.abandoned),
        ];
        for (outcome, count) in outcomes {
            let labels = [("cache", self.name.clone()), ("outcome", outcome.to_owned())];
            counter!("memcore_loads_total", &labels).absolute(count);
        }
        self.count("memcore_load_waits_total", loads.waited);
        self.gauge("memcore_load_seconds", loads.time.as_secs_f64());
        self.gauge("memcore_load_seconds_longest", loads.longest.as_secs_f64());
    }

    fn count(&self, metric: &'static str, value: u64) {
        counter!(metric, "cache" => self.name.clone()).absolute(value);
    }

    fn gauge(&self, metric: &'static str, value: f64) {
        gauge!(metric, "cache" => self.name.clone()).set(value);
    }
}
