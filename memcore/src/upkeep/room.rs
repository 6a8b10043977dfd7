//! Room for writers: reclaiming memory when there is too little of it, and a little ahead of that.

use crate::StoreError;
use crate::counters::Event;
use crate::engine::Engine;
use crate::ops::write::PutError;
use crate::space::layout::Header;
use crate::space::pool::RESERVE;
use crate::upkeep::compact::RESERVE_REPLACED;
use crate::upkeep::evict::{STEP, Step};

/// Items' worth of a sweep when there is nothing else to reclaim.
const SWEEP: usize = 256;
/// Sweeps, and segments that are compacted, where nothing may be evicted.
const SWEEPS_MAX: usize = 8;
const COMPACTED_MAX: usize = 8;
/// 1/FREE_SHARE of all segments is kept free ahead of the writers.
const FREE_SHARE: usize = 256;

impl Engine {
    /// Removes what kept an item from its place, so that the caller can begin again. No shard may
    /// be locked.
    ///
    /// # Errors
    /// It can't be removed.
    pub(crate) fn recover(&self, error: PutError, header: &Header) -> Result<(), StoreError> {
        match error {
            PutError::NeedsRoom => self.make_room(header, RESERVE),
            PutError::NeedsRoomToReplace => self.make_room(header, RESERVE_REPLACED),
            PutError::Outdated => Ok(()),
            PutError::Full => Err(self.refuse(header)),
            PutError::Internal => Err(StoreError::Internal),
        }
    }

    /// Makes room for an item, leaving `reserve` segments to others.
    ///
    /// # Errors
    /// Nothing can be reclaimed.
    pub(crate) fn make_room(&self, header: &Header, reserve: usize) -> Result<(), StoreError> {
        let segment = self.space.table().segment_words();
        // A smaller limit counts for more than a setting.
        let may_evict = self.settings.evictions || self.space.pool.is_over();
        if !may_evict && header.words() <= segment {
            return match self.make_last_room(header.words(), reserve) {
                true => Ok(()),
                false => Err(self.refuse(header)),
            };
        }
        self.make_room_for(header.words() / segment + 2)
            .or_else(|error| match self.space.pool.available() > 0 {
                true if header.words() <= segment => Ok(()),
                _ => Err(error),
            })
            .map_err(|_| self.refuse(header))
    }

    /// Makes room for an item of at most a segment where nothing may be evicted: of what was
    /// removed, and of what has expired; false if that is not enough.
    fn make_last_room(&self, words: usize, reserve: usize) -> bool {
        let is_allowed = || reserve < RESERVE || self.has_room_for(4 * words);
        let compact = || is_allowed() && self.compact_for(words, reserve);
        if compact() || is_allowed() && self.seal_wasted(words) && compact() {
            return true;
        }
        for _ in 0..SWEEPS_MAX {
            if !self.sweep(SWEEP) {
                break;
            }
        }
        compact()
    }

    /// Counts an item for which there is no memory.
    pub(crate) fn refuse(&self, header: &Header) -> StoreError {
        self.counters.add(header.class(), Event::OutOfMemory, 1);
        StoreError::OutOfMemory
    }

    /// Makes sure that `segments` could be taken.
    ///
    /// # Errors
    /// Nothing can be reclaimed.
    pub(crate) fn make_room_for(&self, segments: usize) -> Result<(), StoreError> {
        let mut retries = self.reclaim_retries();
        let segment_words = self.space.table().segment_words();
        let (mut swept, mut compacted) = (false, 0);
        while self.space.pool.available() < segments {
            let mut reclaim = self.upkeep.reclaim.lock();
            self.counters.add(0, Event::DirectReclaims, 1);
            while self.space.pool.available() < segments {
                match self.reclaim_step(&mut reclaim) {
                    Step::Working => {}
                    Step::Finished if retries > 0 => retries -= 1,
                    // Another thread may have freed something itself.
                    Step::Stuck if self.space.pool.available() >= segments => {}
                    // Where nothing may be evicted, what has expired is still removed, and holes
                    // are put together.
                    Step::Stuck if !swept => swept = !self.sweep_on(&mut reclaim, SWEEP),
                    Step::Stuck
                        if !self.settings.evictions
                            && compacted < COMPACTED_MAX
                            && self.compact_one(&mut reclaim, segment_words) =>
                    {
                        compacted += 1;
                    }
                    Step::Finished | Step::Stuck => return Err(StoreError::OutOfMemory),
                }
            }
        }
        Ok(())
    }

    /// Upper bound on victims: every item may be given another round as often as its use counter
    /// allows.
    pub(crate) fn reclaim_retries(&self) -> u32 {
        64 + 8 * self.space.pool.bound()
    }

    /// Does a writer's share of the work ahead of need.
    #[inline]
    pub(crate) fn assist(&self) {
        if self.space.pool.needs_attention() {
            self.attend();
        }
    }

    #[cold]
    fn attend(&self) {
        let mut reclaim = match self.upkeep.reclaim.try_lock() {
            Some(reclaim) => reclaim,
            // Each who stores takes a step, as long as others are at it. One of them would have to
            // empty whole segments alone otherwise, while the others take what it frees.
            // Where nothing may be evicted there is no such work.
            None if self.settings.evictions
                && self.space.pool.available() < self.kept_free().div_ceil(2) =>
            {
                self.upkeep.reclaim.lock()
            }
            None => return,
        };
        if self.is_short() {
            self.reclaim_step(&mut reclaim);
        } else {
            // Nothing needs to be evicted yet, but the hits by age are collected already.
            self.take_census(&mut reclaim);
        }
        self.space.pool.watch_from(self.kept_free());
    }

    /// Has the system provide memory ahead of the writers that will use it; true if it did.
    pub(crate) fn provide_memory(&self) -> bool {
        let pool = &self.space.pool;
        if self.memory_file.is_some() {
            pool.try_for_room();
        }
        let segments = self.sizes.huge_pages && pool.provide(self.kept_free());
        self.index.provide(|bytes, rows| pool.take_bytes_ahead(bytes, rows)) || segments
    }

    /// Segments that are kept free ahead of the writers.
    pub(crate) fn kept_free(&self) -> usize {
        1 + self.space.table().count_in(self.space.pool.limit()) / FREE_SHARE
    }

    /// Whether a little more should be free than is.
    pub(crate) fn is_short(&self) -> bool {
        self.space.pool.available() < self.kept_free()
    }

    /// Bounded reclaiming ahead of need; true if there is more to do.
    pub(crate) fn reclaim_ahead(&self, budget: usize) -> bool {
        // An index that is still as large as its items were takes their place below a lower limit.
        if self.space.pool.limit() > self.limit_goal() && self.tend_index(budget) {
            return true;
        }
        for _ in 0..budget.div_ceil(STEP) {
            if !self.is_short() && !self.space.pool.is_over() {
                if !self.lower_limit() {
                    return false;
                }
                // That may have taken a segment that was free.
                continue;
            }
            let Some(mut reclaim) = self.upkeep.reclaim.try_lock() else { return true };
            if self.reclaim_step(&mut reclaim) == Step::Stuck {
                drop(reclaim);
                // The index of small items may be larger than all of a new limit.
                if !self.tend_index(budget) {
                    self.lower_limit_anyway();
                    return false;
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::thread;
    use std::time::Duration;

    use crate::{Attrs, Cache};

    /// Whoever runs dry has to empty whole segments alone, which takes milliseconds.
    #[test]
    fn who_stores_waits_for_the_reclaimer_before_all_is_taken() {
        let cache = Cache::new(64 << 20).unwrap();
        let (stored, ends) = (AtomicU32::new(0), AtomicBool::new(false));
        let store = |key: u32| {
            cache.set(key.to_le_bytes(), &[1; 1000], Attrs::new()).unwrap();
        };
        (0..100_000).for_each(store);
        let reclaim = cache.engine().upkeep.reclaim.lock();
        let left = thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    store(stored.fetch_add(1, Ordering::Relaxed));
                }
            });
            let mut before = 0;
            while stored.load(Ordering::Relaxed) != before || before == 0 {
                before = stored.load(Ordering::Relaxed);
                thread::sleep(Duration::from_millis(100));
            }
            let left = cache.engine().space.pool.available();
            ends.store(true, Ordering::Relaxed);
            drop(reclaim);
            left
        });
        assert_ne!(left, 0, "segments");
    }
}
