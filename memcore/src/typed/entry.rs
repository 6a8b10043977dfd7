//! Entries, changes that depend on the value, and walking over all values.

use core::borrow::Borrow;
use std::collections::VecDeque;
use std::fmt;

use super::{Codec, DecodeKey, InsertError, KeyBytes, TypedCache, stands_for_value};
use crate::{Change, Cursor, Fetch, Key, Remove, Removed, Store, Stored};

/// Items that are looked at together.
const BATCH: usize = 64;

/// A key of a typed cache, with or without a value; from [`TypedCache::entry`].
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::TypedCache;
///
/// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
/// assert_eq!(words.entry("k").or_insert_with(|| "first".to_owned())?, "first");
/// assert_eq!(words.entry("k").or_insert_with(|| "second".to_owned())?, "first");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Entry<'t, Q: ?Sized, K: ?Sized, V, C> {
    typed: &'t TypedCache<K, V, C>,
    key: &'t Q,
}

impl<Q, K, V, C> Entry<'_, Q, K, V, C>
where
    K: Borrow<Q> + ?Sized,
    Q: KeyBytes + ?Sized,
    C: Codec<V>,
{
    /// The value, or the one that `make` returns, which is then stored. If another thread stores
    /// one meanwhile, it is that one. Several threads may call `make`; a loader is called by one
    /// ([`TypedCache::get_or_load`]).
    ///
    /// # Errors
    /// [`InsertError`], if there is no value and the new one can't be stored.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// assert_eq!(words.entry("k").or_insert_with(|| "made".to_owned())?, "made");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> Result<V, InsertError> {
        let Self { typed, key } = self;
        if let Some(value) = typed.get(key) {
            return Ok(value);
        }
        let made = make();
        let mut bytes = Vec::new();
        typed.shared.codec.encode(&made, &mut bytes)?;
        let attrs = typed.attrs(&made);
        loop {
            let stored = key.key_bytes(|key| {
                let key = typed.cache.key(key);
                // What stands for a load that is under way is not a value.
                let how = match typed.cache.peek(key) {
                    Some(meta) if stands_for_value(&meta) => Store::new().expected(meta.version),
                    _ => Store::add(),
                };
                typed.store(key, &bytes, attrs, &how)
            })?;
            if let Stored::Done { .. } = stored {
                return Ok(made);
            }
            if let Some(value) = typed.get(key) {
                return Ok(value);
            }
        }
    }

    /// The value, or this one, which is then stored.
    ///
    /// # Errors
    /// As for [`or_insert_with`](Self::or_insert_with).
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// assert_eq!(words.entry("k").or_insert("v".to_owned())?, "v");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn or_insert(self, value: V) -> Result<V, InsertError> {
        self.or_insert_with(|| value)
    }

    /// The value, or that of its type's [`Default`], which is then stored.
    ///
    /// # Errors
    /// As for [`or_insert_with`](Self::or_insert_with).
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// assert_eq!(words.entry("k").or_default()?, "");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn or_default(self) -> Result<V, InsertError>
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K: ?Sized, V, C: Codec<V>> TypedCache<K, V, C> {
    /// A key with what it has, for [`Entry::or_insert_with`] and its like.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.entry("k").or_insert("v".to_owned())?;
    /// assert_eq!(words.get("k").as_deref(), Some("v"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entry<'t, Q>(&'t self, key: &'t Q) -> Entry<'t, Q, K, V, C>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
    {
        Entry { typed: self, key }
    }

    /// Replaces a value by one that is made of it; what the key has then. Nothing is locked
    /// meanwhile: if another thread writes the key, `change` is called again.
    ///
    /// # Errors
    /// [`InsertError`], if the new value can't be stored.
    ///
    /// # Examples
    /// ```
    /// use memcore::{Cache, Change};
    /// use memcore::typed::TypedCache;
    ///
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// let longer = |old: Option<String>| Change::Put(old.unwrap_or_default() + "a");
    /// words.compute("k", longer)?;
    /// assert_eq!(words.compute("k", longer)?.as_deref(), Some("aa"));
    /// assert_eq!(words.compute("k", |_| Change::Remove)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compute<Q>(
        &self,
        key: &Q,
        mut change: impl FnMut(Option<V>) -> Change<V>,
    ) -> Result<Option<V>, InsertError>
    where
        K: Borrow<Q>,
        Q: KeyBytes + ?Sized,
    {
        key.key_bytes(|key| {
            let key = self.cache.key(key);
            let mut new = Vec::new();
            loop {
                let meta = self.cache.peek(key);
                let old = self.read(key, &Fetch::new());
                let version = match (&old, meta) {
                    (Some((_, hit)), _) => Some(hit.meta.version),
                    // It stands for a load that is under way.
                    (None, Some(meta)) if stands_for_value(&meta) => Some(meta.version),
                    (None, _) => None,
                };
                let was_there = old.is_some();
                let how = version.map_or(Store::add(), |version| Store::new().expected(version));
                match change(old.map(|(value, _)| value)) {
                    Change::Put(value) => {
                        new.clear();
                        self.shared.codec.encode(&value, &mut new)?;
                        let attrs = self.attrs(&value);
                        if let Stored::Done { .. } = self.store(key, &new, attrs, &how)? {
                            return Ok(Some(value));
                        }
                    }
                    Change::Keep if was_there => {
                        let kept = self.read(key, &Fetch::new().peek(true));
                        return Ok(kept.map(|(value, hit)| {
                            self.keep_from_idling(key, &hit.meta);
                            value
                        }));
                    }
                    Change::Keep => return Ok(None),
                    // A value that came meanwhile was not looked at.
                    Change::Remove if version.is_none() => {
                        self.note_change(key);
                        return Ok(None);
                    }
                    Change::Remove => {
                        let how = Remove::new().expected(version);
                        match self.cache.remove_with(key, &how)? {
                            Removed::VersionMismatch => {}
                            Removed::Done(_) | Removed::NotFound => {
                                self.note_change(key);
                                return Ok(None);
                            }
                        }
                    }
                }
            }
        })
    }

    /// All keys and values, in no order, without counting as a use. What is written meanwhile may
    /// or may not be among them, or twice. Nothing is locked between two of them. The keys are
    /// owned: for those of a `TypedCache<str, V>`, a `TypedCache<String, V>` of the same cache.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<u32, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert_many((1..4).map(|n| (n, n.to_string())))?;
    /// let mut all: Vec<_> = words.iter().collect();
    /// all.sort();
    /// assert_eq!(all[2], (3, "3".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V, C> {
        Iter { typed: self, cursor: Some(Cursor::default()), keys: VecDeque::new() }
    }

    /// Removes all values, and returns them with their keys one by one. Those that the iterator was
    /// not asked for stay.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<u32, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert_many((1..4).map(|n| (n, n.to_string())))?;
    /// assert_eq!(words.drain().map(|(n, _)| n).sum::<u32>(), 6);
    /// assert_eq!(words.iter().count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "what is not asked for stays"]
    pub fn drain(&self) -> Drain<'_, K, V, C> {
        Drain { all: self.iter() }
    }

    /// Removes the values for which `keep` says so; how many.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<u32, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// words.insert_many((0..10).map(|n| (n, n.to_string())))?;
    /// assert_eq!(words.retain(|key, _| key % 2 == 0), 5);
    /// assert_eq!(words.iter().count(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) -> usize
    where
        K: DecodeKey,
    {
        let mut removed = 0;
        let mut all = self.iter();
        while let Some(bytes) = all.next_key() {
            let key = self.cache.key(&bytes);
            let Some(known) = K::from_key_bytes(&bytes) else { continue };
            let Some((value, hit)) = self.look_at(key) else { continue };
            if !keep(&known, &value) {
                // A newer value was not looked at.
                removed += usize::from(self.remove_version(key, hit.meta.version));
            }
        }
        removed
    }

    /// Removes this value if it is still there; whether it was.
    fn remove_version(&self, key: Key<'_>, version: u64) -> bool {
        let removed = self.cache.remove_with(key, &Remove::new().expected(version));
        let is_done = matches!(removed, Ok(Removed::Done(_)));
        if is_done {
            self.note_change(key);
        }
        is_done
    }
}

/// All keys and values, from [`TypedCache::iter`]. Keys that are none of `K` are left out, and so
/// are values that the codec can't read: they may be those of others that share the [`Cache`].
///
/// [`Cache`]: crate::Cache
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::TypedCache;
///
/// let names: TypedCache<u64, String> = TypedCache::new(Cache::new(8 << 20)?);
/// names.insert(&1, &"Ann".to_owned())?;
/// names.insert(&2, &"Bob".to_owned())?;
/// let mut all: Vec<(u64, String)> = names.iter().collect();
/// all.sort();
/// assert_eq!(all, [(1, "Ann".to_owned()), (2, "Bob".to_owned())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Iter<'t, K: ?Sized, V, C> {
    typed: &'t TypedCache<K, V, C>,
    /// `None` once all keys were seen.
    cursor: Option<Cursor>,
    keys: VecDeque<Vec<u8>>,
}

impl<K: ?Sized, V, C> Iter<'_, K, V, C> {
    fn next_key(&mut self) -> Option<Vec<u8>> {
        while self.keys.is_empty() {
            let mut cursor = self.cursor.take()?;
            let goes_on = self.typed.cache.scan(&mut cursor, BATCH, |key, meta| {
                if !stands_for_value(meta) {
                    self.keys.push_back(key.to_vec());
                }
            });
            self.cursor = goes_on.then_some(cursor);
        }
        self.keys.pop_front()
    }
}

impl<'t, K: DecodeKey, V, C: Codec<V>> IntoIterator for &'t TypedCache<K, V, C> {
    type Item = (K, V);
    type IntoIter = Iter<'t, K, V, C>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: DecodeKey, V, C: Codec<V>> Iterator for Iter<'_, K, V, C> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        loop {
            let bytes = self.next_key()?;
            let key = self.typed.cache.key(&bytes);
            let Some(known) = K::from_key_bytes(&bytes) else { continue };
            if let Some((value, _)) = self.typed.look_at(key) {
                return Some((known, value));
            }
        }
    }
}

/// Keys and values as they are removed, from [`TypedCache::drain`]. Keys that are none of `K` are
/// left alone, and so are values that the codec can't read.
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::TypedCache;
///
/// let names: TypedCache<u64, String> = TypedCache::new(Cache::new(8 << 20)?);
/// names.insert(&1, &"Ann".to_owned())?;
/// for (id, name) in names.drain() {
///     println!("{id} was {name}");
/// }
/// assert!(!names.contains(&1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Drain<'t, K: ?Sized, V, C> {
    all: Iter<'t, K, V, C>,
}

impl<K: DecodeKey, V, C: Codec<V>> Iterator for Drain<'_, K, V, C> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        loop {
            let bytes = self.all.next_key()?;
            let Some(known) = K::from_key_bytes(&bytes) else { continue };
            let typed = self.all.typed;
            let key = typed.cache.key(&bytes);
            while let Some((value, hit)) = typed.look_at(key) {
                // Another one may have taken or replaced it.
                if typed.remove_version(key, hit.meta.version) {
                    return Some((known, value));
                }
            }
        }
    }
}

impl<K: ?Sized, V, C> fmt::Debug for Drain<'_, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("cache", &self.all.typed).finish_non_exhaustive()
    }
}

impl<K: ?Sized, V, C> fmt::Debug for Iter<'_, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("cache", &self.typed).finish_non_exhaustive()
    }
}

impl<Q: ?Sized, K: ?Sized, V, C> fmt::Debug for Entry<'_, Q, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("cache", &self.typed).finish_non_exhaustive()
    }
}
