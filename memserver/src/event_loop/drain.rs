//! How a server ends when clients are to notice little of it: no new ones are accepted, and each
//! connection is closed at a moment when nothing is under way on it.
//!
//! ```text
//!   asked          half of the time        three quarters           the end
//!     |                    |                      |                    |
//!     |  those that have   |  also each that was  |  all that are      |  all
//!     |  long been idle    |  just answered       |  idle              |
//! ```
//!
//! A client that was just answered sees the end before it asks again, unless it asks at once. Who
//! closes while a client is silent may meet its next request half-way.

use std::time::{Duration, Instant};

/// How often idle connections are looked for.
pub(crate) const CHECK: Duration = Duration::from_millis(20);
/// Seconds after which a connection has long been idle. The clock has whole seconds, so that this
/// is more than one.
pub(crate) const IDLE_MIN: u32 = 2;

/// The moments of a drain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    half: Instant,
    three_quarters: Instant,
    end: Instant,
}

impl Drain {
    /// One that takes at most `time` from `now` on.
    pub(crate) fn new(now: Instant, time: Duration) -> Self {
        Self { half: now + time / 2, three_quarters: now + time / 4 * 3, end: now + time }
    }

    /// Whether a connection is closed when it was answered.
    pub(crate) fn closes_answered(&self, now: Instant) -> bool {
        now >= self.half
    }

    /// Whether every idle connection is closed.
    pub(crate) fn closes_idle(&self, now: Instant) -> bool {
        now >= self.three_quarters
    }

    /// The time that is left.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.end.saturating_duration_since(now)
    }
}
