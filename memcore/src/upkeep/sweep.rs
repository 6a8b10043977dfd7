//! Expiry without being asked: segments know the second at which the first of their items expires,
//! and a sweep goes round and looks into those that are due.

use crate::counters::Event;
use crate::engine::Engine;
use crate::memory::sync::Ordering;
use crate::removal::Cause;
use crate::space::layout;
use crate::space::segments::{Loc, NEVER, Phase, SegmentId, Stamp};
use crate::upkeep::reclaim::Reclaim;

/// Rows of the table that cost as much to look at as one item.
const ROWS_PER_ITEM: usize = 16;
/// Seconds between two looks into the same segment.
const PATIENCE: u32 = 4;

/// How far the sweep has come.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// The next segment to look at.
    next: SegmentId,
    /// The epoch in which the round began.
    epoch: u32,
    /// The second in which the last complete round ended, and the epoch in which it began.
    done: Option<(u32, u32)>,
    /// The segment that is looked into.
    current: Option<Look>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    id: SegmentId,
    stamp: Stamp,
    /// Words that have been looked at.
    at: usize,
    /// The first expiry among the items that stay.
    due: u32,
}

impl Engine {
    /// Goes on with the sweep, unless somebody is at it; true if the round is not complete.
    pub(crate) fn sweep(&self, budget: usize) -> bool {
        self.reclaim.try_lock().is_none_or(|mut reclaim| self.sweep_on(&mut reclaim, budget))
    }

    /// Goes on with the sweep; true if the round is not complete.
    pub(crate) fn sweep_on(&self, reclaim: &mut Reclaim, budget: usize) -> bool {
        let (now, epoch) = (self.clock_now(), self.epoch());
        if reclaim.sweep.current.is_none() && reclaim.sweep.done == Some((now, epoch)) {
            return false;
        }
        let mut left = budget * ROWS_PER_ITEM;
        while left > 0 {
            if let Some(look) = reclaim.sweep.current.take() {
                reclaim.sweep.current = self.look_into(look, now, &mut left);
            } else if reclaim.sweep.done.is_some_and(|(_, seen)| seen != epoch) {
                // What was open during a flush takes no more items; let it be reclaimed.
                self.close_logs();
                reclaim.sweep.done = None;
            } else if !self.find_due(&mut reclaim.sweep, (now, epoch), &mut left) {
                return false;
            }
        }
        true
    }

    /// Goes on to the next segment that is due; false at the end of the round.
    fn find_due(&self, sweep: &mut Sweep, (now, epoch): (u32, u32), left: &mut usize) -> bool {
        let bound = self.pool.bound();
        while *left > 0 {
            let id = sweep.next;
            if id >= bound {
                // What was passed by before a flush has to be looked at again.
                let began = sweep.epoch;
                sweep.next = 0;
                sweep.done = Some((now, began));
                return began != epoch;
            }
            if id == 0 {
                sweep.epoch = epoch;
            }
            sweep.next += 1;
            *left -= 1;
            let stamp = self.table.stamp(id);
            let due = self.table.due(id);
            let second = due.load(Ordering::Relaxed);
            let flushed = stamp.epoch() != epoch && self.table.load(id).items > 0;
            if second <= now || flushed {
                // Somebody may use the segment anew at this moment, and then it is due at another
                // second, which must not be forgotten.
                let order = (Ordering::SeqCst, Ordering::Relaxed);
                if self.table.place(id).phase == Phase::Free
                    || due.compare_exchange(second, NEVER, order.0, order.1).is_err()
                {
                    continue;
                }
                sweep.current = Some(Look { id, stamp, at: 0, due: NEVER });
                return true;
            }
        }
        true
    }

    /// Removes expired items of a segment until the budget is used up.
    fn look_into(&self, mut look: Look, now: u32, left: &mut usize) -> Option<Look> {
        if look.at == 0 {
            look.at = self.table.lead_words(look.id).load(Ordering::Relaxed) as usize;
        }
        while *left > 0 {
            // Someone may have emptied the segment and used it anew.
            let used = self.table.used(look.id).load(Ordering::Acquire) as usize;
            if look.at >= used || self.table.stamp(look.id) != look.stamp {
                self.finish_look(&look, now);
                return None;
            }
            *left = left.saturating_sub(ROWS_PER_ITEM);
            let loc = self.table.start(look.id) + look.at as u64;
            let item = self.read_any(loc);
            look.at += layout::item_words(item.shape, item.value_len);
            if !item.state.is_live() {
                continue;
            }
            self.counters.add(item.class(), Event::Swept, 1);
            if self.hidden(&item, now).is_some() {
                self.expire(loc, now);
            } else if item.expiry != 0 {
                look.due = look.due.min(item.expiry);
            }
        }
        Some(look)
    }

    fn finish_look(&self, look: &Look, now: u32) {
        if look.due != NEVER && self.table.stamp(look.id) == look.stamp {
            let due = look.due.max(now.saturating_add(PATIENCE));
            self.table.due(look.id).fetch_min(due, Ordering::Relaxed);
        }
    }

    /// Removes an item if it is still there and still expired.
    fn expire(&self, loc: Loc, now: u32) {
        let position = self.position_of(loc, self.outline(loc).shape);
        let mut lock = self.index.lock(position);
        let Some(spot) = self.index.find_loc(position, loc, &lock) else { return };
        let item = self.read_any(loc);
        let Some(miss) = self.hidden(&item, now) else { return };
        self.index.remove(position, spot, &mut lock);
        let cause = Cause::of_hidden(miss);
        if cause == Cause::Expired {
            self.counters.add(item.class(), Event::ExpiredSwept, 1);
        }
        self.retire(&item, cause, now);
    }
}
