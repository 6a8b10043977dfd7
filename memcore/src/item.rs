//! What callers say and learn about an item.

/// When an item stops being visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// Only eviction, deletion or a flush ends it.
    #[default]
    Never,
    /// Not visible from this second on (the clock's seconds). A moment that has passed is legal:
    /// the item is stored and invisible at once.
    At(u32),
}

/// What a writer attaches to a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attrs {
    /// Opaque to the cache, returned with the value. Zero takes no memory.
    pub flags: u32,
    /// When the item ends. [`Expiry::Never`] takes no memory.
    pub expiry: Expiry,
    /// One opaque bit for the caller, returned in [`Meta::marked`].
    pub marked: bool,
}

/// The state that lets many readers of one item agree on who renews it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The value was declared out of date, but is still served.
    pub stale: bool,
    /// Some reader has already been asked to renew it.
    pub taken: bool,
}

/// What is known about an item besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The writer's flags.
    pub flags: u32,
    /// Changes with every write of the value.
    pub version: u64,
    /// When the item ends.
    pub expiry: Expiry,
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
    /// Second of the last access before this one (its write, if there was none). Exact to a minute
    /// unless [`Cache::track_access_exactly`](crate::Cache::track_access_exactly) was called.
    pub last_access: u32,
    /// The lease before this access.
    pub lease: Lease,
}

/// How a write treats what is already there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// A write in full; [`Default`] is an unconditional set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Write {
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
}

/// What became of a write that was not refused for lack of space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The value is visible.
    Done {
        /// The version it got.
        version: u64,
        /// Bytes of the whole value now (more than was given for append and prepend).
        value_len: usize,
    },
    /// The key exists (for [`Mode::Add`]) or does not (for the other modes).
    NotStored,
    /// The item's version is not the expected one.
    Exists,
    /// A version was expected, but the item does not exist.
    NotFound,
}

/// Why a lookup found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The key is not there.
    Absent,
    /// The item was there, past its expiry.
    Expired,
    /// The item was there, older than the last flush.
    Flushed,
}

/// What a lookup does besides reading; [`Default`] is a plain read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Larger values come as a [`Handle`](crate::Handle) instead of a copy.
    pub inline_max: usize,
    /// Look without counting as a use: no effect on eviction, `fetched` or `last_access`.
    pub peek: bool,
    /// Give the item a new expiry.
    pub touch: Option<Expiry>,
    /// Take part in the item's lease: the reader may be told to renew the value.
    pub lease: bool,
    /// With `lease`: also ask one reader to renew a value that has fewer than this many seconds to
    /// live.
    pub renew_within: Option<u32>,
    /// With `lease`: on a miss create an empty item with this expiry and win its lease.
    pub create: Option<Expiry>,
    /// For `create`: the new item's mark.
    pub marked: bool,
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            inline_max: usize::MAX,
            peek: false,
            touch: None,
            lease: false,
            renew_within: None,
            create: None,
            marked: false,
        }
    }
}

/// What a lookup found.
#[derive(Debug)]
pub enum Fetched {
    /// The value was appended to the caller's buffer.
    Copied(Hit),
    /// The value is larger than [`Fetch::inline_max`]; nothing was appended.
    Pinned(Hit, crate::Handle),
    /// The value is larger than [`Fetch::inline_max`] and no more bytes may be pinned; nothing was
    /// appended.
    Busy(Hit),
    /// The item has no room for the expiry of [`Fetch::touch`], and there is no memory for one that
    /// has; nothing was appended or changed.
    Untouched(Meta),
    /// Nothing is there.
    Miss(Miss),
}

/// A found item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The item as it was before this access; for a touch, with the new expiry.
    pub meta: Meta,
    /// This reader has won the lease and should renew the value.
    pub won: bool,
    /// The item was created by this lookup.
    pub created: bool,
}

/// A change to a decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub create: Option<(u64, Attrs)>,
}

/// What became of a [`Count`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The number is now `value`.
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
    Exists,
}

/// How to remove an item; [`Default`] removes it whatever its version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remove {
    /// Only if the item has this version.
    pub expected: Option<u64>,
    /// Keep the item, but marked stale with a free lease, under a new version.
    pub invalidate: bool,
    /// Keep the item, but with an empty value and zero flags.
    pub clear: bool,
    /// With `invalidate` or `clear`: the new expiry.
    pub touch: Option<Expiry>,
    /// With `invalidate` or `clear`: the new version.
    pub version: Option<u64>,
}

/// What became of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Done; the item as it was.
    Done(Meta),
    /// The key does not exist.
    NotFound,
    /// The item's version is not the expected one.
    Exists,
}
