//! Requests as somebody who looks on sees them: counted by prefix, or told to watchers. Most of
//! the time nobody does, hence all of this is off the paths that matter.

use memcore::{Expiry, Hit, Meta, Miss, Mode, Removed, StoreError, Stored};
use memproto::ParseError;

use super::get::Delivered;
use super::store::{Outcome, Terms};
use super::{Exec, Flow};
use crate::batch::Head;
use crate::output::Output;
use crate::prefixes::Use;
use crate::session::Session;
use crate::watch::{self, Deletion, Lookup, Storage, attention};

impl Exec<'_> {
    /// A lookup.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_get(&self, key: &[u8], delivered: &Delivered) {
        if self.attends(attention::DETAIL) {
            let hit = !matches!(delivered, Delivered::Miss(_));
            self.shared.prefixes.count(key, if hit { Use::Hit } else { Use::Miss });
        }
        if self.attends(attention::FETCHERS) {
            let found = match delivered {
                // The item did not exist before it was asked for.
                Delivered::Value(Hit { created: true, .. }) => Err("not_found"),
                Delivered::Value(hit) => Ok(hit.meta),
                Delivered::NoRoom => self.shared.cache.peek(key).ok_or("not_found"),
                Delivered::Miss(Miss::Absent) => Err("not_found"),
                Delivered::Miss(Miss::Expired) => Err("expired"),
                Delivered::Miss(Miss::Flushed) => Err("flushed"),
            };
            let client = self.client.get();
            self.shared.watch.lookup(self.index, &Lookup { key, found, client });
        }
    }

    /// A storage request.
    #[cold]
    #[inline(never)]
    pub(super) fn observe_store(
        &self,
        head: &Head<'_>,
        key: &[u8],
        terms: &Terms,
        outcome: &Outcome,
    ) {
        if self.attends(attention::DETAIL) {
            self.shared.prefixes.count(key, Use::Set);
        }
        if self.attends(attention::MUTATIONS) {
            let (status, len) = match outcome {
                Ok(Stored::Done { value_len, .. }) => ("stored", *value_len),
                Ok(Stored::NotStored) => ("not_stored", head.value_len()),
                Ok(Stored::Exists) => ("exists", head.value_len()),
                Ok(Stored::NotFound) => ("not_found", head.value_len()),
                Err(StoreError::TooLarge) => ("too_large", head.value_len()),
                Err(_) => ("no_memory", head.value_len()),
            };
            let stored = matches!(outcome, Ok(Stored::Done { .. }));
            let item = self.shared.cache.peek(key).filter(|_| stored);
            let now = self.shared.cache.now();
            let ttl = match terms.attrs.expiry {
                Expiry::Never => 0,
                Expiry::At(moment) => moment.saturating_sub(now),
            };
            self.shared.watch.storage(
                self.index,
                &Storage {
                    key,
                    status,
                    command: command(terms),
                    ttl,
                    class: item.map_or(0, |meta| meta.class),
                    client: self.client.get(),
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
            self.shared.prefixes.count(key, Use::Delete);
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
        if self.attends(attention::RAWCMDS) && !request.starts_with(&[0x80]) {
            self.shared.watch.raw(self.index, self.client.get(), request);
        }
    }

    /// watch.
    pub(super) fn watch(
        &self,
        words: memproto::Args<'_>,
        session: &mut Session,
        out: &mut Output,
    ) -> Flow {
        if !self.shared.config.watch_enabled {
            out.put(b"CLIENT_ERROR watch commands not allowed\r\n");
            return Flow::Done;
        }
        let Some(kinds) = watch::kinds(words) else {
            out.put(ParseError::UnknownCommand.reply());
            return Flow::Done;
        };
        let Some(seat) = self.shared.watch.admit(kinds) else {
            out.put(b"WATCHER_TOO_MANY log watcher limit reached\r\n");
            return Flow::Done;
        };
        session.watch = Some(Box::new(seat));
        Flow::Close
    }
}

/// The name of a storage request in watchers' lines.
fn command(terms: &Terms) -> &'static str {
    if terms.write.expected.is_some() {
        return "cas";
    }
    match terms.write.mode {
        Mode::Set => "set",
        Mode::Add => "add",
        Mode::Replace => "replace",
        Mode::Append => "append",
        Mode::Prepend => "prepend",
    }
}
