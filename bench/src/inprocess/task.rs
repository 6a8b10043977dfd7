//! What the caches are asked to do, and the timed loops.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use super::engine::Engine;
use super::{KEY_SIZE, VALUE_SIZE};
use crate::hist::Latencies;
use crate::launch;
use crate::rng::{RngExt as _, seeded};
use crate::value::{KEY_SIZE_MIN, key_digits, push_value};
use crate::zipf::Zipf;

/// What one operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A lookup of a key that is there, with a copy of its value.
    Hit,
    /// Such lookups sixteen at a time; one key counts as an operation.
    HitMany,
    /// A lookup of a key that is not there.
    Miss,
    /// A set of a key that is there.
    Overwrite,
    /// A set of a new key into a full cache.
    Insert,
    /// Nineteen lookups to one set.
    Mix,
    /// The same, with the time of each single operation.
    TimedMix,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task {
    /// The operation.
    pub kind: Kind,
    /// How many keys there are.
    pub keys: u32,
    /// Exponent of the zipf distribution of keys; 0 is uniform.
    pub zipf: f64,
    /// Operations of each thread.
    pub operations: u32,
    /// What a second is.
    pub time: Time,
}

/// By which clock operations are timed. Single operations always go by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// The wall's.
    Wall,
    /// The thread's processor time: on a machine that others use as well, and blind to waiting.
    Processor,
}

impl Time {
    /// Nanoseconds since some moment.
    #[must_use]
    pub fn now_ns(self) -> f64 {
        let clock = match self {
            Self::Wall => ClockId::Monotonic,
            Self::Processor => ClockId::ThreadCPUTime,
        };
        let now = clock_gettime(clock);
        now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
    }
}

/// Threads with their streams of keys.
#[derive(Debug)]
pub struct Crowd {
    streams: Vec<Vec<u32>>,
    /// The first key number that was not used yet.
    fresh: u32,
}

impl Crowd {
    /// Threads that draw keys as `task` says.
    #[must_use]
    pub fn new(task: &Task, threads: usize) -> Self {
        let zipf = (task.zipf > 0.0).then(|| Zipf::new(task.keys, task.zipf));
        let stream = |thread| {
            let mut rng = seeded(thread as u64 + 1);
            let draw = |_| match &zipf {
                // Popular keys must not be neighbours in the order of storing.
                Some(zipf) => {
                    let rank = u64::from(zipf.rank(&mut rng) - 1);
                    (rank * SPREAD % u64::from(task.keys)) as u32
                }
                None => rng.random_range(0..task.keys),
            };
            (0..STREAM).map(draw).collect()
        };
        Self { streams: (0..threads).map(stream).collect(), fresh: task.keys }
    }
}

/// What a measurement gave.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Nanoseconds of an operation, mean over the threads.
    pub ns: f64,
    /// Share of the lookups that found their key.
    pub hits: f64,
    /// Times of single operations, if asked for.
    pub latency: Latencies,
}

/// Stores keys `0..keys`.
pub fn fill(engine: &dyn Engine, keys: u32) {
    let mut key = [0; KEY_SIZE];
    let mut value = Vec::new();
    for index in 0..keys {
        write_key(&mut key, index);
        value.clear();
        push_value(&mut value, index, VALUE_SIZE);
        engine.set(&key, &value);
    }
}

/// Has every thread of the crowd do the task once; each is bound to a processor of its own.
///
/// # Panics
/// If a thread panics.
pub fn measure(engine: &dyn Engine, task: &Task, crowd: &mut Crowd) -> Measured {
    let threads = crowd.streams.len();
    let start = Barrier::new(threads);
    let fresh = crowd.fresh;
    let parts: Vec<Part> = thread::scope(|scope| {
        let start = &start;
        let running: Vec<_> = crowd
            .streams
            .iter()
            .enumerate()
            .map(|(number, stream)| {
                let first = fresh.wrapping_add(task.operations.wrapping_mul(number as u32));
                scope.spawn(move || {
                    // Without that many processors the kernel chooses.
                    let _ = launch::pin(number);
                    start.wait();
                    perform(engine, task, stream, first)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("a measuring thread")).collect()
    });
    crowd.fresh = fresh.wrapping_add(task.operations.wrapping_mul(threads as u32));
    let mut measured = Measured::default();
    for part in &parts {
        measured.ns += part.ns / threads as f64;
        measured.hits += part.hits as f64 / part.lookups as f64 / threads as f64;
        measured.latency.merge(&part.latency);
    }
    measured
}

#[derive(Default)]
struct Part {
    ns: f64,
    lookups: u64,
    hits: u64,
    latency: Latencies,
}

/// One thread's share. The loops differ only in what they call, so that none pays for another.
fn perform(engine: &dyn Engine, task: &Task, stream: &[u32], fresh: u32) -> Part {
    let mut hand = Hand::new(engine);
    let mut part = Part::default();
    let index = |i: u32| stream[i as usize % STREAM];
    let operations = task.operations;
    let began = task.time.now_ns();
    match task.kind {
        Kind::Hit => (0..operations).for_each(|i| hand.get(index(i))),
        Kind::HitMany => {
            for batch in 0..operations / BATCH as u32 {
                hand.get_many(|i| index(batch * BATCH as u32 + i));
            }
        }
        Kind::Miss => (0..operations).for_each(|i| hand.get(!index(i))),
        Kind::Overwrite => (0..operations).for_each(|i| hand.set(index(i))),
        Kind::Insert => (0..operations).for_each(|i| hand.set(fresh.wrapping_add(i))),
        Kind::Mix => (0..operations).for_each(|i| hand.mixed(i, index(i))),
        Kind::TimedMix => {
            for i in 0..operations {
                let before = Instant::now();
                hand.mixed(i, index(i));
                part.latency.record(before.elapsed().as_nanos() as u64);
            }
        }
    }
    part.ns = (task.time.now_ns() - began) / f64::from(operations);
    (part.lookups, part.hits) = (hand.lookups, hand.hits);
    part
}

/// A thread's buffers, and its count of what it found.
struct Hand<'a> {
    engine: &'a dyn Engine,
    key: [u8; KEY_SIZE],
    keys: [[u8; KEY_SIZE]; BATCH],
    value: Vec<u8>,
    out: Vec<u8>,
    lookups: u64,
    hits: u64,
}

impl<'a> Hand<'a> {
    fn new(engine: &'a dyn Engine) -> Self {
        let mut value = Vec::new();
        push_value(&mut value, 0, VALUE_SIZE);
        let key = [0; KEY_SIZE];
        let keys = [[0; KEY_SIZE]; BATCH];
        let out = Vec::with_capacity(1 << 12);
        Self { engine, key, keys, value, out, lookups: 0, hits: 0 }
    }

    fn get(&mut self, index: u32) {
        write_key(&mut self.key, index);
        self.out.clear();
        self.hits += u64::from(self.engine.get(&self.key, &mut self.out));
        self.lookups += 1;
        black_box(&self.out);
    }

    fn get_many(&mut self, index: impl Fn(u32) -> u32) {
        for (i, key) in self.keys.iter_mut().enumerate() {
            write_key(key, index(i as u32));
        }
        self.out.clear();
        self.hits += self.engine.get_many(&self.keys, &mut self.out) as u64;
        self.lookups += BATCH as u64;
        black_box(&self.out);
    }

    fn set(&mut self, index: u32) {
        write_key(&mut self.key, index);
        self.engine.set(&self.key, &self.value);
    }

    fn mixed(&mut self, i: u32, index: u32) {
        if i.is_multiple_of(20) { self.set(index) } else { self.get(index) }
    }
}

fn write_key(key: &mut [u8; KEY_SIZE], index: u32) {
    key.fill(b'k');
    key[KEY_SIZE - KEY_SIZE_MIN..].copy_from_slice(&key_digits(index));
}

const BATCH: usize = 16;
/// Keys drawn beforehand per thread.
const STREAM: usize = 1 << 20;
/// A prime above any number of keys, so that the spread is a permutation.
const SPREAD: u64 = 4_294_967_311;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inprocess::{Needs, own, rivals};

    fn task(kind: Kind, zipf: f64) -> Task {
        Task { kind, keys: 2000, zipf, operations: 4000, time: Time::Wall }
    }

    #[test]
    fn every_engine_finds_what_is_there_and_nothing_else() {
        for candidate in [own(false)].into_iter().chain(rivals()) {
            let engine = candidate.build(Needs::Items(2000));
            fill(&*engine, 2000);
            for (kind, hits) in
                [(Kind::Hit, 1.0), (Kind::HitMany, 1.0), (Kind::Miss, 0.0), (Kind::TimedMix, 1.0)]
            {
                let task = task(kind, 0.99);
                let measured = measure(&*engine, &task, &mut Crowd::new(&task, 2));
                assert_eq!(measured.hits, hits, "{} {kind:?}", candidate.name);
                assert!(measured.ns > 0.0);
                let timed = if kind == Kind::TimedMix { 8000 } else { 0 };
                assert_eq!(measured.latency.total(), timed);
            }
        }
    }

    #[test]
    fn inserts_are_of_new_keys() {
        let engine = own(false).build(Needs::Items(20_000));
        let task = task(Kind::Insert, 0.0);
        let mut crowd = Crowd::new(&task, 2);
        measure(&*engine, &task, &mut crowd);
        measure(&*engine, &task, &mut crowd);
        let mut out = Vec::new();
        let there = |index: u32| {
            let mut key = [0; KEY_SIZE];
            write_key(&mut key, index);
            engine.get(&key, &mut Vec::new())
        };
        assert!((2000..18_000).all(there));
        assert!(!there(1999) && !there(18_000));
        assert_eq!(engine.get_many(&[[b'k'; KEY_SIZE]], &mut out), 0);
    }
}
