use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::Config;
use crate::config::endpoint::Endpoint;

fn server(config: Config) -> Arc<Shared> {
    let cache = memcore::Cache::new(64 << 20).unwrap();
    cache.set(b"small", b"x", memcore::Attrs::default()).unwrap();
    cache.set(b"large", &[b'x'; 5_000], memcore::Attrs::default()).unwrap();
    let admin = Some(Endpoint::Tcp("127.0.0.1".into(), 0));
    Shared::without_threads(cache, Config { admin, threads: 2, ..config })
}

/// A page of a server that has served for a while.
fn busy(config: Config) -> String {
    let shared = server(config);
    let start = Instant::now() - Duration::from_secs(120);
    let mut history = History::default();
    for step in 0..12 {
        history.record(&shared, start + Duration::from_secs(10 * step));
        let worker = &shared.gauges.workers[0];
        worker.cmd_get.add(100);
        worker.get_hits.add(75);
        worker.get_misses.add(25);
        worker.cmd_set.add(25);
        shared.gauges.latencies[0].add(&[100, 25, 0, 0, 0, 0], Duration::from_micros(30));
        let now = shared.core.cache.now().as_secs();
        shared.gauges.hot_keys[0].sample(b"users:<b>", now);
    }
    page(&shared, &history)
}

/// Whether all elements that have an end are ended, in the right order.
fn is_balanced(page: &str) -> bool {
    const EMPTY: [&str; 5] = ["meta", "link", "path", "rect", "!DOCTYPE"];
    let mut open = Vec::new();
    for tag in page.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        match tag.strip_prefix('/') {
            Some(name) => {
                if open.pop() != Some(name) {
                    return false;
                }
            }
            None => {
                let name = tag.split(' ').next().unwrap_or_default();
                if !EMPTY.contains(&name) {
                    open.push(name);
                }
            }
        }
    }
    open.is_empty()
}

#[test]
fn it_shows_how_the_server_does() {
    let page = busy(Config::default());
    assert!(is_balanced(&page), "{page}");
    for shown in [
        "<meta http-equiv=refresh content=10>",
        "<span>hit ratio</span><b>75.0 %</b><small>75.0 % since the start</small>",
        "<small>1,200 in all</small>",
        "Hit ratio, 10 minutes",
        "<td>128 B</td><td>1</td>",
        "<td>8.00 KiB</td><td>1</td>",
        "<td>get, found</td>",
        "<td>get</td><td>600</td><td>\u{2264} 50 \u{b5}s</td>",
        "<td>connected</td><td>0</td>",
        "<td class=name>users:&lt;b&gt;</td><td>100.0 %</td>",
        "<td class=name>users:</td>",
    ] {
        assert!(page.contains(shown), "no {shown} in {page}");
    }
}

#[test]
fn it_needs_nothing_from_elsewhere_and_no_script() {
    let page = busy(Config::default());
    for word in ["http:", "https:", "//", "<script", "onload", "url(", "@import", "src="] {
        assert!(!page.contains(word) && !STYLE.contains(word), "{word}");
    }
}

#[test]
fn keys_are_not_shown_where_they_may_not_be_dumped() {
    let page = busy(Config { dump_enabled: false, ..Config::default() });
    assert!(page.contains("<td class=name>1, not shown</td>") && !page.contains("users:"));
}

#[test]
fn a_server_that_has_done_nothing_has_a_page() {
    let page = page(&server(Config::default()), &History::default());
    assert!(is_balanced(&page) && page.contains("<b>\u{2013}</b>"), "{page}");
    assert!(!page.contains("NaN") && !page.contains("inf"));
}
