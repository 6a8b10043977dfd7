//! What is asked next. It appends requests to a buffer and remembers nothing about replies.

use super::Load;
use crate::rng::{Rng as _, RngExt as _, SplitMix64, mix, seeded};
use crate::value::{push_key, push_value};
use crate::wire::push_set_line;
use crate::zipf::Zipf;

/// A request that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A get of this number of keys.
    Get(usize),
    /// A set.
    Set,
}

/// One thread's stream of requests.
#[derive(Debug)]
pub(super) struct Source {
    load: Load,
    rng: SplitMix64,
    /// Ranks drawn beforehand: drawing costs more than the rest of a request.
    ranks: Vec<u32>,
    next_rank: usize,
    key: Vec<u8>,
    get_bound: u64,
}

impl Source {
    pub(super) fn new(load: &Load, thread: usize) -> Self {
        let mut rng = seeded(mix(load.seed) ^ thread as u64);
        let mut ranks = Vec::new();
        if load.zipf > 0.0 {
            let zipf = Zipf::new(load.keys, load.zipf);
            ranks.extend((0..RANKS).map(|_| zipf.rank(&mut rng) - 1));
        }
        let get_bound = (load.gets * f64::from(u32::MAX)) as u64;
        Self { load: load.clone(), rng, ranks, next_rank: 0, key: Vec::new(), get_bound }
    }

    /// Appends the next request to `out`, and the numbers of its keys to `keys`.
    pub(super) fn next(&mut self, out: &mut Vec<u8>, keys: &mut impl Extend<u32>) -> Asked {
        let is_get = self.get_bound >= u64::from(u32::MAX)
            || self.rng.next_u64() & u64::from(u32::MAX) < self.get_bound;
        if !is_get {
            let key = self.pick();
            keys.extend([key]);
            self.set(out, key);
            return Asked::Set;
        }
        out.extend_from_slice(b"get");
        for _ in 0..self.load.width {
            let key = self.pick();
            keys.extend([key]);
            out.push(b' ');
            push_key(out, key, self.load.key_size);
        }
        out.extend_from_slice(b"\r\n");
        Asked::Get(self.load.width)
    }

    /// Appends a set of `key`.
    pub(super) fn set(&mut self, out: &mut Vec<u8>, key: u32) {
        let len = self.load.sizes.of(key);
        self.key.clear();
        push_key(&mut self.key, key, self.load.key_size);
        push_set_line(out, &self.key, 0, len);
        push_value(out, key, len);
        out.extend_from_slice(b"\r\n");
    }

    fn pick(&mut self) -> u32 {
        if self.ranks.is_empty() {
            return self.rng.random_range(0..self.load.keys);
        }
        let rank = self.ranks[self.next_rank];
        self.next_rank = (self.next_rank + 1) & (RANKS - 1);
        // Popular keys must not be neighbours in the order of storing.
        ((u64::from(rank) * SPREAD) % u64::from(self.load.keys)) as u32
    }
}

/// A power of two.
const RANKS: usize = 1 << 22;

/// A prime above any number of keys, so that the spread is a permutation.
const SPREAD: u64 = 4_294_967_311;
