//! Groups of keys (`-o group_flush`): all keys that begin alike, up to a delimiter, are removed at
//! once, by deleting that beginning. An item has a tag for each group that its key is in.

use memcore::{
    Attrs, Count, CountError, Counted, Fetch, Fetched, Hit, Key, Reservation, StoreError, Tagged,
};

use super::Exec;
use super::terms::{Outcome, Terms};

/// Groups within each other that a key may be in, which is as many tags as an item may have. What
/// is nested more deeply is not a group.
const LEVELS_MAX: usize = 8;

/// The answer to a name that no group can have.
pub(super) const NO_GROUP: &[u8] = b"CLIENT_ERROR no group of keys\r\n";

/// What became of a group that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupRemoval {
    /// Its keys are gone.
    Done,
    /// It had none.
    NotFound,
    /// There can't be such a group.
    Refused,
}

/// The groups that `key` is in, as their tags: `a:` and `a:b:` for `a:b:c`.
fn groups(key: &[u8], delimiter: u8) -> ([&[u8]; LEVELS_MAX], usize) {
    let mut found = [&[][..]; LEVELS_MAX];
    let ends = key.iter().enumerate().filter(|(_, byte)| **byte == delimiter);
    let mut count = 0;
    for (place, (at, _)) in found.iter_mut().zip(ends) {
        *place = &key[..=at];
        count += 1;
    }
    (found, count)
}

impl Exec<'_> {
    /// Stores a value.
    #[inline(always)]
    pub(super) fn store_value(&self, key: Key<'_>, value: &[u8], terms: &Terms) -> Outcome {
        if self.delimiter.is_some() {
            return self.store_in_groups(key, value, terms);
        }
        self.shared.core.cache.store(key, value, terms.attrs, &terms.write)
    }

    #[cold]
    #[inline(never)]
    fn store_in_groups(&self, key: Key<'_>, value: &[u8], terms: &Terms) -> Outcome {
        match self.tagged(key.bytes())? {
            Some(tagged) => tagged.store(key, value, terms.attrs, &terms.write),
            None => self.shared.core.cache.store(key, value, terms.attrs, &terms.write),
        }
    }

    /// Begins a write in two phases.
    pub(super) fn reserve_value(
        &self,
        key: Key<'_>,
        len: usize,
        attrs: Attrs,
    ) -> Result<Reservation, StoreError> {
        let tagged = if self.delimiter.is_some() { self.tagged(key.bytes())? } else { None };
        match tagged {
            Some(tagged) => tagged.reserve(key, len, attrs),
            None => self.shared.core.cache.reserve(key, len, attrs),
        }
    }

    /// Changes a number.
    #[inline(always)]
    pub(super) fn count_value(&self, key: Key<'_>, how: &Count) -> Result<Counted, CountError> {
        // One that is there keeps the groups that it is in.
        if how.initial.is_some() && self.delimiter.is_some() {
            return self.count_in_groups(key, how);
        }
        self.shared.core.cache.count(key, how)
    }

    #[cold]
    #[inline(never)]
    fn count_in_groups(&self, key: Key<'_>, how: &Count) -> Result<Counted, CountError> {
        match self.tagged(key.bytes()).map_err(CountError::Store)? {
            Some(tagged) => tagged.count(key, how),
            None => self.shared.core.cache.count(key, how),
        }
    }

    /// Looks a key up that is created if it is not there.
    #[cold]
    pub(super) fn fetch_or_create(
        &self,
        key: Key<'_>,
        how: &Fetch,
        out: &mut Vec<u8>,
        head: impl FnMut(&Hit, &mut Vec<u8>),
    ) -> Fetched {
        match self.tagged(key.bytes()) {
            Ok(Some(tagged)) => tagged.fetch(key, how, out, head),
            Ok(None) => self.shared.core.cache.fetch(key, how, out, head),
            // Without memory nothing is created, as in a cache that is full.
            Err(_) => self.shared.core.cache.fetch(key, &how.create(None), out, head),
        }
    }

    /// The cache as a place for items in the groups of `key`, if it is in any.
    #[cold]
    #[inline(never)]
    fn tagged(&self, key: &[u8]) -> Result<Option<Tagged>, StoreError> {
        let Some(delimiter) = self.delimiter else { return Ok(None) };
        let (tags, count) = groups(key, delimiter);
        if count == 0 {
            return Ok(None);
        }
        let tagged = self.shared.core.cache.tagged(&tags[..count]);
        // There are at most as many as an item may have, and each is a part of a key.
        tagged.map(Some).map_err(|_| StoreError::OutOfMemory)
    }

    /// Whether `key` stands for a group.
    #[inline(always)]
    pub(super) fn is_group(&self, key: &[u8]) -> bool {
        self.delimiter.is_some() && key.last().copied() == self.delimiter
    }

    /// Removes all keys that begin with `name`.
    #[cold]
    #[inline(never)]
    pub(super) fn remove_group(&self, name: &[u8]) -> GroupRemoval {
        let Some(delimiter) = self.delimiter else { return GroupRemoval::Refused };
        let levels = name.iter().filter(|byte| **byte == delimiter).count();
        if !self.is_group(name) || levels > LEVELS_MAX {
            return GroupRemoval::Refused;
        }
        if self.shared.core.cache.invalidate_tag(name) {
            self.count_flush();
            GroupRemoval::Done
        } else {
            self.counters.delete_misses.add(1);
            GroupRemoval::NotFound
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_delimiter_ends_a_group() {
        let of = |key: &'static str| {
            let (tags, count) = groups(key.as_bytes(), b':');
            tags[..count].iter().map(|tag| str::from_utf8(tag).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(of("plain"), Vec::<&str>::new());
        assert_eq!(of("a:b:c"), ["a:", "a:b:"]);
        assert_eq!(of("a:b:"), ["a:", "a:b:"]);
        assert_eq!(of("::"), [":", "::"]);
        assert_eq!(of("1:2:3:4:5:6:7:8:9:x").len(), LEVELS_MAX);
    }
}
