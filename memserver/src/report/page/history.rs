//! What a server counted in the last minutes.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::state::counters::Counts;
use crate::state::latency::{ByFamily, Distribution};
use crate::state::shared::Shared;

/// Time between samples.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
/// Samples that are kept: ten minutes, and the beginning of the first interval.
const SAMPLES: usize = 61;
/// Samples of the last minute.
const MINUTE: usize = 6;

/// A server at one moment. Counts are those since the start.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) counts: Counts,
    pub(super) latencies: ByFamily<Distribution>,
    pub(super) evicted: u64,
    pub(super) connections: usize,
}

/// Samples, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    samples: VecDeque<Sample>,
}

impl Sample {
    pub(super) fn of(shared: &Shared, at: Instant) -> Self {
        Self {
            at,
            counts: shared.gauges.counts_since_start(),
            latencies: shared.gauges.latencies(),
            evicted: shared.cache_stats().total.evicted,
            connections: shared.gauges.connections.current.load(Ordering::Relaxed),
        }
    }

    /// Seconds since `earlier`, as a divisor.
    pub(super) fn seconds_since(&self, earlier: &Self) -> f64 {
        self.at.saturating_duration_since(earlier.at).as_secs_f64().max(1e-3)
    }
}

impl History {
    /// When the next sample is due; none at all before the first.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.samples.back().map(|last| last.at + INTERVAL)
    }

    /// Takes a sample if one is due.
    pub(crate) fn record(&mut self, shared: &Shared, now: Instant) {
        if self.due().is_some_and(|due| now < due) {
            return;
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample::of(shared, now));
    }

    /// All samples.
    pub(super) fn samples(&self) -> impl ExactSizeIterator<Item = &Sample> {
        self.samples.iter()
    }

    /// The sample of a minute ago, or the oldest.
    pub(super) fn minute_ago(&self) -> Option<&Sample> {
        self.samples.get(self.samples.len().saturating_sub(MINUTE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn ten_minutes_are_kept() {
        let cache = memcore::Cache::new(64 << 20).unwrap();
        let shared = Shared::without_threads(cache, Config { threads: 1, ..Config::default() });
        let mut history = History::default();
        let start = Instant::now();
        assert_eq!(history.due(), None);
        for second in 0..2000 {
            history.record(&shared, start + Duration::from_secs(second));
        }
        assert_eq!(history.samples.len(), SAMPLES);
        assert_eq!(history.due(), Some(start + Duration::from_secs(2000)));
        let ago = |sample: &Sample| sample.at.duration_since(start).as_secs();
        assert_eq!((ago(&history.samples[0]), ago(history.minute_ago().unwrap())), (1390, 1940));
    }
}
