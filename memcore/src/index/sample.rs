//! A sample of the keys: those whose positions are below a bound. How many of them have items is
//! counted, so that what is measured with them can be put in proportion.

use super::{Guard, Index, Position};

impl Index {
    /// Takes the keys below this position as the sample, in all shards; how many items it has.
    pub(crate) fn sample_below(&self, bound: u32) -> u32 {
        let sample = |shard| {
            let mut lock = self.lock(Position { shard, at: 0 });
            lock.sampled = self.count_below(shard, bound, &lock);
            lock.bound = bound;
            lock.sampled
        };
        (0..self.shards()).map(sample).sum()
    }

    /// Items of the sample.
    pub(crate) fn sampled(&self) -> u32 {
        let sampled = |shard| self.lock(Position { shard, at: 0 }).sampled;
        (0..self.shards()).map(sampled).sum()
    }

    fn count_below(&self, shard: u32, bound: u32, lock: &Guard<'_>) -> u32 {
        let mut count = 0;
        let mut next = Some(0).filter(|&at| at < bound);
        while let Some(at) = next {
            let end = self.visit_group(Position { shard, at }, lock, |position, _| {
                count += u32::from(position.at < bound);
            });
            next = end.filter(|&at| at < bound);
        }
        count
    }
}
