//! What can go wrong, by operation.

use std::error::Error;
use std::fmt;

/// A cache can't be built or resized as asked.
///
/// # Examples
/// ```
/// use memcore::{Cache, ConfigError};
///
/// let least = match Cache::new(1) {
///     Err(ConfigError::LimitTooSmall { least, .. }) => least,
///     other => panic!("{other:?}"),
/// };
/// assert!(Cache::new(least).is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The limit leaves no room for the cache's own tables.
    LimitTooSmall {
        /// What was asked for.
        limit: usize,
        /// The smallest limit that works.
        least: usize,
    },
    /// The largest item must fit into half of the limit, and be at most 1 GiB.
    ItemTooLarge {
        /// What was asked for.
        max: usize,
        /// The largest size that works under this limit.
        most: usize,
    },
    /// Items must have room for a key.
    ItemTooSmall {
        /// What was asked for.
        max: usize,
        /// The smallest size that works.
        least: usize,
    },
    /// Keys must have a byte at least.
    KeyTooShort,
    /// Keys may be limited to 65,536 bytes at most.
    KeyTooLong {
        /// What was asked for.
        max: usize,
        /// The longest that a key can be.
        most: usize,
    },
    /// The limit is beyond what this cache reserved address space for.
    LimitTooLarge {
        /// What was asked for.
        limit: usize,
        /// The most that it can grow to.
        most: usize,
    },
    /// A percentage of the memory is 1 to 100.
    BadPercentage {
        /// What was asked for.
        percent: u32,
    },
    /// The system refused address space, or could not say something.
    System {
        /// What was asked of it.
        what: &'static str,
        /// The system's words.
        reason: String,
    },
    /// The flash tier can't be set up like this.
    Flash {
        /// What is wrong.
        reason: String,
    },
    /// The memory file can't be used, and [`Builder::memory_file_strict`] was asked for, or none
    /// can be created.
    ///
    /// [`Builder::memory_file_strict`]: crate::Builder::memory_file_strict
    MemoryFile(MemoryFileError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LimitTooSmall { limit, least } => {
                write!(f, "a limit of {limit} bytes is too small, the minimum is {least}")
            }
            Self::ItemTooLarge { max, most } => {
                write!(f, "items of {max} bytes don't fit, the maximum is {most}")
            }
            Self::ItemTooSmall { max, least } => {
                write!(f, "items of {max} bytes have no room for a key, the minimum is {least}")
            }
            Self::KeyTooShort => f.write_str("keys of 0 bytes are too short, the minimum is 1"),
            Self::KeyTooLong { max, most } => {
                write!(f, "keys of {max} bytes are too long, the maximum is {most}")
            }
            Self::LimitTooLarge { limit, most } => write!(
                f,
                "a limit of {limit} bytes is beyond the {most} that this cache can grow to"
            ),
            Self::BadPercentage { percent } => {
                write!(f, "{percent} per cent of the memory is out of range: 1 to 100")
            }
            Self::System { what, reason } => write!(f, "the system refused {what}: {reason}"),
            Self::Flash { reason } => write!(f, "flash: {reason}"),
            Self::MemoryFile(error) => write!(f, "memory file: {error}"),
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::MemoryFile(error) => Some(error),
            _ => None,
        }
    }
}

impl From<MemoryFileError> for ConfigError {
    fn from(error: MemoryFileError) -> Self {
        Self::MemoryFile(error)
    }
}

/// Why a [`WeakHandle`](crate::WeakHandle) could not be upgraded.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, UpgradeError};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", &[b'x'; 10_000], Attrs::new())?;
/// let weak = cache.get_handle("k").and_then(|handle| handle.downgrade()).ok_or("not pinned")?;
/// cache.set("k", b"another value", Attrs::new())?;
/// assert_eq!(weak.upgrade().err(), Some(UpgradeError::Gone));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The value was replaced or removed.
    Gone,
    /// Other handles pin all that may be pinned. Later it may be possible.
    Full,
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the value is gone"),
            Self::Full => f.write_str("no more may be pinned now"),
        }
    }
}

impl Error for UpgradeError {}

/// Why a memory file can't be used, or closed.
///
/// # Examples
/// ```
/// use memcore::{Cache, ConfigError, MemoryFileError};
///
/// # let path = std::env::temp_dir().join(format!("memcore-error-{}", std::process::id()));
/// std::fs::write(&path, "something else")?;
/// let strict = Cache::builder(8 << 20).memory_file(&path).memory_file_strict(true);
/// let error = strict.build().err();
/// # if cfg!(target_os = "linux") {
/// assert_eq!(error, Some(ConfigError::MemoryFile(MemoryFileError::Foreign)));
/// # }
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryFileError {
    /// The cache in it was never closed: its process was killed, or is still being debugged.
    NotClosed,
    /// Another process has it open.
    InUse,
    /// It is not a memory file.
    Foreign,
    /// Another version, or another kind of machine, has written it.
    Format,
    /// Its checksums don't agree with what is in it.
    Damaged {
        /// Which part.
        what: &'static str,
    },
    /// It was created for other limits.
    Limit {
        /// The least limit that it works with.
        least: usize,
        /// The largest limit that it has room for.
        most: usize,
    },
    /// The flash tier has other devices than the one that it was closed with, or they hold
    /// something else.
    OtherFlash,
    /// Memory can't lie in a file on this system.
    Unsupported,
    /// The system refused something.
    System {
        /// The system's words.
        reason: String,
    },
}

impl fmt::Display for MemoryFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotClosed => f.write_str("it was not closed"),
            Self::InUse => f.write_str("another process uses it"),
            Self::Foreign => f.write_str("it is not a memory file"),
            Self::Format => f.write_str("it was written in another format"),
            Self::Damaged { what } => write!(f, "its {what} is damaged"),
            Self::Limit { least, most } => write!(f, "it is for limits of {least} to {most} bytes"),
            Self::OtherFlash => f.write_str("what is on flash is not what it was closed with"),
            Self::Unsupported => f.write_str("memory can't lie in a file on this system"),
            Self::System { reason } => write!(f, "{reason}"),
        }
    }
}

impl Error for MemoryFileError {}

/// A cache can't be closed.
///
/// # Examples
/// ```
/// use memcore::{Cache, CloseError};
///
/// let cache = Cache::new(8 << 20)?;
/// let other = cache.clone();
/// let Err(CloseError::Shared(cache)) = cache.close() else { panic!("the other handle uses it") };
/// drop(other);
/// cache.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CloseError {
    /// Other handles to the cache, to its values or reservations are still there. It goes on.
    Shared(crate::Cache),
    /// The memory file was not completed, and will not be used by the next cache.
    MemoryFile(MemoryFileError),
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(_) => f.write_str("the cache is still in use elsewhere"),
            Self::MemoryFile(error) => write!(f, "memory file: {error}"),
        }
    }
}

impl Error for CloseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::MemoryFile(error) => Some(error),
            _ => None,
        }
    }
}

impl From<MemoryFileError> for CloseError {
    fn from(error: MemoryFileError) -> Self {
        Self::MemoryFile(error)
    }
}

/// A value can't be stored.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, StoreError};
///
/// let cache = Cache::builder(8 << 20).max_item_size(1 << 20).build()?;
/// cache.set("k", b"old", Attrs::new())?;
/// assert_eq!(cache.set("k", &[0; 2 << 20], Attrs::new()), Err(StoreError::TooLarge));
/// assert_eq!(cache.get("k").as_deref(), Some(&b"old"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The item is larger than the cache's `max_item_size`. An older value of the key is untouched.
    TooLarge,
    /// Nothing can be evicted: evictions are switched off, or everything is pinned.
    OutOfMemory,
    /// Values that are arriving take all the memory that they may. It is given back as they arrive,
    /// or are given up.
    Crowded,
    /// The cache met a state that it should never reach: a defect. Nothing was stored.
    Internal,
    /// The key was hashed by another cache.
    ForeignKey,
    /// The key is empty, or longer than [`Builder::max_key_len`](crate::Builder::max_key_len).
    BadKey,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("item too large"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::Crowded => f.write_str("too many values are arriving"),
            Self::Internal => f.write_str("internal error"),
            Self::ForeignKey => f.write_str("the key was hashed by another cache"),
            Self::BadKey => f.write_str("the key is empty or too long"),
        }
    }
}

impl Error for StoreError {}

/// Tags can't be used as asked.
///
/// # Examples
/// ```
/// use memcore::{Cache, TagError};
///
/// let cache = Cache::new(8 << 20)?;
/// assert_eq!(cache.tagged(&[""]).err(), Some(TagError::BadTag));
/// let error = cache.tagged(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]).err();
/// assert_eq!(error, Some(TagError::TooMany { count: 9, most: 8 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TagError {
    /// An item has eight tags at most.
    TooMany {
        /// What was asked for.
        count: usize,
        /// The most that an item can have.
        most: usize,
    },
    /// A tag has 1 to 250 bytes.
    BadTag,
    /// There is no memory for another tag, and nothing can be evicted.
    OutOfMemory,
}

impl fmt::Display for TagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { count, most } => {
                write!(f, "{count} tags are too many, the maximum is {most}")
            }
            Self::BadTag => f.write_str("a tag is empty or longer than 250 bytes"),
            Self::OutOfMemory => f.write_str("out of memory"),
        }
    }
}

impl Error for TagError {}

/// A number can't be changed.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, Count, CountError};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", b"twelve", Attrs::new())?;
/// assert_eq!(cache.count("k", &Count::increment(1)), Err(CountError::NotANumber));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CountError {
    /// The value is not a decimal number below 2^64.
    NotANumber,
    /// The new number could not be stored.
    Store(StoreError),
}

impl fmt::Display for CountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber => f.write_str("not a number"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl Error for CountError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            _ => None,
        }
    }
}

impl From<StoreError> for CountError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What went wrong below is told by `source`, and not twice.
    #[test]
    fn errors_have_words_and_sources() {
        let file = MemoryFileError::Limit { least: 1, most: 2 };
        let words = "it is for limits of 1 to 2 bytes";
        assert_eq!(file.to_string(), words);
        for error in [&ConfigError::from(file.clone()) as &dyn Error, &CloseError::from(file)] {
            assert_eq!(error.to_string(), format!("memory file: {words}"));
            assert_eq!(error.source().map(ToString::to_string).as_deref(), Some(words));
        }
        let count = CountError::from(StoreError::TooLarge);
        assert_eq!(count.to_string(), StoreError::TooLarge.to_string());
        assert!(count.source().is_none());
        let system = ConfigError::System { what: "space", reason: "no".to_owned() };
        assert_eq!(system.to_string(), "the system refused space: no");
    }
}
