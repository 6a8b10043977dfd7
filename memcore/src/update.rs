//! Changing a value that depends on what it was, without a lock around it.

use crate::{AsKey, Attrs, Cache, Fetch, Fetched, Remove, Removed, Store, StoreError, Stored};

/// What is to become of a value that was looked at.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Change};
///
/// let cache = Cache::new(8 << 20)?;
/// let count = |old: Option<&[u8]>| match old {
///     None => Change::Put(vec![1]),
///     Some(&[n]) if n < 2 => Change::Put(vec![n + 1]),
///     Some(_) => Change::Remove,
/// };
/// assert_eq!(cache.update("k", Attrs::new(), count)?, Some(vec![1]));
/// assert_eq!(cache.update("k", Attrs::new(), count)?, Some(vec![2]));
/// assert_eq!(cache.update("k", Attrs::new(), count)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<V> {
    /// It stays as it is.
    Keep,
    /// This value takes its place.
    Put(V),
    /// It goes.
    Remove,
}

impl Cache {
    /// Replaces a value by one that is made of it; what the key has then.
    ///
    /// Nothing is locked while `change` looks at the value, so it may use the cache. If the key is
    /// written meanwhile, it is called again with the newer value. A new value gets `attrs`.
    ///
    /// # Errors
    /// [`StoreError`], if the new value can't be stored.
    ///
    /// # Examples
    /// ```
    /// use memcore::{Attrs, Cache, Change};
    ///
    /// let cache = Cache::new(8 << 20)?;
    /// let push = |word: &'static str| {
    ///     move |old: Option<&[u8]>| {
    ///         let mut all = old.unwrap_or_default().to_vec();
    ///         all.extend_from_slice(word.as_bytes());
    ///         Change::Put(all)
    ///     }
    /// };
    /// cache.update("k", Attrs::new(), push("one "))?;
    /// assert_eq!(cache.update("k", Attrs::new(), push("two"))?.unwrap(), b"one two");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update(
        &self,
        key: impl AsKey,
        attrs: Attrs,
        mut change: impl FnMut(Option<&[u8]>) -> Change<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if key.is_foreign(self) {
            return Err(StoreError::ForeignKey);
        }
        let key = key.as_key(self);
        let mut old = Vec::new();
        loop {
            old.clear();
            let version = match self.fetch(key, &Fetch::new(), &mut old, |_, _| {}) {
                Fetched::Copied(hit) => Some(hit.meta.version),
                _ => None,
            };
            let done = match (change(version.is_some().then_some(&old[..])), version) {
                (Change::Keep, None) | (Change::Remove, None) => return Ok(None),
                (Change::Keep, Some(_)) => return Ok(Some(old)),
                (Change::Remove, Some(version)) => {
                    match self.remove_with(key, &Remove::new().expected(version))? {
                        Removed::VersionMismatch => continue,
                        Removed::Done(_) | Removed::NotFound => return Ok(None),
                    }
                }
                (Change::Put(new), version) => {
                    let how = match version {
                        Some(version) => Store::new().expected(version),
                        None => Store::add(),
                    };
                    (self.store(key, &new, attrs, &how)?, new)
                }
            };
            if let (Stored::Done { .. }, new) = done {
                return Ok(Some(new));
            }
        }
    }
}
