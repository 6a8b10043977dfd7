use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::config::Config;
use crate::config::endpoint::Endpoint;

/// The families of Prometheus's memcached exporter that a server without a flash tier has, and
/// their labels.
const EXPORTER: &str = "
up version{version} uptime_seconds time_seconds process_user_cpu_seconds_total
process_system_cpu_seconds_total read_bytes_total written_bytes_total current_connections
connections_total max_connections connections_rejected_total connections_yielded_total
connections_listener_disabled_total accepting_connections current_bytes limit_bytes current_items
items_total items_evicted_total items_reclaimed_total direct_reclaims_total item_too_large_total
item_no_memory_total commands_total{command,status} lru_crawler_enabled lru_crawler_sleep
lru_crawler_to_crawl lru_crawler_maintainer_thread lru_crawler_hot_percent lru_crawler_warm_percent
lru_crawler_hot_max_factor lru_crawler_warm_max_factor lru_crawler_starts_total
lru_crawler_reclaimed_total lru_crawler_items_checked_total lru_crawler_moves_to_cold_total
lru_crawler_moves_to_warm_total lru_crawler_moves_within_lru_total malloced_bytes
slab_chunk_size_bytes{slab} slab_chunks_free{slab} slab_chunks_free_end{slab}
slab_chunks_per_page{slab} slab_chunks_used{slab} slab_cold_items{slab}
slab_commands_total{slab,command,status} slab_current_chunks{slab} slab_current_items{slab}
slab_current_pages{slab} slab_hot_age_seconds{slab} slab_hot_items{slab}
slab_items_age_seconds{slab} slab_items_crawler_reclaimed_total{slab}
slab_items_evicted_nonzero_total{slab} slab_items_evicted_time_seconds{slab}
slab_items_evicted_total{slab} slab_items_evicted_unfetched_total{slab}
slab_items_expired_unfetched_total{slab} slab_items_moves_to_cold{slab}
slab_items_moves_to_warm{slab} slab_items_moves_within_lru{slab} slab_items_outofmemory_total{slab}
slab_items_reclaimed_total{slab} slab_items_tailrepairs_total{slab} slab_lru_hits_total{slab,lru}
slab_mem_requested_bytes{slab} slab_warm_age_seconds{slab} slab_warm_items{slab}
";

/// One family as a reader understands it.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// Reads a text by the rules that both formats share.
fn read(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(help.ends_with('.'), "{line}");
            assert!(!families.contains_key(name), "{name} comes twice");
            current = name.to_owned();
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current);
            families.insert(current.clone(), Family { kind: kind.to_owned(), samples: vec![] });
            continue;
        }
        let sample = sample(line);
        assert!(sample.name.starts_with(&current), "{line} in {current}");
        let samples = &mut families.get_mut(&current).unwrap().samples;
        let same = |other: &Sample| other.name == sample.name && other.labels == sample.labels;
        assert!(!samples.iter().any(same), "{line} comes twice");
        samples.push(sample);
    }
    families
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
    let labels = labels.strip_suffix('}').unwrap();
    let pairs = labels.split(',').filter(|pair| !pair.is_empty()).map(|pair| {
        let (label, of) = pair.split_once('=').unwrap();
        let of = of.strip_prefix('"').and_then(|of| of.strip_suffix('"')).unwrap();
        assert!(!of.contains(['"', '\\', '\n']), "{line}");
        (label.to_owned(), of.to_owned())
    });
    Sample { name: name.to_owned(), labels: pairs.collect(), value: value.parse().unwrap() }
}

fn server() -> std::sync::Arc<Shared> {
    let cache = memcore::Cache::new(64 << 20).unwrap();
    cache.set(b"small", b"x", memcore::Attrs::default()).unwrap();
    cache.set(b"large", &[b'x'; 5_000], memcore::Attrs::default()).unwrap();
    let admin = Some(Endpoint::Tcp("127.0.0.1".into(), 0));
    Shared::without_threads(cache, Config { admin, threads: 2, ..Config::default() })
}

#[test]
fn dashboards_find_what_memcached_s_exporter_has() {
    let families = read(&exposition(&server(), Format::Prometheus));
    let expected: BTreeMap<String, BTreeSet<String>> = EXPORTER
        .split_whitespace()
        .map(|row| {
            let (name, labels) = row.split_once('{').unwrap_or((row, ""));
            let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
            (format!("memcached_{name}"), labels.map(str::to_owned).collect())
        })
        .collect();
    for (name, labels) in &expected {
        let family = families.get(name).unwrap_or_else(|| panic!("no {name}"));
        let wanted = if name.ends_with("_total") { "counter" } else { &family.kind };
        assert_eq!(family.kind, wanted, "{name}");
        assert!(!family.samples.is_empty(), "{name} is empty");
        for sample in &family.samples {
            let found: BTreeSet<String> =
                sample.labels.iter().map(|(label, _)| label.clone()).collect();
            assert_eq!((&sample.name, &found), (name, labels));
        }
    }
    // Ours have names of their own.
    let others = families.keys().filter(|name| !expected.contains_key(*name));
    assert!(others.clone().all(|name| name.starts_with("memserver_")), "{others:?}");
    let slabs: BTreeSet<&str> = families["memcached_slab_current_items"]
        .samples
        .iter()
        .map(|s| s.labels[0].1.as_str())
        .collect();
    assert_eq!(slabs.len(), 2, "{slabs:?}");
}

#[test]
fn openmetrics_has_its_own_rules() {
    let text = exposition(&server(), Format::OpenMetrics);
    assert!(text.ends_with("\n# EOF\n"));
    let open = read(&text);
    let plain = read(&exposition(&server(), Format::Prometheus));
    let names = |families: &BTreeMap<String, Family>| -> BTreeSet<String> {
        families.values().flat_map(|f| &f.samples).map(|s| s.name.clone()).collect()
    };
    assert_eq!(names(&open), names(&plain), "names must not depend on the format");
    for (name, family) in &open {
        assert!(!name.ends_with("_total"), "{name}");
        if family.kind == "counter" {
            let total = format!("{name}_total");
            assert!(family.samples.iter().all(|sample| sample.name == total), "{name}");
        }
    }
}

#[test]
fn histograms_add_up() {
    let shared = server();
    shared.gauges.latencies[1].add(&[2, 1, 0, 0, 0, 0], std::time::Duration::from_micros(30));
    shared.gauges.latencies[0].add(&[1, 0, 0, 0, 0, 0], std::time::Duration::from_secs(2));
    shared.gauges.slices[0].add(std::time::Duration::from_micros(700));
    let families = read(&exposition(&shared, Format::OpenMetrics));
    let histograms: Vec<_> = families.values().filter(|f| f.kind == "histogram").collect();
    assert_eq!(histograms.len(), 4);
    for family in histograms {
        let mut before = 0.0;
        for sample in family.samples.iter().filter(|sample| sample.name.ends_with("_bucket")) {
            let (label, bound) = sample.labels.last().unwrap();
            assert_eq!(label, "le");
            assert!(sample.value >= before, "{sample:?}");
            before = if bound == "+Inf" { 0.0 } else { sample.value };
        }
    }
    let get = |suffix: &str, le: Option<&str>| {
        let name = format!("memserver_request_duration_seconds{suffix}");
        let samples = &families["memserver_request_duration_seconds"].samples;
        let found = samples.iter().find(|sample| {
            let of = |label: &str| {
                sample.labels.iter().find(|(name, _)| name == label).map(|(_, of)| of.as_str())
            };
            sample.name == name && of("family") == Some("get") && of("le") == le
        });
        found.unwrap().value
    };
    assert_eq!(get("_bucket", Some("2e-05")), 0.0);
    assert_eq!(get("_bucket", Some("5e-05")), 2.0);
    assert_eq!(get("_bucket", Some("+Inf")), 3.0);
    assert_eq!(get("_count", None), 3.0);
    assert!((get("_sum", None) - 2.00006).abs() < 1e-9);
}

#[test]
fn bounds_are_canonical() {
    for (bound, text) in [
        (0.0, "0.0"),
        (1e-5, "1e-05"),
        (0.0001, "0.0001"),
        (0.5, "0.5"),
        (1.0, "1.0"),
        (604_800.0, "604800.0"),
        (1_048_576.0, "1.048576e+06"),
        (1e10, "1e+10"),
    ] {
        assert_eq!(canonical(bound), text);
    }
}

#[test]
fn keys_that_are_asked_for_most_have_ranks_and_names_if_names_may_be_known() {
    let text = |shared: &Shared| {
        for key in [&b"a:1"[..], b"a:1", b"a:\"2"] {
            shared.gauges.hot_keys[0].sample(key, shared.core.cache.now().as_secs());
        }
        exposition(shared, Format::Prometheus)
    };
    let open = text(&server());
    assert!(open.contains("\nmemserver_hot_key_ratio{rank=\"1\",key=\"a:1\"} 0.66666"), "{open}");
    assert!(open.contains("\nmemserver_hot_key_ratio{rank=\"2\",key=\"a%3A%222\"} 0.33333"));
    assert!(open.contains("\nmemserver_hot_prefix_ratio{rank=\"1\",prefix=\"a:\"} 1\n"));
    let cache = memcore::Cache::new(64 << 20).unwrap();
    let closed = Config { dump_enabled: false, ..Config::default() };
    let closed = text(&Shared::without_threads(cache, closed));
    assert!(closed.contains("\nmemserver_hot_key_ratio{rank=\"1\"} 0.66666"), "{closed}");
    assert!(!closed.contains("a:1"));
}
