//! Statistics: names, order, sizes and numbers that must be true.

mod common;

use common::Server;

/// What other programs index by.
const GENERAL: &str = "pid uptime time version libevent pointer_size rusage_user rusage_system \
    max_connections curr_connections total_connections rejected_connections connection_structures \
    response_obj_oom response_obj_count response_obj_bytes read_buf_count read_buf_bytes \
    read_buf_bytes_free read_buf_oom reserved_fds cmd_get cmd_set cmd_flush cmd_touch cmd_meta \
    get_hits get_misses get_expired get_flushed delete_misses delete_hits incr_misses incr_hits \
    decr_misses decr_hits cas_misses cas_hits cas_badval touch_hits touch_misses store_too_large \
    store_no_memory auth_cmds auth_errors bytes_read bytes_written limit_maxbytes accepting_conns \
    listen_disabled_num time_in_listen_disabled_us threads conn_yields hash_power_level hash_bytes \
    hash_is_expanding slab_reassign_rescues slab_reassign_chunk_rescues \
    slab_reassign_inline_reclaim slab_reassign_busy_items slab_reassign_busy_deletes \
    slab_reassign_busy_nomem slab_reassign_last_busy_status slab_reassign_running slabs_moved \
    lru_crawler_running lru_crawler_starts lru_maintainer_juggles malloc_fails log_worker_dropped \
    log_worker_written log_watcher_skipped log_watcher_sent log_watchers unexpected_napi_ids \
    round_robin_fallback bytes curr_items total_items slab_global_page_pool expired_unfetched \
    evicted_unfetched evicted_active evictions reclaimed crawler_reclaimed crawler_items_checked \
    lrutail_reflocked moves_to_cold moves_to_warm moves_within_lru direct_reclaims \
    lru_bumps_dropped";

#[test]
fn the_general_section_has_memcacheds_names_in_its_order() {
    let reply = Server::start().reply("stats\r\n");
    assert_eq!(names(&reply), GENERAL.split_ascii_whitespace().collect::<Vec<_>>());
    assert!(reply.ends_with("END\r\n"));
}

#[test]
fn the_general_section_fits_the_smallest_reader() {
    let mut server = Server::start();
    for _ in 0..200 {
        server.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n");
    }
    let reply = server.reply("stats\r\n");
    assert!(reply.len() < 3_000, "{} bytes leave no room for large numbers", reply.len());
    for line in reply.lines().filter(|line| *line != "END") {
        assert_eq!(line.split(' ').count(), 3, "{line}");
        assert!(line.starts_with("STAT "));
    }
}

#[test]
fn three_words_find_three_lines() {
    let reply = Server::start().reply("stats\r\n");
    let words = ["version", "limit_maxbytes", "max_connections"];
    let found = reply.lines().filter(|line| words.iter().any(|word| line.contains(word)));
    assert_eq!(found.count(), 3);
    assert!(reply.contains("STAT version 1.6.45\r\n"));
}

#[test]
fn every_command_is_counted_as_memcached_counts_it() {
    let mut server = Server::start();
    server.reply("set a 0 0 1\r\n1\r\nget a b a\r\ngat 0 a b\r\ntouch a 0\r\ntouch b 0\r\n");
    server.reply("incr a 1\r\nincr b 1\r\ndecr a 1\r\ndecr b 1\r\ndelete b\r\n");
    server.reply("cas b 0 0 1 1\r\nx\r\ncas a 0 0 1 18446744073709551615\r\nx\r\n");
    server.reply("mg a v\r\nmg b v\r\nms c 1\r\nx\r\nmd c I\r\nmd c C1\r\nmd c\r\nflush_all\r\n");
    for (name, count) in [
        ("cmd_get", 5),
        ("get_hits", 3),
        ("get_misses", 2),
        ("cmd_touch", 4),
        ("touch_hits", 2),
        ("touch_misses", 2),
        ("cmd_set", 4),
        ("cmd_meta", 6),
        ("incr_hits", 1),
        ("incr_misses", 1),
        ("decr_hits", 1),
        ("decr_misses", 1),
        ("delete_hits", 1),
        ("delete_misses", 2),
        ("cas_misses", 1),
        ("cas_badval", 1),
        ("cas_hits", 0),
        ("cmd_flush", 1),
    ] {
        assert_eq!(server.stat("stats", name), count, "{name}");
    }
    server.ask("stats reset\r\n", "RESET\r\n");
    for name in ["cmd_get", "get_hits", "cmd_set", "cmd_meta", "touch_hits", "cmd_flush"] {
        assert_eq!(server.stat("stats", name), 0, "{name} after a reset");
    }
    server.reply("get a\r\n");
    assert_eq!(server.stat("stats", "cmd_get"), 1);
}

/// As counted by a memcached 1.6.18 for the same requests.
#[test]
fn numbers_that_are_created_and_values_that_are_spoiled_count_as_in_memcached() {
    let mut server = Server::start();
    let created = [
        server.reply("ma a N0 J5 v\r\n"),
        server.reply("ma b N0 MD\r\n"),
        server.reply("ma a N0 v\r\nma nosuch\r\n"),
    ];
    assert_eq!(created.concat(), "VA 1\r\n5\r\nHD\r\nVA 1\r\n6\r\nNF\r\n");
    let long = format!("set c 0 0 70000\r\n{}xx", "x".repeat(70_000));
    let spoiled = ["set c 0 0 1\r\nxxx", "set c 0 0 1 noreply\r\nxxx", "ms c 1\r\nxxx", &long];
    let replies: String = spoiled.iter().map(|request| server.reply(request)).collect();
    assert_eq!(replies, "CLIENT_ERROR bad data chunk\r\n".repeat(3));
    for (name, count) in [
        ("incr_hits", 1),
        ("incr_misses", 1),
        ("decr_hits", 0),
        ("decr_misses", 0),
        ("cmd_set", 4),
        ("cmd_meta", 5),
        ("total_items", 2),
    ] {
        assert_eq!(server.stat("stats", name), count, "{name}");
    }
}

/// As counted by a memcached 1.6.18. It does not count binary ones that are refused.
#[test]
fn flushes_count_whatever_becomes_of_them() {
    const BINARY: &[u8] = b"\x80\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for (flags, count) in [(&[][..], 4), (&["-F"], 3)] {
        let mut server = Server::with_flags(flags);
        server.reply("flush_all\r\nflush_all x\r\nflush_all noreply\r\n");
        server.another().feed(BINARY);
        assert_eq!(server.stat("stats", "cmd_flush"), count, "{flags:?}");
    }
}

#[test]
fn misses_tell_their_cause() {
    let mut server = Server::start();
    server
        .reply("set a 0 -1 1\r\n1\r\nget a\r\nset b 0 0 1\r\n1\r\nflush_all\r\nget b\r\nget c\r\n");
    assert_eq!(server.stat("stats", "get_misses"), 3);
    assert_eq!(server.stat("stats", "get_expired"), 1);
    assert_eq!(server.stat("stats", "get_flushed"), 1);
}

/// The settings of a memcached with TLS and without flash tier or proxy, then our own.
const SETTINGS: &str = "maxbytes maxconns tcpport udpport inter verbosity oldest evictions \
    domain_socket umask shutdown_command growth_factor chunk_size num_threads num_threads_per_udp \
    stat_key_prefix detail_enabled reqs_per_event cas_enabled tcp_backlog binding_protocol \
    auth_enabled_sasl auth_enabled_ascii item_size_max maxconns_fast hashpower_init slab_reassign \
    slab_automove slab_automove_ratio slab_automove_window slab_chunk_max lru_crawler \
    lru_crawler_sleep lru_crawler_tocrawl tail_repair_time flush_enabled dump_enabled \
    hash_algorithm lru_maintainer_thread lru_segmented hot_lru_pct warm_lru_pct hot_max_factor \
    warm_max_factor temp_lru temporary_ttl idle_timeout watcher_logbuf_size worker_logbuf_size \
    read_buf_mem_limit track_sizes inline_ascii_response drop_privileges ssl_enabled num_napi_ids \
    memory_file client_flags_size sandbox memserver_version";

/// What a class has in `stats items`.
const ITEMS: &str = "number number_hot number_warm number_cold age_hot age_warm age mem_requested \
    evicted evicted_nonzero evicted_time outofmemory tailrepairs reclaimed expired_unfetched \
    evicted_unfetched evicted_active crawler_reclaimed crawler_items_checked lrutail_reflocked \
    moves_to_cold moves_to_warm moves_within_lru direct_reclaims hits_to_hot hits_to_warm \
    hits_to_cold hits_to_temp";

/// What a class has in `stats slabs`.
const SLABS: &str = "chunk_size chunks_per_page total_pages total_chunks used_chunks free_chunks \
    free_chunks_end get_hits cmd_set delete_hits incr_hits decr_hits cas_hits cas_badval \
    touch_hits";

/// The names of a list, in order.
fn names(reply: &str) -> Vec<&str> {
    reply.lines().filter_map(|line| line.split(' ').nth(1)).collect()
}

#[test]
fn the_other_sections_have_memcacheds_names_in_its_order() {
    let mut server = Server::start();
    server.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n");
    let settings = server.reply("stats settings\r\n");
    assert_eq!(
        names(&settings).join(" "),
        SETTINGS.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    for (section, prefix, expected) in [("items", "items:", ITEMS), ("slabs", "", SLABS)] {
        let reply = server.reply(&format!("stats {section}\r\n"));
        let strip = |name: &str| {
            let (class, name) = name.strip_prefix(prefix)?.split_once(':')?;
            class.parse::<u8>().ok().map(|_| name.to_owned())
        };
        let found: Vec<String> = names(&reply).into_iter().filter_map(strip).collect();
        assert_eq!(found, expected.split_whitespace().collect::<Vec<_>>(), "{section}");
    }
}

#[test]
fn settings_end_with_our_own_version() {
    let reply = Server::start().reply("stats settings\r\n");
    assert!(reply.starts_with("STAT maxbytes 67108864\r\nSTAT maxconns 1024\r\nSTAT tcpport "));
    let own = concat!("STAT memserver_version ", env!("CARGO_PKG_VERSION"), "\r\nEND\r\n");
    assert!(reply.ends_with(own));
    for line in [
        "item_size_max 1048576",
        "evictions on",
        "umask 700",
        "cas_enabled yes",
        "binding_protocol auto-negotiate",
        "hot_lru_pct 20",
        "warm_max_factor 2.00",
    ] {
        assert!(reply.contains(&format!("STAT {line}\r\n")), "{line}");
    }
}

#[test]
fn classes_are_shown_in_the_shape_that_tools_parse() {
    let mut server = Server::start();
    server.reply("set a 0 0 1\r\n1\r\nget a\r\nget a\r\n");
    let items = server.reply("stats items\r\n");
    let numbers: u64 = items
        .lines()
        .filter(|line| line.split(' ').nth(1).is_some_and(|name| name.ends_with(":number")))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(numbers, 1);
    for line in items.lines().filter(|line| *line != "END") {
        let name = line.split(' ').nth(1).unwrap();
        let mut parts = name.split(':');
        assert_eq!(parts.next(), Some("items"));
        assert!(parts.next().unwrap().parse::<u8>().unwrap() >= 1);
    }
    let slabs = server.reply("stats slabs\r\n");
    let general = ["active_slabs", "total_malloced"];
    for line in slabs.lines().filter(|line| *line != "END") {
        let name = line.split(' ').nth(1).unwrap();
        assert!(name.contains(':') || general.contains(&name), "{line}");
    }
    assert!(server.stat("stats slabs", "active_slabs") >= 1);
    assert!(server.stat("stats slabs", "total_malloced") > 0);
}

/// What the memcached exporter for Prometheus, telegraf, OpenTelemetry, collectd, munin, netdata
/// and the agents of Zabbix and Datadog read, all of them together, from the general section,
const READ_GENERAL: &str = "pid uptime time version pointer_size rusage_user rusage_system \
    max_connections curr_connections total_connections rejected_connections connection_structures \
    cmd_get cmd_set cmd_flush cmd_touch get_hits get_misses get_expired get_flushed delete_misses \
    delete_hits incr_misses incr_hits decr_misses decr_hits cas_misses cas_hits cas_badval \
    touch_hits touch_misses auth_cmds auth_errors bytes_read bytes_written limit_maxbytes \
    accepting_conns listen_disabled_num threads conn_yields hash_power_level hash_bytes \
    hash_is_expanding bytes curr_items total_items expired_unfetched evicted_unfetched \
    evicted_active evictions reclaimed lru_crawler_starts crawler_reclaimed crawler_items_checked \
    moves_to_cold moves_to_warm moves_within_lru direct_reclaims store_too_large store_no_memory";
/// the settings,
const READ_SETTINGS: &str = "maxbytes maxconns lru_crawler lru_crawler_sleep lru_crawler_tocrawl \
    lru_maintainer_thread hot_lru_pct warm_lru_pct hot_max_factor warm_max_factor item_size_max";
/// and each class.
const READ_ITEMS: &str = "number number_hot number_warm number_cold age age_hot age_warm \
    mem_requested evicted evicted_nonzero evicted_time outofmemory tailrepairs reclaimed \
    expired_unfetched evicted_unfetched crawler_reclaimed lrutail_reflocked moves_to_cold \
    moves_to_warm moves_within_lru direct_reclaims hits_to_hot hits_to_warm hits_to_cold \
    hits_to_temp";
const READ_SLABS: &str = "chunk_size chunks_per_page total_pages total_chunks used_chunks \
    free_chunks free_chunks_end get_hits cmd_set delete_hits incr_hits decr_hits cas_hits \
    cas_badval touch_hits";

#[test]
fn agents_find_every_key_in_the_form_they_parse() {
    let mut server = Server::start();
    server.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n");
    for (section, prefix, keys) in [
        ("stats", "", READ_GENERAL),
        ("stats settings", "", READ_SETTINGS),
        ("stats items", "items:1:", READ_ITEMS),
        ("stats slabs", "1:", READ_SLABS),
        ("stats slabs", "", "active_slabs total_malloced"),
    ] {
        let reply = server.reply(&format!("{section}\r\n"));
        for key in keys.split_ascii_whitespace() {
            let line = format!("STAT {prefix}{key} ");
            let found = reply.lines().filter_map(|shown| shown.strip_prefix(&line));
            let found: Vec<&str> = found.collect();
            assert_eq!(found.len(), 1, "{section}: {prefix}{key}");
            let as_read = match key {
                "version" => found[0].split('.').map(str::parse::<u64>).all(|part| part.is_ok()),
                "rusage_user" | "rusage_system" => found[0]
                    .split_once('.')
                    .is_some_and(|(_, micros)| micros.len() == 6 && micros.parse::<u32>().is_ok()),
                "hot_max_factor" | "warm_max_factor" => found[0].parse::<f64>().is_ok(),
                "lru_crawler" | "lru_maintainer_thread" => ["yes", "no"].contains(&found[0]),
                _ => found[0].parse::<u64>().is_ok(),
            };
            assert!(as_read, "{key} can't be {:?}", found[0]);
        }
    }
}

#[test]
fn settings_and_sections_that_exporters_read() {
    let mut server = Server::with_flags(&["-l", "127.0.0.1, ::1"]);
    let settings = server.reply("stats settings\r\n");
    for line in ["inter 127.0.0.1,::1", "num_napi_ids 0", "drop_privileges no"] {
        assert!(settings.contains(&format!("STAT {line}\r\n")), "{line}");
    }
    for line in settings.lines().filter(|line| *line != "END") {
        assert_eq!(line.split(' ').count(), 3, "{line}");
    }
    let general = server.reply("stats\r\n");
    assert!(general.contains("STAT slab_reassign_last_busy_status none\r\n"));
    server.ask("stats extstore\r\n", "END\r\n");
    // The clock that expires items, which a test moves.
    let before = server.stat("stats", "time");
    server.advance(100);
    assert_eq!(server.stat("stats", "time"), before + 100);
}

/// Over loopback the kernel tells no queue, but a processor.
#[test]
fn queues_of_network_cards_are_shown() {
    for (flags, queues) in [
        (&["-t", "2", "-N", "2"][..], 2),
        (&["-t", "2", "-o", "incoming_cpu,busy_poll=20"], 0),
        (&["-t", "2"], 0),
    ] {
        let mut server = Server::with_flags(flags);
        assert_eq!(server.stat("stats settings", "num_napi_ids"), queues, "{flags:?}");
        assert_eq!(server.stat("stats", "unexpected_napi_ids"), 0, "{flags:?}");
    }
}
