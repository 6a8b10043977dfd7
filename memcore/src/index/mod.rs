//! The index: from a key's hash to the addresses of items, 8 bytes a slot. It must never know an
//! item's bytes.
//!
//! The hash chooses a shard and a position within it. A shard is a run of groups; a group is four
//! lines of eight slots for items and one line that remembers keys evicted lately:
//!
//! ```text
//!   hash   [ shard | position, 32 bits | ...]        group = position * groups / 2^32
//!   group  [ line 0 ][ line 1 ][ line 2 ][ line 3 ][ ghosts ]
//!   slot   [ tag: lower 28 bits of the position | address, 35 bits | mark ]
//! ```
//!
//! A key has a home line; only if that is full does it go to another line of its group. The few
//! keys that find their whole group full wait in the shard's stash, behind its lock. The marks of
//! the home line are small filters of the keys that are elsewhere, so that nearly every lookup
//! reads one line. Group and tag together give the position back: growing needs no look at items.
//!
//! Writers hold the shard's lock. Readers hold nothing: a match is certified by the caller, and a
//! miss by the shard's sequence, which changes only while slots move.

mod ghosts;
mod keep;
mod marks;
mod resize;
mod rows;
mod stash;

use std::iter;
use std::ops::ControlFlow;

use self::marks::{MARK, has_stash_marks, is_marked, stash_mark, stray_mark};
use crate::memory::region::{OS_PAGE, Region, Source};
use crate::memory::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, fence, spin_loop};
use crate::space::segments::Loc;

/// Slots of a line.
const LINE: usize = 8;
/// Lines of a group that hold slots.
const LINES: usize = 4;
/// Words of a group: its slots and a line of ghosts.
const GROUP: usize = LINE * LINES + LINE;
/// Bytes of a group.
pub(crate) const GROUP_BYTES: usize = GROUP * size_of::<u64>();
/// Groups of a block, the fewest that are whole pages.
const BLOCK: usize = 64;
/// Pages of a block.
const BLOCK_PAGES: usize = BLOCK * GROUP * size_of::<u64>() / OS_PAGE;
/// Bits of a tag, and the fewest groups of a shard: together they make up a position.
const TAG_BITS: u32 = 28;
const GROUPS_MIN: u32 = 1 << (32 - TAG_BITS);

/// Where a slot is in the region of all slots. From [`STASH`] on it is a place in the stash.
type SlotIndex = usize;
/// The first slot of a line.
type LineIndex = SlotIndex;

/// Slot numbers from here on stand for places in the stash.
const STASH: SlotIndex = usize::MAX / 2;
const LOC_BITS: u32 = 35;
const TAG_SHIFT: u32 = 64 - TAG_BITS;
const TAG_MASK: u32 = (1 << TAG_BITS) - 1;

/// Addresses are below this.
pub(crate) const LOC_MAX: u64 = 1 << LOC_BITS;

/// The index.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Box<[Shard]>,
    slots: Region<AtomicU64>,
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
}

impl SlotRef {
    /// The address of the item that the slot leads to.
    #[inline(always)]
    pub(crate) fn loc(self) -> Loc {
        loc_of(self.word)
    }

    /// Whether it may be a key's of this position. A slot that holds another key now did not hold
    /// that one for a moment at least.
    #[inline(always)]
    pub(crate) fn is_of(self, position: Position) -> bool {
        matches(self.word, position.at)
    }

    /// The same slot after it was led to another address.
    pub(crate) fn with_loc(self, loc: Loc) -> Self {
        Self { word: word_leading_to(self.word, loc), ..self }
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

/// Where keys of a line may be that are not in it.
#[derive(Clone, Copy, Debug)]
struct Elsewhere {
    /// In another line of the group.
    strays: bool,
    /// In the stash.
    stashed: bool,
}

/// A group and the count under which it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    number: u32,
    count: u32,
}

impl Index {
    /// An index of `shards` shards (a power of two) with address space for `slots` slots in all.
    pub(crate) fn new(
        shards: usize,
        slots: usize,
        huge_pages: bool,
        source: &mut Source,
    ) -> std::io::Result<Self> {
        let groups = slots.div_ceil(shards * LINE * LINES);
        let blocks = groups.max(GROUPS_MIN as usize).div_ceil(BLOCK);
        let stride = shards * BLOCK * GROUP;
        let shard = || Shard {
            shared: Line(Mapping {
                sequence: AtomicU32::new(0),
                old: AtomicU32::new(groups_of_pages(pages_min())),
                new: AtomicU32::new(groups_of_pages(pages_min())),
                moved: AtomicU32::new(0),
            }),
            state: Mutex::new(ShardState::default()),
        };
        let slots = Region::reserve(blocks * stride, source)?;
        slots.advise_huge(huge_pages);
        Ok(Self {
            shards: std::iter::repeat_with(shard).take(shards).collect(),
            slots,
            groups_max: (blocks * BLOCK) as u32,
            stride,
            rows: rows::Rows::new(shards, blocks, huge_pages),
        })
    }

    /// Bytes that an empty index of `shards` shards takes.
    pub(crate) fn bytes_min(shards: usize, huge_pages: bool) -> usize {
        rows::Rows::bytes_min(shards, huge_pages) + shards * size_of::<Shard>()
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
        let &Approach { position, home, .. } = approach;
        let cells = self.line(home.line);
        let elsewhere = elsewhere(cells, position);
        let slots = Candidates::new(cells, home.line, position);
        approach.is_steady().then_some(HomeSlots { slots, elsewhere })
    }

    /// Whether the key is nowhere, if it is in none of the slots of its home line. Otherwise it is
    /// for [`Self::search`] to say.
    #[inline(always)]
    pub(crate) fn is_absent(&self, approach: &Approach, home: &HomeSlots<'_>) -> bool {
        let Elsewhere { strays, stashed } = home.elsewhere;
        !strays && !stashed && self.is_unmoved(approach)
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
        let Elsewhere { strays, stashed } = elsewhere(self.line(home.line), position);
        if let Certainty::Changed = self.search_line(home.line, position, check)? {
            return ControlFlow::Continue(Certainty::Changed);
        }
        if strays {
            // Only a few keys are strays; without the mark three more lines would be read for each
            // miss.
            for line in home.other_lines() {
                if let Certainty::Changed = self.search_line(line, position, check)? {
                    return ControlFlow::Continue(Certainty::Changed);
                }
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
        for slot in Candidates::new(self.line(line), line, position) {
            if slot.is_of(position) && check(slot)? == Certainty::Changed {
                return ControlFlow::Continue(Certainty::Changed);
            }
        }
        ControlFlow::Continue(Certainty::Stable)
    }

    /// An address to which the key may well lead, for prefetching.
    #[inline(always)]
    pub(crate) fn guess(&self, position: Position) -> Option<Loc> {
        let words = self.line(self.home(position).line).iter();
        let word = words.map(|cell| cell.load(Ordering::Relaxed));
        word.filter(|&word| matches(word, position.at)).map(loc_of).next()
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
            ControlFlow::Continue(Certainty::Stashed) => lock.stashed(position).find(|&s| is_it(s)),
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

    /// Leads the slot to another address. The shard is locked.
    pub(crate) fn redirect(&self, slot: SlotRef, loc: Loc, lock: &mut Guard<'_>) {
        if let Some(place) = slot.at.checked_sub(STASH) {
            return lock.stash.redirect(place, loc);
        }
        let cell = self.slots.at(slot.at);
        let word = cell.load(Ordering::Relaxed);
        // Pairs with the acquire loads of `search_line` and `is_unchanged`.
        cell.store(word_leading_to(word, loc), Ordering::Release);
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
        lock.items += 1;
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
        self.set_mark(home.line + stash_mark(position.at), true);
        Ok(())
    }

    /// Puts a key into the home line, or else into another one of the group; false if it is full.
    fn place(&self, home: Home, at: u32, loc: Loc) -> bool {
        let word = word_of(at, loc);
        if let Some(cell) = self.free_cell(home.line) {
            fill(cell, word);
            return true;
        }
        for line in home.other_lines() {
            if let Some(cell) = self.free_cell(line) {
                // Readers that don't see this yet come before the insertion.
                self.set_mark(home.line + stray_mark(at), true);
                fill(cell, word);
                return true;
            }
        }
        false
    }

    /// Whether a key would find a place in its group.
    fn has_free_slot(&self, home: Home) -> bool {
        iter::once(home.line).chain(home.other_lines()).any(|line| self.free_cell(line).is_some())
    }

    fn free_cell(&self, line: usize) -> Option<&AtomicU64> {
        let cells = self.line(line);
        slots_that(cells, |word| word & !MARK == 0).take_first().map(|slot| &cells[slot])
    }

    /// The slots of a line.
    #[inline(always)]
    fn line(&self, line: usize) -> &[AtomicU64] {
        self.slots.cells(line, LINE)
    }

    /// Removes a slot of this key. The shard is locked.
    pub(crate) fn remove(&self, position: Position, slot: SlotRef, lock: &mut Guard<'_>) {
        debug_assert!(lock.items > 0, "more items are removed than there are");
        lock.items -= 1;
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
        let is_stray = !(home.line..home.line + LINE).contains(&slot.at);
        if is_stray {
            self.unmark_stray(home, group, position.at);
        }
        let line = home.group + (slot.at - home.group) / LINE * LINE;
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
        fill(self.slots.at(slot), word_of(at, loc));
        // Who still sees the mark waits for the lock, who does not sees the slot.
        self.unmark_stashed(Position { shard, at }, lock);
    }

    /// Items that a full group could give up for this key: those of the home line.
    pub(crate) fn neighbours(&self, position: Position, _lock: &Guard<'_>) -> [SlotRef; LINE] {
        let line = self.home(position).line;
        std::array::from_fn(|i| {
            let word = self.slots.at(line + i).load(Ordering::Relaxed);
            SlotRef { at: line + i, word }
        })
    }

    /// The position of an item in the same group as `position`.
    pub(crate) fn position_of(&self, slot: SlotRef, position: Position) -> Position {
        let group = self.mapping(position).group(position.at);
        Position { shard: position.shard, at: group.position(tag_of(slot.word)) }
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
                let at = group.position(tag_of(word));
                // A resized group may begin before `position`; that part was visited.
                if at >= position.at {
                    visit(Position { shard: position.shard, at }, loc_of(word));
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

/// Slots of a line that may be a key's, or are free by now.
#[derive(Debug)]
pub(crate) struct Candidates<'i> {
    cells: &'i [AtomicU64],
    line: LineIndex,
    /// Those that were not looked at yet.
    left: Slots,
}

impl<'i> Candidates<'i> {
    #[inline(always)]
    fn new(cells: &'i [AtomicU64], line: LineIndex, position: Position) -> Self {
        Self { cells, line, left: slots_that(cells, |word| has_tag(word, position.at)) }
    }
}

impl Iterator for Candidates<'_> {
    type Item = SlotRef;

    #[inline(always)]
    fn next(&mut self) -> Option<SlotRef> {
        let slot = self.left.take_first()?;
        // Pairs with the release stores of `fill` and `redirect`: the item that a slot leads to is
        // complete.
        let word = self.cells[slot].load(Ordering::Acquire);
        Some(SlotRef { at: self.line + slot, word })
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
    #[inline(always)]
    fn other_lines(self) -> impl Iterator<Item = usize> {
        let line = (self.line - self.group) / LINE;
        // Each of the others once, and in another order for each home line, so that strays spread.
        (1..LINES).map(move |step| self.group + (line ^ step) * LINE)
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
    /// The places in the stash that hold this very position.
    fn stashed(&self, position: Position) -> impl Iterator<Item = SlotRef> {
        let places = self.stash.of(position.at);
        places
            .map(move |(place, loc)| SlotRef { at: STASH + place, word: word_of(position.at, loc) })
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
        // The two bits behind those that have chosen the group.
        let fine = (u64::from(position) * u64::from(self.count)) >> 30;
        (fine as usize & (LINES - 1)) * LINE
    }

    /// The position of a key of this group.
    fn position(self, tag: u32) -> u32 {
        let first = u64::from(self.first());
        let mask = u64::from(TAG_MASK);
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

#[inline(always)]
fn has_tag(word: u64, position: u32) -> bool {
    // A comparison whose outcome can be added to a number as it is.
    word ^ u64::from(position) << TAG_SHIFT < 1 << TAG_SHIFT
}

#[inline(always)]
fn matches(word: u64, position: u32) -> bool {
    has_tag(word, position) && loc_of(word) != 0
}

/// Whether keys of a line may be elsewhere. To be asked before any slot is looked at; `is_marked`
/// says why.
#[inline(always)]
fn elsewhere(line: &[AtomicU64], position: Position) -> Elsewhere {
    Elsewhere {
        strays: is_marked(&line[stray_mark(position.at)]),
        stashed: is_marked(&line[stash_mark(position.at)]),
    }
}

/// Slots of a line, a bit each.
#[derive(Clone, Copy, Debug)]
struct Slots(u32);

/// Bitmask of the slots that match. All are compared without a branch, which could not be
/// predicted.
#[inline(always)]
fn slots_that(cells: &[AtomicU64], matches: impl Fn(u64) -> bool) -> Slots {
    // In reverse, so that the first slot ends up in the lowest bit.
    let words = cells.iter().rev().map(|cell| cell.load(Ordering::Relaxed));
    Slots(words.fold(0, |slots, word| slots << 1 | u32::from(matches(word))))
}

impl Slots {
    #[inline(always)]
    fn take_first(&mut self) -> Option<usize> {
        let slot = (self.0 != 0).then(|| self.0.trailing_zeros() as usize);
        self.0 &= self.0.wrapping_sub(1);
        slot
    }
}

#[inline(always)]
fn loc_of(word: u64) -> Loc {
    word >> 1 & (LOC_MAX - 1)
}

/// Puts a word into a free slot, whose mark stays.
fn fill(cell: &AtomicU64, word: u64) {
    debug_assert_eq!(cell.load(Ordering::Relaxed) & !MARK, 0, "the slot is free");
    // Pairs with the acquire loads of `search_line` and `is_unchanged`.
    cell.store(word | cell.load(Ordering::Relaxed) & MARK, Ordering::Release);
}

fn word_of(position: u32, loc: Loc) -> u64 {
    u64::from(position & TAG_MASK) << TAG_SHIFT | loc << 1
}

/// The word of a slot after it was led to another address.
fn word_leading_to(word: u64, loc: Loc) -> u64 {
    word & !((LOC_MAX - 1) << 1) | loc << 1
}

fn tag_of(word: u64) -> u32 {
    (word >> TAG_SHIFT) as u32
}

fn pages_of_groups(groups: usize) -> usize {
    (groups * GROUP * size_of::<u64>()).div_ceil(OS_PAGE)
}

fn stash_of_pages(pages: usize) -> usize {
    stash_of_groups(groups_of_pages(pages) as usize)
}

/// Places in the stash of a shard with this number of groups: several times what is needed on
/// average when the groups are as full as they get before the shard grows.
fn stash_of_groups(groups: usize) -> usize {
    16 + groups / 2
}

fn groups_of_pages(pages: usize) -> u32 {
    (pages * OS_PAGE / (GROUP * size_of::<u64>())) as u32
}

fn pages_min() -> usize {
    pages_of_groups(GROUPS_MIN as usize)
}

#[cfg(test)]
mod tests;
