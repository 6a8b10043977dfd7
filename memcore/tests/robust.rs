//! What a program may do wrong, or have happen to it: absurd parameters, tiny and many caches, a
//! system that refuses memory, a clock that goes back, handles that outlive their cache.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use memcore::typed::TypedCache;
use memcore::{
    Attrs, Builder, Cache, Clock, ConfigError, Counter, Expiry, Fetch, Moment, Store, StoreError,
    gib, mib,
};

/// What a builder is asked for, and a number that its error has to name.
type Absurd = (Builder, usize);

#[test]
fn absurd_parameters_are_errors_that_say_the_range() {
    let Err(ConfigError::LimitTooSmall { least, .. }) = Cache::new(0) else { panic!("0 bytes") };
    let absurd: [Absurd; 10] = [
        (Cache::builder(0), least),
        (Cache::builder(1), least),
        (Cache::builder(least - 1), least),
        (Cache::builder(mib(16)).max_item_size(mib(8) + 1), mib(8)),
        (Cache::builder(mib(16)).max_item_size(usize::MAX), mib(8)),
        (Cache::builder(gib(4)).max_item_size(usize::MAX), gib(1)),
        (Cache::builder(mib(16)).max_item_size(0), 16),
        (Cache::builder(mib(16)).max_key_len(0), 1),
        (Cache::builder(mib(16)).max_key_len(65_537), 65_536),
        (Cache::builder(mib(16)).max_key_len(usize::MAX), 65_536),
    ];
    for (builder, bound) in absurd {
        let words = builder.build().expect_err("it is absurd").to_string();
        assert!(words.contains(&bound.to_string()), "{bound}: {words}");
    }
    for limit in [usize::MAX, usize::MAX / 2, isize::MAX as usize - 4_096] {
        let error = Cache::new(limit).expect_err("no machine has that");
        assert!(!error.to_string().is_empty());
    }
    let cache = Cache::builder(mib(16)).max_limit(mib(32)).build().unwrap();
    let words = cache.set_limit(usize::MAX).unwrap_err().to_string();
    assert!(words.contains(&mib(32).to_string()), "{words}");
    let words = cache.set_limit(0).unwrap_err().to_string();
    assert!(words.contains("minimum is "), "{words}");
}

#[test]
fn what_has_no_range_may_be_anything() {
    let numbers = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 2.0];
    for weight in numbers {
        let cache = Cache::builder(mib(4)).evict_size_weight(weight).pin_limit(usize::MAX);
        let cache = cache.max_limit(0).build().unwrap();
        for key in 0..10_000_u32 {
            cache.set(key.to_le_bytes(), &[0; 500], Attrs::new()).unwrap();
        }
        assert!(cache.stats().total.items > 1_000);
        while cache.maintain(usize::MAX) {}
    }
    let times = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX];
    for (time, share) in times.into_iter().zip([f64::NAN, -1.0, f64::INFINITY]) {
        let typed: TypedCache<str, String> = TypedCache::builder(Cache::new(mib(4)).unwrap())
            .ttl(time)
            .fresh_for(time)
            .absent_ttl(time)
            .error_ttl(time)
            .jitter(share)
            .load_timeout(time)
            .build();
        for _ in 0..2 {
            let loaded = typed.get_or_load("k", || Ok::<_, ()>("v".to_owned()));
            assert_eq!(loaded.unwrap(), "v");
            assert_eq!(typed.get_or_find("none", || Ok::<_, ()>(None)).unwrap(), None);
            assert!(typed.get_or_load("bad", || Err("down")).is_err());
        }
        let lasting: TypedCache<str, String> = TypedCache::builder(typed.cache().clone())
            .ttl(Duration::MAX)
            .time_to_idle(Duration::MAX)
            .jitter(1e-20)
            .build();
        lasting.insert("lasting", &"v".to_owned()).unwrap();
        assert_eq!(lasting.get("lasting").as_deref(), Some("v"));
        let counter = Counter::new(typed.cache()).ttl(time);
        assert_eq!(counter.add("n", u64::MAX), Ok(u64::MAX));
        typed.cache().touch("k", Expiry::After(time)).unwrap();
        typed.cache().flush_at(Moment::MAX);
    }
}

#[test]
fn a_mebibyte_is_enough() {
    let cache = Cache::new(mib(1)).unwrap();
    for round in 0..8_000_u32 {
        let len = [10, 100, 1_000, 20_000][round as usize % 4];
        cache.set(round.to_le_bytes(), &vec![round as u8; len], Attrs::new()).unwrap();
        let found = cache.get(round.to_le_bytes()).expect("it was just stored");
        assert_eq!(found, vec![round as u8; len]);
        assert!(cache.stats().used <= mib(1));
    }
    let largest = cache.max_item_size();
    assert!(largest >= mib(1) / 4, "{largest}");
    cache.set("large", &vec![7; largest - 100], Attrs::new()).unwrap();
    assert!(cache.contains("large"));
}

/// Bytes of memory that this process has in its mappings.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kib| kib << 10)
}

/// In a process of its own: other tests take memory as well.
#[test]
#[ignore = "run by another test"]
fn child_with_a_thousand_caches() {
    // Limits below and above the one from which huge pages are asked for.
    for (count, limit, items, most) in [
        (1_000, mib(64), 0, 160 << 10),
        (1_000, mib(64), 1, 160 << 10),
        (1_000, mib(1), 100, 100 << 10),
        (20, gib(1), 1, 2 << 20),
    ] {
        let before = resident();
        let caches: Vec<Cache> = (0..count).map(|_| Cache::new(limit).unwrap()).collect();
        let numbers = || caches.iter().enumerate().flat_map(|at| (0..items).map(move |i| (at, i)));
        for ((number, cache), item) in numbers() {
            cache.set(u64::to_le_bytes(item), &number.to_le_bytes(), Attrs::new()).unwrap();
        }
        for ((number, cache), item) in numbers() {
            assert_eq!(cache.get(u64::to_le_bytes(item)).unwrap(), number.to_le_bytes());
        }
        let used = caches.iter().map(|cache| cache.stats().used).sum::<usize>() / count;
        if let (Some(before), Some(after)) = (before, resident()) {
            let each = (after - before) / count;
            println!("limit {limit}, {items} items: {each} bytes each, accounted {used}");
            assert!(each < most, "limit {limit}, {items} items: {each} bytes each");
            assert!(each <= used, "limit {limit}: {each} bytes each, accounted {used}");
        }
    }
}

/// Runs a test that is ignored otherwise in a process of its own, behind a command of the shell.
fn run_child(test: &str, before: &str) -> String {
    let exe = std::env::current_exe().unwrap();
    let script = format!("{before} exec \"$0\" --exact {test} --ignored --nocapture");
    let output = Command::new("sh").arg("-c").arg(script).arg(&exe).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}: {}\n{said}\n{errors}", output.status);
    said
}

#[test]
#[cfg(target_os = "linux")]
fn a_thousand_caches_cost_what_they_hold() {
    println!("{}", run_child("child_with_a_thousand_caches", ""));
}

/// With 300 MiB of address space in all.
#[test]
#[ignore = "run by another test"]
fn child_without_memory() {
    // Larger than there is: an error that says what was refused.
    let error = Cache::new(gib(2)).expect_err("there is no such memory");
    assert!(matches!(&error, ConfigError::System { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    // There is room for the limit, not for four times the limit.
    let cache = Cache::new(mib(96)).expect("room to grow is no condition");
    for key in 0..60_000_u32 {
        cache.set(key.to_le_bytes(), &[1; 2_000], Attrs::new()).unwrap();
    }
    assert!(cache.stats().total.evicted > 0 && cache.stats().used <= mib(96));
    assert!(matches!(cache.set_limit(mib(300)), Err(ConfigError::LimitTooLarge { .. })));
    // Another one has no room beside it, until it is gone.
    assert!(matches!(Cache::new(mib(200)), Err(ConfigError::System { .. })));
    drop(cache);
    Cache::new(mib(96)).expect("what was taken went back");
}

#[test]
#[cfg(target_os = "linux")]
fn refused_memory_is_an_error() {
    run_child("child_without_memory", "ulimit -v 307200;");
}

#[test]
fn a_limit_that_is_reached_is_an_error() {
    let cache = Cache::builder(mib(4)).evictions(false).build().unwrap();
    let typed: TypedCache<u32, Vec<u8>> = TypedCache::new(cache.clone());
    let refused = (0..100_000).map(|key| typed.insert(&key, &vec![0; 500])).find(Result::is_err);
    let error = refused.expect("4 MiB are full at some time").unwrap_err();
    assert_eq!(error.to_string(), "out of memory");
    assert_eq!(cache.set("k", &[0; 500], Attrs::new()), Err(StoreError::OutOfMemory));
    assert_eq!(cache.reserve("k", 5_000, Attrs::new()).err(), Some(StoreError::OutOfMemory));
    assert!(Counter::new(&cache).add("n", 1).is_ok() || cache.stats().total.out_of_memory > 0);
    // What can't be stored is loaded all the same.
    let loaded = typed.get_or_load(&u32::MAX, || Ok::<_, ()>(vec![0; 500]));
    assert_eq!(loaded.unwrap().len(), 500);
    assert!(!typed.contains(&u32::MAX));
    assert!(typed.get(&0).is_some(), "what is there stays");
}

/// A clock that shows what it is told, earlier times as well.
#[derive(Clone, Debug)]
struct Wild(Arc<AtomicU32>);

impl Clock for Wild {
    fn now(&self) -> Moment {
        Moment::from_secs(self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn a_clock_that_goes_back_is_harmless() {
    const NOON: u32 = 1_000_000;
    let shown = Arc::new(AtomicU32::new(NOON));
    let cache = Cache::builder(mib(2)).clock(Wild(Arc::clone(&shown))).build().unwrap();
    let brief = Attrs::new().ttl(Duration::from_secs(60));
    let lease = Fetch::new().lease(true).renew_within(Duration::from_secs(30));
    let mut state = 1_u32;
    for round in 0..20_000_u32 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // To and fro, now and then to the ends of time.
        shown.store(
            match state >> 24 {
                0 => 0,
                1 => u32::MAX,
                _ => NOON + (state >> 8) % 1_000,
            },
            Ordering::Relaxed,
        );
        let key = ((state >> 4) % 5_000).to_le_bytes();
        match round % 8 {
            0..3 => _ = cache.set(key, &vec![1; (state >> 20) as usize], brief).unwrap(),
            3 => _ = cache.set(key, &[1; 100], Attrs::new()).unwrap(),
            4 => _ = cache.touch(key, Expiry::After(Duration::from_secs(10))).unwrap(),
            5 => _ = cache.fetch(key, &lease, &mut Vec::new(), |_, _| {}),
            6 if round % 4_096 == 6 => cache.flush_at(Moment::from_secs(NOON + state % 1_000)),
            6 => _ = cache.maintain(100),
            _ => _ = cache.get(key),
        }
    }
    // When it goes on as it should, all is as it should be.
    shown.store(NOON + 2_000, Ordering::Relaxed);
    cache.flush_at(Moment::MAX);
    cache.set("k", b"v", brief).unwrap();
    assert!(cache.contains("k"));
    shown.fetch_add(60, Ordering::Relaxed);
    assert!(!cache.contains("k"));
    while cache.maintain(1_000) {}
    let stats = cache.stats();
    assert!(stats.used <= stats.limit);
    cache.flush();
    while cache.maintain(1_000) {}
    assert_eq!(cache.stats().total.items, 0);
}

#[test]
fn what_a_cache_handed_out_may_outlive_it() {
    let cache = Cache::new(mib(16)).unwrap();
    cache.set("k", &vec![7; 300_000], Attrs::new()).unwrap();
    let handle = cache.get_handle("k").unwrap();
    let weak = handle.downgrade();
    let tagged = cache.tagged(&["a", "b"]).unwrap();
    let mut place = cache.reserve("later", 300_000, Attrs::new()).unwrap();
    let typed: TypedCache<str, String> = TypedCache::new(cache.clone());
    drop(cache);
    assert!(handle.parts().all(|part| part.iter().all(|byte| *byte == 7)));
    assert_eq!(weak.map(|weak| weak.upgrade().is_ok()), Some(true));
    tagged.set("tagged", b"v", Attrs::new()).unwrap();
    place.write(&vec![1; 300_000]);
    place.commit(&Store::new()).unwrap();
    assert_eq!(typed.cache().get("later").map(|value| value.len()), Some(300_000));
    drop((typed, tagged));
    assert_eq!(handle.len(), 300_000);
    drop(handle);
}

/// Uses a cache when its thread ends, as a buffer does that writes what is left.
struct Late(std::cell::OnceCell<TypedCache<str, String>>);

impl Drop for Late {
    fn drop(&mut self) {
        let Some(words) = self.0.get() else { return };
        words.insert("late", &"v".to_owned()).unwrap();
        assert_eq!(words.get("late").as_deref(), Some("v"));
        assert_eq!(words.get_or_load("loaded", || Ok::<_, ()>("v".to_owned())).unwrap(), "v");
        for key in 0..3_000_u32 {
            words.cache().set(key.to_le_bytes(), b"v", Attrs::new()).unwrap();
            words.cache().delete(key.to_le_bytes());
        }
        words.remove("late");
        LATE_ENDED.fetch_add(1, Ordering::SeqCst);
    }
}

static LATE_ENDED: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static LATE: Late = const { Late(std::cell::OnceCell::new()) };
}

#[test]
fn a_thread_that_ends_may_use_the_cache() {
    let told = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&told);
    let builder = Cache::builder(mib(4)).on_removal(move |cache, removal| {
        count.fetch_add(1, Ordering::SeqCst);
        // What a listener removes is told as well.
        if removal.key == b"late" {
            cache.delete("loaded");
        }
    });
    let typed: TypedCache<str, String> =
        TypedCache::builder(builder.build().unwrap()).hot_keys(true).build();
    // Thread-locals end in the order of their first use or in the opposite one.
    for late_first in [true, false] {
        let typed = typed.clone();
        let thread = std::thread::spawn(move || {
            let enter =
                |typed: TypedCache<str, String>| LATE.with(|late| late.0.set(typed).is_ok());
            let use_it = || {
                typed.insert("k", &"v".to_owned()).unwrap();
                assert_eq!(typed.remove("k").as_deref(), Some("v"));
            };
            if !late_first {
                use_it();
            }
            assert!(enter(typed.clone()));
            use_it();
        });
        thread.join().unwrap();
    }
    assert_eq!(LATE_ENDED.load(Ordering::SeqCst), 2, "no panic, which the system would end");
    assert!(told.load(Ordering::SeqCst) >= 6_000);
    assert!(!typed.contains("loaded"));
}
