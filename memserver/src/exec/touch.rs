//! touch and delete.

use memcore::{Key, Meta, Remove, Removed, StoreError};
use memproto::text::write;

use super::arith::OUT_OF_MEMORY;
use super::groups::{GroupRemoval, NO_GROUP};
use super::{Exec, say};
use crate::session::output::Output;

impl Exec<'_> {
    /// touch.
    pub(super) fn touch(&self, key: Key<'_>, exptime: i64, out: Option<&mut Output>) {
        if self.is_observed() {
            self.observe_search(key);
        }
        let touched = self.shared.core.cache.touch(key, self.expiry(exptime));
        self.count_touched(&touched);
        match touched {
            Ok(Some(_)) => say(out, write::TOUCHED),
            Ok(None) => say(out, write::NOT_FOUND),
            Err(_) => say(out, OUT_OF_MEMORY),
        }
    }

    /// Counts a touch. One for which there is no memory has neither hit nor missed.
    pub(super) fn count_touched(&self, touched: &Result<Option<Meta>, StoreError>) {
        match touched {
            Ok(found) => self.count_touch(found.map(|meta| meta.class)),
            Err(_) => self.counters.cmd_touch.add(1),
        }
    }

    /// delete.
    pub(super) fn delete(&self, key: Key<'_>, out: Option<&mut Output>) {
        if self.is_group(key.bytes()) {
            return self.delete_group(key.bytes(), out);
        }
        if self.is_observed() {
            self.observe_search(key);
        }
        let removed = self.shared.core.cache.remove_with(key, &Remove::new());
        self.count_removal(&removed);
        if self.is_observed() {
            self.observe_delete(key.bytes(), "delete", &removed);
        }
        // Without a condition there is no third outcome.
        let found = matches!(removed, Ok(Removed::Done(_)));
        say(out, if found { write::DELETED } else { write::NOT_FOUND });
    }

    #[cold]
    #[inline(never)]
    fn delete_group(&self, name: &[u8], out: Option<&mut Output>) {
        let line = match self.remove_group(name) {
            GroupRemoval::Done => write::DELETED,
            GroupRemoval::NotFound => write::NOT_FOUND,
            GroupRemoval::Refused => NO_GROUP,
        };
        say(out, line);
    }

    /// Counts a touch of an item of this class, if there is one.
    pub(super) fn count_touch(&self, found: Option<u8>) {
        self.counters.cmd_touch.add(1);
        match found {
            Some(class) => self.counters.touch_hits.add(class),
            None => self.counters.touch_misses.add(1),
        }
    }

    /// Counts a conditional removal.
    pub(super) fn count_removal(&self, removed: &Result<Removed, StoreError>) {
        match removed {
            Ok(Removed::Done(_)) => self.count_delete(true),
            Ok(Removed::NotFound) => self.count_delete(false),
            // A version that differs is neither hit nor miss.
            _ => {}
        }
    }

    fn count_delete(&self, found: bool) {
        let hits = &self.counters.delete_hits;
        if found { hits } else { &self.counters.delete_misses }.add(1);
    }
}
