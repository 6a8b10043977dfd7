//! A cache that only keeps accounts: exact LRU under a budget, where an item costs what a price
//! list says. It is the yardstick for hit ratios.

use std::collections::HashMap;

/// What an item costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// Key and value alone: what no real cache can do.
    Bytes,
    /// What memcached 1.6 really takes: see [`Price::of`].
    Memcached,
}

impl Price {
    /// Bytes that a key and a value of these lengths cost.
    ///
    /// memcached's item has 48 bytes of header, 8 of version, the key with a zero byte and the
    /// value with a line end; it takes a whole chunk of its slab class, its share of what a page
    /// has left over, and 8 bytes of the hash table.
    #[must_use]
    pub fn of(self, key: usize, value: usize) -> u64 {
        match self {
            Self::Bytes => (key + value) as u64,
            Self::Memcached => {
                let mut item = ITEM_HEADER + key + 1 + value + 2;
                let mut cost = HASH_SLOT;
                // Larger items are chained from chunks of half a page.
                while item > CHUNK_MAX {
                    cost += CHUNK_MAX;
                    item = item - CHUNK_MAX + ITEM_HEADER;
                }
                (cost + chunk(item)) as u64
            }
        }
    }
}

/// The chunk for an item, with its share of the page's rest.
fn chunk(item: usize) -> usize {
    let mut size = CHUNK_MIN;
    while size < item {
        size = ((size as f64 * GROWTH) as usize).next_multiple_of(8);
        if size as f64 > CHUNK_MAX as f64 / GROWTH {
            size = CHUNK_MAX;
        }
    }
    PAGE / (PAGE / size)
}

const ITEM_HEADER: usize = 48 + 8;
const HASH_SLOT: usize = 8;
const CHUNK_MIN: usize = 96;
const CHUNK_MAX: usize = PAGE / 2;
const GROWTH: f64 = 1.25;
const PAGE: usize = 1 << 20;

/// Exact LRU over numbered keys.
#[derive(Clone, Debug)]
pub struct Lru {
    budget: u64,
    used: u64,
    places: HashMap<u64, u32>,
    nodes: Vec<Node>,
    free: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    key: u64,
    cost: u64,
    expiry: u32,
    newer: u32,
    older: u32,
}

impl Lru {
    /// An empty cache of `budget` bytes.
    #[must_use]
    pub fn new(budget: u64) -> Self {
        // The first node closes the ring: its `older` is the newest item, its `newer` the oldest.
        let ring = Node { key: 0, cost: 0, expiry: 0, newer: RING, older: RING };
        Self { budget, used: 0, places: HashMap::new(), nodes: vec![ring], free: Vec::new() }
    }

    /// Whether the key is there at this second; makes it the newest.
    pub fn get(&mut self, key: u64, now: u32) -> bool {
        let Some(&place) = self.places.get(&key) else { return false };
        if self.nodes[place as usize].expiry <= now {
            self.delete(key);
            return false;
        }
        self.unlink(place);
        self.link_newest(place);
        true
    }

    /// Stores a key until second `expiry`, evicting the oldest as needed. False if it can't fit.
    pub fn set(&mut self, key: u64, cost: u64, expiry: u32) -> bool {
        self.delete(key);
        if cost > self.budget {
            return false;
        }
        while self.used + cost > self.budget {
            let oldest = self.nodes[RING as usize].newer;
            self.delete(self.nodes[oldest as usize].key);
        }
        self.used += cost;
        let node = Node { key, cost, expiry, newer: RING, older: RING };
        let place = match self.free.pop() {
            Some(place) => {
                self.nodes[place as usize] = node;
                place
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.link_newest(place);
        self.places.insert(key, place);
        true
    }

    /// Forgets a key.
    pub fn delete(&mut self, key: u64) {
        if let Some(place) = self.places.remove(&key) {
            self.unlink(place);
            self.used -= self.nodes[place as usize].cost;
            self.free.push(place);
        }
    }

    /// Keys that are there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn unlink(&mut self, place: u32) {
        let Node { newer, older, .. } = self.nodes[place as usize];
        self.nodes[newer as usize].older = older;
        self.nodes[older as usize].newer = newer;
    }

    fn link_newest(&mut self, place: u32) {
        let second = self.nodes[RING as usize].older;
        let node = &mut self.nodes[place as usize];
        (node.newer, node.older) = (RING, second);
        self.nodes[second as usize].newer = place;
        self.nodes[RING as usize].older = place;
    }
}

const RING: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{RngExt as _, seeded};

    const FOREVER: u32 = u32::MAX;

    #[test]
    fn the_oldest_goes_first() {
        let mut lru = Lru::new(30);
        for key in 1..=3 {
            assert!(lru.set(key, 10, FOREVER));
        }
        assert!(lru.get(1, 0));
        assert!(lru.set(4, 10, FOREVER));
        let there: Vec<_> = (1..=4).filter(|&key| lru.get(key, 0)).collect();
        assert_eq!(there, [1, 3, 4]);
        assert!(lru.set(5, 25, FOREVER));
        assert_eq!(lru.len(), 1);
        assert!(!lru.set(5, 31, FOREVER));
        assert!(lru.is_empty());
    }

    #[test]
    fn an_expired_key_is_gone() {
        let mut lru = Lru::new(30);
        lru.set(1, 10, 5);
        assert!(lru.get(1, 4));
        assert!(!lru.get(1, 5));
        assert!(lru.is_empty());
    }

    #[test]
    fn it_does_what_a_list_does() {
        let mut lru = Lru::new(100);
        let mut list = Vec::<(u64, u64)>::new();
        let mut rng = seeded(1);
        for _ in 0..20_000 {
            let key = rng.random_range(0..40);
            let cost = rng.random_range(1..=20);
            let place = list.iter().position(|&(k, _)| k == key);
            match rng.random_range(0..4) {
                0 => {
                    lru.delete(key);
                    list.retain(|&(k, _)| k != key);
                }
                1 => {
                    lru.set(key, cost, FOREVER);
                    list.retain(|&(k, _)| k != key);
                    while list.iter().map(|&(_, c)| c).sum::<u64>() + cost > 100 {
                        list.remove(0);
                    }
                    list.push((key, cost));
                }
                _ => {
                    assert_eq!(lru.get(key, 0), place.is_some());
                    if let Some(place) = place {
                        let item = list.remove(place);
                        list.push(item);
                    }
                }
            }
            assert_eq!(lru.len(), list.len());
        }
    }

    #[test]
    fn memcached_takes_whole_chunks() {
        // 56 + 20 + 1 + 10 + 2 = 89 bytes in a chunk of 96; 10922 of them fill a page.
        assert_eq!(Price::Memcached.of(20, 10), 96 + 8);
        // 179 bytes in a chunk of 192 (the third class: 96, 120, 152, 192).
        assert_eq!(Price::Memcached.of(20, 100), 192 + 8);
        // 1079 bytes in a chunk of 1184, of which a page takes 885.
        assert_eq!(Price::Memcached.of(20, 1000), 1184 + 8);
        // Two half pages, the second with a header of its own.
        let large = Price::Memcached.of(20, 600_000);
        assert!((CHUNK_MAX as u64 + 75_000..900_000).contains(&large), "{large}");
        assert_eq!(Price::Bytes.of(20, 10), 30);
    }
}
