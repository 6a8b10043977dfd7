//! Belady's policy: what is read last in the future goes first.

use std::collections::BinaryHeap;

use super::{Access, Policy};

/// Belady's policy, which looks at [`Access::next`].
#[derive(Clone, Debug)]
pub struct Belady {
    /// When a key is read next and what it costs; a cost of 0 for one that is not there.
    items: Vec<(u32, u64)>,
    /// The furthest first; entries that no longer hold are passed by.
    order: BinaryHeap<(u32, u32)>,
    used: u64,
    budget: u64,
}

impl Belady {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        Self { items: vec![(0, 0); keys], order: BinaryHeap::new(), used: 0, budget }
    }
}

impl Policy for Belady {
    fn get(&mut self, Access { key, next, .. }: Access) -> bool {
        let item = &mut self.items[key as usize];
        if item.1 == 0 {
            return false;
        }
        item.0 = next;
        self.order.push((next, key));
        true
    }

    fn insert(&mut self, Access { key, cost, next }: Access) {
        if cost > self.budget {
            return;
        }
        self.items[key as usize] = (next, cost);
        self.order.push((next, key));
        self.used += cost;
        while self.used > self.budget
            && let Some((next, victim)) = self.order.pop()
        {
            if self.items[victim as usize].0 == next {
                self.remove(victim);
            }
        }
    }

    fn remove(&mut self, key: u32) {
        self.used -= std::mem::take(&mut self.items[key as usize].1);
    }

    fn used(&self) -> u64 {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::play;
    use super::*;

    #[test]
    fn the_furthest_goes() {
        // At d, c is needed last of the four.
        assert_eq!(play(&mut Belady::new(3, 26), "abcdabdc"), "....abd.");
        // c is needed after both others, and is not kept at all.
        assert_eq!(play(&mut Belady::new(2, 26), "abcabc"), "...ab.");
    }
}
