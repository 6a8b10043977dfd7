//! Two-phase writes: memory first, bytes as they arrive, visibility last.

use std::fmt;
use std::sync::Arc;

use crate::engine::Engine;
#[cfg(all(feature = "flash", not(loom)))]
use crate::engine::probe::Probe;
use crate::memory::bytes::{RUNS_MAX, Run};
use crate::memory::sync::{Ordering, fence};
use crate::ops::write::{Effect, NewItem, Plan, PutError, header_of, plan};
use crate::space::append::{NeedsRoom, Room};
use crate::space::item::Part;
use crate::space::layout::{Head, Header, State};
use crate::space::pool::RESERVE;
use crate::space::segments::Pieces;
use crate::tags::Group;
use crate::{Attrs, Key, Moment, Store, StoreError, Stored};

/// Values that are arriving may take 1/ARRIVING_SHARE of the limit.
const ARRIVING_SHARE: usize = 2;
/// 1/BEGUN_SHARE of that is for those that have more than their first segment: others that are
/// only announced must not keep them from their end.
const BEGUN_SHARE: usize = 4;

/// Memory for a value that is still arriving. Nobody sees it before
/// [`commit`](Reservation::commit); dropping it gives the memory back.
///
/// A large value takes memory only as it arrives, so an announcement costs nothing.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Store};
///
/// let cache = Cache::new(8 << 20)?;
/// let mut reservation = cache.reserve("k", 10, Attrs::new())?;
/// for part in [&b"first"[..], b"other"] {
///     assert_eq!(reservation.write(part), part.len());
/// }
/// assert!(!cache.contains("k"));
/// reservation.commit(&Store::new())?;
/// assert_eq!(cache.get("k").as_deref(), Some(&b"firstother"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reservation {
    engine: Arc<Engine>,
    key: Box<[u8]>,
    hash: u64,
    attrs: Attrs,
    /// It has a reference to it.
    group: Group,
    /// `None` once it was published.
    room: Option<Room>,
    /// Bytes of the value that are there.
    filled: usize,
    /// The piece that was written last: many small writes need not find their way from the
    /// beginning each.
    last: Piece,
    permit: Permit,
    failed: bool,
}

/// A piece of the memory of a value.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Its byte address.
    at: usize,
    /// Bytes of the value that lie in front of it.
    from: usize,
}

/// Bytes of the limit that wait for a value and can't be reclaimed. A smaller value counts as a
/// whole segment, because it keeps the one that it is in.
#[derive(Debug)]
struct Permit {
    engine: Arc<Engine>,
    bytes: usize,
}

impl Permit {
    /// Books the room for a value to begin with.
    fn begin(engine: &Arc<Engine>) -> Option<Self> {
        let mut permit = Self { engine: Arc::clone(engine), bytes: 0 };
        let max = engine.space.pool.limit() / ARRIVING_SHARE;
        let announced = engine.space.announced.load(Ordering::Relaxed);
        let is_crowded = announced + engine.space.table().segment_bytes() > max - max / BEGUN_SHARE;
        (!is_crowded && permit.add_segment()).then_some(permit)
    }

    /// Books another segment, unless values that are arriving have their share. A value that has
    /// no other beside it may have what it needs.
    fn add_segment(&mut self) -> bool {
        let Self { engine, bytes } = self;
        let segment = engine.space.table().segment_bytes();
        let max = engine.space.pool.limit() / ARRIVING_SHARE;
        let all = engine.space.arriving.fetch_add(segment, Ordering::Relaxed);
        if all > *bytes && all + segment > max {
            engine.space.arriving.fetch_sub(segment, Ordering::Relaxed);
            return false;
        }
        match *bytes {
            0 => _ = engine.space.announced.fetch_add(segment, Ordering::Relaxed),
            first if first == segment => self.leave_announced(),
            _ => {}
        }
        self.bytes += segment;
        true
    }

    /// It is no longer among those that have one segment only.
    fn leave_announced(&self) {
        self.engine.space.announced.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.bytes == self.engine.space.table().segment_bytes() {
            self.leave_announced();
        }
        self.engine.space.arriving.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Reservation {
    /// Bytes still owed.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let mut place = cache.reserve("k", 5, Attrs::new())?;
    /// place.write(b"va");
    /// assert_eq!(place.remaining(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.len() - self.filled
    }

    fn len(&self) -> usize {
        self.room.as_ref().map_or(0, |room| room.slot().header.value_len)
    }

    /// Takes the next bytes of the value, at most [`remaining`](Self::remaining); returns how many.
    /// If memory runs out meanwhile, [`commit`](Self::commit) will say so.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let mut place = cache.reserve("k", 5, Attrs::new())?;
    /// assert_eq!(place.write(b"value and more"), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let bytes = &bytes[..bytes.len().min(self.remaining())];
        let Some(room) = &mut self.room else { return 0 };
        if !self.failed && self.engine.reach(room, self.filled + bytes.len(), &mut self.permit) {
            self.last = self.engine.write_from(self.last, self.filled, bytes);
        } else {
            self.failed = true;
        }
        self.filled += bytes.len();
        self.engine.report_removals();
        bytes.len()
    }

    /// Has `fill` write the next bytes of the value where they will lie, so that they need not be
    /// copied. It is given pieces of memory with up to `most` bytes in all, and returns how many of
    /// them it has written, from the first on; what it says is returned.
    ///
    /// There may be fewer than asked for, because memory is taken at most one segment or as much as
    /// the value has already ahead; and none if it ran out, in which case [`write`](Self::write)
    /// takes the rest and [`commit`](Self::commit) says so.
    ///
    /// # Errors
    /// That of `fill`, whose bytes are then still owed.
    ///
    /// # Examples
    /// ```
    /// use std::io::Read;
    ///
    /// use memcore::{Attrs, Cache, Store};
    ///
    /// let cache = Cache::new(64 << 20)?;
    /// let mut source: &[u8] = &[b'x'; 100_000];
    /// let mut place = cache.reserve("k", source.len(), Attrs::new())?;
    /// while place.remaining() > 0 {
    ///     place.fill(usize::MAX, |pieces| source.read(pieces[0]))?;
    /// }
    /// place.commit(&Store::new())?;
    /// assert_eq!(cache.get("k").unwrap(), [b'x'; 100_000]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fill<E>(
        &mut self,
        most: usize,
        fill: impl FnOnce(&mut [&mut [u8]]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let mut runs = [Run::default(); RUNS_MAX];
        let count = self.next_runs(most, &mut runs);
        self.engine.report_removals();
        let Some(room) = self.room.as_mut().filter(|_| count > 0) else { return fill(&mut []) };
        let lent = runs.iter().map(|run| run.len).sum();
        let filled = self.engine.fill_in_place(room, &runs[..count], fill)?.min(lent);
        self.filled += filled;
        Ok(filled)
    }

    /// Where the next bytes of the value belong, at most `most`; how many runs that is.
    fn next_runs(&mut self, most: usize, runs: &mut [Run]) -> usize {
        let ahead = self.filled.max(self.engine.space.table().segment_bytes());
        let end = self.filled + most.min(ahead).min(self.remaining());
        let Some(room) = self.room.as_mut().filter(|_| !self.failed) else { return 0 };
        if !self.engine.reach(room, end, &mut self.permit) {
            self.failed = true;
            return 0;
        }
        let Piece { at, mut from } = self.last;
        let mut count = 0;
        for (piece, len) in Pieces::new(self.engine.space.table(), at, end - from) {
            let skip = (self.filled - from.min(self.filled)).min(len);
            if skip < len {
                let Some(run) = runs.get_mut(count) else { break };
                *run = Run { at: piece + skip, len: len - skip };
                if count == 0 {
                    self.last = Piece { at: piece, from };
                }
                count += 1;
            }
            from += len;
        }
        count
    }

    /// Makes the value visible if `how` allows it.
    ///
    /// # Errors
    /// [`StoreError`], if memory ran out on the way, or if the limit was lowered so much that the
    /// item is too large now.
    ///
    /// # Panics
    /// If bytes are still owed: memory that was never written must not be seen.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache, Store, Stored};
    /// # let cache = Cache::new(8 << 20)?;
    /// let mut place = cache.reserve("k", 5, Attrs::new())?;
    /// place.write(b"value");
    /// assert!(matches!(place.commit(&Store::add())?, Stored::Done { value_len: 5, .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn commit(mut self, how: &Store) -> Result<Stored, StoreError> {
        assert_eq!(self.remaining(), 0, "a reservation is filled before it is committed");
        let engine = Arc::clone(&self.engine);
        if how.depends_on_old() {
            engine.settle(&Key { bytes: &self.key, hash: self.hash, tag: engine.hot.tag() });
        }
        let done = engine.commit(&mut self, how);
        engine.report_removals();
        done
    }

    /// Makes a value of a snapshot visible with this state and version, unless its key has one:
    /// whether it was.
    pub(crate) fn commit_loaded(mut self, state: State, version: u64) -> Result<bool, StoreError> {
        let engine = Arc::clone(&self.engine);
        let done = engine.commit_loaded(&mut self, state, version);
        engine.report_removals();
        done
    }

    /// Makes a value that was brought from elsewhere visible with this state and version, if
    /// `may` says so of its key and the epoch of its place.
    #[cfg(all(feature = "flash", not(loom)))]
    pub(crate) fn commit_brought(
        mut self,
        state: State,
        version: u64,
        may: impl FnOnce(&Probe<'_, '_>, u32) -> bool,
    ) -> Result<(), StoreError> {
        let engine = Arc::clone(&self.engine);
        let done = engine.commit_brought(&mut self, state, version, may);
        engine.report_removals();
        done
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            self.engine.space.free_room(&room);
        }
        if self.group != Group::NONE {
            self.engine.release_group(self.group);
        }
    }
}

impl Engine {
    /// Begins a two-phase write of an item with a group that the caller has a reference to.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        key: &Key<'_>,
        len: usize,
        attrs: Attrs,
        group: Group,
    ) -> Result<Reservation, StoreError> {
        self.check_key(key)?;
        self.check_size(key.bytes.len(), len, &attrs, group)?;
        // The time to live counts from now on, not from when the value is complete.
        let now = Moment::from_secs(self.now());
        let attrs = attrs.expiry(attrs.expiry.moment(now).into());
        let mut header = header_of(key.bytes.len(), len, &attrs, group);
        header.expiry = header.expiry.or(self.settings.never);
        self.reserve_for(key, header, attrs)
    }

    /// The same for an item with this header.
    pub(crate) fn reserve_for(
        self: &Arc<Self>,
        key: &Key<'_>,
        header: Header,
        attrs: Attrs,
    ) -> Result<Reservation, StoreError> {
        let permit = Permit::begin(self).ok_or(StoreError::Crowded)?;
        let (uses, old_size) = self.known_of(key, &header);
        let is_large = header.words() > self.space.table().segment_words();
        let room = loop {
            match self.first_room(uses, old_size, header, key) {
                Ok(room) => break room,
                // A large one takes memory only as it arrives.
                Err(PutError::NeedsRoom) if self.settings.evictions || is_large => {
                    self.make_room_for(1).map_err(|_| self.refuse(&header))?;
                }
                Err(error) => self.recover(error, &header)?,
            }
        };
        Ok(self.reservation(key, attrs, room, permit))
    }

    /// Begins the write of an item of a snapshot, which was used so often. Nothing is evicted for
    /// it.
    pub(crate) fn reserve_loaded(
        self: &Arc<Self>,
        key: &Key<'_>,
        header: Header,
        attrs: Attrs,
        uses: u32,
    ) -> Result<Reservation, StoreError> {
        self.check_key(key)?;
        let header = Header { expiry: header.expiry.or(self.settings.never), ..header };
        if header.words() * 4 > self.item_max() {
            return Err(StoreError::TooLarge);
        }
        let permit = Permit::begin(self).ok_or(StoreError::Crowded)?;
        if !self.has_room(&header) {
            return Err(StoreError::OutOfMemory);
        }
        let (known, _) = self.known_of(key, &header);
        let uses = uses.max(known);
        let room = self.first_room(uses, 0, header, key).map_err(|_| StoreError::OutOfMemory)?;
        Ok(self.reservation(key, attrs, room, permit))
    }

    /// Whether an item fits without anything being evicted for it, now or a little later.
    fn has_room(&self, header: &Header) -> bool {
        let segments = header.words() / self.space.table().segment_words();
        match segments {
            0 => !self.is_short(),
            _ => self.space.pool.has(segments + 2, RESERVE + self.kept_free()),
        }
    }

    // Made where it is wanted: it is large.
    #[inline(always)]
    fn reservation(
        self: &Arc<Self>,
        key: &Key<'_>,
        attrs: Attrs,
        room: Room,
        permit: Permit,
    ) -> Reservation {
        let group = room.slot().header.group;
        self.tags.hold(group);
        Reservation {
            engine: Arc::clone(self),
            key: key.bytes.into(),
            hash: key.hash,
            attrs,
            group,
            last: Piece { at: self.space.value_in(&room), from: 0 },
            room: Some(room),
            filled: 0,
            permit,
            failed: false,
        }
    }

    /// How often an item under this key was used, as far as that is known, and the bytes that it
    /// takes.
    fn known_of(&self, key: &Key<'_>, header: &Header) -> (u32, usize) {
        let position = self.position(key);
        let mut lock = self.index.lock(position);
        if let Some(old) = self.find(key, &lock) {
            return (old.item.state.uses(), old.item.size());
        }
        let Some(uses) = self.index.take_ghost(position, &mut lock) else { return (0, 0) };
        self.count_returned(header.class(), uses);
        (uses + 1, 0)
    }

    /// Memory for a whole item, or for the beginning of one that is larger than a segment.
    fn first_room(
        &self,
        uses: u32,
        old_size: usize,
        header: Header,
        key: &Key<'_>,
    ) -> Result<Room, PutError> {
        let now = self.now();
        let state = State::default().with_access(now).with_uses(uses);
        let head = Head::new(header, key.bytes, state);
        let claim = self.claim(&head, now);
        self.space.first_room_for(&claim, &head).or_else(|NeedsRoom| {
            let (claim, error) = self.last_claim(&claim, &head, old_size)?;
            self.space.first_room_for(&claim, &head).map_err(|NeedsRoom| error)
        })
    }

    /// Makes sure that the first `filled` bytes of the value have memory.
    fn reach(&self, room: &mut Room, filled: usize, permit: &mut Permit) -> bool {
        let value_len = room.slot().header.value_len;
        let Room::Chain(chain) = room else { return true };
        // Padding and a started word: the last segment is needed when the last byte is.
        while chain.missing() > (value_len - filled) / 4 {
            if !permit.add_segment() {
                return false;
            }
            while self.space.extend_chain(chain, &self.hot.opening(self.hot.clock_now())).is_err() {
                if self.make_room_for(1).is_err() {
                    return false;
                }
            }
        }
        true
    }

    /// Writes bytes of a value from byte `start` of it on, looking for their place from the piece
    /// `last` on. Returns the last piece written.
    fn write_from(&self, mut last: Piece, start: usize, bytes: &[u8]) -> Piece {
        // Pairs with the acquire fence of `Engine::is_current`: the memory may have been opened by
        // another thread, and whoever sees a byte written here must see its new stamp as well.
        fence(Ordering::Release);
        let end = start + bytes.len();
        let Piece { at, mut from } = last;
        for (piece, len) in Pieces::new(self.space.table(), at, end - from) {
            let skip = start.saturating_sub(from).min(len);
            if skip < len {
                let done = from + skip - start;
                self.space.memory().write(piece + skip, &bytes[done..done + len - skip]);
                last = Piece { at: piece, from };
            }
            from += len;
        }
        last
    }

    fn commit(&self, reservation: &mut Reservation, how: &Store) -> Result<Stored, StoreError> {
        let key = Key { bytes: &reservation.key, hash: reservation.hash, tag: self.hot.tag() };
        let attrs = &reservation.attrs;
        let how = &Store { group: reservation.group, ..*how };
        let Some(room) = &reservation.room else {
            debug_assert!(false, "a reservation is committed once");
            return Err(StoreError::Internal);
        };
        let slot = *room.slot();
        if reservation.failed {
            return Err(self.refuse(&slot.header));
        }
        // Under a smaller limit than that of the announcement it may not fit any more.
        self.check_size(key.bytes.len(), slot.header.value_len, attrs, slot.header.group)?;
        let value = Part::Stored { at: self.space.value_in(room), len: slot.header.value_len };
        loop {
            let mut at = self.probe(&key);
            let effect = match plan(at.item(), how) {
                Plan::Stop(answer) => return Ok(answer),
                Plan::Write(effect) => effect,
            };
            let new = self.new_item(&at, attrs, how, effect, value);
            let len = new.header.value_len;
            if effect.joins {
                self.check_size(key.bytes.len(), len, attrs, new.header.group)?;
            }
            if self.fits_as_it_is(room, &new, effect) {
                // What was known when the memory was reserved is known still.
                let reserved = State(self.space.state_word(slot.loc).load(Ordering::Relaxed));
                let uses = new.state.uses().max(reserved.uses());
                self.space.set_state(slot.loc, new.state.with_uses(uses));
                let published = self.publish(&mut at, room, new.version);
                drop(at);
                // Published, or freed because it could not be: either way it is not ours any more.
                reservation.room = None;
                return match published {
                    Ok(_) => {
                        self.assist();
                        Ok(Stored::Done { version: new.version, value_len: len })
                    }
                    Err(PutError::Full) => Err(self.refuse(&slot.header)),
                    Err(error) => {
                        debug_assert!(false, "a complete item is not published: {error:?}");
                        Err(StoreError::Internal)
                    }
                };
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

    fn commit_loaded(
        &self,
        reservation: &mut Reservation,
        state: State,
        version: u64,
    ) -> Result<bool, StoreError> {
        let key = Key { bytes: &reservation.key, hash: reservation.hash, tag: self.hot.tag() };
        let Some(room) = reservation.room.as_ref().filter(|_| !reservation.failed) else {
            return Err(StoreError::OutOfMemory);
        };
        debug_assert_eq!(reservation.remaining(), 0, "the value is complete");
        let mut at = self.probe(&key);
        if at.item().is_some() || at.was_on_flash {
            return Ok(false);
        }
        self.hot.note_loaded();
        let loc = room.slot().loc;
        let reserved = State(self.space.state_word(loc).load(Ordering::Relaxed));
        self.space.set_state(loc, state.with_uses(reserved.uses()));
        let published = self.publish(&mut at, room, version);
        drop(at);
        // Published, or freed because it could not be.
        reservation.room = None;
        published.map(|_| true).map_err(|_| StoreError::OutOfMemory)
    }

    #[cfg(all(feature = "flash", not(loom)))]
    fn commit_brought(
        &self,
        reservation: &mut Reservation,
        state: State,
        version: u64,
        may: impl FnOnce(&Probe<'_, '_>, u32) -> bool,
    ) -> Result<(), StoreError> {
        let key = Key { bytes: &reservation.key, hash: reservation.hash, tag: self.hot.tag() };
        let Some(room) = reservation.room.as_ref().filter(|_| !reservation.failed) else {
            return Err(StoreError::OutOfMemory);
        };
        debug_assert_eq!(reservation.remaining(), 0, "the value is complete");
        let mut at = self.probe_unchanged(&key);
        let loc = room.slot().loc;
        if !may(&at, self.space.stamp_at(loc).epoch()) {
            return Ok(());
        }
        let reserved = State(self.space.state_word(loc).load(Ordering::Relaxed));
        self.space.set_state(loc, state.with_uses(reserved.uses()));
        let published = self.publish(&mut at, room, version);
        drop(at);
        // Published, or freed because it could not be.
        reservation.room = None;
        published.map(|_| ()).map_err(|_| StoreError::OutOfMemory)
    }

    /// Whether the memory that was reserved can become the item without another copy.
    fn fits_as_it_is(&self, room: &Room, new: &NewItem<'_>, effect: Effect) -> bool {
        let slot = room.slot();
        new.header == slot.header
            && !effect.joins
            && self.space.first_of(slot.first(), new.version, slot.loc).is_some()
            && self.space.stamp_at(slot.loc).epoch() == self.hot.epoch()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Attrs, Cache, Store};

    /// Fills `place` in steps of `step` bytes, of which some are short.
    fn fill(place: &mut crate::Reservation, value: &[u8], step: usize) {
        let mut sent = 0;
        while place.remaining() > 0 {
            let before = place.remaining();
            let filled = place.fill::<()>(step, |pieces| {
                let mut done = 0;
                for piece in pieces {
                    let len = (piece.len() * 3).div_ceil(4);
                    piece[..len].copy_from_slice(&value[sent + done..][..len]);
                    done += len;
                    if len < piece.len() {
                        break;
                    }
                }
                Ok(done)
            });
            sent += filled.unwrap();
            assert_eq!(before - place.remaining(), filled.unwrap());
        }
    }

    #[test]
    fn a_value_is_filled_in_place() {
        for limit in [4 << 20, 64 << 20] {
            let cache = Cache::builder(limit).build().unwrap();
            for len in [0, 1, 1_000, 20_000, 65_536, 500_000] {
                for step in [1_000, 65_536, usize::MAX] {
                    let value: Vec<u8> = (0..len).map(|i: u32| (i * 7 / 3) as u8).collect();
                    let mut place = cache.reserve("k", value.len(), Attrs::new()).unwrap();
                    let begun = place.write(&value[..value.len() / 3]);
                    fill(&mut place, &value[begun..], step);
                    place.commit(&Store::new()).unwrap();
                    assert_eq!(cache.get("k"), Some(value));
                }
            }
        }
    }

    #[test]
    fn memory_is_taken_little_ahead_of_what_arrives() {
        let cache = Cache::new(64 << 20).unwrap();
        let mut place = cache.reserve("k", 1_000_000, Attrs::new()).unwrap();
        let segment = place.engine.space.table().segment_bytes();
        let mut lent = 0;
        let seen = |pieces: &mut [&mut [u8]]| {
            lent = pieces.iter().map(|piece| piece.len()).sum();
            Err(())
        };
        assert_eq!(place.fill(usize::MAX, seen), Err(()));
        assert_eq!(lent, segment);
        assert_eq!(place.remaining(), 1_000_000);
    }

    #[test]
    fn no_piece_is_lent_once_memory_ran_out() {
        let cache = Cache::builder(4 << 20).build().unwrap();
        let mut first = cache.reserve("a", 1_000_000, Attrs::new()).unwrap();
        let mut second = cache.reserve("b", 1_000_000, Attrs::new()).unwrap();
        let mut third = cache.reserve("c", 1_000_000, Attrs::new()).unwrap();
        let bytes = vec![b'x'; 1_000_000];
        for place in [&mut first, &mut second, &mut third] {
            place.write(&bytes[..800_000]);
        }
        let lent = third.fill::<()>(usize::MAX, |pieces| Ok(pieces.len()));
        assert_eq!(lent, Ok(0));
        assert_eq!(third.write(&bytes), 1_000_000 - 800_000);
        assert!(third.commit(&Store::new()).is_err());
    }

    #[test]
    fn a_small_write_goes_to_its_piece_at_once() {
        let cache = Cache::new(8 << 20).unwrap();
        let value: Vec<u8> = (0..500_000_u32).map(|i| (i / 7) as u8).collect();
        let mut place = cache.reserve("k", value.len(), Attrs::new()).unwrap();
        let segment = place.engine.space.table().segment_bytes();
        for part in value.chunks(100) {
            assert_eq!(place.write(part), part.len());
            let before = place.last.from;
            assert!(place.filled - before <= segment, "{before} of {}", place.filled);
        }
        assert!(place.last.from > 8 * segment, "the value lies in one piece");
        place.commit(&Store::new()).unwrap();
        assert_eq!(cache.get("k"), Some(value));
    }
}
