//! Emptying a victim: finding its items, and what becomes of each. The policy says which segment it
//! is and which items survive. A victim is emptied a few items at a time, so that no writer waits
//! long.

use crate::counters::Event;
use crate::engine::{Engine, Found};
use crate::index::{Guard, Position};
use crate::memory::sync::Ordering;
use crate::removal::Cause;
use crate::space::append::Claim;
use crate::space::item::{Item, KeyBuffer};
use crate::space::layout::FREQ_MAX;
use crate::space::pool::{Freed, Sealed};
use crate::space::segments::{CLASSES, Loc, LogId, Phase, Place, Queue, SegmentId};
use crate::upkeep::activity::Demand;
use crate::upkeep::policy::{BytesByUse, Fate, Means, Occupancy, Oldest, Outcome, Policy, View};
use crate::upkeep::state::{Reclaim, Victim};

/// Items that are moved or evicted in one step.
pub(crate) const STEP: usize = 32;
/// Use counts of a segment are summed up again after this many evictions.
const RECOUNT: u32 = 16;
/// Maximum number of busy segments to skip when searching for the oldest reclaimable one.
const DETOUR: usize = 64;
/// Words that a walk over a segment prefetches ahead.
const AHEAD: usize = 256;
/// Number of index groups migrated after each reclaimed segment.
const GROUPS_MOVED: usize = 8;

/// Items of a victim, and where the index has them.
type Batch = [Option<(Loc, Position)>; STEP];

/// Items of a victim that are gone, but still counted in its load: one change of a word that others
/// change as well serves a whole batch.
#[derive(Clone, Copy, Debug, Default)]
struct Gone {
    bytes: usize,
    items: usize,
}

/// What a step of the reclaimer led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is more to do.
    Working,
    /// A segment has been dealt with.
    Finished,
    /// There is nothing to reclaim.
    Stuck,
}

impl Engine {
    /// Empties a part of a victim.
    pub(crate) fn reclaim_step(&self, reclaim: &mut Reclaim) -> Step {
        let now = self.hot.clock_now();
        let Some(mut victim) = reclaim.victim.take().or_else(|| self.select_victim(reclaim)) else {
            return Step::Stuck;
        };
        let mut batch = [None; STEP];
        let finished = self.collect(&mut victim, &mut batch);
        let mut gone = Gone::default();
        for (loc, position) in batch.into_iter().flatten() {
            self.dispose(&mut victim, loc, position, now, &mut gone);
        }
        self.space.table().remove_all(victim.id, gone.bytes, gone.items);
        if !finished {
            reclaim.victim = Some(victim);
            return Step::Working;
        }
        self.finish(reclaim, &victim);
        Step::Finished
    }

    /// Notes the next live items of the victim and prefetches their index lines; true at its end.
    fn collect(&self, victim: &mut Victim, batch: &mut Batch) -> bool {
        let row = self.space.table().row(victim.id);
        let start = self.space.table().start(victim.id);
        // Pairs with the release stores of `Space::append`: up to here there are headers.
        let used = row.used.load(Ordering::Acquire) as usize;
        let mut places = batch.iter_mut();
        if victim.done == 0 {
            victim.done = row.lead_words.load(Ordering::Relaxed) as usize;
            let lead = row.lead.load(Ordering::Relaxed);
            let outline = (lead != 0).then(|| self.space.outline(lead));
            if let Some(outline) = outline.filter(|outline| outline.state.is_live()) {
                if let Some(place) = places.next() {
                    *place = Some((lead, self.position_of(lead, outline.shape, outline.key_len)));
                }
            }
        }
        while victim.done < used {
            let loc = start + victim.done as u64;
            let outline = self.space.outline(loc);
            if outline.state.is_live() {
                let Some(place) = places.next() else { return false };
                let position = self.position_of(loc, outline.shape, outline.key_len);
                self.index.prefetch_for_write(position);
                *place = Some((loc, position));
            }
            victim.done += outline.words;
        }
        true
    }

    /// Decides about one item.
    fn dispose(
        &self,
        victim: &mut Victim,
        loc: Loc,
        position: Position,
        now: u32,
        gone: &mut Gone,
    ) {
        let mut lock = self.index.lock(position);
        let Some(slot) = self.index.find_loc(position, loc, &lock) else { return };
        let item = self.space.read_any(loc);
        let inside = self.space.lies_within(&item, victim.id);
        // The item at the front may be long gone, and another one be where it began.
        if !inside && !self.space.touches(&item, victim.id) {
            return;
        }
        let hidden = self.hidden(&item, now);
        let fate = match hidden {
            None => victim.survivors.fate(item.state.freq(), item.size()),
            Some(_) => Fate::Evict,
        };
        let stays = match fate {
            Fate::Evict => false,
            Fate::Stay => {
                self.keep(victim, &item);
                true
            }
            Fate::Copy => {
                let found = Found { item, slot };
                self.relocate(victim, &found, &mut lock) || victim.survivors.all
            }
        };
        if stays {
            return;
        }
        self.index.remove(position, slot, &mut lock);
        let cause = hidden.map_or(Cause::Evicted, Cause::of_hidden);
        if cause == Cause::Evicted && victim.log.queue == Queue::Small {
            self.index.insert_ghost(position, &mut lock);
        }
        if inside {
            self.retire_in_victim(&item, cause, now);
            gone.bytes += item.size();
            gone.items += 1;
        } else {
            self.retire(&item, cause, now);
        }
    }

    /// Lets a large item stay where it is, and the segments that it goes on in stay with it.
    fn keep(&self, victim: &mut Victim, item: &Item) {
        victim.kept = true;
        if self.space.table().segment_of(item.loc) != victim.id {
            return;
        }
        self.space.set_state(item.loc, item.state.with_freq(item.state.freq() - 1));
        for (id, _) in self.space.pieces(item).by_segment().skip(1) {
            self.space.pool.requeue(id, Queue::Main);
        }
    }

    /// Copies an item to where survivors go; false if there is no memory for that.
    fn relocate(&self, victim: &mut Victim, found: &Found, lock: &mut Guard<'_>) -> bool {
        let item = &found.item;
        let compacts = victim.survivors.all;
        let mut new = self.copy_of(item);
        if !compacts {
            new.state = new.state.with_freq(new.state.freq() - 1);
        }
        let mut key = KeyBuffer::new();
        let head = new.head(self.space.key_of(item.loc, item.shape, item.key_len(), &mut key));
        let class = head.class();
        let queue = if compacts { victim.log.queue } else { Queue::Main };
        let claim = Claim {
            log: LogId { queue, class, ..victim.log },
            reserve: 0,
            opening: self.hot.opening(self.hot.clock_now()),
        };
        let Ok(room) = self.space.room_for(&claim, &head) else { return false };
        if self.supersede(found, &room, &new, lock).is_err() {
            return false;
        }
        victim.copied += item.size();
        match victim.log.queue {
            _ if compacts => {}
            Queue::Small => self.counters.add(class, Event::Promoted, 1),
            Queue::Main => self.counters.add(class, Event::Reinserted, 1),
        }
        true
    }

    fn finish(&self, reclaim: &mut Reclaim, victim: &Victim) {
        reclaim.evictions = reclaim.evictions.wrapping_add(1);
        // Where items get larger the index may shrink, and there may be no host to look after it.
        let mut left = GROUPS_MOVED;
        self.tend_shard(reclaim.evictions % self.index.shards(), &mut left);
        let table = self.space.table();
        let used = table.row(victim.id).used.load(Ordering::Relaxed) as usize * 4;
        reclaim.policy.note(Policy::judge(used, victim.copied, victim.kept));
        if victim.kept && !table.load(victim.id).is_empty() {
            self.space.pool.requeue(victim.id, Queue::Main);
            return;
        }
        if self.space.pool.free(victim.id, Phase::Victim) == Freed::No {
            // An item could not be moved or found for the moment; later then.
            reclaim.policy.note(Outcome::Failed);
            self.space.pool.requeue(victim.id, victim.log.queue);
        }
    }

    /// Selects the next victim. A candidate may be gone before it is taken, by a writer that
    /// emptied it; so this tries more than once.
    fn select_victim(&self, reclaim: &mut Reclaim) -> Option<Victim> {
        const ATTEMPTS: usize = 16;
        (0..ATTEMPTS).find_map(|_| self.try_victim(reclaim))
    }

    fn try_victim(&self, reclaim: &mut Reclaim) -> Option<Victim> {
        let means = Means {
            // A smaller limit counts for more than a setting.
            evicts: self.settings.evictions || self.space.pool.is_over(),
            copies: self.space.pool.can_copy(),
        };
        let view = EngineView { engine: self, evictions: reclaim.evictions };
        let mut choice = reclaim.policy.choose(&view, means);
        if choice.is_none() && means.evicts {
            // All there is lies in open segments.
            self.space.seal_logs();
            choice = reclaim.policy.choose(&view, means);
        }
        let choice = choice?;
        let occupancy = view.occupancy(choice.id)?;
        if !self.space.pool.select_victim(choice.id) {
            return None;
        }
        let Place { log, .. } = self.space.table().place(choice.id);
        let bytes = self.bytes_by_use(choice.id);
        let survivors = reclaim.policy.survivors(&view, choice, occupancy, &bytes);
        Some(Victim { id: choice.id, log, done: 0, survivors, kept: false, copied: 0 })
    }

    /// Bytes of live items by use counter.
    fn bytes_by_use(&self, id: SegmentId) -> BytesByUse {
        let mut bytes = [0; FREQ_MAX as usize + 1];
        self.walk(id, |freq, size| bytes[freq as usize] += size);
        bytes
    }

    /// Visits the live items that begin in a segment: their use counters and bytes.
    fn walk(&self, id: SegmentId, mut visit: impl FnMut(u32, usize)) {
        let row = self.space.table().row(id);
        let start = self.space.table().start(id);
        // Pairs with the release stores of `Space::append`: up to here there are headers.
        let used = row.used.load(Ordering::Acquire) as usize;
        let mut at = row.lead_words.load(Ordering::Relaxed) as usize;
        while at < used {
            self.space.memory().prefetch(start as usize + at + AHEAD);
            let outline = self.space.outline(start + at as u64);
            if outline.state.is_live() {
                visit(outline.state.freq(), outline.words * 4);
            }
            at += outline.words;
        }
    }
}

/// The engine as the policy sees it.
struct EngineView<'e> {
    engine: &'e Engine,
    /// The clock by which use counts grow old.
    evictions: u32,
}

impl View for EngineView<'_> {
    fn segment_bytes(&self) -> usize {
        self.engine.space.table().segment_bytes()
    }

    fn sealed(&self) -> Sealed {
        self.engine.space.pool.sealed()
    }

    fn bound(&self) -> SegmentId {
        self.engine.space.pool.bound()
    }

    fn occupancy(&self, id: SegmentId) -> Option<Occupancy> {
        let table = self.engine.space.table();
        let Place { phase, log } = table.place(id);
        let load = table.load(id);
        if phase != Phase::Sealed || load.pending > 0 {
            return None;
        }
        let used = table.row(id).used.load(Ordering::Relaxed) as usize * 4;
        Some(Occupancy { class: log.class, used, live: load.bytes as usize })
    }

    /// Segments in which values are still arriving go to the young end, so that they are never in
    /// the way, however many they are.
    fn oldest(&self, log: LogId) -> Option<Oldest> {
        let Engine { space, hot, .. } = self.engine;
        let first = space.pool.oldest(log)?;
        let mut id = first;
        for _ in 0..DETOUR {
            if space.table().load(id).pending == 0 {
                let born = space.table().row(id).born.load(Ordering::Relaxed);
                let flushed = space.table().stamp(id).epoch() != hot.epoch();
                return Some(Oldest { id, born, flushed });
            }
            space.pool.requeue(id, log.queue);
            id = space.pool.oldest(log).filter(|&id| id != first)?;
        }
        None
    }

    /// Counted not too long ago.
    fn uses(&self, id: SegmentId) -> u32 {
        let row = self.engine.space.table().row(id);
        let mark = self.evictions.wrapping_add(RECOUNT);
        let counted = row.counted.load(Ordering::Relaxed);
        if counted == 0 || mark.wrapping_sub(counted) > 2 * RECOUNT {
            let mut uses = 0;
            self.engine.walk(id, |freq, _| uses += freq);
            row.hits.store(uses, Ordering::Relaxed);
            row.counted.store(mark.max(1), Ordering::Relaxed);
        }
        row.hits.load(Ordering::Relaxed)
    }

    fn demand(&self) -> Demand {
        let sums = self.engine.counters.sums_of_life();
        let of = |class: usize, event| sums.of(class as u8, event);
        Demand {
            hits: std::array::from_fn(|class| {
                of(class, Event::HitsSmall) + of(class, Event::HitsMain)
            }),
            misses: of(0, Event::Misses),
            stored: (0..CLASSES).map(|class| of(class, Event::Stored)).sum(),
        }
    }
}
