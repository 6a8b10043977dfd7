//! Time comes from outside: whole seconds, injected, so that tests move it by hand.

use std::fmt::Debug;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NANOS_PER_SEC: u32 = 1_000_000_000;

/// A moment in whole seconds since the Unix epoch, as the cache's [`Clock`] shows it.
///
/// Seconds have 32 bits, which last until the year 2106; sums beyond that stop at [`Moment::MAX`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::Moment;
///
/// let start = Moment::from_secs(1_000);
/// let later = start + Duration::from_secs(60);
/// assert_eq!(later.as_secs(), 1_060);
/// assert_eq!(later.saturating_since(start), Duration::from_secs(60));
/// assert_eq!(start + Duration::MAX, Moment::MAX);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u32);

impl Moment {
    /// The last moment that there is. What ends then never ends.
    pub const MAX: Self = Self(u32::MAX);

    /// The moment `secs` seconds after the Unix epoch.
    ///
    /// # Examples
    /// ```
    /// use memcore::Moment;
    ///
    /// assert!(Moment::from_secs(2) > Moment::from_secs(1));
    /// ```
    #[inline]
    #[must_use]
    pub const fn from_secs(secs: u32) -> Self {
        Self(secs)
    }

    /// Seconds since the Unix epoch.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(memcore::Moment::from_secs(7).as_secs(), 7);
    /// ```
    #[inline]
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// The time that has passed since `earlier`; zero if that is in fact later.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use memcore::Moment;
    ///
    /// let (one, two) = (Moment::from_secs(1), Moment::from_secs(2));
    /// assert_eq!(two.saturating_since(one), Duration::from_secs(1));
    /// assert_eq!(one.saturating_since(two), Duration::ZERO);
    /// ```
    #[inline]
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0) as u64)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// The moment `duration` later, at most [`Moment::MAX`]. Fractions of a second are cut off.
    #[inline]
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)))
    }
}

impl From<SystemTime> for Moment {
    /// Moments before 1970 become the first, those after 2106 the last.
    fn from(time: SystemTime) -> Self {
        Self::default() + time.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// Where a cache gets the time from.
///
/// It must never go backwards: expiry compares moments.
///
/// # Examples
/// ```
/// use memcore::{Cache, Clock, Moment};
///
/// /// The wall clock, for programs whose wall clock is never set back.
/// #[derive(Debug)]
/// struct Wall;
///
/// impl Clock for Wall {
///     fn now(&self) -> Moment {
///         std::time::SystemTime::now().into()
///     }
/// }
///
/// let cache = Cache::builder(8 << 20).clock(Wall).build()?;
/// assert!(cache.now() > Moment::from_secs(1_700_000_000));
/// # Ok::<(), memcore::ConfigError>(())
/// ```
pub trait Clock: Debug + Send + Sync {
    /// The current second.
    fn now(&self) -> Moment;
}

/// The machine's clock: the wall clock at creation, advanced by the monotonic one, so that a
/// corrected wall clock neither expires nor revives items. It is exact to a few milliseconds.
///
/// # Examples
/// ```
/// use memcore::{Clock, SystemClock};
///
/// let clock = SystemClock::new();
/// let start = clock.now();
/// assert!(clock.now() >= start);
/// ```
#[derive(Debug)]
pub struct SystemClock {
    /// Unix seconds at monotonic zero.
    origin: u64,
    /// The nanosecond within each monotonic second at which the Unix time turns to its next second.
    turn: u32,
}

impl SystemClock {
    /// A clock that agrees with the wall clock at this moment.
    #[must_use]
    pub fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_readings(wall, monotonic())
    }

    /// The clock for which it is `wall` when the monotonic clock shows `monotonic`.
    fn from_readings(wall: Duration, monotonic: Duration) -> Self {
        let origin = wall.saturating_sub(monotonic);
        Self { origin: origin.as_secs(), turn: NANOS_PER_SEC - origin.subsec_nanos() }
    }

    /// The time when the monotonic clock shows `monotonic`. Only the sum is cut to seconds: cutting
    /// both terms would be up to a second off.
    #[inline]
    fn at(&self, monotonic: Duration) -> Moment {
        let has_turned = monotonic.subsec_nanos() >= self.turn;
        let secs = self.origin + monotonic.as_secs() + u64::from(has_turned);
        Moment(u32::try_from(secs).unwrap_or(u32::MAX))
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        self.at(monotonic())
    }
}

/// A clock that stands still until it is told to move. Clones share the same time.
///
/// A host that already knows the time (an event loop, say) can drive it from there: reading it
/// costs one load.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::{Attrs, Cache, ManualClock, Moment};
///
/// let clock = ManualClock::new(Moment::from_secs(1_000));
/// let cache = Cache::builder(8 << 20).clock(clock.clone()).build()?;
/// cache.set("k", b"v", Attrs::new().ttl(Duration::from_secs(60)))?;
/// clock.advance(Duration::from_secs(59));
/// assert!(cache.contains("k"));
/// clock.advance(Duration::from_secs(1));
/// assert!(!cache.contains("k"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU32>);

impl ManualClock {
    /// A clock that shows `now`.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Clock, ManualClock, Moment};
    /// let clock = ManualClock::new(Moment::from_secs(1_000));
    /// assert_eq!(clock.now(), Moment::from_secs(1_000));
    /// ```
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self(Arc::new(AtomicU32::new(now.0)))
    }

    /// Moves the clock forward, at most to [`Moment::MAX`]. Fractions of a second are cut off.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::{Clock, ManualClock, Moment};
    /// let clock = ManualClock::new(Moment::from_secs(1_000));
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(clock.now(), Moment::from_secs(1_060));
    /// ```
    pub fn advance(&self, by: Duration) {
        let later = |now| Some((Moment(now) + by).0);
        // Release pairs with the Acquire of `now`: who sees the new time sees what led to it.
        let _ = self.0.fetch_update(Ordering::Release, Ordering::Relaxed, later);
    }

    /// Shows `now` from here on; an earlier moment than the present one is ignored.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Clock, ManualClock, Moment};
    /// let clock = ManualClock::new(Moment::from_secs(1_000));
    /// clock.set(Moment::from_secs(2_000));
    /// clock.set(Moment::from_secs(1));
    /// assert_eq!(clock.now(), Moment::from_secs(2_000));
    /// ```
    pub fn set(&self, now: Moment) {
        // Release pairs with the Acquire of `now`.
        self.0.fetch_max(now.0, Ordering::AcqRel);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        // Pairs with the Release of `advance` and `set`.
        Moment(self.0.load(Ordering::Acquire))
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
use crate::memory::system::monotonic_coarse as monotonic;

#[cfg(not(all(target_os = "linux", not(miri))))]
fn monotonic() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_system_clock_agrees_with_the_wall_clock() {
        // Fractions of both clocks that add up to a second or do not.
        for (wall, monotonic) in [(1_000_900, 5_100), (1_000_100, 5_900), (1_000_000, 0)] {
            let clock = SystemClock::from_readings(MS(wall), MS(monotonic));
            for later in [0, 50, 100, 899, 900, 901, 1_000, 86_400_500] {
                let shown = clock.at(MS(monotonic + later)).as_secs();
                assert_eq!(u64::from(shown), (wall + later) / 1_000, "{wall} {monotonic} {later}");
            }
        }
        let wall = Moment::from(SystemTime::now() - MS(20));
        assert!(SystemClock::new().now() >= wall);
    }

    #[test]
    fn no_clock_goes_backwards_or_beyond_the_end() {
        let clock = ManualClock::new(Moment::from_secs(1_000));
        clock.advance(Duration::from_secs(u64::from(u32::MAX)));
        assert_eq!(clock.now(), Moment::MAX);
        clock.advance(Duration::MAX);
        clock.set(Moment::from_secs(5));
        assert_eq!(clock.now(), Moment::MAX);
        let far = SystemClock::from_readings(MS(1_000_000), MS(0));
        assert_eq!(far.at(Duration::from_secs(1 << 40)), Moment::MAX);
    }
}
