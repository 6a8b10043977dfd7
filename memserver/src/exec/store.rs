//! Storage in all protocols: at once when the value is at hand, else through a reservation that
//! fills as bytes arrive.

use memcore::{Attrs, Key, Mode, StoreError, Stored};
use memproto::limits::MAX_KEY;
use memproto::text::write;
use memproto::{Limits, ParseError, Request, Scan, Step, Store, StoreVerb, text};

use super::{Exec, binary};
use crate::session::batch::Head;
use crate::session::output::Output;
use crate::session::{Session, Upload};

/// What a storage request asks of the cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// What goes with the value.
    pub(super) attrs: Attrs,
    /// Under which conditions.
    pub(super) write: memcore::Store,
    /// A refused value must not leave its predecessor behind.
    pub(super) replaces: bool,
}

/// How the cache answered.
pub(super) type Outcome = Result<Stored, StoreError>;

impl Exec<'_> {
    /// Stores a value that is at hand. Without a `key` the head's own must be decoded first.
    #[inline]
    pub(super) fn put(
        &self,
        head: &Head<'_>,
        key: Option<Key<'_>>,
        value: &[u8],
        out: &mut Output,
    ) {
        match key {
            Some(key) => self.put_under(key, head, value, out),
            None => self.put_decoded(head, value, out),
        }
    }

    #[cold]
    #[inline(never)]
    fn put_decoded(&self, head: &Head<'_>, value: &[u8], out: &mut Output) {
        let mut scratch = [0; MAX_KEY];
        let key = self.shared.core.cache.key(name(head, &mut scratch));
        self.put_under(key, head, value, out);
    }

    #[inline(always)]
    fn put_under(&self, key: Key<'_>, head: &Head<'_>, value: &[u8], out: &mut Output) {
        let terms = self.terms(head);
        // A value that is too large is refused before anybody looks what is there.
        if self.is_observed()
            && self.shared.core.cache.fits(key.bytes().len(), value.len(), &terms.attrs)
        {
            self.observe_search(key);
        }
        let outcome = self.shared.core.cache.store(key, value, terms.attrs, &terms.write);
        self.finish(head, key, &terms, outcome, out);
    }

    /// Finds a place for a value of which `value` is the beginning.
    pub(super) fn begin(&self, head: &Head<'_>, line: &[u8], value: &[u8], session: &mut Session) {
        let mut scratch = [0; MAX_KEY];
        let key = self.shared.core.cache.key(name(head, &mut scratch));
        let attrs = self.terms(head).attrs;
        let mut place = self.shared.core.cache.reserve(key, head.value_len(), attrs);
        match &mut place {
            Ok(reservation) => _ = reservation.write(value),
            Err(error) => self.note_shortage(*error),
        }
        session.upload = Some(Box::new(Upload { head: line.into(), place }));
    }

    /// Takes more of a value, and stores it when it is complete.
    pub(super) fn upload(
        &self,
        value: &[u8],
        end: Option<bool>,
        session: &mut Session,
        out: &mut Output,
    ) {
        if let Some(upload) = &mut session.upload
            && let Ok(reservation) = &mut upload.place
        {
            reservation.write(value);
        }
        let Some(terminated) = end else { return };
        let Some(upload) = session.upload.take() else { return };
        let Some(head) = parse(&upload.head) else { return };
        let mut scratch = [0; MAX_KEY];
        let name = name(&head, &mut scratch);
        let key = self.shared.core.cache.key(name);
        let terms = self.terms(&head);
        let outcome = match upload.place {
            Ok(_) if !terminated => return self.spoiled(&head, out),
            Ok(reservation) => {
                if self.is_observed() {
                    self.observe_search(key);
                }
                let outcome = reservation.commit(&terms.write);
                outcome.inspect_err(|error| self.note_shortage(*error))
            }
            Err(error) => Err(error),
        };
        self.finish(&head, key, &terms, outcome, out);
    }

    /// Takes note of values that arrive so slowly that others find no room.
    fn note_shortage(&self, error: StoreError) {
        if error == StoreError::OutOfMemory {
            self.shared.note_shortage();
        }
    }

    /// Answers a value that came whole and does not end where it should. One that could not have
    /// been stored is answered as that, as it is when it comes in pieces.
    pub(super) fn spoiled_at_once(&self, head: &Head<'_>, out: &mut Output) {
        let mut scratch = [0; MAX_KEY];
        let name = name(head, &mut scratch);
        let key = self.shared.core.cache.key(name);
        let terms = self.terms(head);
        if self.shared.core.cache.fits(name.len(), head.value_len(), &terms.attrs) {
            return self.spoiled(head, out);
        }
        self.finish(head, key, &terms, Err(StoreError::TooLarge), out);
    }

    /// Answers a value that does not end where it should. It counts as a request to store, though
    /// nothing is stored.
    pub(super) fn spoiled(&self, head: &Head<'_>, out: &mut Output) {
        self.counters.cmd_set.add(1);
        if matches!(head, Head::Meta(_)) {
            self.counters.cmd_meta.add(1);
        }
        if !head.is_mute() {
            out.put(ParseError::BadDataChunk.reply());
        }
    }

    #[inline]
    fn terms(&self, head: &Head<'_>) -> Terms {
        match head {
            Head::Text(store) => self.text_terms(store),
            Head::Meta(request) => self.meta_terms(request),
            Head::Binary(request) => self.binary_terms(request),
        }
    }

    #[inline]
    fn text_terms(&self, store: &Store<'_>) -> Terms {
        let attrs = Attrs::new().flags(store.flags).expiry(self.expiry(store.exptime));
        let expected = (store.verb == StoreVerb::Cas).then_some(store.cas);
        let write = memcore::Store::mode(mode(store.verb)).expected(expected);
        Terms { attrs, write, replaces: store.verb == StoreVerb::Set }
    }

    /// Books and answers what became of a value.
    #[inline]
    fn finish(
        &self,
        head: &Head<'_>,
        key: Key<'_>,
        terms: &Terms,
        outcome: Outcome,
        out: &mut Output,
    ) {
        self.count_store(key, terms, &outcome, head.value_len());
        if self.is_observed() {
            self.observe_store(head, key.bytes(), terms, &outcome);
        }
        if outcome.is_err() && terms.replaces {
            if self.is_observed() {
                self.observe_search(key);
            }
            self.shared.core.cache.delete(key);
        }
        match head {
            Head::Text(store) => {
                if !store.noreply {
                    out.put(line(&outcome));
                }
            }
            Head::Meta(request) => self.meta_stored(request, key.bytes(), &outcome, out),
            Head::Binary(request) => binary::stored(self, request, &outcome, out),
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

/// How the cache should treat what is there.
pub(super) fn mode(verb: StoreVerb) -> Mode {
    match verb {
        StoreVerb::Set | StoreVerb::Cas => Mode::Set,
        StoreVerb::Add => Mode::Add,
        StoreVerb::Replace => Mode::Replace,
        StoreVerb::Append => Mode::Append,
        StoreVerb::Prepend => Mode::Prepend,
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
fn name<'s>(head: &Head<'s>, scratch: &'s mut [u8; MAX_KEY]) -> &'s [u8] {
    match head {
        Head::Meta(request) => request.key.bytes(scratch),
        _ => head.plain_key().unwrap_or_default(),
    }
}

/// The header of a storage request whose bytes were kept while its value arrived.
fn parse(head: &[u8]) -> Option<Head<'_>> {
    let limits = Limits::new();
    let mut scan = Scan::new();
    if head.first() == Some(&memproto::binary::REQUEST_MAGIC) {
        return match memproto::binary::parse(head, &mut scan, &limits) {
            memproto::binary::Step::Request { request, .. } => Some(Head::Binary(request)),
            _ => None,
        };
    }
    match text::parse(head, &mut scan, &limits) {
        Step::Request { request: Request::Store(store), .. } => Some(Head::Text(store)),
        Step::Request { request: Request::Meta(request), .. } => Some(Head::Meta(request)),
        _ => None,
    }
}
