//! The clock of a server's cache. It follows the system's, and a test may stop it or move it ahead.
//!
//! A request reads one rarely written word. Every thread that serves requests calls
//! [`DrivenClock::catch_up`] when it has waited for them, so a request that comes after a second
//! has begun is served in that second: an item with a time to live of n seconds is there for more
//! than n - 1 seconds and never for more than n. The maintenance thread moves the clock while no
//! requests come.
//!
//! The wall clock is read once, at the start; from then on the monotonic clock counts. So a wall
//! clock that is corrected neither expires nor revives items.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use memcore::{ManualClock, Moment};
use parking_lot::Mutex;

/// A clock that shows the second in which it was last looked at.
#[derive(Debug)]
pub(crate) struct DrivenClock {
    /// Unix time at `start`.
    origin: Duration,
    start: Instant,
    /// What the cache reads.
    shown: ManualClock,
    /// Nanoseconds after `start` from which on `shown` is late.
    due: AtomicU64,
    /// Locked while `shown` is set, so that no look at the clock undoes a step ahead.
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
        let origin = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_origin(origin, shown)
    }

    /// The same, at the Unix time `origin`.
    fn from_origin(origin: Duration, shown: ManualClock) -> Self {
        let due = AtomicU64::new(0);
        Self { origin, start: Instant::now(), shown, due, offset: Mutex::default() }
    }

    /// Shows the present second, unless it is paused.
    #[inline]
    pub(crate) fn catch_up(&self) {
        self.catch_up_at(self.start.elapsed());
    }

    /// The time until the next second begins.
    pub(crate) fn until_due(&self) -> Duration {
        let due = Duration::from_nanos(self.due.load(Ordering::Relaxed));
        due.saturating_sub(self.start.elapsed())
    }

    /// Stands still until [`DrivenClock::resume`].
    pub(crate) fn pause(&self) {
        self.offset.lock().paused = true;
    }

    /// Follows the system's clock again.
    pub(crate) fn resume(&self) {
        let mut offset = self.offset.lock();
        offset.paused = false;
        // Late from now on, so that the next look follows.
        self.due.store(0, Ordering::Relaxed);
    }

    /// Moves ahead by whole seconds, paused or not.
    pub(crate) fn advance(&self, by: Duration) {
        let by = Duration::from_secs(by.as_secs());
        let mut offset = self.offset.lock();
        offset.ahead += by;
        self.shown.advance(by);
    }

    #[inline]
    fn catch_up_at(&self, elapsed: Duration) {
        // Pairs with the Release in `follow`: who sees that it is not late sees the second, too.
        if nanos(elapsed) >= self.due.load(Ordering::Acquire) {
            self.follow(elapsed);
        }
    }

    #[cold]
    fn follow(&self, elapsed: Duration) {
        let offset = self.offset.lock();
        let now = self.origin + elapsed;
        if !offset.paused {
            self.shown.set(Moment::default() + (now + offset.ahead));
        }
        let left = Duration::from_secs(1) - Duration::from_nanos(now.subsec_nanos().into());
        // Others may have looked later and come first. Pairs with the Acquire in `catch_up_at`.
        self.due.fetch_max(nanos(elapsed + left), Ordering::Release);
    }
}

/// Enough for 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use memcore::Clock;

    use super::*;

    const SECS: fn(u64) -> Duration = Duration::from_secs;

    /// A clock that starts at second 100.9.
    fn clock() -> (DrivenClock, ManualClock) {
        let shown = ManualClock::new(Moment::from_secs(100));
        (DrivenClock::from_origin(Duration::from_millis(100_900), shown.clone()), shown)
    }

    #[test]
    fn seconds_change_when_the_wall_clocks_do() {
        const NS: Duration = Duration::from_nanos(1);
        let (clock, shown) = clock();
        for second in 0..1_000 {
            let begin = SECS(second) + Duration::from_millis(100);
            for (elapsed, shows) in [(begin - NS, 100), (begin, 101), (begin + NS, 101)] {
                clock.catch_up_at(elapsed);
                assert_eq!(u64::from(shown.now().as_secs()), shows + second, "{elapsed:?}");
            }
        }
    }

    #[test]
    fn it_is_due_at_the_next_second() {
        let (clock, shown) = clock();
        assert_eq!(clock.until_due(), Duration::ZERO);
        clock.catch_up();
        assert!(clock.until_due() <= SECS(1));
        std::thread::sleep(clock.until_due());
        let before = shown.now();
        clock.catch_up();
        assert_eq!(shown.now(), before + SECS(1));
    }

    #[test]
    fn a_paused_clock_moves_only_by_steps() {
        let (clock, shown) = clock();
        clock.catch_up_at(SECS(1));
        assert_eq!(shown.now().as_secs(), 101);
        clock.pause();
        clock.catch_up_at(SECS(50));
        assert_eq!(shown.now().as_secs(), 101);
        clock.advance(Duration::from_millis(10_900));
        assert_eq!(shown.now().as_secs(), 111);
        clock.resume();
        clock.catch_up_at(SECS(50));
        assert_eq!(shown.now().as_secs(), 160);
    }
}
