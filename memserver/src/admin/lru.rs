//! `lru`: tune, mode and temp_ttl. Our eviction policy tunes itself; what is told here is checked,
//! kept, and shown by `stats settings`.

use memproto::Args;
use memproto::number::{parse_i32, parse_u32};

use super::{AdminError, parse_f64};
use crate::state::shared::Shared;

/// Both shares together leave at least this to the third segment.
const SHARES_MAX: u32 = 80;

pub(super) fn run(shared: &Shared, mut args: Args<'_>) -> Result<(), AdminError> {
    match (args.next(), args.next()) {
        (Some(b"tune"), Some(hot)) => tune(shared, hot, args)?,
        (Some(b"mode"), Some(b"flat")) => shared.core.runtime.lock().lru_segmented = false,
        (Some(b"mode"), Some(b"segmented")) => shared.core.runtime.lock().lru_segmented = true,
        (Some(b"temp_ttl"), Some(ttl)) => {
            let ttl = parse_i32(ttl).ok_or(AdminError::Unknown)?;
            let mut runtime = shared.core.runtime.lock();
            // A negative time switches the feature off.
            let seconds = u32::try_from(ttl);
            runtime.temp_lru = seconds.is_ok();
            runtime.temporary_ttl = seconds.unwrap_or(runtime.temporary_ttl);
        }
        _ => return Err(AdminError::Unknown),
    }
    Ok(())
}

fn tune(shared: &Shared, hot: &[u8], mut rest: Args<'_>) -> Result<(), AdminError> {
    let share = |word: Option<&[u8]>| word.and_then(parse_u32).ok_or(AdminError::Unknown);
    let hot_pct = share(Some(hot))?;
    let warm_pct = share(rest.next())?;
    let mut factor = || rest.next().and_then(parse_f64).ok_or(AdminError::Unknown);
    let hot_factor = factor()?;
    let warm_factor = factor()?;
    if hot_pct.saturating_add(warm_pct) > SHARES_MAX {
        return Err(AdminError::SharesTooLarge);
    }
    if hot_factor <= 0.0 || warm_factor <= 0.0 {
        return Err(AdminError::FactorTooSmall);
    }
    let mut runtime = shared.core.runtime.lock();
    runtime.hot_lru_pct = hot_pct;
    runtime.warm_lru_pct = warm_pct;
    runtime.hot_max_factor = hot_factor;
    runtime.warm_max_factor = warm_factor;
    Ok(())
}
