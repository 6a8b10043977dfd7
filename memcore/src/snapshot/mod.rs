//! Snapshots: a copy of a cache's items as a stream of bytes, which another cache, machine or
//! version can load.
//!
//! [`Cache::snapshot`] writes one while the cache is in use, and [`Cache::restore`] loads what
//! fits, the most valuable items first. [`Writer`] and [`Reader`] are for programs that
//! write or read snapshots without a cache.
//!
//! ```
//! use memcore::{Attrs, Cache};
//!
//! let cache = Cache::new(8 << 20)?;
//! cache.set("k", b"value", Attrs::new())?;
//! let mut file = Vec::new();
//! assert_eq!(cache.snapshot(&mut file)?.items, 1);
//!
//! let other = Cache::new(64 << 20)?;
//! assert_eq!(other.restore(&file[..])?.items, 1);
//! assert_eq!(other.get("k").as_deref(), Some(&b"value"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod format;
mod load;
mod order;
mod save;

use std::fmt;
use std::io::{Error, Read, Write};

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use self::format::framed;
pub use self::format::{Reader, Writer};
use crate::{Cache, Moment};

/// An item of a snapshot without its value.
///
/// # Examples
/// ```
/// use memcore::snapshot::Entry;
///
/// let mut entry = Entry::new(b"key", 100);
/// entry.flags = 7;
/// assert_eq!((entry.value_len, entry.expiry), (100, None));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key, 1 to 65,536 bytes.
    pub key: Vec<u8>,
    /// Bytes of the value, at most 2^30.
    pub value_len: usize,
    /// The writer's flags.
    pub flags: u32,
    /// When the item ends; `None` for never.
    pub expiry: Option<Moment>,
    /// The version, if it is known.
    pub version: Option<u64>,
    /// The value was declared out of date.
    pub stale: bool,
    /// The writer's mark.
    pub marked: bool,
    /// It had been read since it was written.
    pub fetched: bool,
    /// How often it was used, as the eviction counts: at most 15.
    pub uses: u8,
    /// It was used since it came to where it lay, which counts for the eviction.
    pub hit: bool,
    /// Its tags, at most eight.
    pub tags: Vec<Vec<u8>>,
}

impl Entry {
    /// An item of this key with a value of `value_len` bytes, and nothing else.
    ///
    /// # Examples
    /// ```
    /// let entry = memcore::snapshot::Entry::new(b"k", 5);
    /// assert_eq!((&entry.key[..], entry.value_len, entry.flags), (&b"k"[..], 5, 0));
    /// ```
    #[must_use]
    pub fn new(key: &[u8], value_len: usize) -> Self {
        Self { key: key.to_vec(), value_len, ..Self::default() }
    }
}

/// What was written.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", b"value", Attrs::new())?;
/// let saved = cache.snapshot(&mut Vec::new())?;
/// assert_eq!((saved.items, saved.value_bytes), (1, 5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Saved {
    /// Items.
    pub items: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
}

/// What became of the items of a snapshot.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("a", b"1", Attrs::new())?;
/// cache.set("b", b"2", Attrs::new())?;
/// let mut file = Vec::new();
/// cache.snapshot(&mut file)?;
///
/// let other = Cache::new(8 << 20)?;
/// other.set("a", b"newer", Attrs::new())?;
/// let loaded = other.restore(&file[..])?;
/// assert_eq!((loaded.items, loaded.present), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// Items that were stored.
    pub items: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// Items that have ended meanwhile.
    pub expired: u64,
    /// Items whose keys the cache had; they were left alone.
    pub present: u64,
    /// Items for which there was no room left.
    pub left_out: u64,
    /// Items that the cache takes from nobody: key or value are too long for it.
    pub refused: u64,
}

/// A snapshot can't be written or read.
///
/// # Examples
/// ```
/// use memcore::Cache;
/// use memcore::snapshot::SnapshotError;
///
/// let cache = Cache::new(8 << 20)?;
/// let error = cache.restore(&[b'x'; 100][..]).unwrap_err();
/// assert!(matches!(error.error, SnapshotError::Foreign));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Source or sink failed.
    Io(Error),
    /// It is something else.
    Foreign,
    /// It was written by another version, in a way that this one does not know.
    Format {
        /// The number of the format.
        format: u32,
        /// What was chosen within it.
        options: u32,
    },
    /// A block is not as it was written.
    Damaged {
        /// The number of the block, from 0 on.
        block: u64,
        /// What is wrong about it.
        what: &'static str,
    },
    /// The source ended before the snapshot.
    Truncated,
    /// An item that a program wants to write can't be written.
    Entry {
        /// Why.
        what: &'static str,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Foreign => f.write_str("it is not a snapshot"),
            Self::Format { format, options } => write!(
                f,
                "its format is {format} with options {options}, which this version does not know"
            ),
            Self::Damaged { block, what } => write!(f, "block {block} is damaged: {what}"),
            Self::Truncated => f.write_str("it ends too early"),
            Self::Entry { what } => f.write_str(what),
        }
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Error> for SnapshotError {
    fn from(error: Error) -> Self {
        Self::Io(error)
    }
}

/// A snapshot could not be loaded to its end. What was loaded stays.
///
/// # Examples
/// ```
/// use memcore::snapshot::SnapshotError;
/// use memcore::{Attrs, Cache};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", b"value", Attrs::new())?;
/// let mut file = Vec::new();
/// cache.snapshot(&mut file)?;
/// file.pop();
///
/// let error = Cache::new(8 << 20)?.restore(&file[..]).unwrap_err();
/// assert!(matches!(error.error, SnapshotError::Truncated));
/// assert_eq!(error.loaded.items, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct RestoreError {
    /// What is wrong.
    pub error: SnapshotError,
    /// What became of the items before that.
    pub loaded: Loaded,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {} items were loaded before", self.error, self.loaded.items)
    }
}

impl std::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl Cache {
    /// Writes all items to `out`, the most valuable first as far as the cache can tell cheaply;
    /// others may use the cache meanwhile.
    ///
    /// An item that is there all the time is written, once or, if it moves or changes meanwhile,
    /// perhaps twice, each time as it was at one moment. No lock is held while `out` is written to.
    /// A large value is pinned until it is written. Besides the cache's limit this takes 40 bytes
    /// for each segment of the cache, and up to 10 MiB where many items are used meanwhile.
    ///
    /// `out` needs no buffer of its own. It should be a file that takes the place of an older one
    /// when this has succeeded, or a pipe.
    ///
    /// # Errors
    /// [`SnapshotError::Io`] if `out` fails; what was written is of no use then.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"value", Attrs::new())?;
    /// let mut bytes = Vec::new();
    /// let saved = cache.snapshot(&mut bytes)?;
    /// assert_eq!((saved.items, saved.value_bytes), (1, 5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot(&self, out: impl Write) -> Result<Saved, SnapshotError> {
        save::save(self.engine(), out)
    }

    /// Loads what [`snapshot`](Self::snapshot) has written, as far as there is room: nothing is
    /// evicted for it, so that a smaller cache gets the most valuable items. Keys that the cache
    /// has are left alone. Items keep their versions, and versions given out from then on are
    /// greater.
    ///
    /// # Errors
    /// [`RestoreError`] if a part is missing or damaged. The items before it were loaded, and no
    /// other: never one with a value that was not checked.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// # cache.set("k", b"value", Attrs::new())?;
    /// # let mut bytes = Vec::new();
    /// # cache.snapshot(&mut bytes)?;
    /// let other = Cache::new(8 << 20)?;
    /// let loaded = other.restore(&bytes[..])?;
    /// assert_eq!((loaded.items, loaded.left_out), (1, 0));
    ///
    /// bytes.pop();
    /// let error = Cache::new(8 << 20)?.restore(&bytes[..]).unwrap_err();
    /// assert_eq!(error.loaded.items, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore(&self, from: impl Read) -> Result<Loaded, RestoreError> {
        let mut loaded = Loaded::default();
        load::load(self, from, &mut loaded).map_err(|error| RestoreError { error, loaded })?;
        Ok(loaded)
    }
}
