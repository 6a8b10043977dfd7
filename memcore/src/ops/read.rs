//! Reading: lookups without locks, and those that change something besides.

use core::time::Duration;
use std::sync::Arc;

use crate::engine::probe::Probe;
use crate::engine::{Engine, Found, Glance};
use crate::index::{Guard, NeedsLock};
use crate::ops::handle::{Handle, Pin};
use crate::ops::write::{NewItem, PutError, expiry_field};
use crate::space::item::{Item, Part};
use crate::space::layout::{Header, State};
use crate::{Expiry, Fetch, Fetched, Hit, Key, Meta, Miss};

/// Optimistic attempts before the shard is locked.
const ATTEMPTS: usize = 8;
/// Larger values are certified before they are copied as well, in case their length is garbage.
pub(crate) const CERTIFY_FROM: usize = 4096;

/// A lookup: what is wanted of the item, and where it goes.
struct Lookup<'a, H> {
    how: &'a Fetch,
    out: &'a mut Vec<u8>,
    /// Writes what stands before the value.
    head: H,
}

/// What an optimistic attempt led to.
enum Attempt {
    Done(Fetched),
    /// What was read changed meanwhile.
    Again,
    /// It can't be done without the lock.
    Lock,
}

/// What a lookup that found nothing led to.
enum Missed {
    Nothing,
    /// An empty item was created, whose lease the reader has won.
    Created(Hit),
    /// Room was made for one: begin again.
    Again,
}

impl Engine {
    /// Looks a key up and delivers its value.
    // Inlined into each kind of lookup, as most of it is decided by `how`.
    #[inline(always)]
    pub(crate) fn fetch(
        self: &Arc<Self>,
        key: &Key<'_>,
        how: &Fetch,
        out: &mut Vec<u8>,
        head: impl FnMut(&Hit, &mut Vec<u8>),
    ) -> Fetched {
        if how.touch.is_some() {
            self.settle(key);
            return self.fetch_locked(key, Lookup { how, out, head });
        }
        // The clock is read while the line is on its way.
        let approach = self.approach(key);
        let now = self.now();
        let lookup = Lookup { how, out, head };
        match self.glance(key, &approach) {
            Glance::Unclear => self.fetch_further(key, now, lookup),
            seen => self.fetch_seen(key, now, seen, lookup),
        }
    }

    /// Delivers what was seen at once, if that is simple.
    #[inline(always)]
    fn fetch_seen<H: FnMut(&Hit, &mut Vec<u8>)>(
        self: &Arc<Self>,
        key: &Key<'_>,
        now: u32,
        seen: Glance,
        lookup: Lookup<'_, H>,
    ) -> Fetched {
        let Lookup { how, out, mut head } = lookup;
        match seen {
            Glance::Absent if how.create.is_none() && !self.waits_for_flash() => {
                self.note_miss(key, how, Miss::Absent, now);
                return Fetched::Miss(Miss::Absent);
            }
            Glance::Found(found) if self.is_simple(&found, how, now) => {
                let hit = Hit { meta: found.item.meta(now), won: false, created: false };
                // A lookup of its own: one that is handed on has to lie in memory.
                let mut lookup = Lookup { how, out: &mut *out, head: &mut head };
                if self.copy_out(&found, &hit, None, &mut lookup) {
                    self.note_fetch(key, how, &found, &hit, now);
                    return delivered(hit, how);
                }
            }
            _ => {}
        }
        self.fetch_again(key, Lookup { how, out, head })
    }

    /// The same for a key that may lie elsewhere than in its home line.
    #[inline(never)]
    fn fetch_further<H: FnMut(&Hit, &mut Vec<u8>)>(
        self: &Arc<Self>,
        key: &Key<'_>,
        now: u32,
        lookup: Lookup<'_, H>,
    ) -> Fetched {
        let seen = match self.look_further(key) {
            Ok(Some(found)) => Glance::Found(found),
            Ok(None) => Glance::Absent,
            Err(NeedsLock) => Glance::Unclear,
        };
        self.fetch_seen(key, now, seen, lookup)
    }

    /// Whether it is enough to copy the item: nearly every lookup ends so, at the first attempt.
    #[inline(always)]
    fn is_simple(&self, found: &Found, how: &Fetch, now: u32) -> bool {
        let item = &found.item;
        self.hidden(item, now).is_none()
            && !(how.lease && wants_lease(item, how, now))
            && (!how.delivers(item.version)
                || item.value_len <= how.inline_max
                    && (item.value_len <= CERTIFY_FROM || self.is_current(found)))
    }

    /// The optimistic lookup in all its forms. It stands apart so that the usual one needs none of
    /// this.
    #[cold]
    #[inline(never)]
    fn fetch_again<H: FnMut(&Hit, &mut Vec<u8>)>(
        self: &Arc<Self>,
        key: &Key<'_>,
        mut lookup: Lookup<'_, H>,
    ) -> Fetched {
        self.settle(key);
        let now = self.now();
        for _ in 0..ATTEMPTS {
            match self.try_fetch(key, now, &mut lookup) {
                Attempt::Done(fetched) => return fetched,
                Attempt::Again => {}
                Attempt::Lock => break,
            }
        }
        self.fetch_locked(key, lookup)
    }

    fn try_fetch<H: FnMut(&Hit, &mut Vec<u8>)>(
        self: &Arc<Self>,
        key: &Key<'_>,
        now: u32,
        lookup: &mut Lookup<'_, H>,
    ) -> Attempt {
        let found = match self.look(key, &self.approach(key)) {
            Ok(Some(found)) => found,
            Ok(None) => return self.try_miss(key, lookup.how, Miss::Absent, now),
            Err(NeedsLock) => return Attempt::Lock,
        };
        if let Some(miss) = self.hidden(&found.item, now) {
            return match self.is_current(&found) {
                // It was lost, and the key may have a newer item.
                true if miss == Miss::Absent => Attempt::Lock,
                true => self.try_miss(key, lookup.how, miss, now),
                false => Attempt::Again,
            };
        }
        if lookup.how.lease && wants_lease(&found.item, lookup.how, now) {
            return Attempt::Lock;
        }
        let hit = Hit { meta: found.item.meta(now), won: false, created: false };
        match self.deliver(&found, hit, lookup) {
            Some(Fetched::Busy(hit)) => Attempt::Done(Fetched::Busy(hit)),
            Some(fetched) => {
                self.note_fetch(key, lookup.how, &found, &hit, now);
                Attempt::Done(fetched)
            }
            None => Attempt::Again,
        }
    }

    fn try_miss(&self, key: &Key<'_>, how: &Fetch, miss: Miss, now: u32) -> Attempt {
        if how.lease && how.create.is_some() {
            return Attempt::Lock;
        }
        self.note_miss(key, how, miss, now);
        Attempt::Done(Fetched::Miss(miss))
    }

    /// The lookup under the lock, with everything that changes something.
    #[cold]
    fn fetch_locked<H: FnMut(&Hit, &mut Vec<u8>)>(
        self: &Arc<Self>,
        key: &Key<'_>,
        lookup: Lookup<'_, H>,
    ) -> Fetched {
        let fetched = self.fetch_in_shard(key, lookup);
        self.report_removals();
        fetched
    }

    fn fetch_in_shard<H: FnMut(&Hit, &mut Vec<u8>)>(
        self: &Arc<Self>,
        key: &Key<'_>,
        mut lookup: Lookup<'_, H>,
    ) -> Fetched {
        let how = lookup.how;
        let mut is_told = false;
        loop {
            let mut at = match how.touch.is_some() || how.lease {
                true => self.probe(key),
                false => self.probe_unchanged(key),
            };
            if let Err(miss) = at.found {
                if !std::mem::replace(&mut is_told, true) {
                    // Before the rivals learn of an item that is created.
                    self.tell_miss(key, how, miss, at.now);
                }
                match self.create_on_miss(at, how) {
                    Missed::Again => continue,
                    Missed::Nothing => {
                        self.count_miss(miss);
                        return Fetched::Miss(miss);
                    }
                    Missed::Created(hit) => {
                        self.count_miss(miss);
                        (lookup.head)(&hit, lookup.out);
                        return delivered(hit, how);
                    }
                }
            }
            // A lookup that finds no room changes nothing, so the value is pinned first.
            let mut pinned = None;
            if let Ok(found) = &at.found {
                let hit = Hit { meta: found.item.meta(at.now), won: false, created: false };
                match self.pin_if_large(found, hit, Some(&at.lock), how) {
                    Some(Fetched::Pinned(_, handle)) => pinned = Some(handle),
                    Some(busy) => return busy,
                    None => {}
                }
            }
            let touched = self.touch_found(&mut at, how.touch);
            let Ok(found) = &at.found else {
                debug_assert!(false, "an item is gone from its locked shard");
                return Fetched::Miss(Miss::Absent);
            };
            match touched {
                Ok(()) => return self.fetch_found(&at, found, pinned, &mut lookup),
                Err(error) => {
                    let meta = found.item.meta(at.now);
                    let header = self.copy_of(&found.item).header;
                    drop(at);
                    if self.recover(error, &header).is_err() {
                        return Fetched::Untouched(meta);
                    }
                }
            }
        }
    }

    /// Delivers an item of the locked shard, whose expiry was renewed if that was asked for.
    fn fetch_found<H: FnMut(&Hit, &mut Vec<u8>)>(
        self: &Arc<Self>,
        at: &Probe<'_, '_>,
        found: &Found,
        pinned: Option<Handle>,
        lookup: &mut Lookup<'_, H>,
    ) -> Fetched {
        let Found { item, .. } = found;
        let won = lookup.how.lease && self.take_lease(item, lookup.how, at.now);
        let hit = Hit { meta: item.meta(at.now), won, created: false };
        if !lookup.how.peek {
            self.count_hit(item.loc, item.stamp.level(), item.class());
            self.note_hit(&at.key, at.now);
            self.mark_used(item.loc, at.now);
        }
        if let Some(handle) = pinned {
            return Fetched::Pinned(hit, handle.with_meta(hit.meta));
        }
        match self.copy_out(found, &hit, Some(&at.lock), lookup) {
            true => delivered(hit, lookup.how),
            false => {
                debug_assert!(false, "an item changed in its locked shard");
                Fetched::Busy(hit)
            }
        }
    }

    /// Copies or pins a visible item; `None` if it changed meanwhile.
    fn deliver<H: FnMut(&Hit, &mut Vec<u8>)>(
        self: &Arc<Self>,
        found: &Found,
        hit: Hit,
        lookup: &mut Lookup<'_, H>,
    ) -> Option<Fetched> {
        let delivers = lookup.how.delivers(found.item.version);
        if delivers && found.item.value_len > lookup.how.inline_max {
            return self.pin_if_large(found, hit, None, lookup.how);
        }
        if delivers && found.item.value_len > CERTIFY_FROM && !self.is_current(found) {
            return None;
        }
        self.copy_out(found, &hit, None, lookup).then(|| delivered(hit, lookup.how))
    }

    /// Pins a value that is not to be copied; `None` if it is to be, or if it changed meanwhile,
    /// which it can't do while its shard is locked.
    fn pin_if_large(
        self: &Arc<Self>,
        found: &Found,
        hit: Hit,
        lock: Option<&Guard<'_>>,
        how: &Fetch,
    ) -> Option<Fetched> {
        if !how.delivers(found.item.version) || found.item.value_len <= how.inline_max {
            return None;
        }
        if !how.pins {
            return self.is_stable(found, lock).then_some(Fetched::Busy(hit));
        }
        match self.pin(found, hit.meta, lock) {
            Pin::Done(handle) => Some(Fetched::Pinned(hit, handle)),
            Pin::Changed => None,
            Pin::Full => Some(Fetched::Busy(hit)),
        }
    }

    /// Appends the head, and the value if it is wanted; false, and nothing appended, if the item
    /// changed meanwhile.
    #[inline(always)]
    fn copy_out<H: FnMut(&Hit, &mut Vec<u8>)>(
        &self,
        found: &Found,
        hit: &Hit,
        lock: Option<&Guard<'_>>,
        lookup: &mut Lookup<'_, H>,
    ) -> bool {
        let start = lookup.out.len();
        (lookup.head)(hit, lookup.out);
        if lookup.how.delivers(found.item.version) {
            self.space.append_value(&found.item, lookup.out);
        }
        let is_stable = self.is_stable(found, lock);
        if !is_stable {
            lookup.out.truncate(start);
        }
        is_stable
    }

    /// Counts a lookup that found something as a use.
    #[inline(always)]
    fn note_fetch(&self, key: &Key<'_>, how: &Fetch, found: &Found, hit: &Hit, now: u32) {
        if !how.peek {
            self.count_hit(found.item.loc, found.item.stamp.level(), hit.meta.class - 1);
            self.note_hit(key, now);
            self.note_use(key, found, now);
        }
    }

    /// Gives the item that was found another expiry if that is asked for.
    ///
    /// # Errors
    /// It has no room for an expiry and there is no memory for one that has, at the moment.
    pub(crate) fn touch_found(
        &self,
        at: &mut Probe<'_, '_>,
        touch: Option<Expiry>,
    ) -> Result<(), PutError> {
        let Ok(found) = &mut at.found else { return Ok(()) };
        let Some(expiry) = touch.map(|expiry| expiry_field(expiry, at.now)) else {
            return Ok(());
        };
        if found.item.shape.has_expiry() {
            found.item.expiry = expiry.unwrap_or(0);
            self.space.set_expiry(&found.item, found.item.expiry);
            return Ok(());
        }
        if expiry.is_none() {
            return Ok(());
        }
        let old = *found;
        let mut new = self.copy_of(&old.item);
        new.header.expiry = expiry;
        let loc = self.rewrite(at, &old, &new)?;
        at.found =
            Ok(Found { item: self.space.read_any(loc), slot: self.index.led_to(old.slot, loc) });
        Ok(())
    }

    /// Whether this reader is to renew the value; then no other will be.
    fn take_lease(&self, item: &Item, how: &Fetch, now: u32) -> bool {
        let wins = wants_lease(item, how, now);
        if wins {
            self.space.update_state(item.loc, |state| state.with_lease(state.is_stale(), true));
        }
        wins
    }

    /// Creates an empty item where there is none, if that is asked for.
    fn create_on_miss(&self, mut at: Probe<'_, '_>, how: &Fetch) -> Missed {
        let wanted = how.create.filter(|_| how.lease && self.check_key(&at.key).is_ok());
        let Some(expiry) = wanted else { return Missed::Nothing };
        let header = Header {
            key_len: at.key.bytes.len(),
            value_len: 0,
            flags: 0,
            group: how.group,
            expiry: expiry_field(expiry, at.now).or(self.settings.never),
            version: how.version,
        };
        let state = State::default()
            .with_access(at.now)
            .with_fetched(!how.peek)
            .with_marked(how.marked)
            .with_lease(false, true);
        let parts = [Part::Bytes(&[]); 2];
        let version = self.hot.version_or_next(how.version);
        let new = NewItem { header, state, parts, version };
        match self.put(&mut at, &new) {
            Ok(loc) => {
                let mut meta = self.space.read_any(loc).meta(at.now);
                // As it was before this lookup.
                (meta.lease.taken, meta.fetched) = (false, false);
                Missed::Created(Hit { meta, won: true, created: true })
            }
            Err(error) => {
                drop(at);
                match self.recover(error, &header) {
                    Ok(()) => Missed::Again,
                    Err(_) => Missed::Nothing,
                }
            }
        }
    }

    /// What is known about an item, without counting as a use.
    pub(crate) fn peek(&self, key: &Key<'_>) -> Option<Meta> {
        let now = self.now();
        for _ in 0..ATTEMPTS {
            match self.look(key, &self.approach(key)) {
                Ok(None) => return None,
                Ok(Some(found)) => {
                    let hidden = self.hidden(&found.item, now);
                    if hidden == Some(Miss::Absent) {
                        break;
                    }
                    if self.is_current(&found) {
                        return hidden.is_none().then(|| found.item.meta(now));
                    }
                }
                Err(NeedsLock) => break,
            }
        }
        let lock = self.index.lock(self.position(key));
        let Found { item, .. } = self.find(key, &lock)?;
        self.hidden(&item, now).is_none().then(|| item.meta(now))
    }

    /// A handle to the value, pinned if that is possible.
    pub(crate) fn get_handle(self: &Arc<Self>, key: &Key<'_>) -> Option<Handle> {
        let mut copy = Vec::new();
        let pin = Fetch { inline_max: 0, ..Fetch::default() };
        match self.fetch(key, &pin, &mut copy, |_, _| {}) {
            Fetched::Pinned(_, handle) => return Some(handle),
            Fetched::Copied(hit) => return Some(Handle::copied(copy, hit.meta)),
            Fetched::Miss(_) | Fetched::Untouched(_) | Fetched::Skipped(_) => return None,
            Fetched::Busy(_) => {}
        }
        match self.fetch(key, &Fetch::default(), &mut copy, |_, _| {}) {
            Fetched::Copied(hit) => Some(Handle::copied(copy, hit.meta)),
            _ => None,
        }
    }

    /// Prefetches the items of keys whose index lines were prefetched before.
    #[inline]
    pub(crate) fn prefetch_item(&self, key: &Key<'_>) {
        let Some(loc) = self.index.guess(self.position(key)) else { return };
        self.space.prefetch(loc);
        self.space.table().prefetch(self.space.table().segment_of(loc));
    }
}

/// What a lookup returns whose head, and value if it was wanted, are in the buffer.
#[inline(always)]
fn delivered(hit: Hit, how: &Fetch) -> Fetched {
    if how.delivers(hit.meta.version) { Fetched::Copied(hit) } else { Fetched::Skipped(hit) }
}

/// Whether a reader that takes part in leases would get this item's.
fn wants_lease(item: &Item, how: &Fetch, now: u32) -> bool {
    let left = || Duration::from_secs(item.expiry.saturating_sub(now).into());
    let soon = how.renew_within.is_some_and(|within| item.expiry != 0 && left() < within);
    !item.state.is_taken() && (item.state.is_stale() || soon)
}
