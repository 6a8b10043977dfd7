//! The guide's table for those who come from another cache: for each row what is called there and
//! what is called here, and the same outcome.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{io, thread};

use memcore::typed::{LoadError, Plain, TypedCache, listener};
use memcore::{Attrs, Cache, Cause, Change, Counter, Expiry, ManualClock, Moment, mib};
use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use quick_cache::sync::GuardResult;

type Words = TypedCache<String, String>;
type Moka = moka::sync::Cache<String, String>;
type Quick = quick_cache::sync::Cache<String, String>;
type Never = std::convert::Infallible;

const MINUTE: Duration = Duration::from_secs(60);

fn cache() -> Cache {
    Cache::new(mib(8)).unwrap()
}

fn words() -> Words {
    TypedCache::new(cache())
}

/// A cache whose time the test moves.
fn clocked() -> (Cache, ManualClock) {
    let clock = ManualClock::new(Moment::from_secs(1_000));
    (Cache::builder(mib(8)).clock(clock.clone()).build().unwrap(), clock)
}

fn text(word: &str) -> String {
    word.to_owned()
}

/// Other caches have no clock that could be moved.
fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// moka `max_capacity`, `weigher`; quick_cache `Weighter`: here bytes are real.
#[test]
fn a_limit_in_bytes_is_kept() {
    const LIMIT: usize = mib(8);
    let value = "v".repeat(1_000);

    let moka: Moka = moka::sync::Cache::builder()
        .max_capacity(LIMIT as u64)
        .weigher(|key: &String, value: &String| (key.len() + value.len()) as u32)
        .build();
    #[derive(Clone)]
    struct Length;
    impl quick_cache::Weighter<String, String> for Length {
        fn weight(&self, key: &String, value: &String) -> u64 {
            (key.len() + value.len()) as u64
        }
    }
    let quick = quick_cache::sync::Cache::with_weighter(8_000, LIMIT as u64, Length);
    let cache = Cache::builder(LIMIT).build().unwrap();
    let words: Words = TypedCache::new(cache.clone());

    for key in 0..20_000 {
        moka.insert(key.to_string(), value.clone());
        quick.insert(key.to_string(), value.clone());
        words.insert(&key.to_string(), &value).unwrap();
    }
    moka.run_pending_tasks();
    assert!(moka.weighted_size() <= LIMIT as u64 && quick.weight() <= LIMIT as u64);
    // With all that belongs to the items.
    assert!(cache.stats().used <= LIMIT);
    for count in [moka.entry_count(), quick.len() as u64, cache.stats().total.items] {
        assert!((5_000..=LIMIT as u64 / 1_000).contains(&count), "{count}");
    }
}

/// moka `get_with`, `try_get_with`, `optionally_get_with`.
#[test]
fn a_missing_value_is_loaded() {
    let (moka, words): (Moka, _) = (Moka::new(100), words());

    let made = moka.get_with(text("k"), || text("v"));
    let loaded = words.get_or_load("k", || Ok::<_, Never>(text("v"))).unwrap();
    assert_eq!(made, loaded);
    assert_eq!(moka.get("k"), words.get("k"));

    let down = || Err::<String, _>(io::Error::other("down"));
    let failed: Arc<io::Error> = moka.try_get_with(text("f"), down).unwrap_err();
    let Err(LoadError::Failed(ours)) = words.get_or_load("f", down) else { panic!("it fails") };
    assert_eq!(failed.to_string(), ours.to_string());
    // It is tried again.
    let up = || Ok::<_, io::Error>(text("up"));
    assert_eq!(moka.try_get_with(text("f"), up).unwrap(), words.get_or_load("f", up).unwrap());

    let found = moka.optionally_get_with(text("n"), || None);
    assert_eq!(found, words.get_or_find("n", || Ok::<_, Never>(None)).unwrap());
    let found = moka.optionally_get_with(text("n"), || Some(text("v")));
    assert_eq!(found, words.get_or_find("n", || Ok::<_, Never>(Some(text("v")))).unwrap());
}

/// However many threads ask, one of them calls `load`.
fn assert_one_load(get: impl Fn(&dyn Fn() -> String) -> String + Sync) {
    let loads = AtomicU64::new(0);
    let load = || {
        loads.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(20));
        text("v")
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(get(&load), "v"));
        }
    });
    assert_eq!(loads.into_inner(), 1);
}

#[test]
fn one_loads_for_all_who_ask() {
    let moka = Moka::new(100);
    assert_one_load(|load| moka.get_with(text("k"), load));
    assert_one_load(|load| moka.entry(text("e")).or_insert_with(load).into_value());
    let quick = Quick::new(100);
    assert_one_load(|load| quick.get_or_insert_with("k", || Ok::<_, Never>(load())).unwrap());
    let words = words();
    assert_one_load(|load| words.get_or_load("k", || Ok::<_, Never>(load())).unwrap());
}

/// moka `time_to_live`, `time_to_idle`, `Expiry`.
#[test]
fn values_end_in_time() {
    struct ByValue;
    impl moka::Expiry<String, String> for ByValue {
        fn expire_after_create(&self, _: &String, word: &String, _: Instant) -> Option<Duration> {
            (word == "short").then_some(Duration::from_millis(1))
        }
    }
    let short = Duration::from_millis(1);
    let live: Moka = moka::sync::Cache::builder().time_to_live(short).build();
    let idle: Moka = moka::sync::Cache::builder().time_to_idle(short).build();
    let by_value: Moka = moka::sync::Cache::builder().expire_after(ByValue).build();
    for moka in [&live, &idle, &by_value] {
        moka.insert(text("k"), text("short"));
        moka.insert(text("l"), text("long"));
        until(|| !moka.contains_key("k"));
    }
    assert!(by_value.contains_key("l"));

    let (cache, clock) = clocked();
    let builder = || TypedCache::<String, String>::builder(cache.clone());
    let ours: [Words; 3] = [
        builder().ttl(MINUTE).build(),
        builder().time_to_idle(MINUTE).build(),
        builder().expire_after(|word: &String| (word == "short").then_some(MINUTE)).build(),
    ];
    for words in &ours {
        words.clear();
        words.insert("k", &text("short")).unwrap();
        words.insert("l", &text("long")).unwrap();
        assert!(words.contains("k"));
        clock.advance(MINUTE);
        assert!(!words.contains("k"));
    }
    assert!(ours[2].contains("l"));
}

/// moka `entry(k).or_insert_with`, `and_compute_with`; `or_insert`, `or_default`.
#[test]
fn entries_and_changes() {
    let (moka, words) = (Moka::new(100), words());
    let entry = moka.entry(text("k")).or_insert_with(|| text("a")).into_value();
    assert_eq!(entry, words.entry("k").or_insert_with(|| text("a")).unwrap());
    let kept = moka.entry(text("k")).or_insert(text("b")).into_value();
    assert_eq!(kept, words.entry("k").or_insert(text("b")).unwrap());
    let empty = moka.entry(text("d")).or_default().into_value();
    assert_eq!(empty, words.entry("d").or_default().unwrap());

    type There = fn(Option<String>) -> Op<String>;
    type Here = fn(Option<String>) -> Change<String>;
    let changes: [(There, Here); 3] = [
        (
            |old| Op::Put(old.unwrap_or_default() + "c"),
            |old| Change::Put(old.unwrap_or_default() + "c"),
        ),
        (|_| Op::Nop, |_| Change::Keep),
        (|_| Op::Remove, |_| Change::Remove),
    ];
    for key in ["k", "new"] {
        for (there, here) in changes {
            moka.entry(text(key)).and_compute_with(|entry| there(entry.map(|e| e.into_value())));
            let has = words.compute(key, here).unwrap();
            assert_eq!(moka.get(key), has);
            assert_eq!(words.get(key), has);
        }
    }
}

/// moka `invalidate_entries_if`: tags if it is known before what ends together, or a walk.
#[test]
fn many_values_end_at_once() {
    let moka: Moka = moka::sync::Cache::builder().support_invalidation_closures().build();
    let (walked, tagged) = (words(), words());
    for (key, value) in [("a", "shoe"), ("b", "hat"), ("c", "shoe")] {
        moka.insert(text(key), text(value));
        walked.insert(key, &text(value)).unwrap();
        tagged.tagged(&[value]).unwrap().insert(key, &text(value)).unwrap();
    }
    moka.invalidate_entries_if(|_, value| value == "shoe").unwrap();
    moka.run_pending_tasks();
    walked.retain(|_, value| value != "shoe");
    tagged.invalidate_tag("shoe");
    for key in ["a", "b", "c"] {
        assert_eq!(moka.get(key), walked.get(key));
        assert_eq!(moka.get(key), tagged.get(key));
    }
    assert!(moka.contains_key("b"));
}

/// moka `eviction_listener`.
#[test]
fn removals_are_told() {
    let there = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&there);
    let moka: Moka = moka::sync::Cache::builder()
        .eviction_listener(move |key: Arc<String>, value, cause| {
            told.lock().unwrap().push((key.to_string(), value, cause));
        })
        .build();
    let here = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&here);
    let told = listener(Plain, move |key: String, value: Option<String>, cause| {
        told.lock().unwrap().push((key, value.unwrap(), cause));
    });
    let cache = Cache::builder(mib(8)).removed_values(true).on_removal(told).build().unwrap();
    let words: Words = TypedCache::new(cache);

    for value in ["one", "two"] {
        moka.insert(text("k"), text(value));
        words.insert("k", &text(value)).unwrap();
    }
    moka.invalidate("k");
    words.remove("k");
    moka.run_pending_tasks();
    let causes =
        [(RemovalCause::Replaced, Cause::Replaced), (RemovalCause::Explicit, Cause::Deleted)];
    let (there, here) = (there.lock().unwrap(), here.lock().unwrap());
    assert_eq!((there.len(), here.len()), (2, 2));
    for ((there, here), cause) in there.iter().zip(&*here).zip(causes) {
        assert_eq!((&there.0, &there.1), (&here.0, &here.1));
        assert_eq!((there.2, here.2), cause);
    }
}

/// moka `run_pending_tasks`: memory of what has ended is given back.
#[test]
fn housekeeping() {
    let moka: Moka = moka::sync::Cache::builder().time_to_live(Duration::from_millis(1)).build();
    moka.insert(text("k"), text("v"));
    until(|| {
        moka.run_pending_tasks();
        moka.entry_count() == 0
    });

    let (cache, clock) = clocked();
    let words: Words = TypedCache::builder(cache.clone()).ttl(MINUTE).build();
    words.insert("k", &text("v")).unwrap();
    clock.advance(MINUTE);
    while cache.maintain(1_000) {}
    assert_eq!(cache.stats().total.items, 0);
}

/// moka `invalidate`, `invalidate_all`, `entry_count`; `remove`, `contains_key`, `iter`.
#[test]
fn removing_and_counting() {
    let (moka, words) = (Moka::new(100), words());
    for key in ["a", "b", "c"] {
        moka.insert(text(key), text("v"));
        words.insert(key, &text("v")).unwrap();
    }
    moka.run_pending_tasks();
    assert_eq!(moka.entry_count(), words.cache().stats().total.items);
    moka.invalidate("a");
    words.remove("a");
    assert_eq!(moka.remove("b"), words.remove("b"));
    let left: BTreeMap<_, _> = moka.iter().map(|(key, value)| (key.to_string(), value)).collect();
    assert_eq!(left, words.iter().collect());
    assert_eq!(moka.contains_key("a"), words.contains("a"));
    moka.invalidate_all();
    words.clear();
    assert!(!moka.contains_key("c") && !words.contains("c"));
}

/// quick_cache `get_or_insert_with`, `get_value_or_guard`.
#[test]
fn a_value_or_the_duty_to_make_it() {
    let (quick, words) = (Quick::new(100), words());
    let fails = || Err("down");
    let theirs = quick.get_or_insert_with("k", fails).unwrap_err();
    let Err(LoadError::Failed(ours)) = words.get_or_load("k", fails) else { panic!("it fails") };
    assert_eq!(theirs, *ours);
    let makes = || Ok::<_, &str>(text("v"));
    assert_eq!(quick.get_or_insert_with("k", makes), Ok(words.get_or_load("k", makes).unwrap()));

    match quick.get_value_or_guard("g", None) {
        GuardResult::Guard(guard) => guard.insert(text("v")).unwrap(),
        GuardResult::Value(_) | GuardResult::Timeout => panic!("nobody else makes it"),
    }
    words.get_or_load("g", || Ok::<_, Never>(text("v"))).unwrap();
    assert_eq!(quick.get("g"), words.get("g"));

    // Who waits no longer than this. There a time-out is a result, here this one makes the value.
    let GuardResult::Guard(guard) = quick.get_value_or_guard("t", None) else {
        panic!("it is free")
    };
    let waits = quick.get_value_or_guard("t", Some(Duration::ZERO));
    assert!(matches!(waits, GuardResult::Timeout));
    drop(guard);
    let hasty: Words = TypedCache::builder(cache()).load_timeout(Duration::ZERO).build();
    let outer = hasty.get_or_load("t", || {
        thread::scope(|scope| {
            let inner = scope.spawn(|| hasty.get_or_load("t", || Ok::<_, Never>(text("inner"))));
            assert_eq!(inner.join().unwrap().unwrap(), "inner");
        });
        Ok::<_, Never>(text("outer"))
    });
    assert_eq!((outer.unwrap(), hasty.get("t")), (text("outer"), Some(text("inner"))));
}

/// quick_cache `get_or_insert_async`, foyer `get_or_fetch`.
#[test]
fn tasks_load() {
    let (quick, words) = (Quick::new(100), words());
    let foyer: foyer_memory::Cache<String, String> = foyer_memory::CacheBuilder::new(100).build();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let theirs = quick.get_or_insert_async("k", async { Ok::<_, Never>(text("v")) }).await;
        let fetched = foyer.get_or_fetch("k", || async { Ok::<_, io::Error>(text("v")) }).await;
        let ours = words.get_or_load_async("k", async { Ok::<_, Never>(text("v")) }).await;
        let ours = ours.unwrap();
        assert_eq!((theirs.unwrap(), fetched.unwrap().value()), (ours.clone(), &ours));
        let fetched = foyer.get("k").map(|entry| entry.value().clone());
        assert_eq!((quick.get("k"), fetched), (words.get("k"), words.get("k")));
    });
}

/// lru `put`, `pop`, `peek`, `get_or_insert`; what was there is told by `compute`.
#[test]
fn a_map_with_a_limit() {
    let mut lru = lru::LruCache::new(NonZeroUsize::new(100).unwrap());
    let words = words();
    assert_eq!(lru.put(text("k"), text("v")), None);
    words.insert("k", &text("v")).unwrap();
    assert_eq!(lru.peek("k").cloned(), words.peek("k"));
    assert_eq!(lru.get("k").cloned(), words.get("k"));

    let old = lru.put(text("k"), text("new"));
    let mut ours = None;
    let swap = |old| {
        ours = old;
        Change::Put(text("new"))
    };
    words.compute("k", swap).unwrap();
    assert_eq!(old, ours);

    let there = lru.get_or_insert(text("k"), || text("unused")).clone();
    assert_eq!(there, words.entry("k").or_insert_with(|| text("unused")).unwrap());
    assert_eq!(lru.pop("k"), words.remove("k"));
    assert_eq!(lru.contains("k"), words.contains("k"));
}

/// cached `#[cached(ttl = 60)]`.
#[test]
fn a_function_with_a_memory() {
    use std::sync::LazyLock;
    static CALLS: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

    #[cached::macros::cached(ttl = 60)]
    fn square_there(n: u32) -> u32 {
        CALLS[0].fetch_add(1, Ordering::SeqCst);
        n * n
    }

    fn square_here(n: u32) -> u32 {
        static SQUARES: LazyLock<TypedCache<u32, u32, memcore::typed::Pod>> =
            LazyLock::new(|| TypedCache::builder(cache()).ttl(MINUTE).build());
        let load = || {
            CALLS[1].fetch_add(1, Ordering::SeqCst);
            Ok::<_, Never>(n * n)
        };
        SQUARES.get_or_load(&n, load).unwrap()
    }

    for n in [7, 8, 7, 7] {
        assert_eq!(square_there(n), square_here(n));
    }
    assert_eq!(CALLS.each_ref().map(|calls| calls.load(Ordering::SeqCst)), [2, 2]);
}

/// memcached `gets` and `cas`, `incr`, `touch`.
#[test]
fn a_server_without_a_server() {
    let (shared, clock) = clocked();
    let server = memserver::Server::builder(shared).listen("127.0.0.1:0").start().unwrap();
    let mut client = memserver::Client::connect(server.local_addr().unwrap()).unwrap();
    let (cache, our_clock) = clocked();

    client.set("k", b"1", None).unwrap();
    cache.set("k", b"1", Attrs::new()).unwrap();
    let item = client.fetch("k").unwrap().unwrap();
    let longer = [&item.value[..], b"2"].concat();
    client.compare_and_set("k", &longer, None, item.version).unwrap();
    let ours = cache
        .update("k", Attrs::new(), |old| Change::Put([old.unwrap_or_default(), b"2"].concat()));
    assert_eq!(ours.unwrap(), Some(longer));
    assert_eq!(client.get("k").unwrap(), cache.get("k"));

    let counter = Counter::new(&cache);
    for delta in [1, 5] {
        assert_eq!(client.add_to("visits", delta).unwrap(), counter.add("visits", delta).unwrap());
    }

    assert!(client.touch("k", Some(MINUTE)).unwrap());
    assert!(cache.touch("k", Expiry::after(MINUTE)).unwrap().is_some());
    clock.advance(MINUTE);
    our_clock.advance(MINUTE);
    assert_eq!(client.get("k").unwrap(), None);
    assert_eq!(cache.get("k"), None);
}
