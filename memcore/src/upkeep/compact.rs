//! Room in a full cache that may evict nothing: a segment with holes is emptied into another one,
//! which then has the room of the holes at its end. Holes are what was deleted, replaced, or has
//! expired, and ends of segments that were too small for an item.

use crate::counters::Event;
use crate::engine::Engine;
use crate::memory::sync::Ordering;
use crate::ops::write::PutError;
use crate::space::append::Claim;
use crate::space::layout::Head;
use crate::space::pool::RESERVE;
use crate::space::segments::{Loc, LogId, Phase, SegmentId};
use crate::upkeep::policy::Choice;
use crate::upkeep::state::{NoGain, Reclaim};
use crate::work::note;

/// Where survivors of a compaction go, and items that find no room in the log of their own: so the
/// room that one has made is room for the other, whatever their sizes are.
const LAST_LOG: LogId = LogId { level: 0, class: 0, group: 0 };
/// Segments that an item which takes the place of a larger one leaves to others. What it takes
/// comes back when the segment of the larger one is compacted.
pub(crate) const RESERVE_REPLACED: usize = RESERVE / 2;
/// Where nothing may be evicted, 1/SLACK of the segments is left as holes, and at least so many:
/// what is gained by compacting a segment pays for that, however full the cache is.
const SLACK: usize = 32;
const SLACK_MIN: usize = 2;
/// A segment of which this share is gained, half as much again as on average, is not looked past.
const GAIN_GOOD: usize = 2 * SLACK / 3;
/// Segments that are compacted for an item, and for one that may lie in two segments. Those have
/// fewer items, and some of their holes are in the way of others.
const COMPACTED_MAX: usize = 2;
const COMPACTED_MAX_SPANNING: usize = 8;
/// Rows of the table that are looked at for one segment. The next look begins behind them.
const ROWS_MAX: u32 = 1 << 15;

impl Engine {
    /// Segments that a writer leaves to others where nothing may be evicted, beside the reserve.
    pub(crate) fn slack(&self) -> usize {
        match self.settings.evictions {
            true => 0,
            false => (self.space.table().count_in(self.space.pool.limit()) / SLACK).max(SLACK_MIN),
        }
    }

    /// Whether items of so many bytes fit beside those that there are, wherever the holes are.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        let live: u64 = self.counters.sum_of_life(Event::Bytes).iter().sum();
        let sum = live as usize + bytes;
        let (capacity, slack) = (self.space.pool.capacity(), self.slack());
        let of = |slack| {
            let segments = capacity.saturating_sub(RESERVE + slack);
            segments * self.space.table().segment_bytes()
        };
        let fits = sum <= of(slack);
        // The index may have taken some of it since as much was there. Relaxed: a guess that is too
        // small will do.
        let filled = if fits { sum } else { live as usize };
        let filled = self.upkeep.filled.fetch_max(filled, Ordering::Relaxed).max(filled);
        fits || sum <= filled
    }

    /// What an item asks for that found no room in the log of its own, if it may be had elsewhere,
    /// and the error if not. It may have more than others if it takes the place of one of at least
    /// its size, which is `old_size`.
    ///
    /// # Errors
    /// Items may be evicted for it, it is larger than a segment, or too much is in use.
    #[cold]
    pub(crate) fn last_claim(
        &self,
        claim: &Claim,
        head: &Head<'_>,
        old_size: usize,
    ) -> Result<(Claim, PutError), PutError> {
        let size = head.item_words() * 4;
        let replaces = old_size >= size;
        if self.settings.evictions
            || head.item_words() > self.space.table().segment_words()
            || !replaces && !self.has_room_for(size - old_size)
        {
            return Err(PutError::NeedsRoom);
        }
        let (reserve, error) = match replaces {
            true => (RESERVE_REPLACED, PutError::NeedsRoomToReplace),
            false => (RESERVE, PutError::NeedsRoom),
        };
        Ok((Claim { log: LAST_LOG, reserve, ..*claim }, error))
    }

    /// Makes sure that an item of at most a segment finds room with [`Self::last_claim`], leaving
    /// `reserve` segments to others; false if that can't be had. No shard may be locked.
    #[cold]
    pub(crate) fn compact_for(&self, words: usize, reserve: usize) -> bool {
        let has_room = || self.space.pool.has(1, reserve) || self.space.has_room(LAST_LOG, words);
        let mut reclaim = self.upkeep.reclaim.lock();
        let most = if self.space.may_span(words) { COMPACTED_MAX_SPANNING } else { COMPACTED_MAX };
        for _ in 0..most {
            if has_room() || !self.compact_one(&mut reclaim, words) {
                break;
            }
        }
        has_room()
    }

    /// Seals open segments in which at least `words` words are wasted, so that they can be
    /// compacted; whether there were any.
    pub(crate) fn seal_wasted(&self, words: usize) -> bool {
        let any = self.space.seal_wasted(words);
        if any {
            self.upkeep.reclaim.lock().no_gain = None;
        }
        any
    }

    /// Compacts a segment for an item of `words`; false if none is worth it.
    pub(crate) fn compact_one(&self, reclaim: &mut Reclaim, words: usize) -> bool {
        // One that was begun with is finished first.
        if reclaim.victim.is_none() {
            // Several pieces of room make one for an item that may span segments.
            let least = if self.space.may_span(words) { words } else { 4 * words };
            let Some(id) = self.most_wasted(reclaim, least) else { return false };
            self.free_damaged(reclaim, id);
            let choice = Choice::compacting(id, self.space.table().place(id).log);
            reclaim.victim = self.victim_of(&mut reclaim.policy, &choice, Some(LAST_LOG));
        }
        while reclaim.victim.is_some() {
            self.reclaim_step(reclaim);
        }
        true
    }

    /// The sealed segment by whose compaction most bytes are gained, at least `least`.
    fn most_wasted(&self, reclaim: &mut Reclaim, least: usize) -> Option<SegmentId> {
        // Without a place to copy to nothing can be gained.
        if !self.space.pool.has(1, 0) {
            return None;
        }
        let bound = self.space.pool.bound();
        // Where nothing was removed since it was last in vain, it need not be tried again.
        let now = NoGain { removed: self.removed(), second: self.hot.clock_now(), least };
        if reclaim.no_gain.is_some_and(|no_gain| no_gain.covers(&now)) {
            return None;
        }
        let mut best = (least.saturating_sub(1), None);
        let good = least.max(self.space.table().segment_bytes() / GAIN_GOOD);
        for _ in 0..bound.min(ROWS_MAX) {
            let id = reclaim.compacted;
            reclaim.compacted = if id + 1 < bound { id + 1 } else { 0 };
            note(|work| work.rows += 1);
            let gain = self.gain_of(id, best.0);
            if gain > best.0 {
                best = (gain, Some(id));
            }
            if best.0 >= good {
                break;
            }
        }
        reclaim.no_gain = (best.1.is_none() && bound <= ROWS_MAX).then_some(now);
        best.1
    }

    /// Items that have ended since the beginning.
    fn removed(&self) -> u64 {
        let events =
            [Event::Deleted, Event::Replaced, Event::Expired, Event::Flushed, Event::Invalidated];
        events.iter().map(|&event| self.counters.sum_of_life(event).iter().sum::<u64>()).sum()
    }

    /// Bytes that are gained by compacting a segment, or 0 if they are not more than `least`.
    fn gain_of(&self, id: SegmentId, least: usize) -> usize {
        let table = self.space.table();
        let load = table.load(id);
        let wasted = table.segment_bytes().saturating_sub(load.bytes as usize);
        let is_candidate = wasted > least
            && load.pending == 0
            && table.place(id).phase == Phase::Sealed
            && !table.is_pinned(id);
        if is_candidate { wasted.saturating_sub(self.bytes_outside(id)) } else { 0 }
    }

    /// Bytes that the items at both ends of a segment have in others. They are moved as well.
    fn bytes_outside(&self, id: SegmentId) -> usize {
        let table = self.space.table();
        let row = table.row(id);
        let [lead, last] = [id, row.next.load(Ordering::Relaxed)].map(|id| match id {
            0 => 0,
            id => table.row(id).lead.load(Ordering::Relaxed),
        });
        let begins_here = |loc| table.segment_of(loc) == id;
        let mut outside = 0;
        if lead != 0 && !begins_here(lead) {
            let inside = row.lead_words.load(Ordering::Relaxed) as usize;
            outside += self.words_of(lead).saturating_sub(inside);
        }
        if last != 0 && begins_here(last) {
            let inside = table.segment_words() - (last - table.start(id)) as usize;
            outside += self.words_of(last).saturating_sub(inside);
        }
        4 * outside
    }

    /// Words of an item that goes on in another segment, 0 if it does not live. Something else may
    /// lie there by now: for a guess at what is gained that will do.
    fn words_of(&self, loc: Loc) -> usize {
        let outline = self.space.outline(loc);
        if outline.state.is_live() { outline.words } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Attrs, Cache};

    /// A hole here and a hole there: what is gained by a compaction serves many items.
    #[test]
    fn a_full_cache_compacts_only_now_and_then() {
        const ROUNDS: u32 = 1_000;
        let cache = Cache::builder(8 << 20).evictions(false).build().unwrap();
        let mut stored = 0_u32;
        while cache.set(stored.to_le_bytes(), &[b'v'; 100], Attrs::new()).is_ok() {
            stored += 1;
        }
        let compacted = || cache.engine().upkeep.reclaim.lock().evictions;
        let before = compacted();
        for round in 0..ROUNDS {
            assert!(cache.delete((round * 31 % stored).to_le_bytes()));
            cache.set((stored + round).to_le_bytes(), &[b'v'; 100], Attrs::new()).unwrap();
        }
        let count = compacted() - before;
        assert!(count < ROUNDS / 2, "{count} segments for {ROUNDS} items");
        cache.validate();
    }
}
