//! `cache_memlimit`: the hard limit, changed while the server runs.

use memproto::Args;
use memproto::number::parse_u64;
use memproto::text::write::OK;

use super::ERROR;
use crate::state::shared::Shared;

/// Megabytes below which it is refused.
const LEAST: u64 = 8;
/// Megabytes above which they were surely meant to be bytes.
const MOST: u64 = 1_000_000_000;

pub(super) fn limit(shared: &Shared, mut args: Args<'_>) -> &'static [u8] {
    let Some(megabytes) = args.next().and_then(parse_u64) else { return ERROR };
    if megabytes < LEAST {
        return b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n";
    }
    if megabytes > MOST {
        return b"MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n";
    }
    let bytes = usize::try_from(megabytes << 20).unwrap_or(usize::MAX);
    if shared.core.cache.set_limit(bytes).is_err() {
        return b"MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n";
    }
    shared.watch.resized(bytes);
    OK
}
