//! Policies that keep newcomers apart from what has proved itself: SLRU, 2Q and S3-FIFO.

use super::{Access, Policy};
use crate::lab::lists::Lists;

/// Segmented LRU: probation and, for what is hit there, four fifths of the budget under protection.
#[derive(Clone, Debug)]
pub struct Slru {
    lists: Lists,
    budget: u64,
    protected: u64,
}

const PROBATION: usize = 0;
const PROTECTED: usize = 1;

impl Slru {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        Self { lists: Lists::new(2, keys), budget, protected: budget * 4 / 5 }
    }
}

impl Policy for Slru {
    fn get(&mut self, Access { key, .. }: Access) -> bool {
        if self.lists.list_of(key).is_none() {
            return false;
        }
        self.lists.renew(PROTECTED, key);
        while self.lists.bytes(PROTECTED) > self.protected
            && let Some(oldest) = self.lists.oldest(PROTECTED)
        {
            self.lists.renew(PROBATION, oldest);
        }
        true
    }

    fn insert(&mut self, Access { key, cost, .. }: Access) {
        if cost > self.budget {
            return;
        }
        while self.used() + cost > self.budget {
            let from = if self.lists.is_empty(PROBATION) { PROTECTED } else { PROBATION };
            self.lists.pop(from);
        }
        self.lists.push(PROBATION, key, cost);
    }

    fn remove(&mut self, key: u32) {
        self.lists.remove(key);
    }

    fn used(&self) -> u64 {
        self.lists.bytes(PROBATION) + self.lists.bytes(PROTECTED)
    }
}

/// 2Q with the sizes that its authors recommend: a quarter of the budget for A1in, and A1out
/// remembers keys of half the budget.
#[derive(Clone, Debug)]
pub struct TwoQueues {
    lists: Lists,
    budget: u64,
}

const IN: usize = 0;
const MAIN: usize = 1;
const OUT: usize = 2;

impl TwoQueues {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        Self { lists: Lists::new(3, keys), budget }
    }

    fn evict(&mut self) {
        if self.lists.bytes(IN) > self.budget / 4 || self.lists.is_empty(MAIN) {
            if let Some(key) = self.lists.oldest(IN) {
                self.lists.renew(OUT, key);
            }
            while self.lists.bytes(OUT) > self.budget / 2 {
                self.lists.pop(OUT);
            }
        } else {
            self.lists.pop(MAIN);
        }
    }
}

impl Policy for TwoQueues {
    fn get(&mut self, Access { key, .. }: Access) -> bool {
        match self.lists.list_of(key) {
            Some(MAIN) => {
                self.lists.renew(MAIN, key);
                true
            }
            Some(IN) => true,
            _ => false,
        }
    }

    fn insert(&mut self, Access { key, cost, .. }: Access) {
        if cost > self.budget {
            return;
        }
        let list = if self.lists.list_of(key) == Some(OUT) { MAIN } else { IN };
        while self.used() + cost > self.budget {
            self.evict();
        }
        self.lists.push(list, key, cost);
    }

    fn remove(&mut self, key: u32) {
        self.lists.remove(key);
    }

    fn used(&self) -> u64 {
        self.lists.bytes(IN) + self.lists.bytes(MAIN)
    }
}

/// S3-FIFO: a small queue of a tenth, a main one, and ghosts of as many bytes as the main one has.
#[derive(Clone, Debug)]
pub struct S3Fifo {
    lists: Lists,
    uses: Vec<u8>,
    budget: u64,
}

const SMALL: usize = 0;
const GHOSTS: usize = 2;

impl S3Fifo {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        Self { lists: Lists::new(3, keys), uses: vec![0; keys], budget }
    }

    fn evict(&mut self) {
        if self.lists.bytes(SMALL) > self.budget / 10 || self.lists.is_empty(MAIN) {
            self.evict_small();
        } else {
            self.evict_main();
        }
    }

    fn evict_small(&mut self) {
        while let Some(key) = self.lists.oldest(SMALL) {
            if self.uses[key as usize] > 1 {
                self.uses[key as usize] = 0;
                self.lists.renew(MAIN, key);
                continue;
            }
            self.lists.renew(GHOSTS, key);
            while self.lists.bytes(GHOSTS) > self.budget * 9 / 10 {
                self.lists.pop(GHOSTS);
            }
            return;
        }
    }

    fn evict_main(&mut self) {
        while let Some(key) = self.lists.oldest(MAIN) {
            let uses = &mut self.uses[key as usize];
            if *uses == 0 {
                self.lists.pop(MAIN);
                return;
            }
            *uses -= 1;
            self.lists.renew(MAIN, key);
        }
    }
}

impl Policy for S3Fifo {
    fn get(&mut self, Access { key, .. }: Access) -> bool {
        let hit = matches!(self.lists.list_of(key), Some(SMALL | MAIN));
        if hit {
            let uses = &mut self.uses[key as usize];
            *uses = (*uses + 1).min(3);
        }
        hit
    }

    fn insert(&mut self, Access { key, cost, .. }: Access) {
        if cost > self.budget {
            return;
        }
        let list = if self.lists.list_of(key) == Some(GHOSTS) { MAIN } else { SMALL };
        while self.used() + cost > self.budget {
            self.evict();
        }
        self.uses[key as usize] = 0;
        self.lists.push(list, key, cost);
    }

    fn remove(&mut self, key: u32) {
        self.lists.remove(key);
    }

    fn used(&self) -> u64 {
        self.lists.bytes(SMALL) + self.lists.bytes(MAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::play;
    use super::*;

    #[test]
    fn slru_protects_what_was_hit() {
        // Four of five places are protected. a and b are, so c to i pass by on probation.
        assert_eq!(play(&mut Slru::new(5, 26), "abcabdefghiabi"), "...ab......abi");
        // With all four protected places taken, a fifth sends the oldest back to probation, where
        // the next newcomer pushes it out.
        assert_eq!(play(&mut Slru::new(5, 26), "abcdeabcdefa"), ".....abcde..");
    }

    #[test]
    fn two_queues_trust_what_comes_back() {
        // A1in holds one of four before it gives way. a is read while in A1in, which proves
        // nothing; pushed out by e, it comes back from A1out and is in the main queue from then on.
        let mut cache = TwoQueues::new(4, 26);
        assert_eq!(play(&mut cache, "abcdae"), "....a.");
        assert_eq!(cache.lists.list_of(0), Some(OUT));
        assert_eq!(play(&mut cache, "afgha"), "....a");
        assert_eq!(cache.lists.list_of(0), Some(MAIN));
    }

    #[test]
    fn s3_fifo_demotes_quickly() {
        // a was used twice and moves to the main queue when the cache is full; b was used once and
        // goes as the first, but is remembered and enters the main queue when it comes back.
        let mut cache = S3Fifo::new(10, 26);
        assert_eq!(play(&mut cache, "abaabcdefghij"), "..aab........");
        assert_eq!(play(&mut cache, "k"), ".");
        assert_eq!((cache.lists.list_of(0), cache.lists.list_of(1)), (Some(MAIN), Some(GHOSTS)));
        assert_eq!(play(&mut cache, "b"), ".");
        assert_eq!((cache.lists.list_of(1), cache.lists.list_of(2)), (Some(MAIN), Some(GHOSTS)));
    }
}
