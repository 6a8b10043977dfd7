//! The cache and the oracle side by side: every operation on both, compared after each step.
//! Random tests and the fuzz target share it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use memcore::{
    Attrs, Builder, Cache, Count, Counted, Cursor, Expiry, Fetch, Fetched, Handle, ManualClock,
    Meta, Miss, Mode, Moment, Remove, Removed, Reservation, Stats, Store, StoreError, UpgradeError,
    Value, WeakHandle,
};

use super::model::{Answer, Model, Seen, Written, secs};

pub(crate) const START: Moment = Moment::from_secs(1_700_000_000);
pub(crate) const MAX_ITEM: usize = 1 << 20;

/// More than the engine needs for an item besides key and value. The oracle does not know how much,
/// so that an item may be refused within so many bytes of the largest.
const HEADER_MAX: usize = 42;

/// Values up to this size lie in one segment.
const SMALL: usize = 900;

/// An operation. Expiries are seconds from now, and an expected version is the difference to the
/// present one, plus [`CURRENT`]: what they come to is known when it is their turn.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Fetch(usize, Fetch),
    GetHandle(usize),
    DropHandle(usize),
    GetMany(Vec<usize>),
    Store(usize, Text, Attrs, Store),
    Begin(usize, Text, Attrs),
    Fill(usize, usize),
    Commit(usize, Store),
    Abandon(usize),
    Count(usize, Count),
    Touch(usize, Expiry),
    Remove(usize, Remove),
    Flush,
    FlushAt(u32),
    Advance(u32),
    Scan(usize),
    Maintain(usize),
    /// In sixteenths of the limit at the start.
    SetLimit(usize),
}

/// Values that are numbers, nearly or quite.
pub(crate) const NUMBERS: [&str; 9] =
    ["0", "9", "10", " 7", "+41", "18446744073709551615", "99999 ", "-3", "1x"];

/// An expiry so many seconds from now, as a moment or as a time to live.
pub(crate) fn in_seconds(seconds: u32) -> Expiry {
    match seconds % 2 {
        0 => Expiry::At(Moment::from_secs(seconds)),
        _ => Expiry::after(secs(seconds)),
    }
}

/// The present version, as an expected one.
pub(crate) const CURRENT: u64 = 2;

/// A value, of which a failing test need not print every byte.
#[derive(Clone)]
pub(crate) struct Text(pub(crate) Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.0[..self.0.len().min(20)];
        write!(f, "{} bytes {:?}", self.0.len(), String::from_utf8_lossy(start))
    }
}

impl Text {
    /// `len` letters that depend on `salt`; no two of its neighbouring blocks are the same.
    pub(crate) fn of(len: usize, salt: u8) -> Self {
        const BLOCK: usize = 251;
        let letters: Vec<u8> = (0..BLOCK + 26).map(|i| b'a' + (i * 7 % 26) as u8).collect();
        let mut value = vec![0; len];
        for (i, block) in value.chunks_mut(BLOCK).enumerate() {
            let from = (usize::from(salt) + i) % 26;
            block.copy_from_slice(&letters[from..from + block.len()]);
        }
        Self(value)
    }
}

pub(crate) fn key_name(index: usize) -> Vec<u8> {
    let len = [1, 2, 3, 4, 17, 31, 64, 250][index % 8];
    (0..len).map(|i| (index + i * (index / 8)) as u8).collect()
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
pub(crate) struct Pair {
    cache: Cache,
    clock: ManualClock,
    model: Model,
    keys: usize,
    /// Whether items may go at any time.
    evicts: bool,
    /// Whether items that are not in memory may come back.
    returns: bool,
    /// Whether nothing may be evicted and there may be too little memory.
    fills: bool,
    start_limit: usize,
    /// Its tier, for when it is opened again.
    #[cfg(all(test, feature = "flash"))]
    flash: Option<memcore::flash::Flash>,
    /// Whether pinned memory has kept the cache from getting below a lower limit so far.
    is_over: bool,
    /// Items that were there when the cache was opened.
    found: u64,
    handles: Vec<(Handle, Arc<[u8]>)>,
    /// What handles were downgraded to.
    weak: Vec<(WeakHandle, Arc<[u8]>)>,
    open: Vec<Open>,
    last_version: u64,
    hits: u64,
    /// At least and at most: lookups that must not count as a use may or may not count as misses.
    misses: (u64, u64),
}

impl Pair {
    /// The seed decides where the keys are and what is evicted, so that a failure can be repeated.
    pub(crate) fn new(limit: usize, keys: usize, evicts: bool, seed: u64) -> Self {
        Self::build(limit, keys, evicts, false, seed, |builder| builder)
    }

    /// The same with a tier that items go to which are evicted.
    #[cfg(all(test, feature = "flash"))]
    pub(crate) fn with_flash(
        limit: usize,
        keys: usize,
        seed: u64,
        flash: memcore::flash::Flash,
    ) -> Self {
        let tier = flash.clone();
        let pair = Self::build(limit, keys, true, false, seed, |builder| builder.flash(tier));
        Self { returns: true, flash: Some(flash), ..pair }
    }

    /// A cache that evicts nothing, and refuses what has no room.
    #[cfg(test)]
    pub(crate) fn filling(limit: usize, keys: usize, seed: u64) -> Self {
        Self::build(limit, keys, false, true, seed, |builder| builder)
    }

    fn build(
        limit: usize,
        keys: usize,
        evicts: bool,
        fills: bool,
        seed: u64,
        extend: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let clock = ManualClock::new(START);
        let builder = Cache::builder(limit).evictions(!fills).max_key_len(250);
        let builder = builder.max_item_size(MAX_ITEM.min(limit / 2));
        let builder = builder.clock(clock.clone()).seed(seed);
        let cache = extend(builder).build().expect("a cache of this size");
        cache.track_access_exactly();
        let model = Model::new(START, MAX_ITEM);
        let (handles, open) = (Vec::new(), Vec::new());
        Self {
            cache,
            clock,
            model,
            keys,
            evicts,
            returns: false,
            fills,
            start_limit: limit,
            #[cfg(all(test, feature = "flash"))]
            flash: None,
            is_over: false,
            found: 0,
            handles,
            weak: Vec::new(),
            open,
            last_version: 0,
            hits: 0,
            misses: (0, 0),
        }
    }

    /// The cache, to be looked at.
    #[cfg(test)]
    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Stores values of `len` bytes under keys that no operation has, until there is no more room,
    /// and removes every third of them.
    #[cfg(test)]
    pub(crate) fn fill_up(&mut self, len: usize) {
        let value = Text::of(len, 0);
        let mut key = self.keys;
        while self.cache.stats().total.out_of_memory == 0 {
            self.store(key, &value.0, Attrs::new(), Store::new());
            key += 1;
        }
        for key in (self.keys..key).step_by(3) {
            self.remove(key, Remove::new());
        }
    }

    pub(crate) fn run(&mut self, op: &Op) {
        self.apply(op);
        self.cache.validate();
    }

    /// Closes the cache and goes on with another one in the same file. The first time there is no
    /// file yet, nor any item.
    #[cfg(all(test, target_os = "linux", not(any(miri, memcore_fallback))))]
    pub(crate) fn restart(&mut self, path: &std::path::Path) {
        use memcore::Restored;

        self.handles.clear();
        self.weak.clear();
        self.open.clear();
        let limit = self.cache.stats().limit;
        let items = self.cache.stats().total.items;
        let builder = Cache::builder(limit).max_item_size(MAX_ITEM.min(limit / 2));
        let builder = builder.clock(self.clock.clone()).memory_file(path);
        #[cfg(feature = "flash")]
        let builder = match &self.flash {
            Some(flash) => builder.flash(flash.clone()),
            None => builder,
        };
        let none = Cache::builder(limit).build().expect("a cache of this size");
        let closed = std::mem::replace(&mut self.cache, none);
        let is_first = closed.restored().is_none();
        #[cfg(feature = "flash")]
        let on_flash = closed.flash_stats().filter(|stats| stats.is_on).map(|stats| stats.items);
        closed.close().expect("nobody else uses it");
        self.cache = builder.build().expect("a cache of this size");
        #[cfg(feature = "flash")]
        if let Some(items) = on_flash.filter(|_| !is_first) {
            assert_eq!(self.cache.flash_restored(), Some(&Restored::Items(items)));
        }
        let expected = if is_first { Restored::Nothing } else { Restored::Items(items) };
        assert_eq!(self.cache.restored(), Some(&expected));
        self.cache.track_access_exactly();
        self.cache.validate();
        (self.hits, self.misses, self.found) = (0, (0, 0), items);
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Fetch(key, how) => self.fetch(*key, how),
            Op::GetHandle(key) => self.get_handle(*key),
            Op::DropHandle(which) => {
                if !self.handles.is_empty() {
                    let (handle, value) = self.handles.swap_remove(which % self.handles.len());
                    self.weak.extend(handle.downgrade().map(|weak| (weak, value)));
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
                let at = self.model.now + secs(*delay);
                self.cache.flush_at(at);
                self.model.flush_at(at);
            }
            Op::Advance(seconds) => {
                self.clock.advance(secs(*seconds));
                self.model.advance(*seconds);
            }
            Op::Scan(at_least) => self.scan(*at_least),
            Op::Maintain(budget) => {
                self.cache.maintain(*budget);
            }
            Op::SetLimit(sixteenths) => self.set_limit(self.start_limit / 16 * sixteenths),
        }
    }

    /// What an operation's expiry stands for: moments count from now, and a time to live means
    /// itself.
    fn moment(&self, expiry: Expiry) -> Expiry {
        match expiry {
            Expiry::At(seconds) => Expiry::At(self.model.now + secs(seconds.as_secs())),
            other => other,
        }
    }

    /// The present version of a key, 0 if it has none.
    fn version(&self, key: usize) -> u64 {
        self.model.get(&key_name(key)).map_or(0, |item| item.seen.version)
    }

    /// The version that an operation's relative one stands for.
    fn expected(&self, key: usize, expected: Option<u64>) -> Option<u64> {
        let current = self.version(key);
        expected.map(|code| current.saturating_add(code).saturating_sub(CURRENT))
    }

    /// Lets the oracle do what the cache has done, and compares. An item that may have been evicted
    /// before or within the operation may be missing.
    fn compare(&mut self, key: usize, got: &Answer, apply: impl Fn(&mut Model, &[u8]) -> Answer) {
        let name = key_name(key);
        let peeked = self.cache.peek(&name).map(Seen::from);
        if ran_out(got) && self.may_run_out() {
            return;
        }
        if self.returns && matches!(got, Answer::Miss(_)) {
            // It was not to be had at the moment, and may be a moment later.
            let mut after = self.model.clone();
            _ = apply(&mut after, &name);
            let seen = after.get(&name).map(|item| item.seen).ok();
            assert!(
                peeked.is_none() || peeked.map(Seen::without_use) == seen.map(Seen::without_use),
                "key {key}: {peeked:?} or {seen:?}"
            );
            return;
        }
        let refused = matches!(got, Answer::Stored(Err(StoreError::TooLarge)));
        let most = self.item_max();
        self.model.max_item_size = if refused { most - HEADER_MAX } else { most };
        self.model.used_fresh = false;
        self.model.fresh = match got {
            Answer::Stored(Ok(Written::Done { version, .. })) => *version,
            Answer::Count { seen, .. } | Answer::Hit { seen, created: true, .. } => seen.version,
            _ => peeked.map_or(0, |seen| seen.version),
        };
        let mut after = self.model.clone();
        let wanted = apply(&mut after, &name);
        // Both answers may be the same; then what is left tells which one it was.
        if !same(got, &wanted) || !after.explains(&name, peeked) {
            let message = format!(
                "key {key}: got {} and {peeked:?}, wanted {} and {:?}",
                brief(got),
                brief(&wanted),
                after.get(&name).map(|item| item.seen)
            );
            assert!(self.evicts, "{message}");
            after = self.model.clone();
            after.forget(&name);
            let evicted = apply(&mut after, &name);
            assert!(same(got, &evicted), "{message} or {}", brief(&evicted));
            assert!(after.explains(&name, peeked), "{message} or {:?}", after.get(&name));
        }
        if after.used_fresh && after.get(&name).is_ok() {
            assert!(after.fresh > self.last_version, "versions must grow");
            self.last_version = after.fresh;
        }
        self.model = after;
    }

    fn fetch(&mut self, key: usize, how: &Fetch) {
        let moment = |expiry: Option<Expiry>| expiry.map(|expiry| self.moment(expiry));
        // That a miss finds no room to create an item can't be told from a miss.
        let create = how.create.filter(|_| !self.fills);
        let how = how.touch(moment(how.touch)).create(moment(create));
        let how = match how.value {
            Value::UnlessVersion(_) => how.unless_version(self.version(key)),
            _ => how,
        };
        let mut out = b"before".to_vec();
        let head = |hit: &memcore::Hit, out: &mut Vec<u8>| {
            out.extend_from_slice(&hit.meta.value_len.to_le_bytes());
        };
        let mut fetched = self.cache.fetch(key_name(key), &how, &mut out, head);
        if let Fetched::Busy(hit) = fetched {
            assert!(self.evicts || self.fills, "the limit of pinned bytes was not reached");
            assert!(hit.meta.value_len > how.inline_max);
            assert_eq!(out, b"before");
            // Nothing has happened, so the lookup can be repeated.
            let how = how.inline_max(usize::MAX);
            fetched = self.cache.fetch(key_name(key), &how, &mut out, head);
        }
        let (hit, value) = match fetched {
            Fetched::Copied(hit) => {
                assert!(delivers(how.value, hit.meta.version));
                assert_eq!(out[..6], *b"before");
                assert_eq!(out[6..14], hit.meta.value_len.to_le_bytes());
                (hit, out.split_off(14))
            }
            Fetched::Skipped(hit) => {
                assert!(!delivers(how.value, hit.meta.version));
                assert_eq!(out.len(), 14, "a value was copied though it was not wanted");
                // The oracle says what it should have been; what was created is empty.
                let name = key_name(key);
                let known = self.model.get(&name).ok().filter(|_| !hit.created);
                (hit, known.map(|item| item.value.to_vec()).unwrap_or_default())
            }
            Fetched::Pinned(hit, handle) => {
                assert!(delivers(how.value, hit.meta.version));
                assert_eq!(out, b"before");
                assert!(hit.meta.value_len > how.inline_max);
                (hit, handle.to_vec())
            }
            Fetched::Miss(miss) => {
                assert_eq!(out, b"before");
                self.count_miss(how.peek);
                if how.lease && how.create.is_some() && self.may_run_out() {
                    // There was no memory to create it.
                    let mut how = how;
                    how.create = None;
                    return self
                        .compare(key, &Answer::Miss(miss), |model, key| model.fetch(key, &how));
                }
                self.compare(key, &Answer::Miss(miss), |model, key| model.fetch(key, &how));
                return;
            }
            Fetched::Untouched(_) => {
                assert!(self.may_run_out(), "no memory to touch it");
                assert_eq!(out, b"before");
                return;
            }
            other => panic!("busy, though nothing need be pinned: {other:?}"),
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
                model.fetch(key, &Fetch::new())
            });
        };
        self.hits += 1;
        let value: Arc<[u8]> = handle.to_vec().into();
        assert_eq!((handle.len(), handle.is_empty()), (value.len(), value.is_empty()));
        let seen = Seen::from(*handle.meta());
        let got = Answer::Hit { seen, value: value.clone(), won: false, created: false };
        self.compare(key, &got, |model, key| model.fetch(key, &Fetch::new()));
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
            self.compare(*key, &got, |model, key| model.fetch(key, &Fetch::new()));
        }
    }

    /// What a write comes to.
    fn resolve(&self, key: usize, how: Store) -> Store {
        how.expected(self.expected(key, how.expected))
            .create(how.create.map(|expiry| self.moment(expiry)))
    }

    fn store(&mut self, key: usize, value: &[u8], attrs: Attrs, how: Store) {
        let how = self.resolve(key, how);
        let attrs = attrs.expiry(self.moment(attrs.expiry));
        let old = self.cache.peek(key_name(key));
        let got =
            Answer::Stored(self.cache.store(key_name(key), value, attrs, &how).map(Written::from));
        if ran_out(&got) {
            // What gets smaller is not refused, unless memory is pinned.
            let replaces =
                how.mode == Mode::Set && old.is_some_and(|old| old.value_len >= value.len() + 16);
            let is_pinned = !self.handles.is_empty() || !self.open.is_empty();
            assert!(!replaces || is_pinned || value.len() >= SMALL, "{old:?} by {}", value.len());
        }
        self.compare(key, &got, |model, key| model.store(key, value, attrs, &how));
    }

    fn begin(&mut self, key: usize, value: &[u8], attrs: Attrs) {
        if self.open.len() == 3 {
            return;
        }
        let attrs = attrs.expiry(self.moment(attrs.expiry));
        let place = match self.cache.reserve(key_name(key), value.len(), attrs) {
            Ok(place) => place,
            Err(error) => {
                self.model.max_item_size = self.item_max() - HEADER_MAX;
                let is_refused = self.model.admit(&key_name(key), value.len()) == Err(error);
                let is_full = error == StoreError::OutOfMemory && self.may_run_out();
                assert!(is_refused || is_full, "{} bytes: {error}", value.len());
                return;
            }
        };
        let attrs = attrs.expiry(attrs.expiry.moment(self.model.now).into());
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

    fn commit(&mut self, which: usize, how: Store) {
        if self.open.is_empty() {
            return;
        }
        let mut open = self.open.swap_remove(which % self.open.len());
        let key = open.key;
        let how = self.resolve(key, how);
        open.place.write(&open.value[open.filled..]);
        let failed = open.place.commit(&how).map(Written::from);
        if failed == Err(StoreError::OutOfMemory) && (self.evicts || self.fills) {
            // It may have run out while other values were arriving.
            return;
        }
        let got = Answer::Stored(failed);
        self.compare(key, &got, |model, key| model.store(key, &open.value, open.attrs, &how));
    }

    fn count(&mut self, key: usize, how: Count) {
        let initial =
            how.initial.map(|(value, attrs)| (value, attrs.expiry(self.moment(attrs.expiry))));
        let touch = how.touch.map(|expiry| self.moment(expiry));
        let expected = self.expected(key, how.expected);
        let mut how = how.expected(expected).touch(touch);
        how.initial = initial;
        let got = match self.cache.count(key_name(key), &how) {
            Ok(Counted::Done { value, meta, created, .. }) => {
                let was_there = self.model.get(&key_name(key)).is_ok();
                assert!(created != was_there || self.evicts, "created: {created}");
                Answer::Count { value, seen: Seen::from(meta).without_use() }
            }
            other => Answer::NotCounted(other),
        };
        self.compare(key, &got, |model, key| model.count(key, &how));
        self.adopt_use(key);
    }

    fn touch(&mut self, key: usize, expiry: Expiry) {
        let got = match self.cache.touch(key_name(key), expiry) {
            Ok(touched) => Answer::Seen(touched.map(Seen::from)),
            Err(error) => return assert!(self.may_run_out(), "no memory to touch it: {error}"),
        };
        self.compare(key, &got, |model, key| model.touch(key, expiry));
        self.adopt_use(key);
    }

    fn remove(&mut self, key: usize, how: Remove) {
        let touch = how.touch.map(|expiry| self.moment(expiry));
        let how = how.expected(self.expected(key, how.expected)).touch(touch);
        let got = match self.cache.remove_with(key_name(key), &how) {
            Ok(Removed::Done(meta)) => Answer::Gone(meta.into()),
            Ok(other) => Answer::NotGone(other),
            Err(error) => return assert!(self.may_run_out(), "room for less: {error}"),
        };
        self.compare(key, &got, |model, key| model.remove(key, &how));
        self.adopt_use(key);
    }

    /// Bytes of the largest item: half of the limit always takes it.
    fn item_max(&self) -> usize {
        MAX_ITEM.min(self.cache.stats().limit / 2)
    }

    /// Whether it is all right if there is no memory: some can't be evicted, or the limit was
    /// lowered so much that not every item has room.
    fn may_run_out(&self) -> bool {
        let is_pinned = !self.handles.is_empty() || !self.open.is_empty() || self.is_over;
        self.fills || self.evicts && (is_pinned || self.cache.stats().limit < 4 * MAX_ITEM)
    }

    fn set_limit(&mut self, bytes: usize) {
        if !self.evicts && bytes < self.start_limit {
            return;
        }
        let before = self.cache.stats().limit;
        let set = self.cache.set_limit(bytes);
        let stats = self.cache.stats();
        assert_eq!(stats.limit, if set.is_ok() { bytes } else { before });
        self.is_over = stats.used > stats.limit;
        let is_free = self.handles.is_empty() && self.open.is_empty();
        assert!(!(self.is_over && is_free), "{} of {}", stats.used, stats.limit);
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
        assert!(
            (payload..payload + HEADER_MAX).contains(&meta.size),
            "{payload} bytes in {}",
            meta.size
        );
        assert!(meta.class >= 1);
    }

    /// Everything that can be seen, compared with the oracle.
    pub(crate) fn check(&mut self) {
        for key in 0..self.keys {
            self.check_key(key);
        }
        for (handle, value) in &self.handles {
            assert!(handle.to_vec() == **value, "a handle's bytes changed");
        }
        self.weak.retain(|(weak, value)| match weak.upgrade() {
            Ok(handle) => {
                assert!(handle.to_vec() == **value, "another value came back");
                true
            }
            Err(error) => error == UpgradeError::Full,
        });
        let stats = self.cache.stats();
        self.is_over &= stats.used > stats.limit;
        self.check_stats(&stats);
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
            if !self.returns {
                self.model.forget(&name);
            }
            return;
        }
        assert_eq!(seen, Some(item.seen), "key {key}");
        let mut value = Vec::new();
        let how = Fetch::new().peek(true);
        let fetched = self.cache.fetch(&name, &how, &mut value, |_, _| {});
        if self.returns && matches!(fetched, Fetched::Miss(_)) {
            return;
        }
        assert!(matches!(fetched, Fetched::Copied(_)), "{fetched:?}");
        assert!(value == *item.value, "key {key}: a wrong value of {} bytes", value.len());
    }

    fn check_stats(&self, stats: &Stats) {
        let total = &stats.total;
        let is_within = stats.used <= stats.limit;
        assert!(is_within || self.is_over, "{} of {}", stats.used, stats.limit);
        assert_eq!(total.hits_small + total.hits_main, self.hits);
        let misses = self.misses.0..=self.misses.1;
        assert!(misses.contains(&total.misses), "{} of {misses:?}", total.misses);
        assert!(total.misses_expired + total.misses_flushed <= total.misses);
        let gone = total.replaced + total.deleted + total.evicted + total.expired + total.flushed;
        assert_eq!(self.found + total.stored, total.items + gone, "{total:?}");
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
    pub(crate) fn finish(mut self) {
        self.handles.clear();
        self.weak.clear();
        self.open.clear();
        // A sweep may come back to the same place only some seconds later.
        for seconds in [20, 5, 5] {
            self.clock.advance(secs(seconds));
            self.model.advance(seconds);
            let finished = (0..100_000).any(|_| !self.cache.maintain(64));
            assert!(finished, "housekeeping comes to an end");
        }
        self.check();
        if self.returns {
            return;
        }
        let sizes = self.model.visible().map(|(key, _)| self.cache.peek(key).map(|m| m.size));
        let sizes: Vec<usize> = sizes.map(|size| size.expect("checked")).collect();
        let total = self.cache.stats().total;
        assert_eq!(total.items, sizes.len() as u64, "dead items are gone");
        assert_eq!(total.bytes, sizes.iter().sum::<usize>() as u64);
        assert_eq!(self.cache.stats().pinned_bytes, 0);
    }
}

fn delivers(value: Value, version: u64) -> bool {
    match value {
        Value::Skip => false,
        Value::UnlessVersion(known) => version != known,
        _ => true,
    }
}

/// An answer without all of its value, which may be long.
fn brief(answer: &Answer) -> String {
    match answer {
        Answer::Hit { seen, value, won, created } => {
            let value = Text(value.to_vec());
            format!("{seen:?} with {value:?}, won: {won}, created: {created}")
        }
        other => format!("{other:?}"),
    }
}

fn ran_out(got: &Answer) -> bool {
    const FULL: StoreError = StoreError::OutOfMemory;
    match got {
        Answer::Stored(stored) => *stored == Err(FULL),
        Answer::NotCounted(counted) => *counted == Err(memcore::CountError::Store(FULL)),
        _ => false,
    }
}

/// Whether the cache answered as the oracle did. It may have forgotten why there is nothing.
fn same(got: &Answer, wanted: &Answer) -> bool {
    match (got, wanted) {
        (Answer::Miss(Miss::Absent), Answer::Miss(_)) => true,
        _ => got == wanted,
    }
}
