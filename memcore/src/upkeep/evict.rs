//! Emptying a victim: finding its items, and what becomes of each. The policy says which segment it
//! is and which items survive. A victim is emptied a few items at a time, so that no writer waits
//! long.

use crate::counters::Event;
use crate::engine::{Engine, Found};
use crate::index::{Guard, Position};
use crate::memory::sync::Ordering;
use crate::removal::Cause;
use crate::space::append::Claim;
use crate::space::item::{Item, KeyBuffer, Outline};
use crate::space::layout::State;
use crate::space::pool::{Freed, Sealed};
use crate::space::segments::{
    HitCell, LOGS, Loc, LogId, Phase, Place, SegmentId, Segments, level_of,
};
use crate::upkeep::activity::Demand;
use crate::upkeep::levels::{StepEvents, Tally, worth_of_counted};
use crate::upkeep::policy::{
    Choice, Decision, Means, Note, Occupancy, Oldest, Outcome, Policy, Sample, Scores, Setting,
    View, Waiting,
};
use crate::upkeep::state::{Reclaim, Victim};
use crate::work::note;

/// Items that are moved or evicted in one step.
pub(crate) const STEP: usize = 32;
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
            self.dispose(&reclaim.policy, &mut victim, loc, position, now, &mut gone);
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
        let mut key = KeyBuffer::new();
        if victim.done == 0 {
            victim.done = row.lead_words.load(Ordering::Relaxed) as usize;
            let lead = row.lead.load(Ordering::Relaxed);
            // Where the item at the front began there may be no memory any more.
            let is_there =
                lead != 0 && self.space.pool.has_memory(self.space.table().segment_of(lead));
            let outline = is_there.then(|| self.space.outline(lead));
            if let Some(outline) = outline.filter(|outline| outline.state.is_live()) {
                if let Some(place) = places.next() {
                    let Outline { shape, key_len, .. } = outline;
                    *place = Some((lead, self.position_of(lead, shape, key_len, &mut key)));
                }
            }
        }
        while victim.done < used {
            let loc = start + victim.done as u64;
            let outline = self.space.outline(loc);
            if outline.state.is_live() {
                let Some(place) = places.next() else { return false };
                let position = self.position_of(loc, outline.shape, outline.key_len, &mut key);
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
        policy: &Policy,
        victim: &mut Victim,
        loc: Loc,
        position: Position,
        now: u32,
        gone: &mut Gone,
    ) {
        note(|work| work.disposed += 1);
        let mut lock = self.index.lock(position);
        let Some(slot) = self.index.find_loc(position, loc, &lock) else { return };
        let item = self.space.read_any(loc);
        let inside = self.space.lies_within(&item, victim.id);
        // The item at the front may be long gone, and another one be where it began.
        if !inside && !self.space.touches(&item, victim.id) {
            return;
        }
        let hidden = self.hidden(&item, now);
        let decision = match hidden {
            None => policy.decide(&mut victim.survivors, &sample(item.state, item.size())),
            Some(_) => Decision::Evict,
        };
        let stays = match decision {
            Decision::Evict => false,
            Decision::Stay(uses) => {
                self.keep(victim, &item, uses);
                true
            }
            Decision::Copy(uses) => {
                let found = Found { item, slot };
                self.relocate(victim, &found, uses, &mut lock) || victim.survivors.all
            }
        };
        if stays {
            return;
        }
        let cause = hidden.map_or(Cause::Evicted, Cause::of_hidden);
        if hidden.is_none() {
            // First, so that the key is in the index or on flash at each moment.
            self.spill(position, &item, now, &lock);
        }
        self.index.remove(position, slot, &mut lock);
        match cause {
            Cause::Evicted => self.index.insert_ghost(position, item.state.uses(), &mut lock),
            _ => self.note_end(position),
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
    fn keep(&self, victim: &mut Victim, item: &Item, uses: u32) {
        victim.kept = true;
        if self.space.table().segment_of(item.loc) != victim.id {
            return;
        }
        self.space.set_state(item.loc, item.state.with_uses(uses).with_hit(false));
        victim.kept_level = level_of(uses);
        for (id, _) in self.space.pieces(item).by_segment().skip(1) {
            self.space.pool.requeue(id, victim.kept_level);
        }
    }

    /// Copies an item to where survivors go; false if there is no memory for that.
    fn relocate(
        &self,
        victim: &mut Victim,
        found: &Found,
        uses: u32,
        lock: &mut Guard<'_>,
    ) -> bool {
        let item = &found.item;
        let compacts = victim.survivors.all;
        let mut new = self.copy_of(item);
        if !compacts {
            new.state = new.state.with_uses(uses).with_hit(false);
        }
        let mut key = KeyBuffer::new();
        let key = self.space.key_of(item.loc, item.shape, item.key_len(), &mut key);
        let head = self.head_of(&new, key, None);
        let class = head.class();
        let level = if compacts { victim.log.level } else { level_of(uses) };
        let claim = Claim {
            log: victim.target.unwrap_or(LogId { level, class, ..victim.log }),
            reserve: 0,
            opening: self.hot.opening(self.hot.clock_now()),
        };
        let Ok(room) = self.space.room_for(&claim, &head) else { return false };
        if self.supersede(found, &room, &new, lock).is_err() {
            return false;
        }
        victim.copied += item.size();
        match victim.log.level {
            _ if compacts => {}
            0 if level > 0 => self.counters.add(class, Event::Promoted, 1),
            _ => self.counters.add(class, Event::Reinserted, 1),
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
            self.space.pool.requeue(victim.id, victim.kept_level);
            return;
        }
        if self.space.pool.free(victim.id, Phase::Victim) == Freed::No {
            // An item could not be moved or found for the moment; later then.
            reclaim.policy.note(Outcome::Failed);
            self.space.pool.requeue(victim.id, victim.log.level);
        }
    }

    /// Has the policy see how old what is.
    pub(crate) fn take_census(&self, reclaim: &mut Reclaim) {
        self.tend_rivals(reclaim);
        reclaim.policy.learn(&EngineView(self));
    }

    /// What items are worth at this moment, and what matters for that of each of these segments.
    pub(crate) fn appraise(&self, ids: impl Iterator<Item = SegmentId>) -> (Scores, Vec<Setting>) {
        let view = EngineView(self);
        let sealed = view.sealed();
        let setting = |id| {
            // A segment that is being emptied at this moment counts as the lowest there is.
            let gone =
                Waiting { log: LogId::from_index(0), born: sealed.opened, sealed: true, live: 0 };
            Setting::of(sealed, &view.waiting(id).unwrap_or(gone))
        };
        (self.upkeep.reclaim.lock().policy.scores(), ids.map(setting).collect())
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
        self.tend_rivals(reclaim);
        let view = EngineView(self);
        let mut choice = reclaim.policy.choose(&view, means);
        if choice.is_none() && means.evicts {
            // All there is lies in open segments.
            self.space.seal_logs();
            choice = reclaim.policy.choose(&view, means);
        }
        let choice = choice?;
        self.free_damaged(reclaim, choice.id);
        self.victim_of(&mut reclaim.policy, &choice, None)
    }

    /// The segment that was chosen, if it can be emptied; survivors go to the log `target`, or each
    /// to the log that is right for it.
    pub(crate) fn victim_of(
        &self,
        policy: &mut Policy,
        choice: &Choice,
        target: Option<LogId>,
    ) -> Option<Victim> {
        let view = EngineView(self);
        let occupancy = view.occupancy(choice.id)?;
        if !self.space.pool.select_victim(choice.id) {
            return None;
        }
        note(|work| work.victims += 1);
        let survivors = policy.survivors(&view, choice, occupancy);
        Some(Victim {
            id: choice.id,
            log: choice.log,
            done: 0,
            target,
            survivors,
            kept: false,
            kept_level: choice.log.level,
            copied: 0,
        })
    }
}

/// An item that lies in one segment as the policy sees it.
pub(crate) fn sample(state: State, bytes: usize) -> Sample {
    Sample { uses: state.uses(), hit: state.is_hit(), bytes, inside: bytes }
}

/// The engine as the policy sees it.
struct EngineView<'e>(&'e Engine);

impl EngineView<'_> {
    fn table(&self) -> &Segments {
        self.0.space.table()
    }
}

impl View for EngineView<'_> {
    fn segment_bytes(&self) -> usize {
        self.table().segment_bytes()
    }

    fn sealed(&self) -> Sealed {
        self.0.space.pool.sealed()
    }

    fn bound(&self) -> SegmentId {
        self.0.space.pool.bound()
    }

    fn occupancy(&self, id: SegmentId) -> Option<Occupancy> {
        let Place { phase, log } = self.table().place(id);
        let load = self.table().load(id);
        if phase != Phase::Sealed || load.pending > 0 {
            return None;
        }
        let used = self.table().row(id).used.load(Ordering::Relaxed) as usize * 4;
        Some(Occupancy { class: log.class, used, live: load.bytes as usize })
    }

    fn heads(&self) -> [SegmentId; LOGS] {
        self.0.space.pool.heads()
    }

    /// Segments in which values are still arriving go to the young end, so that they are never in
    /// the way, however many they are.
    fn oldest(&self, log: LogId, head: SegmentId) -> Option<Oldest> {
        let Engine { space, hot, .. } = self.0;
        let mut id = head;
        for _ in 0..DETOUR {
            if self.table().load(id).pending == 0 {
                let born = self.table().row(id).born.load(Ordering::Relaxed);
                let flushed = self.table().stamp(id).epoch() != hot.epoch();
                return Some(Oldest { id, born, flushed });
            }
            space.pool.requeue(id, log.level);
            id = space.pool.oldest(log).filter(|&id| id != head)?;
        }
        None
    }

    fn newest(&self, log: LogId) -> SegmentId {
        self.0.space.pool.newest(log)
    }

    fn older(&self, id: SegmentId) -> SegmentId {
        self.table().row(id).older.load(Ordering::Relaxed)
    }

    fn newer(&self, id: SegmentId) -> SegmentId {
        self.table().row(id).newer.load(Ordering::Relaxed)
    }

    fn waiting(&self, id: SegmentId) -> Option<Waiting> {
        note(|work| work.rows += 1);
        let Place { phase, log } = self.table().place(id);
        let born = self.table().row(id).born.load(Ordering::Relaxed);
        let live = self.table().load(id).bytes as usize;
        let sealed = phase == Phase::Sealed;
        (sealed || phase == Phase::Open).then_some(Waiting { log, born, sealed, live })
    }

    fn note(&self, id: SegmentId) -> Note {
        let row = self.table().row(id);
        Note {
            worth: f32::from_bits(row.worth.load(Ordering::Relaxed)),
            counted: row.counted.load(Ordering::Relaxed),
        }
    }

    fn set_note(&self, id: SegmentId, note: Note) {
        let row = self.table().row(id);
        row.worth.store(note.worth.to_bits(), Ordering::Relaxed);
        row.counted.store(note.counted, Ordering::Relaxed);
    }

    fn visit(&self, id: SegmentId, mut visit: impl FnMut(Sample)) {
        if !self.0.can_empty(id) {
            return;
        }
        let space = &self.0.space;
        let row = self.table().row(id);
        let start = self.table().start(id);
        // Pairs with the release stores of `Space::append`: up to here there are headers.
        let used = row.used.load(Ordering::Acquire) as usize;
        let mut at = row.lead_words.load(Ordering::Relaxed) as usize;
        let lead = row.lead.load(Ordering::Relaxed);
        let lead_words = at;
        let mut left = self.table().load(id).bytes as usize;
        while at < used {
            space.memory().prefetch(start as usize + at + AHEAD);
            let outline = space.outline(start + at as u64);
            if outline.state.is_live() {
                let whole = sample(outline.state, outline.words * 4);
                note(|work| work.weighed += 1);
                let inside = outline.words.min(used - at) * 4;
                left = left.saturating_sub(inside);
                visit(Sample { inside, ..whole });
            }
            at += outline.words;
        }
        // The item at the front is there if there are bytes that are no other's. It begins in
        // another segment and may be gone at this moment: a guess will do.
        if lead != 0 && left > 0 {
            let outline = space.outline(lead);
            if outline.state.is_live() {
                let whole = sample(outline.state, outline.words * 4);
                visit(Sample { inside: left.min(lead_words * 4), ..whole });
            }
        }
    }

    fn cell(&self, id: SegmentId) -> HitCell {
        HitCell::from_index(self.table().hit_cell(id))
    }

    fn set_cell(&self, id: SegmentId, cell: HitCell) {
        self.table().set_hit_cell(id, cell.index());
    }

    fn demand(&self) -> Demand {
        let of = |event| self.0.counters.sum_of_life(event);
        let [small, main] = [of(Event::HitsSmall), of(Event::HitsMain)];
        Demand {
            hits: std::array::from_fn(|class| small[class] + main[class]),
            returned: of(Event::Returned),
            stored: of(Event::Stored),
            misses: of(Event::Misses)[0],
            replaced: of(Event::Replaced),
        }
    }

    fn happened(&self, demand: &Demand) -> StepEvents {
        let mut hits = Tally::default();
        for (index, count) in self.0.counters.hits().into_iter().enumerate() {
            *hits.at(HitCell::from_index(index)) = worth_of_counted(count);
        }
        let all = |of: &[u64]| of.iter().sum::<u64>() as f64;
        StepEvents {
            hits,
            hit_count: all(&demand.hits),
            returned: self.0.counters.returned().map(worth_of_counted),
            returned_count: all(&demand.returned),
            inserted: all(&demand.stored) - all(&demand.replaced),
        }
    }
}
