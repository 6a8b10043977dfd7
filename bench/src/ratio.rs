//! Ratios of numbers measured in turns, with their spread: disturbances of the machine that affect
//! both programs of a round alike cancel out.

use std::fmt;

/// The middle of several ratios, and the smallest and largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Ratio {
    /// Divides round by round. `None` without a round.
    #[must_use]
    pub fn of(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let mut ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        let least = *ratios.first()?;
        let most = *ratios.last()?;
        Some(Self { median: middle(&ratios), least, most })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, least, most } = self;
        f.pad(&format!("{median:.3} ({least:.3}-{most:.3})"))
    }
}

/// The median of `numbers`, NaN if there are none.
#[must_use]
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    middle(&sorted)
}

fn middle(sorted: &[f64]) -> f64 {
    let count = sorted.len();
    match count {
        0 => f64::NAN,
        _ if count % 2 == 1 => sorted[count / 2],
        _ => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_divided_one_by_one() {
        let ratio = Ratio::of(&[1.0, 20.0, 3.0], &[2.0, 20.0, 2.0]).unwrap();
        assert_eq!(ratio, Ratio { median: 1.0, least: 0.5, most: 1.5 });
        assert_eq!(ratio.to_string(), "1.000 (0.500-1.500)");
        assert_eq!(Ratio::of(&[], &[]), None);
    }

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
        assert!(median(&[]).is_nan());
    }
}
