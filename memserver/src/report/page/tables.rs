//! The tables of the page: memory, commands, latency, clients, hot keys.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use super::View;
use super::chart::{bar, stacked};
use super::text::escaped;
use crate::auth::account::Scope;
use crate::human::{bytes, count, duration, micros, percent, percent_of, rate, share_of};
use crate::report::names::word;
use crate::state::counters::Counts;
use crate::state::hot::{Hot, OVERVIEW};
use crate::state::latency::{BOUNDS_US, Distribution, Family};

/// A command, and how often it was given.
type Command = (&'static str, fn(&Counts) -> u64);

const COMMANDS: [Command; 8] = [
    ("get, found", |counts| counts.get_hits),
    ("get, not found", |counts| counts.get_misses),
    ("set and its kind", |counts| counts.cmd_set),
    ("delete", |counts| counts.delete_hits + counts.delete_misses),
    ("incr", |counts| counts.incr_hits.sum() + counts.incr_misses),
    ("decr", |counts| counts.decr_hits.sum() + counts.decr_misses),
    ("touch, gat", |counts| counts.cmd_touch),
    ("flush", |counts| counts.cmd_flush),
];

impl View<'_> {
    pub(super) fn tables(&self, out: &mut String) {
        self.memory(out);
        out.push_str("<section class=grid>");
        self.commands(out);
        self.latency(out);
        self.clients(out);
        self.hot_keys(out);
        out.push_str("</section>");
    }

    /// Where the memory is, by use and by size class.
    fn memory(&self, out: &mut String) {
        let stats = &self.stats;
        let (limit, segment) = (stats.limit.max(1) as f64, stats.segment_size as u64);
        let segments = stats.total.segments * segment;
        let parts = [
            ("items", stats.total.bytes),
            ("slack", segments.saturating_sub(stats.total.bytes)),
            ("index", stats.index_bytes as u64),
            ("free", stats.free_segments as u64 * segment),
        ];
        let shares: Vec<f64> = parts.iter().map(|(_, bytes)| *bytes as f64 / limit).collect();
        out.push_str("<section class=\"card wide\"><h2>Memory</h2>");
        out.push_str(&stacked(&shares));
        out.push_str("<p class=legend>");
        for (index, (name, used)) in parts.iter().enumerate() {
            let used = bytes(*used as f64);
            // Writing to a string can't fail.
            let _ = write!(out, "<span><i class=l{index}></i>{name} <b>{used}</b></span>");
        }
        out.push_str("</p>");
        let head = ["items up to", "items", "bytes", "kept", "hits", "evicted", "idle"];
        begin_pictured(out, &head, "new | kept for their use");
        for class in stats.classes.iter().filter(|class| class.items > 0 || class.evicted > 0) {
            let small = share_of(class.items_small, class.items).unwrap_or_default();
            let queues = stacked(&[small, 1.0 - small]);
            let hits = class.hits_small + class.hits_main;
            let idle = if class.evicted == 0 {
                "\u{2013}".into()
            } else {
                duration(class.evicted_age.into())
            };
            row(
                out,
                &[
                    &bytes(class.item_max as f64),
                    &count(class.items),
                    &bytes(class.bytes as f64),
                    &percent(1.0 - small),
                    &percent_of(hits, hits + class.returned),
                    &count(class.evicted),
                    &idle,
                    &queues,
                ],
            );
        }
        out.push_str("</tbody></table></section>");
    }

    fn commands(&self, out: &mut String) {
        let seconds = self.now.seconds_since(&self.before);
        let minute = self.now.counts.since(&self.before.counts);
        let mut rows: Vec<_> = COMMANDS
            .iter()
            .map(|(name, of)| (*name, of(&minute), of(&self.now.counts)))
            .filter(|(.., all)| *all > 0)
            .collect();
        rows.sort_by_key(|(_, recent, all)| std::cmp::Reverse((*recent, *all)));
        let sum: u64 = rows.iter().map(|(_, recent, _)| recent).sum();
        begin_card(out, "Top commands");
        begin_pictured(out, &["command", "last minute", "in all"], "");
        for (name, recent, all) in rows {
            let share = share_of(recent, sum).unwrap_or_default();
            row(out, &[name, &rate(recent as f64 / seconds), &count(all), &bar(share)]);
        }
        out.push_str("</tbody></table></div>");
    }

    fn latency(&self, out: &mut String) {
        begin_card(out, "Latency in the last minute");
        begin_table(out, &["requests", "number", "half", "99 %", "99.9 %"]);
        let earlier = &self.before.latencies;
        for ((family, now), before) in Family::ALL.iter().zip(&self.now.latencies).zip(earlier) {
            let recent: Vec<u64> =
                now.buckets.iter().zip(&before.buckets).map(|(now, before)| now - before).collect();
            let sum: u64 = recent.iter().sum();
            if now.buckets == Distribution::default().buckets {
                continue;
            }
            let within = |share| quantile(&recent, sum, share);
            row(out, &[family.name(), &count(sum), &within(0.5), &within(0.99), &within(0.999)]);
        }
        out.push_str("</tbody></table></div>");
    }

    fn clients(&self, out: &mut String) {
        let (gauges, budgets) = (&self.shared.gauges, &self.shared.budgets);
        let connections = &gauges.connections;
        let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let held = share_of(budgets.clients.used() as u64, budgets.clients.limit() as u64);
        let counts = &self.now.counts;
        begin_card(out, "Clients");
        begin_table(out, &["", ""]);
        for (name, value) in [
            ("connected", count(self.now.connections as u64)),
            ("at most (-c)", count(self.shared.core.config.max_connections as u64)),
            ("connected so far", count(load(&connections.total))),
            ("turned away", count(load(&connections.rejected))),
            ("memory held outside the cache", bytes(budgets.clients.used() as f64)),
            ("of what they may hold", percent(held.unwrap_or_default())),
            ("waiting for memory", count(budgets.starved.load(Ordering::Relaxed) as u64)),
            ("closed for being idle", count(counts.idle_kicks)),
            ("failed logins", count(counts.auth_errors)),
        ] {
            row(out, &[name, &value]);
        }
        out.push_str("</tbody></table></div>");
    }

    fn hot_keys(&self, out: &mut String) {
        let hottest = self.shared.hottest(OVERVIEW, &Scope::default());
        for (title, list) in [("Hot keys", &hottest.keys), ("Hot prefixes", &hottest.prefixes)] {
            begin_card(out, title);
            if list.is_empty() {
                out.push_str("<p>Nothing is asked for often.</p></div>");
                continue;
            }
            begin_pictured(out, &["name", "of lookups"], "");
            for (rank, hot) in (1..).zip(list) {
                self.hot_key(out, rank, hot);
            }
            out.push_str("</tbody></table></div>");
        }
    }

    fn hot_key(&self, out: &mut String, rank: u32, hot: &Hot) {
        let name = match self.shared.shows_names() {
            true => escaped(&word(&hot.name)),
            false => format!("{rank}, not shown"),
        };
        let (share, bar) = (percent(hot.share), bar(hot.share));
        let _ = write!(out, "<tr><td class=name>{name}</td><td>{share}</td><td>{bar}</td></tr>");
    }
}

/// The bound below which `share` of the requests are.
fn quantile(buckets: &[u64], sum: u64, share: f64) -> String {
    let wanted = (sum as f64 * share).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (count, bound) in buckets.iter().zip(BOUNDS_US) {
        seen += count;
        if seen >= wanted {
            return format!("\u{2264} {}", micros(bound));
        }
    }
    match sum {
        0 => "\u{2013}".to_owned(),
        _ => format!("> {}", micros(BOUNDS_US[BOUNDS_US.len() - 1])),
    }
}

fn begin_card(out: &mut String, title: &str) {
    let _ = write!(out, "<div class=\"card wide\"><h2>{title}</h2>");
}

fn begin_table(out: &mut String, head: &[&str]) {
    out.push_str("<table>");
    begin_rows(out, head);
}

/// A table whose last column are pictures, for which small screens have no room.
fn begin_pictured(out: &mut String, head: &[&str], picture: &str) {
    out.push_str("<table class=pictured>");
    begin_rows(out, &[head, &[picture]].concat());
}

fn begin_rows(out: &mut String, head: &[&str]) {
    out.push_str("<thead><tr>");
    for name in head {
        let _ = write!(out, "<th>{name}</th>");
    }
    out.push_str("</tr></thead><tbody>");
}

/// A row of cells, whose text is markup.
fn row(out: &mut String, cells: &[&str]) {
    out.push_str("<tr>");
    for cell in cells {
        let _ = write!(out, "<td>{cell}</td>");
    }
    out.push_str("</tr>");
}
