//! Making room: which segment is emptied next, and what becomes of its items.
//!
//! The policy is S3-FIFO (Yang et al., SOSP 2023) over segments instead of items: new items are on
//! probation in the small queue, of which those that were used move to the main queue, and those of
//! the main queue that were used since stay for another round. Among the oldest segments of all
//! size classes the victim is the one with the fewest uses for its age: hit density, after LHD
//! (Beckmann et al., NSDI 2018). Where overwriting and deleting has left holes, a segment with many
//! of them is compacted instead and nothing is evicted.
//!
//! A victim is emptied a few items at a time, so that no writer waits long.

use crate::StoreError;
use crate::counters::Event;
use crate::engine::{Engine, Item, KEY_BUFFER};
use crate::index::{Guard, Position, Spot};
use crate::memory::sync::{MutexGuard, Ordering};
use crate::removal::Cause;
use crate::space::layout::{FREQ_MAX, Header};
use crate::space::pool::logs;
use crate::space::segments::{CLASS_MAX, Loc, LogId, Phase, Place, Queue, SegmentId};
use crate::upkeep::activity::Earnings;

/// Items that are moved or evicted in one step.
pub(crate) const STEP: usize = 32;
/// The small queue gives up segments while it holds more than one in so many.
const SMALL_SHARE: u32 = 10;
/// No segment is a victim before one in so many was opened after it, so that even a large item
/// stays for a while.
const PROBATION: u32 = 16;
/// Of a victim's bytes at most so many out of four survive, so that a victim is always worth it.
const SURVIVORS: usize = 3;
/// Use counts of a segment are summed up again after so many evictions.
const RECOUNT: u32 = 16;
/// Segments that are looked at for holes before something is evicted.
const SAMPLE: usize = 16;
/// A segment is compacted if at least one in so many bytes is a hole.
const HOLES: usize = 3;
/// Segments that can't be emptied now and are passed by in one look for the oldest one.
const DETOUR: usize = 64;
/// Victims in a row that are hardly worth it before everything in one has to go.
const ROUNDS_MAX: u32 = 16;
/// Items of up to so many segments are copied when they survive; larger ones stay where they are,
/// and their segments go back to the young end of the queue.
const COPY_MAX: usize = 2;
/// So many words are brought near ahead of a walk.
const AHEAD: usize = 256;
/// Groups of a shard that is being resized are moved on after each victim, so many.
const GROUPS_MOVED: usize = 8;
/// Bytes by which the limit is lowered in one step.
const LOWERED: usize = 8 << 20;
/// Items' worth of a sweep when there is nothing else to reclaim.
const SWEEP: usize = 256;
/// One segment in so many is kept free ahead of the writers.
const FREE_SHARE: usize = 256;

/// The reclaimer's own state, behind its lock.
#[derive(Debug)]
pub(crate) struct Reclaim {
    victim: Option<Victim>,
    evictions: u32,
    /// Victims in a row whose items stayed.
    rounds: u32,
    earnings: Earnings,
    random: u64,
    pub(crate) sweep: crate::upkeep::sweep::Sweep,
}

/// Items of a victim, and where the index has them.
type Batch = [Option<(Loc, Position)>; STEP];

/// A segment that is being emptied.
#[derive(Clone, Copy, Debug)]
struct Victim {
    id: SegmentId,
    log: LogId,
    /// Words that have been dealt with.
    done: usize,
    /// Items with this use counter survive, and those with the next lower one as far as there is
    /// room for them.
    threshold: u32,
    /// Bytes for those.
    spare: usize,
    /// Everything stays; the segment has holes.
    compacts: bool,
    /// Items stayed where they are.
    kept: bool,
    /// Bytes that were copied.
    copied: usize,
}

/// Items of a victim that are gone, but still counted in its load: one change of a word that others
/// change as well serves a whole batch.
#[derive(Clone, Copy, Debug, Default)]
struct Gone {
    bytes: usize,
    items: usize,
}

/// What becomes of an item of a victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is evicted.
    Go,
    /// It is copied.
    Move,
    /// It stays where it is.
    Stay,
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

impl Reclaim {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            victim: None,
            evictions: 0,
            rounds: 0,
            earnings: Earnings::new(),
            random: seed | 1,
            sweep: crate::upkeep::sweep::Sweep::default(),
        }
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

impl Engine {
    /// Makes room for an item.
    ///
    /// # Errors
    /// Nothing can be reclaimed.
    pub(crate) fn make_room(&self, header: &Header) -> Result<(), StoreError> {
        self.make_room_for(header.words() / self.table.segment_words() + 2)
            .or_else(|error| match self.pool.available() > 0 {
                true if header.words() <= self.table.segment_words() => Ok(()),
                _ => Err(error),
            })
            .map_err(|_| self.refuse(header))
    }

    /// Counts an item for which there is no memory.
    pub(crate) fn refuse(&self, header: &Header) -> StoreError {
        self.counters.add(header.class(), Event::OutOfMemory, 1);
        StoreError::OutOfMemory
    }

    /// Makes sure that `segments` could be taken.
    pub(crate) fn make_room_for(&self, segments: usize) -> Result<(), StoreError> {
        // Enough for every item to have been passed over with the highest use counter.
        let mut patience = 64 + 8 * self.pool.bound();
        let mut swept = false;
        while self.pool.available() < segments {
            let mut reclaim = self.reclaim.lock();
            self.counters.add(0, Event::DirectReclaims, 1);
            while self.pool.available() < segments {
                match self.reclaim_step(&mut reclaim) {
                    Step::Working => {}
                    Step::Finished if patience > 0 => patience -= 1,
                    // Another thread may have freed something itself.
                    Step::Stuck if self.pool.available() >= segments => {}
                    // Where nothing may be evicted, what has ended still goes.
                    Step::Stuck if !swept => swept = !self.sweep_on(&mut reclaim, SWEEP),
                    Step::Finished | Step::Stuck => return Err(StoreError::OutOfMemory),
                }
            }
        }
        Ok(())
    }

    /// Does a writer's share of the work ahead of need.
    #[inline]
    pub(crate) fn assist(&self) {
        if self.is_short()
            && let Some(mut reclaim) = self.reclaim.try_lock()
        {
            self.reclaim_step(&mut reclaim);
        }
    }

    /// Whether a little more should be free than is.
    pub(crate) fn is_short(&self) -> bool {
        let segments = self.table.count_in(self.pool.limit());
        self.pool.available() < 1 + segments / FREE_SHARE
    }

    /// Empties a part of a victim.
    pub(crate) fn reclaim_step(&self, reclaim: &mut MutexGuard<'_, Reclaim>) -> Step {
        let now = self.clock_now();
        let Some(mut victim) = reclaim.victim.take().or_else(|| self.choose(reclaim)) else {
            return Step::Stuck;
        };
        let mut batch = [None; STEP];
        let finished = self.collect(&mut victim, &mut batch);
        let mut gone = Gone::default();
        for (loc, position) in batch.into_iter().flatten() {
            self.dispose(&mut victim, loc, position, now, &mut gone);
        }
        self.table.remove_all(victim.id, gone.bytes, gone.items);
        if !finished {
            reclaim.victim = Some(victim);
            return Step::Working;
        }
        self.finish(reclaim, &victim);
        Step::Finished
    }

    /// Notes the next live items of the victim and brings their index lines near; true at its end.
    fn collect(&self, victim: &mut Victim, batch: &mut Batch) -> bool {
        let start = self.table.start(victim.id);
        let used = self.table.used(victim.id).load(Ordering::Acquire) as usize;
        let mut places = batch.iter_mut();
        if victim.done == 0 {
            victim.done = self.table.lead_words(victim.id).load(Ordering::Relaxed) as usize;
            let lead = self.table.lead(victim.id).load(Ordering::Relaxed);
            if lead != 0
                && let outline = self.outline(lead)
                && outline.state.is_live()
                && let Some(place) = places.next()
            {
                *place = Some((lead, self.position_of(lead, outline.shape)));
            }
        }
        while victim.done < used {
            let loc = start + victim.done as u64;
            let outline = self.outline(loc);
            if outline.state.is_live() {
                let Some(place) = places.next() else { return false };
                let position = self.position_of(loc, outline.shape);
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
        let Some(spot) = self.index.find_loc(position, loc, &lock) else { return };
        let item = self.read_any(loc);
        let inside = self.lies_within(&item, victim.id);
        // The item at the front may be long gone, and another one be where it began.
        if !inside && !self.pieces(&item).by_segment().any(|(id, _)| id == victim.id) {
            return;
        }
        let hidden = self.hidden(&item, now);
        let fate = if hidden.is_none() { self.fate(victim, &item) } else { Fate::Go };
        let stays = match fate {
            Fate::Go => false,
            Fate::Stay => true,
            Fate::Move => self.relocate(victim, &item, spot, &mut lock) || victim.compacts,
        };
        if stays {
            return;
        }
        self.index.remove(position, spot, &mut lock);
        let cause = hidden.map_or(Cause::Evicted, Cause::of_hidden);
        if cause == Cause::Evicted && victim.log.queue == Queue::Small {
            self.index.remember(position, &mut lock);
        }
        self.report(&item, cause, now);
        if inside {
            self.end_life(&item);
            gone.bytes += item.size();
            gone.items += 1;
        } else {
            self.discard(&item);
        }
    }

    fn lies_within(&self, item: &Item, segment: SegmentId) -> bool {
        let last = item.loc + item.size() as Loc / 4 - 1;
        self.table.segment_of(item.loc) == segment && self.table.segment_of(last) == segment
    }

    fn fate(&self, victim: &mut Victim, item: &Item) -> Fate {
        if victim.compacts {
            return Fate::Move;
        }
        let freq = item.state.freq();
        if freq == 0 || freq + 1 < victim.threshold {
            return Fate::Go;
        }
        if freq < victim.threshold {
            if item.size() > victim.spare {
                return Fate::Go;
            }
            victim.spare -= item.size();
        }
        if item.size() > COPY_MAX * self.table.segment_bytes() {
            self.keep(victim, item);
            return Fate::Stay;
        }
        Fate::Move
    }

    /// Whether items of this class may be about as large as a segment, or larger.
    fn is_coarse(&self, class: u8) -> bool {
        CLASS_MAX.get(usize::from(class)).is_none_or(|&max| max >= self.table.segment_bytes())
    }

    /// Lets a large item stay where it is, and the segments that it goes on in stay with it.
    fn keep(&self, victim: &mut Victim, item: &Item) {
        victim.kept = true;
        if self.table.segment_of(item.loc) != victim.id {
            return;
        }
        let state = item.state.with_freq(item.state.freq() - 1);
        self.word(item.loc + 2).store(state.0, Ordering::Relaxed);
        for (id, _) in self.pieces(item).by_segment().skip(1) {
            self.pool.rejuvenate(&self.table, id, Queue::Main);
        }
    }

    /// Copies an item to where survivors go; false if there is no memory for that.
    fn relocate(&self, victim: &mut Victim, item: &Item, spot: Spot, lock: &mut Guard<'_>) -> bool {
        let mut draft = self.redraft(item);
        if !victim.compacts {
            draft.state = draft.state.with_freq(draft.state.freq() - 1);
        }
        let mut key = [0; KEY_BUFFER];
        let head = draft.head(self.key_of(item.loc, item.shape, &mut key));
        let class = head.class();
        let log = match victim.compacts {
            true => LogId { class, ..victim.log },
            false => LogId { queue: Queue::Main, class, ..victim.log },
        };
        let Ok(room) = self.room_for(log, &head, 0) else { return false };
        if self.succeed(&room, &draft, item, spot, lock).is_err() {
            return false;
        }
        victim.copied += item.size();
        match victim.log.queue {
            _ if victim.compacts => {}
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
        let used = self.table.used(victim.id).load(Ordering::Relaxed) as usize * 4;
        if victim.kept || victim.copied > used / 4 * SURVIVORS {
            reclaim.rounds += 1;
        } else {
            reclaim.rounds = 0;
        }
        if victim.kept && !self.table.load(victim.id).is_empty() {
            self.pool.rejuvenate(&self.table, victim.id, Queue::Main);
            return;
        }
        let freed = self.pool.give_back(&self.table, victim.id, Phase::Victim, &self.memory);
        if freed == crate::space::pool::Freed::No {
            // An item could not be moved or found for the moment; later then.
            reclaim.rounds += 1;
            self.pool.rejuvenate(&self.table, victim.id, victim.log.queue);
        }
    }

    /// Chooses the next victim. A candidate may be gone before it is taken, by a writer that
    /// emptied it; so this tries more than once.
    fn choose(&self, reclaim: &mut Reclaim) -> Option<Victim> {
        const ATTEMPTS: usize = 16;
        (0..ATTEMPTS).find_map(|_| self.choose_once(reclaim))
    }

    fn choose_once(&self, reclaim: &mut Reclaim) -> Option<Victim> {
        // A smaller limit counts for more than a setting.
        let evicts = self.settings.evictions || self.pool.is_over();
        let holes = if evicts { HOLES } else { 2 * SAMPLE };
        // Without a place to copy to, or after a compaction that came to nothing, better evict.
        if self.pool.can_copy()
            && reclaim.rounds == 0
            && let Some(id) = self.with_holes(reclaim, holes)
        {
            return self.condemn(reclaim, id, true);
        }
        if !evicts {
            reclaim.rounds = 0;
            return None;
        }
        let ([small, main], opened) = self.pool.sealed();
        reclaim.earnings.update(opened, small + main, &self.counters);
        let first = if small * SMALL_SHARE > small + main { Queue::Small } else { Queue::Main };
        let second = if first == Queue::Small { Queue::Main } else { Queue::Small };
        let probation = (small + main) / PROBATION;
        for (queue, age_min) in [(first, probation), (second, probation), (first, 0), (second, 0)] {
            if let Some(id) = self.least_dense(reclaim, queue, opened, age_min)
                && let Some(victim) = self.condemn(reclaim, id, false)
            {
                return Some(victim);
            }
        }
        // All there is lies in open segments.
        self.close_logs();
        let id =
            logs(Queue::Small).chain(logs(Queue::Main)).find_map(|log| self.oldest_free(log))?;
        self.condemn(reclaim, id, false)
    }

    fn condemn(&self, reclaim: &Reclaim, id: SegmentId, compacts: bool) -> Option<Victim> {
        if !self.pool.condemn(&self.table, id) {
            return None;
        }
        let Place { log, .. } = self.table.place(id);
        let used = self.table.used(id).load(Ordering::Relaxed) as usize * 4;
        let budget = used / 4 * SURVIVORS;
        let bytes = self.bytes_by_use(id);
        let above = |freq: u32| bytes[freq as usize..].iter().sum::<usize>();
        let threshold = (1..=FREQ_MAX + 1).find(|&freq| above(freq) <= budget);
        let threshold = threshold.unwrap_or(FREQ_MAX + 1);
        let (threshold, spare) = match reclaim.rounds < ROUNDS_MAX {
            // A few large items can't be divided so finely.
            true if self.is_coarse(log.class) => (1, 0),
            true => (threshold, budget - above(threshold)),
            false => (FREQ_MAX + 2, 0),
        };
        Some(Victim { id, log, done: 0, threshold, spare, compacts, kept: false, copied: 0 })
    }

    /// The segment among a few at random that has the most holes, if they are at least one in
    /// `holes` bytes.
    fn with_holes(&self, reclaim: &mut Reclaim, holes: usize) -> Option<SegmentId> {
        let bound = u64::from(self.pool.bound());
        let mut best = (0, None);
        let all = bound <= 4 * SAMPLE as u64;
        let count = if all { bound as usize } else { SAMPLE };
        for i in 0..count {
            let id = match all {
                true => i as SegmentId,
                false => (reclaim.random() % bound) as SegmentId,
            };
            let Place { phase, log } = self.table.place(id);
            if id == 0 || phase != Phase::Sealed || self.is_coarse(log.class) {
                continue;
            }
            let load = self.table.load(id);
            let used = self.table.used(id).load(Ordering::Relaxed) as usize * 4;
            let dead = used.saturating_sub(load.bytes as usize);
            if load.pending == 0 && dead * holes >= used && dead > best.0 {
                best = (dead, Some(id));
            }
        }
        best.1
    }

    /// The oldest segment of a log that can be emptied. Those in which values are still arriving go
    /// to the young end, so that they are never in the way, however many they are.
    fn oldest_free(&self, log: LogId) -> Option<SegmentId> {
        let first = self.pool.oldest(log)?;
        let mut id = first;
        for _ in 0..DETOUR {
            if self.table.load(id).pending == 0 {
                return Some(id);
            }
            self.pool.rejuvenate(&self.table, id, log.queue);
            id = self.pool.oldest(log).filter(|&id| id != first)?;
        }
        None
    }

    /// The one of a queue's oldest segments with the fewest uses for its age, which must be at
    /// least `age_min` at the time `opened`.
    fn least_dense(
        &self,
        reclaim: &Reclaim,
        queue: Queue,
        opened: u32,
        age_min: u32,
    ) -> Option<SegmentId> {
        let mut least: Option<(u64, SegmentId)> = None;
        // Items of a class that nobody asks for any more have no advantage over new ones.
        let idle = logs(Queue::Main)
            .filter(|log| queue == Queue::Small && reclaim.earnings.is_unprivileged(log.class));
        for log in logs(queue).chain(idle) {
            let Some(id) = self.oldest_free(log) else { continue };
            if self.table.stamp(id).epoch() != self.epoch() {
                return Some(id);
            }
            let age = opened.wrapping_sub(self.table.born(id).load(Ordering::Relaxed)).max(1);
            if age < age_min {
                continue;
            }
            let fade = reclaim.earnings.uses_fade(log.class);
            let hits = if fade { 0 } else { self.hits(reclaim, id) };
            let density = (u64::from(hits) * 2 + 1) * (1 << 24) / u64::from(age);
            if least.is_none_or(|(least, _)| density < least) {
                least = Some((density, id));
            }
        }
        least.map(|(_, id)| id)
    }

    /// The sum of a segment's use counters, not too long ago.
    fn hits(&self, reclaim: &Reclaim, id: SegmentId) -> u32 {
        let counted = self.table.counted(id);
        let mark = reclaim.evictions.wrapping_add(RECOUNT);
        let age = mark.wrapping_sub(counted.load(Ordering::Relaxed));
        if counted.load(Ordering::Relaxed) == 0 || age > 2 * RECOUNT {
            let by_use = self.uses(id);
            self.table.hits(id).store(by_use, Ordering::Relaxed);
            counted.store(mark.max(1), Ordering::Relaxed);
        }
        self.table.hits(id).load(Ordering::Relaxed)
    }

    fn uses(&self, id: SegmentId) -> u32 {
        let mut uses = 0;
        self.walk(id, |freq, _| uses += freq);
        uses
    }

    /// Bytes of live items by use counter.
    fn bytes_by_use(&self, id: SegmentId) -> [usize; FREQ_MAX as usize + 1] {
        let mut bytes = [0; FREQ_MAX as usize + 1];
        self.walk(id, |freq, size| bytes[freq as usize] += size);
        bytes
    }

    /// Visits the live items that begin in a segment: their use counters and bytes.
    fn walk(&self, id: SegmentId, mut visit: impl FnMut(u32, usize)) {
        let start = self.table.start(id);
        let used = self.table.used(id).load(Ordering::Acquire) as usize;
        let mut at = self.table.lead_words(id).load(Ordering::Relaxed) as usize;
        while at < used {
            self.memory.prefetch(start as usize + at + AHEAD);
            let outline = self.outline(start + at as u64);
            if outline.state.is_live() {
                visit(outline.state.freq(), outline.words * 4);
            }
            at += outline.words;
        }
    }

    /// Bounded reclaiming ahead of need; true if there is more to do.
    pub(crate) fn reclaim_ahead(&self, budget: usize) -> bool {
        for _ in 0..budget.div_ceil(STEP) {
            if !self.is_short() && !self.pool.is_over() {
                return false;
            }
            let Some(mut reclaim) = self.reclaim.try_lock() else { return true };
            if self.reclaim_step(&mut reclaim) == Step::Stuck {
                return false;
            }
        }
        true
    }

    /// Applies a new limit and reclaims what is above it, in steps: between two of them writers
    /// find the room that they need.
    pub(crate) fn apply_limit(&self, bytes: usize) {
        let _one = self.resizing.lock();
        // An item beyond that would have everything evicted and then not fit.
        self.item_max.store(self.settings.max_item_size.min(bytes / 2), Ordering::Relaxed);
        loop {
            let step = bytes.max(self.pool.gauge().used.saturating_sub(LOWERED));
            self.limit_to(step);
            if step == bytes {
                return;
            }
            if self.pool.is_over() {
                // Nothing more can be reclaimed now; what becomes free later goes to the system.
                return self.limit_to(bytes);
            }
        }
    }

    fn limit_to(&self, bytes: usize) {
        let mut reclaim = self.reclaim.lock();
        self.pool.set_limit(&self.table, bytes, &self.memory);
        let mut patience = 64 + 8 * self.pool.bound();
        while self.pool.is_over() && patience > 0 {
            match self.reclaim_step(&mut reclaim) {
                Step::Working => {}
                Step::Finished => {
                    patience -= 1;
                    // The index of small items may be larger than all of the new limit.
                    self.tend_index(usize::MAX);
                }
                Step::Stuck => break,
            }
        }
    }
}
