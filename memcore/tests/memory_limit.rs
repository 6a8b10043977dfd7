//! The limit is the truth, and the memory below it is put to use.

mod common {
    pub(crate) mod values;
}

use std::collections::HashMap;
use std::time::Duration;

use common::values::{HEAD, Rng, certified, verify};
use memcore::{Attrs, Cache, Expiry, Fetch, Fetched, Handle, Store, StoreError};

const MIB: usize = 1 << 20;
const LIMIT: usize = 8 * MIB;

#[track_caller]
fn assert_within_limit(cache: &Cache) {
    let stats = cache.stats();
    assert!(stats.used <= stats.limit, "{} of {} bytes used", stats.used, stats.limit);
}

/// Bytes of the keys' values that can be read, looked at without counting as a use.
fn live_bytes(cache: &Cache, keys: impl Iterator<Item = u32>) -> usize {
    let peek = Fetch::new().peek(true);
    let mut value = Vec::new();
    let mut live = 0;
    for key in keys {
        value.clear();
        if let Fetched::Copied(hit) = cache.fetch(key.to_le_bytes(), &peek, &mut value, |_, _| {}) {
            verify(key, &value);
            live += hit.meta.value_len;
        }
    }
    live
}

#[test]
fn an_idle_cache_uses_next_to_nothing() {
    let cache = Cache::new(64 * MIB).unwrap();
    let stats = cache.stats();
    assert!(stats.used < MIB, "{} bytes used", stats.used);
    assert_eq!((stats.total.items, stats.total.bytes), (0, 0));
}

/// Address space is taken for all of it, and memory for what is used.
#[cfg(target_pointer_width = "64")]
#[test]
fn limits_from_4_mib_to_1_tib_work() {
    for limit in [4 * MIB, 64 * MIB, 100 << 30, 1 << 40] {
        let cache = Cache::new(limit).unwrap();
        for i in 0..1000_u32 {
            cache.set(i.to_le_bytes(), &certified(i, 1, 100), Attrs::new()).unwrap();
        }
        assert_eq!(live_bytes(&cache, 0..1000), 100_000, "{limit}");
        let stats = cache.stats();
        assert!(stats.limit == limit && stats.used < MIB + limit / 200, "{}", stats.used);
    }
}

#[test]
fn the_limit_holds_for_every_size() {
    let cache = Cache::builder(LIMIT).build().unwrap();
    let mut rng = Rng::new(1);
    let sizes = [0, 1, 10, 100, 1000, 5000, 33_000, 70_000, 300_000, MIB - 400];
    for step in 0..6000_u32 {
        let len = sizes[rng.below(sizes.len())];
        let len = len - rng.below(len / 3 + 1);
        cache.set(step.to_le_bytes(), &vec![7; len], Attrs::new()).unwrap();
        assert_eq!(cache.peek(step.to_le_bytes()).map(|meta| meta.value_len), Some(len));
        assert_within_limit(&cache);
    }
    assert!(cache.stats().total.evicted > 0);
}

/// With this seed the items of one part of the index are spread more unevenly than those of nearly
/// all others, when it is about to grow for the first time.
#[test]
fn nothing_is_evicted_while_there_is_memory() {
    let cache = Cache::builder(128 * MIB).seed(36).build().unwrap();
    for key in 0..40_000_u32 {
        cache.set(key.to_le_bytes(), b"12345678", Attrs::new()).unwrap();
    }
    let total = cache.stats().total;
    assert_eq!((total.items, total.evicted), (40_000, 0));
}

#[test]
fn memory_follows_when_sizes_shift() {
    for used in [false, true] {
        shift_sizes(used);
    }
}

/// Fills the cache with values of one size after the other, of which each is `used` once at most.
fn shift_sizes(used: bool) {
    let cache = Cache::builder(LIMIT).build().unwrap();
    let mut next = 0;
    for (phase, len) in [100, 10_000, 500_000, 100, 300_000, 1000].into_iter().enumerate() {
        let count = (3 * LIMIT / len) as u32;
        for key in next..next + count {
            cache.set(key.to_le_bytes(), &certified(key, 0, len), Attrs::new()).unwrap();
            if key % 64 == 0 {
                assert_within_limit(&cache);
            }
        }
        // Headers and the index take a part of the rest, of small values a larger one.
        let live = live_bytes(&cache, next..next + count);
        let share = live * 100 / LIMIT;
        assert!(share >= 70, "phase {phase}, used {used}: {share} % is in {len}-byte values");
        for key in (next..next + count).filter(|_| used) {
            cache.get(key.to_le_bytes());
        }
        next += count;
    }
}

#[test]
fn a_working_set_of_another_size_displaces_the_old_one() {
    let cache = Cache::builder(LIMIT).build().unwrap();
    for (phase, len) in [100, 10_000, 300_000, 100].into_iter().enumerate() {
        let count = (LIMIT / 2 / (len + 50)) as u32;
        let base = phase as u32 * 1_000_000;
        let mut hits = 0;
        for round in 0..8 {
            hits = 0;
            for key in base..base + count {
                match cache.get(key.to_le_bytes()) {
                    Some(value) => hits += u64::from(verify(key, &value) <= round),
                    None => {
                        let value = certified(key, round, len);
                        cache.set(key.to_le_bytes(), &value, Attrs::new()).unwrap();
                    }
                }
            }
            assert_within_limit(&cache);
        }
        let least = u64::from(count) * 80 / 100;
        assert!(hits >= least, "phase {phase}: {hits} of {count} values of {len} bytes are there");
    }
}

#[test]
fn overwriting_with_other_sizes_keeps_most_of_what_fits() {
    let cache = Cache::builder(LIMIT).build().unwrap();
    let mut rng = Rng::new(2);
    let mean = 1500;
    let keys = (LIMIT * 70 / 100 / mean) as u32;
    for round in 0..12 {
        for _ in 0..keys {
            let key = rng.below(keys as usize) as u32;
            let len = HEAD + rng.below(2 * (mean - HEAD));
            cache.set(key.to_le_bytes(), &certified(key, round, len), Attrs::new()).unwrap();
        }
        assert_within_limit(&cache);
    }
    for key in 0..keys {
        let len = HEAD + rng.below(2 * (mean - HEAD));
        cache.set(key.to_le_bytes(), &certified(key, 99, len), Attrs::new()).unwrap();
    }
    let kept = (0..keys).filter(|key| cache.contains(key.to_le_bytes())).count();
    assert!(kept >= keys as usize * 75 / 100, "{kept} of {keys} are left");
}

#[test]
fn a_value_that_grows_by_appending_stays_within_the_limit() {
    let cache = Cache::builder(LIMIT).build().unwrap();
    let append = Store::append().create(Expiry::Never);
    for round in 1..=200_usize {
        cache.store("log", &[b'x'; 5000], Attrs::new(), &append).unwrap();
        assert_eq!(cache.peek("log").unwrap().value_len, round * 5000);
        assert_within_limit(&cache);
    }
    assert_eq!(cache.get("log").unwrap(), vec![b'x'; 1_000_000]);
}

#[test]
fn the_limit_moves_down_and_up() {
    let cache = Cache::builder(32 * MIB).build().unwrap();
    let fill = |from: u32| {
        for key in from..from + 6000 {
            cache.set(key.to_le_bytes(), &certified(key, 0, 10_000), Attrs::new()).unwrap();
        }
    };
    fill(0);
    let before = live_bytes(&cache, 0..6000);
    assert!(before > 22 * MIB, "{before} bytes are held");
    cache.set_limit(8 * MIB).unwrap();
    assert_eq!(cache.stats().limit, 8 * MIB);
    assert_within_limit(&cache);
    let after = live_bytes(&cache, 0..6000);
    assert!((4 * MIB..=8 * MIB).contains(&after), "{after} bytes are held");
    fill(10_000);
    assert_within_limit(&cache);
    cache.set_limit(32 * MIB).unwrap();
    fill(20_000);
    let grown = live_bytes(&cache, 20_000..26_000);
    assert!(grown > 22 * MIB, "{grown} bytes are held");
    assert_within_limit(&cache);
}

/// Of the smallest items nearly half of the memory is index, more than a smaller limit may be.
#[test]
fn a_smaller_limit_makes_the_index_smaller() {
    let cache = Cache::builder(32 * MIB).build().unwrap();
    for key in 0..1_200_000_u32 {
        cache.set(key.to_le_bytes(), b"", Attrs::new()).unwrap();
    }
    let index = cache.stats().index_bytes;
    assert!(index > 12 * MIB, "an index of {index} bytes");
    cache.set_limit(8 * MIB).unwrap();
    assert_within_limit(&cache);
    // A quarter of them, but for what the index of the smaller number has to spare.
    let items = cache.stats().total.items;
    assert!(items > 200_000, "{items} items");
    cache.set("k", &[1; 1000], Attrs::new()).unwrap();
}

#[test]
fn a_smaller_limit_evicts_whatever_the_settings_say() {
    let cache = Cache::builder(32 * MIB).evictions(false).build().unwrap();
    let mut stored = 0_u32;
    while cache.set(stored.to_le_bytes(), &[1; 1000], Attrs::new()).is_ok() {
        stored += 1;
    }
    cache.set_limit(8 * MIB).unwrap();
    assert_within_limit(&cache);
    let before = cache.stats().total;
    assert!(before.items > 5000, "{} of {stored} left", before.items);
    while cache.set(stored.to_le_bytes(), &[1; 1000], Attrs::new()).is_ok() {
        stored += 1;
    }
    assert_eq!(cache.stats().total.evicted, before.evicted);
}

/// Nobody calls `maintain` here.
#[test]
fn the_index_gets_smaller_when_items_get_larger() {
    let cache = Cache::builder(LIMIT).build().unwrap();
    for key in 0..300_000_u32 {
        cache.set(key.to_le_bytes(), b"", Attrs::new()).unwrap();
    }
    let before = cache.stats().index_bytes;
    for key in 0..30_000_u32 {
        cache.set(key.to_le_bytes(), &[1; 1000], Attrs::new()).unwrap();
    }
    let stats = cache.stats();
    let after = stats.index_bytes;
    assert!(before > LIMIT / 3 && after < LIMIT / 20, "{before} bytes before, {after} after");
    assert!(stats.total.bytes as usize > LIMIT / 10 * 9, "{} bytes of items", stats.total.bytes);
}

#[test]
fn what_a_smaller_limit_can_not_hold_is_too_large_and_evicts_nothing() {
    let cache = Cache::builder(32 * MIB).max_item_size(16 * MIB).build().unwrap();
    cache.set_limit(8 * MIB).unwrap();
    for key in 0..1000_u32 {
        cache.set(key.to_le_bytes(), &[1; 1000], Attrs::new()).unwrap();
    }
    let large = vec![1; 5 * MIB];
    assert_eq!(cache.set("k", &large, Attrs::new()), Err(StoreError::TooLarge));
    assert!(!cache.fits(1, large.len(), &Attrs::new()));
    assert_eq!((cache.stats().total.items, cache.max_item_size()), (1000, 4 * MIB));
    cache.set_limit(32 * MIB).unwrap();
    assert!(cache.fits(1, large.len(), &Attrs::new()));
    cache.set("k", &large, Attrs::new()).unwrap();
}

#[test]
fn a_value_on_its_way_may_be_too_large_for_a_smaller_limit() {
    let cache = Cache::builder(32 * MIB).max_item_size(16 * MIB).build().unwrap();
    let mut place = cache.reserve("k", 5 * MIB, Attrs::new()).unwrap();
    place.write(&vec![1; 5 * MIB]);
    cache.set_limit(8 * MIB).unwrap();
    assert_eq!(place.commit(&Store::new()), Err(StoreError::TooLarge));
    assert!(!cache.contains("k"));
    assert_eq!(cache.stats().total.items, 0);
}

#[test]
fn without_evictions_a_full_cache_keeps_everything() {
    let cache = Cache::builder(LIMIT).evictions(false).build().unwrap();
    let mut stored = 0_u32;
    while cache.set(stored.to_le_bytes(), &certified(stored, 1, 1000), Attrs::new()).is_ok() {
        stored += 1;
        assert!(stored < 10_000, "the limit does not hold");
    }
    assert!(stored as usize * 1000 > LIMIT / 2, "only {stored} values fit");
    let refused = cache.set("one more", &[1; 1000], Attrs::new());
    assert_eq!(refused, Err(StoreError::OutOfMemory));
    assert_within_limit(&cache);
    for key in 0..stored {
        assert_eq!(verify(key, &cache.get(key.to_le_bytes()).unwrap()), 1);
    }
    let total = cache.stats().total;
    assert_eq!((total.evicted, total.items), (0, u64::from(stored)));
    assert!(total.out_of_memory > 0);

    for key in 0..stored / 2 {
        assert!(cache.delete(key.to_le_bytes()));
    }
    for key in 0..stored / 4 {
        cache.set(key.to_le_bytes(), &certified(key, 2, 1000), Attrs::new()).unwrap();
    }
}

#[test]
fn what_handles_hold_stays_intact_and_counts() {
    let cache = Cache::builder(LIMIT).build().unwrap();
    let mut held: Vec<(u32, Handle)> = Vec::new();
    for key in 0..12_000_u32 {
        let len = if key % 50 == 0 { 40_000 } else { 2000 };
        cache.set(key.to_le_bytes(), &certified(key, 5, len), Attrs::new()).unwrap();
        if key % 100 < 2 {
            held.push((key, cache.get_handle(key.to_le_bytes()).expect("just stored")));
            cache.delete(key.to_le_bytes());
        }
        if key % 16 == 0 {
            assert_within_limit(&cache);
        }
        if held.len() > 100 {
            held.swap_remove(key as usize % held.len());
        }
    }
    assert!(cache.stats().pinned_bytes > 0);
    for (key, handle) in &held {
        assert_eq!(verify(*key, &handle.to_vec()), 5);
    }
    held.clear();
    assert_eq!(cache.stats().pinned_bytes, 0);
}

#[test]
fn abandoned_reservations_leave_nothing_behind() {
    let cache = Cache::builder(LIMIT).build().unwrap();
    for round in 0..200_usize {
        let key = (round % 7).to_le_bytes();
        let mut place = cache.reserve(key, 900_000, Attrs::new()).unwrap();
        assert_eq!(place.write(&vec![1; round * 4500]), round * 4500);
        assert_within_limit(&cache);
        assert!(!cache.contains(key));
    }
    assert_eq!(cache.stats().total.items, 0);
    cache.set("after", &vec![2; 900_000], Attrs::new()).unwrap();
    assert_within_limit(&cache);
}

/// However many values are announced or half there, others find room.
#[test]
fn values_that_never_arrive_keep_half_of_the_memory_at_most() {
    for len in [20_000, 900_000] {
        let cache = Cache::builder(LIMIT).build().unwrap();
        let mut places = Vec::new();
        for i in 0..LIMIT / 1_000 {
            if let Ok(mut place) = cache.reserve(format!("late{i}"), len, Attrs::new()) {
                place.write(&vec![1; len / 2]);
                places.push(place);
            }
            cache.set(format!("small{i}"), b"here", Attrs::new()).unwrap();
            assert_within_limit(&cache);
        }
        assert!(places.len() >= 10, "{} of {len} bytes", places.len());
        // It may wait for the others, so it is not counted as refused.
        let crowded = cache.reserve("late", len, Attrs::new()).unwrap_err();
        assert_eq!(crowded, StoreError::Crowded);
        cache.set("medium", &vec![2; 100_000], Attrs::new()).unwrap();
        // What was given back can be had again.
        places.clear();
        let mut place = cache.reserve("late", len, Attrs::new()).unwrap();
        place.write(&vec![1; len]);
        place.commit(&Store::new()).unwrap();
        assert_eq!(cache.get("late").unwrap().len(), len);
    }
}

/// One value that never arrives in each of the oldest segments, of which no other log has any.
#[test]
fn values_that_never_arrive_are_not_in_the_way() {
    let cache = Cache::builder(LIMIT).build().unwrap();
    let mut places = Vec::new();
    for i in 0..LIMIT / 50 {
        if i % 500 == 0
            && let Ok(place) = cache.reserve(format!("late{i}"), 100, Attrs::new())
        {
            places.push(place);
        }
        let stored = cache.set(format!("small{i}"), &[1; 100], Attrs::new());
        assert!(stored.is_ok(), "{stored:?} with {} values on their way", places.len());
    }
    assert!(places.len() > 100, "only {} values on their way", places.len());
    assert_within_limit(&cache);
}

/// Bytes beyond key and value that an item takes of a full cache, nothing left out.
fn cost(value_len: usize, attrs: Attrs) -> f64 {
    let cache = Cache::builder(4 * LIMIT).seed(1).build().unwrap();
    let value = vec![b'v'; value_len];
    for i in 0..4 * LIMIT * 5 / 4 / (value_len + 36) {
        cache.set(format!("key:{i:016}"), &value, attrs).unwrap();
    }
    let total = cache.stats().total;
    assert!(total.evicted > 1_000);
    (4 * LIMIT) as f64 / total.items as f64 - (20 + value_len) as f64
}

/// The document has what a cache of 64 MiB holds; a smaller one may differ a little.
#[test]
fn an_item_costs_what_the_document_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/memory.md");
    // It is not in the package.
    let Ok(document) = std::fs::read_to_string(path) else { return };
    let ttl = Expiry::after(Duration::from_secs(100_000));
    let mut rows = 0;
    for line in document.lines() {
        let cells: Vec<f64> = line.split('|').filter_map(|cell| cell.trim().parse().ok()).collect();
        let &[len, plain, _, _, both, _, _] = &cells[..] else { continue };
        if len < 1_000.0 {
            let attrs = [Attrs::new(), Attrs::new().flags(7).expiry(ttl)];
            let costs = attrs.map(|attrs| cost(len as usize, attrs));
            let differs = |is: f64, says: f64| (is - says).abs() > 2.0;
            let any = differs(costs[0], plain) || differs(costs[1], both);
            assert!(!any, "{len} bytes: {costs:?}");
            rows += 1;
        }
    }
    assert_eq!(rows, 2, "values of 10 and 100 bytes");
}

/// What sizes there were before does not matter for how much of the memory values have.
#[test]
fn churn_with_changing_sizes_keeps_memory_in_use() {
    let cache = Cache::builder(LIMIT).seed(2).build().unwrap();
    let mut rng = Rng::new(3);
    let value = vec![b'v'; 4_000];
    let mut best = HashMap::new();
    let mut next = 0_u32;
    for round in 0..3 {
        for mean in [100, 400, 2_000, 60, 1_000, 300] {
            for step in 0..LIMIT * 3 / 2 / (mean + 50) {
                let len = mean / 2 + rng.below(mean);
                cache.set(next.to_le_bytes(), &value[..len], Attrs::new()).unwrap();
                next += 1;
                let recent = next - 1 - rng.below(1_000.min(next as usize)) as u32;
                if step % 8 == 0 {
                    cache.delete(recent.to_le_bytes());
                } else if step % 8 == 4 {
                    cache.set(recent.to_le_bytes(), &value[..mean], Attrs::new()).unwrap();
                }
            }
            let live = cache.stats().total.bytes as f64 / LIMIT as f64;
            let best = best.entry(mean).or_insert(live);
            *best = live.max(*best);
            assert!(live > 0.95 * *best, "round {round}, {mean} bytes: {live} of {best}");
        }
    }
}
