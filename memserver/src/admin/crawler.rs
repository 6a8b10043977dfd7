//! `lru_crawler`: dumps of all keys, and the settings of memcached's background reaper. Ours works
//! all the time, so asking for a crawl only asks it to begin at once.

use std::sync::atomic::Ordering;

use memproto::Args;
use memproto::number::parse_u32;

use super::{AdminError, Outcome};
use crate::auth::account::Scope;
use crate::report::stream::{Classes, Dump, Stream};
use crate::state::shared::Shared;

const SLEEP_MAX: u32 = 1_000_000;
/// Items' worth of maintenance that a crawl does before it is answered.
const CRAWL: usize = 1024;

pub(super) fn run(
    shared: &Shared,
    mut args: Args<'_>,
    scope: Scope,
) -> Result<Outcome, AdminError> {
    match (args.next(), args.next(), args.next()) {
        (Some(b"crawl"), Some(classes), None) => crawl(shared, classes)?,
        (Some(b"metadump"), Some(classes), None) => return metadump(shared, classes, scope),
        (Some(b"mgdump"), Some(classes), None) => return mgdump(shared, classes, scope),
        (Some(b"sleep"), Some(micros), _) => sleep(shared, micros)?,
        (Some(b"tocrawl"), Some(count), _) => {
            let count = parse_u32(count).ok_or(AdminError::NotANumber)?;
            shared.core.runtime.lock().lru_crawler_tocrawl = count;
        }
        (Some(b"enable"), None, _) => enable(shared)?,
        (Some(b"disable"), None, _) => shared.core.runtime.lock().lru_crawler = false,
        _ => return Err(AdminError::Unknown),
    }
    Ok(Outcome::Done)
}

fn enable(shared: &Shared) -> Result<(), AdminError> {
    let was_enabled = std::mem::replace(&mut shared.core.runtime.lock().lru_crawler, true);
    // As in memcached, switching it on twice is an error, and switching it off twice is not.
    if was_enabled { Err(AdminError::CrawlerRuns) } else { Ok(()) }
}

fn sleep(shared: &Shared, micros: &[u8]) -> Result<(), AdminError> {
    let micros = parse_u32(micros).ok_or(AdminError::NotANumber)?;
    if micros > SLEEP_MAX {
        return Err(AdminError::SleepTooLong);
    }
    shared.core.runtime.lock().lru_crawler_sleep = micros;
    Ok(())
}

fn crawl(shared: &Shared, classes: &[u8]) -> Result<(), AdminError> {
    require_crawler(shared)?;
    if classes == b"hash" {
        return Err(AdminError::CannotCrawlHash);
    }
    if !classes.is_empty() && classes.iter().all(|byte| *byte == b',') {
        return Err(AdminError::NothingToCrawl);
    }
    Classes::parse(classes).ok_or(AdminError::NoSuchClass)?;
    shared.gauges.crawls.fetch_add(1, Ordering::Relaxed);
    // What is left is done by the background thread.
    shared.core.cache.maintain(CRAWL);
    Ok(())
}

/// Begins a dump of items. memcached runs one dump at a time, alone on its connection, because it
/// occupies the reaper's thread; ours are independent walks, so any number may run and requests
/// may follow.
fn metadump(shared: &Shared, classes: &[u8], scope: Scope) -> Result<Outcome, AdminError> {
    require_crawler(shared)?;
    let classes = Classes::parse(classes).ok_or(AdminError::NoSuchClass)?;
    let dump = Dump::meta(classes, scope, shared.core.config.cas_enabled);
    Ok(Outcome::Stream(Stream::Dump(dump)))
}

/// Begins a dump of keys.
fn mgdump(shared: &Shared, classes: &[u8], scope: Scope) -> Result<Outcome, AdminError> {
    require_crawler(shared)?;
    let classes = Classes::parse(classes).ok_or(AdminError::NoSuchClass)?;
    Ok(Outcome::Stream(Stream::Dump(Dump::keys(classes, scope))))
}

fn require_crawler(shared: &Shared) -> Result<(), AdminError> {
    if shared.core.runtime.lock().lru_crawler { Ok(()) } else { Err(AdminError::CrawlerDisabled) }
}
