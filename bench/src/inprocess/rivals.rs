//! Other caches, with weights in bytes: key, value and what an entry takes beside them. Each is
//! built as its documentation begins, with nothing tuned but its capacity.

use std::hash::RandomState;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::engine::{Candidate, Engine, Needs};
use super::{KEY_SIZE, VALUE_SIZE};

pub(super) const RIVALS: [Candidate; 6] = [
    Candidate::new("quick_cache", |needs| Box::new(Quick::new(needs))),
    Candidate::new("moka", |needs| Box::new(Moka::new(needs))),
    Candidate::new("mini-moka", |needs| Box::new(MiniMoka::new(needs))),
    Candidate::new("foyer", |needs| Box::new(Foyer::new(needs))),
    Candidate::new("segcache", |needs| Box::new(Seg::new(needs))),
    Candidate::without_evictions("Mutex<HashMap>", |needs| Box::new(Locked::new(needs))),
];

type Key = Box<[u8]>;
/// What a cache clones for each lookup.
type Shared = Arc<[u8]>;

struct Quick(quick_cache::sync::Cache<Key, Shared, Weighter>);

impl Quick {
    fn new(needs: Needs) -> Self {
        let budget = needs.budget(QUICK_OVERHEAD);
        let items = budget / (KEY_SIZE + VALUE_SIZE + QUICK_OVERHEAD) as u64;
        Self(quick_cache::sync::Cache::with_weighter(items as usize, budget, Weighter))
    }
}

#[derive(Clone)]
struct Weighter;

impl quick_cache::Weighter<Key, Shared> for Weighter {
    fn weight(&self, key: &Key, value: &Shared) -> u64 {
        (key.len() + value.len() + QUICK_OVERHEAD) as u64
    }
}

impl Engine for Quick {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.0.get(key).map(|value| out.extend_from_slice(&value)).is_some()
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.0.insert(key.into(), value.into());
    }
}

struct Moka(moka::sync::Cache<Key, Shared>);

impl Moka {
    fn new(needs: Needs) -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity(needs.budget(MOKA_OVERHEAD))
            .weigher(|key: &Key, value: &Shared| (key.len() + value.len() + MOKA_OVERHEAD) as u32)
            .build();
        Self(cache)
    }
}

impl Engine for Moka {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.0.get(key).map(|value| out.extend_from_slice(&value)).is_some()
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.0.insert(key.into(), value.into());
    }
}

struct MiniMoka(mini_moka::sync::Cache<Key, Shared>);

impl MiniMoka {
    fn new(needs: Needs) -> Self {
        let weight = |key: &Key, value: &Shared| (key.len() + value.len() + MINI_OVERHEAD) as u32;
        let cache = mini_moka::sync::Cache::builder()
            .max_capacity(needs.budget(MINI_OVERHEAD))
            .weigher(weight)
            .build();
        Self(cache)
    }
}

impl Engine for MiniMoka {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        // It looks up by a reference to what its keys are.
        let key = Key::from(key);
        self.0.get(&key).map(|value| out.extend_from_slice(&value)).is_some()
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.0.insert(key.into(), value.into());
    }
}

/// Its cache in memory, as the hybrid one has it too.
struct Foyer(foyer_memory::Cache<Key, Key>);

impl Foyer {
    fn new(needs: Needs) -> Self {
        let weight = |key: &Key, value: &Key| key.len() + value.len() + FOYER_OVERHEAD;
        let budget = needs.budget(FOYER_OVERHEAD) as usize;
        Self(foyer_memory::CacheBuilder::new(budget).with_weighter(weight).build())
    }
}

impl Engine for Foyer {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.0.get(key).map(|entry| out.extend_from_slice(entry.value())).is_some()
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.0.insert(key.into(), value.into());
    }
}

struct Seg(segcache::Segcache);

impl Seg {
    fn new(needs: Needs) -> Self {
        let budget = needs.budget(SEG_OVERHEAD);
        let items = budget / (KEY_SIZE + VALUE_SIZE + SEG_OVERHEAD) as u64;
        // One of eight slots is the bucket's own.
        let power = (items * 8 / 7).next_power_of_two().trailing_zeros();
        let table = 8 << power;
        let segments = (budget - table) >> SEGMENT.trailing_zeros();
        let cache = segcache::Segcache::builder()
            .hash_power(power as u8)
            .segment_size(SEGMENT)
            .heap_size(segments as usize * SEGMENT as usize)
            .eviction(segcache::Policy::Merge { max: 8, merge: 4, compact: 2 })
            .build();
        Self(cache.expect("memory for segments"))
    }
}

impl Engine for Seg {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        match self.0.get(key).as_ref().map(segcache::Item::value) {
            Some(segcache::Value::Bytes(value)) => out.extend_from_slice(value),
            _ => return false,
        }
        true
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        // Refusals show as missing keys.
        let _ = self.0.insert(key, value, None, Duration::ZERO);
    }
}

/// No cache, but what many programs begin with: a map under a lock, which never evicts.
struct Locked(Mutex<hashbrown::HashMap<Key, Key, RandomState>>);

impl Locked {
    fn new(_: Needs) -> Self {
        Self(Mutex::new(hashbrown::HashMap::with_hasher(RandomState::new())))
    }
}

impl Engine for Locked {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(key).map(|value| out.extend_from_slice(value)).is_some()
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(key.into(), value.into());
    }
}

// What an entry takes beyond key and value, as `inprocess --bytes` shows it.
const QUICK_OVERHEAD: usize = 100;
const MOKA_OVERHEAD: usize = 360;
const MINI_OVERHEAD: usize = 330;
const FOYER_OVERHEAD: usize = 170;
const SEG_OVERHEAD: usize = 40;
/// Its own default.
const SEGMENT: i32 = 1 << 20;
