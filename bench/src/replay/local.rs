//! Replay in this process, with the trace's own clock.

use memcore::{Attrs, Builder, Cache, ConfigError, Expiry, Fetch, Fetched, ManualClock, Moment};

use super::Counts;
use crate::lru::{Lru, Price};
use crate::trace::{KeyInfo, Op, Trace, value_index};
use crate::value::{is_value, push_value};

/// A key of a trace in one of its copies.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    trace: &'a Trace,
    key: u32,
    copy: u8,
}

impl Asked<'_> {
    fn info(&self) -> KeyInfo {
        self.trace.keys[self.key as usize]
    }

    fn expiry(&self, now: u32) -> Option<u32> {
        let ttl = self.info().ttl;
        (ttl != 0).then(|| now.saturating_add(ttl))
    }
}

/// Something that a trace can be replayed against.
pub trait Subject {
    /// Whether the key is there; counts as a use.
    fn get(&mut self, asked: Asked<'_>, now: u32) -> bool;
    /// Stores the key; false if it was refused.
    fn set(&mut self, asked: Asked<'_>, now: u32) -> bool;
    /// Deletes the key.
    fn delete(&mut self, asked: Asked<'_>);
}

/// Replays `copies` interleaved copies of a trace.
pub fn replay(trace: &Trace, copies: u8, subject: &mut impl Subject) -> Counts {
    let mut counts = Counts::default();
    for (request, copy) in trace.interleaved(copies) {
        let asked = Asked { trace, key: request.key, copy };
        let set = match request.op {
            Op::Get => {
                let hit = subject.get(asked, request.second);
                counts.count_get(asked.info().value_size, hit);
                !hit
            }
            Op::Set => true,
            Op::Delete => {
                subject.delete(asked);
                false
            }
        };
        if set && !subject.set(asked, request.second) {
            counts.refused += 1;
        }
    }
    counts
}

/// A cache of this workspace.
#[derive(Debug)]
pub struct Embedded {
    cache: Cache,
    clock: ManualClock,
    calls: u32,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Embedded {
    /// An empty cache of `budget` bytes.
    ///
    /// # Errors
    /// If the cache refuses such a budget.
    pub fn new(budget: usize) -> Result<Self, ConfigError> {
        Self::build(budget, Cache::builder(budget))
    }

    /// The same with this weight of sizes in eviction.
    ///
    /// # Errors
    /// If the cache refuses such a budget.
    pub fn with_size_weight(budget: usize, weight: f32) -> Result<Self, ConfigError> {
        Self::build(budget, Cache::builder(budget).evict_size_weight(weight))
    }

    fn build(budget: usize, builder: Builder) -> Result<Self, ConfigError> {
        let clock = ManualClock::new(Moment::from_secs(EPOCH));
        let builder = builder.max_item_size((budget / 2).min(1 << 20));
        let cache = builder.clock(clock.clone()).seed(1).build()?;
        Ok(Self { cache, clock, calls: 0, key: Vec::new(), value: Vec::new() })
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Moves the time, and does what a server's maintenance thread would do meanwhile.
    fn step(&mut self, now: u32) {
        self.clock.set(Moment::from_secs(EPOCH + now));
        self.calls += 1;
        if self.calls.is_multiple_of(CALLS_PER_STEP) {
            self.cache.maintain(CALLS_PER_STEP as usize);
        }
    }
}

impl Subject for Embedded {
    fn get(&mut self, asked: Asked<'_>, now: u32) -> bool {
        self.step(now);
        asked.trace.write_key(asked.key, asked.copy, &mut self.key);
        self.value.clear();
        let fetch = Fetch::new();
        match self.cache.fetch(&self.key[..], &fetch, &mut self.value, |_, _| {}) {
            Fetched::Miss(_) => false,
            _ => {
                let right = is_value(&self.value, value_index(asked.key, asked.copy));
                assert!(right, "wrong bytes under key {}", asked.key);
                true
            }
        }
    }

    fn set(&mut self, asked: Asked<'_>, now: u32) -> bool {
        asked.trace.write_key(asked.key, asked.copy, &mut self.key);
        self.value.clear();
        let index = value_index(asked.key, asked.copy);
        push_value(&mut self.value, index, asked.info().value_size as usize);
        let expiry =
            asked.expiry(now).map_or(Expiry::Never, |at| Expiry::At(Moment::from_secs(EPOCH + at)));
        let attrs = Attrs::new().expiry(expiry);
        self.cache.set(&self.key[..], &self.value, attrs).is_ok()
    }

    fn delete(&mut self, asked: Asked<'_>) {
        asked.trace.write_key(asked.key, asked.copy, &mut self.key);
        self.cache.delete(&self.key[..]);
    }
}

/// Exact LRU at some price per item.
#[derive(Clone, Debug)]
pub struct Simulated {
    lru: Lru,
    price: Price,
}

impl Simulated {
    /// An empty simulation of `budget` bytes.
    #[must_use]
    pub fn new(budget: u64, price: Price) -> Self {
        Self { lru: Lru::new(budget), price }
    }
}

impl Subject for Simulated {
    fn get(&mut self, asked: Asked<'_>, now: u32) -> bool {
        self.lru.get(lru_key(asked), now)
    }

    fn set(&mut self, asked: Asked<'_>, now: u32) -> bool {
        let KeyInfo { value_size, key_size, .. } = asked.info();
        let cost = self.price.of(usize::from(key_size), value_size as usize);
        let expiry = asked.expiry(now).unwrap_or(u32::MAX);
        self.lru.set(lru_key(asked), cost, expiry)
    }

    fn delete(&mut self, asked: Asked<'_>) {
        self.lru.delete(lru_key(asked));
    }
}

fn lru_key(asked: Asked<'_>) -> u64 {
    (u64::from(asked.copy) << 32) | u64::from(asked.key)
}

/// The second at which traces begin; any will do that leaves room behind it.
const EPOCH: u32 = 1_000_000_000;
const CALLS_PER_STEP: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Request, Synthetic, synthetic};

    /// Key 0 is asked for at seconds 0, 1 and 20, key 1 never fits.
    fn trace() -> Trace {
        let info = |value_size, ttl| KeyInfo { value_size, ttl, key_size: 10 };
        let request = |second, key, op| Request { second, key, op };
        Trace {
            keys: vec![info(90, 10), info(2_000_000, 0)],
            requests: vec![
                request(0, 0, Op::Get),
                request(1, 0, Op::Get),
                request(20, 0, Op::Get),
                request(20, 1, Op::Get),
                request(21, 0, Op::Delete),
                request(22, 0, Op::Get),
                request(22, 0, Op::Set),
            ],
        }
    }

    const EXPECTED: Counts =
        Counts { gets: 5, hits: 1, bytes: 4 * 90 + 2_000_000, bytes_hit: 90, refused: 1 };

    #[test]
    fn a_simulation_counts_hits_expiry_and_refusals() {
        let mut lru = Simulated::new(1 << 20, Price::Bytes);
        assert_eq!(replay(&trace(), 1, &mut lru), EXPECTED);
    }

    #[test]
    fn the_cache_counts_the_same() {
        let mut embedded = Embedded::new(16 << 20).unwrap();
        assert_eq!(replay(&trace(), 1, &mut embedded), EXPECTED);
        assert_eq!(embedded.cache().stats().total.items, 1);
    }

    #[test]
    fn copies_share_the_budget_fairly() {
        let wanted = Synthetic { keys: 1000, requests: 50_000, exponent: 0.9, seed: 1 };
        let trace = synthetic(&wanted);
        let ratio = |copies: u8| {
            let mut lru = Simulated::new(50_000 * u64::from(copies), Price::Memcached);
            replay(&trace, copies, &mut lru).hit_ratio()
        };
        assert!((ratio(1) - ratio(4)).abs() < 0.01, "{} {}", ratio(1), ratio(4));
        assert!((0.2..0.8).contains(&ratio(1)), "{}", ratio(1));
    }
}
