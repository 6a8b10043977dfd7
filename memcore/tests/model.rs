//! Random sequences of all operations, compared with an oracle after every step.

mod common {
    pub(crate) mod model;
}

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use common::model::{Answer, Model, Seen};
use memcore::{
    Attrs, Cache, Count, Counted, Cursor, Expiry, Fetch, Fetched, Handle, ManualClock, Meta, Miss,
    Mode, Remove, Removed, Reservation, Stats, StoreError, Stored, Write,
};
use proptest::prelude::*;
use proptest::sample::select;

const START: u32 = 1_700_000_000;
const MAX_ITEM: usize = 1 << 20;

/// An operation. Expiries are seconds from now, and an expected version is the difference to the
/// present one, plus [`CURRENT`]: what they come to is known when it is their turn.
#[derive(Clone, Debug)]
enum Op {
    Fetch(usize, Fetch),
    GetHandle(usize),
    DropHandle(usize),
    GetMany(Vec<usize>),
    Store(usize, Text, Attrs, Write),
    Begin(usize, Text, Attrs),
    Fill(usize, usize),
    Commit(usize, Write),
    Abandon(usize),
    Count(usize, Count),
    Touch(usize, Expiry),
    Remove(usize, Remove),
    Flush,
    FlushAt(u32),
    Advance(u32),
    Scan(usize),
    Maintain(usize),
}

/// A value, of which a failing test need not print every byte.
#[derive(Clone)]
struct Text(Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.0[..self.0.len().min(20)];
        write!(f, "{} bytes {:?}", self.0.len(), String::from_utf8_lossy(start))
    }
}

const CURRENT: u64 = 2;
const NUMBERS: [&str; 9] =
    ["0", "9", "10", " 7", "+41", "18446744073709551615", "99999 ", "-3", "1x"];

fn key_name(index: usize) -> Vec<u8> {
    let len = [1, 2, 3, 4, 17, 31, 64, 250][index % 8];
    (0..len).map(|i| (index + i * (index / 8)) as u8).collect()
}

fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![3 => Just(Expiry::Never), 3 => (1..40_u32).prop_map(Expiry::At),
        1 => Just(Expiry::At(0))]
}

fn attrs() -> impl Strategy<Value = Attrs> {
    (prop_oneof![Just(0), any::<u32>()], expiry(), any::<bool>())
        .prop_map(|(flags, expiry, marked)| Attrs { flags, expiry, marked })
}

fn value(most: usize) -> impl Strategy<Value = Text> {
    let bytes = |len: std::ops::Range<usize>| {
        (len, any::<u8>()).prop_map(|(len, salt)| {
            Text(
                (0..len).map(|i| b'a' + (i * 7 + usize::from(salt) + i / 251) as u8 % 26).collect(),
            )
        })
    };
    prop_oneof![
        6 => bytes(0..40),
        3 => select(&NUMBERS[..]).prop_map(|text| Text(text.as_bytes().to_vec())),
        3 => bytes(0..3000),
        2 => bytes(0..40_000.min(most)),
        1 => bytes(0..most),
    ]
}

fn version() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![6 => Just(None), 1 => (1..60_u64).prop_map(Some),
        1 => any::<u64>().prop_map(|version| Some(version.max(1)))]
}

fn expected() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![4 => Just(None), 2 => Just(Some(CURRENT)), 1 => (0..5_u64).prop_map(Some)]
}

fn write() -> impl Strategy<Value = Write> {
    use Mode::*;
    (
        select(&[Set, Set, Set, Add, Replace, Append, Append, Prepend][..]),
        expected(),
        version(),
        any::<bool>(),
        proptest::option::of(expiry()),
    )
        .prop_map(|(mode, expected, version, allow_stale, create)| Write {
            mode,
            expected,
            version,
            allow_stale,
            create,
        })
}

fn fetch() -> impl Strategy<Value = Fetch> {
    (
        select(&[0, 100, 8192, usize::MAX][..]),
        proptest::bool::weighted(0.2),
        proptest::option::weighted(0.2, expiry()),
        any::<bool>(),
        proptest::option::of(0..50_u32),
        proptest::option::weighted(0.3, expiry()),
        any::<bool>(),
    )
        .prop_map(|(inline_max, peek, touch, lease, renew_within, create, marked)| Fetch {
            inline_max,
            peek,
            touch,
            lease,
            renew_within,
            create,
            marked,
        })
}

fn count() -> impl Strategy<Value = Count> {
    (
        prop_oneof![0..20_u64, any::<u64>()],
        any::<bool>(),
        expected(),
        version(),
        proptest::option::weighted(0.2, expiry()),
        proptest::option::weighted(0.3, (any::<u64>(), attrs())),
    )
        .prop_map(|(delta, down, expected, version, touch, create)| Count {
            delta,
            down,
            expected,
            version,
            touch,
            create,
        })
}

fn remove() -> impl Strategy<Value = Remove> {
    (expected(), any::<bool>(), any::<bool>(), proptest::option::of(expiry()), version()).prop_map(
        |(expected, invalidate, clear, touch, version)| Remove {
            expected,
            invalidate,
            clear,
            touch,
            version,
        },
    )
}

fn op(keys: usize, most: usize) -> impl Strategy<Value = Op> {
    let key = 0..keys;
    prop_oneof![
        8 => (key.clone(), fetch()).prop_map(|(key, how)| Op::Fetch(key, how)),
        2 => key.clone().prop_map(Op::GetHandle),
        1 => any::<usize>().prop_map(Op::DropHandle),
        1 => proptest::collection::vec(key.clone(), 0..40).prop_map(Op::GetMany),
        12 => (key.clone(), value(most), attrs(), write())
            .prop_map(|(key, value, attrs, how)| Op::Store(key, value, attrs, how)),
        2 => (key.clone(), value(most), attrs())
            .prop_map(|(key, value, attrs)| Op::Begin(key, value, attrs)),
        3 => (any::<usize>(), 0..most).prop_map(|(which, len)| Op::Fill(which, len)),
        2 => (any::<usize>(), write()).prop_map(|(which, how)| Op::Commit(which, how)),
        1 => any::<usize>().prop_map(Op::Abandon),
        4 => (key.clone(), count()).prop_map(|(key, how)| Op::Count(key, how)),
        2 => (key.clone(), expiry()).prop_map(|(key, expiry)| Op::Touch(key, expiry)),
        3 => (key, remove()).prop_map(|(key, how)| Op::Remove(key, how)),
        1 => Just(Op::Flush),
        1 => (1..30_u32).prop_map(Op::FlushAt),
        3 => (1..10_u32).prop_map(Op::Advance),
        1 => (0..9_usize).prop_map(Op::Scan),
        2 => (0..100_usize).prop_map(Op::Maintain),
    ]
}

/// A reservation and the value that it is to hold.
struct Open {
    key: usize,
    value: Vec<u8>,
    filled: usize,
    attrs: Attrs,
    place: Reservation,
}

/// The cache and the oracle, side by side.
struct Pair {
    cache: Cache,
    clock: ManualClock,
    model: Model,
    keys: usize,
    /// Whether items may go at any time.
    evicts: bool,
    handles: Vec<(Handle, Arc<[u8]>)>,
    open: Vec<Open>,
    last_version: u64,
    hits: u64,
    /// At least and at most: lookups that must not count as a use may or may not count as misses.
    misses: (u64, u64),
}

impl Pair {
    fn new(limit: usize, keys: usize, evicts: bool) -> Self {
        let clock = ManualClock::new(START);
        let builder = Cache::builder(limit).max_item_size(MAX_ITEM).clock(clock.clone());
        let cache = builder.build().expect("a cache of this size");
        cache.track_access_exactly();
        let model = Model::new(START, MAX_ITEM);
        let (handles, open) = (Vec::new(), Vec::new());
        let counts = (0, (0, 0));
        Self {
            cache,
            clock,
            model,
            keys,
            evicts,
            handles,
            open,
            last_version: 0,
            hits: counts.0,
            misses: counts.1,
        }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Fetch(key, how) => self.fetch(*key, how),
            Op::GetHandle(key) => self.get_handle(*key),
            Op::DropHandle(which) => {
                if !self.handles.is_empty() {
                    self.handles.swap_remove(which % self.handles.len());
                }
            }
            Op::GetMany(keys) => self.get_many(keys),
            Op::Store(key, value, attrs, how) => self.store(*key, &value.0, *attrs, *how),
            Op::Begin(key, value, attrs) => self.begin(*key, &value.0, *attrs),
            Op::Fill(which, len) => self.fill(*which, *len),
            Op::Commit(which, how) => self.commit(*which, *how),
            Op::Abandon(which) => {
                if !self.open.is_empty() {
                    self.open.swap_remove(which % self.open.len());
                }
            }
            Op::Count(key, how) => self.count(*key, *how),
            Op::Touch(key, expiry) => self.touch(*key, self.moment(*expiry)),
            Op::Remove(key, how) => self.remove(*key, *how),
            Op::Flush => {
                self.cache.flush();
                self.model.flush();
            }
            Op::FlushAt(delay) => {
                self.cache.flush_at(self.model.now + delay);
                self.model.flush_at(self.model.now + delay);
            }
            Op::Advance(seconds) => {
                self.clock.advance(*seconds);
                self.model.advance(*seconds);
            }
            Op::Scan(at_least) => self.scan(*at_least),
            Op::Maintain(budget) => {
                self.cache.maintain(*budget);
            }
        }
    }

    /// The moment that an operation's relative expiry stands for.
    fn moment(&self, expiry: Expiry) -> Expiry {
        match expiry {
            Expiry::At(seconds) => Expiry::At(self.model.now + seconds),
            Expiry::Never => Expiry::Never,
        }
    }

    /// The version that an operation's relative one stands for.
    fn expected(&self, key: usize, expected: Option<u64>) -> Option<u64> {
        let current = self.model.get(&key_name(key)).map_or(0, |item| item.seen.version);
        expected.map(|code| current.saturating_add(code).saturating_sub(CURRENT))
    }

    /// Lets the oracle do what the cache has done, and compares. An item that may have been evicted
    /// before or within the operation may be missing.
    fn compare(&mut self, key: usize, got: &Answer, apply: impl Fn(&mut Model, &[u8]) -> Answer) {
        let name = key_name(key);
        let peeked = self.cache.peek(&name).map(Seen::from);
        self.model.used_fresh = false;
        self.model.fresh = match got {
            Answer::Stored(Ok(Stored::Done { version, .. })) => *version,
            Answer::Count { seen, .. } | Answer::Hit { seen, created: true, .. } => seen.version,
            _ => peeked.map_or(0, |seen| seen.version),
        };
        let mut after = self.model.clone();
        let mut wanted = apply(&mut after, &name);
        if self.evicts && !same(got, &wanted) {
            after = self.model.clone();
            after.forget(&name);
            wanted = apply(&mut after, &name);
        }
        assert!(same(got, &wanted), "key {key}: got {got:?}, wanted {wanted:?}");
        if peeked.is_some() {
            assert!(after.get(&name).is_ok(), "key {key} is still there after {got:?}");
        }
        if after.used_fresh && after.get(&name).is_ok() {
            assert!(after.fresh > self.last_version, "versions must grow");
            self.last_version = after.fresh;
        }
        self.model = after;
    }

    fn fetch(&mut self, key: usize, how: &Fetch) {
        let moment = |expiry: Option<Expiry>| expiry.map(|expiry| self.moment(expiry));
        let how = Fetch { touch: moment(how.touch), create: moment(how.create), ..*how };
        let mut out = b"before".to_vec();
        let head = |hit: &memcore::Hit, out: &mut Vec<u8>| {
            out.extend_from_slice(&hit.meta.value_len.to_le_bytes());
        };
        let fetched = self.cache.fetch(key_name(key), &how, &mut out, head);
        let (hit, value) = match fetched {
            Fetched::Copied(hit) => {
                assert_eq!(out[..6], *b"before");
                assert_eq!(out[6..14], hit.meta.value_len.to_le_bytes());
                (hit, out.split_off(14))
            }
            Fetched::Pinned(hit, handle) => {
                assert_eq!(out, b"before");
                assert!(hit.meta.value_len > how.inline_max);
                (hit, handle.to_vec())
            }
            Fetched::Busy(_) => panic!("the limit of pinned bytes was not reached"),
            Fetched::Miss(miss) => {
                assert_eq!(out, b"before");
                self.count_miss(how.peek);
                self.compare(key, &Answer::Miss(miss), |model, key| model.fetch(key, &how));
                return;
            }
        };
        match hit.created {
            true => self.count_miss(true),
            false => self.hits += u64::from(!how.peek),
        }
        self.check_size(key, &hit.meta);
        let (won, created) = (hit.won, hit.created);
        let got = Answer::Hit { seen: hit.meta.into(), value: value.into(), won, created };
        self.compare(key, &got, |model, key| model.fetch(key, &how));
    }

    fn count_miss(&mut self, perhaps: bool) {
        self.misses.0 += u64::from(!perhaps);
        self.misses.1 += 1;
    }

    fn get_handle(&mut self, key: usize) {
        let Some(handle) = self.cache.get_handle(key_name(key)) else {
            self.count_miss(false);
            return self.compare(key, &Answer::Miss(Miss::Absent), |model, key| {
                model.fetch(key, &Fetch::default())
            });
        };
        self.hits += 1;
        let value: Arc<[u8]> = handle.to_vec().into();
        assert_eq!((handle.len(), handle.is_empty()), (value.len(), value.is_empty()));
        let seen = Seen::from(*handle.meta());
        let got = Answer::Hit { seen, value: value.clone(), won: false, created: false };
        self.compare(key, &got, |model, key| model.fetch(key, &Fetch::default()));
        if self.handles.len() < 4 {
            self.handles.push((handle, value));
        }
    }

    fn get_many(&mut self, keys: &[usize]) {
        let names: Vec<_> = keys.iter().map(|key| key_name(*key)).collect();
        let mut found = BTreeMap::new();
        self.cache.get_many(&names, |i, meta, value| {
            let seen = Seen::from(*meta);
            let value = value.into();
            let hit = Answer::Hit { seen, value, won: false, created: false };
            assert!(found.last_key_value().is_none_or(|(last, _)| *last < i), "out of order");
            found.insert(i, hit);
        });
        for (i, key) in keys.iter().enumerate() {
            match found.contains_key(&i) {
                true => self.hits += 1,
                false => self.count_miss(false),
            }
            let got = found.remove(&i).unwrap_or(Answer::Miss(Miss::Absent));
            self.compare(*key, &got, |model, key| model.fetch(key, &Fetch::default()));
        }
    }

    /// What a write comes to.
    fn resolve(&self, key: usize, how: Write) -> Write {
        Write {
            expected: self.expected(key, how.expected),
            create: how.create.map(|expiry| self.moment(expiry)),
            ..how
        }
    }

    fn store(&mut self, key: usize, value: &[u8], attrs: Attrs, how: Write) {
        let how = self.resolve(key, how);
        let attrs = Attrs { expiry: self.moment(attrs.expiry), ..attrs };
        let got = Answer::Stored(self.cache.store(key_name(key), value, attrs, &how));
        self.compare(key, &got, |model, key| model.store(key, value, attrs, &how));
    }

    fn begin(&mut self, key: usize, value: &[u8], attrs: Attrs) {
        if self.open.len() == 3 {
            return;
        }
        let attrs = Attrs { expiry: self.moment(attrs.expiry), ..attrs };
        let place = self.cache.reserve(key_name(key), value.len(), attrs).expect("room");
        self.open.push(Open { key, value: value.to_vec(), filled: 0, attrs, place });
    }

    fn fill(&mut self, which: usize, len: usize) {
        if self.open.is_empty() {
            return;
        }
        let which = which % self.open.len();
        let open = &mut self.open[which];
        let end = open.value.len().min(open.filled + len);
        let mut bytes = open.value[open.filled..end].to_vec();
        // More than is owed is not taken.
        if end == open.value.len() {
            bytes.extend_from_slice(b"surplus");
        }
        assert_eq!(open.place.write(&bytes), end - open.filled);
        open.filled = end;
        assert_eq!(open.place.remaining(), open.value.len() - end);
    }

    fn commit(&mut self, which: usize, how: Write) {
        if self.open.is_empty() {
            return;
        }
        let mut open = self.open.swap_remove(which % self.open.len());
        let key = open.key;
        let how = self.resolve(key, how);
        open.place.write(&open.value[open.filled..]);
        let got = Answer::Stored(open.place.commit(&how));
        self.compare(key, &got, |model, key| model.store(key, &open.value, open.attrs, &how));
    }

    fn count(&mut self, key: usize, how: Count) {
        let create = how
            .create
            .map(|(value, attrs)| (value, Attrs { expiry: self.moment(attrs.expiry), ..attrs }));
        let touch = how.touch.map(|expiry| self.moment(expiry));
        let expected = self.expected(key, how.expected);
        let how = Count { expected, create, touch, ..how };
        let got = match self.cache.count(key_name(key), &how) {
            Ok(Counted::Done { value, meta, .. }) => {
                Answer::Count { value, seen: Seen::from(meta).without_use() }
            }
            other => Answer::NotCounted(other),
        };
        self.compare(key, &got, |model, key| model.count(key, &how));
        self.adopt_use(key);
    }

    fn touch(&mut self, key: usize, expiry: Expiry) {
        let got = Answer::Seen(self.cache.touch(key_name(key), expiry).map(Seen::from));
        self.compare(key, &got, |model, key| model.touch(key, expiry));
        self.adopt_use(key);
    }

    fn remove(&mut self, key: usize, how: Remove) {
        let touch = how.touch.map(|expiry| self.moment(expiry));
        let how = Remove { expected: self.expected(key, how.expected), touch, ..how };
        let got = match self.cache.remove(key_name(key), &how).expect("room for less") {
            Removed::Done(meta) => Answer::Gone(meta.into()),
            other => Answer::NotGone(other),
        };
        self.compare(key, &got, |model, key| model.remove(key, &how));
        self.adopt_use(key);
    }

    fn adopt_use(&mut self, key: usize) {
        let name = key_name(key);
        if let Some(meta) = self.cache.peek(&name) {
            self.model.adopt_use(&name, meta.into());
        }
    }

    fn scan(&mut self, at_least: usize) {
        let mut cursor = Cursor::default();
        let mut found = BTreeMap::new();
        let mut more = true;
        while more {
            more = self.cache.scan(&mut cursor, at_least, |key, meta| {
                let before = found.insert(key.to_vec(), Seen::from(*meta));
                assert_eq!(before, None, "visited twice, though nothing was written");
            });
        }
        for (key, seen) in &found {
            let item = self.model.get(key).expect("a key that is not there was visited");
            assert_eq!(*seen, item.seen);
        }
        if !self.evicts {
            assert_eq!(found.len(), self.model.visible().count());
        }
    }

    fn check_size(&self, key: usize, meta: &Meta) {
        let payload = key_name(key).len() + meta.value_len;
        assert!((payload..payload + 42).contains(&meta.size), "{payload} bytes in {}", meta.size);
        assert!(meta.class >= 1);
    }

    /// Everything that can be seen, compared with the oracle.
    fn check(&mut self) {
        for key in 0..self.keys {
            self.check_key(key);
        }
        for (handle, value) in &self.handles {
            assert!(handle.to_vec() == **value, "a handle's bytes changed");
        }
        self.check_stats(&self.cache.stats());
    }

    fn check_key(&mut self, key: usize) {
        let name = key_name(key);
        let seen = self.cache.peek(&name).map(Seen::from);
        assert_eq!(self.cache.contains(&name), seen.is_some());
        let item = match self.model.get(&name) {
            Ok(item) => item,
            Err(miss) => return assert_eq!(seen, None, "key {key} should be {miss:?}"),
        };
        if seen.is_none() && self.evicts {
            return self.model.forget(&name);
        }
        assert_eq!(seen, Some(item.seen), "key {key}");
        let mut value = Vec::new();
        let how = Fetch { peek: true, ..Fetch::default() };
        let fetched = self.cache.fetch(&name, &how, &mut value, |_, _| {});
        assert!(matches!(fetched, Fetched::Copied(_)), "{fetched:?}");
        assert!(value == *item.value, "key {key}: a wrong value of {} bytes", value.len());
    }

    fn check_stats(&self, stats: &Stats) {
        let total = &stats.total;
        assert!(stats.used <= stats.limit, "{} of {}", stats.used, stats.limit);
        assert_eq!(total.hits_small + total.hits_main, self.hits);
        let misses = self.misses.0..=self.misses.1;
        assert!(misses.contains(&total.misses), "{} of {misses:?}", total.misses);
        assert!(total.misses_expired + total.misses_flushed <= total.misses);
        let gone = total.replaced + total.deleted + total.evicted + total.expired + total.flushed;
        assert_eq!(total.stored, total.items + gone, "{total:?}");
        assert!(total.items_small <= total.items);
        if !self.evicts {
            assert_eq!(total.evicted, 0);
            assert!(total.items >= self.model.visible().count() as u64);
        }
        let sum = |of: fn(&memcore::ClassStats) -> u64| stats.classes.iter().map(of).sum::<u64>();
        assert_eq!(total.items, sum(|class| class.items));
        assert_eq!(total.bytes, sum(|class| class.bytes));
        assert_eq!(total.stored, sum(|class| class.stored));
        assert_eq!(total.evicted, sum(|class| class.evicted));
    }

    /// Housekeeping removes whatever is not visible any more, and books it.
    fn finish(mut self) {
        self.handles.clear();
        self.open.clear();
        // A sweep may come back to the same place only some seconds later.
        for seconds in [20, 5, 5] {
            self.clock.advance(seconds);
            self.model.advance(seconds);
            let finished = (0..100_000).any(|_| !self.cache.maintain(64));
            assert!(finished, "housekeeping comes to an end");
        }
        self.check();
        let sizes = self.model.visible().map(|(key, _)| self.cache.peek(key).map(|m| m.size));
        let sizes: Vec<usize> = sizes.map(|size| size.expect("checked")).collect();
        let total = self.cache.stats().total;
        assert_eq!(total.items, sizes.len() as u64, "dead items are gone");
        assert_eq!(total.bytes, sizes.iter().sum::<usize>() as u64);
        assert_eq!(self.cache.stats().pinned_bytes, 0);
    }
}

/// Whether the cache answered as the oracle did. It may have forgotten why there is nothing.
fn same(got: &Answer, wanted: &Answer) -> bool {
    match (got, wanted) {
        (Answer::Miss(Miss::Absent), Answer::Miss(_)) => true,
        _ => got == wanted,
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn every_answer_is_the_oracles(ops in proptest::collection::vec(op(8, 300 << 10), 1..80)) {
        let mut pair = Pair::new(64 << 20, 8, false);
        for op in &ops {
            pair.run(op);
            pair.check();
        }
        pair.finish();
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn under_pressure_answers_are_right_or_misses(
        ops in proptest::collection::vec(op(96, 400 << 10), 400..600),
    ) {
        let mut pair = Pair::new(8 << 20, 96, true);
        for (i, op) in ops.iter().enumerate() {
            pair.run(op);
            if i % 8 == 0 {
                pair.check();
            }
        }
        pair.finish();
    }
}

#[test]
fn the_oracle_refuses_what_no_cache_can_hold() {
    let model = Model::new(START, MAX_ITEM);
    assert_eq!(model.admit(b"", 0), Err(StoreError::BadKey));
    assert_eq!(model.admit(&[b'k'; 251], 0), Err(StoreError::BadKey));
    assert_eq!(model.admit(b"k", MAX_ITEM), Err(StoreError::TooLarge));
    assert_eq!(model.admit(b"k", MAX_ITEM - 1), Ok(()));
}
