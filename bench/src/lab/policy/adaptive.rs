//! ARC: recency and frequency, with a share of the budget that follows the hits of their ghosts.

use super::{Access, Policy};
use crate::lab::lists::Lists;

/// ARC, in bytes instead of pages.
#[derive(Clone, Debug)]
pub struct Arc {
    lists: Lists,
    budget: u64,
    /// Bytes that T1 should have.
    target: u64,
}

/// Seen once lately, seen twice, and the ghosts of both.
const T1: usize = 0;
const T2: usize = 1;
const B1: usize = 2;
const B2: usize = 3;

impl Arc {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        Self { lists: Lists::new(4, keys), budget, target: 0 }
    }

    /// Evicts one item, for a key that was in `B2` or not.
    fn replace(&mut self, from_b2: bool) {
        let first = self.lists.bytes(T1);
        let take_first = first > self.target || (from_b2 && first == self.target && first > 0);
        let (from, to) = if take_first || self.lists.is_empty(T2) { (T1, B1) } else { (T2, B2) };
        if let Some(key) = self.lists.oldest(from) {
            self.lists.renew(to, key);
        }
    }

    /// The ghosts of what was seen once fill the cache up at most, all keys twice its size.
    fn trim_ghosts(&mut self) {
        while self.lists.bytes(T1) + self.lists.bytes(B1) > self.budget && !self.lists.is_empty(B1)
        {
            self.lists.pop(B1);
        }
        while self.used() + self.lists.bytes(B1) + self.lists.bytes(B2) > 2 * self.budget
            && !self.lists.is_empty(B2)
        {
            self.lists.pop(B2);
        }
    }
}

impl Policy for Arc {
    fn get(&mut self, Access { key, .. }: Access) -> bool {
        let hit = matches!(self.lists.list_of(key), Some(T1 | T2));
        if hit {
            self.lists.renew(T2, key);
        }
        hit
    }

    fn insert(&mut self, Access { key, cost, .. }: Access) {
        if cost > self.budget {
            return;
        }
        let ghost = self.lists.list_of(key);
        let (b1, b2) = (self.lists.bytes(B1).max(1), self.lists.bytes(B2).max(1));
        match ghost {
            Some(B1) => {
                self.target = (self.target + cost * (b2 / b1).max(1)).min(self.budget);
            }
            Some(B2) => self.target = self.target.saturating_sub(cost * (b1 / b2).max(1)),
            _ => {}
        }
        self.lists.remove(key);
        while self.used() + cost > self.budget {
            self.replace(ghost == Some(B2));
        }
        self.lists.push(if ghost.is_some() { T2 } else { T1 }, key, cost);
        self.trim_ghosts();
    }

    fn remove(&mut self, key: u32) {
        self.lists.remove(key);
    }

    fn used(&self) -> u64 {
        self.lists.bytes(T1) + self.lists.bytes(T2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::play;
    use super::*;

    #[test]
    fn a_ghost_hit_moves_the_target() {
        // a is seen twice; c, d push b out of T1 into B1.
        let mut arc = Arc::new(3, 26);
        assert_eq!(play(&mut arc, "abacd"), "..a..");
        assert_eq!((arc.lists.list_of(0), arc.lists.list_of(1)), (Some(T2), Some(B1)));
        // b comes back: T1 should be one larger; c goes, as T1 has two, and b counts as seen twice.
        assert_eq!(play(&mut arc, "b"), ".");
        assert_eq!(
            (arc.target, arc.lists.list_of(1), arc.lists.list_of(2)),
            (1, Some(T2), Some(B1))
        );
        // T1 has one (d), which is the target: e takes from T2, where a is the oldest.
        assert_eq!(play(&mut arc, "e"), ".");
        assert_eq!((arc.lists.list_of(0), arc.lists.list_of(3)), (Some(B2), Some(T1)));
        // a comes back from B2: the target shrinks to 0, and T1 gives way.
        assert_eq!(play(&mut arc, "a"), ".");
        assert_eq!((arc.target, arc.lists.list_of(3)), (0, Some(B1)));
    }
}
