//! What can go wrong, by operation.

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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The limit leaves no room for the cache's own tables.
    #[error("a limit of {limit} bytes is too small, the minimum is {least}")]
    LimitTooSmall {
        /// What was asked for.
        limit: usize,
        /// The smallest limit that works.
        least: usize,
    },
    /// The largest item must fit into half of the limit, and be at most 1 GiB.
    #[error("items of {max} bytes don't fit, the maximum is {most}")]
    ItemTooLarge {
        /// What was asked for.
        max: usize,
        /// The largest size that works under this limit.
        most: usize,
    },
    /// Keys may be limited to 65,536 bytes at most.
    #[error("keys of {max} bytes are too long, the maximum is {most}")]
    KeyTooLong {
        /// What was asked for.
        max: usize,
        /// The longest that a key can be.
        most: usize,
    },
    /// The limit is beyond what this cache reserved address space for.
    #[error("a limit of {limit} bytes is beyond the {most} that this cache can grow to")]
    LimitTooLarge {
        /// What was asked for.
        limit: usize,
        /// The most that it can grow to.
        most: usize,
    },
    /// The system refused address space.
    #[error("the system refused {what}: {reason}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// The system's words.
        reason: String,
    },
    /// The memory file can't be used, and [`Builder::memory_file_strict`] was asked for, or none
    /// can be created.
    ///
    /// [`Builder::memory_file_strict`]: crate::Builder::memory_file_strict
    #[error("memory file: {0}")]
    MemoryFile(#[from] MemoryFileError),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The value was replaced, removed, or moved.
    #[error("the value is gone")]
    Gone,
    /// Other handles pin all that may be pinned. Later it may be possible.
    #[error("no more may be pinned now")]
    Full,
}

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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryFileError {
    /// The cache in it was never closed: its process was killed, or is still being debugged.
    #[error("it was not closed")]
    NotClosed,
    /// Another process has it open.
    #[error("another process uses it")]
    InUse,
    /// It is not a memory file.
    #[error("it is not a memory file")]
    Foreign,
    /// Another version, or another kind of machine, has written it.
    #[error("it was written in another format")]
    Format,
    /// Its checksums don't agree with what is in it.
    #[error("its {what} is damaged")]
    Damaged {
        /// Which part.
        what: &'static str,
    },
    /// It was created for other limits.
    #[error("it is for limits of {least} to {most} bytes")]
    Limit {
        /// The least limit that it works with.
        least: usize,
        /// The largest limit that it has room for.
        most: usize,
    },
    /// Memory can't lie in a file on this system.
    #[error("memory can't lie in a file on this system")]
    Unsupported,
    /// The system refused something.
    #[error("{reason}")]
    System {
        /// The system's words.
        reason: String,
    },
}

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
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// Other handles to the cache, to its values or reservations are still there. It goes on.
    #[error("the cache is still in use elsewhere")]
    Shared(crate::Cache),
    /// The memory file was not completed, and will not be used by the next cache.
    #[error("memory file: {0}")]
    MemoryFile(#[from] MemoryFileError),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The item is larger than the cache's `max_item_size`. An older value of the key is untouched.
    #[error("item too large")]
    TooLarge,
    /// Nothing can be evicted: evictions are switched off, or everything is pinned.
    #[error("out of memory")]
    OutOfMemory,
    /// Values that are arriving take all the memory that they may. It is given back as they arrive,
    /// or are given up.
    #[error("too many values are arriving")]
    Crowded,
    /// The cache met a state that it should never reach: a defect. Nothing was stored.
    #[error("internal error")]
    Internal,
    /// The key was hashed by another cache.
    #[error("the key was hashed by another cache")]
    ForeignKey,
    /// The key is empty, or longer than [`Builder::max_key_len`](crate::Builder::max_key_len).
    #[error("the key is empty or too long")]
    BadKey,
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// An item has eight tags at most.
    #[error("{count} tags are too many, the maximum is {most}")]
    TooMany {
        /// What was asked for.
        count: usize,
        /// The most that an item can have.
        most: usize,
    },
    /// A tag has 1 to 250 bytes.
    #[error("a tag is empty or longer than 250 bytes")]
    BadTag,
    /// There is no memory for another tag, and nothing can be evicted.
    #[error("out of memory")]
    OutOfMemory,
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CountError {
    /// The value is not a decimal number below 2^64.
    #[error("not a number")]
    NotANumber,
    /// The new number could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}
