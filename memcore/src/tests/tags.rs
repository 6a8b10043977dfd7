//! Tags: against an oracle, under pressure, and from many threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use memcore::{
    Attrs, Cache, Cause, Count, Expiry, Fetch, ManualClock, Moment, Remove, Store, StoreError,
    Stored, TagError, Tagged,
};
use proptest::prelude::*;
use proptest::sample::subsequence;

const TAGS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn cache() -> Cache {
    Cache::new(16 << 20).unwrap()
}

fn put(cache: &Cache, tags: &[&str], key: &str, value: &[u8]) {
    cache.tagged(tags).unwrap().set(key, value, Attrs::new()).unwrap();
}

/// Groups that anybody refers to.
fn groups(cache: &Cache) -> usize {
    cache.engine().tags.all_refs().len()
}

#[test]
fn items_with_the_tag_go_and_no_others() {
    let cache = cache();
    put(&cache, &["x"], "one", b"1");
    put(&cache, &["x", "y"], "two", b"2");
    put(&cache, &["y"], "three", b"3");
    put(&cache, &[], "four", b"4");
    cache.set("five", b"5", Attrs::new()).unwrap();
    assert!(cache.invalidate_tag("x"));
    let left: Vec<_> =
        ["one", "two", "three", "four", "five"].map(|key| cache.contains(key)).into();
    assert_eq!(left, [false, false, true, true, true]);
    assert!(!cache.invalidate_tag("x"), "nobody has it any more");
    assert!(!cache.invalidate_tag("never used"));
    let mut seen = Vec::new();
    cache.scan(&mut memcore::Cursor::default(), usize::MAX, |key, _| seen.push(key.to_vec()));
    assert_eq!(seen.len(), 3);
    assert_eq!((cache.get("one"), cache.get("two")), (None, None));
    assert_eq!(cache.stats().total.misses_invalidated, 2);
    cache.validate();
}

#[test]
fn what_is_stored_under_the_word_later_stays() {
    let cache = cache();
    put(&cache, &["x"], "old", b"1");
    let before = cache.tagged(&["x"]).unwrap();
    cache.invalidate_tag("x");
    put(&cache, &["x"], "new", b"2");
    before.set("late", b"of old data", Attrs::new()).unwrap();
    assert!(!before.is_current() && !before.clone().is_current());
    assert_eq!(["old", "new", "late"].map(|key| cache.contains(key)), [false, true, false]);
    cache.validate();
}

#[test]
fn tags_stay_when_an_item_changes_its_form() {
    let clock = ManualClock::new(Moment::from_secs(1_000_000));
    let cache = Cache::builder(16 << 20).clock(clock).build().unwrap();
    let changes: [fn(&Cache); 6] = [
        |cache| _ = cache.touch("k", Expiry::After(Duration::from_secs(100))).unwrap(),
        |cache| _ = cache.count("k", &Count::increment(999_999)).unwrap(),
        |cache| _ = cache.store("k", b"9", Attrs::new(), &Store::append()).unwrap(),
        |cache| {
            let other = cache.tagged(&["other"]).unwrap();
            other.store("k", b"1", Attrs::new(), &Store::prepend()).unwrap();
        },
        |cache| _ = cache.remove_with("k", &Remove::new().invalidate(true)).unwrap(),
        |cache| _ = cache.remove_with("k", &Remove::new().clear(true)).unwrap(),
    ];
    for change in changes {
        put(&cache, &["x", "y"], "k", b"7");
        change(&cache);
        assert!(cache.contains("k"));
        cache.validate();
        cache.invalidate_tag("y");
        assert!(!cache.contains("k"));
        assert!(!cache.delete("k"));
        assert_eq!(groups(&cache), 0);
    }
}

#[test]
fn a_new_value_has_the_tags_that_it_is_stored_with() {
    let cache = cache();
    // Of one form, so that values could be written over each other.
    put(&cache, &["x"], "k", b"1");
    put(&cache, &["y"], "k", b"2");
    cache.invalidate_tag("x");
    assert_eq!(cache.get("k").unwrap(), b"2");
    cache.set("k", b"3", Attrs::new()).unwrap();
    cache.invalidate_tag("y");
    assert_eq!(cache.get("k").unwrap(), b"3");
    put(&cache, &["z"], "k", b"4");
    put(&cache, &["z"], "k", b"5");
    cache.validate();
    assert_eq!(groups(&cache), 1);
    cache.invalidate_tag("z");
    assert_eq!(cache.get("k"), None);
}

#[test]
fn items_that_are_created_on_the_way_have_the_tags() {
    let cache = cache();
    let tagged = cache.tagged(&["x", "y"]).unwrap();
    let visit = Count::increment(1).initial(7, Attrs::new());
    let lease = Fetch::new().lease(true).create(Expiry::Never);
    for _ in 0..2 {
        tagged.count("n", &visit).unwrap();
        tagged.fetch("k", &lease, &mut Vec::new(), |_, _| {});
    }
    // One that is there keeps the tags that it has.
    cache.set("bare", b"1", Attrs::new()).unwrap();
    tagged.count("bare", &visit).unwrap();
    cache.validate();
    drop(tagged);
    assert!(cache.invalidate_tag("x"));
    assert_eq!(["n", "k", "bare"].map(|key| cache.contains(key)), [false, false, true]);
    assert!(!cache.delete("n") && !cache.delete("k"));
    assert_eq!(groups(&cache), 0);
}

#[test]
fn reservations_carry_tags() {
    let cache = cache();
    let tagged = cache.tagged(&["x", "y"]).unwrap();
    for len in [5, 300_000] {
        let mut place = tagged.reserve("k", len, Attrs::new()).unwrap();
        place.write(&vec![b'v'; len]);
        assert!(matches!(place.commit(&Store::new()), Ok(Stored::Done { .. })));
        assert_eq!(cache.get("k").map(|value| value.len()), Some(len));
    }
    let abandoned = tagged.reserve("other", 300_000, Attrs::new()).unwrap();
    let mut late = tagged.reserve("late", 1, Attrs::new()).unwrap();
    drop(tagged);
    assert!(cache.invalidate_tag("x"));
    late.write(b"v");
    late.commit(&Store::new()).unwrap();
    assert!(!cache.contains("k") && !cache.contains("late"));
    drop(abandoned);
    cache.validate();
    assert!(!cache.delete("k") && !cache.delete("late"));
    assert_eq!(groups(&cache), 0);
}

#[test]
fn the_listener_hears_of_tags() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    let told =
        move |_: &Cache, removal: &memcore::Removal<'_>| sink.lock().unwrap().push(removal.cause);
    let cache = Cache::builder(16 << 20).on_removal(told).build().unwrap();
    put(&cache, &["x"], "k", b"1");
    cache.invalidate_tag("x");
    assert!(!cache.delete("k"));
    assert_eq!(*log.lock().unwrap(), [Cause::Invalidated]);
    assert_eq!(cache.stats().total.invalidated, 1);
}

#[test]
fn bad_tags_are_refused() {
    let cache = cache();
    let nine = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    assert_eq!(cache.tagged(&nine).err(), Some(TagError::TooMany { count: 9, most: 8 }));
    assert_eq!(cache.tagged(&["x", ""]).err(), Some(TagError::BadTag));
    let long = "t".repeat(251);
    assert_eq!(cache.tagged(&[&long]).err(), Some(TagError::BadTag));
    let eight = cache.tagged(&nine[..8]).unwrap();
    let twice = cache.tagged(&["2", "1", "2", "1"]).unwrap();
    assert_eq!(groups(&cache), 8 + 2, "eight tags, a set of them and a set of two");
    drop((eight, twice));
    assert_eq!(groups(&cache), 0);
    let foreign = Cache::new(16 << 20).unwrap();
    let tagged = cache.tagged(&["x"]).unwrap();
    let refused = tagged.set(foreign.key(b"k"), b"v", Attrs::new());
    assert_eq!(refused, Err(StoreError::ForeignKey));
}

#[test]
fn tags_are_of_the_budget() {
    let cache = Cache::new(8 << 20).unwrap();
    for key in 0..60_000_u32 {
        cache.set(key.to_le_bytes(), &[0; 200], Attrs::new()).unwrap();
    }
    let mut held: Vec<Tagged> = Vec::new();
    let error = loop {
        assert!(held.len() < 1_000_000, "tags take no memory");
        match cache.tagged(&[format!("{:0>240}", held.len())]) {
            Ok(tagged) => held.push(tagged),
            Err(error) => break error,
        }
        let stats = cache.stats();
        assert!(stats.used <= stats.limit);
    };
    assert_eq!(error, TagError::OutOfMemory);
    assert!(held.len() > 5_000, "only {} tags", held.len());
    cache.validate();
    let full = cache.stats().used;
    drop(held);
    assert_eq!(groups(&cache), 0);
    assert!(cache.stats().used + (1 << 20) < full);
    cache.validate();
    put(&cache, &["x"], "k", b"v");
    assert!(cache.invalidate_tag("x") && !cache.contains("k"));
}

#[test]
fn evicted_items_leave_their_tags() {
    let cache = Cache::new(4 << 20).unwrap();
    for key in 0..30_000_u32 {
        let tags = [format!("t{}", key % 1_000), format!("u{}", key % 7)];
        let tagged = cache.tagged(&tags).unwrap();
        tagged.set(key.to_le_bytes(), &[0; 300], Attrs::new()).unwrap();
        if key % 3 == 0 {
            cache.get((key / 2).to_le_bytes());
        }
        if key % 1_000 == 0 {
            cache.invalidate_tag(format!("t{}", key / 7 % 1_000));
        }
    }
    assert!(cache.stats().total.evicted > 10_000);
    cache.validate();
    cache.flush();
    while cache.maintain(10_000) {}
    cache.validate();
    assert_eq!(groups(&cache), 0);
}

/// What is done to the cache and to the oracle.
#[derive(Clone, Debug)]
enum Op {
    Set(u8, Vec<&'static str>, usize),
    Plain(u8, usize),
    Append(u8),
    Hold(Vec<&'static str>),
    SetLate(u8, usize),
    Delete(u8),
    Invalidate(&'static str),
    Flush,
    Maintain,
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..12_u8;
    let len = || prop_oneof![6 => 0..200_usize, 2 => 200..9_000_usize, 1 => 9_000..90_000_usize];
    let tags = || subsequence(&TAGS[..], 0..=3);
    prop_oneof![
        8 => (key(), tags(), len()).prop_map(|(key, tags, len)| Op::Set(key, tags, len)),
        2 => (key(), len()).prop_map(|(key, len)| Op::Plain(key, len)),
        2 => key().prop_map(Op::Append),
        1 => tags().prop_map(Op::Hold),
        2 => (key(), len()).prop_map(|(key, len)| Op::SetLate(key, len)),
        1 => key().prop_map(Op::Delete),
        2 => proptest::sample::select(&TAGS[..]).prop_map(Op::Invalidate),
        1 => Just(Op::Flush),
        1 => Just(Op::Maintain),
    ]
}

/// A tag as it was when it was used: which word, and how often it had been invalidated.
type Use = (&'static str, u32);

#[derive(Default)]
struct Oracle {
    invalidated: BTreeMap<&'static str, u32>,
    items: BTreeMap<u8, (Vec<u8>, Vec<Use>)>,
    held: Option<(Tagged, Vec<Use>)>,
    salt: u8,
}

impl Oracle {
    fn uses(&self, tags: &[&'static str]) -> Vec<Use> {
        tags.iter().map(|tag| (*tag, self.invalidated.get(tag).copied().unwrap_or(0))).collect()
    }

    fn is_visible(&self, uses: &[Use]) -> bool {
        uses.iter().all(|(tag, count)| self.invalidated.get(tag).copied().unwrap_or(0) == *count)
    }

    fn value(&mut self, len: usize) -> Vec<u8> {
        self.salt = self.salt.wrapping_add(1);
        (0..len).map(|at| (at as u8).wrapping_mul(3) ^ self.salt).collect()
    }

    fn run(&mut self, cache: &Cache, op: &Op) {
        match op {
            Op::Set(key, tags, len) => {
                let value = self.value(*len);
                cache.tagged(tags).unwrap().set([*key], &value, Attrs::new()).unwrap();
                self.items.insert(*key, (value, self.uses(tags)));
            }
            Op::Plain(key, len) => {
                let value = self.value(*len);
                cache.set([*key], &value, Attrs::new()).unwrap();
                self.items.insert(*key, (value, Vec::new()));
            }
            Op::Append(key) => {
                let stored = cache.store([*key], b"+", Attrs::new(), &Store::append()).unwrap();
                if let Stored::Done { .. } = stored {
                    self.items.get_mut(key).expect("it was there").0.push(b'+');
                }
            }
            Op::Hold(tags) => {
                self.held = Some((cache.tagged(tags).unwrap(), self.uses(tags)));
            }
            Op::SetLate(key, len) => {
                let Some((tagged, uses)) = self.held.take() else { return };
                let value = self.value(*len);
                assert_eq!(tagged.is_current(), self.is_visible(&uses));
                tagged.set([*key], &value, Attrs::new()).unwrap();
                self.items.insert(*key, (value, uses.clone()));
                self.held = Some((tagged, uses));
            }
            Op::Delete(key) => {
                cache.delete([*key]);
                self.items.remove(key);
            }
            Op::Invalidate(tag) => {
                cache.invalidate_tag(tag);
                *self.invalidated.entry(tag).or_default() += 1;
            }
            Op::Flush => {
                cache.flush();
                self.items.clear();
            }
            Op::Maintain => _ = cache.maintain(1_000),
        }
    }

    fn compare(&self, cache: &Cache, may_evict: bool) {
        for key in 0..12_u8 {
            let expected = self.items.get(&key).filter(|(_, uses)| self.is_visible(uses));
            let found = cache.get([key]);
            match expected {
                Some((value, _)) if found.is_some() || !may_evict => {
                    assert_eq!(found.as_ref(), Some(value), "key {key}");
                }
                Some(_) => {}
                None => assert_eq!(found, None, "key {key}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn an_oracle_sees_the_same(
        ops in proptest::collection::vec(op(), 1..150),
        may_evict in any::<bool>(),
    ) {
        let cache = Cache::builder(if may_evict { 1 << 20 } else { 16 << 20 });
        let cache = cache.max_item_size(100_000).build().unwrap();
        let mut oracle = Oracle::default();
        for op in &ops {
            oracle.run(&cache, op);
            oracle.compare(&cache, may_evict);
            cache.validate();
        }
        drop(oracle);
        (0..12_u8).for_each(|key| _ = cache.delete([key]));
        cache.flush();
        while cache.maintain(10_000) {}
        prop_assert_eq!(groups(&cache), 0);
        cache.validate();
    }
}

#[cfg(all(feature = "flash", target_os = "linux", not(any(miri, memcore_fallback, loom))))]
proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn an_oracle_sees_the_same_or_misses_with_a_flash_tier(
        ops in proptest::collection::vec(op(), 50..200),
        faults in prop_oneof![2 => Just(0_u64), 1 => 3..60_u64],
        every in 20..80_usize,
    ) {
        use super::flash::{Disk, flash};

        let disk = Disk::with_faults(faults);
        let path = std::env::temp_dir().join(format!("memcore-oracle-{}", std::process::id()));
        let open = || {
            let cache = Cache::builder(1 << 20).max_item_size(100_000).memory_file(&path);
            cache.flash(flash(&disk, 1 << 20)).build().unwrap()
        };
        let _ = std::fs::remove_file(&path);
        let (mut cache, mut oracle) = (open(), Oracle::default());
        for (number, op) in ops.iter().enumerate() {
            oracle.run(&cache, op);
            // Others push what there is to flash, and have numbers that others had.
            for other in 0..6_u8 {
                let tags = [format!("other {}", (number * 6 + usize::from(other)) % 200)];
                let tagged = cache.tagged(&tags).unwrap();
                tagged.set([100 + other, number as u8], &[0; 20_000], Attrs::new()).unwrap();
            }
            if number % every == 0 {
                oracle.held = None;
                cache.close().unwrap();
                cache = open();
            }
            oracle.compare(&cache, true);
            cache.validate();
        }
        drop(cache);
        std::fs::remove_file(path).unwrap();
    }
}

/// Data changes, and then its tag is invalidated. Whoever looks after that must see the new data
/// or nothing, whatever writers with older data do.
#[test]
fn nothing_comes_back() {
    const ROUNDS: u64 = if cfg!(miri) { 20 } else { 3_000 };
    let cache = Cache::new(4 << 20).unwrap();
    let data = AtomicU64::new(1);
    let invalidated = AtomicU64::new(0);
    let seen = AtomicU64::new(0);
    let is_done = &|| invalidated.load(Ordering::SeqCst) >= ROUNDS;
    thread::scope(|scope| {
        for key in ["k", "l"] {
            let (cache, data) = (&cache, &data);
            scope.spawn(move || {
                while !is_done() {
                    let tagged = cache.tagged(&["other", "data"]).unwrap();
                    let value = data.load(Ordering::SeqCst);
                    tagged.set(key, &value.to_le_bytes(), Attrs::new()).unwrap();
                }
            });
            let (invalidated, seen) = (&invalidated, &seen);
            scope.spawn(move || {
                while !is_done() {
                    let least = invalidated.load(Ordering::SeqCst);
                    let Some(found) = cache.get(key) else { continue };
                    let found = u64::from_le_bytes(found.try_into().unwrap());
                    assert!(found > least, "{found} was invalidated before {least}");
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            // Numbers of tags and sets are reused all the time.
            let mut round = 0_u32;
            while !is_done() {
                round = round.wrapping_add(1);
                put(&cache, &["noise", TAGS[round as usize % 5]], "noise", b"12345678");
                cache.delete("noise");
            }
        });
        for round in 1..=ROUNDS {
            // The last round comes when something was seen, however the threads took turns.
            while round == ROUNDS && seen.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            data.store(round + 1, Ordering::SeqCst);
            cache.invalidate_tag("data");
            invalidated.store(round, Ordering::SeqCst);
        }
    });
    cache.validate();
}
