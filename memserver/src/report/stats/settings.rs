//! `stats settings`: memcached's names in memcached's order, and our own version as the last line.

use std::sync::atomic::Ordering;

use super::List;
use crate::config::Config;
use crate::config::runtime::RuntimeSettings;
use crate::state::core::Core;
use crate::state::shared::Shared;
use crate::watch::attention;

/// Reports it.
pub(super) fn report(shared: &Shared, list: &mut List<'_, '_>) {
    let config = &shared.core.config;
    list.add("maxbytes", shared.core.cache.stats().limit);
    listeners(&shared.core, shared.core.verbosity.load(Ordering::Relaxed), list);
    let detail = shared.watch.attends(attention::DETAIL);
    service(config, detail, list);
    let runtime = *shared.core.runtime.lock();
    slabs(config, &runtime, list);
    lru(config, &runtime, list);
    rest(config, &runtime, list);
    list.add("memserver_version", env!("CARGO_PKG_VERSION"));
}

fn listeners(core: &Core, verbosity: u8, list: &mut List<'_, '_>) {
    let Core { config, listening, .. } = core;
    list.add("maxconns", config.max_connections);
    list.add("tcpport", listening.tcp_port);
    list.add("udpport", listening.udp_port);
    list.add("inter", config.inter.as_deref().unwrap_or("NULL"));
    list.add("verbosity", verbosity);
    list.add("oldest", 0);
    list.add("evictions", if config.evictions { "on" } else { "off" });
    match &config.unix_socket {
        Some(path) => list.add("domain_socket", path.display()),
        None => list.add("domain_socket", "NULL"),
    }
    list.add("umask", format_args!("{:o}", config.unix_mask));
    list.add("shutdown_command", yes(config.shutdown_command));
}

fn service(config: &Config, detail: bool, list: &mut List<'_, '_>) {
    list.add("growth_factor", format_args!("{:.2}", config.growth_factor));
    list.add("chunk_size", config.chunk_size);
    list.add("num_threads", config.threads);
    list.add("num_threads_per_udp", config.threads);
    list.add("stat_key_prefix", config.stat_key_prefix);
    list.add("detail_enabled", yes(detail));
    list.add("reqs_per_event", config.max_reqs_per_event);
    list.add("cas_enabled", yes(config.cas_enabled));
    list.add("tcp_backlog", config.tcp_backlog);
    list.add("binding_protocol", config.protocol.name());
    list.add("auth_enabled_sasl", "no");
    list.add("auth_enabled_ascii", "no");
    list.add("item_size_max", config.item_size_max);
    list.add("maxconns_fast", yes(config.maxconns_fast));
}

fn slabs(config: &Config, runtime: &RuntimeSettings, list: &mut List<'_, '_>) {
    list.add("hashpower_init", config.hashpower_init);
    list.add("slab_reassign", yes(config.slab_reassign));
    list.add("slab_automove", runtime.slab_automove);
    list.add("slab_automove_ratio", format_args!("{:.2}", runtime.slab_automove_ratio));
    list.add("slab_automove_window", runtime.slab_automove_window);
    list.add("slab_chunk_max", config.slab_chunk_max);
}

fn lru(config: &Config, runtime: &RuntimeSettings, list: &mut List<'_, '_>) {
    list.add("lru_crawler", yes(runtime.lru_crawler));
    list.add("lru_crawler_sleep", runtime.lru_crawler_sleep);
    list.add("lru_crawler_tocrawl", runtime.lru_crawler_tocrawl);
    list.add("tail_repair_time", config.tail_repair_time);
    list.add("flush_enabled", yes(config.flush_enabled));
    list.add("dump_enabled", yes(config.dump_enabled));
    list.add("hash_algorithm", config.hash_algorithm);
    list.add("lru_maintainer_thread", yes(config.lru_maintainer));
    list.add("lru_segmented", yes(runtime.lru_segmented));
    list.add("hot_lru_pct", runtime.hot_lru_pct);
    list.add("warm_lru_pct", runtime.warm_lru_pct);
    list.add("hot_max_factor", format_args!("{:.2}", runtime.hot_max_factor));
    list.add("warm_max_factor", format_args!("{:.2}", runtime.warm_max_factor));
    list.add("temp_lru", yes(runtime.temp_lru));
    list.add("temporary_ttl", runtime.temporary_ttl);
}

fn rest(config: &Config, runtime: &RuntimeSettings, list: &mut List<'_, '_>) {
    list.add("idle_timeout", config.idle_timeout);
    list.add("watcher_logbuf_size", config.watcher_logbuf_size);
    list.add("worker_logbuf_size", config.worker_logbuf_size);
    list.add("read_buf_mem_limit", config.read_buf_mem_limit);
    list.add("track_sizes", yes(runtime.track_sizes));
    list.add("inline_ascii_response", "no");
    list.add("ssl_enabled", "no");
    list.add("num_napi_ids", "(null)");
    list.add("memory_file", "(null)");
    list.add("client_flags_size", 4);
}

fn yes(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}
