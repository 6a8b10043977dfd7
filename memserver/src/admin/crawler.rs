//! `lru_crawler`: dumps of all keys, and the settings of memcached's background reaper. Ours works
//! all the time, so asking for a crawl only asks it to begin at once.

use std::sync::atomic::Ordering;

use memproto::Args;
use memproto::number::parse_u32;
use memproto::text::write::OK;

use super::{Answer, BAD_FORMAT, ERROR};
use crate::report::stream::{Classes, Dump, Stream};
use crate::state::shared::Shared;

const SLEEP_MAX: u32 = 1_000_000;
const DISABLED: &[u8] = b"CLIENT_ERROR lru crawler disabled\r\n";
const BAD_CLASS: &[u8] = b"BADCLASS invalid class id\r\n";
/// Items' worth of housekeeping that a crawl does before it is answered.
const CRAWL: usize = 1024;

pub(super) fn run(shared: &Shared, mut args: Args<'_>) -> Answer {
    Answer::Line(match (args.next(), args.next()) {
        (Some(b"crawl"), Some(classes)) => crawl(shared, classes),
        (Some(kind @ (b"metadump" | b"mgdump")), Some(classes)) => {
            return dump(shared, kind == b"metadump", classes);
        }
        (Some(b"sleep"), Some(micros)) => sleep(shared, micros),
        (Some(b"tocrawl"), Some(count)) => match parse_u32(count) {
            Some(count) => {
                shared.core.runtime.lock().lru_crawler_tocrawl = count;
                OK
            }
            None => BAD_FORMAT,
        },
        (Some(b"enable"), None) => enable(shared),
        (Some(b"disable"), None) => {
            shared.core.runtime.lock().lru_crawler = false;
            OK
        }
        _ => ERROR,
    })
}

fn enable(shared: &Shared) -> &'static [u8] {
    if std::mem::replace(&mut shared.core.runtime.lock().lru_crawler, true) {
        b"ERROR failed to start lru crawler thread\r\n"
    } else {
        OK
    }
}

fn sleep(shared: &Shared, micros: &[u8]) -> &'static [u8] {
    match parse_u32(micros) {
        Some(micros @ 0..=SLEEP_MAX) => {
            shared.core.runtime.lock().lru_crawler_sleep = micros;
            OK
        }
        Some(_) => b"CLIENT_ERROR sleep must be one second or less\r\n",
        None => BAD_FORMAT,
    }
}

fn crawl(shared: &Shared, classes: &[u8]) -> &'static [u8] {
    if !shared.core.runtime.lock().lru_crawler {
        return DISABLED;
    }
    if Classes::parse(classes).is_none() {
        return BAD_CLASS;
    }
    shared.gauges.crawls.fetch_add(1, Ordering::Relaxed);
    // What is left is done by the background thread.
    shared.core.cache.maintain(CRAWL);
    OK
}

/// Begins a dump. memcached runs one at a time, alone on its connection, because it occupies the
/// reaper's thread; ours are independent walks, so any number may run and requests may follow.
fn dump(shared: &Shared, meta: bool, classes: &[u8]) -> Answer {
    if !shared.core.runtime.lock().lru_crawler {
        return Answer::Line(DISABLED);
    }
    if !shared.core.config.dump_enabled {
        return Answer::Line(match meta {
            true => b"ERROR metadump not allowed\r\n",
            false => b"ERROR key dump not allowed\r\n",
        });
    }
    let Some(classes) = Classes::parse(classes) else { return Answer::Line(BAD_CLASS) };
    let versions = shared.core.config.cas_enabled;
    let dump = if meta { Dump::meta(classes, versions) } else { Dump::keys(classes) };
    Answer::Stream(Stream::Dump(dump))
}
