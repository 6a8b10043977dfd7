//! A probe: one key in its locked shard, with what is there. Operations that change something work
//! on one, and begin again with another one after they had to release the lock.

use super::{Engine, Found};
use crate::index::{Guard, Position};
use crate::removal::Cause;
use crate::space::item::Item;
use crate::{Key, Miss};

/// A key in its locked shard.
pub(crate) struct Probe<'e, 'k> {
    pub(crate) key: Key<'k>,
    pub(crate) position: Position,
    /// The second in which the operation happens.
    pub(crate) now: u32,
    pub(crate) lock: Guard<'e>,
    /// The visible item, or why there is none. Out of date once the operation has changed it.
    pub(crate) found: Result<Found, Miss>,
    /// Whether something of the key may have been on flash.
    pub(crate) was_on_flash: bool,
}

impl Probe<'_, '_> {
    /// The item that is there.
    #[inline]
    pub(crate) fn item(&self) -> Option<&Item> {
        self.found.as_ref().ok().map(|found| &found.item)
    }
}

impl Engine {
    /// Locks a key's shard and looks what is there, to change it. An item that may not be seen is
    /// removed, and so is what is on flash of the key: it would be out of date.
    #[inline(always)]
    pub(crate) fn probe<'k>(&self, key: &Key<'k>) -> Probe<'_, 'k> {
        self.probe_to(key, true)
    }

    /// The same for an operation that changes nothing that others can see.
    #[inline(always)]
    pub(crate) fn probe_unchanged<'k>(&self, key: &Key<'k>) -> Probe<'_, 'k> {
        self.probe_to(key, false)
    }

    // One place that makes a probe: it would be copied to be completed.
    #[inline(always)]
    fn probe_to<'k>(&self, key: &Key<'k>, change: bool) -> Probe<'_, 'k> {
        let now = self.now();
        let position = self.position(key);
        let mut lock = self.index.lock(position);
        let found = match self.find(key, &lock) {
            None => Err(Miss::Absent),
            Some(found) => match self.hidden(&found.item, now) {
                None => Ok(found),
                Some(miss) => {
                    self.remove_hidden(position, &found, miss, now, &mut lock);
                    Err(miss)
                }
            },
        };
        let was_on_flash = change && self.forget_flash(position, &lock);
        Probe { key: *key, position, now, lock, found, was_on_flash }
    }

    /// Removes an item that may not be seen.
    #[cold]
    #[inline(never)]
    fn remove_hidden(
        &self,
        position: Position,
        found: &Found,
        miss: Miss,
        now: u32,
        lock: &mut Guard<'_>,
    ) {
        // The index first: an item whose memory is freed must not be found.
        self.index.remove(position, found.slot, lock);
        self.note_end(position);
        self.retire(&found.item, Cause::of_hidden(miss), now);
    }
}
