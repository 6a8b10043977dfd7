//! Keys, and what can be one.

use crate::Cache;

/// A key with its hash, so that a caller who needs it several times hashes once.
///
/// It belongs to the cache that has hashed it, clones included. To every other cache it is a key
/// that no item can have, like an empty one or one that is too long: lookups and removals find
/// nothing under it, and writes are refused.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, StoreError};
///
/// let (cache, other) = (Cache::new(8 << 20)?, Cache::new(8 << 20)?);
/// let key = cache.key(b"k");
/// cache.set(key, b"v", Attrs::new())?;
/// assert!(cache.contains(key) && cache.contains("k"));
/// assert_eq!(other.set(key, b"v", Attrs::new()), Err(StoreError::ForeignKey));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    pub(crate) bytes: &'k [u8],
    pub(crate) hash: u64,
    /// What is known of the secret that it was hashed with.
    pub(crate) tag: u32,
}

impl<'k> Key<'k> {
    /// The key itself.
    ///
    /// # Examples
    /// ```
    /// # let cache = memcore::Cache::new(8 << 20)?;
    /// assert_eq!(cache.key(b"k").bytes(), b"k");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn bytes(&self) -> &'k [u8] {
        self.bytes
    }
}

/// What can be looked up: bytes, or a [`Key`] that was hashed before by the same cache.
///
/// # Examples
/// ```
/// use memcore::{AsKey, Attrs, Cache};
///
/// fn is_hot(cache: &Cache, key: impl AsKey) -> bool {
///     cache.contains(key)
/// }
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", b"v", Attrs::new())?;
/// let hashed = cache.key(b"k");
/// assert!(is_hot(&cache, "k") && is_hot(&cache, b"k") && is_hot(&cache, hashed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait AsKey {
    /// The key, hashed by `cache` unless it was hashed before.
    fn as_key(&self, cache: &Cache) -> Key<'_>;

    /// Whether what [`as_key`](Self::as_key) returns was hashed by another cache than this one.
    fn is_foreign(&self, _cache: &Cache) -> bool {
        false
    }
}

impl AsKey for Key<'_> {
    #[inline]
    fn as_key(&self, _cache: &Cache) -> Key<'_> {
        *self
    }

    #[inline]
    fn is_foreign(&self, cache: &Cache) -> bool {
        self.tag != cache.tag()
    }
}

impl<T: AsRef<[u8]> + ?Sized> AsKey for T {
    #[inline]
    fn as_key(&self, cache: &Cache) -> Key<'_> {
        cache.key(self.as_ref())
    }
}
