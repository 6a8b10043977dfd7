//! What the cache counts.

use crate::counters::{Event, Sums};
use crate::engine::Engine;
use crate::memory::sync::Ordering;
use crate::removal::Listener;
use crate::space::segments::{CLASS_MAX, CLASSES, Phase, Queue};

/// Counters and gauges, at one moment. Counters start at zero and at [`Cache::reset_stats`].
///
/// [`Cache::reset_stats`]: crate::Cache::reset_stats
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The hard limit in bytes.
    pub limit: usize,
    /// Bytes in use of the limit: pages, index, tables.
    pub used: usize,
    /// Bytes in use above a limit that was lowered, which handles or reservations hold.
    pub over_limit: usize,
    /// Panics of the removal listener, which were caught.
    pub listener_panics: u64,
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

/// Counters and gauges of one size class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Largest item (header and key included) of this class, in bytes; for the total, of all.
    pub item_max: usize,
    /// Gauge: live items.
    pub items: u64,
    /// Gauge: items in the small queue (new ones).
    pub items_small: u64,
    /// Gauge: bytes of live items with header and key.
    pub bytes: u64,
    /// Gauge: segments held.
    pub segments: u64,
    /// Gauge: seconds since the oldest item of the small queue was written.
    pub age_small: u32,
    /// Gauge: seconds since the oldest segment of the main queue was opened.
    pub age_main: u32,
    /// Writes that became visible.
    pub stored: u64,
    /// Lookups that found an item in the small queue.
    pub hits_small: u64,
    /// Lookups that found an item in the main queue.
    pub hits_main: u64,
    /// Lookups that found nothing; only in the total.
    pub misses: u64,
    /// Of the misses: the item had expired.
    pub misses_expired: u64,
    /// Of the misses: the item had been flushed.
    pub misses_flushed: u64,
    /// Items removed to make room.
    pub evicted: u64,
    /// Of these: never read.
    pub evicted_unfetched: u64,
    /// Of these: with an expiry.
    pub evicted_expiring: u64,
    /// Of these: read within the last minute.
    pub evicted_active: u64,
    /// Seconds between last access and eviction of the item evicted last.
    pub evicted_age: u32,
    /// Items removed because they had expired.
    pub expired: u64,
    /// Of these: never read.
    pub expired_unfetched: u64,
    /// Of the expired: found by the proactive sweep.
    pub expired_swept: u64,
    /// Items looked at by the proactive sweep.
    pub swept: u64,
    /// Items deleted by callers.
    pub deleted: u64,
    /// Items replaced by a newer value.
    pub replaced: u64,
    /// Items removed because of a flush.
    pub flushed: u64,
    /// Survivors copied from the small queue to the main one.
    pub promoted: u64,
    /// Survivors copied within the main queue.
    pub reinserted: u64,
    /// Writes that had to evict for themselves.
    pub direct_reclaims: u64,
    /// Writes refused for lack of memory.
    pub out_of_memory: u64,
    /// Writes refused because the item was too large; only in the total.
    pub too_large: u64,
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
        let count = |event| sums.of(0, event);
        total.misses = count(Event::Misses);
        total.misses_expired = count(Event::MissesExpired);
        total.misses_flushed = count(Event::MissesFlushed);
        total.too_large = count(Event::TooLarge);
        let gauge = self.space.pool.gauge();
        let (index_bytes, index_slots) = self.index.size();
        Stats {
            limit: gauge.limit,
            used: gauge.used,
            over_limit: gauge.used.saturating_sub(gauge.limit),
            listener_panics: self.listener.as_ref().map_or(0, Listener::panics),
            index_bytes,
            index_slots,
            segment_size: self.space.table().segment_bytes(),
            free_segments: gauge.free,
            pinned_bytes: self.space.pins.bytes(),
            total,
            classes,
        }
    }

    fn class(&self, sums: &Sums, class: u8) -> ClassStats {
        let count = |event| sums.of(class, event);
        let most = CLASS_MAX.get(usize::from(class)).copied();
        ClassStats {
            item_max: most.unwrap_or(usize::MAX).min(self.item_max()),
            items: count(Event::ItemsSmall) + count(Event::ItemsMain),
            items_small: count(Event::ItemsSmall),
            bytes: count(Event::Bytes),
            stored: count(Event::Stored),
            hits_small: count(Event::HitsSmall),
            hits_main: count(Event::HitsMain),
            evicted: count(Event::Evicted),
            evicted_unfetched: count(Event::EvictedUnfetched),
            evicted_expiring: count(Event::EvictedExpiring),
            evicted_active: count(Event::EvictedActive),
            evicted_age: self.counters.evicted_age(class),
            expired: count(Event::Expired),
            expired_unfetched: count(Event::ExpiredUnfetched),
            expired_swept: count(Event::ExpiredSwept),
            swept: count(Event::Swept),
            deleted: count(Event::Deleted),
            replaced: count(Event::Replaced),
            flushed: count(Event::Flushed),
            promoted: count(Event::Promoted),
            reinserted: count(Event::Reinserted),
            direct_reclaims: count(Event::DirectReclaims),
            out_of_memory: count(Event::OutOfMemory),
            ..ClassStats::default()
        }
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
            let oldest = match place.log.queue {
                Queue::Small => &mut class.age_small,
                Queue::Main => &mut class.age_main,
            };
            *oldest = age.max(*oldest);
        }
    }
}

impl ClassStats {
    /// Adds the counters of a class to a total.
    fn add(&mut self, class: &Self) {
        let Self { age_small, age_main, evicted_age, .. } = *class;
        self.age_small = self.age_small.max(age_small);
        self.age_main = self.age_main.max(age_main);
        self.evicted_age = self.evicted_age.max(evicted_age);
        for (sum, count) in [
            (&mut self.items, class.items),
            (&mut self.items_small, class.items_small),
            (&mut self.bytes, class.bytes),
            (&mut self.segments, class.segments),
            (&mut self.stored, class.stored),
            (&mut self.hits_small, class.hits_small),
            (&mut self.hits_main, class.hits_main),
            (&mut self.evicted, class.evicted),
            (&mut self.evicted_unfetched, class.evicted_unfetched),
            (&mut self.evicted_expiring, class.evicted_expiring),
            (&mut self.evicted_active, class.evicted_active),
            (&mut self.expired, class.expired),
            (&mut self.expired_unfetched, class.expired_unfetched),
            (&mut self.expired_swept, class.expired_swept),
            (&mut self.swept, class.swept),
            (&mut self.deleted, class.deleted),
            (&mut self.replaced, class.replaced),
            (&mut self.flushed, class.flushed),
            (&mut self.promoted, class.promoted),
            (&mut self.reinserted, class.reinserted),
            (&mut self.direct_reclaims, class.direct_reclaims),
            (&mut self.out_of_memory, class.out_of_memory),
        ] {
            *sum += count;
        }
    }
}
