//! incr and decr.

use memcore::{Count, CountError, Counted, Key};
use memproto::ArithVerb;
use memproto::text::write;

use super::{Exec, say};
use crate::session::output::Output;

/// The new number did not fit into memory.
pub(super) const OUT_OF_MEMORY: &[u8] = b"SERVER_ERROR out of memory\r\n";

impl Exec<'_> {
    /// incr and decr.
    pub(super) fn arith(
        &self,
        key: Key<'_>,
        verb: ArithVerb,
        delta: u64,
        out: Option<&mut Output>,
    ) {
        let down = verb == ArithVerb::Decr;
        let how = Count::increment(delta).down(down);
        match self.count(key, &how) {
            Ok(Counted::Done { value, .. }) => {
                if let Some(out) = out {
                    write::number(out.bytes(), value);
                }
            }
            Ok(Counted::NotFound) => say(out, write::NOT_FOUND),
            Ok(Counted::VersionMismatch) => say(out, write::EXISTS),
            Err(CountError::NotANumber) => say(out, write::NON_NUMERIC),
            _ => say(out, OUT_OF_MEMORY),
        }
    }

    /// Changes a number, and counts that.
    pub(super) fn count(&self, key: Key<'_>, how: &Count) -> Result<Counted, CountError> {
        // Before the change, since watchers are told of the item as it was.
        if self.is_observed() {
            self.observe_search(key);
        }
        let counted = self.count_value(key, how);
        self.count_arith(how.down, &counted);
        if self.is_observed()
            && let Ok(counted) = &counted
        {
            self.observe_count(key.bytes(), how, counted);
        }
        counted
    }

    /// One that was created is neither hit nor miss, as in memcached.
    fn count_arith(&self, down: bool, counted: &Result<Counted, CountError>) {
        let counters = self.counters;
        match counted {
            Ok(Counted::Done { created: true, .. }) => {}
            Ok(Counted::Done { meta, .. }) if down => counters.decr_hits.add(meta.class),
            Ok(Counted::Done { meta, .. }) => counters.incr_hits.add(meta.class),
            Ok(Counted::NotFound) if down => counters.decr_misses.add(1),
            Ok(Counted::NotFound) => counters.incr_misses.add(1),
            _ => {}
        }
    }
}
