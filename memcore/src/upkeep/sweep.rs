//! Expiry without being asked: segments know the second at which the first of their items expires,
//! and a sweep visits those that are due, round after round.

use crate::counters::Event;
use crate::engine::Engine;
use crate::memory::sync::Ordering;
use crate::removal::Cause;
use crate::space::item::{KeyBuffer, Outline};
use crate::space::segments::{Loc, NEVER, Phase};
use crate::upkeep::state::{Reclaim, Round, Sweep, Visit};
use crate::work::note;

/// Rows of the table that cost as much to look at as one item.
const ROWS_PER_ITEM: usize = 16;
/// Seconds between two visits of the same segment.
pub(crate) const REVISIT_AFTER: u32 = 4;

impl Engine {
    /// Goes on with the sweep, unless another thread is at it; true if the round is not complete.
    pub(crate) fn sweep(&self, budget: usize) -> bool {
        self.upkeep.reclaim.try_lock().is_none_or(|mut reclaim| self.sweep_on(&mut reclaim, budget))
    }

    /// Goes on with the sweep; true if the round is not complete.
    pub(crate) fn sweep_on(&self, reclaim: &mut Reclaim, budget: usize) -> bool {
        let now = self.hot.clock_now();
        let epoch = self.hot.epoch();
        if reclaim.sweep.current.is_none()
            && reclaim.sweep.done == Some(Round { ended: now, epoch })
        {
            return false;
        }
        let mut left = budget.saturating_mul(ROWS_PER_ITEM);
        while left > 0 {
            if let Some(visit) = reclaim.sweep.current.take() {
                reclaim.sweep.current = self.visit(visit, now, &mut left);
            } else if reclaim.sweep.done.is_some_and(|round| round.epoch != epoch) {
                // What was open during a flush takes no more items; let it be reclaimed.
                self.space.seal_logs();
                reclaim.sweep.done = None;
            } else if !self.find_due(&mut reclaim.sweep, now, epoch, &mut left) {
                return false;
            }
        }
        true
    }

    /// Goes on to the next segment that is due; false at the end of the round.
    fn find_due(&self, sweep: &mut Sweep, now: u32, epoch: u32, left: &mut usize) -> bool {
        let bound = self.space.pool.bound();
        while *left > 0 {
            let id = sweep.next;
            if id >= bound {
                // What was passed by before a flush has to be looked at again.
                let began = sweep.epoch;
                sweep.next = 0;
                sweep.done = Some(Round { ended: now, epoch: began });
                return began != epoch;
            }
            if id == 0 {
                sweep.epoch = epoch;
            }
            sweep.next += 1;
            *left -= 1;
            note(|work| work.rows += 1);
            let table = self.space.table();
            let due = table.due(id);
            let second = due.load(Ordering::Relaxed);
            let flushed = table.stamp(id).epoch() != epoch && table.load(id).items > 0;
            if second <= now || flushed {
                if !self.is_whole(id) {
                    continue;
                }
                let stamp = table.stamp(id);
                // The segment may be opened again at this moment, and then it is due at another
                // second, which must not be forgotten. All changes of this word are read-modify-
                // write, and an item that is noted before this is seen by the visit: pairs with the
                // lock of its log, or of its shard, under which it was noted.
                if table.place(id).phase == Phase::Free
                    || due
                        .compare_exchange(second, NEVER, Ordering::SeqCst, Ordering::Relaxed)
                        .is_err()
                {
                    continue;
                }
                sweep.current = Some(Visit { id, stamp, at: 0, due: NEVER });
                return true;
            }
        }
        true
    }

    /// Removes expired items of a segment until the budget is used up.
    fn visit(&self, mut visit: Visit, now: u32, left: &mut usize) -> Option<Visit> {
        let table = self.space.table();
        if visit.at == 0 {
            visit.at = table.row(visit.id).lead_words.load(Ordering::Relaxed) as usize;
        }
        while *left > 0 {
            // It may have been emptied and opened again. Pairs with the release stores of
            // `Space::append`: up to here there are headers.
            let used = table.row(visit.id).used.load(Ordering::Acquire) as usize;
            if visit.at >= used || table.stamp(visit.id) != visit.stamp {
                self.finish_visit(&visit, now);
                return None;
            }
            *left = left.saturating_sub(ROWS_PER_ITEM);
            note(|work| work.swept += 1);
            let loc = table.start(visit.id) + visit.at as u64;
            let item = self.space.read_any(loc);
            visit.at += item.size() / 4;
            if !item.state.is_live() {
                continue;
            }
            self.counters.add(item.class(), Event::Swept, 1);
            if self.hidden(&item, now).is_some() {
                self.expire(loc, now);
            } else if item.expiry != 0 {
                visit.due = visit.due.min(item.expiry);
            }
        }
        Some(visit)
    }

    fn finish_visit(&self, visit: &Visit, now: u32) {
        let table = self.space.table();
        if visit.due != NEVER && table.stamp(visit.id) == visit.stamp {
            let due = visit.due.max(now.saturating_add(REVISIT_AFTER));
            table.due(visit.id).fetch_min(due, Ordering::Relaxed);
        }
    }

    /// Removes an item if it is still there and still expired.
    fn expire(&self, loc: Loc, now: u32) {
        let Outline { shape, key_len, .. } = self.space.outline(loc);
        let position = self.position_of(loc, shape, key_len, &mut KeyBuffer::new());
        let mut lock = self.index.lock(position);
        let Some(slot) = self.index.find_loc(position, loc, &lock) else { return };
        let item = self.space.read_any(loc);
        let Some(miss) = self.hidden(&item, now) else { return };
        self.index.remove(position, slot, &mut lock);
        self.note_end(position);
        let cause = Cause::of_hidden(miss);
        if cause == Cause::Expired {
            self.counters.add(item.class(), Event::ExpiredSwept, 1);
        }
        self.retire(&item, cause, now);
    }
}
