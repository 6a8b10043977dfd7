//! Marks: what a line says about its keys that found no place in it, one bit in each slot.
//!
//! The first five are a filter of the keys whose path led past the line to another one of the group,
//! the other three one of the line's own keys in the stash; a key has one of each. They are chosen
//! by the lowest bits of the position: a tag has those as well, and they have no part in the choice
//! of the line.

use super::{Group, Guard, Home, Index, LINE, LINES, LineIndex, Position};
use crate::memory::sync::{AtomicU64, Ordering};

/// A slot's mark: some key that this slot's mark stands for is elsewhere.
pub(super) const MARK: u64 = 1;

/// Marks of a line for keys in other lines; the rest are for keys in the stash.
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
    // Pairs with the release store of `set_mark`: marks are read before slots, so a key that was
    // moved away from here is found there.
    slot.load(Ordering::Acquire) & MARK != 0
}

/// Whether keys of a line may be in the stash. The shard is locked.
#[inline(always)]
pub(super) fn has_stash_marks(line: &[AtomicU64]) -> bool {
    line[STRAY_MARKS..].iter().fold(0, |any, slot| any | slot.load(Ordering::Relaxed)) & MARK != 0
}

#[inline(always)]
fn share(at: u32, of: usize) -> usize {
    (at as usize % (1 << BITS) * of) >> BITS
}

impl Index {
    pub(super) fn set_mark(&self, slot: usize, on: bool) {
        let cell = self.slots.at(slot);
        let word = cell.load(Ordering::Relaxed);
        // Pairs with the acquire load of `is_marked`.
        cell.store(if on { word | MARK } else { word & !MARK }, Ordering::Release);
    }

    /// Takes the marks of a key away that was in `line`, where no other key went past that has them.
    pub(super) fn unmark_stray(&self, home: Home, group: Group, at: u32, line: LineIndex) {
        let mark = stray_mark(at);
        for passed in home.path().take_while(|&passed| passed != line) {
            // A mark stands for many keys: all that may have gone past are looked at.
            let goes_past = |slot: usize| {
                let word = self.slots.at(slot).load(Ordering::Relaxed);
                let tag = self.words.tag_of(word);
                word & !MARK != 0 && stray_mark(tag) == mark && {
                    let line = home.group + group.line(self.at_of(group, word));
                    Home { line, ..home }.passes(passed, slot)
                }
            };
            let is_left = (home.group..home.group + LINE * LINES).any(goes_past);
            self.set_mark(passed + mark, is_left);
        }
    }

    /// Takes the mark of a key away that was in the stash, if no other key there has it.
    pub(super) fn unmark_stashed(&self, position: Position, lock: &Guard<'_>) {
        let mark_of = |at| self.home(Position { at, ..position }).line + stash_mark(at);
        let mark = mark_of(position.at);
        let group = self.mapping(position).group(position.at);
        let is_left = lock.stash.of_group(group).iter().any(|&(at, _)| mark_of(at) == mark);
        self.set_mark(mark, is_left);
    }
}
