//! Other caches, with weights in bytes: key, value and what an entry takes beside them.

use std::sync::Arc;

use super::engine::{Engine, Needs};
use super::{KEY_SIZE, VALUE_SIZE};

/// The other caches.
pub(super) fn rivals(needs: Needs) -> Vec<Box<dyn Engine>> {
    let quick = quick_cache::sync::Cache::with_weighter(
        (needs.budget(QUICK_OVERHEAD) / (KEY_SIZE + VALUE_SIZE + QUICK_OVERHEAD) as u64) as usize,
        needs.budget(QUICK_OVERHEAD),
        Weighter,
    );
    let moka = moka::sync::Cache::builder()
        .max_capacity(needs.budget(MOKA_OVERHEAD))
        .weigher(|key: &Key, value: &Value| (key.len() + value.len() + MOKA_OVERHEAD) as u32)
        .build();
    vec![Box::new(Quick(quick)), Box::new(Moka(moka))]
}

type Key = Box<[u8]>;
type Value = Arc<[u8]>;

struct Quick(quick_cache::sync::Cache<Key, Value, Weighter>);

#[derive(Clone)]
struct Weighter;

impl quick_cache::Weighter<Key, Value> for Weighter {
    fn weight(&self, key: &Key, value: &Value) -> u64 {
        (key.len() + value.len() + QUICK_OVERHEAD) as u64
    }
}

impl Engine for Quick {
    fn name(&self) -> &'static str {
        "quick_cache"
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.0.get(key).map(|value| out.extend_from_slice(&value)).is_some()
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.0.insert(key.into(), value.into());
    }
}

struct Moka(moka::sync::Cache<Key, Value>);

impl Engine for Moka {
    fn name(&self) -> &'static str {
        "moka"
    }

    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.0.get(key).map(|value| out.extend_from_slice(&value)).is_some()
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.0.insert(key.into(), value.into());
    }
}

/// What resident memory showed per entry beyond key and value.
const QUICK_OVERHEAD: usize = 100;
const MOKA_OVERHEAD: usize = 360;
