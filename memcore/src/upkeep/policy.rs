//! The policy: which segment is emptied next, and which of its items survive. It looks at the cache
//! through a [`View`] and changes nothing, so it can be tested without memory.
//!
//! Items of a segment are alike in use and size: a log takes items of one use level and one size
//! class. So a whole segment has nearly one score, and the victim is the one whose bytes are worth
//! least among the oldest segments of all logs. Its items survive by their own score, against what
//! victims were worth lately; keys that go are remembered with their uses. Levels that don't bring
//! the hits that their score promises lose it ([`Levels`]). Where overwriting and deleting has left
//! holes, a segment with many of them is compacted instead and nothing is evicted.
//!
//! From S3-FIFO (Yang et al., SOSP 2023) come queues instead of lists, lazy promotion and ghosts;
//! where scores come from is told in `score`.

use std::cmp::Reverse;

use crate::space::pool::Sealed;
use crate::space::segments::{
    CLASS_MAX, CLASSES, HitCell, LEVELS, LOGS, LogId, SegmentId, level_of,
};
use crate::upkeep::activity::{ClassActivity, Demand};
use crate::upkeep::duel::{Duel, Manner, Results};
use crate::upkeep::levels::{Evidence, Levels, StepEvents, Tally, bucket, sum};
use crate::upkeep::loops::{Holding, Loops, Requests};
use crate::upkeep::score::{Weights, fading};

/// A segment is not evicted before 1/PROBATION of all sealed segments have been opened after it, so
/// that even a large item stays for a while.
const PROBATION: u32 = 16;
/// At most this share of a victim's bytes survives, in tenths, so that every victim frees some.
/// Items that rise from the lowest level are not counted: new ones that were all used are all kept.
const SURVIVORS: usize = 9;
/// Segments that are looked at for holes before something is evicted.
const SAMPLE: usize = 16;
/// A segment is compacted if at least 1/HOLES of its bytes are holes, or, where nothing may be
/// evicted, 1/HOLES_LAST.
const HOLES: usize = 3;
const HOLES_LAST: usize = 2 * SAMPLE;
/// Victims in a row that freed next to nothing before items that rise count like others and large
/// items are evicted, and before everything in a victim is.
const ROUNDS_MAX: u32 = 16;
const ROUNDS_LAST: u32 = 64;
/// Items of up to this many bytes are copied when they survive; larger ones stay where they are,
/// and their segments go back to the young end of the queue.
const COPY_MAX: usize = 140_000;
/// What victims are worth is followed by this part of the difference.
const FOLLOWED: f32 = 0.2;
/// An item that was used since it was copied counts as this much younger, and one that was not has
/// to be worth this many times more.
const YOUNGER: f32 = 0.25;
const UNUSED: f32 = 3.0;
/// A segment's worth is summed up again after this many evictions at least, twice as many at most.
const RECOUNT: u32 = 16;
/// Segments whose worth is summed up in one choice: for the first time, and again.
const WALKS: Walks = Walks { first: 32, again: 4 };
/// Rows of the table that are looked at for each segment that was opened, and at once: so all are
/// looked at twice before it is time for the next step.
const ROWS: u32 = 32;
const ROWS_MAX: u32 = 1024;
/// Segments that are passed on the way from the young end of a log in one choice, and of all logs.
const PASSED: usize = 64;
const PASSED_ALL: usize = 512;

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
    /// The segments at the old ends of all logs, 0 where there is none.
    fn heads(&self) -> [SegmentId; LOGS];
    /// The oldest segment of a log that can be emptied, where `head` is the oldest one.
    fn oldest(&self, log: LogId, head: SegmentId) -> Option<Oldest>;
    /// The youngest segment of a log, and the neighbours of one in its log; 0 for none.
    fn newest(&self, log: LogId) -> SegmentId;
    fn older(&self, id: SegmentId) -> SegmentId;
    fn newer(&self, id: SegmentId) -> SegmentId;
    /// The log that a segment waits in, and how many had been opened before it was sealed.
    fn waiting(&self, id: SegmentId) -> Option<Waiting>;
    /// What [`Self::set_note`] noted about a segment since it was opened.
    fn note(&self, id: SegmentId) -> Note;
    fn set_note(&self, id: SegmentId, note: Note);
    /// Visits the live items of a segment.
    fn visit(&self, id: SegmentId, visit: impl FnMut(Sample));
    /// Where hits of the segment's items are counted, and where they are from now on.
    fn cell(&self, id: SegmentId) -> HitCell;
    fn set_cell(&self, id: SegmentId, cell: HitCell);
    /// What was counted since the beginning.
    fn happened(&self, demand: &Demand) -> StepEvents;
    fn demand(&self) -> Demand;
}

/// A segment in its log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) log: LogId,
    pub(crate) born: u32,
    /// It is sealed, not open.
    pub(crate) sealed: bool,
    /// Bytes of live items.
    pub(crate) live: usize,
}

/// The worth of a segment's items without age, as it was when it was summed up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Note {
    pub(crate) worth: f32,
    /// Evictions until then, and some; 0 for never.
    pub(crate) counted: u32,
}

/// An item as the policy sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) uses: u32,
    /// It was used since it was copied.
    pub(crate) hit: bool,
    /// Its bytes, and those of them that lie in the segment.
    pub(crate) bytes: usize,
    pub(crate) inside: usize,
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) id: SegmentId,
    pub(crate) log: LogId,
    /// Its age in turnovers.
    age: f32,
    /// Everything in it survives; it has holes.
    pub(crate) compacts: bool,
    /// Nothing in it survives.
    useless: bool,
}

impl Choice {
    /// A segment with holes, all of whose items survive.
    pub(crate) fn compacting(id: SegmentId, log: LogId) -> Self {
        Self { id, log, age: 0.0, compacts: true, useless: false }
    }
}

/// What is done with an item of a victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Evict,
    /// It goes to a new place, with this use counter.
    Copy(u32),
    /// It stays where it is, with this use counter.
    Stay(u32),
}

/// Which items of a victim survive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Survivors {
    /// All of them: the victim is compacted.
    pub(crate) all: bool,
    manner: Manner,
    setting: Setting,
    factors: [f32; LEVELS],
    /// What an item has to be worth.
    threshold: f32,
    /// Items that rise from the lowest level survive whatever there is room for.
    rises: bool,
    /// Of others those above this rank survive, and those of it as far as there is room.
    rank: u32,
    /// Bytes for those.
    spare: usize,
    random: u64,
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
    weights: Weights,
    levels: Levels,
    loops: Loops,
    activity: ClassActivity,
    duel: Duel,
    census: Census,
    /// What the bytes of victims were worth lately.
    threshold: f32,
    evictions: u32,
    /// Victims in a row whose items stayed.
    rounds: u32,
    /// Segments opened when the census was gone on with.
    seen: u32,
    /// Where the last segment of each log was found from its young end.
    cursors: [SegmentId; LOGS],
    random: u64,
}

/// How many segments may be looked into.
#[derive(Clone, Copy, Debug)]
struct Walks {
    first: usize,
    again: usize,
}

/// A walk over the table, which finds out how much of the cache each level and age has.
#[derive(Debug, Default)]
struct Census {
    next: SegmentId,
    /// Worth of the bytes that were found.
    found: Tally,
    /// Segments opened when it began, and what had been counted then.
    began: u32,
    happened: StepEvents,
    demand: Demand,
}

impl Policy {
    pub(crate) fn new(seed: u64, size_weight: f32) -> Self {
        Self {
            weights: Weights::new(size_weight),
            levels: Levels::new(),
            loops: Loops::default(),
            activity: ClassActivity::default(),
            duel: Duel::default(),
            census: Census::default(),
            threshold: 0.0,
            evictions: 0,
            rounds: 0,
            seen: 0,
            cursors: [0; LOGS],
            random: seed | 1,
        }
    }

    /// Takes note of how the rivals did, with a sample of so many items.
    pub(crate) fn compare(&mut self, results: &Results, items: f64, sealed: Sealed) {
        if self.duel.step(results, items, sealed) {
            self.loops.give_up();
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn manner(&self) -> Manner {
        self.duel.manner()
    }

    /// The segment to empty next, if there is one.
    pub(crate) fn choose(&mut self, view: &impl View, means: Means) -> Option<Choice> {
        let sealed = view.sealed();
        let holes = if means.evicts { HOLES } else { HOLES_LAST };
        // Without a place to copy to, or after a compaction that came to nothing, better evict.
        if means.copies && self.rounds == 0 {
            let full = self.with_holes(view, holes);
            if let Some((id, waiting)) = full.and_then(|id| Some((id, view.waiting(id)?))) {
                return Some(Choice::compacting(id, waiting.log));
            }
        }
        if !means.evicts {
            self.rounds = 0;
            return None;
        }
        self.learn(view);
        let mut found = None;
        for age_min in [sealed.count / PROBATION, 0] {
            found = found.or_else(|| self.least_worthy(view, sealed, age_min));
        }
        let (mut worth, mut choice) = found?;
        let is_rival = self.duel.manner() != Manner::Score && !self.loops.is_given_up();
        if is_rival && worth.is_some() {
            // It says nothing about what others have to be worth by their score.
            return self.oldest(view, sealed);
        }
        if let Some(young) = worth.and_then(|_| self.youngest(view, sealed)) {
            worth = self.worth(view, young.id, &mut { WALKS });
            worth = worth.map(|total| self.faded(view, total, &young));
            choice = young;
        }
        if choice.useless {
            // It says nothing about what others have to be worth.
            return Some(choice);
        }
        if let Some(worth) = worth {
            let first = self.threshold == 0.0;
            let followed = if first { 1.0 } else { FOLLOWED };
            self.threshold += (worth - self.threshold) * followed;
        }
        Some(choice)
    }

    /// Which items of the chosen segment survive.
    pub(crate) fn survivors(
        &mut self,
        view: &impl View,
        choice: &Choice,
        occupancy: Occupancy,
    ) -> Survivors {
        let mut survivors = Survivors {
            all: choice.compacts,
            // Where all of it was used, the score has to say what goes.
            manner: match self.duel.manner() {
                Manner::Lru if self.rounds >= ROUNDS_MAX => Manner::Score,
                manner => manner,
            },
            setting: Setting::new(choice.log.level, choice.age),
            factors: std::array::from_fn(|level| self.levels.factor(level)),
            threshold: self.threshold,
            rises: choice.log.level == 0 && self.rounds < ROUNDS_MAX,
            rank: 0,
            spare: usize::MAX,
            random: self.random(),
        };
        if choice.compacts {
            return survivors;
        }
        let coarse = is_coarse(occupancy.class, view.segment_bytes());
        let rounds_max = if coarse { ROUNDS_MAX } else { ROUNDS_LAST };
        let is_idle = self.activity.is_idle(occupancy.class);
        if self.rounds >= rounds_max || is_idle || choice.useless {
            // Nothing survives.
            survivors.threshold = f32::INFINITY;
            survivors.rises = false;
        } else if !coarse && survivors.manner == Manner::Score {
            let mut bytes = [0; RANKS];
            view.visit(choice.id, |item| {
                let score = survivors.score(&self.weights, &item);
                if score >= survivors.threshold && !survivors.is_rising(&item) {
                    bytes[survivors.rank_of(score) as usize] += item.bytes;
                }
            });
            survivors.limit(&bytes, occupancy.used / 10 * SURVIVORS);
        }
        survivors
    }

    /// What becomes of an item.
    pub(crate) fn decide(&self, survivors: &mut Survivors, item: &Sample) -> Decision {
        survivors.decide(&self.weights, item)
    }

    /// How a victim ended of which `used` bytes had been handed out and `copied` bytes were copied.
    pub(crate) fn judge(used: usize, copied: usize, kept: bool) -> Outcome {
        if kept || copied > used / 4 * 3 { Outcome::Poor } else { Outcome::Freed }
    }

    /// Takes note of how a victim ended.
    pub(crate) fn note(&mut self, outcome: Outcome) {
        self.evictions = self.evictions.wrapping_add(1);
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

    /// Goes on with the census, and judges the levels at its end.
    pub(crate) fn learn(&mut self, view: &impl View) {
        let sealed = view.sealed();
        let bound = view.bound();
        let count = sealed.count.max(1);
        let fresh = sealed.opened.wrapping_sub(std::mem::replace(&mut self.seen, sealed.opened));
        let rows = fresh.max(1).saturating_mul(ROWS).min(ROWS_MAX);
        let end = bound.min(self.census.next.saturating_add(rows));
        for id in self.census.next..end {
            let Some(waiting) = view.waiting(id) else { continue };
            let counted = view.cell(id);
            let worth = waiting.live as f64 * f64::from(self.weights.of_class(waiting.log.class));
            *self.census.found.at(HitCell { level: waiting.log.level, ..counted }) += worth;
            let (age, kept) = match waiting.sealed {
                true => {
                    let age = bucket(turnovers(sealed, waiting.born));
                    (age, self.loops.keeps(sealed, waiting.born))
                }
                false => (0, false),
            };
            let cell = HitCell::new(waiting.log.level, age, kept);
            if cell != counted {
                view.set_cell(id, cell);
            }
        }
        self.census.next = end;
        let opened = sealed.opened.wrapping_sub(self.census.began);
        if end < bound || opened < (count / PROBATION).max(1) {
            return;
        }
        let demand = view.demand();
        let happened = view.happened(&demand);
        let began = Census { began: sealed.opened, happened, demand, ..Census::default() };
        let census = std::mem::replace(&mut self.census, began);
        let happened = happened.since(&census.happened);
        // What a loop has left is not judged with the rest of its level.
        let with_kept = !self.loops.is_over();
        let share = f64::from(opened) / f64::from(count);
        let residency = census.found.by_age(with_kept);
        let evidence = Evidence {
            residency: residency.map(|ages| ages.map(|worth| worth * share)),
            hits: happened.hits.by_age(with_kept),
            hit_count: happened.hit_count,
            // What comes back in a loop is kept out on purpose.
            returned: if self.loops.is_on() { [0.0; LEVELS] } else { happened.returned },
            inserted: happened.inserted,
        };
        self.levels.step(&self.weights, &evidence);
        self.activity.step(&demand);
        let kept = sum(&census.found.kept);
        let holding = Holding { all: sum(&census.found.others) + kept, kept, sealed };
        if self.loops.step(&self.requests(&happened, &census.demand, &demand), &holding) {
            // What levels brought in a loop says nothing about what they bring from here on.
            self.levels = Levels::new();
        }
    }

    fn requests(&self, happened: &StepEvents, before: &Demand, now: &Demand) -> Requests {
        let since = |of: fn(&Demand) -> &[u64; CLASSES]| {
            self.weights.worth_of_hits(of(now)) - self.weights.worth_of_hits(of(before))
        };
        Requests {
            hit_count: happened.hit_count,
            returned_count: happened.returned_count,
            inserted_count: happened.inserted,
            kept: sum(&happened.hits.kept),
            others: sum(&happened.hits.others),
            returned: since(|demand| &demand.returned),
            inserted: since(|demand| &demand.stored) - since(|demand| &demand.replaced),
        }
    }

    /// The one of all logs' oldest segments whose bytes are worth least, and how much; it has to be
    /// at least `age_min` old.
    fn least_worthy(
        &mut self,
        view: &impl View,
        sealed: Sealed,
        age_min: u32,
    ) -> Option<(Option<f32>, Choice)> {
        let mut least: Option<(f32, Choice)> = None;
        let mut walks = WALKS;
        for (log, Oldest { id, born, flushed }) in oldest_of_logs(view) {
            let age = turnovers(sealed, born);
            let useless = self.loops.is_useless(sealed, born);
            let choice = Choice { id, log, age, compacts: false, useless };
            if flushed {
                return Some((None, choice));
            }
            if sealed.opened.wrapping_sub(born) < age_min {
                continue;
            }
            let Some(total) = self.total(view, id, log.class, &mut walks) else { continue };
            let worth = self.faded(view, total, &choice);
            if least.is_none_or(|(least, _)| worth < least) {
                least = Some((worth, choice));
            }
        }
        least.map(|(worth, choice)| (Some(worth), choice))
    }

    /// The oldest segment of all logs.
    fn oldest(&self, view: &impl View, sealed: Sealed) -> Option<Choice> {
        let since = |born| sealed.opened.wrapping_sub(born);
        let (log, Oldest { id, born, .. }) =
            oldest_of_logs(view).min_by_key(|(_, oldest)| Reverse(since(oldest.born)))?;
        Some(Choice { id, log, age: turnovers(sealed, born), compacts: false, useless: false })
    }

    /// The worth of a segment of a class. Bytes that are never hit are worth as much as those of
    /// the largest item.
    fn total(
        &mut self,
        view: &impl View,
        id: SegmentId,
        class: u8,
        walks: &mut Walks,
    ) -> Option<f32> {
        if !self.activity.is_idle(class) {
            return self.worth(view, id, walks);
        }
        let live = view.waiting(id)?.live;
        Some(self.weights.of_item(0, usize::MAX) * live as f32)
    }

    /// The worth of a segment's items, not counted too long ago. `None` if it was never counted and
    /// others have taken the time for that.
    fn worth(&self, view: &impl View, id: SegmentId, walks: &mut Walks) -> Option<f32> {
        let note = view.note(id);
        let mark = self.evictions.wrapping_add(RECOUNT).max(1);
        let is_fresh = note.counted != 0 && mark.wrapping_sub(note.counted) <= 2 * RECOUNT;
        if is_fresh {
            return Some(note.worth);
        }
        let left = if note.counted == 0 { &mut walks.first } else { &mut walks.again };
        if *left == 0 {
            return (note.counted != 0).then_some(note.worth);
        }
        *left -= 1;
        let mut worth = 0.0;
        view.visit(id, |item| {
            worth += self.weights.of_item(item.uses, item.bytes) * item.inside as f32;
        });
        view.set_note(id, Note { worth, counted: mark });
        Some(worth)
    }

    /// What items are worth at this moment.
    pub(crate) fn scores(&self) -> Scores {
        let factors = std::array::from_fn(|level| self.levels.factor(level));
        Scores { weights: self.weights.clone(), factors }
    }

    /// What a byte of a segment is worth at its age, where its items are worth `total` in all.
    fn faded(&self, view: &impl View, total: f32, choice: &Choice) -> f32 {
        let factor = self.levels.factor(usize::from(choice.log.level));
        total / view.segment_bytes() as f32 / fading(choice.age) * factor
    }

    /// In a loop what was stored last is asked for last: the worth of items falls the other way
    /// round, and the victim is the least worthy of the youngest segments of all logs.
    fn youngest(&mut self, view: &impl View, sealed: Sealed) -> Option<Choice> {
        let age_min = self.loops.due(sealed)?;
        let mut least: Option<(f32, Choice)> = None;
        let mut walks = WALKS;
        let mut left = PASSED_ALL;
        for (index, &head) in view.heads().iter().enumerate() {
            if head == 0 {
                continue;
            }
            let log = LogId::from_index(index);
            let Some((id, waiting)) = self.youngest_of(view, sealed, log, age_min, &mut left)
            else {
                continue;
            };
            let Some(total) = self.total(view, id, log.class, &mut walks) else { continue };
            let age = turnovers(sealed, waiting.born);
            let worth = total * self.levels.factor(usize::from(log.level)) * fading(age);
            if least.is_none_or(|(least, _)| worth < least) {
                let useless = self.loops.is_useless(sealed, waiting.born);
                least = Some((worth, Choice { id, log, age, compacts: false, useless }));
            }
        }
        least.map(|(_, choice)| choice)
    }

    /// The youngest segment of a log that is at least so old, if it is found soon.
    fn youngest_of(
        &mut self,
        view: &impl View,
        sealed: Sealed,
        log: LogId,
        age_min: u32,
        left: &mut usize,
    ) -> Option<(SegmentId, Waiting)> {
        let find = |id: SegmentId| view.waiting(id).filter(|w| w.sealed && w.log == log);
        let is_due = |waiting: &Waiting| sealed.opened.wrapping_sub(waiting.born) >= age_min;
        let mut id = match find(self.cursors[log.index()]) {
            Some(_) => self.cursors[log.index()],
            None => view.newest(log),
        };
        let mut found = None;
        for _ in 0..PASSED.min(*left) {
            *left -= 1;
            let Some(waiting) = find(id) else { break };
            self.cursors[log.index()] = id;
            if !is_due(&waiting) {
                if found.is_some() {
                    break;
                }
                id = view.older(id);
                continue;
            }
            if view.occupancy(id).is_some() {
                found = Some((id, waiting));
            }
            id = view.newer(id);
        }
        found
    }

    /// Xorshift: good enough to look here and there.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// What items are worth at some moment, by the score that decides whether they survive.
#[derive(Debug)]
pub(crate) struct Scores {
    weights: Weights,
    factors: [f32; LEVELS],
}

/// What the items of a segment have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Setting {
    level: u8,
    /// What scores are divided by, of items that were used since they were copied and of others.
    used: f32,
    unused: f32,
}

impl Setting {
    /// That of a segment.
    pub(crate) fn of(sealed: Sealed, waiting: &Waiting) -> Self {
        let age = if waiting.sealed { turnovers(sealed, waiting.born) } else { 0.0 };
        Self::new(waiting.log.level, age)
    }

    fn new(level: u8, age: f32) -> Self {
        Self { level, used: fading(age * YOUNGER), unused: fading(age) * UNUSED }
    }

    /// The score of an item, where levels have these factors.
    fn score(&self, weights: &Weights, factors: &[f32; LEVELS], item: &Sample) -> f32 {
        let worth = weights.of_item(item.uses, item.bytes);
        match item.hit {
            true => worth / self.used * factors[usize::from(level_of(item.uses))],
            false => worth / self.unused * factors[usize::from(self.level)],
        }
    }
}

impl Scores {
    /// The score of an item.
    pub(crate) fn of(&self, setting: &Setting, item: &Sample) -> f32 {
        setting.score(&self.weights, &self.factors, item)
    }
}

/// Ranks of scores above the threshold.
const RANKS: usize = 32;
/// Ranks per power of two, as a power of two.
const RANK_STEPS: u32 = 2;

impl Survivors {
    fn decide(&mut self, weights: &Weights, item: &Sample) -> Decision {
        if self.all {
            return Decision::Copy(item.uses);
        }
        let survives = match self.manner {
            Manner::Score => self.is_worthy(weights, item),
            Manner::Lru => item.hit && self.threshold.is_finite(),
            Manner::Fifo => false,
        };
        if !survives {
            return Decision::Evict;
        }
        let uses = if item.hit { item.uses } else { self.halved(item.uses) };
        if item.bytes > COPY_MAX { Decision::Stay(uses) } else { Decision::Copy(uses) }
    }

    /// Whether the item is worth enough, and there is room for it.
    fn is_worthy(&mut self, weights: &Weights, item: &Sample) -> bool {
        let score = self.score(weights, item);
        if score < self.threshold {
            return false;
        }
        if self.is_rising(item) {
            return true;
        }
        let rank = self.rank_of(score);
        if rank < self.rank || (rank == self.rank && item.bytes > self.spare) {
            return false;
        }
        if rank == self.rank {
            self.spare -= item.bytes;
        }
        true
    }

    fn score(&self, weights: &Weights, item: &Sample) -> f32 {
        self.setting.score(weights, &self.factors, item)
    }

    /// Whether the item shows for the first time that it is used.
    fn is_rising(&self, item: &Sample) -> bool {
        self.rises && item.hit && item.uses > 0
    }

    /// Logarithms of scores, from the threshold on: the bits of a float are nearly that.
    fn rank_of(&self, score: f32) -> u32 {
        let rank = |score: f32| score.to_bits() >> (23 - RANK_STEPS);
        (rank(score) - rank(self.threshold).min(rank(score))).min(RANKS as u32 - 1)
    }

    /// Leaves out the lowest ranks if the `bytes` of all ranks exceed the budget.
    fn limit(&mut self, bytes: &[usize; RANKS], budget: usize) {
        let mut above = 0;
        for rank in (0..RANKS).rev() {
            if above + bytes[rank] > budget {
                (self.rank, self.spare) = (rank as u32, budget - above);
                return;
            }
            above += bytes[rank];
        }
    }

    /// Half of the uses of an item that has had none since it was copied, rounded at random.
    fn halved(&mut self, uses: u32) -> u32 {
        self.random = self.random.rotate_left(1);
        let up = u32::from(uses % 2 == 0) & self.random as u32;
        uses.saturating_sub(1) / 2 + (up & u32::from(uses > 0))
    }
}

/// The oldest segment of each log that can be emptied.
fn oldest_of_logs(view: &impl View) -> impl Iterator<Item = (LogId, Oldest)> {
    let heads = view.heads().into_iter().enumerate().filter(|(_, head)| *head != 0);
    heads.filter_map(|(index, head)| {
        let log = LogId::from_index(index);
        Some((log, view.oldest(log, head)?))
    })
}

/// The age of a segment: 1 when as many were opened after it was sealed as there are.
fn turnovers(sealed: Sealed, born: u32) -> f32 {
    sealed.opened.wrapping_sub(born) as f32 / sealed.count.max(1) as f32
}

/// Whether items of this class may be about as large as a segment, or larger.
fn is_coarse(class: u8, segment_bytes: usize) -> bool {
    CLASS_MAX.get(usize::from(class)).is_none_or(|&max| max >= segment_bytes)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;
    use crate::upkeep::score::SIZE_WEIGHT;

    const SEGMENT: usize = 64 << 10;
    const ALL: Means = Means { evicts: true, copies: true };

    fn log(level: u8, class: u8) -> LogId {
        LogId { level, class, group: 0 }
    }

    fn item(uses: u32, hit: bool, bytes: usize) -> Sample {
        Sample { uses, hit, bytes, inside: bytes }
    }

    /// The oldest segments of some logs, and what is in them.
    #[derive(Default)]
    struct Table {
        opened: u32,
        sealed: u32,
        segments: BTreeMap<SegmentId, (Waiting, Vec<Sample>)>,
        flushed: Option<SegmentId>,
        notes: RefCell<BTreeMap<SegmentId, Note>>,
        walks: RefCell<u32>,
    }

    impl Table {
        fn full() -> Self {
            Self { opened: 200, sealed: 100, ..Self::default() }
        }

        /// A segment at the old end of `log`, full of items like this one.
        fn with(mut self, id: SegmentId, log: LogId, born: u32, like: Sample) -> Self {
            let items = vec![like; SEGMENT / like.bytes];
            let waiting = Waiting { log, born, sealed: true, live: SEGMENT };
            self.segments.insert(id, (waiting, items));
            self
        }

        fn victim(&self) -> Option<SegmentId> {
            Policy::new(1, SIZE_WEIGHT).choose(self, ALL).map(|choice| choice.id)
        }
    }

    impl View for Table {
        fn segment_bytes(&self) -> usize {
            SEGMENT
        }
        fn sealed(&self) -> Sealed {
            Sealed { count: self.sealed, opened: self.opened }
        }
        fn bound(&self) -> SegmentId {
            self.segments.last_key_value().map_or(1, |(id, _)| id + 1)
        }
        fn occupancy(&self, id: SegmentId) -> Option<Occupancy> {
            let (waiting, _) = self.segments.get(&id)?;
            Some(Occupancy { class: waiting.log.class, used: SEGMENT, live: waiting.live })
        }
        fn heads(&self) -> [SegmentId; LOGS] {
            let mut heads = [0; LOGS];
            self.segments.iter().for_each(|(&id, (waiting, _))| heads[waiting.log.index()] = id);
            heads
        }
        fn oldest(&self, _log: LogId, id: SegmentId) -> Option<Oldest> {
            let born = self.segments[&id].0.born;
            Some(Oldest { id, born, flushed: self.flushed == Some(id) })
        }
        fn newest(&self, log: LogId) -> SegmentId {
            self.heads()[log.index()]
        }
        fn older(&self, _id: SegmentId) -> SegmentId {
            0
        }
        fn newer(&self, _id: SegmentId) -> SegmentId {
            0
        }
        fn waiting(&self, id: SegmentId) -> Option<Waiting> {
            self.segments.get(&id).map(|segment| segment.0)
        }
        fn note(&self, id: SegmentId) -> Note {
            self.notes.borrow().get(&id).copied().unwrap_or_default()
        }
        fn set_note(&self, id: SegmentId, note: Note) {
            *self.walks.borrow_mut() += 1;
            self.notes.borrow_mut().insert(id, note);
        }
        fn visit(&self, id: SegmentId, visit: impl FnMut(Sample)) {
            self.segments[&id].1.iter().copied().for_each(visit);
        }
        fn cell(&self, id: SegmentId) -> HitCell {
            HitCell::new(self.segments[&id].0.log.level, 0, false)
        }
        fn set_cell(&self, _id: SegmentId, _cell: HitCell) {}
        fn happened(&self, _demand: &Demand) -> StepEvents {
            StepEvents::default()
        }
        fn demand(&self) -> Demand {
            Demand::default()
        }
    }

    #[test]
    fn the_victim_is_worth_least_for_its_uses_size_and_age() {
        let plain = item(0, false, 256);
        let table = Table::full().with(1, log(0, 1), 100, plain);
        let used = table.with(2, log(2, 1), 100, item(3, false, 256));
        assert_eq!(used.victim(), Some(1));
        let larger = used.with(3, log(0, 3), 100, item(0, false, 1024));
        assert_eq!(larger.victim(), Some(3));
        // Four times as old is worth half.
        let younger = larger.with(3, log(0, 3), 190, item(0, false, 1024));
        assert_eq!(younger.victim(), Some(1));
    }

    #[test]
    fn a_young_segment_is_spared_while_there_is_an_older_one() {
        let mut table = Table::full().with(1, log(0, 10), 199, item(0, false, 32 << 10)).with(
            2,
            log(4, 0),
            100,
            item(15, true, 64),
        );
        assert_eq!(table.victim(), Some(2));
        table.segments.remove(&2);
        assert_eq!(table.victim(), Some(1));
    }

    /// A policy that evicts like a rival, which has answered all that it could not.
    fn beaten_by(rival: Manner) -> Policy {
        let mut policy = Policy::new(1, SIZE_WEIGHT);
        let mut results = Results::default();
        let had = [Manner::Score, Manner::Lru, Manner::Fifo].map(|manner| manner == rival);
        (0..100).for_each(|_| results.count(had, 1.0));
        policy.compare(&results, 100.0, Sealed { count: 100, opened: 100 });
        policy
    }

    #[test]
    fn like_a_rival_it_evicts_the_oldest_segment() {
        let table = Table::full()
            .with(1, log(4, 1), 100, item(15, true, 64))
            .with(2, log(0, 8), 120, item(0, false, 32 << 10))
            .with(3, log(0, 1), 150, item(0, false, 256));
        for (mut policy, victim) in [
            (Policy::new(1, SIZE_WEIGHT), 2),
            (beaten_by(Manner::Lru), 1),
            (beaten_by(Manner::Fifo), 1),
        ] {
            assert_eq!(policy.choose(&table, ALL).map(|choice| choice.id), Some(victim));
        }
    }

    #[test]
    fn like_lru_it_keeps_what_was_used_and_like_fifo_nothing() {
        let items = [[item(15, false, 256); 10], [item(1, true, 256); 10]].concat();
        let decided = decisions(&mut beaten_by(Manner::Lru), 2, &items);
        assert!(decided[..10].iter().all(|decision| *decision == Decision::Evict));
        assert!(decided[10..].iter().all(|decision| *decision == Decision::Copy(1)), "all");
        let decided = decisions(&mut beaten_by(Manner::Fifo), 2, &items);
        assert!(decided.iter().all(|decision| *decision == Decision::Evict));
        let mut full = beaten_by(Manner::Lru);
        full.threshold = 0.001;
        (0..ROUNDS_MAX).for_each(|_| full.note(Outcome::Poor));
        let hot = [item(1, true, 256); 100];
        let decided = decisions(&mut full, 2, &hot);
        let kept = decided.iter().filter(|decision| **decision != Decision::Evict).count();
        assert_eq!(kept, 90, "a tenth goes where all was used");
        (0..ROUNDS_LAST).for_each(|_| full.note(Outcome::Poor));
        let decided = decisions(&mut full, 2, &items);
        assert!(decided.iter().all(|decision| *decision == Decision::Evict), "it is all hot");
    }

    #[test]
    fn a_flushed_segment_goes_at_once() {
        let mut table = Table::full().with(1, log(0, 1), 100, item(0, false, 256)).with(
            2,
            log(4, 0),
            199,
            item(15, true, 64),
        );
        table.flushed = Some(2);
        assert_eq!(table.victim(), Some(2));
    }

    #[test]
    fn holes_are_compacted_before_anything_is_evicted() {
        let mut table = Table::full().with(1, log(0, 1), 100, item(0, false, 256));
        table.segments.get_mut(&1).unwrap().0.live = SEGMENT / 2;
        let choose = |means| Policy::new(1, SIZE_WEIGHT).choose(&table, means);
        assert!(choose(ALL).is_some_and(|choice| choice.compacts));
        assert!(choose(Means { copies: false, ..ALL }).is_some_and(|choice| !choice.compacts));
        let keeps = Means { evicts: false, copies: true };
        assert!(choose(keeps).is_some_and(|choice| choice.compacts));
    }

    #[test]
    fn worth_is_summed_up_now_and_then() {
        let table = Table::full().with(1, log(0, 1), 100, item(0, false, 256));
        let mut policy = Policy::new(1, SIZE_WEIGHT);
        for _ in 0..2 * RECOUNT {
            policy.choose(&table, ALL);
            policy.note(Outcome::Freed);
        }
        assert_eq!(*table.walks.borrow(), 1);
        policy.note(Outcome::Freed);
        policy.choose(&table, ALL);
        assert_eq!(*table.walks.borrow(), 2);
    }

    /// What becomes of the items of a victim of this level that has them all.
    fn decisions(policy: &mut Policy, level: u8, items: &[Sample]) -> Vec<Decision> {
        let mut table = Table::full().with(1, log(level, 1), 100, items[0]);
        table.segments.get_mut(&1).unwrap().1 = items.to_vec();
        let choice =
            Choice { id: 1, log: log(level, 1), age: 1.0, compacts: false, useless: false };
        let used = items.iter().map(|item| item.bytes).sum();
        let occupancy = Occupancy { class: 1, used, live: used };
        let mut survivors = policy.survivors(&table, &choice, occupancy);
        items.iter().map(|item| policy.decide(&mut survivors, item)).collect()
    }

    /// A policy after victims whose bytes were worth as much as those of items that were never used
    /// and are a turnover old.
    fn settled() -> Policy {
        let mut policy = Policy::new(1, SIZE_WEIGHT);
        policy.choose(&Table::full().with(1, log(0, 1), 100, item(0, false, 256)), ALL);
        policy
    }

    #[test]
    fn used_items_survive_and_unused_ones_if_they_are_worth_much() {
        let items =
            [item(0, false, 256), item(1, true, 256), item(1, false, 256), item(15, false, 256)];
        let decisions =
            decisions(&mut settled(), 1, &[&items[..], &[item(0, false, 256); 20]].concat());
        assert_eq!(
            decisions[..4],
            [Decision::Evict, Decision::Copy(1), Decision::Evict, Decision::Copy(7)]
        );
    }

    #[test]
    fn new_items_that_were_all_used_all_survive_others_but_a_tenth() {
        let all = [item(2, true, 256); 100];
        let kept = |decisions: Vec<Decision>| {
            decisions.iter().filter(|decision| **decision != Decision::Evict).count()
        };
        assert_eq!(kept(decisions(&mut settled(), 0, &all)), 100);
        assert_eq!(kept(decisions(&mut settled(), 2, &all)), 90);
        let mut poor = settled();
        (0..ROUNDS_MAX).for_each(|_| poor.note(Outcome::Poor));
        assert_eq!(kept(decisions(&mut poor, 0, &all)), 90);
        (0..ROUNDS_LAST).for_each(|_| poor.note(Outcome::Poor));
        assert_eq!(kept(decisions(&mut poor, 0, &all)), 0);
        poor.note(Outcome::Freed);
        assert_eq!(kept(decisions(&mut poor, 0, &all)), 100);
    }

    #[test]
    fn the_less_worthy_go_where_not_all_have_room() {
        let items = [[item(8, true, 256); 80], [item(2, true, 256); 80]].concat();
        let decisions = decisions(&mut settled(), 2, &items);
        assert!(decisions[..80].iter().all(|decision| *decision == Decision::Copy(8)));
        assert_eq!(
            decisions[80..].iter().filter(|decision| **decision == Decision::Evict).count(),
            16
        );
    }

    #[test]
    fn very_large_items_stay_where_they_are() {
        let decisions =
            decisions(&mut settled(), 0, &[item(15, true, COPY_MAX), item(15, true, COPY_MAX + 4)]);
        assert_eq!(decisions[0], Decision::Evict, "it is worth too little by the byte");
        let mut anything = Policy::new(1, 0.0);
        let decisions = super::tests::decisions(
            &mut anything,
            0,
            &[item(9, true, COPY_MAX), item(9, true, COPY_MAX + 4)],
        );
        assert_eq!(decisions, [Decision::Copy(9), Decision::Stay(9)]);
    }
}
