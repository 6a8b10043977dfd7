//! Ghosts: keys whose items were evicted lately. A key that comes back while it is remembered has
//! shown that it is worth more than a place on probation.
//!
//! A group remembers 16 tags, half a word each. They are forgotten when newer ones push them out,
//! or when about as many keys have been remembered in their shard as there are items: with longer
//! memory, every key that ever comes back would count as worthy.
//!
//! ```text
//!   ghost  [ tag, 28 bits | tick, 3 bits | 1 ]
//! ```

use super::{Group, Guard, Index, LINE, LINES, Position, TAG_MASK, scale};
use crate::memory::sync::{AtomicU64, Ordering};

/// Ghosts of a group.
const GHOSTS: usize = 2 * LINE;
/// Age in ticks at which ghosts are forgotten.
const TICKS_MAX: u32 = 4;
/// Ticks come round after this.
const TICKS: u32 = 8;
/// Where a ghost has its tick.
const TICK_BITS: u32 = (TICKS - 1) << 1;

/// A word with 1 in both halves.
const BOTH: u64 = 1 << 32 | 1;

/// The age of a shard's ghosts.
#[derive(Debug, Default)]
pub(super) struct Age {
    /// The current tick.
    tick: u32,
    /// Keys remembered since the last tick.
    count: u32,
}

impl Index {
    /// Remembers that a key was evicted.
    pub(crate) fn insert_ghost(&self, position: Position, lock: &mut Guard<'_>) {
        lock.ghosts.count += 1;
        // In this way the ghosts of `TICKS_MAX` ticks are about as many as the items.
        if lock.ghosts.count * TICKS_MAX > lock.items {
            lock.ghosts.count = 0;
            lock.ghosts.tick = (lock.ghosts.tick + 1) % TICKS;
            self.forget_old(position.shard, lock);
        }
        // The lowest bit is always set, so that 0 stands for none.
        let ghost = (position.at & TAG_MASK) << 4 | lock.ghosts.tick << 1 | 1;
        self.push_ghost(self.home(position).group, ghost);
    }

    /// Whether the key was evicted lately; it is forgotten now.
    pub(crate) fn take_ghost(&self, position: Position, _lock: &mut Guard<'_>) -> bool {
        let ghosts = self.ghosts(self.home(position).group);
        // All but the tick.
        let wanted = BOTH * u64::from((position.at & TAG_MASK) << 4 | 1);
        let difference = |pair: u64| (pair & !(BOTH * u64::from(TICK_BITS))) ^ wanted;
        let pairs = || ghosts.iter().map(|cell| cell.load(Ordering::Relaxed));
        // It is nearly always none of them, and one branch tells.
        if pairs().fold(0, |zeroes, pair| zeroes | zero_half(difference(pair))) == 0 {
            return false;
        }
        for (cell, pair) in ghosts.iter().zip(pairs()) {
            let difference = difference(pair);
            let kept = if difference as u32 == 0 {
                pair >> 32 << 32
            } else if difference >> 32 == 0 {
                pair << 32 >> 32
            } else {
                continue;
            };
            cell.store(kept, Ordering::Relaxed);
            return true;
        }
        false
    }

    /// The ghosts of the group that begins at `start`, two a word.
    fn ghosts(&self, start: usize) -> &[AtomicU64] {
        self.slots.cells(start + LINE * LINES, LINE)
    }

    /// Ghosts are a queue: each new one moves the others by half a word.
    fn push_ghost(&self, group_start: usize, ghost: u32) {
        let mut carry = ghost;
        for cell in self.ghosts(group_start) {
            let pair = cell.load(Ordering::Relaxed);
            cell.store(pair << 32 | u64::from(carry), Ordering::Relaxed);
            carry = (pair >> 32) as u32;
        }
    }

    fn forget_old(&self, shard: u32, lock: &Guard<'_>) {
        let is_old = |ghost: u32| {
            let age = (lock.ghosts.tick + TICKS - (ghost >> 1) % TICKS) % TICKS;
            age >= TICKS_MAX
        };
        for group in 0..self.groups_in_use(shard) {
            let start = self.start(shard, group);
            for cell in self.ghosts(start) {
                let pair = cell.load(Ordering::Relaxed);
                let low = if is_old(pair as u32) { 0 } else { pair as u32 };
                let high = if is_old((pair >> 32) as u32) { 0 } else { pair >> 32 };
                cell.store(high << 32 | u64::from(low), Ordering::Relaxed);
            }
        }
    }

    /// Takes the ghosts of a group to their new groups.
    pub(super) fn move_ghosts(&self, shard: u32, from: Group, new: u32, words: &[u64]) {
        // The youngest comes first, so the others have to be in before.
        for i in (0..GHOSTS).rev() {
            let ghost = (words[i / 2] >> (32 * (i % 2))) as u32;
            if ghost != 0 {
                let at = from.position(ghost >> 4);
                self.push_ghost(self.start(shard, scale(at, new)), ghost);
            }
        }
    }
}

/// Not zero if one of the word's halves is (a borrow shows in the upper bit; see Warren, Hacker's
/// Delight, 6-1).
fn zero_half(word: u64) -> u64 {
    word.wrapping_sub(BOTH) & !word & BOTH << 31
}
