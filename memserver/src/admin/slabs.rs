//! `slabs`: reassign and automove. Memory moves between our classes whenever one needs it, so a
//! reassignment that memcached would begin is answered as begun, and nothing is left to do.

use memproto::Args;
use memproto::number::{parse_i32, parse_u32};
use memproto::text::write::OK;

use super::{BAD_FORMAT, ERROR, parse_f64};
use crate::state::shared::Shared;

const WINDOW_MIN: u32 = 3;
const WINDOW_MAX: u32 = 1800;

pub(super) fn run(shared: &Shared, mut args: Args<'_>) -> &'static [u8] {
    match (args.next(), args.next(), args.next()) {
        (Some(b"reassign"), Some(from), Some(to)) => reassign(shared, from, to),
        (Some(b"automove"), Some(word), value) => automove(shared, word, value),
        _ => ERROR,
    }
}

fn reassign(shared: &Shared, from: &[u8], to: &[u8]) -> &'static [u8] {
    if !shared.core.config.slab_reassign {
        return b"CLIENT_ERROR slab reassignment disabled\r\n";
    }
    let (Some(from), Some(to)) = (parse_i32(from), parse_i32(to)) else { return BAD_FORMAT };
    if from == to {
        return b"SAME src and dst class are identical\r\n";
    }
    let stats = shared.core.cache.stats();
    // Class 0 stands for memory that belongs to no class.
    let segments = |class: usize| match class.checked_sub(1) {
        None => Some(stats.free_segments as u64),
        Some(index) => stats.classes.get(index).map(|class| class.segments),
    };
    let from = match from {
        -1 => (1..=stats.classes.len()).find(|class| segments(*class) > Some(1)),
        _ => usize::try_from(from).ok(),
    };
    let to = usize::try_from(to).ok().and_then(segments);
    match (from.and_then(segments), to) {
        (None, _) | (_, None) => b"BADCLASS invalid src or dst class id\r\n",
        (Some(0 | 1), _) => b"NOSPARE source class has no spare pages\r\n",
        _ => OK,
    }
}

fn automove(shared: &Shared, word: &[u8], value: Option<&[u8]>) -> &'static [u8] {
    let mut runtime = shared.core.runtime.lock();
    let fraction = value.and_then(parse_f64);
    match word {
        b"ratio" => match fraction {
            Some(ratio) => runtime.slab_automove_ratio = ratio,
            None => return ERROR,
        },
        // Shown only by a memcached with a flash tier.
        b"freeratio" if fraction.is_some() => {}
        b"freeratio" => return ERROR,
        b"window" => match value.and_then(parse_u32) {
            Some(window @ WINDOW_MIN..=WINDOW_MAX) => runtime.slab_automove_window = window,
            Some(_) => return b"CLIENT_ERROR automove window too low or too high\r\n",
            None => return ERROR,
        },
        _ => match parse_u32(word) {
            Some(level @ 0..=2) => runtime.slab_automove = level,
            Some(_) => return ERROR,
            None => return BAD_FORMAT,
        },
    }
    OK
}
