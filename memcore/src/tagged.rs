//! Writing items that have tags, and invalidating all items that have one.

use std::fmt;

use crate::tags::Group;
use crate::{
    AsKey, Attrs, Cache, Count, CountError, Counted, Fetch, Fetched, Hit, Reservation, Store,
    StoreError, Stored, TagError,
};

/// A cache that tags what is stored through it, from [`Cache::tagged`].
///
/// It stands for the tags as they are when it is made: if one of them is invalidated later, what
/// has been stored through it is not seen any more, and nor is what is stored through it from then
/// on. So it is made *before* the data is read that a value derives from. If the data changes and
/// the tag is invalidated while the value is being made, the value is out of date, and nobody will
/// see it.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache};
///
/// let cache = Cache::new(8 << 20)?;
/// let load = || "a page about shoes and hats";
/// let page = cache.tagged(&["shoes", "hats"])?;
/// page.set("/", load().as_bytes(), Attrs::new())?;
/// assert!(cache.contains("/"));
///
/// assert!(cache.invalidate_tag("hats"));
/// assert!(!cache.contains("/"));
/// assert!(!page.is_current());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Tagged {
    cache: Cache,
    group: Group,
}

impl Cache {
    /// The cache as a place for items with these tags, at most eight; one tag may serve as a
    /// namespace.
    ///
    /// An item with tags takes 8 bytes more. A tag takes about 200 bytes and its length of the
    /// limit as long as items have it, and so does each combination of tags that items have.
    ///
    /// # Errors
    /// [`TagError`], if there are too many tags, one is empty or has more than 250 bytes, or there
    /// is no memory.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache, TagError};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.tagged(&["user:7"])?.set("k", b"v", Attrs::new())?;
    /// assert_eq!(cache.tagged(&[""]).err(), Some(TagError::BadTag));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tagged<T: AsRef<[u8]>>(&self, tags: &[T]) -> Result<Tagged, TagError> {
        let words: Vec<&[u8]> = tags.iter().map(AsRef::as_ref).collect();
        let group = self.engine().group(&words);
        self.engine().report_removals();
        Ok(Tagged { cache: self.clone(), group: group? })
    }

    /// Makes all items invisible that have this tag, at once, however many they are. Whether any
    /// item or [`Tagged`] had it.
    ///
    /// Their memory is reclaimed as other items' is: by eviction, or when their keys are used. What
    /// is stored under the same tag later is not affected.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// for user in ["ann", "bob"] {
    ///     cache.tagged(&["users"])?.set(user, b"...", Attrs::new())?;
    /// }
    /// assert!(cache.invalidate_tag("users"));
    /// assert!(!cache.contains("ann") && !cache.contains("bob"));
    ///
    /// cache.tagged(&["users"])?.set("ann", b"...", Attrs::new())?;
    /// assert!(cache.contains("ann"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn invalidate_tag(&self, tag: impl AsRef<[u8]>) -> bool {
        self.engine().invalidate_tag(tag.as_ref())
    }
}

impl Tagged {
    /// Stores a value with the tags; its version.
    ///
    /// # Errors
    /// [`StoreError`], if it can't be stored.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.tagged(&["shoes"])?.set("k", b"v", Attrs::new())?;
    /// assert!(cache.contains("k"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&self, key: impl AsKey, value: &[u8], attrs: Attrs) -> Result<u64, StoreError> {
        match self.store(key, value, attrs, &Store::new())? {
            Stored::Done { version, .. } => Ok(version),
            other => {
                debug_assert!(false, "an unconditional write came to {other:?}");
                Err(StoreError::Internal)
            }
        }
    }

    /// Stores a value with the tags under conditions. What is appended or prepended to a value
    /// leaves it the tags that it has.
    ///
    /// # Errors
    /// As [`Cache::store`].
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache, Store, Stored};
    /// # let cache = Cache::new(8 << 20)?;
    /// let tagged = cache.tagged(&["a"])?;
    /// tagged.store("k", b"1", Attrs::new(), &Store::add())?;
    /// assert_eq!(tagged.store("k", b"2", Attrs::new(), &Store::add())?, Stored::NotStored);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn store(
        &self,
        key: impl AsKey,
        value: &[u8],
        attrs: Attrs,
        how: &Store,
    ) -> Result<Stored, StoreError> {
        self.cache.store(key, value, attrs, &Store { group: self.group, ..*how })
    }

    /// Begins a write in two phases, with the tags.
    ///
    /// # Errors
    /// As [`Cache::reserve`].
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache, Store};
    /// # let cache = Cache::new(8 << 20)?;
    /// let mut place = cache.tagged(&["a"])?.reserve("k", 5, Attrs::new())?;
    /// place.write(b"value");
    /// place.commit(&Store::new())?;
    /// assert!(cache.invalidate_tag("a") && !cache.contains("k"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(
        &self,
        key: impl AsKey,
        len: usize,
        attrs: Attrs,
    ) -> Result<Reservation, StoreError> {
        self.cache.reserve_in(key, len, attrs, self.group)
    }

    /// Changes a decimal number. One that is created has the tags; one that is there keeps those
    /// that it has.
    ///
    /// # Errors
    /// As [`Cache::count`].
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache, Count};
    /// # let cache = Cache::new(8 << 20)?;
    /// let visit = Count::increment(1).initial(1, Attrs::new());
    /// cache.tagged(&["visits"])?.count("home", &visit)?;
    /// assert!(cache.invalidate_tag("visits") && !cache.contains("home"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count(&self, key: impl AsKey, how: &Count) -> Result<Counted, CountError> {
        self.cache.count(key, &Count { group: self.group, ..*how })
    }

    /// A lookup that may create an item, which then has the tags.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, Expiry, Fetch};
    /// # let cache = Cache::new(8 << 20)?;
    /// let lease = Fetch::new().lease(true).create(Expiry::Never);
    /// cache.tagged(&["a"])?.fetch("k", &lease, &mut Vec::new(), |_, _| {});
    /// assert!(cache.invalidate_tag("a") && !cache.contains("k"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fetch(
        &self,
        key: impl AsKey,
        how: &Fetch,
        out: &mut Vec<u8>,
        head: impl FnMut(&Hit, &mut Vec<u8>),
    ) -> Fetched {
        self.cache.fetch(key, &Fetch { group: self.group, ..*how }, out, head)
    }

    /// Whether none of the tags was invalidated since this was made.
    ///
    /// # Examples
    /// ```
    /// # use memcore::Cache;
    /// # let cache = Cache::new(8 << 20)?;
    /// let tagged = cache.tagged(&["shoes"])?;
    /// assert!(tagged.is_current());
    /// cache.invalidate_tag("shoes");
    /// assert!(!tagged.is_current());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.cache.engine().tags.is_dead(self.group)
    }
}

impl Clone for Tagged {
    fn clone(&self) -> Self {
        self.cache.engine().tags.hold(self.group);
        Self { cache: self.cache.clone(), group: self.group }
    }
}

impl Drop for Tagged {
    fn drop(&mut self) {
        self.cache.engine().release_group(self.group);
    }
}

impl fmt::Debug for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tagged").field("is_current", &self.is_current()).finish_non_exhaustive()
    }
}
