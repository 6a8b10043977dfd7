//! Retrieval: get, gets, gat, gats, and the copying or pinning of values that all protocols share.

use memcore::{Fetch, Fetched, Hit, Key, Meta, Miss};
use memproto::text::write;

use super::{Exec, INLINE_MAX};
use crate::session::batch::Batch;
use crate::session::dialogue::Flow;
use crate::session::job::Retrieval;
use crate::session::output::Output;

/// A client waits until larger values can be pinned, as copies of them take much memory and time.
const COPY_MAX: usize = 1 << 20;
/// The reply has no room.
pub(super) const NO_ROOM: &[u8] = b"SERVER_ERROR out of memory writing get response\r\n";

/// What became of a value that was asked for.
#[derive(Debug)]
pub(super) enum Delivered {
    /// Its line and the value are in the output.
    Value(Hit),
    /// There is none.
    Miss(Miss),
    /// There is one, but no memory to send it.
    NoRoom,
    /// There is one, but other clients hold the memory that it needs. Nothing has happened.
    Later,
}

impl Exec<'_> {
    /// Looks up the keys of `run`.
    #[inline]
    pub(super) fn retrieve(&self, run: &Retrieval, batch: &Batch<'_>, out: &mut Output) -> Flow {
        let verb = run.verb.verb;
        let touch = verb.touches().then(|| self.expiry(run.verb.exptime));
        let how = Fetch::new().inline_max(INLINE_MAX).pins(self.may_pin).touch(touch);
        for index in run.first..run.end {
            if index > run.first && out.is_full() {
                return Flow::Full(index);
            }
            let key = batch.keys[index as usize];
            let delivered = if verb.with_cas() {
                self.deliver::<false>(key, &how, out, |hit, out| {
                    let Meta { flags, value_len, version, .. } = hit.meta;
                    write::value_cas(out, key.bytes(), flags, value_len, self.version(version));
                })
            } else {
                self.deliver::<false>(key, &how, out, |hit, out| {
                    write::value(out, key.bytes(), hit.meta.flags, hit.meta.value_len);
                })
            };
            if let Delivered::Later = delivered {
                return Flow::Starved(Some(index));
            }
            self.count_get(key, &delivered, touch.is_some());
            match delivered {
                Delivered::Value(_) => out.put(b"\r\n"),
                Delivered::Miss(_) => {}
                Delivered::NoRoom | Delivered::Later => return give_up(run, out),
            }
        }
        if run.last {
            out.put(write::END);
        }
        Flow::Done
    }

    /// Appends the head of `key` to `out`, and its value, copied or pinned, if it is wanted. With
    /// `GROUPS` an item that is created on the way is put in the groups of its key.
    #[inline]
    pub(super) fn deliver<const GROUPS: bool>(
        &self,
        key: Key<'_>,
        how: &Fetch,
        out: &mut Output,
        mut head: impl FnMut(&Hit, &mut Vec<u8>),
    ) -> Delivered {
        let fetched = if GROUPS {
            self.fetch_or_create(key, how, out.bytes(), &mut head)
        } else {
            self.shared.core.cache.fetch(key, how, out.bytes(), &mut head)
        };
        match fetched {
            Fetched::Copied(hit) | Fetched::Skipped(hit) => Delivered::Value(hit),
            Fetched::Miss(miss) => Delivered::Miss(miss),
            Fetched::Pinned(hit, value) => {
                head(&hit, out.bytes());
                out.pin(value);
                Delivered::Value(hit)
            }
            Fetched::Busy(hit) => self.copy(key, how, hit.meta.value_len, out, head),
            // What was asked for as a whole is not done in part.
            _ => Delivered::NoRoom,
        }
    }

    /// Copies a value, since it can't be pinned now.
    #[cold]
    fn copy(
        &self,
        key: Key<'_>,
        how: &Fetch,
        len: usize,
        out: &mut Output,
        head: impl FnMut(&Hit, &mut Vec<u8>),
    ) -> Delivered {
        if (self.can_wait && len > COPY_MAX) || !self.charge(len, out) {
            return self.no_room();
        }
        let how = how.inline_max(len).pins(false);
        match self.shared.core.cache.fetch(key, &how, out.bytes(), head) {
            Fetched::Copied(hit) | Fetched::Skipped(hit) => Delivered::Value(hit),
            Fetched::Miss(miss) => Delivered::Miss(miss),
            // It has grown since by more than its charge.
            Fetched::Busy(_) => self.no_room(),
            _ => Delivered::NoRoom,
        }
    }

    /// Counts a lookup among those of the keys that are asked for most.
    #[cold]
    #[inline(never)]
    fn sample(&self, key: &[u8], gets: u64) {
        let now = self.shared.core.cache.now().as_secs();
        let Some(worker) = self.shared.gauges.hot_keys.get(self.index) else { return };
        let others = worker.sample(key, now);
        self.counters.sample_after.set(gets + others);
    }

    /// What becomes of a value that can neither be pinned nor copied now.
    fn no_room(&self) -> Delivered {
        self.shared.note_shortage();
        if self.can_wait {
            Delivered::Later
        } else {
            self.counters.response_oom.add(1);
            Delivered::NoRoom
        }
    }

    /// Counts a lookup. One that renews the expiry counts as a touch instead.
    #[inline(always)]
    pub(super) fn count_get(&self, key: Key<'_>, delivered: &Delivered, touched: bool) {
        if self.is_observed() {
            self.observe_get(key.bytes(), delivered);
        }
        if touched {
            return match delivered {
                Delivered::Value(hit) => self.count_touch(Some(hit.meta.class)),
                Delivered::NoRoom | Delivered::Later => {
                    self.count_touch(self.shared.core.cache.peek(key).map(|meta| meta.class))
                }
                Delivered::Miss(_) => self.count_touch(None),
            };
        }
        let gets = self.counters.cmd_get.next();
        if gets > self.counters.sample_after.load() {
            self.sample(key.bytes(), gets);
        }
        match delivered {
            Delivered::Value(_) | Delivered::NoRoom | Delivered::Later => {
                self.counters.get_hits.add(1)
            }
            Delivered::Miss(miss) => {
                self.counters.get_misses.add(1);
                match miss {
                    Miss::Expired => self.counters.get_expired.add(1),
                    Miss::Flushed => self.counters.get_flushed.add(1),
                    _ => {}
                }
            }
        }
    }
}

/// Ends a reply that can't be completed. Only the reply to a single key can be replaced by an
/// error; in others the client has seen values already, so the connection has to end as well.
#[cold]
fn give_up(run: &Retrieval, out: &mut Output) -> Flow {
    out.put(NO_ROOM);
    if run.single { Flow::Done } else { Flow::Close }
}
