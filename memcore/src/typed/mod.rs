//! Keys and values of any type, on top of a [`Cache`] of bytes.
//!
//! A [`TypedCache`] writes values with a [`Codec`] and reads them back: each lookup makes a new
//! value, and nothing has to be cloned or shared. What is in memory are bytes, so the limit of the
//! cache is real and needs no weights.
//!
//! ```
//! use std::time::Duration;
//! use memcore::Cache;
//! use memcore::typed::TypedCache;
//!
//! let cache = Cache::new(64 << 20)?;
//! let pages: TypedCache<str, String> =
//!     TypedCache::builder(cache).ttl(Duration::from_secs(60)).build();
//! let page = pages.get_or_load("/", || std::fs::read_to_string("Cargo.toml"))?;
//! assert_eq!(pages.get("/"), Some(page));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod codec;
mod entry;
mod flight;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod key;
mod listen;
mod load;
#[cfg(all(test, loom))]
mod models;
mod settings;
mod stats;
mod tagged;

use core::borrow::Borrow;
use core::cell::Cell;
use core::marker::PhantomData;
use core::time::Duration;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::flight::Flights;
use self::settings::Settings;
use self::stats::Loads;
use crate::{
    Attrs, Cache, Expiry, Fetch, Fetched, Hit, HotKey, Key, Meta, Remove, Removed, Store,
    StoreError, Stored, Tagged,
};

#[cfg(feature = "json")]
pub use self::codec::Json;
#[cfg(feature = "bytemuck")]
pub use self::codec::Pod;
#[cfg(feature = "postcard")]
pub use self::codec::Postcard;
#[cfg(feature = "zerocopy")]
pub use self::codec::Zerocopy;
pub use self::codec::{Codec, CodecError, Plain};
pub use self::entry::{Drain, Entry, Iter};
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use self::fuzzing::fuzz_codecs;
pub use self::key::{DecodeKey, KeyBytes};
pub use self::listen::listener;
pub use self::load::LoadError;
pub use self::settings::TypedBuilder;
pub use self::stats::LoadStats;

/// Flags of a marked item that says that there is no value.
const ABSENT: u32 = 1;
/// No item has it, unless a client has chosen it.
const NO_VERSION: u64 = 0;
/// Bytes that a thread keeps for encoding and decoding.
const SCRATCH_MAX: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls `work` with an empty vector, nearly always the same one. A thread that is about to end has
/// none.
fn with_scratch<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
    scratch.clear();
    let done = work(&mut scratch);
    if scratch.capacity() <= SCRATCH_MAX {
        let _ = SCRATCH.try_with(|kept| kept.set(scratch));
    }
    done
}

/// Whether an item stands for a value that is being loaded, or for there being none. Clients of a
/// server create the former in the same way, with a lease; that they mark an item says nothing.
fn stands_for_value(meta: &Meta) -> bool {
    let is_awaited = meta.lease.taken && !meta.lease.stale;
    meta.value_len == 0 && (is_awaited || stands_for_absence(meta))
}

fn stands_for_absence(meta: &Meta) -> bool {
    meta.value_len == 0 && meta.marked && meta.flags == ABSENT
}

/// A value can't be stored.
///
/// # Examples
/// ```
/// use memcore::typed::{InsertError, TypedCache};
/// use memcore::{Cache, StoreError};
///
/// let cache = Cache::builder(8 << 20).max_item_size(1 << 20).build()?;
/// let texts: TypedCache<u64, String> = TypedCache::new(cache);
/// let error = texts.insert(&7, &"x".repeat(2 << 20)).unwrap_err();
/// assert_eq!(error, InsertError::Store(StoreError::TooLarge));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InsertError {
    /// The codec can't write it.
    Codec(CodecError),
    /// The cache can't take it.
    Store(StoreError),
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InsertError {}

impl From<CodecError> for InsertError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<StoreError> for InsertError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A cache of values of type `V` under keys of type `K`. Cloning gives another handle to the same
/// one, and to the same loads.
///
/// Keys are looked up in any borrowed form, as in a `HashMap`: with `K = String` by `&str`. If the
/// keys are never to be listed, `K` may be `str` itself.
///
/// It is to be the only user of its [`Cache`], or the only one of its keys. An item whose bytes the
/// codec can't read is removed when it is looked up, and counts as a miss.
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::TypedCache;
///
/// let names: TypedCache<u64, String> = TypedCache::new(Cache::new(8 << 20)?);
/// names.insert(&7, &"Ann".to_owned())?;
/// assert_eq!(names.get(&7).as_deref(), Some("Ann"));
/// assert_eq!(names.remove(&7).as_deref(), Some("Ann"));
/// assert_eq!(names.get(&7), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TypedCache<K: ?Sized, V, C = Plain> {
    cache: Cache,
    shared: Arc<Shared<V, C>>,
    /// What is stored through this handle has these tags.
    tags: Option<Arc<Tagged>>,
    types: PhantomData<fn(&K)>,
}

/// What the handles have in common.
struct Shared<V, C> {
    codec: C,
    settings: Settings<V>,
    flights: Flights,
    loads: Loads,
    undecodable: AtomicU64,
}

impl<K: ?Sized, V, C: Codec<V> + Default> TypedCache<K, V, C> {
    /// A typed cache in which values live until they are evicted.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert("k", &"v".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        Self::builder(cache).build()
    }

    /// Starts building a typed cache.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, typed::TypedCache};
    /// let cache = Cache::new(8 << 20)?;
    /// let words = TypedCache::<str, String>::builder(cache).ttl(Duration::from_secs(60)).build();
    /// words.insert("k", &"v".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn builder(cache: Cache) -> TypedBuilder<K, V, C> {
        TypedBuilder::new(cache, C::default())
    }
}

impl<K: ?Sized, V, C> TypedCache<K, V, C> {
    fn from_parts(cache: Cache, codec: C, settings: Settings<V>) -> Self {
        let (flights, loads) = (Flights::new(), Loads::new());
        let undecodable = AtomicU64::new(0);
        let shared = Arc::new(Shared { codec, settings, flights, loads, undecodable });
        Self { cache, shared, tags: None, types: PhantomData }
    }

    /// The cache of bytes.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert("k", &"v".to_owned())?;
    /// assert_eq!(words.cache().stats().total.items, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Items so far whose bytes the codec could not read.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.cache().set("k", b"\xff is no text", Attrs::new())?;
    /// assert_eq!((words.get("k"), words.undecodable()), (None, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn undecodable(&self) -> u64 {
        self.shared.undecodable.load(Ordering::Relaxed)
    }

    /// What loaders have done so far, and how long it took. What the cache itself counts, hits and
    /// misses for example, is in [`Cache::stats`].
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.get_or_load("k", || Ok::<_, std::io::Error>("value".to_owned()))?;
    /// assert_eq!(words.load_stats().loaded, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn load_stats(&self) -> LoadStats {
        self.shared.loads.stats()
    }

    /// The keys that are looked up most, the most frequent first, at most so many: their bytes, and
    /// their share of the lookups of the last minute or so. None unless that was asked for
    /// with [`TypedBuilder::hot_keys`].
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let pages: TypedCache<str, String> =
    ///     TypedCache::builder(Cache::new(8 << 20)?).hot_keys(true).build();
    /// (0..1_000).for_each(|_| _ = pages.get("/"));
    /// assert_eq!(pages.hot_keys(1)[0].key, b"/");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn hot_keys(&self, most: usize) -> Vec<HotKey> {
        let hot_keys = self.shared.settings.hot_keys.as_ref();
        hot_keys.map_or_else(Vec::new, |hot_keys| hot_keys.hottest(most))
    }

    /// Tells of a lookup who counts them.
    fn note_lookup(&self, key: &[u8]) {
        if let Some(hot_keys) = &self.shared.settings.hot_keys {
            hot_keys.note(key, self.cache.now());
        }
    }

    /// Stores bytes, with the tags that new values have.
    fn store(
        &self,
        key: Key<'_>,
        bytes: &[u8],
        attrs: Attrs,
        how: &Store,
    ) -> Result<Stored, StoreError> {
        let stored = match self.tags() {
            Some(tags) => tags.store(key, bytes, attrs, how),
            None => self.cache.store(key, bytes, attrs, how),
        }?;
        if let Stored::Done { .. } = stored {
            self.note_change(key);
        }
        Ok(stored)
    }

    /// Who asks for a key after its data has changed is not told of an older failure, and does not
    /// join an older load for which nothing stands that has gone.
    fn note_change(&self, key: Key<'_>) {
        let Shared { settings, flights, .. } = &*self.shared;
        if settings.error_ttl.is_some() || flights.any_alone() {
            flights.forget(key.hash, key.bytes);
        }
    }
}

impl<K: ?Sized, V, C: Codec<V>> TypedCache<K, V, C> {
    /// The value of a key.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<String, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert("k", &"v".to_owned())?;
    /// assert_eq!(words.get("k"), Some("v".to_owned()));
    /// assert_eq!(words.get("other"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
    {
        key.key_bytes(|key| {
            self.note_lookup(key);
            let key = self.cache.key(key);
            let (value, hit) = self.read(key, &Fetch::new())?;
            self.keep_from_idling(key, &hit.meta);
            Some(value)
        })
    }

    /// The value of a key, without counting as a use.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert("k", &"v".to_owned())?;
    /// assert_eq!(words.peek("k").as_deref(), Some("v"));
    /// assert!(words.cache().peek("k").is_some_and(|meta| !meta.fetched));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
    {
        key.key_bytes(|key| {
            self.read(self.cache.key(key), &Fetch::new().peek(true)).map(|(value, _)| value)
        })
    }

    /// What `read` makes of the value of a key.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert("k", &"value".to_owned())?;
    /// assert_eq!(words.get_with("k", |value| value.len()), Some(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_with<Q, R>(&self, key: &Q, read: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
    {
        self.get(key).as_ref().map(read)
    }

    /// Whether a key has a value, without counting as a use.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert("k", &"v".to_owned())?;
    /// assert!(words.contains("k") && !words.contains("other"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
    {
        key.key_bytes(|key| self.cache.peek(key)).is_some_and(|meta| !stands_for_value(&meta))
    }

    /// Stores a value. A load of the key that is under way is not stored any more.
    ///
    /// # Errors
    /// [`InsertError`], if the codec can't write it or the cache can't take it.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<String, Vec<u8>> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert("k", &vec![1, 2, 3])?;
    /// assert_eq!(words.get("k"), Some(vec![1, 2, 3]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert<Q>(&self, key: &Q, value: &V) -> Result<(), InsertError>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
    {
        self.insert_with(key, value, || self.attrs(value))
    }

    /// Stores a value that lives so long, whatever the cache's other values do: see
    /// [`TypedBuilder::ttl`]. With [`fresh_for`](TypedBuilder::fresh_for) its item takes four bytes
    /// more, as its life has to be known; where values idle as well, it is stale as if it had the
    /// life of the others.
    ///
    /// # Errors
    /// As for [`insert`](Self::insert).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use memcore::typed::TypedCache;
    /// use memcore::{Cache, ManualClock, Moment};
    ///
    /// let clock = ManualClock::new(Moment::from_secs(1_000));
    /// let cache = Cache::builder(8 << 20).clock(clock.clone()).build()?;
    /// let codes: TypedCache<str, String> = TypedCache::new(cache);
    /// codes.insert_with_ttl("ann", &"123456".to_owned(), Duration::from_secs(30))?;
    /// assert!(codes.contains("ann"));
    /// clock.advance(Duration::from_secs(30));
    /// assert!(!codes.contains("ann"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert_with_ttl<Q>(&self, key: &Q, value: &V, ttl: Duration) -> Result<(), InsertError>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
    {
        let settings = &self.shared.settings;
        self.insert_with(key, value, || settings.own_attrs(ttl, || self.cache.now()))
    }

    fn insert_with<Q>(
        &self,
        key: &Q,
        value: &V,
        attrs: impl FnOnce() -> Attrs,
    ) -> Result<(), InsertError>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
    {
        with_scratch(|bytes| {
            self.shared.codec.encode(value, bytes)?;
            let attrs = attrs();
            key.key_bytes(|key| {
                self.store(self.cache.key(key), bytes, attrs, &Store::new())?;
                Ok(())
            })
        })
    }

    /// Removes a value; what it was. A load of the key that is under way is not stored any more.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert("k", &"v".to_owned())?;
    /// assert_eq!(words.remove("k").as_deref(), Some("v"));
    /// assert_eq!(words.remove("k"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
    {
        key.key_bytes(|key| {
            let key = self.cache.key(key);
            let removed = self.take(key);
            self.note_change(key);
            removed
        })
    }

    /// Makes all values invisible, at once, however many they are. Those of other typed caches that
    /// share the [`Cache`] are among them; [tags](TypedBuilder::tags) tell them apart.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert("k", &"v".to_owned())?;
    /// words.clear();
    /// assert!(!words.contains("k"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear(&self) {
        self.cache.flush();
        self.shared.flights.forget_all();
    }

    fn take(&self, key: Key<'_>) -> Option<V> {
        let how = Fetch::new().peek(true);
        loop {
            let mut read = self.read(key, &how);
            let version = match &read {
                Some((_, hit)) => hit.meta.version,
                None => {
                    // What stands for a value goes as well, so that a load has ended, and what is
                    // no value. One may have come meanwhile.
                    let version = self.cache.peek(key).map_or(NO_VERSION, |meta| meta.version);
                    read = self.read(key, &how).filter(|(_, hit)| hit.meta.version == version);
                    version
                }
            };
            // Also where nothing was found: only what locks comes before or after a load that
            // another thread begins at this moment.
            match self.cache.remove_with(key, &Remove::new().expected(version)) {
                Ok(Removed::Done(_)) => return read.map(|(value, _)| value),
                Ok(Removed::VersionMismatch) => {}
                Ok(Removed::NotFound) | Err(_) => return None,
            }
        }
    }

    /// The values of many keys, in the same order.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<u32, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert_many([(1, "one".to_owned()), (2, "two".to_owned())])?;
    /// let found = words.get_many(&[1, 3, 2]);
    /// assert_eq!(found, [Some("one".to_owned()), None, Some("two".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_many<'q, Q>(&self, keys: impl IntoIterator<Item = &'q Q>) -> Vec<Option<V>>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized + 'q,
    {
        let keys = keys.into_iter();
        let bytes: Vec<Vec<u8>> = keys.map(|key| key.key_bytes(<[u8]>::to_vec)).collect();
        let mut values: Vec<Option<V>> = bytes.iter().map(|_| None).collect();
        bytes.iter().for_each(|key| self.note_lookup(key));
        self.cache.get_many(&bytes, |at, meta, value| {
            if !stands_for_value(meta) {
                let key = self.cache.key(&bytes[at]);
                values[at] = self.decode(key, meta.version, value);
                self.keep_from_idling(key, meta);
            }
        });
        values
    }

    /// Stores many values, up to the first that can't be.
    ///
    /// # Errors
    /// [`InsertError`], for the first value that can't be stored.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<u32, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert_many((1..4).map(|n| (n, n.to_string())))?;
    /// assert_eq!(words.get(&3).as_deref(), Some("3"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert_many<Q>(
        &self,
        values: impl IntoIterator<Item = (Q, V)>,
    ) -> Result<(), InsertError>
    where
        K: Borrow<Q>,
        Q: KeyBytes,
    {
        values.into_iter().try_for_each(|(key, value)| self.insert(&key, &value))
    }

    /// A value was read: it idles from now on.
    fn keep_from_idling(&self, key: Key<'_>, meta: &Meta) {
        let expiry = self.shared.settings.idle_expiry(meta, || self.cache.now());
        if let Some(expiry) = expiry {
            // Without memory for it the value ends as it would have.
            self.cache.touch_version(key, meta.version, Expiry::At(expiry));
        }
    }

    /// What a value is stored with.
    fn attrs(&self, value: &V) -> Attrs {
        self.shared.settings.attrs_of(value, || self.cache.now())
    }

    /// The value of a key, if there is one and it can be read.
    fn read(&self, key: Key<'_>, how: &Fetch) -> Option<(V, Hit)> {
        self.read_with(key, how, |hit, bytes| self.decode(key, hit.meta.version, bytes))
    }

    /// The value of a key for who looks at all of them, without counting as a use. Bytes that are
    /// none stay: they may be those of another typed cache that shares the [`Cache`].
    fn look_at(&self, key: Key<'_>) -> Option<(V, Hit)> {
        let how = Fetch::new().peek(true);
        self.read_with(key, &how, |_, bytes| self.shared.codec.decode(bytes).ok())
    }

    #[inline]
    fn read_with(
        &self,
        key: Key<'_>,
        how: &Fetch,
        decode: impl FnOnce(&Hit, &[u8]) -> Option<V>,
    ) -> Option<(V, Hit)> {
        with_scratch(|bytes| match self.cache.fetch(key, how, bytes, |_, _| {}) {
            Fetched::Copied(hit) if !stands_for_value(&hit.meta) => {
                Some((decode(&hit, bytes)?, hit))
            }
            _ => None,
        })
    }

    /// Reads a value. Bytes that are none are removed.
    fn decode(&self, key: Key<'_>, version: u64, bytes: &[u8]) -> Option<V> {
        match self.shared.codec.decode(bytes) {
            Ok(value) => Some(value),
            Err(_) => {
                self.shared.undecodable.fetch_add(1, Ordering::Relaxed);
                // Unless there is another value by now.
                let _ = self.cache.remove_with(key, &Remove::new().expected(version));
                None
            }
        }
    }
}

impl<K: ?Sized, V, C> Clone for TypedCache<K, V, C> {
    fn clone(&self) -> Self {
        let Self { cache, shared, tags, types } = self;
        Self { cache: cache.clone(), shared: Arc::clone(shared), tags: tags.clone(), types: *types }
    }
}

impl<K: ?Sized, V, C> fmt::Debug for TypedCache<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedCache").field("cache", &self.cache).finish_non_exhaustive()
    }
}
