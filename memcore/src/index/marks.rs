//! Marks: what a line says about its keys that found no place in it, two bits in each slot.
//!
//! The first five slots of a line count the keys whose path led past the line to another one of the
//! group, the other three say whether one of the line's own keys is in the stash; a key belongs to
//! one of the five and to one of the three. They are chosen by the lowest bits of the position: a
//! tag has those as well, and they have no part in the choice of the line.

use super::{Group, Guard, Home, Index, LINE, LINES, LineIndex, Position};
use crate::memory::sync::{AtomicU64, Ordering};

/// Bits of a mark.
pub(super) const MARK_BITS: u32 = 2;
/// A slot's mark: how many of the keys that it stands for are elsewhere. The highest count may
/// stand for more.
pub(super) const MARK: u64 = (1 << MARK_BITS) - 1;

/// Slots of a line that count keys in other lines; the rest are for keys in the stash.
const STRAY_MARKS: usize = 5;
/// Bits of a position that choose its marks.
const BITS: u32 = 8;

/// The slot of a line that has a key's mark if its path led past the line.
#[inline(always)]
pub(super) fn stray_mark(at: u32) -> usize {
    share(at, STRAY_MARKS)
}

/// The slot of a key's home line that has its mark if it is in the stash.
#[inline(always)]
pub(super) fn stash_mark(at: u32) -> usize {
    STRAY_MARKS + share(at, LINE - STRAY_MARKS)
}

#[inline(always)]
pub(super) fn is_marked(slot: &AtomicU64) -> bool {
    // Pairs with the release store of `Index::set_mark`: marks are read before slots, so a key that
    // was moved away from here is found there.
    slot.load(Ordering::Acquire) & MARK != 0
}

/// Whether keys of a line may be in the stash. The shard is locked.
#[inline(always)]
pub(super) fn has_stash_marks(line: &[AtomicU64; LINE]) -> bool {
    line[STRAY_MARKS..].iter().fold(0, |any, slot| any | slot.load(Ordering::Relaxed)) & MARK != 0
}

#[inline(always)]
fn share(at: u32, of: usize) -> usize {
    (at as usize % (1 << BITS) * of) >> BITS
}

impl Index {
    fn set_mark(&self, slot: usize, mark: u64) {
        let cell = self.slots.at(slot);
        // Pairs with the acquire load of `is_marked`.
        cell.store(cell.load(Ordering::Relaxed) & !MARK | mark, Ordering::Release);
    }

    fn mark(&self, slot: usize) -> u64 {
        self.slots.at(slot).load(Ordering::Relaxed) & MARK
    }

    /// Counts a key that goes past a line.
    pub(super) fn mark_stray(&self, passed: LineIndex, at: u32) {
        let slot = passed + stray_mark(at);
        self.set_mark(slot, (self.mark(slot) + 1).min(MARK));
    }

    /// Counts a key no more that was in `line`.
    pub(super) fn unmark_stray(&self, home: Home, group: Group, at: u32, line: LineIndex) {
        for passed in home.path().take_while(|&passed| passed != line) {
            let slot = passed + stray_mark(at);
            let mark = self.mark(slot);
            debug_assert!(mark != 0, "a key that went past is not counted");
            let left = if mark == MARK { self.strays(home, group, passed, at) } else { mark - 1 };
            self.set_mark(slot, left);
        }
    }

    /// Counts the keys with the mark of `at` that went past a line.
    #[cold]
    fn strays(&self, home: Home, group: Group, passed: LineIndex, at: u32) -> u64 {
        let mark = stray_mark(at);
        let cells = self.slots.cells(home.group, LINE * LINES);
        let words = cells.iter().map(|cell| cell.load(Ordering::Relaxed));
        let goes_past = |&(slot, word): &(usize, u64)| {
            stray_mark(self.words.tag_of(word)) == mark && word & !MARK != 0 && {
                let line = home.group + group.line(self.at_of(group, word));
                Home { line, ..home }.passes(passed, slot)
            }
        };
        // As many as can be counted.
        (home.group..).zip(words).filter(goes_past).take(MARK as usize).count() as u64
    }

    /// Says that a key is in the stash.
    pub(super) fn mark_stashed(&self, home: LineIndex, at: u32) {
        self.set_mark(home + stash_mark(at), 1);
    }

    /// Takes the mark of a key away that was in the stash, if no other key there has it.
    pub(super) fn unmark_stashed(&self, position: Position, lock: &Guard<'_>) {
        let mark_of = |at| self.home(Position { at, ..position }).line + stash_mark(at);
        let mark = mark_of(position.at);
        let group = self.mapping(position).group(position.at);
        let is_left = lock.stash.of_group(group).iter().any(|&(at, _)| mark_of(at) == mark);
        self.set_mark(mark, u64::from(is_left));
    }
}
