//! The keys that are asked for most: a sample of the lookups, counted in a table of a fixed size by
//! the algorithm "Space-Saving" (Metwally et al., 2005). A key that is not in the table takes the
//! place of one that was counted least, and its count along with it as a possible error. So
//! whatever makes up more than 1/size of the sample is in the table, and counts are never too low.

use core::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use crate::Moment;
use crate::memory::sync::Mutex;

/// Keys that are counted.
const ROWS: usize = 128;
/// Notes for each one that is counted, on average.
const SAMPLED: u32 = 64;
/// Bytes of a key that are kept.
const KEY_KEPT: usize = 250;
/// Seconds after which a lookup counts half.
const HALF_LIFE_SECS: u32 = 30;

thread_local! {
    /// Notes to skip, and the state of the numbers that decide it.
    static SKIP: Cell<(u32, u32)> = const { Cell::new((0, 0x9e37_79b9)) };
}

/// A key that is asked for often, from [`HotKeys::hottest`].
///
/// # Examples
/// ```
/// use memcore::{HotKeys, Moment};
///
/// let hot = HotKeys::new();
/// (0..10_000).for_each(|_| hot.note(b"popular", Moment::from_secs(1)));
/// let first = &hot.hottest(1)[0];
/// assert_eq!(first.key, b"popular");
/// assert!(first.share > 0.99 && first.error == 0.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HotKey {
    /// The key; of a longer one its first 250 bytes.
    pub key: Vec<u8>,
    /// The share of all lookups of the last minute or so, from 0 to 1.
    pub share: f64,
    /// How much of the share may belong to other keys.
    pub error: f64,
}

/// Finds the keys that are asked for most. It is told of each lookup, of which it counts one of 64,
/// and takes about 40 KB, which are not of the cache's limit.
///
/// A typed cache has one on request
/// ([`TypedBuilder::hot_keys`](crate::typed::TypedBuilder::hot_keys)); who looks keys up in a
/// [`Cache`](crate::Cache) tells it of those that matter.
///
/// # Examples
/// ```
/// use memcore::{Cache, HotKeys};
///
/// let (cache, hot) = (Cache::new(8 << 20)?, HotKeys::new());
/// for number in 0..100_000 {
///     let key = if number % 4 == 0 { "home".to_owned() } else { format!("page {number}") };
///     cache.get(&key);
///     hot.note(key.as_bytes(), cache.now());
/// }
/// let first = &hot.hottest(10)[0];
/// assert_eq!(first.key, b"home");
/// assert!((0.2..0.3).contains(&first.share));
/// # Ok::<(), memcore::ConfigError>(())
/// ```
pub struct HotKeys {
    /// A secret seed, where others choose the keys.
    secret: RandomState,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    rows: Vec<Row>,
    /// Lookups that are counted.
    total: u64,
    halved_at: Option<Moment>,
}

struct Row {
    hash: u64,
    key: Box<[u8]>,
    count: u64,
    error: u64,
}

impl HotKeys {
    /// An empty sample.
    ///
    /// # Examples
    /// ```
    /// assert!(memcore::HotKeys::new().hottest(10).is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { secret: RandomState::new(), table: Mutex::default() }
    }

    /// A key is looked up at this moment. Nearly always that is a subtraction in a variable of the
    /// thread.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{HotKeys, Moment};
    /// let hot = HotKeys::new();
    /// (0..1_000).for_each(|_| hot.note(b"k", Moment::from_secs(1)));
    /// assert_eq!(hot.hottest(1)[0].key, b"k");
    /// ```
    #[inline]
    pub fn note(&self, key: &[u8], now: Moment) {
        let (skip, state) = SKIP.get();
        match skip.checked_sub(1) {
            Some(skip) => SKIP.set((skip, state)),
            None => self.count(key, now, state),
        }
    }

    #[cold]
    #[inline(never)]
    fn count(&self, key: &[u8], now: Moment, mut state: u32) {
        // With a fixed interval whoever repeats an order of keys would be seen at the same ones.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        SKIP.set((state % (2 * SAMPLED - 1), state));
        let key = &key[..key.len().min(KEY_KEPT)];
        let hash = self.secret.hash_one(key);
        let mut table = self.table.lock();
        table.age(now);
        table.count(key, hash);
    }

    /// The keys that are asked for most, the most frequent first, at most so many.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{HotKeys, Moment};
    /// let hot = HotKeys::new();
    /// let key = |n| if n % 3 == 0 { b"a" } else { b"b" };
    /// (0..30_000).for_each(|n| hot.note(key(n), Moment::from_secs(1)));
    /// let keys: Vec<_> = hot.hottest(10).into_iter().map(|hot| hot.key).collect();
    /// assert_eq!(keys, [b"b", b"a"]);
    /// ```
    #[must_use]
    pub fn hottest(&self, most: usize) -> Vec<HotKey> {
        let table = self.table.lock();
        let share = |count: u64| count as f64 / table.total.max(1) as f64;
        let hot = |row: &Row| HotKey {
            key: row.key.to_vec(),
            share: share(row.count),
            error: share(row.error),
        };
        let mut keys: Vec<HotKey> = table.rows.iter().map(hot).collect();
        // By what is certain, so that no key comes first by error.
        keys.sort_by(|one, other| (other.share - other.error).total_cmp(&(one.share - one.error)));
        keys.truncate(most);
        keys
    }
}

impl Table {
    /// Halves what was counted.
    fn age(&mut self, now: Moment) {
        let halved_at = *self.halved_at.get_or_insert(now);
        let halvings = now.saturating_since(halved_at).as_secs() / u64::from(HALF_LIFE_SECS);
        if halvings == 0 {
            return;
        }
        self.halved_at = Some(now);
        let halve = |count: &mut u64| *count >>= halvings.min(63);
        halve(&mut self.total);
        for row in &mut self.rows {
            halve(&mut row.count);
            halve(&mut row.error);
        }
        self.rows.retain(|row| row.count > 0);
    }

    fn count(&mut self, key: &[u8], hash: u64) {
        self.total += 1;
        if let Some(row) = self.rows.iter_mut().find(|row| row.hash == hash && *row.key == *key) {
            row.count += 1;
            return;
        }
        let mut new = Row { hash, key: key.into(), count: 1, error: 0 };
        if self.rows.len() < ROWS {
            return self.rows.push(new);
        }
        if let Some(least) = self.rows.iter_mut().min_by_key(|row| row.count) {
            (new.count, new.error) = (least.count + 1, least.count);
            *least = new;
        }
    }
}

impl Default for HotKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HotKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotKeys").finish_non_exhaustive()
    }
}
