//! Writing values: store in all its modes, the publication of items, and rewriting what exists.

use crate::counters::{Counts, Event};
use crate::engine::probe::Probe;
use crate::engine::{Engine, Found};
use crate::index::{Growth, Guard, Position};
use crate::memory::sync::Ordering;
use crate::removal::Cause;
use crate::space::append::{Claim, NeedsRoom, Room};
use crate::space::item::{Item, Part};
use crate::space::layout::{HEADER_MAX, Head, Header, State};
use crate::space::pool::RESERVE;
use crate::space::segments::{Loc, Pieces, class_of};
use crate::tags::Group;
use crate::{Attrs, Expiry, Key, Mode, Moment, Store, StoreError, Stored};

/// Versions further apart than this are kept in full, as the difference to the segment's might not
/// fit.
const VERSION_REACH: u64 = 1 << 29;

/// An item that is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewItem<'a> {
    pub(crate) header: Header,
    pub(crate) state: State,
    /// Its value.
    pub(crate) parts: [Part<'a>; 2],
    pub(crate) version: u64,
}

impl NewItem<'_> {
    /// Whether the value is that of an item whose value is at `at`.
    fn keeps_value(&self, at: usize) -> bool {
        matches!(self.parts, [Part::Stored { at: from, .. }, Part::Bytes([])] if from == at)
    }

    /// Whether bytes that are stored already are a part of the value.
    fn joins(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Stored { .. }))
    }
}

/// What a write is to do, once it is known what is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// Nothing.
    Stop(Stored),
    Write(Effect),
}

/// How a write treats the old item.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effect {
    /// The new value is marked as out of date from the start.
    pub(crate) stale: bool,
    /// The old value stays a part of the new one.
    pub(crate) joins: bool,
}

/// Why an item was not put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutError {
    /// Memory has to be reclaimed first, without the lock.
    NeedsRoom,
    /// The same for an item that takes the place of one of at least its size.
    NeedsRoomToReplace,
    /// A flush came between the old value and the new one, or the version is too far from those of
    /// the moment: begin again.
    Outdated,
    /// The index has no place, and nothing may be evicted for one.
    Full,
    /// A state that cannot be reached, if the engine is right.
    Internal,
}

impl Engine {
    /// Stores a value.
    pub(crate) fn store(
        &self,
        key: &Key<'_>,
        value: &[u8],
        attrs: &Attrs,
        how: &Store,
    ) -> Result<Stored, StoreError> {
        self.index.prefetch_for_write(self.position(key));
        self.check_key(key)?;
        self.check_size(key.bytes.len(), value.len(), attrs, how.group)?;
        loop {
            let mut at = self.probe(key);
            let effect = match plan(at.item(), how) {
                Plan::Stop(answer) => return Ok(answer),
                Plan::Write(effect) => effect,
            };
            let new = self.new_item(&at, attrs, how, effect, Part::Bytes(value));
            let len = new.header.value_len;
            if effect.joins {
                self.check_size(key.bytes.len(), len, attrs, new.header.group)?;
            }
            let put = self.put(&mut at, &new);
            drop(at);
            match put {
                Ok(_) => {
                    self.assist();
                    return Ok(Stored::Done { version: new.version, value_len: len });
                }
                Err(error) => self.recover(error, &new.header)?,
            }
        }
    }

    pub(crate) fn check_key(&self, key: &Key<'_>) -> Result<(), StoreError> {
        let fits = (1..=self.settings.max_key_len).contains(&key.bytes.len());
        if fits { Ok(()) } else { Err(StoreError::BadKey) }
    }

    pub(crate) fn check_size(
        &self,
        key: usize,
        value: usize,
        attrs: &Attrs,
        group: Group,
    ) -> Result<(), StoreError> {
        if !self.fits(key, value, attrs, group) {
            self.counters.add(0, Event::TooLarge, 1);
            return Err(StoreError::TooLarge);
        }
        Ok(())
    }

    /// Whether an item of these lengths may be stored.
    #[inline]
    pub(crate) fn fits(&self, key: usize, value: usize, attrs: &Attrs, group: Group) -> bool {
        let most = self.item_max();
        // Nearly every item fits with the largest header that there is.
        (value < most && key + value + 4 * HEADER_MAX <= most)
            || value < 1 << 30 && header_of(key, value, attrs, group).words() * 4 <= most
    }

    /// The size class of an item of these lengths, counted from 1.
    pub(crate) fn class_of(&self, key: usize, value: usize, attrs: &Attrs) -> u8 {
        header_of(key, value, attrs, Group::NONE).class() + 1
    }

    /// Bytes of the largest item: half of the limit always takes it.
    #[inline]
    pub(crate) fn item_max(&self) -> usize {
        self.item_max.load(Ordering::Relaxed)
    }

    /// The item that a write makes.
    pub(crate) fn new_item<'a>(
        &self,
        at: &Probe<'_, '_>,
        attrs: &Attrs,
        how: &Store,
        effect: Effect,
        value: Part<'a>,
    ) -> NewItem<'a> {
        let old = at.item();
        let kept = old.filter(|_| effect.joins);
        let (flags, group, mut expiry) = match kept {
            Some(old) => (old.flags, self.space.group_of(old), old.expiry().map(Moment::as_secs)),
            None => (attrs.flags, how.group, expiry_field(attrs.expiry, at.now)),
        };
        let mut state = State::default().with_access(at.now).with_marked(attrs.marked);
        if let Some(old) = old {
            // A new value is asked for as the old one was, and came just now.
            state = state.with_uses(old.state.uses()).with_hit(true);
            if effect.stale {
                expiry = old.expiry().map(Moment::as_secs);
                state = state.with_lease(true, old.state.is_taken());
            }
        }
        if let Some(old) = kept {
            state = state.with_marked(old.state.is_marked());
        } else if let (Mode::Append | Mode::Prepend, Some(create)) = (how.mode, how.create) {
            expiry = expiry_field(create, at.now);
        }
        let parts = match kept {
            None => [value, Part::Bytes(&[])],
            Some(old) => join(self.stored(old), value, how.mode),
        };
        let header = Header {
            key_len: at.key.bytes.len(),
            value_len: parts.iter().map(Part::len).sum(),
            flags,
            group,
            expiry: expiry.or(self.settings.never),
            version: how.version,
        };
        let version = self.hot.version_or_next(how.version);
        NewItem { header, state, parts, version }
    }

    /// Makes `new` the item of its key, in place of what was found; its address.
    pub(crate) fn put(&self, at: &mut Probe<'_, '_>, new: &NewItem<'_>) -> Result<Loc, PutError> {
        if let Ok(Found { item: old, .. }) = &at.found {
            if self.overwrite(old, new, at.now) {
                self.note_write(at.position, old.size(), new.header.expiry);
                return Ok(old.loc);
            }
        }
        let ghost = match &at.found {
            Ok(_) => None,
            Err(_) => self.index.take_ghost(at.position, &mut at.lock),
        };
        let mut head = self.head_of(new, at.key.bytes, at.item());
        if let Some(uses) = ghost {
            head.state = head.state.with_uses(uses + 1);
        }
        let room = match self.room_for(&head, at.now, at.item()) {
            Ok(room) => room,
            Err(error) => {
                if let Some(uses) = ghost {
                    // The next attempt is to find it again.
                    self.index.insert_ghost(at.position, uses, &mut at.lock);
                }
                return self.put_shorter(at, new).ok_or(error);
            }
        };
        if let Some(uses) = ghost {
            self.count_returned(head.class(), uses);
        }
        let source = at.item().filter(|_| new.joins());
        self.fill(&room, new, source)?;
        self.publish(at, &room, new.version)
    }

    /// What stands before the value of an item that takes the place of `old`, if there is one.
    #[inline(always)]
    pub(crate) fn head_of<'k>(
        &self,
        new: &NewItem<'_>,
        key: &'k [u8],
        old: Option<&Item>,
    ) -> Head<'k> {
        let head = Head::new(new.header, key, new.state);
        // What is written again and again is to be changed where it lies, however many versions
        // come in between, and where nothing may be evicted that is what must not fail.
        let is_rewritten = old.is_some_and(|old| old.shape.is_like(head.shape));
        if is_rewritten || !self.settings.evictions { head } else { head.shortened(new.version) }
    }

    /// Memory for a whole item that takes the place of `old`.
    #[inline(always)]
    pub(crate) fn room_for(
        &self,
        head: &Head<'_>,
        now: u32,
        old: Option<&Item>,
    ) -> Result<Room, PutError> {
        let claim = self.claim(head, now);
        self.space.room_for(&claim, head).or_else(|NeedsRoom| {
            let old_size = old.map_or(0, Item::size);
            let (claim, error) = self.last_claim(&claim, head, old_size)?;
            self.space.room_for(&claim, head).map_err(|NeedsRoom| error)
        })
    }

    /// What a writer asks for memory with.
    #[inline(always)]
    pub(crate) fn claim(&self, head: &Head<'_>, now: u32) -> Claim {
        let log = self.space.log_for(head, now);
        let is_large = head.item_words() > self.space.table().segment_words();
        let slack = if is_large { 0 } else { self.slack() };
        Claim { log, reserve: RESERVE + slack, opening: self.hot.opening(now) }
    }

    /// Copies the value to its place. `old` is the item that the new one derives from.
    pub(crate) fn fill(
        &self,
        room: &Room,
        new: &NewItem<'_>,
        old: Option<&Item>,
    ) -> Result<(), PutError> {
        let slot = room.slot();
        let epoch = self.space.stamp_at(slot.loc).epoch();
        if old.is_some_and(|old| old.stamp.epoch() != epoch) {
            self.space.free_room(room);
            return Err(PutError::Outdated);
        }
        let value =
            Pieces::new(self.space.table(), self.space.value_in(room), new.header.value_len);
        self.space.copy(value, &new.parts);
        Ok(())
    }

    /// Makes a complete item visible, in place of what was found; its address.
    pub(crate) fn publish(
        &self,
        at: &mut Probe<'_, '_>,
        room: &Room,
        version: u64,
    ) -> Result<Loc, PutError> {
        let counts = self.go_live(room, version)?;
        let loc = room.slot().loc;
        // Before the old item goes, which may be the one that has the group.
        if room.slot().has_ext() {
            self.hold_group(room.slot().header.group);
        }
        match &at.found {
            Ok(old) => {
                self.index.redirect(old.slot, loc, &mut at.lock);
                self.retire(&old.item, Cause::Replaced, at.now);
            }
            Err(_) => self.enter(at, loc)?,
        }
        counts.add(Event::Stored, 1);
        self.note_write(at.position, room.slot().size(), room.slot().header.expiry);
        Ok(loc)
    }

    /// Enters a new item into the index, which makes room for it if there is none.
    fn enter(&self, at: &mut Probe<'_, '_>, loc: Loc) -> Result<(), PutError> {
        let Probe { position, now, ref mut lock, .. } = *at;
        let mut inserted = self.index.insert(position, loc, lock);
        // Group and stash may be full by chance; a shard of another size has room.
        while inserted.is_err()
            && (self.advance_index(position.shard, lock, now) || self.begin_growth(position, lock))
        {
            inserted = self.index.insert(position, loc, lock);
        }
        if inserted.is_err() && !self.settings.evictions {
            self.take_back(loc);
            return Err(PutError::Full);
        }
        if inserted.is_err() {
            self.evict_neighbour(position, now, lock);
            inserted = self.index.insert(position, loc, lock);
        }
        if inserted.is_err() {
            debug_assert!(false, "a group has room after an item was evicted from it");
            self.take_back(loc);
            return Err(PutError::Internal);
        }
        self.grow_index(position, lock, now);
        Ok(())
    }

    /// Ends a live item that nobody has seen.
    #[cold]
    pub(crate) fn take_back(&self, loc: Loc) {
        let item = self.space.read_any(loc);
        if item.shape.has_ext() {
            self.untag(loc);
        }
        self.retire_copy(&item);
    }

    /// Turns a pending item into a live one, to which the index does not lead yet; the counters of
    /// its class, in which it is counted.
    fn go_live(&self, room: &Room, version: u64) -> Result<Counts<'_>, PutError> {
        let slot = room.slot();
        let first = match slot.header.version {
            Some(_) => slot.first().with_sequence(0),
            None => self.space.first_of(slot.first(), version, slot.loc),
        };
        let Some(first) = first else {
            // A snapshot with far greater versions was loaded meanwhile.
            self.space.free_room(room);
            return Err(PutError::Outdated);
        };
        self.space.go_live(room, first);
        let level = self.space.stamp_at(slot.loc).level();
        Ok(self.count_in(level, slot.class(), slot.size()))
    }

    /// Writes a new value over an old one; false if that can't be done.
    fn overwrite(&self, old: &Item, new: &NewItem<'_>, now: u32) -> bool {
        // A listener that wants the old value has it shown where it is.
        let shows = self.listeners.as_ref().is_some_and(|listeners| listeners.wants_values());
        let changed = !new.joins() && !shows && self.change_in_place(old, new);
        if changed {
            if old.shape.has_ext() {
                self.hold_group(new.header.group);
            }
            self.report_overwritten(old, now);
        }
        changed
    }

    /// Puts an item in the place of a longer one where there is no room for both; its address, or
    /// `None` if that can't be done.
    #[cold]
    fn put_shorter(&self, at: &Probe<'_, '_>, new: &NewItem<'_>) -> Option<Loc> {
        let Ok(Found { item: old, .. }) = &at.found else { return None };
        let (shape, words) = (new.header.shape(), new.header.words());
        let shows = self.listeners.as_ref().is_some_and(|listeners| listeners.wants_values());
        // A memory file may have short headers of a cache that evicted.
        let fits = shape.has_form_of(old.shape) && !old.shape.is_short();
        if self.settings.evictions || new.joins() || shows || !fits {
            return None;
        }
        let cut = self.space.cut_of(old, words).filter(|_| words * 4 <= old.size())?;
        // Its lock comes before that of the shard, so it is not waited for.
        let _walkers = self.upkeep.reclaim.try_lock()?;
        let first = self.space.begin_change(old, new.version)?;
        self.retire_in_victim(old, Cause::Replaced, at.now);
        self.space.cut(old, &cut, shape);
        let at_value = self.space.value_at(old);
        let value = Pieces::new(self.space.table(), at_value, new.header.value_len);
        self.space.copy(value, &new.parts);
        self.space.set_flags_and_expiry(old, &new.header);
        self.space.set_state(old.loc, new.state.with_live(true));
        self.space.end_change(old, first);
        self.space.free_behind(old, &cut);
        let counts = self.count_in(old.stamp.level(), class_of(words * 4), words * 4);
        counts.add(Event::Stored, 1);
        Some(old.loc)
    }

    /// Makes an item the new one where it lies; false if their forms differ or that can't be done.
    pub(crate) fn change_in_place(&self, old: &Item, new: &NewItem<'_>) -> bool {
        // The shape has only a part of a long value's length, and no group.
        let same_form = new.header.shape().is_like(old.shape)
            && new.header.value_len == old.value_len
            && (!old.shape.has_ext() || self.space.group_of(old) == new.header.group);
        if !same_form {
            return false;
        }
        let Some(first) = self.space.begin_change(old, new.version) else { return false };
        if !new.keeps_value(self.space.value_at(old)) {
            self.space.copy(self.space.value_pieces(old), &new.parts);
        }
        self.space.set_flags_and_expiry(old, &new.header);
        self.space.set_state(old.loc, new.state.with_live(true));
        self.space.end_change(old, first);
        true
    }

    /// Gives an item new attributes by writing it anew; its value and use stay. The address of the
    /// new one.
    pub(crate) fn rewrite(
        &self,
        at: &mut Probe<'_, '_>,
        old: &Found,
        new: &NewItem<'_>,
    ) -> Result<Loc, PutError> {
        let head = self.head_of(new, at.key.bytes, Some(&old.item));
        let room = self.room_for(&head, at.now, Some(&old.item))?;
        self.supersede(old, &room, new, &mut at.lock)
    }

    /// Puts a derived item in the place of the one that it derives from. To the outside it is still
    /// the same item, so nothing is reported.
    pub(crate) fn supersede(
        &self,
        old: &Found,
        room: &Room,
        new: &NewItem<'_>,
        lock: &mut Guard<'_>,
    ) -> Result<Loc, PutError> {
        self.fill(room, new, Some(&old.item))?;
        self.go_live(room, new.version)?;
        let loc = room.slot().loc;
        self.index.redirect(old.slot, loc, lock);
        self.retire_copy(&old.item);
        Ok(loc)
    }

    /// An item's value as a part of another one.
    fn stored(&self, item: &Item) -> Part<'static> {
        Part::Stored { at: self.space.value_at(item), len: item.value_len }
    }

    /// A copy of an item: the same value, version and use.
    pub(crate) fn copy_of(&self, old: &Item) -> NewItem<'static> {
        let far = self.is_far(old.version);
        let header = Header {
            key_len: old.key_len(),
            value_len: old.value_len,
            flags: old.flags,
            group: self.space.group_of(old),
            expiry: old.shape.has_expiry().then_some(old.expiry),
            version: (far || old.shape.has_version()).then_some(old.version),
        };
        let value = self.stored(old);
        let parts = [value, Part::Bytes(&[])];
        NewItem { header, state: old.state, parts, version: old.version }
    }

    /// Whether a version is kept in full, as it is far from those that are given out.
    pub(crate) fn is_far(&self, version: u64) -> bool {
        self.hot.last_version().abs_diff(version) > VERSION_REACH
    }

    /// Lets the index of a shard grow with its items, a little at each insertion.
    fn grow_index(&self, position: Position, lock: &mut Guard<'_>, now: u32) {
        if self.index.is_moving(position.shard, lock) {
            for _ in 0..2 {
                self.advance_index(position.shard, lock, now);
            }
        } else {
            self.begin_growth(position, lock);
        }
    }

    fn begin_growth(&self, position: Position, lock: &mut Guard<'_>) -> bool {
        let pool = &self.space.pool;
        match self.index.grow(position.shard, lock, |bytes| pool.take_bytes(bytes)) {
            Growth::None => false,
            Growth::Begun => true,
            Growth::Refused(bytes) => {
                pool.free_bytes(bytes);
                pool.confine_index();
                false
            }
        }
    }

    /// Moves one group of a shard whose size is changing; true while there is more to move.
    pub(crate) fn advance_index(&self, shard: u32, lock: &mut Guard<'_>, now: u32) -> bool {
        if !self.index.is_moving(shard, lock) {
            return false;
        }
        let freed = self.index.advance(shard, lock, |_, loc| {
            if self.is_readable(loc) {
                self.retire(&self.space.read_any(loc), Cause::Evicted, now);
            }
        });
        if let Some(bytes) = freed.filter(|&bytes| bytes > 0) {
            self.space.pool.free_bytes(bytes);
        }
        true
    }

    /// Evicts the least used item of a full group's home line.
    #[cold]
    fn evict_neighbour(&self, position: Position, now: u32, lock: &mut Guard<'_>) {
        let items =
            self.index.neighbours(position, lock).into_iter().filter(|slot| slot.loc() != 0);
        let uses = |loc| State(self.space.state_word(loc).load(Ordering::Relaxed)).uses();
        if let Some(slot) = items.min_by_key(|slot| uses(slot.loc())) {
            let of_item = self.index.position_of(slot, position);
            self.index.remove(of_item, slot, lock);
            if self.is_readable(slot.loc()) {
                self.retire(&self.space.read_any(slot.loc()), Cause::Evicted, now);
            }
        }
    }
}

/// The header of an item of these lengths, whose expiry is a moment or of no interest; no item is
/// longer than one of 1 GiB.
#[inline]
pub(crate) fn header_of(key: usize, value: usize, attrs: &Attrs, group: Group) -> Header {
    Header {
        key_len: key,
        value_len: value.min(1 << 30),
        flags: attrs.flags,
        group,
        expiry: expiry_field(attrs.expiry, 0),
        version: None,
    }
}

/// What a write does with what is there.
pub(crate) fn plan(old: Option<&Item>, how: &Store) -> Plan {
    let go = Plan::Write(Effect { stale: false, joins: false });
    let joins = matches!(how.mode, Mode::Append | Mode::Prepend);
    let Some(old) = old else {
        return match how.mode {
            Mode::Set | Mode::Replace if how.expected.is_some() => Plan::Stop(Stored::NotFound),
            Mode::Set | Mode::Add => go,
            Mode::Append | Mode::Prepend if how.create.is_some() => go,
            _ => Plan::Stop(Stored::NotStored),
        };
    };
    match how.expected {
        _ if how.mode == Mode::Add => Plan::Stop(Stored::NotStored),
        Some(expected) if expected == old.version => Plan::Write(Effect { stale: false, joins }),
        // What is added to a value belongs to that value alone.
        Some(expected) if how.allow_stale && expected < old.version && !joins => {
            Plan::Write(Effect { stale: true, joins })
        }
        Some(_) => Plan::Stop(Stored::VersionMismatch),
        None => Plan::Write(Effect { stale: false, joins }),
    }
}

/// The parts of a value to which `value` is added.
fn join<'a>(old: Part<'a>, value: Part<'a>, mode: Mode) -> [Part<'a>; 2] {
    if mode == Mode::Prepend { [value, old] } else { [old, value] }
}

/// An expiry as it is kept; `None` needs no room.
#[inline]
pub(crate) fn expiry_field(expiry: Expiry, now: u32) -> Option<u32> {
    expiry.moment(Moment::from_secs(now)).map(|moment| moment.as_secs().max(1))
}
