//! What callers say and learn about an item.

use core::time::Duration;

use crate::Moment;

/// When an item stops being visible.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::{Attrs, Cache, Expiry, Moment};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("session", b"...", Attrs::new().ttl(Duration::from_secs(60)))?;
/// cache.touch("session", Expiry::after(Duration::from_secs(3600)))?;
/// cache.touch("session", Expiry::At(Moment::from_secs(4_000_000_000)))?;
/// cache.touch("session", Expiry::Never)?;
/// assert_eq!(cache.peek("session").map(|meta| meta.expiry), Some(None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// Only eviction, deletion or a flush ends it.
    #[default]
    Never,
    /// Not visible from this second on. A moment that has passed is legal: the item is stored and
    /// invisible at once.
    At(Moment),
    /// Not visible when so much time has passed since the operation.
    ///
    /// The cache's clock shows whole seconds, and fractions of the duration are cut off: an item
    /// with n seconds to live lives longer than n - 1 seconds and never longer than n, and one with
    /// less than a second is invisible at once.
    After(Duration),
}

impl Expiry {
    /// Ends so much time after the operation; see [`Expiry::After`].
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::Expiry;
    /// let minute = Duration::from_secs(60);
    /// assert_eq!(Expiry::after(minute), Expiry::After(minute));
    /// ```
    #[inline]
    #[must_use]
    pub const fn after(ttl: Duration) -> Self {
        Self::After(ttl)
    }

    /// When an item ends that gets this expiry at the moment `now`; `None` for never.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use memcore::{Expiry, Moment};
    ///
    /// let now = Moment::from_secs(1_000);
    /// let soon = Expiry::after(Duration::from_secs(5));
    /// assert_eq!(soon.moment(now), Some(Moment::from_secs(1_005)));
    /// assert_eq!(Expiry::Never.moment(now), None);
    /// ```
    #[inline]
    #[must_use]
    pub fn moment(self, now: Moment) -> Option<Moment> {
        match self {
            Self::Never => None,
            Self::At(moment) => Some(moment),
            Self::After(ttl) => Some(now + ttl),
        }
    }
}

impl From<Option<Moment>> for Expiry {
    /// The expiry of an item with this [`Meta::expiry`].
    #[inline]
    fn from(moment: Option<Moment>) -> Self {
        moment.map_or(Self::Never, Self::At)
    }
}

/// What a writer attaches to a value.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::Attrs;
///
/// let plain = Attrs::new();
/// let session = Attrs::new().flags(7).ttl(Duration::from_secs(60));
/// assert_eq!((plain.flags, session.flags), (0, 7));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attrs {
    /// Opaque to the cache, returned with the value. Zero takes no memory.
    pub flags: u32,
    /// When the item ends. [`Expiry::Never`] takes no memory.
    pub expiry: Expiry,
    /// One opaque bit for the caller, returned in [`Meta::marked`].
    pub marked: bool,
}

impl Attrs {
    /// No flags, no expiry, no mark.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { flags: 0, expiry: Expiry::Never, marked: false }
    }

    /// Sets [`flags`](Self::flags).
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new().flags(7))?;
    /// assert_eq!(cache.peek("k").map(|meta| meta.flags), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// Sets [`expiry`](Self::expiry).
    #[inline]
    #[must_use]
    pub const fn expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = expiry;
        self
    }

    /// Lets the item live so long, counted from the operation; see [`Expiry::After`].
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"v", Attrs::new().ttl(Duration::from_secs(60)))?;
    /// assert!(cache.peek("k").is_some_and(|meta| meta.expiry.is_some()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn ttl(self, ttl: Duration) -> Self {
        self.expiry(Expiry::After(ttl))
    }

    /// Sets [`marked`](Self::marked).
    #[inline]
    #[must_use]
    pub const fn marked(mut self, marked: bool) -> Self {
        self.marked = marked;
        self
    }
}

/// The state that lets many readers of one item agree on who renews it.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Fetch, Fetched, Remove};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", b"old", Attrs::new())?;
/// cache.remove_with("k", &Remove::new().invalidate(true))?;
/// assert!(cache.peek("k").is_some_and(|meta| meta.lease.stale && !meta.lease.taken));
///
/// // The first reader is asked to renew the value; others get the old one.
/// let fetch = Fetch::new().lease(true);
/// let mut value = Vec::new();
/// let first = cache.fetch("k", &fetch, &mut value, |_, _| ());
/// assert!(matches!(first, Fetched::Copied(hit) if hit.won));
/// let second = cache.fetch("k", &fetch, &mut value, |_, _| ());
/// assert!(matches!(second, Fetched::Copied(hit) if !hit.won && hit.meta.lease.taken));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The value was declared out of date, but is still served.
    pub stale: bool,
    /// Some reader has already been asked to renew it.
    pub taken: bool,
}

/// What is known about an item besides its bytes.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache};
///
/// let cache = Cache::new(8 << 20)?;
/// let version = cache.set("k", b"value", Attrs::new().flags(7))?;
/// let meta = cache.peek("k").expect("it was just stored");
/// assert_eq!((meta.flags, meta.version, meta.value_len), (7, version, 5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// The writer's flags.
    pub flags: u32,
    /// Changes with every write of the value.
    pub version: u64,
    /// When the item ends; `None` for never.
    pub expiry: Option<Moment>,
    /// The writer's mark.
    pub marked: bool,
    /// Bytes of the value.
    pub value_len: usize,
    /// Bytes that the item takes in memory, header and key included, index excluded.
    pub size: usize,
    /// The size class it is accounted to, counted from 1.
    pub class: u8,
    /// Whether it had been read since it was written, before this access.
    pub fetched: bool,
    /// The last access before this one (its write, if there was none). Exact to a minute unless
    /// [`Cache::track_access_exactly`](crate::Cache::track_access_exactly) was called.
    pub last_access: Moment,
    /// The lease before this access.
    pub lease: Lease,
}
