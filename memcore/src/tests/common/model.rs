//! The oracle: what every operation means, in a map without memory limits, threads or eviction.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use memcore::{
    Attrs, Count, Counted, Expiry, Fetch, Miss, Mode, Moment, Remove, Removed, Store, StoreError,
    Stored,
};

/// Seconds as the interface wants them.
pub(crate) fn secs(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// An item's lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) stale: bool,
    pub(crate) taken: bool,
}

/// What is known about an item that does not depend on how it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) flags: u32,
    pub(crate) version: u64,
    pub(crate) expiry: Option<Moment>,
    pub(crate) marked: bool,
    pub(crate) value_len: usize,
    pub(crate) fetched: bool,
    pub(crate) last_access: Moment,
    pub(crate) lease: Lease,
}

impl Seen {
    /// Without what an engine may decide for itself when a value is changed in place.
    pub(crate) fn without_use(self) -> Self {
        Self { fetched: false, last_access: Moment::default(), ..self }
    }
}

impl From<memcore::Meta> for Seen {
    fn from(meta: memcore::Meta) -> Self {
        Self {
            flags: meta.flags,
            version: meta.version,
            expiry: meta.expiry,
            marked: meta.marked,
            value_len: meta.value_len,
            fetched: meta.fetched,
            last_access: meta.last_access,
            lease: Lease { stale: meta.lease.stale, taken: meta.lease.taken },
        }
    }
}

/// What an operation answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Hit { seen: Seen, value: Arc<[u8]>, won: bool, created: bool },
    Miss(Miss),
    Seen(Option<Seen>),
    Stored(Result<Written, StoreError>),
    Count { value: u64, seen: Seen },
    NotCounted(Result<Counted, memcore::CountError>),
    Gone(Seen),
    NotGone(Removed),
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Done { version: u64, value_len: usize },
    Not(Stored),
}

impl From<Stored> for Written {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Done { version, value_len, .. } => Self::Done { version, value_len },
            other => Self::Not(other),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) seen: Seen,
    pub(crate) value: Arc<[u8]>,
    flushed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) now: Moment,
    pub(crate) max_item_size: usize,
    items: BTreeMap<Vec<u8>, Item>,
    flush_at: Option<Moment>,
    /// The version that the next write gets, and whether it was used up.
    pub(crate) fresh: u64,
    pub(crate) used_fresh: bool,
}

impl Model {
    pub(crate) fn new(now: Moment, max_item_size: usize) -> Self {
        let items = BTreeMap::new();
        Self { now, max_item_size, items, flush_at: None, fresh: 0, used_fresh: false }
    }

    pub(crate) fn advance(&mut self, seconds: u32) {
        self.now = self.now + secs(seconds);
        if self.flush_at.is_some_and(|at| at <= self.now) {
            self.flush();
        }
    }

    pub(crate) fn flush(&mut self) {
        self.flush_at = None;
        self.items.values_mut().for_each(|item| item.flushed = true);
    }

    pub(crate) fn flush_at(&mut self, at: Moment) {
        self.flush_at = Some(at);
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<&Item, Miss> {
        match self.items.get(key) {
            None => Err(Miss::Absent),
            Some(item) if item.flushed => Err(Miss::Flushed),
            Some(item) if has_ended(item.seen.expiry, self.now) => Err(Miss::Expired),
            Some(item) => Ok(item),
        }
    }

    /// Whether it may be this that a look at a key has shown. What was there may have been evicted,
    /// and which changes count as a use is the engine's to decide.
    pub(crate) fn explains(&self, key: &[u8], seen: Option<Seen>) -> bool {
        let known = self.get(key).ok().map(|item| item.seen.without_use());
        seen.is_none_or(|seen| known == Some(seen.without_use()))
    }

    pub(crate) fn visible(&self) -> impl Iterator<Item = (&[u8], &Item)> {
        let is_visible = |(key, _): &(&Vec<u8>, &Item)| self.get(key).is_ok();
        self.items.iter().filter(is_visible).map(|(key, item)| (key.as_slice(), item))
    }

    /// The item was evicted.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        self.items.remove(key);
    }

    /// An engine may count a change of an item as a use, or not.
    pub(crate) fn adopt_use(&mut self, key: &[u8], seen: Seen) {
        if let Some(item) = self.items.get_mut(key) {
            item.seen.fetched = seen.fetched;
            item.seen.last_access = seen.last_access;
        }
    }

    pub(crate) fn fetch(&mut self, key: &[u8], how: &Fetch) -> Answer {
        let now = self.now;
        if let Err(miss) = self.get(key) {
            return match how.create {
                Some(expiry) if how.lease && (1..=250).contains(&key.len()) => {
                    let attrs = Attrs::new().expiry(expiry).marked(how.marked);
                    let lease = Lease { stale: false, taken: true };
                    let mut seen = self.put(key, Arc::default(), attrs, None, lease);
                    self.adopt_use(key, Seen { fetched: !how.peek, ..seen });
                    seen.lease.taken = false;
                    Answer::Hit { seen, value: Arc::default(), won: true, created: true }
                }
                _ => Answer::Miss(miss),
            };
        }
        let item = self.items.get_mut(key).expect("looked up above");
        item.seen.expiry = how.touch.map_or(item.seen.expiry, |touch| touch.moment(now));
        let seen = item.seen;
        let ends_soon = match (seen.expiry, how.renew_within) {
            (Some(end), Some(within)) => end.saturating_since(now) < within,
            _ => false,
        };
        let won = how.lease && !seen.lease.taken && (seen.lease.stale || ends_soon);
        item.seen.lease.taken |= won;
        if !how.peek {
            item.seen.fetched = true;
            item.seen.last_access = now;
        }
        Answer::Hit { seen, value: item.value.clone(), won, created: false }
    }

    pub(crate) fn store(&mut self, key: &[u8], value: &[u8], attrs: Attrs, how: &Store) -> Answer {
        Answer::Stored(self.try_store(key, value, attrs, how))
    }

    fn try_store(
        &mut self,
        key: &[u8],
        value: &[u8],
        attrs: Attrs,
        how: &Store,
    ) -> Result<Written, StoreError> {
        self.admit(key, value.len())?;
        let joins = matches!(how.mode, Mode::Append | Mode::Prepend);
        let old = self.get(key).ok().cloned();
        let (attrs, lease, whole) = match &old {
            None => match (how.mode, how.create) {
                (Mode::Set | Mode::Replace, _) if how.expected.is_some() => {
                    return Ok(Stored::NotFound.into());
                }
                (Mode::Set | Mode::Add, _) => (attrs, Lease::default(), value.into()),
                (Mode::Append | Mode::Prepend, Some(expiry)) => {
                    (attrs.expiry(expiry), Lease::default(), value.into())
                }
                _ => return Ok(Stored::NotStored.into()),
            },
            Some(_) if how.mode == Mode::Add => return Ok(Stored::NotStored.into()),
            Some(old) => {
                let is_stale = how.expected.is_some_and(|expected| expected != old.seen.version);
                let may_be_stale = how.allow_stale && !joins;
                if is_stale && (!may_be_stale || how.expected > Some(old.seen.version)) {
                    return Ok(Stored::VersionMismatch.into());
                }
                let expiry = if is_stale { old.seen.expiry.into() } else { attrs.expiry };
                let taken = is_stale && old.seen.lease.taken;
                let attrs = if joins { old.attrs() } else { attrs.expiry(expiry) };
                (attrs, Lease { stale: is_stale, taken }, joined(how.mode, &old.value, value))
            }
        };
        self.admit(key, whole.len())?;
        let value_len = whole.len();
        let version = self.put(key, whole, attrs, how.version, lease).version;
        Ok(Written::Done { version, value_len })
    }

    /// Whether such an item can exist at all.
    pub(crate) fn admit(&self, key: &[u8], value_len: usize) -> Result<(), StoreError> {
        match key.len() {
            1..=250 if key.len() + value_len > self.max_item_size => Err(StoreError::TooLarge),
            1..=250 => Ok(()),
            _ => Err(StoreError::BadKey),
        }
    }

    pub(crate) fn count(&mut self, key: &[u8], how: &Count) -> Answer {
        let Some(old) = self.get(key).ok().cloned() else {
            let Some((value, attrs)) = how.initial else {
                return Answer::NotCounted(Ok(Counted::NotFound));
            };
            let digits = value.to_string().into_bytes().into();
            let seen = self.put(key, digits, attrs, how.version, Lease::default());
            return Answer::Count { value, seen: seen.without_use() };
        };
        if how.expected.is_some_and(|expected| expected != old.seen.version) {
            return Answer::NotCounted(Ok(Counted::VersionMismatch));
        }
        let Some(number) = parse_number(&old.value) else {
            return Answer::NotCounted(Err(memcore::CountError::NotANumber));
        };
        let value = match how.down {
            true => number.saturating_sub(how.delta),
            false => number.wrapping_add(how.delta),
        };
        let mut digits = value.to_string().into_bytes();
        digits.resize(digits.len().max(old.value.len()), b' ');
        let attrs = old.attrs().expiry(how.touch.unwrap_or(old.seen.expiry.into()));
        let seen = self.put(key, digits.into(), attrs, how.version, old.seen.lease);
        Answer::Count { value, seen: seen.without_use() }
    }

    pub(crate) fn touch(&mut self, key: &[u8], expiry: Expiry) -> Answer {
        if self.get(key).is_err() {
            return Answer::Seen(None);
        }
        let item = self.items.get_mut(key).expect("looked up above");
        item.seen.expiry = expiry.moment(self.now);
        Answer::Seen(Some(item.seen))
    }

    pub(crate) fn remove(&mut self, key: &[u8], how: &Remove) -> Answer {
        let Some(old) = self.get(key).ok().cloned() else {
            return Answer::NotGone(Removed::NotFound);
        };
        if how.expected.is_some_and(|expected| expected != old.seen.version) {
            return Answer::NotGone(Removed::VersionMismatch);
        }
        if !how.invalidate && !how.clear {
            self.items.remove(key);
            return Answer::Gone(old.seen);
        }
        let mut attrs = old.attrs();
        attrs.expiry = how.touch.unwrap_or(attrs.expiry);
        let mut value = old.value.clone();
        if how.clear {
            attrs.flags = how.flags;
            value = Arc::default();
        }
        let lease = Lease { stale: how.invalidate, taken: false };
        let version = how.version.or((!how.invalidate).then_some(old.seen.version));
        self.put(key, value, attrs, version, lease);
        Answer::Gone(old.seen)
    }

    fn put(
        &mut self,
        key: &[u8],
        value: Arc<[u8]>,
        attrs: Attrs,
        version: Option<u64>,
        lease: Lease,
    ) -> Seen {
        self.used_fresh |= version.is_none();
        let seen = Seen {
            flags: attrs.flags,
            version: version.unwrap_or(self.fresh),
            expiry: attrs.expiry.moment(self.now),
            marked: attrs.marked,
            value_len: value.len(),
            fetched: false,
            last_access: self.now,
            lease,
        };
        self.items.insert(key.to_vec(), Item { seen, value, flushed: false });
        seen
    }
}

impl Item {
    fn attrs(&self) -> Attrs {
        let Seen { flags, expiry, marked, .. } = self.seen;
        Attrs::new().flags(flags).expiry(expiry.into()).marked(marked)
    }
}

fn joined(mode: Mode, old: &[u8], new: &[u8]) -> Arc<[u8]> {
    match mode {
        Mode::Append => [old, new].concat().into(),
        Mode::Prepend => [new, old].concat().into(),
        _ => new.into(),
    }
}

fn has_ended(expiry: Option<Moment>, now: Moment) -> bool {
    expiry.is_some_and(|end| end <= now)
}

/// Longer values are not numbers, whatever they begin with.
const NUMBER_MAX: usize = 512 << 10;

/// A decimal number: blanks, perhaps a plus, digits, then the end or a blank.
fn parse_number(value: &[u8]) -> Option<u64> {
    let text = value.trim_ascii_start();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if value.len() > NUMBER_MAX || text.get(len).is_some_and(|byte| !byte.is_ascii_whitespace()) {
        return None;
    }
    std::str::from_utf8(&text[..len]).ok()?.parse().ok()
}
