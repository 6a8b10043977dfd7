//! Latencies counted in a histogram of constant size. A quantile is at most 1 % off.

use hdrhistogram::Histogram;

/// How often each latency occurred, in nanoseconds up to one hour. Longer ones count as an hour.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, HOUR_NS, DIGITS);
        Self(histogram.expect("constant bounds that the library accepts"))
    }
}

impl Latencies {
    /// Counts one latency, in nanoseconds.
    pub fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// How many latencies were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.len()
    }

    /// The longest latency in nanoseconds, 0 if there is none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.0.max()
    }

    /// The mean in nanoseconds, 0 if nothing was counted.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.0.mean()
    }

    /// The latency in nanoseconds that a share `q` (0 to 1) of all latencies does not exceed.
    #[must_use]
    pub fn quantile(&self, q: f64) -> u64 {
        self.0.value_at_quantile(q)
    }
}

const HOUR_NS: u64 = 3_600_000_000_000;
/// Significant decimal digits: an error of at most 1 %.
const DIGITS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_mean_are_within_one_percent() {
        let mut latencies = Latencies::default();
        (1..=100_000).for_each(|value| latencies.record(value));
        for (q, exact) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0), (1.0, 100_000.0)] {
            let error = (latencies.quantile(q) as f64 / exact - 1.0).abs();
            assert!(error < 0.01, "{q}: {error}");
        }
        assert!((latencies.mean() / 50_000.5 - 1.0).abs() < 0.01, "{}", latencies.mean());
        assert_eq!(latencies.total(), 100_000);
    }

    #[test]
    fn merging_adds_and_extremes_are_kept() {
        let mut sum = Latencies::default();
        for value in [0, 7, u64::MAX] {
            let mut one = Latencies::default();
            one.record(value);
            sum.merge(&one);
        }
        assert_eq!((sum.total(), sum.quantile(0.5)), (3, 7));
        assert!(sum.max() >= HOUR_NS);
    }
}
