//! How long requests take, by kind of command. A worker looks at its clock once for each group of
//! connections that it serves together: a request costs an addition.

use std::time::Duration;

use crate::state::counters::Counter;

/// A kind of command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Lookups, those that touch included.
    Get,
    /// Everything that stores a value.
    Set,
    /// Deletes.
    Delete,
    /// Increments and decrements.
    Arith,
    /// Touches.
    Touch,
    /// Anything else.
    Other,
}

impl Family {
    /// Every kind, in the order of its number.
    pub(crate) const ALL: [Self; 6] =
        [Self::Get, Self::Set, Self::Delete, Self::Arith, Self::Touch, Self::Other];

    /// Its label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Delete => "delete",
            Self::Arith => "arith",
            Self::Touch => "touch",
            Self::Other => "other",
        }
    }
}

/// The upper bounds of the buckets, in microseconds. What is beyond the last has a bucket, too.
pub(crate) const BOUNDS_US: [u64; 16] = [
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000,
];
/// Buckets of one kind.
pub(crate) const BUCKETS: usize = BOUNDS_US.len() + 1;

/// Requests of every kind.
pub(crate) type ByFamily<T> = [T; Family::ALL.len()];

/// The requests of one worker, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Latencies(ByFamily<Histogram>);

#[derive(Debug, Default)]
struct Histogram {
    buckets: [Counter; BUCKETS],
    nanos: Counter,
}

/// The requests of one kind at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// Requests by bucket.
    pub(crate) buckets: [u64; BUCKETS],
    /// The time that all of them took.
    pub(crate) nanos: u64,
}

impl Latencies {
    /// Counts requests that took `time` each. Only the worker that owns this may call it.
    pub(crate) fn add(&self, requests: &ByFamily<u64>, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < micros);
        for (count, histogram) in requests.iter().zip(&self.0).filter(|(count, _)| **count > 0) {
            histogram.buckets[bucket].add(*count);
            histogram.nanos.add(nanos.saturating_mul(*count));
        }
    }

    /// Adds what is counted here to `sums`.
    pub(crate) fn add_to(&self, sums: &mut ByFamily<Distribution>) {
        for (sum, histogram) in sums.iter_mut().zip(&self.0) {
            for (count, bucket) in sum.buckets.iter_mut().zip(&histogram.buckets) {
                *count += bucket.load();
            }
            sum.nanos = sum.nanos.wrapping_add(histogram.nanos.load());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_in_the_bucket_of_their_time() {
        let latencies = Latencies::default();
        latencies.add(&[3, 0, 1, 0, 0, 0], Duration::from_micros(20));
        latencies.add(&[1, 0, 0, 0, 0, 0], Duration::from_nanos(20_999));
        latencies.add(&[1, 0, 0, 0, 0, 0], Duration::from_secs(5));
        let mut sums = ByFamily::default();
        latencies.add_to(&mut sums);
        let [get, set, delete, ..] = sums;
        assert_eq!((get.buckets[1], get.buckets[BUCKETS - 1]), (4, 1));
        assert_eq!(get.nanos, 4 * 20_000 + 999 + 5_000_000_000);
        assert_eq!((set, delete.buckets[1]), (Distribution::default(), 1));
    }
}
