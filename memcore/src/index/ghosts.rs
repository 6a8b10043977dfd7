//! Ghosts: keys whose items were evicted lately, and how often they had been used. A key that comes
//! back while it is remembered has shown that it is worth more than one that is new.
//!
//! A group remembers 32 keys, which is two for every three items: four in each of eight words, of
//! which the position chooses one. They are forgotten when newer ones push them out of their word.
//! One new key in 1,000 is taken for a ghost by mistake.
//!
//! ```text
//!   ghost  [ tag, 12 bits, not 0 | uses, 4 bits ]
//! ```

use super::{Group, Guard, Index, LINE, LINES, Position, scale};
use crate::memory::sync::{AtomicU64, Ordering};
use crate::space::layout::USES_MAX;

/// Ghosts of a word.
const GHOSTS: usize = 4;
/// Bits of a ghost, of its uses, and of its tag.
const BITS: u32 = 16;
const USES_BITS: u32 = USES_MAX.count_ones();
const TAG_MASK: u32 = (1 << (BITS - USES_BITS)) - 1;

/// A word with 1 in each quarter.
const EACH: u64 = 0x0001_0001_0001_0001;

impl Index {
    /// Remembers that a key was evicted whose item had been used so often.
    pub(crate) fn insert_ghost(&self, position: Position, uses: u32, _lock: &mut Guard<'_>) {
        let ghost = tag(position.at) << USES_BITS | uses.min(USES_MAX);
        push(self.ghosts_of(position), ghost as u16);
    }

    /// How often the key's item had been used, if it was evicted lately; it is forgotten now.
    pub(crate) fn take_ghost(&self, position: Position, _lock: &mut Guard<'_>) -> Option<u32> {
        let cell = self.ghosts_of(position);
        let word = cell.load(Ordering::Relaxed);
        // All but the uses; a quarter that is zero is the one.
        let wanted = EACH * u64::from(tag(position.at) << USES_BITS);
        let difference = (word & !(EACH * u64::from(USES_MAX))) ^ wanted;
        let found = zero_quarters(difference);
        if found == 0 {
            return None;
        }
        let shift = found.trailing_zeros() / BITS * BITS;
        cell.store(word & !(u64::from(u16::MAX) << shift), Ordering::Relaxed);
        Some((word >> shift) as u32 & USES_MAX)
    }

    /// The ghosts that the key would be among.
    fn ghosts_of(&self, position: Position) -> &AtomicU64 {
        let group = self.mapping(position).group(position.at);
        let fine = scale(position.at, group.count * LINE as u32) as usize % LINE;
        self.slots.at(self.start(position.shard, group.number) + LINE * LINES + fine)
    }

    /// Takes the ghosts of a group to the words of new groups that their keys may belong to. Which
    /// one it is the ghost does not tell, so it goes to each of them.
    pub(super) fn move_ghosts(&self, shard: u32, from: Group, new: u32, words: &[u64]) {
        let each = LINE as u32;
        for (i, &word) in (0..).zip(words) {
            let fine = Group { number: from.number * each + i, count: from.count * each };
            let last = fine.end().map_or(u32::MAX, |end| end - 1);
            for to in scale(fine.first(), new * each)..=scale(last, new * each) {
                let start = self.start(shard, to / each) + LINE * LINES;
                let cell = self.slots.at(start + (to % each) as usize);
                // The youngest comes first, so the others have to be in before.
                for quarter in (0..GHOSTS as u32).rev() {
                    let ghost = (word >> (BITS * quarter)) as u16;
                    if ghost != 0 {
                        push(cell, ghost);
                    }
                }
            }
        }
    }
}

/// Ghosts are a queue: each new one moves the others by a quarter of a word.
fn push(cell: &AtomicU64, ghost: u16) {
    cell.store(cell.load(Ordering::Relaxed) << BITS | u64::from(ghost), Ordering::Relaxed);
}

/// Bits of the position that have no part in the choice of the group.
fn tag(at: u32) -> u32 {
    (at & TAG_MASK).max(1)
}

/// The upper bit of the word's lowest quarter that is zero, and maybe some above it; zero if none
/// is (a borrow shows in the upper bit; see Warren, Hacker's Delight, 6-1).
fn zero_quarters(word: u64) -> u64 {
    word.wrapping_sub(EACH) & !word & EACH << (BITS - 1)
}
