//! Reads of the flash tier on behalf of connections, which wait for them: a bounded queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use memcore::flash::{Brought, Ticket};
use parking_lot::{Condvar, Mutex};

use crate::config::flash::FlashConfig;

/// Items that are to be read, and who waits for them.
#[derive(Debug)]
pub(crate) struct FlashQueue {
    waiting: Mutex<VecDeque<Read>>,
    /// Told when there is one more, or the end has come.
    changed: Condvar,
    most: usize,
    /// The settings as clients have changed them.
    pub(crate) settings: Mutex<FlashConfig>,
    has_ended: AtomicBool,
    pub(crate) counts: FlashCounts,
}

/// What came of reads.
#[derive(Debug, Default)]
pub(crate) struct FlashCounts {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) no_memory: AtomicU64,
    /// Reads for which the queue had no room.
    pub(crate) aborted: AtomicU64,
}

impl FlashCounts {
    /// Makes all of them start from zero.
    pub(crate) fn reset(&self) {
        let Self { hits, misses, damaged, no_memory, aborted } = self;
        for count in [hits, misses, damaged, no_memory, aborted] {
            count.store(0, Ordering::Relaxed);
        }
    }
}

/// An item that is to be read.
#[derive(Debug)]
struct Read {
    ticket: Ticket,
    /// The worker of the connection that waits.
    worker: usize,
    fetch: Arc<Fetching>,
}

/// Items of a request that are on their way to memory.
#[derive(Debug, Default)]
pub(crate) struct Fetching(AtomicUsize);

impl Fetching {
    /// Whether all of them have arrived, or never will.
    pub(crate) fn is_done(&self) -> bool {
        // Pairs with the subtraction in `FlashQueue::run`: the items are in memory.
        self.0.load(Ordering::Acquire) == 0
    }
}

impl FlashQueue {
    /// A queue of as many reads as `settings` say.
    pub(crate) fn new(settings: FlashConfig) -> Self {
        Self {
            most: settings.queue(),
            settings: Mutex::new(settings),
            waiting: Mutex::default(),
            changed: Condvar::new(),
            has_ended: AtomicBool::new(false),
            counts: FlashCounts::default(),
        }
    }

    /// Has an item read for a connection of worker number `worker`; if there are too many already,
    /// it is not.
    pub(crate) fn ask(&self, ticket: Ticket, worker: usize, fetch: &Arc<Fetching>) {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= self.most || self.has_ended.load(Ordering::Relaxed) {
            drop(waiting);
            self.counts.aborted.fetch_add(1, Ordering::Relaxed);
            return ticket.give_up();
        }
        // Relaxed: whoever takes it out of the queue does so behind the lock.
        fetch.0.fetch_add(1, Ordering::Relaxed);
        waiting.push_back(Read { ticket, worker, fetch: Arc::clone(fetch) });
        self.changed.notify_one();
    }

    /// Reads items until the end, and calls `wake` with the number of a worker for which one has
    /// come.
    pub(crate) fn run(&self, wake: impl Fn(usize)) {
        while let Some(Read { ticket, worker, fetch }) = self.next() {
            self.read(ticket);
            // Pairs with the load in `Fetching::is_done`.
            if fetch.0.fetch_sub(1, Ordering::AcqRel) == 1 {
                wake(worker);
            }
        }
    }

    /// Reads an item and counts what came of it.
    pub(crate) fn read(&self, ticket: Ticket) {
        let counts = &self.counts;
        let counter = match ticket.bring_in() {
            Brought::InMemory => &counts.hits,
            Brought::Unreadable => &counts.damaged,
            Brought::NoRoom => &counts.no_memory,
            _ => &counts.misses,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn next(&self) -> Option<Read> {
        let mut waiting = self.waiting.lock();
        loop {
            if self.has_ended.load(Ordering::Relaxed) {
                return None;
            }
            match waiting.pop_front() {
                Some(read) => return Some(read),
                None => self.changed.wait(&mut waiting),
            }
        }
    }

    /// Ends it: nothing is read any more.
    pub(crate) fn end(&self) {
        let mut waiting = self.waiting.lock();
        // Relaxed, as it is read behind the lock.
        self.has_ended.store(true, Ordering::Relaxed);
        waiting.clear();
        self.changed.notify_all();
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().len()
    }
}
