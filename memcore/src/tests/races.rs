//! Races of a tiny cache: readers beside a writer whose memory is reused, moved and written over,
//! with evictions and without.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use super::common::values::{Rng, certified, verify};
use memcore::{Attrs, Cache};

const LIMIT: usize = 640 << 10;
const READERS: usize = 2;
/// Writes of one writer.
const ROUNDS: u64 = 4_000;

/// Runs `write` for each round beside threads that read `keys` in every way.
fn race(cache: &Cache, keys: u32, mut write: impl FnMut(u32, u64)) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for reader in 0..READERS {
            let stop = &stop;
            scope.spawn(move || {
                let mut rng = Rng::new(reader as u64 + 1);
                while !stop.load(SeqCst) {
                    read(cache, rng.below(keys as usize) as u32, &mut rng);
                }
            });
        }
        let mut rng = Rng::new(7);
        for round in 1..=ROUNDS {
            write(rng.below(keys as usize) as u32, round);
        }
        stop.store(true, SeqCst);
    });
    cache.validate();
}

fn read(cache: &Cache, key: u32, rng: &mut Rng) {
    let name = key.to_le_bytes();
    if rng.below(2) == 0 {
        if let Some(value) = cache.get(name) {
            verify(key, &value);
        }
        return;
    }
    let Some(handle) = cache.get_handle(name) else { return };
    let value = handle.to_vec();
    verify(key, &value);
    let weak = handle.downgrade();
    drop(handle);
    if let Some(handle) = weak.and_then(|weak| weak.upgrade().ok()) {
        assert_eq!(handle.to_vec(), value);
    }
}

fn cache(evictions: bool) -> Cache {
    let builder = Cache::builder(LIMIT).max_item_size(LIMIT / 8).seed(1);
    builder.evictions(evictions).build().unwrap()
}

#[test]
fn readers_of_values_that_are_overwritten_and_evicted_find_whole_ones() {
    let cache = cache(true);
    race(&cache, 24, |key, round| {
        let len = [30, 30, 700, 20_000, 60_000][(key as usize + round as usize) % 5];
        cache.set(key.to_le_bytes(), &certified(key, round, len), Attrs::new()).unwrap();
    });
}

#[test]
fn readers_of_values_that_are_moved_together_find_whole_ones() {
    let cache = cache(false);
    race(&cache, 24, |key, round| match round % 4 {
        0 => _ = cache.delete(key.to_le_bytes()),
        _ => {
            let len = [30, 900, 600, 30_000][(key as usize + round as usize) % 4];
            _ = cache.set(key.to_le_bytes(), &certified(key, round, len), Attrs::new());
        }
    });
}

/// The index of the smallest items grows and shrinks.
#[test]
fn readers_of_an_index_that_is_resized_find_what_is_there() {
    let cache = cache(true);
    race(&cache, 600, |key, round| {
        let keys = key..key + 8;
        match round % 100 < 60 {
            true => keys.for_each(|key| {
                cache.set(key.to_le_bytes(), &certified(key, round, 20), Attrs::new()).unwrap();
            }),
            false => keys.for_each(|key| _ = cache.delete(key.to_le_bytes())),
        }
        cache.maintain(8);
    });
}
