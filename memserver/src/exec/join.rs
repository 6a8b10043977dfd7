//! Appending and prepending to a large value: the new value is made a piece at a time, and other
//! clients get their turns in between.

use memcore::{Attrs, Expiry, Fetch, Fetched, Key, Meta, Mode, Store, StoreError, Stored};

use super::Exec;
use crate::session::dialogue::Flow;
use crate::session::job::{OwnedRequest, StoreRequest};
use crate::session::join::Join;
use crate::session::output::Output;
use crate::session::pending::Pending;

/// Values from this size on are copied in pieces.
const PIECES_MIN: usize = 1 << 20;

impl Exec<'_> {
    /// Begins to add to a large value; none if the request is to be executed at once.
    #[inline]
    pub(super) fn join(
        &self,
        request: &StoreRequest<'_>,
        key: Option<Key<'_>>,
        added: &[u8],
        pending: &mut Pending,
    ) -> Option<Flow> {
        if !request.may_extend() {
            return None;
        }
        self.begin_join(request, key?, added, pending)
    }

    #[cold]
    #[inline(never)]
    fn begin_join(
        &self,
        request: &StoreRequest<'_>,
        key: Key<'_>,
        added: &[u8],
        pending: &mut Pending,
    ) -> Option<Flow> {
        let cache = &self.shared.core.cache;
        let terms = self.terms(request);
        let old = cache.peek(key).filter(|old| old.value_len >= PIECES_MIN)?;
        let len = old.value_len.checked_add(added.len())?;
        let attrs = attrs_of(&old);
        // What is refused is refused at once.
        if !matches!(terms.write.mode, Mode::Append | Mode::Prepend)
            || terms.write.expected.is_some_and(|version| version != old.version)
            || !cache.fits(key.bytes().len(), len, &attrs)
            || added.is_empty()
        {
            return None;
        }
        let look = Fetch::new().inline_max(0).peek(true).pins(self.may_pin);
        let old = match cache.fetch(key, &look, &mut Vec::new(), |_, _| ()) {
            Fetched::Pinned(hit, value) if hit.meta.version == old.version => value,
            Fetched::Busy(_) => return self.starve(),
            _ => return None,
        };
        let place = match self.reserve_value(key, len, attrs) {
            Ok(place) => place,
            Err(StoreError::Crowded) => return self.starve(),
            Err(_) => return None,
        };
        if self.is_observed() {
            self.observe_search(key);
        }
        let request = OwnedRequest::copy_of(request);
        let join = Join::new(request, added, old, place);
        pending.put(Pending::Join(Box::new(join)));
        Some(Flow::Pieces)
    }

    fn starve(&self) -> Option<Flow> {
        self.shared.note_shortage();
        self.can_wait.then_some(Flow::Starved(None))
    }

    /// Goes on with it.
    pub(super) fn go_on_joining(&self, pending: &mut Pending, out: &mut Output) {
        let Pending::Join(join) = pending else { return };
        let terms = self.terms(&join.request());
        if join.step(terms.write.mode == Mode::Prepend) {
            return;
        }
        if let Pending::Join(join) = std::mem::take(pending) {
            self.complete_join(*join, out);
        }
    }

    fn complete_join(&self, join: Join, out: &mut Output) {
        let (request, added, old, place) = join.into_parts();
        let request = request.get();
        let cache = &self.shared.core.cache;
        let Some(name) = request.plain_key() else { return };
        let key = cache.key(name);
        let terms = self.terms(&request);
        let version = terms.write.version;
        let how = Store::replace().expected(old.meta().version).version(version);
        let outcome = match place.commit(&how) {
            Ok(stored @ Stored::Done { .. }) => Ok(stored),
            // Another client has changed the value, or there was no memory for both.
            _ => {
                drop(old);
                cache.store(key, &added, terms.attrs, &terms.write)
            }
        };
        self.finish(&request, key, &terms, outcome, out);
    }
}

/// What a value keeps when something is added to it.
fn attrs_of(old: &Meta) -> Attrs {
    let expiry = old.expiry.map_or(Expiry::Never, Expiry::At);
    Attrs::new().flags(old.flags).expiry(expiry).marked(old.marked)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use memcore::Cache;

    use super::*;
    use crate::config::{Binding, Config};
    use crate::session::batch::{Batch, Spare};
    use crate::session::cut::Cursor;
    use crate::session::dialogue::{Dialogue, Round, Stop};
    use crate::session::join::PIECE;
    use crate::state::shared::Shared;

    const LEN: usize = 3 << 20;

    /// A client's dialogue whose turns a test takes one by one.
    struct Turns {
        shared: Arc<Shared>,
        dialogue: Dialogue,
        out: Output,
        pos: usize,
    }

    impl Turns {
        fn new() -> Self {
            let cache = Cache::builder(64 << 20).max_item_size(16 << 20).build().unwrap();
            let attrs = Attrs::new().flags(7);
            cache.set("k", &vec![b'v'; LEN], attrs).unwrap();
            let shared = Shared::without_threads(cache, Config { threads: 1, ..Config::default() });
            let dialogue = Dialogue::new(Binding::Auto);
            Self { shared, dialogue, out: Output::default(), pos: 0 }
        }

        /// Executes what one turn of `input` allows; false if nothing is left.
        fn take(&mut self, input: &[u8]) -> bool {
            let mut batch = Batch::new(&self.shared.core.cache, Spare::default());
            let mut exec = Exec::new(&self.shared, 0);
            let mut cursor = Cursor { input, pos: self.pos };
            self.dialogue.cut(&mut cursor, 100, &mut batch);
            self.pos = cursor.pos;
            let round = Round { input, jobs: 0..batch.jobs.len(), batch: &batch };
            let room = |_: &mut Output| ControlFlow::<()>::Continue(());
            let stop = self.dialogue.execute(&round, &mut exec, &mut self.out, room);
            if let ControlFlow::Break(Stop::Pieces { pos }) = stop {
                self.pos = pos;
            }
            self.dialogue.is_streaming() || self.pos < input.len()
        }
    }

    #[test]
    fn a_large_value_is_copied_in_pieces_before_the_next_request() {
        for (verb, value) in [("append", "v+"), ("prepend", "+v")] {
            let mut turns = Turns::new();
            let input = format!("{verb} k 0 0 1\r\n+\r\nmg k s f\r\n");
            let mut count = 1;
            while turns.take(input.as_bytes()) {
                assert!(turns.out.is_empty() || !turns.dialogue.is_streaming(), "answered early");
                count += 1;
            }
            assert!(count >= LEN / PIECE, "in {count} turns");
            let reply = format!("STORED\r\nHD s{} f7\r\n", LEN + 1);
            assert_eq!(
                turns.out.copied().escape_ascii().to_string(),
                reply.escape_default().to_string()
            );
            let whole = "v".repeat(LEN);
            let expected = value.replace('v', &whole);
            assert!(turns.shared.core.cache.get("k").unwrap() == expected.as_bytes(), "{verb}");
        }
    }

    #[test]
    fn what_others_store_meanwhile_is_not_lost() {
        for (other, expected) in [(Some("w"), "STORED\r\n"), (None, "NOT_STORED\r\n")] {
            let mut turns = Turns::new();
            let input = b"append k 0 0 1\r\n+\r\n";
            assert!(turns.take(input) && turns.take(input));
            let cache = turns.shared.core.cache.clone();
            match other {
                Some(value) => _ = cache.set("k", value.as_bytes(), Attrs::new()).unwrap(),
                None => _ = cache.delete("k"),
            }
            while turns.take(input) {}
            assert_eq!(turns.out.copied(), expected.as_bytes());
            assert_eq!(cache.get("k"), other.map(|value| format!("{value}+").into_bytes()));
        }
    }
}
