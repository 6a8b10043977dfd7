//! What happens in the middle of an operation of a typed cache: codecs, loaders and errors of these
//! tests use the cache while they are called. And what several typed caches do to each other.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use memcore::typed::{Codec, CodecError, Plain, TypedBuilder, TypedCache};
use memcore::{Attrs, Cache, Change, ManualClock, Moment, mib};

const START: Moment = Moment::from_secs(1_000_000);

type Never = std::convert::Infallible;
type Words = TypedCache<String, String>;
type Builder = TypedBuilder<String, String, Plain>;

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn text(word: &str) -> String {
    word.to_owned()
}

fn cache() -> (Cache, ManualClock) {
    let clock = ManualClock::new(START);
    (Cache::builder(mib(16)).clock(clock.clone()).build().unwrap(), clock)
}

fn timed(settings: impl FnOnce(Builder) -> Builder) -> (Words, ManualClock) {
    let (cache, clock) = cache();
    (settings(TypedCache::builder(cache)).build(), clock)
}

type Work = Box<dyn FnOnce() + Send>;

/// Text, whose next value does something when it is read.
#[derive(Clone, Default)]
struct Busy(Arc<Mutex<Option<Work>>>);

type BusyWords = TypedCache<str, String, Busy>;

impl Busy {
    fn next(&self, work: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(work));
    }
}

impl Codec<String> for Busy {
    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
        Plain.encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
        let work = self.0.lock().unwrap().take();
        if let Some(work) = work {
            work();
        }
        Plain.decode(bytes)
    }
}

#[test]
fn reading_a_value_keeps_no_other_one_from_ending() {
    let reads: [fn(&BusyWords); 4] = [
        |words| _ = words.get("k"),
        |words| _ = words.get_many(["k"]),
        |words| _ = words.get_or_load("k", || Ok::<_, Never>(text("unused"))).unwrap(),
        |words| _ = words.compute("k", |_| Change::Keep).unwrap(),
    ];
    for read in reads {
        let (cache, clock) = cache();
        let busy = Busy::default();
        let words = TypedCache::<str, String>::builder(cache)
            .codec(busy.clone())
            .time_to_idle(secs(100))
            .ttl(secs(1_000))
            .absent_ttl(secs(5))
            .build();
        let writes: [fn(&BusyWords); 2] = [
            |words| words.insert_with_ttl("k", &text("short"), secs(5)).unwrap(),
            |words| {
                words.remove("k");
                assert_eq!(words.get_or_find("k", || Ok::<_, Never>(None)).unwrap(), None);
            },
        ];
        for write in writes {
            words.insert("k", &text("long")).unwrap();
            clock.advance(secs(1));
            let other = words.clone();
            busy.next(move || write(&other));
            read(&words);
            clock.advance(secs(5));
            assert!(words.cache().peek("k").is_none(), "it has lived its five seconds");
        }
    }
}

#[test]
fn looking_at_a_value_to_keep_it_is_a_use() {
    let (words, clock) = timed(|settings| settings.time_to_idle(secs(10)));
    words.insert("k", &text("v")).unwrap();
    for _ in 0..5 {
        clock.advance(secs(6));
        assert!(words.compute("k", |_| Change::Keep).unwrap().is_some());
    }
}

/// memcached's clients say by the flags of what type a value is.
#[test]
fn flags_of_others_are_no_time() {
    for flags in [1, 2, 16, 0x8000_0001] {
        let (cache, clock) = cache();
        let idle: Words = TypedCache::builder(cache.clone()).time_to_idle(secs(10)).build();
        cache.set("idle", b"v", Attrs::new().flags(flags).ttl(secs(60))).unwrap();
        cache.set("k", b"v", Attrs::new().flags(flags)).unwrap();
        for _ in 0..5 {
            clock.advance(secs(6));
            assert_eq!(idle.get("idle").as_deref(), Some("v"), "{flags}");
            assert_eq!(idle.get("k").as_deref(), Some("v"), "{flags}");
        }
    }
}

#[test]
fn chance_leaves_a_second_of_each_life() {
    let (words, _) = timed(|settings| settings.jitter(1.0));
    for _ in 0..100 {
        words.insert_with_ttl("k", &text("v"), secs(1)).unwrap();
        assert!(words.contains("k"));
    }
    let (words, _) = timed(|settings| settings.jitter(0.9).time_to_idle(secs(2)));
    for _ in 0..100 {
        words.insert("k", &text("v")).unwrap();
        assert!(words.contains("k"));
    }
    // Less is nothing, as without it.
    words.insert_with_ttl("k", &text("v"), Duration::from_millis(900)).unwrap();
    assert!(!words.contains("k"));
}

#[test]
fn a_value_with_a_life_of_its_own_is_stale_by_that() {
    let (words, clock) = timed(|settings| settings.ttl(secs(600)).fresh_for(secs(60)));
    words.insert("common", &text("v")).unwrap();
    words.insert_with_ttl("short", &text("v"), secs(30)).unwrap();
    words.insert_with_ttl("long", &text("v"), secs(3_600)).unwrap();
    let stale = |words: &Words| ["common", "short", "long"].map(|key| words.is_stale(key));
    assert_eq!(stale(&words), [false; 3]);
    clock.advance(secs(29));
    assert_eq!(stale(&words), [false; 3]);
    assert!(words.contains("short"));
    clock.advance(secs(32));
    assert_eq!(stale(&words), [true, false, true], "the short one has ended");
    // It has the life of all others after it was renewed.
    let renewed = words.get_or_load("long", || Ok::<_, Never>(text("new"))).unwrap();
    assert_eq!(renewed, "new");
    clock.advance(secs(600));
    assert!(!words.contains("long"));
}

#[test]
fn who_looks_at_all_values_removes_none_of_others() {
    let (cache, _) = cache();
    let words: Words = TypedCache::new(cache.clone());
    let numbers: TypedCache<[u8; 2], String> = TypedCache::new(cache.clone());
    let bytes: TypedCache<String, Vec<u8>> = TypedCache::new(cache);
    words.insert("word", &text("v")).unwrap();
    numbers.insert(&[0xff; 2], &text("n")).unwrap();
    for key in ["bytes", "b2"] {
        bytes.insert(key, &vec![0xff; 8]).unwrap();
    }
    assert_eq!(numbers.iter().count(), 1, "keys that are none are left out");
    assert_eq!(words.iter().collect::<Vec<_>>(), [(text("word"), text("v"))]);
    assert_eq!(words.retain(|key, _| key == "word"), 0);
    assert_eq!(words.drain().count(), 1);
    assert_eq!(numbers.drain().count(), 1);
    let mut left: Vec<_> = bytes.iter().map(|(key, _)| key).collect();
    left.sort();
    assert_eq!(left, ["b2", "bytes"]);
    assert_eq!((words.undecodable(), numbers.undecodable()), (0, 0));
}

/// Fails to load the key, and sees that this is remembered.
fn fail(words: &Words) {
    assert!(words.get_or_load("k", || Err("down")).is_err());
    assert!(words.get_or_load("k", || Ok::<_, &str>(text("unused"))).is_err());
}

#[test]
fn an_error_is_forgotten_whatever_way_the_key_is_written_or_removed() {
    let changes: [fn(&Words); 6] = [
        |words| words.clear(),
        |words| {
            words.compute("k", |_| Change::Put(text("put"))).unwrap();
            words.cache().delete("k");
        },
        |words| {
            words.entry("k").or_insert(text("entered")).unwrap();
            words.cache().delete("k");
        },
        |words| {
            words.insert_many([(text("k"), text("first")), (text("k"), text("last"))]).unwrap();
            assert_eq!(words.get("k").as_deref(), Some("last"));
            words.cache().delete("k");
        },
        |words| _ = words.invalidate_tag("tag"),
        |words| assert_eq!(words.compute("k", |_| Change::Remove), Ok(None)),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let (words, _) = timed(|settings| settings.error_ttl(secs(60)).tags(&["tag"]).unwrap());
        fail(&words);
        change(&words);
        let loaded = words.get_or_load("k", || Ok::<_, &str>(text("value")));
        assert_eq!(loaded.ok().as_deref(), Some("value"), "change {number}");
    }
}

#[test]
fn an_error_of_a_load_during_which_the_data_changed_is_not_remembered() {
    let changes: [fn(&Words); 4] = [
        |words| _ = words.remove("k"),
        |words| _ = words.cache().delete("k"),
        |words| words.cache().flush(),
        |words| _ = words.cache().invalidate_tag("tag"),
    ];
    for change in changes {
        let (words, clock) = timed(|settings| {
            let settings = settings.error_ttl(secs(60)).ttl(secs(60)).fresh_for(secs(10));
            settings.tags(&["tag"]).unwrap()
        });
        let fails = |words: &Words| {
            let failed = words.get_or_load("k", || {
                change(words);
                Err("down")
            });
            _ = failed;
            let loaded = words.get_or_load("k", || Ok::<_, &str>(text("value")));
            assert_eq!(loaded.unwrap(), "value");
        };
        fails(&words);
        clock.advance(secs(11));
        assert!(words.is_stale("k"));
        fails(&words);
    }
}

/// What a caller's error does when it is dropped is the caller's.
struct Error(Weak<Words>, String);

impl Drop for Error {
    fn drop(&mut self) {
        if let Some(words) = self.0.upgrade() {
            _ = words.get_or_load(&self.1, || Ok::<_, Never>(text("v")));
            words.remove(&self.1);
        }
    }
}

#[test]
fn an_error_that_is_forgotten_may_use_the_cache() {
    let (words, clock) = timed(|settings| settings.error_ttl(secs(5)));
    let words = Arc::new(words);
    let fail = |key: &str| {
        let failed = words.get_or_load(key, || Err(Error(Arc::downgrade(&words), text(key))));
        assert!(failed.is_err());
    };
    fail("k");
    clock.advance(secs(5));
    assert_eq!(words.get_or_load("k", || Ok::<_, Never>(text("v"))).unwrap(), "v");
    words.remove("k");
    fail("k");
    words.remove("k");
    fail("k");
    words.clear();
    // More than are remembered.
    (0..10_000).for_each(|key| fail(&format!("key {key}")));
}

/// A value is found to be stale, and somebody renews it before this one has the turn to do so.
#[test]
fn a_value_is_renewed_once() {
    static LOADS: AtomicU64 = AtomicU64::new(0);
    let load = || {
        LOADS.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Never>(text("new"))
    };
    let (cache, clock) = cache();
    let busy = Busy::default();
    let words = TypedCache::<str, String>::builder(cache)
        .codec(busy.clone())
        .ttl(secs(600))
        .fresh_for(secs(60))
        .build();
    words.insert("k", &text("old")).unwrap();
    clock.advance(secs(61));
    let other = words.clone();
    busy.next(move || assert_eq!(other.get_or_load("k", load).unwrap(), "new"));
    assert_eq!(words.get_or_load("k", load).unwrap(), "new");
    assert_eq!(LOADS.load(Ordering::SeqCst), 1);
}

fn poll<T>(task: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    task.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_task_does_not_wait_for_a_loader_that_waits_for_it() {
    let (words, _) = timed(|settings| settings);
    let loaded = words.get_or_load("k", || {
        let nested = words.get_or_load_async("k", async { Ok::<_, Never>(text("nested")) });
        match poll(pin!(nested)) {
            Poll::Ready(value) => value.map(|value| value + " and more"),
            Poll::Pending => panic!("it would wait for ever"),
        }
    });
    assert_eq!(loaded.unwrap(), "nested and more");
    assert_eq!(words.get("k").as_deref(), Some("nested"), "the outer load was given up");
    // Another thread's load is waited for.
    let mut task = Box::pin(words.get_or_load_async("l", pending::<Result<String, Never>>()));
    assert!(poll(task.as_mut()).is_pending());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let waits = words.get_or_load_async("l", async { Ok::<_, Never>(text("")) });
            assert!(poll(pin!(waits)).is_pending());
        });
    });
}

/// Fills a cache of which nothing may be evicted, so that there is no room for anything.
fn fill(cache: &Cache) {
    for len in [10_000, 1_000, 100, 10, 1, 0] {
        let value = vec![0; len];
        (0..).take_while(|n| cache.set(format!("{len} {n}"), &value, Attrs::new()).is_ok()).count();
    }
}

fn bounded() -> Words {
    TypedCache::new(Cache::builder(mib(1)).evictions(false).build().unwrap())
}

#[test]
fn who_asks_after_a_change_joins_no_older_load_where_nothing_can_stand_for_it() {
    let changes: [fn(&Words); 4] = [
        |words| assert_eq!(words.remove("k"), None),
        |words| words.clear(),
        |words| _ = words.compute("k", |_| Change::Remove).unwrap(),
        |words| _ = words.invalidate_tag("tag"),
    ];
    for change in changes {
        let words = bounded();
        let tagged = words.tagged(&["tag"]).unwrap();
        fill(words.cache());
        let loads = AtomicU64::new(0);
        let load = |value: &'static str| {
            let loads = &loads;
            move || {
                loads.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Never>(text(value))
            }
        };
        std::thread::scope(|scope| {
            let older = tagged.get_or_load("k", || {
                // It joins: nothing has changed.
                scope.spawn(|| assert_eq!(words.get_or_load("k", load("no")).unwrap(), "old"));
                while words.load_stats().waited == 0 {
                    std::thread::yield_now();
                }
                change(&words);
                let newer = scope.spawn(|| words.get_or_load("k", load("new")));
                assert_eq!(newer.join().unwrap().unwrap(), "new");
                load("old")()
            });
            assert_eq!(older.unwrap(), "old");
        });
        assert_eq!(loads.into_inner(), 2);
    }
}
