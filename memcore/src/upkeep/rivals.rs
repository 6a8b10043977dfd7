//! The rivals: LRU and FIFO, simulated with a sample of the keys. Each rival may have as many bytes
//! as so many items have here in the mean, so it shows what it would do in the place of this cache.
//!
//! Keys whose positions are below a bound are in the sample. There is none at first.

use crate::index::Position;
use crate::memory::sync::{AtomicU32, Mutex, MutexGuard, Ordering};
use crate::space::segments::{CLASSES, class_of};
use crate::upkeep::duel::Results;
use crate::upkeep::miniature::{Each, Miniature, Outline};
use crate::upkeep::score::counts_of_hits;

/// Keys of a sample, one for so many bytes of the limit above the least; fewer than so many would
/// show nothing.
const BYTES_PER_KEY: usize = 3 << 10;
const KEYS_LEAST: usize = 128;
const KEYS_MOST: usize = 2048;
/// The mean of so many hits is what one counts.
const HITS: f64 = 256.0;

/// The rivals of a cache.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Rivals {
    /// Where the sample ends; 0 while there is none.
    bound: AtomicU32,
    /// Keys of the sample at most.
    keys: u32,
    /// Apart from the bound, which all read. `None` in a cache that has no rivals.
    trial: Option<Box<Mutex<Trial>>>,
}

/// The key of a position in a miniature. In a large cache, all that are in the sample are small and
/// the shards are many, so they share no bits; in a small one, no two keys are likely to be alike.
pub(crate) fn key_of(position: Position) -> u32 {
    position.at ^ position.shard.reverse_bits()
}

/// How the rivals do.
#[derive(Debug)]
pub(crate) struct Trial {
    miniature: Miniature,
    /// The flush epoch that its items are of.
    epoch: u32,
    /// What a hit of each class counts, and one in the mean.
    counts: [f64; CLASSES],
    mean: f64,
    /// What was asked for since that was taken last.
    results: Results,
}

impl Rivals {
    /// Those of a cache whose limit is so many bytes above the least, if it evicts anything.
    pub(crate) fn new(above_least: usize, size_weight: f32, evictions: bool) -> Self {
        let keys = match above_least / BYTES_PER_KEY {
            keys if keys < KEYS_LEAST || !evictions => 0,
            keys => keys.min(KEYS_MOST) as u32,
        };
        let trial = (keys > 0).then(|| Box::new(Mutex::new(Trial::new(size_weight))));
        Self { bound: AtomicU32::new(0), keys, trial }
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        match self.keys {
            0 => 0,
            keys => size_of::<Mutex<Trial>>() + Miniature::bytes(keys as usize),
        }
    }

    /// Whether a key is in the sample.
    #[inline(always)]
    pub(crate) fn have(&self, position: Position) -> bool {
        // Relaxed: where the sample ends is up to chance.
        position.at < self.bound.load(Ordering::Relaxed)
    }

    /// Where the sample ends.
    pub(crate) fn bound(&self) -> u32 {
        self.bound.load(Ordering::Relaxed)
    }

    /// Keys of the sample at most.
    pub(crate) fn keys(&self) -> u32 {
        self.keys
    }

    /// How they do, locked; `None` in a cache that has no rivals.
    pub(crate) fn trial(&self) -> Option<MutexGuard<'_, Trial>> {
        Some(self.trial.as_ref()?.lock())
    }

    /// The same, or `None` if somebody else has it.
    pub(crate) fn try_trial(&self) -> Option<MutexGuard<'_, Trial>> {
        self.trial.as_ref()?.try_lock()
    }

    /// Gives the sample another end. A larger sample is a new one; of a smaller one, keys that are
    /// not in it any more go as they would be evicted.
    pub(crate) fn set_bound(&self, bound: u32, trial: &mut Trial) {
        match self.bound.swap(bound, Ordering::Relaxed) {
            0 if bound > 0 => trial.miniature = Miniature::new(self.keys as usize),
            old if bound > old => trial.miniature.clear(),
            _ => {}
        }
    }
}

impl Trial {
    fn new(size_weight: f32) -> Self {
        Self {
            // It gets its memory when it is first needed.
            miniature: Miniature::new(0),
            epoch: 0,
            counts: counts_of_hits(size_weight),
            mean: 0.0,
            results: Results::default(),
        }
    }

    /// A key was asked for and found.
    pub(crate) fn hit(&mut self, key: u32, item: Outline, now: u32) {
        let had = self.had(key, now);
        self.count(true, had, item);
        // Who has not found it has stored it now, and its expiry may be another one.
        self.miniature.set(key, item);
    }

    /// A key was asked for and not found; `ended` says that there is no item any more, whoever has
    /// one.
    pub(crate) fn miss(&mut self, key: u32, ended: bool, now: u32) {
        if ended {
            self.miniature.remove(key);
        }
        match self.miniature.get(key, now) {
            Some((item, had)) => self.count(false, had, item),
            None => self.results.count([false; 3], 1.0),
        }
    }

    /// An item was stored.
    pub(crate) fn write(&mut self, key: u32, item: Outline) {
        self.miniature.set(key, item);
    }

    /// An item was removed.
    pub(crate) fn remove(&mut self, key: u32) {
        self.miniature.remove(key);
    }

    /// Removes what is of another epoch than this.
    pub(crate) fn keep_epoch(&mut self, epoch: u32) {
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            self.miniature.clear();
        }
    }

    /// Whether the sample has turned out to be too large.
    pub(crate) fn take_crowded(&mut self) -> bool {
        self.miniature.take_crowded()
    }

    /// The bytes that each rival may have from now on.
    pub(crate) fn set_budget(&mut self, budget: u64) {
        self.miniature.set_budget(budget);
    }

    /// What was asked for since this was called last.
    pub(crate) fn take_results(&mut self) -> Results {
        std::mem::take(&mut self.results)
    }

    /// Whether each rival has the item of a key that is asked for.
    pub(super) fn had(&mut self, key: u32, now: u32) -> Each<bool> {
        self.miniature.get(key, now).map_or([false; 2], |(_, had)| had)
    }

    /// Counts a request for an item that some have.
    fn count(&mut self, score: bool, rivals: Each<bool>, item: Outline) {
        let count = self.counts[usize::from(class_of(item.bytes as usize))];
        let share = if self.mean == 0.0 { 1.0 } else { 1.0 / HITS };
        self.mean += (count - self.mean) * share;
        let [lru, fifo] = rivals;
        self.results.count([score, lru, fifo], count / self.mean);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::upkeep::duel::Manner;
    use crate::upkeep::score::SIZE_WEIGHT;

    #[test]
    fn there_are_none_where_nothing_is_evicted_nor_in_tiny_caches() {
        let bytes = |limit, evictions| Rivals::new(limit, SIZE_WEIGHT, evictions).bytes();
        assert_eq!(bytes(4 << 20, false), 0);
        assert_eq!(bytes(KEYS_LEAST * BYTES_PER_KEY - 1, true), 0);
        for limit in [1 << 20, 4 << 20, 64 << 20, 1 << 30] {
            assert!((1..limit / 100).contains(&bytes(limit, true)), "of {limit}");
        }
    }

    #[test]
    fn hits_count_by_their_bytes_where_sizes_have_no_weight() {
        let item = |bytes| Outline { bytes, expiry: 0 };
        let lead = |size_weight| {
            let mut trial = Trial::new(size_weight);
            (0..10_000).for_each(|_| trial.count(true, [true; 2], item(100)));
            (0..10_000).for_each(|_| trial.count(true, [true; 2], item(10_000)));
            trial.take_results();
            trial.count(true, [false; 2], item(100));
            trial.count(false, [true; 2], item(10_000));
            trial.take_results().lead(Manner::Lru, Manner::Score)
        };
        assert_eq!(lead(SIZE_WEIGHT), 0.0, "a hit each");
        assert!(lead(0.0) > 0.5, "one is far larger");
    }

    #[test]
    fn keys_of_a_large_cache_are_told_apart() {
        let (mut keys, shards, bound) = (std::collections::HashSet::new(), 4_096, 64);
        for shard in 0..shards {
            keys.extend((0..bound).map(|at| key_of(Position { shard, at })));
        }
        assert_eq!(keys.len(), (shards * bound) as usize);
    }

    #[test]
    fn a_miss_of_what_has_ended_is_one_for_all() {
        let rivals = Rivals::new(4 << 20, SIZE_WEIGHT, true);
        let mut trial = rivals.trial().unwrap();
        rivals.set_bound(1 << 20, &mut trial);
        trial.set_budget(1_000);
        let item = Outline { bytes: 100, expiry: 50 };
        let mut lead = |ended, now| {
            trial.write(7, item);
            trial.miss(7, ended, now);
            trial.take_results().lead(Manner::Lru, Manner::Score)
        };
        assert_eq!([lead(false, 49), lead(true, 49), lead(false, 50)], [1.0, 0.0, 0.0]);
    }
}
