//! A full cache that may evict nothing: what was freed is usable at once, whoever freed it.

mod common {
    pub(crate) mod values;
}

use std::time::Duration;

use common::values::{HEAD, Rng, certified, verify};
use memcore::{Attrs, Cache, Expiry, ManualClock, Moment, Store, StoreError};

const LIMIT: usize = 16 << 20;
/// How often something is freed and taken again.
const ROUNDS: usize = 500;

/// A cache in which no more values of `len` bytes find room, its clock, and how many it has.
fn full(len: usize, attrs: Attrs) -> (Cache, ManualClock, u32) {
    let clock = ManualClock::new(Moment::from_secs(1_000));
    let cache = Cache::builder(LIMIT).evictions(false).clock(clock.clone()).build().unwrap();
    let mut stored = 0_u32;
    while cache.set(stored.to_le_bytes(), &certified(stored, 1, len), attrs).is_ok() {
        stored += 1;
    }
    assert!(stored as usize * len > LIMIT / 4, "only {stored} values of {len} bytes fit");
    (cache, clock, stored)
}

#[test]
fn what_was_deleted_is_usable_at_once() {
    for len in [HEAD, 100, 400, 1_000, 4_000] {
        let (cache, _, mut next) = full(len, Attrs::new());
        let mut keys: Vec<u32> = (0..next).collect();
        let mut rng = Rng::new(len as u64);
        for round in 0..ROUNDS {
            let gone = keys.swap_remove(rng.below(keys.len()));
            assert!(cache.delete(gone.to_le_bytes()));
            let value = certified(next, 1, len);
            let stored = cache.set(next.to_le_bytes(), &value, Attrs::new());
            assert!(stored.is_ok(), "{len} bytes, round {round}");
            keys.push(next);
            next += 1;
        }
        for key in keys {
            assert_eq!(verify(key, &cache.get(key.to_le_bytes()).unwrap()), 1);
        }
        assert_eq!(cache.stats().total.evicted, 0);
    }
}

#[test]
fn the_last_value_makes_way_for_the_next() {
    let (cache, _, stored) = full(100, Attrs::new());
    for key in stored..stored + 1_000 {
        assert!(cache.delete((key - 1).to_le_bytes()));
        cache.set(key.to_le_bytes(), &certified(key, 1, 100), Attrs::new()).unwrap();
    }
}

/// A large value needs room in one or two segments, or whole ones, and what was freed may be a part
/// of either.
#[test]
fn most_of_what_large_values_took_is_usable_at_once() {
    for len in [9_000, 20_000, 60_000, 150_000] {
        let (cache, _, stored) = full(len, Attrs::new());
        let mut keys: Vec<u32> = (0..stored).collect();
        let mut rng = Rng::new(len as u64);
        let mut refused = 0;
        for key in stored..stored + ROUNDS as u32 {
            let gone = keys.swap_remove(rng.below(keys.len()));
            assert!(cache.delete(gone.to_le_bytes()));
            match cache.set(key.to_le_bytes(), &certified(key, 1, len), Attrs::new()) {
                Ok(_) => keys.push(key),
                Err(_) => refused += 1,
            }
        }
        assert!(refused < ROUNDS / 2, "{refused} of {len} bytes");
        for key in keys {
            assert_eq!(verify(key, &cache.get(key.to_le_bytes()).unwrap()), 1);
        }
    }
}

/// A value that arrives in pieces takes the place of one that was deleted.
#[test]
fn what_was_deleted_can_be_reserved_at_once() {
    let (cache, _, stored) = full(3_000, Attrs::new());
    for key in (0..stored).step_by(3) {
        assert!(cache.delete(key.to_le_bytes()));
        let mut place = cache.reserve(key.to_le_bytes(), 3_000, Attrs::new()).unwrap();
        place.write(&certified(key, 2, 3_000));
        place.commit(&Store::new()).unwrap();
        assert_eq!(verify(key, &cache.get(key.to_le_bytes()).unwrap()), 2);
    }
}

#[test]
fn what_gets_no_larger_is_never_refused() {
    for (before, after) in [(1_000, 500), (1_000, 1_000), (300, 299), (100, 20), (20_000, 9_000)] {
        let (cache, _, stored) = full(before, Attrs::new());
        let mut rng = Rng::new(before as u64);
        for round in 0..ROUNDS as u64 * 4 {
            let key = rng.below(stored as usize) as u32;
            let old = cache.get(key.to_le_bytes()).unwrap().len();
            let len = after.min(old);
            let stored = cache.set(key.to_le_bytes(), &certified(key, round, len), Attrs::new());
            assert!(stored.is_ok(), "{old} by {len} bytes, round {round}");
            assert_eq!(verify(key, &cache.get(key.to_le_bytes()).unwrap()), round);
        }
        for key in 0..stored {
            assert!(cache.contains(key.to_le_bytes()));
        }
    }
}

#[test]
fn a_refused_value_leaves_the_old_one() {
    let (cache, _, stored) = full(500, Attrs::new());
    for key in 0..stored / 10 {
        let refused = cache.set(key.to_le_bytes(), &certified(key, 2, 5_000), Attrs::new());
        assert_eq!(refused, Err(StoreError::OutOfMemory));
        assert_eq!(verify(key, &cache.get(key.to_le_bytes()).unwrap()), 1);
    }
    assert_eq!(cache.stats().total.items, u64::from(stored));
}

#[test]
fn what_has_expired_is_usable_at_once() {
    for len in [100, 1_000, 4_000] {
        let attrs = Attrs::new().ttl(Duration::from_secs(10));
        let (cache, clock, stored) = full(len, attrs);
        clock.advance(Duration::from_secs(11));
        // What is left open is another for values that expire than for others.
        for key in stored..2 * stored - stored / 50 {
            let done = cache.set(key.to_le_bytes(), &certified(key, 1, len), Attrs::new());
            assert!(done.is_ok(), "{len} bytes, {} of {stored}", key - stored);
        }
    }
}

/// An item has room for an expiry from the beginning.
#[test]
fn a_touch_needs_no_memory() {
    let (cache, _, stored) = full(100, Attrs::new());
    let after = |secs| Expiry::After(Duration::from_secs(secs));
    for key in 0..stored {
        let touched = cache.touch(key.to_le_bytes(), after(100)).unwrap().unwrap();
        assert_eq!(touched.expiry, Some(Moment::from_secs(1_100)));
    }
    let never = cache.touch(0_u32.to_le_bytes(), Expiry::Never).unwrap().unwrap();
    assert_eq!(never.expiry, None);
}

/// Each thread has keys of its own, of which it knows what it has stored last.
#[test]
fn many_threads_find_what_they_stored() {
    const THREADS: u32 = 4;
    let clock = ManualClock::new(Moment::from_secs(1_000));
    let cache = Cache::builder(2 << 20).max_item_size(64 << 10).evictions(false);
    let cache = cache.clock(clock.clone()).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let cache = &cache;
            scope.spawn(move || {
                let mut rng = Rng::new(u64::from(thread) + 1);
                let mut stored = vec![None; 2_000];
                let mut refused = 0;
                for sequence in 1..20_000 {
                    let number = rng.below(stored.len());
                    let key = number as u32 * THREADS + thread;
                    let name = key.to_le_bytes();
                    let found = cache.get(name).map(|value| verify(key, &value));
                    assert_eq!(found, stored[number], "key {key}");
                    if rng.below(3) == 0 {
                        assert_eq!(cache.delete(name), found.is_some());
                        stored[number] = None;
                        continue;
                    }
                    let len = [HEAD, 60, 100, 500, 900, 3_000, 10_000][rng.below(7)];
                    match cache.set(name, &certified(key, sequence, len), Attrs::new()) {
                        Ok(_) => stored[number] = Some(sequence),
                        Err(StoreError::OutOfMemory) => refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                assert!(refused > 0, "the cache was never full");
            });
        }
        scope.spawn(|| (0..5_000).for_each(|_| _ = cache.maintain(64)));
    });
    assert_eq!(cache.stats().total.evicted, 0);
}
