//! GDSF: frequency by size, with a floor that rises to the value of what was evicted last.

use std::collections::BTreeSet;

use super::{Access, Policy};

/// Greedy-Dual-Size-Frequency, exact.
#[derive(Clone, Debug)]
pub struct Gdsf {
    items: Vec<Item>,
    /// Values as bits, which are ordered as the values are, then the order of use.
    order: BTreeSet<(u64, u64, u32)>,
    floor: f64,
    uses: u64,
    used: u64,
    budget: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Item {
    /// 0 for one that is not there.
    cost: u64,
    frequency: u64,
    place: (u64, u64),
}

impl Gdsf {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        let items = vec![Item::default(); keys];
        Self { items, order: BTreeSet::new(), floor: 0.0, uses: 0, used: 0, budget }
    }

    fn enter(&mut self, key: u32) {
        self.uses += 1;
        let item = &mut self.items[key as usize];
        let value = self.floor + item.frequency as f64 / item.cost as f64;
        item.place = (value.to_bits(), self.uses);
        self.order.insert((item.place.0, item.place.1, key));
    }

    fn leave(&mut self, key: u32) {
        let (value, use_) = self.items[key as usize].place;
        self.order.remove(&(value, use_, key));
    }
}

impl Policy for Gdsf {
    fn get(&mut self, Access { key, .. }: Access) -> bool {
        if self.items[key as usize].cost == 0 {
            return false;
        }
        self.leave(key);
        self.items[key as usize].frequency += 1;
        self.enter(key);
        true
    }

    fn insert(&mut self, Access { key, cost, .. }: Access) {
        if cost > self.budget {
            return;
        }
        while self.used + cost > self.budget
            && let Some((value, _, victim)) = self.order.pop_first()
        {
            self.floor = f64::from_bits(value);
            self.used -= std::mem::take(&mut self.items[victim as usize].cost);
        }
        self.used += cost;
        self.items[key as usize] = Item { cost, frequency: 1, place: (0, 0) };
        self.enter(key);
    }

    fn remove(&mut self, key: u32) {
        self.leave(key);
        self.used -= std::mem::take(&mut self.items[key as usize].cost);
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
    fn the_floor_rises() {
        // a has 3 uses, b 2, c 1: c goes for d and the floor is 1. d has 2 then, as b has, and b
        // was used earlier: b goes for e, which then has 3.
        let mut cache = Gdsf::new(3, 26);
        assert_eq!(play(&mut cache, "aaabbcde"), ".aa.b...");
        assert!(cache.floor == 2.0 && cache.items[1].cost == 0 && cache.items[3].cost == 1);
    }

    #[test]
    fn the_larger_goes_first() {
        let mut cache = Gdsf::new(10, 3);
        for (key, cost) in [(0, 6), (1, 3), (2, 4)] {
            cache.insert(Access { key, cost, next: 0 });
        }
        assert_eq!(cache.items.iter().map(|item| item.cost).collect::<Vec<_>>(), [0, 3, 4]);
    }
}
