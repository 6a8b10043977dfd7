//! Answers that are too long, or take too long, to be made in one go. A stream is asked for its
//! next piece whenever the client has taken the last one, so it holds no more than one piece, and
//! other connections get their turns in between.

mod conns;
mod dump;
mod sizes;

use std::sync::Arc;

use memcore::Cache;
use memproto::binary::{self, write::ReplyTo};
use memproto::text;

use crate::auth::account::Scope;
use crate::state::control::ConnQuery;
use crate::state::prefixes::{Place, Prefixes};

pub(crate) use dump::{CLASS_MAX, Classes, Dump};
pub(crate) use sizes::Sizes;

/// Items or connections looked at for one piece.
const STEP: usize = 64;

/// An answer under way.
#[derive(Debug)]
pub(crate) enum Stream {
    /// The keys of the cache.
    Dump(Dump),
    /// How many items there are of each size.
    Sizes(Sizes, Format),
    /// The connections of all workers.
    Conns(Arc<ConnQuery>, Format),
    /// The counts by key prefix.
    Prefixes { prefixes: Arc<Prefixes>, place: Place, scope: Scope, format: Format },
}

/// How statistics are framed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    /// As lines.
    Text,
    /// As frames that answer this one.
    Binary(ReplyTo),
}

impl Stream {
    /// Appends the next piece; false if it was the last.
    pub(crate) fn step(&mut self, cache: &Cache, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Dump(dump) => dump.step(cache, out),
            Self::Sizes(sizes, format) => {
                let more = sizes.step(cache);
                // The lines come out only at the end: until then the counts grow.
                if !more {
                    sizes.each(|name, value| format.stat(out, name, value));
                    format.end(out);
                }
                more
            }
            Self::Conns(query, format) => {
                let more = conns::step(query, STEP, |name, value| format.stat(out, name, value));
                if !more {
                    format.end(out);
                }
                more
            }
            Self::Prefixes { prefixes, place, scope, format: Format::Text } => {
                let more = prefixes.dump(place, scope, out);
                if !more {
                    out.extend_from_slice(text::write::END);
                }
                more
            }
            Self::Prefixes { prefixes, place, scope, format: format @ Format::Binary(_) } => {
                let mut lines = Vec::new();
                let more = prefixes.dump(place, scope, &mut lines);
                if !more {
                    // The value ends as the lines would in text.
                    lines.extend_from_slice(text::write::END);
                }
                format.stat(out, b"detailed", &lines);
                if !more {
                    format.end(out);
                }
                more
            }
        }
    }

    /// Whether it waits for something other than its client.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self, Self::Conns(query, _) if !query.is_complete())
    }
}

impl Format {
    fn stat(self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        match self {
            Self::Text => text::write::stat(out, name, value),
            Self::Binary(to) => binary::write::stat(out, to, name, value),
        }
    }

    fn end(self, out: &mut Vec<u8>) {
        match self {
            Self::Text => out.extend_from_slice(text::write::END),
            Self::Binary(to) => binary::write::done(out, to, 0),
        }
    }
}
