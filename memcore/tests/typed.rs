//! Typed caches: values, keys, times, and changes, against an oracle where there is one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use memcore::typed::{
    Codec, CodecError, DecodeKey, InsertError, KeyBytes, Plain, TypedBuilder, TypedCache,
};
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

fn bytes_of(key: &(impl KeyBytes + ?Sized)) -> Vec<u8> {
    key.key_bytes(<[u8]>::to_vec)
}

/// Keys come back from their bytes, and no two have the same.
fn assert_keys<T: KeyBytes + DecodeKey + PartialEq + Debug>(keys: &[T]) {
    let all: BTreeSet<_> = keys.iter().map(bytes_of).collect();
    assert_eq!(all.len(), keys.len(), "{keys:?}");
    for key in keys {
        assert_eq!(T::from_key_bytes(&bytes_of(key)).as_ref(), Some(key));
    }
}

#[test]
fn keys_of_many_types_are_told_apart() {
    assert_keys(&[0_usize, 1, usize::MAX]);
    assert_keys(&[0_isize, -1, isize::MIN]);
    assert_keys(&['a', '\0', char::MAX]);
    assert_keys(&[false, true]);
    assert_keys(&[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    assert_keys::<Box<str>>(&["a".into(), "".into()]);
    assert_keys::<Arc<str>>(&["a".into(), "b".into()]);
    assert_keys::<Rc<[u8]>>(&[[1].into(), [2].into()]);
    // What belongs to which part.
    let pair = |one: &str, two: &str| (one.to_owned(), two.to_owned());
    assert_keys(&[pair("a", "b"), pair("ab", ""), pair("", "ab"), pair("a", ""), pair("", "a")]);
    assert_keys(&[(1_u8, pair("a", "b"), 2_u64), (1, pair("ab", ""), 2), (1, pair("", "ab"), 2)]);
    for bytes in [&b""[..], b"\0\0\0", b"\0\0\0\x09a", b"\xff\xff\xff\xff"] {
        assert_eq!(<(String, String)>::from_key_bytes(bytes), None);
    }
    assert_eq!(char::from_key_bytes(&0xd800_u32.to_be_bytes()), None);
    assert_eq!(bool::from_key_bytes(&[2]), None);
    // A borrowed form has the bytes of the owned one.
    let text = bytes_of("key");
    assert_eq!(bytes_of(&Cow::Borrowed("key")), text);
    assert_eq!(bytes_of(&Box::<str>::from("key")), text);
    assert_eq!(bytes_of(&Arc::new("key".to_owned())), text);

    let seats: TypedCache<(u16, char), Arc<str>> = TypedCache::new(Cache::new(mib(16)).unwrap());
    seats.insert(&(12, 'C'), &"Ann".into()).unwrap();
    assert_eq!(seats.get(&(12, 'C')).as_deref(), Some("Ann"));
    let all: Vec<_> = (&seats).into_iter().collect();
    assert_eq!(all, [((12, 'C'), Arc::from("Ann"))]);
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

    words.insert_with_ttl("own", &"for ever".to_owned(), secs(2)).unwrap();
    clock.advance(secs(1));
    assert!(words.contains("own"));
    clock.advance(secs(1));
    assert!(!words.contains("own"));
}

/// Whatever way a value is read.
#[test]
fn a_value_that_is_read_all_the_time_ends_as_well() {
    let reads: [fn(&Words); 3] = [
        |words| assert!(words.get("k").is_some()),
        |words| assert!(words.get_many(["k"])[0].is_some()),
        |words| _ = words.get_or_load("k", || Err("down")).unwrap(),
    ];
    let settings: [fn(Builder) -> Builder; 2] = [
        |settings| settings.ttl(secs(12)),
        |settings| settings.ttl(secs(1)).expire_after(|_| Some(secs(12))),
    ];
    for (read, set) in reads.into_iter().flat_map(|read| settings.map(|set| (read, set))) {
        let (words, clock) = timed(|settings| set(settings).time_to_idle(secs(5)));
        words.insert("k", &"v".to_owned()).unwrap();
        for _ in 0..2 {
            clock.advance(secs(4));
            read(&words);
        }
        clock.advance(secs(3));
        read(&words);
        clock.advance(secs(1));
        assert!(!words.contains("k"), "it has had its twelve seconds");
        words.insert("k", &"v".to_owned()).unwrap();
        clock.advance(secs(5));
        assert!(!words.contains("k"), "nobody has read it");
    }
}

#[test]
fn values_are_stale_by_their_own_lives() {
    let life_of = |value: &String| Some(secs(value.len() as u64));
    let (words, clock) =
        timed(|settings| settings.ttl(secs(600)).expire_after(life_of).fresh_for(secs(4)));
    words.insert("k", &"ten seconds"[..10].to_owned()).unwrap();
    assert!(!words.is_stale("k"));
    clock.advance(secs(4));
    assert!(!words.is_stale("k"));
    clock.advance(secs(1));
    assert!(words.is_stale("k"));
    // Reading it makes it no fresher where it may idle as well.
    let (words, clock) =
        timed(|settings| settings.ttl(secs(60)).time_to_idle(secs(30)).fresh_for(secs(20)));
    words.insert("k", &"v".to_owned()).unwrap();
    for stale in [false, false, true] {
        clock.advance(secs(10));
        assert!(words.get("k").is_some());
        assert_eq!(words.is_stale("k"), stale);
    }
}

#[test]
fn chance_makes_no_value_stale_from_the_start() {
    let (words, clock) = timed(|settings| settings.ttl(secs(600)).fresh_for(secs(60)).jitter(0.5));
    let keys: Vec<String> = (0..500).map(|key| key.to_string()).collect();
    keys.iter().for_each(|key| words.insert(key, key).unwrap());
    let stale = || keys.iter().filter(|key| words.is_stale(*key)).count();
    clock.advance(secs(29));
    assert_eq!(stale(), 0);
    clock.advance(secs(16));
    assert!((100..400).contains(&stale()), "{} of 500 after 45 seconds", stale());
    clock.advance(secs(16));
    assert_eq!(stale(), 500);
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
fn a_removal_takes_no_value_that_was_not_looked_at() {
    let words = words();
    let mut calls = 0;
    let removed = words.compute("k", |old| {
        calls += 1;
        assert_eq!(old, None);
        words.insert("k", &"theirs".to_owned()).unwrap();
        Change::Remove
    });
    assert_eq!((removed.unwrap(), calls), (None, 1));
    assert_eq!(words.get("k").as_deref(), Some("theirs"));
}

#[test]
fn each_value_is_removed_by_one_who_gets_it() {
    const VALUES: u32 = 3_000;
    let numbers: TypedCache<str, Vec<u8>> = TypedCache::new(Cache::new(mib(16)).unwrap());
    let (taken, done) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while done.load(Ordering::SeqCst) == 0 || numbers.contains("k") {
                    taken.fetch_add(numbers.remove("k").is_some().into(), Ordering::SeqCst);
                }
            });
        }
        for number in 0..VALUES {
            numbers.insert("k", &number.to_le_bytes().to_vec()).unwrap();
            while numbers.contains("k") {
                thread::yield_now();
            }
        }
        done.store(1, Ordering::SeqCst);
    });
    assert_eq!(taken.into_inner(), VALUES);
}

#[test]
fn what_maps_have_is_there() {
    let words = words();
    assert_eq!(words.entry("k").or_default().unwrap(), "");
    assert_eq!(words.entry("k").or_insert("unused".to_owned()).unwrap(), "");
    assert_eq!(words.entry("other").or_insert("v".to_owned()).unwrap(), "v");
    assert_eq!(words.peek("other").as_deref(), Some("v"));
    assert!(words.cache().peek("other").is_some_and(|meta| !meta.fetched), "no use");
    words.clear();
    assert!(!words.contains("k") && words.iter().next().is_none());
    words.insert("k", &"v".to_owned()).unwrap();
    assert!(words.contains("k"), "what comes later stays");
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
