//! The administrative commands: words in, an outcome out, and settings changed on the way. How an
//! outcome is written is not known here, nor who asks.
//!
//! Memory flows between our size classes by itself and the eviction policy needs no tuning, so
//! most of these commands check their words as memcached does, keep what they were told for
//! `stats settings`, and need do no more.

mod crawler;
mod debugtime;
mod flash;
mod lru;
mod memory;
mod slabs;

use memproto::{Admin, Args};

use crate::auth::account::Scope;
use crate::report::stream::Stream;
use crate::state::shared::Shared;

/// What became of a command that was not refused.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is done.
    Done,
    /// The answer comes in pieces.
    Stream(Stream),
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminError {
    /// The words make no sense.
    Unknown,
    /// A word should be a number.
    NotANumber,
    /// The crawler runs already.
    CrawlerRuns,
    /// The crawler is switched off.
    CrawlerDisabled,
    /// The crawler should sleep for too long.
    SleepTooLong,
    /// No size class was named.
    NothingToCrawl,
    /// Only a dump can walk the index.
    CannotCrawlHash,
    /// There is no such size class.
    NoSuchClass,
    /// The shares of the queues add up to too much.
    SharesTooLarge,
    /// An age factor is not above zero.
    FactorTooSmall,
    /// The memory limit is too low.
    LimitTooSmall,
    /// The memory limit was surely meant in bytes.
    LimitInBytes,
    /// The memory limit can't be had.
    LimitOutOfBounds,
    /// Memory may not be moved between classes.
    ReassignDisabled,
    /// Memory should move from a class to itself.
    SameClass,
    /// There is no such class to move memory from or to.
    NoSuchClassToMove,
    /// The class has no memory to spare.
    NothingToSpare,
    /// The window is out of bounds.
    WindowOutOfBounds,
    /// There is no TLS.
    NoTls,
    /// The certificates can't be used; the log says why.
    BadCertificates,
}

/// Carries out `command` for a client that may see the keys of `scope`.
///
/// # Errors
/// [`AdminError`]; nothing has changed then.
pub(crate) fn run(
    shared: &Shared,
    command: Admin,
    args: Args<'_>,
    scope: Scope,
) -> Result<Outcome, AdminError> {
    match command {
        Admin::Extstore => flash::run(shared, args)?,
        Admin::CacheMemlimit => memory::limit(shared, args)?,
        Admin::Lru => lru::run(shared, args)?,
        Admin::LruCrawler => return crawler::run(shared, args, scope),
        Admin::RefreshCerts => refresh_certs(shared)?,
        Admin::Slabs => slabs::run(shared, args)?,
        Admin::Debugtime => debugtime::run(shared.core.clock.as_deref(), args)?,
        _ => return Err(AdminError::Unknown),
    }
    Ok(Outcome::Done)
}

/// Reads the certificates again.
fn refresh_certs(shared: &Shared) -> Result<(), AdminError> {
    let tls = shared.core.tls.as_ref().ok_or(AdminError::NoTls)?;
    tls.refresh().map_err(|_| AdminError::BadCertificates)
}

/// Reads a number with a fraction.
fn parse_f64(word: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}
