//! `debugtime`: moves the clock in tests. Only builds with the feature `test-clock` have it, and
//! none without debug assertions.

use memproto::Args;
use memproto::number::parse_u32;
use memproto::text::write::OK;

use super::ERROR;
use crate::state::clock::DrivenClock;

const ENABLED: bool = cfg!(all(feature = "test-clock", debug_assertions));

/// `p` pauses the clock, `r` resumes it, a number moves it so many seconds ahead.
pub(super) fn run(clock: Option<&DrivenClock>, mut words: Args<'_>) -> &'static [u8] {
    let Some(clock) = clock.filter(|_| ENABLED) else { return ERROR };
    match words.next() {
        Some(b"p") => clock.pause(),
        Some(b"r") => clock.resume(),
        word => match word.and_then(parse_u32) {
            Some(seconds) => clock.advance(seconds),
            None => return ERROR,
        },
    }
    OK
}
