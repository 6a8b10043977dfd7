//! The background thread that maintains the cache, and moves the clock at the beginning of each
//! second, whether requests come or not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use memcore::{Cache, Sweeps};

use crate::os::log;
use crate::state::clock::DrivenClock;
use crate::state::core::Core;
use crate::state::shared::Shared;
use crate::watch::attention;

/// The pause while there is nothing to do.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// The pause after there was more to do than one step could.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// Free memory is looked for so often at most.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Less free memory is kept for others.
const SLACK_MIN: usize = 2 << 20;
/// Bytes that a connection takes beside what is charged to its budget.
const UNCHARGED: usize = 2 << 10;
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
    pub(crate) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || run(&shared, &stopped);
        let thread = thread::Builder::new().name("maintenance".into()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Maintenance {
    /// Stops the thread and waits for it.
    fn drop(&mut self) {
        // Pairs with the loads in `run` and `work_off`.
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread has been reported by itself.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, stop: &AtomicBool) {
    let Core { cache, clock, .. } = &shared.core;
    let mut pause = PAUSE_MAX;
    let mut before = cache.sweeps();
    let mut slack = Slack::new();
    let (mut lost, mut is_full) = (0, false);
    // Pairs with the store in `drop`.
    while !stop.load(Ordering::Acquire) {
        pause = if work_off(cache, clock.as_deref(), stop) { PAUSE_MIN } else { next(pause) };
        let after = cache.sweeps();
        report(shared, before, after);
        before = after;
        slack.look(shared, Instant::now());
        if cache.restored().is_some() {
            warn_of_loss(cache, &mut lost);
            warn_of_full_disk(cache, &mut is_full);
        }
        let due = clock.as_deref().map_or(pause, DrivenClock::until_due);
        thread::park_timeout(pause.min(due));
    }
}

/// Says how many items of a damaged memory file were lost, when all of it was looked through.
fn warn_of_loss(cache: &Cache, before: &mut u64) {
    let lost = cache.lost_items();
    if lost != *before {
        log::warning(&format!("the memory file was damaged: {lost} items are lost"));
        *before = lost;
    }
}

/// Says once that the memory file can't have all of the limit.
fn warn_of_full_disk(cache: &Cache, is_said: &mut bool) {
    if !*is_said && cache.memory_refused() > 0 {
        let used = cache.stats().used >> 20;
        log::warning(&format!(
            "the file system of the memory file is full: {used}m are used, and items are evicted \
             as if that were the limit"
        ));
        *is_said = true;
    }
}

/// Does what there is to do, letting others go first after each step; true if it was more than
/// one step.
fn work_off(cache: &Cache, clock: Option<&DrivenClock>, stop: &AtomicBool) -> bool {
    let mut busy = false;
    loop {
        if let Some(clock) = clock {
            clock.catch_up();
        }
        // Pairs with the store in `drop`.
        if !cache.maintain(STEP) || stop.load(Ordering::Acquire) {
            return busy;
        }
        busy = true;
        thread::yield_now();
    }
}

/// Memory that clients held and gave back. It stays with the process until that is told to give it
/// to the system.
#[derive(Debug)]
struct Slack {
    /// The most bytes that clients have held since memory was last given back.
    most: usize,
    looked: Instant,
}

impl Slack {
    fn new() -> Self {
        Self { most: 0, looked: Instant::now() }
    }

    /// Gives free memory back if that is worth it; true if it was.
    fn look(&mut self, shared: &Shared, now: Instant) -> bool {
        let open = shared.gauges.connections.current.load(Ordering::Relaxed);
        let held = shared.budgets.clients.used() + open * UNCHARGED;
        self.most = self.most.max(held);
        if now.duration_since(self.looked) < LOOK_EVERY {
            return false;
        }
        self.looked = now;
        memsys::heap::refill();
        let trims = self.most - held >= SLACK_MIN;
        if trims {
            memsys::heap::trim();
            self.most = held;
        }
        trims
    }
}

/// Counts a search for expired items, if there was one, and tells watchers about it.
fn report(shared: &Shared, before: Sweeps, after: Sweeps) {
    let examined = after.examined - before.examined;
    if examined == 0 {
        return;
    }
    shared.gauges.crawls.fetch_add(1, Ordering::Relaxed);
    if shared.watch.attends(attention::SYSEVENTS) {
        shared.watch.swept(examined, after.expired - before.expired);
    }
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

    #[test]
    fn a_sweep_is_counted_and_told() {
        let clock = ManualClock::new(Moment::from_secs(1_000));
        let cache = Cache::builder(16 << 20).clock(clock.clone()).build().unwrap();
        let attrs = Attrs::new().ttl(Duration::from_secs(1));
        cache.set(b"a", b"x", attrs).unwrap();
        clock.advance(Duration::from_secs(5));
        let shared = Shared::without_threads(cache.clone(), Config::default());
        shared.watch.attention.store(attention::SYSEVENTS, Ordering::Relaxed);
        let maintenance = Maintenance::start(Arc::clone(&shared)).unwrap();
        while cache.stats().total.expired == 0 {
            thread::yield_now();
        }
        // The round in which it happened is over when the thread has ended.
        drop(maintenance);
        assert_eq!(shared.watch.counts.worker_written.load(Ordering::Relaxed), 1);
        assert_eq!(shared.gauges.crawls.load(Ordering::Relaxed), 1);
    }
}
