//! Sizes as people say them.

/// So many mebibytes, in bytes.
///
/// # Examples
/// ```
/// use memcore::{Cache, gib, mib};
///
/// let cache = Cache::builder(mib(64)).max_limit(gib(1)).build()?;
/// assert_eq!(cache.stats().limit, 67_108_864);
/// # Ok::<(), memcore::ConfigError>(())
/// ```
#[must_use]
pub const fn mib(count: usize) -> usize {
    count.saturating_mul(1 << 20)
}

/// So many gibibytes, in bytes. Where addresses have 32 bits, at most as many as there can be.
///
/// # Examples
/// ```
/// assert_eq!(memcore::gib(2), 2_147_483_648);
/// assert_eq!(memcore::gib(usize::MAX), usize::MAX);
/// ```
#[must_use]
pub const fn gib(count: usize) -> usize {
    count.saturating_mul(1 << 30)
}
