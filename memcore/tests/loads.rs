//! Loaders: one at a time, and what becomes of those who wait when one fails, panics, is slow or is
//! cancelled.

use std::future::{Future, pending};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use memcore::typed::{Codec, CodecError, LoadError, Plain, TypedBuilder, TypedCache};
use memcore::{Attrs, Cache, Expiry, Fetch, ManualClock, Moment, Remove, mib};

const START: Moment = Moment::from_secs(1_000_000);

type Words = TypedCache<str, String>;
type Builder = TypedBuilder<str, String, Plain>;
type Never = std::convert::Infallible;

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn timed(settings: impl FnOnce(Builder) -> Builder) -> (Words, ManualClock) {
    let clock = ManualClock::new(START);
    let cache = Cache::builder(mib(16)).clock(clock.clone()).build().unwrap();
    (settings(TypedCache::builder(cache)).build(), clock)
}

fn words() -> Words {
    timed(|settings| settings).0
}

fn value() -> Result<String, Never> {
    Ok("value".to_owned())
}

/// Nothing stands for a load that is over.
fn assert_nothing_is_left(words: &Words, items: u64) {
    assert_eq!(words.cache().stats().total.items, items);
}

/// A thread with a small stack, of which there may be many.
fn spawn<'s>(scope: &'s thread::Scope<'s, '_>, work: impl FnOnce() + Send + 's) {
    thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work).unwrap();
}

#[test]
fn a_thousand_wait_for_one_load() {
    const WAITERS: usize = 1_000;
    let words = words();
    let loads = AtomicU64::new(0);
    let start = Barrier::new(WAITERS);
    thread::scope(|scope| {
        for _ in 0..WAITERS {
            let ask = || {
                start.wait();
                words.get_or_load("k", || {
                    loads.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(50));
                    value()
                })
            };
            spawn(scope, move || assert_eq!(ask().unwrap(), "value"));
        }
    });
    assert_eq!(loads.into_inner(), 1);
    assert_nothing_is_left(&words, 1);
}

#[test]
fn all_who_wait_get_the_error_and_the_next_one_tries_again() {
    const WAITERS: usize = 1_000;
    let words = words();
    let (loads, failures) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Barrier::new(WAITERS);
    thread::scope(|scope| {
        for _ in 0..WAITERS {
            spawn(scope, || {
                start.wait();
                let asked = words.get_or_load("k", || {
                    loads.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(200));
                    Err(io::Error::other("down"))
                });
                match asked {
                    Err(LoadError::Failed(error)) => assert_eq!(error.to_string(), "down"),
                    other => panic!("{other:?}"),
                }
                failures.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    let loads = loads.into_inner();
    // Who comes late loads again; nobody does so while another one is at it.
    assert!(loads < 100, "{loads} loads");
    assert_eq!(failures.into_inner(), WAITERS as u64);
    assert_nothing_is_left(&words, 0);
    assert_eq!(words.get_or_load("k", value).unwrap(), "value");
}

#[test]
fn a_panic_hands_the_load_on() {
    const WAITERS: usize = 1_000;
    let words = words();
    let loads = AtomicU64::new(0);
    let start = Barrier::new(WAITERS);
    let panics = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..WAITERS {
            spawn(scope, || {
                start.wait();
                let asked = catch_unwind(AssertUnwindSafe(|| {
                    words.get_or_load("k", || {
                        thread::sleep(Duration::from_millis(20));
                        match loads.fetch_add(1, Ordering::SeqCst) {
                            0..3 => panic!("a loader of somebody else"),
                            _ => value(),
                        }
                    })
                }));
                match asked {
                    Ok(loaded) => assert_eq!(loaded.unwrap(), "value"),
                    Err(_) => _ = panics.fetch_add(1, Ordering::Relaxed),
                }
            });
        }
    });
    assert_eq!((loads.into_inner(), panics.into_inner()), (4, 3));
    assert_nothing_is_left(&words, 1);
}

#[test]
fn a_slow_load_is_given_up() {
    let (words, _) = timed(|settings| settings.load_timeout(Duration::from_millis(50)));
    let (begun, end) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let loaded = words.get_or_load("k", || {
                begun.wait();
                end.wait();
                Ok::<_, Never>("late".to_owned())
            });
            assert_eq!(loaded.unwrap(), "late");
        });
        begun.wait();
        assert_eq!(words.get_or_load("k", value).unwrap(), "value");
        assert_eq!(words.get("k").as_deref(), Some("value"));
        end.wait();
    });
    assert_eq!(words.get("k").as_deref(), Some("value"), "what came late is not stored");
    assert_nothing_is_left(&words, 1);
}

#[test]
fn what_changes_meanwhile_is_not_written_over() {
    type Change = (&'static str, fn(&Words), Option<&'static str>);
    let changes: [Change; 4] = [
        ("removed", |words| assert_eq!(words.remove("k"), None), None),
        ("inserted", |words| words.insert("k", &"newer".to_owned()).unwrap(), Some("newer")),
        ("deleted", |words| assert!(words.cache().delete("k")), None),
        ("flushed", |words| words.cache().flush(), None),
    ];
    for (change, make, after) in changes {
        let words = words();
        let loaded = words.get_or_load("k", || {
            make(&words);
            Ok::<_, Never>("older".to_owned())
        });
        assert_eq!(loaded.unwrap(), "older");
        assert_eq!(words.get("k").as_deref(), after, "{change}");
    }
}

#[test]
fn a_loader_that_asks_for_its_key_is_told() {
    let words = words();
    let loaded = words.get_or_load("k", || {
        let inner = words.get_or_load("k", value);
        assert!(matches!(inner, Err(LoadError::Recursive)), "{inner:?}");
        // Another key is no matter.
        words.get_or_load("other", value).map_err(|_| ())
    });
    assert_eq!(loaded.unwrap(), "value");
}

#[test]
fn errors_and_absence_are_remembered_for_a_while() {
    let (words, clock) =
        timed(|settings| settings.error_ttl(secs(5)).absent_ttl(secs(10)).ttl(secs(60)));
    let loads = AtomicU64::new(0);
    let fail = || {
        loads.fetch_add(1, Ordering::Relaxed);
        Err::<String, _>("down")
    };
    for _ in 0..3 {
        assert!(matches!(words.get_or_load("k", fail), Err(LoadError::Failed(e)) if *e == "down"));
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    // An error of another type is none that this caller can be given.
    let other = words.get_or_load("k", || Err::<String, _>(io::Error::other("also down")));
    assert!(matches!(other, Err(LoadError::Failed(e)) if e.to_string() == "also down"));
    clock.advance(secs(5));
    assert!(words.get_or_load("k", fail).is_err());
    assert_eq!(loads.load(Ordering::Relaxed), 2);

    let finds = AtomicU64::new(0);
    let find = || {
        finds.fetch_add(1, Ordering::Relaxed);
        Ok::<Option<String>, Never>(None)
    };
    for _ in 0..3 {
        assert_eq!(words.get_or_find("none", find).unwrap(), None);
        assert!(!words.contains("none") && words.get("none").is_none());
    }
    assert_eq!(finds.load(Ordering::Relaxed), 1);
    assert!(matches!(words.get_or_load("none", value), Err(LoadError::Absent)));
    assert_eq!(words.iter_keys(), Vec::<String>::new());
    clock.advance(secs(10));
    assert_eq!(words.get_or_load("none", value).unwrap(), "value");
}

/// The keys that have values.
trait IterKeys {
    fn iter_keys(&self) -> Vec<String>;
}

impl IterKeys for Words {
    fn iter_keys(&self) -> Vec<String> {
        let typed: TypedCache<String, String> = TypedCache::new(self.cache().clone());
        typed.iter().map(|(key, _)| key).collect()
    }
}

#[test]
fn a_stale_value_is_renewed_by_one_and_served_to_others() {
    let (words, clock) = timed(|settings| settings.ttl(secs(100)).fresh_for(secs(10)));
    let load = |value: &'static str| move || Ok::<_, Never>(value.to_owned());
    assert_eq!(words.get_or_load("k", load("1")).unwrap(), "1");
    clock.advance(secs(10));
    assert_eq!(words.get_or_load("k", load("unused")).unwrap(), "1", "it is fresh");
    clock.advance(secs(1));
    let renewed = words.get_or_load("k", || {
        // Others are not held up.
        assert_eq!(words.get_or_load("k", load("unused")).unwrap(), "1");
        assert_eq!(words.get("k").as_deref(), Some("1"));
        load("2")()
    });
    assert_eq!(renewed.unwrap(), "2");
    assert_eq!(words.get_or_load("k", load("unused")).unwrap(), "2");
    clock.advance(secs(50));
    let failed = words.get_or_load("k", || Err("down"));
    assert_eq!(failed.unwrap(), "2", "the old value is better than an error");
    clock.advance(secs(50));
    assert!(words.get_or_load("k", || Err("down")).is_err(), "it has expired");
}

#[test]
fn a_value_that_could_not_be_renewed_is_renewed_by_the_next_one() {
    let stale = || {
        let (words, clock) = timed(|settings| settings.ttl(secs(100)).fresh_for(secs(10)));
        words.insert("k", &"old".to_owned()).unwrap();
        clock.advance(secs(20));
        words
    };
    let renew = |words: &Words| {
        assert!(words.is_stale("k"));
        assert_eq!(words.get_or_load("k", value).unwrap(), "value");
        assert!(!words.is_stale("k"));
    };
    // An error, a panic, and a task that is cancelled.
    let words = stale();
    assert_eq!(words.get_or_load("k", || Err("down")).unwrap(), "old");
    renew(&words);

    let words = stale();
    let panicking = || -> Result<String, Never> { panic!("a loader of somebody else") };
    let panicked = catch_unwind(AssertUnwindSafe(|| words.get_or_load("k", panicking)));
    assert!(panicked.is_err());
    assert_eq!(words.get("k").as_deref(), Some("old"));
    renew(&words);

    let words = stale();
    let mut first = Box::pin(words.get_or_load_async("k", pending::<Result<String, Never>>()));
    assert!(poll(first.as_mut()).is_pending());
    assert_eq!(words.get_or_load("k", value).unwrap(), "old", "another one is at it");
    drop(first);
    renew(&words);

    // It is gone where it came from.
    let words = stale();
    assert_eq!(words.get_or_find("k", || Ok::<_, Never>(None)).unwrap(), None);
    assert!(!words.contains("k"));
}

#[test]
fn no_room_is_no_error() {
    let words = words();
    let long = "v".repeat(mib(2));
    let loaded = words.get_or_load("k", || Ok::<_, Never>(long.clone()));
    assert_eq!(loaded.unwrap().len(), mib(2));
    assert_nothing_is_left(&words, 0);
    // A key that no item can have is loaded for each who asks.
    let key = "k".repeat(70_000);
    assert_eq!(words.get_or_load(&key, value).unwrap(), "value");
}

#[test]
fn what_another_process_loads_is_not_stored_twice() {
    let words = words();
    let theirs = Fetch::new().lease(true).create(Expiry::Never).marked(true);
    words.cache().fetch("k", &theirs, &mut Vec::new(), |_, _| {});
    assert_eq!(words.get_or_load("k", value).unwrap(), "value");
    assert_eq!(words.get("k"), None, "it is theirs to store");
}

/// Polls once.
fn poll<T>(task: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    task.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_cancelled_load_is_taken_over() {
    let words = words();
    let mut first = Box::pin(words.get_or_load_async("k", pending::<Result<String, Never>>()));
    assert!(poll(first.as_mut()).is_pending());
    let mut second = pin!(words.get_or_load_async("k", async { value() }));
    assert!(poll(second.as_mut()).is_pending(), "it waits for the first");
    drop(first);
    match poll(second.as_mut()) {
        Poll::Ready(loaded) => assert_eq!(loaded.unwrap(), "value"),
        Poll::Pending => panic!("nobody loads"),
    }
    assert_nothing_is_left(&words, 1);
}

#[test]
fn one_who_waits_may_go() {
    let words = words();
    let mut task = Box::pin(words.get_or_load_async("k", pending::<Result<String, Never>>()));
    assert!(poll(task.as_mut()).is_pending());
    let mut waiter = Box::pin(words.get_or_load_async("k", async { value() }));
    assert!(poll(waiter.as_mut()).is_pending());
    drop(waiter);
    drop(task);
    assert_eq!(words.get_or_load("k", value).unwrap(), "value");
}

async fn ask(words: Words, loads: &'static AtomicU64, pause: impl Future<Output = ()>) {
    let loaded = words.get_or_load_async("k", async {
        loads.fetch_add(1, Ordering::Relaxed);
        pause.await;
        value()
    });
    assert_eq!(loaded.await.unwrap(), "value");
}

#[test]
fn tasks_of_tokio_wait_for_one_load() {
    static LOADS: AtomicU64 = AtomicU64::new(0);
    let words = words();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..1_000)
            .map(|_| {
                let pause = tokio::time::sleep(Duration::from_millis(50));
                tokio::spawn(ask(words.clone(), &LOADS, pause))
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(LOADS.load(Ordering::Relaxed), 1);
}

#[test]
fn tasks_of_smol_wait_for_one_load() {
    static LOADS: AtomicU64 = AtomicU64::new(0);
    let words = words();
    smol::block_on(async {
        let tasks: Vec<_> = (0..1_000)
            .map(|_| {
                let pause = async {
                    smol::Timer::after(Duration::from_millis(50)).await;
                };
                smol::spawn(ask(words.clone(), &LOADS, pause))
            })
            .collect();
        for task in tasks {
            task.await;
        }
    });
    assert_eq!(LOADS.load(Ordering::Relaxed), 1);
}

/// Numbers that it can read and not write.
#[derive(Clone, Copy, Debug, Default)]
struct Unwritable;

impl Codec<u32> for Unwritable {
    fn encode(&self, _: &u32, _: &mut Vec<u8>) -> Result<(), CodecError> {
        Err(CodecError::new("not today"))
    }

    fn decode(&self, _: &[u8]) -> Result<u32, CodecError> {
        Ok(0)
    }
}

#[test]
fn a_value_that_cannot_be_written_is_not_loaded_by_each_who_waits() {
    const WAITERS: u64 = 10;
    let numbers: TypedCache<str, u32, Unwritable> = TypedCache::new(Cache::new(mib(16)).unwrap());
    let loads = AtomicU64::new(0);
    let ask = || {
        let asked = numbers.get_or_load("k", || {
            loads.fetch_add(1, Ordering::Relaxed);
            while numbers.load_stats().waited < WAITERS {
                thread::yield_now();
            }
            Ok::<_, Never>(7)
        });
        assert!(matches!(&asked, Err(LoadError::Codec(_))), "{asked:?}");
    };
    thread::scope(|scope| (0..=WAITERS).for_each(|_| spawn(scope, ask)));
    assert_eq!(loads.into_inner(), 1);
    assert_eq!(numbers.cache().stats().total.items, 0);
}

#[test]
fn a_codec_that_panics_leaves_the_load_to_others() {
    struct Panics(AtomicU64);
    impl Codec<String> for &'static Panics {
        fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
            assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "a codec of somebody else");
            out.extend_from_slice(value.as_bytes());
            Ok(())
        }

        fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
            assert!(self.0.fetch_add(1, Ordering::Relaxed) > 2, "a codec of somebody else");
            String::from_utf8(bytes.to_vec()).map_err(CodecError::new)
        }
    }
    static PANICS: Panics = Panics(AtomicU64::new(0));
    let cache = Cache::new(mib(16)).unwrap();
    let words = TypedCache::<str, String>::builder(cache).codec(&PANICS).build();
    let load = || catch_unwind(AssertUnwindSafe(|| words.get_or_load("k", value)));
    assert!(load().is_err(), "it can't be written");
    assert_eq!(load().unwrap().unwrap(), "value");
    let read = catch_unwind(AssertUnwindSafe(|| words.get("k")));
    assert!(read.is_err(), "it can't be read");
    assert_eq!(words.get("k").as_deref(), Some("value"));
    assert_eq!(words.cache().stats().total.items, 1);
}

#[test]
fn a_thread_does_not_wait_for_a_task_of_its_own() {
    let words = words();
    let mut task = Box::pin(words.get_or_load_async("k", pending::<Result<String, Never>>()));
    assert!(poll(task.as_mut()).is_pending());
    assert_eq!(words.get_or_load("k", value).unwrap(), "value");
    assert_eq!(words.get("k").as_deref(), Some("value"));
    drop(task);
    assert_eq!(words.get("k").as_deref(), Some("value"), "it is not the task's");
    assert_nothing_is_left(&words, 1);
}

#[test]
fn what_stands_for_a_value_does_not_idle() {
    let (words, clock) = timed(|settings| settings.time_to_idle(secs(5)).absent_ttl(secs(8)));
    let loaded = words.get_or_load("k", || {
        assert_eq!(words.get("k"), None);
        assert_eq!(words.get_many(["k"]), [None]);
        clock.advance(secs(30));
        value()
    });
    assert_eq!(loaded.unwrap(), "value");
    assert!(words.contains("k"), "it is stored however long the load took");
    let finds = AtomicU64::new(0);
    for _ in 0..3 {
        let found = words.get_or_find("none", || {
            finds.fetch_add(1, Ordering::Relaxed);
            Ok::<Option<String>, Never>(None)
        });
        assert_eq!(found.unwrap(), None);
        clock.advance(secs(4));
    }
    assert_eq!(finds.into_inner(), 2, "asking does not keep an absence");
}

#[test]
fn what_a_client_creates_to_load_a_value_is_none() {
    let words = words();
    // As a server does for `mg k N30 v`.
    let vivify = Fetch::new().lease(true).create(Expiry::after(secs(30)));
    words.cache().fetch("k", &vivify, &mut Vec::new(), |_, _| {});
    assert!(words.get("k").is_none() && !words.contains("k") && words.peek("k").is_none());
    assert_eq!(words.get_many(["k"]), [None]);
    assert_eq!(words.iter_keys(), Vec::<String>::new());
    assert_eq!(words.get_or_load("k", value).unwrap(), "value");
    assert_eq!(words.get("k"), None, "it is the client's to store");
    assert_eq!(words.entry("k").or_insert("ours".to_owned()).unwrap(), "ours");
    assert_eq!(words.get("k").as_deref(), Some("ours"));
    // It marks an item whose key it has sent in base64.
    for value in [&b""[..], b"theirs"] {
        words.cache().set("k", value, Attrs::new().marked(true)).unwrap();
        assert_eq!(words.get("k").map(String::into_bytes).as_deref(), Some(value));
    }
    // A value of no bytes is one.
    words.insert("k", &String::new()).unwrap();
    assert_eq!(words.get_or_load("k", value).unwrap(), "");
    assert_eq!(words.get_or_load("other", || Ok::<_, Never>(String::new())).unwrap(), "");
    assert_eq!(words.get("other").as_deref(), Some(""));
}

#[test]
fn what_a_client_invalidates_is_renewed() {
    let words = words();
    words.insert("k", &"old".to_owned()).unwrap();
    words.cache().remove_with("k", &Remove::new().invalidate(true)).unwrap();
    assert!(words.is_stale("k"));
    assert_eq!(words.get("k").as_deref(), Some("old"));
    assert_eq!(words.get_or_load("k", || Err("down")).unwrap(), "old");
    assert_eq!(words.get_or_load("k", value).unwrap(), "value");
    assert!(!words.is_stale("k"));
    // Somebody else has been asked to renew it.
    words.cache().remove_with("k", &Remove::new().invalidate(true)).unwrap();
    words.cache().fetch("k", &Fetch::new().lease(true), &mut Vec::new(), |_, _| {});
    assert!(!words.is_stale("k"));
    assert_eq!(words.get_or_load("k", || Ok::<_, Never>("ours".to_owned())).unwrap(), "value");
}

#[test]
fn an_error_is_forgotten_when_the_key_is_written_or_removed() {
    let (words, _) = timed(|settings| settings.error_ttl(secs(60)));
    let changes: [fn(&Words); 3] = [
        |words| _ = words.remove("k"),
        |words| {
            words.insert("k", &"v".to_owned()).unwrap();
            words.cache().delete("k");
        },
        |words| _ = words.remove("k"),
    ];
    for change in changes {
        assert!(words.get_or_load("k", || Err("down")).is_err());
        assert!(words.get_or_load("k", || Ok::<_, &str>("unused".to_owned())).is_err());
        change(&words);
        // An error of the same type, which the caller could be given.
        let loaded = words.get_or_load("k", || Ok::<_, &str>("value".to_owned()));
        assert_eq!(loaded.unwrap(), "value");
        words.remove("k");
    }
}

#[test]
fn an_error_keeps_its_words_and_causes() {
    let words = words();
    let nested = io::Error::other(io::Error::other("the disk is full"));
    let failed = words.get_or_load("k", || Err::<String, _>(nested)).unwrap_err();
    assert_eq!(failed.to_string(), "the disk is full");
    let boxed = words.get_or_load("k", || {
        Err::<String, Box<dyn std::error::Error + Send + Sync>>("no words".into())
    });
    assert_eq!(boxed.map_err(LoadError::into_boxed).unwrap_err().to_string(), "no words");
    // It is the loader's own, not only its words.
    let own = LoadError::Failed(std::sync::Arc::new(io::Error::from(io::ErrorKind::TimedOut)));
    let own = own.into_boxed().downcast::<io::Error>().unwrap();
    assert_eq!(own.kind(), io::ErrorKind::TimedOut);
    let absent = LoadError::<String>::Absent.into_boxed();
    assert_eq!(absent.to_string(), "there is no value");
}

#[test]
fn tasks_that_are_cancelled_while_others_load_leave_nothing() {
    let words = words();
    let mut leader = Box::pin(words.get_or_load_async("k", pending::<Result<String, Never>>()));
    assert!(poll(leader.as_mut()).is_pending());
    // Never polled, waiting, and waiting when the load ends.
    drop(words.get_or_load_async("k", async { value() }));
    for _ in 0..1_000 {
        let mut waiter = Box::pin(words.get_or_load_async("k", async { value() }));
        assert!(poll(waiter.as_mut()).is_pending());
    }
    let mut last = Box::pin(words.get_or_load_async("k", async { value() }));
    assert!(poll(last.as_mut()).is_pending());
    drop(leader);
    drop(last);
    assert_nothing_is_left(&words, 0);
    assert_eq!(words.get_or_load("k", value).unwrap(), "value");
    assert_eq!(words.load_stats().abandoned, 1);
}
