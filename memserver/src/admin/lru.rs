//! `lru`: tune, mode and temp_ttl. Our eviction policy tunes itself; what is told here is checked,
//! kept, and shown by `stats settings`.

use memproto::Args;
use memproto::number::{parse_i32, parse_u32};
use memproto::text::write::OK;

use super::{ERROR, parse_f64};
use crate::state::shared::Shared;

/// Both shares together leave at least this to the third segment.
const SHARES_MAX: u32 = 80;

pub(super) fn run(shared: &Shared, mut args: Args<'_>) -> &'static [u8] {
    match (args.next(), args.next()) {
        (Some(b"tune"), Some(hot)) => tune(shared, hot, args).unwrap_or(ERROR),
        (Some(b"mode"), Some(mode @ (b"flat" | b"segmented"))) => {
            shared.core.runtime.lock().lru_segmented = mode == b"segmented";
            OK
        }
        (Some(b"temp_ttl"), Some(ttl)) => match parse_i32(ttl) {
            Some(ttl) => {
                let mut runtime = shared.core.runtime.lock();
                let seconds = u32::try_from(ttl);
                runtime.temp_lru = seconds.is_ok();
                runtime.temporary_ttl = seconds.unwrap_or(runtime.temporary_ttl);
                OK
            }
            None => ERROR,
        },
        _ => ERROR,
    }
}

fn tune(shared: &Shared, hot: &[u8], mut rest: Args<'_>) -> Option<&'static [u8]> {
    let (hot, warm) = (parse_u32(hot)?, parse_u32(rest.next()?)?);
    let (hot_factor, warm_factor) = (parse_f64(rest.next()?)?, parse_f64(rest.next()?)?);
    if hot.saturating_add(warm) > SHARES_MAX {
        return Some(b"ERROR hot and warm pcts must not exceed 80\r\n");
    }
    if hot_factor <= 0.0 || warm_factor <= 0.0 {
        return Some(b"ERROR hot/warm age factors must be greater than 0\r\n");
    }
    let mut runtime = shared.core.runtime.lock();
    (runtime.hot_lru_pct, runtime.warm_lru_pct) = (hot, warm);
    (runtime.hot_max_factor, runtime.warm_max_factor) = (hot_factor, warm_factor);
    Some(OK)
}
