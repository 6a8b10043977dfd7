//! Typed caches: values, keys, times, and changes, against an oracle where there is one.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use memcore::typed::{Codec, CodecError, InsertError, Plain, TypedBuilder, TypedCache};
use memcore::{Attrs, Cache, Change, ManualClock, Moment, StoreError, mib};
use proptest::prelude::*;

const START: Moment = Moment::from_secs(1_000_000);

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

type Words = TypedCache<String, String>;
type Builder = TypedBuilder<String, String, Plain>;

fn words() -> Words {
    TypedCache::new(Cache::new(mib(16)).unwrap())
}

/// A cache with a clock, and settings of its own.
fn timed(settings: impl FnOnce(Builder) -> Builder) -> (Words, ManualClock) {
    let clock = ManualClock::new(START);
    let cache = Cache::builder(mib(16)).clock(clock.clone()).build().unwrap();
    (settings(TypedCache::builder(cache)).build(), clock)
}

/// Numbers, of which the codec knows only small ones.
#[derive(Clone, Copy, Debug, Default)]
struct Small;

impl Codec<u32> for Small {
    fn encode(&self, value: &u32, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.push(u8::try_from(*value).map_err(CodecError::new)?);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<u32, CodecError> {
        match bytes {
            [byte] => Ok(u32::from(*byte)),
            _ => Err(CodecError::new("not a byte")),
        }
    }
}

#[test]
fn keys_are_borrowed_as_in_a_map() {
    let words = words();
    words.insert("str", &"1".to_owned()).unwrap();
    words.insert(&"string".to_owned(), &"2".to_owned()).unwrap();
    assert_eq!(words.get(&"str".to_owned()).as_deref(), Some("1"));
    assert_eq!(words.get("string").as_deref(), Some("2"));
    assert_eq!(words.get_many(["string", "none"]), [Some("2".to_owned()), None]);
    let bytes: TypedCache<Vec<u8>, Vec<u8>> = TypedCache::new(Cache::new(mib(16)).unwrap());
    bytes.insert(&b"key"[..], &vec![1, 2]).unwrap();
    assert_eq!(bytes.get(&b"key".to_vec()), Some(vec![1, 2]));
    let numbers: TypedCache<i64, String> = TypedCache::new(Cache::new(mib(16)).unwrap());
    numbers.insert(&-1, &"minus one".to_owned()).unwrap();
    assert_eq!(numbers.get(&-1).as_deref(), Some("minus one"));
    assert_eq!(numbers.iter().collect::<Vec<_>>(), [(-1, "minus one".to_owned())]);
}

#[test]
fn bytes_that_are_no_value_are_a_miss_and_go() {
    let numbers: TypedCache<str, u32, Small> = TypedCache::new(Cache::new(mib(16)).unwrap());
    numbers.cache().set("k", b"two", Attrs::new()).unwrap();
    assert_eq!(numbers.get("k"), None);
    assert_eq!(numbers.undecodable(), 1);
    assert!(!numbers.cache().contains("k"));
    let error = numbers.insert("k", &1_000).unwrap_err();
    assert!(matches!(error, InsertError::Codec(_)), "{error:?}");
    let long = "k".repeat(70_000);
    assert_eq!(numbers.insert(&long, &1), Err(InsertError::Store(StoreError::BadKey)));
    assert_eq!(numbers.get(&long), None);
}

#[test]
fn values_end_in_time() {
    let (words, clock) = timed(|settings| settings.ttl(secs(10)));
    words.insert("k", &"v".to_owned()).unwrap();
    clock.advance(secs(9));
    assert!(words.contains("k"));
    clock.advance(secs(1));
    assert!(!words.contains("k") && words.get("k").is_none());

    let (words, clock) = timed(|settings| settings.time_to_idle(secs(10)));
    words.insert("k", &"v".to_owned()).unwrap();
    for _ in 0..3 {
        clock.advance(secs(9));
        assert!(words.get("k").is_some());
    }
    clock.advance(secs(9));
    assert_eq!(words.get_many(&["k".to_owned()]).len(), 1);
    clock.advance(secs(9));
    assert!(words.contains("k"), "reading many counts as well");
    clock.advance(secs(1));
    assert!(words.get("k").is_none());

    let life_of = |value: &String| (value != "for ever").then(|| secs(value.len() as u64));
    let (words, clock) = timed(|settings| settings.ttl(secs(1)).expire_after(life_of));
    for value in ["five!", "seven!!", "for ever"] {
        words.insert(value, &value.to_owned()).unwrap();
    }
    clock.advance(secs(5));
    let left = ["five!", "seven!!", "for ever"].map(|key| words.contains(key));
    assert_eq!(left, [false, true, true]);
}

#[test]
fn lives_are_shortened_at_random() {
    let (words, clock) = timed(|settings| settings.ttl(secs(1_000)).jitter(0.5));
    for key in 0..200 {
        words.insert(&key.to_string(), &"v".to_owned()).unwrap();
    }
    clock.advance(secs(499));
    assert_eq!(words.iter().count(), 200);
    clock.advance(secs(251));
    let left = words.iter().count();
    assert!((50..150).contains(&left), "{left} of 200 after three quarters of the time");
    clock.advance(secs(250));
    assert_eq!(words.iter().count(), 0);
}

#[test]
fn no_change_is_lost() {
    const ROUNDS: usize = 300;
    let words = words();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let longer = |old: Option<String>| Change::Put(old.unwrap_or_default() + "x");
                    words.compute("k", longer).unwrap();
                }
            });
        }
    });
    assert_eq!(words.get("k").map(|value| value.len()), Some(4 * ROUNDS));
}

#[test]
fn an_entry_keeps_what_comes_first() {
    let words = words();
    let other = words.clone();
    let made = words.entry("k").or_insert_with(|| {
        other.insert("k", &"theirs".to_owned()).unwrap();
        "ours".to_owned()
    });
    assert_eq!(made.unwrap(), "theirs");
    // Where a load is under way there is no value yet.
    let loaded = words.get_or_load("other", || {
        let made = words.entry("other").or_insert_with(|| "made".to_owned());
        assert_eq!(made.unwrap(), "made");
        assert_eq!(words.get("other").as_deref(), Some("made"));
        let changed = words.compute("other", |old| Change::Put(old.unwrap() + "!"));
        assert_eq!(changed.unwrap().as_deref(), Some("made!"));
        Ok::<_, std::io::Error>("loaded".to_owned())
    });
    assert_eq!(loaded.unwrap(), "loaded");
    assert_eq!(words.get("other").as_deref(), Some("made!"));
}

/// What is done to the cache and to a map.
#[derive(Clone, Debug)]
enum Op {
    Insert(u8, String),
    Remove(u8),
    Get(u8),
    Entry(u8, String),
    Compute(u8, Option<String>),
    Load(u8, Option<String>),
    Retain(u8),
    Many(Vec<u8>),
}

fn op() -> impl Strategy<Value = Op> {
    let (key, value) = (|| 0..10_u8, || "[a-z]{0,40}");
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Op::Insert(key, value)),
        2 => key().prop_map(Op::Remove),
        3 => key().prop_map(Op::Get),
        2 => (key(), value()).prop_map(|(key, value)| Op::Entry(key, value)),
        2 => (key(), proptest::option::of(value())).prop_map(|(key, new)| Op::Compute(key, new)),
        2 => (key(), proptest::option::of(value())).prop_map(|(key, new)| Op::Load(key, new)),
        1 => key().prop_map(Op::Retain),
        1 => proptest::collection::vec(key(), 0..5).prop_map(Op::Many),
    ]
}

fn run(typed: &TypedCache<u8, String>, map: &mut BTreeMap<u8, String>, op: Op) {
    match op {
        Op::Insert(key, value) => {
            typed.insert(&key, &value).unwrap();
            map.insert(key, value);
        }
        Op::Remove(key) => assert_eq!(typed.remove(&key), map.remove(&key)),
        Op::Get(key) => {
            assert_eq!(typed.get(&key).as_ref(), map.get(&key));
            assert_eq!(typed.contains(&key), map.contains_key(&key));
        }
        Op::Entry(key, value) => {
            let made = typed.entry(&key).or_insert_with(|| value.clone()).unwrap();
            assert_eq!(made, *map.entry(key).or_insert(value));
        }
        Op::Compute(key, new) => {
            let old = map.get(&key).cloned();
            let change = match &new {
                Some(new) => Change::Put(new.clone()),
                None => Change::Remove,
            };
            let after = typed.compute(&key, |seen| {
                assert_eq!(seen, old);
                change.clone()
            });
            assert_eq!(after.unwrap(), new);
            match new {
                Some(new) => _ = map.insert(key, new),
                None => _ = map.remove(&key),
            }
        }
        Op::Load(key, new) => {
            let found = typed.get_or_find(&key, || Ok::<_, ()>(new.clone())).unwrap();
            if let Some(new) = &new {
                map.entry(key).or_insert_with(|| new.clone());
            }
            assert_eq!(found.as_ref(), map.get(&key));
        }
        Op::Retain(from) => {
            let before = map.len();
            map.retain(|key, _| *key < from);
            assert_eq!(typed.retain(|key, _| *key < from), before - map.len());
        }
        Op::Many(keys) => {
            let expected: Vec<_> = keys.iter().map(|key| map.get(key).cloned()).collect();
            assert_eq!(typed.get_many(&keys), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn it_is_a_map(ops in proptest::collection::vec(op(), 1..100)) {
        let typed = TypedCache::new(Cache::new(mib(16)).unwrap());
        let mut map = BTreeMap::new();
        for op in ops {
            run(&typed, &mut map, op);
        }
        let all: BTreeMap<u8, String> = typed.iter().collect();
        prop_assert_eq!(all, map);
    }
}
