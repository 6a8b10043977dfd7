//! What can go wrong, by operation.

/// A cache can't be built or resized as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The limit leaves no room for the cache's own tables.
    #[error("a limit of {limit} bytes is too small, the least is {least}")]
    LimitTooSmall {
        /// What was asked for.
        limit: usize,
        /// The smallest limit that works.
        least: usize,
    },
    /// The largest item must fit into half of the limit, and be at most 1 GiB.
    #[error("items of {max} bytes don't fit, the most is {most}")]
    ItemTooLarge {
        /// What was asked for.
        max: usize,
        /// The largest size that works under this limit.
        most: usize,
    },
    /// Keys may be limited to 65,536 bytes at most.
    #[error("keys of {max} bytes are too long, the most is {most}")]
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
}

/// A value can't be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The item is larger than the cache's `max_item_size`. An older value of the key is untouched.
    #[error("item too large")]
    TooLarge,
    /// Nothing can be evicted: evictions are switched off, or everything is pinned.
    #[error("out of memory")]
    OutOfMemory,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// An item has eight tags at most.
    #[error("{count} tags are too many, the most is {most}")]
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
