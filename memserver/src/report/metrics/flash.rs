//! The flash tier under memcached's names: regions are its pages.

use std::sync::atomic::Ordering;

use memcore::flash::FlashStats;

use super::{List, Value};
use crate::config::runtime::RuntimeSettings;
use crate::state::flash::FlashQueue;
use crate::state::shared::Shared;

/// What lookups came to.
pub(super) fn lookups(shared: &Shared, list: &mut List<'_>) {
    let Some(queue) = &shared.core.flash else { return };
    let counts = &queue.counts;
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let hits = of(&counts.hits);
    for (name, count, help) in [
        ("get_extstore", hits, "Items that were read from flash."),
        ("get_aborted_extstore", of(&counts.aborted), "Reads of flash for which others waited."),
        ("get_oom_extstore", of(&counts.no_memory), "Items read from flash that found no memory."),
        ("recache_from_extstore", hits, "Items that came back to memory."),
        ("miss_from_extstore", of(&counts.misses), "Reads of flash that found another item."),
        ("badcrc_from_extstore", of(&counts.damaged), "Reads of flash that failed."),
    ] {
        list.counter(name, count, help);
    }
}

/// The tier itself.
pub(super) fn tier(shared: &Shared, list: &mut List<'_>) {
    let (Some(queue), Some(stats)) = (&shared.core.flash, shared.core.cache.flash_stats()) else {
        return;
    };
    list.absent(&[
        "extstore_compact_lost",
        "extstore_compact_rescues",
        "extstore_compact_resc_cold",
        "extstore_compact_resc_old",
        "extstore_compact_skipped",
    ]);
    pages(&stats, list);
    objects(&stats, list);
    list.bytes("extstore_limit_maxbytes", stats.capacity, "Bytes of flash that are used at most.");
    list.gauge("extstore_io_queue", queue.len(), "Reads of flash that wait.");
    list.gauge("extstore_enabled", usize::from(stats.is_on), "Whether flash is in use.");
    list.bytes("extstore_memory", stats.memory as u64, "Bytes of the limit that flash takes.");
    let help = "Bytes of these for the table of what is on flash.";
    list.bytes("extstore_table", stats.table_memory as u64, help);
    let help = "Items evicted because flash was not written fast enough.";
    list.counter("extstore_write_dropped", stats.no_buffer, help);
}

fn pages(stats: &FlashStats, list: &mut List<'_>) {
    let used = stats.bytes_used.div_ceil(stats.region_size.max(1)).min(stats.regions);
    let help = "Regions of flash that were begun.";
    list.counter("extstore_page_allocs", stats.regions_filled + 1, help);
    let help = "Regions of flash that were overwritten.";
    list.counter("extstore_page_evictions", overwritten(stats), help);
    let help = "Regions of flash that were used again, all of them by evicting what they held.";
    list.counter("extstore_page_reclaims", overwritten(stats), help);
    let free = (stats.regions - used) as usize;
    list.gauge("extstore_pages_free", free, "Regions of flash that hold nothing.");
    list.gauge("extstore_pages_used", used as usize, "Regions of flash that hold items.");
}

/// Regions that were begun again since the start.
fn overwritten(stats: &FlashStats) -> u64 {
    let again = |filled: u64| (filled + 1).saturating_sub(stats.regions);
    again(stats.regions_filled_before + stats.regions_filled) - again(stats.regions_filled_before)
}

fn objects(stats: &FlashStats, list: &mut List<'_>) {
    let help = "Items that were overwritten on flash, or forgotten for want of memory.";
    list.counter("extstore_objects_evicted", stats.evicted, help);
    list.counter("extstore_objects_read", stats.reads, "Reads of flash.");
    list.counter("extstore_objects_written", stats.put, "Items that went to flash.");
    list.gauge("extstore_objects_used", stats.items as usize, "Items on flash.");
    let help = "Bytes of flash that were overwritten, in whole regions.";
    list.counter("extstore_bytes_evicted", overwritten(stats) * stats.region_size, help);
    list.counter("extstore_bytes_written", stats.bytes_written, "Bytes written to flash.");
    list.counter("extstore_bytes_read", stats.bytes_read, "Bytes read from flash.");
    list.bytes("extstore_bytes_used", stats.bytes_used, "Bytes of flash that were written.");
    list.absent(&["extstore_bytes_fragmented"]);
}

/// How it is set up.
pub(super) fn settings(queue: &FlashQueue, runtime: &RuntimeSettings, list: &mut List<'_>) {
    let settings = queue.settings.lock();
    let kept = "Kept for memcached's tools.";
    list.setting("ext_item_size", settings.item_size, "Smaller items stay in memory, bytes.");
    list.setting("ext_item_age", settings.item_age, kept);
    list.setting("ext_low_ttl", settings.low_ttl, kept);
    list.setting("ext_recache_rate", settings.recache_rate, kept);
    let buffer = settings.wbuf_size.unwrap_or(0);
    list.setting("ext_wbuf_size", buffer, "What is written to flash at once, bytes.");
    list.setting("ext_compact_under", settings.compact_under, kept);
    list.setting("ext_drop_under", settings.drop_under, kept);
    list.setting("ext_max_sleep", settings.max_sleep, kept);
    list.setting("ext_max_frag", settings.max_frag, kept);
    let ratio = format_args!("{:.3}", runtime.slab_automove_freeratio);
    list.info("slab_automove_freeratio", Value::Text(&ratio), kept);
    list.setting("ext_drop_unread", settings.drop_unread, kept);
    let help = "Whether only items that were read go to flash.";
    list.setting("ext_fetched_only", settings.fetched_only, help);
}

/// `stats extstore`: each region, how often it was begun, and whether it holds something.
pub(crate) fn regions(shared: &Shared, mut each: impl FnMut(&str, u64)) {
    let Some(stats) = shared.core.cache.flash_stats() else { return };
    let filled = stats.regions_filled_before + stats.regions_filled;
    for region in 0..stats.regions {
        let laps = (filled + stats.regions - region) / stats.regions;
        let is_current = filled % stats.regions == region;
        let bytes = match laps {
            0 => 0,
            1 if is_current => stats.bytes_used % stats.region_size,
            _ => stats.region_size,
        };
        for (name, value) in [("version", laps), ("bytes", bytes), ("bucket", 0)] {
            each(&format!("{region}:{name}"), value);
        }
        each(&format!("{region}:free_bucket"), 0);
    }
}
