//! The index: from a key's hash to the addresses of items, 8 bytes a slot. It must never know an
//! item's bytes.
//!
//! The hash chooses a shard and a position within it. A shard is a run of groups; a group is seven
//! lines of eight slots for items and one line that remembers keys evicted lately:
//!
//! ```text
//!   hash   [ shard | position, 32 bits | ...]        group = position * groups / 2^32
//!   group  [ line 0 ][ line 1 ] ... [ line 6 ][ ghosts ]
//!   slot   [ tag: lower 28 bits of the position | address, 34 bits | mark, 2 ]   see `words`
//! ```
//!
//! A key has a home line, and a path from there over the other lines of its group: it lies in the
//! first line of its path that had a free slot. The few keys that find their whole group full wait
//! in the shard's stash, behind its lock. The marks of a line are small filters of the keys that
//! went past it, so that nearly every lookup reads one line. Group and tag together give the
//! position back: growing needs no look at items.
//!
//! Writers hold the shard's lock. Readers hold nothing: a match is certified by the caller, and a
//! miss by the shard's sequence, which changes only while slots move.

mod candidates;
mod ghosts;
mod keep;
mod marks;
mod resize;
mod rows;
mod sample;
mod stash;
mod words;

use std::ops::ControlFlow;

use self::candidates::{Candidates, Slots};
use self::marks::{MARK, has_stash_marks, is_marked, stash_mark, stray_mark};
pub(crate) use self::resize::Growth;
pub(crate) use self::words::LOC_MAX;
use self::words::Words;
use crate::memory::line::{LINE, upper_parts};
use crate::memory::region::{OS_PAGE, Region, Source};
use crate::memory::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, fence, spin_loop};
use crate::space::segments::Loc;

/// Lines of a group that hold slots. A model takes the longer the more words there are to move.
const LINES: usize = if cfg!(loom) { 3 } else { 7 };
/// Words of a group: its slots and a line of ghosts.
const GROUP: usize = LINE * LINES + LINE;
/// Bytes of a group.
pub(crate) const GROUP_BYTES: usize = GROUP * size_of::<u64>();
/// Slots of a group.
#[cfg(all(test, not(loom)))]
pub(crate) const GROUP_SLOTS: usize = LINES * LINE;
/// Groups of a block: whole pages, and what the smallest shard has.
const BLOCK: usize = 16;
/// Pages of a block.
const BLOCK_PAGES: usize = BLOCK * GROUP * size_of::<u64>() / OS_PAGE;

/// Where a slot is in the region of all slots. From [`STASH`] on it is a place in the stash.
type SlotIndex = usize;
/// The first slot of a line.
type LineIndex = SlotIndex;

/// Slot numbers from here on stand for places in the stash.
const STASH: SlotIndex = usize::MAX / 2;

/// The index.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Box<[Shard]>,
    slots: Region<AtomicU64>,
    words: Words,
    /// Groups for which a shard has address space.
    groups_max: u32,
    /// Words between a shard's blocks.
    stride: usize,
    rows: rows::Rows,
}

/// A shard: what readers look at, and apart from it what writers change.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    shared: Line<Mapping>,
    state: Mutex<ShardState>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Line<T>(T);

/// How positions are mapped to groups. While a shard is resized, some groups are mapped by their
/// old count already and some still by the new one.
#[derive(Debug)]
struct Mapping {
    /// Odd while slots move.
    sequence: AtomicU32,
    old: AtomicU32,
    new: AtomicU32,
    /// Old groups that have been moved: from the top when growing, from the bottom when shrinking.
    moved: AtomicU32,
}

/// What a shard's lock guards.
#[derive(Debug, Default)]
pub(crate) struct ShardState {
    items: u32,
    /// Of these, those below this position; see `sample`.
    sampled: u32,
    bound: u32,
    /// Items whose groups are full.
    stash: stash::Stash,
}

/// A locked shard.
pub(crate) type Guard<'i> = MutexGuard<'i, ShardState>;

/// Where a key belongs, whatever the number of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) shard: u32,
    pub(crate) at: u32,
}

/// A slot's number, and what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotRef {
    at: SlotIndex,
    word: u64,
    /// Where the word leads; 0 if nowhere.
    loc: Loc,
}

impl SlotRef {
    /// The address of the item that the slot leads to.
    #[inline(always)]
    pub(crate) fn loc(self) -> Loc {
        self.loc
    }
}

/// A key's group and its home line there, as numbers of their first slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Home {
    group: SlotIndex,
    line: LineIndex,
}

/// A search that has begun: where its key is, as long as the shard's sequence is the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Approach {
    pub(crate) position: Position,
    sequence: u32,
    home: Home,
}

/// Where keys may be that are not in a line of their path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elsewhere {
    /// Further along.
    strays: bool,
    /// In the stash.
    stashed: bool,
}

impl Elsewhere {
    /// Whether they are nowhere.
    #[inline(always)]
    pub(crate) fn is_nowhere(self) -> bool {
        !self.strays && !self.stashed
    }
}

/// A group and the count under which it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    number: u32,
    count: u32,
}

impl Index {
    /// An index of `shards` shards (a power of two) with address space for `slots` slots in all,
    /// which lead to addresses below `end`.
    pub(crate) fn new(
        shards: usize,
        slots: usize,
        end: Loc,
        huge_pages: bool,
        source: &mut Source,
    ) -> std::io::Result<Self> {
        let groups = slots.div_ceil(shards * LINE * LINES);
        let words = Words::new(end);
        let least = words.groups_min();
        let blocks = groups.max(least as usize).div_ceil(BLOCK);
        let stride = shards * BLOCK * GROUP;
        let shard = || Shard {
            shared: Line(Mapping {
                sequence: AtomicU32::new(0),
                old: AtomicU32::new(least),
                new: AtomicU32::new(least),
                moved: AtomicU32::new(0),
            }),
            state: Mutex::new(ShardState::default()),
        };
        let slots = Region::reserve(blocks * stride, source)?;
        slots.advise_huge(huge_pages);
        Ok(Self {
            shards: std::iter::repeat_with(shard).take(shards).collect(),
            slots,
            words,
            groups_max: (blocks * BLOCK) as u32,
            stride,
            rows: rows::Rows::new(shards, blocks, least, huge_pages),
        })
    }

    /// Bytes that an empty index of `shards` shards takes, whose slots lead to addresses below
    /// `end`.
    pub(crate) fn bytes_min(shards: usize, end: Loc, huge_pages: bool) -> usize {
        let least = Words::new(end).groups_min();
        rows::Rows::bytes_min(shards, least, huge_pages) + shards * size_of::<Shard>()
    }

    /// Number of shards.
    pub(crate) fn shards(&self) -> u32 {
        self.shards.len() as u32
    }

    /// Where a key with this hash belongs.
    #[inline(always)]
    pub(crate) fn position(&self, hash: u64) -> Position {
        // From the upper half, since the lower one is the position: the two must be independent.
        let shard = (hash >> 32).wrapping_mul(self.shards.len() as u64) >> 32;
        Position { shard: shard as u32, at: hash as u32 }
    }

    /// Prefetches a key's home line.
    #[inline(always)]
    pub(crate) fn prefetch(&self, position: Position) {
        self.slots.prefetch(self.home(position).line);
    }

    /// Begins a search without a lock: prefetches the line where it will look first.
    #[inline(always)]
    pub(crate) fn approach(&self, position: Position) -> Approach {
        let mapping = self.mapping(position);
        // Pairs with the release store at the end of `Mapping::change`: an even number means that
        // the moves up to it are visible. It is read before the mapping is.
        let sequence = mapping.sequence.load(Ordering::Acquire);
        let home = self.home_in(position.shard, mapping.group(position.at), position.at);
        self.slots.prefetch(home.line);
        Approach { position, sequence, home }
    }

    /// Prefetches what a writer will look at: the home line, and the ghosts of its group.
    #[inline(always)]
    pub(crate) fn prefetch_for_write(&self, position: Position) {
        let home = self.home(position);
        self.slots.prefetch(home.line);
        self.slots.prefetch(home.group + LINE * LINES);
    }

    /// Looks for a slot of this key. `check` is asked about each slot that may be the one, and ends
    /// the search or not; it may also say that what it saw has changed, and then the search begins
    /// again.
    ///
    /// # Errors
    /// The search needs the lock: the key may be in the stash, or the shard changes all the time.
    pub(crate) fn search<T>(
        &self,
        position: Position,
        mut check: impl FnMut(SlotRef) -> ControlFlow<T, Certainty>,
    ) -> Result<Option<T>, NeedsLock> {
        const ATTEMPTS: u32 = 32;
        for attempt in 0..ATTEMPTS {
            let approach = self.approach(position);
            if approach.is_steady() {
                match self.search_group(approach.home, position, &mut check) {
                    ControlFlow::Break(found) => return Ok(Some(found)),
                    ControlFlow::Continue(Certainty::Stable) => {
                        if self.is_unmoved(&approach) {
                            return Ok(None);
                        }
                    }
                    ControlFlow::Continue(Certainty::Changed) => {}
                    ControlFlow::Continue(Certainty::Stashed) => return Err(NeedsLock),
                }
            }
            // Moves are short: at first it pays to try again at once.
            if attempt > 4 {
                spin_loop();
            }
        }
        Err(NeedsLock)
    }

    /// The slots of the home line that may be this key's, where nearly every search ends; `None` if
    /// slots are moving. If it is none of them, [`Self::is_absent`] says what that means.
    #[inline(always)]
    pub(crate) fn home_slots(&self, approach: &Approach) -> Option<HomeSlots<'_>> {
        if !approach.is_steady() {
            return None;
        }
        let &Approach { position, home, .. } = approach;
        let cells = self.line(home.line);
        let elsewhere = elsewhere(cells, position);
        let slots = Candidates::new(cells, home.line, position, self.words);
        Some(HomeSlots { slots, elsewhere })
    }

    /// The slots of the home line that may be this key's, and where else it may be, in the locked
    /// shard.
    #[inline(always)]
    pub(crate) fn home_locked(&self, position: Position) -> (Candidates<'_>, Elsewhere) {
        let home = self.home(position);
        let cells = self.line(home.line);
        let slots = Candidates::new(cells, home.line, position, self.words);
        (slots, elsewhere(cells, position))
    }

    /// Whether the key is nowhere, if it is in none of the slots of its home line. Otherwise it is
    /// for [`Self::search`] to say.
    #[inline(always)]
    pub(crate) fn is_absent(&self, approach: &Approach, home: &HomeSlots<'_>) -> bool {
        home.elsewhere.is_nowhere() && self.is_unmoved(approach)
    }

    /// Whether no slot has moved since the search began.
    #[inline(always)]
    fn is_unmoved(&self, approach: &Approach) -> bool {
        // Pairs with the release fence at the beginning of `Mapping::change`: who saw a slot that
        // was moved sees the sequence changed.
        fence(Ordering::Acquire);
        let sequence = &self.mapping(approach.position).sequence;
        sequence.load(Ordering::Relaxed) == approach.sequence
    }

    #[inline(always)]
    fn search_group<T>(
        &self,
        home: Home,
        position: Position,
        check: &mut impl FnMut(SlotRef) -> ControlFlow<T, Certainty>,
    ) -> ControlFlow<T, Certainty> {
        let Elsewhere { mut strays, stashed } = elsewhere(self.line(home.line), position);
        if let Certainty::Changed = self.search_line(home.line, position, check)? {
            return ControlFlow::Continue(Certainty::Changed);
        }
        // Only a few keys are strays; without marks the whole group would be read for each miss.
        for line in home.path().skip(1) {
            if !strays {
                break;
            }
            Elsewhere { strays, .. } = elsewhere(self.line(line), position);
            if let Certainty::Changed = self.search_line(line, position, check)? {
                return ControlFlow::Continue(Certainty::Changed);
            }
        }
        ControlFlow::Continue(if stashed { Certainty::Stashed } else { Certainty::Stable })
    }

    #[inline(always)]
    fn search_line<T>(
        &self,
        line: usize,
        position: Position,
        check: &mut impl FnMut(SlotRef) -> ControlFlow<T, Certainty>,
    ) -> ControlFlow<T, Certainty> {
        for slot in Candidates::new(self.line(line), line, position, self.words) {
            if check(slot)? == Certainty::Changed {
                return ControlFlow::Continue(Certainty::Changed);
            }
        }
        ControlFlow::Continue(Certainty::Stable)
    }

    /// An address to which the key may well lead, for prefetching.
    #[inline(always)]
    pub(crate) fn guess(&self, position: Position) -> Option<Loc> {
        let line = self.home(position).line;
        let mut slots = Candidates::new(self.line(line), line, position, self.words);
        slots.next().map(SlotRef::loc)
    }

    /// Looks for a slot of this key in the locked shard, where nothing changes.
    #[inline(always)]
    pub(crate) fn search_locked(
        &self,
        position: Position,
        lock: &Guard<'_>,
        mut is_it: impl FnMut(SlotRef) -> bool,
    ) -> Option<SlotRef> {
        let mut check = |slot| match is_it(slot) {
            true => ControlFlow::Break(slot),
            false => ControlFlow::Continue(Certainty::Stable),
        };
        match self.search_group(self.home(position), position, &mut check) {
            ControlFlow::Break(slot) => Some(slot),
            // Several keys may share a position, so each place is checked.
            ControlFlow::Continue(Certainty::Stashed) => {
                lock.stashed(position, self.words).find(|&s| is_it(s))
            }
            ControlFlow::Continue(_) => None,
        }
    }

    /// Whether the slot still holds what it held. A stash entry is stable only while the shard's
    /// lock is held under which it was found, so without it the answer is no.
    #[inline(always)]
    pub(crate) fn is_unchanged(&self, slot: SlotRef) -> bool {
        if slot.at >= STASH {
            return false;
        }
        // Pairs with the release stores of `fill`, `redirect` and `remove`: who sees the slot as it
        // was before the stamp was read knows that the item was published under that stamp.
        let word = self.slots.at(slot.at).load(Ordering::Acquire);
        word & !MARK == slot.word & !MARK
    }

    /// Locks the key's shard.
    #[inline]
    pub(crate) fn lock(&self, position: Position) -> Guard<'_> {
        self.shards[position.shard as usize].state.lock()
    }

    /// Locks the key's shard unless another thread has.
    #[inline]
    pub(crate) fn try_lock(&self, position: Position) -> Option<Guard<'_>> {
        self.shards[position.shard as usize].state.try_lock()
    }

    /// The key's slot that leads to `loc`. The shard is locked.
    #[inline]
    pub(crate) fn find_loc(
        &self,
        position: Position,
        loc: Loc,
        lock: &Guard<'_>,
    ) -> Option<SlotRef> {
        self.search_locked(position, lock, |slot| slot.loc() == loc)
    }

    /// The same slot after it was led to another address.
    pub(crate) fn led_to(&self, slot: SlotRef, loc: Loc) -> SlotRef {
        SlotRef { word: self.words.leading_to(slot.word, loc), loc, ..slot }
    }

    /// Leads the slot to another address. The shard is locked.
    pub(crate) fn redirect(&self, slot: SlotRef, loc: Loc, lock: &mut Guard<'_>) {
        if let Some(place) = slot.at.checked_sub(STASH) {
            return lock.stash.redirect(place, loc);
        }
        let cell = self.slots.at(slot.at);
        let word = cell.load(Ordering::Relaxed);
        // Pairs with the acquire loads of `search_line` and `is_unchanged`.
        cell.store(self.words.leading_to(word, loc), Ordering::Release);
    }

    /// Enters a key. The shard is locked.
    ///
    /// # Errors
    /// Group and stash are full: an item of the group has to be removed first.
    pub(crate) fn insert(
        &self,
        position: Position,
        loc: Loc,
        lock: &mut Guard<'_>,
    ) -> Result<(), GroupFull> {
        debug_assert!(loc != 0 && loc < LOC_MAX, "no item is at {loc}");
        let home = self.home(position);
        if !self.place(home, position.at, loc) {
            self.stash(home, position, loc, lock)?;
        }
        lock.count_in(position.at);
        Ok(())
    }

    fn stash(
        &self,
        home: Home,
        position: Position,
        loc: Loc,
        lock: &mut Guard<'_>,
    ) -> Result<(), GroupFull> {
        let groups = self.mapping(position).new.load(Ordering::Relaxed) as usize;
        lock.stash.insert(position.at, loc, stash_of_groups(groups))?;
        self.mark_stashed(home.line, position.at);
        Ok(())
    }

    /// Puts a key into the first line of its path with a free slot; false if the group is full.
    fn place(&self, home: Home, at: u32, loc: Loc) -> bool {
        let word = self.words.word_of(at, loc);
        if let Some(cell) = self.free_cell(home.line) {
            fill(cell, word);
            return true;
        }
        let with_room = |line| self.free_cell(line).map(|cell| (line, cell));
        let Some((line, cell)) = home.path().find_map(with_room) else { return false };
        // Readers that don't see these yet come before the insertion.
        for passed in home.path().take_while(|&passed| passed != line) {
            self.mark_stray(passed, at);
        }
        fill(cell, word);
        true
    }

    /// Whether a key would find a place in its group.
    fn has_free_slot(&self, home: Home) -> bool {
        home.path().any(|line| self.free_cell(line).is_some())
    }

    fn free_cell(&self, line: usize) -> Option<&AtomicU64> {
        let cells = self.line(line);
        // The few others look like free ones that far.
        let mut slots = Slots(upper_parts(cells, 0, 0));
        std::iter::from_fn(|| slots.take_first())
            .map(|slot| &cells[slot])
            .find(|cell| cell.load(Ordering::Relaxed) & !MARK == 0)
    }

    /// The slots of a line.
    #[inline(always)]
    fn line(&self, line: LineIndex) -> &[AtomicU64; LINE] {
        self.slots.array(line)
    }

    /// Removes a slot of this key. The shard is locked.
    pub(crate) fn remove(&self, position: Position, slot: SlotRef, lock: &mut Guard<'_>) {
        lock.count_out(position.at);
        if let Some(place) = slot.at.checked_sub(STASH) {
            lock.stash.remove(place);
            return self.unmark_stashed(position, lock);
        }
        let cell = self.slots.at(slot.at);
        debug_assert_eq!(
            cell.load(Ordering::Relaxed) & !MARK,
            slot.word & !MARK,
            "a slot changed in its locked shard"
        );
        // Pairs with the acquire load of `is_unchanged`.
        // The mark stays: it is the line's, not the key's.
        cell.store(cell.load(Ordering::Relaxed) & MARK, Ordering::Release);
        let group = self.mapping(position).group(position.at);
        let home = self.home_in(position.shard, group, position.at);
        let line = home.line_of(slot.at);
        if line != home.line {
            self.unmark_stray(home, group, position.at, line);
        }
        if has_stash_marks(self.line(line)) {
            self.unstash(position.shard, group, slot.at, line, lock);
        }
    }

    /// Gives a slot that has become free to a key of its line that is in the stash. Left to
    /// themselves keys would stay there while new ones fill the group, and the stash would grow.
    fn unstash(
        &self,
        shard: u32,
        group: Group,
        slot: SlotIndex,
        line: LineIndex,
        lock: &mut Guard<'_>,
    ) {
        let is_of_line = |at| self.home(Position { shard, at }).line == line;
        let Some((at, loc)) = lock.stash.take_first(group, is_of_line) else { return };
        fill(self.slots.at(slot), self.words.word_of(at, loc));
        // Who still sees the mark waits for the lock, who does not sees the slot.
        self.unmark_stashed(Position { shard, at }, lock);
    }

    /// Items that a full group could give up for this key: those of the home line.
    pub(crate) fn neighbours(&self, position: Position, _lock: &Guard<'_>) -> [SlotRef; LINE] {
        let line = self.home(position).line;
        std::array::from_fn(|i| {
            let word = self.slots.at(line + i).load(Ordering::Relaxed);
            SlotRef { at: line + i, word, loc: self.words.loc_of(word) }
        })
    }

    /// The position of an item in the same group as `position`.
    pub(crate) fn position_of(&self, slot: SlotRef, position: Position) -> Position {
        let group = self.mapping(position).group(position.at);
        Position { shard: position.shard, at: self.at_of(group, slot.word) }
    }

    /// Visits the items of the group that `position` belongs to, from there on, and returns the
    /// first position behind the group; `None` at the end of the shard. The shard is locked.
    pub(crate) fn visit_group(
        &self,
        position: Position,
        lock: &Guard<'_>,
        mut visit: impl FnMut(Position, Loc),
    ) -> Option<u32> {
        let group = self.mapping(position).group(position.at);
        let start = self.start(position.shard, group.number);
        for slot in start..start + LINE * LINES {
            let word = self.slots.at(slot).load(Ordering::Relaxed);
            if word & !MARK != 0 {
                let at = self.at_of(group, word);
                // A resized group may begin before `position`; that part was visited.
                if at >= position.at {
                    visit(Position { shard: position.shard, at }, self.words.loc_of(word));
                }
            }
        }
        // The slots are in no order, but the stash is, by position.
        let end = self.mapping(position).visited(group);
        for &(at, loc) in lock.stash.between(position.at, end) {
            visit(Position { shard: position.shard, at }, loc);
        }
        end
    }

    /// Bytes that the index takes, and how many slots it has.
    pub(crate) fn size(&self) -> (usize, usize) {
        let groups = (0..self.shards()).map(|shard| self.groups_in_use(shard));
        let slots = groups.clone().map(|groups| groups as usize * LINE * LINES).sum();
        (self.rows.bytes(groups), slots)
    }

    /// Bytes that the index takes whatever its size.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn fixed_bytes(&self) -> usize {
        size_of_val::<[Shard]>(&self.shards)
    }

    /// Checks the number of items that a shard knows of.
    ///
    /// # Panics
    /// If it is another one.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn validate_count(&self, shard: u32, items: u32) {
        let known = self.shards[shard as usize].state.lock().items;
        assert_eq!(known, items, "items of shard {shard}");
    }

    /// The position, within the shard, of the key that a word in a slot of the group belongs to.
    fn at_of(&self, group: Group, word: u64) -> u32 {
        group.position(self.words.tag_of(word), self.words.tag_mask())
    }

    #[inline(always)]
    fn mapping(&self, position: Position) -> &Mapping {
        &self.shards[position.shard as usize].shared.0
    }

    /// The first slot of a group.
    #[inline(always)]
    fn start(&self, shard: u32, group: u32) -> usize {
        // Blocks of all shards alternate; `rows` says why.
        let (block, group) = (group as usize / BLOCK, group as usize % BLOCK);
        block * self.stride + (shard as usize * BLOCK + group) * GROUP
    }

    /// Where a key's slots are now.
    #[inline(always)]
    fn home(&self, position: Position) -> Home {
        self.home_in(position.shard, self.mapping(position).group(position.at), position.at)
    }

    #[inline(always)]
    fn home_in(&self, shard: u32, group: Group, at: u32) -> Home {
        let start = self.start(shard, group.number);
        Home { group: start, line: start + group.line(at) }
    }
}

/// Slots of a key's home line that may be the key's, and where else it may be.
#[derive(Debug)]
pub(crate) struct HomeSlots<'i> {
    pub(crate) slots: Candidates<'i>,
    elsewhere: Elsewhere,
}

impl Approach {
    /// Whether no slot was moving when the search began.
    #[inline(always)]
    fn is_steady(&self) -> bool {
        self.sequence % 2 == 0
    }
}

impl Home {
    /// The lines where the key may be, from its home line on.
    #[inline(always)]
    fn path(self) -> impl Iterator<Item = LineIndex> {
        let line = self.line_number(self.line);
        // Each line once, and in another order for each home line, so that strays spread.
        let others = (0..=LINES).map(move |step| line ^ step).filter(|&line| line < LINES);
        others.map(move |line| self.group + line * LINE)
    }

    /// The line that a slot of the group is in.
    fn line_of(self, slot: SlotIndex) -> LineIndex {
        self.group + self.line_number(slot) * LINE
    }

    fn line_number(self, slot: SlotIndex) -> usize {
        (slot - self.group) / LINE
    }

    /// Whether the path goes past a line before it comes to the slot.
    fn passes(self, line: LineIndex, slot: SlotIndex) -> bool {
        // The order of `path`.
        let step = |at| self.line_number(self.line) ^ self.line_number(at);
        step(line) < step(slot)
    }
}

/// A search that can't be completed without the shard's lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NeedsLock;

/// A group without a free slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupFull;

/// What the caller of a search found out about a slot that is not the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// It belongs to another key.
    Stable,
    /// It changed while it was looked at.
    Changed,
    /// It is none of the slots, but the key may be in the stash.
    Stashed,
}

impl ShardState {
    /// Counts an item that comes, at this position.
    #[inline(always)]
    fn count_in(&mut self, at: u32) {
        self.items += 1;
        self.sampled += u32::from(at < self.bound);
    }

    /// Counts one that goes.
    #[inline(always)]
    fn count_out(&mut self, at: u32) {
        debug_assert!(self.items > 0, "more items are removed than there are");
        self.items -= 1;
        self.sampled -= u32::from(at < self.bound);
    }

    /// The places in the stash that hold this very position.
    fn stashed(&self, position: Position, words: Words) -> impl Iterator<Item = SlotRef> {
        let places = self.stash.of(position.at);
        places.map(move |(place, loc)| SlotRef {
            at: STASH + place,
            word: words.word_of(position.at, loc),
            loc,
        })
    }
}

impl Mapping {
    /// The first position behind what was visited with a group. Of a new group that overlaps an old
    /// one that has not been moved yet, the rest is still there.
    fn visited(&self, group: Group) -> Option<u32> {
        let old = self.old.load(Ordering::Relaxed);
        let new = self.new.load(Ordering::Relaxed);
        let moved = self.moved.load(Ordering::Relaxed);
        if new >= old || group.count == old || moved == 0 {
            return group.end();
        }
        let boundary = Group { number: moved - 1, count: old }.end();
        match (group.end(), boundary) {
            (Some(end), Some(boundary)) => Some(end.min(boundary)),
            (end, boundary) => end.or(boundary),
        }
    }

    /// The group of a position. Readers load the three words one after the other, while the shard
    /// may be resized: what comes out may be wrong then, which the sequence shows afterwards, but
    /// it is a group that there is memory for. So nothing here may depend on the words being of
    /// one moment, and the difference wraps.
    #[inline(always)]
    fn group(&self, position: u32) -> Group {
        let old = self.old.load(Ordering::Relaxed);
        let new = self.new.load(Ordering::Relaxed);
        let number = scale(position, old);
        if old == new {
            return Group { number, count: old };
        }
        let moved = self.moved.load(Ordering::Relaxed);
        let is_moved = if new > old { number >= old.wrapping_sub(moved) } else { number < moved };
        match is_moved {
            true => Group { number: scale(position, new), count: new },
            false => Group { number, count: old },
        }
    }
}

impl Group {
    /// A key's home line, in slots from the group's start.
    #[inline(always)]
    fn line(self, position: u32) -> usize {
        // What is left of the product that has chosen the group.
        let fine = position.wrapping_mul(self.count);
        scale(fine, LINES as u32) as usize * LINE
    }

    /// The position of a key of this group, from the bits of it that its tag has.
    fn position(self, tag: u32, mask: u32) -> u32 {
        let first = u64::from(self.first());
        let mask = u64::from(mask);
        // The tag is the lower part of the position, and a group spans at most as many positions as
        // there are tags. So the upper part is that of the group's first position, or one more.
        let same = first & !mask | u64::from(tag);
        (if same < first { same + mask + 1 } else { same }) as u32
    }

    /// The first position of this group.
    fn first(self) -> u32 {
        (u64::from(self.number) << 32).div_ceil(u64::from(self.count)) as u32
    }

    /// The first position behind this group.
    fn end(self) -> Option<u32> {
        let next = Self { number: self.number + 1, ..self };
        (next.number < next.count).then(|| next.first())
    }
}

#[inline(always)]
fn scale(position: u32, groups: u32) -> u32 {
    ((u64::from(position) * u64::from(groups)) >> 32) as u32
}

/// Whether keys may have gone past a line. To be asked before any slot is looked at; `is_marked`
/// says why.
#[inline(always)]
fn elsewhere(line: &[AtomicU64; LINE], position: Position) -> Elsewhere {
    Elsewhere {
        strays: is_marked(&line[stray_mark(position.at)]),
        stashed: is_marked(&line[stash_mark(position.at)]),
    }
}

/// Puts a word into a free slot, whose mark stays.
fn fill(cell: &AtomicU64, word: u64) {
    debug_assert_eq!(cell.load(Ordering::Relaxed) & !MARK, 0, "the slot is free");
    // Pairs with the acquire loads of `search_line` and `is_unchanged`.
    cell.store(word | cell.load(Ordering::Relaxed) & MARK, Ordering::Release);
}

fn pages_of_groups(groups: usize) -> usize {
    (groups * GROUP * size_of::<u64>()).div_ceil(OS_PAGE)
}

fn stash_of_pages(pages: usize) -> usize {
    stash_of_groups(groups_of_pages(pages) as usize)
}

/// Places in the stash of a shard with this number of groups: more than are needed on average when
/// the groups are as full as they get before the shard grows, most of all where there are few.
fn stash_of_groups(groups: usize) -> usize {
    16 + groups
}

fn groups_of_pages(pages: usize) -> u32 {
    (pages * OS_PAGE / (GROUP * size_of::<u64>())) as u32
}

#[cfg(test)]
mod tests;
