//! LHD: the item with the fewest expected hits per byte and time goes, as learned by age.

use super::{Access, Policy};
use crate::rng::{RngExt as _, SplitMix64, seeded};

/// Classes by the distance of an item's last two uses.
const CLASSES: usize = 16;
/// Ages that are told apart in each.
const AGES: usize = 1 << 10;
/// Items of which the worst goes.
const SAMPLE: usize = 32;
/// Share of what was learned that is kept at each round.
const KEPT: f64 = 0.9;

/// LHD with sampled eviction.
#[derive(Clone, Debug)]
pub struct Lhd {
    items: Vec<Item>,
    /// Keys that are there.
    keys: Vec<u32>,
    classes: Vec<Class>,
    now: u64,
    /// Accesses of one step of age, as a power of two.
    shift: u32,
    next_round: u64,
    used: u64,
    budget: u64,
    rng: SplitMix64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Item {
    /// 0 for one that is not there.
    cost: u64,
    place: u32,
    last: u64,
    /// The ages of its last two uses.
    ages: [u64; 2],
}

#[derive(Clone, Debug)]
struct Class {
    hits: Vec<f64>,
    evictions: Vec<f64>,
    density: Vec<f64>,
}

impl Lhd {
    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn new(budget: u64, keys: usize) -> Self {
        // Before anything is known, recency and size decide.
        let density = (0..AGES).map(|age| 1.0 / (age + 1) as f64).collect();
        let class = Class { hits: vec![0.0; AGES], evictions: vec![0.0; AGES], density };
        Self {
            items: vec![Item::default(); keys],
            keys: Vec::new(),
            classes: vec![class; CLASSES],
            now: 0,
            shift: 0,
            next_round: 1 << 12,
            used: 0,
            budget,
            rng: seeded(1),
        }
    }

    fn age(&self, item: &Item) -> usize {
        (((self.now - item.last) >> self.shift) as usize).min(AGES - 1)
    }

    fn class(&self, item: &Item) -> usize {
        let age = item.ages[0].saturating_add(item.ages[1]) >> self.shift;
        // The shorter the distance, the higher the class; what was never used is in class 0.
        match age {
            0 => CLASSES - 1,
            age => (AGES.ilog2() + 1).saturating_sub(age.ilog2()).min(CLASSES as u32 - 1) as usize,
        }
    }

    fn density(&self, item: &Item) -> f64 {
        self.classes[self.class(item)].density[self.age(item)] / item.cost as f64
    }

    fn evict(&mut self) {
        let sampled = (0..SAMPLE).map(|_| self.rng.random_range(0..self.keys.len()));
        let sampled: Vec<_> = sampled.map(|place| self.keys[place]).collect();
        let density = |key: u32| self.density(&self.items[key as usize]);
        let worst = sampled.into_iter().min_by(|&a, &b| density(a).total_cmp(&density(b)));
        if let Some(key) = worst {
            let item = self.items[key as usize];
            let (class, age) = (self.class(&item), self.age(&item));
            self.classes[class].evictions[age] += 1.0;
            self.remove(key);
        }
    }

    /// Forgets a part, adapts the step of ages and computes densities: from the oldest age down,
    /// expected hits by expected remaining life.
    fn round(&mut self) {
        let (mut all, mut over) = (0.0, 0.0);
        for class in &mut self.classes {
            class.hits.iter_mut().chain(&mut class.evictions).for_each(|count| *count *= KEPT);
            all += class.hits.iter().chain(&class.evictions).sum::<f64>();
            over += class.hits[AGES - 1] + class.evictions[AGES - 1];
        }
        if over > all / 100.0 {
            self.shift += 1;
            for class in &mut self.classes {
                for counts in [&mut class.hits, &mut class.evictions] {
                    let half: Vec<_> = counts.chunks(2).map(|pair| pair.iter().sum()).collect();
                    counts.fill(0.0);
                    counts[..half.len()].copy_from_slice(&half);
                }
            }
        }
        for class in &mut self.classes {
            let (mut hits, mut events, mut life) = (0.0, 0.0, 0.0);
            for age in (0..AGES).rev() {
                hits += class.hits[age];
                events += class.hits[age] + class.evictions[age];
                life += events;
                class.density[age] = if life > 0.0 { hits / life } else { 0.0 };
            }
        }
        self.next_round = self.now + (self.keys.len() as u64).max(1 << 12);
    }
}

impl Policy for Lhd {
    fn get(&mut self, Access { key, .. }: Access) -> bool {
        self.now += 1;
        if self.now >= self.next_round {
            self.round();
        }
        let item = self.items[key as usize];
        if item.cost == 0 {
            return false;
        }
        let (class, age) = (self.class(&item), self.age(&item));
        self.classes[class].hits[age] += 1.0;
        let ages = [item.ages[1], self.now - item.last];
        self.items[key as usize] = Item { last: self.now, ages, ..item };
        true
    }

    fn insert(&mut self, Access { key, cost, .. }: Access) {
        if cost > self.budget {
            return;
        }
        while self.used + cost > self.budget {
            self.evict();
        }
        let place = self.keys.len() as u32;
        // Ages of uses that never were are as long as can be.
        let ages = [0, u64::MAX >> 2];
        self.items[key as usize] = Item { cost, place, last: self.now, ages };
        self.keys.push(key);
        self.used += cost;
    }

    fn remove(&mut self, key: u32) {
        let item = std::mem::take(&mut self.items[key as usize]);
        if item.cost > 0 {
            self.used -= item.cost;
            self.keys.swap_remove(item.place as usize);
            if let Some(&moved) = self.keys.get(item.place as usize) {
                self.items[moved as usize].place = item.place;
            }
        }
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
    fn density_is_hits_by_remaining_life() {
        let mut lhd = Lhd::new(100, 4);
        // Of class 0, three items were hit at age 1 and one evicted at age 3. From age 0 on: 3 hits
        // by a life of 3 + 1 (age 0 counts with all 4, age 1 with 4, ages 2 and 3 with 1 each).
        lhd.classes[0].hits[1] = 3.0 / KEPT;
        lhd.classes[0].evictions[3] = 1.0 / KEPT;
        lhd.round();
        let density = |age: usize| lhd.classes[0].density[age];
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(density(0), 3.0 / 10.0) && near(density(1), 3.0 / 6.0));
        assert!(near(density(2), 0.0) && near(density(3), 0.0));
    }

    #[test]
    fn before_anything_is_known_it_is_lru() {
        // All are sampled with near certainty: d pushes b out, b then c.
        assert_eq!(play(&mut Lhd::new(3, 26), "abcadab"), "...a.a.");
    }
}
