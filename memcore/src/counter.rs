//! Numbers that many threads count up, each with a time to live.

use core::time::Duration;

use crate::ops::update::parse_number;
use crate::{AsKey, Attrs, Cache, Count, CountError, Counted};

/// Counts by key. The numbers are items of the cache like any other: they may be evicted, and then
/// counting begins anew.
///
/// # Examples
/// A rate limiter of a hundred requests a minute for each client:
/// ```
/// use std::time::Duration;
/// use memcore::{Cache, Counter};
///
/// let cache = Cache::new(8 << 20)?;
/// let requests = Counter::new(&cache).ttl(Duration::from_secs(60));
/// let admits = |client: &str| requests.add(client, 1).is_ok_and(|count| count <= 100);
/// assert!((0..100).all(|_| admits("192.0.2.1")));
/// assert!(!admits("192.0.2.1"));
/// assert!(admits("192.0.2.2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Counter {
    cache: Cache,
    attrs: Attrs,
}

impl Counter {
    /// Counts in `cache`. Numbers are kept until they are evicted.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, Counter};
    /// # let cache = Cache::new(8 << 20)?;
    /// let visits = Counter::new(&cache);
    /// assert_eq!(visits.get("page")?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        Self { cache: cache.clone(), attrs: Attrs::new() }
    }

    /// Each number ends so long after it was created, however often it is counted meanwhile; see
    /// [`Expiry::After`](crate::Expiry::After).
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, Counter};
    /// # let cache = Cache::new(8 << 20)?;
    /// let requests = Counter::new(&cache).ttl(Duration::from_secs(60));
    /// requests.add("192.0.2.1", 1)?;
    /// assert!(cache.peek("192.0.2.1").is_some_and(|meta| meta.expiry.is_some()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.attrs = self.attrs.ttl(ttl);
        self
    }

    /// Adds `delta` to the key's number, which begins at 0; the new number, modulo 2^64.
    ///
    /// # Errors
    /// [`CountError`], if the key has a value that is not a number, or a number can't be stored.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, Counter};
    /// let visits = Counter::new(&Cache::new(8 << 20)?);
    /// visits.add("page", 1)?;
    /// assert_eq!(visits.add("page", 2)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add(&self, key: impl AsKey, delta: u64) -> Result<u64, CountError> {
        self.count(key, &Count::increment(delta).initial(delta, self.attrs))
    }

    /// Subtracts `delta`, but stops at 0; the new number.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, Counter};
    /// let stock = Counter::new(&Cache::new(8 << 20)?);
    /// stock.add("shoes", 5)?;
    /// assert_eq!(stock.subtract("shoes", 2)?, 3);
    /// assert_eq!(stock.subtract("shoes", 9)?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subtract(&self, key: impl AsKey, delta: u64) -> Result<u64, CountError> {
        self.count(key, &Count::decrement(delta))
    }

    fn count(&self, key: impl AsKey, how: &Count) -> Result<u64, CountError> {
        match self.cache.count(key, how)? {
            Counted::Done { value, .. } => Ok(value),
            Counted::NotFound | Counted::VersionMismatch => Ok(0),
        }
    }

    /// The key's number: 0 if there is none.
    ///
    /// # Errors
    /// [`CountError::NotANumber`], if the key has a value that is none.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, Counter};
    /// let visits = Counter::new(&Cache::new(8 << 20)?);
    /// visits.add("page", 3)?;
    /// assert_eq!((visits.get("page")?, visits.get("other")?), (3, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get(&self, key: impl AsKey) -> Result<u64, CountError> {
        let mut value = Vec::new();
        match self.cache.get_into(key, &mut value) {
            Some(_) => parse_number(value.into_iter()).ok_or(CountError::NotANumber),
            None => Ok(0),
        }
    }

    /// Removes the key's number; whether there was one.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, Counter};
    /// let visits = Counter::new(&Cache::new(8 << 20)?);
    /// visits.add("page", 3)?;
    /// assert_eq!((visits.get("page")?, visits.subtract("page", 1)?), (3, 2));
    /// assert!(visits.reset("page"));
    /// assert_eq!(visits.get("page")?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&self, key: impl AsKey) -> bool {
        self.cache.delete(key)
    }
}
