//! How long requests take, by kind of command, and for how long workers are busy at a time. A
//! worker looks at its clock once for each group of connections that it serves together: a request
//! costs an addition.

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

/// For how long one worker was busy at a time, between two looks at its sockets: meanwhile it
/// serves no other client. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Slices {
    slices: Histogram,
    longest_nanos: Counter,
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
        for (count, histogram) in requests.iter().zip(&self.0).filter(|(count, _)| **count > 0) {
            histogram.add(*count, time);
        }
    }

    /// Adds what is counted here to `sums`.
    pub(crate) fn add_to(&self, sums: &mut ByFamily<Distribution>) {
        for (sum, histogram) in sums.iter_mut().zip(&self.0) {
            histogram.add_to(sum);
        }
    }
}

impl Slices {
    /// Counts a slice. Only the worker that owns this may call it.
    pub(crate) fn add(&self, time: Duration) {
        self.slices.add(1, time);
        let longest = self.longest_nanos.load();
        self.longest_nanos.add(nanos_of(time).saturating_sub(longest));
    }

    /// Adds what is counted here to `sum`.
    pub(crate) fn add_to(&self, sum: &mut Distribution) {
        self.slices.add_to(sum);
    }

    /// The longest slice since the start.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest_nanos.load())
    }
}

impl Histogram {
    fn add(&self, count: u64, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < micros);
        self.buckets[bucket].add(count);
        self.nanos.add(nanos_of(time).saturating_mul(count));
    }

    fn add_to(&self, sum: &mut Distribution) {
        for (count, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *count += bucket.load();
        }
        sum.nanos = sum.nanos.wrapping_add(self.nanos.load());
    }
}

fn nanos_of(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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

    #[test]
    fn the_longest_slice_is_remembered() {
        let slices = Slices::default();
        for micros in [30, 700, 20] {
            slices.add(Duration::from_micros(micros));
        }
        let mut sum = Distribution::default();
        slices.add_to(&mut sum);
        assert_eq!((sum.buckets[1], sum.buckets[2], sum.buckets[6]), (1, 1, 1));
        assert_eq!(sum.nanos, 750_000);
        assert_eq!(slices.longest(), Duration::from_micros(700));
    }
}
