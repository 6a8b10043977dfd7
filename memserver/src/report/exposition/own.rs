//! Families that memcached's exporter does not have: latency, sizes, what is evicted and when, and
//! where the memory is.

use std::sync::atomic::Ordering;
use std::time::Duration;

use memcore::Stats;

use super::Kind::{Counter, Gauge, Histogram};
use super::{Labels, Page};
use crate::auth::account::Scope;
use crate::report::names::word;
use crate::state::hot::OVERVIEW;
use crate::state::latency::{BOUNDS_US, BUCKETS, Distribution, Family};
use crate::state::shared::Shared;
use crate::watch::IDLE_BOUNDS;

/// Reports all of them.
pub(super) fn report(shared: &Shared, page: &mut Page) {
    let stats = shared.cache_stats();
    let own = env!("CARGO_PKG_VERSION");
    page.family("memserver_build_info", Gauge, "Version of this program.");
    page.sample("memserver_build_info", &[("version", &own)], 1);
    let ready = u8::from(shared.phase.is_ready());
    page.single("memserver_ready", Gauge, "Whether new clients are welcome.", ready);
    latencies(shared, page);
    slices(shared, page);
    sizes(&stats, page);
    removals(shared, &stats, page);
    memory(&stats, page);
    client_memory(shared, &stats, page);
    hot_keys(shared, page);
}

/// By rank, so that there are few series; what the key is changes.
fn hot_keys(shared: &Shared, page: &mut Page) {
    let hottest = shared.hottest(OVERVIEW, &Scope::default());
    for (name, list, label, help) in [
        (
            "memserver_hot_key_ratio",
            &hottest.keys,
            "key",
            "Share of the keys that are asked for most in all lookups.",
        ),
        (
            "memserver_hot_prefix_ratio",
            &hottest.prefixes,
            "prefix",
            "The same for the beginnings of keys.",
        ),
    ] {
        page.family(name, Gauge, help);
        for (rank, hot) in (1..).zip(list) {
            let (rank, share): (u32, f64) = (rank, hot.share);
            let word = word(&hot.name);
            let labels: Labels<'_> = &[("rank", &rank), (label, &word)];
            page.sample(name, if shared.shows_names() { labels } else { &labels[..1] }, share);
        }
    }
}

fn latencies(shared: &Shared, page: &mut Page) {
    let name = "memserver_request_duration_seconds";
    let help = "Time from when the event loop heard of a request until its replies were sent.";
    page.family(name, Histogram, help);
    for (family, of) in Family::ALL.iter().zip(shared.gauges.latencies()) {
        times(page, name, &[("family", &family.name())], &of);
    }
}

fn slices(shared: &Shared, page: &mut Page) {
    let (mut all, mut longest) = (Distribution::default(), Duration::ZERO);
    for worker in &shared.gauges.slices {
        worker.add_to(&mut all);
        longest = longest.max(worker.longest());
    }
    let name = "memserver_worker_slice_seconds";
    let help = "Time that a worker was busy before it looked at its other clients.";
    page.family(name, Histogram, help);
    times(page, name, &[], &all);
    let help = "The longest such time since the start.";
    page.single("memserver_worker_longest_slice_seconds", Gauge, help, longest.as_secs_f64());
}

fn times(page: &mut Page, name: &str, labels: Labels<'_>, of: &Distribution) {
    let bounds = BOUNDS_US.iter().map(|micros| *micros as f64 / 1e6);
    let beyond = of.buckets[BUCKETS - 1];
    page.histogram(name, labels, bounds.zip(of.buckets), beyond, Some(of.nanos as f64 / 1e9));
}

/// Items are counted by size class, whose largest item is the bound.
fn sizes(stats: &Stats, page: &mut Page) {
    let name = "memserver_stored_item_bytes";
    page.family(name, Histogram, "Size of items that were stored, key and header included.");
    let buckets = stats.classes.iter().map(|class| (class.item_max as f64, class.stored));
    page.histogram(name, &[], buckets, 0, None);
    let name = "memserver_class_hits_total";
    page.family(name, Counter, "Lookups that found an item, by size class.");
    each_class(stats, page, name, |class| class.hits_small + class.hits_main);
    let name = "memserver_class_returned_total";
    let help = "Items that were stored again soon after they had been evicted, by size class.";
    page.family(name, Counter, help);
    each_class(stats, page, name, |class| class.returned);
}

fn each_class(
    stats: &Stats,
    page: &mut Page,
    name: &str,
    count: impl Fn(&memcore::ClassStats) -> u64,
) {
    for (number, class) in (1..).zip(&stats.classes) {
        let number: u32 = number;
        page.sample(name, &[("class", &number)], count(class));
    }
}

fn removals(shared: &Shared, stats: &Stats, page: &mut Page) {
    let name = "memserver_items_removed_total";
    page.family(name, Counter, "Items that are gone, by cause and size class.");
    for (number, of) in (1..).zip(&stats.classes) {
        let number: u32 = number;
        for (cause, count) in [
            ("evicted", of.evicted),
            ("expired", of.expired),
            ("flushed", of.flushed),
            ("deleted", of.deleted),
            ("replaced", of.replaced),
        ] {
            page.sample(name, &[("class", &number), ("cause", &cause)], count);
        }
    }
    let name = "memserver_evicted_idle_seconds";
    page.family(name, Histogram, "Time between the last access and the eviction of items.");
    let idle = shared.watch.evicted_idle();
    let bounds = IDLE_BOUNDS.iter().map(|secs| f64::from(*secs));
    let beyond = idle.buckets[IDLE_BOUNDS.len()];
    page.histogram(name, &[], bounds.zip(idle.buckets), beyond, Some(idle.secs as f64));
}

fn memory(stats: &Stats, page: &mut Page) {
    let name = "memserver_memory_bytes";
    page.family(name, Gauge, "Bytes in use of the memory limit, by what they hold.");
    let segment = stats.segment_size as u64;
    let items = stats.total.bytes;
    let segments = stats.total.segments * segment;
    let free = stats.free_segments as u64 * segment;
    let index = stats.index_bytes as u64;
    let rest = (stats.used as u64).saturating_sub(segments.max(items) + free + index);
    for (part, bytes) in [
        ("items", items),
        // Removed items, and what is not filled yet.
        ("slack", segments.saturating_sub(items)),
        ("free", free),
        ("index", index),
        ("other", rest),
    ] {
        page.sample(name, &[("part", &part)], bytes);
    }
    let help = "Bytes of values that are being sent from where they lie.";
    page.single("memserver_pinned_bytes", Gauge, help, stats.pinned_bytes);
}

fn client_memory(shared: &Shared, stats: &Stats, page: &mut Page) {
    let budgets = &shared.budgets;
    let name = "memserver_client_memory_bytes";
    page.family(name, Gauge, "Bytes outside the cache that clients hold, by what for.");
    let copies = budgets.copies.used();
    let backlogs = budgets.backlogs.used();
    let lines = budgets.long_lines.used();
    let rest = budgets.clients.used().saturating_sub(copies + backlogs + lines);
    for (part, bytes) in
        [("copies", copies), ("replies", backlogs), ("lines", lines), ("other", rest)]
    {
        page.sample(name, &[("part", &part)], bytes);
    }
    let help = "Bytes that clients may hold outside the cache.";
    let limit = budgets.clients.limit();
    page.single("memserver_client_memory_limit_bytes", Gauge, help, limit);
    let starved = budgets.starved.load(Ordering::Relaxed);
    let help = "Connections that wait for memory which other clients hold.";
    page.single("memserver_waiting_connections", Gauge, help, starved);
    let help = "Bytes in use above a memory limit that was lowered.";
    page.single("memserver_over_limit_bytes", Gauge, help, stats.over_limit);
}
