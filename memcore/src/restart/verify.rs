//! Segments of a memory file are compared with their checksums when they are first used, and by and
//! by: a large cache can be used at once, though reading all of it takes long.
//!
//! Until then a segment's stamp says that it is unverified, with a bit of its epoch: such a stamp
//! is never of the current epoch, so that lookups without a lock need no test of their own. Locked
//! lookups ask before they read an item, and so does whoever walks over a segment.
//!
//! What a segment held that is not as it was written is lost: nobody finds it any more. When all
//! segments were compared, its items are taken out of the index and its memory is used again.

use std::collections::{HashMap, HashSet};

use super::sums::{KnownSums, Sums, Unverified};
use crate::counters::Event;
use crate::engine::Engine;
use crate::engine::retire::items_of;
use crate::index::Position;
use crate::memory::sync::Ordering;
use crate::space::segments::{Load, Loc, Phase, SegmentId};
use crate::upkeep::state::Reclaim;

/// Items' worth of work for one segment.
const SEGMENT_COST: usize = 64;

impl Engine {
    /// Whether a segment's items can be read.
    #[inline(always)]
    pub(crate) fn is_whole(&self, id: SegmentId) -> bool {
        match &self.unverified {
            None => true,
            // Pairs with the end of `verify_step`: the stamps say nothing any more.
            Some(unverified) => {
                unverified.done.load(Ordering::Acquire) || self.verify(unverified, id)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn verify(&self, unverified: &Unverified, id: SegmentId) -> bool {
        !self.space.table().stamp(id).is_unverified()
            || unverified.sums.lock().verify(&self.space, id)
    }

    /// The same for the segment that an item begins in.
    #[inline(always)]
    pub(crate) fn is_readable(&self, loc: Loc) -> bool {
        self.is_whole(self.space.table().segment_of(loc))
    }

    /// Items that were lost because the memory file was damaged.
    pub(crate) fn lost_items(&self) -> u64 {
        let lost = self.unverified.as_ref().map(|it| it.lost.load(Ordering::Relaxed));
        lost.unwrap_or(0)
    }

    /// Compares more segments; true if some are left.
    pub(crate) fn verify_more(&self, budget: usize) -> bool {
        let Some(unverified) = &self.unverified else { return false };
        if unverified.done.load(Ordering::Acquire) {
            return false;
        }
        self.verify_step(unverified, &mut self.upkeep.reclaim.lock(), budget)
    }

    /// Compares all segments that are left; the checksums of those that are whole, as far as they
    /// stay what they are while nobody uses the cache.
    pub(crate) fn verify_all(&self) -> KnownSums {
        let Some(unverified) = &self.unverified else { return KnownSums::default() };
        let known = unverified.sums.lock().known(&self.space);
        while self.verify_more(usize::MAX) {}
        // What was lost has left traces in other segments.
        if self.lost_items() == 0 { known } else { KnownSums::default() }
    }

    /// Whether a segment's items can be read, and the one that goes on at its front.
    pub(crate) fn can_empty(&self, id: SegmentId) -> bool {
        let lead = self.space.table().row(id).lead.load(Ordering::Relaxed);
        self.is_whole(id) && (lead == 0 || self.is_readable(lead))
    }

    /// Gives everything up that was lost, if a segment is in the way that can't be emptied.
    pub(crate) fn free_damaged(&self, reclaim: &mut Reclaim, id: SegmentId) {
        if let Some(unverified) = self.unverified.as_ref().filter(|_| !self.can_empty(id)) {
            while self.verify_step(unverified, reclaim, usize::MAX) {}
        }
    }

    /// The reclaimer is locked, since segments may be given up.
    fn verify_step(&self, unverified: &Unverified, _: &mut Reclaim, budget: usize) -> bool {
        let lost = {
            let mut sums = unverified.sums.lock();
            let bound = sums.bound();
            for _ in 0..budget.div_ceil(SEGMENT_COST) {
                if sums.next == bound {
                    break;
                }
                let id = sums.next;
                sums.verify(&self.space, id);
                sums.next += 1;
            }
            if sums.next < bound {
                return true;
            }
            sums.lost.clone()
        };
        if !lost.is_empty() {
            unverified.lost.store(self.give_up(&lost), Ordering::Relaxed);
        }
        // From here on nobody asks any more: all stamps are those of verified segments, and no
        // slot leads to one that was lost.
        unverified.done.store(true, Ordering::Release);
        *unverified.sums.lock() = Sums::default();
        false
    }

    /// Takes all items out of the index that have bytes in these segments, and frees their memory;
    /// how many there were.
    #[cold]
    fn give_up(&self, lost: &HashSet<SegmentId>) -> u64 {
        let (space, table) = (&self.space, self.space.table());
        // Out of their queues, but not free yet: all chains are followed first.
        lost.iter().for_each(|&id| _ = space.pool.select_victim(id));
        let mut led: HashMap<Loc, Vec<SegmentId>> = HashMap::new();
        for &id in lost {
            led.entry(table.row(id).lead.load(Ordering::Relaxed)).or_default().push(id);
        }
        // What a segment names as the item at its front may be another one by now.
        let goes_on_in = |loc: Loc, id| space.touches(&space.read_any(loc), id);
        let is_doomed = |loc| {
            lost.contains(&table.segment_of(loc))
                || led.get(&loc).is_some_and(|ids| ids.iter().any(|&id| goes_on_in(loc, id)))
        };
        let mut items = 0;
        self.remove_where(is_doomed, |loc| {
            items += 1;
            let id = table.segment_of(loc);
            if !lost.contains(&id) {
                // It only goes on in one of them.
                return self.take_back(loc);
            }
            for piece in space.spill(id).filter(|&piece| space.leads(piece, loc)) {
                let bytes = 4 * table.row(piece).lead_words.load(Ordering::Relaxed) as usize;
                self.forget(id, bytes, 0);
                space.free_piece(piece, bytes, false);
            }
        });
        for &id in lost {
            let Load { bytes, items, .. } = table.load(id);
            self.forget(id, bytes as usize, items as usize);
            table.remove_all(id, bytes as usize, items as usize);
            space.pool.free(id, Phase::Victim);
        }
        items
    }

    /// Counts what began in a segment, and can't be read, as gone.
    fn forget(&self, id: SegmentId, bytes: usize, items: usize) {
        let table = self.space.table();
        let counts = self.counters.counts(table.place(id).log.class);
        counts.add(items_of(table.stamp(id).level()), (items as u64).wrapping_neg());
        counts.add(Event::Bytes, (bytes as u64).wrapping_neg());
    }

    /// Removes slots that lead to such addresses. `each` is called while the shard is locked.
    fn remove_where(&self, is_doomed: impl Fn(Loc) -> bool, mut each: impl FnMut(Loc)) {
        for shard in 0..self.index.shards() {
            let mut next = Some(0);
            while let Some(at) = next {
                let position = Position { shard, at };
                let mut lock = self.index.lock(position);
                let mut found = Vec::new();
                next = self.index.visit_group(position, &lock, |position, loc| {
                    found.extend(is_doomed(loc).then_some((position, loc)));
                });
                for (position, loc) in found {
                    if let Some(slot) = self.index.find_loc(position, loc, &lock) {
                        self.index.remove(position, slot, &mut lock);
                        each(loc);
                    }
                }
            }
        }
    }
}
