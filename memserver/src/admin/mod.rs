//! The administrative commands: words in, an answer out, and settings changed on the way. It must
//! never know a protocol's framing nor who asks.
//!
//! Memory flows between our size classes by itself and the eviction policy needs no tuning, so
//! most of these commands check their words as memcached does, remember what they were told for
//! `stats settings`, and need do no more.

mod crawler;
mod debugtime;
mod lru;
mod memory;
mod slabs;

use std::sync::Arc;

use memproto::{Admin, Args, ParseError};

use crate::report::stream::Stream;
use crate::state::shared::Shared;

/// How an administrative command is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// With one line.
    Line(&'static [u8]),
    /// Bit by bit, until the stream ends.
    Stream(Stream),
}

/// Carries out `command`.
pub(crate) fn run(shared: &Arc<Shared>, command: Admin, args: Args<'_>) -> Answer {
    match command {
        Admin::CacheMemlimit => Answer::Line(memory::limit(shared, args)),
        Admin::Lru => Answer::Line(lru::run(shared, args)),
        Admin::LruCrawler => crawler::run(shared, args),
        Admin::RefreshCerts => Answer::Line(b"Error TLS not enabled\r\n"),
        Admin::Slabs => Answer::Line(slabs::run(shared, args)),
        Admin::Debugtime => Answer::Line(debugtime::run(shared.core.clock.as_deref(), args)),
        _ => Answer::Line(ERROR),
    }
}

/// What is answered to words that make no sense.
const ERROR: &[u8] = ParseError::UnknownCommand.reply();
/// What is answered if something else than a number stands where one is needed.
const BAD_FORMAT: &[u8] = ParseError::BadLineFormat.reply();

/// Reads a number with a fraction.
fn parse_f64(word: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}
