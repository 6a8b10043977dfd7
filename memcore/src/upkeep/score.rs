//! What an item is worth: expected hits per byte, from how often it was used, how large it is and
//! how long ago it came to where it lies.
//!
//! ```text
//!   score = (uses + 1)^0.8 / (size^weight * sqrt(0.02 + age))
//! ```
//!
//! An age of 1 is the time in which as many segments are opened as there are. Uses per size are
//! what Greedy-Dual-Size-Frequency (Cherkasova, 1998) goes by; that their worth fades with age
//! comes from hit densities as LHD learns them (Beckmann et al., NSDI 2018).

use crate::space::layout::USES_MAX;
use crate::space::segments::{CLASS_MAX, CLASSES, LEVELS};

/// How much of the size counts, unless told otherwise: 1 would be hits per byte, 0 hits alone.
pub(crate) const SIZE_WEIGHT: f32 = 0.565;

/// The exponent of uses.
const USES: f64 = 0.8;
/// The age of what has only just come.
const FRESH: f32 = 0.02;
/// Steps between two powers of two in the table of sizes, as a power of two.
const STEPS: u32 = 3;
/// Entries of that table: sizes up to 2^31.
const SIZES: usize = 32 << STEPS;
/// Uses of a level's items in the mean.
const LEVEL_USES: [f64; LEVELS] = [0.0, 1.0, 2.4, 5.3, 11.0];
/// The size that stands for a class, as a share of its largest one.
const CLASS_MEAN: f64 = 0.75;

/// The tables behind the score.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    uses: [f32; USES_MAX as usize + 1],
    sizes: [f32; SIZES],
    levels: [f32; LEVELS],
    /// Worth of a byte of a class's items.
    classes: [f32; CLASSES],
    /// Worth of a hit of a class, in 1/HIT_UNIT.
    hits: [u32; CLASSES],
}

/// Hits are counted in fractions of one.
pub(crate) const HIT_UNIT: f64 = 64.0;

impl Weights {
    /// Tables for a weight of sizes from 0 to 1.
    pub(crate) fn new(size_weight: f32) -> Self {
        let weight = f64::from(size_weight);
        Self {
            uses: std::array::from_fn(|uses| (uses as f64 + 1.0).powf(USES) as f32),
            // The middle of each step.
            sizes: std::array::from_fn(|step| {
                ((step as f64 + 0.5) / f64::from(1 << STEPS)).exp2().powf(-weight) as f32
            }),
            levels: LEVEL_USES.map(|uses| (uses + 1.0).powf(USES) as f32),
            classes: std::array::from_fn(|class| class_size(class).powf(-weight) as f32),
            hits: std::array::from_fn(|class| {
                (class_size(class).powf(1.0 - weight) * HIT_UNIT) as u32
            }),
        }
    }

    /// The score of an item of age 0 that lies there long enough, without its age: worth of a byte.
    pub(crate) fn of_item(&self, uses: u32, bytes: usize) -> f32 {
        self.uses[(uses & USES_MAX) as usize] * self.sizes[step_of(bytes)]
    }

    /// The same for items of a level and a class.
    pub(crate) fn of_level(&self, level: usize) -> f32 {
        self.levels[level]
    }

    /// Worth of a byte of this class that was never used.
    pub(crate) fn of_class(&self, class: u8) -> f32 {
        self.classes[usize::from(class)]
    }

    /// What so many hits of each class are worth.
    pub(crate) fn worth_of_hits(&self, counts: &[u64; CLASSES]) -> f64 {
        let worth = self.hits.iter().zip(counts).map(|(&hit, &count)| u64::from(hit) * count);
        worth.sum::<u64>() as f64 / HIT_UNIT
    }

    /// What a hit of each class counts, in 1/[`HIT_UNIT`].
    pub(crate) fn hits(&self) -> [u32; CLASSES] {
        self.hits
    }
}

/// What a hit of each class counts where policies are compared that know nothing of worth: 1 at the
/// usual weight of sizes, and its bytes where sizes have none.
pub(crate) fn counts_of_hits(size_weight: f32) -> [f64; CLASSES] {
    let exponent = (1.0 - f64::from(size_weight / SIZE_WEIGHT)).max(0.0);
    std::array::from_fn(|class| class_size(class).powf(exponent))
}

/// The size that stands for a class.
fn class_size(class: usize) -> f64 {
    match CLASS_MAX.get(class) {
        Some(&max) => max as f64 * CLASS_MEAN,
        None => CLASS_MAX[CLASSES - 2] as f64 * 2.0 * CLASS_MEAN,
    }
}

/// Where the table has a size: its logarithm, of which the float has three bits behind the point
/// that are near enough.
fn step_of(bytes: usize) -> usize {
    let bits = (bytes.max(1) as f32).to_bits() >> (23 - STEPS);
    (bits as usize - (127 << STEPS)).min(SIZES - 1)
}

/// What the score is divided by at an age in turnovers.
pub(crate) fn fading(age: f32) -> f32 {
    (FRESH + age).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_follow_the_formula() {
        let weights = Weights::new(0.7);
        for (uses, bytes) in [(0, 24), (1, 100), (7, 428), (15, 100_000)] {
            let exact = f64::from(uses + 1).powf(0.8) / (bytes as f64).powf(0.7);
            let got = f64::from(weights.of_item(uses, bytes));
            assert!((got / exact - 1.0).abs() < 0.07, "{uses} {bytes}: {got}, exactly {exact}");
        }
        assert!(weights.of_item(0, 0) > weights.of_item(0, usize::MAX));
        assert!((fading(0.98) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn hits_are_compared_as_the_weight_of_sizes_wants_it() {
        assert_eq!(counts_of_hits(SIZE_WEIGHT), [1.0; CLASSES]);
        assert_eq!(counts_of_hits(1.0), [1.0; CLASSES]);
        let bytes = counts_of_hits(0.0);
        assert_eq!(bytes[1] / bytes[0], (CLASS_MAX[1] / CLASS_MAX[0]) as f64);
    }

    #[test]
    fn without_weight_sizes_do_not_matter() {
        let weights = Weights::new(0.0);
        assert_eq!(weights.of_item(3, 20), weights.of_item(3, 100_000));
        assert_eq!(weights.of_class(0), weights.of_class(CLASSES as u8 - 1));
    }
}
