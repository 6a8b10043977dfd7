//! The general section: memcached's names in memcached's order, zero for what does not exist. As
//! text it must stay below 4,096 bytes, because there are readers with a buffer of that size.

use std::sync::atomic::Ordering;

use memproto::MEMCACHED_VERSION;

use super::{Kind, List, Unit, Value, flash};
use crate::os::cpu;
use crate::state::counters::Counts;
use crate::state::shared::Shared;
use crate::tls::Context;

/// Reports it.
pub(super) fn report(shared: &Shared, list: &mut List<'_>) {
    let counts = shared.gauges.counts();
    process(shared, list);
    connections(shared, &counts, list);
    commands(shared, &counts, list);
    traffic(shared, &counts, list);
    upkeep(shared, &counts, list);
    items(shared, list);
    flash::tier(shared, list);
}

fn process(shared: &Shared, list: &mut List<'_>) {
    let (user, system) = cpu::used();
    let core = &shared.core;
    let uptime = u64::from(core.cache.now().as_secs().saturating_sub(core.started));
    // The clock that expires items. The system's may jump.
    let time = u64::from(core.cache.now().as_secs());
    let seconds = Unit::Seconds;
    list.info("pid", Value::Number(std::process::id().into()), "Number of the process.");
    let help = "Time since the start.";
    list.plain("uptime", Kind::Gauge, seconds, Value::Number(uptime), help);
    list.plain("time", Kind::Gauge, seconds, Value::Number(time), "Unix time.");
    let help = "Version of memcached that clients may expect.";
    list.info("version", Value::Text(&MEMCACHED_VERSION), help);
    list.info("libevent", Value::Text(&"none"), "Version of libevent.");
    list.info("pointer_size", Value::Number(usize::BITS.into()), "Bits of a pointer.");
    let help = "CPU time in user mode.";
    list.plain("rusage_user", Kind::Counter, seconds, Value::Time(user), help);
    let help = "CPU time in system mode.";
    list.plain("rusage_system", Kind::Counter, seconds, Value::Time(system), help);
}

fn connections(shared: &Shared, counts: &Counts, list: &mut List<'_>) {
    let connections = &shared.gauges.connections;
    let config = &shared.core.config;
    let current = connections.current.load(Ordering::Relaxed);
    list.gauge("max_connections", config.max_connections, "Client connections allowed.");
    list.gauge("curr_connections", current, "Open client connections.");
    let total = connections.total.load(Ordering::Relaxed);
    list.counter("total_connections", total, "Connections opened, sockets that listen included.");
    let rejected = connections.rejected.load(Ordering::Relaxed);
    list.counter("rejected_connections", rejected, "Client connections refused at the limit.");
    list.gauge("connection_structures", current, "Connection structures allocated.");
    let help = "Replies refused for lack of memory.";
    list.counter("response_obj_oom", counts.response_oom, help);
    list.absent(&["response_obj_count"]);
    let backlogs = shared.budgets.backlogs.used() as u64;
    list.bytes("response_obj_bytes", backlogs, "Bytes of replies that clients have not read.");
    list.absent(&["read_buf_count", "read_buf_bytes", "read_buf_bytes_free"]);
    let refused = shared.gauges.long_lines_refused.load(Ordering::Relaxed);
    let help = "Connections closed because clients held too much memory.";
    list.counter("read_buf_oom", refused, help);
    let help = "File descriptors that are not for clients.";
    list.gauge("reserved_fds", config.own_descriptors(), help);
}

fn commands(shared: &Shared, counts: &Counts, list: &mut List<'_>) {
    for (name, count, help) in [
        ("cmd_get", counts.cmd_get, "Keys asked for."),
        ("cmd_set", counts.cmd_set, "Storage requests."),
        ("cmd_flush", counts.cmd_flush, "Flushes."),
        ("cmd_touch", counts.cmd_touch, "Touches, get-and-touch included."),
        ("cmd_meta", counts.cmd_meta, "Meta requests."),
        ("get_hits", counts.get_hits, "Keys found."),
        ("get_misses", counts.get_misses, "Keys not found."),
        ("get_expired", counts.get_expired, "Keys not found because they had expired."),
        ("get_flushed", counts.get_flushed, "Keys not found because they were flushed."),
    ] {
        list.counter(name, count, help);
    }
    flash::lookups(shared, list);
    for (name, count, help) in [
        ("delete_misses", counts.delete_misses, "Deletes of a missing key."),
        ("delete_hits", counts.delete_hits, "Deletes."),
        ("incr_misses", counts.incr_misses, "Increments of a missing key."),
        ("incr_hits", counts.incr_hits.sum(), "Increments."),
        ("decr_misses", counts.decr_misses, "Decrements of a missing key."),
        ("decr_hits", counts.decr_hits.sum(), "Decrements."),
        ("cas_misses", counts.cas_misses, "Compare-and-swaps of a missing key."),
        ("cas_hits", counts.cas_hits.sum(), "Compare-and-swaps that stored."),
        ("cas_badval", counts.cas_badval.sum(), "Compare-and-swaps that met another version."),
        ("touch_hits", counts.touch_hits.sum(), "Touches of a present key."),
        ("touch_misses", counts.touch_misses, "Touches of a missing key."),
        ("store_too_large", counts.store_too_large, "Values over the item size limit."),
        ("store_no_memory", counts.store_no_memory, "Values that found no memory."),
    ] {
        list.counter(name, count, help);
    }
    list.counter("auth_cmds", counts.auth_cmds, "Logins.");
    list.counter("auth_errors", counts.auth_errors, "Logins that failed.");
}

fn traffic(shared: &Shared, counts: &Counts, list: &mut List<'_>) {
    let connections = &shared.gauges.connections;
    let counter = |value| (Kind::Counter, Value::Number(value));
    // memcached shows this line only if the feature is on.
    if shared.core.config.idle_timeout > 0 {
        list.counter("idle_kicks", counts.idle_kicks, "Connections closed because they were idle.");
    }
    let (kind, value) = counter(counts.bytes_read);
    list.plain("bytes_read", kind, Unit::Bytes, value, "Bytes received.");
    let (kind, value) = counter(counts.bytes_written);
    list.plain("bytes_written", kind, Unit::Bytes, value, "Bytes sent.");
    // Asked of the cache, as clients can change the limit.
    let limit = shared.cache_stats().limit as u64;
    list.bytes("limit_maxbytes", limit, "Memory limit of the cache.");
    let accepting = usize::from(connections.accepting.load(Ordering::Relaxed));
    list.gauge("accepting_conns", accepting, "Whether connections are accepted.");
    let disabled = connections.listen_disabled.load(Ordering::Relaxed);
    list.counter("listen_disabled_num", disabled, "Times that accepting was paused.");
    let (kind, value) = counter(connections.listen_disabled_us.load(Ordering::Relaxed));
    let help = "Time for which accepting was paused.";
    list.plain("time_in_listen_disabled_us", kind, Unit::Microseconds, value, help);
    list.gauge("threads", shared.core.config.threads, "Worker threads.");
    let help = "Times that a connection had to let others go first.";
    list.counter("conn_yields", counts.conn_yields, help);
}

fn upkeep(shared: &Shared, counts: &Counts, list: &mut List<'_>) {
    let stats = shared.cache_stats();
    let power = stats.index_slots.max(1).ilog2() as usize;
    list.gauge("hash_power_level", power, "Binary logarithm of the slots of the index.");
    list.bytes("hash_bytes", stats.index_bytes as u64, "Bytes of the index.");
    list.absent(&[
        "hash_is_expanding",
        "slab_reassign_rescues",
        "slab_reassign_chunk_rescues",
        "slab_reassign_inline_reclaim",
        "slab_reassign_busy_items",
        "slab_reassign_busy_deletes",
        "slab_reassign_busy_nomem",
    ]);
    let help = "Not applicable to this server.";
    list.info("slab_reassign_last_busy_status", Value::Text(&"none"), help);
    let shrinks = usize::from(stats.over_limit > 0);
    let help = "Whether memory above a lowered limit is being reclaimed.";
    list.gauge("slab_reassign_running", shrinks, help);
    list.absent(&["slabs_moved", "lru_crawler_running"]);
    let crawls = shared.gauges.crawls.load(Ordering::Relaxed);
    list.counter("lru_crawler_starts", crawls, "Searches for expired items.");
    list.absent(&["lru_maintainer_juggles"]);
    list.counter("malloc_fails", counts.store_no_memory, "Values that found no memory.");
    let watch = &shared.watch.counts;
    for (name, count, help) in [
        ("log_worker_dropped", &watch.worker_dropped, "Log lines dropped by workers."),
        ("log_worker_written", &watch.worker_written, "Log lines written by workers."),
        ("log_watcher_skipped", &watch.watcher_skipped, "Log lines skipped for slow watchers."),
        ("log_watcher_sent", &watch.watcher_sent, "Log lines sent to watchers."),
    ] {
        list.counter(name, count.load(Ordering::Relaxed), help);
    }
    list.gauge("log_watchers", shared.watch.watchers(), "Clients that watch.");
    if let Some(tls) = &shared.core.tls {
        encryption(shared, tls, list);
    }
    let connections = &shared.gauges.connections;
    let count = connections.unexpected_ways.load(Ordering::Relaxed);
    list.counter("unexpected_napi_ids", count, "Times that there were more queues than workers.");
    let count = connections.in_turn_instead.load(Ordering::Relaxed);
    let help = "Connections whose queue or processor the kernel did not tell.";
    list.counter("round_robin_fallback", count, help);
}

fn encryption(shared: &Shared, tls: &Context, list: &mut List<'_>) {
    let counts = &shared.gauges.tls;
    if shared.core.config.tls.as_ref().is_some_and(|settings| settings.session_cache) {
        let sessions = counts.new_sessions.load(Ordering::Relaxed);
        list.counter("ssl_new_sessions", sessions, "TLS sessions that clients may resume.");
    }
    let errors = counts.handshake_errors.load(Ordering::Relaxed);
    list.counter("ssl_handshake_errors", errors, "TLS handshakes that failed.");
    let errors = counts.protocol_errors.load(Ordering::Relaxed);
    let help = "TLS connections that broke the protocol after the handshake.";
    list.counter("ssl_proto_errors", errors, help);
    let (age, help) = (Value::Number(tls.age_secs()), "Time since the certificate was read.");
    list.plain("time_since_server_cert_refresh", Kind::Gauge, Unit::Seconds, age, help);
    let (days, help) =
        (Value::Number(tls.days_left()), "Days until the server's certificate ends.");
    list.plain("ssl_cert_days_left", Kind::Gauge, Unit::None, days, help);
}

fn items(shared: &Shared, list: &mut List<'_>) {
    let stats = shared.cache_stats();
    let total = &stats.total;
    list.bytes("bytes", total.bytes, "Bytes of all items.");
    list.plain("curr_items", Kind::Gauge, Unit::None, Value::Number(total.items), "Items.");
    list.counter("total_items", total.stored, "Items stored.");
    list.gauge("slab_global_page_pool", stats.free_segments, "Segments without items.");
    let help = "Expired items that were never fetched.";
    list.counter("expired_unfetched", total.expired_unfetched, help);
    let help = "Evicted items that were never fetched.";
    list.counter("evicted_unfetched", total.evicted_unfetched, help);
    list.counter("evicted_active", total.evicted_active, "Evicted items used recently.");
    list.counter("evictions", total.evicted, "Items evicted.");
    list.counter("reclaimed", total.expired, "Expired items removed.");
    let help = "Expired items removed by the background search.";
    list.counter("crawler_reclaimed", total.expired_swept, help);
    let help = "Items examined by the background search.";
    list.counter("crawler_items_checked", total.swept, help);
    list.absent(&["lrutail_reflocked", "moves_to_cold"]);
    let help = "Survivors of eviction that were used for the first time.";
    list.counter("moves_to_warm", total.promoted, help);
    list.counter("moves_within_lru", total.reinserted, "Other survivors of eviction.");
    let help = "Times that a store had to evict by itself.";
    list.counter("direct_reclaims", total.direct_reclaims, help);
    list.absent(&["lru_bumps_dropped"]);
}
