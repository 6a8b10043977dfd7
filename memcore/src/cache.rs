//! The cache: every operation on `&self`, from any thread.

use crate::*;

/// A cache of byte strings with a hard memory limit. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub struct Cache(());

/// A key with its hash, so that a caller that needs both hashes once.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    pub(crate) bytes: &'k [u8],
    pub(crate) hash: u64,
}

/// What can be looked up: bytes, or a [`Key`] that was hashed before by the same cache.
pub trait AsKey {
    /// The key, hashed by `cache`.
    fn as_key(&self, cache: &Cache) -> Key<'_>;
}
impl AsKey for Key<'_> {
    fn as_key(&self, _cache: &Cache) -> Key<'_> {
        *self
    }
}
impl<T: AsRef<[u8]> + ?Sized> AsKey for T {
    fn as_key(&self, cache: &Cache) -> Key<'_> {
        cache.key(self.as_ref())
    }
}

impl Cache {
    /// A cache of `limit` bytes with default settings.
    pub fn new(limit: usize) -> Result<Self, ConfigError> {
        Self::builder(limit).build()
    }
    /// Starts building a cache of `limit` bytes.
    pub fn builder(limit: usize) -> Builder {
        Builder::new(limit)
    }
    pub(crate) fn from_builder(_b: Builder) -> Result<Self, ConfigError> {
        todo!()
    }
    /// The clock's current second.
    pub fn now(&self) -> u32 {
        todo!()
    }
    /// Hashes a key once for several operations.
    pub fn key<'k>(&self, _bytes: &'k [u8]) -> Key<'k> {
        todo!()
    }
    /// Stage 1 of a batch: brings the index lines of the keys into the processor's cache.
    pub fn prefetch_index(&self, _keys: &[Key<'_>]) {
        todo!()
    }
    /// Stage 2 of a batch: brings the items themselves, once stage 1 has had time to act.
    pub fn prefetch_items(&self, _keys: &[Key<'_>]) {
        todo!()
    }

    /// The value as a fresh vector.
    pub fn get(&self, _key: impl AsKey) -> Option<Vec<u8>> {
        todo!()
    }
    /// Appends the value to `out` behind whatever `head` writes there first (it may be called more than once; what
    /// it appended is taken back on a retry).
    pub fn fetch(
        &self,
        _key: impl AsKey,
        _how: &Fetch,
        _out: &mut Vec<u8>,
        _head: impl FnMut(&Hit, &mut Vec<u8>),
    ) -> Fetched {
        todo!()
    }
    /// Calls `read` with the value in place.
    pub fn get_with<R>(
        &self,
        _key: impl AsKey,
        _read: impl FnOnce(&Meta, &[&[u8]]) -> R,
    ) -> Option<R> {
        todo!()
    }
    /// An owned handle that keeps the value readable, whatever happens to the key.
    pub fn get_handle(&self, _key: impl AsKey) -> Option<Handle> {
        todo!()
    }
    /// Looks up many keys at once; `found(i, meta, value)` for each hit, in order.
    pub fn get_many<K: AsRef<[u8]>>(&self, _keys: &[K], _found: impl FnMut(usize, &Meta, &[u8])) {
        todo!()
    }
    /// The item's meta data, without counting as a use.
    pub fn peek(&self, _key: impl AsKey) -> Option<Meta> {
        todo!()
    }
    /// Whether the key is visible, without counting as a use.
    pub fn contains(&self, _key: impl AsKey) -> bool {
        todo!()
    }

    /// Stores a value.
    pub fn set(&self, _key: impl AsKey, _value: &[u8], _attrs: Attrs) -> Result<u64, StoreError> {
        todo!()
    }
    /// Stores a value under conditions.
    pub fn store(
        &self,
        _key: impl AsKey,
        _value: &[u8],
        _attrs: Attrs,
        _how: &Write,
    ) -> Result<Stored, StoreError> {
        todo!()
    }
    /// Begins a two-phase write of `len` bytes. Dropping the reservation abandons it.
    pub fn reserve(
        &self,
        _key: impl AsKey,
        _len: usize,
        _attrs: Attrs,
    ) -> Result<Reservation, StoreError> {
        todo!()
    }
    /// Changes a decimal number.
    pub fn count(&self, _key: impl AsKey, _how: &Count) -> Result<Counted, CountError> {
        todo!()
    }
    /// Gives the item a new expiry; the item as it was, with the new expiry.
    pub fn touch(&self, _key: impl AsKey, _expiry: Expiry) -> Option<Meta> {
        todo!()
    }
    /// Removes the key.
    pub fn delete(&self, _key: impl AsKey) -> bool {
        todo!()
    }
    /// Removes or invalidates the key under conditions.
    pub fn remove(&self, _key: impl AsKey, _how: &Remove) -> Result<Removed, StoreError> {
        todo!()
    }

    /// Makes everything stored so far invisible, now.
    pub fn flush(&self) {
        todo!()
    }
    /// Makes everything stored before second `at` invisible at that second; replaces an earlier plan.
    pub fn flush_at(&self, _at: u32) {
        todo!()
    }
    /// Weakly consistent walk: calls `visit` for at least the next `at_least` index slots' items, returns false at the end.
    pub fn scan(
        &self,
        _cursor: &mut Cursor,
        _at_least: usize,
        _visit: impl FnMut(&[u8], &Meta),
    ) -> bool {
        todo!()
    }
    /// Bounded housekeeping: about `budget` items' worth. True if there is more to do right now.
    pub fn maintain(&self, _budget: usize) -> bool {
        todo!()
    }
    /// Changes the hard limit; memory above a smaller one is given back by this call and `maintain`.
    pub fn set_limit(&self, _bytes: usize) -> Result<(), ConfigError> {
        todo!()
    }
    /// The counters.
    pub fn stats(&self) -> Stats {
        todo!()
    }
    /// Zeroes the counters; gauges stay.
    pub fn reset_stats(&self) {
        todo!()
    }
    /// From now on `last_access` is kept to the second.
    pub fn track_access_exactly(&self) {
        todo!()
    }
    /// The largest item in bytes, header and key included.
    pub fn max_item_size(&self) -> usize {
        todo!()
    }
}

/// A place in a [`Cache::scan`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor(u64);

/// A value kept readable. Its bytes may lie in several pieces.
#[derive(Debug)]
pub struct Handle(());
impl Handle {
    /// The value's pieces in order.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::empty()
    }
    /// Bytes of the value.
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Whether the value is empty.
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// The item's meta data when it was read.
    pub fn meta(&self) -> &Meta {
        todo!()
    }
    /// The value in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        todo!()
    }
}

/// Memory for a value that is still arriving. Nobody sees it before `commit`; dropping abandons it.
#[derive(Debug)]
pub struct Reservation(());
impl Reservation {
    /// Bytes still owed.
    pub fn remaining(&self) -> usize {
        todo!()
    }
    /// Takes the next bytes of the value, at most `remaining`; returns how many.
    pub fn write(&mut self, _bytes: &[u8]) -> usize {
        todo!()
    }
    /// Makes the value visible. Must be filled to the last byte.
    pub fn commit(self, _how: &Write) -> Result<Stored, StoreError> {
        todo!()
    }
}
