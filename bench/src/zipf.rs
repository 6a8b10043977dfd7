//! Zipf-distributed ranks by rejection-inversion (Hoermann and Derflinger, 1996): constant time and
//! memory for any number of keys and any exponent.

use crate::rng::Rng;

/// Draws ranks `1..=n` with probability proportional to `rank^-exponent`.
#[derive(Clone, Debug)]
pub struct Zipf {
    n: f64,
    exponent: f64,
    /// Area under the hat from the left edge, shifted so that rank 1 gets exactly its weight.
    low: f64,
    high: f64,
    /// Distance below which a candidate needs no test.
    sure: f64,
}

impl Zipf {
    /// A distribution over `n` ranks; `n` must not be zero, `exponent` must be positive.
    #[must_use]
    pub fn new(n: u32, exponent: f64) -> Self {
        let mut zipf = Self { n: f64::from(n), exponent, low: 0.0, high: 0.0, sure: 0.0 };
        zipf.low = zipf.area(1.5) - 1.0;
        zipf.high = zipf.area(zipf.n + 0.5);
        zipf.sure = 2.0 - zipf.area_inverse(zipf.area(2.5) - zipf.weight(2.0));
        zipf
    }

    /// The next rank, from 1, the most frequent.
    pub fn rank(&self, rng: &mut Rng) -> u32 {
        loop {
            let u = self.high + rng.unit() * (self.low - self.high);
            let x = self.area_inverse(u);
            let k = x.round().clamp(1.0, self.n);
            if k - x <= self.sure || u >= self.area(k + 0.5) - self.weight(k) {
                return k as u32;
            }
        }
    }

    fn weight(&self, x: f64) -> f64 {
        x.powf(-self.exponent)
    }

    /// Integral of the weight from 1 to `x`.
    fn area(&self, x: f64) -> f64 {
        let rest = 1.0 - self.exponent;
        if rest.abs() < NEAR_ONE { x.ln() } else { (x.powf(rest) - 1.0) / rest }
    }

    fn area_inverse(&self, area: f64) -> f64 {
        let rest = 1.0 - self.exponent;
        if rest.abs() < NEAR_ONE { area.exp() } else { (1.0 + area * rest).powf(1.0 / rest) }
    }
}

/// Closer to an exponent of 1 the general integral loses its digits.
const NEAR_ONE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn largest_error(n: u32, exponent: f64) -> f64 {
        let zipf = Zipf::new(n, exponent);
        let mut rng = Rng::new(3);
        let mut seen = vec![0u32; n as usize];
        const DRAWS: u32 = 400_000;
        for _ in 0..DRAWS {
            seen[zipf.rank(&mut rng) as usize - 1] += 1;
        }
        let total: f64 = (1..=n).map(|k| f64::from(k).powf(-exponent)).sum();
        (1..=n)
            .map(|k| {
                let expected = f64::from(k).powf(-exponent) / total;
                let got = f64::from(seen[k as usize - 1]) / f64::from(DRAWS);
                (got - expected).abs()
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn frequencies_follow_the_law() {
        for exponent in [0.5, 0.99, 1.0, 1.3] {
            for n in [1, 2, 10, 1000] {
                let error = largest_error(n, exponent);
                assert!(error < 0.003, "n {n}, exponent {exponent}: {error}");
            }
        }
    }
}
