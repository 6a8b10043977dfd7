//! What the cache counts.

use crate::counters::{Event, Sums, for_each_counter};
use crate::engine::Engine;
use crate::memory::sync::Ordering;
use crate::space::segments::{CLASS_MAX, CLASSES, Phase};

/// Counters and gauges, at one moment. Counters start at zero and at [`Cache::reset_stats`].
///
/// [`Cache::reset_stats`]: crate::Cache::reset_stats
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", b"value", Attrs::new())?;
/// let stats = cache.stats();
/// assert_eq!(stats.total.items, 1);
/// assert!(stats.used <= stats.limit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The hard limit in bytes.
    pub limit: usize,
    /// Bytes in use of the limit: pages, index, tables.
    pub used: usize,
    /// Bytes in use above a limit that was lowered: those that handles or reservations hold, and
    /// those that [`Cache::maintain`](crate::Cache::maintain) has yet to reclaim.
    pub over_limit: usize,
    /// Panics of the removal listener or watcher, which were caught.
    pub listener_panics: u64,
    /// Items of the memory file that were lost, as their bytes were not those that were written.
    pub lost: u64,
    /// Bytes of the limit that hold the index and ghosts.
    pub index_bytes: usize,
    /// Slots of the index.
    pub index_slots: usize,
    /// Bytes of one memory segment.
    pub segment_size: usize,
    /// Segments that are mapped and hold nothing.
    pub free_segments: usize,
    /// Bytes pinned by handles.
    pub pinned_bytes: usize,
    /// Sums over all classes.
    pub total: ClassStats,
    /// One per size class, smallest first.
    pub classes: Vec<ClassStats>,
}

/// What the proactive search for expired items has done since the cache was built.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::{Attrs, Cache, ManualClock, Moment};
///
/// let clock = ManualClock::new(Moment::from_secs(1_000));
/// let cache = Cache::builder(8 << 20).clock(clock.clone()).build()?;
/// cache.set("k", b"value", Attrs::new().ttl(Duration::from_secs(60)))?;
/// clock.advance(Duration::from_secs(120));
/// while cache.maintain(1 << 10) {}
/// let sweeps = cache.sweeps();
/// assert!(sweeps.expired <= sweeps.examined);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sweeps {
    /// Items looked at.
    pub examined: u64,
    /// Of these: expired, and removed.
    pub expired: u64,
}

/// Where a counter is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Class,
    Total,
}

macro_rules! class_stats {
    ($($(#[$doc:meta])* $event:ident $field:ident $scope:ident,)*) => {
        /// Counters and gauges of one size class.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct ClassStats {
            /// Largest item (header and key included) of this class, in bytes; for the total, of
            /// all.
            pub item_max: usize,
            /// Gauge: live items.
            pub items: u64,
            /// Gauge: items that were stored or copied as never used.
            pub items_small: u64,
            /// Gauge: bytes of live items with header and key.
            pub bytes: u64,
            /// Gauge: segments held.
            pub segments: u64,
            /// Gauge: seconds since the oldest segment of such items was opened.
            pub age_small: u32,
            /// Gauge: seconds since the oldest segment of used items was opened.
            pub age_main: u32,
            /// Seconds between last access and eviction of the item evicted last.
            pub evicted_age: u32,
            $($(#[$doc])* pub $field: u64,)*
        }

        impl ClassStats {
            /// Takes over the counters that are known for `scope`.
            fn take(&mut self, scope: Scope, count: impl Fn(Event) -> u64) {
                $(if scope == Scope::$scope {
                    self.$field = count(Event::$event);
                })*
            }

            /// Leaves of the counters what came after `earlier`.
            fn subtract(&mut self, earlier: &Self) {
                $(self.$field = self.$field.saturating_sub(earlier.$field);)*
            }

            /// Adds what is known about a class to a total.
            fn add(&mut self, class: &Self) {
                self.items += class.items;
                self.items_small += class.items_small;
                self.bytes += class.bytes;
                self.segments += class.segments;
                self.age_small = self.age_small.max(class.age_small);
                self.age_main = self.age_main.max(class.age_main);
                self.evicted_age = self.evicted_age.max(class.evicted_age);
                $(self.$field += class.$field;)*
            }
        }
    };
}
for_each_counter!(class_stats);

impl ClassStats {
    /// Lookups that found an item.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// cache.get("k");
    /// assert_eq!(cache.stats().total.hits(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn hits(&self) -> u64 {
        self.hits_small + self.hits_main
    }

    /// The share of lookups that found an item; `None` without lookups. Misses are known for the
    /// total only. [`HitRatios`](crate::HitRatios) has it for the last minutes and hours.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// assert_eq!(cache.stats().total.hit_ratio(), None);
    /// cache.set("k", b"v", Attrs::new())?;
    /// cache.get("k");
    /// cache.get("other");
    /// assert_eq!(cache.stats().total.hit_ratio(), Some(0.5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let lookups = self.hits() + self.misses;
        (lookups > 0).then(|| self.hits() as f64 / lookups as f64)
    }
}

impl Stats {
    /// What was counted after `earlier`, and gauges as they are: for who wants to count from a
    /// moment on without resetting what others count.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("a", b"v", Attrs::new())?;
    /// let earlier = cache.stats();
    /// cache.set("b", b"v", Attrs::new())?;
    /// let total = cache.stats().since(&earlier).total;
    /// assert_eq!((total.stored, total.items), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        self.total.subtract(&earlier.total);
        for (class, earlier) in self.classes.iter_mut().zip(&earlier.classes) {
            class.subtract(earlier);
        }
        self
    }
}

impl Engine {
    /// All counters and gauges.
    pub(crate) fn stats(&self) -> Stats {
        let sums = self.counters.sums();
        let mut classes: Vec<_> =
            (0..CLASSES as u8).map(|class| self.class(&sums, class)).collect();
        self.add_segments(&mut classes);
        let mut total = ClassStats { item_max: self.item_max(), ..Default::default() };
        classes.iter().for_each(|class| total.add(class));
        total.take(Scope::Total, |event| sums.of(0, event));
        let limit = self.limit_goal();
        let gauge = self.space.pool.gauge();
        let (index_bytes, index_slots) = self.index.size();
        Stats {
            limit,
            used: gauge.used,
            over_limit: gauge.used.saturating_sub(limit),
            listener_panics: self.listeners.as_ref().map_or(0, |listeners| listeners.panics()),
            lost: self.lost_items(),
            index_bytes,
            index_slots,
            segment_size: self.space.table().segment_bytes(),
            free_segments: gauge.free,
            pinned_bytes: self.space.pins.bytes(),
            total,
            classes,
        }
    }

    /// What the proactive search for expired items has done.
    pub(crate) fn sweeps(&self) -> Sweeps {
        let sum = |event| self.counters.sum_of_life(event).iter().sum();
        Sweeps { examined: sum(Event::Swept), expired: sum(Event::ExpiredSwept) }
    }

    fn class(&self, sums: &Sums, class: u8) -> ClassStats {
        let count = |event| sums.of(class, event);
        let max = CLASS_MAX.get(usize::from(class)).copied();
        let mut stats = ClassStats {
            item_max: max.unwrap_or(usize::MAX).min(self.item_max()),
            items: count(Event::ItemsSmall) + count(Event::ItemsMain),
            items_small: count(Event::ItemsSmall),
            bytes: count(Event::Bytes),
            evicted_age: self.counters.evicted_age(class),
            ..ClassStats::default()
        };
        stats.take(Scope::Class, count);
        stats
    }

    /// Adds up what the segment table knows.
    fn add_segments(&self, classes: &mut [ClassStats]) {
        let now = self.hot.clock_now();
        for id in 1..self.space.pool.bound() {
            let place = self.space.table().place(id);
            if place.phase == Phase::Free {
                continue;
            }
            let class = &mut classes[usize::from(place.log.class)];
            class.segments += 1;
            let age = now.saturating_sub(self.space.table().row(id).opened.load(Ordering::Relaxed));
            let oldest =
                if place.log.level == 0 { &mut class.age_small } else { &mut class.age_main };
            *oldest = age.max(*oldest);
        }
    }
}
