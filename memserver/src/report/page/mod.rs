//! The status page: how a server does, for people who look. A document and its style, without
//! scripts and without anything from elsewhere. How it is carried is not known here.

mod chart;
mod history;
mod tables;
mod text;

use std::fmt::Write as _;
use std::time::Instant;

use memcore::Stats;

use self::chart::Chart;
pub(crate) use self::history::History;
use self::history::Sample;
use self::text::escaped;
use crate::human::{bytes, count, duration, percent, percent_of, rate, share_of};
use crate::state::counters::Counts;
use crate::state::shared::Shared;

/// Seconds after which a browser asks again.
const REFRESH: u64 = 10;
/// What the page looks like; it asks for it as `style.css`.
pub(crate) const STYLE: &str = include_str!("style.css");

/// What a page is made of.
struct View<'p> {
    shared: &'p Shared,
    stats: Stats,
    now: Sample,
    /// A minute ago, or as long as there are samples.
    before: Sample,
    history: &'p History,
}

/// The page.
pub(crate) fn page(shared: &Shared, history: &History) -> String {
    let now = Sample::of(shared, Instant::now());
    let before = history.minute_ago().cloned().unwrap_or_else(|| now.clone());
    let view = View { shared, stats: shared.cache_stats(), now, before, history };
    let mut out = String::with_capacity(32 << 10);
    view.begin(&mut out);
    view.tiles(&mut out);
    view.charts(&mut out);
    view.tables(&mut out);
    out.push_str(
        "</main><footer><a href=\"metrics\">metrics</a> \u{b7} <a href=\"readyz\">readyz</a> \
         \u{b7} <a href=\"livez\">livez</a></footer></body></html>\n",
    );
    out
}

impl View<'_> {
    fn begin(&self, out: &mut String) {
        let core = &self.shared.core;
        let is_ready = self.shared.phase.is_ready();
        let (state, class) =
            if is_ready { ("ready", "state") } else { (self.shared.phase.name(), "state not") };
        let up = duration(core.cache.now().as_secs().saturating_sub(core.started).into());
        let places: Vec<String> =
            core.listening.sockets.iter().map(|socket| escaped(&socket.peer)).collect();
        let tls = if core.config.tls.is_some() { "on" } else { "off" };
        let logins = if core.accounts.is_some() { "on" } else { "off" };
        let version = env!("CARGO_PKG_VERSION");
        // Writing to a string can't fail.
        let _ = write!(
            out,
            "<!DOCTYPE html><html lang=en><head><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width,initial-scale=1\">\
             <meta http-equiv=refresh content={REFRESH}><title>memserver</title>\
             <link rel=stylesheet href=\"style.css\"></head>\
             <body><header><h1>memserver {version}</h1>\
             <p><span class=\"{class}\">{state}</span> \u{b7} up {up} \u{b7} process {} \u{b7} {} \
             \u{b7} {} workers \u{b7} TLS {tls} \u{b7} logins {logins}</p></header><main>",
            std::process::id(),
            places.join(", "),
            core.config.threads,
        );
    }

    fn tiles(&self, out: &mut String) {
        let Self { shared, stats, now, before, .. } = self;
        let seconds = now.seconds_since(before);
        let per_second = |now: u64, before: u64| rate(now.saturating_sub(before) as f64 / seconds);
        let minute = now.counts.since(&before.counts);
        let all = &now.counts;
        let used = share_of(stats.used as u64, stats.limit as u64).unwrap_or_default();
        let limit = shared.core.config.max_connections;
        let (limit_bytes, used_bytes) = (bytes(stats.limit as f64), bytes(stats.used as f64));
        let tiles = [
            (
                "hit ratio",
                percent_of(minute.get_hits, minute.cmd_get),
                format!("{} since the start", percent_of(all.get_hits, all.cmd_get)),
            ),
            (
                "keys read",
                per_second(all.cmd_get, before.counts.cmd_get),
                format!("{} in all", count(all.cmd_get)),
            ),
            (
                "values stored",
                per_second(all.cmd_set, before.counts.cmd_set),
                format!("{} in all", count(all.cmd_set)),
            ),
            ("memory", percent(used), format!("{used_bytes} of {limit_bytes}")),
            (
                "evictions",
                per_second(now.evicted, before.evicted),
                format!("{} in all", count(now.evicted)),
            ),
            ("clients", count(now.connections as u64), format!("of {}", count(limit as u64))),
        ];
        out.push_str("<section class=\"grid tiles\">");
        for (name, value, more) in tiles {
            let _ =
                write!(out, "<div><span>{name}</span><b>{value}</b><small>{more}</small></div>");
        }
        out.push_str("</section>");
    }

    /// What happened in the last ten minutes.
    fn charts(&self, out: &mut String) {
        let share = |of: &Counts| share_of(of.get_hits, of.cmd_get);
        let hits = self.each_interval(|now, before, _| share(&now.counts.since(&before.counts)));
        let per_second = |of: fn(&Sample) -> u64| {
            self.each_interval(|now, before, seconds| {
                Some(of(now).saturating_sub(of(before)) as f64 / seconds)
            })
        };
        let reads = per_second(|sample| sample.counts.cmd_get);
        let writes = per_second(|sample| sample.counts.cmd_set);
        let evicted = per_second(|sample| sample.evicted);
        let received = per_second(|sample| sample.counts.bytes_read);
        let sent = per_second(|sample| sample.counts.bytes_written);
        let traffic = |per_second: f64| format!("{}/s", bytes(per_second));
        out.push_str("<section class=grid>");
        for chart in [
            Chart {
                title: "Hit ratio, 10 minutes",
                lines: &[("hits", hits)],
                top: Some(1.0),
                unit: percent,
            },
            Chart {
                title: "Requests",
                lines: &[("keys read", reads), ("values stored", writes)],
                top: None,
                unit: rate,
            },
            Chart { title: "Evictions", lines: &[("items", evicted)], top: None, unit: rate },
            Chart {
                title: "Network",
                lines: &[("sent", sent), ("received", received)],
                top: None,
                unit: traffic,
            },
        ] {
            chart.draw(out);
        }
        out.push_str("</section>");
    }

    /// A value for each interval between samples, the last one until now.
    fn each_interval(
        &self,
        value: impl Fn(&Sample, &Sample, f64) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let samples = self.history.samples();
        let next = self.history.samples().skip(1).chain([&self.now]);
        samples
            .zip(next)
            .map(|(before, now)| value(now, before, now.seconds_since(before)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
