//! The policy: which segment is emptied next, and which of its items survive. It looks at the cache
//! through a [`View`] and changes nothing, so it can be tested without memory.
//!
//! It is S3-FIFO (Yang et al., SOSP 2023) over segments instead of items: new items are on
//! probation in the small queue, of which those that were used move to the main queue, and those of
//! the main queue that were used since stay for another round. Among the oldest segments of all
//! size classes the victim is the one with the fewest uses for its age: hit density, after LHD
//! (Beckmann et al., NSDI 2018). Where overwriting and deleting has left holes, a segment with many
//! of them is compacted instead and nothing is evicted.

use crate::space::layout::FREQ_MAX;
use crate::space::pool::{Sealed, logs};
use crate::space::segments::{CLASS_MAX, LogId, Queue, SegmentId};
use crate::upkeep::activity::{ClassActivity, Demand};

/// Evict from the small queue while it holds more than 1/SMALL_SHARE of all sealed segments.
const SMALL_SHARE: u32 = 10;
/// A segment is not evicted before 1/PROBATION of all sealed segments have been opened after it, so
/// that even a large item stays for a while.
const PROBATION: u32 = 16;
/// At most SURVIVORS/4 of a victim's bytes survive, so every victim frees at least a quarter.
const SURVIVORS: usize = 3;
/// Segments that are looked at for holes before something is evicted.
const SAMPLE: usize = 16;
/// A segment is compacted if at least 1/HOLES of its bytes are holes, or, where nothing may be
/// evicted, 1/HOLES_LAST.
const HOLES: usize = 3;
const HOLES_LAST: usize = 2 * SAMPLE;
/// Victims in a row that freed next to nothing before everything in one is evicted.
const ROUNDS_MAX: u32 = 16;
/// Items of up to this many segments are copied when they survive; larger ones stay where they are,
/// and their segments go back to the young end of the queue.
const COPY_MAX: usize = 2;

/// What the policy sees of a cache.
pub(crate) trait View {
    /// Bytes of a segment.
    fn segment_bytes(&self) -> usize;
    /// How many segments wait in the queues.
    fn sealed(&self) -> Sealed;
    /// Numbers of segments are below this.
    fn bound(&self) -> SegmentId;
    /// How full a segment is, if it is sealed and nothing in it is pending.
    fn occupancy(&self, id: SegmentId) -> Option<Occupancy>;
    /// The oldest segment of a log that can be emptied.
    fn oldest(&self, log: LogId) -> Option<Oldest>;
    /// The sum of the use counters of the items in a segment.
    fn uses(&self, id: SegmentId) -> u32;
    /// What was asked for so far.
    fn demand(&self) -> Demand;
}

/// How full a segment is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occupancy {
    pub(crate) class: u8,
    /// Bytes handed out, and how many of them belong to live items.
    pub(crate) used: usize,
    pub(crate) live: usize,
}

/// The segment at the old end of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Oldest {
    pub(crate) id: SegmentId,
    /// Segments opened before it was sealed.
    pub(crate) born: u32,
    /// All of its items are invisible.
    pub(crate) flushed: bool,
}

/// What the policy may do at the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means {
    /// Items may be evicted.
    pub(crate) evicts: bool,
    /// There is memory to copy survivors to.
    pub(crate) copies: bool,
}

/// The segment that is to be emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) id: SegmentId,
    /// Everything in it survives; it has holes.
    pub(crate) compacts: bool,
}

/// What becomes of an item of a victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Evict,
    Copy,
    /// It stays where it is.
    Stay,
}

/// Bytes of a segment's live items by use counter.
pub(crate) type BytesByUse = [usize; FREQ_MAX as usize + 1];

/// Which items of a victim survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Survivors {
    /// All of them: the victim is compacted.
    pub(crate) all: bool,
    /// Items with this use counter survive, and those with the next lower one as far as there is
    /// room for them.
    threshold: u32,
    /// Bytes for those.
    spare: usize,
    /// Larger items are not copied.
    copy_max: usize,
}

/// How a victim ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was worth it.
    Freed,
    /// So much stayed that hardly anything was freed.
    Poor,
    /// Nothing was freed, as something could not be moved.
    Failed,
}

/// The policy's memory.
#[derive(Debug)]
pub(crate) struct Policy {
    activity: ClassActivity,
    /// Victims in a row whose items stayed.
    rounds: u32,
    random: u64,
}

impl Policy {
    pub(crate) fn new(seed: u64) -> Self {
        Self { activity: ClassActivity::new(), rounds: 0, random: seed | 1 }
    }

    /// The segment to empty next, if there is one.
    pub(crate) fn choose(&mut self, view: &impl View, means: Means) -> Option<Choice> {
        let holes = if means.evicts { HOLES } else { HOLES_LAST };
        // Without a place to copy to, or after a compaction that came to nothing, better evict.
        if means.copies && self.rounds == 0 {
            if let Some(id) = self.with_holes(view, holes) {
                return Some(Choice { id, compacts: true });
            }
        }
        if !means.evicts {
            self.rounds = 0;
            return None;
        }
        let sealed = view.sealed();
        let all = sealed.small + sealed.main;
        self.activity.update(sealed.opened, all, || view.demand());
        let queues = match sealed.small * SMALL_SHARE > all {
            true => [Queue::Small, Queue::Main],
            false => [Queue::Main, Queue::Small],
        };
        let attempts = [all / PROBATION, 0].into_iter().flat_map(|age| queues.map(|q| (q, age)));
        let mut found =
            attempts.filter_map(|(queue, age)| self.least_dense(view, queue, sealed.opened, age));
        found.next().map(|id| Choice { id, compacts: false })
    }

    /// Which items of the chosen segment survive. `used` bytes of it were handed out, to items of
    /// `class`; `bytes` are those of the live ones.
    pub(crate) fn survivors(
        &self,
        view: &impl View,
        choice: Choice,
        occupancy: Occupancy,
        bytes: &BytesByUse,
    ) -> Survivors {
        let budget = occupancy.used / 4 * SURVIVORS;
        let above = |freq: u32| bytes[freq as usize..].iter().sum::<usize>();
        let threshold = (1..=FREQ_MAX + 1).find(|&freq| above(freq) <= budget);
        let threshold = threshold.unwrap_or(FREQ_MAX + 1);
        let (threshold, spare) = match self.rounds < ROUNDS_MAX {
            // A few large items can't be divided so finely.
            true if is_coarse(occupancy.class, view.segment_bytes()) => (1, 0),
            true => (threshold, budget - above(threshold)),
            false => (FREQ_MAX + 2, 0),
        };
        let copy_max = COPY_MAX * view.segment_bytes();
        Survivors { all: choice.compacts, threshold, spare, copy_max }
    }

    /// How a victim ended of which `used` bytes had been handed out and `copied` bytes were copied.
    pub(crate) fn judge(used: usize, copied: usize, kept: bool) -> Outcome {
        if kept || copied > used / 4 * SURVIVORS { Outcome::Poor } else { Outcome::Freed }
    }

    /// Takes note of how a victim ended.
    pub(crate) fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Freed => self.rounds = 0,
            Outcome::Poor | Outcome::Failed => self.rounds += 1,
        }
    }

    /// The segment among a few at random that has the most holes, if they are at least 1/`holes` of
    /// its bytes.
    fn with_holes(&mut self, view: &impl View, holes: usize) -> Option<SegmentId> {
        let bound = view.bound();
        let all = bound as usize <= 4 * SAMPLE;
        let count = if all { bound } else { SAMPLE as u32 };
        let mut best = (0, None);
        for i in 0..count {
            let id = if all { i } else { (self.random() % u64::from(bound)) as SegmentId };
            let Some(Occupancy { class, used, live }) = view.occupancy(id) else { continue };
            let dead = used.saturating_sub(live);
            let coarse = is_coarse(class, view.segment_bytes());
            if !coarse && dead * holes >= used && dead > best.0 {
                best = (dead, Some(id));
            }
        }
        best.1
    }

    /// The one of a queue's oldest segments with the fewest uses for its age, which must be at
    /// least `age_min` when `opened` segments have been opened.
    fn least_dense(
        &self,
        view: &impl View,
        queue: Queue,
        opened: u32,
        age_min: u32,
    ) -> Option<SegmentId> {
        let mut least: Option<(u64, SegmentId)> = None;
        // Items of a class that nobody asks for any more have no advantage over new ones.
        let idle = logs(Queue::Main)
            .filter(|log| queue == Queue::Small && self.activity.is_unprivileged(log.class));
        for log in logs(queue).chain(idle) {
            let Some(oldest) = view.oldest(log) else { continue };
            if oldest.flushed {
                return Some(oldest.id);
            }
            let age = opened.wrapping_sub(oldest.born).max(1);
            if age < age_min {
                continue;
            }
            let fade = self.activity.uses_fade(log.class);
            let uses = if fade { 0 } else { view.uses(oldest.id) };
            let density = (u64::from(uses) * 2 + 1) * (1 << 24) / u64::from(age);
            if least.is_none_or(|(least, _)| density < least) {
                least = Some((density, oldest.id));
            }
        }
        least.map(|(_, id)| id)
    }

    /// Xorshift: good enough to look here and there.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

impl Survivors {
    /// What becomes of an item with this use counter and size.
    pub(crate) fn fate(&mut self, freq: u32, size: usize) -> Fate {
        if self.all {
            return Fate::Copy;
        }
        if freq == 0 || freq + 1 < self.threshold {
            return Fate::Evict;
        }
        if freq < self.threshold {
            if size > self.spare {
                return Fate::Evict;
            }
            self.spare -= size;
        }
        if size > self.copy_max { Fate::Stay } else { Fate::Copy }
    }
}

/// Whether items of this class may be about as large as a segment, or larger.
fn is_coarse(class: u8, segment_bytes: usize) -> bool {
    CLASS_MAX.get(usize::from(class)).is_none_or(|&max| max >= segment_bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SEGMENT: usize = 64 << 10;
    const ALL: Means = Means { evicts: true, copies: true };

    fn log(queue: Queue, class: u8) -> LogId {
        LogId { queue, class, group: 0 }
    }

    /// The oldest segments of some logs, and what is in them.
    #[derive(Default)]
    struct Table {
        opened: u32,
        sealed: [u32; 2],
        logs: BTreeMap<usize, Oldest>,
        uses: BTreeMap<SegmentId, u32>,
        live: BTreeMap<SegmentId, usize>,
        demand: Demand,
    }

    impl Table {
        /// A segment at the old end of `log`, all of it live.
        fn with(mut self, id: SegmentId, log: LogId, born: u32, uses: u32) -> Self {
            self.logs.insert(log.index(), Oldest { id, born, flushed: false });
            self.uses.insert(id, uses);
            self.live.insert(id, SEGMENT);
            self
        }

        fn choice(&self) -> Option<Choice> {
            Policy::new(1).choose(self, ALL)
        }
    }

    impl View for Table {
        fn segment_bytes(&self) -> usize {
            SEGMENT
        }
        fn sealed(&self) -> Sealed {
            Sealed { small: self.sealed[0], main: self.sealed[1], opened: self.opened }
        }
        fn bound(&self) -> SegmentId {
            self.live.last_key_value().map_or(1, |(id, _)| id + 1)
        }
        fn occupancy(&self, id: SegmentId) -> Option<Occupancy> {
            Some(Occupancy { class: 0, used: SEGMENT, live: *self.live.get(&id)? })
        }
        fn oldest(&self, log: LogId) -> Option<Oldest> {
            self.logs.get(&log.index()).copied()
        }
        fn uses(&self, id: SegmentId) -> u32 {
            self.uses[&id]
        }
        fn demand(&self) -> Demand {
            self.demand
        }
    }

    /// 20 small segments and 80 main ones, of which one each is the oldest.
    fn full() -> Table {
        Table { opened: 100, sealed: [20, 80], ..Table::default() }
            .with(1, log(Queue::Small, 0), 50, 10)
            .with(2, log(Queue::Main, 0), 50, 0)
    }

    fn evict(id: SegmentId) -> Option<Choice> {
        Some(Choice { id, compacts: false })
    }

    #[test]
    fn the_small_queue_goes_first_while_it_is_large() {
        assert_eq!(full().choice(), evict(1));
        assert_eq!(Table { sealed: [10, 90], ..full() }.choice(), evict(2));
    }

    #[test]
    fn the_victim_has_the_fewest_uses_for_its_age() {
        let table =
            full().with(3, log(Queue::Small, 1), 50, 9).with(4, log(Queue::Small, 2), 90, 2);
        // Of segment 4 the uses are fewest, but it is five times as young.
        assert_eq!(table.choice(), evict(3));
        assert_eq!(table.with(5, log(Queue::Small, 3), 10, 10).choice(), evict(5));
    }

    #[test]
    fn a_young_segment_is_spared_while_there_is_an_older_one() {
        let mut table = Table { opened: 100, sealed: [20, 80], ..Table::default() }
            .with(1, log(Queue::Small, 0), 99, 0)
            .with(2, log(Queue::Main, 0), 50, 100);
        assert_eq!(table.choice(), evict(2));
        table.logs.remove(&log(Queue::Main, 0).index());
        assert_eq!(table.choice(), evict(1));
    }

    #[test]
    fn a_flushed_segment_goes_at_once() {
        let mut table = full().with(3, log(Queue::Small, 1), 99, 500);
        table.logs.get_mut(&log(Queue::Small, 1).index()).unwrap().flushed = true;
        assert_eq!(table.choice(), evict(3));
    }

    #[test]
    fn holes_are_compacted_before_anything_is_evicted() {
        let mut table = full();
        table.live.insert(2, SEGMENT / 3 * 2 + 100);
        assert_eq!(table.choice(), evict(1));
        table.live.insert(2, SEGMENT / 2);
        assert_eq!(table.choice(), Some(Choice { id: 2, compacts: true }));
        let full = Means { copies: false, ..ALL };
        assert_eq!(Policy::new(1).choose(&table, full), evict(1), "there is no place to copy to");
    }

    #[test]
    fn where_nothing_may_be_evicted_smaller_holes_count() {
        let keeps = Means { evicts: false, copies: true };
        let mut table = full();
        assert_eq!(Policy::new(1).choose(&table, keeps), None);
        table.live.insert(2, SEGMENT / 8 * 7);
        let choice = Policy::new(1).choose(&table, keeps);
        assert_eq!(choice, Some(Choice { id: 2, compacts: true }));
    }

    fn survivors(policy: &Policy, class: u8, bytes: BytesByUse) -> Survivors {
        let occupancy = Occupancy { class, used: 4000, live: 4000 };
        let choice = Choice { id: 1, compacts: false };
        policy.survivors(&full(), choice, occupancy, &bytes)
    }

    #[test]
    fn at_most_three_quarters_of_a_victim_survive() {
        let mut some = survivors(&Policy::new(1), 0, [0, 2000, 1500, 500]);
        // 2000 bytes were used twice and more; of the others there is room for 1000.
        assert_eq!(some.fate(0, 10), Fate::Evict);
        assert_eq!(some.fate(2, 1500), Fate::Copy);
        assert_eq!(some.fate(1, 600), Fate::Copy);
        assert_eq!(some.fate(1, 600), Fate::Evict);
        assert_eq!(some.fate(1, 400), Fate::Copy);
        assert_eq!(some.fate(1, 4), Fate::Evict);
    }

    #[test]
    fn large_items_survive_by_use_alone_and_stay_where_they_are() {
        let mut some = survivors(&Policy::new(1), 5, [0, 4000, 0, 0]);
        assert_eq!(some.fate(1, 4000), Fate::Copy);
        assert_eq!(some.fate(1, 3 * SEGMENT), Fate::Stay);
        assert_eq!(some.fate(0, 3 * SEGMENT), Fate::Evict);
    }

    #[test]
    fn after_many_poor_victims_everything_is_evicted() {
        let mut policy = Policy::new(1);
        assert_eq!(Policy::judge(4000, 3001, false), Outcome::Poor);
        assert_eq!(Policy::judge(4000, 3000, false), Outcome::Freed);
        (0..ROUNDS_MAX).for_each(|_| policy.note(Outcome::Poor));
        assert_eq!(survivors(&policy, 0, [0, 0, 0, 4000]).fate(FREQ_MAX, 10), Fate::Evict);
        policy.note(Outcome::Freed);
        assert_eq!(survivors(&policy, 0, [0, 0, 0, 4000]).fate(FREQ_MAX, 10), Fate::Copy);
    }
}
