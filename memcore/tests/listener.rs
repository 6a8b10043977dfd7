//! The removal listener: what it is told, in which order, and what it may do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use memcore::typed::{self, Plain, TypedCache};
use memcore::{Attrs, Builder, Cache, Cause, Expiry, ManualClock, Moment, Remove, Store, mib};

const START: Moment = Moment::from_secs(1_000_000);

/// A cause, and the value that went.
type Told = (Cause, Vec<u8>);

fn spilling(builder: Builder) -> (Cache, mpsc::Receiver<Told>) {
    let (sender, told) = mpsc::channel();
    let builder = builder.removed_values(true).on_removal(move |_, removal| {
        let value = removal.value.expect("values were asked for").to_vec();
        assert_eq!(value.len(), removal.meta.value_len);
        sender.send((removal.cause, value)).unwrap();
    });
    (builder.build().unwrap(), told)
}

#[test]
fn every_cause_comes_with_the_value() {
    let clock = ManualClock::new(START);
    let (cache, told) = spilling(Cache::builder(mib(8)).clock(clock.clone()));
    let next = || told.try_recv().expect("a removal");
    let set = |value: &[u8]| cache.set("k", value, Attrs::new()).unwrap();
    set(b"1");
    // Of the same form, so that it could be written over the old one.
    set(b"2");
    assert_eq!(next(), (Cause::Replaced, b"1".to_vec()));
    let long = vec![b'l'; 300_000];
    set(&long);
    assert_eq!(next(), (Cause::Replaced, b"2".to_vec()));
    cache.delete("k");
    assert_eq!(next(), (Cause::Deleted, long));
    set(b"3");
    assert_eq!(cache.remove("k").unwrap(), b"3");
    assert_eq!(next(), (Cause::Deleted, b"3".to_vec()));
    cache.set("k", b"4", Attrs::new().ttl(Duration::from_secs(1))).unwrap();
    clock.advance(Duration::from_secs(1));
    // A lookup that changes something removes what has expired.
    cache.fetch("k", &memcore::Fetch::new().touch(Expiry::Never), &mut Vec::new(), |_, _| {});
    assert_eq!(next(), (Cause::Expired, b"4".to_vec()));
    set(b"5");
    cache.flush();
    while cache.maintain(1_000) {}
    assert_eq!(next(), (Cause::Flushed, b"5".to_vec()));
    cache.tagged(&["t"]).unwrap().set("k", b"6", Attrs::new()).unwrap();
    cache.invalidate_tag("t");
    cache.remove_with("k", &Remove::new()).unwrap();
    assert_eq!(next(), (Cause::Invalidated, b"6".to_vec()));
    let mut place = cache.reserve("k", 1, Attrs::new()).unwrap();
    set(b"7");
    place.write(b"8");
    place.commit(&Store::new()).unwrap();
    assert_eq!(next(), (Cause::Replaced, b"7".to_vec()));
    assert!(told.try_recv().is_err());
}

#[test]
fn evictions_are_told_by_whoever_evicts() {
    let (cache, told) = spilling(Cache::builder(mib(4)));
    let mut count = 0;
    for key in 0..20_000_u32 {
        cache.set(key.to_le_bytes(), &[key as u8; 500], Attrs::new()).unwrap();
        if key % 64 != 0 {
            continue;
        }
        count += told.try_iter().filter(|(cause, _)| *cause == Cause::Evicted).count() as u64;
        assert_eq!(count, cache.stats().total.evicted, "when an operation is done, all is told");
    }
    assert!(count > 10_000);
}

#[test]
fn a_listener_may_use_the_cache() {
    let depth = Arc::new(AtomicU64::new(0));
    let most = Arc::clone(&depth);
    let cache = Cache::builder(mib(8))
        .on_removal(move |cache, removal| {
            let inner = most.fetch_add(1, Ordering::Relaxed);
            assert_eq!(inner, 0, "a listener is not called within itself");
            if removal.cause == Cause::Deleted && removal.key != b"log" {
                let note = |old: Option<&[u8]>| {
                    memcore::Change::Put([old.unwrap_or_default(), removal.key].concat())
                };
                cache.update("log", Attrs::new(), note).unwrap();
            }
            cache.delete("other");
            assert!(cache.get(removal.key).is_none() || removal.key == b"log");
            most.fetch_sub(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    for key in ["a", "b", "c"] {
        cache.set("other", b"v", Attrs::new()).unwrap();
        cache.set(key, b"v", Attrs::new()).unwrap();
        assert!(cache.delete(key));
        assert!(!cache.contains("other"));
    }
    let log = cache.get("log").unwrap();
    assert!(log.starts_with(b"a") && log.contains(&b'b') && log.contains(&b'c'));
    assert_eq!(cache.stats().listener_panics, 0);
}

#[test]
fn panics_are_counted_and_others_are_told_all_the_same() {
    let told = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&told);
    let cache = Cache::builder(mib(8))
        .on_removal(move |_, removal| {
            count.fetch_add(1, Ordering::Relaxed);
            assert_ne!(removal.key, b"bad", "a listener of somebody else");
        })
        .build()
        .unwrap();
    for key in ["good", "bad", "good"] {
        cache.set(key, b"v", Attrs::new()).unwrap();
        assert!(cache.delete(key));
    }
    assert_eq!((told.load(Ordering::Relaxed), cache.stats().listener_panics), (3, 1));
}

/// Threads replace and delete the same keys. Each value is told once, in the order of its key.
#[test]
fn each_removal_is_told_once_and_in_order() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 3_000;
    let told = Arc::new(Mutex::new(HashMap::<Vec<u8>, Vec<u64>>::new()));
    let log = Arc::clone(&told);
    let cache = Cache::builder(mib(16))
        .on_removal(move |_, removal| {
            let version = removal.meta.version;
            log.lock().unwrap().entry(removal.key.to_vec()).or_default().push(version);
        })
        .build()
        .unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let cache = &cache;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let key = [((thread + round) % 3) as u8];
                    cache.set(key, &vec![0; (round % 40) as usize], Attrs::new()).unwrap();
                    if round % 7 == 0 {
                        cache.delete(key);
                    }
                }
            });
        }
    });
    (0..3_u8).for_each(|key| _ = cache.delete([key]));
    let told = told.lock().unwrap();
    for (key, versions) in told.iter() {
        assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{key:?}");
    }
    let all: usize = told.values().map(Vec::len).sum();
    assert_eq!(all as u64, THREADS * ROUNDS);
}

/// While a listener is busy others leave their removals to it, and wait once there are many.
#[test]
fn a_slow_listener_slows_those_who_remove_much() {
    let is_open = Arc::new(AtomicBool::new(false));
    let told = Arc::new(AtomicU64::new(0));
    let (gate, count) = (Arc::clone(&is_open), Arc::clone(&told));
    let cache = Cache::builder(mib(16))
        .on_removal(move |_, _| {
            while !gate.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            count.fetch_add(1, Ordering::SeqCst);
        })
        .build()
        .unwrap();
    let done = AtomicU64::new(0);
    let remove = |times: u64| {
        for _ in 0..times {
            cache.set("k", b"v", Attrs::new()).unwrap();
            cache.delete("k");
            done.fetch_add(1, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| remove(1));
        while cache.stats().total.deleted == 0 {
            thread::yield_now();
        }
        scope.spawn(|| remove(5_000));
        while done.load(Ordering::SeqCst) < 1_000 {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(20));
        let before = done.load(Ordering::SeqCst);
        assert!(before < 2_000, "{before} went by a listener that tells of none");
        is_open.store(true, Ordering::SeqCst);
    });
    assert_eq!(told.load(Ordering::SeqCst), 5_001);
}

/// Listeners of two caches that use each other's cache: nobody waits, and nothing is lost.
#[test]
fn listeners_may_use_other_caches() {
    let told = Arc::new(AtomicU64::new(0));
    let other = Arc::new(Mutex::new(None::<Cache>));
    let listener = |of: Arc<Mutex<Option<Cache>>>, count: Arc<AtomicU64>| {
        move |cache: &Cache, removal: &memcore::Removal<'_>| {
            count.fetch_add(1, Ordering::Relaxed);
            let left = removal.key[0];
            let other = of.lock().unwrap().clone();
            if let (Some(other), true) = (other, left > 0) {
                for cache in [cache, &other] {
                    cache.set([left - 1], b"v", Attrs::new()).unwrap();
                    cache.delete([left - 1]);
                }
            }
        }
    };
    let one = Cache::builder(mib(8)).on_removal(listener(Arc::clone(&other), Arc::clone(&told)));
    let one = one.build().unwrap();
    let back = Arc::new(Mutex::new(Some(one.clone())));
    let two = Cache::builder(mib(8)).on_removal(listener(Arc::clone(&back), Arc::clone(&told)));
    *other.lock().unwrap() = Some(two.build().unwrap());
    one.set([5], b"v", Attrs::new()).unwrap();
    one.delete([5]);
    assert_eq!(told.load(Ordering::Relaxed), (1 << 6) - 1, "two for each but the last");
    *back.lock().unwrap() = None;
    *other.lock().unwrap() = None;
}

#[test]
fn a_typed_listener_is_told_of_values_and_of_nothing_else() {
    let (sender, told) = mpsc::channel();
    let listener = typed::listener(Plain, move |key: u64, value: Option<String>, cause| {
        sender.send((key, value, cause)).unwrap();
    });
    let cache = Cache::builder(mib(16)).removed_values(true).on_removal(listener).build().unwrap();
    let names: TypedCache<u64, String> = TypedCache::new(cache.clone());
    names.get_or_load(&1, || Ok::<_, ()>("Ann".to_owned())).unwrap();
    assert!(names.get_or_load(&2, || Err("nobody")).is_err());
    names.insert(&1, &"Bob".to_owned()).unwrap();
    names.remove(&1);
    // A key of another length is none, and these bytes are no text.
    cache.set("key", b"value", Attrs::new()).unwrap();
    cache.delete("key");
    cache.set(3_u64.to_be_bytes(), b"\xff", Attrs::new()).unwrap();
    cache.delete(3_u64.to_be_bytes());
    let name = |name: &str| Some(name.to_owned());
    let expected = [
        (1, name("Ann"), Cause::Replaced),
        (1, name("Bob"), Cause::Deleted),
        (3, None, Cause::Deleted),
    ];
    assert_eq!(told.try_iter().collect::<Vec<_>>(), expected);
}
