//! `debugtime`: the clock in the hands of a test. It is there only in builds with the feature
//! `test-clock`, and never in one without debug assertions.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use memcore::ManualClock;
use memproto::Args;
use memproto::number::parse_u32;
use memproto::text::write::OK;

use super::ERROR;

/// A clock that can be stopped and moved ahead.
#[derive(Debug)]
pub(crate) struct TestClock {
    shown: ManualClock,
    paused: AtomicBool,
    /// Seconds ahead of the machine's clock.
    ahead: AtomicU32,
}

impl TestClock {
    /// Moves `shown`, which others move as well unless it is paused.
    pub(crate) fn new(shown: ManualClock) -> Self {
        Self { shown, paused: AtomicBool::new(false), ahead: AtomicU32::new(0) }
    }

    /// The machine's clock shows `now`.
    pub(crate) fn tick(&self, now: u32) {
        if !self.paused.load(Ordering::Acquire) {
            self.shown.set(now.saturating_add(self.ahead.load(Ordering::Acquire)));
        }
    }

    /// `p` pauses, `r` resumes, a number moves the clock so many seconds ahead.
    pub(super) fn run(&self, mut words: Args<'_>) -> &'static [u8] {
        match words.next() {
            Some(b"p") => self.paused.store(true, Ordering::Release),
            Some(b"r") => self.paused.store(false, Ordering::Release),
            word => match word.and_then(parse_u32) {
                Some(seconds) => {
                    self.ahead.fetch_add(seconds, Ordering::AcqRel);
                    self.shown.advance(seconds);
                }
                None => return ERROR,
            },
        }
        OK
    }
}

#[cfg(test)]
mod tests {
    use memcore::Clock;

    use super::*;

    #[test]
    fn a_paused_clock_moves_only_by_steps() {
        let shown = ManualClock::new(100);
        let clock = TestClock::new(shown.clone());
        clock.tick(101);
        assert_eq!(shown.now(), 101);
        clock.paused.store(true, Ordering::Release);
        clock.tick(150);
        assert_eq!(shown.now(), 101);
        clock.ahead.fetch_add(10, Ordering::AcqRel);
        shown.advance(10);
        assert_eq!(shown.now(), 111);
        clock.paused.store(false, Ordering::Release);
        clock.tick(151);
        assert_eq!(shown.now(), 161);
    }
}
