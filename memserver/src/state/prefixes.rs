//! `stats detail`: requests by key prefix, counted while that is switched on. The number of
//! prefixes is bounded, and so is their memory.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashTable;
use memproto::key::push_word;
use memproto::number::push_u64;
use parking_lot::Mutex;

use crate::auth::account::Scope;
use crate::state::budgets::{Budget, Permit};

/// Prefixes beyond this many are not counted.
const PREFIXES_MAX: usize = 65_536;
/// Prefixes of one piece of a dump.
const STEP: usize = 256;
/// Bytes that a prefix takes beside its name: buffers grow to twice of what is in them.
const COST: usize = 2 * (size_of::<Prefix>() + size_of::<u32>() + 1);

/// Counts by prefix.
#[derive(Debug)]
pub(crate) struct Prefixes {
    /// What ends a prefix.
    separator: u8,
    /// Where their memory is taken from.
    budget: Arc<Budget>,
    /// Clients choose the keys.
    secret: RandomState,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    /// The names, one behind the other.
    names: Vec<u8>,
    /// In the order in which they came.
    list: Vec<Prefix>,
    /// Places in the list.
    places: HashTable<u32>,
    permit: Option<Permit>,
    /// How often everything was removed.
    removals: u64,
}

#[derive(Debug)]
struct Prefix {
    hash: u64,
    /// Where the name begins, and how long it is.
    start: u32,
    len: u8,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    gets: u64,
    hits: u64,
    sets: u64,
    deletes: u64,
}

/// A request that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// A lookup that found nothing.
    Miss,
    /// A lookup that found something.
    Hit,
    /// A storage request.
    Set,
    /// A deletion.
    Delete,
}

/// How far a dump has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    next: usize,
    removals: u64,
}

impl Prefixes {
    /// Nothing is counted yet; prefixes end at `separator`, and their memory is taken from
    /// `budget`.
    pub(crate) fn new(separator: char, budget: Arc<Budget>) -> Self {
        Self {
            // The command line takes no separator that is not one byte.
            separator: u8::try_from(separator).unwrap_or(b':'),
            budget,
            secret: RandomState::new(),
            all: Mutex::default(),
        }
    }

    /// Counts a request for `key`, if the key has a prefix.
    #[cold]
    pub(crate) fn count(&self, key: &[u8], what: Use) {
        // memcached does not count keys without a separator either.
        let Some(end) = key.iter().position(|&byte| byte == self.separator) else { return };
        let name = &key[..end];
        let hash = self.secret.hash_one(name);
        let mut all = self.all.lock();
        let place = all.find(name, hash).or_else(|| all.add(name, hash, &self.budget));
        let Some(prefix) = place.and_then(|place| all.list.get_mut(place)) else { return };
        let counts = &mut prefix.counts;
        match what {
            Use::Miss => counts.gets += 1,
            Use::Hit => {
                counts.gets += 1;
                counts.hits += 1;
            }
            Use::Set => counts.sets += 1,
            Use::Delete => counts.deletes += 1,
        }
    }

    /// Where a dump begins.
    pub(crate) fn begin(&self) -> Place {
        Place { next: 0, removals: self.all.lock().removals }
    }

    /// Appends a line for each of the next prefixes, whatever bytes are in it, unless it counts
    /// keys that `scope` does not have; false at the end.
    pub(crate) fn dump(&self, place: &mut Place, scope: &Scope, out: &mut Vec<u8>) -> bool {
        let all = self.all.lock();
        if all.removals != place.removals {
            return false;
        }
        for prefix in all.list.iter().skip(place.next).take(STEP) {
            let name = &all.names[prefix.range()];
            if scope.has_all() || scope.has(&[name, &[self.separator]].concat()) {
                line(name, &prefix.counts, out);
            }
        }
        place.next += STEP;
        place.next < all.list.len()
    }

    /// Removes all counts.
    pub(crate) fn clear(&self) {
        let mut all = self.all.lock();
        let removals = all.removals + 1;
        *all = All { removals, ..All::default() };
    }
}

impl All {
    fn find(&self, name: &[u8], hash: u64) -> Option<usize> {
        let is_same = |&place: &u32| {
            let prefix = &self.list[place as usize];
            prefix.hash == hash && self.names[prefix.range()] == *name
        };
        self.places.find(hash, is_same).map(|&place| place as usize)
    }

    /// Adds a prefix if there may be one more and there is memory for it.
    fn add(&mut self, name: &[u8], hash: u64, budget: &Arc<Budget>) -> Option<usize> {
        let place = self.list.len();
        if place >= PREFIXES_MAX {
            return None;
        }
        let prefix = Prefix {
            hash,
            start: u32::try_from(self.names.len()).ok()?,
            len: u8::try_from(name.len()).ok()?,
            counts: Counts::default(),
        };
        let permit = budget.take(COST + 2 * name.len())?;
        match &mut self.permit {
            Some(all) => all.merge(permit),
            None => self.permit = Some(permit),
        }
        self.names.extend_from_slice(name);
        self.list.push(prefix);
        let list = &self.list;
        self.places.insert_unique(hash, place as u32, |&place| list[place as usize].hash);
        Some(place)
    }
}

impl Prefix {
    fn range(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start + usize::from(self.len)
    }
}

fn line(name: &[u8], counts: &Counts, out: &mut Vec<u8>) {
    out.extend_from_slice(b"PREFIX ");
    push_word(out, name);
    for (name, count) in [
        (" get ", counts.gets),
        (" hit ", counts.hits),
        (" set ", counts.sets),
        (" del ", counts.deletes),
    ] {
        out.extend_from_slice(name.as_bytes());
        push_u64(out, count);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::state::budgets::Budgets;

    fn prefixes(separator: char) -> Prefixes {
        Prefixes::new(separator, Budgets::new(&Config::default()).prefixes)
    }

    fn dump(prefixes: &Prefixes) -> Vec<u8> {
        let mut out = Vec::new();
        let mut place = prefixes.begin();
        while prefixes.dump(&mut place, &Scope::default(), &mut out) {}
        out
    }

    #[test]
    fn only_keys_with_a_prefix_count() {
        let prefixes = prefixes('/');
        prefixes.count(b"a/b/c", Use::Hit);
        prefixes.count(b"a/d", Use::Miss);
        prefixes.count(b"a/", Use::Set);
        prefixes.count(b"a/", Use::Delete);
        prefixes.count(b"a:b", Use::Hit);
        assert_eq!(dump(&prefixes), b"PREFIX a get 2 hit 1 set 1 del 1\r\n");
        prefixes.clear();
        assert_eq!(dump(&prefixes), b"");
    }

    #[test]
    fn the_number_of_prefixes_is_bounded() {
        let prefixes = prefixes(':');
        for i in 0..PREFIXES_MAX + 10 {
            prefixes.count(format!("{i}:").as_bytes(), Use::Set);
        }
        assert_eq!(prefixes.all.lock().list.len(), PREFIXES_MAX);
        prefixes.count(b"0:", Use::Set);
        let first = &prefixes.all.lock().list[0];
        assert_eq!(first.counts.sets, 2);
    }

    #[test]
    fn their_memory_is_taken_from_the_budget_and_given_back() {
        let prefixes = prefixes(':');
        for i in 0..PREFIXES_MAX {
            prefixes.count(format!("{i:0>240}:").as_bytes(), Use::Set);
        }
        let count = prefixes.all.lock().list.len();
        let used = prefixes.budget.used();
        assert!(count > 10_000 && count < PREFIXES_MAX, "{count} prefixes");
        assert!(used >= count * (240 + size_of::<Prefix>()), "{used} bytes for {count}");
        prefixes.clear();
        assert_eq!(prefixes.budget.used(), 0);
    }

    #[test]
    fn a_dump_comes_in_pieces_and_ends_when_all_is_removed() {
        let prefixes = prefixes(':');
        (0..STEP + 1).for_each(|i| prefixes.count(format!("{i}:").as_bytes(), Use::Set));
        let mut place = prefixes.begin();
        let mut out = Vec::new();
        assert!(prefixes.dump(&mut place, &Scope::default(), &mut out));
        assert_eq!(out.split(|&byte| byte == b'\n').count(), STEP + 1);
        prefixes.clear();
        (0..2 * STEP + 1).for_each(|i| prefixes.count(format!("{i}:").as_bytes(), Use::Set));
        out.clear();
        assert!(!prefixes.dump(&mut place, &Scope::default(), &mut out));
        assert_eq!(out, b"");
    }
}
