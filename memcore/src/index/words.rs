//! The word of a slot: the tag of a key, the address of its item, and a mark.
//!
//! ```text
//!   [ tag: lower bits of the position | address | mark, 2 ]
//! ```
//!
//! An address has 34 bits, and one more for each doubling of the memory beyond 64 GiB; the tag has
//! the rest. The fewer bits a tag has, the more groups a shard needs to tell positions.

use super::marks::{MARK, MARK_BITS};
use crate::space::segments::Loc;

/// Bits of an address, at least and at most.
const LOC_BITS: (u32, u32) = (34, 41);

/// Addresses are below this.
pub(crate) const LOC_MAX: u64 = 1 << LOC_BITS.1;

/// How the words of an index are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// The lowest bit of the tag, alone. All of the tag is in the upper half of the word.
    one: u64,
    /// Where that is in the upper half.
    tag_shift: u32,
    /// The bits of a position that its tag has.
    tag_mask: u32,
}

impl Words {
    /// Words for addresses below `end`.
    pub(super) fn new(end: Loc) -> Self {
        debug_assert!(end <= LOC_MAX, "addresses up to {end}");
        let bits = u64::BITS - end.saturating_sub(1).leading_zeros();
        let shift = bits.max(LOC_BITS.0) + MARK_BITS;
        let tag_shift = shift - u32::BITS;
        Self { one: 1 << shift, tag_shift, tag_mask: u32::MAX >> tag_shift }
    }

    /// The fewest groups of a shard: with the tag, the number of a group makes up a position.
    pub(super) fn groups_min(self) -> u32 {
        1 << self.tag_shift
    }

    /// The bits of a position that its tag has.
    pub(super) fn tag_mask(self) -> u32 {
        self.tag_mask
    }

    /// Where the tag begins in the upper half of a word.
    #[inline(always)]
    pub(super) fn tag_shift(self) -> u32 {
        self.tag_shift
    }

    /// The tag of a position.
    #[inline(always)]
    pub(super) fn tag(self, position: u32) -> u32 {
        position & self.tag_mask
    }

    /// The tag of the key that a word belongs to.
    #[inline(always)]
    pub(super) fn tag_of(self, word: u64) -> u32 {
        (word >> u32::BITS) as u32 >> self.tag_shift
    }

    #[inline(always)]
    pub(super) fn loc_of(self, word: u64) -> Loc {
        (word & (self.one - 1)) >> MARK_BITS
    }

    #[inline(always)]
    pub(super) fn word_of(self, position: u32, loc: Loc) -> u64 {
        u64::from(position).wrapping_mul(self.one) | loc << MARK_BITS
    }

    /// The word of a slot after it was led to another address.
    pub(super) fn leading_to(self, word: u64, loc: Loc) -> u64 {
        word & (self.one.wrapping_neg() | MARK) | loc << MARK_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_tag_address_and_mark_apart() {
        for (end, groups_min) in [(1, 16), (1 << 34, 16), ((1 << 34) + 1, 32), (LOC_MAX, 2048)] {
            let words = Words::new(end);
            assert_eq!(words.groups_min(), groups_min);
            let (position, loc) = (0x8765_4321, end - 1);
            let word = words.word_of(position, loc);
            for mark in 0..=MARK {
                assert_eq!(words.tag_of(word | mark), words.tag(position));
                assert_eq!((words.loc_of(word | mark), word & MARK), (loc, 0));
            }
            assert_eq!(words.tag(position), position & words.tag_mask());
            let moved = words.leading_to(word | MARK, loc / 2);
            assert_eq!(moved, words.word_of(position, loc / 2) | MARK);
        }
    }
}
