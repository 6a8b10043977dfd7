//! `stats items` and `stats slabs`: our size classes under the names that memcached's slab classes
//! have. The small queue is shown as hot, the main one as warm.

use memcore::{ClassStats, Stats};

use super::List;
use crate::state::counters::Counts;

/// `stats items`: a line set for every class that holds items.
pub(super) fn items(stats: &Stats, list: &mut List<'_, '_>) {
    for (class, of) in numbered(stats).filter(|(_, of)| of.items > 0) {
        let mut add = |name: &str, value: u64| list.add(format!("items:{class}:{name}"), value);
        add("number", of.items);
        add("number_hot", of.items_small);
        add("number_warm", of.items.saturating_sub(of.items_small));
        add("number_cold", 0);
        add("age_hot", u64::from(of.age_small));
        add("age_warm", u64::from(of.age_main));
        add("age", u64::from(of.age_small.max(of.age_main)));
        add("mem_requested", of.bytes);
        add("evicted", of.evicted);
        add("evicted_nonzero", of.evicted_expiring);
        add("evicted_time", u64::from(of.evicted_age));
        add("outofmemory", of.out_of_memory);
        add("tailrepairs", 0);
        add("reclaimed", of.expired);
        add("expired_unfetched", of.expired_unfetched);
        add("evicted_unfetched", of.evicted_unfetched);
        add("evicted_active", of.evicted_active);
        add("crawler_reclaimed", of.expired_swept);
        add("crawler_items_checked", of.swept);
        add("lrutail_reflocked", 0);
        add("moves_to_cold", 0);
        add("moves_to_warm", of.promoted);
        add("moves_within_lru", of.reinserted);
        add("direct_reclaims", of.direct_reclaims);
        add("hits_to_hot", of.hits_small);
        add("hits_to_warm", of.hits_main);
        add("hits_to_cold", 0);
        add("hits_to_temp", 0);
    }
}

/// `stats slabs`: a line set for every class that holds memory. A chunk is the largest item of
/// the class; items take no more than they need, so there may be more items than chunks.
pub(super) fn slabs(stats: &Stats, counts: &Counts, list: &mut List<'_, '_>) {
    let mut active = 0;
    for (class, of) in numbered(stats).filter(|(_, of)| of.segments > 0) {
        active += 1;
        let per_page = (stats.segment_size / of.item_max.max(1)).max(1) as u64;
        let chunks = (of.segments * per_page).max(of.items);
        let mut add = |name: &str, value: u64| list.add(format!("{class}:{name}"), value);
        add("chunk_size", of.item_max as u64);
        add("chunks_per_page", per_page);
        add("total_pages", of.segments);
        add("total_chunks", chunks);
        add("used_chunks", of.items);
        add("free_chunks", chunks - of.items);
        add("free_chunks_end", 0);
        add("get_hits", of.hits_small + of.hits_main);
        add("cmd_set", of.stored);
        add("delete_hits", of.deleted);
        add("incr_hits", counts.incr_hits.of(class));
        add("decr_hits", counts.decr_hits.of(class));
        add("cas_hits", counts.cas_hits.of(class));
        add("cas_badval", counts.cas_badval.of(class));
        add("touch_hits", counts.touch_hits.of(class));
    }
    list.add("active_slabs", active);
    let segments: u64 = stats.classes.iter().map(|of| of.segments).sum();
    list.add("total_malloced", (segments + stats.free_segments as u64) * stats.segment_size as u64);
}

/// The classes with their numbers, which count from 1.
fn numbered(stats: &Stats) -> impl Iterator<Item = (usize, &ClassStats)> {
    (1..).zip(&stats.classes)
}
