//! Published eviction policies, simulated item by item: what they would keep if an item cost what
//! it is charged and nothing else were in the way. Keys are numbers from 0 on.

mod adaptive;
mod belady;
mod lhd;
mod lirs;
mod queues;
mod segmented;
mod tinylfu;
mod value;

pub use adaptive::Arc;
pub use belady::Belady;
pub use lhd::Lhd;
pub use lirs::Lirs;
pub use queues::{Clock, Fifo, Lru, Sieve};
pub use segmented::{S3Fifo, Slru, TwoQueues};
pub use tinylfu::TinyLfu;
pub use value::Gdsf;

/// An access to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The key.
    pub key: u32,
    /// Bytes that its item costs.
    pub cost: u64,
    /// When it is read next, as the number of that access; [`u32::MAX`] for never. Only
    /// [`Belady`] may look at it.
    pub next: u32,
}

/// An eviction policy with a budget in bytes.
pub trait Policy {
    /// Whether the key is there; a hit counts as a use.
    fn get(&mut self, access: Access) -> bool;
    /// Stores a key that is not there. An item above the budget is not kept.
    fn insert(&mut self, access: Access);
    /// Removes a key.
    fn remove(&mut self, key: u32);
    /// Bytes that are kept.
    fn used(&self) -> u64;
}

/// The policies that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// First in, first out.
    Fifo,
    /// Least recently used.
    Lru,
    /// FIFO with a second chance for what was used.
    Clock,
    /// Segmented LRU (Karedla et al., 1994).
    Slru,
    /// 2Q (Johnson and Shasha, VLDB 1994).
    TwoQueues,
    /// ARC (Megiddo and Modha, FAST 2003).
    Arc,
    /// LIRS (Jiang and Zhang, SIGMETRICS 2002).
    Lirs,
    /// S3-FIFO (Yang et al., SOSP 2023).
    S3Fifo,
    /// SIEVE (Zhang et al., NSDI 2024).
    Sieve,
    /// W-TinyLFU (Einziger et al., ACM ToS 2017) with a window of 1 %.
    TinyLfu,
    /// Greedy-Dual-Size-Frequency (Cherkasova, 1998).
    Gdsf,
    /// LHD (Beckmann et al., NSDI 2018).
    Lhd,
    /// The item that is read last in the future goes (Belady, 1966): no policy can do that.
    Belady,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Fifo,
        Self::Lru,
        Self::Clock,
        Self::Slru,
        Self::TwoQueues,
        Self::Arc,
        Self::Lirs,
        Self::S3Fifo,
        Self::Sieve,
        Self::TinyLfu,
        Self::Gdsf,
        Self::Lhd,
        Self::Belady,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fifo => "FIFO",
            Self::Lru => "LRU",
            Self::Clock => "CLOCK",
            Self::Slru => "SLRU",
            Self::TwoQueues => "2Q",
            Self::Arc => "ARC",
            Self::Lirs => "LIRS",
            Self::S3Fifo => "S3-FIFO",
            Self::Sieve => "SIEVE",
            Self::TinyLfu => "W-TinyLFU",
            Self::Gdsf => "GDSF",
            Self::Lhd => "LHD",
            Self::Belady => "Belady",
        }
    }

    /// An empty cache of `budget` bytes for keys `0..keys`.
    #[must_use]
    pub fn build(self, budget: u64, keys: usize) -> Box<dyn Policy> {
        match self {
            Self::Fifo => Box::new(Fifo::new(budget, keys)),
            Self::Lru => Box::new(Lru::new(budget, keys)),
            Self::Clock => Box::new(Clock::new(budget, keys)),
            Self::Slru => Box::new(Slru::new(budget, keys)),
            Self::TwoQueues => Box::new(TwoQueues::new(budget, keys)),
            Self::Arc => Box::new(Arc::new(budget, keys)),
            Self::Lirs => Box::new(Lirs::new(budget, keys)),
            Self::S3Fifo => Box::new(S3Fifo::new(budget, keys)),
            Self::Sieve => Box::new(Sieve::new(budget, keys)),
            Self::TinyLfu => Box::new(TinyLfu::new(budget, keys)),
            Self::Gdsf => Box::new(Gdsf::new(budget, keys)),
            Self::Lhd => Box::new(Lhd::new(budget, keys)),
            Self::Belady => Box::new(Belady::new(budget, keys)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rng::{RngExt as _, seeded};

    /// Reads keys `a` to `z` of one byte each, stores what is missing, and says what hit: a letter
    /// for a hit, a dot for a miss.
    pub(crate) fn play(policy: &mut dyn Policy, keys: &str) -> String {
        let keys: Vec<u32> = keys.bytes().map(|key| u32::from(key - b'a')).collect();
        let mut out = String::new();
        for (i, &key) in keys.iter().enumerate() {
            let next = keys[i + 1..].iter().position(|&later| later == key);
            let next = next.map_or(u32::MAX, |ahead| (i + 1 + ahead) as u32);
            let access = Access { key, cost: 1, next };
            if policy.get(access) {
                out.push(char::from(b'a' + key as u8));
            } else {
                policy.insert(access);
                out.push('.');
            }
        }
        out
    }

    #[test]
    fn no_policy_keeps_more_than_its_budget_or_loses_count() {
        for kind in Kind::ALL {
            let mut policy = kind.build(1000, 300);
            let mut rng = seeded(5);
            let mut hits = 0;
            for _ in 0..60_000 {
                let key = rng.random_range(0..300_u32).min(rng.random_range(0..300));
                let access = Access { key, cost: u64::from(key % 17 + 1), next: u32::MAX };
                if rng.random_range(0..50) == 0 {
                    policy.remove(key);
                } else if policy.get(access) {
                    hits += 1;
                } else {
                    policy.insert(access);
                }
                assert!(policy.used() <= 1000, "{}: {}", kind.name(), policy.used());
            }
            assert!(hits > 15_000, "{}: {hits}", kind.name());
            (0..300).for_each(|key| policy.remove(key));
            assert_eq!(policy.used(), 0, "{}", kind.name());
        }
    }

    #[test]
    fn what_is_larger_than_the_budget_is_not_kept() {
        for kind in Kind::ALL {
            let mut policy = kind.build(10, 2);
            let access = Access { key: 1, cost: 11, next: 5 };
            policy.insert(access);
            assert!(!policy.get(access), "{}", kind.name());
            assert_eq!(policy.used(), 0, "{}", kind.name());
        }
    }
}
