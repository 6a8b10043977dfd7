//! Keys, and what can be one.

use crate::Cache;

/// A key with its hash, so that a caller who needs it several times hashes once.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    pub(crate) bytes: &'k [u8],
    pub(crate) hash: u64,
}

impl<'k> Key<'k> {
    /// The key itself.
    #[must_use]
    pub fn bytes(&self) -> &'k [u8] {
        self.bytes
    }
}

/// What can be looked up: bytes, or a [`Key`] that was hashed before by the same cache.
pub trait AsKey {
    /// The key, hashed by `cache`.
    fn as_key(&self, cache: &Cache) -> Key<'_>;
}

impl AsKey for Key<'_> {
    #[inline]
    fn as_key(&self, _cache: &Cache) -> Key<'_> {
        *self
    }
}

impl<T: AsRef<[u8]> + ?Sized> AsKey for T {
    #[inline]
    fn as_key(&self, cache: &Cache) -> Key<'_> {
        cache.key(self.as_ref())
    }
}
