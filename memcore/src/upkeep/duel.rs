//! Whether LRU or FIFO would do better. Where one of them would have answered clearly more of the
//! requests for a sample of the keys, the cache evicts as that one does for a while: whatever the
//! score is mistaken in, what it kept in vain is gone after a turnover.
//!
//! To choose between policies by the hits that each brings for a sample is from Qureshi et al.,
//! "Adaptive Insertion Policies for High Performance Caching" (ISCA 2007), who call it a duel.

use crate::space::pool::Sealed;

/// A rival is better if it has this share of its hits more, this many times the standard deviation
/// of that, and this many hits.
const BETTER: f64 = 0.04;
const DEVIATIONS: f64 = 3.0;
const LEAST: f64 = 24.0;
/// For how many requests hits are remembered, where 1 is as many as the sample has items.
const MEMORY: f64 = 0.5;
/// What the score has brought more than a rival counts against it for longer, up to a hit of this
/// share of the items: in a loop there are times in which a rival hits more.
const CREDIT_MEMORY: f64 = 4.0;
const CREDIT_MOST: f64 = 0.2;
/// For how many turnovers the cache evicts like a rival at first, and at most. It is twice as long
/// each time if there were fewer than so many times that in between.
const TURNS: f64 = 1.0;
const TURNS_MOST: f64 = 16.0;
const APART: f64 = 4.0;
/// After so many turnovers another rival may take over.
const TURNS_LEAST: f64 = 0.25;
/// If a rival still promises more after so many turnovers beyond that, this cache can't keep the
/// promise. Nothing is tried again for so many turnovers, and twice as many each time, up to so
/// many.
const PATIENCE: f64 = 2.0;
const PAUSE: f64 = 16.0;
const PAUSE_MOST: f64 = 64.0;

/// A way to choose what is evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// By what items are worth.
    #[default]
    Score,
    Lru,
    Fifo,
}

const MANNERS: usize = 3;

/// Which manners had the items that were asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Results {
    /// Requests.
    gets: f64,
    /// Hits of each manner, weighted by size.
    hits: [f64; MANNERS],
    /// Hits that the first had and the second had not, and their squares.
    only: [[f64; MANNERS]; MANNERS],
    squares: [[f64; MANNERS]; MANNERS],
}

impl Results {
    /// Counts a request, which the manners in `had` could answer. `weight` is 1 in the mean.
    pub(crate) fn count(&mut self, had: [bool; MANNERS], weight: f64) {
        self.gets += 1.0;
        for (first, _) in had.iter().enumerate().filter(|(_, had)| **had) {
            self.hits[first] += weight;
            for (second, _) in had.iter().enumerate().filter(|(_, had)| !**had) {
                self.only[first][second] += weight;
                self.squares[first][second] += weight * weight;
            }
        }
    }

    /// Adds others, where of these so much is left.
    fn add(&mut self, others: &Self, left: f64) {
        let add = |sums: &mut [f64], others: &[f64]| {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum = *sum * left + other);
        };
        self.gets = self.gets * left + others.gets;
        add(&mut self.hits, &others.hits);
        add(self.only.as_flattened_mut(), others.only.as_flattened());
        add(self.squares.as_flattened_mut(), others.squares.as_flattened());
    }

    /// How many hits one manner has more than another one.
    pub(crate) fn lead(&self, of: Manner, over: Manner) -> f64 {
        let (of, over) = (of as usize, over as usize);
        self.only[of][over] - self.only[over][of]
    }

    /// Whether it has clearly more.
    fn is_ahead(&self, of: Manner, over: Manner) -> bool {
        let lead = self.lead(of, over);
        let (of, over) = (of as usize, over as usize);
        let variance = self.squares[of][over] + self.squares[over][of];
        lead > LEAST && lead > BETTER * self.hits[of] && lead > DEVIATIONS * variance.sqrt()
    }

    /// The rival that is better than the score, if one is. LRU has the benefit of the doubt.
    fn better(&self) -> Option<Manner> {
        let is_better = |rival| self.is_ahead(rival, Manner::Score);
        match (is_better(Manner::Lru), is_better(Manner::Fifo)) {
            (true, true) if self.is_ahead(Manner::Fifo, Manner::Lru) => Some(Manner::Fifo),
            (true, _) => Some(Manner::Lru),
            (false, true) => Some(Manner::Fifo),
            (false, false) => None,
        }
    }
}

/// Which manner the cache evicts in.
#[derive(Debug, Default)]
pub(crate) struct Duel {
    manner: Manner,
    /// Segments opened when that began.
    since: u32,
    recent: Results,
    /// Hits that the score has had more than each rival.
    credit: [f64; MANNERS],
    /// Turnovers for which the last rival had its turn, and for which none has now.
    turns: f64,
    pause: f64,
}

impl Duel {
    /// How the cache evicts now.
    pub(crate) fn manner(&self) -> Manner {
        self.manner
    }

    /// Takes note of what was asked for of a sample of so many items; true if a rival takes over
    /// from the score.
    pub(crate) fn step(&mut self, results: &Results, items: f64, sealed: Sealed) -> bool {
        let left = |memory: f64| (-results.gets / (memory * items.max(1.0))).exp();
        self.recent.add(results, left(MEMORY));
        for rival in [Manner::Lru, Manner::Fifo] {
            let credit = &mut self.credit[rival as usize];
            *credit = *credit * left(CREDIT_MEMORY) + results.lead(Manner::Score, rival);
            *credit = credit.min(CREDIT_MOST * items);
        }
        let opened = sealed.opened.wrapping_sub(self.since);
        let turnovers = f64::from(opened) / f64::from(sealed.count.max(1));
        match self.manner {
            Manner::Score => self.may_begin(turnovers, sealed),
            rival => {
                self.may_end(rival, turnovers, sealed);
                false
            }
        }
    }

    fn may_begin(&mut self, turnovers: f64, sealed: Sealed) -> bool {
        let has_earned = |rival: &Manner| self.credit[*rival as usize] <= 0.0;
        let better = self.recent.better().filter(has_earned);
        let Some(rival) = better.filter(|_| turnovers >= self.pause) else { return false };
        self.turns = match self.turns > 0.0 && turnovers < APART * self.turns {
            true => (2.0 * self.turns).min(TURNS_MOST),
            false => TURNS,
        };
        self.begin(rival, sealed);
        true
    }

    fn may_end(&mut self, rival: Manner, turnovers: f64, sealed: Sealed) {
        let other = if rival == Manner::Lru { Manner::Fifo } else { Manner::Lru };
        if turnovers >= TURNS_LEAST && self.recent.is_ahead(other, rival) {
            return self.begin(other, sealed);
        }
        // As long as it has yet to come to what the rival would have now.
        let promises = self.recent.is_ahead(rival, Manner::Score);
        if promises && turnovers < self.turns + PATIENCE || turnovers < self.turns {
            return;
        }
        self.pause = if promises { (2.0 * self.pause).clamp(PAUSE, PAUSE_MOST) } else { 0.0 };
        self.begin(Manner::Score, sealed);
    }

    fn begin(&mut self, manner: Manner, sealed: Sealed) {
        self.manner = manner;
        self.since = sealed.opened;
        self.recent = Results::default();
        self.credit = [0.0; MANNERS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items of the sample, segments of the cache, and requests for the sample in a step.
    const ITEMS: f64 = 1_000.0;
    const SEGMENTS: u32 = 100;
    const REQUESTS: u32 = 100;

    /// A cache that is full.
    struct Cache {
        duel: Duel,
        opened: u32,
        begun: u32,
    }

    impl Cache {
        fn new() -> Self {
            Self { duel: Duel::default(), opened: 10 * SEGMENTS, begun: 0 }
        }

        /// So many steps of a tenth of a turnover, in which score, LRU and FIFO hit so many of 100.
        fn steps(&mut self, steps: u32, hits: [u32; MANNERS]) -> Manner {
            for _ in 0..steps {
                self.opened += SEGMENTS / 10;
                let mut results = Results::default();
                for request in 0..REQUESTS {
                    // Spread so that what one hits and what another hits has little to do with it.
                    let at = request * 37 % REQUESTS;
                    results.count(hits.map(|hits| at < hits), 1.0);
                }
                let sealed = Sealed { count: SEGMENTS, opened: self.opened };
                self.begun += u32::from(self.duel.step(&results, ITEMS, sealed));
            }
            self.duel.manner()
        }
    }

    #[test]
    fn who_clearly_hits_more_takes_over() {
        let after = |hits| Cache::new().steps(10, hits);
        assert_eq!(after([50, 50, 50]), Manner::Score);
        assert_eq!(after([50, 51, 50]), Manner::Score, "that is not enough");
        assert_eq!(after([50, 60, 50]), Manner::Lru);
        assert_eq!(after([50, 50, 60]), Manner::Fifo);
        assert_eq!(after([50, 60, 61]), Manner::Lru, "it has the benefit of the doubt");
        assert_eq!(after([0, 0, 0]), Manner::Score);
        let mut cache = Cache::new();
        assert_eq!(cache.steps(2, [0, 10, 10]), Manner::Score, "there are few hits yet");
        assert_eq!(cache.steps(1, [0, 10, 10]), Manner::Lru);
    }

    #[test]
    fn what_chance_may_have_done_proves_nothing() {
        let mut results = Results::default();
        for request in 0..1_000 {
            results.count([request % 2 == 0, request % 2 == 1 || request < 100, false], 1.0);
        }
        assert_eq!(results.lead(Manner::Lru, Manner::Score), 50.0);
        assert!(!results.is_ahead(Manner::Lru, Manner::Score), "{results:?}");
        // A single large item neither.
        results = Results::default();
        results.count([false, true, true], 100.0);
        assert!(!results.is_ahead(Manner::Lru, Manner::Score));
    }

    #[test]
    fn what_the_score_has_brought_counts_for_a_while() {
        let mut cache = Cache::new();
        cache.steps(100, [80, 0, 0]);
        assert_eq!(cache.steps(3, [0, 40, 40]), Manner::Score, "as between two rounds of a loop");
        assert_eq!(cache.steps(7, [0, 40, 40]), Manner::Lru);
        let mut cache = Cache::new();
        cache.steps(100, [80, 0, 0]);
        assert_eq!(cache.steps(40, [46, 52, 52]), Manner::Lru, "however little is missing");
    }

    #[test]
    fn the_score_gets_another_chance_after_a_turnover_then_after_two() {
        let mut cache = Cache::new();
        cache.steps(5, [0, 50, 50]);
        assert_eq!(cache.steps(5, [50, 50, 50]), Manner::Lru);
        assert_eq!(cache.steps(8, [50, 50, 50]), Manner::Score);
        cache.steps(5, [0, 50, 50]);
        assert_eq!(cache.steps(15, [50, 50, 50]), Manner::Lru);
        assert_eq!(cache.steps(8, [50, 50, 50]), Manner::Score);
        cache.steps(100, [50, 50, 50]);
        cache.steps(5, [0, 50, 50]);
        assert_eq!(cache.steps(12, [50, 50, 50]), Manner::Score, "that was long ago");
        assert_eq!(cache.begun, 3);
    }

    #[test]
    fn the_other_rival_takes_over_if_it_is_better_still() {
        let mut cache = Cache::new();
        assert_eq!(cache.steps(5, [0, 40, 40]), Manner::Lru);
        assert_eq!(cache.steps(6, [30, 30, 50]), Manner::Fifo);
        assert_eq!(cache.steps(6, [50, 70, 50]), Manner::Lru);
        assert_eq!(cache.begun, 1, "it has taken over from the score only once");
    }

    #[test]
    fn a_promise_that_is_not_kept_is_not_believed_soon_again() {
        let mut cache = Cache::new();
        assert_eq!(cache.steps(25, [20, 50, 50]), Manner::Lru);
        assert_eq!(cache.steps(100, [20, 50, 50]), Manner::Score);
        assert_eq!(cache.begun, 1);
        cache.steps(100, [20, 50, 50]);
        assert_eq!(cache.begun, 2, "after sixteen turnovers it is tried again");
        cache.steps(250, [20, 50, 50]);
        assert_eq!(cache.begun, 2);
        cache.steps(150, [20, 50, 50]);
        assert_eq!(cache.begun, 3, "then after thirty-two");
    }
}
