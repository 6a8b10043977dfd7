//! `slabs`: reassign and automove. Memory moves between our classes whenever one needs it, so a
//! reassignment that memcached would begin is answered as begun, and nothing is left to do.

use memproto::Args;
use memproto::number::{parse_i32, parse_u32};

use super::{AdminError, parse_f64};
use crate::state::shared::Shared;

const WINDOW_MIN: u32 = 3;
const WINDOW_MAX: u32 = 1800;

pub(super) fn run(shared: &Shared, mut args: Args<'_>) -> Result<(), AdminError> {
    match (args.next(), args.next(), args.next(), args.next()) {
        (Some(b"reassign"), Some(from), Some(to), None) => reassign(shared, from, to),
        (Some(b"automove"), Some(word), value, _) => automove(shared, word, value),
        _ => Err(AdminError::Unknown),
    }
}

fn reassign(shared: &Shared, from: &[u8], to: &[u8]) -> Result<(), AdminError> {
    if !shared.core.config.slab_reassign {
        return Err(AdminError::ReassignDisabled);
    }
    let from = parse_i32(from).ok_or(AdminError::NotANumber)?;
    let to = parse_i32(to).ok_or(AdminError::NotANumber)?;
    if from == to {
        return Err(AdminError::SameClass);
    }
    let stats = shared.cache_stats();
    // Class 0 stands for memory that belongs to no class.
    let segments = |class: usize| match class.checked_sub(1) {
        None => Some(stats.free_segments as u64),
        Some(index) => stats.classes.get(index).map(|class| class.segments),
    };
    let from = match from {
        // Any class that has a segment to spare.
        -1 => (1..=stats.classes.len()).find(|class| segments(*class) > Some(1)),
        _ => usize::try_from(from).ok(),
    };
    let to = usize::try_from(to).ok().and_then(segments);
    match (from.and_then(segments), to) {
        (None, _) | (_, None) => Err(AdminError::NoSuchClassToMove),
        // memcached never takes the last page of a class.
        (Some(0 | 1), _) => Err(AdminError::NothingToSpare),
        _ => Ok(()),
    }
}

fn automove(shared: &Shared, word: &[u8], value: Option<&[u8]>) -> Result<(), AdminError> {
    let mut runtime = shared.core.runtime.lock();
    let fraction = || value.and_then(parse_f64).ok_or(AdminError::Unknown);
    match word {
        b"ratio" => runtime.slab_automove_ratio = fraction()?,
        // Shown where there is a flash tier.
        b"freeratio" => runtime.slab_automove_freeratio = fraction()?,
        b"window" => match value.and_then(parse_u32) {
            Some(window @ WINDOW_MIN..=WINDOW_MAX) => runtime.slab_automove_window = window,
            Some(_) => return Err(AdminError::WindowOutOfBounds),
            None if value.is_none() => return Err(AdminError::NotANumber),
            None => return Err(AdminError::Unknown),
        },
        _ => match parse_u32(word) {
            Some(level @ 0..=2) => runtime.slab_automove = level,
            Some(_) => return Err(AdminError::Unknown),
            None => return Err(AdminError::NotANumber),
        },
    }
    Ok(())
}
