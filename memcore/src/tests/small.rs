//! Caches of a few dozen KiB: they store, find, evict and expire as others do, and their limit
//! holds for all that they use.

use std::time::Duration;

use super::common::values::{HEAD, Rng, certified, verify};
use crate::{Attrs, Cache, ConfigError, ManualClock, Moment, StoreError};

const LIMITS: [usize; 5] = [64 << 10, 100_000, 128 << 10, 256 << 10, 512 << 10];
/// Of the keys that are asked for, half are among so many.
const POPULAR: usize = 40;

fn key(rng: &mut Rng) -> u32 {
    let most = if rng.below(2) == 0 { POPULAR } else { 5_000 };
    rng.below(most) as u32
}

fn cache(limit: usize, evictions: bool) -> (Cache, ManualClock) {
    let clock = ManualClock::new(Moment::from_secs(1_000));
    let cache = Cache::builder(limit).evictions(evictions).clock(clock.clone()).build();
    (cache.unwrap(), clock)
}

#[test]
fn the_least_limit_is_64_kib() {
    for limit in LIMITS {
        Cache::new(limit).unwrap().validate();
    }
    let Err(ConfigError::LimitTooSmall { least, .. }) = Cache::new(1_000) else {
        panic!("a limit of 1,000 bytes is too small")
    };
    assert!((32 << 10..=64 << 10).contains(&least), "{least}");
    Cache::new(least).unwrap().validate();
}

#[test]
fn small_caches_keep_what_is_used_within_their_limit() {
    for limit in LIMITS {
        let (cache, clock) = cache(limit, true);
        let mut rng = Rng::new(limit as u64);
        let (mut hits, mut lookups) = (0, 0);
        for sequence in 0..30_000 {
            let key = key(&mut rng);
            let name = key.to_le_bytes();
            lookups += 1;
            if let Some(value) = cache.get(name) {
                verify(key, &value);
                hits += 1;
            } else {
                let len = [HEAD, 100, 200, 700, limit / 20][rng.below(5)];
                let ttl = Duration::from_secs(rng.below(100) as u64 + 1);
                cache.set(name, &certified(key, sequence, len), Attrs::new().ttl(ttl)).unwrap();
            }
            if sequence % 100 == 0 {
                clock.advance(Duration::from_secs(1));
                cache.maintain(64);
                let stats = cache.stats();
                assert!(stats.used <= limit, "{} of {limit}", stats.used);
            }
            if sequence % 5_000 == 0 {
                cache.validate();
            }
        }
        let total = cache.stats().total;
        assert!(total.evicted > 1_000 && total.expired > 0, "{limit}: {total:?}");
        assert!(hits * 100 > lookups * 20, "{limit}: {hits} of {lookups}");
        // A quarter of the limit at least is items.
        assert!(total.bytes as usize * 4 > limit, "{limit}: {} bytes of items", total.bytes);
        cache.validate();
    }
}

#[test]
fn values_of_many_segments_fit() {
    for limit in LIMITS {
        let (cache, _) = cache(limit, true);
        for round in 0..20 {
            let len = limit / 4;
            cache.set(7_u32.to_le_bytes(), &certified(7, round, len), Attrs::new()).unwrap();
            assert_eq!(verify(7, &cache.get(7_u32.to_le_bytes()).unwrap()), round);
            let handle = cache.get_handle(7_u32.to_le_bytes()).unwrap();
            cache.set(8_u32.to_le_bytes(), &certified(8, round, len / 2), Attrs::new()).unwrap();
            assert_eq!(verify(7, &handle.to_vec()), round);
        }
        cache.validate();
    }
}

#[test]
fn what_is_full_and_evicts_nothing_keeps_everything() {
    for limit in LIMITS {
        let (cache, _) = cache(limit, false);
        let mut stored = 0_u32;
        let refused = loop {
            match cache.set(stored.to_le_bytes(), &certified(stored, 1, 100), Attrs::new()) {
                Ok(_) => stored += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, StoreError::OutOfMemory);
        assert!(stored as usize * 300 > limit, "{limit}: {stored} items");
        for key in 0..stored {
            assert_eq!(verify(key, &cache.get(key.to_le_bytes()).unwrap()), 1);
        }
        cache.validate();
    }
}

#[test]
fn threads_share_a_small_cache() {
    let (cache, _) = cache(64 << 10, true);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                let mut rng = Rng::new(thread);
                for sequence in 0..20_000 {
                    let key = key(&mut rng);
                    if let Some(value) = cache.get(key.to_le_bytes()) {
                        verify(key, &value);
                    }
                    let len = HEAD + rng.below(300);
                    // Others may take what was freed for it.
                    let _ =
                        cache.set(key.to_le_bytes(), &certified(key, sequence, len), Attrs::new());
                }
            });
        }
    });
    cache.validate();
    let stats = cache.stats();
    assert!(stats.used <= 64 << 10 && stats.total.stored > 40_000, "{stats:?}");
}
