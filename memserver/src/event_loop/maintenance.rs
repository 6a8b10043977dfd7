//! The one background thread: it moves the clock and does the cache's housekeeping. It must never
//! know a connection.
//!
//! The clock is driven from here rather than read from the system at each request: a request then
//! pays one load of a shared, rarely written word instead of a call into the system's time page,
//! and the time it sees is late by no more than one pause.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use memcore::Cache;

use crate::state::clock::DrivenClock;
use crate::watch::{Hub, attention};

/// The pause while there is nothing to do.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// The pause after there was more to do than one step could.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// Items' worth of housekeeping between two looks at the clock and at [`Maintenance::stop`].
const STEP: usize = 1024;

/// The running thread.
#[derive(Debug)]
pub(crate) struct Maintenance {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Maintenance {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refused a thread.
    pub(crate) fn start(
        cache: Cache,
        watch: Arc<Hub>,
        clock: Option<Arc<DrivenClock>>,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || run(&cache, &watch, clock.as_deref(), &stopped);
        let thread = thread::Builder::new().name("maintenance".into()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Maintenance {
    /// Stops the thread and waits for it.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread has been reported by itself.
            let _ = thread.join();
        }
    }
}

fn run(cache: &Cache, watch: &Hub, clock: Option<&DrivenClock>, stop: &AtomicBool) {
    let mut pause = PAUSE_MAX;
    let mut told = None;
    while !stop.load(Ordering::Acquire) {
        // Counting begins before the first work that somebody watches.
        let watched = watch.attends(attention::SYSEVENTS);
        told = watched.then(|| told.unwrap_or_else(|| swept(cache)));
        pause = if work_off(cache, clock, stop) { PAUSE_MIN } else { next(pause) };
        told = told.map(|told| tell(cache, watch, told));
        thread::park_timeout(pause);
    }
}

/// Does what there is to do, letting others go first after each step; true if it was more than
/// one step.
fn work_off(cache: &Cache, clock: Option<&DrivenClock>, stop: &AtomicBool) -> bool {
    let mut busy = false;
    loop {
        if let Some(clock) = clock {
            clock.tick();
        }
        if !cache.maintain(STEP) || stop.load(Ordering::Acquire) {
            return busy;
        }
        busy = true;
        thread::yield_now();
    }
}

/// Tells watchers about expired items that were looked for since `told` was counted; what was
/// counted now.
fn tell(cache: &Cache, watch: &Hub, told: (u64, u64)) -> (u64, u64) {
    let now = swept(cache);
    // Counters may have been reset.
    let since = (now.0.saturating_sub(told.0), now.1.saturating_sub(told.1));
    if since.0 > 0 {
        watch.swept(since.0, since.1);
    }
    now
}

/// How many items have been looked at because they might have expired, and how many had.
fn swept(cache: &Cache) -> (u64, u64) {
    let total = cache.stats().total;
    (total.swept, total.expired_swept)
}

/// Pauses grow while there is little to do.
fn next(pause: Duration) -> Duration {
    (pause * 2).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use memcore::{Attrs, ManualClock, Moment};

    use super::*;
    use crate::config::Config;
    use crate::watch::Evictions;

    #[test]
    fn the_first_sweep_that_somebody_watches_is_told() {
        let clock = ManualClock::new(Moment::from_secs(1_000));
        let cache = Cache::builder(16 << 20).clock(clock.clone()).build().unwrap();
        let attrs = Attrs::new().ttl(Duration::from_secs(1));
        cache.set(b"a", b"x", attrs).unwrap();
        clock.advance(Duration::from_secs(5));
        let hub = Hub::new(&Config::default(), Evictions::new());
        hub.attention.store(attention::SYSEVENTS, Ordering::Relaxed);
        let maintenance = Maintenance::start(cache.clone(), Arc::clone(&hub), None).unwrap();
        while cache.stats().total.expired == 0 {
            thread::yield_now();
        }
        // The round in which it happened is over when the thread has ended.
        drop(maintenance);
        assert_eq!(hub.counts.worker_written.load(Ordering::Relaxed), 1);
    }
}
