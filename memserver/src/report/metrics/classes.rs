//! Size classes under the names that memcached's slab classes have. Items stored or copied as never
//! used are shown as hot, the others as warm.

use memcore::{ClassStats, Stats};

use super::Kind::{self, Counter, Gauge};
use super::{About, List, Unit, Value};
use crate::state::counters::Counts;

/// The metrics of one class.
struct Class<'c, 'l> {
    labels: [(&'static str, u64); 1],
    list: &'c mut List<'l>,
}

impl Class<'_, '_> {
    fn add(&mut self, name: &str, kind: Kind, value: u64, help: &'static str) {
        self.measured(name, kind, Unit::None, value, help);
    }

    fn measured(&mut self, name: &str, kind: Kind, unit: Unit, value: u64, help: &'static str) {
        let about = About { name, labels: &self.labels, kind, unit, help };
        self.list.add(about, Value::Number(value));
    }

    fn absent(&mut self, names: &[&str]) {
        for name in names {
            let about = About {
                name,
                labels: &self.labels,
                kind: Kind::Info,
                unit: Unit::None,
                help: "Not applicable to this server.",
            };
            self.list.add(about, Value::Absent);
        }
    }
}

/// Every class that holds items.
pub(super) fn items(stats: &Stats, list: &mut List<'_>) {
    // memcached leaves out empty classes, too.
    for (class, of) in numbered(stats).filter(|(_, of)| of.items > 0) {
        let seconds = Unit::Seconds;
        let mut to = Class { labels: [("class", class as u64)], list };
        to.add("number", Gauge, of.items, "Items.");
        to.add("number_hot", Gauge, of.items_small, "Items stored or copied as never used.");
        let main = of.items.saturating_sub(of.items_small);
        to.add("number_warm", Gauge, main, "Other items.");
        to.absent(&["number_cold"]);
        let age = u64::from(of.age_small);
        to.measured(
            "age_hot",
            Gauge,
            seconds,
            age,
            "Age of the oldest segment of items never used.",
        );
        let age = u64::from(of.age_main);
        to.measured("age_warm", Gauge, seconds, age, "Age of the oldest segment of other items.");
        let age = u64::from(of.age_small.max(of.age_main));
        to.measured("age", Gauge, seconds, age, "Age of the oldest segment.");
        to.measured("mem_requested", Gauge, Unit::Bytes, of.bytes, "Bytes of all items.");
        to.add("evicted", Counter, of.evicted, "Items evicted.");
        to.add("evicted_nonzero", Counter, of.evicted_expiring, "Evicted items with an expiry.");
        let idle = u64::from(of.evicted_age);
        let help = "Time between the last access and the last eviction.";
        to.measured("evicted_time", Gauge, seconds, idle, help);
        to.add("outofmemory", Counter, of.out_of_memory, "Stores that found no memory.");
        to.absent(&["tailrepairs"]);
        to.add("reclaimed", Counter, of.expired, "Expired items removed.");
        let help = "Expired items that were never fetched.";
        to.add("expired_unfetched", Counter, of.expired_unfetched, help);
        let help = "Evicted items that were never fetched.";
        to.add("evicted_unfetched", Counter, of.evicted_unfetched, help);
        to.add("evicted_active", Counter, of.evicted_active, "Evicted items used recently.");
        let help = "Expired items removed by the background search.";
        to.add("crawler_reclaimed", Counter, of.expired_swept, help);
        let help = "Items examined by the background search.";
        to.add("crawler_items_checked", Counter, of.swept, help);
        to.absent(&["lrutail_reflocked", "moves_to_cold"]);
        let help = "Survivors of eviction that were used for the first time.";
        to.add("moves_to_warm", Counter, of.promoted, help);
        to.add("moves_within_lru", Counter, of.reinserted, "Other survivors of eviction.");
        let help = "Times that a store had to evict by itself.";
        to.add("direct_reclaims", Counter, of.direct_reclaims, help);
        to.add(
            "hits_to_hot",
            Counter,
            of.hits_small,
            "Lookups answered with items never used before they were copied.",
        );
        to.add("hits_to_warm", Counter, of.hits_main, "Lookups answered with other items.");
        to.absent(&["hits_to_cold", "hits_to_temp"]);
    }
}

/// Every class that holds memory, and totals. A chunk is the largest item of the class; items take
/// no more than they need, so there may be more items than chunks.
pub(super) fn slabs(stats: &Stats, counts: &Counts, list: &mut List<'_>) {
    let mut active = 0;
    for (class, of) in numbered(stats).filter(|(_, of)| of.segments > 0) {
        active += 1;
        let per_page = (stats.segment_size / of.item_max.max(1)).max(1) as u64;
        // Never less than the items, so that `free_chunks` can't be negative.
        let chunks = (of.segments * per_page).max(of.items);
        let mut to = Class { labels: [("class", class as u64)], list };
        let item_max = of.item_max as u64;
        to.measured("chunk_size", Gauge, Unit::Bytes, item_max, "Size of the largest item.");
        to.add("chunks_per_page", Gauge, per_page, "Largest items that fit one segment.");
        to.add("total_pages", Gauge, of.segments, "Segments.");
        to.add("total_chunks", Gauge, chunks, "Largest items that fit all segments.");
        to.add("used_chunks", Gauge, of.items, "Items.");
        to.add("free_chunks", Gauge, chunks - of.items, "Largest items that still fit.");
        to.absent(&["free_chunks_end"]);
        to.add("get_hits", Counter, of.hits_small + of.hits_main, "Lookups that found an item.");
        to.add("cmd_set", Counter, of.stored, "Items stored.");
        to.add("delete_hits", Counter, of.deleted, "Items deleted.");
        to.add("incr_hits", Counter, counts.incr_hits.of(class), "Increments.");
        to.add("decr_hits", Counter, counts.decr_hits.of(class), "Decrements.");
        to.add("cas_hits", Counter, counts.cas_hits.of(class), "Compare-and-swaps that stored.");
        let help = "Compare-and-swaps that met another version.";
        to.add("cas_badval", Counter, counts.cas_badval.of(class), help);
        to.add("touch_hits", Counter, counts.touch_hits.of(class), "Items touched.");
    }
    list.gauge("active_slabs", active, "Classes that hold memory.");
    let segments: u64 = stats.classes.iter().map(|of| of.segments).sum();
    let bytes = (segments + stats.free_segments as u64) * stats.segment_size as u64;
    list.bytes("total_malloced", bytes, "Bytes of all segments.");
}

/// The classes with their numbers, which count from 1.
fn numbered(stats: &Stats) -> impl Iterator<Item = (usize, &ClassStats)> {
    (1..).zip(&stats.classes)
}
