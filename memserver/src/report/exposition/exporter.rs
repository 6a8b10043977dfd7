//! The families of Prometheus's memcached exporter, under its names and labels, so that dashboards
//! and alerts that were made for it work unchanged. Their values are those that `stats` prints.

use std::collections::HashMap;

use super::Kind::{self, Counter, Gauge};
use super::Page;
use crate::report::metrics::{self, Section, Value};
use crate::state::shared::Shared;

use Section::{General, Items, Settings, Slabs};

/// A family whose samples are one statistic.
struct Row {
    name: &'static str,
    kind: Kind,
    section: Section,
    stat: &'static str,
    help: &'static str,
}

/// A constructor for the rows of one section.
macro_rules! rows_of {
    ($name:ident, $section:expr) => {
        const fn $name(
            name: &'static str,
            kind: Kind,
            stat: &'static str,
            help: &'static str,
        ) -> Row {
            Row { name, kind, section: $section, stat, help }
        }
    };
}
rows_of!(general, General);
rows_of!(settings, Settings);
rows_of!(slabs, Slabs);
rows_of!(items, Items);

/// Families without labels.
#[rustfmt::skip]
static SINGLE: &[Row] = &[
    general("memcached_uptime_seconds", Counter, "uptime",
        "Number of seconds since the server started."),
    general("memcached_time_seconds", Gauge, "time",
        "Current UNIX time according to the server."),
    general("memcached_process_user_cpu_seconds_total", Counter, "rusage_user",
        "Accumulated user time for this process."),
    general("memcached_process_system_cpu_seconds_total", Counter, "rusage_system",
        "Accumulated system time for this process."),
    general("memcached_read_bytes_total", Counter, "bytes_read",
        "Total number of bytes read by this server from network."),
    general("memcached_written_bytes_total", Counter, "bytes_written",
        "Total number of bytes sent by this server to network."),
    general("memcached_current_connections", Gauge, "curr_connections",
        "Current number of open connections."),
    general("memcached_connections_total", Counter, "total_connections",
        "Total number of connections opened since the server started running."),
    settings("memcached_max_connections", Gauge, "maxconns",
        "Maximum number of clients allowed."),
    general("memcached_connections_rejected_total", Counter, "rejected_connections",
        "Total number of connections rejected because of the limit on clients."),
    general("memcached_connections_yielded_total", Counter, "conn_yields",
        "Total number of times that a connection had to let others go first."),
    general("memcached_connections_listener_disabled_total", Counter, "listen_disabled_num",
        "Number of times that accepting connections was paused."),
    general("memcached_accepting_connections", Gauge, "accepting_conns",
        "Whether the server is accepting new connections."),
    general("memcached_current_bytes", Gauge, "bytes",
        "Current number of bytes used to store items."),
    general("memcached_limit_bytes", Gauge, "limit_maxbytes",
        "Number of bytes this server is allowed to use for storage."),
    general("memcached_current_items", Gauge, "curr_items",
        "Current number of items stored by this instance."),
    general("memcached_items_total", Counter, "total_items",
        "Total number of items stored during the life of this instance."),
    general("memcached_items_evicted_total", Counter, "evictions",
        "Total number of valid items removed to free memory for new items."),
    general("memcached_items_reclaimed_total", Counter, "reclaimed",
        "Total number of expired items removed."),
    general("memcached_direct_reclaims_total", Counter, "direct_reclaims",
        "Times worker threads had to evict items themselves."),
    general("memcached_item_too_large_total", Counter, "store_too_large",
        "Number of values over the item size limit."),
    general("memcached_item_no_memory_total", Counter, "store_no_memory",
        "Number of values that found no memory."),
    settings("memcached_lru_crawler_enabled", Gauge, "lru_crawler",
        "Whether the LRU crawler is enabled."),
    settings("memcached_lru_crawler_sleep", Gauge, "lru_crawler_sleep",
        "Microseconds to sleep between LRU crawls."),
    settings("memcached_lru_crawler_to_crawl", Gauge, "lru_crawler_tocrawl",
        "Max items to crawl per slab per run."),
    settings("memcached_lru_crawler_maintainer_thread", Gauge, "lru_maintainer_thread",
        "Split LRU mode and background threads."),
    settings("memcached_lru_crawler_hot_percent", Gauge, "hot_lru_pct",
        "Percent of slab memory reserved for HOT LRU."),
    settings("memcached_lru_crawler_warm_percent", Gauge, "warm_lru_pct",
        "Percent of slab memory reserved for WARM LRU."),
    settings("memcached_lru_crawler_hot_max_factor", Gauge, "hot_max_factor",
        "Set idle age of HOT LRU to COLD age * this."),
    settings("memcached_lru_crawler_warm_max_factor", Gauge, "warm_max_factor",
        "Set idle age of WARM LRU to COLD age * this."),
    general("memcached_lru_crawler_starts_total", Counter, "lru_crawler_starts",
        "Times an LRU crawler was started."),
    general("memcached_lru_crawler_reclaimed_total", Counter, "crawler_reclaimed",
        "Total items freed by LRU crawler."),
    general("memcached_lru_crawler_items_checked_total", Counter, "crawler_items_checked",
        "Total items examined by LRU crawler."),
    general("memcached_lru_crawler_moves_to_cold_total", Counter, "moves_to_cold",
        "Not applicable to this server."),
    general("memcached_lru_crawler_moves_to_warm_total", Counter, "moves_to_warm",
        "Total number of survivors of eviction that were used for the first time."),
    general("memcached_lru_crawler_moves_within_lru_total", Counter, "moves_within_lru",
        "Total number of other survivors of eviction."),
    slabs("memcached_malloced_bytes", Gauge, "total_malloced",
        "Number of bytes of memory allocated to slab pages."),
];

/// Families of which each size class has a sample, with its number as the label `slab`.
#[rustfmt::skip]
static BY_CLASS: &[Row] = &[
    slabs("memcached_slab_chunk_size_bytes", Gauge, "chunk_size",
        "Size of the largest item of this class."),
    slabs("memcached_slab_chunks_per_page", Gauge, "chunks_per_page",
        "Number of largest items that fit one segment."),
    slabs("memcached_slab_current_pages", Gauge, "total_pages",
        "Number of segments of this class."),
    slabs("memcached_slab_current_chunks", Gauge, "total_chunks",
        "Number of largest items that fit the segments of this class."),
    slabs("memcached_slab_chunks_used", Gauge, "used_chunks",
        "Number of items of this class."),
    slabs("memcached_slab_chunks_free", Gauge, "free_chunks",
        "Number of largest items that still fit."),
    slabs("memcached_slab_chunks_free_end", Gauge, "free_chunks_end",
        "Not applicable to this server."),
    items("memcached_slab_mem_requested_bytes", Gauge, "mem_requested",
        "Number of bytes of all items of this class."),
    items("memcached_slab_current_items", Gauge, "number",
        "Number of items currently stored in this class."),
    items("memcached_slab_items_age_seconds", Gauge, "age",
        "Age of the oldest segment of this class."),
    items("memcached_slab_items_crawler_reclaimed_total", Counter, "crawler_reclaimed",
        "Number of items freed by the LRU crawler."),
    items("memcached_slab_items_evicted_total", Counter, "evicted",
        "Number of items evicted."),
    items("memcached_slab_items_evicted_nonzero_total", Counter, "evicted_nonzero",
        "Number of evicted items with an expiry."),
    items("memcached_slab_items_evicted_time_seconds", Gauge, "evicted_time",
        "Seconds since the last access for the most recent item evicted."),
    items("memcached_slab_items_evicted_unfetched_total", Counter, "evicted_unfetched",
        "Number of items evicted and never fetched."),
    items("memcached_slab_items_expired_unfetched_total", Counter, "expired_unfetched",
        "Number of items expired and never fetched."),
    items("memcached_slab_items_outofmemory_total", Counter, "outofmemory",
        "Number of stores that found no memory."),
    items("memcached_slab_items_reclaimed_total", Counter, "reclaimed",
        "Number of expired items removed."),
    items("memcached_slab_items_tailrepairs_total", Counter, "tailrepairs",
        "Not applicable to this server."),
    items("memcached_slab_items_moves_to_cold", Counter, "moves_to_cold",
        "Not applicable to this server."),
    items("memcached_slab_items_moves_to_warm", Counter, "moves_to_warm",
        "Number of survivors of eviction that were used for the first time."),
    items("memcached_slab_items_moves_within_lru", Counter, "moves_within_lru",
        "Number of other survivors of eviction."),
    items("memcached_slab_hot_items", Gauge, "number_hot",
        "Number of items stored or copied as never used."),
    items("memcached_slab_warm_items", Gauge, "number_warm",
        "Number of other items."),
    items("memcached_slab_cold_items", Gauge, "number_cold",
        "Not applicable to this server."),
    items("memcached_slab_hot_age_seconds", Gauge, "age_hot",
        "Age of the oldest segment of items never used."),
    items("memcached_slab_warm_age_seconds", Gauge, "age_warm",
        "Age of the oldest segment of other items."),
];

/// Commands with hits and misses. Their statistics are called `get_hits`, `get_misses`.
const COMMANDS: [&str; 6] = ["get", "delete", "incr", "decr", "cas", "touch"];
/// The queues, as their statistics and their labels call them.
const QUEUES: [(&str, &str); 4] = [
    ("hits_to_hot", "hot"),
    ("hits_to_warm", "warm"),
    ("hits_to_cold", "cold"),
    ("hits_to_temp", "temporary"),
];

/// Reports them.
pub(super) fn report(shared: &Shared, page: &mut Page) {
    let stats = Statistics::of(shared);
    page.single("memcached_up", Gauge, "Could the memcached server be reached.", 1);
    let version = stats.text(General, "version", 0);
    page.family("memcached_version", Gauge, "The version of this memcached server.");
    page.sample("memcached_version", &[("version", &version)], 1);
    for row in SINGLE {
        page.single(row.name, row.kind, row.help, stats.text(row.section, row.stat, 0));
    }
    commands(&stats, page);
    for row in BY_CLASS {
        page.family(row.name, row.kind, row.help);
        for class in &stats.classes {
            if let Some(value) = stats.find(row.section, row.stat, *class) {
                page.sample(row.name, &[("slab", class)], value);
            }
        }
    }
    commands_by_class(&stats, page);
    hits_by_queue(&stats, page);
}

fn commands(stats: &Statistics, page: &mut Page) {
    let name = "memcached_commands_total";
    page.family(name, Counter, "Total number of all requests by command and status.");
    let mut sample = |command: &str, status: &str, count: u64| {
        page.sample(name, &[("command", &command), ("status", &status)], count);
    };
    for command in COMMANDS {
        sample(command, "hit", stats.number(General, &format!("{command}_hits"), 0));
        sample(command, "miss", stats.number(General, &format!("{command}_misses"), 0));
    }
    let badval = stats.number(General, "cas_badval", 0);
    sample("cas", "badval", badval);
    sample("flush", "hit", stats.number(General, "cmd_flush", 0));
    // Compare-and-swaps are stores as well.
    let swaps =
        badval + stats.number(General, "cas_hits", 0) + stats.number(General, "cas_misses", 0);
    sample("set", "hit", stats.number(General, "cmd_set", 0).saturating_sub(swaps));
}

fn commands_by_class(stats: &Statistics, page: &mut Page) {
    let name = "memcached_slab_commands_total";
    page.family(name, Counter, "Total number of all requests by command, status and class.");
    for class in &stats.classes {
        let mut sample = |command: &str, status: &str, count: u64| {
            let labels: super::Labels<'_> =
                &[("slab", class), ("command", &command), ("status", &status)];
            page.sample(name, labels, count);
        };
        for command in COMMANDS {
            sample(command, "hit", stats.number(Slabs, &format!("{command}_hits"), *class));
        }
        let badval = stats.number(Slabs, "cas_badval", *class);
        sample("cas", "badval", badval);
        let swaps = badval + stats.number(Slabs, "cas_hits", *class);
        sample("set", "hit", stats.number(Slabs, "cmd_set", *class).saturating_sub(swaps));
    }
}

fn hits_by_queue(stats: &Statistics, page: &mut Page) {
    let name = "memcached_slab_lru_hits_total";
    page.family(name, Counter, "Number of lookups that found an item, by class and queue.");
    for class in &stats.classes {
        for (stat, queue) in QUEUES {
            let count = stats.number(Items, stat, *class);
            page.sample(name, &[("slab", class), ("lru", &queue)], count);
        }
    }
}

/// All statistics at one moment. The class is 0 where there is none.
struct Statistics {
    values: HashMap<(Section, String, u64), String>,
    /// The numbers of all classes with memory.
    classes: Vec<u64>,
}

impl Statistics {
    fn of(shared: &Shared) -> Self {
        let mut values = HashMap::new();
        let mut classes = Vec::new();
        for section in Section::ALL {
            metrics::each(shared, section, &mut |metric| {
                let class = metric.labels.first().map_or(0, |(_, class)| *class);
                if class > 0 && !classes.contains(&class) {
                    classes.push(class);
                }
                let value = match metric.value {
                    Value::Flag(is_on) => u8::from(is_on).to_string(),
                    value => value.to_string(),
                };
                values.insert((section, metric.name.to_owned(), class), value);
            });
        }
        classes.sort_unstable();
        Self { values, classes }
    }

    fn find(&self, section: Section, name: &str, class: u64) -> Option<&str> {
        self.values.get(&(section, name.to_owned(), class)).map(String::as_str)
    }

    /// A statistic that is always there.
    fn text(&self, section: Section, name: &str, class: u64) -> &str {
        let found = self.find(section, name, class);
        debug_assert!(found.is_some(), "no {name} in {section:?}");
        found.unwrap_or("0")
    }

    /// A count; 0 if there is none.
    fn number(&self, section: Section, name: &str, class: u64) -> u64 {
        self.find(section, name, class).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}
