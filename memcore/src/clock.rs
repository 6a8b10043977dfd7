//! Time comes from outside: whole seconds, injected, so that tests move it by hand.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A source of whole seconds since the Unix epoch.
///
/// It must never go backwards: expiry compares moments.
pub trait Clock: Debug + Send + Sync {
    /// The current second.
    fn now(&self) -> u32;
}

/// The machine's clock: the wall clock at creation, advanced by the monotonic one, so that a
/// corrected wall clock neither expires nor revives items.
#[derive(Debug)]
pub struct SystemClock {
    /// Unix seconds at monotonic zero.
    origin: u64,
}

impl SystemClock {
    /// A clock that agrees with the wall clock at this moment.
    #[must_use]
    pub fn new() -> Self {
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs());
        Self { origin: wall.saturating_sub(monotonic_secs()) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> u32 {
        u32::try_from(self.origin + monotonic_secs()).unwrap_or(u32::MAX)
    }
}

/// A clock that stands still until it is told to move. Clones share the same time.
///
/// A host that already knows the time (an event loop, say) can drive it from there: reading it
/// costs one load.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU32>);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: u32) -> Self {
        Self(Arc::new(AtomicU32::new(now)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, seconds: u32) {
        self.0.fetch_add(seconds, Ordering::Release);
    }

    /// Shows `now` from here on; an earlier moment than the present one is ignored.
    pub fn set(&self, now: u32) {
        self.0.fetch_max(now, Ordering::AcqRel);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

/// The coarse clock is four times cheaper than the exact one and good to a few milliseconds.
#[cfg(all(target_os = "linux", not(miri)))]
fn monotonic_secs() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    u64::try_from(now.tv_sec).unwrap_or(0)
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn monotonic_secs() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs()
}
