//! The clock of a server's cache. It follows the system's, driven by the maintenance thread, and a
//! test may stop it or move it ahead.

use std::time::Duration;

use memcore::{Clock, ManualClock, Moment, SystemClock};
use parking_lot::Mutex;

/// A clock that is set to the system's time at each [`DrivenClock::tick`].
#[derive(Debug)]
pub(crate) struct DrivenClock {
    system: SystemClock,
    /// What the cache reads.
    shown: ManualClock,
    /// Locked while `shown` is set, so that no tick undoes a step ahead.
    offset: Mutex<Offset>,
}

/// How it differs from the system's clock.
#[derive(Debug, Default)]
struct Offset {
    paused: bool,
    ahead: Duration,
}

impl DrivenClock {
    /// Drives `shown`, which the cache was or will be built with.
    pub(crate) fn new(shown: ManualClock) -> Self {
        Self { system: SystemClock::new(), shown, offset: Mutex::default() }
    }

    /// Shows the system's time, unless it is paused.
    pub(crate) fn tick(&self) {
        self.follow(self.system.now());
    }

    /// Stands still until [`DrivenClock::resume`].
    pub(crate) fn pause(&self) {
        self.offset.lock().paused = true;
    }

    /// Follows the system's clock again.
    pub(crate) fn resume(&self) {
        self.offset.lock().paused = false;
    }

    /// Moves ahead, paused or not.
    pub(crate) fn advance(&self, by: Duration) {
        let mut offset = self.offset.lock();
        offset.ahead += by;
        self.shown.advance(by);
    }

    fn follow(&self, now: Moment) {
        let offset = self.offset.lock();
        if !offset.paused {
            self.shown.set(now + offset.ahead);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_clock_moves_only_by_steps() {
        let shown = ManualClock::new(Moment::from_secs(100));
        let clock = DrivenClock::new(shown.clone());
        clock.follow(Moment::from_secs(101));
        assert_eq!(shown.now().as_secs(), 101);
        clock.pause();
        clock.follow(Moment::from_secs(150));
        assert_eq!(shown.now().as_secs(), 101);
        clock.advance(Duration::from_secs(10));
        assert_eq!(shown.now().as_secs(), 111);
        clock.resume();
        clock.follow(Moment::from_secs(151));
        assert_eq!(shown.now().as_secs(), 161);
    }
}
