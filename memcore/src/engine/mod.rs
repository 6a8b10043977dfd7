//! The engine: what all operations share. Finding an item, looking at it, and noting that it was
//! used, each in one place.
//!
//! Lock order: change of the limit, reclaimer, shard, log, rows of the index, pool.

mod build;
pub(crate) mod hot;
pub(crate) mod probe;
pub(crate) mod retire;
mod tagging;
#[cfg(any(test, fuzzing))]
mod validate;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use self::hot::Hot;
use crate::config::Builder;
use crate::counters::{Counters, Event};
use crate::index::{Approach, Certainty, Guard, Index, NeedsLock, Position, SlotRef};
use crate::memory::file::MemoryFile;
use crate::memory::sync::{AtomicUsize, Ordering, fence};
use crate::removal::Listeners;
use crate::restart::sums::Unverified;
use crate::space::Space;
use crate::space::item::{Item, KeyBuffer};
use crate::space::layout::Shape;
use crate::space::segments::{CLASSES, Loc, Stamp, level_of};
use crate::space::sizes::Sizes;
use crate::tags::Tags;
use crate::upkeep::state::Upkeep;
use crate::{Cache, Fetch, Key, Miss, Restored};

/// Everything that a cache consists of.
pub(crate) struct Engine {
    pub(crate) space: Space,
    pub(crate) index: Index,
    pub(crate) counters: Counters,
    pub(crate) upkeep: Upkeep,
    pub(crate) hot: Hot,
    pub(crate) settings: Settings,
    pub(crate) listeners: Option<Box<Listeners>>,
    pub(crate) tags: Tags,
    /// Bytes of the largest item under the present limit.
    pub(crate) item_max: AtomicUsize,
    pub(crate) sizes: Sizes,
    pub(crate) seed: u64,
    /// What became of the contents of the memory file.
    pub(crate) restored: Option<Restored>,
    /// What of its contents is yet to be compared with its checksums.
    pub(crate) unverified: Option<Box<Unverified>>,
    /// The file that its memory lies in, if it lies in one.
    pub(crate) memory_file: Option<MemoryFile>,
    /// Where items go that are evicted, if anywhere.
    pub(crate) flash: crate::flash::Slot,
}

/// Settings that don't change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) max_item_size: usize,
    pub(crate) max_key_len: usize,
    pub(crate) evictions: bool,
    /// What an item that never expires keeps as its expiry. Where nothing may be evicted it has
    /// room for one, so that a touch needs no memory.
    pub(crate) never: Option<u32>,
    /// What a hit of each class counts for the policy.
    pub(crate) hit_worth: [u32; CLASSES],
    /// The most that the limit can become, and the least.
    pub(crate) limit_most: usize,
    pub(crate) limit_least: usize,
}

/// An item and the slot of the index that leads to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) item: Item,
    pub(crate) slot: SlotRef,
}

/// What a key's home line says of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Glance {
    Found(Found),
    Absent,
    /// It is for [`Engine::look_further`] to say.
    Unclear,
}

/// Reports removals when it is dropped: what the operation returns need not be moved for that.
pub(crate) struct Report<'e>(&'e Arc<Engine>);

impl Drop for Report<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.report_removals();
    }
}

/// What is known of an item that was used: it may have gone or moved since.
#[derive(Clone, Copy, Debug)]
struct Known {
    stamp: Stamp,
    version: u64,
}

impl Engine {
    /// The parts put together.
    fn new(
        builder: Builder,
        settings: Settings,
        upkeep: Upkeep,
        seed: u64,
        sizes: Sizes,
        space: Space,
        index: Index,
    ) -> Self {
        Self {
            counters: Counters::new(sizes.is_small()),
            sizes,
            seed,
            restored: None,
            unverified: None,
            memory_file: None,
            flash: None,
            space,
            index,
            upkeep,
            hot: Hot::new(builder.clock, seed),
            item_max: AtomicUsize::new(settings.max_item_size),
            settings,
            listeners: Listeners::new(builder.listeners),
            tags: Tags::new(),
        }
    }

    /// The current second. A flush that is due happens first.
    #[inline]
    pub(crate) fn now(&self) -> u32 {
        self.hot.now()
    }

    /// Reports removals when the operation is done that holds this.
    #[inline(always)]
    pub(crate) fn report_at_end(self: &Arc<Self>) -> Report<'_> {
        Report(self)
    }

    /// Reports removals to the listener. Called at the end of each operation that may have removed
    /// something, when nothing is locked.
    #[inline(always)]
    pub(crate) fn report_removals(self: &Arc<Self>) {
        self.tend_flash();
        if let Some(listeners) = &self.listeners {
            self.tell_listeners(listeners);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_listeners(self: &Arc<Self>, listeners: &Listeners) {
        if listeners.are_behind() {
            listeners.deliver(&Cache::of(self));
        }
    }

    /// Where the index has a key.
    #[inline(always)]
    pub(crate) fn position(&self, key: &Key<'_>) -> Position {
        self.index.position(key.hash)
    }

    /// Where the index has the key of `key_len` bytes of the item at `loc`, which is copied to
    /// `key`.
    #[inline]
    pub(crate) fn position_of(
        &self,
        loc: Loc,
        shape: Shape,
        key_len: usize,
        key: &mut KeyBuffer,
    ) -> Position {
        self.index.position(self.hot.hash(self.space.key_of(loc, shape, key_len, key)))
    }

    /// Begins a lookup without a lock.
    #[inline(always)]
    pub(crate) fn approach(&self, key: &Key<'_>) -> Approach {
        self.index.approach(self.position(key))
    }

    /// Looks a key up without a lock. What is found is certain only as far as it is certified by
    /// [`Self::is_current`] after it was used.
    ///
    /// # Errors
    /// The shard has to be locked.
    #[inline(always)]
    pub(crate) fn look(
        &self,
        key: &Key<'_>,
        approach: &Approach,
    ) -> Result<Option<Found>, NeedsLock> {
        match self.glance(key, approach) {
            Glance::Found(found) => Ok(Some(found)),
            Glance::Absent => Ok(None),
            Glance::Unclear => self.look_further(key),
        }
    }

    /// What the key's home line says, where nearly every search ends.
    // Callers that treat each answer by itself need not have what is found go through memory.
    #[inline(always)]
    pub(crate) fn glance(&self, key: &Key<'_>, approach: &Approach) -> Glance {
        let Some(mut home) = self.index.home_slots(approach) else { return Glance::Unclear };
        for slot in home.slots.by_ref() {
            match self.look_at(key, slot) {
                ControlFlow::Break(found) => return Glance::Found(found),
                ControlFlow::Continue(Certainty::Stable) => {}
                ControlFlow::Continue(_) => return Glance::Unclear,
            }
        }
        if self.index.is_absent(approach, &home) { Glance::Absent } else { Glance::Unclear }
    }

    /// Looks up a key that may lie elsewhere than in its home line.
    ///
    /// # Errors
    /// The shard has to be locked.
    #[inline(never)]
    pub(crate) fn look_further(&self, key: &Key<'_>) -> Result<Option<Found>, NeedsLock> {
        self.index.search(self.position(key), |slot| self.look_at(key, slot))
    }

    /// Whether the slot leads to the key's item.
    #[inline(always)]
    fn look_at(&self, key: &Key<'_>, slot: SlotRef) -> ControlFlow<Found, Certainty> {
        let loc = slot.loc();
        self.space.prefetch(loc);
        // Read while the item's first lines are on their way.
        let stamp = self.space.stamp_at(loc);
        // The slot has to be the same after the stamp was read: then whatever lies there was
        // published under this stamp.
        if !self.index.is_unchanged(slot) {
            return ControlFlow::Continue(Certainty::Changed);
        }
        let Some(item) = self.space.read(loc, stamp) else {
            return ControlFlow::Continue(Certainty::Changed);
        };
        let found = Found { item, slot };
        // Garbage must not lead a comparison piece by piece to anywhere.
        let certified = || self.is_current(&found);
        if self.space.has_key(loc, item.shape, item.key_len(), key.bytes, certified) {
            return ControlFlow::Break(found);
        }
        ControlFlow::Continue(match self.is_current(&found) {
            true => Certainty::Stable,
            false => Certainty::Changed,
        })
    }

    /// Certifies everything that was read of the item up to now.
    #[inline(always)]
    pub(crate) fn is_current(&self, found: &Found) -> bool {
        // Pairs with the release fences of those who write to items: `Space::append`, which is the
        // first to write under a new stamp, and `Space::begin_change`. A reader that has read
        // one of their bytes sees stamp or sequence changed below.
        fence(Ordering::Acquire);
        let Found { item, slot } = found;
        self.space.word(item.loc).load(Ordering::Relaxed) == item.first.0
            && self.space.stamp_at(item.loc) == item.stamp
            && self.index.is_unchanged(*slot)
    }

    /// Whether what was read of an item is certain: it is while its shard is locked, and otherwise
    /// has to be certified.
    #[inline(always)]
    pub(crate) fn is_stable(&self, found: &Found, lock: Option<&Guard<'_>>) -> bool {
        lock.is_some() || self.is_current(found)
    }

    /// Finds a key in its locked shard, whether or not the item is visible.
    #[inline(always)]
    pub(crate) fn find(&self, key: &Key<'_>, lock: &Guard<'_>) -> Option<Found> {
        let (slots, elsewhere) = self.index.home_locked(self.position(key));
        // Where nearly every search ends. A loop, as `find_map` is not inlined.
        for slot in slots {
            if let Some(found) = self.find_at(key, slot) {
                return Some(found);
            }
        }
        if elsewhere.is_nowhere() { None } else { self.find_further(key, lock) }
    }

    #[inline(never)]
    fn find_further(&self, key: &Key<'_>, lock: &Guard<'_>) -> Option<Found> {
        let mut found = None;
        self.index.search_locked(self.position(key), lock, |slot| {
            found = self.find_at(key, slot);
            found.is_some()
        })?;
        found
    }

    /// The item that a slot of a locked shard leads to, if it is the key's.
    #[inline(always)]
    fn find_at(&self, key: &Key<'_>, slot: SlotRef) -> Option<Found> {
        let loc = slot.loc();
        self.space.prefetch(loc);
        if !self.is_readable(loc) {
            return None;
        }
        let item = self.space.read_any(loc);
        let is_it = self.space.has_key(loc, item.shape, item.key_len(), key.bytes, || true);
        is_it.then_some(Found { item, slot })
    }

    /// Why the item must not be seen, if so.
    #[inline(always)]
    pub(crate) fn hidden(&self, item: &Item, now: u32) -> Option<Miss> {
        if !item.stamp.is_of(self.hot.epoch()) {
            if let Some(miss) = self.hidden_with_segment(item) {
                return Some(miss);
            }
        }
        if item.expiry != 0 && item.expiry <= now {
            Some(Miss::Expired)
        } else if item.shape.has_ext() && self.has_dead_tag(item.loc) {
            Some(Miss::Invalidated)
        } else {
            None
        }
    }

    /// Why nothing of the item's segment must be seen, if so.
    #[cold]
    fn hidden_with_segment(&self, item: &Item) -> Option<Miss> {
        if item.stamp.epoch() != self.hot.epoch() {
            Some(Miss::Flushed)
        } else {
            (!self.is_readable(item.loc)).then_some(Miss::Absent)
        }
    }

    /// Notes that an item was used. The steady state of a popular item changes nothing.
    #[inline(always)]
    pub(crate) fn note_use(&self, key: &Key<'_>, found: &Found, now: u32) {
        let Found { item, slot } = found;
        let is_due = item.state.idle(now) as u32 >= self.hot.access_grain();
        if !item.state.is_settled() || is_due {
            let waits = !item.state.is_fetched() || is_due;
            self.write_use(
                key,
                *slot,
                Known { stamp: item.stamp, version: item.version },
                now,
                waits,
            );
        }
    }

    /// Under the lock, as the memory might belong to another item by now. That an item was fetched,
    /// and when it was last, is worth waiting for; how often it was used is not.
    #[inline(never)]
    fn write_use(&self, key: &Key<'_>, slot: SlotRef, known: Known, now: u32, waits: bool) {
        let position = self.position(key);
        let lock = match self.index.try_lock(position) {
            None if waits => self.index.lock(position),
            None => return,
            Some(lock) => lock,
        };
        if self.index.is_unchanged(slot) && self.space.stamp_at(slot.loc()) == known.stamp {
            return self.mark_used(slot.loc(), now);
        }
        self.mark_moved(key, known, now, &lock);
    }

    /// The same if the item lies somewhere else now.
    #[cold]
    #[inline(never)]
    fn mark_moved(&self, key: &Key<'_>, known: Known, now: u32, lock: &Guard<'_>) {
        let moved = self.find(key, lock).filter(|found| found.item.version == known.version);
        if let Some(Found { item, .. }) = moved {
            self.mark_used(item.loc, now);
        }
    }

    /// Notes a use of an item whose shard is locked.
    pub(crate) fn mark_used(&self, loc: Loc, now: u32) {
        self.space.update_state(loc, |state| state.with_use().with_fetched(true).with_access(now));
    }

    /// Notes a use that has not shown the item's value to a caller.
    pub(crate) fn mark_changed(&self, loc: Loc, now: u32) {
        self.space.update_state(loc, |state| state.with_use().with_access(now));
    }

    /// Counts a hit of the item at `loc`, of this level and size class.
    #[inline(always)]
    pub(crate) fn count_hit(&self, loc: Loc, level: u8, class: u8) {
        let event = if level == 0 { Event::HitsSmall } else { Event::HitsMain };
        let table = self.space.table();
        let cell = table.hit_cell(table.segment_of(loc));
        let worth = self.settings.hit_worth[usize::from(class)];
        self.counters.add_hit(class, event, cell, worth);
    }

    /// Counts an item of a size class whose key was remembered with so many uses.
    pub(crate) fn count_returned(&self, class: u8, uses: u32) {
        let worth = self.settings.hit_worth[usize::from(class)];
        self.counters.add_returned(class, level_of(uses), worth);
    }

    /// Tells the rivals of an item that was found.
    #[inline(always)]
    pub(crate) fn note_hit(&self, key: &Key<'_>, now: u32) {
        if self.upkeep.rivals.have(self.position(key)) {
            self.sample_hit(key, now);
        }
    }

    /// Counts a miss, and tells the rivals.
    #[inline(always)]
    pub(crate) fn note_miss(&self, key: &Key<'_>, how: &Fetch, miss: Miss, now: u32) {
        self.count_miss(miss);
        self.tell_miss(key, how, miss, now);
    }

    /// Tells the rivals of a miss, if the lookup counts as a use.
    #[inline(always)]
    pub(crate) fn tell_miss(&self, key: &Key<'_>, how: &Fetch, miss: Miss, now: u32) {
        let position = self.position(key);
        if self.upkeep.rivals.have(position) && !how.peek {
            self.sample_miss(position, miss, now);
        }
    }

    /// Tells the rivals of an item that was stored.
    #[inline(always)]
    pub(crate) fn note_write(&self, position: Position, bytes: usize, expiry: Option<u32>) {
        if self.upkeep.rivals.have(position) {
            self.sample_write(position, bytes, expiry);
        }
    }

    /// Tells the rivals that a key has no item any more, not because of memory.
    #[inline(always)]
    pub(crate) fn note_end(&self, position: Position) {
        if self.upkeep.rivals.have(position) {
            self.sample_removal(position);
        }
    }

    /// Counts a miss.
    pub(crate) fn count_miss(&self, miss: Miss) {
        self.counters.add(0, Event::Misses, 1);
        match miss {
            Miss::Absent => {}
            Miss::Expired => self.counters.add(0, Event::MissesExpired, 1),
            Miss::Flushed => self.counters.add(0, Event::MissesFlushed, 1),
            Miss::Invalidated => self.counters.add(0, Event::MissesInvalidated, 1),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gauge = self.space.pool.gauge();
        f.debug_struct("Cache")
            .field("limit", &self.limit_goal())
            .field("used", &gauge.used)
            .finish_non_exhaustive()
    }
}
