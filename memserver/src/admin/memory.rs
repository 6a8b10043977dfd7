//! `cache_memlimit`: the hard limit, changed while the server runs.

use memproto::Args;
use memproto::number::parse_u64;
use memproto::text::write::OK;

use super::ERROR;
use crate::shared::Shared;

/// Megabytes below which it is refused.
const LEAST: u64 = 8;

pub(super) fn limit(shared: &Shared, mut args: Args<'_>) -> &'static [u8] {
    let Some(megabytes) = args.next().and_then(parse_u64) else { return ERROR };
    if megabytes < LEAST {
        return b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n";
    }
    let bytes = usize::try_from(megabytes).ok().and_then(|count| count.checked_mul(1 << 20));
    match bytes.map(|bytes| (bytes, shared.cache.set_limit(bytes))) {
        Some((bytes, Ok(()))) => {
            shared.watch.resized(bytes);
            OK
        }
        _ => b"MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n",
    }
}
