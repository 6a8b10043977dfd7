//! The slots of a line that may be a key's: all are compared at once, and only those whose tag is
//! the key's are looked at.

use super::words::Words;
use super::{LineIndex, Position, SlotRef};
use crate::memory::line::{LINE, upper_parts};
use crate::memory::sync::{AtomicU64, Ordering};

/// Slots of a line that may be a key's.
#[derive(Debug)]
pub(crate) struct Candidates<'i> {
    cells: &'i [AtomicU64; LINE],
    line: LineIndex,
    /// The key's.
    tag: u32,
    words: Words,
    /// Those that were not looked at yet.
    left: Slots,
}

impl<'i> Candidates<'i> {
    #[inline(always)]
    pub(super) fn new(
        cells: &'i [AtomicU64; LINE],
        line: LineIndex,
        position: Position,
        words: Words,
    ) -> Self {
        let tag = words.tag(position.at);
        let left = Slots(upper_parts(cells, words.tag_shift(), tag));
        Self { cells, line, tag, words, left }
    }
}

impl Iterator for Candidates<'_> {
    type Item = SlotRef;

    #[inline(always)]
    fn next(&mut self) -> Option<SlotRef> {
        loop {
            let slot = self.left.take_first()?;
            // Pairs with the release stores of `fill` and `redirect`: the item that a slot leads to
            // is complete.
            let word = self.cells[slot].load(Ordering::Acquire);
            let loc = self.words.loc_of(word);
            // One that is free, or holds another key by now, did not hold this one for a moment at
            // least.
            if self.words.tag_of(word) == self.tag && loc != 0 {
                return Some(SlotRef { at: self.line + slot, word, loc });
            }
        }
    }
}

/// Slots of a line, a bit each. All are compared without a branch, which could not be predicted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots(pub(super) u32);

impl Slots {
    #[inline(always)]
    pub(super) fn take_first(&mut self) -> Option<usize> {
        let slot = (self.0 != 0).then(|| self.0.trailing_zeros() as usize);
        self.0 &= self.0.wrapping_sub(1);
        slot
    }
}
