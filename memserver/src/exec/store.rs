//! Storage in all protocols: at once when the value is at hand, else through a reservation that
//! fills as bytes arrive.

use memcore::{Key, Mode, StoreError, Stored};
use memproto::ParseError;
use memproto::limits::MAX_KEY;
use memproto::text::write;

use super::terms::{Outcome, Terms};
use super::{Exec, NOT_EXECUTED, binary, gate};
use crate::session::dialogue::Flow;
use crate::session::job::{BodyEnd, OwnedRequest, StoreRequest};
use crate::session::output::Output;
use crate::session::pending::{Pending, Upload};

impl Exec<'_> {
    /// Stores a value that is at hand. Without a `key` the request's own must be decoded first.
    #[inline]
    pub(super) fn put(
        &self,
        request: &StoreRequest<'_>,
        key: Option<Key<'_>>,
        value: &[u8],
        out: &mut Output,
    ) {
        match key {
            Some(key) => self.put_under(key, request, value, out),
            None => self.put_decoded(request, value, out),
        }
    }

    #[cold]
    #[inline(never)]
    fn put_decoded(&self, request: &StoreRequest<'_>, value: &[u8], out: &mut Output) {
        let mut scratch = [0; MAX_KEY];
        let key = self.shared.core.cache.key(name(request, &mut scratch));
        self.put_under(key, request, value, out);
    }

    #[inline(always)]
    fn put_under(&self, key: Key<'_>, request: &StoreRequest<'_>, value: &[u8], out: &mut Output) {
        let terms = self.terms(request);
        // A value that is too large is refused before the present item is looked up, so watchers
        // are told of no lookup.
        if self.is_observed()
            && self.shared.core.cache.fits(key.bytes().len(), value.len(), &terms.attrs)
        {
            self.observe_search(key);
        }
        let outcome = self.store_value(key, value, &terms);
        self.finish(request, key, &terms, outcome, out);
    }

    /// Finds a place for a value of which `value` is the beginning.
    pub(super) fn begin(
        &self,
        request: &StoreRequest<'_>,
        header: &[u8],
        value: &[u8],
        pending: &mut Pending,
    ) -> Flow {
        let mut scratch = [0; MAX_KEY];
        let key = self.shared.core.cache.key(name(request, &mut scratch));
        let attrs = self.terms(request).attrs;
        let mut place = self.reserve_value(key, request.value_len(), attrs);
        match &mut place {
            Ok(reservation) => _ = reservation.write(value),
            // It waits with the little that has come.
            Err(StoreError::Crowded) if self.can_wait => {
                self.note_shortage(StoreError::Crowded);
                return Flow::Starved(None);
            }
            // The error is kept until the whole value has come, as the reply belongs behind it.
            Err(error) => self.note_shortage(*error),
        }
        // The header's bytes are gone when the value is complete.
        let request = OwnedRequest::new(request, header);
        pending.put(Pending::Upload(Box::new(Upload { request, place })));
        Flow::Done
    }

    /// Takes more of a value, and stores it when it is complete.
    pub(super) fn upload(
        &self,
        value: &[u8],
        end: BodyEnd,
        pending: &mut Pending,
        out: &mut Output,
    ) {
        if let Pending::Refused(request) = pending {
            if end != BodyEnd::NotYet {
                gate::refuse_value(&request.get(), out);
                *pending = Pending::Nothing;
            }
            return;
        }
        let Pending::Upload(upload) = pending else {
            debug_assert!(false, "no value is arriving");
            return out.put(NOT_EXECUTED);
        };
        if let Ok(reservation) = &mut upload.place {
            reservation.write(value);
        }
        if end != BodyEnd::NotYet
            && let Pending::Upload(upload) = std::mem::take(pending)
        {
            self.complete(*upload, end, out);
        }
    }

    /// Stores a value that has arrived.
    fn complete(&self, upload: Upload, end: BodyEnd, out: &mut Output) {
        let Upload { request, place } = upload;
        let request = request.get();
        let mut scratch = [0; MAX_KEY];
        let key = self.shared.core.cache.key(name(&request, &mut scratch));
        let terms = self.terms(&request);
        let outcome = match place {
            Ok(_) if end == BodyEnd::Unterminated => return self.unterminated(&request, out),
            Ok(reservation) => {
                if self.is_observed() {
                    self.observe_search(key);
                }
                let outcome = reservation.commit(&terms.write);
                outcome.inspect_err(|error| self.note_shortage(*error))
            }
            Err(error) => Err(error),
        };
        self.finish(&request, key, &terms, outcome, out);
    }

    /// Takes note of values that arrive so slowly that others find no room.
    fn note_shortage(&self, error: StoreError) {
        if matches!(error, StoreError::OutOfMemory | StoreError::Crowded) {
            self.shared.note_shortage();
        }
    }

    /// Answers a value that came whole and does not end where it should. One that could not have
    /// been stored is answered as that, as it is when it comes in pieces.
    pub(super) fn refuse_unterminated(&self, request: &StoreRequest<'_>, out: &mut Output) {
        let mut scratch = [0; MAX_KEY];
        let name = name(request, &mut scratch);
        let key = self.shared.core.cache.key(name);
        let terms = self.terms(request);
        if self.shared.core.cache.fits(name.len(), request.value_len(), &terms.attrs) {
            return self.unterminated(request, out);
        }
        self.finish(request, key, &terms, Err(StoreError::TooLarge), out);
    }

    /// Answers a value that does not end where it should. It counts as a request to store, though
    /// nothing is stored.
    pub(super) fn unterminated(&self, request: &StoreRequest<'_>, out: &mut Output) {
        self.counters.cmd_set.add(1);
        if matches!(request, StoreRequest::Meta(_)) {
            self.counters.cmd_meta.add(1);
        }
        if !request.is_mute() {
            out.put(ParseError::BadDataChunk.reply());
        }
    }

    /// Counts and answers what became of a value.
    #[inline]
    pub(super) fn finish(
        &self,
        request: &StoreRequest<'_>,
        key: Key<'_>,
        terms: &Terms,
        outcome: Outcome,
        out: &mut Output,
    ) {
        self.count_store(key, terms, &outcome, request.value_len());
        if self.is_observed() {
            self.observe_store(request, key.bytes(), terms, &outcome);
        }
        // As in memcached, a set that can never succeed removes the old value: the client wanted it
        // replaced, and must not read it any more. One that finds no memory may be repeated.
        if outcome == Err(StoreError::TooLarge) && terms.replaces {
            if self.is_observed() {
                self.observe_search(key);
            }
            self.shared.core.cache.delete(key);
        }
        match request {
            StoreRequest::Text(store) => {
                if !store.noreply {
                    out.put(line(&outcome));
                }
            }
            StoreRequest::Meta(meta) => self.meta_stored(meta, key.bytes(), &outcome, out),
            StoreRequest::Binary(frame) => binary::stored(self, frame, &outcome, out),
        }
    }

    #[inline]
    fn count_store(&self, key: Key<'_>, terms: &Terms, outcome: &Outcome, len: usize) {
        let counters = self.counters;
        match outcome {
            Err(StoreError::TooLarge) => counters.store_too_large.add(1),
            Err(_) => counters.store_no_memory.add(1),
            Ok(_) => counters.cmd_set.add(1),
        }
        // Additions to a value are not counted by their versions.
        if terms.write.expected.is_some()
            && !matches!(terms.write.mode, Mode::Append | Mode::Prepend)
        {
            let cache = &self.shared.core.cache;
            let class = || cache.class_of(key.bytes().len(), len, &terms.attrs);
            match outcome {
                Ok(Stored::Done { .. }) => counters.cas_hits.add(class()),
                Ok(Stored::VersionMismatch) => {
                    // It counts for the item that is there, as in memcached.
                    let there = cache.peek(key).map(|meta| meta.class);
                    counters.cas_badval.add(there.unwrap_or_else(class));
                }
                Ok(Stored::NotFound) => counters.cas_misses.add(1),
                _ => {}
            }
        }
    }
}

/// The text line that answers a failed write.
pub(super) fn error_line(error: StoreError) -> &'static [u8] {
    match error {
        StoreError::TooLarge => write::TOO_LARGE,
        StoreError::BadKey => ParseError::BadLineFormat.reply(),
        _ => write::OUT_OF_MEMORY,
    }
}

fn line(outcome: &Outcome) -> &'static [u8] {
    match outcome {
        Ok(Stored::Done { .. }) => write::STORED,
        Ok(Stored::VersionMismatch) => write::EXISTS,
        Ok(Stored::NotFound) => write::NOT_FOUND,
        Ok(_) => write::NOT_STORED,
        Err(error) => error_line(*error),
    }
}

/// The key of a storage request.
fn name<'s>(request: &StoreRequest<'s>, scratch: &'s mut [u8; MAX_KEY]) -> &'s [u8] {
    request.name(scratch)
}
