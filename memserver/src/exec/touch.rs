//! touch and delete.

use memcore::{Key, Remove, Removed, StoreError};
use memproto::text::write;

use super::{Exec, say};
use crate::output::Output;

impl Exec<'_> {
    /// touch.
    pub(super) fn touch(&self, key: Key<'_>, exptime: i64, out: Option<&mut Output>) {
        if self.is_observed() {
            self.observe_search(key);
        }
        let touched = self.shared.cache.touch(key, self.expiry(exptime));
        self.count_touch(touched.map(|meta| meta.class));
        say(out, if touched.is_some() { write::TOUCHED } else { write::NOT_FOUND });
    }

    /// delete.
    pub(super) fn delete(&self, key: Key<'_>, out: Option<&mut Output>) {
        if self.is_observed() {
            self.observe_search(key);
        }
        let removed = self.shared.cache.remove(key, &Remove::default());
        self.count_removal(&removed);
        if self.is_observed() {
            self.observe_delete(key.bytes(), "delete", &removed);
        }
        let found = matches!(removed, Ok(Removed::Done(_)));
        say(out, if found { write::DELETED } else { write::NOT_FOUND });
    }

    /// Books a touch of an item of this class, if there is one.
    pub(super) fn count_touch(&self, found: Option<u8>) {
        self.counters.cmd_touch.add(1);
        match found {
            Some(class) => self.counters.touch_hits.add(class),
            None => self.counters.touch_misses.add(1),
        }
    }

    /// Books a conditional removal.
    pub(super) fn count_removal(&self, removed: &Result<Removed, StoreError>) {
        match removed {
            Ok(Removed::Done(_)) => self.count_delete(true),
            Ok(Removed::NotFound) => self.count_delete(false),
            _ => {}
        }
    }

    fn count_delete(&self, found: bool) {
        let hits = &self.counters.delete_hits;
        if found { hits } else { &self.counters.delete_misses }.add(1);
    }
}
