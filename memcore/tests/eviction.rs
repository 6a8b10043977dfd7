//! Patterns whose best answer is known: what is kept has to be close to it. Seeds are fixed.

use memcore::{Attrs, Cache, ManualClock};

const LIMIT: usize = 4 << 20;
const VALUE: [u8; 300] = [7; 300];

/// A cache, and how many items it holds when it is full.
fn cache() -> (Cache, u32) {
    let build = || {
        let clock = ManualClock::new(memcore::Moment::from_secs(1000));
        Cache::builder(LIMIT).clock(clock).seed(1).build().unwrap()
    };
    let full = build();
    for key in 0.. {
        set(&full, key);
        if key % 64 == 0 && full.stats().total.evicted > 0 {
            return (build(), full.stats().total.items as u32);
        }
    }
    unreachable!("nothing was evicted")
}

fn set(cache: &Cache, key: u32) {
    cache.set(key.to_le_bytes(), &VALUE, Attrs::new()).unwrap();
}

fn get(cache: &Cache, key: u32) -> bool {
    cache.get(key.to_le_bytes()).is_some()
}

/// A get whose miss is followed by a set; true for a hit.
fn ask(cache: &Cache, key: u32) -> bool {
    let hit = get(cache, key);
    if !hit {
        set(cache, key);
    }
    hit
}

/// Numbers in which nobody sees a pattern.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((self.0 >> 33) % u64::from(bound)) as u32
    }
}

#[track_caller]
fn assert_share(hits: u32, of: u32, least: f64) {
    let share = f64::from(hits) / f64::from(of);
    assert!(share >= least, "{hits} of {of} hit, {share:.3}, at least {least} should");
}

#[test]
fn what_is_written_once_and_read_once_is_there() {
    for percent in [20, 50] {
        let (cache, capacity) = cache();
        let distance = capacity * percent / 100;
        let (mut hits, mut reads) = (0, 0);
        for key in 0..capacity * 6 {
            set(&cache, key);
            if key >= distance {
                let hit = get(&cache, key - distance);
                if key > capacity * 3 {
                    (hits, reads) = (hits + u32::from(hit), reads + 1);
                }
            }
        }
        assert_share(hits, reads, 0.95);
    }
}

#[test]
fn sessions_that_are_read_and_written_stay_until_they_end() {
    let (cache, capacity) = cache();
    let active = capacity / 2;
    let (mut hits, mut reads) = (0, 0);
    for now in 0..capacity * 6 {
        set(&cache, now);
        for step in 1..=4 {
            let Some(session) = now.checked_sub(active * step / 4) else { break };
            let hit = get(&cache, session);
            set(&cache, session);
            if now > capacity * 3 {
                (hits, reads) = (hits + u32::from(hit), reads + 1);
            }
        }
    }
    assert_share(hits, reads, 0.95);
}

#[test]
fn a_hot_set_written_together_outlives_a_flood() {
    let (cache, capacity) = cache();
    let hot = capacity / 12;
    let mut next = hot;
    for round in 0..20 {
        let hits = (0..hot).filter(|&key| ask(&cache, key)).count() as u32;
        if round > 3 {
            assert_share(hits, hot, 0.95);
        }
        for _ in 0..capacity * 7 / 10 {
            set(&cache, next);
            next += 1;
        }
    }
}

/// Asks for new keys from `first` on, and every second time for one of the last `window` of them,
/// so often. Hits of those and how many they are, after `from` requests.
fn ask_for_recent(
    cache: &Cache,
    first: u32,
    window: u32,
    requests: u32,
    from: u32,
    random: &mut Random,
) -> (u32, u32) {
    let (mut next, mut hits, mut again) = (first, 0, 0);
    for i in 0..requests {
        if next - first > window && i % 2 == 0 {
            let hit = ask(cache, next - 1 - random.below(window));
            if i > from {
                (hits, again) = (hits + u32::from(hit), again + 1);
            }
        } else {
            ask(cache, next);
            next += 1;
        }
    }
    (hits, again)
}

#[test]
fn what_is_asked_for_lately_is_there() {
    let (cache, capacity) = cache();
    let (requests, from) = (capacity * 12, capacity * 5);
    let (hits, again) = ask_for_recent(&cache, 0, capacity / 2, requests, from, &mut Random(5));
    assert_share(hits, again, 0.95);
}

/// What was used often would outlast anything by its score, dead as it is.
#[test]
fn what_is_asked_for_lately_is_there_after_others_were_used_often() {
    let (cache, capacity) = cache();
    let (old, mut random) = (capacity * 9 / 10, Random(7));
    (0..old * 12).for_each(|_| _ = ask(&cache, random.below(old)));
    let (requests, from) = (capacity * 8, capacity * 6);
    let (hits, again) = ask_for_recent(&cache, old, capacity * 6 / 10, requests, from, &mut random);
    assert_share(hits, again, 0.95);
}

#[test]
fn what_is_written_once_and_read_just_before_it_would_go_is_there_after_a_while() {
    let (cache, capacity) = cache();
    let (distance, from) = (capacity * 9 / 10, capacity * 12);
    let mut hits = 0;
    for key in 0..from + capacity {
        set(&cache, key);
        let hit = key >= distance && get(&cache, key - distance);
        hits += u32::from(hit && key >= from);
    }
    assert_share(hits, capacity, 0.95);
}

#[test]
fn a_loop_larger_than_the_cache_is_kept_in_part() {
    let (cache, capacity) = cache();
    let keys = capacity * 12 / 10;
    let mut hits = 0;
    for _ in 0..16 {
        hits = (0..keys).filter(|&key| ask(&cache, key)).count() as u32;
    }
    assert_share(hits, keys, 0.6);
}

/// Eight rounds of a loop over 1.2 caches; keys from the number returned on are new.
fn go_round(cache: &Cache, capacity: u32) -> u32 {
    let keys = capacity * 12 / 10;
    (0..8).for_each(|_| (0..keys).for_each(|key| _ = ask(cache, key)));
    keys
}

#[test]
fn after_a_loop_what_is_asked_for_lately_is_there_soon() {
    let (cache, capacity) = cache();
    let first = go_round(&cache, capacity);
    // Nearly all of what was asked for a cache ago has come since the loop.
    let (requests, from) = (capacity * 4, capacity * 2);
    let (hits, again) =
        ask_for_recent(&cache, first, capacity * 9 / 10, requests, from, &mut Random(5));
    assert_share(hits, again, 0.85);
}

#[test]
fn after_a_loop_a_hot_quarter_is_there_soon() {
    let (cache, capacity) = cache();
    let first = go_round(&cache, capacity);
    let hot = capacity / 4;
    let (mut next, mut turn, mut hits, mut reads) = (first + hot, 0, 0, 0);
    for i in 0..capacity * 5 {
        ask(&cache, next);
        next += 1;
        if i % 3 == 0 {
            let hit = ask(&cache, first + turn % hot);
            if i > capacity * 3 {
                (hits, reads) = (hits + u32::from(hit), reads + 1);
            }
            turn += 1;
        }
    }
    assert_share(hits, reads, 0.95);
}

#[test]
fn after_a_loop_a_popular_part_of_it_does_not_keep_the_rest() {
    let (cache, capacity) = cache();
    let keys = go_round(&cache, capacity);
    let (popular, others, mut random) = (keys / 20, capacity * 7 / 10, Random(6));
    let (mut hits, rounds) = (0, 12);
    for i in 0..capacity * rounds {
        let hit = match i % 10 {
            0..3 => ask(&cache, random.below(popular) * 20),
            _ => ask(&cache, keys + random.below(others)),
        };
        hits += u32::from(hit && i >= capacity * (rounds - 2));
    }
    assert_share(hits, capacity * 2, 0.95);
}

#[test]
fn a_scan_of_ten_caches_leaves_the_hot_half() {
    let (cache, capacity) = cache();
    let hot = capacity / 2;
    for _ in 0..6 {
        (0..hot).for_each(|key| _ = ask(&cache, key));
    }
    (hot..hot + capacity * 10).for_each(|key| _ = ask(&cache, key));
    let kept = (0..hot).filter(|&key| get(&cache, key)).count() as u32;
    assert_share(kept, hot, 0.75);
}
