//! The interface of a cache under measurement, and this workspace's cache behind it.

use memcore::{Attrs, Cache};

use super::{KEY_SIZE, VALUE_SIZE};

/// A cache under measurement.
pub trait Engine: Sync {
    /// Copies the value into `out`, which is empty; false if the key is not there.
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool;
    /// Copies the values of all keys behind each other; returns how many there were.
    fn get_many(&self, keys: &[[u8; KEY_SIZE]], out: &mut Vec<u8>) -> usize {
        keys.iter().filter(|key| self.get(&key[..], out)).count()
    }
    /// Stores a value.
    fn set(&self, key: &[u8], value: &[u8]);
}

/// A cache that can be built for a measurement.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// What tables call it.
    pub name: &'static str,
    /// Whether it evicts what it has no room for.
    pub evicts: bool,
    build: fn(Needs) -> Box<dyn Engine>,
}

impl Candidate {
    pub(super) const fn new(name: &'static str, build: fn(Needs) -> Box<dyn Engine>) -> Self {
        Self { name, evicts: true, build }
    }

    #[cfg(feature = "rivals")]
    pub(super) const fn without_evictions(
        name: &'static str,
        build: fn(Needs) -> Box<dyn Engine>,
    ) -> Self {
        Self { evicts: false, ..Self::new(name, build) }
    }

    /// Builds an empty one.
    ///
    /// # Panics
    /// If it can't be built.
    #[must_use]
    pub fn build(&self, needs: Needs) -> Box<dyn Engine> {
        (self.build)(needs)
    }
}

/// What the caches must be able to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// So many items at once.
    Items(u32),
    /// Bytes, whatever fits.
    Bytes(u64),
}

impl Needs {
    /// The byte budget of a cache that takes `overhead` bytes an item beyond key and value.
    #[must_use]
    pub fn budget(self, overhead: usize) -> u64 {
        match self {
            // A third to spare: shards and segments are never filled evenly.
            Self::Items(items) => {
                u64::from(items) * (KEY_SIZE + VALUE_SIZE + overhead) as u64 * 4 / 3 + (16 << 20)
            }
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The cache of this workspace.
pub(super) struct Own(Cache);

impl Own {
    pub(super) fn new(needs: Needs, huge_pages: bool) -> Self {
        let builder = Cache::builder(needs.budget(OWN_OVERHEAD) as usize);
        let builder = if huge_pages { builder } else { builder.huge_pages(false) };
        Self(builder.build().expect("a limit that is large enough"))
    }
}

impl Engine for Own {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.0.get_into(key, out).is_some()
    }

    fn get_many(&self, keys: &[[u8; KEY_SIZE]], out: &mut Vec<u8>) -> usize {
        let mut hits = 0;
        self.0.get_many(keys, |_, _, value| {
            out.extend_from_slice(value);
            hits += 1;
        });
        hits
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        // Refusals show as missing keys.
        let _ = self.0.set(key, value, Attrs::new());
    }
}

/// Bytes that an item takes beyond key and value.
const OWN_OVERHEAD: usize = 42;
