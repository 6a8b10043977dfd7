//! `debugtime`: moves the clock in tests. Only builds with the feature `test-clock` have it, and
//! none without debug assertions.

use std::time::Duration;

use memproto::Args;
use memproto::number::parse_u32;

use super::AdminError;
use crate::state::clock::DrivenClock;

const ENABLED: bool = cfg!(all(feature = "test-clock", debug_assertions));

/// `p` pauses the clock, `r` resumes it, a number moves it ahead by that many seconds.
pub(super) fn run(clock: Option<&DrivenClock>, mut words: Args<'_>) -> Result<(), AdminError> {
    let clock = clock.filter(|_| ENABLED).ok_or(AdminError::Unknown)?;
    match words.next() {
        Some(b"p") => clock.pause(),
        Some(b"r") => clock.resume(),
        word => {
            let seconds = word.and_then(parse_u32).ok_or(AdminError::Unknown)?;
            clock.advance(Duration::from_secs(seconds.into()));
        }
    }
    Ok(())
}
