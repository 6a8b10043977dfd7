//! Reading: lookups without locks, and those that change something besides.

use crate::engine::{Engine, Item, Part};
use crate::index::{NeedsLock, Spot};
use crate::memory::sync::Ordering;
use crate::ops::handle::Handle;
use crate::ops::write::{Draft, expiry_field};
use crate::space::append::NeedsRoom;
use crate::space::layout::{Header, State};
use crate::space::segments::Pieces;
use crate::{Expiry, Fetch, Fetched, Hit, Key, Meta, Miss};
use core::time::Duration;
use std::sync::Arc;

/// Optimistic attempts before the shard is locked.
const ATTEMPTS: usize = 8;
/// Larger values are certified before they are copied as well, in case their length is garbage.
const SURE_MIN: usize = 4096;

/// What an optimistic look led to.
enum Look<T> {
    Done(T),
    /// What was read changed meanwhile.
    Again,
    /// It can't be done without the lock.
    Lock,
}

impl Engine {
    /// Looks a key up and delivers its value.
    #[inline]
    pub(crate) fn fetch(
        self: &Arc<Self>,
        key: &Key<'_>,
        how: &Fetch,
        out: &mut Vec<u8>,
        mut head: impl FnMut(&Hit, &mut Vec<u8>),
    ) -> Fetched {
        if how.touch.is_some() {
            return self.fetch_locked(key, how, out, head);
        }
        // The clock is read while the line is on its way.
        self.index.prefetch(self.index.position(key.hash));
        let now = self.now();
        match self.look(key) {
            Ok(None) if how.create.is_none() => {
                self.count_miss(Miss::Absent);
                return Fetched::Miss(Miss::Absent);
            }
            Ok(Some((item, spot))) if self.is_simple(&item, spot, how, now) => {
                let hit = Hit { meta: item.meta(now), won: false, created: false };
                if self.copy_out(&item, spot, &hit, out, &mut head) {
                    self.note_fetch(key, how, &item, spot, now);
                    return Fetched::Copied(hit);
                }
            }
            _ => {}
        }
        self.fetch_again(key, how, out, head)
    }

    /// Whether it is enough to copy the item: nearly every lookup ends so, at the first attempt.
    #[inline(always)]
    fn is_simple(&self, item: &Item, spot: Spot, how: &Fetch, now: u32) -> bool {
        self.hidden(item, now).is_none()
            && !(how.lease && wants_lease(item, how, now))
            && item.value_len <= how.inline_max
            && (item.value_len <= SURE_MIN || self.is_current(item, spot))
    }

    /// The optimistic lookup in all its forms. It stands apart so that the usual one needs none of
    /// this.
    #[cold]
    #[inline(never)]
    fn fetch_again(
        self: &Arc<Self>,
        key: &Key<'_>,
        how: &Fetch,
        out: &mut Vec<u8>,
        mut head: impl FnMut(&Hit, &mut Vec<u8>),
    ) -> Fetched {
        let now = self.now();
        for _ in 0..ATTEMPTS {
            match self.try_fetch(key, how, now, out, &mut head) {
                Look::Done(fetched) => return fetched,
                Look::Again => {}
                Look::Lock => break,
            }
        }
        self.fetch_locked(key, how, out, head)
    }

    fn try_fetch(
        self: &Arc<Self>,
        key: &Key<'_>,
        how: &Fetch,
        now: u32,
        out: &mut Vec<u8>,
        head: &mut impl FnMut(&Hit, &mut Vec<u8>),
    ) -> Look<Fetched> {
        let (item, spot) = match self.look(key) {
            Ok(Some(found)) => found,
            Ok(None) => return self.try_miss(how, Miss::Absent),
            Err(NeedsLock) => return Look::Lock,
        };
        if let Some(miss) = self.hidden(&item, now) {
            return match self.is_current(&item, spot) {
                true => self.try_miss(how, miss),
                false => Look::Again,
            };
        }
        if how.lease && wants_lease(&item, how, now) {
            return Look::Lock;
        }
        let hit = Hit { meta: item.meta(now), won: false, created: false };
        let fetched = if item.value_len > how.inline_max {
            match self.pin(&item, spot, hit.meta) {
                Pin::Done(handle) => Fetched::Pinned(hit, handle),
                Pin::Changed => return Look::Again,
                Pin::Full => Fetched::Busy(hit),
            }
        } else {
            if item.value_len > SURE_MIN && !self.is_current(&item, spot) {
                return Look::Again;
            }
            if !self.copy_out(&item, spot, &hit, out, head) {
                return Look::Again;
            }
            Fetched::Copied(hit)
        };
        self.note_fetch(key, how, &item, spot, now);
        Look::Done(fetched)
    }

    /// Appends head and value; false, and nothing appended, if the item changed meanwhile.
    #[inline(always)]
    fn copy_out(
        &self,
        item: &Item,
        spot: Spot,
        hit: &Hit,
        out: &mut Vec<u8>,
        head: &mut impl FnMut(&Hit, &mut Vec<u8>),
    ) -> bool {
        let start = out.len();
        head(hit, out);
        self.append_value(item, out);
        let is_current = self.is_current(item, spot);
        if !is_current {
            out.truncate(start);
        }
        is_current
    }

    /// Counts a lookup that found something as a use.
    #[inline(always)]
    fn note_fetch(&self, key: &Key<'_>, how: &Fetch, item: &Item, spot: Spot, now: u32) {
        if !how.peek {
            self.count_hit(item);
            self.note_use(key, item, spot, now);
        }
    }

    fn try_miss(&self, how: &Fetch, miss: Miss) -> Look<Fetched> {
        if how.lease && how.create.is_some() {
            return Look::Lock;
        }
        self.count_miss(miss);
        Look::Done(Fetched::Miss(miss))
    }

    #[inline(always)]
    fn append_value(&self, item: &Item, out: &mut Vec<u8>) {
        for (at, len) in Pieces::new(&self.table, item.value_at(), item.value_len) {
            self.memory.append_to(at, len, out);
        }
    }

    /// The same under the lock, with everything that changes something.
    #[cold]
    fn fetch_locked(
        self: &Arc<Self>,
        key: &Key<'_>,
        how: &Fetch,
        out: &mut Vec<u8>,
        mut head: impl FnMut(&Hit, &mut Vec<u8>),
    ) -> Fetched {
        loop {
            let now = self.now();
            let mut lock = self.index.lock(self.index.position(key.hash));
            let (item, spot) = match self.find_visible(key, now, &mut lock) {
                Ok(found) => found,
                Err(miss) => {
                    match how.create.filter(|_| how.lease && self.check_key(key).is_ok()) {
                        None => {
                            self.count_miss(miss);
                            return Fetched::Miss(miss);
                        }
                        Some(expiry) => {
                            let created = self.create(key, how, expiry, now, &mut lock);
                            drop(lock);
                            match created {
                                Ok(hit) => {
                                    self.count_miss(miss);
                                    head(&hit, out);
                                    return Fetched::Copied(hit);
                                }
                                Err((NeedsRoom, header)) => {
                                    if self.make_room(&header).is_err() {
                                        self.count_miss(miss);
                                        return Fetched::Miss(miss);
                                    }
                                    continue;
                                }
                            }
                        }
                    }
                }
            };
            let Some(item) = self.touched(key, item, spot, how.touch, now, &mut lock) else {
                drop(lock);
                if self.make_room(&self.redraft(&item).header).is_err() {
                    return Fetched::Untouched(item.meta(now));
                }
                continue;
            };
            let won = how.lease && self.take_lease(&item, how, now);
            let hit = Hit { meta: item.meta(now), won, created: false };
            if !how.peek {
                self.count_hit(&item);
                self.mark_used(item.loc, now);
            }
            if item.value_len > how.inline_max {
                return match self.pin_locked(&item, hit.meta) {
                    Some(handle) => Fetched::Pinned(hit, handle),
                    None => Fetched::Busy(hit),
                };
            }
            head(&hit, out);
            self.append_value(&item, out);
            return Fetched::Copied(hit);
        }
    }

    /// Gives an item another expiry if that is asked for, and returns it as it is then. `None` if
    /// there is no memory for it at the moment.
    pub(crate) fn touched(
        &self,
        key: &Key<'_>,
        item: Item,
        spot: Spot,
        touch: Option<Expiry>,
        now: u32,
        lock: &mut crate::index::Guard<'_>,
    ) -> Option<Item> {
        let Some(expiry) = touch else { return Some(item) };
        let field = expiry_field(expiry, now);
        if item.shape.has_expiry() {
            let expiry = field.unwrap_or(0);
            self.set_expiry(&item, expiry);
            return Some(Item { expiry, ..item });
        }
        if field.is_none() {
            return Some(item);
        }
        let mut draft = self.redraft(&item);
        draft.header.expiry = field;
        self.rewrite(key, item, spot, &draft, now, lock).ok()?;
        self.find(key, lock).map(|(item, _)| item)
    }

    /// Whether this reader is to renew the value; then no other will be.
    fn take_lease(&self, item: &Item, how: &Fetch, now: u32) -> bool {
        let wins = wants_lease(item, how, now);
        if wins {
            let word = self.word(item.loc + 2);
            let state = State(word.load(Ordering::Relaxed));
            word.store(state.with_lease(state.is_stale(), true).0, Ordering::Relaxed);
        }
        wins
    }

    /// Creates an empty item, of which this reader holds the lease.
    fn create(
        &self,
        key: &Key<'_>,
        how: &Fetch,
        expiry: Expiry,
        now: u32,
        lock: &mut crate::index::Guard<'_>,
    ) -> Result<Hit, (NeedsRoom, Header)> {
        let header = Header {
            key_len: key.bytes.len(),
            value_len: 0,
            flags: 0,
            expiry: expiry_field(expiry, now),
            version: None,
        };
        let state = State::default()
            .with_access(now)
            .with_fetched(!how.peek)
            .with_marked(how.marked)
            .with_lease(false, true);
        let parts = [Part::Bytes(&[]); 2];
        let draft = Draft { header, state, parts, version: self.next_version() };
        self.put(key, &draft, None, now, lock).map_err(|room| (room, header))?;
        let meta = self.find(key, lock).map(|(item, _)| item.meta(now));
        let mut meta = meta.ok_or((NeedsRoom, header))?;
        // As it was before this lookup.
        (meta.lease.taken, meta.fetched) = (false, false);
        Ok(Hit { meta, won: true, created: true })
    }

    /// What is known about an item, without counting as a use.
    pub(crate) fn peek(&self, key: &Key<'_>) -> Option<Meta> {
        let now = self.now();
        for _ in 0..ATTEMPTS {
            match self.look(key) {
                Ok(None) => return None,
                Ok(Some((item, spot))) if self.is_current(&item, spot) => {
                    return self.hidden(&item, now).is_none().then(|| item.meta(now));
                }
                Ok(Some(_)) => {}
                Err(NeedsLock) => break,
            }
        }
        let lock = self.index.lock(self.index.position(key.hash));
        let (item, _) = self.find(key, &lock)?;
        self.hidden(&item, now).is_none().then(|| item.meta(now))
    }

    /// A handle to the value, pinned if that is possible.
    pub(crate) fn get_handle(self: &Arc<Self>, key: &Key<'_>) -> Option<Handle> {
        let mut copy = Vec::new();
        let pin = Fetch { inline_max: 0, ..Fetch::default() };
        let before = match self.fetch(key, &pin, &mut copy, |_, _| {}) {
            Fetched::Pinned(_, handle) => return Some(handle),
            Fetched::Copied(hit) => return Some(Handle::copied(copy, hit.meta)),
            Fetched::Miss(_) | Fetched::Untouched(_) => return None,
            Fetched::Busy(hit) => hit.meta,
        };
        let copied = Fetch { peek: true, ..Fetch::default() };
        let Fetched::Copied(hit) = self.fetch(key, &copied, &mut copy, |_, _| {}) else {
            return None;
        };
        let mut meta = hit.meta;
        if meta.version == before.version {
            // The first look was this very use, which a lookup does not tell of.
            (meta.fetched, meta.last_access) = (before.fetched, before.last_access);
        }
        Some(Handle::copied(copy, meta))
    }

    /// Brings the items of keys near, whose index lines have been brought near before.
    #[inline]
    pub(crate) fn prefetch_item(&self, key: &Key<'_>) {
        let Some(loc) = self.index.guess(self.index.position(key.hash)) else { return };
        self.prefetch_at(loc);
        self.table.prefetch(self.table.segment_of(loc));
    }
}

/// Whether a reader that takes part in leases would get this item's.
fn wants_lease(item: &Item, how: &Fetch, now: u32) -> bool {
    let left = || Duration::from_secs(item.expiry.saturating_sub(now).into());
    let soon = how.renew_within.is_some_and(|within| item.expiry != 0 && left() < within);
    !item.state.is_taken() && (item.state.is_stale() || soon)
}

/// What became of an attempt to pin an item.
pub(crate) enum Pin {
    Done(Handle),
    /// The item changed meanwhile.
    Changed,
    /// No more bytes may be pinned.
    Full,
}
