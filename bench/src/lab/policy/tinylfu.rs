//! W-TinyLFU: a small window, and behind it an SLRU to which the more frequent key is admitted.

use super::{Access, Policy};
use crate::lab::lists::Lists;
use crate::rng::mix;

/// W-TinyLFU with a window of 1 % and a fixed size of it.
#[derive(Clone, Debug)]
pub struct TinyLfu {
    lists: Lists,
    sketch: Sketch,
    budget: u64,
}

const WINDOW: usize = 0;
const PROBATION: usize = 1;
const PROTECTED: usize = 2;

impl TinyLfu {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        Self { lists: Lists::new(3, keys), sketch: Sketch::new(keys), budget }
    }

    fn window(&self) -> u64 {
        (self.budget / 100).max(1)
    }

    fn main(&self) -> u64 {
        self.budget - self.window()
    }

    fn main_used(&self) -> u64 {
        self.lists.bytes(PROBATION) + self.lists.bytes(PROTECTED)
    }

    /// Lets a key out of the window into the main part, if it is seen more often than what would
    /// have to go for it.
    fn admit(&mut self, key: u32, cost: u64) {
        if cost > self.main() {
            return;
        }
        let frequency = self.sketch.frequency(key);
        while self.main_used() + cost > self.main() {
            let list = if self.lists.is_empty(PROBATION) { PROTECTED } else { PROBATION };
            let Some(victim) = self.lists.oldest(list) else { return };
            if self.sketch.frequency(victim) >= frequency {
                return;
            }
            self.lists.remove(victim);
        }
        self.lists.push(PROBATION, key, cost);
    }
}

impl Policy for TinyLfu {
    fn get(&mut self, Access { key, .. }: Access) -> bool {
        self.sketch.add(key);
        match self.lists.list_of(key) {
            None => return false,
            Some(WINDOW) => self.lists.renew(WINDOW, key),
            Some(_) => {
                self.lists.renew(PROTECTED, key);
                while self.lists.bytes(PROTECTED) > self.main() * 4 / 5
                    && let Some(oldest) = self.lists.oldest(PROTECTED)
                {
                    self.lists.renew(PROBATION, oldest);
                }
            }
        }
        true
    }

    fn insert(&mut self, Access { key, cost, .. }: Access) {
        if cost > self.budget {
            return;
        }
        if cost > self.window() {
            return self.admit(key, cost);
        }
        while self.lists.bytes(WINDOW) + cost > self.window()
            && let Some((oldest, cost)) = self.lists.pop(WINDOW)
        {
            self.admit(oldest, cost);
        }
        self.lists.push(WINDOW, key, cost);
    }

    fn remove(&mut self, key: u32) {
        self.lists.remove(key);
    }

    fn used(&self) -> u64 {
        self.lists.bytes(WINDOW) + self.main_used()
    }
}

/// A count-min sketch of four rows whose counts are halved now and then.
#[derive(Clone, Debug)]
struct Sketch {
    counts: Vec<[u8; 4]>,
    added: usize,
}

impl Sketch {
    fn new(keys: usize) -> Self {
        Self { counts: vec![[0; 4]; keys.next_power_of_two().max(64)], added: 0 }
    }

    fn cells(&self, key: u32) -> [usize; 4] {
        let hash = mix(u64::from(key) + 1);
        std::array::from_fn(|row| (hash >> (16 * row)) as usize ^ (hash as usize) << row)
            .map(|cell| cell & (self.counts.len() - 1))
    }

    fn add(&mut self, key: u32) {
        for (row, cell) in self.cells(key).into_iter().enumerate() {
            let count = &mut self.counts[cell][row];
            *count = (*count + 1).min(15);
        }
        self.added += 1;
        if self.added >= 10 * self.counts.len() {
            self.added /= 2;
            self.counts.as_flattened_mut().iter_mut().for_each(|count| *count /= 2);
        }
    }

    fn frequency(&self, key: u32) -> u8 {
        let counts = self.cells(key).into_iter().enumerate();
        counts.map(|(row, cell)| self.counts[cell][row]).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::play;
    use super::*;

    #[test]
    fn what_is_rarer_than_the_victim_is_not_admitted() {
        // The window holds one, the main part three. a, b, c were seen twice; d, e, f once, so
        // each leaves the window for nothing.
        let mut cache = TinyLfu::new(4, 26);
        assert_eq!(play(&mut cache, "abcdabcdefabc"), "....abcd..abc");
        // d was seen twice as well, which is not more often. A third time makes the difference.
        assert_eq!(play(&mut cache, "ddde"), ".dd.");
    }

    #[test]
    fn counts_are_halved() {
        let mut sketch = Sketch::new(64);
        (0..12).for_each(|_| sketch.add(1));
        assert_eq!(sketch.frequency(1), 12);
        (0..628).for_each(|_| sketch.add(2));
        assert_eq!((sketch.frequency(1), sketch.frequency(2)), (6, 7));
    }
}
