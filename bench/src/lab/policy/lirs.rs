//! LIRS: keys whose last two uses were close together keep their place.

use super::{Access, Policy};
use crate::lab::lists::Lists;

/// LIRS in bytes: 1 % of the budget is for keys of long distance (HIR).
#[derive(Clone, Debug)]
pub struct Lirs {
    /// The stack of recency: all LIR keys, and others that were seen since the oldest of them.
    stack: Lists,
    /// List 0: HIR keys that are there; list 1: those in the stack that are not.
    queue: Lists,
    is_lir: Vec<bool>,
    lir: u64,
    lir_most: u64,
    budget: u64,
}

const RESIDENT: usize = 0;
const GONE: usize = 1;

impl Lirs {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        Self {
            stack: Lists::new(1, keys),
            queue: Lists::new(2, keys),
            is_lir: vec![false; keys],
            lir: 0,
            lir_most: budget - (budget / 100).max(1).min(budget),
            budget,
        }
    }

    fn is_there(&self, key: u32) -> bool {
        self.is_lir[key as usize] || self.queue.list_of(key) == Some(RESIDENT)
    }

    /// Below the oldest LIR key nothing is kept in the stack.
    fn prune(&mut self) {
        while let Some(oldest) = self.stack.oldest(0)
            && !self.is_lir[oldest as usize]
        {
            self.stack.remove(oldest);
            if self.queue.list_of(oldest) == Some(GONE) {
                self.queue.remove(oldest);
            }
        }
    }

    /// Makes a key of short distance out of one that was seen again, and long ones of the oldest.
    fn promote(&mut self, key: u32, cost: u64) {
        self.queue.remove(key);
        self.is_lir[key as usize] = true;
        self.lir += cost;
        self.stack.push(0, key, cost);
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.lir > self.lir_most
            && let Some((oldest, cost)) = self.stack.pop(0)
        {
            // After pruning the oldest is always one of short distance.
            self.is_lir[oldest as usize] = false;
            self.lir -= cost;
            self.queue.push(RESIDENT, oldest, cost);
            self.prune();
        }
    }

    fn evict(&mut self) {
        let Some((key, cost)) = self.queue.pop(RESIDENT) else {
            let Some((key, cost)) = self.stack.pop(0) else { return };
            self.is_lir[key as usize] = false;
            self.lir -= cost;
            return self.prune();
        };
        if self.stack.list_of(key).is_some() {
            self.queue.push(GONE, key, cost);
        }
        // As many keys are remembered as three caches hold.
        while self.queue.bytes(GONE) > 3 * self.budget
            && let Some((oldest, _)) = self.queue.pop(GONE)
        {
            self.stack.remove(oldest);
        }
    }
}

impl Policy for Lirs {
    fn get(&mut self, Access { key, .. }: Access) -> bool {
        if !self.is_there(key) {
            return false;
        }
        let in_stack = self.stack.list_of(key).is_some();
        let cost =
            if self.is_lir[key as usize] { self.stack.cost(key) } else { self.queue.cost(key) };
        if self.is_lir[key as usize] {
            self.stack.renew(0, key);
            self.prune();
        } else if in_stack {
            self.promote(key, cost);
            self.prune();
        } else {
            self.stack.push(0, key, cost);
            self.queue.renew(RESIDENT, key);
        }
        true
    }

    fn insert(&mut self, Access { key, cost, .. }: Access) {
        if cost > self.budget {
            return;
        }
        while self.used() + cost > self.budget {
            self.evict();
        }
        let seen = self.stack.list_of(key).is_some();
        if seen || self.lir + cost <= self.lir_most {
            self.promote(key, cost);
            self.prune();
        } else {
            self.stack.push(0, key, cost);
            self.queue.push(RESIDENT, key, cost);
        }
    }

    fn remove(&mut self, key: u32) {
        if std::mem::take(&mut self.is_lir[key as usize]) {
            self.lir -= self.stack.cost(key);
        }
        self.stack.remove(key);
        self.queue.remove(key);
        self.prune();
    }

    fn used(&self) -> u64 {
        self.lir + self.queue.bytes(RESIDENT)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::play;
    use super::*;

    #[test]
    fn a_loop_keeps_all_but_one() {
        // Three of four places are for short distances: a, b, c have them; d and e take turns in
        // the fourth, in a loop where LRU would hit nothing.
        assert_eq!(play(&mut Lirs::new(4, 26), "abcdeabcdeabcde"), ".....abc..abc..");
    }

    #[test]
    fn short_distance_takes_the_place_of_long() {
        // d is seen again while in the stack: it becomes LIR, and a, the oldest, HIR and the next
        // to go.
        let mut lirs = Lirs::new(4, 26);
        assert_eq!(play(&mut lirs, "abcdde"), "....d.");
        assert!(lirs.is_lir[3] && !lirs.is_there(0) && lirs.is_there(4));
    }
}
