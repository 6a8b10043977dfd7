//! What is built on other operations: values that are taken, updates, counters, printed forms.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use memcore::{
    Attrs, Cache, Change, CountError, Counter, ManualClock, Moment, StoreError, gib, mib,
};

const START: Moment = Moment::from_secs(1_000_000);

fn cache() -> Cache {
    Cache::new(mib(16)).unwrap()
}

#[test]
fn a_value_is_taken_by_one() {
    let cache = cache();
    for round in 0..200_u32 {
        cache.set("k", &round.to_le_bytes(), Attrs::new()).unwrap();
        let start = Barrier::new(2);
        let takes = || {
            start.wait();
            cache.remove("k")
        };
        let (one, two) = thread::scope(|scope| {
            let other = scope.spawn(takes);
            (takes(), other.join().unwrap())
        });
        let taken: Vec<_> = [one, two].into_iter().flatten().collect();
        assert_eq!(taken, [round.to_le_bytes()]);
    }
    assert_eq!(cache.stats().total.deleted, 200);
}

#[test]
fn long_values_are_taken_whole_and_hidden_ones_not_at_all() {
    let clock = ManualClock::new(START);
    let cache = Cache::builder(mib(16)).clock(clock.clone()).build().unwrap();
    let long: Vec<u8> = (0..700_000_u32).map(|i| (i / 3) as u8).collect();
    cache.set("long", &long, Attrs::new()).unwrap();
    assert_eq!(cache.remove("long"), Some(long));
    cache.set("brief", b"v", Attrs::new().ttl(Duration::from_secs(1))).unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.remove("brief"), None);
    let other = Cache::new(mib(16)).unwrap();
    other.set("k", b"v", Attrs::new()).unwrap();
    assert_eq!(other.remove(cache.key(b"k")), None, "a key of another cache");
    assert!(other.contains("k"));
}

#[test]
fn many_keys_may_be_prepared_or_of_another_cache() {
    let (cache, other) = (cache(), cache());
    for key in ["a", "b"] {
        cache.set(key, key.as_bytes(), Attrs::new()).unwrap();
    }
    let mut found = Vec::new();
    let keys = [cache.key(b"a"), other.key(b"a"), cache.key(b"none"), cache.key(b"b")];
    cache.get_many(&keys, |i, _, value| found.push((i, value.to_vec())));
    assert_eq!(found, [(0, b"a".to_vec()), (3, b"b".to_vec())]);
}

#[test]
fn no_update_is_lost() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 500;
    let cache = cache();
    let add = |old: Option<&[u8]>| {
        let old = old.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        Change::Put((old + 1).to_le_bytes().to_vec())
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    cache.update("k", Attrs::new(), add).unwrap();
                }
            });
        }
    });
    assert_eq!(cache.get("k").unwrap(), (THREADS * ROUNDS).to_le_bytes());
}

#[test]
fn an_update_sees_what_another_writer_did_meanwhile() {
    let cache = cache();
    let mut seen = Vec::new();
    let after = cache.update("k", Attrs::new(), |old| {
        seen.push(old.map(<[u8]>::to_vec));
        match seen.len() {
            // The key is created, changed and removed while it is looked at.
            1 => _ = cache.set("k", b"1", Attrs::new()).unwrap(),
            2 => _ = cache.set("k", b"2", Attrs::new()).unwrap(),
            3 => assert!(cache.delete("k")),
            _ => {}
        }
        Change::Put(b"new".to_vec())
    });
    assert_eq!(after.unwrap().unwrap(), b"new");
    let [one, two] = [b"1", b"2"].map(|value| Some(value.to_vec()));
    assert_eq!(seen, [None, one, two, None]);
}

#[test]
fn an_update_may_keep_or_remove() {
    let cache = cache();
    assert_eq!(cache.update("k", Attrs::new(), |_| Change::Keep), Ok(None));
    assert_eq!(cache.update("k", Attrs::new(), |_| Change::Remove), Ok(None));
    let version = cache.set("k", b"v", Attrs::new()).unwrap();
    let kept = cache.update("k", Attrs::new().flags(7), |_| Change::Keep);
    assert_eq!(kept.unwrap().unwrap(), b"v");
    assert_eq!(cache.peek("k").map(|meta| (meta.version, meta.flags)), Some((version, 0)));
    let mut first = true;
    let removed = cache.update("k", Attrs::new(), |_| {
        if std::mem::take(&mut first) {
            cache.set("k", b"newer", Attrs::new()).unwrap();
            return Change::Remove;
        }
        Change::Keep
    });
    assert_eq!(removed.unwrap().unwrap(), b"newer", "another value was not removed");
    let put = |_: Option<&[u8]>| Change::Put(vec![0; mib(4)]);
    assert_eq!(cache.update("k", Attrs::new(), put), Err(StoreError::TooLarge));
    assert_eq!(cache.update("", Attrs::new(), |_| Change::Put(vec![])), Err(StoreError::BadKey));
}

#[test]
fn numbers_are_counted_for_their_time() {
    let clock = ManualClock::new(START);
    let cache = Cache::builder(mib(16)).clock(clock.clone()).build().unwrap();
    let counter = Counter::new(&cache).ttl(Duration::from_secs(10));
    assert_eq!(counter.add("k", 5), Ok(5));
    clock.advance(Duration::from_secs(9));
    assert_eq!(counter.add("k", 100), Ok(105));
    assert_eq!(counter.subtract("k", 98), Ok(7));
    assert_eq!(counter.get("k"), Ok(7), "blanks behind a number that got shorter");
    clock.advance(Duration::from_secs(1));
    assert_eq!(counter.get("k"), Ok(0), "the time counts from the first addition");
    assert_eq!(counter.subtract("k", 1), Ok(0));
    assert_eq!(counter.add("k", 1), Ok(1));
    assert!(counter.reset("k") && !counter.reset("k"));
    cache.set("word", b"word", Attrs::new()).unwrap();
    assert_eq!(counter.get("word"), Err(CountError::NotANumber));
    assert_eq!(counter.add("word", 1), Err(CountError::NotANumber));
}

#[test]
fn urls_are_keys() {
    let cache = cache();
    let url = "u".repeat(65_536);
    cache.set(&url, b"page", Attrs::new()).unwrap();
    assert_eq!(cache.get(&url).unwrap(), b"page");
    let longer = "u".repeat(65_537);
    assert_eq!(cache.set(&longer, b"page", Attrs::new()), Err(StoreError::BadKey));
}

#[test]
fn printed_forms_are_short() {
    let cache = Cache::builder(gib(1)).max_item_size(mib(1)).build().unwrap();
    let printed = format!("{cache:?}");
    assert!(printed.starts_with("Cache { limit: 1073741824, used: "), "{printed}");
    assert!(printed.len() < 80, "{printed}");
    assert!(format!("{:?}", Cache::builder(mib(8))).len() < 100);
}
