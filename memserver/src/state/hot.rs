//! Which keys, and which beginnings of keys, are asked for most: a sample of the lookups of each
//! worker, counted in a table of a fixed size by the algorithm "Space-Saving" (Metwally et al.,
//! 2005). A key that is not in the table takes the place of one that was counted least, and its
//! count along with it as a possible error. So whatever makes up more than 1/size of the sample is
//! in the table, and counts are never too low.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use memproto::limits::MAX_KEY;
use parking_lot::Mutex;

use crate::auth::account::Scope;

/// Lookups for each one that is counted, on average.
const SAMPLED: u64 = 128;
/// Keys that are counted, and beginnings of keys.
const KEYS: usize = 128;
const PREFIXES: usize = 64;
/// Seconds after which a lookup counts half.
const HALF_LIFE_SECS: u32 = 30;
/// Keys, and prefixes, that overviews of all metrics list.
pub(crate) const OVERVIEW: usize = 10;
/// Names with a smaller share are not shown.
const SHOWN_MIN: f64 = 0.001;

/// What one worker has sampled.
#[derive(Debug)]
pub(crate) struct HotKeys {
    sketches: Mutex<Sketches>,
    /// What ends the beginning of a key.
    delimiter: u8,
}

#[derive(Debug)]
struct Sketches {
    /// When counts were last halved.
    halved_at: u32,
    /// Lookups that are counted.
    total: u64,
    keys: Sketch,
    prefixes: Sketch,
    /// A secret seed, since clients choose the keys.
    secret: RandomState,
    random: u32,
}

/// A table of a fixed size.
#[derive(Debug)]
struct Sketch {
    most: usize,
    rows: Vec<Row>,
    /// Rows by the hash of their names.
    places: HashTable<u8>,
    /// The row that was looked at last for the least count, and that count.
    cursor: usize,
    least: u32,
}

#[derive(Debug)]
struct Row {
    hash: u64,
    name: Name,
    count: u32,
    /// How much of the count may belong to other names.
    error: u32,
}

/// A key, or its beginning, kept in place: requests allocate nothing.
#[derive(Clone, Copy)]
struct Name {
    bytes: [u8; MAX_KEY],
    len: u8,
}

/// A name that is asked for often.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hot {
    /// The key, or the beginning of keys.
    pub(crate) name: Box<[u8]>,
    /// The share of all lookups, from 0 to 1, and how much of it may be wrong.
    pub(crate) share: f64,
    pub(crate) error: f64,
}

/// What is asked for most, the most frequent first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Hottest {
    /// Lookups that were counted.
    pub(crate) sampled: u64,
    pub(crate) keys: Vec<Hot>,
    pub(crate) prefixes: Vec<Hot>,
}

impl Name {
    fn new(name: &[u8]) -> Self {
        let mut bytes = [0; MAX_KEY];
        // No key is longer.
        let len = name.len().min(MAX_KEY);
        bytes[..len].copy_from_slice(&name[..len]);
        Self { bytes, len: len as u8 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.bytes().escape_ascii())
    }
}

impl HotKeys {
    /// An empty sample.
    pub(crate) fn new(delimiter: char) -> Self {
        let sketches = Sketches {
            halved_at: 0,
            total: 0,
            keys: Sketch::new(KEYS),
            prefixes: Sketch::new(PREFIXES),
            secret: RandomState::new(),
            random: 1,
        };
        // The command line takes no delimiter that is not one byte.
        let delimiter = u8::try_from(delimiter).unwrap_or(b':');
        Self { sketches: Mutex::new(sketches), delimiter }
    }

    /// Counts a lookup at second `now`; returns how many lookups to skip.
    #[cold]
    #[inline(never)]
    pub(crate) fn sample(&self, key: &[u8], now: u32) -> u64 {
        let mut sketches = self.sketches.lock();
        let sketches = &mut *sketches;
        sketches.age(now);
        sketches.total += 1;
        sketches.keys.count(key, sketches.secret.hash_one(key));
        if let Some(end) = key.iter().position(|byte| *byte == self.delimiter) {
            let prefix = &key[..=end];
            sketches.prefixes.count(prefix, sketches.secret.hash_one(prefix));
        }
        // With a fixed interval, a client that repeats a fixed order of keys would always be
        // sampled at the same ones.
        sketches.random ^= sketches.random << 13;
        sketches.random ^= sketches.random >> 17;
        sketches.random ^= sketches.random << 5;
        u64::from(sketches.random) % (2 * SAMPLED - 1)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut sketches = self.sketches.lock();
        sketches.total = 0;
        sketches.keys.clear();
        sketches.prefixes.clear();
    }
}

/// What all workers have sampled, as of second `now`: at most `most` names of each kind, of those
/// that `scope` has.
pub(crate) fn hottest<'w>(
    workers: impl Iterator<Item = &'w HotKeys>,
    now: u32,
    most: usize,
    scope: &Scope,
) -> Hottest {
    let (mut keys, mut prefixes, mut sampled) = (Vec::new(), Vec::new(), 0);
    for worker in workers {
        let mut sketches = worker.sketches.lock();
        sketches.age(now);
        sampled += sketches.total;
        sketches.keys.add_to(&mut keys);
        sketches.prefixes.add_to(&mut prefixes);
    }
    let ranked = |mut rows: Vec<Counted>| {
        rows.retain(|(name, ..)| scope.has(name));
        ranked(rows, sampled, most)
    };
    Hottest { sampled, keys: ranked(keys), prefixes: ranked(prefixes) }
}

/// A name with its count and the error of that.
type Counted = (Box<[u8]>, u64, u64);

fn ranked(mut rows: Vec<Counted>, sampled: u64, most: usize) -> Vec<Hot> {
    rows.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    // One name may come from several workers.
    rows.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        if is_same {
            (kept.1, kept.2) = (kept.1 + next.1, kept.2 + next.2);
        }
        is_same
    });
    let share = |count: u64| count as f64 / sampled.max(1) as f64;
    let mut hot: Vec<Hot> = rows
        .into_iter()
        .map(|(name, count, error)| Hot { name, share: share(count), error: share(error) })
        // The lower bound of the share, so that no name is listed by error.
        .filter(|hot| hot.share - hot.error >= SHOWN_MIN)
        .collect();
    hot.sort_by(|one, other| other.share.total_cmp(&one.share));
    hot.truncate(most);
    hot
}

impl Sketches {
    /// Halves all counts as often as their half-life has passed since.
    fn age(&mut self, now: u32) {
        let times = now.saturating_sub(self.halved_at) / HALF_LIFE_SECS;
        if times == 0 {
            return;
        }
        self.halved_at = now;
        let shift = times.min(31);
        self.total >>= shift;
        self.keys.age(shift);
        self.prefixes.age(shift);
    }
}

impl Sketch {
    fn new(most: usize) -> Self {
        let (rows, places) = (Vec::with_capacity(most), HashTable::with_capacity(most));
        Self { most, rows, places, cursor: 0, least: 0 }
    }

    fn count(&mut self, name: &[u8], hash: u64) {
        let rows = &self.rows;
        let is_same = |place: &u8| {
            let row = &rows[usize::from(*place)];
            row.hash == hash && row.name.bytes() == name
        };
        if let Some(place) = self.places.find(hash, is_same) {
            let row = &mut self.rows[usize::from(*place)];
            row.count = row.count.saturating_add(1);
            return;
        }
        let error = if self.rows.len() < self.most { 0 } else { self.evict() };
        let count = error.saturating_add(1);
        let place = self.cursor;
        match self.rows.get_mut(place) {
            Some(row) => {
                (row.hash, row.count, row.error) = (hash, count, error);
                row.name = Name::new(name);
            }
            None => self.rows.push(Row { hash, name: Name::new(name), count, error }),
        }
        let rows = &self.rows;
        // A table has at most 128 rows.
        self.places.insert_unique(hash, place as u8, |place| rows[usize::from(*place)].hash);
        if self.rows.len() < self.most {
            self.cursor = self.rows.len();
        }
    }

    /// Frees the place of a name that was counted least, at the cursor; its count.
    fn evict(&mut self) -> u32 {
        // In two rounds: the first may find that there is none of the least count any more.
        for _ in 0..2 * self.rows.len() {
            self.cursor = (self.cursor + 1) % self.rows.len();
            if self.rows[self.cursor].count <= self.least {
                break;
            }
            if self.cursor == 0 {
                self.least = self.rows.iter().map(|row| row.count).min().unwrap_or(0);
            }
        }
        let (hash, cursor) = (self.rows[self.cursor].hash, self.cursor as u8);
        if let Ok(entry) = self.places.find_entry(hash, |place| *place == cursor) {
            entry.remove();
        }
        self.rows[self.cursor].count
    }

    fn age(&mut self, shift: u32) {
        self.least >>= shift;
        for row in &mut self.rows {
            row.count >>= shift;
            row.error >>= shift;
        }
    }

    fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    fn add_to(&self, rows: &mut Vec<Counted>) {
        let counted = |row: &Row| (row.name.bytes().into(), row.count.into(), row.error.into());
        rows.extend(self.rows.iter().filter(|row| row.count > 0).map(counted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hot: &[Hot]) -> Vec<&str> {
        hot.iter().map(|hot| str::from_utf8(&hot.name).unwrap()).collect()
    }

    #[test]
    fn what_is_frequent_is_found_among_many_others() {
        let worker = HotKeys::new(':');
        for number in 0..100_000_u32 {
            let key = match number % 10 {
                0 | 1 => "users:1".to_owned(),
                2 => "users:2".to_owned(),
                _ => format!("pages:{number}"),
            };
            worker.sample(key.as_bytes(), 1);
        }
        let found = hottest([&worker].into_iter(), 1, 10, &Scope::default());
        assert_eq!(found.sampled, 100_000);
        assert_eq!(names(&found.keys), ["users:1", "users:2"]);
        assert!((0.2..0.21).contains(&found.keys[0].share), "{found:?}");
        assert_eq!(names(&found.prefixes), ["pages:", "users:"]);
        assert!((found.prefixes[0].share - 0.7).abs() < 0.01 && found.prefixes[0].error == 0.0);
        worker.clear();
        assert_eq!(hottest([&worker].into_iter(), 1, 10, &Scope::default()), Hottest::default());
    }

    #[test]
    fn counts_are_never_too_low_and_errors_cover_the_rest() {
        let worker = HotKeys::new(':');
        let mut exact = std::collections::HashMap::<String, u64>::new();
        let mut state = 1_u64;
        for _ in 0..50_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let skewed = 1_u64 << ((state >> 33) % 12);
            let key = ((state >> 45) % skewed).to_string();
            worker.sample(key.as_bytes(), 1);
            *exact.entry(key).or_default() += 1;
        }
        let sketches = worker.sketches.lock();
        assert_eq!(sketches.keys.rows.len(), KEYS);
        assert_eq!(sketches.keys.places.len(), KEYS);
        for row in &sketches.keys.rows {
            let true_count = exact[str::from_utf8(row.name.bytes()).unwrap()];
            let (count, error) = (u64::from(row.count), u64::from(row.error));
            assert!(count >= true_count && count - error <= true_count, "{row:?} {true_count}");
            assert!(error <= 50_000 / KEYS as u64, "{row:?}");
        }
        // Every key beyond that bound is in the table.
        for (key, _) in exact.iter().filter(|(_, count)| **count > 50_000 / KEYS as u64) {
            let is_there = |row: &Row| row.name.bytes() == key.as_bytes();
            assert!(sketches.keys.rows.iter().any(is_there), "{key}");
        }
    }

    #[test]
    fn the_past_is_forgotten_and_workers_are_added_up() {
        let (one, other) = (HotKeys::new(':'), HotKeys::new(':'));
        for _ in 0..1000 {
            one.sample(b"old", 1000);
            other.sample(b"shared", 1060);
        }
        for _ in 0..250 {
            one.sample(b"shared", 1060);
        }
        let found = hottest([&one, &other].into_iter(), 1060, 10, &Scope::default());
        assert_eq!(names(&found.keys), ["shared", "old"]);
        assert_eq!(found.sampled, 1500);
        assert!((found.keys[1].share - 250.0 / 1500.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn one_of_so_many_is_counted() {
        let worker = HotKeys::new(':');
        let gaps: u64 = (0..10_000).map(|_| worker.sample(b"k", 1)).sum();
        let average = 1.0 + gaps as f64 / 10_000.0;
        assert!((average - SAMPLED as f64).abs() < 2.0, "{average}");
    }
}
