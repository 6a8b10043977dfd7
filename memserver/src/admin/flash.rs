//! `extstore`: settings of the flash tier.

use memproto::Args;

use super::{AdminError, parse_f64};
use crate::state::shared::Shared;

/// Carries the command out. Only the size of items has an effect.
pub(super) fn run(shared: &Shared, mut args: Args<'_>) -> Result<(), AdminError> {
    let queue = shared.core.flash.as_ref().ok_or(AdminError::Unknown)?;
    let mut word = || args.next().ok_or(AdminError::Unknown);
    let (name, value) = (word()?, word()?);
    let number = || parse(value).ok_or(AdminError::Unknown);
    let mut settings = queue.settings.lock();
    match name {
        // A size class, and how many chunks of it stay free.
        b"free_memchunks" => {
            number()?;
            parse(word()?).ok_or(AdminError::Unknown)?;
        }
        b"item_size" => {
            settings.item_size = number()? as usize;
            shared.core.cache.set_flash_min_item_size(settings.item_size);
        }
        b"item_age" => settings.item_age = number()?,
        b"low_ttl" => settings.low_ttl = number()?,
        b"recache_rate" => settings.recache_rate = number()?,
        b"compact_under" => settings.compact_under = number()?,
        b"drop_under" => settings.drop_under = number()?,
        b"max_sleep" => settings.max_sleep = number()?,
        b"max_frag" => settings.max_frag = parse_f64(value).ok_or(AdminError::Unknown)?,
        b"drop_unread" => settings.drop_unread = number()? != 0,
        _ => return Err(AdminError::Unknown),
    }
    Ok(())
}

fn parse(word: &[u8]) -> Option<u32> {
    std::str::from_utf8(word).ok()?.parse().ok()
}
