//! `stats` and its subcommands: metrics as memcached's names and values, and what else can be asked
//! for. Which protocol carries them is not known here.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use memproto::number::parse_u32;

use crate::auth::account::Scope;
use crate::report::metrics::{self, Metric, Section, flash};
use crate::report::names::word;
use crate::report::stream::{CLASS_MAX, Dump, Format, Sizes, Stream};
use crate::state::shared::Shared;
use crate::watch::attention;

/// Keys that are listed, and beginnings of keys.
const HOTTEST: usize = 20;

/// How a request for statistics ends.
#[derive(Debug)]
pub(crate) enum Answer {
    /// All names and values were reported.
    Listed,
    /// The counters start from zero.
    Reset,
    /// It is done, and there is nothing to report.
    Done,
    /// It takes more than one piece.
    Streamed(Stream),
}

/// Why a request for statistics is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatsError {
    /// There is no such section.
    Unknown,
    /// A class is not a number.
    NotANumber,
    /// There is no such class.
    NoSuchClass,
    /// A word is missing.
    MissingWord,
    /// `stats detail` was given the wrong word.
    DetailUsage,
    /// There is no memory for the answer.
    OutOfMemory,
}

/// Takes one name and value.
pub(crate) type Sink<'s> = dyn FnMut(&[u8], &[u8]) + 's;

/// Reports to worker number `asker` what `words` ask for, and of keys those that `scope` has; no
/// word asks for the general section.
/// Sections that take more than one piece are framed as `format` says.
///
/// # Errors
/// [`StatsError`]; nothing was reported then.
pub(crate) fn report<'w>(
    shared: &Arc<Shared>,
    asker: usize,
    format: Format,
    scope: Scope,
    mut words: impl Iterator<Item = &'w [u8]>,
    sink: &mut Sink<'_>,
) -> Result<Answer, StatsError> {
    let section = match words.next().unwrap_or_default() {
        b"" => Section::General,
        b"settings" => Section::Settings,
        b"items" => Section::Items,
        b"slabs" => Section::Slabs,
        b"extstore" => {
            flash::regions(shared, |name, value| {
                sink(name.as_bytes(), value.to_string().as_bytes());
            });
            return Ok(Answer::Listed);
        }
        b"sizes" if shared.core.runtime.lock().track_sizes => {
            return Ok(Answer::Streamed(Stream::Sizes(Sizes::new(scope), format)));
        }
        b"sizes" => return Ok(sizes_status(b"disabled", sink)),
        b"sizes_enable" => {
            shared.core.runtime.lock().track_sizes = true;
            return Ok(sizes_status(b"enabled", sink));
        }
        b"sizes_disable" => {
            shared.core.runtime.lock().track_sizes = false;
            return Ok(sizes_status(b"disabled", sink));
        }
        // The list holds memory until its client has read it, so only a few may exist at once.
        b"conns" => {
            let permit = shared.budgets.conn_queries.take(1).ok_or(StatsError::OutOfMemory)?;
            let query = shared.query_connections(asker, permit);
            return Ok(Answer::Streamed(Stream::Conns(query, format)));
        }
        b"hotkeys" => {
            hot_keys(shared, &scope, sink);
            return Ok(Answer::Listed);
        }
        b"detail" => return detail(shared, words.next(), scope, format),
        // memcached knows this one in text only.
        b"cachedump" if matches!(format, Format::Text) => {
            return cachedump(words.next(), words.next(), scope);
        }
        b"reset" => {
            shared.reset_counts();
            return Ok(Answer::Reset);
        }
        _ => return Err(StatsError::Unknown),
    };
    list(shared, section, sink);
    Ok(Answer::Listed)
}

/// Reports the metrics of a section.
fn list(shared: &Shared, section: Section, sink: &mut Sink<'_>) {
    // Two buffers for the whole section.
    let mut name = Vec::new();
    let mut value = Vec::new();
    metrics::each(shared, section, &mut |metric| {
        name.clear();
        value.clear();
        push_name(&mut name, metric);
        // Writing to a vector can't fail.
        let _ = write!(value, "{}", metric.value);
        // Readers split lines at spaces.
        value.iter_mut().filter(|byte| byte.is_ascii_whitespace()).for_each(|byte| *byte = b'_');
        sink(&name, &value);
    });
}

/// The name with its class in front, as memcached writes it in each section.
fn push_name(out: &mut Vec<u8>, metric: &Metric<'_>) {
    for (_, number) in metric.labels {
        let prefix = if metric.section == Section::Items { "items:" } else { "" };
        // Writing to a vector can't fail.
        let _ = write!(out, "{prefix}{number}:");
    }
    out.extend_from_slice(metric.name.as_bytes());
}

/// `stats hotkeys`, which memcached does not have.
fn hot_keys(shared: &Shared, scope: &Scope, sink: &mut Sink<'_>) {
    let hottest = shared.hottest(HOTTEST, scope);
    sink(b"sampled", hottest.sampled.to_string().as_bytes());
    let has_names = shared.core.config.dump_enabled;
    for (kind, list) in [("hotkeys", &hottest.keys), ("hotprefixes", &hottest.prefixes)] {
        for (rank, hot) in (1..).zip(list) {
            let rank: u32 = rank;
            if has_names {
                sink(format!("{kind}:{rank}:name").as_bytes(), word(&hot.name).as_bytes());
            }
            for (what, share) in [("percent", hot.share), ("error_percent", hot.error)] {
                let value = format!("{:.2}", 100.0 * share);
                sink(format!("{kind}:{rank}:{what}").as_bytes(), value.as_bytes());
            }
        }
    }
}

fn sizes_status(status: &[u8], sink: &mut Sink<'_>) -> Answer {
    sink(b"sizes_status", status);
    Answer::Listed
}

/// `stats detail`.
fn detail(
    shared: &Shared,
    word: Option<&[u8]>,
    scope: Scope,
    format: Format,
) -> Result<Answer, StatsError> {
    match word {
        // The flag shares a word with the watchers' categories, so that requests look at one word
        // for both.
        Some(b"on") => shared.watch.attention.fetch_or(attention::DETAIL, Ordering::Relaxed),
        Some(b"off") => shared.watch.attention.fetch_and(!attention::DETAIL, Ordering::Relaxed),
        Some(b"dump") => {
            let prefixes = Arc::clone(&shared.gauges.prefixes);
            let place = prefixes.begin();
            return Ok(Answer::Streamed(Stream::Prefixes { prefixes, place, scope, format }));
        }
        _ => return Err(StatsError::DetailUsage),
    };
    Ok(Answer::Done)
}

/// `stats cachedump`.
fn cachedump(
    class: Option<&[u8]>,
    items: Option<&[u8]>,
    scope: Scope,
) -> Result<Answer, StatsError> {
    let (Some(class), Some(items)) = (class, items) else { return Err(StatsError::MissingWord) };
    match (parse_u32(class), parse_u32(items)) {
        (Some(class @ 0..=CLASS_MAX), Some(items)) => {
            Ok(Answer::Streamed(Stream::Dump(Dump::cachedump(class, items, scope))))
        }
        (Some(_), Some(_)) => Err(StatsError::NoSuchClass),
        _ => Err(StatsError::NotANumber),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::state::budgets::CONN_QUERIES;

    #[test]
    fn few_lists_of_connections_wait_for_their_clients() {
        let cache = memcore::Cache::new(64 << 20).unwrap();
        let shared = Shared::without_threads(cache, Config { threads: 1, ..Config::default() });
        let ask = || {
            let words = [&b"conns"[..]].into_iter();
            report(&shared, 0, Format::Text, Scope::default(), words, &mut |_, _| panic!("at once"))
        };
        let mut waiting: Vec<_> = (0..CONN_QUERIES).map(|_| ask()).collect();
        assert!(waiting.iter().all(|answer| matches!(answer, Ok(Answer::Streamed(_)))));
        assert_eq!(ask().unwrap_err(), StatsError::OutOfMemory);
        waiting.pop();
        assert!(matches!(ask(), Ok(Answer::Streamed(_))));
    }
}
