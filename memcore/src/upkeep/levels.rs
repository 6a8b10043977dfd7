//! Levels are judged by the hits that they bring. The score expects a number of hits of each level;
//! one that gets far fewer, compared with the others, loses its advantage. That is what keeps
//! sessions, recency and shifts of what is asked for from filling the cache with items that were
//! used often and will never be again.
//!
//! Hits are counted by level and age; the segments of each are found out in a walk over the table,
//! a few rows for each victim, so that no step takes long.

use crate::space::segments::{HIT_AGES as AGES, HitCell, LEVELS};
use crate::upkeep::score::{HIT_UNIT, Weights, fading};

/// Steps in which the cache is written anew once.
pub(crate) const STEPS: f64 = 16.0;
/// What is remembered, in turnovers, and the least share of it that is forgotten where there is no
/// evidence.
const MEMORY: f64 = 2.0;
const UNPROVED: f64 = 0.1;
/// A level may bring this many times fewer hits than expected before it loses anything, and keeps
/// this much at least.
const TOLERANCE: f64 = 4.0;
const KEPT: f64 = 0.1;
/// Where a level is due fewer hits than these in a step, its items that come back are evidence as
/// well: what is evicted at once can't be hit. That holds from this level on, of items that were
/// used more than once, and not for so many of all new items, which ghosts take for others.
const ENOUGH: f64 = 8.0;
const PROVEN: usize = 2;
const MISTAKEN: f64 = 1.0 / 250.0;
/// Hits that a level starts with, so that few of them prove nothing.
const PRIOR: f64 = 2.0;
/// A number for each level and age.
pub(crate) type ByAge = [[f64; AGES]; LEVELS];

/// A number for each place where hits are counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Of what a loop keeps.
    pub(crate) kept: ByAge,
    /// Of everything else.
    pub(crate) others: ByAge,
}

impl Tally {
    pub(crate) fn at(&mut self, cell: HitCell) -> &mut f64 {
        let table = if cell.kept { &mut self.kept } else { &mut self.others };
        &mut table[usize::from(cell.level)][usize::from(cell.age)]
    }

    /// The sum of both, or that of everything else alone.
    pub(crate) fn by_age(&self, with_kept: bool) -> ByAge {
        match with_kept {
            true => combined(&self.others, &self.kept, |others, kept| others + kept),
            false => self.others,
        }
    }

    fn since(&self, before: &Self) -> Self {
        let minus = |now, then| combined(now, then, |now, then| now - then);
        Self { kept: minus(&self.kept, &before.kept), others: minus(&self.others, &before.others) }
    }
}

fn combined(one: &ByAge, other: &ByAge, combine: impl Fn(f64, f64) -> f64) -> ByAge {
    std::array::from_fn(|level| {
        std::array::from_fn(|age| combine(one[level][age], other[level][age]))
    })
}

/// What has happened since the last step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StepEvents {
    /// Hits, each with the worth of its class.
    pub(crate) hits: Tally,
    /// Hits, however large.
    pub(crate) hit_count: f64,
    /// New items whose keys were remembered, each with the worth of its class, by the level that
    /// they had.
    pub(crate) returned: [f64; LEVELS],
    /// Those, however large, and all new items.
    pub(crate) returned_count: f64,
    pub(crate) inserted: f64,
}

impl StepEvents {
    /// What has happened since `before`, where both were counted from the beginning.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            hits: self.hits.since(&before.hits),
            hit_count: self.hit_count - before.hit_count,
            returned: std::array::from_fn(|level| self.returned[level] - before.returned[level]),
            returned_count: self.returned_count - before.returned_count,
            inserted: self.inserted - before.inserted,
        }
    }
}

/// What levels are judged by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evidence {
    /// The worth of all bytes of a level and age, as if they had never been used and not grown old,
    /// by the part of a turnover that they were there.
    pub(crate) residency: ByAge,
    /// Hits, each with the worth of its class, and all that were counted, however large.
    pub(crate) hits: ByAge,
    pub(crate) hit_count: f64,
    /// Worth of items that came back, by the level that they had, and the number of new ones.
    pub(crate) returned: [f64; LEVELS],
    pub(crate) inserted: f64,
}

/// How the levels do.
#[derive(Debug)]
pub(crate) struct Levels {
    /// Remembered hits and expected ones.
    got: [f64; LEVELS],
    expected: [f64; LEVELS],
    /// What is left of each level's advantage.
    factors: [f32; LEVELS],
    /// Worth of all hits and their number, remembered for as long as the rest.
    worth: f64,
    count: f64,
}

impl Levels {
    pub(crate) fn new() -> Self {
        Self {
            got: [0.0; LEVELS],
            expected: [0.0; LEVELS],
            factors: [1.0; LEVELS],
            worth: 0.0,
            count: 0.0,
        }
    }

    /// What is left of a level's advantage.
    pub(crate) fn factor(&self, level: usize) -> f32 {
        self.factors[level]
    }

    /// Ends a step.
    pub(crate) fn step(&mut self, weights: &Weights, evidence: &Evidence) {
        let mut hits = evidence.hits;
        let mut expected = evidence.residency;
        for (level, row) in expected.iter_mut().enumerate() {
            for (age, expected) in row.iter_mut().enumerate() {
                *expected *= f64::from(weights.of_level(level) / fading(middle(age)));
            }
        }
        self.worth += sum(&hits);
        self.count += evidence.hit_count;
        let hit_worth = self.worth / self.count.max(1e-9);
        let all = ratio(sum(&hits), sum(&expected));
        // Half against all segments, half against those of the same age.
        let per_age: [f64; AGES] = std::array::from_fn(|age| {
            let of = |table: &ByAge| table.iter().map(|row| row[age]).sum();
            (all + ratio(of(&hits), of(&expected))) / 2.0
        });
        for level in 0..LEVELS {
            // What has only just been copied isn't judged.
            (hits[level][0], expected[level][0]) = (0.0, 0.0);
            let due: f64 = expected[level].iter().zip(per_age).map(|(due, rate)| due * rate).sum();
            let lack = 1.0 - ratio(due, ENOUGH * hit_worth).min(1.0);
            let got = hits[level].iter().sum::<f64>() + lack * evidence.missed(level, hit_worth);
            self.judge(level, got, due, hit_worth);
        }
        let kept = 1.0 - 1.0 / (STEPS * MEMORY);
        self.worth *= kept;
        self.count *= kept;
    }

    fn judge(&mut self, level: usize, got: f64, due: f64, hit_worth: f64) {
        let span = STEPS * MEMORY;
        // Without evidence nothing is forgotten quickly.
        let proved = (due * span / (self.expected[level] + 1e-9)).clamp(UNPROVED, 1.0);
        let kept = 1.0 - proved / span;
        self.got[level] = (self.got[level] + got) * kept;
        self.expected[level] = (self.expected[level] + due) * kept;
        let prior = PRIOR * hit_worth;
        let share = (self.got[level] + prior) / (self.expected[level] + prior);
        self.factors[level] = match share * TOLERANCE {
            share if share < 1.0 => share.max(KEPT) as f32,
            // Nothing was hit yet at all, or it is good enough.
            _ => 1.0,
        };
    }
}

impl Evidence {
    /// The worth of hits that a level has missed, as its items had been evicted.
    fn missed(&self, level: usize, hit_worth: f64) -> f64 {
        match level < PROVEN {
            true => 0.0,
            false => (self.returned[level] - self.inserted * MISTAKEN * hit_worth).max(0.0),
        }
    }
}

/// The number of an age, in turnovers: half a power of two each, from 1/16 on.
pub(crate) fn bucket(age: f32) -> usize {
    let sixteenths = age * STEPS as f32;
    if sixteenths < 1.0 {
        return 0;
    }
    let power = sixteenths.to_bits() >> 23;
    let half = f32::from_bits(power << 23) * std::f32::consts::SQRT_2;
    let steps = 2 * (power - 127) + u32::from(sixteenths >= half);
    (steps as usize + 1).min(AGES - 1)
}

/// The age in the middle of a bucket.
fn middle(bucket: usize) -> f32 {
    match bucket {
        0 => 0.5 / STEPS as f32,
        _ => ((bucket as f32 - 0.5) / 2.0).exp2() / STEPS as f32,
    }
}

/// A hit's worth as it is counted, as it is reckoned with.
pub(crate) fn worth_of_counted(count: u64) -> f64 {
    count as f64 / HIT_UNIT
}

pub(crate) fn sum(table: &ByAge) -> f64 {
    table.iter().flatten().sum()
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upkeep::score::SIZE_WEIGHT;

    /// A cache of which each level has a share; it brings so many hits a step.
    fn steps(levels: &mut Levels, count: u32, hits: [f64; LEVELS]) {
        let weights = Weights::new(SIZE_WEIGHT);
        let mut evidence = Evidence { hit_count: hits.iter().sum(), ..Evidence::default() };
        for (level, hits) in hits.into_iter().enumerate() {
            (evidence.residency[level][5], evidence.hits[level][5]) = (100.0, hits);
        }
        (0..count).for_each(|_| levels.step(&weights, &evidence));
    }

    #[test]
    fn a_level_that_brings_what_is_expected_keeps_its_advantage() {
        let mut levels = Levels::new();
        steps(&mut levels, 100, [100.0, 170.0, 260.0, 430.0, 730.0]);
        assert_eq!(levels.factors, [1.0; LEVELS]);
    }

    #[test]
    fn one_without_hits_loses_it_and_gets_it_back() {
        let mut levels = Levels::new();
        steps(&mut levels, 64, [100.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(levels.factors[0], 1.0);
        assert!(levels.factors[1..].iter().all(|&factor| factor < 0.2), "{levels:?}");
        steps(&mut levels, 256, [100.0, 170.0, 260.0, 430.0, 730.0]);
        assert_eq!(levels.factors, [1.0; LEVELS]);
    }

    #[test]
    fn one_whose_items_are_evicted_at_once_is_judged_by_those_that_come_back() {
        let factor = |returned: f64, inserted: f64| {
            let mut levels = Levels::new();
            steps(&mut levels, 64, [100.0, 0.0, 0.0, 0.0, 0.0]);
            let returned = [returned; LEVELS];
            let mut evidence =
                Evidence { hit_count: 100.0, returned, inserted, ..Evidence::default() };
            (evidence.residency[0][5], evidence.residency[4][0]) = (100.0, 10.0);
            evidence.hits[0][5] = 100.0;
            let weights = Weights::new(SIZE_WEIGHT);
            (0..64).for_each(|_| levels.step(&weights, &evidence));
            levels.factors
        };
        assert!(factor(0.0, 100.0)[4] < 0.2);
        assert_eq!(factor(50.0, 100.0)[4], 1.0);
        assert!(factor(50.0, 100.0)[1] < 0.2, "one use proves nothing");
        assert!(factor(0.3, 100.0)[4] < 0.2, "these are mistaken for others");
    }

    #[test]
    fn nothing_is_judged_before_there_are_hits() {
        let mut levels = Levels::new();
        steps(&mut levels, 10, [0.0; LEVELS]);
        assert_eq!(levels.factors, [1.0; LEVELS]);
    }

    #[test]
    fn ages_are_half_a_power_of_two_apart() {
        let ages = [0.0, 0.06, 1.0 / 16.0, 0.09, 0.126, 1.0, 100.0];
        assert_eq!(ages.map(bucket), [0, 0, 1, 2, 3, 9, 15]);
        assert!((1..AGES).all(|age| bucket(middle(age)) == age) && bucket(middle(0)) == 0);
    }
}
