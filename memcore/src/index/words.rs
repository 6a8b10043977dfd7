//! The word of a slot: the tag of a key, the address of its item, and a mark.
//!
//! ```text
//!   [ tag: lower bits of the position | address | mark ]
//! ```
//!
//! An address has 35 bits, and one more for each doubling of the memory beyond 128 GiB; the tag has
//! the rest. The fewer bits a tag has, the more groups a shard needs to tell positions.

use super::marks::MARK;
use crate::space::segments::Loc;

/// Bits of an address, at least and at most.
const LOC_BITS: (u32, u32) = (35, 41);

/// Addresses are below this.
pub(crate) const LOC_MAX: u64 = 1 << LOC_BITS.1;

/// How the words of an index are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// The lowest bit of the tag, alone.
    one: u64,
}

impl Words {
    /// Words for addresses below `end`.
    pub(super) fn new(end: Loc) -> Self {
        debug_assert!(end <= LOC_MAX, "addresses up to {end}");
        let bits = u64::BITS - end.saturating_sub(1).leading_zeros();
        Self { one: 1 << (bits.max(LOC_BITS.0) + 1) }
    }

    /// The fewest groups of a shard: with the tag, the number of a group makes up a position.
    pub(super) fn groups_min(self) -> u32 {
        (self.one >> u32::BITS) as u32
    }

    /// The bits of a position that its tag has.
    pub(super) fn tag_mask(self) -> u32 {
        u32::MAX / self.groups_min()
    }

    #[inline(always)]
    pub(super) fn has_tag(self, word: u64, position: u32) -> bool {
        // A comparison whose outcome can be added to a number as it is.
        word ^ u64::from(position).wrapping_mul(self.one) < self.one
    }

    #[inline(always)]
    pub(super) fn loc_of(self, word: u64) -> Loc {
        (word & (self.one - 1)) >> 1
    }

    pub(super) fn tag_of(self, word: u64) -> u32 {
        (word >> self.one.trailing_zeros()) as u32
    }

    #[inline(always)]
    pub(super) fn word_of(self, position: u32, loc: Loc) -> u64 {
        u64::from(position).wrapping_mul(self.one) | loc << 1
    }

    /// The word of a slot after it was led to another address.
    pub(super) fn leading_to(self, word: u64, loc: Loc) -> u64 {
        word & (self.one.wrapping_neg() | MARK) | loc << 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_tag_address_and_mark_apart() {
        for (end, groups_min) in [(1, 16), (1 << 35, 16), ((1 << 35) + 1, 32), (LOC_MAX, 1024)] {
            let words = Words::new(end);
            assert_eq!(words.groups_min(), groups_min);
            let (position, loc) = (0x8765_4321, end - 1);
            let word = words.word_of(position, loc);
            assert!(words.has_tag(word, position) && words.has_tag(word | MARK, position));
            assert!(!words.has_tag(word, position ^ 1));
            assert_eq!((words.loc_of(word | MARK), word & MARK), (loc, 0));
            assert_eq!(words.tag_of(word), position & words.tag_mask());
            let moved = words.leading_to(word | MARK, loc / 2);
            assert_eq!(moved, words.word_of(position, loc / 2) | MARK);
        }
    }
}
