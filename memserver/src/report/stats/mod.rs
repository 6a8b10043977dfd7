//! What `stats` reports, as names and values; which protocol carries them is not known here.

mod classes;
mod cpu;
mod general;
mod settings;

use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use memproto::ParseError;
use memproto::number::parse_u32;

use crate::report::stream::{CLASS_MAX, Dump, Format, Sizes, Stream};
use crate::state::shared::Shared;
use crate::watch::attention;

/// There is no room for the answer.
pub(crate) const OUT_OF_MEMORY: &[u8] = b"SERVER_ERROR out of memory writing stats\r\n";

/// How a request for statistics ends.
#[derive(Debug)]
pub(crate) enum Answer {
    /// All names and values were reported.
    Listed,
    /// The counters start anew.
    Reset,
    /// It is done, and there is nothing to report.
    Done,
    /// These lines, as they are.
    Lines(Vec<u8>),
    /// It takes more than one go.
    Streamed(Stream),
    /// It is not allowed, or was not understood.
    Refused(&'static [u8]),
    /// There is no such section.
    Unknown,
}

/// Takes one name and value.
pub(crate) type Sink<'s> = dyn FnMut(&[u8], &[u8]) + 's;

/// Reports to worker number `asker` what `words` ask for; no word asks for the general section.
/// Sections that don't fit one go are framed as `format` says.
pub(crate) fn report<'w>(
    shared: &Arc<Shared>,
    asker: usize,
    format: Format,
    mut words: impl Iterator<Item = &'w [u8]>,
    sink: &mut Sink<'_>,
) -> Answer {
    let mut list = List { sink, value: Vec::new() };
    match words.next().unwrap_or_default() {
        b"" => general::report(shared, &mut list),
        b"settings" => settings::report(shared, &mut list),
        b"items" => classes::items(&shared.core.cache.stats(), &mut list),
        b"slabs" => classes::slabs(&shared.core.cache.stats(), &shared.gauges.counts(), &mut list),
        b"sizes" if shared.core.runtime.lock().track_sizes => {
            return Answer::Streamed(Stream::Sizes(Sizes::default(), format));
        }
        b"sizes" => list.add("sizes_status", "disabled"),
        word @ (b"sizes_enable" | b"sizes_disable") => {
            let enable = word == b"sizes_enable";
            shared.core.runtime.lock().track_sizes = enable;
            list.add("sizes_status", if enable { "enabled" } else { "disabled" });
        }
        b"conns" => {
            let Some(permit) = shared.budgets.conn_queries.take(1) else {
                return Answer::Refused(OUT_OF_MEMORY);
            };
            let query = shared.query_connections(asker, permit);
            return Answer::Streamed(Stream::Conns(query, format));
        }
        b"detail" => return detail(shared, words.next()),
        b"cachedump" if matches!(format, Format::Text) => {
            return cachedump(shared, words.next(), words.next());
        }
        b"reset" => {
            shared.reset_counts();
            return Answer::Reset;
        }
        _ => return Answer::Unknown,
    }
    Answer::Listed
}

/// `stats detail`.
fn detail(shared: &Shared, word: Option<&[u8]>) -> Answer {
    if !shared.core.config.dump_enabled {
        return Answer::Refused(b"CLIENT_ERROR stats detail not allowed\r\n");
    }
    match word {
        Some(b"on") => shared.watch.attention.fetch_or(attention::DETAIL, Ordering::Relaxed),
        Some(b"off") => shared.watch.attention.fetch_and(!attention::DETAIL, Ordering::Relaxed),
        Some(b"dump") => return Answer::Lines(shared.gauges.prefixes.dump()),
        _ => return Answer::Refused(b"CLIENT_ERROR usage: stats detail on|off|dump\r\n"),
    };
    Answer::Done
}

/// `stats cachedump`.
fn cachedump(shared: &Shared, class: Option<&[u8]>, items: Option<&[u8]>) -> Answer {
    if !shared.core.config.dump_enabled {
        return Answer::Refused(b"CLIENT_ERROR stats cachedump not allowed\r\n");
    }
    let (Some(class), Some(items)) = (class, items) else {
        return Answer::Refused(b"CLIENT_ERROR bad command line\r\n");
    };
    match (parse_u32(class), parse_u32(items)) {
        (Some(class @ 0..=CLASS_MAX), Some(items)) => {
            Answer::Streamed(Stream::Dump(Dump::cachedump(class, items)))
        }
        (Some(_), Some(_)) => Answer::Refused(b"CLIENT_ERROR Illegal slab id\r\n"),
        _ => Answer::Refused(ParseError::BadLineFormat.reply()),
    }
}

/// A list of statistics under way.
struct List<'l, 's> {
    sink: &'l mut Sink<'s>,
    value: Vec<u8>,
}

impl List<'_, '_> {
    /// Adds one line.
    fn add(&mut self, name: impl AsRef<[u8]>, value: impl Display) {
        self.value.clear();
        // Writing to a vector can't fail.
        let _ = write!(self.value, "{value}");
        (self.sink)(name.as_ref(), &self.value);
    }

    /// Adds lines for things that this server does not have.
    fn zeros(&mut self, names: &[&str]) {
        for name in names {
            self.add(name, 0);
        }
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
            report(&shared, 0, Format::Text, words, &mut |_, _| panic!("at once"))
        };
        let mut waiting: Vec<_> = (0..CONN_QUERIES).map(|_| ask()).collect();
        assert!(waiting.iter().all(|answer| matches!(answer, Answer::Streamed(_))));
        assert!(matches!(ask(), Answer::Refused(OUT_OF_MEMORY)));
        waiting.pop();
        assert!(matches!(ask(), Answer::Streamed(_)));
    }
}
