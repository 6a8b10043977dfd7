//! What loads come to, and how long they take.

use core::time::Duration;
use std::time::Instant;

use crate::memory::sync::{AtomicU64, Ordering};

/// Loads of a [`TypedCache`](super::TypedCache) so far, from
/// [`TypedCache::load_stats`](super::TypedCache::load_stats).
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::typed::TypedCache;
///
/// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
/// words.get_or_load("k", || Ok::<_, std::io::Error>("value".to_owned()))?;
/// let _ = words.get_or_load("other", || Err("down"));
/// let loads = words.load_stats();
/// assert_eq!((loads.loaded, loads.failed), (1, 1));
/// assert!(loads.mean() <= loads.longest);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadStats {
    /// Loads that returned a value.
    pub loaded: u64,
    /// Loads that found that there is none.
    pub absent: u64,
    /// Loads that returned an error.
    pub failed: u64,
    /// Loads that panicked or were cancelled.
    pub abandoned: u64,
    /// How often somebody waited for another one's load instead of loading.
    pub waited: u64,
    /// The time of all loads together.
    pub time: Duration,
    /// The longest load.
    pub longest: Duration,
}

impl LoadStats {
    /// How many loads have ended, in whatever way.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// let _ = words.get_or_load("k", || Err("down"));
    /// assert_eq!(words.load_stats().count(), 1);
    /// # Ok::<(), memcore::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.loaded + self.absent + self.failed + self.abandoned
    }

    /// How long a load takes on average; zero if there was none.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Cache, typed::TypedCache};
    /// let words: TypedCache<str, String> = TypedCache::new(Cache::new(8 << 20)?);
    /// assert_eq!(words.load_stats().mean(), Duration::ZERO);
    /// # Ok::<(), memcore::ConfigError>(())
    /// ```
    #[must_use]
    pub fn mean(&self) -> Duration {
        let nanos = self.time.as_nanos() / u128::from(self.count().max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// How a load has ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Loaded,
    Absent,
    Failed,
    Abandoned,
    /// There was none: the value came meanwhile.
    Needless,
}

impl End {
    pub(super) fn of<V, E>(loaded: &Result<Option<V>, E>) -> Self {
        match loaded {
            Ok(Some(_)) => Self::Loaded,
            Ok(None) => Self::Absent,
            Err(_) => Self::Failed,
        }
    }
}

/// The counters. They stand for themselves, so that all orderings are relaxed.
#[derive(Debug)]
pub(super) struct Loads {
    /// By [`End`].
    ends: [AtomicU64; 4],
    waited: AtomicU64,
    nanos: AtomicU64,
    longest_nanos: AtomicU64,
}

impl Loads {
    pub(super) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        let ends = std::array::from_fn(|_| zero());
        Self { ends, waited: zero(), nanos: zero(), longest_nanos: zero() }
    }

    pub(super) fn note_wait(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    fn note(&self, end: End, time: Duration) {
        let Some(count) = self.ends.get(end as usize) else { return };
        count.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.longest_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> LoadStats {
        let [loaded, absent, failed, abandoned] =
            std::array::from_fn(|end| self.ends[end].load(Ordering::Relaxed));
        LoadStats {
            loaded,
            absent,
            failed,
            abandoned,
            waited: self.waited.load(Ordering::Relaxed),
            time: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)),
            longest: Duration::from_nanos(self.longest_nanos.load(Ordering::Relaxed)),
        }
    }
}

/// Takes the time of a load. If it is dropped, the load was abandoned.
#[derive(Debug)]
pub(super) struct Watch<'t> {
    loads: &'t Loads,
    begun: Instant,
    is_over: bool,
}

impl<'t> Watch<'t> {
    pub(super) fn start(loads: &'t Loads) -> Self {
        Self { loads, begun: Instant::now(), is_over: false }
    }

    pub(super) fn end(&mut self, end: End) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.loads.note(end, self.begun.elapsed());
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.end(End::Abandoned);
    }
}
