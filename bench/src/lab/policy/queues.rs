//! Policies of one queue: FIFO, LRU, CLOCK and SIEVE.

use super::{Access, Policy};
use crate::lab::lists::Lists;

/// First in, first out.
#[derive(Clone, Debug)]
pub struct Fifo {
    queue: Lists,
    budget: u64,
}

impl Fifo {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        Self { queue: Lists::new(1, keys), budget }
    }
}

impl Policy for Fifo {
    fn get(&mut self, access: Access) -> bool {
        self.queue.list_of(access.key).is_some()
    }

    fn insert(&mut self, Access { key, cost, .. }: Access) {
        if cost <= self.budget {
            while self.queue.bytes(0) + cost > self.budget {
                self.queue.pop(0);
            }
            self.queue.push(0, key, cost);
        }
    }

    fn remove(&mut self, key: u32) {
        self.queue.remove(key);
    }

    fn used(&self) -> u64 {
        self.queue.bytes(0)
    }
}

/// Least recently used.
#[derive(Clone, Debug)]
pub struct Lru(Fifo);

impl Lru {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        Self(Fifo::new(budget, keys))
    }
}

impl Policy for Lru {
    fn get(&mut self, access: Access) -> bool {
        let hit = self.0.get(access);
        if hit {
            self.0.queue.renew(0, access.key);
        }
        hit
    }

    fn insert(&mut self, access: Access) {
        self.0.insert(access);
    }

    fn remove(&mut self, key: u32) {
        self.0.remove(key);
    }

    fn used(&self) -> u64 {
        self.0.used()
    }
}

/// FIFO with a second chance for what was used.
#[derive(Clone, Debug)]
pub struct Clock {
    queue: Lists,
    used: Vec<bool>,
    budget: u64,
}

impl Clock {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        Self { queue: Lists::new(1, keys), used: vec![false; keys], budget }
    }
}

impl Policy for Clock {
    fn get(&mut self, Access { key, .. }: Access) -> bool {
        let hit = self.queue.list_of(key).is_some();
        self.used[key as usize] |= hit;
        hit
    }

    fn insert(&mut self, Access { key, cost, .. }: Access) {
        if cost > self.budget {
            return;
        }
        while self.queue.bytes(0) + cost > self.budget
            && let Some(oldest) = self.queue.oldest(0)
        {
            if std::mem::take(&mut self.used[oldest as usize]) {
                self.queue.renew(0, oldest);
            } else {
                self.queue.remove(oldest);
            }
        }
        self.used[key as usize] = false;
        self.queue.push(0, key, cost);
    }

    fn remove(&mut self, key: u32) {
        self.queue.remove(key);
    }

    fn used(&self) -> u64 {
        self.queue.bytes(0)
    }
}

/// SIEVE: a hand goes from the oldest to the newest and evicts what was not used since it came by;
/// nothing moves.
#[derive(Clone, Debug)]
pub struct Sieve {
    queue: Lists,
    used: Vec<bool>,
    hand: Option<u32>,
    budget: u64,
}

impl Sieve {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        Self { queue: Lists::new(1, keys), used: vec![false; keys], hand: None, budget }
    }
}

impl Policy for Sieve {
    fn get(&mut self, Access { key, .. }: Access) -> bool {
        let hit = self.queue.list_of(key).is_some();
        self.used[key as usize] |= hit;
        hit
    }

    fn insert(&mut self, Access { key, cost, .. }: Access) {
        if cost > self.budget {
            return;
        }
        while self.queue.bytes(0) + cost > self.budget
            && let Some(at) = self.hand.or_else(|| self.queue.oldest(0))
        {
            self.hand = self.queue.newer(at);
            if !std::mem::take(&mut self.used[at as usize]) {
                self.queue.remove(at);
            }
        }
        self.used[key as usize] = false;
        self.queue.push(0, key, cost);
    }

    fn remove(&mut self, key: u32) {
        if self.hand == Some(key) {
            self.hand = self.queue.newer(key);
        }
        self.queue.remove(key);
    }

    fn used(&self) -> u64 {
        self.queue.bytes(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::play;
    use super::*;

    #[test]
    fn worked_examples() {
        // FIFO: d pushes a out although it was just read, and a then pushes b out.
        assert_eq!(play(&mut Fifo::new(3, 26), "abcadabc"), "...a....");
        // LRU: d pushes b out, b then c, c then d.
        assert_eq!(play(&mut Lru::new(3, 26), "abcadabc"), "...a.a..");
        // CLOCK: d spares a, which was used, and takes b; then c goes for b, then d, as a was used.
        assert_eq!(play(&mut Clock::new(3, 26), "abcadabac"), "...a.a.a.");
    }

    #[test]
    fn the_hand_of_sieve_stays_where_it_is() {
        // The example of the paper's idea: a and b were used. d: the hand passes a and b, takes c,
        // and now stands behind it, at the end. e: nothing is newer than c but d, which goes.
        let mut sieve = Sieve::new(3, 26);
        assert_eq!(play(&mut sieve, "abcabd"), "...ab.");
        assert_eq!(sieve.hand, None);
        // From the oldest again: a and b lost their marks, so a goes for e, b for f.
        assert_eq!(play(&mut sieve, "efd"), "..d");
    }
}
