//! Typed values with tags, and loads that the data overtakes: nobody gets what is out of date.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use memcore::typed::{LoadError, TypedCache};
use memcore::{Attrs, Cache, Change, ManualClock, Moment, TagError, mib};
use proptest::prelude::*;
use proptest::sample::subsequence;

type Words = TypedCache<String, String>;
type Never = std::convert::Infallible;

fn words() -> Words {
    TypedCache::new(Cache::new(mib(16)).unwrap())
}

fn text(word: &str) -> String {
    word.to_owned()
}

#[test]
fn whatever_way_a_value_is_stored_it_has_the_tags() {
    let words = words();
    let ways: [fn(&Words); 6] = [
        |tagged| tagged.insert("k", &text("v")).unwrap(),
        |tagged| tagged.insert_many([(text("k"), text("v"))]).unwrap(),
        |tagged| _ = tagged.get_or_load("k", || Ok::<_, Never>(text("v"))).unwrap(),
        |tagged| _ = tagged.get_or_find("k", || Ok::<_, Never>(Some(text("v")))).unwrap(),
        |tagged| _ = tagged.entry("k").or_insert_with(|| text("v")).unwrap(),
        |tagged| _ = tagged.compute("k", |_| Change::Put(text("v"))).unwrap(),
    ];
    for (way, store) in ways.into_iter().enumerate() {
        let tagged = words.tagged(&["a", "b"]).unwrap();
        store(&tagged);
        assert_eq!(words.get("k").as_deref(), Some("v"), "way {way}");
        assert!(words.invalidate_tag("b"), "way {way}");
        assert!(!words.contains("k") && words.get("k").is_none(), "way {way}");
        store(&tagged);
        assert!(!words.contains("k"), "the handle stands for the tag as it was, way {way}");
    }
    words.insert("k", &text("bare")).unwrap();
    words.invalidate_tag("a");
    assert!(words.contains("k"));
}

#[test]
fn a_cache_may_tag_all_its_values() {
    let cache = Cache::new(mib(16)).unwrap();
    let users: TypedCache<u64, String> =
        TypedCache::builder(cache.clone()).tags(&["users"]).unwrap().build();
    for round in 0..3 {
        users.insert(&1, &text("inserted")).unwrap();
        users.get_or_load(&2, || Ok::<_, Never>(text("loaded"))).unwrap();
        users.tagged(&["admin"]).unwrap().insert(&3, &text("admin")).unwrap();
        let there = || [1, 2, 3].map(|key| users.contains(&key));
        assert_eq!(there(), [true; 3], "round {round}");
        users.invalidate_tag("admin");
        assert_eq!(there(), [true, true, false], "round {round}");
        users.tagged(&["admin"]).unwrap().insert(&3, &text("admin")).unwrap();
        assert!(users.invalidate_tag("users"));
        assert_eq!(there(), [false; 3], "round {round}");
    }
    let builder = || TypedCache::<str, String>::builder(cache.clone());
    assert_eq!(builder().tags(&[""]).err(), Some(TagError::BadTag));
    let full = builder().tags(&["1", "2", "3", "4", "5", "6", "7", "8"]).unwrap().build();
    assert!(full.tagged(&["8", "1"]).is_ok(), "they are among them");
    assert_eq!(full.tagged(&["9"]).err(), Some(TagError::TooMany { count: 9, most: 8 }));
}

/// What ends a load that is under way, with its name.
type Ending = (&'static str, fn(&Words));

const CHANGES: [Ending; 5] = [
    ("removed", |words| _ = words.remove("k")),
    ("deleted", |words| _ = words.cache().delete("k")),
    ("flushed", |words| words.cache().flush()),
    ("invalidated", |words| assert!(words.invalidate_tag("data"))),
    ("replaced and removed", |words| {
        words.insert("k", &text("theirs")).unwrap();
        words.remove("k");
    }),
];

#[test]
fn who_asks_after_a_change_does_not_join_an_older_load() {
    for (name, change) in CHANGES {
        let words = words();
        let (begun, end) = (Barrier::new(2), Barrier::new(2));
        let tagged = || words.tagged(&["data"]).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let loaded = tagged().get_or_load("k", || {
                    begun.wait();
                    end.wait();
                    Ok::<_, Never>(text("old"))
                });
                assert_eq!(loaded.unwrap(), "old", "{name}");
            });
            begun.wait();
            change(&words);
            let loaded = tagged().get_or_load("k", || Ok::<_, Never>(text("new")));
            assert_eq!(loaded.unwrap(), "new", "{name}");
            end.wait();
        });
        assert_eq!(words.get("k").as_deref(), Some("new"), "{name}");
        let loads = words.load_stats();
        assert_eq!((loads.loaded, loads.waited), (2, 0), "{name}");
    }
}

/// The data counts up. Each time it does, the tag is invalidated; whoever looks or loads after
/// that gets no older data.
#[test]
fn no_load_brings_back_what_was_invalidated() {
    const ROUNDS: u64 = 2_000;
    let words: TypedCache<str, String> =
        TypedCache::builder(Cache::new(mib(4)).unwrap()).tags(&["data"]).unwrap().build();
    let (data, invalidated) = (AtomicU64::new(1), AtomicU64::new(0));
    let hits = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..3 {
            let (words, data, invalidated, hits) = (&words, &data, &invalidated, &hits);
            let key = ["k", "k", "l"][thread];
            scope.spawn(move || {
                while invalidated.load(Ordering::SeqCst) < ROUNDS {
                    let least = invalidated.load(Ordering::SeqCst);
                    let mut is_hit = true;
                    let found = words.get_or_load(key, || {
                        is_hit = false;
                        let value = data.load(Ordering::SeqCst).to_string();
                        thread::yield_now();
                        Ok::<_, Never>(value)
                    });
                    let found: u64 = found.unwrap().parse().unwrap();
                    assert!(found > least, "{found} was invalidated before {least}");
                    hits.fetch_add(is_hit.into(), Ordering::Relaxed);
                }
            });
        }
        for round in 1..=ROUNDS {
            // The last round comes when something was found, however the threads took turns.
            while round == ROUNDS && hits.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            data.store(round + 1, Ordering::SeqCst);
            words.invalidate_tag("data");
            invalidated.store(round, Ordering::SeqCst);
        }
    });
}

#[test]
fn loads_are_counted_and_timed() {
    let clock = ManualClock::new(Moment::from_secs(1_000_000));
    let cache = Cache::builder(mib(16)).clock(clock).build().unwrap();
    let words: Words = TypedCache::builder(cache).error_ttl(Duration::from_secs(5)).build();
    assert_eq!((words.load_stats().count(), words.load_stats().mean()), (0, Duration::ZERO));
    let slow = Duration::from_millis(20);
    words
        .get_or_load("k", || {
            thread::sleep(slow);
            Ok::<_, Never>(text("v"))
        })
        .unwrap();
    words.get_or_load("k", || Ok::<_, Never>(text("unused"))).unwrap();
    assert_eq!(words.get_or_find("none", || Ok::<_, Never>(None)).unwrap(), None);
    let down = || words.get_or_load("bad", || Err::<String, _>("down"));
    assert!(matches!(down(), Err(LoadError::Failed(_))));
    assert!(matches!(down(), Err(LoadError::Failed(_))), "it is remembered");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        words.get_or_load("bang", || -> Result<String, Never> { panic!("a loader of somebody") })
    }));
    assert!(panicked.is_err());
    let loads = words.load_stats();
    let ends = (loads.loaded, loads.absent, loads.failed, loads.abandoned, loads.waited);
    assert_eq!(ends, (1, 1, 1, 1, 1));
    assert_eq!(loads.count(), 4);
    assert!(loads.longest >= slow && loads.time >= loads.longest);
    assert!(loads.mean() >= slow / 4 && loads.mean() < loads.longest);
}

#[test]
fn what_is_drained_is_gone() {
    let numbers: TypedCache<u32, String> = TypedCache::new(Cache::new(mib(16)).unwrap());
    numbers.insert_many((0..1_000).map(|n| (n, n.to_string()))).unwrap();
    let first: Vec<_> = numbers.drain().take(10).collect();
    assert_eq!(first.len(), 10);
    assert!(first.iter().all(|(key, value)| *value == key.to_string() && !numbers.contains(key)));
    assert_eq!(numbers.iter().count(), 990, "what was not asked for stays");
    assert_eq!(numbers.drain().count(), 990);
    assert_eq!(numbers.cache().stats().total.items, 0);
}

const TAGS: [&str; 4] = ["a", "b", "c", "d"];

/// What is done to the cache and to the oracle.
#[derive(Clone, Debug)]
enum Op {
    Insert(u8, Vec<&'static str>, String),
    Load(u8, Vec<&'static str>, Option<String>),
    Remove(u8),
    Invalidate(&'static str),
    Advance(u64),
    Drain,
}

fn op() -> impl Strategy<Value = Op> {
    let (key, tags, value) = (|| 0..8_u8, || subsequence(&TAGS[..], 0..=3), || "[a-z]{0,20}");
    prop_oneof![
        4 => (key(), tags(), value()).prop_map(|(key, tags, new)| Op::Insert(key, tags, new)),
        4 => (key(), tags(), proptest::option::of(value()))
            .prop_map(|(key, tags, new)| Op::Load(key, tags, new)),
        1 => key().prop_map(Op::Remove),
        3 => proptest::sample::select(&TAGS[..]).prop_map(Op::Invalidate),
        3 => (1..40_u64).prop_map(Op::Advance),
        1 => Just(Op::Drain),
    ]
}

/// Seconds that a value lives, is fresh, and that an absence and an error are remembered.
const TTL: u64 = 60;
const FRESH: u64 = 20;
const ABSENT: u64 = 10;
const ERROR: u64 = 5;

/// What a key has: a value with tags, or the knowledge that there is none; and since when.
#[derive(Clone, Debug)]
struct Kept {
    value: Option<String>,
    tags: Vec<&'static str>,
    since: u64,
}

#[derive(Default)]
struct Oracle {
    now: u64,
    kept: BTreeMap<u8, Kept>,
    /// Until when an error is remembered, and the tags of the load, by key.
    errors: BTreeMap<u8, (u64, Vec<&'static str>)>,
}

impl Oracle {
    fn look(&mut self, key: u8) -> Option<&Kept> {
        let now = self.now;
        let kept = self.kept.get(&key)?;
        let life = if kept.value.is_some() { TTL } else { ABSENT };
        if now >= kept.since + life {
            self.kept.remove(&key);
        }
        self.kept.get(&key)
    }

    /// What a loader that returns `new` comes to; without one it fails.
    fn load(&mut self, key: u8, tags: &[&'static str], new: Option<&String>) -> Result<String, ()> {
        let now = self.now;
        let kept = self.look(key).cloned();
        let is_remembered = self.errors.get(&key).is_some_and(|(until, _)| now < *until);
        let error = || (now + ERROR, tags.to_vec());
        let keep =
            |value: &String| Kept { value: Some(value.clone()), tags: tags.to_vec(), since: now };
        if let Some(Kept { value, since, .. }) = kept {
            let old = value.ok_or(())?;
            let is_stale = since + FRESH < now;
            let is_due = is_stale && !is_remembered;
            match new {
                Some(new) if is_due => {
                    self.kept.insert(key, keep(new));
                    return Ok(new.clone());
                }
                None if is_due => _ = self.errors.insert(key, error()),
                _ => {}
            }
            return Ok(old);
        }
        if is_remembered {
            return Err(());
        }
        let Some(new) = new else {
            self.errors.insert(key, error());
            return Err(());
        };
        self.kept.insert(key, keep(new));
        Ok(new.clone())
    }
}

fn run(typed: &TypedCache<u8, String>, clock: &ManualClock, oracle: &mut Oracle, op: Op) {
    match op {
        Op::Insert(key, tags, value) => {
            typed.tagged(&tags).unwrap().insert(&key, &value).unwrap();
            let since = oracle.now;
            oracle.kept.insert(key, Kept { value: Some(value), tags, since });
            oracle.errors.remove(&key);
        }
        Op::Load(key, tags, new) => {
            let expected = oracle.load(key, &tags, new.as_ref());
            let tagged = typed.tagged(&tags).unwrap();
            let loaded = tagged.get_or_load(&key, || new.ok_or("down")).map_err(|_| ());
            assert_eq!(loaded, expected);
        }
        Op::Remove(key) => {
            let expected = oracle.look(key).cloned().and_then(|kept| kept.value);
            oracle.kept.remove(&key);
            oracle.errors.remove(&key);
            assert_eq!(typed.remove(&key), expected);
        }
        Op::Invalidate(tag) => {
            typed.invalidate_tag(tag);
            oracle.kept.retain(|_, kept| !kept.tags.contains(&tag));
            oracle.errors.retain(|_, (_, tags)| !tags.contains(&tag));
        }
        Op::Advance(secs) => {
            clock.advance(Duration::from_secs(secs));
            oracle.now += secs;
        }
        Op::Drain => {
            let drained: BTreeMap<u8, String> = typed.drain().collect();
            let keys: Vec<u8> = oracle.kept.keys().copied().collect();
            let expected = keys.into_iter().filter_map(|key| {
                let value = oracle.look(key)?.value.clone()?;
                oracle.kept.remove(&key);
                oracle.errors.remove(&key);
                Some((key, value))
            });
            assert_eq!(drained, expected.collect());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Tags, loaders and times together, with a clock that is moved by hand.
    #[test]
    fn an_oracle_sees_the_same(ops in proptest::collection::vec(op(), 1..120)) {
        let clock = ManualClock::new(Moment::from_secs(1_000_000));
        let cache = Cache::builder(mib(16)).clock(clock.clone()).build().unwrap();
        let secs = Duration::from_secs;
        let typed = TypedCache::builder(cache)
            .ttl(secs(TTL))
            .fresh_for(secs(FRESH))
            .absent_ttl(secs(ABSENT))
            .error_ttl(secs(ERROR))
            .build();
        let mut oracle = Oracle::default();
        for op in ops {
            run(&typed, &clock, &mut oracle, op);
            for key in 0..8_u8 {
                let expected = oracle.look(key).and_then(|kept| kept.value.as_ref()).cloned();
                prop_assert_eq!(typed.get(&key), expected);
            }
        }
    }
}

/// Tags take memory, for which items may have to go. Whoever renews the tags tells the listener.
#[test]
fn a_listener_may_store_values_with_tags_that_are_being_renewed() {
    static USED: OnceLock<Words> = OnceLock::new();
    static RENEWING: AtomicBool = AtomicBool::new(false);
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let (send, done) = mpsc::channel();
    thread::spawn(move || {
        let builder = Cache::builder(mib(1)).max_item_size(1 << 14).on_removal(|_, gone| {
            if gone.key != b"k" && RENEWING.swap(false, Ordering::Relaxed) {
                let words = USED.get().expect("it is there before anything is removed");
                // In the end there is no room.
                if words.insert("told", &text("v")).is_ok() {
                    TOLD.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let cache = builder.build().unwrap();
        for number in 0..20_000 {
            cache.set(format!("{number}"), &[0; 50], Attrs::new()).unwrap();
        }
        let all = "all";
        let builder = TypedCache::builder(cache.clone());
        let words = USED.get_or_init(|| builder.tags(&[all]).unwrap().build());
        // What was invalidated stays as long as somebody has it; in the end there is no room.
        let mut kept = Vec::new();
        while let Ok(tagged) = cache.tagged(&[all]) {
            kept.push(tagged);
            words.invalidate_tag(all);
            RENEWING.store(true, Ordering::Relaxed);
            let stored = words.insert("k", &text("v"));
            RENEWING.store(false, Ordering::Relaxed);
            if stored.is_err() {
                break;
            }
        }
        send.send(()).unwrap();
    });
    done.recv_timeout(Duration::from_secs(20)).expect("who renews the tags waits for itself");
    assert!(TOLD.load(Ordering::Relaxed) > 0, "nothing was removed for tags");
}
