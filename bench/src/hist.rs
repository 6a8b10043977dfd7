//! A log-linear histogram: constant memory, 64 steps for every doubling, so that a quantile is at
//! most 1.6 % off.

/// Counts of numbers by size.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts `value` once.
    pub fn record(&mut self, value: u64) {
        self.record_many(value, 1);
    }

    /// Counts `value` several times.
    pub fn record_many(&mut self, value: u64, times: u64) {
        self.counts[bucket(value)] += times;
        self.total += times;
        self.sum += u128::from(value) * u128::from(times);
        self.max = self.max.max(value);
    }

    /// Adds what another histogram counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// How many numbers were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest number.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean, exactly.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.sum as f64 / self.total as f64 }
    }

    /// The number that a share `q` of all numbers does not exceed.
    #[must_use]
    pub fn quantile(&self, q: f64) -> u64 {
        let wanted = ((self.total as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for (i, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_edge(i).min(self.max);
            }
        }
        self.max
    }
}

/// Below 128 every number has its own bucket; above, the leading seven bits choose.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    ((shift as usize) << STEP_BITS) + (value >> shift) as usize
}

fn upper_edge(bucket: usize) -> u64 {
    let shift = (bucket >> STEP_BITS).saturating_sub(1);
    let lead = (bucket - (shift << STEP_BITS)) as u128;
    u64::try_from(((lead + 1) << shift) - 1).unwrap_or(u64::MAX)
}

const STEP_BITS: u32 = 6;
const BUCKETS: usize = (u64::BITS as usize - STEP_BITS as usize + 1) << STEP_BITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_lies_in_its_bucket() {
        for value in (0..10_000).chain((7..63).map(|i| (1 << i) + 3)).chain([u64::MAX]) {
            let i = bucket(value);
            assert!(value <= upper_edge(i), "{value}");
            assert!(i == 0 || value > upper_edge(i - 1), "{value}");
        }
    }

    #[test]
    fn quantiles_are_close() {
        let mut hist = Histogram::default();
        (1..=100_000).for_each(|value| hist.record(value));
        for (q, exact) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
            let error = (hist.quantile(q) as f64 / exact - 1.0).abs();
            assert!(error < 0.016, "{q}: {error}");
        }
        assert_eq!(hist.quantile(1.0), 100_000);
        assert_eq!(hist.mean(), 50_000.5);
    }
}
