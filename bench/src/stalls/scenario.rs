//! What the threads do to a cache, and what its host does meanwhile.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use memcore::{Attrs, Cache, ManualClock, Moment};

use super::watch::{Times, Watch};
use crate::rng::{RngExt as _, SplitMix64, seeded, unit};
use crate::value::{KEY_SIZE_MIN, key_digits};
use crate::zipf::Zipf;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A key is made.
    Nothing,
    /// A lookup.
    Get,
    /// A store.
    Set,
    /// A removal.
    Delete,
    /// All items are made invisible.
    Flush,
    /// The limit is changed in steps.
    Limit,
    /// A step of the host's housekeeping.
    Maintain,
}

/// A load, and what happens to the cache under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// No cache at all: what the machine and the clock add.
    Nothing,
    /// New small items into an empty cache until it is full: the index grows.
    Growth,
    /// 95 lookups to 5 stores of items that are there.
    Mix,
    /// New items of 10 to 1,000 bytes into a full cache.
    Evict,
    /// Small items take the place of larger ones: the index grows in a full cache.
    Shift,
    /// A million items, or as many as there are, expire in one second.
    Expiry,
    /// All items are flushed at once.
    Flush,
    /// The limit is halved, and set back.
    Limit,
    /// Stores into a full cache that evicts nothing, in which items are deleted.
    Compact,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Nothing,
        Self::Growth,
        Self::Mix,
        Self::Evict,
        Self::Shift,
        Self::Expiry,
        Self::Flush,
        Self::Limit,
        Self::Compact,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Growth => "growth",
            Self::Mix => "mix",
            Self::Evict => "evict",
            Self::Shift => "shift",
            Self::Expiry => "expiry",
            Self::Flush => "flush",
            Self::Limit => "limit",
            Self::Compact => "compact",
        }
    }
}

/// How large it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The cache's limit in bytes.
    pub limit: usize,
    /// Threads that use it.
    pub threads: usize,
    /// Operations of all threads together, at least.
    pub operations: u64,
    /// Whether the cache asks for huge pages, if it is large enough for them.
    pub huge_pages: bool,
}

/// What the operations took, and the steps of the host.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Of the threads.
    pub users: Times,
    /// Of the thread that looks after the cache.
    pub host: Times,
}

/// Runs a scenario, in as many rounds as it takes.
///
/// # Panics
/// If the limit is too small, or a thread panics.
#[must_use]
pub fn run(scenario: Scenario, size: Size) -> Outcome {
    let mut outcome = Outcome::default();
    while outcome.users.wall().total() < size.operations {
        let left = size.operations - outcome.users.wall().total();
        let round = Round::new(scenario, size);
        let each = left.div_ceil(size.threads as u64);
        round.run(size.threads, each, &mut outcome);
    }
    outcome
}

/// Bytes of a key.
const KEY_SIZE: usize = 20;
/// Values of most scenarios.
const VALUE: usize = 100;
const SMALL: usize = 10;
const LARGE: usize = 1000;
/// What an item takes beside key and value, roughly.
const OVERHEAD: usize = 24;
/// Items' worth of a step of the host, as the server has it.
const STEP: usize = 1024;
/// Items that expire in one second.
const STORM: usize = 1_000_000;
/// Operations of a thread between two events of a scenario.
const BETWEEN: u64 = 2_000_000;

/// A cache, and what its threads share.
struct Round {
    scenario: Scenario,
    limit: usize,
    cache: Cache,
    clock: ManualClock,
    /// Items of most scenarios that fit.
    items: u32,
    /// The next key that was never used.
    fresh: AtomicU32,
    ended: AtomicBool,
}

impl Round {
    fn new(scenario: Scenario, size: Size) -> Self {
        let limit = size.limit;
        let clock = ManualClock::new(Moment::from_secs(1_000));
        let builder = Cache::builder(limit).clock(clock.clone());
        let builder = if size.huge_pages { builder } else { builder.huge_pages(false) };
        let cache = builder.evictions(scenario != Scenario::Compact).seed(1).build();
        let cache = cache.expect("a limit of at least a few MiB");
        let items = (limit / 10 * 9 / (KEY_SIZE + VALUE + OVERHEAD)) as u32;
        let items = items.min(if scenario == Scenario::Expiry { STORM as u32 } else { u32::MAX });
        let (fresh, ended) = (AtomicU32::new(0), AtomicBool::new(false));
        Self { scenario, limit, cache, clock, items, fresh, ended }
    }

    /// Has all threads do about `operations` each.
    fn run(&self, threads: usize, operations: u64, outcome: &mut Outcome) {
        thread::scope(|scope| {
            let users: Vec<_> = (0..threads)
                .map(|number| {
                    scope.spawn(move || {
                        let mut user = User::new(self, number);
                        user.run(operations);
                        user.watch.finish()
                    })
                })
                .collect();
            let host = scope.spawn(|| self.look_after());
            for user in users {
                outcome.users.merge(&user.join().expect("a user of the cache"));
            }
            // Pairs with the load in `look_after`.
            self.ended.store(true, Ordering::Release);
            outcome.host.merge(&host.join().expect("the host of the cache"));
        });
    }

    /// What a server's background thread does.
    fn look_after(&self) -> Times {
        let mut watch = Watch::start();
        // Pairs with the store in `run`.
        while !self.ended.load(Ordering::Acquire) {
            watch.skip();
            let more = self.cache.maintain(STEP);
            watch.lap(Op::Maintain);
            match more {
                true => thread::yield_now(),
                false => thread::sleep(Duration::from_millis(2)),
            }
        }
        watch.finish()
    }
}

/// A thread that uses the cache.
struct User<'a> {
    round: &'a Round,
    number: usize,
    rng: SplitMix64,
    watch: Watch,
    key: [u8; KEY_SIZE],
    value: Vec<u8>,
    out: Vec<u8>,
}

impl<'a> User<'a> {
    fn new(round: &'a Round, number: usize) -> Self {
        Self {
            round,
            number,
            rng: seeded(number as u64),
            watch: Watch::start(),
            key: [b'k'; KEY_SIZE],
            value: vec![b'v'; LARGE],
            out: Vec::with_capacity(LARGE),
        }
    }

    fn run(&mut self, operations: u64) {
        let items = self.round.items;
        match self.round.scenario {
            Scenario::Nothing => {
                for index in 0..operations {
                    self.write_key(index as u32);
                    self.watch.lap(Op::Nothing);
                }
            }
            Scenario::Growth => {
                let fit = self.round.limit / (KEY_SIZE + SMALL + OVERHEAD);
                let all = (fit as u64).min(operations);
                (0..all).for_each(|_| self.store_new(SMALL..=SMALL, Attrs::new()));
            }
            Scenario::Mix => {
                self.fill(items, Attrs::new());
                self.mix(operations);
            }
            Scenario::Evict => {
                (0..operations).for_each(|_| self.store_new(SMALL..=LARGE, Attrs::new()));
            }
            Scenario::Shift => {
                let large = self.round.limit / LARGE * 2;
                (0..large).for_each(|_| self.store_new(LARGE..=LARGE, Attrs::new()));
                let small = self.round.limit / (KEY_SIZE + SMALL + OVERHEAD) * 2;
                (0..small).for_each(|_| self.store_new(SMALL..=SMALL, Attrs::new()));
            }
            Scenario::Expiry => {
                let left = operations.saturating_sub(u64::from(items)).min(BETWEEN);
                self.fill(items, Attrs::new().ttl(Duration::from_secs(60)));
                if self.number == 0 {
                    self.round.clock.advance(Duration::from_secs(61));
                }
                self.mix(left);
            }
            Scenario::Flush => {
                let left = operations.saturating_sub(u64::from(items)).min(BETWEEN);
                self.fill(items, Attrs::new());
                self.mix(left / 2);
                if self.number == 0 {
                    self.round.cache.flush();
                    self.watch.lap(Op::Flush);
                }
                self.mix(left / 2);
            }
            Scenario::Limit => self.change_limit(operations),
            Scenario::Compact => self.compact(operations),
        }
    }

    fn change_limit(&mut self, operations: u64) {
        self.fill(self.round.items, Attrs::new());
        let events = operations.saturating_sub(u64::from(self.round.items)) / BETWEEN;
        for event in 0..events.max(2) {
            if self.number == 0 {
                let limit = self.round.limit >> (1 - event % 2);
                let resized = self.round.cache.set_limit_in_steps(limit);
                self.watch.lap(Op::Limit);
                resized.expect("half of the limit is large enough");
            }
            self.mix(BETWEEN);
        }
    }

    /// Deletes one item of two and stores others, of other sizes.
    fn compact(&mut self, operations: u64) {
        self.fill(self.round.items, Attrs::new());
        let items = self.round.items;
        for _ in 0..operations.saturating_sub(u64::from(items)) / 2 {
            let index = self.rng.random_range(0..items);
            self.write_key(index);
            self.round.cache.delete(self.key);
            self.watch.lap(Op::Delete);
            let index = self.rng.random_range(0..items);
            self.store(index, SMALL..=2 * VALUE, Attrs::new());
        }
    }

    /// Stores this thread's share of `items`.
    fn fill(&mut self, items: u32, attrs: Attrs) {
        while self.round.fresh.load(Ordering::Relaxed) < items {
            self.store_new(VALUE..=VALUE, attrs);
        }
    }

    fn store_new(&mut self, sizes: RangeInclusive<usize>, attrs: Attrs) {
        // Only a number.
        let index = self.round.fresh.fetch_add(1, Ordering::Relaxed);
        self.store(index, sizes, attrs);
    }

    fn store(&mut self, index: u32, sizes: RangeInclusive<usize>, attrs: Attrs) {
        self.write_key(index);
        let (least, most) = (*sizes.start() as f64, *sizes.end() as f64);
        let len = least * (most / least).powf(unit(self.rng.random::<u64>()));
        // A cache that evicts nothing refuses some.
        let _ = self.round.cache.set(self.key, &self.value[..len as usize], attrs);
        self.watch.lap(Op::Set);
    }

    fn mix(&mut self, operations: u64) {
        let items = self.round.items;
        let zipf = Zipf::new(items, 0.99);
        self.watch.skip();
        for i in 0..operations {
            let rank = u64::from(zipf.rank(&mut self.rng) - 1);
            let index = (rank * SPREAD % u64::from(items)) as u32;
            if i.is_multiple_of(20) {
                self.store(index, VALUE..=VALUE, Attrs::new());
            } else {
                self.write_key(index);
                self.out.clear();
                self.round.cache.get_into(self.key, &mut self.out);
                self.watch.lap(Op::Get);
            }
        }
    }

    fn write_key(&mut self, index: u32) {
        self.key[KEY_SIZE - KEY_SIZE_MIN..].copy_from_slice(&key_digits(index));
    }
}

/// A prime above any number of keys, so that the spread is a permutation.
const SPREAD: u64 = 4_294_967_311;

#[cfg(test)]
mod tests {
    use super::*;

    fn run_small(scenario: Scenario) -> Outcome {
        run(scenario, Size { limit: 8 << 20, threads: 2, operations: 200_000, huge_pages: false })
    }

    #[test]
    fn every_scenario_does_what_was_asked_for() {
        for scenario in Scenario::ALL {
            let outcome = run_small(scenario);
            assert!(outcome.users.wall().total() >= 200_000, "{scenario:?}");
            assert!(outcome.host.wall().total() > 0, "{scenario:?}");
        }
    }
}
