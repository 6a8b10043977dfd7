//! The settings: memcached's names in memcached's order, and our own version as the last one.

use std::sync::atomic::Ordering;

use super::{List, Value};
use crate::config::Config;
use crate::config::runtime::RuntimeSettings;
use crate::config::tls::{KeyFormat, TlsSettings};
use crate::state::core::Core;
use crate::state::shared::Shared;
use crate::watch::attention;

/// Reports them.
pub(super) fn report(shared: &Shared, list: &mut List<'_>) {
    let core = &shared.core;
    let config = &core.config;
    list.bytes("maxbytes", core.cache.stats().limit as u64, "Memory limit (-m).");
    listeners(core, list);
    service(config, shared.watch.attends(attention::DETAIL), list);
    // A copy, so that the lock is not held while lines are made.
    let runtime = *core.runtime.lock();
    slabs(config, &runtime, list);
    lru(config, &runtime, list);
    rest(config, &runtime, list);
    let sandbox = core.sandbox.get();
    list.setting("drop_privileges", sandbox.is_some(), "Whether system calls are filtered.");
    if let Some(queue) = &core.flash {
        super::flash::settings(queue, &runtime, list);
    }
    transport(config, list);
    let sandbox = sandbox.map_or("off", String::as_str);
    let help = "What the process has given up (--no-sandbox).";
    list.info("sandbox", Value::Text(&sandbox), help);
    if let Some(tls) = &core.tls {
        let library = tls.provider();
        list.info("ssl_provider", Value::Text(&library), "Library of TLS's cryptography.");
    }
    let own = env!("CARGO_PKG_VERSION");
    list.info("memserver_version", Value::Text(&own), "Version of this program.");
}

fn listeners(core: &Core, list: &mut List<'_>) {
    let Core { config, listening, .. } = core;
    list.setting("maxconns", config.max_connections, "Client connections allowed (-c).");
    list.setting("tcpport", u32::from(listening.tcp_port), "TCP port (-p).");
    list.setting("udpport", u32::from(listening.udp_port), "UDP port (-U).");
    let inter = config.inter.as_deref().unwrap_or("NULL");
    list.info("inter", Value::Text(&inter), "Addresses to listen on (-l).");
    let verbosity = u32::from(core.verbosity.load(Ordering::Relaxed));
    list.setting("verbosity", verbosity, "How much is logged (-v).");
    list.setting("oldest", 0_u32, "Not applicable to this server.");
    let evictions = if config.evictions { "on" } else { "off" };
    list.info("evictions", Value::Text(&evictions), "Whether a full cache evicts (-M).");
    let socket = config.unix_socket.as_ref().map(|path| path.display());
    let help = "Path of the Unix socket (-s).";
    match &socket {
        Some(path) => list.info("domain_socket", Value::Text(path), help),
        None => list.info("domain_socket", Value::Text(&"NULL"), help),
    }
    let mask = format_args!("{:o}", config.unix_mask);
    list.info("umask", Value::Text(&mask), "Access mask of the Unix socket, octal (-a).");
    let help = "Whether clients may stop the server (-A).";
    list.setting("shutdown_command", config.shutdown_command, help);
}

fn service(config: &Config, detail: bool, list: &mut List<'_>) {
    list.setting("growth_factor", config.growth_factor, "Kept for memcached's tools (-f).");
    list.setting("chunk_size", config.chunk_size, "Kept for memcached's tools (-n).");
    list.setting("num_threads", config.threads, "Worker threads (-t).");
    list.setting("num_threads_per_udp", config.threads, "Kept for memcached's tools.");
    let separator = Value::Text(&config.stat_key_prefix);
    list.info("stat_key_prefix", separator, "What ends the prefix of a key (-D).");
    list.setting("detail_enabled", detail, "Whether requests are counted by prefix.");
    let help = "Requests served per connection before others get their turn (-R).";
    list.setting("reqs_per_event", config.max_reqs_per_event, help);
    list.setting("cas_enabled", config.cas_enabled, "Whether items show their versions (-C).");
    list.setting("tcp_backlog", config.tcp_backlog, "Connections that may wait (-b).");
    let protocol = config.protocol.name();
    list.info("binding_protocol", Value::Text(&protocol), "Protocol of the clients (-B).");
    let by_sasl = config.users.by_sasl();
    list.setting("auth_enabled_sasl", by_sasl, "Whether SASL is required (-S).");
    let by_text = config.users.by_text();
    list.setting("auth_enabled_ascii", by_text, "Whether clients log in in text (-Y).");
    list.setting("item_size_max", config.item_size_max, "Largest item, bytes (-I).");
    let help = "Whether clients over the limit are refused at once.";
    list.setting("maxconns_fast", config.maxconns_fast, help);
}

fn slabs(config: &Config, runtime: &RuntimeSettings, list: &mut List<'_>) {
    let kept = "Kept for memcached's tools.";
    list.setting("hashpower_init", config.hashpower_init, kept);
    list.setting("slab_reassign", config.slab_reassign, kept);
    list.setting("slab_automove", runtime.slab_automove, kept);
    list.setting("slab_automove_ratio", runtime.slab_automove_ratio, kept);
    list.setting("slab_automove_window", runtime.slab_automove_window, kept);
    list.setting("slab_chunk_max", config.slab_chunk_max, kept);
}

fn lru(config: &Config, runtime: &RuntimeSettings, list: &mut List<'_>) {
    let kept = "Kept for memcached's tools.";
    list.setting("lru_crawler", runtime.lru_crawler, "Whether clients may crawl and dump keys.");
    list.setting("lru_crawler_sleep", runtime.lru_crawler_sleep, kept);
    list.setting("lru_crawler_tocrawl", runtime.lru_crawler_tocrawl, kept);
    list.setting("tail_repair_time", config.tail_repair_time, kept);
    list.setting("flush_enabled", config.flush_enabled, "Whether clients may flush (-F).");
    list.setting("dump_enabled", config.dump_enabled, "Whether clients may dump keys (-X).");
    list.info("hash_algorithm", Value::Text(&config.hash_algorithm), kept);
    list.setting("lru_maintainer_thread", config.lru_maintainer, kept);
    list.setting("lru_segmented", runtime.lru_segmented, kept);
    list.setting("hot_lru_pct", runtime.hot_lru_pct, kept);
    list.setting("warm_lru_pct", runtime.warm_lru_pct, kept);
    list.setting("hot_max_factor", runtime.hot_max_factor, kept);
    list.setting("warm_max_factor", runtime.warm_max_factor, kept);
    list.setting("temp_lru", runtime.temp_lru, kept);
    list.setting("temporary_ttl", runtime.temporary_ttl, kept);
}

fn rest(config: &Config, runtime: &RuntimeSettings, list: &mut List<'_>) {
    let help = "Seconds after which idle clients are closed; 0 for never.";
    list.setting("idle_timeout", config.idle_timeout, help);
    let help = "Bytes that may wait for one watcher.";
    list.setting("watcher_logbuf_size", config.watcher_logbuf_size, help);
    let help = "Bytes that each worker may have logged for watchers.";
    list.setting("worker_logbuf_size", config.worker_logbuf_size, help);
    let help = "Bytes of unfinished request lines; 0 for the default.";
    list.setting("read_buf_mem_limit", config.read_buf_mem_limit, help);
    list.setting("track_sizes", runtime.track_sizes, "Whether `stats sizes` is on.");
    list.setting("inline_ascii_response", false, "Not applicable to this server.");
}

fn transport(config: &Config, list: &mut List<'_>) {
    list.setting("ssl_enabled", config.tls.is_some(), "Whether clients use TLS (-Z).");
    if let Some(settings) = &config.tls {
        encryption(settings, list);
    }
    let help = "Network queues that are spread over the workers.";
    list.setting("num_napi_ids", config.napi_ids, help);
    let file = config.memory_file.as_ref().map_or("(null)".into(), |path| path.to_string_lossy());
    list.info("memory_file", Value::Text(&file), "File that the cache lies in.");
    list.setting("client_flags_size", 4_u32, "Bytes of an item's flags.");
}

fn encryption(settings: &TlsSettings, list: &mut List<'_>) {
    // Where the files are is none of the clients' business; memcached shows their paths.
    let given = |is_set: bool| if is_set { "set" } else { "NULL" };
    list.info("ssl_chain_cert", Value::Text(&"set"), "Whether there is a certificate.");
    let key = given(settings.key.is_some());
    list.info("ssl_key", Value::Text(&key), "Whether the key has a file of its own.");
    let mode = settings.verify_mode.bits();
    list.setting("ssl_verify_mode", mode, "OpenSSL's bits for the check of clients.");
    let format = u32::from(settings.key_format == KeyFormat::Der) + 1;
    list.setting("ssl_keyformat", format, "Format of the key: 1 PEM, 2 DER.");
    let ciphers = settings.ciphers.as_deref().unwrap_or("NULL");
    list.info("ssl_ciphers", Value::Text(&ciphers), "Cipher suites that were chosen.");
    let authorities = given(settings.ca_cert.is_some());
    let help = "Whether there are authorities for clients' certificates.";
    list.info("ssl_ca_cert", Value::Text(&authorities), help);
    list.setting("ssl_wbuf_size", settings.wbuf_size, "Bytes that are encrypted at once.");
    let help = "Whether clients may resume sessions.";
    list.setting("ssl_session_cache", settings.session_cache, help);
    list.setting("ssl_kernel_tls", false, "Not applicable to this server.");
    let version = settings.min_version.name();
    list.info("ssl_min_version", Value::Text(&version), "Lowest version that is spoken.");
}
