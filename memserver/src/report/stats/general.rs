//! The general section: memcached's names in memcached's order, zero for what does not exist. It
//! must stay below 4,096 bytes, because there are readers with a buffer of that size.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{List, cpu};
use crate::state::counters::Counts;
use crate::state::shared::Shared;

/// Reports it.
pub(super) fn report(shared: &Shared, list: &mut List<'_, '_>) {
    let counts = shared.gauges.counts();
    process(shared, list);
    connections(shared, &counts, list);
    commands(&counts, list);
    traffic(shared, &counts, list);
    housekeeping(shared, &counts, list);
    items(shared, list);
}

fn process(shared: &Shared, list: &mut List<'_, '_>) {
    let (user, system) = cpu::used();
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    list.add("pid", std::process::id());
    list.add("uptime", shared.core.cache.now().saturating_sub(shared.core.started));
    list.add("time", time);
    list.add("version", memproto::MEMCACHED_VERSION);
    list.add("libevent", "none");
    list.add("pointer_size", usize::BITS);
    for (name, used) in [("rusage_user", user), ("rusage_system", system)] {
        list.add(name, format_args!("{}.{:06}", used.as_secs(), used.subsec_micros()));
    }
}

fn connections(shared: &Shared, counts: &Counts, list: &mut List<'_, '_>) {
    let connections = &shared.gauges.connections;
    let current = connections.current.load(Ordering::Relaxed);
    list.add("max_connections", shared.core.config.max_connections);
    list.add("curr_connections", current);
    list.add("total_connections", connections.total.load(Ordering::Relaxed));
    list.add("rejected_connections", connections.rejected.load(Ordering::Relaxed));
    list.add("connection_structures", current);
    list.add("response_obj_oom", counts.response_oom);
    list.zeros(&["response_obj_count"]);
    list.add("response_obj_bytes", shared.budgets.backlogs.used());
    list.zeros(&["read_buf_count", "read_buf_bytes", "read_buf_bytes_free"]);
    list.add("read_buf_oom", shared.gauges.long_lines_refused.load(Ordering::Relaxed));
    list.add("reserved_fds", shared.core.config.own_descriptors());
}

fn commands(counts: &Counts, list: &mut List<'_, '_>) {
    for (name, count) in [
        ("cmd_get", counts.cmd_get),
        ("cmd_set", counts.cmd_set),
        ("cmd_flush", counts.cmd_flush),
        ("cmd_touch", counts.cmd_touch),
        ("cmd_meta", counts.cmd_meta),
        ("get_hits", counts.get_hits),
        ("get_misses", counts.get_misses),
        ("get_expired", counts.get_expired),
        ("get_flushed", counts.get_flushed),
        ("delete_misses", counts.delete_misses),
        ("delete_hits", counts.delete_hits),
        ("incr_misses", counts.incr_misses),
        ("incr_hits", counts.incr_hits.sum()),
        ("decr_misses", counts.decr_misses),
        ("decr_hits", counts.decr_hits.sum()),
        ("cas_misses", counts.cas_misses),
        ("cas_hits", counts.cas_hits.sum()),
        ("cas_badval", counts.cas_badval.sum()),
        ("touch_hits", counts.touch_hits.sum()),
        ("touch_misses", counts.touch_misses),
        ("store_too_large", counts.store_too_large),
        ("store_no_memory", counts.store_no_memory),
    ] {
        list.add(name, count);
    }
    list.zeros(&["auth_cmds", "auth_errors"]);
}

fn traffic(shared: &Shared, counts: &Counts, list: &mut List<'_, '_>) {
    let connections = &shared.gauges.connections;
    if shared.core.config.idle_timeout > 0 {
        list.add("idle_kicks", counts.idle_kicks);
    }
    list.add("bytes_read", counts.bytes_read);
    list.add("bytes_written", counts.bytes_written);
    list.add("limit_maxbytes", shared.core.cache.stats().limit);
    list.add("accepting_conns", u8::from(connections.accepting.load(Ordering::Relaxed)));
    list.add("listen_disabled_num", connections.listen_disabled.load(Ordering::Relaxed));
    let micros = connections.listen_disabled_us.load(Ordering::Relaxed);
    list.add("time_in_listen_disabled_us", micros);
    list.add("threads", shared.core.config.threads);
    list.add("conn_yields", counts.conn_yields);
}

fn housekeeping(shared: &Shared, counts: &Counts, list: &mut List<'_, '_>) {
    let stats = shared.core.cache.stats();
    list.add("hash_power_level", stats.index_slots.max(1).ilog2());
    list.add("hash_bytes", stats.index_bytes);
    list.zeros(&[
        "hash_is_expanding",
        "slab_reassign_rescues",
        "slab_reassign_chunk_rescues",
        "slab_reassign_inline_reclaim",
        "slab_reassign_busy_items",
        "slab_reassign_busy_deletes",
        "slab_reassign_busy_nomem",
        "slab_reassign_last_busy_status",
        "slab_reassign_running",
        "slabs_moved",
        "lru_crawler_running",
    ]);
    list.add("lru_crawler_starts", shared.gauges.crawls.load(Ordering::Relaxed));
    list.zeros(&["lru_maintainer_juggles"]);
    list.add("malloc_fails", counts.store_no_memory);
    let watch = &shared.watch.counts;
    for (name, count) in [
        ("log_worker_dropped", &watch.worker_dropped),
        ("log_worker_written", &watch.worker_written),
        ("log_watcher_skipped", &watch.watcher_skipped),
        ("log_watcher_sent", &watch.watcher_sent),
    ] {
        list.add(name, count.load(Ordering::Relaxed));
    }
    list.add("log_watchers", shared.watch.watchers());
    list.zeros(&["unexpected_napi_ids", "round_robin_fallback"]);
}

fn items(shared: &Shared, list: &mut List<'_, '_>) {
    let stats = shared.core.cache.stats();
    let total = &stats.total;
    list.add("bytes", total.bytes);
    list.add("curr_items", total.items);
    list.add("total_items", total.stored);
    list.add("slab_global_page_pool", stats.free_segments);
    list.add("expired_unfetched", total.expired_unfetched);
    list.add("evicted_unfetched", total.evicted_unfetched);
    list.add("evicted_active", total.evicted_active);
    list.add("evictions", total.evicted);
    list.add("reclaimed", total.expired);
    list.add("crawler_reclaimed", total.expired_swept);
    list.add("crawler_items_checked", total.swept);
    list.add("lrutail_reflocked", 0);
    list.zeros(&["moves_to_cold"]);
    list.add("moves_to_warm", total.promoted);
    list.add("moves_within_lru", total.reinserted);
    list.add("direct_reclaims", total.direct_reclaims);
    list.zeros(&["lru_bumps_dropped"]);
}
