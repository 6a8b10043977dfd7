//! The cache: every operation on `&self`, from any thread.

use std::fmt;
use std::sync::Arc;

use crate::config::Builder;
use crate::engine::Engine;
use crate::ops::handle::Handle;
use crate::ops::reserve::Reservation;
use crate::ops::scan::Cursor;
use crate::tags::Group;
use crate::{
    AsKey, Attrs, CloseError, ConfigError, Count, CountError, Counted, Expiry, Fetch, Fetched, Hit,
    Key, Meta, Miss, Moment, Remove, Removed, Resized, Stats, Store, StoreError, Stored, Sweeps,
};

/// Keys of a batch that are prefetched together.
const BATCH: usize = 16;
/// A lookup without options. As a constant, what depends on it is decided by the compiler.
const PLAIN_FETCH: &Fetch = &Fetch::new();
/// A write without conditions.
const PLAIN_STORE: &Store = &Store::new();

/// A cache of byte strings with a hard memory limit. Cloning gives another handle to the same one.
///
/// All operations take `&self` and may be called from any thread. Lookups take no lock.
///
/// A key that no item can have, because it is empty or too long or was hashed by another cache, is
/// the same everywhere: lookups and removals find nothing under it, and writes are refused with
/// [`StoreError::BadKey`] or [`StoreError::ForeignKey`]. Keys have up to 65,536 bytes unless
/// [`Builder::max_key_len`] says otherwise.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::{Attrs, Cache};
///
/// let cache = Cache::new(64 << 20)?;
/// cache.set("greeting", b"hello", Attrs::new())?;
/// assert_eq!(cache.get("greeting").as_deref(), Some(&b"hello"[..]));
///
/// // An item that ends in a minute, with flags of one's own.
/// cache.set("session", b"...", Attrs::new().flags(7).ttl(Duration::from_secs(60)))?;
/// assert_eq!(cache.peek("session").map(|meta| meta.flags), Some(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cache(Arc<Engine>);

impl Cache {
    /// A cache of `limit` bytes with default settings.
    ///
    /// # Errors
    /// [`ConfigError`] if the limit is too small or the system refuses address space.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(64 << 20)?;
    /// assert!(cache.stats().used <= cache.stats().limit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(limit: usize) -> Result<Self, ConfigError> {
        Self::builder(limit).build()
    }

    /// Starts building a cache of `limit` bytes.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::builder(64 << 20).max_item_size(4 << 20).build()?;
    /// assert_eq!(cache.max_item_size(), 4 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn builder(limit: usize) -> Builder {
        Builder::new(limit)
    }

    #[inline(always)]
    pub(crate) fn tag(&self) -> u32 {
        self.0.hot.tag()
    }

    /// The cache of this engine.
    pub(crate) fn of(engine: &Arc<Engine>) -> Self {
        Self(Arc::clone(engine))
    }

    /// What it consists of.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0
    }

    #[inline(always)]
    pub(crate) fn refuse_foreign(&self, key: &impl AsKey) -> Result<(), StoreError> {
        if key.is_foreign(self) { Err(StoreError::ForeignKey) } else { Ok(()) }
    }

    /// What this handle leads to, if it is the last one.
    ///
    /// # Errors
    /// There are others.
    pub(crate) fn into_engine(self) -> Result<Engine, CloseError> {
        Arc::try_unwrap(self.0).map_err(|shared| CloseError::Shared(Self(shared)))
    }

    pub(crate) fn from_builder(builder: Builder) -> Result<Self, ConfigError> {
        Ok(Self(Arc::from(Engine::build(builder)?)))
    }

    /// The clock's current second.
    ///
    /// # Examples
    /// ```
    /// # let cache = memcore::Cache::new(8 << 20)?;
    /// assert!(cache.now().as_secs() > 1_700_000_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::from_secs(self.0.now())
    }

    /// Hashes a key once for several operations.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let key = cache.key(b"k");
    /// cache.set(key, b"v", Attrs::new())?;
    /// assert!(cache.contains(key));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: self.0.hot.hash(bytes), tag: self.tag() }
    }

    /// Stage 1 of a batch: brings the index lines of the keys into the processor's cache.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let keys = [cache.key(b"a"), cache.key(b"b")];
    /// cache.prefetch_index(&keys);
    /// cache.prefetch_items(&keys);
    /// let found = keys.iter().filter(|key| cache.contains(**key)).count();
    /// assert_eq!(found, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn prefetch_index(&self, keys: &[Key<'_>]) {
        for key in keys {
            self.0.index.prefetch(self.0.position(key));
        }
    }

    /// Stage 2 of a batch: brings the items themselves, once stage 1 has had time to act.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let keys = [cache.key(b"a"), cache.key(b"b")];
    /// cache.prefetch_index(&keys);
    /// cache.prefetch_items(&keys);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn prefetch_items(&self, keys: &[Key<'_>]) {
        keys.iter().for_each(|key| self.0.prefetch_item(key));
    }

    /// The value as a fresh vector.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// assert_eq!(cache.get("k"), Some(b"v".to_vec()));
    /// assert_eq!(cache.get("other"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn get(&self, key: impl AsKey) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        self.get_into(key, &mut value).map(|_| value)
    }

    /// Appends the value to `out`.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new().flags(7))?;
    /// let mut out = b"head ".to_vec();
    /// let meta = cache.get_into("k", &mut out).ok_or("a miss")?;
    /// assert_eq!((meta.flags, &out[..]), (7, &b"head v"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn get_into(&self, key: impl AsKey, out: &mut Vec<u8>) -> Option<Meta> {
        match self.fetch(key, PLAIN_FETCH, out, |_, _| {}) {
            Fetched::Copied(hit) => Some(hit.meta),
            _ => None,
        }
    }

    /// The lookup in full: appends the value to `out` behind whatever `head` writes there first.
    /// `head` may be called more than once; what it appended is taken back on a retry. A part of
    /// the cache may be locked meanwhile: it must not use the cache.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache, Fetch, Fetched};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"value", Attrs::new())?;
    /// let mut out = Vec::new();
    /// let fetched = cache.fetch("k", &Fetch::new().peek(true), &mut out, |hit, out| {
    ///     out.extend_from_slice(format!("{} bytes: ", hit.meta.value_len).as_bytes());
    /// });
    /// assert!(matches!(fetched, Fetched::Copied(_)));
    /// assert_eq!(out, b"5 bytes: value");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn fetch(
        &self,
        key: impl AsKey,
        how: &Fetch,
        out: &mut Vec<u8>,
        head: impl FnMut(&Hit, &mut Vec<u8>),
    ) -> Fetched {
        if key.is_foreign(self) {
            return Fetched::Miss(Miss::Absent);
        }
        self.0.fetch(&key.as_key(self), how, out, head)
    }

    /// Calls `read` with the value in place, which may lie in several pieces.
    ///
    /// The memory is pinned meanwhile: other operations go on, but it is not reused.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"12345", Attrs::new())?;
    /// let sum = cache.get_with("k", |_, parts| {
    ///     parts.iter().flat_map(|part| part.iter()).map(|byte| u32::from(byte - b'0')).sum()
    /// });
    /// assert_eq!(sum, Some(15_u32));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_with<R>(
        &self,
        key: impl AsKey,
        read: impl FnOnce(&Meta, &[&[u8]]) -> R,
    ) -> Option<R> {
        let handle = self.get_handle(key)?;
        let mut parts = handle.parts();
        let first = parts.next().unwrap_or_default();
        // Most values lie in one piece, and then nothing is allocated.
        let Some(second) = parts.next() else { return Some(read(handle.meta(), &[first])) };
        let all: Vec<_> = [first, second].into_iter().chain(parts).collect();
        Some(read(handle.meta(), &all))
    }

    /// An owned handle that keeps the value readable, whatever happens to the key.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"value", Attrs::new())?;
    /// let handle = cache.get_handle("k").ok_or("a miss")?;
    /// cache.delete("k");
    /// assert_eq!(handle.to_vec(), b"value");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_handle(&self, key: impl AsKey) -> Option<Handle> {
        if key.is_foreign(self) {
            return None;
        }
        self.0.get_handle(&key.as_key(self))
    }

    /// Looks up many keys at once, which is several times faster than one by one when they are not
    /// in the processor's cache; `found(i, meta, value)` for each hit, in order.
    ///
    /// # Examples
    /// ```
    /// # let cache = memcore::Cache::new(8 << 20)?;
    /// cache.set("b", b"2", memcore::Attrs::new())?;
    /// let mut found = Vec::new();
    /// cache.get_many(&["a", "b"], |i, _, value| found.push((i, value.to_vec())));
    /// assert_eq!(found, [(1, b"2".to_vec())]);
    ///
    /// // Keys that were hashed before are not hashed again.
    /// let keys = [cache.key(b"a"), cache.key(b"b")];
    /// cache.get_many(&keys, |i, _, _| assert_eq!(i, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_many<K: AsKey>(&self, keys: &[K], mut found: impl FnMut(usize, &Meta, &[u8])) {
        let mut value = Vec::new();
        for (batch, keys) in keys.chunks(BATCH).enumerate() {
            // On the stack: a batch needs no memory of its own.
            let mut hashed = [Key { bytes: &[], hash: 0, tag: 0 }; BATCH];
            let hashed = &mut hashed[..keys.len()];
            for (hashed, key) in hashed.iter_mut().zip(keys) {
                // Instead of a key of another cache the empty one stays, which no item has.
                if !key.is_foreign(self) {
                    *hashed = key.as_key(self);
                }
            }
            self.prefetch_index(hashed);
            self.prefetch_items(hashed);
            for (i, key) in hashed.iter().enumerate() {
                value.clear();
                let fetched = self.0.fetch(key, PLAIN_FETCH, &mut value, |_, _| {});
                if let Fetched::Copied(Hit { meta, .. }) = fetched {
                    found(batch * BATCH + i, &meta, &value);
                }
            }
        }
    }

    /// The item's meta data, without counting as a use.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new().flags(7))?;
    /// assert_eq!(cache.peek("k").map(|meta| (meta.flags, meta.fetched)), Some((7, false)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek(&self, key: impl AsKey) -> Option<Meta> {
        if key.is_foreign(self) {
            return None;
        }
        let key = key.as_key(self);
        self.0.settle(&key);
        self.0.peek(&key)
    }

    /// Whether the key is visible, without counting as a use.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// assert!(cache.contains("k") && !cache.contains("other"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn contains(&self, key: impl AsKey) -> bool {
        self.peek(key).is_some()
    }

    /// Stores a value; its version.
    ///
    /// # Errors
    /// [`StoreError`], if it can't be stored. An older value of the key is untouched then.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let first = cache.set("k", b"1", Attrs::new())?;
    /// let second = cache.set("k", b"2", Attrs::new())?;
    /// assert!(second > first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn set(&self, key: impl AsKey, value: &[u8], attrs: Attrs) -> Result<u64, StoreError> {
        match self.store(key, value, attrs, PLAIN_STORE)? {
            Stored::Done { version, .. } => Ok(version),
            // Without a condition there is nothing that could keep it from being stored.
            other => {
                debug_assert!(false, "an unconditional write came to {other:?}");
                Err(StoreError::Internal)
            }
        }
    }

    /// Stores a value under conditions.
    ///
    /// # Errors
    /// [`StoreError`], if it can't be stored. An older value of the key is untouched then.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache, Store, Stored};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// assert_eq!(cache.store("k", b"w", Attrs::new(), &Store::add())?, Stored::NotStored);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    // What it is given is known where it is called.
    #[inline(always)]
    pub fn store(
        &self,
        key: impl AsKey,
        value: &[u8],
        attrs: Attrs,
        how: &Store,
    ) -> Result<Stored, StoreError> {
        self.refuse_foreign(&key)?;
        let _report = self.0.report_at_end();
        let key = key.as_key(self);
        if how.depends_on_old() {
            self.0.settle(&key);
        }
        self.0.store(&key, value, &attrs, how)
    }

    /// Begins a two-phase write of `len` bytes. Dropping the reservation abandons it.
    ///
    /// # Errors
    /// [`StoreError`], if there can be no such item or there is no memory for it.
    ///
    /// # Examples
    /// ```
    /// # let cache = memcore::Cache::new(8 << 20)?;
    /// let mut place = cache.reserve("k", 10, memcore::Attrs::new())?;
    /// place.write(b"hello");
    /// assert!(!cache.contains("k"));
    /// place.write(b"world");
    /// place.commit(&memcore::Store::new())?;
    /// assert_eq!(cache.get("k").as_deref(), Some(&b"helloworld"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(
        &self,
        key: impl AsKey,
        len: usize,
        attrs: Attrs,
    ) -> Result<Reservation, StoreError> {
        self.reserve_in(key, len, attrs, Group::NONE)
    }

    /// The same for an item of a group of tags.
    pub(crate) fn reserve_in(
        &self,
        key: impl AsKey,
        len: usize,
        attrs: Attrs,
        group: Group,
    ) -> Result<Reservation, StoreError> {
        self.refuse_foreign(&key)?;
        let _report = self.0.report_at_end();
        self.0.reserve(&key.as_key(self), len, attrs, group)
    }

    /// Changes a decimal number.
    ///
    /// # Errors
    /// [`CountError`], if the value is not a number or the new one can't be stored.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache, Count, Counted};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("n", b"41", Attrs::new())?;
    /// let counted = cache.count("n", &Count::increment(1))?;
    /// assert!(matches!(counted, Counted::Done { value: 42, .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count(&self, key: impl AsKey, how: &Count) -> Result<Counted, CountError> {
        self.refuse_foreign(&key)?;
        let _report = self.0.report_at_end();
        let key = key.as_key(self);
        self.0.settle(&key);
        self.0.count(&key, how)
    }

    /// Gives the item a new expiry; the item as it was, with the new expiry.
    ///
    /// # Errors
    /// [`StoreError`], if the item has no room for an expiry and there is no memory for one that
    /// has; it stays as it is.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Attrs, Cache, Expiry};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// let touched = cache.touch("k", Expiry::after(Duration::from_secs(60)))?;
    /// assert!(touched.is_some_and(|meta| meta.expiry.is_some()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn touch(&self, key: impl AsKey, expiry: Expiry) -> Result<Option<Meta>, StoreError> {
        if key.is_foreign(self) {
            return Ok(None);
        }
        let _report = self.0.report_at_end();
        let key = key.as_key(self);
        self.0.settle(&key);
        self.0.touch(&key, expiry, None)
    }

    /// Gives the item of this version a new expiry if it is there and there is memory for that.
    pub(crate) fn touch_version(&self, key: Key<'_>, version: u64, expiry: Expiry) {
        let _report = self.0.report_at_end();
        self.0.settle(&key);
        let _ = self.0.touch(&key, expiry, Some(version));
    }

    /// Removes the key; whether it was there.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// assert!(cache.delete("k") && !cache.delete("k"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete(&self, key: impl AsKey) -> bool {
        matches!(self.remove_with(key, &Remove::default()), Ok(Removed::Done(_)))
    }

    /// Removes the key; the value that it had. [`delete`](Self::delete) does not copy it.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// assert_eq!(cache.remove("k").as_deref(), Some(&b"v"[..]));
    /// assert_eq!(cache.remove("k"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(&self, key: impl AsKey) -> Option<Vec<u8>> {
        if key.is_foreign(self) {
            return None;
        }
        let _report = self.0.report_at_end();
        let key = key.as_key(self);
        self.0.settle(&key);
        self.0.take(&key)
    }

    /// Removes or invalidates the key under conditions.
    ///
    /// # Errors
    /// [`StoreError`], if an item that stays in another form can't be stored.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache, Remove, Removed};
    /// # let cache = Cache::new(8 << 20)?;
    /// let version = cache.set("k", b"v", Attrs::new())?;
    /// let removed = cache.remove_with("k", &Remove::new().expected(version))?;
    /// assert!(matches!(removed, Removed::Done(meta) if meta.value_len == 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_with(&self, key: impl AsKey, how: &Remove) -> Result<Removed, StoreError> {
        if key.is_foreign(self) {
            return Ok(Removed::NotFound);
        }
        let _report = self.0.report_at_end();
        let key = key.as_key(self);
        self.0.settle(&key);
        self.0.remove(&key, how)
    }

    /// Makes everything stored so far invisible, now.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// cache.flush();
    /// assert!(!cache.contains("k"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush(&self) {
        self.0.hot.flush_now();
    }

    /// Makes everything stored before second `at` invisible at that second; replaces an earlier
    /// plan.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use memcore::{Attrs, Cache, ManualClock, Moment};
    ///
    /// let clock = ManualClock::new(Moment::from_secs(1_000));
    /// let cache = Cache::builder(8 << 20).clock(clock.clone()).build()?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// cache.flush_at(cache.now() + Duration::from_secs(10));
    /// assert!(cache.contains("k"));
    /// clock.advance(Duration::from_secs(10));
    /// assert!(!cache.contains("k"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush_at(&self, at: Moment) {
        self.0.hot.flush_at(at.as_secs());
    }

    /// A weakly consistent walk: visits at least the next `at_least` items, if there are as many,
    /// and returns false at the end. An item that is there all the time is visited once or, if it
    /// is written meanwhile, perhaps again. No lock is held while `visit` runs.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache, Cursor};
    /// # let cache = Cache::new(8 << 20)?;
    /// for key in ["a", "b", "c"] {
    ///     cache.set(key, b"v", Attrs::new())?;
    /// }
    /// let (mut cursor, mut keys) = (Cursor::default(), Vec::new());
    /// while cache.scan(&mut cursor, 100, |key, _| keys.push(key.to_vec())) {}
    /// assert_eq!(keys.len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scan(
        &self,
        cursor: &mut Cursor,
        at_least: usize,
        visit: impl FnMut(&[u8], &Meta),
    ) -> bool {
        self.0.scan(cursor, at_least, visit)
    }

    /// Bounded housekeeping, about `budget` items' worth: removes expired items, reclaims memory
    /// ahead of need, and has the system provide memory before it is used. True if there is more
    /// to do right now.
    ///
    /// The cache has no threads of its own. A host that calls this a few times per second gets
    /// expired memory back early and writes that need not wait for evictions; without it, all is
    /// done by the writes themselves.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// // When the program has nothing else to do:
    /// while cache.maintain(1_000) {}
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn maintain(&self, budget: usize) -> bool {
        // Carries out a flush that is due, also while no request comes.
        let _ = self.0.now();
        let verifies = self.0.verify_more(budget);
        let sweeps = self.0.sweep(budget);
        let reclaims = self.0.reclaim_ahead(budget);
        let moves = self.0.tend_index(budget);
        let provides = self.0.provide_memory();
        self.0.report_removals();
        verifies || sweeps || reclaims || moves || provides
    }

    /// Changes the hard limit. What is above a smaller one is evicted before this returns, but for
    /// what can't be: memory that handles and reservations hold. [`Resized::pending`] says how much
    /// that is. No other memory is taken until it has gone back as well, which happens as soon as
    /// they end; [`Stats::over_limit`] shows what is left of it.
    ///
    /// # Errors
    /// [`ConfigError`], if the limit is too small to work with, or beyond
    /// [`Builder::max_limit`]. Nothing is changed then.
    ///
    /// # Examples
    /// ```
    /// use memcore::Cache;
    ///
    /// let cache = Cache::builder(16 << 20).max_limit(64 << 20).build()?;
    /// let resized = cache.set_limit(64 << 20)?;
    /// assert_eq!((resized.pending, cache.stats().limit), (0, 64 << 20));
    /// assert!(cache.set_limit(65 << 20).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_limit(&self, bytes: usize) -> Result<Resized, ConfigError> {
        let _report = self.0.report_at_end();
        self.0.set_limit(bytes)
    }

    /// The same for a host that can't wait: what is above a smaller limit is evicted by
    /// [`maintain`](Self::maintain), a little at a time, and the limit is lowered as that goes on.
    /// Writes go on meanwhile. [`Resized::pending`] says how many bytes that is.
    ///
    /// # Errors
    /// As for [`set_limit`](Self::set_limit).
    ///
    /// # Examples
    /// ```
    /// use memcore::{Attrs, Cache};
    ///
    /// let cache = Cache::new(64 << 20)?;
    /// for key in 0..60_000_u32 {
    ///     cache.set(key.to_le_bytes(), &[0; 1_000], Attrs::new())?;
    /// }
    /// let resized = cache.set_limit_in_steps(8 << 20)?;
    /// assert!(resized.pending > 40 << 20);
    /// while cache.maintain(1_000) {}
    /// assert_eq!(cache.stats().over_limit, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_limit_in_steps(&self, bytes: usize) -> Result<Resized, ConfigError> {
        self.0.set_limit_in_steps(bytes)
    }

    /// The counters.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// cache.get("k");
    /// let total = cache.stats().total;
    /// assert_eq!((total.items, total.hits_small + total.hits_main), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// What the search for expired items in [`maintain`](Self::maintain) has done, whatever was
    /// reset since. It is two of the [`stats`](Self::stats), to be had at a fraction of their cost.
    ///
    /// # Examples
    /// ```
    /// # let cache = memcore::Cache::new(8 << 20)?;
    /// assert_eq!(cache.sweeps().examined, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn sweeps(&self) -> Sweeps {
        self.0.sweeps()
    }

    /// Zeroes the counters; gauges stay.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new())?;
    /// cache.reset_stats();
    /// let total = cache.stats().total;
    /// assert_eq!((total.stored, total.items), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset_stats(&self) {
        self.0.counters.reset();
    }

    /// From now on `last_access` is kept to the second.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.track_access_exactly();
    /// cache.set("k", b"v", Attrs::new())?;
    /// assert!(cache.peek("k").is_some_and(|meta| meta.last_access <= cache.now()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn track_access_exactly(&self) {
        self.0.hot.track_access_exactly();
    }

    /// Empties one segment, if there is one with holes or the oldest otherwise.
    #[cfg(all(test, loom))]
    pub(crate) fn reclaim_once(&self) {
        let mut reclaim = self.0.upkeep.reclaim.lock();
        while self.0.reclaim_step(&mut reclaim) == crate::upkeep::evict::Step::Working {}
    }

    /// Recounts everything, for tests; no other thread may use the cache meanwhile.
    #[cfg(any(test, fuzzing))]
    #[doc(hidden)]
    pub fn validate(&self) {
        self.0.validate();
    }

    /// The largest item in bytes, header and key included. It shrinks with the limit, of which it
    /// is never more than half.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// let size = cache.max_item_size();
    /// assert!(!cache.fits(1, size, &Attrs::new()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn max_item_size(&self) -> usize {
        self.0.item_max()
    }

    /// Whether a write of a key and a value of these lengths would not be [`StoreError::TooLarge`].
    /// It takes no memory and counts nothing.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// assert!(cache.fits(1, 1000, &Attrs::new()));
    /// assert!(!cache.fits(1, 100 << 20, &Attrs::new()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fits(&self, key_len: usize, value_len: usize, attrs: &Attrs) -> bool {
        self.0.fits(key_len, value_len, attrs, Group::NONE)
    }

    /// The [`Meta::class`] that an item of these lengths would have.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"value", Attrs::new())?;
    /// let class = cache.peek("k").map(|meta| meta.class);
    /// assert_eq!(class, Some(cache.class_of(1, 5, &Attrs::new())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn class_of(&self, key_len: usize, value_len: usize, attrs: &Attrs) -> u8 {
        self.0.class_of(key_len, value_len, attrs)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
