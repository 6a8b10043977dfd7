//! Requests as others are told about them: counted by prefix, or written to watchers. Most of the
//! time there are no watchers, hence all of this is kept off the hot paths.

use memcore::{
    Count, Counted, Expiry, Fetch, Fetched, Hit, Key, Meta, Miss, Mode, Removed, StoreError, Stored,
};
use memproto::ParseError;

use super::Exec;
use super::get::Delivered;
use super::terms::{Outcome, Terms};
use crate::session::dialogue::Flow;
use crate::session::job::StoreRequest;
use crate::session::output::Output;
use crate::session::pending::Pending;
use crate::state::prefixes::Use;
use crate::watch::{self, Deletion, Lookup, Storage, attention};

impl Exec<'_> {
    /// A lookup.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_get(&self, key: &[u8], delivered: &Delivered) {
        if self.attends(attention::DETAIL) {
            let hit = !matches!(delivered, Delivered::Miss(_));
            self.shared.gauges.prefixes.count(key, if hit { Use::Hit } else { Use::Miss });
        }
        if self.attends(attention::FETCHERS) {
            let found = match delivered {
                // The item did not exist before it was asked for.
                Delivered::Value(Hit { created: true, .. }) => Err("not_found"),
                Delivered::Value(hit) => Ok(hit.meta),
                // The item is there; only its value could not be sent.
                Delivered::NoRoom | Delivered::Later => {
                    self.shared.core.cache.peek(key).ok_or("not_found")
                }
                Delivered::Miss(miss) => Err(reason(*miss)),
            };
            self.tell_lookup(key, found);
        }
    }

    /// A lookup on the way to something else: watchers are told as well of the item that is about
    /// to be replaced, changed, touched or removed.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_search(&self, key: Key<'_>) {
        if self.attends(attention::FETCHERS) {
            let look = Fetch::new().without_value().peek(true);
            let found = match self.shared.core.cache.fetch(key, &look, &mut Vec::new(), |_, _| ()) {
                Fetched::Skipped(hit) => Ok(hit.meta),
                Fetched::Untouched(meta) => Ok(meta),
                Fetched::Miss(miss) => Err(reason(miss)),
                _ => Err("not_found"),
            };
            self.tell_lookup(key.bytes(), found);
        }
    }

    fn tell_lookup(&self, key: &[u8], found: Result<Meta, &'static str>) {
        let client = self.observer.client;
        self.shared.watch.lookup(self.index, &Lookup { key, found, client });
    }

    /// A change of a number. One that is created is stored as `add` would.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_count(&self, key: &[u8], how: &Count, counted: &Counted) {
        if self.attends(attention::MUTATIONS)
            && let Counted::Done { meta, created: true, .. } = counted
            && let Some((_, attrs)) = how.initial
        {
            let told = Storage {
                key,
                status: "stored",
                command: "add",
                ttl: self.seconds(attrs.expiry),
                class: meta.class,
                client: self.observer.client,
                len: meta.value_len,
            };
            self.shared.watch.storage(self.index, &told);
        }
    }

    /// Seconds to live, 0 for ever.
    fn seconds(&self, expiry: Expiry) -> u32 {
        let now = self.shared.core.cache.now();
        expiry.moment(now).map_or(0, |end| end.as_secs().saturating_sub(now.as_secs()))
    }

    /// A storage request.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_store(
        &self,
        request: &StoreRequest<'_>,
        key: &[u8],
        terms: &Terms,
        outcome: &Outcome,
    ) {
        if self.attends(attention::DETAIL) {
            self.shared.gauges.prefixes.count(key, Use::Set);
        }
        if self.attends(attention::MUTATIONS) {
            let (status, len) = match outcome {
                Ok(Stored::Done { value_len, .. }) => ("stored", *value_len),
                Ok(Stored::VersionMismatch) => ("exists", request.value_len()),
                Ok(Stored::NotFound) => ("not_found", request.value_len()),
                Ok(_) => ("not_stored", request.value_len()),
                Err(StoreError::TooLarge) => ("too_large", request.value_len()),
                Err(_) => ("no_memory", request.value_len()),
            };
            let cache = &self.shared.core.cache;
            let class = match outcome {
                Ok(_) => cache.class_of(key.len(), len, &terms.attrs),
                Err(_) => 0,
            };
            self.shared.watch.storage(
                self.index,
                &Storage {
                    key,
                    status,
                    command: command(terms),
                    ttl: self.seconds(terms.attrs.expiry),
                    class,
                    client: self.observer.client,
                    len,
                },
            );
        }
    }

    /// A deletion by the classic or the meta command.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_delete(
        &self,
        key: &[u8],
        command: &'static str,
        removed: &Result<Removed, StoreError>,
    ) {
        if self.attends(attention::DETAIL) {
            self.shared.gauges.prefixes.count(key, Use::Delete);
        }
        if let Ok(Removed::Done(meta)) = removed
            && self.attends(attention::DELETIONS)
        {
            let meta: Meta = *meta;
            self.shared.watch.deletion(self.index, &Deletion { key, command, meta });
        }
    }

    /// A request of the text protocol as it came.
    #[cold]
    pub(crate) fn observe_raw(&self, request: &[u8]) {
        // memcached shows only lines of text; 0x80 begins a binary frame.
        if self.attends(attention::RAWCMDS) && !request.starts_with(&[0x80]) {
            self.shared.watch.raw(self.index, self.observer.client, request);
        }
    }

    /// watch.
    pub(super) fn watch(
        &self,
        words: memproto::Args<'_>,
        pending: &mut Pending,
        out: &mut Output,
    ) -> Flow {
        let Some(kinds) = watch::kinds(words) else {
            out.put(ParseError::UnknownCommand.reply());
            return Flow::Done;
        };
        let buffer = self.shared.core.config.watcher_logbuf_size;
        let has_memory = self.shared.budgets.clients.has(buffer);
        let Some(permit) = self.shared.watch.admit(kinds, &self.scope()).filter(|_| has_memory)
        else {
            out.put(b"WATCHER_TOO_MANY log watcher limit reached\r\n");
            return Flow::Done;
        };
        // The permit tells the worker to hand the connection over instead of closing it.
        pending.put(Pending::Watch(Box::new(permit)));
        Flow::Close
    }
}

/// Why there is no item, in watchers' lines.
fn reason(miss: Miss) -> &'static str {
    match miss {
        Miss::Expired => "expired",
        Miss::Flushed => "flushed",
        _ => "not_found",
    }
}

/// The name of a storage request in watchers' lines.
fn command(terms: &Terms) -> &'static str {
    // A condition counts more than the mode.
    if terms.write.expected.is_some() {
        return "cas";
    }
    match terms.write.mode {
        Mode::Add => "add",
        Mode::Replace => "replace",
        Mode::Append => "append",
        Mode::Prepend => "prepend",
        _ => "set",
    }
}
