//! Callers whose code panics, or who hand in what belongs elsewhere: the cache stays as it should
//! be.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{
    Attrs, Cache, Clock, Count, CountError, Expiry, Fetch, Fetched, ManualClock, Miss, Moment,
    Remove, Removed, Store, StoreError,
};

#[test]
fn a_listener_that_panics_costs_nothing_but_the_news() {
    let clock = ManualClock::new(Moment::from_secs(1_000));
    let builder = Cache::builder(1 << 20).clock(clock.clone());
    let cache = builder
        .watch_removals(|_| panic!("a watcher of somebody else"))
        .on_removal(|_, _| panic!("a listener of somebody else"))
        .build()
        .unwrap();
    for round in 0..20_u32 {
        for key in 0..400_u32 {
            let attrs = Attrs::new().ttl(Duration::from_secs(u64::from(key % 3) * 5 + 1));
            cache.set(key.to_le_bytes(), &[round as u8; 3000], attrs).unwrap();
            cache.set("replaced", &key.to_le_bytes(), Attrs::new()).unwrap();
            cache.delete((key / 2).to_le_bytes());
        }
        clock.advance(Duration::from_secs(2));
        cache.maintain(1_000);
        if round % 5 == 0 {
            cache.flush();
        }
        cache.validate();
    }
    let stats = cache.stats();
    let total = &stats.total;
    let gone = total.replaced + total.deleted + total.evicted + total.expired + total.flushed;
    assert!(total.evicted > 0 && total.expired > 0 && total.flushed > 0, "{total:?}");
    assert_eq!(stats.listener_panics, 2 * gone, "the watcher and the listener");
}

/// Shows a moment, or panics every few times.
#[derive(Clone, Debug)]
struct Fragile(Arc<AtomicU32>);

impl Clock for Fragile {
    fn now(&self) -> Moment {
        let calls = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(calls % 7 != 6, "a clock of somebody else");
        Moment::from_secs(1_000 + calls / 1_000)
    }
}

#[test]
fn other_code_of_callers_may_panic_anywhere() {
    struct Fragment(u32);
    impl AsRef<[u8]> for Fragment {
        fn as_ref(&self) -> &[u8] {
            assert!(self.0 % 5 != 4, "a key of somebody else");
            b"fragment"
        }
    }
    let calls = Fragile(Arc::new(AtomicU32::new(0)));
    let cache = Cache::builder(1 << 20).clock(calls.clone()).build().unwrap();
    let mut panics = 0;
    for step in 0..20_000_u32 {
        let key = (step % 500).to_le_bytes();
        let ttl = Attrs::new().ttl(Duration::from_secs(3));
        let run = AssertUnwindSafe(|| match step % 13 {
            0 => _ = cache.get_with(key, |_, _| assert!(step % 2 == 0)),
            1 => {
                let head = |_: &_, _: &mut _| assert!(step % 2 == 0);
                _ = cache.fetch(key, &Fetch::new(), &mut Vec::new(), head);
            }
            2 => {
                let how = Fetch::new().lease(true).create(Expiry::Never);
                _ = cache.fetch(key, &how, &mut Vec::new(), |_, _| assert!(step % 2 == 0));
            }
            3 => cache.get_many(&[key, key], |_, _, _| assert!(step % 2 == 0)),
            4 => _ = cache.scan(&mut Default::default(), 5, |_, _| assert!(step % 2 == 0)),
            5 => _ = cache.set(Fragment(step), b"v", Attrs::new()),
            6 => _ = cache.touch(key, Expiry::after(Duration::from_secs(5))),
            7 => _ = cache.count("n", &Count::increment(1).initial(0, Attrs::new())),
            8 => _ = cache.remove_with(key, &Remove::new().invalidate(step % 2 == 0)),
            9 => _ = cache.maintain(10),
            10 => {
                if let Ok(mut place) = cache.reserve(key, 9000, ttl) {
                    place.write(&[1; 9000]);
                    _ = place.commit(&Store::new());
                }
            }
            _ => _ = cache.set(key, &[1; 3000], ttl),
        });
        panics += u32::from(catch_unwind(run).is_err());
    }
    assert!(panics > 2_000, "{panics}");
    // Until the next one is far enough away.
    while calls.0.load(Ordering::Relaxed) % 7 != 0 {
        calls.0.fetch_add(1, Ordering::Relaxed);
    }
    cache.validate();
    calls.0.store(7_000_000, Ordering::Relaxed);
    cache.set("k", b"v", Attrs::new()).unwrap();
    assert_eq!(cache.get("k").as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_key_of_another_cache_is_refused() {
    let (cache, other) = (Cache::new(8 << 20).unwrap(), Cache::new(8 << 20).unwrap());
    let key = other.key(b"k");
    other.set(key, b"1", Attrs::new()).unwrap();
    cache.set("k", b"1", Attrs::new()).unwrap();
    let foreign = StoreError::ForeignKey;
    assert_eq!(cache.set(key, b"2", Attrs::new()), Err(foreign));
    assert_eq!(cache.store(key, b"2", Attrs::new(), &Store::add()).err(), Some(foreign));
    assert_eq!(cache.reserve(key, 1, Attrs::new()).err(), Some(foreign));
    assert_eq!(cache.count(key, &Count::default()), Err(CountError::Store(foreign)));
    assert_eq!(cache.touch(key, Expiry::Never), Ok(None));
    assert_eq!(cache.remove_with(key, &Remove::new()), Ok(Removed::NotFound));
    assert!(!cache.delete(key) && !cache.contains(key));
    assert_eq!((cache.get(key), cache.peek(key)), (None, None));
    assert!(cache.get_handle(key).is_none() && cache.get_with(key, |_, _| ()).is_none());
    let fetched = cache.fetch(key, &Fetch::new(), &mut Vec::new(), |_, _| {});
    assert!(matches!(fetched, Fetched::Miss(Miss::Absent)), "{fetched:?}");
    let same = cache.clone();
    assert!(same.contains(cache.key(b"k")), "a clone is the same cache");
    assert_eq!(cache.get("k").as_deref(), Some(&b"1"[..]));
    cache.validate();
}

#[test]
fn a_budget_may_be_as_large_as_one_likes() {
    let cache = Cache::new(1 << 20).unwrap();
    for key in 0..1_000_u32 {
        cache.set(key.to_le_bytes(), &[1; 2000], Attrs::new()).unwrap();
    }
    cache.flush();
    while cache.maintain(usize::MAX) {}
    assert_eq!(cache.stats().total.items, 0);
    cache.validate();
}

#[test]
fn what_holds_memory_above_a_lower_limit_is_shown_until_it_ends() {
    let cache = Cache::new(64 << 20).unwrap();
    let mut open = Vec::new();
    while let Ok(mut place) = cache.reserve(open.len().to_le_bytes(), 700_000, Attrs::new()) {
        place.write(&[1; 699_999]);
        open.push(place);
        if open.len() == 52 {
            break;
        }
    }
    assert!(open.len() > 30, "only {}", open.len());
    let limit = 8 << 20;
    let pending = cache.set_limit(limit).unwrap().pending;
    let stats = cache.stats();
    assert_eq!((stats.limit, stats.over_limit), (limit, pending));
    assert_eq!(stats.used, limit + pending);
    assert!(pending > 10 << 20, "{pending}");
    assert!(cache.set("k", &[1; 100_000], Attrs::new()).is_err(), "there is no room for more");
    open.clear();
    while cache.maintain(1_000) {}
    assert_eq!((cache.stats().over_limit, cache.set_limit(limit).unwrap().pending), (0, 0));
    assert!(cache.stats().used <= limit);
    cache.set("k", &[1; 100_000], Attrs::new()).unwrap();
    cache.validate();
}

#[test]
fn a_limit_that_is_lowered_in_steps_leaves_room_for_writes() {
    let cache = Cache::new(64 << 20).unwrap();
    let fill = |from: u32, to: u32| {
        (from..to).all(|key| cache.set(key.to_le_bytes(), &[1; 1_000], Attrs::new()).is_ok())
    };
    assert!(fill(0, 70_000));
    let before = cache.stats();
    let limit = 8 << 20;
    let pending = cache.set_limit_in_steps(limit).unwrap().pending;
    let stats = cache.stats();
    assert_eq!((stats.limit, stats.over_limit), (limit, pending));
    assert_eq!(stats.total.items, before.total.items, "nothing is reclaimed yet");
    let mut steps = 0;
    let mut used = before.used;
    while cache.maintain(1_000) {
        steps += 1;
        assert!(fill(100_000 + steps * 10, 100_010 + steps * 10));
        let now = cache.stats().used;
        assert!(now <= used, "{now} bytes after {used}");
        used = now;
    }
    assert!(steps > 20, "in {steps} steps");
    let stats = cache.stats();
    assert!(stats.over_limit == 0 && stats.used <= limit);
    assert!(fill(0, 1_000));
    cache.set_limit_in_steps(32 << 20).unwrap();
    assert!(fill(0, 70_000) && cache.stats().used > limit);
    cache.validate();
}

#[test]
fn a_limit_below_what_is_held_is_approached_as_far_as_can_be() {
    let cache = Cache::new(64 << 20).unwrap();
    let mut places: Vec<_> = (0..20_u32)
        .filter_map(|key| cache.reserve(key.to_le_bytes(), 700_000, Attrs::new()).ok())
        .collect();
    places.iter_mut().for_each(|place| assert_eq!(place.write(&[1; 699_999]), 699_999));
    for key in 0..30_000_u32 {
        cache.set(key.to_le_bytes(), &[1; 1_000], Attrs::new()).unwrap();
    }
    cache.set_limit_in_steps(8 << 20).unwrap();
    while cache.maintain(1_000) {}
    let over = cache.stats().over_limit;
    assert!((1 << 20..14 << 20).contains(&over), "{over}");
    places.clear();
    while cache.maintain(1_000) {}
    assert_eq!(cache.stats().over_limit, 0);
    cache.validate();
}

#[test]
fn small_items_are_evicted_no_further_in_steps_than_at_once() {
    let left = |lower: fn(&Cache)| {
        let cache = Cache::new(16 << 20).unwrap();
        for key in 0..120_000_u32 {
            cache.set(key.to_le_bytes(), &[1; 30], Attrs::new()).unwrap();
        }
        lower(&cache);
        while cache.maintain(1_000) {}
        cache.stats().total.items
    };
    let at_once = left(|cache| _ = cache.set_limit(2 << 20).unwrap());
    let in_steps = left(|cache| _ = cache.set_limit_in_steps(2 << 20).unwrap());
    assert!(in_steps > at_once * 3 / 4, "{in_steps} items, {at_once} at once");
}

#[test]
fn no_more_than_needed_is_evicted_by_a_limit_that_is_lowered_in_steps() {
    let cache = Cache::builder(8 << 20).max_limit(128 << 20).build().unwrap();
    cache.set_limit(128 << 20).unwrap();
    for key in 0..1_500_u32 {
        cache.set(key.to_le_bytes(), &[1; 64 << 10], Attrs::new()).unwrap();
    }
    cache.set_limit_in_steps(16 << 20).unwrap();
    while cache.maintain(1_000) {}
    let stats = cache.stats();
    let left = stats.total.items * (64 << 10);
    assert!((8 << 20..16 << 20).contains(&left), "{left} bytes of {}", stats.used);
    cache.validate();
}

/// Keys of one group of the index, as many as there is no place for.
#[test]
fn colliding_keys_are_refused_where_nothing_may_be_evicted() {
    for evictions in [true, false] {
        let cache = Cache::builder(4 << 20).evictions(evictions).seed(1).build().unwrap();
        let is_of_group = |key: &u32| {
            let position = cache.engine().position(&cache.key(&key.to_le_bytes()));
            position.shard == 0 && position.at < 1 << 27
        };
        let keys: Vec<u32> = (0..20_000).filter(is_of_group).take(120).collect();
        assert_eq!(keys.len(), 120);
        for key in &keys {
            let stored = cache.set(key.to_le_bytes(), &key.to_le_bytes(), Attrs::new());
            assert!(stored.is_ok() || stored == Err(StoreError::OutOfMemory), "{stored:?}");
            assert_eq!(stored.is_ok(), cache.contains(key.to_le_bytes()));
            cache.validate();
        }
        let total = cache.stats().total;
        assert_eq!(total.items, 88, "56 slots and 32 places in the stash");
        assert_eq!(total.evicted > 0, evictions);
        assert_eq!(total.out_of_memory > 0, !evictions);
        let kept = keys.iter().take(88).all(|key| cache.contains(key.to_le_bytes()));
        assert_eq!(kept, !evictions);
    }
}

#[test]
fn values_that_have_begun_go_on_though_no_more_may_begin() {
    let cache = Cache::new(64 << 20).unwrap();
    let mut first = cache.reserve("first", 900_000, Attrs::new()).unwrap();
    first.write(&[1; 100]);
    let mut others = Vec::new();
    let refused = loop {
        match cache.reserve(others.len().to_le_bytes(), 900_000, Attrs::new()) {
            Ok(place) => others.push(place),
            Err(error) => break error,
        }
        assert!(others.len() < 10_000);
    };
    assert_eq!(refused, StoreError::Crowded);
    first.write(&[1; 900_000]);
    first.commit(&Store::new()).unwrap();
    assert_eq!(cache.get("first").map(|value| value.len()), Some(900_000));
    cache.set("small", b"v", Attrs::new()).unwrap();
    others.clear();
    assert!(cache.reserve("more", 900_000, Attrs::new()).is_ok());
    cache.validate();
}
