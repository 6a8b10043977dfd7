//! Writing values: store in all its modes, the publication of items, and rewriting what exists.

use crate::counters::Event;
use crate::engine::{Engine, Item, Part};
use crate::index::{Guard, Spot};
use crate::memory::sync::{Ordering, fence};
use crate::removal::Cause;
use crate::space::append::{Chain, NeedsRoom, Slot};
use crate::space::layout::{Head, Header, PENDING, State};
use crate::space::pool::RESERVE;
use crate::space::segments::{LogId, Pieces, Queue};
use crate::{Attrs, Expiry, Key, Mode, Moment, Store, StoreError, Stored};

/// Versions further apart than this are kept in full, as the difference to the segment's might not
/// fit.
const VERSION_REACH: u64 = 1 << 29;

/// An item as it is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) header: Header,
    pub(crate) state: State,
    /// Its value.
    pub(crate) parts: [Part<'a>; 2],
    pub(crate) version: u64,
}

impl Draft<'_> {
    /// What stands before the value.
    pub(crate) fn head<'k>(&self, key: &'k [u8]) -> Head<'k> {
        Head::new(self.header, key, self.state)
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
    /// Write. `joins` says that the old value stays a part of the new one.
    Go { stale: bool, joins: bool },
}

/// The memory that an item will be in.
#[derive(Debug)]
pub(crate) enum Room {
    Slot(Slot),
    Chain(Chain),
}

impl Room {
    pub(crate) fn slot(&self) -> &Slot {
        match self {
            Self::Slot(slot) => slot,
            Self::Chain(chain) => &chain.slot,
        }
    }
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
        self.index.prefetch_for_write(self.index.position(key.hash));
        self.check_key(key)?;
        self.check_size(key.bytes.len(), value.len(), attrs)?;
        loop {
            let now = self.now();
            let mut lock = self.index.lock(self.index.position(key.hash));
            let found = self.find_visible(key, now, &mut lock).ok();
            let (stale, joins) = match plan(found.as_ref().map(|(item, _)| item), how) {
                Plan::Stop(answer) => return Ok(answer),
                Plan::Go { stale, joins } => (stale, joins),
            };
            let old = found.as_ref().map(|(item, _)| item);
            let parts = join(old.filter(|_| joins), Part::Bytes(value), how.mode);
            let draft = self.draft(key, attrs, how, old, parts, (stale, joins), now);
            let len = draft.header.value_len;
            self.check_size(key.bytes.len(), len, attrs)?;
            let put = self.put(key, &draft, found, now, &mut lock);
            drop(lock);
            match put {
                Ok(()) => {
                    self.assist();
                    return Ok(Stored::Done { version: draft.version, value_len: len });
                }
                Err(NeedsRoom) => self.make_room(&draft.header)?,
            }
        }
    }

    pub(crate) fn check_key(&self, key: &Key<'_>) -> Result<(), StoreError> {
        let fits = (1..=250).contains(&key.bytes.len());
        if fits { Ok(()) } else { Err(StoreError::BadKey) }
    }

    pub(crate) fn check_size(
        &self,
        key: usize,
        value: usize,
        attrs: &Attrs,
    ) -> Result<(), StoreError> {
        if !self.fits(key, value, attrs) {
            self.counters.add(0, Event::TooLarge, 1);
            return Err(StoreError::TooLarge);
        }
        Ok(())
    }

    /// Whether an item of these lengths may be stored.
    #[inline]
    pub(crate) fn fits(&self, key: usize, value: usize, attrs: &Attrs) -> bool {
        value < 1 << 30 && header_of(key, value, attrs).words() * 4 <= self.item_max()
    }

    /// The size class of an item of these lengths, counted from 1.
    pub(crate) fn class_of(&self, key: usize, value: usize, attrs: &Attrs) -> u8 {
        header_of(key, value, attrs).class() + 1
    }

    /// Bytes of the largest item: half of the limit always takes it.
    #[inline]
    pub(crate) fn item_max(&self) -> usize {
        self.item_max.load(Ordering::Relaxed)
    }

    /// The item that a write makes.
    #[expect(clippy::too_many_arguments, reason = "everything that an item depends on")]
    pub(crate) fn draft<'a>(
        &self,
        key: &Key<'_>,
        attrs: &Attrs,
        how: &Store,
        old: Option<&Item>,
        parts: [Part<'a>; 2],
        (stale, joins): (bool, bool),
        now: u32,
    ) -> Draft<'a> {
        let kept = old.filter(|_| joins);
        let (flags, mut expiry) = match kept {
            Some(old) => (old.flags, old.expiry().map(Moment::as_secs)),
            None => (attrs.flags, expiry_field(attrs.expiry, now)),
        };
        let mut state = State::default().with_access(now).with_marked(attrs.marked);
        if let Some(old) = old {
            state = state.with_freq(old.state.freq());
            if stale {
                expiry = old.expiry().map(Moment::as_secs);
                state = state.with_lease(true, old.state.is_taken());
            }
        }
        if let Some(old) = kept {
            state = state.with_marked(old.state.is_marked());
        } else if let (Mode::Append | Mode::Prepend, Some(create)) = (how.mode, how.create) {
            expiry = expiry_field(create, now);
        }
        let value_len = parts.iter().map(Part::len).sum();
        let version = how.version;
        let key_len = key.bytes.len();
        let header = Header { key_len, value_len, flags, expiry, version };
        Draft { header, state, parts, version: version.unwrap_or_else(|| self.next_version()) }
    }

    /// Makes `draft` the item of its key, in place of what was `found` in the locked shard.
    ///
    /// # Errors
    /// Memory has to be reclaimed first, without the lock.
    pub(crate) fn put(
        &self,
        key: &Key<'_>,
        draft: &Draft<'_>,
        found: Option<(Item, Spot)>,
        now: u32,
        lock: &mut Guard<'_>,
    ) -> Result<(), NeedsRoom> {
        if let Some((old, _)) = &found
            && self.overwrite(old, draft, now)
        {
            return Ok(());
        }
        let position = self.index.position(key.hash);
        let queue = match &found {
            Some((old, _)) => old.stamp.queue(),
            None if self.index.recall(position, lock) => Queue::Main,
            None => Queue::Small,
        };
        let head = draft.head(key.bytes);
        let log = self.log_for(queue, &head, now);
        let room = match self.room_for(log, &head, RESERVE) {
            Ok(room) => room,
            Err(NeedsRoom) => {
                if queue == Queue::Main && found.is_none() {
                    self.index.remember(position, lock);
                }
                return Err(NeedsRoom);
            }
        };
        let source = found.as_ref().map(|(old, _)| old).filter(|_| draft.joins());
        self.fill(&room, draft, source)?;
        self.publish(key, &room, draft.version, found, now, lock);
        Ok(())
    }

    /// Copies the value to its place. `old` is the item that the new one derives from.
    ///
    /// # Errors
    /// A flush came between the old value and the new one: begin again.
    fn fill(&self, room: &Room, draft: &Draft<'_>, old: Option<&Item>) -> Result<(), NeedsRoom> {
        let slot = room.slot();
        let epoch = self.table.stamp(self.table.segment_of(slot.loc)).epoch();
        if old.is_some_and(|old| old.stamp.epoch() != epoch) {
            self.abandon_room(room);
            return Err(NeedsRoom);
        }
        let value = Pieces::new(&self.table, slot.value_at(), draft.header.value_len);
        self.copy(value, &draft.parts);
        Ok(())
    }

    /// Gives up memory for an item that was not published.
    pub(crate) fn abandon_room(&self, room: &Room) {
        match room {
            Room::Slot(slot) => self.abandon(slot),
            Room::Chain(chain) => self.abandon_chain(chain),
        }
    }

    /// Memory for an item of any size; `reserve` segments have to be left.
    pub(crate) fn room_for(
        &self,
        log: LogId,
        head: &Head<'_>,
        reserve: usize,
    ) -> Result<Room, NeedsRoom> {
        if head.item_words() <= self.table.segment_words() {
            return self.allocate(log, head, reserve, true).map(Room::Slot);
        }
        let mut chain = self.begin_chain(log, head, reserve)?;
        while chain.left > 0 {
            if self.extend_chain(&mut chain).is_err() {
                self.abandon_chain(&chain);
                return Err(NeedsRoom);
            }
        }
        Ok(Room::Chain(chain))
    }

    /// Makes a complete item visible. The shard is locked.
    pub(crate) fn publish(
        &self,
        key: &Key<'_>,
        room: &Room,
        version: u64,
        found: Option<(Item, Spot)>,
        now: u32,
        lock: &mut Guard<'_>,
    ) {
        let loc = room.slot().loc;
        self.go_live(room, version);
        let position = self.index.position(key.hash);
        match found {
            Some((old, spot)) => {
                self.index.redirect(spot, loc, lock);
                self.retire(&old, Cause::Replaced, now);
            }
            None => {
                let mut inserted = self.index.insert(position, loc, lock);
                // A shard that is on its way to another size may have room at the end of it.
                while inserted.is_err() && self.advance_index(position.shard, lock, now) {
                    inserted = self.index.insert(position, loc, lock);
                }
                if inserted.is_err() {
                    self.evict_neighbour(position, now, lock);
                    // There is room now, by the eviction if nothing else.
                    let _ = self.index.insert(position, loc, lock);
                }
                self.grow_index(position, lock, now);
            }
        }
        self.counters.add(room.slot().class(), Event::Stored, 1);
    }

    /// Turns a pending item into a live one, to which the index does not lead yet.
    pub(crate) fn go_live(&self, room: &Room, version: u64) {
        let slot = room.slot();
        let (loc, header, size) = (slot.loc, &slot.header, slot.size());
        let segment = self.table.segment_of(loc);
        let base = self.table.version_base(segment).load(Ordering::Relaxed);
        let sequence = if header.version.is_some() { 0 } else { delta(version, base).unwrap_or(0) };
        let state = self.word(loc + 2);
        let live = State(state.load(Ordering::Relaxed)).with_live(true);
        state.store(live.0, Ordering::Relaxed);
        self.word(loc).store(sequence, Ordering::Release);
        if !slot.counts {
            let pieces = Pieces::new(&self.table, loc as usize * 4, size);
            let mut begins = true;
            for (piece, len) in pieces.by_segment() {
                self.table.publish(piece, len, begins);
                begins = false;
            }
        }
        // A sweep may have come by while the item was pending; a later one sees it live.
        self.note_expiry(loc, header.expiry);
        if let Room::Chain(chain) = room {
            self.finish_chain(chain);
        }
        let queue = self.table.stamp(segment).queue();
        self.count_live(queue, slot.class(), size, true);
    }

    /// Writes a new value over an old one of the same form; false if that can't be done.
    fn overwrite(&self, old: &Item, draft: &Draft<'_>, now: u32) -> bool {
        if draft.joins() || draft.header.shape() != old.shape || old.shape.has_version() {
            return false;
        }
        if draft.header.value_len != old.value_len {
            return false;
        }
        let changed = self.change_in_place(old, draft.version, || {
            let value = Pieces::new(&self.table, old.value_at(), old.value_len);
            self.copy(value, &draft.parts);
            self.set_flags_and_expiry(old, &draft.header);
            self.word(old.loc + 2).store(draft.state.with_live(true).0, Ordering::Relaxed);
        });
        if changed {
            self.report(old, Cause::Replaced, now);
            self.counters.add(old.class(), Event::Stored, 1);
        }
        changed
    }

    fn set_flags_and_expiry(&self, old: &Item, header: &Header) {
        if old.shape.has_flags() {
            let at = old.shape.flags_at() as u64;
            self.word(old.loc + at).store(header.flags, Ordering::Relaxed);
        }
        if let Some(expiry) = header.expiry {
            self.set_expiry(old, expiry);
        }
    }

    /// Changes bytes of a live item under a new version, unless a handle reads them or the version
    /// can't be expressed. The shard is locked; readers without lock notice.
    pub(crate) fn change_in_place(&self, item: &Item, version: u64, change: impl FnOnce()) -> bool {
        if item.shape.has_version() {
            return false;
        }
        let base = self.table.version_base(self.table.segment_of(item.loc)).load(Ordering::Relaxed);
        let Some(sequence) = delta(version, base) else { return false };
        let word = self.word(item.loc);
        word.store(PENDING, Ordering::Relaxed);
        // Either this sees the pin of a reader, or the reader sees that the item is changing.
        fence(Ordering::SeqCst);
        let is_pinned = |(segment, _)| self.table.pins(segment).load(Ordering::SeqCst) > 0;
        let pinned = self.pieces(item).by_segment().any(is_pinned);
        if pinned {
            word.store(item.sequence, Ordering::Release);
            return false;
        }
        change();
        word.store(sequence, Ordering::Release);
        true
    }

    /// Gives an item new attributes by writing it anew; its value and use stay.
    ///
    /// # Errors
    /// Memory has to be reclaimed first, without the lock.
    pub(crate) fn rewrite(
        &self,
        key: &Key<'_>,
        old: Item,
        spot: Spot,
        draft: &Draft<'_>,
        now: u32,
        lock: &mut Guard<'_>,
    ) -> Result<(), NeedsRoom> {
        let head = draft.head(key.bytes);
        let log = self.log_for(old.stamp.queue(), &head, now);
        let room = self.room_for(log, &head, RESERVE)?;
        self.succeed(&room, draft, &old, spot, lock)
    }

    /// Puts a derived item in the place of the one that it derives from. To the outside it is still
    /// the same item, so nothing is reported.
    ///
    /// # Errors
    /// A flush came between the two.
    pub(crate) fn succeed(
        &self,
        room: &Room,
        draft: &Draft<'_>,
        old: &Item,
        spot: Spot,
        lock: &mut Guard<'_>,
    ) -> Result<(), NeedsRoom> {
        self.fill(room, draft, Some(old))?;
        self.go_live(room, draft.version);
        self.index.redirect(spot, room.slot().loc, lock);
        self.discard(old);
        Ok(())
    }

    /// A copy of an item as a draft: the same value, version and use.
    pub(crate) fn redraft(&self, old: &Item) -> Draft<'static> {
        let far = self.last_version().abs_diff(old.version) > VERSION_REACH;
        let header = Header {
            key_len: old.shape.key_len(),
            value_len: old.value_len,
            flags: old.flags,
            expiry: old.expiry().map(Moment::as_secs),
            version: (far || old.shape.has_version()).then_some(old.version),
        };
        let value = Part::Stored { at: old.value_at(), len: old.value_len };
        let parts = [value, Part::Bytes(&[])];
        Draft { header, state: old.state, parts, version: old.version }
    }

    /// Lets the index of a shard grow with its items, a little at each insertion.
    fn grow_index(&self, position: crate::index::Position, lock: &mut Guard<'_>, now: u32) {
        if self.index.is_moving(position.shard, lock) {
            for _ in 0..2 {
                self.advance_index(position.shard, lock, now);
            }
        } else {
            let take = |bytes| self.pool.take_bytes(&self.table, bytes, &self.memory);
            self.index.grow(position.shard, lock, take);
        }
    }

    /// Moves one group of a shard whose size is changing; true while there is more to move.
    pub(crate) fn advance_index(&self, shard: u32, lock: &mut Guard<'_>, now: u32) -> bool {
        if !self.index.is_moving(shard, lock) {
            return false;
        }
        let freed = self.index.advance(shard, lock, |_, loc| {
            self.retire(&self.read_any(loc), Cause::Evicted, now);
        });
        if let Some(bytes) = freed.filter(|&bytes| bytes > 0) {
            self.pool.give_bytes(bytes);
        }
        true
    }

    /// Evicts the least used item of a full group's home line.
    #[cold]
    fn evict_neighbour(&self, position: crate::index::Position, now: u32, lock: &mut Guard<'_>) {
        let neighbours = self.index.neighbours(position, lock);
        let least = neighbours
            .into_iter()
            .filter(|spot| spot.loc() != 0)
            .min_by_key(|spot| State(self.word(spot.loc() + 2).load(Ordering::Relaxed)).freq());
        if let Some(spot) = least {
            let item = self.read_any(spot.loc());
            let of_item = self.index.position_of(spot, position);
            self.index.remove(of_item, spot, lock);
            self.retire(&item, Cause::Evicted, now);
        }
    }
}

/// The header of an item of these lengths, whose expiry is a moment or of no interest; no item is
/// longer than one of 1 GiB.
#[inline]
pub(crate) fn header_of(key: usize, value: usize, attrs: &Attrs) -> Header {
    Header {
        key_len: key,
        value_len: value.min(1 << 30),
        flags: attrs.flags,
        expiry: expiry_field(attrs.expiry, 0),
        version: None,
    }
}

/// What a write does with what is there.
pub(crate) fn plan(old: Option<&Item>, how: &Store) -> Plan {
    let go = Plan::Go { stale: false, joins: false };
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
        Some(expected) if expected == old.version => Plan::Go { stale: false, joins },
        // What is added to a value belongs to that value alone.
        Some(expected) if how.allow_stale && expected < old.version && !joins => {
            Plan::Go { stale: true, joins }
        }
        Some(_) => Plan::Stop(Stored::VersionMismatch),
        None => Plan::Go { stale: false, joins },
    }
}

/// The parts of a value that may be joined to an old one.
pub(crate) fn join<'a>(old: Option<&Item>, value: Part<'a>, mode: Mode) -> [Part<'a>; 2] {
    let Some(old) = old else { return [value, Part::Bytes(&[])] };
    let stored = Part::Stored { at: old.value_at(), len: old.value_len };
    if mode == Mode::Prepend { [value, stored] } else { [stored, value] }
}

/// An expiry as it is kept; `None` needs no room.
#[inline]
pub(crate) fn expiry_field(expiry: Expiry, now: u32) -> Option<u32> {
    expiry.moment(Moment::from_secs(now)).map(|moment| moment.as_secs().max(1))
}

/// A version as the difference to its segment's.
pub(crate) fn delta(version: u64, base: u64) -> Option<u32> {
    let delta = i32::try_from(version.wrapping_sub(base) as i64).ok()? as u32;
    (delta != PENDING).then_some(delta)
}
