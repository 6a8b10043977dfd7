//! Who does the housekeeping, and what can be learned of a cache in use.

use std::future::{Future, pending, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use memcore::typed::TypedCache;
use memcore::{Attrs, Cache, Helper, HitRatios, HotKeys, ManualClock, Moment, mib};

const START: Moment = Moment::from_secs(1_000_000);

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn cache_with_clock() -> (Cache, ManualClock) {
    let clock = ManualClock::new(START);
    (Cache::builder(mib(16)).clock(clock.clone()).build().unwrap(), clock)
}

/// Stores items that end in a minute.
fn fill(cache: &Cache) {
    for key in 0..10_000_u32 {
        cache.set(key.to_le_bytes(), &[0; 100], Attrs::new().ttl(secs(60))).unwrap();
    }
}

/// Waits, half a minute at most.
fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..30_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it does not come about");
}

#[test]
fn a_helper_gives_expired_memory_back_and_ends_with_the_cache() {
    let (cache, clock) = cache_with_clock();
    let helper = cache.spawn_helper(Duration::ZERO).unwrap();
    fill(&cache);
    clock.advance(secs(60));
    until(|| cache.stats().total.items == 0);
    assert!(helper.is_running());
    drop(cache);
    until(|| !helper.is_running());
}

#[test]
fn a_helper_that_is_dropped_does_nothing_any_more() {
    let (cache, clock) = cache_with_clock();
    drop(cache.spawn_helper(Duration::MAX).unwrap());
    drop(cache.spawn_helper(Duration::from_millis(1)).unwrap());
    fill(&cache);
    clock.advance(secs(60));
    thread::sleep(Duration::from_millis(20));
    assert_eq!(cache.stats().total.items, 10_000);
    cache.close().expect("the helper has let go of it");
}

#[test]
fn a_listener_that_the_helper_calls_may_drop_it() {
    let held = Arc::new(Mutex::new(None::<Helper>));
    let taken = Arc::clone(&held);
    let clock = ManualClock::new(START);
    let cache = Cache::builder(mib(16))
        .clock(clock.clone())
        .on_removal(move |_, _| drop(taken.lock().unwrap().take()))
        .build()
        .unwrap();
    cache.set("k", b"v", Attrs::new().ttl(secs(60))).unwrap();
    clock.advance(secs(60));
    *held.lock().unwrap() = Some(cache.spawn_helper(Duration::from_millis(1)).unwrap());
    until(|| held.lock().unwrap().is_none());
    assert_eq!(cache.stats().listener_panics, 0);
}

fn poll<T>(task: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    task.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_task_keeps_house_in_small_steps_and_ends_with_the_cache() {
    let (cache, clock) = cache_with_clock();
    fill(&cache);
    clock.advance(secs(60));
    let mut task = pin!(cache.maintenance(|| ready(())));
    let mut polls = 0;
    while cache.stats().total.items > 0 {
        assert!(poll(task.as_mut()).is_pending());
        polls += 1;
        assert!(polls < 10_000);
    }
    assert!(polls > 3, "others are let in, {polls} polls");
    drop(cache);
    assert!(poll(task.as_mut()).is_ready());

    // While it sleeps it does nothing.
    let (cache, clock) = cache_with_clock();
    fill(&cache);
    clock.advance(secs(60));
    let mut task = pin!(cache.maintenance(pending));
    assert!(poll(task.as_mut()).is_pending());
    assert_eq!(cache.stats().total.items, 10_000);
}

#[test]
fn hit_ratios_are_of_the_time_that_is_asked_for() {
    let (cache, clock) = cache_with_clock();
    let mut ratios = HitRatios::new(&cache);
    assert_eq!(ratios.over(secs(60)), None);
    cache.set("k", b"v", Attrs::new()).unwrap();
    // An hour of hits, then ten minutes of misses, then half a minute of both.
    let mut look = |seconds: u64, keys: &[&str]| {
        for _ in 0..seconds {
            clock.advance(secs(1));
            keys.iter().for_each(|key| _ = cache.get(key));
            ratios.note(&cache);
            // More notes than one a second change nothing.
            ratios.note(&cache);
        }
        // Nor does a reset of the statistics.
        cache.reset_stats();
        [10, 60, 600, 7_200].map(|time| ratios.over(secs(time)).unwrap())
    };
    assert_eq!(look(3_600, &["k"]), [1.0; 4]);
    let after = look(600, &["none"]);
    assert_eq!(after[..3], [0.0; 3]);
    assert!((after[3] - 3_600.0 / 4_200.0).abs() < 0.02, "{after:?}");
    let after = look(30, &["k", "none"]);
    assert_eq!((after[0], after[1]), (0.5, 1.0 / 3.0));
    assert!((after[2] - 30.0 / 630.0).abs() < 0.01, "{after:?}");
    assert_eq!(cache.stats().total.hit_ratio(), None);
}

#[test]
fn hot_keys_are_found_with_their_shares() {
    let hot = HotKeys::new();
    assert_eq!(hot.hottest(3), []);
    // A tenth and a twentieth of all lookups, among keys that come once.
    let note = |from: u32, now: Moment| {
        for number in from..from + 400_000 {
            match number % 20 {
                0 | 10 => hot.note(b"first", now),
                5 => hot.note(b"second", now),
                _ => hot.note(&number.to_le_bytes(), now),
            }
        }
    };
    note(0, START);
    let found = hot.hottest(2);
    assert_eq!([&found[0].key[..], &found[1].key], [&b"first"[..], b"second"]);
    assert!((found[0].share - 0.1).abs() < 0.02, "{found:?}");
    assert!((found[1].share - 0.05).abs() < 0.02, "{found:?}");
    assert!(found.iter().all(|key| key.error < 0.02), "{found:?}");
    assert_eq!(hot.hottest(usize::MAX).len(), 128);

    // What was is forgotten.
    let later = START + secs(600);
    (0..100_000).for_each(|_| hot.note(b"later", later));
    let found = hot.hottest(1);
    assert_eq!((&found[0].key[..], found[0].share), (&b"later"[..], 1.0));
    let long = vec![b'l'; 60_000];
    (0..100_000).for_each(|_| hot.note(&long, later + secs(600)));
    assert_eq!(hot.hottest(1)[0].key, long[..250]);
}

#[test]
fn a_typed_cache_counts_all_lookups_for_its_hot_keys() {
    let build = |on: bool| {
        let cache = Cache::new(mib(16)).unwrap();
        TypedCache::<u32, String>::builder(cache).hot_keys(on).build()
    };
    let (typed, without) = (build(true), build(false));
    for number in 0..30_000_u32 {
        for typed in [&typed, &without] {
            typed.get(&1);
            typed.get_many(&[2, 2]);
            typed.get_or_load(&3, || Ok::<_, ()>("v".to_owned())).unwrap();
            typed.insert(&number, &"v".to_owned()).unwrap();
        }
    }
    let shares: Vec<(Vec<u8>, f64)> =
        typed.hot_keys(9).into_iter().map(|key| (key.key, key.share)).collect();
    assert_eq!(shares.len(), 3, "{shares:?}");
    for (key, share) in [(1_u32, 0.25), (2, 0.5), (3, 0.25)] {
        let found = shares.iter().find(|(found, _)| *found == key.to_be_bytes());
        assert!(found.is_some_and(|(_, found)| (found - share).abs() < 0.1), "{shares:?}");
    }
    assert_eq!(without.hot_keys(9), []);
}

#[cfg(feature = "metrics")]
mod facade {
    use std::collections::BTreeMap;

    use memcore::{Metrics, StoreError};
    use metrics::{
        Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder,
        SharedString, Unit,
    };

    use super::*;

    /// What was published, by name and labels.
    #[derive(Clone, Default)]
    struct Published {
        values: Arc<Mutex<BTreeMap<String, f64>>>,
        described: Arc<Mutex<Vec<String>>>,
    }

    struct Place(String, Published);

    impl Place {
        fn put(&self, value: f64) {
            self.1.values.lock().unwrap().insert(self.0.clone(), value);
        }
    }

    impl CounterFn for Place {
        fn increment(&self, _: u64) {
            unreachable!("counters are given as they are")
        }

        fn absolute(&self, value: u64) {
            self.put(value as f64);
        }
    }

    impl GaugeFn for Place {
        fn increment(&self, _: f64) {
            unreachable!("gauges are set")
        }

        fn decrement(&self, _: f64) {
            unreachable!("gauges are set")
        }

        fn set(&self, value: f64) {
            self.put(value);
        }
    }

    impl Published {
        fn place(&self, key: &Key) -> Arc<Place> {
            let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
            let name = key.name().to_owned() + &labels.collect::<String>();
            Arc::new(Place(name, self.clone()))
        }

        fn of(&self, name: &str) -> f64 {
            let values = self.values.lock().unwrap();
            *values.get(name).unwrap_or_else(|| panic!("no {name} in {values:#?}"))
        }
    }

    impl Recorder for Published {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
            assert!(text.ends_with('.'), "{text}");
            self.described.lock().unwrap().push(name.as_str().to_owned());
        }

        fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
            self.describe_counter(name, unit, text);
        }

        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.place(key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.place(key))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            unreachable!("there are none")
        }
    }

    #[test]
    fn statistics_are_published() {
        let published = Published::default();
        let cache = Cache::builder(mib(16)).max_item_size(mib(1)).build().unwrap();
        cache.set("k", &[0; 100], Attrs::new()).unwrap();
        cache.get("k");
        cache.get("none");
        assert_eq!(cache.set("k", &vec![0; mib(2)], Attrs::new()), Err(StoreError::TooLarge));
        let typed: TypedCache<str, String> = TypedCache::new(cache.clone());
        let _ = typed.get_or_load("down", || Err("down"));
        metrics::with_local_recorder(&published, || {
            let metrics = Metrics::new("pages");
            metrics.publish(&cache);
            metrics.publish_loads(&typed.load_stats());
        });
        let stats = cache.stats();
        assert_eq!(published.of("memcore_hits_total cache=pages"), stats.total.hits() as f64);
        assert_eq!(published.of("memcore_misses_total cache=pages"), stats.total.misses as f64);
        assert_eq!(published.of("memcore_too_large_total cache=pages"), 1.0);
        assert_eq!(published.of("memcore_limit_bytes cache=pages"), mib(16) as f64);
        let by_class: f64 = {
            let values = published.values.lock().unwrap();
            let classes = values.iter().filter(|(name, _)| name.starts_with("memcore_class_bytes"));
            classes.map(|(_, bytes)| bytes).sum()
        };
        assert_eq!(by_class, published.of("memcore_bytes cache=pages"));
        assert_eq!(published.of("memcore_loads_total cache=pages outcome=failed"), 1.0);
        let described = published.described.lock().unwrap();
        assert!(described.contains(&"memcore_evicted_total".to_owned()), "{described:?}");
    }
}
