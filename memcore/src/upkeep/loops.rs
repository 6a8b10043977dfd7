//! Loops that are larger than the cache. If what is asked for goes round, the item that was stored
//! last is asked for last: so the youngest segments go first, and what was there when the loop
//! began is kept.
//!
//! Hits of what is kept are counted apart, and prove that the loop goes on. Between two rounds
//! there are none, for as long as what is missing is asked for; if there are none for twice as long
//! as that ever took, the loop is over. It is over as well if they never pause while others come
//! back: some of what is kept is popular then, and nothing goes round. What it kept is of no use
//! any more, however often it was used, and goes before anything that came since: the youngest
//! segments first, so that little is lost if the loop goes on after all.

use crate::space::pool::Sealed;
use crate::upkeep::levels::STEPS;

/// A loop begins when this many times more items come back after their eviction than are hit, and
/// more than this share of all that is stored, and this many at least; all within a turnover.
const RETURNS: f64 = 3.0;
const RETURNS_SHARE: f64 = 0.5;
const RETURNS_LEAST: f64 = 100.0;
/// While a loop is on, segments are victims from 1/DUE turnover on; and what was sealed 1/PROVED
/// turnover before what is kept was asked for is kept from then on.
const DUE: u32 = 16;
const PROVED: u32 = 8;
/// What is kept is asked for when it brings this share of the hits that others bring and would have
/// brought, and this share of all requests.
const ASKED: f64 = 0.25;
const ASKED_LEAST: f64 = 1.0 / 16.0;
/// A loop is over when what it keeps was not asked for during this many times as many requests as
/// ever before, where a gap counts as this long at least, and as this long before there was one:
/// in requests, of which 1 is as many as the cache has items.
const PATIENCE: f64 = 2.0;
const GAP_LEAST: f64 = 1.0 / 8.0;
const GAP_FIRST: f64 = 0.6;
/// It is over as well when what it keeps was hit this many times over without a gap, while so many
/// times fewer hits, or more, were for something else or would have been.
const ROUNDS: f64 = 1.5;
const BESIDE: f64 = 0.25;
/// If less than this share of those were for what it keeps, that is of no use any more.
const USELESS: f64 = 1.0 / 32.0;
/// Half of the cache stays while a smaller share of the other requests than this are hits or for
/// items that come back: a scan is no reason to give up a loop.
const HALF: f64 = 0.5;
const WANTED: f64 = 1.0 / 25.0;
/// A loop is forgotten when this share of the cache is left of it.
const LEFT: f64 = 1.0 / 16.0;

/// What is left of a count after each step, so that it stands for a turnover.
const REMEMBERED: f64 = 1.0 - 1.0 / STEPS;

/// What was asked for in a step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Requests {
    /// Numbers of hits, of new items whose keys were remembered, and of all new items.
    pub(crate) hit_count: f64,
    pub(crate) returned_count: f64,
    pub(crate) inserted_count: f64,
    /// Hits of what a loop keeps, other hits, and the same new items, each with the worth of a hit
    /// of its class.
    pub(crate) kept: f64,
    pub(crate) others: f64,
    pub(crate) returned: f64,
    pub(crate) inserted: f64,
}

/// What the cache holds at the end of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    /// Worth of one hit of each item, and of each that a loop keeps.
    pub(crate) all: f64,
    pub(crate) kept: f64,
    pub(crate) sealed: Sealed,
}

/// Whether what is asked for goes round in a loop.
#[derive(Debug, Default)]
pub(crate) struct Loops {
    recent: Recent,
    current: Option<Loop>,
}

/// Numbers of items, remembered for one turnover.
#[derive(Debug, Default)]
struct Recent {
    returned: f64,
    inserted: f64,
    hits: f64,
}

#[derive(Debug)]
struct Loop {
    steps: u32,
    /// What was sealed before so many segments were opened is kept.
    mark: u32,
    /// What was asked for since it was certain that the loop goes on.
    gap: Asked,
    /// What was asked for since there was a step without hits of what is kept.
    round: Asked,
    /// The longest gap so far.
    longest: Option<f64>,
    /// What is kept is of no use any more.
    over: bool,
    /// Whatever is asked for: others would have had more of it.
    lost: bool,
    /// Its share of the cache.
    share: f64,
}

/// What was asked for, in requests of which 1 is as many as the cache has items.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    /// What is kept.
    kept: f64,
    /// Something else, and those of them that were hit or would have been.
    others: f64,
    wanted: f64,
}

impl Asked {
    fn of(requests: &Requests, per_item: f64) -> Self {
        Self {
            kept: requests.kept * per_item,
            others: (requests.others + requests.inserted) * per_item,
            wanted: (requests.others + requests.returned) * per_item,
        }
    }

    fn add(&mut self, step: &Self) {
        self.kept += step.kept;
        self.others += step.others;
        self.wanted += step.wanted;
    }

    fn all(&self) -> f64 {
        self.kept + self.others
    }

    /// Whether what is kept is asked for.
    fn is_for_kept(&self) -> bool {
        self.kept > ASKED_LEAST * self.all() && self.kept > ASKED * self.wanted
    }

    /// Whether this can't be a round of a loop that keeps this share of the cache.
    fn is_no_round(&self, share: f64) -> bool {
        self.kept > ROUNDS * share && self.wanted > BESIDE * self.kept
    }

    /// Forgets what was more than a turnover ago.
    fn fade(&mut self) {
        for count in [&mut self.kept, &mut self.others, &mut self.wanted] {
            *count *= REMEMBERED;
        }
    }
}

impl Loops {
    /// Whether the loop keeps a segment that was sealed after `born` others were opened.
    pub(crate) fn keeps(&self, sealed: Sealed, born: u32) -> bool {
        let since = |count: u32| sealed.opened.wrapping_sub(count);
        self.current.as_ref().is_some_and(|current| since(born) > since(current.mark))
    }

    /// The least age, in segments opened since, of segments of which the youngest goes first;
    /// `None` if there is no loop.
    pub(crate) fn due(&self, sealed: Sealed) -> Option<u32> {
        let current = self.current.as_ref()?;
        let due = sealed.count / DUE;
        match current.gives_up() {
            true => Some(due.max(sealed.opened.wrapping_sub(current.mark).saturating_add(1))),
            false => Some(due),
        }
    }

    /// Whether nothing in a segment is worth anything: a loop has kept it and is over.
    pub(crate) fn is_useless(&self, sealed: Sealed, born: u32) -> bool {
        self.current.as_ref().is_some_and(Loop::gives_up) && self.keeps(sealed, born)
    }

    /// Ends the loop, if there is one, and has no other begin from what was seen so far.
    pub(crate) fn give_up(&mut self) {
        self.recent = Recent::default();
        if let Some(current) = &mut self.current {
            (current.over, current.lost) = (true, true);
        }
    }

    /// Whether a loop was given up of which something is left.
    pub(crate) fn is_given_up(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.lost)
    }

    /// Whether there is or was a loop of which something is kept.
    pub(crate) fn is_on(&self) -> bool {
        self.current.is_some()
    }

    /// Whether there was a loop and what it kept is of no use.
    pub(crate) fn is_over(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.over)
    }

    /// Ends a step; true if nothing is left of a loop that is over.
    pub(crate) fn step(&mut self, requests: &Requests, holding: &Holding) -> bool {
        match &mut self.current {
            Some(current) => {
                if current.goes_on(requests, holding) {
                    return false;
                }
                std::mem::take(self).is_over()
            }
            None => {
                if self.recent.is_loop(requests) {
                    self.current = Some(Loop::beginning(holding.sealed));
                }
                false
            }
        }
    }
}

impl Recent {
    fn is_loop(&mut self, requests: &Requests) -> bool {
        for (memory, new) in [
            (&mut self.returned, requests.returned_count),
            (&mut self.inserted, requests.inserted_count),
            (&mut self.hits, requests.hit_count),
        ] {
            *memory = *memory * REMEMBERED + new;
        }
        self.returned > RETURNS * self.hits
            && self.returned > RETURNS_SHARE * self.inserted
            && self.returned > RETURNS_LEAST
    }
}

impl Loop {
    fn beginning(sealed: Sealed) -> Self {
        Self {
            steps: 0,
            mark: sealed.opened,
            gap: Asked::default(),
            round: Asked::default(),
            longest: None,
            over: false,
            lost: false,
            share: 1.0,
        }
    }

    /// Whether what was kept goes now, whatever it is.
    fn gives_up(&self) -> bool {
        self.over && (self.lost || self.share > HALF || self.gap.wanted > WANTED * self.gap.others)
    }

    /// Ends a step; false if there is no loop any more.
    fn goes_on(&mut self, requests: &Requests, holding: &Holding) -> bool {
        self.steps += 1;
        if self.steps == 1 || holding.all <= 0.0 {
            // Hits of what is kept were not yet all counted as such.
            return true;
        }
        let per_item = 1.0 / holding.all;
        self.share = holding.kept * per_item;
        let step = Asked::of(requests, per_item);
        let is_asked = step.is_for_kept();
        match is_asked {
            true => self.round.add(&step),
            false => self.round = Asked::default(),
        }
        if self.lost {
            return self.share > LEFT;
        }
        let is_no_round = self.round.is_no_round(self.share);
        if is_asked && !is_no_round {
            self.longest = Some(self.gap.others.max(self.longest.unwrap_or(0.0)));
            self.gap = Asked::default();
            self.mark = holding.sealed.opened.wrapping_sub(holding.sealed.count / PROVED);
            self.over = false;
            return true;
        }
        if self.over {
            // What comes after a scan counts, however long that was.
            self.gap.fade();
            self.gap.add(&step);
            return self.share > LEFT;
        }
        self.gap.add(&step);
        let longest = self.longest.unwrap_or(GAP_FIRST).max(GAP_LEAST);
        if !is_no_round && self.gap.others <= PATIENCE * longest {
            return true;
        }
        self.over = is_no_round || self.gap.kept < USELESS * self.gap.all();
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items of a cache, segments of it, and how many of each a step stores.
    const ITEMS: f64 = 1600.0;
    const SEGMENTS: u32 = 160;
    const STEP_ITEMS: f64 = 100.0;
    const STEP_SEGMENTS: u32 = 10;

    /// A cache that is full.
    struct Cache {
        loops: Loops,
        sealed: Sealed,
        /// Share of it that a loop keeps.
        share: f64,
    }

    impl Cache {
        fn new() -> Self {
            let sealed = Sealed { count: SEGMENTS, opened: 10 * SEGMENTS };
            Self { loops: Loops::default(), sealed, share: 0.9 }
        }

        /// A step with so many hits of what a loop keeps and of others, and so many new items that
        /// come back.
        fn step(&mut self, kept: f64, others: f64, returned: f64) {
            self.sealed.opened += STEP_SEGMENTS;
            let requests = Requests {
                hit_count: kept + others,
                returned_count: returned,
                inserted_count: STEP_ITEMS,
                kept,
                others,
                returned,
                inserted: STEP_ITEMS,
            };
            let holding = Holding { all: ITEMS, kept: self.share * ITEMS, sealed: self.sealed };
            self.loops.step(&requests, &holding);
        }

        /// Goes round a loop of so many caches, of which `share` is kept.
        fn rounds(&mut self, size: f64, rounds: u32) {
            let missing = (size - self.share) * ITEMS;
            let mut stored = 0.0;
            for _ in 0..rounds {
                let mut hits = self.share * ITEMS;
                stored += missing;
                while stored >= STEP_ITEMS {
                    stored -= STEP_ITEMS;
                    self.step(std::mem::take(&mut hits), 0.0, STEP_ITEMS);
                    assert!(self.is_on() && !self.loops.is_over(), "{size}: {:?}", self.loops);
                }
            }
        }

        fn is_on(&self) -> bool {
            self.loops.current.is_some()
        }

        /// A cache that has gone round a loop.
        fn after(size: f64) -> Self {
            let mut cache = Self::new();
            cache.rounds_until_on();
            cache.rounds(size, 10);
            cache
        }

        fn rounds_until_on(&mut self) {
            while !self.is_on() {
                self.step(0.0, 0.0, STEP_ITEMS);
            }
        }

        /// Steps until what the loop has kept is given up.
        fn steps_until_over(&mut self, others: f64, returned: f64) -> u32 {
            let mut steps = 0;
            while self.is_on() && !self.loops.is_over() {
                self.step(0.0, others, returned);
                steps += 1;
            }
            steps
        }

        /// Whether the segment that was opened so many turnovers ago is useless.
        fn is_useless(&self, turnovers: f64) -> bool {
            let ago = (turnovers * f64::from(SEGMENTS)) as u32;
            self.loops.is_useless(self.sealed, self.sealed.opened - ago)
        }
    }

    #[test]
    fn a_loop_begins_while_most_items_come_back_and_few_are_hit() {
        let begins = |others: f64, returned: f64| {
            let mut cache = Cache::new();
            (0..32).for_each(|_| cache.step(0.0, others, returned));
            cache.is_on()
        };
        assert!(begins(5.0, 90.0));
        assert!(!begins(40.0, 90.0), "many are hit");
        assert!(!begins(5.0, 45.0), "most are new");
    }

    #[test]
    fn it_goes_on_however_large_it_is() {
        for size in [1.05, 1.2, 1.5, 2.0] {
            let mut cache = Cache::after(size);
            cache.rounds(size, 100);
            let due = cache.loops.due(cache.sealed);
            assert_eq!(due, Some(SEGMENTS / DUE), "new ones go first");
        }
    }

    #[test]
    fn it_is_over_when_nobody_asks_for_what_it_keeps() {
        for size in [1.05, 1.2, 1.5] {
            let mut cache = Cache::after(size);
            let steps = cache.steps_until_over(30.0, 20.0);
            // Of a gap a part may have passed already.
            let asked = f64::from(steps) * (STEP_ITEMS + 30.0) / ITEMS;
            let gap = (size - cache.share).max(GAP_LEAST);
            let bounds = (PATIENCE - 1.0) * gap - 0.2..PATIENCE * gap + 0.2;
            assert!(bounds.contains(&asked), "{size}: {asked} caches, not {bounds:?}");
            assert!(cache.is_useless(3.0) && !cache.is_useless(0.05), "only what it has kept");
            cache.share = 0.05;
            cache.step(0.0, 30.0, 20.0);
            assert!(!cache.is_on(), "nothing is left of it");
        }
    }

    #[test]
    fn it_goes_on_if_that_is_asked_for_after_all() {
        let mut cache = Cache::after(1.2);
        cache.steps_until_over(0.0, STEP_ITEMS);
        assert!(cache.is_useless(3.0));
        cache.step(ITEMS * 0.8, 0.0, STEP_ITEMS);
        assert!(cache.is_on() && !cache.loops.is_over() && !cache.is_useless(3.0));
        let longest = cache.loops.current.as_ref().and_then(|current| current.longest).unwrap();
        assert!(longest > 0.5, "it is waited for longer now: {longest}");
    }

    #[test]
    fn a_scan_is_no_reason_to_give_up_half_of_the_cache() {
        let mut cache = Cache::after(1.2);
        cache.steps_until_over(0.0, 0.0);
        assert!(cache.is_useless(3.0));
        cache.share = 0.45;
        (0..2_000).for_each(|_| cache.step(0.0, 0.0, 0.5));
        assert!(cache.is_on() && !cache.is_useless(130.0));
        assert_eq!(cache.loops.due(cache.sealed), Some(SEGMENTS / DUE));
        (0..8).for_each(|_| cache.step(0.0, 40.0, 40.0));
        assert!(cache.is_useless(130.0), "others are asked for again");
    }

    #[test]
    fn it_is_over_when_some_of_what_it_keeps_is_asked_for_all_the_time() {
        let mut cache = Cache::after(1.2);
        let mut steps = 0;
        while steps < 200 && !cache.loops.is_over() {
            cache.step(40.0, 0.0, STEP_ITEMS);
            steps += 1;
        }
        let rounds = f64::from(steps) * 40.0 / (cache.share * ITEMS);
        assert!((ROUNDS..ROUNDS + 0.2).contains(&rounds), "hit {rounds} times over");
        cache.share = 0.4;
        (0..100).for_each(|_| cache.step(40.0, 40.0, 40.0));
        assert!(cache.is_useless(20.0), "it does not go on because it is asked for");
        // A loop of which hardly anything is missing has no gap that is longer than a step.
        let mut cache = Cache::after(1.2);
        (0..100).for_each(|_| cache.step(0.9 * ITEMS, 0.0, STEP_ITEMS));
        assert!(cache.is_on() && !cache.loops.is_over());
    }

    #[test]
    fn one_that_is_given_up_goes_whatever_is_asked_for() {
        let mut cache = Cache::after(1.2);
        cache.loops.give_up();
        cache.step(ITEMS * 0.8, 0.0, STEP_ITEMS);
        assert!(cache.is_useless(3.0), "others would have had more");
        cache.share = 0.05;
        cache.step(0.0, 0.0, STEP_ITEMS);
        assert!(!cache.is_on(), "nothing is left of it");
        cache.rounds_until_on();
        assert!(cache.is_on(), "another one may begin");
    }

    #[test]
    fn what_is_asked_for_now_and_then_is_not_given_up() {
        let mut cache = Cache::after(1.2);
        while cache.is_on() {
            cache.step(10.0, 60.0, 20.0);
            assert!(!cache.loops.is_over());
        }
        assert!(!cache.is_useless(3.0));
    }
}
