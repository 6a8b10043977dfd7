//! Time: what has ended is never returned, and goes without being asked for.

use std::time::Duration;

use memcore::{
    Attrs, Cache, Count, Cursor, Expiry, Fetch, Fetched, ManualClock, Miss, Moment, Remove, Store,
};

const START: Moment = Moment::from_secs(1_700_000_000);

/// So many seconds after the start.
fn after(seconds: u32) -> Moment {
    START + secs(seconds)
}

fn secs(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn cache(limit: usize) -> (Cache, ManualClock) {
    let clock = ManualClock::new(START);
    (Cache::builder(limit).clock(clock.clone()).build().unwrap(), clock)
}

fn until(end: Moment) -> Attrs {
    Attrs::new().expiry(Expiry::At(end))
}

fn miss(cache: &Cache, key: &str) -> Option<Miss> {
    match cache.fetch(key, &Fetch::new(), &mut Vec::new(), |_, _| {}) {
        Fetched::Miss(miss) => Some(miss),
        _ => None,
    }
}

/// Calls `maintain` until it has nothing to do, at this second and the next few, since a sweep need
/// not come back to a place at once. Returns the number of steps.
fn tidy(cache: &Cache, clock: &ManualClock, budget: usize) -> usize {
    let mut steps = 0;
    for _ in 0..10 {
        while cache.maintain(budget) {
            steps += 1;
            assert!(steps < 1_000_000, "housekeeping does not end");
        }
        clock.advance(secs(1));
    }
    steps
}

#[test]
fn an_item_ends_at_its_second() {
    let (cache, clock) = cache(8 << 20);
    cache.set("k", b"v", until(after(10))).unwrap();
    clock.advance(secs(9));
    assert_eq!(cache.get("k").as_deref(), Some(&b"v"[..]));
    clock.advance(secs(1));
    assert_eq!(miss(&cache, "k"), Some(Miss::Expired));
    assert_eq!(cache.peek("k"), None);
    assert!(!cache.contains("k"));
    assert!(cache.get_handle("k").is_none());
    assert!(cache.touch("k", Expiry::Never).unwrap().is_none());
    assert!(!cache.delete("k"));
    assert!(!cache.scan(&mut Cursor::default(), usize::MAX, |_, _| panic!("visited")));
}

/// Every way to give an item a time to live.
#[test]
fn a_time_to_live_ends_at_its_second_and_never_overflows() {
    type Give = fn(&Cache, Duration);
    let ways: [(&str, Give); 6] = [
        ("set", |cache, ttl| _ = cache.set("k", b"1", Attrs::new().ttl(ttl)).unwrap()),
        ("touch", |cache, ttl| _ = cache.touch("k", Expiry::after(ttl)).unwrap().unwrap()),
        ("fetch", |cache, ttl| {
            let how = Fetch::new().touch(Expiry::after(ttl));
            cache.fetch("k", &how, &mut Vec::new(), |_, _| {});
        }),
        ("count", |cache, ttl| {
            _ = cache.count("k", &Count::increment(1).touch(Expiry::after(ttl))).unwrap();
        }),
        ("invalidate", |cache, ttl| {
            let how = Remove::new().invalidate(true).touch(Expiry::after(ttl));
            cache.remove_with("k", &how).unwrap();
        }),
        ("reserve", |cache, ttl| {
            let mut place = cache.reserve("k", 1, Attrs::new().ttl(ttl)).unwrap();
            place.write(b"1");
            place.commit(&Store::new()).unwrap();
        }),
    ];
    for (way, give) in ways {
        for before in [Expiry::Never, Expiry::after(secs(1000))] {
            let (cache, clock) = cache(8 << 20);
            cache.set("k", b"1", Attrs::new().expiry(before)).unwrap();
            clock.advance(secs(100));
            for huge in [secs(u32::MAX), Duration::MAX] {
                give(&cache, huge);
                assert_eq!(cache.peek("k").unwrap().expiry, Some(Moment::MAX), "{way}");
            }
            give(&cache, Duration::from_millis(10_999));
            assert_eq!(cache.peek("k").unwrap().expiry, Some(after(110)), "{way}");
            clock.advance(secs(9));
            assert!(cache.contains("k"), "{way}");
            clock.advance(secs(1));
            assert!(!cache.contains("k"), "{way}");
        }
    }
    let (cache, _) = cache(8 << 20);
    cache.set("k", b"1", Attrs::new().ttl(Duration::from_millis(999))).unwrap();
    assert!(!cache.contains("k"), "it would have outlived its time");
}

#[test]
fn a_moment_that_has_passed_is_legal() {
    let (cache, _clock) = cache(8 << 20);
    cache.set("k", b"old", Attrs::new()).unwrap();
    cache.set("k", b"new", until(START)).unwrap();
    assert_eq!(cache.get("k"), None);
    cache.set("k", b"newer", until(Moment::from_secs(1))).unwrap();
    assert_eq!(cache.get("k"), None);
}

#[test]
fn touch_moves_the_end_both_ways() {
    let (cache, clock) = cache(8 << 20);
    for key in ["longer", "shorter", "forever", "ended"] {
        cache.set(key, key.as_bytes(), until(after(10))).unwrap();
    }
    cache.set("from never", b"x", Attrs::new()).unwrap();
    let touched = cache.touch("longer", Expiry::At(after(100))).unwrap().unwrap();
    assert_eq!(touched.expiry, Some(after(100)));
    cache.touch("shorter", Expiry::At(after(5))).unwrap().unwrap();
    cache.touch("forever", Expiry::Never).unwrap().unwrap();
    cache.touch("ended", Expiry::At(START)).unwrap().unwrap();
    cache.touch("from never", Expiry::At(after(5))).unwrap().unwrap();
    assert!(!cache.contains("ended"));
    clock.advance(secs(5));
    assert!(!cache.contains("shorter"));
    assert!(!cache.contains("from never"));
    clock.advance(secs(50));
    assert_eq!(cache.get("longer").as_deref(), Some(&b"longer"[..]));
    clock.advance(secs(50));
    assert!(!cache.contains("longer"));
    clock.advance(secs(1_000_000));
    assert_eq!(cache.get("forever").as_deref(), Some(&b"forever"[..]));
}

#[test]
fn a_get_that_touches_renews() {
    let (cache, clock) = cache(8 << 20);
    cache.set("k", b"v", until(after(2))).unwrap();
    for _ in 0..20 {
        clock.advance(secs(1));
        let how = Fetch::new().touch(Expiry::At(cache.now() + secs(2)));
        let mut out = Vec::new();
        let fetched = cache.fetch("k", &how, &mut out, |_, _| {});
        let Fetched::Copied(hit) = fetched else { panic!("{fetched:?}") };
        assert_eq!(hit.meta.expiry, Some(cache.now() + secs(2)));
        assert_eq!(out, b"v");
    }
}

#[test]
fn what_has_ended_goes_without_being_asked_for() {
    let (cache, clock) = cache(16 << 20);
    for key in 0..20_000_u32 {
        let attrs = match key % 4 {
            0 => Attrs::new(),
            ttl => until(after(ttl * 100)),
        };
        cache.set(key.to_le_bytes(), &[1; 100], attrs).unwrap();
    }
    for (advance, left) in [(0, 20_000), (100, 15_000), (100, 10_000), (100, 5000)] {
        clock.advance(secs(advance));
        tidy(&cache, &clock, 100);
        assert_eq!(cache.stats().total.items, left);
    }
    let total = cache.stats().total;
    assert_eq!((total.expired, total.expired_swept), (15_000, 15_000));
    assert_eq!(total.expired_unfetched, 15_000);
    assert_eq!(total.evicted, 0);
}

#[test]
fn a_million_items_that_end_at_once_go_in_small_steps() {
    let (cache, clock) = cache(128 << 20);
    const COUNT: u32 = 1_000_000;
    for key in 0..COUNT {
        cache.set(key.to_le_bytes(), b"12345678", until(after(60))).unwrap();
    }
    cache.set("stays", b"here", Attrs::new()).unwrap();
    assert_eq!(cache.stats().total.items, u64::from(COUNT) + 1);
    let full = cache.stats().used;
    clock.advance(secs(60));
    let (mut steps, mut before) = (0, cache.stats().total.items);
    while cache.maintain(1000) {
        steps += 1;
        assert!(steps < 10 * COUNT / 1000, "more steps than items can explain");
        assert_eq!(cache.get("stays").as_deref(), Some(&b"here"[..]));
        assert!(!cache.contains((steps * 500).to_le_bytes()));
        if steps % 50 == 0 {
            let items = cache.stats().total.items;
            assert!(before - items <= 50 * 2000, "a step is not bounded");
            before = items;
        }
    }
    tidy(&cache, &clock, 1000);
    let stats = cache.stats();
    assert_eq!((stats.total.items, stats.total.expired), (1, u64::from(COUNT)));
    let in_use = stats.used - stats.free_segments * stats.segment_size;
    assert!(in_use < full / 4, "{in_use} of {full} bytes are still in use");
}

#[test]
fn memory_of_ended_items_serves_new_ones_before_anything_is_evicted() {
    let (cache, clock) = cache(16 << 20);
    for round in 0..10_u32 {
        for key in 0..8000_u32 {
            let key = (round, key);
            let name = [key.0.to_le_bytes(), key.1.to_le_bytes()].concat();
            cache.set(name, &[2; 1000], until(cache.now() + secs(30))).unwrap();
        }
        clock.advance(secs(40));
        tidy(&cache, &clock, 1000);
    }
    assert_eq!(cache.stats().total.evicted, 0);
}

/// Writes find the memory of what has ended by themselves, though nobody tends the cache.
#[test]
fn without_evictions_what_has_ended_makes_room() {
    let clock = ManualClock::new(START);
    let cache = Cache::builder(8 << 20).evictions(false).clock(clock.clone()).build().unwrap();
    for round in 0..3 {
        let mut stored = 0_u32;
        let attrs = until(after(10 + 100 * round));
        while cache.set(stored.to_le_bytes(), &[1; 1000], attrs).is_ok() {
            stored += 1;
        }
        assert!(stored > 7000, "only {stored} in round {round}");
        match round {
            0 => clock.set(after(100)),
            _ => cache.flush(),
        }
    }
    assert_eq!(cache.stats().total.evicted, 0);
}

#[test]
fn flush_hides_all_that_came_before() {
    let (cache, clock) = cache(16 << 20);
    for key in 0..1000_u32 {
        cache.set(key.to_le_bytes(), &[3; 500], Attrs::new()).unwrap();
    }
    cache.set("k", b"old", Attrs::new()).unwrap();
    cache.flush();
    assert_eq!(miss(&cache, "k"), Some(Miss::Flushed));
    cache.set("k", b"new", Attrs::new()).unwrap();
    assert_eq!(cache.get("k").as_deref(), Some(&b"new"[..]));
    assert!((0..1000_u32).all(|key| !cache.contains(key.to_le_bytes())));
    tidy(&cache, &clock, 100);
    let total = cache.stats().total;
    assert_eq!((total.items, total.flushed), (1, 1001));
    assert_eq!(cache.get("k").as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_planned_flush_comes_at_its_second_and_only_the_last_plan_counts() {
    let (cache, clock) = cache(8 << 20);
    cache.set("before", b"1", Attrs::new()).unwrap();
    cache.flush_at(after(5));
    cache.flush_at(after(10));
    clock.advance(secs(9));
    cache.set("later", b"2", Attrs::new()).unwrap();
    assert!(cache.contains("before") && cache.contains("later"));
    clock.advance(secs(1));
    cache.set("after", b"3", Attrs::new()).unwrap();
    assert!(!cache.contains("before") && !cache.contains("later"));
    assert_eq!(cache.get("after").as_deref(), Some(&b"3"[..]));
    clock.advance(secs(100));
    assert!(cache.contains("after"), "a plan is carried out once");
}

#[test]
fn a_plan_that_is_due_is_not_replaced() {
    let (cache, clock) = cache(8 << 20);
    cache.set("k", b"v", Attrs::new()).unwrap();
    cache.flush_at(after(5));
    clock.advance(secs(6));
    cache.flush_at(after(100));
    assert!(!cache.contains("k"));
}

#[test]
fn a_value_that_arrives_during_a_flush_is_stored_after_it() {
    let (cache, clock) = cache(8 << 20);
    let mut place = cache.reserve("k", 4, Attrs::new()).unwrap();
    place.write(b"ab");
    cache.flush();
    place.write(b"cd");
    place.commit(&memcore::Store::new()).unwrap();
    tidy(&cache, &clock, 100);
    assert_eq!(cache.get("k").as_deref(), Some(&b"abcd"[..]));
}

/// Where nothing is evicted, an item without an expiry has room for one.
#[test]
fn a_touch_needs_no_memory_where_there_may_be_none() {
    let clock = ManualClock::new(START);
    let cache = Cache::builder(8 << 20).evictions(false).clock(clock.clone()).build().unwrap();
    let ends = Expiry::At(after(100));
    cache.set("has an expiry", b"", until(after(10))).unwrap();
    let mut count = 0_u32;
    while cache.set(count.to_le_bytes(), &[7; 100], Attrs::new()).is_ok() {
        count += 1;
    }
    let key = 0_u32.to_le_bytes();
    assert_eq!(cache.touch(key, ends).unwrap().unwrap().expiry, Some(after(100)));
    let how = Fetch::new().touch(ends);
    let fetched = cache.fetch(1_u32.to_le_bytes(), &how, &mut Vec::new(), |_, _| {});
    assert!(matches!(fetched, Fetched::Copied(_)), "{fetched:?}");
    assert_eq!(cache.peek(1_u32.to_le_bytes()).unwrap().expiry, Some(after(100)));
    assert_eq!(cache.touch(key, Expiry::Never).unwrap().unwrap().expiry, None);
    assert_eq!(cache.touch(key, ends).unwrap().unwrap().expiry, Some(after(100)));
    assert_eq!(cache.touch("has an expiry", ends).unwrap().unwrap().expiry, Some(after(100)));
    assert_eq!(cache.touch("nothing", ends), Ok(None));
}
