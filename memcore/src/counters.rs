//! Counters that threads can change without getting in each other's way.
//!
//! Each thread adds to a stripe, and a reader sums them up. Threads with low numbers have a stripe
//! of their own, which costs them no more than plain additions; all others share a few. Gauges are
//! counted up and down and may be negative in a single stripe. A reset only notes where the
//! counters stand, as no other thread may write to a thread's own.

use crate::memory::sync::{AtomicU32, AtomicU64, Mutex, Ordering};
use crate::memory::thread;
use crate::restart::state::{Damaged, Reader, Writer};
use crate::space::segments::{CLASSES, HIT_CELLS, LEVELS};

/// All counters: the event, its field in [`ClassStats`](crate::ClassStats) with its documentation,
/// and whether it is known for each class or only for the total (it is counted for class 0 then).
/// Calls `$then!` with the list.
macro_rules! for_each_counter {
    ($then:ident) => {
        $then! {
            /// Writes that became visible.
            Stored stored Class,
            /// Of these: of keys whose items had been evicted lately.
            Returned returned Class,
            /// Lookups that found an item that was stored or copied as never used.
            HitsSmall hits_small Class,
            /// Lookups that found an item that was stored or copied as used.
            HitsMain hits_main Class,
            /// Lookups that found nothing; only in the total.
            Misses misses Total,
            /// Of the misses: the item had expired.
            MissesExpired misses_expired Total,
            /// Of the misses: the item had been flushed.
            MissesFlushed misses_flushed Total,
            /// Of the misses: a tag of the item had been invalidated.
            MissesInvalidated misses_invalidated Total,
            /// Items removed to make room.
            Evicted evicted Class,
            /// Of these: never read.
            EvictedUnfetched evicted_unfetched Class,
            /// Of these: with an expiry.
            EvictedExpiring evicted_expiring Class,
            /// Of these: read within the last minute.
            EvictedActive evicted_active Class,
            /// Items removed because they had expired.
            Expired expired Class,
            /// Of these: never read.
            ExpiredUnfetched expired_unfetched Class,
            /// Of the expired: found by the proactive sweep.
            ExpiredSwept expired_swept Class,
            /// Items looked at by the proactive sweep.
            Swept swept Class,
            /// Items deleted by callers.
            Deleted deleted Class,
            /// Items replaced by a newer value.
            Replaced replaced Class,
            /// Items removed because of a flush.
            Flushed flushed Class,
            /// Items removed because one of their tags was invalidated.
            Invalidated invalidated Class,
            /// Survivors that were used for the first time, and copied to where used items are.
            Promoted promoted Class,
            /// Other survivors that were copied.
            Reinserted reinserted Class,
            /// Writes that had to evict for themselves.
            DirectReclaims direct_reclaims Class,
            /// Writes refused for lack of memory.
            OutOfMemory out_of_memory Class,
            /// Writes refused because the item was too large; only in the total.
            TooLarge too_large Total,
        }
    };
}
pub(crate) use for_each_counter;

macro_rules! events {
    ($($(#[$doc:meta])* $event:ident $field:ident $scope:ident,)*) => {
        /// What is counted, per size class.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub(crate) enum Event {
            /// Gauge: live items that were stored or copied as never used.
            ItemsSmall,
            /// Gauge: other live items.
            ItemsMain,
            /// Gauge: bytes of live items.
            Bytes,
            $($(#[$doc])* $event,)*
        }

        const EVENTS: usize = GAUGES + [$(Event::$event),*].len();
    };
}
for_each_counter!(events);

const GAUGES: usize = Event::Bytes as usize + 1;
/// Stripes that belong to one thread each.
/// None under the model checker, where all threads have the number 0.
const OWN: usize = if cfg!(loom) { 0 } else { 16 };
/// Stripes that other threads share, a power of two.
const SHARED: usize = if cfg!(loom) { 1 } else { 8 };
/// Places for hits, and behind them those for items that come back: all that a row can name, so
/// that none has to be checked.
const CELLS: usize = (HIT_CELLS + LEVELS).next_power_of_two();

#[derive(Debug)]
#[repr(align(128))]
struct Stripe {
    events: [[AtomicU64; EVENTS]; CLASSES],
    /// Worth of hits by the level and age of what was hit, and of items that come back by the
    /// level that they had.
    hits: [AtomicU64; CELLS],
}

/// All counters of a cache.
#[derive(Debug)]
pub(crate) struct Counters {
    stripes: Box<[Stripe]>,
    /// Of these, those that belong to one thread each.
    own: usize,
    /// The sums at the last reset.
    reset: Mutex<Box<Sums>>,
    /// Seconds between last access and eviction of the item evicted last, per class.
    evicted_age: [AtomicU32; CLASSES],
}

/// A thread's counters of a class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts<'c> {
    counts: &'c [AtomicU64; EVENTS],
    is_shared: bool,
}

/// The sums, at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums([[u64; EVENTS]; CLASSES]);

impl Counters {
    /// Bytes that they take. Those of a `small` cache take little, and all threads share them.
    pub(crate) fn bytes(small: bool) -> usize {
        (if small { 1 } else { OWN + SHARED }) * size_of::<Stripe>()
    }

    /// Counters that take [`Self::bytes`].
    pub(crate) fn new(small: bool) -> Self {
        let zeroes = || std::array::from_fn(|_| AtomicU64::new(0));
        let stripe = || Stripe {
            events: std::array::from_fn(|_| zeroes()),
            hits: std::array::from_fn(|_| AtomicU64::new(0)),
        };
        let (own, shared) = if small { (0, 1) } else { (OWN, SHARED) };
        Self {
            stripes: std::iter::repeat_with(stripe).take(own + shared).collect(),
            own,
            reset: Mutex::new(Box::default()),
            evicted_age: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Adds to a counter.
    #[inline]
    pub(crate) fn add(&self, class: u8, event: Event, count: u64) {
        self.counts(class).add(event, count);
    }

    /// This thread's counters of a class.
    #[inline]
    pub(crate) fn counts(&self, class: u8) -> Counts<'_> {
        let stripe = self.stripe();
        let counts = &self.stripes[stripe].events[usize::from(class)];
        Counts { counts, is_shared: stripe >= self.own }
    }

    /// Counts a hit, and its worth where the segment's row says. The worth is not exact where
    /// threads share a stripe.
    #[inline(always)]
    pub(crate) fn add_hit(&self, class: u8, event: Event, cell: usize, worth: u32) {
        let number = self.stripe();
        let stripe = &self.stripes[number];
        let counts = &stripe.events[usize::from(class)];
        Counts { counts, is_shared: number >= self.own }.add(event, 1);
        let count = &stripe.hits[cell % CELLS];
        count.store(count.load(Ordering::Relaxed) + u64::from(worth), Ordering::Relaxed);
    }

    /// Counts an item that comes back, and its worth for the level that it had; see
    /// [`Self::add_hit`].
    pub(crate) fn add_returned(&self, class: u8, level: u8, worth: u32) {
        self.add_hit(class, Event::Returned, HIT_CELLS + usize::from(level), worth);
    }

    /// This thread's stripe. Threads that are about to end share one: their numbers are others' by
    /// now.
    #[inline(always)]
    fn stripe(&self) -> usize {
        match thread::number() {
            number if number < self.own => number,
            number => self.own + number % (self.stripes.len() - self.own),
        }
    }

    /// How often something has happened since the beginning, by class.
    pub(crate) fn sum_of_life(&self, event: Event) -> [u64; CLASSES] {
        std::array::from_fn(|class| {
            let counts = self.stripes.iter().map(|stripe| &stripe.events[class][event as usize]);
            counts.map(|count| count.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
        })
    }

    /// How often something has happened since the beginning.
    pub(crate) fn total_of_life(&self, event: Event) -> u64 {
        self.sum_of_life(event).into_iter().fold(0, u64::wrapping_add)
    }

    /// The worth of all hits so far, by level and age.
    pub(crate) fn hits(&self) -> [u64; HIT_CELLS] {
        std::array::from_fn(|cell| self.worth(cell))
    }

    /// The worth of all items that came back so far, by the level that they had.
    pub(crate) fn returned(&self) -> [u64; LEVELS] {
        std::array::from_fn(|level| self.worth(HIT_CELLS + level))
    }

    fn worth(&self, cell: usize) -> u64 {
        let counts = self.stripes.iter().map(|stripe| &stripe.hits[cell]);
        counts.map(|count| count.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    /// An item of `class` was evicted `idle` seconds after its last access.
    pub(crate) fn set_evicted_age(&self, class: u8, idle: u32) {
        self.evicted_age[usize::from(class)].store(idle, Ordering::Relaxed);
    }

    /// Seconds between last access and eviction of the item of `class` evicted last.
    pub(crate) fn evicted_age(&self, class: u8) -> u32 {
        self.evicted_age[usize::from(class)].load(Ordering::Relaxed)
    }

    /// Gauges, and what was counted since the last reset.
    pub(crate) fn sums(&self) -> Sums {
        // Locked until the end: a reset in between would make counts negative.
        let reset = self.reset.lock();
        let mut sums = self.sums_of_life();
        for (class, reset) in sums.0.iter_mut().zip(&reset.0) {
            let (gauges, counts) = class.split_at_mut(GAUGES);
            for (sum, reset) in counts.iter_mut().zip(&reset[GAUGES..]) {
                *sum = sum.wrapping_sub(*reset);
            }
            // The end of an item may be seen here and its beginning, in another stripe, not yet.
            for gauge in gauges {
                *gauge = (*gauge as i64).max(0) as u64;
            }
        }
        sums
    }

    /// What was counted since the beginning, whatever was reset.
    pub(crate) fn sums_of_life(&self) -> Sums {
        let mut sums = Sums::default();
        for stripe in self.stripes.iter() {
            let counts = stripe.events.as_flattened();
            for (sum, count) in sums.0.as_flattened_mut().iter_mut().zip(counts) {
                *sum = sum.wrapping_add(count.load(Ordering::Relaxed));
            }
        }
        sums
    }

    /// Keeps the gauges.
    pub(crate) fn save(&self, out: &mut Writer) {
        let sums = self.sums_of_life();
        sums.0.iter().for_each(|class| class[..GAUGES].iter().for_each(|&sum| out.put(sum)));
    }

    /// Sets the gauges of new counters.
    ///
    /// # Errors
    /// They are not all there.
    pub(crate) fn restore(&self, from: &mut Reader<'_>) -> Result<(), Damaged> {
        for class in &self.stripes[self.own].events {
            for gauge in &class[..GAUGES] {
                gauge.store(from.take()?, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Resets all counters, but no gauge.
    pub(crate) fn reset(&self) {
        **self.reset.lock() = self.sums_of_life();
    }
}

impl Counts<'_> {
    /// Adds to a counter; a gauge is taken from by adding the negative.
    #[inline(always)]
    pub(crate) fn add(self, event: Event, count: u64) {
        let counter = &self.counts[event as usize];
        if self.is_shared {
            counter.fetch_add(count, Ordering::Relaxed);
        } else {
            // No other thread writes here, so this needs no locked instruction.
            let sum = counter.load(Ordering::Relaxed).wrapping_add(count);
            counter.store(sum, Ordering::Relaxed);
        }
    }
}

impl Sums {
    pub(crate) fn of(&self, class: u8, event: Event) -> u64 {
        self.0[usize::from(class)][event as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRIPES: usize = OWN + SHARED;

    #[test]
    fn gauges_survive_a_reset_and_may_be_taken_from_elsewhere() {
        let counters = Counters::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| counters.add(2, Event::Bytes, 100));
            scope.spawn(|| counters.add(2, Event::Stored, 1));
        });
        counters.add(2, Event::Bytes, 60_u64.wrapping_neg());
        counters.reset();
        let sums = counters.sums();
        assert_eq!((sums.of(2, Event::Bytes), sums.of(2, Event::Stored)), (40, 0));
    }

    #[test]
    fn threads_without_a_stripe_of_their_own_lose_no_count() {
        for (small, threads, each) in [(false, 2 * STRIPES, 200_000), (true, 4, 1_000_000)] {
            let counters = Counters::new(small);
            let start = std::sync::Barrier::new(threads);
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        start.wait();
                        (0..each).for_each(|_| counters.add(0, Event::Stored, 1));
                    });
                }
            });
            assert_eq!(counters.sums().of(0, Event::Stored), threads as u64 * each);
        }
    }

    #[test]
    fn a_gauge_is_never_below_zero() {
        let counters = Counters::new(false);
        // As a reader sees it that has looked at the other thread's stripe too early.
        counters.add(0, Event::ItemsMain, 1_u64.wrapping_neg());
        assert_eq!(counters.sums().of(0, Event::ItemsMain), 0);
    }
}
