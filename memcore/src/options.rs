//! Every operation in full: what it can be asked for, and what becomes of it.
//!
//! The types may gain fields and variants, so they are made with constructors and methods of the
//! same names as their fields: `Store::append().create(Expiry::Never)`.

use core::time::Duration;

use crate::tags::Group;
use crate::{Attrs, Expiry, Meta};

/// How a write treats what is already there.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Mode, Store, Stored};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", b"middle", Attrs::new())?;
/// cache.store("k", b", end", Attrs::new(), &Store::mode(Mode::Append))?;
/// assert_eq!(cache.get("k").as_deref(), Some(&b"middle, end"[..]));
/// let added = cache.store("k", b"new", Attrs::new(), &Store::mode(Mode::Add))?;
/// assert_eq!(added, Stored::NotStored);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Store whether or not the key exists.
    #[default]
    Set,
    /// Store only if the key does not exist.
    Add,
    /// Store only if the key exists.
    Replace,
    /// Put the bytes behind the existing value, keeping its attributes.
    Append,
    /// Put the bytes before the existing value, keeping its attributes.
    Prepend,
}

/// A write in full, for [`Cache::store`](crate::Cache::store); [`Default`] is an unconditional set.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Expiry, Store, Stored};
///
/// let cache = Cache::new(8 << 20)?;
/// let version = cache.set("k", b"one", Attrs::new())?;
///
/// // Only if it was not written meanwhile.
/// let swap = Store::new().expected(version);
/// assert!(matches!(cache.store("k", b"two", Attrs::new(), &swap)?, Stored::Done { .. }));
/// assert_eq!(cache.store("k", b"late", Attrs::new(), &swap)?, Stored::VersionMismatch);
///
/// // Only if there is nothing; and at the end of what may be there.
/// assert_eq!(cache.store("k", b"three", Attrs::new(), &Store::add())?, Stored::NotStored);
/// cache.store("log", b"line\n", Attrs::new(), &Store::append().create(Expiry::Never))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Store {
    /// What to do with what is there.
    pub mode: Mode,
    /// Store only if the item has this version. To set and replace, there must be one; where other
    /// modes create an item, they do all the same.
    pub expected: Option<u64>,
    /// Give the item this version instead of the next one.
    pub version: Option<u64>,
    /// If the item's version is higher than `expected`, set all the same, but marked stale, with
    /// the expiry and lease of the item that it replaces.
    pub allow_stale: bool,
    /// For append and prepend: create the item with this expiry if it is missing.
    pub create: Option<Expiry>,
    /// Who sets it has a reference to the group meanwhile.
    pub(crate) group: Group,
}

impl Store {
    /// Whether it matters to the write what is there.
    #[inline(always)]
    pub(crate) fn depends_on_old(&self) -> bool {
        self.mode != Mode::Set || self.expected.is_some()
    }

    /// Sets without conditions.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self::mode(Mode::Set)
    }

    /// Writes in this mode.
    #[inline]
    #[must_use]
    pub const fn mode(mode: Mode) -> Self {
        Self {
            mode,
            expected: None,
            version: None,
            allow_stale: false,
            create: None,
            group: Group::NONE,
        }
    }

    /// Stores only if the key does not exist.
    #[inline]
    #[must_use]
    pub const fn add() -> Self {
        Self::mode(Mode::Add)
    }

    /// Stores only if the key exists.
    #[inline]
    #[must_use]
    pub const fn replace() -> Self {
        Self::mode(Mode::Replace)
    }

    /// Puts the bytes behind the existing value.
    #[inline]
    #[must_use]
    pub const fn append() -> Self {
        Self::mode(Mode::Append)
    }

    /// Puts the bytes before the existing value.
    #[inline]
    #[must_use]
    pub const fn prepend() -> Self {
        Self::mode(Mode::Prepend)
    }

    /// Sets [`expected`](Self::expected).
    #[inline]
    #[must_use]
    pub fn expected(mut self, version: impl Into<Option<u64>>) -> Self {
        self.expected = version.into();
        self
    }

    /// Sets [`version`](Self::version).
    #[inline]
    #[must_use]
    pub fn version(mut self, version: impl Into<Option<u64>>) -> Self {
        self.version = version.into();
        self
    }

    /// Sets [`allow_stale`](Self::allow_stale).
    #[inline]
    #[must_use]
    pub const fn allow_stale(mut self, allow: bool) -> Self {
        self.allow_stale = allow;
        self
    }

    /// Sets [`create`](Self::create).
    #[inline]
    #[must_use]
    pub fn create(mut self, expiry: impl Into<Option<Expiry>>) -> Self {
        self.create = expiry.into();
        self
    }
}

/// What became of a write that was not refused for lack of space.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Store, Stored};
///
/// let cache = Cache::new(8 << 20)?;
/// let version = cache.set("k", b"old", Attrs::new())?;
/// let swap = Store::new().expected(version);
/// let first = cache.store("k", b"new", Attrs::new(), &swap)?;
/// assert!(matches!(first, Stored::Done { value_len: 3, .. }));
/// let second = cache.store("k", b"late", Attrs::new(), &swap)?;
/// assert_eq!(second, Stored::VersionMismatch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stored {
    /// The value is visible.
    #[non_exhaustive]
    Done {
        /// The version it got.
        version: u64,
        /// Bytes of the whole value now (more than was given for append and prepend).
        value_len: usize,
    },
    /// The key exists (for [`Mode::Add`]) or does not (for the other modes).
    NotStored,
    /// The item's version is not the expected one.
    VersionMismatch,
    /// A version was expected, but the item does not exist.
    NotFound,
}

/// Why a lookup found nothing.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Fetch, Fetched, Miss};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", b"v", Attrs::new())?;
/// cache.flush();
/// let mut value = Vec::new();
/// let found = cache.fetch("k", &Fetch::new(), &mut value, |_, _| ());
/// assert!(matches!(found, Fetched::Miss(Miss::Flushed)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Miss {
    /// The key is not there.
    Absent,
    /// The item was there, past its expiry.
    Expired,
    /// The item was there, older than the last flush.
    Flushed,
    /// A tag of the item had been invalidated.
    Invalidated,
}

/// Whether a lookup delivers the value that it finds.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Fetch, Fetched};
///
/// let cache = Cache::new(8 << 20)?;
/// let version = cache.set("k", b"value", Attrs::new())?;
/// let mut value = Vec::new();
///
/// // A use like any other, but nothing is copied.
/// let found = cache.fetch("k", &Fetch::new().without_value(), &mut value, |_, _| {});
/// assert!(matches!(found, Fetched::Skipped(hit) if hit.meta.value_len == 5));
///
/// // Only if it has changed since.
/// let found = cache.fetch("k", &Fetch::new().unless_version(version), &mut value, |_, _| {});
/// assert!(matches!(found, Fetched::Skipped(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// It does.
    #[default]
    Deliver,
    /// It looks at the item, which counts as a use, but leaves the value alone.
    Skip,
    /// It does, unless the item has this version: the caller has the value already.
    UnlessVersion(u64),
}

/// A lookup in full, for [`Cache::fetch`](crate::Cache::fetch); [`Default`] is a plain read.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::{Attrs, Cache, Expiry, Fetch, Fetched};
///
/// let cache = Cache::new(8 << 20)?;
/// let mut value = Vec::new();
///
/// // Of all who miss at the same time, one is told to load the value.
/// let lease = Fetch::new().lease(true).create(Expiry::after(Duration::from_secs(2)));
/// let first = cache.fetch("k", &lease, &mut value, |_, _| {});
/// assert!(matches!(first, Fetched::Copied(hit) if hit.won));
/// let second = cache.fetch("k", &lease, &mut value, |_, _| {});
/// assert!(matches!(second, Fetched::Copied(hit) if !hit.won));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetch {
    /// Whether the value is delivered.
    pub value: Value,
    /// Larger values (in bytes) come as a [`Handle`](crate::Handle) instead of a copy.
    pub inline_max: usize,
    /// Whether larger values may be pinned; if not, they are [`Fetched::Busy`].
    pub pins: bool,
    /// Look without counting as a use: no effect on eviction, `fetched` or `last_access`.
    pub peek: bool,
    /// Give the item a new expiry.
    pub touch: Option<Expiry>,
    /// Take part in the item's lease: the reader may be told to renew the value.
    pub lease: bool,
    /// With `lease`: also ask one reader to renew a value that has less than this time to live.
    pub renew_within: Option<Duration>,
    /// With `lease`: on a miss create an empty item with this expiry and win its lease.
    pub create: Option<Expiry>,
    /// For `create`: the new item's mark.
    pub marked: bool,
    /// For `create`: the new item's version instead of the cache's next one.
    pub version: Option<u64>,
    /// For `create`. Who sets it has a reference to the group meanwhile.
    pub(crate) group: Group,
}

impl Fetch {
    /// A plain read that copies values of any length.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            value: Value::Deliver,
            inline_max: usize::MAX,
            pins: true,
            peek: false,
            touch: None,
            lease: false,
            renew_within: None,
            create: None,
            marked: false,
            version: None,
            group: Group::NONE,
        }
    }

    /// Sets [`value`](Self::value).
    #[inline]
    #[must_use]
    pub const fn value(mut self, value: Value) -> Self {
        self.value = value;
        self
    }

    /// Leaves the value alone.
    #[inline]
    #[must_use]
    pub const fn without_value(self) -> Self {
        self.value(Value::Skip)
    }

    /// Leaves the value alone if the item has this version.
    #[inline]
    #[must_use]
    pub const fn unless_version(self, version: u64) -> Self {
        self.value(Value::UnlessVersion(version))
    }

    /// Whether the value of an item with this version is delivered.
    #[inline(always)]
    pub(crate) fn delivers(&self, version: u64) -> bool {
        match self.value {
            Value::Deliver => true,
            Value::Skip => false,
            Value::UnlessVersion(known) => version != known,
        }
    }

    /// Sets [`version`](Self::version).
    #[inline]
    #[must_use]
    pub fn version(mut self, version: impl Into<Option<u64>>) -> Self {
        self.version = version.into();
        self
    }

    /// Sets [`inline_max`](Self::inline_max), in bytes.
    #[inline]
    #[must_use]
    pub const fn inline_max(mut self, bytes: usize) -> Self {
        self.inline_max = bytes;
        self
    }

    /// Sets [`pins`](Self::pins).
    #[inline]
    #[must_use]
    pub const fn pins(mut self, pins: bool) -> Self {
        self.pins = pins;
        self
    }

    /// Sets [`peek`](Self::peek).
    #[inline]
    #[must_use]
    pub const fn peek(mut self, peek: bool) -> Self {
        self.peek = peek;
        self
    }

    /// Sets [`touch`](Self::touch).
    #[inline]
    #[must_use]
    pub fn touch(mut self, expiry: impl Into<Option<Expiry>>) -> Self {
        self.touch = expiry.into();
        self
    }

    /// Sets [`lease`](Self::lease).
    #[inline]
    #[must_use]
    pub const fn lease(mut self, lease: bool) -> Self {
        self.lease = lease;
        self
    }

    /// Sets [`renew_within`](Self::renew_within).
    #[inline]
    #[must_use]
    pub fn renew_within(mut self, left: impl Into<Option<Duration>>) -> Self {
        self.renew_within = left.into();
        self
    }

    /// Sets [`create`](Self::create).
    #[inline]
    #[must_use]
    pub fn create(mut self, expiry: impl Into<Option<Expiry>>) -> Self {
        self.create = expiry.into();
        self
    }

    /// Sets [`marked`](Self::marked).
    #[inline]
    #[must_use]
    pub const fn marked(mut self, marked: bool) -> Self {
        self.marked = marked;
        self
    }
}

impl Default for Fetch {
    fn default() -> Self {
        Self::new()
    }
}

/// What a lookup found.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Fetch, Fetched};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", &[b'x'; 20_000], Attrs::new())?;
/// let mut value = Vec::new();
/// let fetch = Fetch::new().inline_max(8 << 10);
/// match cache.fetch("k", &fetch, &mut value, |_, _| ()) {
///     Fetched::Copied(_) => assert!(value.len() <= 8 << 10),
///     Fetched::Pinned(_, handle) => assert_eq!(handle.len(), 20_000),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Fetched {
    /// The value was appended to the caller's buffer.
    Copied(Hit),
    /// The value was not to be delivered, see [`Fetch::value`]; nothing was appended but what
    /// `head` wrote.
    Skipped(Hit),
    /// The value is larger than [`Fetch::inline_max`]; nothing was appended.
    Pinned(Hit, crate::Handle),
    /// The value is larger than [`Fetch::inline_max`] and no more bytes may be pinned. Nothing was
    /// appended or changed, and nothing counts as a use: the lookup may be repeated.
    Busy(Hit),
    /// The item has no room for the expiry of [`Fetch::touch`], and there is no memory for one that
    /// has; nothing was appended or changed.
    Untouched(Meta),
    /// Nothing is there.
    Miss(Miss),
}

/// A found item.
///
/// # Examples
/// ```
/// use memcore::{Cache, Expiry, Fetch, Fetched};
///
/// let cache = Cache::new(8 << 20)?;
/// let fetch = Fetch::new().lease(true).create(Expiry::Never);
/// let found = cache.fetch("k", &fetch, &mut Vec::new(), |_, _| ());
/// // This reader is to store the value; until then the item is empty.
/// assert!(matches!(found, Fetched::Copied(hit) if hit.created && hit.won));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hit {
    /// The item as it was before this access; for a touch, with the new expiry.
    pub meta: Meta,
    /// This reader has won the lease and should renew the value.
    pub won: bool,
    /// The item was created by this lookup.
    pub created: bool,
}

/// A change to a decimal number, for [`Cache::count`](crate::Cache::count); [`Default`] adds 1.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Count, Counted};
///
/// let cache = Cache::new(8 << 20)?;
/// let visit = Count::increment(1).initial(1, Attrs::new());
/// cache.count("visits", &visit)?;
/// let counted = cache.count("visits", &visit)?;
/// assert!(matches!(counted, Counted::Done { value: 2, .. }));
/// let counted = cache.count("visits", &Count::decrement(5))?;
/// assert!(matches!(counted, Counted::Done { value: 0, .. }), "it stops at zero");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// By how much.
    pub delta: u64,
    /// Subtract, stopping at zero, instead of adding modulo 2^64.
    pub down: bool,
    /// Only if the item, where there is one, has this version.
    pub expected: Option<u64>,
    /// Give the item this version instead of the next one.
    pub version: Option<u64>,
    /// Give an existing item a new expiry.
    pub touch: Option<Expiry>,
    /// Create a missing item with this value and these attributes.
    pub initial: Option<(u64, Attrs)>,
    /// For `initial`. Who sets it has a reference to the group meanwhile.
    pub(crate) group: Group,
}

impl Count {
    /// Adds `delta`, modulo 2^64.
    #[inline]
    #[must_use]
    pub const fn increment(delta: u64) -> Self {
        Self {
            delta,
            down: false,
            expected: None,
            version: None,
            touch: None,
            initial: None,
            group: Group::NONE,
        }
    }

    /// Subtracts `delta`, but stops at zero.
    #[inline]
    #[must_use]
    pub const fn decrement(delta: u64) -> Self {
        Self { down: true, ..Self::increment(delta) }
    }

    /// Sets [`down`](Self::down).
    #[inline]
    #[must_use]
    pub const fn down(mut self, down: bool) -> Self {
        self.down = down;
        self
    }

    /// Sets [`expected`](Self::expected).
    #[inline]
    #[must_use]
    pub fn expected(mut self, version: impl Into<Option<u64>>) -> Self {
        self.expected = version.into();
        self
    }

    /// Sets [`version`](Self::version).
    #[inline]
    #[must_use]
    pub fn version(mut self, version: impl Into<Option<u64>>) -> Self {
        self.version = version.into();
        self
    }

    /// Sets [`touch`](Self::touch).
    #[inline]
    #[must_use]
    pub fn touch(mut self, expiry: impl Into<Option<Expiry>>) -> Self {
        self.touch = expiry.into();
        self
    }

    /// Sets [`initial`](Self::initial): a missing item is created, and not changed any further.
    #[inline]
    #[must_use]
    pub const fn initial(mut self, value: u64, attrs: Attrs) -> Self {
        self.initial = Some((value, attrs));
        self
    }
}

impl Default for Count {
    fn default() -> Self {
        Self::increment(1)
    }
}

/// What became of a [`Count`].
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Count, Counted};
///
/// let cache = Cache::new(8 << 20)?;
/// assert_eq!(cache.count("visits", &Count::increment(1))?, Counted::NotFound);
/// let visit = Count::increment(1).initial(100, Attrs::new());
/// let counted = cache.count("visits", &visit)?;
/// assert!(matches!(counted, Counted::Done { value: 100, created: true, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Counted {
    /// The number is now `value`.
    #[non_exhaustive]
    Done {
        /// The new number.
        value: u64,
        /// The item after the change.
        meta: Meta,
        /// The item did not exist before.
        created: bool,
    },
    /// The key does not exist and was not to be created.
    NotFound,
    /// The item's version is not the expected one.
    VersionMismatch,
}

/// A removal in full, for [`Cache::remove_with`](crate::Cache::remove_with); [`Default`] removes an
/// item whatever its version.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Remove, Removed};
///
/// let cache = Cache::new(8 << 20)?;
/// let version = cache.set("k", b"v", Attrs::new())?;
/// let other = Remove::new().expected(version + 1);
/// assert_eq!(cache.remove_with("k", &other)?, Removed::VersionMismatch);
///
/// // It is still served, but the next reader with a lease is asked to renew it.
/// cache.remove_with("k", &Remove::new().invalidate(true))?;
/// assert!(cache.peek("k").is_some_and(|meta| meta.lease.stale));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remove {
    /// Only if the item has this version.
    pub expected: Option<u64>,
    /// Keep the item, but marked stale with a free lease, under a new version.
    pub invalidate: bool,
    /// Keep the item, but with an empty value and other flags, neither stale nor leased.
    pub clear: bool,
    /// With `clear`: the new flags, 0 by default.
    pub flags: u32,
    /// With `invalidate` or `clear`: the new expiry.
    pub touch: Option<Expiry>,
    /// With `invalidate` or `clear`: the new version. Without one an invalidated item gets the
    /// cache's next version, and one that is only cleared keeps its own.
    pub version: Option<u64>,
}

impl Remove {
    /// Removes an item whatever its version.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            expected: None,
            invalidate: false,
            clear: false,
            flags: 0,
            touch: None,
            version: None,
        }
    }

    /// Sets [`expected`](Self::expected).
    #[inline]
    #[must_use]
    pub fn expected(mut self, version: impl Into<Option<u64>>) -> Self {
        self.expected = version.into();
        self
    }

    /// Sets [`invalidate`](Self::invalidate).
    #[inline]
    #[must_use]
    pub const fn invalidate(mut self, invalidate: bool) -> Self {
        self.invalidate = invalidate;
        self
    }

    /// Sets [`clear`](Self::clear).
    #[inline]
    #[must_use]
    pub const fn clear(mut self, clear: bool) -> Self {
        self.clear = clear;
        self
    }

    /// Sets [`flags`](Self::flags).
    #[inline]
    #[must_use]
    pub const fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// Sets [`touch`](Self::touch).
    #[inline]
    #[must_use]
    pub fn touch(mut self, expiry: impl Into<Option<Expiry>>) -> Self {
        self.touch = expiry.into();
        self
    }

    /// Sets [`version`](Self::version).
    #[inline]
    #[must_use]
    pub fn version(mut self, version: impl Into<Option<u64>>) -> Self {
        self.version = version.into();
        self
    }
}

/// What became of a removal.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Remove, Removed};
///
/// let cache = Cache::new(8 << 20)?;
/// let version = cache.set("k", b"v", Attrs::new())?;
/// let other = Remove::new().expected(version + 1);
/// assert_eq!(cache.remove_with("k", &other)?, Removed::VersionMismatch);
/// assert!(matches!(cache.remove_with("k", &Remove::new())?, Removed::Done(_)));
/// assert_eq!(cache.remove_with("k", &Remove::new())?, Removed::NotFound);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removed {
    /// Done; the item as it was.
    Done(Meta),
    /// The key does not exist.
    NotFound,
    /// The item's version is not the expected one.
    VersionMismatch,
}

/// What became of a new limit.
///
/// # Examples
/// ```
/// let cache = memcore::Cache::new(64 << 20)?;
/// let resized = cache.set_limit(16 << 20)?;
/// assert_eq!(resized.pending, 0, "no handle holds memory");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resized {
    /// Bytes above the new limit that are not reclaimed yet: handles or reservations hold them, or
    /// [`Cache::set_limit_in_steps`](crate::Cache::set_limit_in_steps) has left them for later.
    pub pending: usize,
}

/// What became of the contents of a memory file.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Restored};
///
/// # if cfg!(not(target_os = "linux")) { return Ok(()); }
/// # let path = std::env::temp_dir().join(format!("memcore-restored-{}", std::process::id()));
/// let cache = Cache::builder(8 << 20).memory_file(&path).build()?;
/// assert_eq!(cache.restored(), Some(&Restored::Nothing));
/// cache.set("k", b"v", Attrs::new())?;
/// cache.close()?;
/// let cache = Cache::builder(8 << 20).memory_file(&path).build()?;
/// assert_eq!(cache.restored(), Some(&Restored::Items(1)));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restored {
    /// There were none: the file is new.
    Nothing,
    /// So many items are there again.
    Items(u64),
    /// They could not be used, and the cache began empty. If the file is in use elsewhere, the
    /// cache has no file.
    Discarded(crate::MemoryFileError),
}
