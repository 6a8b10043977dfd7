//! `cache_memlimit`: the memory limit, changed while the server runs.

use memproto::Args;
use memproto::number::parse_u64;

use super::AdminError;
use crate::state::shared::Shared;

/// Megabytes below which it is refused.
const MEGABYTES_MIN: u64 = 8;
/// Megabytes above which they were surely meant to be bytes.
const MEGABYTES_MAX: u64 = 1_000_000_000;

pub(super) fn limit(shared: &Shared, mut args: Args<'_>) -> Result<(), AdminError> {
    let megabytes = args.next().and_then(parse_u64).ok_or(AdminError::Unknown)?;
    if megabytes < MEGABYTES_MIN {
        return Err(AdminError::LimitTooSmall);
    }
    if megabytes > MEGABYTES_MAX {
        return Err(AdminError::LimitInBytes);
    }
    // No overflow: a thousand million MiB are less than 2^50 bytes.
    let bytes = usize::try_from(megabytes << 20).unwrap_or(usize::MAX);
    let config = &shared.core.config;
    // The cache of an embedding program may allow more than the program allows clients.
    if !config.memlimit_enabled || bytes > config.memlimit_max.max(config.memory_limit) {
        return Err(AdminError::LimitOutOfBounds);
    }
    shared.core.cache.set_limit_in_steps(bytes).map_err(|_| AdminError::LimitOutOfBounds)?;
    shared.watch.resized(bytes);
    Ok(())
}
